"""Figures of a campaign in a list, and its sendings: what pages show in several places."""

from __future__ import annotations

from collections.abc import Iterable
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
    return outlines([campaign])[0]


def outlines(campaigns: Iterable[Campaign]) -> list[Outline]:
    """Each in one line, in the same order, whatever their number in three statements."""
    campaigns = list(campaigns)
    ids: dict[int, list[int]] = {campaign.pk: [] for campaign in campaigns}
    sendings = Sending.objects.filter(campaign_id__in=ids, kind__in=["campaign", "resend"])
    for campaign_id, sending_id in sendings.values_list("campaign_id", "id"):
        ids[campaign_id or 0].append(sending_id)
    every = [sending_id for some in ids.values() for sending_id in some]
    ended, counters = states.totals(every), read(every)
    found = []
    for campaign in campaigns:
        mine = [ended.get(sending_id, {}) for sending_id in ids[campaign.pk]]
        total = {state: sum(one.get(state, 0) for one in mine) for state in ("accepted", *states.FINAL)}
        keys = [Key(sending_id, Kind.CLICKED, 0, False) for sending_id in ids[campaign.pk]]
        found.append(
            Outline(
                campaign,
                total["accepted"],
                total["delivered"],
                total["bounced"],
                sum(total[state] for state in states.FINAL),
                sum(counters[key].events for key in keys if key in counters),
            )
        )
    return found


def sites_of(sending: Sending, most: int = 12) -> list[dict[str, Any]]:
    """Outcome by destination site, the largest first."""
    found = dicts(sql("outbound", "report_sites"), {"sendings": [sending.id]})
    return sorted(found, key=lambda row: -row["accepted"])[:most]
