"""The audience process as it runs: woken by a question, stopped by a newer one, never in the way of an answer."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.conf import settings

from envol import db
from envol.accounts.models import Workspace
from envol.audience import counting
from envol.audience.catalogue import Catalogue
from envol.audience.columns import ask, build, door, store, upkeep
from envol.audience.columns.engine import Asking, Columns, Interrupted
from envol.consent import purposes
from envol.consent.models import Purpose
from envol.contacts import catalogue as properties
from tests.audience.segment_people import add_event, add_person

NANTES = {"v": 1, "match": "all", "rules": [{"field": "prop.town", "op": "is", "value": "Nantes"}]}


@pytest.fixture
def base(workspace: Workspace) -> Iterator[Workspace]:
    if not Purpose.objects.filter(workspace=workspace).exists():
        purposes.create_defaults(workspace)
    newsletter = 1 << Purpose.objects.get(workspace=workspace, key="newsletter").bit
    properties.declare(workspace, "town", "text", "Ville", "Town")
    for n in range(40):
        add_person(
            workspace,
            f"p{n}@lecteurs.example",
            props={"town": "Nantes" if n % 4 else "Lyon"},
            allowed=newsletter * (n % 2),
        )
    yield workspace
    shutil.rmtree(settings.ENVOL.data / "columns", ignore_errors=True)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([sys.executable, "-m", "envol.run.process", "audience"], env=os.environ)
    end = time.monotonic() + 30
    while door.way(settings.ENVOL.data) is None:
        assert running.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    yield running
    running.terminate()
    assert running.wait(20) == 0
    assert door.way(settings.ENVOL.data) is None


def _figures(workspace: Workspace, turn: int = 1) -> counting.Figures:
    purpose = Purpose.objects.get(workspace=workspace, key="newsletter")
    return counting.figures(workspace, NANTES, purpose, counting.Page(7), turn, patience=None)


def test_a_question_wakes_the_engine_and_reads_what_was_just_written(
    base: Workspace, process: subprocess.Popen[bytes]
) -> None:
    assert _figures(base).columns == "", "there are no slabs yet: PostgreSQL answers"
    build.build(base, settings.ENVOL.data, build.address())
    found = _figures(base, 2)
    assert (found.columns, found.total, found.count) == ("asked", 40, 30)
    assert sum(found.reasons.values()) == 30 and found.reasons[""] == 20
    for n in range(3):
        add_person(base, f"new{n}@lecteurs.example", props={"town": "nantes"}, allowed=1)
        assert _figures(base, 3 + n).count == 31 + n, "what was written is counted at once"
    assert counting.masks(base, [NANTES, None]) == {3: 33, 2: 10}
    db.execute("DELETE FROM contacts_contact WHERE workspace_id = %s AND email = 'p1@lecteurs.example'", [base.pk])
    found = _figures(base, 9)
    assert (found.columns, found.total, found.count) == ("asked", 42, 32), "who is gone is masked at once"


def test_a_question_that_was_sent_ahead_is_answered_while_something_else_is_done(
    base: Workspace, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(base, settings.ENVOL.data, build.address())
    assert _figures(base).count == 30  # the engine is awake
    add_person(base, "new@lecteurs.example", props={"town": "Nantes"}, allowed=1)
    with counting.ahead(base, NANTES, None, counting.Page(7), 2) as asked:
        assert asked is not None
        with monkeypatch.context() as once:
            once.setattr(ask, "ask", None)  # nothing is asked a second time
            found = counting.figures(base, NANTES, None, counting.Page(7), 2, patience=20, asked=asked)
        assert (found.columns, found.count) == ("asked", 31), "what was written before it was sent is counted"
    with counting.ahead(base, NANTES, None, counting.Page(7), 3) as overtaken:
        assert overtaken is not None
    with pytest.raises(ask.Silent):  # nobody reads it any more: it ended with the block
        overtaken.answer(1)
    wrong = {"v": 1, "match": "all", "rules": [{"field": "prop.nothing", "op": "is", "value": "x"}]}
    with counting.ahead(base, wrong, None, counting.Page(7), 4) as nothing:
        assert nothing is None
    shutil.rmtree(settings.ENVOL.data / "columns")
    with counting.ahead(base, NANTES, None, counting.Page(7), 5) as nothing:
        assert nothing is None
        assert counting.figures(base, NANTES, None, counting.Page(7), 5, asked=nothing).count == 31


def test_slabs_that_cannot_be_read_are_told_and_never_miscounted(
    base: Workspace, process: subprocess.Popen[bytes]
) -> None:
    made = build.build(base, settings.ENVOL.data, build.address())
    assert _figures(base).columns == "asked"
    place = store.folder(settings.ENVOL.data, base.pk) / made.version
    for file in place.glob("*.parquet"):
        file.write_bytes(b"PAR1 nothing that was a slab PAR1")
    other = {"v": 1, "match": "all", "rules": [{"field": "prop.town", "op": "begins", "value": "L"}]}
    found = counting.figures(base, other, None, counting.Page(8), 1, patience=None)
    assert (found.columns, found.count) == ("failed", 10)
    upkeep.write(base)
    found = counting.figures(base, other, None, counting.Page(8), 2, patience=None)
    assert (found.columns, found.count) == ("asked", 10), "losing the slabs loses nothing"


def test_an_engine_that_is_killed_is_woken_again(base: Workspace, process: subprocess.Popen[bytes]) -> None:
    build.build(base, settings.ENVOL.data, build.address())
    assert _figures(base).columns == "asked"
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[0]), signal.SIGKILL)
    found = _figures(base, 2)
    assert found.count == 30
    end = time.monotonic() + 20
    turn = 3
    while _figures(base, turn).columns != "asked":
        assert time.monotonic() < end
        turn += 1


def test_a_count_in_progress_is_stopped_inside_the_engine(base: Workspace) -> None:
    """The statement itself ends: DuckDB's is interrupted, and the next question finds the engine free."""
    build.build(base, settings.ENVOL.data, build.address())
    columns = Columns(base, settings.ENVOL.data)
    asking = Asking()
    begun = threading.Event()

    def stop() -> None:
        begun.wait(10)
        time.sleep(0.2)
        asking.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with psycopg.connect(build.address(), autocommit=True) as pg:
        started = time.monotonic()
        with pytest.raises(Interrupted), columns.question(pg, asking) as question:
            begun.set()
            question.cursor.execute("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range > b.range")
        assert time.monotonic() - started < 60
        stopper.join()
        asking = Asking()
        begun.clear()
        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(Interrupted), columns.question(pg, asking) as question:
            begun.set()
            question.pg.execute("SELECT pg_sleep(60)")
        stopper.join()
        with columns.question(pg) as question:
            assert question.count(Catalogue(base), NANTES) == 30
    columns.close()


def _ask(workspace: Workspace, turn: int) -> dict[str, Any]:
    question = {"ask": "count", "tree": NANTES, "page": 9, "turn": turn}
    return ask.ask(settings.ENVOL.data, workspace.pk, question, 20)


def test_a_newer_question_of_a_page_takes_the_place_of_the_one_before(
    base: Workspace, process: subprocess.Popen[bytes]
) -> None:
    build.build(base, settings.ENVOL.data, build.address())
    assert _figures(base, 5).count == 30
    told: list[Any] = []

    def older() -> None:
        try:
            told.append(_ask(base, turn=1))
        except ask.Overtaken:
            told.append("overtaken")

    # A transaction that holds the list of what is gone keeps the older question waiting inside PostgreSQL.
    with psycopg.connect(build.address()) as holder:
        holder.execute("LOCK TABLE contacts_gone IN ACCESS EXCLUSIVE MODE")
        waiting = threading.Thread(target=older)
        waiting.start()
        end = time.monotonic() + 20
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'contacts_gone'::regclass"
        while not db.value(query):
            assert time.monotonic() < end
            time.sleep(0.02)
        newer = threading.Thread(target=lambda: told.append(_ask(base, turn=2)["count"]))
        newer.start()
        waiting.join(15)
        assert told == ["overtaken"], "it did not wait for the lock"
        holder.rollback()
        newer.join(15)
    assert told == ["overtaken", 30]


def test_upkeep_writes_what_is_missing_or_behind(base: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, columns_from=30))
    monkeypatch.setattr(upkeep, "FEW", 5)
    monkeypatch.setattr(Workspace.objects, "order_by", lambda *_: [base])  # not what other tests left behind
    assert upkeep.state(base).why == "there are none"
    assert upkeep.look_after() == [base.pk] and upkeep.look_after() == []
    for n in range(6):
        add_person(base, f"more{n}@lecteurs.example")
    assert upkeep.state(base).why == "many rows changed"
    assert upkeep.look_after() == [base.pk]
    properties.declare(base, "points", "number", "Points", "Points")
    assert upkeep.state(base).why == "the properties changed"
    assert upkeep.look_after() == [base.pk]
    db.execute("DELETE FROM contacts_contact WHERE workspace_id = %s AND email = 'more1@lecteurs.example'", [base.pk])
    assert upkeep.state(base).why == "", "masked; the slabs have an hour"
    monkeypatch.setattr(upkeep, "ERASED", -1.0)
    assert upkeep.state(base).why == "somebody is gone"
    assert upkeep.look_after() == [base.pk]
    made = store.current(store.folder(settings.ENVOL.data, base.pk))
    assert made is not None and made.people == 45
    count = "SELECT count(*) FROM contacts_gone WHERE workspace_id = %s"
    assert db.value(count, [base.pk]) == 1, "slabs of another machine may still hold her"
    db.execute("UPDATE contacts_gone SET at = now() - interval '15 days' WHERE workspace_id = %s", [base.pk])
    upkeep.look_after()
    assert db.value(count, [base.pk]) == 0


def test_a_month_of_events_that_was_dropped_is_counted_no_more(
    base: Workspace, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until new slabs are written PostgreSQL answers: it forgot what slabs still hold."""
    db.value("SELECT events_make_partitions('2019-05-01'::date, 1)")
    contact = db.value("SELECT min(id) FROM contacts_contact WHERE workspace_id = %s", [base.pk])
    add_event(base, contact, 6, datetime(2019, 5, 7, tzinfo=UTC), None, None)
    clicked = {"v": 1, "match": "all", "rules": [{"field": "mail.clicked", "op": "at_least", "value": 1}]}

    def count(turn: int) -> tuple[str, int]:
        found = counting.figures(base, clicked, None, counting.Page(11), turn, patience=None)
        return found.columns, found.count

    upkeep.write(base)
    assert count(1) == ("asked", 1)
    db.execute("DROP TABLE events_event_2019_05")
    assert count(2) == ("failed", 0)
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, columns_from=30))
    assert upkeep.state(base).why == "a month of events was dropped"
    upkeep.write(base)
    assert count(3) == ("asked", 0)
