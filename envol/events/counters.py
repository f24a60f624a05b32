"""Counters of a sending's reactions: events and people, apart, by kind, link and machine.

They are derived: :class:`Tally` adds exactly what a batch changed, :func:`rebuild` computes them anew and
finds the same. When the events themselves reach the end of their retention, counters are frozen and stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import transaction

from envol.db import execute, rows, sql
from envol.events.models import Counter, Kind

COUNTED = (Kind.OPENED, Kind.CLICKED, Kind.COMPLAINED, Kind.UNSUBSCRIBED)
_KINDS = [int(kind) for kind in COUNTED]
_LONG_AGO, _FAR_AWAY = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class Frozen(Exception):
    """The events behind these counters are gone; the counters are what remains."""


class Key(NamedTuple):
    sending_id: int
    kind: int
    link: int  # 0: all links together
    machine: bool


class Count(NamedTuple):
    events: int = 0
    people: int = 0
    nameless: int = 0  # those of `events` that name nobody


def lock(sending_ids: Iterable[int]) -> None:
    """Be the only writer of these sendings' reactions until the transaction ends."""
    execute(sql("events", "lock_sendings"), {"sendings": sorted(set(sending_ids))})


def frozen(sending_ids: Iterable[int]) -> set[int]:
    """Those of them whose counters are frozen."""
    wanted = list(set(sending_ids))
    return {
        found
        for (found,) in rows(
            "SELECT DISTINCT sending_id FROM events_counter WHERE frozen AND sending_id = ANY(%s)", [wanted]
        )
    }


class Tally:
    """What a batch changes, found by looking at the same people before and after it.

    Make it inside the transaction before anything is written (it takes the locks), say which workspace each
    named event belongs to, and :meth:`apply` it at the end. ``since`` is older than any event of
    the sendings; it spares looking into older months.
    """

    def __init__(
        self, people: Iterable[tuple[int, int | None]], since: datetime = _LONG_AGO, until: datetime = _FAR_AWAY
    ) -> None:
        pairs = set(people)
        self._pairs = sorted((sending, contact) for sending, contact in pairs if contact is not None)
        self._since, self._until = since, until
        self._workspaces: dict[int, int] = {}
        self._nameless: dict[Key, int] = defaultdict(int)
        lock(sending for sending, _ in pairs)
        self._before = self._measure()

    def named(self, workspace_id: int, sending_id: int) -> None:
        self._workspaces[sending_id] = workspace_id

    def nameless(self, workspace_id: int, sending_id: int, kind: int, link: int, machine: bool) -> None:
        """One event that names nobody."""
        self._workspaces[sending_id] = workspace_id
        for place in {0, link}:
            self._nameless[Key(sending_id, int(kind), place, machine)] += 1

    def apply(self) -> None:
        after = self._measure()
        changes: list[tuple[Key, Count]] = []
        for key in sorted({*after, *self._before, *self._nameless}):
            new, old, extra = after.get(key, Count()), self._before.get(key, Count()), self._nameless.get(key, 0)
            change = Count(new.events - old.events + extra, new.people - old.people, extra)
            if any(change):
                changes.append((key, change))
        if changes:
            execute(
                sql("events", "add_counts"),
                {
                    "workspaces": [self._workspaces[key.sending_id] for key, _ in changes],
                    "sendings": [key.sending_id for key, _ in changes],
                    "kinds": [key.kind for key, _ in changes],
                    "links": [key.link for key, _ in changes],
                    "machines": [key.machine for key, _ in changes],
                    "events": [change.events for _, change in changes],
                    "people": [change.people for _, change in changes],
                    "nameless": [change.nameless for _, change in changes],
                },
            )

    def _measure(self) -> dict[Key, Count]:
        if not self._pairs:
            return {}
        found = rows(
            sql("events", "measure_people"),
            {
                "sendings": [sending for sending, _ in self._pairs],
                "contacts": [contact for _, contact in self._pairs],
                "kinds": _KINDS,
                "since": self._since,
                "until": self._until,
            },
        )
        return {
            Key(sending, kind, 0 if every_link else link, machine): Count(events, people)
            for sending, kind, link, machine, every_link, events, people in found
            if every_link or link
        }


def read(sending_ids: Sequence[int]) -> dict[Key, Count]:
    """The counters of these sendings that are not zero."""
    found = Counter.objects.filter(sending_id__in=list(sending_ids)).values_list(
        "sending_id", "kind", "link", "machine", "events", "people", "nameless"
    )
    return {Key(*row[:4]): Count(*row[4:]) for row in found if row[4]}


def rebuild(sending_id: int) -> dict[Key, Count]:
    """Compute the counters of one sending anew from its events. Raises :class:`Frozen` after their retention."""
    with transaction.atomic():
        lock([sending_id])
        if frozen([sending_id]):
            raise Frozen(
                f"The events of sending {sending_id} were dropped at the end of their retention; "
                "its counters are final and cannot be computed anew."
            )
        execute("DELETE FROM events_counter WHERE sending_id = %s", [sending_id])
        execute(sql("events", "rebuild"), {"sending": sending_id, "kinds": _KINDS})
        return read([sending_id])


def is_right(sending_id: int) -> bool:
    """Do the counters say what the events say? Changes nothing; hits on this sending wait meanwhile.

    Whoever was erased since is counted among the people and named by no event any more: fewer people are right.
    """
    with transaction.atomic():
        lock([sending_id])
        if frozen([sending_id]):
            return True  # there is nothing left to compare them with
        kept = read([sending_id])
        again = rebuild(sending_id)
        transaction.set_rollback(True)
    return kept.keys() == again.keys() and all(
        kept[key].events == again[key].events and kept[key].people >= again[key].people for key in kept
    )


def freeze(sending_id: int) -> None:
    """Compute them a last time and keep them so: events older than their retention go. Twice is the same as once."""
    with transaction.atomic():
        try:
            rebuild(sending_id)
        except Frozen:
            return
        execute("UPDATE events_counter SET frozen = true WHERE sending_id = %s", [sending_id])
