"""How many messages of campaigns reached each of a few people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from envol import db
from envol.outbound.models import Sending

MOST_LOOKS = 200_000
"""Sendings times people: each is one look into an index."""


def counts(workspace_id: int, contact_ids: Sequence[int]) -> dict[int, int]:
    """Delivered messages of campaigns by contact; empty when looking would take seconds."""
    kinds = ("campaign", "resend", "again")
    sendings = list(Sending.objects.filter(workspace_id=workspace_id, kind__in=kinds).values_list("pk", flat=True))
    if not contact_ids or not sendings or len(sendings) * len(contact_ids) > MOST_LOOKS:
        return {}
    return dict(
        db.rows(
            "SELECT o.no, count(*) FROM unnest(%s::bigint[]) k (id) CROSS JOIN unnest(%s::bigint[]) p (id)"
            " JOIN outbound_outcome o ON o.sending_id = k.id AND o.no = p.id AND o.state = 'delivered' GROUP BY o.no",
            [sendings, list(contact_ids)],
        )
    )


def states(workspace_id: int, contact_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """What became of campaigns' messages to these people: contact → state → messages. As `counts`."""
    kinds = ("campaign", "resend", "again")
    sendings = list(Sending.objects.filter(workspace_id=workspace_id, kind__in=kinds).values_list("pk", flat=True))
    found: dict[int, dict[str, int]] = {one: {} for one in contact_ids}
    if not contact_ids or not sendings or len(sendings) * len(contact_ids) > MOST_LOOKS:
        return found
    for contact, state, many in db.rows(
        "SELECT s.no, coalesce(o.state, 'queued'), count(*) FROM unnest(%s::bigint[]) k (id)"
        " CROSS JOIN unnest(%s::bigint[]) p (id) JOIN outbound_send s ON s.sending_id = k.id AND s.no = p.id"
        " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no GROUP BY 1, 2",
        [sendings, list(contact_ids)],
    ):
        found[contact][state] = many
    return found


@dataclass(frozen=True, slots=True)
class NotDelivered:
    """One message that did not arrive."""

    sending_id: int
    no: int
    single: bool
    contact_id: int | None
    campaign_id: int | None
    at: datetime
    state: str
    cause: str

    @property
    def number(self) -> int:
        """The number by which programs know it: see `envol.outbound.told.Copy`."""
        return self.no if self.single else (1 << 62) | self.sending_id << 36 | self.no


def not_delivered(
    sendings: Sequence[int],
    since: datetime,
    until: datetime,
    limit: int,
    offset: int = 0,
    *,
    campaign: str | None = None,
) -> list[NotDelivered]:
    """What bounced, expired or was suppressed in this time, oldest first. ``campaign``: single messages under this word
    of their program alone."""
    found = db.rows(
        "SELECT o.sending_id, o.no, s.message_id IS NOT NULL, s.contact_id, x.campaign_id, o.at, o.state, o.cause"
        " FROM outbound_outcome o JOIN outbound_send s ON s.sending_id = o.sending_id AND s.no = o.no"
        " JOIN outbound_sending x ON x.id = o.sending_id WHERE o.sending_id = ANY(%s) AND o.state <> 'delivered'"
        " AND o.state IN ('bounced', 'expired', 'suppressed') AND o.at >= %s AND o.at < %s"
        " AND (%s::text IS NULL OR EXISTS (SELECT FROM outbound_message m"
        "  WHERE m.id = s.message_id AND m.header->>'campaign' = %s))"
        " ORDER BY o.at, o.sending_id, o.no LIMIT %s OFFSET %s",
        [list(sendings), since, until, campaign, campaign, limit, offset],
    )
    return [NotDelivered(*row) for row in found]
