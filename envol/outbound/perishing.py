"""Codes: what they are good for ends by the clock, wherever they are. Too late is not sent at all.

Other messages have a lifetime that counts from the first attempt, and in attempts, so that neither a road that was
shut nor a clock that jumps ends them. A code is worthless after its minutes, and whoever asked for it has another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from envol import db

if TYPE_CHECKING:
    from envol.outbound.lease import Row

CODE_LIFETIME = 15 * 60
"""Seconds from when a code was made."""

MADE = "made"
"""The fact of a message that says when, as ISO; without it the code was made when the message was accepted."""

TOO_LATE = "too_late"
"""The cause of what ended so; its state is `expired`."""


def over(held: Sequence[Row]) -> set[tuple[int, int]]:
    """Of these rows of one sending those it is too late for, by their keys; nobody where it is none of codes."""
    if not held or held[0].sending.lifetime_seconds > CODE_LIFETIME:
        return set()
    sending = held[0].sending
    found = db.rows(
        "SELECT s.no FROM unnest(%s::bigint[]) AS k (no) JOIN outbound_send s ON s.sending_id = %s AND s.no = k.no"
        " LEFT JOIN outbound_message m ON m.id = s.message_id"
        " WHERE coalesce((m.header ->> %s)::timestamptz, s.created_at) + make_interval(secs => %s) <= now()",
        [[row.no for row in held], sending.id, MADE, sending.lifetime_seconds],
    )
    return {(sending.id, no) for (no,) in found}
