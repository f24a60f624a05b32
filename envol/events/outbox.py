"""Programs that are told what happened: who they are, what each is still to be told, and what became of it.

Rows are written by triggers, in the transaction of the event they tell of (sql/outbox.sql). One runner at a time has an
endpoint, by a lease; of one person each program hears things in their order. What it does not take is tried again for a
day, then given up, and can be told again from the page. Who is told, in which words and by which road, is said in
`envol.api.hooks`: this room knows no HTTP.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from envol.db import dicts, execute, rows, sql, value
from envol.events.models import Endpoint, Kind, Outbox

LEASE = timedelta(minutes=3)
LIFETIME = timedelta(hours=24)
"""How long one thing is tried, and how long an endpoint may answer nothing before it counts as dead."""
KEPT = timedelta(days=7)
DELAYS = (30, 30, 60, 120, 300, 600, 1200, 1800, 3600)
"""Seconds before the next try; the last one is repeated."""

WAITING, TOLD, DROPPED, GIVEN_UP = "waiting", "told", "dropped", "given_up"


def delay(attempts: int) -> int:
    return DELAYS[min(max(attempts, 1), len(DELAYS)) - 1]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to be told. machine: it turned out since that no person did it."""

    id: int
    kind: int
    at: datetime
    contact_id: int | None
    sending_id: int | None
    no: int | None
    link: int | None
    facts: Mapping[str, Any]
    raw: bytes | None
    person: int
    attempts: int
    queued_at: datetime
    machine: bool


def too_old(row: Row, seconds: float) -> bool:
    """Would the next try come after its day is over?"""
    return datetime.now(UTC) + timedelta(seconds=seconds) > row.queued_at + LIFETIME


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a row; ``waiting`` with a delay in seconds. tried: somebody was asked to take it."""

    id: int
    state: str
    status: int | None = None
    ms: int | None = None
    said: str = ""
    delay: float = 0.0
    tried: bool = True


def lease() -> Endpoint | None:
    """An endpoint with something due that nobody else has; ours for :data:`LEASE`."""
    found = value(
        "UPDATE events_endpoint SET lease_until = now() + %s WHERE id = ("
        " SELECT e.id FROM events_endpoint e WHERE e.state = 'alive' AND e.due <= now()"
        " AND (e.lease_until IS NULL OR e.lease_until < now())"
        " AND EXISTS (SELECT FROM events_outbox o"
        "  WHERE o.endpoint_id = e.id AND o.state = 'waiting' AND o.due <= now())"
        " ORDER BY e.due, e.id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
        [LEASE],
    )
    return Endpoint.objects.select_related("workspace").filter(pk=found).first() if found else None


def take(endpoint: Endpoint, most: int) -> list[Row]:
    found = dicts(sql("events", "outbox_take"), {"endpoint": endpoint.pk, "most": most})
    return [
        Row(
            **{
                **row,
                "facts": json.loads(row["facts"]) if isinstance(row["facts"], str) else row["facts"] or {},
                "raw": bytes(row["raw"]) if row["raw"] is not None else None,
            }
        )
        for row in found
    ]


def settle(became: Sequence[Became]) -> None:
    if not became:
        return
    execute(
        sql("events", "outbox_settle"),
        {
            "ids": [one.id for one in became],
            "states": [one.state for one in became],
            "statuses": [one.status for one in became],
            "ms": [one.ms for one in became],
            "said": [one.said[:500] for one in became],
            "delays": [float(one.delay) for one in became],
            "tried": [one.tried for one in became],
        },
    )


def succeeded(endpoint: Endpoint) -> None:
    execute(
        "UPDATE events_endpoint SET lease_until = NULL, failures = 0, failing_at = NULL, told_at = now(), said = ''"
        " WHERE id = %s",
        [endpoint.pk],
    )


def rest(endpoint: Endpoint, seconds: float, said: str = "") -> None:
    """Nothing was told and nothing failed: look again in so many seconds."""
    execute(
        "UPDATE events_endpoint SET lease_until = NULL, due = now() + make_interval(secs => %s),"
        " said = CASE WHEN %s = '' THEN said ELSE %s END WHERE id = %s",
        [seconds, said, said, endpoint.pk],
    )


def failed(endpoint: Endpoint, said: str, *, gone: bool = False) -> bool:
    """It took nothing of what it was told. True: it is dead now, for it has answered nothing for a day, or says it is
    ``gone``; what waits for it is given up."""
    state = value(
        "UPDATE events_endpoint SET lease_until = NULL, failures = least(failures + 1, 30000),"
        " failing_at = coalesce(failing_at, now()), due = now() + make_interval(secs => %s), said = %s,"
        " state = CASE WHEN %s OR coalesce(failing_at, now()) < now() - %s THEN 'dead' ELSE state END"
        " WHERE id = %s RETURNING state",
        [delay(endpoint.failures + 1), said[:500], gone, LIFETIME, endpoint.pk],
    )
    if state == "dead":
        execute(
            "UPDATE events_outbox SET state = 'given_up', ended_at = now()"
            " WHERE endpoint_id = %s AND state = 'waiting'",
            [endpoint.pk],
        )
    return bool(state == "dead")


def wake(endpoint: Endpoint) -> None:
    """Alive again, with a clean slate; what waits is told at once."""
    execute(
        "UPDATE events_endpoint SET state = 'alive', failures = 0, failing_at = NULL, said = '', due = now()"
        " WHERE id = %s",
        [endpoint.pk],
    )
    execute("UPDATE events_outbox SET due = now() WHERE endpoint_id = %s AND state = 'waiting'", [endpoint.pk])


def put(endpoint: Endpoint, kind: Kind, facts: Mapping[str, Any], raw: bytes | None = None) -> int:
    """One thing more for an endpoint, in the caller's transaction: a test, or a mail that came."""
    return int(
        value(
            "INSERT INTO events_outbox (endpoint_id, workspace_id, kind, at, facts, raw)"
            " VALUES (%s, %s, %s, now(), %s::jsonb, %s) RETURNING id",
            [endpoint.pk, endpoint.workspace_id, int(kind), json.dumps(dict(facts)), raw],
        )
    )


def again(endpoint: Endpoint, row_id: int | None = None) -> int:
    """Tell it once more: one thing, whatever became of it, or everything that was given up. How many.

    A mail that was told is not kept, and is not among them.
    """
    which, given = ("state = 'given_up'", []) if row_id is None else ("id = %s AND state <> 'waiting'", [row_id])
    return execute(
        "UPDATE events_outbox SET state = 'waiting', queued_at = now(), due = now(), attempts = 0, ended_at = NULL"
        f" WHERE endpoint_id = %s AND {which} AND (kind <> {int(Kind.MAIL_CAME)} OR raw IS NOT NULL)",
        [endpoint.pk, *given],
    )


def waiting(endpoints: Sequence[int]) -> dict[int, int]:
    return dict(
        rows(
            "SELECT endpoint_id, count(*) FROM events_outbox"
            " WHERE endpoint_id = ANY(%s) AND state = 'waiting' GROUP BY 1",
            [list(endpoints)],
        )
    )


def remove(endpoint: Endpoint) -> None:
    """With everything it was told and was to be told."""
    execute("DELETE FROM events_endpoint WHERE id = %s", [endpoint.pk])


def keep_house(now: datetime | None = None) -> int:
    """What ended a week ago is forgotten; what waits for somebody who is paused, as long."""
    return execute(
        "DELETE FROM events_outbox WHERE coalesce(ended_at, queued_at) < coalesce(%s, now()) - %s", [now, KEPT]
    )


def erase(workspace_id: int, contact_id: int) -> int:
    gone, _ = Outbox.objects.filter(workspace_id=workspace_id, contact_id=contact_id).delete()
    return gone


def erase_mail(workspace_id: int, addresses: Sequence[str]) -> int:
    """Mail that somebody wrote to a program, by her addresses."""
    return execute(
        "DELETE FROM events_outbox WHERE workspace_id = %s AND kind = %s AND lower(facts ->> 'sender') = ANY(%s)",
        [workspace_id, int(Kind.MAIL_CAME), [one.lower() for one in addresses]],
    )
