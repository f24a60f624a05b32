"""The three questions every path asks: may I write to her, may I use this, may I measure?

Each is one function, answers with a reason, and takes the strictest answer whenever it does not know.
The set-based form of the first reads the masks on the contact row (a projection); the single form
reads the permissions and the suppression digests themselves, and can be asked about any past moment.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction

from envol.accounts.models import Workspace
from envol.accounts.workspaces import address_digest
from envol.consent.measuring import without_consent
from envol.consent.purposes import MEASURE_CLICKS, MEASURE_OPENS, UNPROFILED
from envol.consent.similar import ANYTHING, Offer
from envol.db import rows

log = logging.getLogger(__name__)

SUPPRESSED, OBJECTED, SILENCED, WITHDRAWN, NO_PERMISSION, RESTRICTED = REASONS = (
    "suppressed",
    "objected",
    "silenced",
    "withdrawn",
    "no_permission",
    "restricted",
)
NOT_SERVED, TOO_OFTEN, NOT_TOLD, TOO_YOUNG = "not_served", "too_often", "not_told", "too_young"
OTHER_PRODUCTS = "other_products"
"""Of a sending alone: she may be written to, and was chosen by something that she did not allow to be used so, wants to
hear less often, must first be told where her data came from, is too young to have agreed alone, or is a customer who
bought something else than the message is about."""

_SENTENCES = {
    "": ("Autorisé.", "Allowed."),
    SUPPRESSED: (
        "Plus rien ne part vers cette adresse (rejet définitif, plainte ou suppression demandée).",
        "Nothing leaves for this address any more (permanent failure, complaint or suppression).",
    ),
    OBJECTED: ("Cette personne s’est opposée à toute prospection.", "This person objected to all marketing."),
    SILENCED: (
        "La prospection est suspendue pour cette personne : une réclamation est ouverte.",
        "Marketing rests for this person: a complaint is open.",
    ),
    WITHDRAWN: (
        "Cette personne a retiré ou refusé son accord pour cet usage.",
        "This person withdrew or refused permission for this purpose.",
    ),
    NO_PERMISSION: (
        "Aucune autorisation n’est enregistrée pour cet usage.",
        "No permission is recorded for this purpose.",
    ),
    NOT_SERVED: (
        "Le choix des destinataires s’appuie sur une donnée que cette personne n’a pas permis d’utiliser ainsi.",
        "The audience was chosen by something that this person did not allow to be used so.",
    ),
    TOO_OFTEN: (
        "Cette personne souhaite recevoir moins de messages, et en a déjà reçu un dans cet intervalle.",
        "This person wants to hear less often, and got a message within that time.",
    ),
    NOT_TOLD: (
        "Rien n’a encore dit à cette personne d’où viennent ses données, et ce message ne le dit pas.",
        "Nobody told this person yet where her data came from, and this message does not say it.",
    ),
    TOO_YOUNG: (
        "Cette personne est trop jeune pour avoir accepté seule, et l’accord d’un parent n’est pas enregistré.",
        "This person is too young to have agreed alone, and no parent's agreement is recorded.",
    ),
    OTHER_PRODUCTS: (
        "Cette personne est cliente : on ne lui écrit qu’au sujet de produits semblables du même vendeur, et ce message"
        " n’en parle pas.",
        "This person is a customer: she may be written to about similar products of the same seller only, and this"
        " message is not about them.",
    ),
    RESTRICTED: (
        "L’usage des données est limité, ou l’autorisation n’a pas pu être vérifiée : rien ne part.",
        "The use of the data is restricted, or the permission could not be checked: nothing leaves.",
    ),
}


class Answer(NamedTuple):
    """``reason`` is empty when allowed; ``permission_id`` names the row that decided, if one did."""

    allowed: bool
    reason: str = ""
    permission_id: int | None = None

    def sentence(self, language: str = "fr") -> str:
        return explain(self.reason, language)


def explain(reason: str, language: str = "fr") -> str:
    """A reason code as a sentence, in French or English."""
    return _SENTENCES.get(reason, _SENTENCES[RESTRICTED])[language != "fr"]


Beyond = Callable[[int, int, int, datetime | None, Sequence[int], Offer | None], str]
_beyond: list[Beyond] = []


def beyond(ask: Beyond) -> None:
    """``ask(workspace_id, contact_id, permission_id, now, informs, offer)`` tells why a permission for marketing
    does not suffice: what it asks lies with the person, in a room above us."""
    _beyond[:] = [ask]


def may_send(
    workspace_id: int,
    contact_id: int | None,
    email_key: str,
    purpose_id: int,
    channel: str = "email",
    now: datetime | None = None,
    informs: Sequence[int] = (),
    offer: Offer | None = ANYTHING,
) -> Answer:
    """May this person be written to for this purpose, now or at a past moment?

    A transactional purpose needs no permission (GDPR art. 6(1)(b)), but honours suppression and a
    refusal of that very purpose. ``informs``: origins of data that the message names (`envol.consent.informing`);
    ``offer``: what it is about (`envol.consent.similar`), None: no message in particular is asked about.
    Whatever fails, the answer is no.
    """
    each = may_send_each(workspace_id, contact_id, email_key, [purpose_id], channel, now, informs, offer)
    return each[purpose_id]


def may_send_each(
    workspace_id: int,
    contact_id: int | None,
    email_key: str,
    purpose_ids: Sequence[int],
    channel: str = "email",
    now: datetime | None = None,
    informs: Sequence[int] = (),
    offer: Offer | None = ANYTHING,
) -> dict[int, Answer]:
    """`may_send` for several purposes of one person, by one question to the database."""
    refused = dict.fromkeys(purpose_ids, Answer(False, RESTRICTED))
    if channel != "email" or not email_key:
        return refused
    try:
        with transaction.atomic():
            return refused | _may_send(workspace_id, contact_id, email_key, purpose_ids, now, informs, offer)
    except Exception:
        log.exception("may_send failed for contact %s and purposes %s: refused", contact_id, purpose_ids)
        return refused


def _may_send(
    workspace_id: int,
    contact_id: int | None,
    email_key: str,
    purpose_ids: Sequence[int],
    now: datetime | None,
    informs: Sequence[int],
    offer: Offer | None,
) -> dict[int, Answer]:
    """The answers of those that there are, of whom none has two answers at once."""
    # One round trip: the purposes, the suppression and the answers in force, even where one is missing.
    found = rows(
        "SELECT u.id, u.kind, p.id, p.state, coalesce((SELECT array_agg(s.scope) FROM ("
        "   SELECT scope FROM consent_suppression"
        "    WHERE workspace_id = %(w)s AND digest = %(digest)s AND at <= coalesce(%(now)s, at)"
        "   UNION ALL SELECT scope FROM consent_suppression_past WHERE %(now)s::timestamptz IS NOT NULL"
        "    AND workspace_id = %(w)s AND digest = %(digest)s AND at <= %(now)s AND ended > %(now)s) s), '{}'),"
        "  EXISTS (SELECT FROM consent_silence q WHERE q.workspace_id = %(w)s AND q.contact_id = %(contact)s"
        "   AND (CASE WHEN %(now)s::timestamptz IS NULL THEN q.until IS NULL"
        "        ELSE q.since <= %(now)s AND (q.until IS NULL OR q.until > %(now)s) END)),"
        "  EXISTS (SELECT FROM consent_restriction x WHERE x.workspace_id = %(w)s AND x.contact_id = %(contact)s"
        "   AND x.scope = 'all'"
        "   AND (CASE WHEN %(now)s::timestamptz IS NULL THEN x.until IS NULL"
        "        ELSE x.since <= %(now)s AND (x.until IS NULL OR x.until > %(now)s) END))"
        " FROM consent_purpose u LEFT JOIN consent_permission p ON p.workspace_id = u.workspace_id"
        "   AND p.contact_id = %(contact)s AND p.purpose_id = u.id"
        "   AND (CASE WHEN %(now)s::timestamptz IS NULL THEN p.until IS NULL"
        "        ELSE p.since <= %(now)s AND (p.until IS NULL OR p.until > %(now)s) END)"
        " WHERE u.workspace_id = %(w)s AND u.id = ANY (%(purposes)s)",
        {
            "w": workspace_id,
            "contact": contact_id,
            "purposes": list(purpose_ids),
            "now": now,
            "digest": address_digest(workspace_id, email_key),
        },
    )
    twice = {one for one, times in Counter(row[0] for row in found).items() if times > 1}
    return {
        purpose_id: _answer(kind, state, *limits, person=(workspace_id, contact_id, permission_id, now, informs, offer))
        for purpose_id, kind, permission_id, state, *limits in found
        if purpose_id not in twice
    }


def _answer(
    kind: str,
    state: str | None,
    scopes: Sequence[str],
    silenced: bool,
    limited: bool,
    *,
    person: tuple[int, int | None, int | None, datetime | None, Sequence[int], Offer | None],
) -> Answer:
    """What one answer in force allows. person: what `Beyond` is asked with."""
    workspace_id, contact_id, permission_id, now, informs, offer = person
    if limited:
        return Answer(False, RESTRICTED, permission_id)
    if "all" in scopes:
        return Answer(False, SUPPRESSED, permission_id)
    if kind == "transactional":
        if state in ("withdrawn", "refused", "objected"):
            return Answer(False, WITHDRAWN, permission_id)
        return Answer(True, "", permission_id)
    if scopes:  # marketing, or a scope this version does not know
        return Answer(False, OBJECTED, permission_id)
    if silenced:
        return Answer(False, SILENCED, permission_id)
    match state:
        case "granted":
            assert contact_id is not None and permission_id is not None
            for more in _beyond if kind == "marketing" else ():
                if reason := more(workspace_id, contact_id, permission_id, now, informs, offer):
                    return Answer(False, reason, permission_id)
            return Answer(True, "", permission_id)
        case None | "requested" | "lapsed":  # never asked, not yet confirmed, or past its term
            return Answer(False, NO_PERMISSION, permission_id)
        case "withdrawn" | "refused" | "objected":
            return Answer(False, WITHDRAWN, permission_id)
        case _:
            return Answer(False, RESTRICTED, permission_id)


def refusal_sql(alias: str = "c", bit: int | None = None, transactional: bool = False) -> str:
    """SQL over a ``contacts_contact`` alias: NULL when the person may be written to, else the reason.

    It reads the masks alone, so it costs nothing where the row is read anyway. ``bit`` is that of the
    purpose; without one, only a transactional message can pass.
    """
    if not alias.isidentifier() or not (bit is None or 0 <= bit < 62):
        raise ValueError("The alias is a plain name and the bit that of a purpose.")
    # IS NOT FALSE, not "= true": a row that is not there (outer join) is refused.
    tests = [
        f"WHEN {alias}.id IS NULL THEN '{RESTRICTED}'",
        f"WHEN {alias}.suppressed IS NOT FALSE THEN '{SUPPRESSED}'",
    ]
    if not transactional:
        tests.append(f"WHEN {alias}.objected IS NOT FALSE THEN '{OBJECTED}'")
        tests.append(f"WHEN {alias}.silenced IS NOT FALSE THEN '{SILENCED}'")
    if bit is not None:
        tests.append(f"WHEN ({alias}.refused & {1 << bit}) <> 0 THEN '{WITHDRAWN}'")
    if not transactional:
        granted = f"({alias}.allowed & {1 << bit}) <> 0" if bit is not None else "false"
        tests.append(f"WHEN ({granted}) IS NOT TRUE THEN '{NO_PERMISSION if bit is not None else RESTRICTED}'")
    return f"(CASE {' '.join(tests)} END)"


def may_use(allowed: int, purposes: int, *, transactional: int = 0) -> bool:
    """May a property that serves these purposes be shown to a person who allowed these?

    Both are masks of purpose bits. In a transactional message give the mask of its purpose: what a
    contract needs was allowed with the contract. A property without purposes is never shown.
    """
    return bool((allowed | transactional) & purposes)


def may_use_sql(alias: str, purposes: int) -> str:
    """`may_use` over a contact alias, for audiences and checks."""
    if not alias.isidentifier() or not 0 <= purposes < 1 << 62:
        raise ValueError("The alias is a plain name and the mask one of purpose bits.")
    return f"(coalesce({alias}.allowed & {purposes}, 0) <> 0)"


PROFILE_SQL = f"(NOT {{0}}.objected AND {{0}}.refused & {1 << UNPROFILED} = 0)"
"""May scores, habits and interests be worked out for this row of contacts? Not of who objected (GDPR art. 21)."""


# -- measuring ---------------------------------------------------------------------------------

LEVELS = ("none", "aggregate", "last_open_day", "individual")
"""From the strictest. last_open_day exists for opens only."""


class Tracking(NamedTuple):
    opens: str = "none"
    clicks: str = "none"


def _strict(*levels: str) -> str:
    """The strictest of these; an unknown word counts as none."""
    return LEVELS[min(LEVELS.index(level) if level in LEVELS else 0 for level in levels)]


def tracking_level(workspace: Workspace, allowed: int, refused: int, country: str | None = None) -> Tracking:
    """How opens and clicks of this person may be measured, by her masks.

    Individual only for those who agreed to that measure. Who refused is not measured at all. Of who
    said nothing: what her country allows without consent (`envol.consent.measuring`), the strictest where it is not
    known. The workspace's modes only make it stricter. Asked again when a pixel or a link is hit, so that a withdrawal
    reaches mail already sent.
    """
    try:
        lawful = without_consent(country)
        opens = _level(MEASURE_OPENS, allowed, refused, workspace.opens_mode, workspace.opens_unknown, lawful.opens)
        clicks = _level(
            MEASURE_CLICKS, allowed, refused, workspace.clicks_mode, workspace.clicks_unknown, lawful.clicks
        )
        return Tracking(opens, "aggregate" if clicks == "last_open_day" else clicks)
    except Exception:
        log.exception("tracking_level failed: nothing is measured")
        return Tracking()


def _level(bit: int, allowed: int, refused: int, mode: str, unknown: str, lawful: str) -> str:
    if refused >> bit & 1:
        return "none"
    if allowed >> bit & 1:
        return _strict(mode, "individual")
    return _strict(mode, unknown, lawful)
