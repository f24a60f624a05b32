"""Rules about faithful people: who was there from the beginning, who reads nearly everything.

Both look at more than one person at a time or at the last sendings of each, so they are one sub-select each, told by
PostgreSQL alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from envol.audience.catalogue import activity_source
from envol.audience.language import Rule
from envol.audience.snippets import in_postgres as _t
from envol.events.models import Kind

if TYPE_CHECKING:
    from envol.audience.compile import Compiler

FIRST_SHARE = 0.05  # of all who ever joined a list
FIRST_HOURS = 30 * 24  # from when somebody first joined it
LAST, ENOUGH = 10, 6  # sendings looked at, and how many it takes to say anything

# Whoever ever joined counts, and by the first time, so that leaving and coming back moves no edge.
_EDGE = (
    f"SELECT GREATEST(MIN(f.since) + CAST('{FIRST_HOURS} hours' AS interval),"
    f" PERCENTILE_DISC({FIRST_SHARE}) WITHIN GROUP (ORDER BY f.since))"
    " FROM (SELECT MIN(x.since) AS since FROM contacts_membership AS x WHERE x.workspace_id = :w AND x.list_id = :l"
    " AND x.since < :end GROUP BY x.contact_id) AS f"
)
_READ = (
    "SELECT r.contact_id FROM (SELECT s.contact_id, s.sending_id, ROW_NUMBER() OVER"
    " (PARTITION BY s.contact_id ORDER BY MAX(s.at) DESC, s.sending_id DESC) AS n FROM sent_source AS s WHERE :which"
    " GROUP BY s.contact_id, s.sending_id) AS r"
    " LEFT JOIN (SELECT DISTINCT a.contact_id, a.sending_id FROM events_event AS a WHERE :clicked) AS k"
    " ON k.contact_id = r.contact_id AND k.sending_id = r.sending_id"
    f" WHERE r.n <= {LAST} GROUP BY r.contact_id HAVING COUNT(*) >= {ENOUGH}"
)


def early(compiler: Compiler, list_id: int) -> exp.Expr:
    """A condition on a stay ``m``: it began among the first 5 % of the list or in its first 30 days."""
    end = compiler.days.limit or compiler.days.now
    edge = _t(
        _EDGE,
        w=compiler.bind(compiler.catalogue.workspace.id, "int"),
        l=compiler.bind(list_id, "bigint"),
        end=compiler.bind(end, "timestamptz"),
    )
    return _t("m.since <= :edge", edge=exp.paren(edge, copy=False))


def reading(compiler: Compiler, rule: Rule) -> exp.Expr:
    """The share of her last ten sendings in which she clicked herself; known of whoever got six or more."""
    source = activity_source("sent")
    assert isinstance(source, exp.Query)
    sent = [*compiler.about("s"), *compiler.happened(exp.column("at", "s"))]
    clicked = [
        *compiler.about("a"),
        _t("a.kind = :k", k=compiler.bind(int(Kind.CLICKED), "smallint")),
        _t("a.machine IS NULL AND a.contact_id IS NOT NULL AND a.sending_id IS NOT NULL"),
        *compiler.happened(exp.column("at", "a")),
    ]
    select = _t(_READ, which=exp.and_(*sent, copy=False), clicked=exp.and_(*clicked, copy=False))
    assert isinstance(select, exp.Select)
    for table in list(select.find_all(exp.Table)):
        if table.name == "sent_source":
            table.replace(source.subquery("s"))
    if rule.op != "known":
        sign = ">=" if rule.op == "gte" else "<"
        share = compiler.bind(rule.value, "numeric")
        select = select.having(_t(f"100 * COUNT(k.contact_id) {sign} :p * COUNT(*)", p=share), copy=False)
    return compiler.people(select)
