"""How far an import is, for a page that stays open."""

from __future__ import annotations

from typing import Any

from envol.accounts import jobs
from envol.contacts.models import Import


def figures(workspace_id: int, import_id: int) -> dict[str, Any] | None:
    """State of the import and progress of its job as plain values; None when this workspace has no such import."""
    found = Import.objects.filter(workspace_id=workspace_id, id=import_id).values_list("state", "job_id").first()
    if found is None:
        return None
    state, job_id = found
    return {"state": state, "job": jobs.figures(workspace_id, job_id) if job_id else None}
