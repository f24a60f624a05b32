"""A count on a page where somebody types: cancelled inside PostgreSQL, estimated when slow, never mixed up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from envol import db, db_role
from envol.accounts.models import Workspace
from envol.audience import counting, engine
from envol.audience.catalogue import Catalogue
from envol.audience.counting import Figures, Page, Superseded, TooSlow
from envol.consent import purposes
from tests.audience.segment_people import add_order, add_person, declare

TREE = {"v": 1, "match": "all", "rules": [{"field": "email", "op": "contains", "value": "@"}]}
RUNNING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
    " AND query LIKE '%%contacts_contact%%' AND query LIKE '%%GROUP BY%%' AND pid <> pg_backend_pid()"
)


class Counting(threading.Thread):
    """A count in another session, as the role that the pages act as."""

    def __init__(self, workspace: Workspace, page: Page, turn: int, patience: float | None = None) -> None:
        super().__init__(daemon=True)
        self.workspace_id = workspace.pk
        self.ask: Callable[[], Figures] = lambda: counting.figures(
            workspace, TREE, purposes.get(workspace, "newsletter"), page, turn, patience=patience
        )
        self.answer: Figures | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        page = db_role.Standing(db_role.PAGE, 0, self.workspace_id)
        try:
            with db_role.standing_as(page):
                self.answer = self.ask()
                assert db.value("SELECT current_user") == db_role.PAGE
                held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
                assert db.value(held) == 0
        except BaseException as error:  # told to the test
            self.error = error
        finally:
            connection.close()


def until(what: Callable[[], Any], seconds: float = 10) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
    raise AssertionError("it did not happen")


@pytest.fixture
def locked(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Nobody can read contacts until this lets go: every count is slow."""
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE contacts_contact IN ACCESS EXCLUSIVE MODE")
        yield holder
        holder.rollback()


def running() -> set[int]:
    return {row[0] for row in db.rows(RUNNING)}


def test_a_newer_count_of_the_page_ends_the_older_one_inside_the_engine(
    workspace: Workspace, locked: psycopg.Connection[Any]
) -> None:
    page = Page.of(workspace.id, "a page")
    older = Counting(workspace, page, 1)
    older.start()
    (first,) = until(running)
    newer = Counting(workspace, page, 2)
    newer.start()
    older.join(10)
    assert isinstance(older.error, Superseded) and older.answer is None
    (second,) = until(lambda: running() - {first})
    assert running() == {second}, "the older statement has vanished from pg_stat_activity"
    locked.rollback()
    newer.join(10)
    assert newer.error is None and newer.answer is not None and newer.answer.count == 0


def test_another_page_is_left_alone(workspace: Workspace, locked: psycopg.Connection[Any]) -> None:
    mine, hers = (Counting(workspace, Page.of(workspace.id, name), 1) for name in ("mine", "hers"))
    mine.start()
    until(running)
    hers.start()
    until(lambda: len(running()) == 2)
    locked.rollback()
    mine.join(10)
    hers.join(10)
    assert mine.error is None and hers.error is None


def test_a_page_that_is_left_counts_no_more(workspace: Workspace, locked: psycopg.Connection[Any]) -> None:
    page = Page.of(workspace.id, "left")
    one = Counting(workspace, page, 7)
    one.start()
    until(running)
    counting.leave(page)
    one.join(10)
    assert isinstance(one.error, Superseded) and not running()


def test_an_older_request_that_arrives_late_gives_way(workspace: Workspace, locked: psycopg.Connection[Any]) -> None:
    page = Page.of(workspace.id, "late")
    newer = Counting(workspace, page, 2)
    newer.start()
    until(running)
    late = Counting(workspace, page, 1)
    late.start()
    late.join(10)
    assert isinstance(late.error, Superseded)
    locked.rollback()
    newer.join(10)
    assert newer.error is None


def test_the_statement_timeout_is_the_net(workspace: Workspace, locked: psycopg.Connection[Any]) -> None:
    with pytest.raises(TooSlow), counting.turn_of(Page.of(workspace.id, "net"), 1, 0.05):
        db.value("SELECT count(*) FROM contacts_contact")
    assert db.value("SHOW statement_timeout") == "0", "the net is gone with its transaction"


def test_only_counts_can_be_cancelled_this_way(workspace: Workspace) -> None:
    """A stranger's lock of the same number, held exclusively, is no count."""
    page = Page.of(workspace.id, "stranger")
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s, 5)", [page.number])
        try:
            other = Counting(workspace, page, 1)
            other.start()
            other.join(10)
            assert other.error is None
            cursor.execute("SELECT 1")
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, 5)", [page.number])


@pytest.fixture
def many(workspace: Workspace) -> Workspace:
    declare(workspace, "city", "text")
    db.execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, props, allowed)"
        " SELECT %s, 'p' || n || '@lecteurs.example', 'p' || n || '@lecteurs.example',"
        " jsonb_build_object('city', CASE WHEN n %% 4 = 0 THEN 'Nantes' ELSE 'Brest' END),"
        " CASE WHEN n %% 2 = 0 THEN %s ELSE 0 END FROM generate_series(1, 25000) n",
        [workspace.id, 1 << purposes.get(workspace, "newsletter").bit],
    )
    return workspace


def test_the_estimate_is_near_and_says_from_how_many(many: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = {"v": 1, "match": "all", "rules": [{"field": "prop.city", "op": "is", "value": "Nantes"}]}
    newsletter, page = purposes.get(many, "newsletter"), Page.of("near")

    def slow(*args: Any) -> Figures:
        raise TooSlow

    monkeypatch.setattr(counting, "SMALL", 20_000)
    monkeypatch.setattr(counting, "PATIENCE", 20.0)  # of a busy machine
    exact = counting.figures(many, tree, newsletter, page, 1, patience=20.0)
    assert (exact.count, exact.drawn, exact.total, exact.reasons[""]) == (6250, 0, 25_000, 6250)
    assert len(exact.sample) == 10 and set(exact.sample) <= {row[0] for row in db.rows(*engine.ids_sql(many, tree))}
    monkeypatch.setattr(counting, "_exact", slow)
    about = counting.figures(many, tree, newsletter, page, 2, patience=20.0)
    assert about.drawn >= counting.ENOUGH and about.total == 25_000
    assert 5000 < about.count < 7500, "within five standard deviations"
    assert len(about.sample) == 10
    with pytest.raises(TooSlow):
        counting.figures(many, tree, newsletter, page, 3, patience=None)


def test_rules_asked_of_a_few_people_answer_as_they_do_of_all(workspace: Workspace) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    people = [add_person(workspace, f"p{n}@lecteurs.example", tags=["vip"] if n % 2 else []) for n in range(12)]
    for n, person in enumerate(people):
        for _ in range(n % 3):
            add_order(workspace, person, now - timedelta(days=3), [("A", "romans", 1000)])
    newsletter = purposes.get(workspace, "newsletter")
    for rule in (
        {"field": "orders.count", "op": "gte", "value": 2},
        {"field": "orders.count", "op": "is", "value": 0},
        {"field": "orders.sum", "op": "lt", "value": 1500},
        {"field": "mail.clicked", "op": "never"},
        {"field": "tag", "op": "has_none", "value": ["vip"]},
    ):
        tree = {"v": 1, "match": "all", "rules": [rule]}
        everyone = {row[0] for row in db.rows(*engine.ids_sql(workspace, tree))}
        some = people[::2]
        found = engine.postgres.reasons_among(Catalogue(workspace), tree, newsletter, some)
        assert set(found) == everyone & set(some), rule
        assert set(found.values()) <= {"no_permission"}
