"""Words of single messages go after their term; who got what, when, and how it ended stays (GDPR art. 5(1)(e))."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from envol.consent import retention
from envol.db import execute, rows

# The condition is that of the index ``outbound_message_worded``: what was emptied is not read again.
_OVER = (
    "SELECT m.id FROM outbound_message m WHERE m.workspace_id = %(w)s AND m.created_at < %(before)s"
    " AND (m.text <> '' OR m.html <> '' OR m.raw IS NOT NULL)"
    " AND NOT EXISTS (SELECT FROM outbound_send s WHERE s.sending_id = m.sending_id AND s.message_id = m.id"
    "  AND NOT EXISTS (SELECT FROM outbound_outcome o WHERE o.sending_id = s.sending_id AND o.no = s.no))"
    " ORDER BY m.created_at, m.id LIMIT %(most)s"
)


def _find(workspace_id: int, before: datetime, most: int) -> Sequence[int]:
    """Messages whose every recipient has an outcome: what still waits keeps its words."""
    return [row[0] for row in rows(_OVER, {"w": workspace_id, "before": before, "most": most})]


def _empty(workspace_id: int, ids: Sequence[int]) -> int:
    return execute(
        "UPDATE outbound_message SET text = '', html = '', raw = NULL, header = header - 'subject'"
        " WHERE workspace_id = %s AND id = ANY(%s)",
        [workspace_id, list(ids)],
    )


def register() -> None:
    retention.register("messages", _find, _empty)
