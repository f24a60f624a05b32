"""Who is in a segment, asked of ClickHouse: exact and fresh, like every other engine.

The copy is as old as its watermark. Whoever changed since (a row of hers, her lists, orders or events; or she is gone)
is left out of what ClickHouse answers and asked of PostgreSQL by the reference, in one snapshot. When more than
``MOST`` people changed, the copy has to be made anew first: :class:`Behind`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.utils import timezone
from sqlglot import exp

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.clickhouse import load, tables
from envol.audience.clickhouse.client import Client, NoTable
from envol.audience.clickhouse.compile import TreeCompiler, among
from envol.audience.columns import shape
from envol.audience.columns.build import computed, sendings
from envol.audience.columns.compile import cased
from envol.audience.compile import Compiler, contacts, to_sql
from envol.audience.counting import Figures
from envol.audience.days import Days, When
from envol.audience.engine import Tree, refusal
from envol.audience.language import parse
from envol.audience.models import SegmentPerson
from envol.consent.models import Purpose
from envol.events import tasks as events

MOST = 50_000  # changed people who are asked of PostgreSQL


class NoCopy(Exception):
    """ClickHouse holds no copy of this workspace that may be read."""


class Behind(Exception):
    """Too much changed since the copy was made, or it holds events that PostgreSQL has dropped."""


@contextmanager
def question(client: Client, workspace: Workspace, pg: psycopg.Connection[Any]) -> Iterator[Question]:
    """Ask within this block. ``pg`` is in autocommit; what it reads is one snapshot.

    Raises :class:`NoCopy` or :class:`Behind`.
    """
    try:
        begun = load.moved(client, workspace.pk)
    except NoTable:
        begun = 0.0
    copy = load.current(client, workspace.pk)
    if copy is None:
        raise NoCopy(f"workspace {workspace.pk} has no copy in ClickHouse")
    if set(copy.months) - {name for _, name in events.months()}:
        raise Behind("a month of events was dropped since the copy was made")
    with pg.transaction():
        pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        # Statistics know nothing of stamps that are newer than they are; the index does.
        pg.execute("SET LOCAL enable_seqscan = off")
        made = shape.tables(Catalogue(workspace))
        changed = changed_since(pg, made, copy.watermark)
        if len(changed) > MOST:
            raise Behind(f"more than {MOST} people changed since the copy was made")
        pg.execute("SET LOCAL enable_seqscan = on")
        late = written_to_since(pg, made, workspace.pk, copy.finished)
        mail = len(late) + len(changed) <= MOST
        if mail and late:
            changed = sorted({*changed, *late})
        yield Question(client, copy, pg, made, changed, computed(pg, workspace.pk) == copy.scored, mail)
        if load.moved(client, workspace.pk) != begun:
            raise Behind("the copy changed while it was asked")


def changed_since(
    pg: psycopg.Connection[Any], made: dict[str, shape.Table], watermark: int, most: int = MOST
) -> list[int]:
    """People of whom a copy with this watermark may not tell the truth, up to one more than ``most``."""
    looks = [
        f"SELECT {table.person} AS person FROM {table.source} WHERE {table.rows} AND {table.written_since(watermark)}"
        for table in made.values()
        if table.stamp
    ]
    gone = made["contacts"].rows.replace("c.", "g.", 1)
    looks.append(f"SELECT g.contact_id FROM contacts_gone g WHERE {gone} AND g.stamp >= {watermark:d}")
    query = f"SELECT DISTINCT person FROM ({' UNION ALL '.join(looks)}) x ORDER BY 1 LIMIT {most + 1}"
    return [int(row[0]) for row in pg.execute(query)]


def written_to_since(
    pg: psycopg.Connection[Any], made: dict[str, shape.Table], workspace: int, finished: list[int]
) -> list[int]:
    """People who have messages of sendings that a copy does not hold, up to one more than ``MOST``."""
    others = [one for one, _ended in sendings(pg, workspace, finished)]
    looks = [
        f"SELECT {made[name].person} AS person FROM {made[name].source} WHERE {made[name].rows}"
        " AND a.sending_id = ANY(%(others)s)"
        for name in shape.OF_MAIL
        if name in made
    ]
    if not others or not looks:
        return []
    query = f"SELECT DISTINCT person FROM ({' UNION ALL '.join(looks)}) x ORDER BY 1 LIMIT {MOST + 1}"
    return [int(row[0]) for row in pg.execute(query, {"others": others})]


class Question:
    """What may be asked at one moment: counts, ids, figures."""

    def __init__(
        self,
        client: Client,
        copy: load.Copy,
        pg: psycopg.Connection[Any],
        made: dict[str, shape.Table],
        changed: list[int],
        scores: bool,
        mail: bool,
    ) -> None:
        self.scores, self.mail = scores, mail
        self.client, self.copy, self.pg, self.changed = client, copy, pg, changed
        self.expected = {t.name: {c.name: c.told for c in t.columns} for t in made.values()}
        self.names = tables.names(copy.workspace_id, copy.version, made)

    def count(self, catalogue: Catalogue, tree: Tree, now: When = None) -> int:
        """Raises `compile.Refused` for a rule that ClickHouse does not answer; so do the others."""
        days = self._days(catalogue, now)
        found = self._there(catalogue, tree, days, exp.Count(this=exp.Star()))[0][0]
        if self.changed:
            found += len(self._here(catalogue, tree, days))
        return int(found)

    def ids(
        self, catalogue: Catalogue, tree: Tree, now: When = None, after: int | None = None, limit: int | None = None
    ) -> list[int]:
        days = self._days(catalogue, now)
        rows = self._there(catalogue, tree, days, exp.column("id"), after=after, limit=limit)
        found = [int(row[0]) for row in rows]
        if self.changed:
            late = [int(row[0]) for row in self._here(catalogue, tree, days)]
            found = sorted(found + [one for one in late if after is None or one > after])
        return found[:limit]

    def figures(self, catalogue: Catalogue, tree: Tree, purpose: Purpose | None, now: When = None) -> Figures:
        """As `counting.figures`, exact."""
        days = self._days(catalogue, now)
        total = self.count(catalogue, None, now)
        reasons: dict[str, int] = {}
        for why, n in self._reasons(catalogue, tree, purpose, days):
            reasons[why] = reasons.get(why, 0) + int(n)
        sample = self._there(catalogue, tree, days, exp.column("id"), limit=10, order="cityHash64(id)")
        found = [int(row[0]) for row in sample]
        if self.changed and len(found) < 10:
            found += [int(row[0]) for row in self._here(catalogue, tree, days)][: 10 - len(found)]
        return Figures(total, reasons, found)

    def matches(self, catalogue: Catalogue, trees: list[Tree], now: When = None) -> list[list[int]]:
        """Who is in each of several trees, in one query (people who changed since included)."""
        days = self._days(catalogue, now)
        compiler = self._compiler(catalogue, days)
        told = [exp.paren(compiler.condition(parse(tree, catalogue)), copy=False) for tree in trees]
        columns = [exp.alias_(one, f"r{n}") for n, one in enumerate(told)]
        rows = self._asked(self._select(compiler, [exp.column("id"), *columns]), compiler)
        found = [sorted(int(row[0]) for row in rows if row[n + 1]) for n in range(len(trees))]
        if self.changed:
            for one, tree in zip(found, trees, strict=True):
                one += [int(row[0]) for row in self._here(catalogue, tree, days)]
                one.sort()
        return found

    def _days(self, catalogue: Catalogue, now: When) -> Days:
        return Days.of(now or timezone.now(), catalogue.workspace.time_zone)

    def _reasons(
        self, catalogue: Catalogue, tree: Tree, purpose: Purpose | None, days: Days
    ) -> Iterator[tuple[str, int]]:
        compiler = self._compiler(catalogue, days)
        why: exp.Expr = exp.Literal.string("")
        if purpose is not None:
            why = exp.func("COALESCE", compiler.refusal(purpose), exp.Literal.string(""))
        select = self._select(compiler, [exp.alias_(why, "why"), exp.Count(this=exp.Star())])
        yield from self._asked(select.where(compiler.condition(parse(tree, catalogue))).group_by("why"), compiler)
        if self.changed:
            told = refusal(purpose) if purpose else exp.Literal.string("")
            for (reason,) in self._here(catalogue, tree, days, told):
                yield reason, 1

    def _there(
        self,
        catalogue: Catalogue,
        tree: Tree,
        days: Days,
        *columns: exp.Expr,
        after: int | None = None,
        limit: int | None = None,
        order: str = "id",
    ) -> list[tuple[Any, ...]]:
        """What ClickHouse says of those who did not change."""
        compiler = self._compiler(catalogue, days)
        select = self._select(compiler, list(columns)).where(compiler.condition(parse(tree, catalogue)))
        if after is not None:
            select = select.where(f"id > {int(after)}")
        if limit is not None:
            select = select.order_by(order, dialect="clickhouse").limit(int(limit))
        return self._asked(select, compiler)

    def _here(self, catalogue: Catalogue, tree: Tree, days: Days, *columns: exp.Expr) -> list[tuple[Any, ...]]:
        """What the reference says of those who did."""
        compiler = Compiler(catalogue, days, self.changed)
        select = contacts(compiler, *columns).where(
            compiler.among(self.changed), compiler.condition(parse(tree, catalogue))
        )
        return list(self.pg.execute(to_sql(select), compiler.params))

    def _compiler(self, catalogue: Catalogue, days: Days) -> TreeCompiler:
        return TreeCompiler(
            catalogue,
            days,
            self.copy.columns,
            self.expected,
            self.names,
            self._case,
            self._hands,
            self.scores,
            self.mail,
        )

    def _select(self, compiler: TreeCompiler, columns: list[exp.Expr]) -> exp.Select:
        select = exp.select(*columns).from_(exp.to_table(self.names["contacts"]).as_("c"))
        if self.changed:
            select = select.where(exp.not_(among(self.changed)))
        return select.where(compiler.came()) if compiler.days.limit is not None else select

    def _asked(self, select: exp.Select, compiler: TreeCompiler) -> list[tuple[Any, ...]]:
        text = select.sql(dialect="clickhouse")
        used = {name: value for name, value in compiler.params.items() if f"{{{name}:" in text}
        return self.client.rows(text, used)

    def _hands(self, segment_id: int) -> dict[bool, list[int]]:
        found: dict[bool, list[int]] = {True: [], False: []}
        query = f"SELECT inside, contact_id FROM {SegmentPerson._meta.db_table} WHERE segment_id = %s"
        for inside, contact in self.pg.execute(query, [segment_id]):
            found[inside].append(int(contact))
        return found

    def _case(self, texts: list[str], how: str) -> list[str]:
        return cased(self.pg, texts, how)
