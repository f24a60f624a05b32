"""Rules about the events that a workspace's own programs tell of: how often, when, with which property, how much.

A property is read from the event as it was told; what has another type there, or is missing, fits no comparison.
Sums and averages are made of whole thousandths, so that every engine adds up alike.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envol.audience.columns.shape import THOUSANDTHS
from envol.audience.language import Rule
from envol.audience.operators import FACT_OPS, MEASURES, number_holds
from envol.audience.snippets import in_postgres as _t
from envol.events.models import Event

_FIGURES = {"sum": "SUM({})", "average": "SUM({})", "smallest": "MIN({})", "largest": "MAX({})"}
assert set(_FIGURES) == set(MEASURES)

if TYPE_CHECKING:
    from envol.audience.compile import Compiler

_VALUE = "JSONB_EXTRACT_PATH(h.facts, 'told', :name)"


def counted(compiler: Compiler, rule: Rule) -> exp.Expr:
    """It happened at least, or less than, so many times; or a figure of a number told with it compares so."""
    at = exp.column("at", "h")
    where = [
        *compiler.about("h"),
        _t("h.custom = :custom", custom=compiler.bind(int(rule.field.inner), "int")),
        *compiler.happened(at),
    ]
    if "within_days" in rule.where:
        where.append(compiler.span(at, *compiler.days.bounds("in_last", rule.where["within_days"])))
    for edge in ("after", "before"):
        if edge in rule.where:
            where.append(compiler.span(at, *compiler.days.bounds(edge, rule.where[edge])))
    if "property" in rule.where:
        where.append(_told(compiler, rule.where["property"]))
    select = (
        exp.select("h.contact_id")
        .from_(exp.to_table(Event._meta.db_table).as_("h"), copy=False)
        .where(*where, copy=False)
    )
    if rule.op in MEASURES:
        return _measured(compiler, rule, select)
    times = 1 if rule.op == "never" else rule.value
    if times > 1:
        select = select.group_by("h.contact_id", copy=False).having(
            _t("COUNT(*) >= :n", n=compiler.bind(times, "bigint")), copy=False
        )
    found = compiler.people(select)
    return found if rule.op == "at_least" else exp.not_(found, copy=False)


def _measured(compiler: Compiler, rule: Rule, select: exp.Select) -> exp.Expr:
    number = _as(_t(_VALUE, name=compiler.bind(rule.value["name"], "text")), "number")
    each = _t(THOUSANDTHS.format(":v", ":v"), v=number)
    having, inside = figure(
        rule,
        _t(_FIGURES[rule.op].format(":each"), each=each),
        _t("COUNT(:each)", each=each),
        lambda n: exp.cast(compiler.bind(n, "bigint"), "numeric", dialect="postgres"),
    )
    found = compiler.people(select.group_by("h.contact_id", copy=False).having(having, copy=False))
    return found if inside else exp.not_(found, copy=False)


def figure(rule: Rule, value: exp.Expr, count: exp.Expr, bind: Callable[[int], exp.Expr]) -> tuple[exp.Expr, bool]:
    """What must hold of a person's events, by expressions over their thousandths, and whether those found are in.

    A sum of nothing is 0; of nothing there is no other figure, so that whoever has none is only in what "is not".
    """
    op, than = rule.value["op"], thousandths(rule.value["value"])
    negated = op == "is_not"
    sign = FACT_OPS["is" if negated else op]
    side = _t(":p * :n", p=bind(than), n=count.copy()) if rule.op == "average" else bind(than)
    test = _t(f":v {sign} :p", v=value, p=side)
    if rule.op != "sum":
        return _t(":n > 0 AND :test", n=count, test=test), not negated
    if number_holds("is" if negated else op, 0, than):  # whoever told nothing is in: find the others
        return _t("NOT COALESCE(:test, TRUE)", test=exp.paren(test, copy=False)), negated
    return _t("COALESCE(:test, FALSE)", test=exp.paren(test, copy=False)), not negated


def thousandths(value: float) -> int:
    return int((Decimal(repr(value)) * 1000).to_integral_value(ROUND_HALF_UP))


def _told(compiler: Compiler, fact: dict[str, Any]) -> exp.Expr:
    """A condition on the event's facts, never NULL."""
    raw = _t(_VALUE, name=compiler.bind(fact["name"], "text"))
    op, value = fact["op"], fact["value"]
    if isinstance(value, bool):
        test = _t(f":v {FACT_OPS[op]} :p", v=_as(raw, "boolean"), p=compiler.bind("true" if value else "false", "text"))
    elif isinstance(value, str) and op == "contains":
        test = _t("STRPOS(LOWER(:v), LOWER(:p)) > 0", v=_as(raw, "string"), p=compiler.bind(value, "text"))
    elif isinstance(value, str):
        test = _t(f"LOWER(:v) {FACT_OPS[op]} LOWER(:p)", v=_as(raw, "string"), p=compiler.bind(value, "text"))
    else:
        number = _t("CAST(:v AS numeric)", v=_as(raw, "number"))
        test = _t(f":v {FACT_OPS[op]} :p", v=number, p=compiler.bind(value, "numeric"))
    return _t("COALESCE(:test, FALSE)", test=test)


def _as(raw: exp.Expr, kind: str) -> exp.Expr:
    """Its text, NULL unless it has this JSON type."""
    return _t(f"CASE WHEN JSONB_TYPEOF(:v) = '{kind}' THEN :v #>> '{{}}' END", v=raw)
