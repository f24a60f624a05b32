"""Campaigns after a backup was restored: the lost installation may have gone on with them, so none does by itself."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from envol.campaigns import actions
from envol.campaigns.checks import KINDS, LATE
from envol.campaigns.models import Campaign, State
from envol.outbound.models import Sending, SendingState


def hold() -> list[str]:
    """Pause what was on its way, and have what became due since the backup asked about; names of all of them."""
    running = list(Campaign.objects.filter(state__in=[State.PREPARING, State.SENDING]).order_by("pk"))
    for campaign in running:
        actions.pause(campaign)
    now = timezone.now()
    due = Sending.objects.filter(state=SendingState.SCHEDULED, kind__in=KINDS, not_before__lte=now)
    asked = list(Campaign.objects.filter(pk__in=due.values("campaign_id")).order_by("pk"))
    # What is late waits for a yes (`actions.confirm`); due a moment ago it would still begin by itself.
    due.filter(not_before__gt=now - LATE).update(not_before=now - LATE - timedelta(minutes=1))
    return [campaign.name for campaign in (*running, *asked)]
