"""Traffic by hour: counted in memory where it happens, written every few seconds, never by reading the ledger.

A process that is killed loses the counts of its last seconds: the ledger knows better, these are for looking at.
What is not written because the database is away is kept and written later.

    out        by provider and state     domain    by recipient's domain and state    rejected  by domain and cause
    key        by key and what became    sender    by address of ours                 returned, complained  by domain
    in         by peer and what became   out_to    by host and what became            auth      by peer and result
    said       our own refusals, by code and service
    auth_key   sign-ins that failed, by key and result; those of the HTTP API with "http: " before it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import structlog
from django.db import Error as DatabaseError
from django.db import connection, transaction

from envol import db
from envol.outbound import arrays

log = structlog.get_logger()

EVERY = 5.0
"""Seconds between two writings of a process."""
MOST = 5000
"""Different counts kept between two writings; beyond it subjects are counted together."""
OTHERS = "…"
KEEP = timedelta(days=92)
KEEP_PEERS = timedelta(days=30)
"""Addresses of peers are personal data where a person sits behind one: kept as long as abuse is looked into."""
PEERS = ("in", "auth")
LABELLED = frozenset({"out", "said"})
"""Series whose subjects are few and nobody's: they become labels of metrics."""

_Key = tuple[str, int, int, str, str]
_lock = threading.Lock()
_counts: dict[_Key, list[int]] = {}
_written = 0.0


def count(
    series: str, subject: str = "", outcome: str = "", *, workspace: int = 0, n: int = 1, octets: int = 0
) -> None:
    """Something happened now. Costs a microsecond; from any thread."""
    hour = int(time.time()) // 3600 * 3600
    key = (series, workspace, hour, subject[:253].replace("\0", " "), outcome[:60].replace("\0", " "))
    with _lock:
        found = _counts.get(key)
        if found is None:
            if len(_counts) >= MOST:
                key = (series, workspace, hour, OTHERS, key[4])
            found = _counts.setdefault(key, [0, 0])
        found[0] += n
        found[1] += octets


def flush_if_due() -> None:
    """Write what was counted, unless that was done a moment ago. Never raises: figures hold nobody up."""
    global _written
    now = time.monotonic()
    if _counts and now - _written >= EVERY:
        _written = now
        flush()


def flush() -> None:
    """Write what was counted; kept for the next time when the database is away."""
    with _lock:
        taken = sorted(_counts.items())
        _counts.clear()
    if not taken:
        return
    try:
        with transaction.atomic():
            db.execute("SET LOCAL synchronous_commit = off")
            db.execute(
                db.sql("outbound", "rolls_add"),
                {
                    "series": arrays.texts(key[0] for key, _ in taken),
                    "workspaces": arrays.numbers(key[1] for key, _ in taken),
                    "hours": arrays.texts(datetime.fromtimestamp(key[2], UTC).isoformat() for key, _ in taken),
                    "subjects": arrays.texts(key[3] for key, _ in taken),
                    "outcomes": arrays.texts(key[4] for key, _ in taken),
                    "n": arrays.numbers(found[0] for _, found in taken),
                    "octets": arrays.numbers(found[1] for _, found in taken),
                    "labels": arrays.texts(key[3] if key[0] in LABELLED else "" for key, _ in taken),
                },
            )
    except DatabaseError as error:
        log.warning("traffic could not be counted, trying again", error=str(error).strip())
        if not connection.in_atomic_block:
            connection.close()
        with _lock:
            for key, (n, octets) in taken:
                found = _counts.setdefault(key, [0, 0])
                found[0] += n
                found[1] += octets


def forget() -> None:
    """What this process counted and did not write (for tests)."""
    with _lock:
        _counts.clear()


class Line(NamedTuple):
    """A sum: of what, how it went, how many, octets."""

    subject: str
    outcome: str
    n: int
    octets: int


def sums(series: str, since: datetime, workspaces: Iterable[int], most: int = 1000) -> list[Line]:
    """By subject and outcome, subjects with most first."""
    return [
        Line(*row)
        for row in db.rows(
            "SELECT subject, outcome, n, octets FROM (SELECT subject, outcome, sum(n)::bigint AS n,"
            " sum(octets)::bigint AS octets, sum(sum(n)) OVER (PARTITION BY subject) AS whole FROM outbound_roll"
            " WHERE series = %s AND workspace_id = ANY(%s) AND hour >= %s GROUP BY 1, 2) x"
            " ORDER BY whole DESC, subject, n DESC, outcome LIMIT %s",
            [series, list(workspaces), since, most],
        )
    ]


def accounts(since: datetime, most: int = 1000) -> list[Line]:
    """Messages out by workspace and state, those with most first; the subject is its name."""
    return [
        Line(*row)
        for row in db.rows(
            "SELECT name, outcome, n, octets FROM (SELECT w.name, w.id, r.outcome, sum(r.n)::bigint AS n,"
            " sum(r.octets)::bigint AS octets, sum(sum(r.n)) OVER (PARTITION BY w.id) AS whole FROM outbound_roll r"
            " JOIN accounts_workspace w ON w.id = r.workspace_id WHERE r.series = 'out' AND r.hour >= %s"
            " GROUP BY w.id, w.name, r.outcome) x ORDER BY whole DESC, id, outcome LIMIT %s",
            [since, most],
        )
    ]


def hours(
    series: str, since: datetime, workspaces: Iterable[int], zone: str, unit: str
) -> list[tuple[datetime, str, int, int]]:
    """By hour or day of this zone, and outcome: (when, outcome, how many, octets); oldest first."""
    return db.rows(
        "SELECT date_trunc(%s, hour, %s) AS at, outcome, sum(n)::bigint, sum(octets)::bigint FROM outbound_roll"
        " WHERE series = %s AND workspace_id = ANY(%s) AND hour >= %s GROUP BY 1, 2 ORDER BY 1, 2",
        [unit, zone, series, list(workspaces), since],
    )


def sweep() -> int:
    """Drop what was kept long enough."""
    return db.execute(
        "DELETE FROM outbound_roll WHERE hour < now() - %s OR (series = ANY(%s) AND hour < now() - %s)",
        [KEEP, list(PEERS), KEEP_PEERS],
    )
