"""Erasure, export and the data map go by registration: consent imports no room that keeps data.

Each room hands over three functions at start. A right is exercised over all of them in one
transaction, so that nothing is half erased.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.db import transaction

from envol.accounts.journal import note
from envol.accounts.workspaces import address_digest
from envol.consent import erasures, suppression
from envol.db_role import as_owner


class Data(NamedTuple):
    """One line of the data map: what a table keeps about people and for how long."""

    table: str
    content: str
    personal: bool = True
    retention: str = "as long as the contact"


class Room(NamedTuple):
    """``erase`` answers how many rows of each table went; ``export`` what is kept, as plain JSON values."""

    name: str
    erase: Callable[[int, int], Mapping[str, int]]
    export: Callable[[int, int], Mapping[str, Any]]
    describe: Callable[[], list[Data]]


_rooms: dict[str, Room] = {}


def _nothing(workspace_id: int, contact_id: int) -> dict[str, Any]:
    return {}


def register(
    room: str,
    *,
    erase: Callable[[int, int], Mapping[str, int]] = _nothing,
    export: Callable[[int, int], Mapping[str, Any]] = _nothing,
    describe: Callable[[], list[Data]],
) -> None:
    """Called once by each room at start. ``erase`` and ``export`` take workspace id and contact id; a room that keeps
    nothing of a contact only describes its tables."""
    _rooms[room] = Room(room, erase, export, describe)


@as_owner()  # it must miss nothing, also in tables that no page reads
def erase_person(
    workspace_id: int,
    contact_id: int,
    email_key: str,
    *,
    cause: str,
    actor: str = "member",
    actor_id: int | None = None,
    born: datetime | None = None,
    again: erasures.Entry | None = None,
) -> dict[str, int]:
    """Erase one person in every room (GDPR art. 17); how many rows of each table went.

    ``born``: when her row was made. ``again``: the line of the journal that a restore replays; no new one is written.

    What stays: ledger lines without payload, and the keyed digest of the address, so that she is
    not taken in again by an import and so that an earlier objection holds.
    """
    gone: dict[str, int] = {}
    with transaction.atomic():
        suppression.add(workspace_id, email_key, "marketing", suppression.ERASED, cause)
        # Rooms above first: they may still need to look at what rooms below keep.
        for room in reversed(list(_rooms.values())):
            gone.update(room.erase(workspace_id, contact_id))
        digest = address_digest(workspace_id, email_key)
        at = again.moment if again else datetime.now(UTC)
        erasures.record(workspace_id, digest, gone, cause=cause, actor=actor, actor_id=actor_id, at=at)
        note(workspace_id, actor, "contact.erased", actor_id=actor_id, contact=contact_id, cause=cause, **gone)
        if again is None:
            born_at = born.astimezone(UTC).isoformat() if born else ""
            erasures.note(
                erasures.Entry(at.isoformat(), workspace_id, digest.hex(), contact_id, born_at, cause=cause[:120])
            )
    return gone


@as_owner()
def export_person(workspace_id: int, contact_id: int) -> dict[str, Any]:
    """Everything kept about one person, by room, as JSON values (GDPR art. 15 and 20)."""
    with transaction.atomic():
        return {
            "version": 1,
            "rooms": {room.name: dict(room.export(workspace_id, contact_id)) for room in _rooms.values()},
        }


def data_map() -> dict[str, list[Data]]:
    """What each room keeps about people, from the rooms themselves (GDPR art. 30)."""
    return {room.name: room.describe() for room in _rooms.values()}
