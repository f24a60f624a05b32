"""Rules about buyers: their scores and tier, and what they have just bought.

Who objected to marketing or to profiling has no score in any rule, from the moment she said so (GDPR art. 21(2)).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlglot import exp

from envol.audience.delays import DELAY
from envol.audience.language import Rule
from envol.audience.snippets import in_postgres as _t
from envol.audience.snippets import parsed

if TYPE_CHECKING:
    from envol.audience.compile import Compiler

_SCORES = {"r": "s.r", "f": "s.f", "m": "s.m", "fm": "(s.f + s.m) / 2.0"}
_STANDINGS = {"named": "s.named", "tier": "COALESCE(t.tier, 'standard')"}
_SCORED = "SELECT s.contact_id FROM audience_score AS s"
# Stays are dated: a past day is told as it was. Scores are those of the last computation.
_TIERED = (
    f"{_SCORED} LEFT JOIN audience_tier AS t ON t.workspace_id = s.workspace_id AND t.contact_id = s.contact_id AND "
)
_NOW = "t.until IS NULL"
_THEN = "t.since <= CAST(:day AS date) AND (t.until IS NULL OR t.until > CAST(:day AS date))"
# What went back takes away from what was bought; a line without a price goes the way of its order.
_KEPT = (
    "SUM(CASE WHEN l.amount < 0 OR l.quantity < 0 OR (l.amount = 0 AND o.amount < 0)"
    " THEN -ABS(l.quantity) ELSE l.quantity END) > 0"
)
_BOUGHT = (
    "SELECT o.contact_id FROM contacts_order AS o JOIN contacts_order_line AS l ON l.order_id = o.id"
    " LEFT JOIN audience_repurchase_delay AS d"
    " ON d.workspace_id = o.workspace_id AND d.category = LOWER(l.category) AND l.category <> ''"
    " LEFT JOIN audience_repurchase_delay AS e ON e.workspace_id = o.workspace_id AND e.category = ''"
    " WHERE o.at < :end AND o.at >= CAST(CAST(:today AS date)"
    f" - CAST(COALESCE(d.days, e.days, {DELAY}) AS int) AS timestamp) AT TIME ZONE :zone"
)


def _people(compiler: Compiler, select: exp.Expr) -> exp.Expr:
    assert isinstance(select, exp.Select)
    return exp.and_(compiler.profiled(), compiler.people(select), copy=False)


def score(compiler: Compiler, rule: Rule) -> exp.Expr:
    """A score of 1 to 5 compared; whoever never bought has none."""
    select = parsed(_SCORED)
    assert isinstance(select, exp.Select)
    where = compiler.about("s")
    if rule.op != "known":
        value = exp.paren(parsed(_SCORES[rule.field.inner]), copy=False)
        where.append(compiler.compare(value, rule.op, rule.value))
    return _people(compiler, select.where(*where, copy=False))


def expected(compiler: Compiler, rule: Rule) -> exp.Expr:
    """What a buyer is expected to do, as of the last computation; whoever never bought is in no rule."""
    select = parsed("SELECT x.contact_id FROM audience_expected AS x")
    assert isinstance(select, exp.Select)
    where = compiler.about("x")
    if rule.op != "known":
        where.append(compiler.compare(exp.column(rule.field.inner, "x"), rule.op, rule.value))
    return _people(compiler, select.where(*where, copy=False))


def standing(compiler: Compiler, rule: Rule) -> exp.Expr:
    """The named segment or the tier of a buyer is one of these."""
    if rule.field.inner != "tier":
        select = parsed(_SCORED)
    elif compiler.days.limit is None:
        select = parsed(_TIERED + _NOW)
    else:
        select = _t(_TIERED + _THEN, day=compiler.bind(compiler.days.today.isoformat(), "text"))
    assert isinstance(select, exp.Select)
    where = compiler.about("s")
    if rule.op != "known":
        wanted = [rule.value] if rule.op == "is" else rule.value
        value = parsed(_STANDINGS[rule.field.inner])
        where.append(_t(":v = ANY(:p)", v=value, p=compiler.bind(wanted, "text[]")))
    return _people(compiler, select.where(*where, copy=False))


def just_bought(compiler: Compiler, rule: Rule) -> exp.Expr:
    """Bought, and kept, something that is not yet bought again: each category has its own delay."""
    days = compiler.days
    select = _t(
        _BOUGHT,
        end=compiler.bind(days.midnight(days.today + timedelta(days=1)), "timestamptz"),
        today=compiler.bind(days.today.isoformat(), "text"),
        zone=compiler.bind(days.zone.key, "text"),
    )
    assert isinstance(select, exp.Select)
    what = "product" if rule.op == "of_product" else "category"
    where = compiler.about("o")
    if rule.op != "anything":
        where.append(compiler.one_of(exp.column(what, "l"), rule.value))
    kept = parsed(_KEPT)
    return compiler.people(
        select.where(*where, copy=False)
        .group_by("o.contact_id", f"LOWER(l.{what})", copy=False)
        .having(kept, copy=False)
    )
