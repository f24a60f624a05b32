"""Rules about silence: the reason somebody gave, and whether she did anything within her own rhythm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from envol.audience.language import Rule
from envol.audience.snippets import in_postgres as _t
from envol.audience.snippets import parsed
from envol.events.models import Kind

if TYPE_CHECKING:
    from envol.audience.compile import Compiler

_ANSWERED = "SELECT q.contact_id FROM audience_reason AS q"
_HABIT = "SELECT h.contact_id FROM audience_habit AS h"
# Only of people with a rhythm of their own: for all others the fixed days hold. Signals are those of stages.
_WITHIN = (
    "SELECT r.contact_id FROM audience_rhythm AS r JOIN contacts_contact AS p ON p.id = r.contact_id"
    " WHERE EXISTS (SELECT 1 FROM contacts_order AS o WHERE o.workspace_id = r.workspace_id"
    " AND o.contact_id = r.contact_id AND o.at >= :start AND o.at < :end)"
    " OR EXISTS (SELECT 1 FROM events_event AS e WHERE e.workspace_id = r.workspace_id AND e.contact_id = r.contact_id"
    " AND e.machine IS NULL AND (e.kind IN (:clicked, :replied) OR (e.kind = :opened AND (p.allowed & :mask) <> 0))"
    " AND e.at >= :start AND e.at < :end)"
)
_START = "CAST(CAST(:today AS date) - r.days * :times AS timestamp) AT TIME ZONE :zone"


def answered(compiler: Compiler, rule: Rule) -> exp.Expr:
    """The answer in force is one of these; on a past day, the one of then."""
    select = parsed(_ANSWERED)
    assert isinstance(select, exp.Select)
    where = [*compiler.about("q"), compiler.stood("q")]
    if rule.op != "known":
        where.append(_t("q.reason = ANY(:p)", p=compiler.bind(rule.value, "text[]")))
    return compiler.people(select.where(*where, copy=False))


def habit(compiler: Compiler, rule: Rule) -> exp.Expr:
    """One of these habits, as they showed last night. Who objected to marketing or profiling has none, from then on."""
    select = parsed(_HABIT)
    assert isinstance(select, exp.Select)
    shown = _t("h.habit = ANY(:p)", p=compiler.bind(rule.value, "text[]"))
    found = compiler.people(select.where(*compiler.about("h"), shown, copy=False))
    return exp.and_(found, compiler.profiled(), copy=False)


def within(compiler: Compiler, rule: Rule) -> exp.Expr:
    """Did something within so many times her own rhythm, as it was counted last night."""
    days = compiler.days
    start = _t(
        _START,
        today=compiler.bind(days.today.isoformat(), "text"),
        times=compiler.bind(rule.value, "int"),
        zone=compiler.bind(days.zone.key, "text"),
    )
    select = _t(
        _WITHIN,
        start=start,
        end=compiler.bind(days.midnight(days.shifted(1)), "timestamptz"),
        clicked=compiler.bind(int(Kind.CLICKED), "smallint"),
        replied=compiler.bind(int(Kind.REPLIED), "smallint"),
        opened=compiler.bind(int(Kind.OPENED), "smallint"),
        mask=compiler.bind(compiler.catalogue.bit("measure_opens"), "bigint"),
    )
    assert isinstance(select, exp.Select)
    found = select.args["where"].this
    select.set("where", exp.Where(this=exp.and_(exp.paren(found, copy=False), *compiler.about("r"), copy=False)))
    return compiler.people(select)
