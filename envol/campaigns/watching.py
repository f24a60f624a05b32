"""What of a campaign looks like a breach of people's data: the wrong people, or one person's data sent to others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from envol.accounts.models import JournalEntry
from envol.campaigns.checks import latest_sending
from envol.campaigns.models import Campaign
from envol.consent.breaches import Suspicion
from envol.contacts.models import Contact
from envol.content.models import Version
from envol.db import value
from envol.outbound.models import Sending
from envol.wire.address import AddressError, normalise

_ADDRESS = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}\.[A-Za-z]{2,24}")


def look(workspace_id: int, since: datetime) -> Iterator[Suspicion]:
    """Sendings that a member stopped after some had left, and messages that carry the address of a contact."""
    stopped = JournalEntry.objects.filter(
        workspace_id=workspace_id, action="campaign.stopped", actor_kind="member", at__gt=since
    )
    for entry in stopped:
        campaign = Campaign.objects.filter(workspace_id=workspace_id, pk=entry.object_id or 0).first()
        sending = latest_sending(campaign) if campaign else None
        if sending is None:
            continue
        left = value(
            "SELECT count(*) FROM outbound_outcome WHERE sending_id = %s AND state = 'delivered'", [sending.pk]
        )
        if left:
            yield Suspicion("stopped", f"stopped {entry.pk}", {"people": left}, "sending", sending.pk)
    begun = Sending.objects.filter(workspace_id=workspace_id, kind="campaign", started_at__gt=since)
    for sending in begun.exclude(version_id=None):
        version = Version.objects.filter(pk=sending.version_id or 0).only("source", "text_source").first()
        found = others_in(workspace_id, f"{version.source}\n{version.text_source or ''}") if version else 0
        if found:
            yield Suspicion("others", f"others {sending.pk}", {"people": found}, "sending", sending.pk)


def others_in(workspace_id: int, text: str) -> int:
    """How many contacts have their address written out in this text."""
    keys = set()
    for address in _ADDRESS.findall(text)[:500]:
        try:
            keys.add(normalise(address).key)
        except AddressError:
            continue
    return Contact.objects.filter(workspace_id=workspace_id, email_key__in=keys).count() if keys else 0
