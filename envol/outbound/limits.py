"""How much a workspace may send: messages an hour and a day, set by the operator.

Campaigns and lists wait when it is used up; what somebody waits for counts and is never held for it. Couriers ask about
twice a second for everything in their hands, so a limit is kept to within what leaves in that time.
"""

from __future__ import annotations

from dataclasses import dataclass

from envol import db

_USED = (
    "(SELECT coalesce(sum(t.n), 0) FROM outbound_sending s JOIN outbound_tally t ON t.sending_id = s.id"
    " WHERE s.workspace_id = l.workspace_id AND s.kind <> 'system' AND t.state IN ('delivered', 'bounced')"
    " AND (s.ended_at IS NULL OR s.ended_at > now() - interval '{0}') AND t.minute > now() - interval '{0}')"
)
_HOUR, _DAY = _USED.format("1 hour"), _USED.format("1 day")


@dataclass(frozen=True, slots=True)
class Limit:
    """None: no limit. `hour`, `day`: messages that ended at their receivers within the last one."""

    per_hour: int | None
    per_day: int | None
    hour: int
    day: int


def over() -> list[int]:
    """Workspaces that have used up what they may."""
    return [
        row[0]
        for row in db.rows(
            "SELECT l.workspace_id FROM outbound_limit l"
            f" WHERE (l.per_hour IS NOT NULL AND {_HOUR} >= l.per_hour)"
            f" OR (l.per_day IS NOT NULL AND {_DAY} >= l.per_day)"
        )
    ]


def put(workspace_id: int, per_hour: int | None, per_day: int | None) -> None:
    """Set both limits; None takes one away. Raises ValueError."""
    if any(limit is not None and limit < 1 for limit in (per_hour, per_day)):
        raise ValueError("A limit is at least one message; without a number there is none.")
    db.execute(
        "INSERT INTO outbound_limit (workspace_id, per_hour, per_day) VALUES (%s, %s, %s)"
        " ON CONFLICT (workspace_id) DO UPDATE SET per_hour = excluded.per_hour, per_day = excluded.per_day",
        [workspace_id, per_hour, per_day],
    )


def of(workspace_id: int) -> Limit:
    """The limits of a workspace, and what it has used."""
    found = db.rows(
        f"SELECT k.per_hour, k.per_day, {_HOUR}::bigint, {_DAY}::bigint FROM (SELECT %s::int AS workspace_id) l"
        " LEFT JOIN outbound_limit k ON k.workspace_id = l.workspace_id",
        [workspace_id],
    )
    return Limit(*found[0])
