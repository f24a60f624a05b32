"""Asking people who came without a proven consent for one: only where the law lets them be written to, and only once.

A message that asks for consent is itself unsolicited mail to whoever gave none (ePrivacy directive 2002/58 art. 13(1),
CPCE art. L34-5; the British authority fined Flybe and Honda in 2017 for such messages). Two grounds allow it: a sale
within the term for which customers are kept (art. 13(2)), and a business address where the message concerns the job. A
member declares what the ground demands; her declaration and each person's sale or job are lines of the ledger, for a
purpose that carries the question and nothing else (`envol.consent.purposes.asked_once`). It ends once the question was
sent, and after `DAYS` in any case. Everybody else is kept and not written to.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import Job, Member, Workspace
from envol.campaigns import asking
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Refused
from envol.consent import acts, lapse, ledger, purposes, retention
from envol.consent.bases import FREE_MAIL, unmet
from envol.consent.models import Permission, Purpose
from envol.contacts.imports.mapping import plain
from envol.contacts.models import Property
from envol.contacts.sealing import seals
from envol.db import dicts, rows

DAYS = 60
"""A ground that nobody used to ask ends by itself after so many days."""
GROUNDS = ("customer", "business")
_JOBS = {"job role", "job title", "job", "role", "fonction", "poste", "profession", "metier", "position"}
_AT_ONCE = 5_000

# Of the people whom a move brought or changed, those nobody may write to for marketing and who said no to nothing.
_UNPROVEN = (
    "FROM contacts_import_change x JOIN contacts_contact c ON c.workspace_id = %(workspace)s AND c.id BETWEEN"
    " x.contact_id AND CASE WHEN x.created THEN (x.before ->> 'last')::bigint ELSE x.contact_id END"
    " LEFT JOIN LATERAL (SELECT o.external_id, o.at FROM contacts_order o WHERE o.workspace_id = %(workspace)s"
    "   AND o.contact_id = c.id AND o.amount > 0 AND o.at >= %(since)s ORDER BY o.at DESC LIMIT 1) o ON true"
    " WHERE x.import_id = %(import)s AND c.allowed & %(marketing)s = 0 AND c.refused & %(marketing)s = 0"
    " AND NOT (c.suppressed OR c.objected OR c.silenced)"
    " AND NOT EXISTS (SELECT FROM consent_permission p JOIN consent_purpose u ON u.id = p.purpose_id"
    "   WHERE p.workspace_id = %(workspace)s AND p.contact_id = c.id AND u.key = %(asked)s)"
    " AND NOT EXISTS (SELECT FROM contacts_membership m WHERE m.contact_id = c.id AND m.unsubscribed)"
)
_BOUGHT = "o.at IS NOT NULL"
_WORKS = (
    "o.at IS NULL AND coalesce(btrim(c.props ->> %(job)s), '') <> ''"
    " AND split_part(c.email_key, '@', 2) <> ALL(%(free)s)"
)


class Standing(NamedTuple):
    """How many of a move may be asked on which ground, and how many not at all. ``months``: how old a sale may be."""

    customers: int
    business: int
    rest: int
    months: int
    job: Property | None

    @property
    def any(self) -> int:
        return self.customers + self.business


def standing(workspace: Workspace, job: Job) -> Standing:
    """Of a move that was carried out: who came without proof, by what may be done."""
    about = _about(workspace, job)
    customers, business, all_of_them = rows(
        f"SELECT count(*) FILTER (WHERE {_BOUGHT}), count(*) FILTER (WHERE {_WORKS}), count(*) {_UNPROVEN}", about
    )[0]
    return Standing(customers, business, all_of_them - customers - business, _months(workspace), _job(workspace))


def ask(
    workspace: Workspace, job: Job, ground: str, facts: Mapping[str, Any], *, member: Member, base_url: str,
    **sender: Any,
) -> Campaign:  # fmt: skip
    """Declare the ground for those who have it, and make the campaign ready that asks exactly them.

    ``facts`` as in `envol.consent.bases.unmet`: of customers ``product_family``, ``optout_offered`` and, of another
    seller, ``entity_id``, of business contacts ``relation_note``; sale and job are each person's own. Raises Refused
    with what is missing.
    """
    if ground not in GROUNDS:
        raise Refused(_("There is no such act; nothing was changed."))
    with transaction.atomic():
        ledger.lock(workspace.pk)  # whoever says no now is not among them
        found = _people(workspace, job, ground)
        if not found:
            raise Refused(_("There is nobody to ask: everybody answered, or may not be written to."))
        told = _told(ground, facts, found)
        if missing := unmet(ground, "marketing", strength="statement", facts=told):
            raise Refused(missing.sentence(get_language() or "en"))
        purpose = purposes.asked_once(workspace)
        proof = acts.evidence(
            workspace, "statement", str(job.result["report"]["origin"]), statement=_statement(ground, told),
            member_id=member.pk, facts={**told, "move": job.pk},
        )  # fmt: skip
        now = datetime.now(UTC)
        lines = [
            ledger.Line(one["id"], purpose.pk, "granted", ground, now, proof.pk, one["proof"][:300]) for one in found
        ]
        for place in range(0, len(lines), _AT_ONCE):
            ledger.append(workspace.pk, lines[place : place + _AT_ONCE], at=now)
        sender.pop("purpose", None)  # the question has its own
        if ground == "customer":
            sender |= {"product_family": told["product_family"], "seller": told.get("entity_id", "")}
        made = asking.for_agreement(purpose, base_url=base_url, member=member, **sender)
        note(workspace, "member", "move.asked", job, actor_id=member.pk, ground=ground, people=len(found))
        asked = [*job.result.get("asked", ()), {"ground": ground, "people": len(found), "campaign": made.pk}]
        job.result = job.result | {"asked": asked}
        job.save(update_fields=["result"])
    return made


def end(now: datetime | None = None) -> int:
    """End the grounds of people who were asked, or were not in time; how many. Run again, it ends the rest."""
    now = now or datetime.now(UTC)
    ended = 0
    for purpose in Purpose.objects.filter(key=purposes.ASKED_ONCE):
        over = rows(
            "SELECT p.contact_id, p.basis FROM consent_permission p WHERE p.workspace_id = %(workspace)s"
            " AND p.purpose_id = %(purpose)s AND p.until IS NULL AND p.state = 'granted' AND (p.since < %(old)s"
            " OR EXISTS (SELECT FROM outbound_sending s JOIN outbound_send d ON d.sending_id = s.id"
            "   WHERE s.workspace_id = %(workspace)s AND s.purpose_id = %(purpose)s AND s.kind <> 'test'"
            "   AND s.state IN ('sent', 'stopped') AND d.contact_id = p.contact_id)) ORDER BY p.contact_id",
            {"workspace": purpose.workspace_id, "purpose": purpose.pk, "old": now - timedelta(days=DAYS)},
        )
        ended += _lapse(purpose, over, "the question was asked, or not in time", now)
    return ended


def take_back(workspace: Workspace, job: Job) -> int:
    """With a move that is taken back go the grounds that were declared for its people; how many."""
    purpose = Purpose.objects.filter(workspace=workspace, key=purposes.ASKED_ONCE).first()
    if purpose is None:
        return 0
    mine = Permission.objects.filter(
        workspace_id=workspace.pk, purpose_id=purpose.pk, state="granted", until=None,
        evidence_id__in=_declared(workspace, job),
    ).order_by("contact_id")  # fmt: skip
    return _lapse(
        purpose, list(mine.values_list("contact_id", "basis")), f"move {job.pk} taken back", datetime.now(UTC)
    )


def _declared(workspace: Workspace, job: Job) -> list[int]:
    """Evidence that was declared for a move."""
    query = "SELECT id FROM consent_evidence WHERE workspace_id = %s AND (facts ->> 'move')::bigint = %s"
    return [one for (one,) in rows(query, [workspace.pk, job.pk])]


def _lapse(purpose: Purpose, people: list[tuple[int, str]], why: str, now: datetime) -> int:
    for place in range(0, len(people), _AT_ONCE):
        some = people[place : place + _AT_ONCE]
        lines = [ledger.Line(one, purpose.pk, lapse.STATE, basis, now, None, why) for one, basis in some]
        ledger.append(purpose.workspace_id, lines, at=now)
    return len(people)


# ---- who, and what is declared


def _months(workspace: Workspace) -> int:
    return next(one.months for one in retention.terms(workspace.pk) if one.key == "customers")


def _job(workspace: Workspace) -> Property | None:
    """The property that tells a person's job: `job_role` of our catalogue, or what is called so."""
    texts = Property.objects.filter(workspace=workspace, type="text").order_by("pk")
    named = [one for one in texts if not seals(one)]
    by_key = [one for one in named if one.key == "job_role"]
    alike = [one for one in named if _JOBS & {plain(one.key), plain(one.label_fr), plain(one.label_en)}]
    return next(iter([*by_key, *alike]), None)


def _about(workspace: Workspace, job: Job) -> dict[str, Any]:
    marketing = 0
    for bit in Purpose.objects.filter(workspace=workspace, kind="marketing").values_list("bit", flat=True):
        marketing |= 1 << bit
    named = _job(workspace)
    return {
        "workspace": workspace.pk,
        "import": job.result["done"]["import"],
        "since": retention.before(datetime.now(UTC), _months(workspace)),
        "marketing": marketing,
        "asked": purposes.ASKED_ONCE,
        "job": named.key if named else "",
        "free": sorted(FREE_MAIL),
        "zone": workspace.time_zone,
    }


def _people(workspace: Workspace, job: Job, ground: str) -> list[dict[str, Any]]:
    """``id`` and ``proof`` of each; of customers ``day`` of the latest sale too."""
    told, which = {
        "customer": ("o.external_id || ', ' || (o.at AT TIME ZONE %(zone)s)::date AS proof,"
                     " (o.at AT TIME ZONE %(zone)s)::date AS day", _BOUGHT),
        "business": ("btrim(c.props ->> %(job)s) AS proof", _WORKS),
    }[ground]  # fmt: skip
    return dicts(f"SELECT c.id, {told} {_UNPROVEN} AND {which} ORDER BY c.id", _about(workspace, job))


def _told(ground: str, facts: Mapping[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    own = _("told for each person")
    if ground == "business":
        return {"job_role": own, "relation_note": str(facts.get("relation_note") or "").strip()[:500]}
    seller = str(facts.get("entity_id") or "").strip()[:200]
    return {
        "sale_ref": own,
        "sale_date": min(one["day"] for one in found).isoformat(),
        **({"entity_id": seller} if seller else {}),
        "product_family": str(facts.get("product_family") or "").strip()[:200],
        "optout_offered": facts.get("optout_offered") is True,
    }


def _statement(ground: str, told: Mapping[str, Any]) -> str:
    if ground == "business":
        said = _("They are written to about their job: %(note)s")
        return said % {"note": told["relation_note"]}
    said = _("They bought %(family)s from us and could refuse when the address was taken; we write about the like.")
    return said % {"family": told["product_family"]}
