"""Rules about told events and interests, over their columns."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envol.audience import happening
from envol.audience.interests import HALF_LIFE
from envol.audience.language import Rule
from envol.audience.operators import FACT_OPS, MEASURES
from envol.audience.snippets import in_duckdb as _t

if TYPE_CHECKING:
    from envol.audience.columns.compile import LeafCompiler

_FIRST = date(1970, 1, 1)
_FIGURES = {"sum": "SUM({})", "average": "SUM({})", "smallest": "MIN({})", "largest": "MAX({})"}
_EACH = "CAST(thousandths AS HUGEINT)"  # a sum of many large numbers passes 64 bits
# The weight of `interests.WEIGHT`, over columns.
_AGE = "CASE WHEN last_on < :day THEN :day - last_on ELSE 0 END"
_STRENGTH = f"100 * (1 - exp(-reads / 5.0)) * pow(2.0, -({_AGE}) / {HALF_LIFE})"


def happened(compiler: LeafCompiler, rule: Rule) -> tuple[exp.Select, bool]:
    """Positions of people, and whether it is all others who are in."""
    of_kind = _t("custom = :c", c=compiler.bind(int(rule.field.inner), "integer"))
    where = [of_kind, *compiler.happened()]
    at = exp.column("at")
    if "within_days" in rule.where:
        where.append(compiler.span(at, *compiler.days.bounds("in_last", rule.where["within_days"])))
    for edge in ("after", "before"):
        if edge in rule.where:
            where.append(compiler.span(at, *compiler.days.bounds(edge, rule.where[edge])))
    fact = rule.where.get("property")
    told = [] if fact is None else [_named(compiler, fact["name"]), _told(compiler, fact)]
    if rule.op not in MEASURES:
        query = compiler.select("happenings", [*where, *(told or [_t("name = ''")])])
        times = 1 if rule.op == "never" else rule.value
        if times > 1:
            least = _t("COUNT(*) >= :n", n=compiler.bind(times, "bigint"))
            query = query.group_by(exp.column("pos"), copy=False).having(least, copy=False)
        return query, rule.op != "at_least"
    where += [_named(compiler, rule.value["name"]), _t("thousandths IS NOT NULL")]
    if told:  # the property that narrows stands in another row of the same event
        same = compiler.select("happenings", [of_kind.copy(), *told], "no")
        where.append(exp.In(this=exp.column("no"), query=exp.Subquery(this=same)))
    having, inside = happening.figure(
        rule,
        _t(_FIGURES[rule.op].format(_EACH)),
        _t("COUNT(*)"),
        lambda n: exp.cast(compiler.bind(n, "bigint"), "hugeint", dialect="duckdb"),
    )
    query = compiler.select("happenings", where).group_by(exp.column("pos"), copy=False)
    return query.having(having, copy=False), not inside


def _named(compiler: LeafCompiler, name: str) -> exp.Expr:
    return _t("name = :n", n=compiler.bind(name, "varchar"))


def _told(compiler: LeafCompiler, fact: dict[str, Any]) -> exp.Expr:
    op, value = fact["op"], fact["value"]
    if isinstance(value, bool):
        return _t(f"truth {FACT_OPS[op]} :p", p=compiler.bind(value, "boolean"))
    if isinstance(value, str):
        word = compiler.bind(compiler.case([value], "lower")[0], "varchar")
        return _t("contains(words, :p)", p=word) if op == "contains" else _t(f"words {FACT_OPS[op]} :p", p=word)
    return _t(f"number {FACT_OPS[op]} :p", p=compiler.bind(value, "double"))


def interested(compiler: LeafCompiler, rule: Rule, origin: str) -> exp.Select:
    """Positions of people with these interests; ``origin``: only those said, or only those shown."""
    where = [_t("origin <> 'refused'"), compiler.stood(), *compiler.happened("since")]
    if origin:
        where.append(_t("origin = :o", o=compiler.bind(origin, "varchar")))
    if "strength" in rule.where:
        day = compiler.bind((compiler.days.today - _FIRST).days, "integer")
        strong = _t(
            f"(origin = 'declared' OR {_STRENGTH} >= :p)", day=day, p=compiler.bind(rule.where["strength"], "integer")
        )
        where.append(strong)
    topics = None if rule.value is None else [compiler.catalogue.topics[key].pk for key in rule.value]
    if topics is not None:
        where.append(_t("list_contains(:p, topic)", p=compiler.bind(topics, "bigint[]")))
    query = compiler.select("interests", where)
    if topics is not None and rule.op == "has_all" and len(topics) > 1:
        several = _t("COUNT(DISTINCT topic) >= :n", n=compiler.bind(len(topics), "bigint"))
        query = query.group_by(exp.column("pos"), copy=False).having(several, copy=False)
    return query
