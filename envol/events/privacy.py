"""What events keep of one person, and how she leaves them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction

from envol.db import dicts, execute
from envol.events import outbox
from envol.events.models import Kind


def erase(workspace_id: int, contact_id: int) -> Mapping[str, int]:
    """Reactions lose the person and stay as nameless ones, so that sums of past sendings hold; the rest goes."""
    with transaction.atomic():
        nameless = execute(
            "UPDATE events_event SET contact_id = NULL, facts = NULL"
            " WHERE workspace_id = %s AND contact_id = %s AND sending_id IS NOT NULL",
            [workspace_id, contact_id],
        )
        gone = execute(
            "DELETE FROM events_event WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        )
        mails = execute(
            "DELETE FROM events_mail_request WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        )
        last = execute(
            "DELETE FROM events_last_act WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
        )
        told = outbox.erase(workspace_id, contact_id)
    return {
        "events_last_act": last,
        "events_event": nameless + gone,
        "events_mail_request": mails,
        "events_outbox": told,
    }


def export(workspace_id: int, contact_id: int) -> Mapping[str, Any]:
    found = dicts(
        "SELECT at, kind, sending_id AS sending, link, machine, facts FROM events_event"
        " WHERE workspace_id = %s AND contact_id = %s ORDER BY at, id",
        [workspace_id, contact_id],
    )
    for row in found:
        row["at"] = row["at"].isoformat()
        row["kind"] = str(Kind(row["kind"]).label)
        row["facts"] = json.loads(row["facts"]) if row["facts"] else None
    last = dicts(
        "SELECT at FROM events_last_act WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
    )
    told = dicts(
        "SELECT o.at, o.kind, o.state, e.url FROM events_outbox o JOIN events_endpoint e ON e.id = o.endpoint_id"
        " WHERE o.workspace_id = %s AND o.contact_id = %s ORDER BY o.id",
        [workspace_id, contact_id],
    )
    for row in told:
        row["at"] = row["at"].isoformat()
        row["kind"] = str(Kind(row["kind"]).label)
    last_at = last[0]["at"].isoformat() if last else None
    return {"events": found, "last_act_before": last_at, "told_to_programs": told}
