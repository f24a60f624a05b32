"""Who is in a segment: counting, listing, sampling, and saying why.

PostgreSQL is the reference engine and always fresh: a membership is evaluated when it is used.
Columnar engines come behind the same :class:`Engine`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Protocol

from django.utils import timezone
from sqlglot import exp

from envol import db
from envol.accounts.models import Workspace
from envol.audience import wording
from envol.audience.catalogue import Catalogue
from envol.audience.compile import ALIAS, Compiler, contacts, to_sql
from envol.audience.days import Days, When
from envol.audience.language import Group, Rule, parse
from envol.audience.models import SegmentPerson
from envol.audience.sentences import clause
from envol.audience.snippets import parsed
from envol.consent import gates
from envol.consent.models import Purpose

Tree = dict[str, Any] | None
Whose = Workspace | Catalogue  # the catalogue, when several things are asked in a row


@dataclass(frozen=True, slots=True)
class Reason:
    """One line of "why is this person in it?": a rule or group, whether it holds, what it says."""

    path: str
    holds: bool
    sentence: str
    match: str = ""  # of a group: all, any, none
    parts: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """People then and now, and who came in and went out between (there and back again is neither)."""

    then: int
    now: int
    entered: int
    left: int


class Engine(Protocol):
    """What every engine answers, the same people for the same tree.

    ``now`` may be a past day (a date): what is dated counts as it stood when that day ended, properties, tags and
    blocks as they are today.
    """

    def count(self, workspace: Whose, tree: Tree, *, now: When = None) -> int: ...

    def sample(self, workspace: Whose, tree: Tree, n: int = 10, *, now: When = None) -> list[int]: ...

    def ids_sql(
        self,
        workspace: Whose,
        tree: Tree,
        *,
        now: When = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> tuple[str, dict[str, Any]]: ...


class PostgresEngine:
    """The reference: the compiled tree over the tables themselves."""

    def compiler(self, workspace: Whose, now: When, only: list[int] | None = None) -> Compiler:
        catalogue = Catalogue.of(workspace)
        return Compiler(catalogue, Days.of(now or timezone.now(), catalogue.workspace.time_zone), only)

    def _select(self, workspace: Whose, tree: Tree, now: When, *columns: exp.Expr) -> tuple[exp.Select, Compiler]:
        compiler = self.compiler(workspace, now)
        root = parse(tree, compiler.catalogue)
        return contacts(compiler, *columns).where(compiler.condition(root), copy=False), compiler

    def count(self, workspace: Whose, tree: Tree, *, now: When = None) -> int:
        select, compiler = self._select(workspace, tree, now, exp.Count(this=exp.Star()))
        return int(db.value(to_sql(select), compiler.params))

    def ids_sql(
        self,
        workspace: Whose,
        tree: Tree,
        *,
        now: When = None,
        after: int | None = None,
        limit: int | None = None,
    ) -> tuple[str, dict[str, Any]]:
        """A SELECT of one column ``id`` with its named parameters (``s0``, ``s1``…).

        With ``after`` and ``limit``: the next ``limit`` people with ``id > after``, in order of id.
        """
        select, compiler = self._select(workspace, tree, now)
        if after is not None:
            behind = exp.GT(this=exp.column("id", ALIAS), expression=compiler.bind(after, "bigint"))
            select = select.where(behind, copy=False)
        if limit is not None:
            select = select.order_by(exp.column("id", ALIAS), copy=False)
            select = select.limit(compiler.bind(limit, "bigint"), copy=False)
        return to_sql(select), compiler.params

    def sample(self, workspace: Whose, tree: Tree, n: int = 10, *, now: When = None) -> list[int]:
        """Ids of ``n`` people, picked by a digest of the id: the same ones while the answer is the same."""
        query, params = self.ids_sql(workspace, tree, now=now)
        found = db.rows(
            f"SELECT s.id FROM ({query}) s ORDER BY md5(s.id::text), s.id LIMIT %(sample)s", {**params, "sample": n}
        )
        return [row[0] for row in found]

    def explain(
        self, workspace: Whose, tree: Tree, contact_id: int, language: str = "en", *, now: When = None
    ) -> Reason | None:
        """Rule by rule why this contact is in or not; None when there is no such contact here."""
        compiler = self.compiler(workspace, now, only=[contact_id])
        whole = parse(tree, compiler.catalogue)
        root = replace(whole, people=None)  # what the rule itself says
        nodes: list[Group | Rule] = []

        def collect(node: Group | Rule) -> None:
            nodes.append(node)
            if isinstance(node, Group):
                for item in node.rules:
                    collect(item)

        collect(root)
        columns = [exp.alias_(exp.paren(compiler.condition(node)), f"r{n}") for n, node in enumerate(nodes)]
        select = contacts(compiler, *columns).where(
            exp.EQ(this=exp.column("id", ALIAS), expression=compiler.bind(contact_id, "bigint"))
        )
        found = db.rows(to_sql(select), compiler.params)
        if not found:
            return None
        holds = {id(node): bool(value) for node, value in zip(nodes, found[0], strict=True)}
        hand = None
        if whole.people is not None:
            chosen = SegmentPerson.objects.filter(segment_id=whole.people, contact_id=contact_id)
            if (inside := chosen.values_list("inside", flat=True).first()) is not None:
                hand = Reason("", inside, wording.put_by_hand(inside, language))

        def reason(node: Group | Rule) -> Reason:
            sentence = clause(node, language)
            if isinstance(node, Rule):
                return Reason(node.path, holds[id(node)], sentence)
            return Reason(node.path, holds[id(node)], sentence, node.match, tuple(reason(r) for r in node.rules))

        told = reason(root)
        # A choice by hand decides alone; what the rule would have said stands beside it.
        return told if hand is None else Reason("", hand.holds, "", "any" if hand.holds else "all", (hand, told))

    def by_reason(self, workspace: Whose, tree: Tree, purpose: Purpose, *, now: When = None) -> dict[str, int]:
        """How many of the chosen people the gate lets through (key ``""``) and refuses, by reason.

        One statement over the whole audience: permissions are never part of a marketer's rule, they
        are applied always and shown apart.
        """
        compiler = self.compiler(workspace, now)
        root = parse(tree, compiler.catalogue)
        select = (
            contacts(compiler, refusal(purpose), exp.Count(this=exp.Star()))
            .where(compiler.condition(root), copy=False)
            .group_by("1", copy=False)
        )
        return {why: int(n) for why, n in db.rows(to_sql(select), compiler.params)}

    def moved(self, workspace: Whose, tree: Tree, day: date) -> Moved:
        """Who is in it now against who was when ``day`` ended."""
        compiler = self.compiler(workspace, None)
        root = parse(tree, compiler.catalogue)
        now = exp.paren(compiler.condition(root))
        compiler.days = Days.of(day, compiler.catalogue.workspace.time_zone)
        then = exp.and_(compiler.condition(root), *compiler.happened(exp.column("created_at", ALIAS)))
        compiler.days = Days.of(timezone.now(), compiler.catalogue.workspace.time_zone)
        both = contacts(compiler, exp.alias_(now, "n"), exp.alias_(exp.paren(then), "t")).subquery("x")
        told = (
            "COUNT(*) FILTER(WHERE t)", "COUNT(*) FILTER(WHERE n)", "COUNT(*) FILTER(WHERE n AND NOT t)",
            "COUNT(*) FILTER(WHERE t AND NOT n)",
        )  # fmt: skip
        found = db.rows(to_sql(exp.select(*told, dialect="postgres").from_(both)), compiler.params)
        return Moved(*(int(n) for n in found[0]))

    def reasons_among(
        self,
        workspace: Whose,
        tree: Tree,
        purpose: Purpose | None,
        ids: list[int],
        *,
        now: When = None,
    ) -> dict[int, str]:
        """Which of these people are in it, each with the gate's reason ("" when she may be written to)."""
        compiler = self.compiler(workspace, now, only=ids)
        root = parse(tree, compiler.catalogue)
        reason = refusal(purpose) if purpose else exp.Literal.string("")
        select = contacts(compiler, exp.column("id", ALIAS), reason)
        select = select.where(compiler.among(ids), compiler.condition(root), copy=False)
        return dict(db.rows(to_sql(select), compiler.params))


def refusal(purpose: Purpose) -> exp.Expr:
    """The gate's reason for a contact row; an empty text when she may be written to."""
    refusal = gates.refusal_sql(ALIAS, bit=purpose.bit, transactional=purpose.kind == "transactional")
    return exp.func("COALESCE", exp.paren(parsed(refusal)), exp.Literal.string(""))


postgres = PostgresEngine()

count = postgres.count
ids_sql = postgres.ids_sql
sample = postgres.sample
explain = postgres.explain
by_reason = postgres.by_reason
moved = postgres.moved
