"""Everything that happened to a person, newest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from envol.accounts.models import User
from envol.consent.privacy import answers
from envol.contacts.models import Contact, List, Membership, Note, Order, PropertyHistory, Source
from envol.contacts.sealing import is_sealed
from envol.events.models import Event, Kind


class Entry(NamedTuple):
    """``kind``: arrived, granted, withdrawn, refused, objected, requested, lapsed, joined, left, ordered, changed,
    noted, or an event's own (accepted, delivered, opened, clicked…); ``facts`` is what a page needs to say it.
    """

    at: datetime
    kind: str
    facts: dict[str, Any]


Provider = Callable[[int, int, int], Iterable[Entry]]
_providers: list[Provider] = []


def register(provider: Provider) -> Provider:
    """Let a room above add its entries: ``provider(workspace_id, contact_id, most)``, newest first."""
    _providers.append(provider)
    return provider


def timeline(contact: Contact, most: int = 200) -> list[Entry]:
    """The newest entries of one person, from every room that knows something of her."""
    found = [Entry(contact.created_at, "arrived", {})]
    found += _permissions(contact)
    found += _stays(contact, most)
    found += _orders(contact, most)
    found += _changes(contact, most)
    found += _notes(contact, most)
    found += _events(contact, most)
    for provider in _providers:
        found += provider(contact.workspace_id, contact.id, most)
    found.sort(key=lambda entry: entry.at, reverse=True)
    return found[:most]


def _permissions(contact: Contact) -> list[Entry]:
    keys = ("purpose", "basis", "strength", "source", "proof")
    return [
        Entry(row["since"], row["state"], {key: row[key] for key in keys})
        for row in answers(contact.workspace_id, contact.id)
    ]


def _stays(contact: Contact, most: int) -> list[Entry]:
    stays = list(Membership.objects.filter(contact_id=contact.id).order_by("-since")[:most])
    names = dict(List.objects.filter(pk__in={stay.list_id for stay in stays}).values_list("id", "name"))
    entries = [Entry(stay.since, "joined", {"list": names.get(stay.list_id, "")}) for stay in stays]
    return entries + [Entry(stay.until, "left", {"list": names.get(stay.list_id, "")}) for stay in stays if stay.until]


def _orders(contact: Contact, most: int) -> list[Entry]:
    return [
        Entry(order.at, "ordered", {"order": order.external_id, "amount": order.amount, "currency": order.currency})
        for order in Order.objects.filter(contact_id=contact.id).order_by("-at")[:most]
    ]


def _changes(contact: Contact, most: int) -> list[Entry]:
    changes = list(PropertyHistory.objects.filter(contact_id=contact.id).order_by("-until")[:most])
    labels = dict(Source.objects.filter(pk__in={c.source_id for c in changes}).values_list("id", "label"))
    return [
        Entry(
            c.until,
            "changed",
            {
                "property": c.key,
                "before": "•••" if is_sealed(c.value) else c.value,
                "source_before": labels.get(c.source_id or 0),
            },
        )
        for c in changes
    ]


def _notes(contact: Contact, most: int) -> list[Entry]:
    notes = list(Note.objects.filter(contact_id=contact.id).order_by("-at")[:most])
    names = {user.pk: str(user) for user in User.objects.filter(pk__in={n.author_id for n in notes})}
    return [
        Entry(note.at, "noted", {"text": note.text, "author": names.get(note.author_id or 0, "")}) for note in notes
    ]


# Told by this room's own tables, with more detail.
_TOLD = (Kind.LIST_JOINED, Kind.LIST_LEFT, Kind.PERMISSION, Kind.ORDERED, Kind.CONTACT_CHANGED)


def _events(contact: Contact, most: int) -> list[Entry]:
    events = Event.objects.filter(contact_id=contact.id, workspace_id=contact.workspace_id).exclude(kind__in=_TOLD)
    return [
        Entry(
            event.at,
            str(Kind(event.kind).label),
            {"sending": event.sending_id, "link": event.link, "machine": event.machine} | (event.facts or {}),
        )
        for event in events.order_by("-at")[:most]
    ]
