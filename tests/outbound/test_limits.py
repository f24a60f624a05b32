"""What a workspace may send: campaigns wait, what somebody waits for does not."""

from __future__ import annotations

import asyncio

import pytest

from envol import db
from envol.accounts.workspaces import create_workspace
from envol.outbound import lease, limits, states
from envol.outbound.settle import Result, settle
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")


def deliver(rows: list[lease.Row]) -> None:
    settle([Result(row, "delivered", code=250, reply="OK") for row in rows])


def test_a_campaign_waits_when_its_workspace_has_used_up_its_hour(workspace) -> None:
    limits.put(workspace.id, 10, None)
    letter = queued(workspace, 30)
    code = queued(workspace, 3, kind="transactional", priority=2)
    other = queued(create_workspace("autre", title="Autre"), 5)
    held = lease.lease("c", 1000, seconds=60)
    mine = [row for one in held for row in one.rows if row.sending.id == letter.id]
    deliver(mine[:10])
    # Those in a courier's hands are given back, and nobody leases more of it; the others are not concerned.
    told = lease.changed(held)
    assert set(told.values()) == {(lease.RELEASE, "over_limit")}
    assert {key[0] for key in told} == {letter.id}
    lease.release(held)
    again = lease.lease("c", 1000, seconds=60)
    assert {row.sending.id for one in again for row in one.rows} == {code.id, other.id}
    lease.release(again)
    found = limits.of(workspace.id)
    assert (found.hour, found.day, found.per_hour, found.per_day) == (10, 10, 10, None)
    # An hour later it goes on.
    db.execute("UPDATE outbound_tally SET minute = minute - interval '61 minutes' WHERE state = 'delivered'")
    assert limits.over() == []
    limits.put(workspace.id, None, 10)
    assert limits.over() == [workspace.id]


def test_a_courier_keeps_to_the_limit_to_within_a_moment(workspace, version) -> None:  # noqa: F811
    limits.put(workspace.id, 20, None)
    letter = queued(workspace, 400, version_id=version)

    async def slowly(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT":
            await asyncio.sleep(0.1)

    async def work() -> None:
        async with Sink(slowly) as sink, couriers(sink, connections=3):
            await until(lambda: limits.over() == [workspace.id])
            await asyncio.sleep(2)
            assert 20 <= len(sink.accepted) <= 60
            quiet = len(sink.accepted)
            await asyncio.sleep(1)
            assert len(sink.accepted) == quiet

    run(work())
    assert states.counts(letter.id)["deferred"] == 0 and states.invariants() == []


def test_no_limit_of_nothing(workspace) -> None:
    with pytest.raises(ValueError, match="at least one"):
        limits.put(workspace.id, 0, None)
    assert limits.of(workspace.id) == limits.Limit(None, None, 0, 0)
