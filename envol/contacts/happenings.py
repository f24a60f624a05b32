"""Custom events as programs tell them: each line names a person, an event and when, and what else is worth knowing.

::

    {"event": "appointment_booked", "email": "zoe@lecteurs.example", "at": "2027-03-01T10:00:00+01:00",
     "id": "rdv-17", "properties": {"shop": "Lyon", "amount": 12.5}}

A person is named by ``email``, by ``contact`` (our number) or by ``identifier`` ("customer:4711"). Nobody is taken
in by an event and nothing is permitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.db import rows
from envol.events.custom import Book, NewCustom, Untold, clean_name, clean_properties, storable, write
from envol.wire.address import AddressError, normalise

_BATCH = 5000
_KEYS = {"event", "email", "contact", "identifier", "at", "id", "properties"}
OLDEST = timedelta(days=3650)
_EMAIL, _CONTACT = "=email", "=contact"  # no identifier is called so


@dataclass
class Told:
    """``refused``: (place in what was given, from 0, and the sentence that says why)."""

    added: int = 0
    known: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


class _Line(NamedTuple):
    place: int
    name: str
    who: tuple[str, str]
    at: datetime
    properties: dict[str, Any]
    given: str


def tell(workspace: Workspace, lines: Iterable[Any]) -> Told:
    """Keep what is told; a line that was told before, with its id and moment, changes nothing.

    Malformed lines are refused each with a sentence, the others kept, some thousands a transaction.
    """
    result = Told()
    numbered = enumerate(lines)
    while batch := list(islice(numbered, _BATCH)):
        with transaction.atomic():
            _batch(workspace.pk, batch, result)
    result.refused.sort()
    return result


def _batch(workspace_id: int, batch: list[tuple[int, Any]], result: Told) -> None:
    now = datetime.now(UTC)
    lines = []
    for place, raw in batch:
        try:
            lines.append(_read(place, raw, now))
        except ValueError as wrong:
            result.refused.append((place, str(wrong)))
    people = _people(workspace_id, {line.who for line in lines})
    book = Book.open(workspace_id)
    told = []
    for line in lines:
        contact = people.get(line.who)
        if contact is None:
            result.refused.append((line.place, _("Nobody here is this person; add the person first.")))
            continue
        try:
            book.enter(line.name, line.properties)
        except Untold as wrong:
            result.refused.append((line.place, str(wrong)))
            continue
        told.append(NewCustom(line.name, contact, line.at, line.properties, line.given))
    added = write(workspace_id, book, told)
    result.added += added
    result.known += len(told) - added


def _read(place: int, raw: Any, now: datetime) -> _Line:
    if not isinstance(raw, Mapping):
        raise Untold(_("An event is one JSON object."))
    if unknown := sorted(str(key)[:40] for key in set(raw) - _KEYS):
        raise Untold(_("An event does not know %(what)s; put it into “properties”.") % {"what": ", ".join(unknown)})
    name, properties = clean_name(raw.get("event")), clean_properties(raw.get("properties"))
    given = raw.get("id", "")
    given = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    if not isinstance(given, str) or len(given) > 200 or not storable(given):
        raise Untold(_("An id is a text of at most 200 characters."))
    if given and "at" not in raw:
        raise Untold(_("An event with an id needs its moment too: together they tell it from all others."))
    return _Line(place, name, _who(raw), _moment(raw.get("at"), now), properties, given)


def _moment(raw: Any, now: datetime) -> datetime:
    if raw is None:
        return now
    try:
        at = datetime.fromisoformat(raw)
        if at.tzinfo is None:
            raise ValueError
    except (TypeError, ValueError):
        raise Untold(
            _("Write the moment with its zone, like %(example)s.") % {"example": "2027-03-01T10:00:00+01:00"}
        ) from None
    if not now - OLDEST <= at <= now + timedelta(days=1):
        raise Untold(_("This moment is not possible; correct it."))
    return at


def _who(raw: Mapping[str, Any]) -> tuple[str, str]:
    """(kind of name, name): the normalised address, our number, or an identifier."""
    named = [key for key in ("email", "contact", "identifier") if raw.get(key) is not None]
    if len(named) != 1:
        raise Untold(_("Name the person by one of email, contact or identifier."))
    value = raw[named[0]]
    match named[0]:
        case "contact":
            if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 62:
                raise Untold(_("“contact” is the number of a person."))
            return _CONTACT, str(value)
        case "email":
            try:
                return _EMAIL, normalise(value if isinstance(value, str) else "").key
            except AddressError as wrong:
                raise Untold(str(wrong)) from None
    kind, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not (colon and kind.strip() and name.strip()) or not storable(value) or kind.strip() in (_EMAIL, _CONTACT):
        raise Untold(_("Write an identifier with its kind, like %(example)s.") % {"example": "customer:4711"})
    return kind.strip(), name.strip()


def _people(workspace_id: int, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    of: dict[str, list[str]] = {}
    for kind, name in wanted:
        of.setdefault(kind, []).append(name)
    found: dict[tuple[str, str], int] = {}
    query = "SELECT id, email_key FROM contacts_contact WHERE workspace_id = %s AND "
    for pk, key in rows(query + "email_key = ANY(%s)", [workspace_id, of.pop(_EMAIL, [])]):
        found[_EMAIL, key] = pk
    for pk, _key in rows(query + "id = ANY(%s)", [workspace_id, [int(n) for n in of.pop(_CONTACT, [])]]):
        found[_CONTACT, str(pk)] = pk
    for kind, names in of.items():
        query = "SELECT value, contact_id FROM contacts_identifier WHERE workspace_id = %s AND kind = %s"
        for value, pk in rows(query + " AND value = ANY(%s)", [workspace_id, kind, names]):
            found[kind, value] = pk
    return found
