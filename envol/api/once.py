"""A campaign of a program's own reaches a person once, where the program asks for it."""

from __future__ import annotations

from collections.abc import Sequence

from envol.db import execute, rows

KEPT = "13 months"
"""How long it is known who got a campaign: a year's, and the month in which the next one is made."""


def first_time(workspace_id: int, campaign: str, contact_ids: Sequence[int]) -> set[int]:
    """Those of the people who had nothing of this campaign yet; from now on they had. In the caller's transaction."""
    return {
        found
        for (found,) in rows(
            "INSERT INTO api_once (workspace_id, campaign, contact_id) SELECT %s, %s, c FROM unnest(%s::bigint[]) c"
            " ON CONFLICT DO NOTHING RETURNING contact_id",
            [workspace_id, campaign, sorted(set(contact_ids))],
        )
    }


def forget() -> int:
    """Drop what is older than it is needed."""
    return execute(f"DELETE FROM api_once WHERE at < now() - interval '{KEPT}'")
