"""What goes wrong between two hosts, and what must hold all the same: nobody lost, nobody repeated without a word,
nobody suppressed for what a host or the way to it did."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import pytest

from envol import db
from envol.outbound import accept, states
from envol.outbound.models import DkimKey
from envol.wire import dkim_verify
from envol.wire.message import read
from envol.wire.smtp.client import TIMEOUTS
from tests.edge.sink import Sink, Talk
from tests.edge.test_courier import _closing, couriers, run, until, version  # noqa: F401
from tests.edge.test_courier_direct import direct, hosts, loopback, resolving, to_sink  # noqa: F401
from tests.outbound.helpers import queued
from tests.outbound.test_domains import Zone

pytestmark = pytest.mark.usefixtures("empty_database")

SHORT = dict.fromkeys(TIMEOUTS, 0.5)


async def due_now() -> None:
    await asyncio.to_thread(_closing, lambda: db.execute("UPDATE outbound_retry SET due = now()") >= 0)


def test_a_host_that_drips_its_reply_comes_to_an_end(workspace, version) -> None:  # noqa: F811
    """A byte now and then is no progress: each step has its time, however much it is filled."""
    one = queued(workspace, 2, version_id=version)
    dripped: list[int] = []

    async def drip(talk: Talk, verb: str) -> str | None:
        if verb == "RCPT":
            for octet in b"250-" + b"x" * 1000:
                dripped.append(octet)
                talk.writer.write(bytes([octet]))
                await talk.writer.drain()
                await asyncio.sleep(0.05)
        return None

    async def work() -> None:
        async with Sink(drip) as sink, couriers(sink, timeouts=SHORT):
            await until(lambda: states.counts(one.id)["deferred"] == 2)

    run(work())
    assert 5 < len(dripped) < 300
    assert db.rows("SELECT DISTINCT cause FROM outbound_retry") == [("connection_lost",)]
    assert db.value("SELECT count(*) FROM consent_suppression") == 0


def test_a_host_that_reads_no_more_is_left_and_nothing_may_have_arrived(workspace, version) -> None:  # noqa: F811
    """Half open: the connection stands, and nobody is behind it any more."""
    big = accept.accept_messages(
        [
            accept.Outgoing(
                workspace.id,
                ("", "lettre@librairie.example"),
                [("", "zoe@lecteurs.example")],
                subject="Gros",
                text="x" * 70 + "\n" + ("y" * 70 + "\n") * 400_000,
            )
        ]
    )
    sending_id = big[0].recipients[0][0]

    async def deaf(talk: Talk, verb: str) -> str | None:
        if verb == "DATA":
            talk.writer.write(b"354 Go on\r\n")
            talk.reader._limit = 1  # type: ignore[attr-defined]  # asyncio stops reading: the window closes
            talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(60)
        return None

    async def work() -> None:
        timeouts = SHORT | {"data": 5.0}
        async with Sink(deaf) as sink, couriers(sink, timeouts=timeouts):
            await until(lambda: states.counts(sending_id)["deferred"] == 1, 30)
            assert sink.accepted == []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("envol.edge.courier_connection.DATA_BLOCK_TIMEOUT", 0.5)
        run(work())
    cause, reply = db.rows("SELECT cause, reply FROM outbound_retry")[0]
    assert cause == "connection_lost" and "may have arrived" not in reply


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
def test_a_cut_before_the_final_dot_leaves_no_doubt(workspace, version, verb: str) -> None:  # noqa: F811
    one = queued(workspace, 4, version_id=version)
    cuts = [3]

    def cut(talk: Talk, said: str) -> None:
        if said == verb and cuts[0]:
            cuts[0] -= 1
            talk.cut()

    async def work() -> None:
        async with Sink(cut) as sink, couriers(sink, connections=2):
            # Cut three times, each message may have had its second try in vain: it comes again.
            for _ in range(4):
                await asyncio.sleep(0.3)
                await due_now()
                if await asyncio.to_thread(_closing, lambda: states.finished(one.id)):
                    break
            await until(lambda: states.finished(one.id))
            assert not sink.repeated and len(sink.accepted) == 4

    run(work())
    assert db.value("SELECT count(*) FROM events_event WHERE facts->>'cause' = 'in_doubt'") == 0
    assert states.counts(one.id)["delivered"] == 4 and states.invariants() == []


@pytest.mark.parametrize("verb", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
def test_421_at_any_moment_is_about_the_host(workspace, version, verb: str) -> None:  # noqa: F811
    one = queued(workspace, 6, version_id=version)
    said = [0]

    def closing(talk: Talk, now: str) -> str | None:
        if now == verb and said[0] < 2:
            said[0] += 1
            return "421 4.3.2 Service going down"
        return None

    async def work() -> None:
        async with Sink(closing) as sink, couriers(sink, connections=2):
            for _ in range(8):
                await asyncio.sleep(0.3)
                await due_now()
                if await asyncio.to_thread(_closing, lambda: states.finished(one.id)):
                    break
            await until(lambda: states.finished(one.id))
            assert not sink.repeated and len(sink.accepted) == 6

    run(work())
    assert said[0] == 2 and states.counts(one.id)["delivered"] == 6
    assert db.value("SELECT count(*) FROM consent_suppression") == 0


def test_who_is_going_down_is_left_for_the_next_host_at_once(workspace, version, direct) -> None:  # noqa: F811
    """RFC 5321 §5.1: the hosts of a domain in their order; the one that said 421 is not asked again for a minute."""
    one = queued(workspace, 6, domain="un.example", version_id=version)
    zone: Zone = {
        ("un.example", "MX"): ["10 mx.hote.example.", "20 mx2.hote.example."],
        ("mx.hote.example", "A"): ["127.0.0.1"],
        ("mx2.hote.example", "A"): ["127.0.0.2"],
    }

    async def work() -> None:
        down = Sink(lambda talk, verb: "421 4.3.2 Going down" if verb == "MAIL" else None)
        async with down as first, Sink(address="127.0.0.2", port=first.port) as second:
            with resolving(zone) as resolver:
                async with couriers(first, route=to_sink(first), resolver=resolver, connections=2):
                    await until(lambda: states.finished(one.id))
            assert len(second.accepted) == 6 and not first.accepted

    run(work())
    assert db.rows("SELECT DISTINCT host, attempts FROM outbound_outcome") == [("mx2.hote.example", 1)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_host_of_moods_ends_with_everybody_in_one_final_state(workspace, version, seed: int) -> None:  # noqa: F811
    """4xx, 5xx, 421 and cuts at every stage, by chance: the sets compared at the end are those of the ledger."""
    dice = random.Random(seed)
    one = queued(workspace, 80, version_id=version)
    refused: set[str] = set()

    def moods(talk: Talk, verb: str) -> str | None:
        mood = dice.random()
        if verb in ("GREETING", "EHLO", "QUIT", "RSET", "NOOP", "OTHER"):
            return None
        if mood < 0.02:
            talk.cut()
            return None
        if mood < 0.04:
            return "421 4.3.2 Closing"
        if mood < 0.10 and verb != "DATA":  # the sink of these tests reads on after any word to DATA
            return "451 4.3.0 Not now"
        if mood < 0.13 and verb == "RCPT":
            refused.add(talk.recipient)
            return "550 5.1.1 No such user"
        return None

    async def work() -> None:
        async with Sink(moods) as sink, couriers(sink, 2, connections=4):
            for _ in range(40):
                await asyncio.sleep(0.25)
                await due_now()
                if await asyncio.to_thread(_closing, lambda: states.finished(one.id)):
                    break
            await until(lambda: states.finished(one.id))
            arrived = Counter(who for who, _ in sink.accepted)
            ends = dict(
                await asyncio.to_thread(
                    db.rows,
                    "SELECT s.address, o.state FROM outbound_send s JOIN outbound_outcome o USING (sending_id, no)",
                )
            )
            assert len(ends) == 80
            assert {who for who, state in ends.items() if state == "delivered"} <= set(arrived)
            # A cut or a 421 after the final dot leaves a doubt, and only that repeats a message.
            doubts = await asyncio.to_thread(
                db.value, "SELECT count(*) FROM events_event WHERE facts->>'cause' = 'in_doubt'"
            )
            assert sum(n - 1 for n in arrived.values()) <= doubts
            assert {who for who, state in ends.items() if state == "bounced"} <= refused

    run(work())
    assert states.invariants() == []


@pytest.mark.parametrize("minutes", [-1440, 1440])
def test_a_clock_that_jumps_a_day_expires_and_freezes_nobody(workspace, version, minutes: int) -> None:  # noqa: F811
    """The database's clock is the one of the queue: a jump is what its rows look like afterwards."""
    from envol.outbound import lease

    one = queued(workspace, 3, version_id=version)

    def later(talk: Talk, verb: str) -> str | None:
        return "451 4.3.0 Not now" if verb == "RCPT" and talk.number == 1 else None

    async def work() -> None:
        async with Sink(later) as sink, couriers(sink, connections=1):
            await until(lambda: states.counts(one.id)["deferred"] == 3)
        # A jump forward by m is rows that are m older; a jump back, rows that are m younger.
        await asyncio.to_thread(
            _closing,
            lambda: bool(
                db.execute(
                    "UPDATE outbound_retry SET due = due - make_interval(mins => %(m)s),"
                    " first_at = first_at - make_interval(mins => %(m)s)",
                    {"m": minutes},
                )
            ),
        )
        await asyncio.to_thread(lease.sweep)
        due = await asyncio.to_thread(db.value, "SELECT max(due) < now() + interval '5 hours' FROM outbound_retry")
        assert due  # nobody waits longer than the longest back-off
        await due_now()
        async with Sink() as sink, couriers(sink):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 3

    run(work())
    assert states.counts(one.id)["delivered"] == 3


def test_a_slow_receiver_that_came_first_leaves_room_for_whoever_comes_later(workspace, version) -> None:  # noqa: F811
    """While it was alone it took what there was; the others must not wait until it lets go."""
    slow = queued(workspace, 150, domain="slow.example", version_id=version)

    async def tarpit(talk: Talk, verb: str) -> None:
        if verb == "DOT" and talk.recipient.endswith("@slow.example"):
            await asyncio.sleep(30)

    async def work() -> None:
        async with Sink(tarpit) as sink, couriers(sink, connections=8):
            await until(lambda: sink.open >= 2)
            await asyncio.sleep(1)
            quick = await asyncio.to_thread(queued, workspace, 40, domain="quick.example", version_id=version)
            await until(lambda: states.finished(quick.id), 15)
            await asyncio.to_thread(db.execute, "UPDATE outbound_sending SET state = 'paused' WHERE id = %s", [slow.id])
            sink.script = None
            for _ in range(2):
                talks = list(sink._tasks)
                for task in talks:
                    task.cancel()
                await asyncio.sleep(0.2)

    run(work())


# ---- where mail goes


@pytest.mark.usefixtures("direct")
def test_a_domain_that_becomes_null_in_dns_is_not_tried_again(workspace, version) -> None:  # noqa: F811
    one = queued(workspace, 2, domain="nul.example", version_id=version)

    async def work() -> None:
        with resolving({("nul.example", "MX"): ["0 ."]}) as resolver:
            async with Sink() as sink, couriers(sink, route=to_sink(sink), resolver=resolver):
                await until(lambda: states.counts(one.id)["bounced"] == 2)
                assert sink.sessions == 0

    run(work())
    assert db.rows("SELECT DISTINCT code, enhanced, cause FROM outbound_outcome") == [(556, "5.1.10", "null_mx")]


def test_addresses_of_both_families_and_of_disguised_ones() -> None:
    zone: Zone = {
        ("un.example", "MX"): ["10 six.un.example.", "20 four.un.example.", "30 trick.un.example."],
        ("six.un.example", "AAAA"): ["2606:2800:220:1:248:1893:25c8:1946"],
        ("four.un.example", "A"): ["93.184.216.34"],
        ("trick.un.example", "AAAA"): ["::ffff:127.0.0.1", "64:ff9b::a00:1", "fe80::1", "fd00::1"],
        ("trick.un.example", "A"): ["0.0.0.0"],
    }
    assert hosts(zone, "un.example") == [
        ("six.un.example", "2606:2800:220:1:248:1893:25c8:1946"),
        ("four.un.example", "93.184.216.34"),
    ]


def test_hosts_of_equal_preference_are_tried_in_an_order_of_their_own() -> None:
    zone: Zone = {("un.example", "MX"): [f"10 mx{i}.un.example." for i in range(4)]}
    for i in range(4):
        zone[f"mx{i}.un.example", "A"] = [f"93.184.216.{i + 1}"]
    assert len({hosts(zone, "un.example")[0] for _ in range(40)}) == 4


@pytest.mark.parametrize(
    "address", ["zoe@[192.0.2.1]", "zoe@[IPv6:2001:db8::1]", "zoe@127.0.0.1", "zoe@localhost", "zoe@intranet"]
)
def test_recipients_that_lead_into_our_own_network_are_refused_at_the_door(workspace, version, address: str) -> None:  # noqa: F811
    with pytest.raises(accept.Refused):
        accept.accept_messages(
            [accept.Outgoing(workspace.id, ("", "lettre@librairie.example"), [("", address)], subject="x", text="x")]
        )
    assert db.value("SELECT count(*) FROM outbound_message") == 0


def test_eight_bits_leave_in_seven_and_the_signature_holds(workspace, version) -> None:  # noqa: F811
    """Whatever the next host offers (RFC 6152): it is put in seven bits before it is signed."""
    raw = (
        "From: Librairie <lettre@librairie.example>\r\nTo: zoe@lecteurs.example\r\nSubject: Été\r\n"
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "À bientôt\r\n"
    ).encode()
    accept.accept_messages(
        [accept.Outgoing(workspace.id, ("", "lettre@librairie.example"), [("", "zoe@lecteurs.example")], raw=raw)]
    )

    async def work() -> bytes:
        async with Sink() as sink, couriers(sink):
            await until(lambda: len(sink.accepted) == 1)
            return sink.accepted[0][1]

    sent = asyncio.run(work())
    assert sent.isascii()
    assert read(sent).text == "À bientôt\n" and read(sent).subject == "Été"
    keys = {key.selector: key.record for key in DkimKey.objects.all()}
    found = dkim_verify.verify(sent, lambda domain, selector: keys.get(selector), int(time.time()))
    assert len(found) == 2 and all(one.ok for one in found)
