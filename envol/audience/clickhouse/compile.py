"""From a tree to one condition of ClickHouse, by the compiler of columns and sqlglot's translation.

Each rule is compiled once for both columnar engines, and every typed value stays a bound parameter (``{s0:String}``).
What the two dialects mean differently is put right here: absent values in functions, bits, booleans, lengths. What
columns cannot tell is :class:`Refused`, by rule, and never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from envol.audience import reasons
from envol.audience.catalogue import Catalogue
from envol.audience.columns import shape
from envol.audience.columns.compile import Leaf, LeafCompiler, Lower, Unanswerable
from envol.audience.compile import NEGATIVE
from envol.audience.days import Days
from envol.audience.language import MAX_LEVELS, Group, Rule, parse
from envol.audience.operators import OPERATORS
from envol.audience.snippets import parsed
from envol.consent import gates
from envol.consent.models import Purpose

Node = exp.Expr

Hands = Callable[[int], dict[bool, list[int]]]
"""Whom members put into a segment (True) or left out of it by hand."""

TYPES = {
    "VARCHAR": "String", "TEXT": "String", "BIGINT": "Int64", "INTEGER": "Int32", "INT": "Int32", "SMALLINT": "Int16",
    "TINYINT": "Int8", "INT128": "Int128", "DOUBLE": "Float64", "BOOLEAN": "Bool",
}  # fmt: skip
"""DuckDB's types, which the shape of the tables speaks in, and ClickHouse's."""


_WHY = {
    "reading": "what was read of the last sendings is told by PostgreSQL",
    "permission": "permissions of a past day are told by PostgreSQL",
}
"""Of rules that columns have no words for: where the answer is."""


class Refused(Exception):
    """ClickHouse does not answer this rule; the text says why."""

    def __init__(self, rule: Rule, why: str) -> None:
        self.path, self.field, self.op, self.why = rule.path, rule.field.key, rule.op, why
        super().__init__(f"{rule.field.key} {rule.op}: {why}")


def type_of(duckdb: str, *, absent: bool = True) -> str:
    """A column's type; lists are empty rather than absent, since ClickHouse has no absent list."""
    if duckdb.endswith("[]"):
        return f"Array(Nullable({TYPES[duckdb[:-2]]}))"
    return f"Nullable({TYPES[duckdb]})" if absent else TYPES[duckdb]


@dataclass
class TreeCompiler:
    """One use compiles trees of one query. ``names`` says what each table is called there."""

    catalogue: Catalogue
    days: Days
    available: dict[str, dict[str, str]]
    expected: dict[str, dict[str, str]]
    names: dict[str, str]
    case: Lower
    hands: Hands = lambda segment: {True: [], False: []}
    scores: bool = True  # are they those of the last computation?
    mail: bool = True  # are all messages told?
    params: dict[str, Any] = field(default_factory=dict)

    def condition(self, node: Group | Rule) -> Node:
        """A condition on a row of contacts: 1 or 0, never NULL. Raises :class:`Refused`."""
        if isinstance(node, Rule):
            return self.rule(node)
        parts = [exp.paren(self.condition(item), copy=False) for item in node.rules]
        if not parts:
            made: Node = exp.true()
        elif node.match == "all":
            made = exp.and_(*parts, copy=False)
        else:
            made = exp.or_(*parts, copy=False)
            if node.match == "none":
                made = exp.not_(exp.paren(made, copy=False), copy=False)
        if node.people is None:
            return made
        hands = self.hands(node.people)
        left_out, put_in = (among(hands[inside]) for inside in (False, True))
        kept = exp.and_(exp.paren(made, copy=False), exp.not_(left_out, copy=False), copy=False)
        return exp.or_(exp.paren(kept, copy=False), put_in, copy=False)

    def rule(self, rule: Rule) -> Node:
        if rule.field.kind in ("segment", "stage", "reason"):
            assert rule.inner is not None
            inner = exp.paren(self.condition(rule.inner), copy=False)
            return exp.not_(inner, copy=False) if rule.op in ("not_in", "unknown") else inner
        if rule.field.kind == "permission" and self.days.limit is None:
            told = exp.Is(this=self.refusal(self.catalogue.purposes[rule.value]), expression=exp.null())
            return told if rule.op == "may_write" else exp.not_(exp.paren(told), copy=False)
        try:
            if rule.field.kind in ("score", "standing"):
                return self.buyers(rule)
            if rule.field.kind == "interest":
                return self.interests(rule)
            if rule.field.kind == "activity" and rule.field.inner in shape.OF_MAIL and not self.mail:
                raise Unanswerable("too many messages were sent since the copy was made")
            found = self.leaf(self.leaves().leaf(rule))
            if rule.field.kind == "activity" and rule.field.inner == "opened":
                # Opens are spoken of only among people who agreed to be measured.
                found = exp.and_(found, self.words(self.leaves().agreed("measure_opens")), copy=False)
            return found
        except Unanswerable as why:
            raise Refused(rule, _WHY.get(str(why), str(why))) from None

    def buyers(self, rule: Rule) -> Node:
        """A rule about scores or tiers. Who objected to marketing or profiling is in none, from then on."""
        if not self.scores:
            raise Unanswerable("scores were computed since the copy was made")
        positive = NEGATIVE.get(rule.op, rule.op)
        told = self.leaf(self.leaves().buyers(Rule(rule.path, rule.field, positive, rule.value, rule.where)))
        blocked = self.words(self.leaves().unprofiled())
        found = exp.and_(told, exp.not_(blocked), copy=False)
        return exp.not_(exp.paren(found), copy=False) if positive != rule.op else found

    def interests(self, rule: Rule) -> Node:
        """A rule about interests. Of who objected to marketing or profiling only what she said counts."""
        positive = NEGATIVE.get(rule.op, rule.op)
        twin = Rule(rule.path, rule.field, positive, rule.value, rule.where)
        origin = rule.where.get("origin", "")
        found = self.leaf(self.leaves().interests(twin, origin))
        if origin != "declared":
            objected = self.words(self.leaves().unprofiled())
            found = exp.and_(found, exp.not_(objected), copy=False)
            if not origin:
                said = self.leaf(self.leaves().interests(twin, "declared"))
                found = exp.or_(found, exp.and_(objected.copy(), said, copy=False), copy=False)
        return exp.not_(exp.paren(found), copy=False) if positive != rule.op else found

    def leaves(self) -> LeafCompiler:
        return LeafCompiler(self.catalogue, self.days, self.available, self.expected, self.case, self.params)

    def leaf(self, leaf: Leaf) -> Node:
        query = self.words(leaf.query)
        if leaf.kind != "row":
            assert isinstance(query, exp.Select)
            if leaf.kind == "count":  # it came as "how often"; here it says for whom that is often enough
                query.set("expressions", [exp.column("contact")])
                if leaf.least <= 1:
                    query.set("group", None)
                else:
                    query = query.having(f"COUNT(*) >= {int(leaf.least)}", dialect="clickhouse")
            query = exp.In(this=exp.column("id"), query=exp.Subquery(this=query))
        return exp.not_(exp.paren(query, copy=False), copy=False) if leaf.negated else query

    def came(self) -> Node:
        """Who was here when the day asked about ended."""
        return self.words(self.leaves().came())

    def refusal(self, purpose: Purpose) -> Node:
        """The gate's reason for a row of contacts ``c``, NULL when she may be written to."""
        told = gates.refusal_sql("c", bit=purpose.bit, transactional=purpose.kind == "transactional")
        return self.words(parsed(told))

    def words(self, node: Node) -> Node:
        """The same in ClickHouse's words, from the leaves up."""
        root = node.copy()
        for each in reversed(list(root.walk())):
            said = self._word(each)
            if said is not each:
                root = said if each is root else root
                each.replace(said)
        return root

    def _word(self, node: Node) -> Node:
        match node:
            case exp.Cast(this=exp.Parameter() as place):
                type_ = node.to.sql("duckdb")
                bound = f"Array({TYPES[type_[:-2]]})" if type_.endswith("[]") else TYPES[type_]
                return exp.Placeholder(this=place.name, kind=exp.Var(this=bound))
            case exp.Table() if node.name in self.names:
                return exp.to_table(self.names[node.name], alias=node.alias or None)
            case exp.Column() if node.name == "pos":
                return exp.column("contact", table=node.table or None)
            case exp.BitwiseAnd():
                return _f("bitAnd", node.this, node.expression)
            case exp.ArrayOverlaps():
                return _f("hasAny", node.this, node.expression)
            case exp.Anonymous() if node.name.lower() == "list_has_all":
                return _f("hasAll", *node.expressions)
            case exp.Anonymous() if node.name.lower() == "contains":
                return exp.GT(this=_f("position", *node.expressions), expression=exp.Literal.number(0))
            case exp.Contains():
                return exp.paren(
                    exp.GT(this=_f("position", node.this, node.expression), expression=exp.Literal.number(0))
                )
            case exp.Length():
                return _f("length", node.this)
            case exp.Coalesce(expressions=[exp.Boolean() as other]):
                return _f("ifNull", node.this, exp.Literal.number(int(other.this)))
            case exp.Is(expression=exp.Boolean() as other):
                # Absent is neither true nor false.
                known = _f("ifNull", node.this, exp.Literal.number(int(not other.this)))
                return known if other.this else exp.not_(known)
        return node


def among(ids: list[int]) -> Node:
    """The row of contacts is one of these."""
    if not ids:
        return exp.false()
    return exp.In(this=exp.column("id"), expressions=[exp.Literal.number(int(one)) for one in ids])


def _f(name: str, *given: Node) -> Node:
    return exp.Anonymous(this=name, expressions=list(given))


def refusals(catalogue: Catalogue, days: Days, columns: dict[str, dict[str, str]]) -> dict[tuple[str, str], str]:
    """Every operator of this workspace's fields that ClickHouse refuses, and why. Values do not matter."""
    found: dict[tuple[str, str], str] = {}
    names = {name: name for name in columns}
    for one in catalogue.fields.values():
        for op in OPERATORS[one.kind]:
            value = _EXAMPLES.get(
                OPERATORS[one.kind][op], lambda field: field.choices[0].value if field.choices else "x"
            )
            rule = Rule("0", one, op, value(one))
            if one.kind == "reason":  # a tree of ours, with a rule about answers in it
                told = reasons.meant([one.choices[0].value])
                rule = replace(rule, inner=parse(told, catalogue, levels=2 * MAX_LEVELS))
            elif one.kind in ("segment", "stage"):
                continue  # trees of other rules: refused where one of those is
            if OPERATORS[one.kind][op] in ("shops", "shop_km") and not catalogue.shops:
                continue  # nobody can ask that yet
            compiler = TreeCompiler(catalogue, days, columns, columns, names, lambda texts, how: texts)
            try:
                compiler.rule(rule)
            except Refused as error:
                found[(one.key, op)] = error.why
    return found


def manual(found: dict[tuple[str, str], str]) -> str:
    """The table of what is refused as Markdown, for ``docs/scale.md``: fields with equal refusals share a line."""
    by_field: dict[tuple[str, str], list[str]] = {}
    for (key, op), why in found.items():
        room, _, rest = key.partition(".")
        shown = f"{room}.…" if room in ("event", "prop") and rest else key  # whatever the workspace calls them
        ops = by_field.setdefault((shown, why), [])
        ops += [op] if op not in ops else []
    lines: dict[tuple[str, str], list[str]] = {}
    for (key, why), ops in by_field.items():
        lines.setdefault((", ".join(f"`{op}`" for op in sorted(ops)), why), []).append(f"`{key}`")
    made = ["| field | operators | why |", "| --- | --- | --- |"]
    made += sorted(f"| {', '.join(sorted(keys))} | {ops} | {why} |" for (ops, why), keys in lines.items())
    return "\n".join(made) + "\n"


def _first(one: Any) -> Any:
    return one.choices[0].value if one.choices else 1


_EXAMPLES: dict[str, Callable[[Any], Any]] = {
    "none": lambda one: None,
    "texts": lambda one: ["x"],
    "choices": lambda one: [one.choices[0].value if one.choices else "x"],
    "number": lambda one: 1,
    "numbers": lambda one: [1, 2],
    "whole": lambda one: 1,
    "wholes": lambda one: [1, 2],
    "cents": lambda one: 1,
    "cents_pair": lambda one: [1, 2],
    "boolean": lambda one: True,
    "date": lambda one: "2027-01-01",
    "dates": lambda one: ["2027-01-01", "2027-01-02"],
    "days": lambda one: 1,
    "spread": lambda one: 1,
    "times": lambda one: 1,
    "year_days": lambda one: ["01-01", "02-01"],
    "ages": lambda one: [1, 2],
    "near": lambda one: {"lat": 0, "lon": 0, "km": 1},
    "countries": lambda one: ["FR"],
    "measure": lambda one: {"name": "x", "op": "gte", "value": 1},
    "share": lambda one: {"percent": 1, "seed": ""},
    "shop_km": lambda one: 10,
    "shops": lambda one: [_first(one)],
    "departments": lambda one: ["44"],
    "regions": lambda one: ["52"],
    "percent": lambda one: 50,
    "rhythms": lambda one: 1,
    "id": _first,
    "id_years": lambda one: {"list": _first(one), "years": [1], "days": 1},
    "id_days": lambda one: {"list": _first(one), "days": 1},
}
