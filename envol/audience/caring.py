"""Rules about what people care for: what they said, what their reading and buying shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from envol.audience.interests import WEIGHT
from envol.audience.language import Rule
from envol.audience.snippets import in_postgres as _t
from envol.audience.snippets import parsed
from envol.consent.gates import PROFILE_SQL

if TYPE_CHECKING:
    from envol.audience.compile import Compiler

# Who objected to marketing or profiling has no inferred interest in any rule, from then on (GDPR art. 21).
_INTERESTED = (
    "SELECT i.contact_id FROM audience_interest AS i"
    " JOIN audience_topic AS t ON t.id = i.topic_id AND t.removed_at IS NULL"
    " JOIN contacts_contact AS o ON o.id = i.contact_id"
    f" WHERE i.origin <> 'refused' AND (i.origin = 'declared' OR {PROFILE_SQL.format('o')})"
)


def interest(compiler: Compiler, rule: Rule) -> exp.Expr:
    """Interested in any, or in all, of these topics; the strength is that of the day asked about."""
    select = parsed(_INTERESTED)
    assert isinstance(select, exp.Select)
    where = [*compiler.about("i"), compiler.stood("i")]
    if "origin" in rule.where:
        where.append(_t("i.origin = :p", p=compiler.bind(rule.where["origin"], "text")))
    if "strength" in rule.where:
        strong = _t(
            f"(i.origin = 'declared' OR 100 * {WEIGHT} >= :p)",
            day=compiler.bind(compiler.days.today.isoformat(), "text"),
            p=compiler.bind(rule.where["strength"], "int"),
        )
        where.append(strong)
    if rule.op != "known":
        ids = [compiler.catalogue.topics[key].pk for key in rule.value]
        where.append(_t("i.topic_id = ANY(:p)", p=compiler.bind(ids, "bigint[]")))
    select = select.where(*where, copy=False)
    if rule.op == "has_all" and len(rule.value) > 1:
        several = _t("COUNT(DISTINCT i.topic_id) >= :n", n=compiler.bind(len(rule.value), "bigint"))
        select = select.group_by("i.contact_id", copy=False).having(several, copy=False)
    return compiler.people(select)
