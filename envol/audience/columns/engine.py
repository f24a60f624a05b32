"""Who is in a segment, from columns: each rule is an array over people, and a tree combines arrays.

The answer to a rule over the slabs is kept by rule and version of the slabs; the delta is asked anew for
what it changed. So when somebody types, only the rule she types in is asked. Counts equal the reference's to
the person: rules that columns cannot tell are asked of PostgreSQL, each by itself.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import psycopg
from django.utils import timezone
from sqlglot import exp

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.columns import shape, store, together
from envol.audience.columns.compile import Leaf, LeafCompiler, Unanswerable, cased
from envol.audience.columns.delta import FEW_WAITING, Array, Delta
from envol.audience.columns.kept import Kept
from envol.audience.compile import NEGATIVE
from envol.audience.counting import Figures
from envol.audience.days import Days, When
from envol.audience.engine import Moved, Tree, postgres
from envol.audience.language import Group, Rule, parse, to_json
from envol.audience.models import SegmentPerson
from envol.audience.snippets import parsed
from envol.consent import gates
from envol.consent.models import Purpose
from envol.events import tasks as events

MEMORY_LIMIT = "512MB"
CACHE_BYTES = 96 << 20
REASONS = ("", gates.SUPPRESSED, gates.OBJECTED, gates.SILENCED, gates.WITHDRAWN, gates.NO_PERMISSION, gates.RESTRICTED)
_FEW = 10_000
_QUESTIONS = 1000
_ORDERS = ("order_count", "order_sum", "order_average", "order_date", "order_share")
_OWN = ("text", "choice", "boolean", "number", "money", "date", "instant", "list", "tags", "mark", "random")
_BY_ITSELF = frozenset((*_OWN, "on_list", "activity", *_ORDERS))
"""Kinds of fields whose rules are compiled alike however shops, topics, purposes or delays change."""
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # an odd number with its bits everywhere: neighbours fall far apart


class NoColumns(Exception):
    """There are no slabs of this workspace to answer from."""


class Interrupted(Exception):
    """Somebody no longer wants this answer."""


@dataclass
class Asking:
    """One question on its way: what must be stopped when nobody wants the answer any more."""

    cursor: duckdb.DuckDBPyConnection | None = None
    pg: psycopg.Connection[Any] | None = None
    stopped: bool = False
    done: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        self.stopped = True
        if self.cursor is not None:
            self.cursor.interrupt()
        if self.pg is not None and not self.pg.closed:
            self.pg.cancel_safe(timeout=2)


class Columns:
    """The open columns of one workspace. It answers one question at a time; another thread may stop it."""

    def __init__(self, workspace: Workspace, data: Path) -> None:
        self.workspace_id = workspace.pk
        self.home = store.folder(data, workspace.pk)
        found = store.current(self.home)
        if found is None:
            raise NoColumns(f"workspace {workspace.pk} has no slabs yet")
        self.manifest = found
        self.scratch = Path(tempfile.mkdtemp(prefix="reading-", dir=self.home))
        self.tables = shape.tables(Catalogue(workspace))
        self.expected = {t.name: {c.name: c.told for c in t.columns} for t in self.tables.values()}
        self.slabs, self.answers = Kept(CACHE_BYTES), Kept(CACHE_BYTES // 2)
        self.questions: dict[tuple[Any, ...], Leaf] = {}
        self.lock = threading.RLock()
        self.closed = False
        self.db = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": MEMORY_LIMIT,
                "threads": "2",
            },
        )
        place = self.home / found.version
        self.db.execute(f"SET allowed_directories = ['{place}', '{self.scratch}']")
        self.db.execute(f"SET temp_directory = '{self.scratch}'")
        self.db.execute("SET parquet_metadata_cache = true")  # slabs never change
        self.db.execute("SET preserve_insertion_order = false")  # answers are put in place by position
        self.db.execute("SET enable_external_access = false")
        self.db.execute("SET lock_configuration = true")
        for name, columns in found.columns.items():
            self._view(name, columns, [place / file for file in found.files[name]])
        self.ids: Array = self.db.execute("SELECT id FROM contacts ORDER BY pos").fetchnumpy()["id"].astype(np.int64)
        self.delta = Delta(self.db, self.tables, self.ids, found, workspace.pk, self.scratch)

    def _view(self, name: str, columns: dict[str, str], files: list[Path]) -> None:
        if files:
            listed = ", ".join(f"'{file}'" for file in files)
            self.db.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{listed}])")
            return
        types = {c.name: c.type for c in self.tables[name].columns} if name in self.tables else {}
        empty = ", ".join(f'NULL::{types.get(column, "BIGINT")} AS "{column}"' for column in columns)
        self.db.execute(f"CREATE VIEW {name} AS SELECT NULL::INTEGER AS pos, {empty} WHERE false")

    def counts_too_much(self) -> bool:
        """Were events dropped since, their time of keeping being over? Slabs do not forget; PostgreSQL did."""
        return bool(set(self.manifest.months) - {name for _, name in events.months()})

    def is_outdated(self) -> bool:
        """Has the catalogue of properties changed since these were opened? (The slabs need not be written anew.)"""
        tables = shape.tables(Catalogue(Workspace.objects.get(pk=self.workspace_id)))
        return {t.name: {c.name: c.told for c in t.columns} for t in tables.values()} != self.expected

    def settle(self) -> None:
        """Read what came with the last questions, while nobody waits for an answer."""
        with self.lock:
            if not self.closed and len(self.delta.waiting) > FEW_WAITING:
                self.delta.read_waiting()

    def close(self) -> None:
        self.closed = True
        self.db.close()
        shutil.rmtree(self.scratch, ignore_errors=True)

    # ---- asking

    @contextmanager
    def question(self, pg: psycopg.Connection[Any], asking: Asking | None = None) -> Iterator[Question]:
        """Ask within this block; the delta is topped up at its beginning."""
        asking = asking or Asking()
        with self.lock:
            cursor = self.db.cursor()
            asking.pg, asking.cursor = pg, cursor
            try:
                self.delta.look(pg)
                if asking.stopped:
                    raise Interrupted
                yield Question(self, cursor, pg, asking)
            except (duckdb.InterruptException, psycopg.errors.QueryCanceled):
                raise Interrupted from None
            finally:
                asking.cursor = asking.pg = None
                cursor.close()


class Question:
    """What may be asked of columns at one moment: counts, figures, ids."""

    def __init__(
        self, columns: Columns, cursor: duckdb.DuckDBPyConnection, pg: psycopg.Connection[Any], asking: Asking
    ) -> None:
        self.of, self.cursor, self.pg, self.asking = columns, cursor, pg, asking
        self.delta = columns.delta
        self.length = len(columns.ids) + len(self.delta.added)
        self.mail: bool | None = None
        self.compiled: dict[int, Leaf] = {}  # of the tree that is being asked, by the identity of each rule
        self.late: dict[str, Array] = {}  # positions that the changes say fit, by key of a leaf

    # ---- answers

    def chosen(self, catalogue: Catalogue, tree: Tree, now: When = None) -> Array:
        """Who is in, by position: a boolean for each."""
        days = Days.of(now or timezone.now(), catalogue.workspace.time_zone)
        root = parse(tree, catalogue)
        self.compiled.clear()
        leaves = list(self._leaves(root, catalogue, days))
        here = []
        if days.limit is not None:
            compiler = self._compiler(catalogue, days)
            here = [Leaf("contacts", "row", compiler.came(), compiler.params)]
        together.answer(self, leaves + here)
        found = self.node(root, catalogue, days) & self.alive
        return found & self.leaf(here[0]) if here else found

    def count(self, catalogue: Catalogue, tree: Tree, now: When = None) -> int:
        return int(np.count_nonzero(self.chosen(catalogue, tree, now)))

    def ids(
        self,
        catalogue: Catalogue,
        tree: Tree,
        now: When = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> list[int]:
        chosen, ids = self.chosen(catalogue, tree, now), self.delta.every_id
        start = 0
        if after is not None and not self.delta.added:
            start = int(np.searchsorted(ids, after, side="right"))
        found = ids[start:][chosen[start:]]
        if self.delta.added:  # positions stand in the order of ids, newcomers behind
            found.sort()
            if after is not None:
                found = found[np.searchsorted(found, after, side="right") :]
        made: list[int] = found[:limit].tolist()
        return made

    def figures(self, catalogue: Catalogue, tree: Tree, purpose: Purpose | None, now: When = None) -> Figures:
        """As `counting.figures`, exact."""
        chosen = self.chosen(catalogue, tree, now)
        total = int(np.count_nonzero(self.alive))
        if purpose is None:
            reasons = {"": int(np.count_nonzero(chosen))}
        else:
            counted = np.bincount(self.refusals(purpose)[chosen], minlength=len(REASONS))
            reasons = {REASONS[code]: int(n) for code, n in enumerate(counted) if n}
        found = self.delta.every_id[chosen]
        # Ten of them, the same ten while the answer is the same: those whose numbers are spread lowest.
        spread = found.astype(np.uint64) * _SPREAD
        if len(found) > _FEW:  # a few hundred have the ten among them, and are sorted sooner than all
            low = np.flatnonzero(spread < np.uint64(2**64 // len(found) * 200))
            if len(low) >= 10:
                found, spread = found[low], spread[low]
        return Figures(total, reasons, found[np.argsort(spread)[:10]].tolist())

    def moved(self, catalogue: Catalogue, tree: Tree, day: date) -> Moved:
        """As the reference: who is in it now against who was when ``day`` ended."""
        now, then = self.chosen(catalogue, tree), self.chosen(catalogue, tree, day)
        return Moved(*(int(np.count_nonzero(found)) for found in (then, now, now & ~then, then & ~now)))

    def masks(self, catalogue: Catalogue, trees: Sequence[Tree], now: When = None) -> dict[int, int]:
        """As `overlap.masks_sql`, counted: how many people fit which of the trees."""
        fits = np.zeros(self.length, np.int32)
        for n, tree in enumerate(trees):
            fits |= self.chosen(catalogue, tree, now).astype(np.int32) << n
        counted = np.bincount(fits[self.alive])
        return {mask: int(n) for mask, n in enumerate(counted) if n}

    # ---- arrays

    @property
    def alive(self) -> Array:
        key = ("alive", self.delta.version, self.length)
        found = self.of.answers.get(key)
        if found is None:
            found = np.ones(self.length, np.bool_)
            if self.delta.gone:
                found[np.fromiter(self.delta.gone, np.int64, len(self.delta.gone))] = False
            self.of.answers.put(key, found)
        return found

    def node(self, node: Group | Rule, catalogue: Catalogue, days: Days) -> Array:
        if isinstance(node, Rule):
            return self.rule(node, catalogue, days)
        if not node.rules:
            found = np.ones(self.length, np.bool_)
        else:
            combine = np.logical_and if node.match == "all" else np.logical_or
            found = self.node(node.rules[0], catalogue, days).copy()
            for item in node.rules[1:]:
                combine(found, self.node(item, catalogue, days), out=found)
            if node.match == "none":
                found = ~found
        if node.people is not None:
            hands: dict[bool, list[int]] = {True: [], False: []}
            query = f"SELECT inside, contact_id FROM {SegmentPerson._meta.db_table} WHERE segment_id = %s"
            for inside, contact in self.pg.execute(query, [node.people]):
                hands[inside].append(contact)
            found = (found & ~self._placed(hands[False])) | self._placed(hands[True])
        return found

    def rule(self, rule: Rule, catalogue: Catalogue, days: Days) -> Array:
        if rule.field.kind in ("segment", "stage", "reason"):
            assert rule.inner is not None
            inner = self.node(rule.inner, catalogue, days)
            return ~inner if rule.op in ("not_in", "unknown") else inner
        if rule.field.kind == "permission" and days.limit is None:
            may = self.refusals(catalogue.purposes[rule.value]) == 0
            return may if rule.op == "may_write" else ~may
        try:
            if rule.field.kind in ("score", "standing"):
                return self.of_buyers(rule, self._compiler(catalogue, days))
            if rule.field.kind == "interest":
                return self.of_interests(rule, catalogue, days)
            if rule.field.kind == "activity" and rule.field.inner in shape.OF_MAIL and not self._mail():
                raise Unanswerable("too many messages since the slabs were written")
            told = self.compiled.get(id(rule)) or self._compiled(rule, catalogue, days)
            found = self.leaf(told)
            if rule.field.inner == "opened" and rule.field.kind == "activity":
                # Opens are spoken of only among people who agreed to be measured.
                found = found & self.leaf(self._agreed(catalogue, days))
            return found
        except Unanswerable:
            return self.asked_of_postgres(rule, catalogue, days)

    def _mail(self) -> bool:
        """Are all messages in columns? Looked at once a question: most ask nothing of them."""
        if self.mail is None:
            self.mail = self.delta.look_at_mail(self.pg)
        return self.mail

    def of_buyers(self, rule: Rule, compiler: LeafCompiler) -> Array:
        """A rule about scores or tiers. Who objected to marketing or profiling is in none, from then on."""
        if self.of.manifest.scored != self.delta.scored:
            raise Unanswerable("scores were computed since the slabs were written")
        positive = NEGATIVE.get(rule.op, rule.op)
        told = compiler.buyers(Rule(rule.path, rule.field, positive, rule.value, rule.where))
        objected = self._compiler(compiler.catalogue, compiler.days)
        blocked = self.leaf(Leaf("contacts", "row", objected.unprofiled(), objected.params))
        found = self.leaf(told) & ~blocked
        return ~found if positive != rule.op else found

    def of_interests(self, rule: Rule, catalogue: Catalogue, days: Days) -> Array:
        """A rule about interests. Of who objected to marketing or profiling only what she said counts."""

        def compiler() -> LeafCompiler:
            return self._compiler(catalogue, days)

        positive = NEGATIVE.get(rule.op, rule.op)
        twin = Rule(rule.path, rule.field, positive, rule.value, rule.where)
        origin = rule.where.get("origin", "")
        found = self.leaf(compiler().interests(twin, origin))
        if origin != "declared":
            asked = compiler()
            objected = self.leaf(Leaf("contacts", "row", asked.unprofiled(), asked.params))
            found = found & ~objected
            if not origin:
                found = found | (objected & self.leaf(compiler().interests(twin, "declared")))
        return ~found if positive != rule.op else found

    def _compiler(self, catalogue: Catalogue, days: Days) -> LeafCompiler:
        return LeafCompiler(catalogue, days, self.of.manifest.columns, self.of.expected, self._case)

    def _compiled(self, rule: Rule, catalogue: Catalogue, days: Days) -> Leaf:
        """The question of a rule; kept where nothing but the rule and the day decides it. Raises Unanswerable."""
        if rule.field.kind not in _BY_ITSELF:
            return self._compiler(catalogue, days).leaf(rule)
        key = (json.dumps(to_json(rule)), days.today, days.limit, days.zone.key)
        found = self.of.questions.get(key)
        if found is None:
            if len(self.of.questions) >= _QUESTIONS:
                self.of.questions.clear()
            found = self.of.questions[key] = self._compiler(catalogue, days).leaf(rule)
        return found

    def _agreed(self, catalogue: Catalogue, days: Days) -> Leaf:
        compiler = self._compiler(catalogue, days)
        return Leaf("contacts", "row", compiler.agreed("measure_opens"), compiler.params)

    def _leaves(self, node: Group | Rule, catalogue: Catalogue, days: Days) -> Iterator[Leaf]:
        """What columns will be asked for this tree, inner segments included, as far as it can be asked together."""
        if isinstance(node, Group):
            for item in node.rules:
                yield from self._leaves(item, catalogue, days)
        elif node.inner is not None:
            yield from self._leaves(node.inner, catalogue, days)
        elif node.field.kind not in ("permission", "score", "standing", "interest") and (
            node.field.kind != "activity" or node.field.inner not in shape.OF_MAIL
        ):
            try:
                leaf = self.compiled[id(node)] = self._compiled(node, catalogue, days)
                yield leaf
                if node.field.kind == "activity" and node.field.inner == "opened":
                    yield self._agreed(catalogue, days)
            except Unanswerable:
                return

    def key(self, leaf: Leaf) -> tuple[Any, ...]:
        return (leaf.key, leaf.negated, leaf.least, self.delta.version, self.length)

    def leaf(self, leaf: Leaf) -> Array:
        key = self.key(leaf)
        found = self.of.answers.get(key)
        if found is not None:
            return found
        base = self._over_slabs(leaf)
        whole = np.zeros(self.length, base.dtype)
        whole[: len(base)] = base
        self._over_delta(leaf, whole)
        answer = whole >= leaf.least if leaf.kind == "count" else whole
        return self.of.answers.put(key, np.logical_not(answer) if leaf.negated else answer)

    def _over_slabs(self, leaf: Leaf) -> Array:
        found = self.of.slabs.get(leaf.key)
        if found is not None:
            return found
        if leaf.kind == "row":
            rows = self.ask(_people("contacts", leaf), leaf.params)
        else:
            rows = self.ask(leaf.sql if leaf.short is None else leaf.short, leaf.params)
        made = np.zeros(len(self.of.ids), np.int32 if leaf.kind == "count" else np.bool_)
        made[rows["pos"]] = rows["n"] if leaf.kind == "count" else True
        return self.of.slabs.put(leaf.key, made)

    def _over_delta(self, leaf: Leaf, whole: Array) -> None:
        """Put in place what the delta says of those it knows."""
        if leaf.source in shape.OF_BUYERS:
            return  # they change all at once, and then slabs are not asked
        if leaf.kind in ("count", "ever"):  # rows that are only ever added
            of_mail = leaf.source in shape.OF_MAIL
            if self.delta.mail if of_mail else (self.delta.fixed or self.delta.passing):
                table = f"d_{leaf.source}" if of_mail else "d_every_event"
                rows = self.ask(_renamed(leaf.query, leaf.source, table), leaf.params)
                if leaf.kind == "count":
                    whole[rows["pos"]] += rows["n"].astype(whole.dtype)
                else:
                    whole[rows["pos"]] = True
            return
        source = "orders" if leaf.source == "lines" else leaf.source
        dirty = self.delta.dirty[source]
        if not dirty:
            return
        whole[self.delta.places(source)] = False
        late = self.late.get(leaf.key)
        if late is None:
            if leaf.kind == "row":
                query = _people("d_contacts", leaf)
                rows = self.delta.of_people(query, lambda text: self.ask(text, leaf.params))
            else:
                rows = self.ask(_renamed(leaf.query, leaf.source, f"d_{leaf.source}"), leaf.params)
            late = rows["pos"]
        whole[late] = True

    def refusals(self, purpose: Purpose) -> Array:
        """For each person the place in ``REASONS`` of why she may not be written to; 0 when she may."""
        key = ("refusal", purpose.bit, purpose.kind == "transactional")
        whole_key = (*key, self.delta.version, self.length)
        found = self.of.answers.get(whole_key)
        if found is not None:
            return found
        refusal = gates.refusal_sql("c", bit=purpose.bit, transactional=purpose.kind == "transactional")
        told = parsed(refusal)
        for reason in list(told.find_all(exp.Literal)):
            if reason.is_string:  # a number instead of its name: a million texts cost more than the question
                reason.replace(exp.Literal.number(REASONS.index(reason.this)))
        code = f"COALESCE({told.sql(dialect='duckdb')}, 0)::TINYINT AS code"
        base = self.of.slabs.get(key)
        if base is None:
            rows = self.cursor.execute(f"SELECT c.pos, {code} FROM contacts c").fetchnumpy()
            base = np.zeros(len(self.of.ids), np.int8)
            base[rows["pos"]] = rows["code"]
            self.of.slabs.put(key, base)
        whole = np.zeros(self.length, np.int8)
        whole[: len(base)] = base
        if self.delta.dirty["contacts"]:
            rows = self.delta.of_people(
                f"SELECT c.pos, {code} FROM d_contacts c", lambda text: self.cursor.execute(text).fetchnumpy()
            )
            whole[rows["pos"]] = rows["code"]
        return self.of.answers.put(whole_key, whole)

    def asked_of_postgres(self, rule: Rule, catalogue: Catalogue, days: Days) -> Array:
        """One rule that columns cannot tell, from the reference; never kept, for it is always fresh."""
        tree = {"v": 1, "match": "all", "rules": [to_json(rule)]}
        now = days.now if days.limit is None else days.today
        query, params = postgres.ids_sql(catalogue, tree, now=now)
        with self.pg.cursor() as cursor:
            return self._placed([row[0] for row in cursor.execute(query, params)])

    def _placed(self, ids: list[int]) -> Array:
        """These people, by position."""
        whole = np.zeros(self.length, np.bool_)
        if not ids or not self.length:
            return whole
        found = np.array(ids, np.int64)
        every = self.delta.every_id
        order = np.argsort(every, kind="stable")
        place = order[np.minimum(np.searchsorted(every, found, sorter=order), max(self.length - 1, 0))]
        # Who came after this question's look at the changes is not part of its answer.
        whole[place[every[place] == found]] = True
        return whole

    def ask(self, query: exp.Expr | str, params: dict[str, Any]) -> dict[str, Array]:
        if self.asking.stopped:
            raise Interrupted
        text = query if isinstance(query, str) else query.sql(dialect="duckdb")
        used = {name: value for name, value in params.items() if f"${name}" in text}
        return self.cursor.execute(text, used).fetchnumpy()

    def _case(self, texts: list[str], how: str) -> list[str]:
        return cased(self.pg, texts, how)


def _people(table: str, leaf: Leaf) -> str:
    """Positions of those who fit a condition on their own row."""
    return f"SELECT pos FROM {table} WHERE {together.bare(leaf).sql(dialect='duckdb')}"


def _renamed(query: exp.Expr, table: str, name: str) -> exp.Expr:
    made = query.copy()
    for found in made.find_all(exp.Table):
        if found.name == table:
            found.set("this", exp.to_identifier(name))
    return made
