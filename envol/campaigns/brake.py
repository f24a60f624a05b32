"""The brake: a campaign that meets too many dead mailboxes or complaints pauses by itself.

A receiver that sees 5 % of dead mailboxes, or three complaints in a thousand, soon refuses everything of the domain. So
the rest waits for a person: owners are told, and nobody but a member resumes. What was known when she did is not held
against the campaign again.
"""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from envol.campaigns.drafts import note
from envol.campaigns.models import Brake, Campaign
from envol.outbound import reputation
from envol.outbound.models import Sending
from envol.outbound.reputation import BRAKES, Figures
from envol.outbound.telling import tell_owners

EVERY = 10.0  # seconds between two looks at one sending
ALL = "all"
_looked: dict[int, float] = {}


def look_now_and_then(sending_id: int) -> None:
    """`look`, but not every second."""
    now = time.monotonic()
    if now - _looked.get(sending_id, -EVERY) < EVERY:
        return
    if len(_looked) > 1000:
        _looked.clear()
    _looked[sending_id] = now
    look(sending_id)


def look(sending_id: int) -> Brake | None:
    """Pause this sending if its figures say so; the brake that was put on."""
    from envol.campaigns import actions  # which asks us to release

    sending = Sending.objects.filter(id=sending_id, kind__in=("campaign", "resend"), state="sending").first()
    if sending is None or sending.campaign_id is None:
        return None
    found = _since_release(sending_id, _figures(sending_id))
    over = [
        (name, receiver)
        for receiver, figures in sorted(found.items(), key=lambda one: one[0] != ALL)
        for name in BRAKES
        if reputation.level(name, figures) == "stop"
    ]
    if not over:
        return None
    (reason, receiver), campaign = over[0], Campaign.objects.get(pk=sending.campaign_id)
    with transaction.atomic():
        try:
            actions.pause(campaign)
        except actions.Refused:  # somebody was faster
            return None
        brake = Brake.objects.create(
            campaign=campaign,
            sending_id=sending_id,
            reason=reason,
            receiver=receiver,
            tried=found[receiver].tried,
            cases=getattr(found[receiver], reason),
        )
        note(campaign, "campaign.braked", None, sending=sending_id, reason=reason, receiver=receiver)
        tell_owners(campaign.workspace, "campaign_braked", lambda: _words(campaign, brake))
    return brake


def present(campaign: Campaign) -> Brake | None:
    """The brake that holds a campaign; None when a person paused it, or nobody did."""
    if campaign.state != "paused":
        return None
    return Brake.objects.filter(campaign=campaign, released_at=None).order_by("-id").first()


def release(campaign: Campaign, member_id: int | None) -> None:
    """A person resumes: what is known until now is hers to answer for."""
    brake = Brake.objects.filter(campaign=campaign, released_at=None).order_by("-id").first()
    if brake is None:
        return
    brake.known = {name: figures.plain() for name, figures in _figures(brake.sending_id).items()}
    brake.released_at, brake.released_by = timezone.now(), member_id
    brake.save(update_fields=["known", "released_at", "released_by"])


def _figures(sending_id: int) -> dict[str, Figures]:
    found = reputation.of_sendings([sending_id])
    return {**found, ALL: reputation.together(found.values())}


def _since_release(sending_id: int, found: dict[str, Figures]) -> dict[str, Figures]:
    last = Brake.objects.filter(sending_id=sending_id, released_at__isnull=False).order_by("-id").first()
    known: dict[str, Any] = last.known if last else {}
    return {name: figures.less(known.get(name, {})) for name, figures in found.items()}


def _words(campaign: Campaign, brake: Brake) -> tuple[str, str]:
    facts = {"name": campaign.name, "link": f"{settings.ENVOL.base_url}/campaigns/{campaign.pk}/live"}
    subject = _("Paused by itself: %(name)s") % facts
    text = _(
        "The campaign “%(name)s” has paused by itself.\n\n%(why)s\n\n"
        "Nothing more leaves until somebody resumes or stops it:\n\n%(link)s"
    ) % {**facts, "why": sentence(brake)}
    return subject, text


def sentence(brake: Brake) -> str:
    """Why it paused, and what to do, in the reader's language."""
    facts = {
        "cases": number_format(brake.cases, force_grouping=True),
        "tried": number_format(brake.tried, force_grouping=True),
        "share": number_format(round(100 * brake.cases / max(brake.tried, 1), 1), decimal_pos=1),
        "where": RECEIVER_NAMES.get(brake.receiver, brake.receiver),
    }
    if brake.reason == "hard" and brake.receiver == ALL:
        said = _(
            "%(cases)s of %(tried)s addresses do not exist (%(share)s %%; 5 %% stop a sending). Leave out people whose"
            " addresses are old or were bought, then send the rest."
        )
    elif brake.reason == "hard":
        said = _(
            "%(cases)s of %(tried)s addresses at %(where)s do not exist (%(share)s %%; 5 %% stop a sending). Leave out"
            " people whose addresses are old or were bought, then send the rest."
        )
    elif brake.receiver == ALL:
        said = _(
            "%(cases)s of %(tried)s people complained (%(share)s %%; 0.3 %% stop a sending). Ask whether they expected"
            " this message, and write to the most active ones first."
        )
    else:
        said = _(
            "%(cases)s of %(tried)s people at %(where)s complained (%(share)s %%; 0.3 %% stop a sending). Ask whether"
            " they expected this message, and write to the most active ones first."
        )
    return said % facts


RECEIVER_NAMES = {
    "google": "Gmail",
    "microsoft": "Microsoft",
    "yahoo": "Yahoo",
    "icloud": "iCloud",
    "orange": "Orange",
    "laposte": "La Poste",
    "sfr": "SFR",
    "free": "Free",
    "gmx": "GMX",
}
