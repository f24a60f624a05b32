"""Whose time is over: people who have not been heard of for longer than the organisation may keep them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from envol.consent import registry, retention
from envol.contacts.models import Contact
from envol.db import rows
from envol.events import acts as events

# A click, an order, a permission she gave or something told of her; an open is no contact by the person.
_OVER = (
    "SELECT c.id FROM contacts_contact c WHERE c.workspace_id = %(w)s AND c.created_at < %(before)s"
    f" AND NOT {retention.HOLD_SQL.format('c')} AND NOT {events.ACTED_SQL.format('c')}"
    " AND NOT EXISTS (SELECT FROM consent_permission p WHERE p.contact_id = c.id AND p.since >= %(before)s"
    "  AND p.state IN ('granted', 'requested'))"
    " AND NOT EXISTS (SELECT FROM contacts_order o WHERE o.contact_id = c.id AND o.at >= %(before)s)"
    " AND {bought} EXISTS (SELECT FROM contacts_order o WHERE o.contact_id = c.id)"
    " ORDER BY c.id LIMIT %(most)s"
)


def _prospects(workspace_id: int, before: datetime, most: int) -> Sequence[int]:
    return _over("NOT", workspace_id, before, most)


def _customers(workspace_id: int, before: datetime, most: int) -> Sequence[int]:
    return _over("", workspace_id, before, most)


def _over(bought: str, workspace_id: int, before: datetime, most: int) -> list[int]:
    query = _OVER.replace("{bought}", bought)
    return [row[0] for row in rows(query, {"w": workspace_id, "before": before, "most": most})]


def _erase(workspace_id: int, ids: Sequence[int]) -> int:
    done = 0
    for person in Contact.objects.filter(workspace_id=workspace_id, pk__in=list(ids)):
        if retention.held(workspace_id, person.pk):  # since they were found
            continue
        registry.erase_person(
            workspace_id, person.pk, person.email_key, cause="end of the retention period", actor="job",
            born=person.created_at,
        )  # fmt: skip
        done += 1
    return done


def register() -> None:
    retention.register("prospects", _prospects, _erase)
    retention.register("customers", _customers, _erase)
