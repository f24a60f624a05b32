"""What a message that promotes something asks of each person beside her answer: is she old enough to have agreed alone,
was she told where her data came from (GDPR art. 8 and 14), and, of customers, is it about what they bought?

Consent keeps the limits and the clocks, the birth date is a property of hers: so both meet here. Every road that sends
for a purpose asks: campaigns when they are prepared, and all of them once more when a courier takes the work up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.utils import timezone

from envol.consent import ages, gates, informing, similar
from envol.consent.similar import ANYTHING, Offer
from envol.db import rows

BORN = "birth_date"
"""The property that says how old she is."""
ADULT = 18
"""Of whoever says that she is younger nothing is worked out: no score, no habit, no interest (GDPR rec. 38 and 71)."""


class Asked(NamedTuple):
    """What a purpose makes us ask. ``born_since``: whoever was born later is too young; None where nobody is asked.
    ``own``: names of the organisation as a seller, where somebody is a customer."""

    purpose_id: int
    marketing: bool
    born_since: date | None
    some_wait: bool
    some_buy: bool = False
    own: tuple[str, ...] = ()


def asked(purpose_id: int) -> Asked:
    """One question, whatever the number of people; mostly nobody waits to be told."""
    found = rows(
        "SELECT u.kind, w.time_zone, coalesce(d.hosted_in, 'FR'), EXISTS (SELECT FROM contacts_property b"
        "  WHERE b.workspace_id = u.workspace_id AND b.key = %s AND b.type = 'date' AND NOT b.sensitive),"
        " EXISTS (SELECT FROM consent_informing i WHERE i.workspace_id = u.workspace_id AND i.at IS NULL),"
        f" {similar.some_sql('u.id')}, ARRAY[w.title, coalesce(d.legal_name, '')]"
        " FROM consent_purpose u JOIN accounts_workspace w ON w.id = u.workspace_id"
        " LEFT JOIN consent_desk d ON d.workspace_id = u.workspace_id WHERE u.id = %s",
        [BORN, purpose_id],
    )
    if not found:
        return Asked(purpose_id, True, None, False)  # the gate itself refuses a purpose that is not there
    kind, zone, country, has_birth, waits, some_buy, own = found[0]
    today = timezone.now().astimezone(ZoneInfo(zone)).date()
    since = ages.of_age_since(ages.of_country(country), today) if has_birth else None
    return Asked(purpose_id, kind != "transactional", since, waits, some_buy, tuple(own))


def tests(
    alias: str,
    about: Asked,
    informs: Sequence[int] | Callable[[], Sequence[int]] = (),
    offer: Offer | None = ANYTHING,
    *,
    one_by_one: bool = True,
    among: str = "",
) -> list[str]:
    """``WHEN … THEN reason`` over a contact alias, to stand behind `gates.refusal_sql`. ``informs``: origins of data
    that the message names, or how to find them; ``offer``: what it is about. ``one_by_one``: also of whom few are found
    by number; ``among``: as in `similar.unlike_sql`."""
    if not about.marketing:
        return []
    found = []
    if about.some_wait:
        named = informs() if callable(informs) else informs
        found.append(f"WHEN {informing.waits_sql(alias, named)} THEN '{gates.NOT_TOLD}'")
    if one_by_one and about.some_buy and offer is not None:
        unlike = similar.unlike_sql(alias, offer, about.purpose_id, about.own, among)
        found.append(f"WHEN {unlike} THEN '{gates.OTHER_PRODUCTS}'")
    if one_by_one and about.born_since is not None:
        young = ages.young_sql(alias, BORN, about.born_since, about.purpose_id)
        found.append(f"WHEN {young} THEN '{gates.TOO_YOUNG}'")
    return found


def behind(gate: str, more: Sequence[str]) -> str:
    """The reason of the gate, else that of these tests; NULL: she may be written to."""
    return f"coalesce({gate}, CASE {' '.join(more)} END)" if more else gate


def reason_of(
    workspace_id: int,
    contact_id: int,
    permission_id: int,
    now: datetime | None,
    informs: Sequence[int],
    offer: Offer | None = ANYTHING,
) -> str:
    """The same for one person whom her answer allows to be written to, also at a past moment; empty: nothing."""
    found = rows(
        "SELECT c.props ->> %(born)s, w.time_zone, coalesce(d.hosted_in, 'FR'),"
        " coalesce(jsonb_exists(e.facts, %(parent)s), false), coalesce(p.basis = 'customer', false),"
        " EXISTS (SELECT FROM contacts_property b WHERE b.workspace_id = c.workspace_id AND b.key = %(born)s"
        "  AND b.type = 'date' AND NOT b.sensitive),"
        " EXISTS (SELECT FROM consent_informing i JOIN consent_origin o ON o.id = i.origin_id"
        "  WHERE i.workspace_id = c.workspace_id AND i.contact_id = c.id AND NOT i.origin_id = ANY(%(informs)s)"
        "  AND (CASE WHEN %(now)s::timestamptz IS NULL THEN i.at IS NULL"
        "       ELSE o.made_at <= %(now)s AND (i.at IS NULL OR i.at > %(now)s) END))"
        " FROM contacts_contact c JOIN accounts_workspace w ON w.id = c.workspace_id"
        " LEFT JOIN consent_desk d ON d.workspace_id = c.workspace_id"
        " LEFT JOIN consent_permission p ON p.workspace_id = c.workspace_id AND p.id = %(permission)s"
        " LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
        " WHERE c.workspace_id = %(w)s AND c.id = %(contact)s",
        {
            "born": BORN, "parent": ages.PARENT, "now": now, "informs": list(informs), "permission": permission_id,
            "w": workspace_id, "contact": contact_id,
        },
    )  # fmt: skip
    if not found:
        return ""
    born, zone, country, parent, buys, has_birth, waits = found[0]
    if waits:
        return gates.NOT_TOLD
    if buys and offer is not None and similar.unlike(workspace_id, permission_id, contact_id, offer):
        return gates.OTHER_PRODUCTS
    if not has_birth or parent or not born:
        return ""
    today = (now or timezone.now()).astimezone(ZoneInfo(zone)).date()
    try:
        too_young = date.fromisoformat(born) > ages.of_age_since(ages.of_country(country), today)
    except ValueError:  # no day: it says nothing
        return ""
    return gates.TOO_YOUNG if too_young else ""


def is_minor(props: Mapping[str, Any], today: date) -> bool:
    """Does she say that she is not of age yet? As `minor_sql`."""
    try:
        return date.fromisoformat(str(props.get(BORN))) > ages.of_age_since(ADULT, today)
    except ValueError:
        return False


def minor_sql(alias: str, today: date) -> str:
    """SQL over a contact alias: does she say that she is not of age yet? Dates lie as year-month-day."""
    if not alias.isidentifier():
        raise ValueError("The alias is a plain name.")
    born, since = f"({alias}.props ->> '{BORN}')", ages.of_age_since(ADULT, today)
    return f"coalesce({born} > '{since.isoformat()}' AND {born} ~ '^\\d{{4}}-\\d\\d-\\d\\d$', false)"
