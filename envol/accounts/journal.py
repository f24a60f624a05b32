"""The audit journal: who did what to which thing."""

from __future__ import annotations

from typing import Any

from django.db.models import Model

from envol.accounts.models import JournalEntry, Workspace


def note(
    workspace: Workspace | int | None,
    actor: str,
    action: str,
    thing: Model | None = None,
    /,
    *,
    actor_id: int | None = None,
    **facts: Any,
) -> JournalEntry:
    """Write one line. ``actor`` is member, key, command, job or person; ``facts`` hold no address."""
    workspace_id = workspace.id if isinstance(workspace, Workspace) else workspace
    return JournalEntry.objects.create(
        workspace_id=workspace_id,
        actor_kind=actor,
        actor_id=actor_id,
        action=action,
        object_kind=(thing._meta.model_name or "") if thing else "",
        object_id=thing.pk if thing and isinstance(thing.pk, int) else None,
        facts=facts,
    )
