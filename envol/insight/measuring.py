"""Who is behind a token, and how far she may be measured at this moment.

The events room asks for each batch of hits; what it needs lies in rooms above it, so the answer is registered
at start. Whatever is missing (a recipient that was erased, a workspace that went) is answered with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from envol.accounts.models import Workspace
from envol.consent.gates import Tracking, tracking_level
from envol.db import execute, rows, sql
from envol.events.hits import Level, Recipient


def behind(tokens: Sequence[tuple[int, int | None]]) -> list[Recipient | None]:
    """For each (sending, number) its recipient with the levels of now; three queries whatever the size."""
    answer: list[Recipient | None] = [None] * len(tokens)
    found = rows(
        sql("outbound", "behind_tokens"),
        {"sendings": [sending for sending, _ in tokens], "nos": [no for _, no in tokens]},
    )
    contacts = {
        (workspace_id, contact): (allowed, refused, country)
        for contact, workspace_id, allowed, refused, country in rows(
            sql("contacts", "measuring_masks"), {"contacts": sorted({row[4] for row in found if row[4] is not None})}
        )
    }
    workspaces = Workspace.objects.in_bulk({row[1] for row in found})
    now = datetime.now(UTC)
    for n, workspace_id, since, known, contact, ended, single in found:
        workspace = workspaces.get(workspace_id)
        if workspace is None:
            continue
        if tokens[n - 1][1] is None:
            level = _in_sum(workspace)
            answer[n - 1] = Recipient(workspace_id, None, Level(level.opens), Level(level.clicks), since)
            continue
        masks = contacts.get((workspace_id, contact))
        if not known or masks is None:
            continue
        level = tracking_level(workspace, *masks)
        # No outcome yet: the courier heard the receiver's answer a moment ago and its commit is on the way.
        answer[n - 1] = Recipient(
            workspace_id, contact, Level(level.opens), Level(level.clicks), since, ended or now, single
        )
    return answer


def _in_sum(workspace: Workspace) -> Tracking:
    """A token that is the same for everybody measures in sum, unless the workspace measures nothing any more."""
    return Tracking(
        "none" if workspace.opens_mode == "none" else "aggregate",
        "none" if workspace.clicks_mode == "none" else "aggregate",
    )


def keep_open_days(days: Sequence[tuple[int, date]]) -> None:
    """Overwrite the day of the last open of these contacts."""
    execute(
        sql("contacts", "last_open_day"),
        {"contacts": [contact for contact, _ in days], "days": [day for _, day in days]},
    )
