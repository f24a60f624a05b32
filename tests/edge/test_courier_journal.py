"""A courier that is killed leaves its journal; whoever comes next repeats only what had no answer yet."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from envol import db
from envol.edge import courier_journal
from envol.edge.courier_journal import Journal, inherit
from envol.outbound import lease, states
from envol.outbound.lease import Row
from envol.outbound.settle import Result, settle
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401 -- a fixture
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")


def said(row: Row, **more: Any) -> Result:
    return Result(row, "delivered", "", 250, "2.0.0", f"2.0.0 <{row.address}> kept", "mx.example", **more)


def killed(directory: Path, results: list[Result], name: str = "dead") -> Path:
    """The journal of a courier that died after these replies: what is left of it is the file, without its lock."""
    journal = Journal(directory, name, keep=4)
    journal.open()
    for result in results:
        journal.note(result)
    [part] = journal._parts
    journal.close(keep=True)
    return part.path


def held(count: int, name: str = "dead") -> list[Row]:
    return [row for one in lease.lease(name, count, seconds=900) for row in one.rows]


def test_what_was_answered_is_not_sent_again_and_the_rest_leaves_at_once(workspace, version, tmp_path) -> None:  # noqa: F811
    one = queued(workspace, 30, version_id=version)
    rows = held(30)
    file = killed(tmp_path, [said(row) for row in rows[:12]])

    async def work() -> None:
        async with Sink() as sink, couriers(sink, journal=tmp_path):
            await until(lambda: states.finished(one.id))
            assert not sink.repeated
            assert {who for who, _ in sink.accepted} == {row.address for row in rows[12:]}

    run(work())
    assert not file.exists() and list(tmp_path.iterdir()) == [], "a courier that ends by itself leaves nothing"
    assert states.counts(one.id)["delivered"] == 30
    kept = db.rows("SELECT DISTINCT reply, host FROM outbound_outcome WHERE host = 'mx.example'")
    assert kept == [("2.0.0 <<recipient>> kept", "mx.example")]
    assert {a for (a,) in db.rows("SELECT attempts FROM outbound_outcome WHERE host <> 'mx.example'")} == {2}
    assert states.invariants() == []


def test_a_retry_and_whoever_wants_to_hear_of_it_are_taken_over_too(workspace, version, tmp_path) -> None:  # noqa: F811
    one = queued(workspace, 1, version_id=version)
    [first] = held(1)
    settle([Result(first, "deferred", "greylisted", 451, None, "later")])
    lease.release([first.lease])
    db.execute("UPDATE outbound_retry SET due = now()")
    [row] = held(1)
    killed(tmp_path, [said(row)])
    assert row.chunk is None and inherit(tmp_path) == 1
    assert states.counts(one.id)["delivered"] == 1 and states.invariants() == []
    assert db.value("SELECT attempts FROM outbound_outcome") == 2


def test_what_is_torn_or_strange_is_left_out_and_the_others_count(workspace, version, tmp_path, monkeypatch) -> None:  # noqa: F811
    one = queued(workspace, 6, version_id=version)
    rows = held(6)
    monkeypatch.setattr(courier_journal, "MOST", 200)  # a file of two lines: several of one courier
    journal = Journal(tmp_path, "dead", keep=4)
    journal.open()
    for row in rows[:4]:
        journal.note(said(row))
    assert len(journal._parts) > 1
    last = journal._parts[-1]
    last.write(b'["0123')  # the kill came in the middle of a line
    journal.close(keep=True)
    (tmp_path / "other.replies").write_bytes(b"\xff\0 not of ours\n[1,2]\n")
    (tmp_path / "empty.replies").write_bytes(b"")
    assert inherit(tmp_path) == 4
    assert list(tmp_path.iterdir()) == [] and states.counts(one.id)["delivered"] == 4
    assert len(held(9, "next")) == 2, "what the dead held is free at once"
    assert states.invariants() == []


def test_only_what_the_dead_still_held_is_written(workspace, version, tmp_path) -> None:  # noqa: F811
    """A file that is stale, of another database, or of somebody who is gone says nothing any more."""
    one = queued(workspace, 4, version_id=version)
    rows = held(4)
    db.execute("UPDATE outbound_chunk SET lease_until = now() - interval '1 second'")
    lease.sweep()
    again = held(4, "next")
    killed(tmp_path, [said(row) for row in rows])
    stranger = Row(rows[0].sending, 10**12, 7, lease.Lease(uuid.uuid4(), False), 1, None, None, "x@un.example", "x")
    killed(tmp_path, [said(stranger)])
    assert inherit(tmp_path) == 0 and list(tmp_path.iterdir()) == []
    assert states.counts(one.id) | {"delivered": 0, "leased": 4} == states.counts(one.id)
    assert lease.renew([row.lease for row in again], seconds=900), "the living keep what they hold"


def test_a_journal_of_the_living_is_left_alone(workspace, version, tmp_path) -> None:  # noqa: F811
    queued(workspace, 3, version_id=version)
    rows = held(3)
    journal = Journal(tmp_path, "dead", keep=4)
    journal.open()
    results = [said(row) for row in rows]
    for result in results:
        journal.note(result)
    assert inherit(tmp_path) == 0 and len(list(tmp_path.iterdir())) == 1
    [file] = tmp_path.iterdir()
    full = file.stat().st_size
    journal.settled(results, now=10.0)
    journal.tidy(now=13.0)
    assert file.stat().st_size == full, "the database could still lose it"
    journal.tidy(now=14.5)
    assert file.read_bytes() == b'"dead"\n'
    journal.note(results[0])
    assert file.stat().st_size > 100
    journal.close()


def test_a_disk_that_takes_nothing_costs_the_protection_not_the_work(workspace, version, tmp_path, monkeypatch) -> None:  # noqa: F811
    queued(workspace, 4, version_id=version)
    results = [said(row) for row in held(4)]
    journal = Journal(tmp_path, "dead", keep=4)
    journal.open()
    real, room = os.write, [60]

    def write(file: int, data: bytes) -> int:
        if not room:
            return real(file, data)
        if not room[0]:
            raise OSError(28, "No space left on device")
        part = data[: room[0]]
        room[0] -= len(part)
        return real(file, part)

    monkeypatch.setattr(os, "write", write)
    for result in results[:2]:
        journal.note(result)
    room.clear()
    journal.note(results[2])
    monkeypatch.undo()
    journal.settled(results, now=1.0)
    journal.close(keep=True)
    assert inherit(tmp_path) == 1, "the line after a torn one is whole"
    killed(tmp_path / "missing" / "deep", [])
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    blocked = Journal(nowhere / "below", "dead", keep=4)
    blocked.open()
    blocked.note(results[3])
    blocked.close()
