"""The courier, over real sockets, with the real database: what it promises when the other side misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable

import pytest
from django.db import connection

from envol import db
from envol.accounts.models import Workspace
from envol.content import templates
from envol.edge.courier import Courier
from envol.outbound import dialogues, domains, lease, states
from envol.outbound.models import Sending
from envol.outbound.route import Route
from envol.wire.smtp.client import TIMEOUTS
from tests.edge.sink import Sink, Talk
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")

HTML = (
    "<html><body><p>Bonjour {{ contact.first_name | default('vous') }}</p>"
    "<p><a href='{{ unsubscribe_url }}'>x</a></p></body></html>"
)


@pytest.fixture
def version(workspace: Workspace) -> int:
    domains.add(workspace, "librairie.example", trusted=True)
    return templates.save(workspace, "lettre", "html", HTML, "Des livres", fallbacks={"contact.first_name": "vous"}).id


@contextlib.asynccontextmanager
async def couriers(sink: Sink, count: int = 1, **more) -> AsyncIterator[list[Courier]]:  # noqa: ANN003
    route = more.pop("route", None) or Route("smart_host", relay=("127.0.0.1", sink.port), helo="out.librairie.example")
    made = [Courier(f"courier-{n}", route, base_url="http://localhost:8025", **more) for n in range(count)]
    tasks = [asyncio.create_task(courier.run()) for courier in made]
    try:
        yield made
    finally:
        for courier in made:
            courier.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


async def until(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await asyncio.to_thread(_closing, what):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen in time")


def _closing(what: Callable[[], bool]) -> bool:
    try:
        return what()
    finally:
        connection.close()


def run(work) -> None:  # noqa: ANN001
    asyncio.run(work)


def test_everybody_gets_one_signed_message(workspace, version) -> None:
    one = queued(workspace, 60, version_id=version)

    async def work() -> None:
        async with Sink() as sink, couriers(sink, 2, connections=5):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 60 and not sink.repeated
            assert sink.sessions <= 10  # several messages a connection
            message = sink.accepted[0][1]
            assert message.count(b"DKIM-Signature:") == 2 and b"List-Unsubscribe-Post:" in message

    run(work())
    assert states.counts(one.id)["delivered"] == 60
    assert db.rows("SELECT DISTINCT code, reply, host FROM outbound_outcome") == [(250, "Kept", "127.0.0.1")]
    assert states.invariants() == []


def test_the_next_message_travels_behind_the_data_of_the_last(workspace, version) -> None:
    """And one refused there, or a session that ends there, costs the message behind it nothing."""
    one = queued(workspace, 120, version_id=version)
    behind: list[bool] = []

    def script(talk: Talk, verb: str) -> str | None:
        if verb != "DOT":
            return None
        behind.append(b"MAIL FROM" in talk.reader._buffer)  # type: ignore[attr-defined]
        if behind[-1] and behind.count(True) == 3:
            return "550 5.6.0 not this one"
        if behind[-1] and behind.count(True) == 6:
            return "421 4.3.2 closing"
        return None

    async def work() -> None:
        async with Sink(script) as sink, couriers(sink, connections=8):
            await until(lambda: states.finished(one.id))
            assert not sink.repeated and len(sink.accepted) == 119

    run(work())
    assert sum(behind) > 6
    counts = states.counts(one.id)
    assert (counts["bounced"], counts["delivered"]) == (1, 119)
    assert states.invariants() == []


def test_a_host_that_does_not_pipeline_is_served_too(workspace, version) -> None:
    one = queued(workspace, 5, version_id=version)

    async def work() -> None:
        async with Sink(pipelining=False) as sink, couriers(sink):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 5

    run(work())


def test_greylisting_defers_and_the_second_try_passes(workspace, version) -> None:
    one = queued(workspace, 3, version_id=version)
    seen: set[str] = set()

    def greylist(talk, verb):  # noqa: ANN001, ANN202
        if verb == "RCPT" and talk.recipient not in seen:
            seen.add(talk.recipient)
            return "451 4.7.1 Greylisted, come back"
        return None

    async def work() -> None:
        async with Sink(greylist) as sink, couriers(sink):
            await until(lambda: states.counts(one.id)["deferred"] == 3)
            assert sink.accepted == []
            await asyncio.to_thread(_closing, lambda: db.execute("UPDATE outbound_retry SET due = now()") == 3)
            await until(lambda: states.finished(one.id))
            ids = {m.split(b"Message-ID:")[1].split(b"\r\n")[0] for _, m in sink.accepted}
            assert len(ids) == 3

    run(work())
    assert states.counts(one.id)["delivered"] == 3
    assert db.rows("SELECT DISTINCT attempts FROM outbound_outcome") == [(2,)]


def test_unknown_users_bounce_and_are_suppressed(workspace, version) -> None:
    one = queued(workspace, 4, version_id=version)

    def refuse(talk, verb):  # noqa: ANN001, ANN202
        return "550 5.1.1 No such user" if verb == "RCPT" and talk.recipient.startswith("p1.") else None

    async def work() -> None:
        async with Sink(refuse) as sink, couriers(sink):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 3

    run(work())
    counts = states.counts(one.id)
    assert (counts["delivered"], counts["bounced"]) == (3, 1)
    assert db.value("SELECT count(*) FROM consent_suppression") == 1
    assert db.value("SELECT count(*) FROM contacts_contact WHERE suppressed") == 1


def test_421_in_the_middle_loses_and_repeats_nobody(workspace, version) -> None:
    one = queued(workspace, 30, version_id=version)

    def close(talk, verb):  # noqa: ANN001, ANN202
        return "421 4.3.2 Closing" if verb == "MAIL" and talk.messages == 4 else None

    async def work() -> None:
        async with Sink(close) as sink, couriers(sink, connections=8):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 30 and not sink.repeated
            assert sink.sessions >= 7

    run(work())
    assert states.counts(one.id)["delivered"] == 30


def test_a_cut_after_the_final_dot_is_repeated_and_told(workspace, version) -> None:
    one = queued(workspace, 1, version_id=version)

    def cut(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT" and talk.number == 1:
            talk.sink.accepted.append((talk.recipient, b"kept, but never said so"))
            talk.cut()
        return

    async def work() -> None:
        async with Sink(cut) as sink, couriers(sink):
            await until(lambda: states.counts(one.id)["deferred"] == 1)
            await asyncio.to_thread(_closing, lambda: db.execute("UPDATE outbound_retry SET due = now()") == 1)
            await until(lambda: states.finished(one.id))
            assert len(sink.repeated) == 1

    run(work())
    no = db.value("SELECT no FROM outbound_send")
    steps = states.history(one.id, no)
    assert [s["state"] for s in steps] == ["accepted", "deferred", "delivered"]
    assert "may have arrived" in steps[1]["reply"]
    # Each attempt is kept with every line that was said, and without the person.
    first, second = (said for _at, said in sorted(dialogues.found(one.id, no, [s["at"] for s in steps]).items()))
    assert first.splitlines()[0].startswith("* connected to 127.0.0.1 (127.0.0.1) from 127.0.0.1")
    assert "C: RCPT TO:<recipient>" in first and first.splitlines()[-1].startswith("* message of ")
    assert second.splitlines()[-1].startswith("S: 250 ")
    assert db.value("SELECT address FROM outbound_send") not in first + second
    db.execute("UPDATE outbound_dialogue SET at = at - interval '8 days'")
    assert dialogues.sweep() == 2


def test_a_slow_final_dot_is_waited_for(workspace, version) -> None:
    one = queued(workspace, 1, version_id=version)

    async def slow(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT":
            await asyncio.sleep(1.5)

    async def work() -> None:
        timeouts = dict.fromkeys(TIMEOUTS, 0.6) | {"end_of_data": 10}
        async with Sink(slow) as sink, couriers(sink, timeouts=timeouts):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 1 and not sink.repeated

    run(work())
    assert states.counts(one.id)["delivered"] == 1


def test_a_silent_host_is_left_and_the_message_deferred(workspace, version) -> None:
    one = queued(workspace, 1, version_id=version)

    async def silent(talk, verb):  # noqa: ANN001, ANN202
        if verb == "MAIL":
            await asyncio.sleep(60)

    async def work() -> None:
        async with Sink(silent) as sink, couriers(sink, timeouts=dict.fromkeys(TIMEOUTS, 0.4)):
            await until(lambda: states.counts(one.id)["deferred"] == 1)
            assert sink.sessions == 2  # another connection was tried first

    run(work())
    assert db.value("SELECT cause FROM outbound_retry") == "connection_lost"


def test_a_broken_handshake_goes_on_in_clear(workspace, version) -> None:
    one = queued(workspace, 3, version_id=version)

    async def work() -> None:
        async with Sink(starttls="broken") as sink, couriers(sink, connections=1):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 3 and sink.sessions == 2

    run(work())
    assert db.rows("SELECT DISTINCT tls FROM outbound_outcome") == [("",)]


def test_a_withdrawal_stops_the_message_that_waits(workspace, version) -> None:
    one = queued(workspace, 2, version_id=version)
    held = asyncio.Event()

    async def hold(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT":
            await held.wait()

    async def work() -> None:
        async with Sink(hold) as sink, couriers(sink, connections=1):
            while "DATA" not in sink.commands:
                await asyncio.sleep(0.02)
            # The second message is made and waits for the only connection.
            await asyncio.to_thread(
                _closing, lambda: bool(db.execute("UPDATE contacts_contact SET allowed = 0, refused = 4"))
            )
            await asyncio.sleep(1.1)
            held.set()
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 1

    run(work())
    counts = states.counts(one.id)
    assert (counts["delivered"], counts["suppressed"]) == (1, 1)


def test_pause_holds_and_resume_goes_on(workspace, version) -> None:
    one = queued(workspace, 80, version_id=version)

    async def slowly(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT":
            await asyncio.sleep(0.05)

    def state(word: str) -> bool:
        return bool(Sending.objects.filter(id=one.id).update(state=word))

    async def work() -> None:
        async with Sink(slowly) as sink, couriers(sink, connections=8):
            await until(lambda: len(sink.accepted) > 10)
            await asyncio.to_thread(_closing, lambda: state("paused"))
            await asyncio.sleep(1.5)
            before = len(sink.accepted)
            await asyncio.sleep(0.5)
            assert len(sink.accepted) == before < 80
            assert await asyncio.to_thread(_closing, lambda: states.counts(one.id)["queued"] == 80 - before)
            await asyncio.to_thread(_closing, lambda: state("sending"))
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 80 and not sink.repeated

    run(work())
    assert states.invariants() == []


def test_stopping_a_courier_gives_back_what_it_did_not_send(workspace, version) -> None:
    one = queued(workspace, 100, version_id=version)

    async def slowly(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT":
            await asyncio.sleep(0.1)

    async def work() -> None:
        async with Sink(slowly) as sink:
            async with couriers(sink, connections=8):
                await until(lambda: len(sink.accepted) > 4)
            assert not sink.open
            sent = len(sink.accepted)
            counts = await asyncio.to_thread(_closing_counts, one.id)
            assert counts["delivered"] == sent < 100
            assert counts["queued"] == 100 - sent and counts["leased"] == 0

    run(work())
    assert states.invariants() == []


def _closing_counts(sending_id: int) -> dict[str, int]:
    try:
        return states.counts(sending_id)
    finally:
        connection.close()


def test_one_slow_site_leaves_three_quarters_of_the_places_to_others(workspace, version) -> None:
    slow = queued(workspace, 60, domain="slow-site.example", version_id=version)
    quick = queued(workspace, 60, domain="quick-site.example", version_id=version)

    async def tarpit(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT" and talk.recipient.endswith("@slow-site.example"):
            await asyncio.sleep(2)

    async def work() -> None:
        async with Sink(tarpit) as sink, couriers(sink, connections=8):
            await until(lambda: states.finished(quick.id), 10)
            assert sum(who.endswith("@slow-site.example") for who, _ in sink.accepted) <= 4
            await asyncio.to_thread(_closing, lambda: bool(Sending.objects.filter(id=slow.id).update(state="paused")))

    run(work())


def test_a_relay_that_is_away_costs_nobody_an_attempt(workspace, version) -> None:
    one = queued(workspace, 5, version_id=version)

    async def work() -> None:
        sink = Sink()
        async with sink:
            port = sink.port
        async with couriers(sink):
            await asyncio.sleep(0.6)
            async with Sink(port=port) as back:
                await until(lambda: states.finished(one.id))
                assert len(back.accepted) == 5

    run(work())
    assert db.rows("SELECT DISTINCT attempts FROM outbound_outcome") == [(1,)]


def test_outcomes_survive_a_database_that_goes_away(workspace, version) -> None:
    one = queued(workspace, 80, version_id=version)

    async def work() -> None:
        async with Sink() as sink, couriers(sink, connections=3) as (courier,):
            for _ in range(4):
                await asyncio.sleep(0.15)
                await asyncio.to_thread(
                    _closing,
                    lambda: bool(
                        db.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                            " AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND NOT pid = ANY(%s)",
                            [others],
                        )
                    ),
                )
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 80 and not sink.repeated

    # Whoever was there before keeps its connection: this thread, and what tests in a browser left open.
    others = [pid for (pid,) in db.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")]
    run(work())
    assert states.counts(one.id)["delivered"] == 80
    assert states.invariants() == []


def test_a_message_that_cannot_be_composed_is_told_and_the_others_leave(workspace, version) -> None:
    one = queued(workspace, 3, version_id=version)
    db.execute("UPDATE outbound_send SET address = 'x y@un.example' WHERE no = (SELECT min(no) FROM outbound_send)")

    async def work() -> None:
        async with Sink() as sink, couriers(sink):
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 2

    run(work())
    assert db.value("SELECT state FROM outbound_outcome WHERE state <> 'delivered'") == "bounced"


def test_who_has_lost_a_lease_sends_nothing_more_of_it(workspace, version) -> None:
    """A clock that jumps takes leases from couriers that live: what is on the wire may come twice, nothing else."""
    one = queued(workspace, 120, version_id=version)
    go = asyncio.Event()

    async def hold(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT" and len(sinks[0].accepted) >= 20:
            await go.wait()

    sinks: list[Sink] = []

    async def work() -> None:
        async with Sink(hold) as sink:
            sinks.append(sink)
            async with couriers(sink, 2, connections=4):
                await until(lambda: states.counts(one.id)["delivered"] >= 20)
                await asyncio.to_thread(_closing, lambda: bool(lease.abandon("courier-0") + lease.abandon("courier-1")))
                go.set()
                await until(lambda: states.finished(one.id))
            assert sum(n - 1 for n in sink.repeated.values()) <= 8, "no more than there are tickets"

    run(work())
    assert states.counts(one.id)["delivered"] == 120 and states.invariants() == []


def test_a_lease_does_not_outlive_its_courier(workspace, version) -> None:
    queued(workspace, 10, version_id=version)
    lease.lease("dead", 100, seconds=1)

    async def work() -> None:
        async with Sink() as sink, couriers(sink):
            await asyncio.sleep(1.2)
            assert sink.accepted == []
            await asyncio.to_thread(_closing, lambda: lease.sweep() == 1)
            await until(lambda: len(sink.accepted) == 10)

    run(work())
    assert db.rows("SELECT DISTINCT attempts FROM outbound_outcome") == [(2,)]


def test_what_was_sent_does_not_wait_for_the_collector_of_cycles(workspace, version) -> None:
    """A lease and its rows point at each other; with hundreds of thousands of rows an hour that is a courier's size."""
    one = queued(workspace, 60, version_id=version)

    def held() -> int:
        return sum(len(found.rows) for found in gc.get_objects() if isinstance(found, lease.Lease))

    async def work() -> None:
        async with Sink() as sink, couriers(sink, connections=5) as (courier,):
            await until(lambda: states.finished(one.id) and not courier._leases)
            assert len(sink.accepted) == 60 and held() == 0

    gc.collect()
    gc.disable()
    try:
        run(work())
    finally:
        gc.enable()


def test_a_step_longer_than_a_lease_keeps_it_and_no_transaction_open(workspace, version) -> None:
    """Its holder renews it; the other courier, which sweeps and leases meanwhile, finds nothing to take."""
    one = queued(workspace, 4, version_id=version)
    asked = asyncio.Event()

    async def slowly(talk, verb):  # noqa: ANN001, ANN202
        if verb == "DOT":
            asked.set()
            await asyncio.sleep(4)

    def begun() -> int:
        """Transactions that began before the final dot was sent, of anybody who speaks to this database."""
        db.execute("SELECT pg_stat_clear_snapshot()")
        return int(
            db.value(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend' AND xact_start < now() - interval '1 second'"
                " AND NOT pid = ANY(%s)",
                [others],
            )
            or 0
        )

    async def work() -> None:
        async with Sink(slowly) as sink, couriers(sink, 2, connections=4, lease_seconds=1):
            await asyncio.wait_for(asked.wait(), 20)
            await asyncio.sleep(2.5)  # two and a half leases
            assert await asyncio.to_thread(_closing, lambda: lease.sweep() == 0 and begun() == 0)
            await until(lambda: states.finished(one.id))
            assert len(sink.accepted) == 4 and not sink.repeated

    others = [pid for (pid,) in db.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")]
    run(work())
    assert db.rows("SELECT DISTINCT state, attempts FROM outbound_outcome") == [("delivered", 1)]
    assert states.invariants() == []
