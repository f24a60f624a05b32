"""Requests for links and pixels: who may be counted, once, and as a person or a machine.

The edge decodes a token and hands over batches of :class:`Hit`. What may be kept of each is asked anew for
every batch, before anything is written: a withdrawal also acts on messages sent long ago (ePrivacy art. 5(3),
GDPR art. 7(3)). Network address and user agent never come here; of them there is at most a reason why
the request was no person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from django.db import transaction

from envol.db import execute, rows, sql
from envol.events import counters
from envol.events.models import Kind

REPEAT = timedelta(seconds=2)  # the same act of the same person within this time is one
TOO_FAST = timedelta(seconds=2)  # nobody reads this quickly after delivery
BURST = timedelta(seconds=2)
BURST_LINKS = 3


class Level(StrEnum):
    """How far a reaction may be measured."""

    NONE = "none"
    AGGREGATE = "aggregate"
    LAST_OPEN_DAY = "last_open_day"
    INDIVIDUAL = "individual"


class Hit(NamedTuple):
    """A request for a link (kind clicked, ``link`` from 1) or a pixel (kind opened, ``link`` 0).

    ``no`` is the recipient's number within the sending, None where the token names nobody; ``machine`` a
    reason already known at the door ("head", "agent"), else "".
    """

    kind: Kind
    sending_id: int
    no: int | None
    link: int
    at: datetime
    machine: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who is behind a token and what may be kept now. ``since``: when the sending was made. ``single``: a message with
    its own words, one of many in a sending: what she did with it is kept with the number of her copy."""

    workspace_id: int
    contact_id: int | None
    opens: Level
    clicks: Level
    since: datetime
    delivered_at: datetime | None = None
    single: bool = False


Resolver = Callable[[Sequence[tuple[int, int | None]]], Sequence[Recipient | None]]
OpenDays = Callable[[Sequence[tuple[int, date]]], object]

# Rooms above know recipients, permissions and contacts; they register here at start.
_resolver: Resolver | None = None
_open_days: OpenDays | None = None


def register_resolver(resolver: Resolver) -> Resolver:
    """``resolver([(sending, no)])`` → for each who is behind it, or None when nothing may be kept."""
    global _resolver
    _resolver = resolver
    return resolver


def register_open_days(keep: OpenDays) -> OpenDays:
    """``keep([(contact, day)])`` overwrites the day of the last open, the only trace of that level."""
    global _open_days
    _open_days = keep
    return keep


class _Kept(NamedTuple):
    at: datetime
    workspace_id: int
    kind: Kind
    contact_id: int | None
    sending_id: int
    link: int | None
    machine: str | None
    no: int | None = None  # of her copy, where her contact's number does not say it


def record_hits(hits: Sequence[Hit]) -> int:
    """Count a batch in one transaction; the number of events written.

    Who may not be measured leaves nothing; who may be measured only in sum leaves an event that names
    nobody; a last-open day leaves a date on the contact. Of individually measured people the same hit
    within two seconds counts once, and what came too soon after delivery, or as one of many links at once,
    is given to a machine.
    """
    if not hits:
        return 0
    if _resolver is None:
        raise RuntimeError("Nobody registered who is behind a token, so nothing may be counted.")
    with transaction.atomic():
        kept, days, since = _allowed(hits, _resolver([(hit.sending_id, hit.no) for hit in hits]))
        if days and _open_days is not None:
            _open_days(sorted(days.items()))
        return _write(kept, since) if kept and since else 0


def _allowed(
    hits: Sequence[Hit], recipients: Sequence[Recipient | None]
) -> tuple[list[_Kept], dict[int, date], datetime | None]:
    kept: list[_Kept] = []
    days: dict[int, date] = {}
    since: datetime | None = None
    for hit, who in zip(hits, recipients, strict=True):
        if who is None:
            continue
        level = who.opens if hit.kind == Kind.OPENED else who.clicks
        machine = hit.machine or _too_fast(hit, who) or None
        contact = who.contact_id
        match level:
            case Level.INDIVIDUAL:
                pass
            case Level.AGGREGATE:
                contact = None
            case Level.LAST_OPEN_DAY if hit.kind == Kind.OPENED and contact is not None and hit.no is not None:
                if machine is None:
                    days[contact] = max(hit.at.date(), days.get(contact, date.min))
                continue
            case _:
                continue
        no = hit.no if who.single and contact is not None else None
        kept.append(_Kept(hit.at, who.workspace_id, hit.kind, contact, hit.sending_id, hit.link or None, machine, no))
        since = min(since, who.since) if since else who.since
    return kept, days, since


def _too_fast(hit: Hit, who: Recipient) -> str:
    if hit.no is None or who.delivered_at is None:
        return ""
    return "too_fast" if hit.at - who.delivered_at <= TOO_FAST else ""


def _write(kept: list[_Kept], since: datetime) -> int:
    lo, hi = min(hit.at for hit in kept), max(hit.at for hit in kept)
    since = min(since, lo) - timedelta(days=1)  # clocks of two machines differ
    counters.lock(hit.sending_id for hit in kept)
    frozen = counters.frozen(hit.sending_id for hit in kept)
    if frozen:  # who was counted before is forgotten, so people can be counted no more
        kept = [hit._replace(contact_id=None, no=None) if hit.sending_id in frozen else hit for hit in kept]
    tally = counters.Tally(((hit.sending_id, hit.contact_id) for hit in kept), since, hi + timedelta(days=1))
    inserted = rows(
        sql("events", "insert_hits"),
        {
            "at": [hit.at for hit in kept],
            "workspaces": [hit.workspace_id for hit in kept],
            "kinds": [int(hit.kind) for hit in kept],
            "contacts": [hit.contact_id for hit in kept],
            "sendings": [hit.sending_id for hit in kept],
            "links": [hit.link for hit in kept],
            "machines": [hit.machine for hit in kept],
            "nos": [hit.no for hit in kept],
            "repeat": REPEAT,
            "from": lo - REPEAT,
            "to": hi + REPEAT,
        },
    )
    _score(inserted, lo, hi)
    for contact, workspace, sending, kind, link, machine in inserted:
        if contact is None:
            tally.nameless(workspace, sending, kind, link, machine)
        else:
            tally.named(workspace, sending)
    tally.apply()
    return len(inserted)


def _score(inserted: Iterable[tuple[Any, ...]], lo: datetime, hi: datetime) -> None:
    clickers = sorted({(row[2], row[0]) for row in inserted if row[0] is not None and row[3] == Kind.CLICKED})
    facts = {"clicked": int(Kind.CLICKED), "links": BURST_LINKS, "from": lo - 2 * BURST, "to": hi + 2 * BURST}
    if clickers:
        clickers = rows(sql("events", "many_links"), facts | _columns(clickers))
    if clickers:
        execute(sql("events", "score_many_links"), facts | {"burst": BURST} | _columns(clickers))


def _columns(people: Sequence[tuple[Any, ...]]) -> dict[str, list[int]]:
    return {"sendings": [sending for sending, _ in people], "contacts": [contact for _, contact in people]}
