"""Columns choose the same people as PostgreSQL: from slabs, from what changed since, from slabs written anew.

A few trees in each state; the thousands are in ``test_engines.py``.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol import db
from envol.accounts.models import Workspace
from envol.audience import engine, scores
from envol.audience.catalogue import Catalogue
from envol.audience.columns import build, delta, together
from envol.audience.columns import engine as engine_of_columns
from envol.audience.columns.engine import Columns, Question
from envol.audience.models import RepurchaseDelay
from envol.audience.overlap import overlap
from envol.consent.models import Purpose
from envol.outbound.models import Sending
from tests.audience.segment_people import add_event, add_happening, add_order, add_person, add_send, add_stay
from tests.audience.test_same_people import NOW, PROPS, _base, _value, _with_hands
from tests.examples import examples


@pytest.fixture
def base(workspace: Workspace) -> Iterator[Workspace]:
    """Its ledger rows lack chunks and versions: they go, or the books of the whole database would be wrong."""
    _base(workspace)
    yield workspace
    mine = list(Sending.objects.filter(workspace=workspace).values_list("id", flat=True))
    for table in ("outbound_outcome", "outbound_send"):
        db.execute(f"DELETE FROM {table} WHERE sending_id = ANY(%s)", [mine])


def _change(workspace: Workspace, rnd: random.Random) -> None:
    """What may happen while slabs lie there: people change, come, go; so do lists, orders, events."""
    ids = [row[0] for row in db.rows("SELECT id FROM contacts_contact WHERE workspace_id = %s", [workspace.pk])]
    lists = [row[0] for row in db.rows("SELECT id FROM contacts_list WHERE workspace_id = %s", [workspace.pk])]
    for contact in rnd.sample(ids, 12):
        key = rnd.choice(list(PROPS))
        db.execute(
            "UPDATE contacts_contact SET props = props || %s::jsonb, allowed = %s WHERE id = %s",
            [json.dumps({key: _value(rnd, PROPS[key])}), rnd.randrange(16), contact],
        )
    for n in range(5):
        person = add_person(workspace, f"late{n}.{rnd.random()}@lecteurs.example", props={"city": "Nantes"}, allowed=1)
        add_order(workspace, person, NOW - timedelta(days=3), [("CD", "Musique", 500)], "EUR")
        add_stay(workspace, person, rnd.choice(lists), NOW - timedelta(days=2), None)
    for contact in rnd.sample(ids, 8):
        add_event(workspace, contact, rnd.choice([5, 6, 8, 12]), NOW - timedelta(hours=5), rnd.choice([None, 1]), None)
        add_order(workspace, contact, NOW - timedelta(days=40), [("Livre", "", 333)], "EUR")
    db.execute(
        "UPDATE contacts_membership SET until = since + interval '1 minute'"
        " WHERE contact_id = ANY(%s) AND until IS NULL",
        [rnd.sample(ids, 10)],
    )
    for contact in rnd.sample(ids, 8):
        add_happening(workspace, contact, "visit", NOW - timedelta(hours=3), {"amount": 2.5, "shop": "Lyon"})
    # What people care for: said anew, taken back, ended.
    db.execute("DELETE FROM audience_interest WHERE contact_id = ANY(%s)", [rnd.sample(ids, 6)])
    db.execute(
        "UPDATE audience_interest SET until = since + interval '1 hour' WHERE until IS NULL AND contact_id = ANY(%s)",
        [rnd.sample(ids, 6)],
    )
    db.execute("UPDATE contacts_contact SET objected = NOT objected WHERE id = ANY(%s)", [rnd.sample(ids, 6)])
    db.execute("UPDATE contacts_contact SET silenced = NOT silenced WHERE id = ANY(%s)", [rnd.sample(ids, 5)])
    leaving = rnd.sample(ids, 4)
    db.execute("DELETE FROM contacts_membership WHERE contact_id = ANY(%s)", [leaving])
    gone = rnd.sample(ids, 3)
    for table in ("contacts_membership", "contacts_order", "events_event"):
        db.execute(f"DELETE FROM {table} WHERE contact_id = ANY(%s)", [gone])
    db.execute("DELETE FROM contacts_contact WHERE id = ANY(%s)", [gone])


def _same(question: Question, catalogue: Catalogue, tree: dict[str, Any], now: datetime | date = NOW) -> None:
    query, params = engine.ids_sql(catalogue, tree, now=now)
    wanted = sorted(row[0] for row in db.rows(query, params))
    assert question.ids(catalogue, tree, now) == wanted, (tree, now)
    assert question.count(catalogue, tree, now) == len(wanted)


@pytest.mark.parametrize("state", ["slabs", "changed", "settled", "changed again", "rebuilt"])
def test_columns_and_postgresql_choose_the_same_people(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    if state != "slabs":
        _change(base, random.Random(state))
    if state == "rebuilt":
        build.build(base, tmp_path, build.address())
        columns.close()
        columns = Columns(base, tmp_path)
    if state in ("settled", "changed again"):  # the rows of people were read, and then some of them changed anew
        monkeypatch.setattr(engine_of_columns, "FEW_WAITING", 0)
        with columns.question(pg):
            pass
        columns.settle()
        assert not columns.delta.waiting
    if state == "changed again":
        for n in range(2):  # the second time some rows take the place of others that wait
            _change(base, random.Random(f"{state} {n}"))
            with columns.question(pg) as question:
                _same(question, Catalogue(base), _alone({"field": "prop.city", "op": "known"}))
        assert columns.delta.waiting
    catalogue = Catalogue(base)

    @settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(_with_hands(catalogue), st.sampled_from([NOW, NOW, NOW.date() - timedelta(days=31), NOW.date()]))
    def same(tree: dict[str, Any], now: datetime | date) -> None:
        with columns.question(pg) as question:
            _same(question, catalogue, tree, now)

    same()
    with columns.question(pg) as question:
        assert (columns.delta.size > 0) == (state not in ("slabs", "rebuilt"))
        for purpose in Purpose.objects.filter(workspace=base):
            tree = {
                "v": 1,
                "match": "any",
                "rules": [{"field": "prop.city", "op": "known"}, {"field": "tag", "op": "has_none", "value": ["vip"]}],
            }
            found = question.figures(catalogue, tree, purpose, NOW)
            assert found.reasons == engine.by_reason(catalogue, tree, purpose, now=NOW)
            day = NOW.date() - timedelta(days=31)
            told = question.moved(catalogue, tree, day)
            assert told == engine.moved(catalogue, tree, day) and told.now - told.then == told.entered - told.left
            several = [
                tree,
                None,
                {"v": 1, "match": "all", "rules": [{"field": "orders.count", "op": "gte", "value": 1}]},
            ]
            assert question.masks(catalogue, several, NOW) == overlap(catalogue, several, now=NOW).masks
            assert set(found.sample) <= set(question.ids(catalogue, tree, NOW)) and len(found.sample) == 10
    columns.close()


def _asks(question: Question, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fields whose rules PostgreSQL is asked for."""
    asked: list[str] = []
    real = question.asked_of_postgres

    def told(rule: Any, *more: Any) -> Any:
        asked.append(rule.field.key)
        return real(rule, *more)

    monkeypatch.setattr(question, "asked_of_postgres", told)
    return asked


BUYERS: list[dict[str, Any]] = [
    {"field": "rfm.r", "op": "gte", "value": 3},
    {"field": "rfm.fm", "op": "between", "value": [2.5, 4]},
    {"field": "rfm.segment", "op": "in", "value": ["champions", "lost"]},
    {"field": "rfm.m", "op": "unknown"},
    {"field": "tier", "op": "is", "value": "gold"},
    {"field": "tier", "op": "not_in", "value": ["standard", "bronze"]},
]
MAIL: list[dict[str, Any]] = [
    {"field": "mail.sent", "op": "at_least", "value": 1},
    {"field": "mail.sent", "op": "never"},
    {"field": "mail.delivered", "op": "at_least", "value": 1, "where": {"within_days": 30}},
]


def _alone(rule: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": [rule]}


def test_scores_and_tiers_are_told_by_columns_until_they_are_computed_anew(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(base)
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    a_day = NOW.date() - timedelta(days=500)  # when some were bronze who are gold now
    with columns.question(pg) as question:
        asked = _asks(question, monkeypatch)
        for rule in BUYERS:
            for now in (NOW, a_day):
                _same(question, catalogue, _alone(rule), now)
        assert not asked
    # Who objects has no score from that moment on.
    buyer = db.value("SELECT min(contact_id) FROM audience_score WHERE workspace_id = %s", [base.pk])
    db.execute("UPDATE contacts_contact SET objected = NOT objected WHERE id = %s", [buyer])
    with columns.question(pg) as question:
        for rule in BUYERS:
            _same(question, catalogue, _alone(rule))
    scores.compute(base)
    with columns.question(pg) as question:
        asked = _asks(question, monkeypatch)
        for rule in BUYERS:
            _same(question, catalogue, _alone(rule))
        assert len(asked) == 2 * len(BUYERS)  # ids and count
    columns.close()
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    with columns.question(pg) as question:
        asked = _asks(question, monkeypatch)
        for rule in BUYERS:
            _same(question, catalogue, _alone(rule))
        assert not asked
    columns.close()


def test_the_rules_of_a_tree_are_read_together(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(base)
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    _change(base, random.Random(7))
    shares = [
        {"field": "random", "op": "share", "value": {"percent": 5 + n, "seed": f"no {n}"}} for n in range(together.MOST)
    ]
    sendings = sorted(catalogue.sendings) or [1, 2]
    acts = [
        {"field": f"mail.{kind}", "op": op, "value": value, "where": {"sending": sending}}
        for kind, op, value in (("clicked", "at_least", 1), ("opened", "never", None))
        for sending in sendings[:3]
    ]
    with columns.question(pg) as question:
        read: list[str] = []
        real = question.ask

        def ask(query: Any, params: dict[str, Any]) -> Any:
            read.append(query if isinstance(query, str) else query.sql(dialect="duckdb"))
            return real(query, params)

        monkeypatch.setattr(question, "ask", ask)
        tree = {"v": 1, "match": "any", "rules": [{"match": "all", "rules": shares[:3]}, *shares[3:], *acts]}
        _same(question, catalogue, tree)
        # The agreement to be measured is one more than a reading answers, and is asked alone.
        tables = Counter(name for text in read for name in re.findall(r" FROM (\w+)", text))
        assert tables["contacts"] == tables["d_contacts"] == tables["w_contacts"] == 2 and tables["events"] == 1, tables
    columns.close()


def test_more_than_the_most_that_wait_are_read_before_the_answer(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(base, tmp_path, build.address())
    columns, catalogue = Columns(base, tmp_path), Catalogue(base)
    monkeypatch.setattr(delta, "MOST_WAITING", 15)
    waited = []
    for n in range(4):
        _change(base, random.Random(f"most {n}"))
        with columns.question(pg) as question:
            _same(question, catalogue, _alone({"field": "prop.city", "op": "known"}))
            waited.append(len(columns.delta.waiting))
    assert max(waited) <= 15
    # Few are left for the next time; settling what is closed already is no fault.
    (someone,) = db.rows("SELECT max(id) FROM contacts_contact WHERE workspace_id = %s", [base.pk])[0]
    db.execute("UPDATE contacts_contact SET props = props || %s::jsonb WHERE id = %s", ['{"city": "Sète"}', someone])
    with columns.question(pg):
        pass
    columns.settle()
    assert columns.delta.waiting
    columns.close()
    columns.settle()


def test_rows_that_could_not_be_read_still_wait(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(base, tmp_path, build.address())
    columns, catalogue = Columns(base, tmp_path), Catalogue(base)
    monkeypatch.setattr(engine_of_columns, "FEW_WAITING", 0)
    for n in range(2):
        _change(base, random.Random(f"read {n}"))
        with columns.question(pg):
            pass
        with monkeypatch.context() as patch:
            patch.setattr(columns.delta, "scratch", tmp_path / "nowhere")
            with pytest.raises(OSError):
                columns.settle()
        assert columns.delta.waiting
        with columns.question(pg) as question:
            _same(question, catalogue, _alone({"field": "prop.city", "op": "known"}))
        columns.settle()
        assert not columns.delta.waiting
        with columns.question(pg) as question:
            _same(question, catalogue, _alone({"field": "prop.city", "op": "known"}))
    columns.close()


def test_what_concerns_all_orders_is_read_from_one_row_a_person(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any]
) -> None:
    catalogue = Catalogue(base)
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    rules: list[dict[str, Any]] = [
        {"field": f"orders.{name}", "op": op, "value": value}
        for name, op, value in (
            ("count", "gte", 2), ("count", "lt", 1), ("sum", "between", [500, 4000]), ("sum", "is", 0),
            ("sum", "lt", 900), ("average", "gt", 700), ("first", "in_last", 60),
            ("last", "before", "2026-01-01"), ("last", "unknown", None),
        )
    ]  # fmt: skip
    # Rules about all orders cannot read single orders now; others can read nothing else.
    columns.db.execute("DROP VIEW orders")

    def same() -> None:
        with columns.question(pg) as question:
            for rule in rules:
                _same(question, catalogue, _alone(rule))

    same()
    _change(base, random.Random(5))
    same()
    columns.slabs.clear()
    with columns.question(pg) as question:
        _same(question, catalogue, {"v": 1, "match": "any", "rules": rules[:2] + rules[6:8]})
    with columns.question(pg) as question, pytest.raises(duckdb.CatalogException):
        question.count(
            catalogue, _alone({"field": "orders.count", "op": "gte", "value": 1, "where": {"within_days": 9}})
        )
    columns.close()


def test_what_was_just_bought_is_told_by_columns(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = Catalogue(base)
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    rules: list[dict[str, Any]] = [
        {"field": "orders.just_bought", "op": op, "value": value}
        for op, value in (
            ("anything", None), ("nothing", None), ("of_category", ["MUSIQUE"]), ("not_of_category", ["Musique", "x"]),
            ("of_product", ["cd", "Livre"]), ("not_of_product", ["CD"]),
        )
    ]  # fmt: skip
    rules += [
        {"field": "orders.coded", "op": op, "value": 50, "where": {"category": ["Musique"]}} for op in ("lt", "gte")
    ]

    def same() -> None:
        with columns.question(pg) as question:
            asked = _asks(question, monkeypatch)
            for rule in rules:
                for now in (NOW, NOW - timedelta(days=40), NOW.date() - timedelta(days=8)):
                    _same(question, catalogue, _alone(rule), now)
            assert not asked

    same()
    # Delays change from one question to the next, and so do orders: one is paid back in full.
    RepurchaseDelay.objects.filter(workspace=base).exclude(category="").update(days=400)
    buyer = db.value("SELECT min(contact_id) FROM contacts_order WHERE workspace_id = %s", [base.pk])
    add_order(base, buyer, NOW - timedelta(hours=1), [("CD", "Musique", -500)], "EUR")
    same()
    RepurchaseDelay.objects.filter(workspace=base).delete()
    same()
    columns.close()


def test_messages_are_told_by_columns_while_they_leave_and_afterwards(
    base: Workspace, tmp_path: Path, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Sending.objects.filter(workspace=base).order_by("id").first()
    assert ended is not None
    Sending.objects.filter(pk=ended.pk).update(state="sent")
    Sending.objects.filter(workspace=base).exclude(pk=ended.pk).update(state="sending")
    catalogue = Catalogue(base)
    manifest = build.build(base, tmp_path, build.address())
    assert ended.pk in manifest.finished and manifest.rows["sent"] > 0
    columns = Columns(base, tmp_path)

    def same(how_many_asked: int = 0) -> None:
        with columns.question(pg) as question:
            asked = _asks(question, monkeypatch)
            for rule in MAIL:
                _same(question, catalogue, _alone(rule))
            assert len(asked) == how_many_asked * 2  # ids and count

    same()
    running = Sending.objects.filter(workspace=base, state="sending").first()
    assert running is not None
    person = add_person(base, "tard@lecteurs.example")
    add_send(base, running.pk, person, NOW - timedelta(days=2))
    same()
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, reply, code)"
        " VALUES (%s, %s, 'delivered', %s, 1, 'ok', 250)",
        [running.pk, person, NOW - timedelta(days=1)],
    )
    same()
    late = Sending.objects.create(workspace=base, kind="campaign", state="sent")
    add_send(base, late.pk, person, NOW - timedelta(days=1), "delivered")
    same()
    db.execute("DELETE FROM contacts_contact WHERE id = %s", [person])
    same()
    monkeypatch.setattr(delta, "MOST_MAIL", 0)
    add_send(base, running.pk, add_person(base, "autre@lecteurs.example"), NOW)
    same(len(MAIL))
    columns.close()
