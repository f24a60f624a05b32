"""When a person was last heard of by an act of her own; kept when the month that showed it is dropped."""

from __future__ import annotations

from envol.db import execute
from envol.events.models import Kind

KINDS = (Kind.CLICKED, Kind.PERMISSION, Kind.ORDERED, Kind.UNSUBSCRIBED, Kind.CUSTOM)
_KINDS = ", ".join(str(int(kind)) for kind in KINDS)

ACTED_SQL = (
    "(EXISTS (SELECT FROM events_event e WHERE e.contact_id = {0}.id AND e.at >= %(before)s"
    f" AND e.kind IN ({_KINDS}) AND e.machine IS NULL)"
    " OR EXISTS (SELECT FROM events_last_act l WHERE l.contact_id = {0}.id AND l.at >= %(before)s))"
)
"""Did this row of contacts act since ``before``? An open is none: a machine may have done it."""


def remember(table: str) -> int:
    """Keep the last act of everybody in a partition that is about to go."""
    return execute(
        "INSERT INTO events_last_act AS l (workspace_id, contact_id, at)"
        f" SELECT workspace_id, contact_id, max(at) FROM {table}"
        f" WHERE contact_id IS NOT NULL AND kind IN ({_KINDS}) AND machine IS NULL GROUP BY 1, 2"
        " ON CONFLICT (contact_id) DO UPDATE SET at = greatest(l.at, excluded.at)"
    )
