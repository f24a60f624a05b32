"""What this room erases, exports and describes of one person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import get_language

from envol.accounts.models import Workspace
from envol.consent import breaches, data_map, informing, registry
from envol.consent.data_map import Flow
from envol.consent.registry import Data
from envol.contacts import catalogue, export_files, forgotten_words, sealing, whence
from envol.contacts.models import Contact, Import, Membership, Property
from envol.db import dicts, execute, rows

_AT_ONCE = 2000
_OF_PERSON = (
    "contacts_property_history",
    "contacts_identifier",
    "contacts_membership",
    "contacts_note",
    "contacts_order",
    "contacts_search",
)


def erase(workspace_id: int, contact_id: int) -> Mapping[str, int]:
    person = [workspace_id, contact_id]
    forgotten_words.forget(workspace_id, contact_id)
    gone = {
        "contacts_import": forgotten_words.files(workspace_id, contact_id),
        "contacts_export": export_files.forget(workspace_id, contact_id),
        "contacts_order_line": execute(
            "DELETE FROM contacts_order_line WHERE order_id IN"
            " (SELECT id FROM contacts_order WHERE workspace_id = %s AND contact_id = %s)",
            person,
        ),
        "contacts_import_refusal": forgotten_words.refusals(workspace_id, contact_id),
        "contacts_import_change": execute(
            "DELETE FROM contacts_import_change c USING contacts_import i"
            " WHERE i.id = c.import_id AND i.workspace_id = %s AND c.contact_id = %s",
            person,
        ),
        "contacts_bulk_person": execute(
            "DELETE FROM contacts_bulk_person p USING contacts_bulk_act a"
            " WHERE a.id = p.bulk_id AND a.workspace_id = %s AND p.contact_id = %s",
            person,
        ),
    }
    for table in _OF_PERSON:
        gone[table] = execute(f"DELETE FROM {table} WHERE workspace_id = %s AND contact_id = %s", person)
    gone["contacts_contact"] = execute("DELETE FROM contacts_contact WHERE workspace_id = %s AND id = %s", person)
    return gone


def _opened(workspace_id: int, query: str, params: list[Any]) -> list[dict[str, Any]]:
    found = _plain(query, params, "value")
    for row in found:
        row["value"] = sealing.opened(workspace_id, row["value"])
    return found


def export(workspace_id: int, contact_id: int) -> Mapping[str, Any]:
    person = [workspace_id, contact_id]
    contact = _plain(
        "SELECT id, email, language, time_zone, tags, last_open_day, created_at, props, sources FROM contacts_contact"
        " WHERE workspace_id = %s AND id = %s",
        person,
        "tags",
        "props",
        "sources",
    )
    if not contact:
        return {}
    props, sources = contact[0].pop("props"), contact[0].pop("sources")
    labels = {
        row["id"]: row
        for row in _plain(
            "SELECT id, kind, label, at, declared FROM contacts_source WHERE workspace_id = %s AND id = ANY(%s)",
            [workspace_id, [int(i) for i in sources.values()]],
        )
    }
    known = catalogue.of(workspace_id)
    came = whence.of(workspace_id, contact_id)
    return {
        "contact": contact[0],
        "first_source": {
            "kind": came.kind,
            "label": came.label,
            "at": came.at.isoformat(),
            "given_by": came.by,
            "name": came.name,
            "taken_over_from": came.moved,
        }
        if came
        else None,
        "properties": [
            {
                "property": key,
                "sensitive": key in known and known[key].sensitive,
                "inferred": key in known and known[key].inferred,
                "value": sealing.opened(workspace_id, value),
                "source": labels.get(sources.get(key)),
            }
            for key, value in sorted(props.items())
        ],
        "earlier_values": _opened(
            workspace_id,
            "SELECT h.key AS property, h.value, h.until, s.label AS source FROM contacts_property_history h"
            " LEFT JOIN contacts_source s ON s.id = h.source_id"
            " WHERE h.workspace_id = %s AND h.contact_id = %s ORDER BY h.until, h.id",
            person,
        ),
        "identifiers": _plain(
            "SELECT kind, value FROM contacts_identifier WHERE workspace_id = %s AND contact_id = %s ORDER BY kind",
            person,
        ),
        "lists": _plain(
            "SELECT l.name, m.since, m.until FROM contacts_membership m JOIN contacts_list l ON l.id = m.list_id"
            " WHERE m.workspace_id = %s AND m.contact_id = %s ORDER BY m.since",
            person,
        ),
        "orders": _plain(
            "SELECT o.external_id AS id, o.at, o.amount, o.currency, o.code,"
            " coalesce((SELECT jsonb_agg(jsonb_build_object("
            "'product', l.product, 'category', l.category, 'quantity', l.quantity, 'amount', l.amount) ORDER BY l.id)"
            " FROM contacts_order_line l WHERE l.order_id = o.id), '[]') AS lines FROM contacts_order o"
            " WHERE o.workspace_id = %s AND o.contact_id = %s ORDER BY o.at",
            person,
            "lines",
        ),
        "notes": _plain(
            "SELECT at, text FROM contacts_note WHERE workspace_id = %s AND contact_id = %s ORDER BY at", person
        ),
    }


def _plain(query: str, params: list[Any], *jsonb: str) -> list[dict[str, Any]]:
    """Rows as JSON values; Django hands over the columns named in ``jsonb`` as text."""
    found = dicts(query, params)
    for row in found:
        for key, value in row.items():
            if key in jsonb and value is not None:
                row[key] = json.loads(value)
            elif hasattr(value, "isoformat"):
                row[key] = value.isoformat()
    return found


def describe() -> list[Data]:
    return [
        Data("contacts_contact", "address, language, time zone, declared and inferred properties, tags"),
        Data("contacts_data_key", "keys that seal sensitive values, sealed themselves", False, "8 days after the next"),
        Data("contacts_property_history", "earlier values of properties with their source"),
        Data("contacts_search", "address and names once more, to find people by a part of them"),
        Data("contacts_search_mark", "how far that was written", False),
        Data("contacts_identifier", "customer numbers and other names"),
        Data("contacts_membership", "stays on lists"),
        Data("contacts_note", "notes of members"),
        Data("contacts_order", "orders: date, amount"),
        Data("contacts_order_line", "what was ordered"),
        Data("contacts_import", "files that nobody took in yet, with three values of each column", True, "30 days"),
        Data("contacts_import_refusal", "lines of files that were refused", True, "30 days"),
        Data("contacts_import_change", "what an import changed, to undo it", True, "7 days"),
        Data("contacts_bulk_act", "what members did to many people at once", False),
        Data("contacts_bulk_person", "whom such an act changed and what was before, to undo it", True, "7 days"),
        Data("contacts_export", "files of people made for members, with what each holds", True, "7 days"),
        Data("contacts_gone", "numbers of people who were erased, until every copy is rid of them", True, "30 days"),
        Data("contacts_saved_view", "filters that members keep under a name", False),
        Data("contacts_source", "where values come from", False),
    ]


def flows(workspace: Workspace) -> Iterator[Flow]:
    """Properties with the purposes they may serve, and the files people came from."""
    french = (get_language() or "en").startswith("fr")
    for one in Property.objects.filter(workspace=workspace).order_by("key"):
        name = one.label_fr if french else one.label_en
        yield Flow("property", name, one.type, ref=one.pk, purposes=one.purposes, sensitive=one.sensitive)
    brought = Import.objects.filter(workspace=workspace, state="done").order_by("-id")
    for one_import in brought.only("id", "file_name")[:20]:
        yield Flow("import", one_import.file_name, ref=one_import.pk)


def _everybody(workspace: Workspace, ref: int | None, after: int) -> list[breaches.Person]:
    found = Contact.objects.filter(workspace_id=workspace.pk, pk__gt=after).order_by("pk")
    return [breaches.Person(*row) for row in found.values_list("pk", "email", "language")[:_AT_ONCE]]


def _of_list(workspace: Workspace, ref: int | None) -> QuerySet[Membership]:
    return Membership.objects.filter(workspace_id=workspace.pk, list_id=ref or 0, until=None)


def _on_list(workspace: Workspace, ref: int | None, after: int) -> list[breaches.Person]:
    found = rows(
        "SELECT DISTINCT c.id, c.email, c.language FROM contacts_membership m JOIN contacts_contact c ON c.id ="
        " m.contact_id AND c.workspace_id = m.workspace_id WHERE m.workspace_id = %s AND m.list_id = %s"
        " AND m.until IS NULL AND c.id > %s ORDER BY c.id LIMIT %s",
        [workspace.pk, ref, after, _AT_ONCE],
    )
    return [breaches.Person(*row) for row in found]


def _untold(workspace: Workspace, ref: int | None, after: int) -> list[breaches.Person]:
    """Who must still be told where her data came from, of one origin."""
    found = rows(
        f"SELECT c.id, c.email, c.language FROM contacts_contact c WHERE c.workspace_id = %s AND c.id > %s"
        f" AND c.id IN ({informing.WAITING_SQL}) ORDER BY c.id LIMIT %s",
        [workspace.pk, after, workspace.pk, ref, _AT_ONCE],
    )
    return [breaches.Person(*row) for row in found]


def _how_many_untold(workspace: Workspace, ref: int | None) -> int:
    return int(rows(f"SELECT count(*) FROM ({informing.WAITING_SQL}) AS waiting", [workspace.pk, ref])[0][0])


def _scopes() -> None:
    breaches.register_scope(
        "everybody",
        breaches.Scope(lambda ws, ref: Contact.objects.filter(workspace_id=ws.pk).count(), _everybody),
    )
    breaches.register_scope(informing.SCOPE, breaches.Scope(_how_many_untold, _untold))
    breaches.register_scope(
        "list",
        breaches.Scope(
            lambda ws, ref: Membership.objects.filter(workspace_id=ws.pk, list_id=ref or 0, until=None).count(),
            _on_list,
        ),
    )


def register() -> None:
    _scopes()
    data_map.register_flows(flows)
    registry.register("contacts", erase=erase, export=export, describe=describe)
