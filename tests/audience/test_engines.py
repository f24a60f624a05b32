"""Four engines choose the same people: the plain evaluator, PostgreSQL, columns and ClickHouse.

More than two thousand generated segments a run, over one base, first as it was copied and then with what changed since;
as of now, where the plain evaluator is asked too, and as of past days. What ClickHouse refuses stands in one table, and
only that is refused.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from envol import db
from envol.accounts.models import Workspace
from envol.audience import engine
from envol.audience.catalogue import Catalogue
from envol.audience.clickhouse import engine as clickhouse
from envol.audience.clickhouse.client import Client
from envol.audience.clickhouse.compile import Refused, manual, refusals
from envol.audience.clickhouse.load import load
from envol.audience.columns import build, shape
from envol.audience.columns.engine import Columns, Question
from envol.audience.compile import contacts, to_sql
from envol.audience.days import Days
from envol.audience.language import parse, to_json, walk
from envol.audience.operators import OPERATORS
from envol.outbound.models import Sending
from tests.audience.segment_people import everybody
from tests.audience.test_columns import _change
from tests.audience.test_same_people import NOW, _base, _with_hands, reference, values_of
from tests.examples import examples

ROOT = Path(__file__).resolve().parent.parent.parent
TOGETHER = 5  # segments of one example: asked together, compared one by one
EXAMPLES = 205


@pytest.fixture
def base(workspace: Workspace) -> Iterator[Workspace]:
    """Its ledger rows lack chunks and versions: they go, or the books of the whole database would be wrong."""
    _base(workspace)
    yield workspace
    mine = list(Sending.objects.filter(workspace=workspace).values_list("id", flat=True))
    for table in ("outbound_outcome", "outbound_send"):
        db.execute(f"DELETE FROM {table} WHERE sending_id = ANY(%s)", [mine])


@pytest.fixture
def there() -> Iterator[Client]:
    client = Client("chdb://memory")
    yield client
    for (name,) in client.rows("SELECT name FROM system.tables WHERE database = currentDatabase()"):
        client.command(f"DROP TABLE {name} SYNC")
    client.close()


def _postgres(catalogue: Catalogue, trees: list[dict[str, Any]], now: datetime | date) -> list[list[int]]:
    """Who is in each, by the reference, in one statement."""
    compiler = engine.postgres.compiler(catalogue, now)
    told = [exp.paren(compiler.condition(parse(tree, catalogue))) for tree in trees]
    columns = [exp.column("id", "c"), *(exp.alias_(one, f"r{n}") for n, one in enumerate(told))]
    rows = db.rows(to_sql(contacts(compiler, *columns)), compiler.params)
    return [sorted(row[0] for row in rows if row[n + 1]) for n in range(len(trees))]


def _left_out(catalogue: Catalogue, now: datetime | date) -> dict[tuple[str, str], str]:
    columns = {t.name: {c.name: c.told for c in t.columns} for t in shape.tables(catalogue).values()}
    return refusals(catalogue, Days.of(now, catalogue.workspace.time_zone), columns)


def _names_one_of(catalogue: Catalogue, tree: dict[str, Any], left_out: dict[tuple[str, str], str]) -> bool:
    def inside(node: Any) -> bool:
        return any(
            (rule.field.key, rule.op) in left_out or (rule.inner is not None and inside(rule.inner))
            for rule in walk(node)
        )

    return inside(parse(tree, catalogue))


@pytest.mark.slow
@pytest.mark.parametrize("state", ["as copied", "changed"])
def test_the_engines_choose_the_same_people(
    base: Workspace,
    tmp_path: Path,
    pg: psycopg.Connection[Any],
    there: Client,
    state: str,
) -> None:
    build.build(base, tmp_path, build.address())
    columns = Columns(base, tmp_path)
    load(base, there, build.address())
    if state == "changed":
        _change(base, random.Random(state))
    catalogue = Catalogue(base)
    people = everybody(base)
    plain = reference(base, catalogue, people)
    past = [NOW.date() - timedelta(days=31), NOW.date()]
    left_out = {now: _left_out(catalogue, now) for now in (NOW, *past)}
    told: Counter[str] = Counter()
    sizes: Counter[int] = Counter()

    def same(question: Question, asked: clickhouse.Question, trees: list[dict[str, Any]], now: datetime | date) -> None:
        wanted = _postgres(catalogue, trees, now)
        answered = [tree for tree in trees if not _names_one_of(catalogue, tree, left_out[now])]
        found = asked.matches(catalogue, answered, now)
        for tree, ids in zip(trees, wanted, strict=True):
            assert question.ids(catalogue, tree, now) == ids, ("columns", tree, now)
            if isinstance(now, datetime):
                canonical = to_json(parse(tree, catalogue))
                assert [human.id for human in people if plain.holds(canonical, human)] == ids, ("plain", tree)
                told["plain"] += 1
            if tree in answered:
                assert found[answered.index(tree)] == ids, ("ClickHouse", tree, now)
                told["ClickHouse"] += 1
            else:
                with pytest.raises(Refused):
                    asked.count(catalogue, tree, now)
                told["refused"] += 1
            told["columns"] += 1
            sizes[len(ids)] += 1

    def one(now: datetime | date) -> st.SearchStrategy[dict[str, Any]]:
        answered = _with_hands(catalogue, frozenset(left_out[now]))
        return st.integers(0, 9).flatmap(lambda n: _with_hands(catalogue) if n == 0 else answered)

    moments = st.sampled_from([NOW, NOW, *past])
    several = moments.flatmap(
        lambda now: st.tuples(st.just(now), st.lists(one(now), min_size=TOGETHER, max_size=TOGETHER))
    )

    with (
        columns.question(pg) as question,
        psycopg.connect(build.address(), autocommit=True) as other,
        clickhouse.question(there, base, other) as asked,
    ):
        assert bool(asked.changed) == (columns.delta.size > 0) == (state == "changed")

        @settings(
            max_examples=examples(EXAMPLES, 0.25), deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        @given(several)
        def compared(drawn: tuple[datetime | date, list[dict[str, Any]]]) -> None:
            same(question, asked, drawn[1], drawn[0])

        compared()
    columns.close()
    assert told["columns"] >= EXAMPLES * TOGETHER, told
    assert told["ClickHouse"] > 0.75 * told["columns"], told
    assert len(sizes) > 20, "the segments tell people apart"


@pytest.mark.slow
@pytest.mark.parametrize("now", [NOW, NOW.date() - timedelta(days=31)])
def test_every_operator_alone_is_answered_or_listed(
    base: Workspace,
    pg: psycopg.Connection[Any],
    there: Client,
    now: datetime | date,
) -> None:
    """The random trees may miss an operator; this pass misses none."""
    load(base, there, build.address())
    catalogue = Catalogue(base)
    left_out = _left_out(catalogue, now)
    seen = 0
    with clickhouse.question(there, base, pg) as asked:
        for field in catalogue.fields.values():
            trees = [
                {"v": 1, "match": "all", "rules": [{"field": field.key, "op": op, "value": value}]}
                for op, shape_ in OPERATORS[field.kind].items()
                for value in values_of(field, shape_)
            ]
            answered = [tree for tree in trees if not _names_one_of(catalogue, tree, left_out)]
            for tree in trees:
                if tree not in answered:
                    with pytest.raises(Refused):
                        asked.count(catalogue, tree, now)
            seen += len(answered)
            pairs = zip(
                answered, asked.matches(catalogue, answered, now), _postgres(catalogue, answered, now), strict=True
            )
            for tree, found, wanted in pairs:
                assert found == wanted, tree
    assert seen > 150


def test_what_clickhouse_refuses_stands_in_the_documentation(base: Workspace) -> None:
    """`docs/scale.md` holds the table; when this fails, paste what it says."""
    catalogue = Catalogue(base)
    found = manual(_left_out(catalogue, NOW) | _left_out(catalogue, NOW.date() - timedelta(days=31)))
    assert found in (ROOT / "docs/scale.md").read_text("utf-8"), f"Put this into docs/scale.md:\n\n{found}"
