"""What each courier may do at each receiver, shared by all couriers: connections, rate, pauses, warm-up.

A courier asks about once a second for everything it has in hand, in one short transaction (:func:`agree`), and gets
connections and leave for so many messages. So no message costs a question, and together the couriers never hold more
than a receiver takes. What a courier that dies had been given is lost, never given twice: fewer, not more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction

from envol import db
from envol.outbound import warmup
from envol.outbound.sites import Receiver, receiver_of
from envol.outbound.warmup import Day

HOLD_SECONDS = 30
"""How long connections of a courier that says nothing more are kept for it."""
CALM_SECONDS = 600
"""So long without a word on our rate before one connection more, and half as many messages again, are tried."""
SAME_WORD_SECONDS = 20
"""Words on our rate that come together are one word."""
MOST_A_MINUTE, TRICKLE = 6000.0, 30.0
NOWHERE = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Ask:
    """What a courier says of one (group, source), and wants; counts are since it asked last.

    want: leave for so many more messages; negative: given back. free: messages that went without leave (a sign-in code
    cannot wait until tomorrow). plan: the source's warm-up plan. pause: seconds that its replies ask for.
    """

    group: str
    source: str
    plan: str = ""
    lanes: int = 0
    open: int = 0
    want: int = 0
    free: int = 0
    sent: int = 0
    deferred: int = 0
    hard: int = 0
    blocked: int = 0
    slowed: bool = False
    pause: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What it may do until it asks again.

    messages: leave for so many more; None: as many as it likes. paused, spent: seconds until mail may go at all, and
    until a new day of its warm-up. day: seconds for which the leave holds; 0: it has no end.
    """

    connections: int
    messages: int | None
    paused: float = 0.0
    spent: float = 0.0
    day: float = 0.0
    reason: str = ""


@dataclass(slots=True)
class Shape:
    """A row of outbound_shape."""

    grp: str
    source: str
    connections: int
    per_minute: float | None
    tokens: float
    filled_at: datetime
    paused_until: datetime
    pauses: int
    slowed_at: datetime
    raised_at: datetime
    minute: datetime
    sent: int
    sent_before: int
    reason: str


_SHAPE = [f.name for f in fields(Shape)]
_DAY = [f.name for f in fields(Day)]


def fresh(group: str, source: str, now: datetime) -> Shape:
    """How it begins with a receiver: by the data file."""
    one = receiver_of(group)
    rate = float(one.messages_per_minute) or None
    start = (rate or 0) / 60
    return Shape(group, source, one.connections, rate, start, now, NOWHERE, 0, NOWHERE, now, now, 0, 0, "")


def adapt(shape: Shape, ask: Ask, now: datetime) -> None:
    """Let replies change a shape: halved at once, raised slowly."""
    one = receiver_of(shape.grp)
    minute = now.replace(second=0, microsecond=0)
    if minute != shape.minute:
        shape.sent_before = shape.sent if minute - shape.minute <= timedelta(minutes=1) else 0
        shape.minute, shape.sent = minute, 0
    shape.sent += ask.sent
    if ask.slowed and (now - shape.slowed_at).total_seconds() > SAME_WORD_SECONDS:
        _lower(shape, one, ask, now)
    elif ask.pause and not ask.slowed:
        shape.paused_until = max(shape.paused_until, now + timedelta(seconds=ask.pause))
        shape.reason = ask.reason[:300]
    _raise(shape, one, now)


def _lower(shape: Shape, one: Receiver, ask: Ask, now: datetime) -> None:
    shape.connections = max(1, shape.connections // 2)
    seen = max(shape.sent, shape.sent_before)
    rate = min(shape.per_minute or MOST_A_MINUTE, seen or MOST_A_MINUTE, MOST_A_MINUTE) / 2
    shape.tokens, shape.filled_at = 0.0, now
    again = (now - shape.slowed_at).total_seconds() < 2 * CALM_SECONDS + one.longest_pause
    shape.pauses = min(12, shape.pauses + 1) if again else 1
    # Little was sent, so half of it says little: the first words leave a slow trickle, only more of them less.
    shape.per_minute = max(rate, 1.0, TRICKLE / 2.0 ** (shape.pauses - 1))
    pause = min(float(one.longest_pause), max(ask.pause, one.pause_seconds * 2.0 ** (shape.pauses - 1)))
    shape.paused_until = max(shape.paused_until, now + timedelta(seconds=pause))
    shape.slowed_at = shape.raised_at = now
    shape.reason = ask.reason[:300]


def _raise(shape: Shape, one: Receiver, now: datetime) -> None:
    usual = float(one.messages_per_minute) or None
    if shape.connections >= one.connections and shape.per_minute == usual:
        return
    if shape.paused_until > now:  # a pause is no proof of calm
        shape.raised_at = max(shape.raised_at, now)
        return
    while (now - shape.raised_at).total_seconds() >= CALM_SECONDS:
        shape.raised_at += timedelta(seconds=CALM_SECONDS)
        shape.connections = min(one.connections, shape.connections + 1)
        if shape.per_minute is not None:
            shape.per_minute *= 1.5
            if usual is not None:
                shape.per_minute = min(usual, shape.per_minute)
            elif shape.connections >= one.connections and shape.per_minute > 1000:
                shape.per_minute = None
        if shape.connections >= one.connections and shape.per_minute == usual:
            shape.pauses, shape.reason = 0, ""
            break


def share_out(limit: int, held: Mapping[str, int], me: str) -> int:
    """How many of `limit` connections this courier may have: a fair part of them, and never one that another holds."""
    asking = sorted({*held, me})
    part, rest = divmod(limit, len(asking))
    fair = part + (1 if asking.index(me) < rest else 0)
    spare = limit - sum(held.get(other, 0) for other in asking if other != me)
    return max(0, min(fair if len(asking) > 1 else limit, spare))


def agree(
    courier: str, asks: Sequence[Ask], *, learnt: Mapping[str, str] | None = None, now: datetime | None = None
) -> dict[tuple[str, str], Grant]:
    """Tell what happened, and get what may be done: (group, source) → grant. learnt: site → group.

    One transaction behind one lock, a few milliseconds; not flushed to disk by itself, because what is lost with it is
    asked again. `now`: the database's clock, but for tests of a month.
    """
    with transaction.atomic():
        db.execute("SET LOCAL synchronous_commit = off")
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended('outbound shaping', 0))")
        now = now or db.value("SELECT clock_timestamp()")
        if learnt:
            db.execute(
                "INSERT INTO outbound_site (site, grp) SELECT * FROM unnest(%s::text[], %s::text[])"
                " ON CONFLICT (site) DO UPDATE SET grp = excluded.grp, seen_at = now()",
                [list(learnt), list(learnt.values())],
            )
        if not asks:
            return {}
        keys = {(ask.group, ask.source) for ask in asks}
        shapes = _shapes(keys)
        holds = _holds(keys, now)
        days = _Days(now, {(ask.source, warmup.bucket_of(ask.group)): ask.plan for ask in asks if ask.plan})
        answer: dict[tuple[str, str], Grant] = {}
        changed: list[Shape] = []
        held: list[tuple[str, str, int, str, datetime]] = []
        hold = timedelta(seconds=HOLD_SECONDS)
        for ask in asks:
            key = ask.group, ask.source
            shape = shapes.get(key) or fresh(*key, now)
            before = _values(shape)
            adapt(shape, ask, now)
            mine = holds.setdefault(key, {})
            wanted = bool(ask.lanes or ask.open)
            connections = share_out(shape.connections, mine, courier) if wanted else 0
            held.append((*key, max(connections, ask.open), courier, now + hold if wanted else now))
            messages = _leave(shape, ask, now, connections)
            spent = 0.0
            if ask.plan:
                messages, spent = days.leave(ask, messages, connections)
            if messages is not None and shape.per_minute is not None and messages > 0:
                shape.tokens -= messages
            paused = max(0.0, (shape.paused_until - now).total_seconds())
            answer[key] = Grant(connections, messages, paused, spent, days.end if ask.plan else 0.0, shape.reason)
            if _values(shape) != before or key not in shapes:
                changed.append(shape)
        _store("outbound_shape", _SHAPE, ("grp", "source"), [_values(shape) for shape in changed])
        names = ["grp", "source", "connections", "courier", "until"]
        _store("outbound_shape_hold", names, ("grp", "source", "courier"), held)
        days.store()
    return answer


def _leave(shape: Shape, ask: Ask, now: datetime, connections: int) -> int | None:
    """By the rate: leave for so many messages; None: for as many as there are.

    Only for one who can use it: what a courier without a connection keeps is missing to the one that has it.
    """
    if shape.per_minute is None:
        return None
    most = max(1.0, shape.per_minute / 6)  # never more than ten seconds' worth at once
    waited = max(0.0, (now - shape.filled_at).total_seconds())
    shape.tokens = min(most, shape.tokens + waited * shape.per_minute / 60) - min(0, ask.want)
    shape.filled_at = now
    return max(0, min(ask.want, int(shape.tokens))) if connections else 0


class _Days:
    """The warm-up days of today, locked with everything else."""

    def __init__(self, now: datetime, plans: Mapping[tuple[str, str], str]) -> None:
        self._plans = plans
        self._days: dict[tuple[str, str], Day] = {}
        self.end = 0.0
        if not plans:
            return
        today = now.astimezone(UTC).date()
        midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), UTC)
        self.end = (midnight - now).total_seconds()
        found = {
            (row[0], row[1]): Day(*row[2:])
            for row in db.rows(
                f"SELECT DISTINCT ON (source, bucket) source, bucket, {', '.join(_DAY)} FROM outbound_warmup"
                " WHERE (source, bucket) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND day <= %s"
                " ORDER BY source, bucket, day DESC",
                [[source for source, _ in plans], [bucket for _, bucket in plans], today],
            )
        }
        for key, plan in plans.items():
            last = found.get(key)
            self._days[key] = last if last and last.day == today else warmup.begin(plan, key[1], today, last)

    def leave(self, ask: Ask, messages: int | None, connections: int) -> tuple[int | None, float]:
        """(leave for so many messages, seconds until tomorrow when the day's allowance is used up)."""
        key = ask.source, warmup.bucket_of(ask.group)
        day = self._days[key]
        day.used = max(0, day.used + ask.free + min(0, ask.want))
        day.sent += ask.sent
        day.deferred += ask.deferred
        day.hard += ask.hard
        day.blocked += ask.blocked
        if warmup.over(self._plans[key], day.step) and not day.stopped:
            return messages, 0.0
        want = max(0, ask.want) if connections else 0
        given = min(day.left, want if messages is None else messages if connections else 0)
        day.used += given
        return given, 0.0 if day.left or given else self.end

    def store(self) -> None:
        rows = [
            (*key, *(getattr(day, name) for name in _DAY))
            for key, day in self._days.items()
            if day.used or day.sent or day.blocked
        ]
        _store("outbound_warmup", ["source", "bucket", *_DAY], ("source", "bucket", "day"), rows)


def _values(shape: Shape) -> tuple[Any, ...]:
    return tuple(getattr(shape, name) for name in _SHAPE)


def _arrays(keys: Iterable[tuple[str, str]]) -> list[list[str]]:
    pairs = list(keys)
    return [[group for group, _ in pairs], [source for _, source in pairs]]


def _shapes(keys: set[tuple[str, str]]) -> dict[tuple[str, str], Shape]:
    return {
        (row[0], row[1]): Shape(*row)
        for row in db.rows(
            f"SELECT {', '.join(_SHAPE)} FROM outbound_shape"
            " WHERE (grp, source) IN (SELECT * FROM unnest(%s::text[], %s::text[]))",
            _arrays(keys),
        )
    }


def _holds(keys: set[tuple[str, str]], now: datetime) -> dict[tuple[str, str], dict[str, int]]:
    found: dict[tuple[str, str], dict[str, int]] = {}
    for group, source, courier, connections in db.rows(
        "SELECT grp, source, courier, connections FROM outbound_shape_hold"
        " WHERE (grp, source) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND until > %s",
        [*_arrays(keys), now],
    ):
        found.setdefault((group, source), {})[courier] = connections
    return found


def _store(table: str, names: Sequence[str], key: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    values = ", ".join(["(" + ", ".join(["%s"] * len(names)) + ")"] * len(rows))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in key)
    db.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES {values} ON CONFLICT ({', '.join(key)}) DO UPDATE"
        f" SET {changes}",
        [value for row in rows for value in row],
    )


def groups(sites: Iterable[str]) -> dict[str, str]:
    """The receivers behind sites, as far as they are known and were seen within a week."""
    return dict(
        db.rows(
            "SELECT site, grp FROM outbound_site WHERE site = ANY (%s) AND seen_at > now() - interval '7 days'",
            [list(sites)],
        )
    )


def leave(courier: str) -> None:
    """A courier that ends gives its connections to the others."""
    db.execute("DELETE FROM outbound_shape_hold WHERE courier = %s", [courier])


def complained(site: str) -> None:
    """Somebody at this site complained: today's warm-up there, from whichever address, takes note of it."""
    group = groups([site]).get(site)
    if group is not None:
        db.execute(
            "UPDATE outbound_warmup SET complaints = complaints + 1 WHERE bucket = %s"
            " AND day = (now() AT TIME ZONE 'UTC')::date",
            [warmup.bucket_of(group)],
        )


def table() -> list[dict[str, Any]]:
    """What is slower or stiller than the data file says, and why: for `envol queue` and for pages."""
    return db.dicts(
        "SELECT s.grp AS receiver, s.source, s.connections, s.per_minute, s.reason,"
        " CASE WHEN s.paused_until > now() THEN s.paused_until END AS paused_until,"
        " (SELECT coalesce(sum(h.connections), 0) FROM outbound_shape_hold h WHERE h.grp = s.grp"
        "  AND h.source = s.source AND h.until > now()) AS held"
        " FROM outbound_shape s WHERE s.reason <> '' OR s.paused_until > now()"
        " ORDER BY s.paused_until DESC, s.grp, s.source LIMIT 200"
    )


def calendar(source: str = "") -> list[dict[str, Any]]:
    """The days of addresses that warm up, newest first."""
    return db.dicts(
        f"SELECT source, bucket AS receiver, {', '.join(_DAY)} FROM outbound_warmup"
        " WHERE %(source)s = '' OR source = %(source)s ORDER BY day DESC, source, bucket LIMIT 1000",
        {"source": source},
    )


def tidy() -> None:
    """Forget what says nothing any more."""
    db.execute("DELETE FROM outbound_shape_hold WHERE until < now() - interval '1 hour'")
    db.execute(
        "DELETE FROM outbound_shape WHERE reason = '' AND paused_until < now() AND minute < now() - interval '1 day'"
    )
    db.execute("DELETE FROM outbound_site WHERE seen_at < now() - interval '90 days'")
    db.execute("DELETE FROM outbound_warmup WHERE day < now() - interval '400 days'")
