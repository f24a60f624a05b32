"""Figures of a campaign in a list, and its sendings: what pages show in several places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import Http404

from envol.campaigns.models import Campaign
from envol.db import dicts, sql
from envol.events.counters import Key, read
from envol.events.models import Kind
from envol.outbound import states
from envol.outbound.models import Sending


@dataclass(frozen=True, slots=True)
class Outline:
    """A campaign in one line: people reached, clicks, and how far the sending is."""

    campaign: Campaign
    accepted: int
    delivered: int
    bounced: int
    done: int
    clicks: int  # of people, without machines

    @property
    def id(self) -> int:
        return int(self.campaign.pk)


def sendings_of(campaign: Campaign) -> list[Sending]:
    """The campaign's sendings that went to its audience, newest first; tests are not among them."""
    return list(
        Sending.objects.filter(
            workspace=campaign.workspace, campaign_id=campaign.pk, kind__in=["campaign", "resend"]
        ).order_by("-id")
    )


def chosen_sendings(campaign: Campaign, wanted: str) -> tuple[list[Sending], Sending | None]:
    """The sendings that a report or its people speak of, and the one that was asked for alone.

    Without a wish these are the first sending and its remainders: together one audience, nobody in it twice. A resend
    goes to people of it once more, so it is read alone. 404 for a sending of something else.
    """
    found = sendings_of(campaign)
    if wanted:
        only = [one for one in found if str(one.id) == wanted]
        if not only:
            raise Http404
        return only, only[0]
    return [one for one in found if one.kind == "campaign"] or found[:1], None


def outline(campaign: Campaign) -> Outline:
    accepted = delivered = bounced = done = 0
    ids = [sending.id for sending in sendings_of(campaign)]
    for sending_id in ids:
        found = states.counts(sending_id)
        accepted += found["accepted"]
        delivered += found["delivered"]
        bounced += found["bounced"]
        done += sum(found[state] for state in ("delivered", "bounced", "expired", "cancelled", "suppressed"))
    counters = read(ids)
    clicks = sum(counters[key].events for key in (Key(i, Kind.CLICKED, 0, False) for i in ids) if key in counters)
    return Outline(campaign, accepted, delivered, bounced, done, clicks)


def sites_of(sending: Sending, most: int = 12) -> list[dict[str, Any]]:
    """Outcome by destination site, the largest first."""
    found = dicts(sql("outbound", "report_sites"), {"sendings": [sending.id]})
    return sorted(found, key=lambda row: -row["accepted"])[:most]
