"""Entering single messages into the ledger: one prepared statement for many of them (`sql/enter.sql`).

Whoever accepts has checked them before; here they are only written, as fast as it can be done.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import transaction

from envol import db
from envol.db_role import as_owner
from envol.outbound import arrays
from envol.outbound.sites import site_of

if TYPE_CHECKING:
    from envol.outbound.accept import Outgoing

CHUNK_ROWS = 500
SMALL_SITE = 100
"""Sites with fewer rows in a batch share chunks: a chunk's lease reads the whole range it lies in."""
MOST_OCTETS = 64 << 20
"""Of the bodies in one statement: it lies in memory here and there."""
_TEXT, _BYTEA = 25, 17  # object identifiers of PostgreSQL's types, fixed for ever


@dataclass(frozen=True, slots=True)
class Stream:
    """The sending that carries a message. kind: of an everlasting one known by heart, that must be looked at again."""

    sending_id: int
    priority: int
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """people: (contact, address) of each copy."""

    message: Outgoing
    stream: Stream
    people: Sequence[tuple[int | None, str]]


class Gone(Exception):
    """A stream that was known by heart is not there any more; nothing was written."""


Counted = Mapping[tuple[int, str, str], int]


def enter(
    entries: Sequence[Entry], counted: Counted, *, site: str = "", purpose_id: int | None = None
) -> list[tuple[int, list[int]]]:
    """Write all or none; of each its number in our log and the numbers of its copies. Raises :class:`Gone`.

    Durable when it returns, unless the caller's transaction is not done yet. counted: what `habits` counts of it.
    site: where all of them go, whatever their domain. purpose_id: for what all of them are, where that asks for an
    answer.
    """
    pieces = list(_pieces(entries))
    if len(pieces) == 1:
        with as_owner():
            return _enter(entries, counted, site, purpose_id)
    with as_owner(), transaction.atomic():
        done = ((piece, counted if piece is pieces[0] else {}) for piece in pieces)
        return [one for piece, once in done for one in _enter(piece, once, site, purpose_id)]


def _pieces(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    begins = size = 0
    for place, entry in enumerate(entries):
        message = entry.message
        octets = len(message.raw or b"") + len(message.text) + len(message.html)
        if size and size + octets > MOST_OCTETS:
            yield entries[begins:place]
            begins, size = place, 0
        size += octets
    yield entries[begins:]


def _enter(
    entries: Sequence[Entry], counted: Counted, site: str, purpose_id: int | None
) -> list[tuple[int, list[int]]]:
    streams = [entry.stream for entry in entries]
    known = {(one.stream.sending_id, one.message.workspace_id, one.stream.kind) for one in entries if one.stream.kind}
    copies = [(number, *person) for number, entry in enumerate(entries, 1) for person in entry.people]
    sites = [site or site_of(address) for _, _, address in copies]
    found = _statement()(
        arrays.numbers([one.sending_id for one in streams]),
        arrays.numbers([entry.message.workspace_id for entry in entries]),
        arrays.numbers([one.priority for one in streams]),
        _binary(_TEXT, [_header(entry.message).encode() for entry in entries]),
        _binary(_TEXT, [entry.message.text.encode() for entry in entries]),
        _binary(_TEXT, [entry.message.html.encode() for entry in entries]),
        _binary(_BYTEA, [entry.message.raw for entry in entries]),
        arrays.numbers([number for number, _, _ in copies]),
        arrays.numbers([contact for _, contact, _ in copies]),
        arrays.texts([address for _, _, address in copies]),
        arrays.texts(sites),
        arrays.numbers(_parts(streams, copies, sites)),
        arrays.numbers([sending for sending, _, _ in known]),
        arrays.numbers([workspace for _, workspace, _ in known]),
        arrays.texts([kind for _, _, kind in known]),
        arrays.numbers([key for key, _, _ in counted]),
        arrays.texts([what for _, what, _ in counted]),
        arrays.texts([name for _, _, name in counted]),
        arrays.numbers(counted.values()),
        None if purpose_id is None else str(purpose_id),
    )
    if found.ntuples != len(copies):
        raise Gone
    numbers: list[tuple[int, list[int]]] = [(0, [])] * len(entries)
    for row in range(found.ntuples):
        place, message, no = (int(found.get_value(row, column) or 0) for column in range(3))
        if not numbers[place - 1][0]:
            numbers[place - 1] = message, []
        numbers[place - 1][1].append(no)
    return numbers


def _parts(streams: Sequence[Stream], copies: Sequence[tuple[Any, ...]], sites: Sequence[str]) -> list[int]:
    """The chunk of each copy: those of one sending and one priority share chunks as `plan_chunks` says."""
    by_sending: dict[tuple[int, int], list[int]] = {}
    for place, (number, *_) in enumerate(copies):
        stream = streams[number - 1]
        by_sending.setdefault((stream.sending_id, stream.priority), []).append(place)
    parts = [0] * len(copies)
    first = 0
    for places in by_sending.values():
        plan = plan_chunks([sites[place] for place in places])
        for place, part in zip(places, plan, strict=True):
            parts[place] = first + part
        first += max(plan) + 1
    return parts


def _header(message: Outgoing) -> str:
    return json.dumps(
        {
            "from": message.sender,
            "to": message.to,
            "subject": message.subject,
            "reply_to": message.reply_to,
            "extra": message.headers,
            "custom_id": message.custom_id,
            **message.facts,
        }
    )


def _binary(kind: int, values: Sequence[bytes | None]) -> bytes:
    """An array as PostgreSQL sends and takes it (`array_recv`): nothing is escaped, nothing parsed."""
    pieces = [struct.pack("!iiIii", 1, 1, kind, len(values), 1)]
    for value in values:
        if value is None:
            pieces.append(b"\xff\xff\xff\xff")
        else:
            pieces += (struct.pack("!i", len(value)), value)
    return b"".join(pieces)


@cache
def _statement() -> db.Prepared:
    return db.Prepared(db.sql("outbound", "enter"))


def plan_chunks(sites: Sequence[str], tiers: Sequence[int] = ()) -> list[int]:
    """Which chunk (0, 1, …) each row goes to: at most CHUNK_ROWS together, one site a chunk where it has
    at least SMALL_SITE rows, the small sites mixed. Rows of several tiers never share a chunk."""
    counts: dict[str, int] = {}
    for site in sites:
        counts[site] = counts.get(site, 0) + 1
    open_chunk: dict[tuple[str, int], tuple[int, int]] = {}
    plan: list[int] = []
    used = 0
    for site, tier in zip(sites, tiers or [0] * len(sites), strict=True):
        key = (site if counts[site] >= SMALL_SITE else "*"), tier
        number, filled = open_chunk.get(key, (-1, CHUNK_ROWS))
        if filled >= CHUNK_ROWS:
            number, filled = used, 0
            used += 1
        open_chunk[key] = (number, filled + 1)
        plan.append(number)
    return plan
