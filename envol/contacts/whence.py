"""Where a person's data came from first, and who gave them: what her page says, and an answer to a request (GDPR
art. 14(2)(f), 15(1)(g))."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, NamedTuple

from envol.accounts.models import Workspace
from envol.contacts.imports.origin import MOVED, OTHER, PEOPLE, PROGRAM
from envol.db import rows


class Whence(NamedTuple):
    """The first source that is known. ``by``: who gave the data, as `envol.contacts.imports.origin` calls it, or her
    own act (``herself``), a member (``member``), a program whose key says nothing (``program``); "" when not known."""

    kind: str  # import, form, api, message, member, …
    label: str
    at: datetime
    by: str
    name: str  # of somebody else, of the former platform, of the program
    moved: str  # the platform that the data were taken over from
    import_id: int | None
    key_id: int | None


_FIRST = (
    "SELECT s.kind, s.label, s.at, s.actor, s.import_id, i.origin FROM contacts_source s"
    " LEFT JOIN contacts_import i ON i.id = s.import_id AND i.workspace_id = s.workspace_id"
    " WHERE s.workspace_id = %(w)s AND s.kind <> 'inference' AND s.id IN ("
    "  SELECT e.value::bigint FROM contacts_contact c, jsonb_each_text(c.sources) e"
    "   WHERE c.workspace_id = %(w)s AND c.id = %(c)s"
    "  UNION SELECT c.source_id FROM contacts_contact c WHERE c.workspace_id = %(w)s AND c.id = %(c)s"
    "  UNION SELECT m.source_id FROM contacts_membership m WHERE m.workspace_id = %(w)s AND m.contact_id = %(c)s"
    "  UNION SELECT h.source_id FROM contacts_property_history h"
    "   WHERE h.workspace_id = %(w)s AND h.contact_id = %(c)s) ORDER BY s.at, s.id LIMIT 1"
)
_OWN = {"form": "herself", "person": "herself", "member": "member"}


def of(workspace_id: int, contact_id: int) -> Whence | None:
    """None when nobody wrote it down: an address alone, of before that was kept."""
    found = rows(_FIRST, {"w": workspace_id, "c": contact_id})
    if not found:
        return None
    kind, label, at, actor, import_id, said = found[0]
    origin = json.loads(said) if isinstance(said, str) else said or {}
    by = origin.get("by", OTHER if origin else _OWN.get(kind, ""))
    key_id = int(actor[4:]) if actor.startswith("key ") and actor[4:].isdigit() else None
    if kind in ("api", "message") and not origin:
        by = PROGRAM
    moved = origin.get("moved", origin.get("name", "") if by == MOVED else "")
    return Whence(kind, label, at, by, origin.get("name", ""), moved, import_id, key_id)


def keys_that_brought(workspace_id: int) -> set[int]:
    """Numbers of the programs' keys by which people came, one by one or in files."""
    found = rows(
        "SELECT DISTINCT substr(actor, 5)::bigint FROM contacts_source WHERE workspace_id = %s"
        " AND kind IN ('api', 'import') AND actor ~ '^key [0-9]{1,18}$'",
        [workspace_id],
    )
    return {number for (number,) in found}


def brought_by(workspace: Workspace, key_id: int) -> tuple[date, tuple[str, dict[str, Any]]] | None:
    """The first day on which this key brought somebody, and whom it brought in all (a SELECT of ids with its
    parameters); None when nobody."""
    sources = rows(
        "SELECT id, at FROM contacts_source WHERE workspace_id = %s AND kind IN ('api', 'import') AND actor = %s"
        " ORDER BY at",
        [workspace.pk, f"key {key_id}"],
    )
    if not sources:
        return None
    query = (
        "SELECT c.id FROM contacts_contact c WHERE c.workspace_id = %(w)s AND EXISTS (SELECT FROM"
        " jsonb_each_text(c.sources) e WHERE e.value = ANY(%(texts)s))"
        " UNION SELECT c.id FROM contacts_contact c WHERE c.workspace_id = %(w)s AND c.source_id = ANY(%(ids)s)"
        " UNION SELECT m.contact_id FROM contacts_membership m WHERE m.workspace_id = %(w)s"
        " AND m.source_id = ANY(%(ids)s)"
    )
    ids = [number for number, _ in sources]
    first = sources[0][1].astimezone(workspace.zone).date()
    return first, (query, {"w": workspace.pk, "ids": ids, "texts": [str(number) for number in ids]})


__all__ = ["MOVED", "OTHER", "PEOPLE", "PROGRAM", "Whence", "brought_by", "keys_that_brought", "of"]
