"""Couriers keep to what a receiver takes, leave from the right address, and warm a new one up: real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from envol import db
from envol.edge.courier import Courier
from envol.outbound import egress, shaping, sites, states
from envol.outbound.route import Route
from tests.edge.sink import Sink, Talk
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401
from tests.edge.test_courier_direct import direct, loopback, resolving, to_sink  # noqa: F401
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database", "direct")


@contextlib.asynccontextmanager
async def sending(
    sink: Sink, *domains: str, sources: str = "", count: int = 1, **more: object
) -> AsyncIterator[list[Courier]]:
    with resolving(loopback(*domains)) as resolver:
        route: Route = dataclasses.replace(to_sink(sink), sources=tuple(egress.parse(sources)))
        async with couriers(sink, count, route=route, resolver=resolver, **more) as made:
            yield made


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosts of these tests take two connections, and five messages on each."""
    usual = sites.receivers()
    few = dataclasses.replace(usual[sites.OTHERS], connections=2, messages_per_connection=5, pause_seconds=1)
    monkeypatch.setattr(sites, "receivers", lambda: {**usual, sites.OTHERS: few})


def peers(sink: Sink) -> dict[str, set[str]]:
    """Source address → recipients, of every message that began."""
    found: dict[str, set[str]] = {}

    def script(talk: Talk, verb: str) -> None:
        if verb == "DOT":
            found.setdefault(talk.writer.get_extra_info("peername")[0], set()).add(talk.recipient)

    sink.script = script
    return found


def test_several_couriers_and_domains_together_keep_to_a_receivers_connections(workspace, version, narrow) -> None:  # noqa: F811
    sent = [queued(workspace, 40, domain=name, version_id=version) for name in ("un.example", "deux.example")]

    async def work() -> None:
        async def slowly(talk: Talk, verb: str) -> None:
            if verb == "DOT":
                await asyncio.sleep(0.01)

        async with Sink(slowly) as sink, sending(sink, "un.example", "deux.example", count=3):
            await until(lambda: all(states.finished(one.id) for one in sent))
            assert len(sink.accepted) == 80 and not sink.repeated
            assert sink.most_open <= 2
            assert sink.sessions >= 80 / 5

    run(work())
    assert states.invariants() == []


@pytest.mark.parametrize("count", [1, 2])  # one courier may have taken them all before the other asks
def test_one_word_on_our_rate_slows_every_courier_and_mail_goes_on_after_the_pause(
    workspace,  # noqa: ANN001
    version,  # noqa: ANN001, F811
    narrow,  # noqa: ANN001
    count: int,
) -> None:
    one = queued(workspace, 30, domain="un.example", version_id=version)
    said: list[float] = []
    after: list[float] = []

    def busy(talk: Talk, verb: str) -> str | None:
        now = asyncio.get_running_loop().time()
        if verb == "MAIL" and not said:
            said.append(now)
            return "421 4.7.28 unusual rate of mail"
        if verb == "MAIL" and said:
            after.append(now - said[0])
        return None

    async def work() -> None:
        async with Sink(busy) as sink, sending(sink, "un.example", count=count):
            await until(lambda: len(after) > 3)
            assert sink.accepted

    run(work())
    # What was on its way on another connection may end; then a second of silence.
    assert len([gap for gap in after if gap < 0.9]) <= 2
    row = shaping.table()[0]
    assert (row["connections"], row["reason"]) == (1, "421 4.7.28 unusual rate of mail")
    assert db.value("SELECT grp FROM outbound_site WHERE site = 'un.example'") == "hote.example"
    assert states.counts(one.id)["bounced"] == 0


def test_each_stream_leaves_from_its_own_addresses(workspace, version) -> None:  # noqa: F811
    letter = queued(workspace, 20, domain="un.example", version_id=version)
    code = queued(workspace, 4, domain="deux.example", version_id=version, kind="test", priority=2)
    sources = "127.0.0.2 out2.librairie.example transactional; 127.0.0.3 out3.librairie.example marketing lists"

    async def work() -> None:
        async with Sink() as sink, sending(sink, "un.example", "deux.example", sources=sources):
            found = peers(sink)
            await until(lambda: states.finished(letter.id) and states.finished(code.id))
            assert {address: len(who) for address, who in found.items()} == {"127.0.0.2": 4, "127.0.0.3": 20}
            assert {"EHLO out2.librairie.example", "EHLO out3.librairie.example"} == {
                line for line in sink.commands if line.startswith("EHLO")
            }

    run(work())


def test_a_retry_leaves_from_the_same_address(workspace, version) -> None:  # noqa: F811
    one = queued(workspace, 24, domain="un.example", version_id=version)
    first: dict[str, str] = {}
    second: dict[str, str] = {}

    def grey(talk: Talk, verb: str) -> str | None:
        if verb != "RCPT":
            return None
        peer = talk.writer.get_extra_info("peername")[0]
        if talk.recipient not in first:
            first[talk.recipient] = peer
            return "451 4.7.1 Greylisted, please come back"
        second[talk.recipient] = peer
        return None

    async def work() -> None:
        async with Sink(grey) as sink, sending(sink, "un.example", sources="127.0.0.4 -; 127.0.0.5 -"):
            await until(lambda: states.counts(one.id)["deferred"] == 24)
            await asyncio.to_thread(db.execute, "UPDATE outbound_retry SET due = now()")
            await until(lambda: states.finished(one.id))

    run(work())
    assert first == second and set(first.values()) == {"127.0.0.4", "127.0.0.5"}


def test_a_new_address_sends_its_days_allowance_and_holds_the_rest_until_tomorrow(workspace, version) -> None:  # noqa: F811
    letter = queued(workspace, 30, domain="un.example", version_id=version)
    urgent = queued(workspace, 3, domain="un.example", version_id=version, kind="test", priority=2)

    async def work() -> None:
        async with Sink() as sink, sending(sink, "un.example", sources="127.0.0.6 - warm", count=3):
            await until(lambda: states.finished(urgent.id))
            await until(lambda: states.counts(letter.id)["deferred"] + states.counts(letter.id)["delivered"] == 30)

    run(work())
    counts, row = states.counts(letter.id), shaping.calendar()[0]
    assert row["allowed"] == 5 and row["receiver"] == "others" and row["source"] == "127.0.0.6"
    # What a courier sent is in the books when it has ended, also what went beyond the allowance.
    assert 1 <= counts["delivered"] <= 5 and row["used"] == counts["delivered"] + 3
    assert states.counts(urgent.id)["delivered"] == 3  # what somebody waits for does not wait until tomorrow
    assert db.rows("SELECT DISTINCT cause, attempts FROM outbound_retry") == [("warm_up", 1)]
    assert db.value("SELECT bool_and(due >= date_trunc('day', now() + interval '1 day')) FROM outbound_retry")
    assert states.invariants() == []


def test_an_address_that_is_warm_elsewhere_carries_what_the_new_one_may_not(workspace, version) -> None:  # noqa: F811
    letter = queued(workspace, 40, domain="un.example", version_id=version)

    async def work() -> None:
        async with Sink() as sink, sending(sink, "un.example", sources="127.0.0.6 - warm; 127.0.0.7 -"):
            found = peers(sink)
            await until(lambda: states.finished(letter.id))
            assert len(found["127.0.0.6"]) <= 5 and len(found["127.0.0.7"]) >= 35

    run(work())


def test_who_refuses_us_three_times_in_a_row_is_left_alone_for_a_while(workspace, version) -> None:  # noqa: F811
    one = queued(workspace, 30, domain="un.example", version_id=version)

    def blocked(talk: Talk, verb: str) -> str | None:
        return "451 4.7.1 Your IP is on a block list" if verb == "RCPT" else None

    async def work() -> None:
        async with Sink(blocked) as sink, sending(sink, "un.example"):
            await until(lambda: states.counts(one.id)["deferred"] == 30)
            assert sum(line.startswith("RCPT") for line in sink.commands) < 30

    run(work())
    assert db.value("SELECT count(*) FROM outbound_retry WHERE cause = 'paused'") > 0
    assert shaping.table()[0]["paused_until"] is not None
