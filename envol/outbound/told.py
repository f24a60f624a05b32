"""What a program may be told of copies of messages: to whom, and what its own program said of the message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from envol.content.models import Version
from envol.db import dicts
from envol.outbound.models import Sending
from envol.outbound.privacy import ERASED


@dataclass(frozen=True, slots=True)
class Copy:
    """One recipient of one sending. single: a message with its own words, which its program handed in."""

    sending_id: int
    no: int
    address: str
    contact_id: int | None
    campaign_id: int | None
    single: bool
    custom_id: str = ""
    payload: str = ""
    campaign: str = ""

    @property
    def number(self) -> int:
        """A number of this copy alone: what the send API answered, or one beyond those for a campaign's."""
        return self.no if self.single else (1 << 62) | self.sending_id << 36 | self.no


def copies(keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Copy]:
    """Whoever was erased is absent. Messages that lost their words after their time lost these marks with them."""
    wanted = sorted(set(keys))
    found = dicts(
        "SELECT s.sending_id, s.no, s.address, s.contact_id, x.campaign_id, s.message_id IS NOT NULL AS single,"
        " coalesce(m.header->>'custom_id', '') AS custom_id, coalesce(m.header->>'event_payload', '') AS payload,"
        " coalesce(m.header->>'campaign', '') AS campaign"
        " FROM unnest(%s::bigint[], %s::bigint[]) AS w (sending_id, no)"
        " JOIN outbound_send s ON s.sending_id = w.sending_id AND s.no = w.no"
        " JOIN outbound_sending x ON x.id = s.sending_id"
        " LEFT JOIN outbound_message m ON m.id = s.message_id",
        [[one for one, _ in wanted], [no for _, no in wanted]],
    )
    return {(row["sending_id"], row["no"]): Copy(**row) for row in found if row["address"] != ERASED}


def links(sendings: Iterable[int]) -> dict[tuple[int, int], str]:
    """(sending, number of a link) → where it leads; what a template fills in for each person is not among them."""
    of = dict(Sending.objects.filter(id__in=set(sendings), version_id__isnull=False).values_list("id", "version_id"))
    versions = dict(Version.objects.filter(id__in=set(of.values())).values_list("id", "links"))
    return {
        (sending, int(link["no"])): str(link["url"])
        for sending, version in of.items()
        for link in versions.get(version or 0, ())
        if "{" not in str(link["url"])
    }
