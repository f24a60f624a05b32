"""What happened with one person, newest first, as the contact page tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.campaigns.models import Campaign
from envol.consent.models import Purpose
from envol.contacts import people
from envol.contacts.models import Contact
from envol.events.models import CustomEvent
from envol.outbound.models import Outcome, Send, Sending
from envol.web.templatetags.envol import label, number

PAGE = 30
MOST = 600


@dataclass(frozen=True, slots=True)
class Happening:
    """``kind`` chooses sentence and icon; ``about`` is a name in the reader's language, ``campaign`` its id."""

    at: datetime
    kind: str
    about: str = ""
    detail: str = ""
    campaign: int | None = None
    amount: int | None = None
    machine: bool = False


def story_of(workspace: Workspace, person: Contact, most: int = PAGE) -> list[Happening]:
    """The newest happenings of every room: what the contact room tells, and the mail sent to her."""
    entries = people.timeline(person, most)
    sends, outcomes = _mail(workspace, person, most)
    ids = {e.facts.get("sending") for e in entries} | {s.sending_id for s in sends}
    campaigns = _campaigns(workspace, {i for i in ids if i})
    purposes = {p.key: label(p) for p in Purpose.objects.filter(workspace=workspace)}
    customs = {one.key: label(one) for one in CustomEvent.objects.filter(workspace=workspace)}
    found = [_told(entry, campaigns, purposes, customs) for entry in entries if entry.kind != "noted"]
    for send in sends:
        campaign = campaigns.get(send.sending_id)
        about, pk = (campaign.name, campaign.pk) if campaign else ("", None)
        found.append(Happening(send.created_at, "accepted", about, campaign=pk))
        outcome = outcomes.get(send.sending_id)
        if outcome:
            reply = " ".join(str(part) for part in (outcome.code, outcome.reply) if part)
            found.append(Happening(outcome.at, outcome.state, about, reply, pk))
    return sorted(found, key=lambda one: one.at, reverse=True)[:most]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return number(value) if isinstance(value, int | float) else str(value)


def _told(
    entry: people.Entry, campaigns: dict[int, Campaign], purposes: dict[str, str], customs: dict[str, str]
) -> Happening:
    facts: dict[str, Any] = entry.facts
    campaign = campaigns.get(facts.get("sending") or 0)
    about = facts.get("list") or facts.get("segment") or facts.get("property") or facts.get("order") or ""
    if "purpose" in facts:
        about = purposes.get(facts["purpose"], facts["purpose"])
    if entry.kind == "custom":
        told = facts.get("told") or {}
        said = " · ".join(f"{key}: {_plain(value)}" for key, value in told.items())
        return Happening(entry.at, entry.kind, customs.get(facts.get("event", ""), facts.get("event", "")), said)
    return Happening(
        entry.at,
        entry.kind,
        campaign.name if campaign else str(about),
        str(facts.get("source") or facts.get("before") or ""),
        campaign.pk if campaign else None,
        facts.get("amount"),
        bool(facts.get("machine")),
    )


def _campaigns(workspace: Workspace, sending_ids: set[int]) -> dict[int, Campaign]:
    rows = Sending.objects.filter(workspace=workspace, id__in=sending_ids, campaign_id__isnull=False)
    of = dict(rows.values_list("id", "campaign_id"))
    known = {c.pk: c for c in Campaign.objects.filter(workspace=workspace, id__in=set(of.values()))}
    return {sending: known[campaign] for sending, campaign in of.items() if campaign in known}


def _mail(workspace: Workspace, person: Contact, most: int) -> tuple[list[Send], dict[int, Outcome]]:
    # For a campaign the ledger's number of a person is her id, so this reads by primary key.
    recent = list(
        Sending.objects.filter(workspace=workspace, kind__in=["campaign", "resend"])
        .order_by("-id")
        .values_list("id", flat=True)[:200]
    )
    sends = list(Send.objects.filter(sending_id__in=recent, no=person.id).order_by("-created_at")[:most])
    return sends, {o.sending_id: o for o in Outcome.objects.filter(sending_id__in=recent, no=person.id)}
