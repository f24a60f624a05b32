"""The copy in ClickHouse: whole or not there, never stale, without the erased, on a cluster by shards of people."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings

from envol import db
from envol.accounts.models import Workspace
from envol.audience import engine as reference
from envol.audience import segments
from envol.audience.catalogue import Catalogue
from envol.audience.clickhouse import engine, load, tables, upkeep
from envol.audience.clickhouse.client import Client
from envol.audience.clickhouse.compile import Refused
from envol.audience.clickhouse.refresh import refresh
from envol.audience.columns import build, shape
from envol.audience.columns.engine import Asking
from envol.audience.columns.serve import Server
from envol.audience.models import Scoring
from envol.consent import purposes
from envol.consent.models import Purpose
from envol.contacts import catalogue as properties
from envol.outbound.models import Sending
from tests.audience.segment_people import add_event, add_person, add_score, add_send
from tests.audience.test_columns import _change
from tests.audience.test_same_people import NOW, _base

AT = datetime(2026, 11, 3, tzinfo=UTC)
NANTES = {"v": 1, "match": "all", "rules": [{"field": "prop.town", "op": "is", "value": "Nantes"}]}


@pytest.fixture
def base(workspace: Workspace) -> Workspace:
    if not Purpose.objects.filter(workspace=workspace).exists():
        purposes.create_defaults(workspace)
    newsletter = 1 << Purpose.objects.get(workspace=workspace, key="newsletter").bit
    properties.declare(workspace, "town", "text", "Ville", "Town")
    for n in range(40):
        person = add_person(
            workspace,
            f"p{n}@lecteurs.example",
            props={"town": "Nantes" if n % 4 else "Lyon"},
            allowed=newsletter * (n % 2),
            suppressed=n == 5,
        )
        add_event(workspace, person, 6, datetime(2026, 11, 3, tzinfo=UTC), 1)
    return workspace


@pytest.fixture
def changing(workspace: Workspace) -> Iterator[Workspace]:
    """People with everything that a copy holds. Its ledger rows lack chunks and versions: they go."""
    _base(workspace)
    yield workspace
    mine = list(Sending.objects.filter(workspace=workspace).values_list("id", flat=True))
    for table in ("outbound_outcome", "outbound_send"):
        db.execute(f"DELETE FROM {table} WHERE sending_id = ANY(%s)", [mine])


@pytest.fixture
def there() -> Iterator[Client]:
    client = Client("chdb://memory")
    load.prepare(client)
    yield client
    for name in _tables(client):
        client.command(f"DROP TABLE {name} SYNC")
    client.close()


def _tables(client: Client) -> list[str]:
    return [row[0] for row in client.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")]


def _count(client: Client, workspace: Workspace, pg: psycopg.Connection[Any], tree: Any = NANTES) -> int:
    with engine.question(client, workspace, pg) as asked:
        return asked.count(Catalogue(workspace), tree)


def test_an_answer_holds_what_was_just_written(base: Workspace, there: Client, pg: psycopg.Connection[Any]) -> None:
    with pytest.raises(engine.NoCopy):
        _count(there, base, pg)
    load.load(base, there, build.address())
    assert _count(there, base, pg) == 30
    new = add_person(base, "new@lecteurs.example", props={"town": "nantes"}, allowed=4)
    assert _count(there, base, pg) == 31
    db.execute(
        "UPDATE contacts_contact SET props = '{}' WHERE workspace_id = %s AND email = 'p1@lecteurs.example'", [base.pk]
    )
    assert _count(there, base, pg) == 30
    db.execute("DELETE FROM contacts_contact WHERE workspace_id = %s AND email = 'p2@lecteurs.example'", [base.pk])
    assert _count(there, base, pg) == 29, "who is gone is counted no more, from that commit on"
    catalogue = Catalogue(base)
    purpose = catalogue.purposes["newsletter"]
    with engine.question(there, base, pg) as asked:
        ids = asked.ids(catalogue, NANTES)
        assert ids == sorted(row[0] for row in db.rows(*reference.ids_sql(catalogue, NANTES))) and new in ids
        assert asked.ids(catalogue, NANTES, after=ids[9], limit=5) == ids[10:15]
        assert asked.ids(catalogue, NANTES, after=ids[-2], limit=5) == ids[-1:]
        found = asked.figures(catalogue, NANTES, purpose)
        assert found.reasons == reference.by_reason(catalogue, NANTES, purpose) and found.total == 40
        assert len(found.sample) == 10 and set(found.sample) <= set(ids)


def test_a_copy_is_whole_or_not_there(
    base: Workspace,
    there: Client,
    pg: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = load.load(base, there, build.address())
    before = set(_tables(there))
    real = Client.insert

    def breaks(self: Client, table: str, rows: Any) -> None:
        if table.endswith("_events"):
            raise RuntimeError("the line broke")
        real(self, table, rows)

    monkeypatch.setattr(Client, "insert", breaks)
    with pytest.raises(RuntimeError, match="the line broke"):
        load.load(base, there, build.address())
    monkeypatch.undo()
    assert set(_tables(there)) == before, "nothing is left of what broke"
    assert _count(there, base, pg) == 30
    second = load.load(base, there, build.address())
    third = load.load(base, there, build.address())
    versions = {name.split("_")[1] for name in _tables(there) if name.startswith(f"w{base.pk}_")}
    assert versions == {second.version, third.version} and first.version not in versions
    assert load.current(there, base.pk) == third


def test_too_much_changed_or_forgotten_asks_for_a_new_copy(
    base: Workspace,
    there: Client,
    pg: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load.load(base, there, build.address())
    assert upkeep.why(there, base) == ""
    monkeypatch.setattr(engine, "MOST", 3)
    for n in range(4):
        add_person(base, f"more{n}@lecteurs.example")
    with pytest.raises(engine.Behind):
        _count(there, base, pg)
    assert upkeep.why(there, base) == "many people changed"
    load.load(base, there, build.address())
    properties.declare(base, "points", "number", "Points", "Points")
    assert upkeep.why(there, base) == "the properties changed"
    load.load(base, there, build.address())
    monkeypatch.setattr(upkeep, "OLD", -1.0)
    assert upkeep.why(there, base) == "a day went by"


def test_the_erased_leave_the_files_of_the_copy(base: Workspace, there: Client) -> None:
    copy = load.load(base, there, build.address())
    gone = db.value(
        "SELECT id FROM contacts_contact WHERE workspace_id = %s AND email = 'p9@lecteurs.example'", [base.pk]
    )
    assert load.held(there, copy, [gone]) == [gone]
    db.execute("DELETE FROM events_event WHERE contact_id = %s", [gone])
    db.execute("DELETE FROM contacts_contact WHERE id = %s", [gone])
    assert upkeep.forget_erased(there, base) == 1
    for table in copy.columns:
        name = tables.name(base.pk, copy.version, table)
        assert there.rows(f"SELECT count() FROM {name} WHERE contact = {gone}") == [(0,)]
    left = there.rows(f"SELECT count() FROM {tables.name(base.pk, copy.version, 'events')}")
    assert left == [(39,)], "and nobody else does"
    assert upkeep.forget_erased(there, base) == 0


def test_sensitive_properties_are_not_copied(base: Workspace, there: Client) -> None:
    properties.declare(base, "health", "text", "Santé", "Health")
    db.execute("UPDATE contacts_property SET sensitive = true WHERE workspace_id = %s AND key = 'health'", [base.pk])
    copy = load.load(base, there, build.address())
    names = there.rows(f"DESCRIBE TABLE {tables.name(base.pk, copy.version, 'contacts')}")
    assert "p_town" in [row[0] for row in names] and "p_health" not in [row[0] for row in names]


def test_on_a_cluster_every_table_lies_by_the_same_hash_of_the_person(base: Workspace) -> None:
    for table in shape.tables(Catalogue(base)).values():
        local, spread = tables.create(table, f"w1_v_{table.name}", "grappe")
        assert f"w1_v_{table.name}_local ON CLUSTER 'grappe'" in local and "ENGINE = ReplicatedMergeTree" in local
        assert spread.endswith(f"Distributed('grappe', currentDatabase(), 'w1_v_{table.name}_local', {tables.SHARD})")
    assert tables.drop("x", "grappe") == [
        "DROP TABLE IF EXISTS x ON CLUSTER 'grappe' SYNC",
        "DROP TABLE IF EXISTS x_local ON CLUSTER 'grappe' SYNC",
    ]
    assert "x_local ON CLUSTER 'grappe' DELETE WHERE contact IN (1, 2)" in tables.forget("x", [1, 2], "grappe")


def test_the_audience_process_asks_it_and_says_when_it_cannot(
    base: Workspace, there: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, clickhouse="chdb://memory"))
    monkeypatch.setattr(upkeep, "client", lambda: there)
    server = Server(settings.ENVOL.data, None)  # type: ignore[arg-type]

    def ask(what: str, tree: Any = NANTES, **more: Any) -> dict[str, Any]:
        return server.answer({"workspace": base.pk, "ask": what, "tree": tree, **more}, Asking())

    assert "no slabs" in ask("count")["why"], "nothing was copied yet"
    load.load(base, there, build.address())
    upkeep.note(base.pk)
    assert ask("count")["count"] == 30
    assert len(ask("ids", limit=7)["ids"]) == 7
    told = ask("figures", purpose="newsletter")
    assert (told["total"], sum(told["reasons"].values()), len(told["sample"])) == (40, 30, 10)
    refused = {"v": 1, "match": "all", "rules": [{"field": "inactivity.answer", "op": "known"}]}
    assert "inactivity.answer" in ask("count", refused)["why"], "a rule it refuses is left to PostgreSQL"
    assert "why" in ask("moved", day="2026-11-01")


@pytest.mark.slow
def test_copy_and_count_by_command_line(base: Workspace, tmp_path: Path) -> None:
    segments.save(base, "Nantes", NANTES)
    env = {**os.environ, "ENVOL_CLICKHOUSE": f"chdb://{tmp_path / 'clickhouse'}"}

    def envol(*words: str, code: int = 0) -> dict[str, Any]:
        command = [sys.executable, "-m", "envol.run.cli", *words, "--workspace", base.name, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    assert "copy" in envol("clickhouse", "count", "Nantes", code=1)["error"]
    assert envol("clickhouse", "copy")["people"] == 40
    add_person(base, "new@lecteurs.example", props={"town": "nantes"})
    told = envol("clickhouse", "count", "Nantes")
    assert (told["count"], told["changed_since"]) == (31, 1)
    assert {"field", "op", "why"} == set(envol("clickhouse", "refused")[0])  # type: ignore[index]


def _all(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": [{"field": field, "op": op, "value": value}]}


def test_messages_and_scores_after_the_copy_are_told_or_refused(
    base: Workspace, there: Client, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [
        row[0] for row in db.rows("SELECT id FROM contacts_contact WHERE workspace_id = %s ORDER BY id", [base.pk])
    ]
    done, late = (
        Sending.objects.create(workspace=base, kind="campaign", state=state).pk for state in ("sent", "sending")
    )
    for person in people[:7]:
        add_send(base, done, person, AT, "delivered")
        add_score(base, person, 5, 4, 3, "champions", "gold")
    sent, gold = _all("mail.sent", "at_least", 1), _all("tier", "is", "gold")
    try:
        load.load(base, there, build.address())
        assert (_count(there, base, pg, sent), _count(there, base, pg, gold)) == (7, 7)
        for person in people[5:12]:
            add_send(base, late, person, AT, "delivered")
        for tree in (sent, _all("mail.delivered", "at_least", 2), _all("mail.sent", "never", None)):
            assert _count(there, base, pg, tree) == reference.count(base, tree)
        monkeypatch.setattr(engine, "MOST", 3)
        with pytest.raises(Refused, match="too many messages"):
            _count(there, base, pg, sent)
        assert _count(there, base, pg) == 30, "other rules are still answered"
        monkeypatch.undo()
        db.execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [people[0]])
        assert _count(there, base, pg, gold) == 6, "who objects has no tier from that commit on"
        Scoring.objects.create(workspace=base, reference=AT.date(), currency="EUR", buyers=7, order_days=7, amount=1)
        with pytest.raises(Refused, match="scores were computed"):
            _count(there, base, pg, gold)
        assert upkeep.why(there, base) == "scores were computed"
        load.load(base, there, build.address())
        assert _count(there, base, pg, gold) == 6
    finally:  # these rows lack chunks and versions: the books of the whole database would be wrong
        for table in ("outbound_outcome", "outbound_send"):
            db.execute(f"DELETE FROM {table} WHERE sending_id = ANY(%s)", [[done, late]])


def test_a_copy_is_brought_up_to_date_in_place(
    changing: Workspace, there: Client, pg: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who changed is replaced, who is gone is in no file, and whoever was reading meanwhile is told."""
    url = build.address()
    first = load.load(changing, there, url)
    _change(changing, random.Random("refreshed"))
    gone = [row[0] for row in db.rows("SELECT contact_id FROM contacts_gone WHERE what = 'contact'")]
    assert load.held(there, first, gone)
    real = Client.insert

    def breaks(self: Client, table: str, rows: Any) -> None:
        if table.endswith("_orders"):
            raise RuntimeError("the line broke")
        real(self, table, rows)

    with monkeypatch.context() as broken:
        broken.setattr(Client, "insert", breaks)
        with pytest.raises(RuntimeError, match="the line broke"):
            refresh(changing, there, url)
    assert load.current(there, changing.pk) == first
    _same_people(changing, there, pg)  # half of them replaced: those are asked of PostgreSQL still
    with pytest.raises(engine.Behind), engine.question(there, changing, pg) as asked:
        after = refresh(changing, there, url)
        asked.count(Catalogue(changing), None)
    assert after is not None and after.version == first.version and after.watermark > first.watermark
    assert load.held(there, after, gone) == []
    with engine.question(there, changing, pg) as asked:
        assert asked.changed == []
    _same_people(changing, there, pg)
    finished = Sending.objects.filter(workspace=changing).values_list("pk", flat=True)
    assert sorted(set(after.finished)) == after.finished and set(after.finished) <= set(finished)
    properties.declare(changing, "shoe", "number", "Pointure", "Shoe size")
    assert refresh(changing, there, url) is None, "a new property takes a new copy"


def _same_people(workspace: Workspace, there: Client, pg: psycopg.Connection[Any]) -> None:
    catalogue = Catalogue(workspace)
    rules: list[dict[str, Any]] = [
        {"field": "prop.city", "op": "known"},
        {"field": "list", "op": "on", "value": next(iter(catalogue.lists))},
        {"field": "orders.sum", "op": "gte", "value": 500},
        {"field": "mail.clicked", "op": "at_least", "value": 1},
        {"field": "mail.sent", "op": "at_least", "value": 1},
        {"field": "event.visit", "op": "sum", "value": {"name": "amount", "op": "gt", "value": 2}},
        {"field": "interest", "op": "known"},
        {"field": "tier", "op": "in", "value": ["gold", "premium"]},
    ]
    trees = [{"v": 1, "match": "all", "rules": [rule]} for rule in rules]
    with engine.question(there, workspace, pg) as asked:
        for tree, found in zip(trees, asked.matches(catalogue, trees, NOW), strict=True):
            query, params = reference.ids_sql(catalogue, tree, now=NOW)
            assert found == sorted(row[0] for row in db.rows(query, params)), tree
