"""How the database finds what couriers ask for, when its statistics are older than the sending.

A sending that began since the last ANALYZE is taken for one row, and each way to reach that row costs the same: the
planner once looked up the sending alone and filtered its thousands of numbers for each recipient (4 s a lease at 20,000
people, growing with their square).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, transaction

from envol import db
from envol.outbound import lease, queue, settle, states
from envol.outbound.settle import Result
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")

READS = re.compile(r"Index.* Scan.* on outbound_(?:send|outcome|retry)\b")


@contextmanager
def plans() -> Iterator[list[tuple[str, str, str]]]:
    """Scans of the ledger by all statements within: (scan, its condition, what it filters)."""
    asked: list[tuple[str, Any]] = []
    found: list[tuple[str, str, str]] = []

    def listen(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(listen):
        yield found
    for sql, params in asked:
        if not re.search(r"outbound_(send|outcome)\b", sql) or sql.lstrip().upper().startswith("SET"):
            continue
        with transaction.atomic():
            for way in ("hashjoin", "mergejoin", "seqscan"):
                db.execute(f"SET LOCAL enable_{way} = off")
            lines = [row[0] for row in db.rows("EXPLAIN " + sql, params)]
        for at, line in enumerate(lines):
            if READS.search(line):
                conditions = [said for said in lines[at + 1 : at + 4] if "Index Cond" in said]
                joined = [said for said in lines[max(0, at - 6) : at] if "Join Filter" in said]
                found.append((line.strip(), conditions[0] if conditions else "", " ".join(joined)))


def by_the_key(scans: list[tuple[str, str, str]]) -> None:
    assert scans
    for scan, condition, joined in scans:
        assert "sending_id" in condition and re.search(r"\bno\b", condition), (scan, condition)
        assert not joined, (scan, joined)


def unknown_sending(workspace: Any, count: int) -> Any:
    """A sending that the statistics have never seen, beside another that they have."""
    queued(workspace, 400, domain="connus.example")
    rows = [row for one in lease.lease("before", 10_000, seconds=900) for row in one.rows]
    settle.settle([Result(row, "delivered", "", 250, "2.0.0", "OK", "mx.example", "") for row in rows])
    db.execute("ANALYZE outbound_send, outbound_outcome, outbound_retry, outbound_chunk, contacts_contact")
    return queued(workspace, count)


def test_whoever_leases_finds_each_row_by_its_whole_key(workspace) -> None:
    unknown_sending(workspace, 1500)
    with plans() as scans:
        held = lease.lease("test", 500, seconds=900)
    assert sum(one.pending for one in held) >= 500
    tables = {scan.partition(" on ")[2].split()[0] for scan, *_ in scans}
    assert tables >= {"outbound_send", "outbound_outcome", "outbound_retry"}
    by_the_key(scans)


def test_whoever_gives_back_or_looks_at_the_queue_does_too(workspace) -> None:
    one = unknown_sending(workspace, 1500)
    held = lease.lease("test", 500, seconds=900)
    with plans() as scans:
        assert states.counts(one.id)["leased"] >= 500
        assert queue.waiting(workspace.id)
        lease.release(held)
    by_the_key([scan for scan in scans if "outbound_retry" not in scan[0]])  # of those who wait all are counted
