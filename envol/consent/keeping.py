"""What consent itself keeps for a term: evidence that proves nothing any more, refusals that ended, old recipients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from envol.consent import retention
from envol.db import execute, rows

# category → (ids of what is over, what takes them away). Evidence that any answer still names stays whole, whatever
# its age: the lines of the ledger commit to it. A refusal that ended has no number: its moment stands for it.
_WAYS = {
    "evidence": (
        "SELECT e.id FROM consent_evidence e WHERE e.workspace_id = %(w)s AND e.created_at < %(before)s"
        " AND NOT EXISTS (SELECT FROM consent_permission p WHERE p.workspace_id = %(w)s AND p.evidence_id = e.id)"
        " ORDER BY e.id LIMIT %(most)s",
        "DELETE FROM consent_evidence WHERE workspace_id = %(w)s AND id = ANY(%(ids)s)",
    ),
    "refusals": (
        "SELECT DISTINCT (extract(epoch FROM ended) * 1000000)::bigint AS moment FROM consent_suppression_past"
        " WHERE workspace_id = %(w)s AND ended < %(before)s ORDER BY moment LIMIT %(most)s",
        "DELETE FROM consent_suppression_past WHERE workspace_id = %(w)s"
        " AND (extract(epoch FROM ended) * 1000000)::bigint = ANY(%(ids)s)",
    ),
    "processors": (
        "SELECT id FROM consent_processor WHERE workspace_id = %(w)s AND ended_on < %(before)s::date ORDER BY id"
        " LIMIT %(most)s",
        "DELETE FROM consent_processor WHERE workspace_id = %(w)s AND id = ANY(%(ids)s)",
    ),
}


def _find(query: str) -> Callable[[int, datetime, int], Sequence[int]]:
    def find(workspace_id: int, before: datetime, most: int) -> Sequence[int]:
        return [row[0] for row in rows(query, {"w": workspace_id, "before": before, "most": most})]

    return find


def _delete(statement: str) -> Callable[[int, Sequence[int]], int]:
    def delete(workspace_id: int, ids: Sequence[int]) -> int:
        return execute(statement, {"w": workspace_id, "ids": list(ids)})

    return delete


def register() -> None:
    for category, (query, statement) in _WAYS.items():
        retention.register(category, _find(query), _delete(statement))
