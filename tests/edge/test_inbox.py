"""The local route: what the inbox acknowledged is in the table, and simulated receivers behave as labelled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from django.db import connection

from envol import db, disk
from envol.edge.inbox import Inbox, _store
from envol.outbound import accept, capture, domains, states
from envol.outbound.route import Route, inbox_address, tell_inbox_address
from envol.outbound.simulated import Receivers
from tests.edge.test_courier import couriers, run, until

pytestmark = pytest.mark.usefixtures("empty_database")


@contextlib.asynccontextmanager
async def listening(store=_store) -> AsyncIterator[tuple[str, int]]:  # noqa: ANN001
    inbox = Inbox(store)
    address = await inbox.listen("127.0.0.1", 0)
    try:
        yield address
    finally:
        await inbox.close()


async def say(address: tuple[str, int], *lines: str) -> list[str]:
    """One session, one command after another; the last line of each reply."""
    reader, writer = await asyncio.open_connection(*address)
    said = [(await reader.readline()).decode().rstrip()]
    for line in lines:
        writer.write(line.encode() + b"\r\n")
        while True:
            answer = (await reader.readline()).decode().rstrip()
            if answer[3:4] != "-":
                break
        said.append(answer)
    writer.close()
    return said


MESSAGE = "From: a@librairie.example\r\nSubject: =?utf-8?q?Une_=C3=A9t=C3=A9?=\r\n\r\n..point\r\n."


def test_a_250_means_it_is_in_the_table(workspace) -> None:
    domains.add(workspace, "librairie.example", trusted=True)

    async def work() -> None:
        async with listening() as address:
            said = await say(
                address, "EHLO x.example", "MAIL FROM:<a@librairie.example>", "RCPT TO:<z@un.example>", "DATA", MESSAGE
            )
            assert said[-1].startswith("250")
            # Another connection sees it the moment the 250 was said.
            found = await asyncio.to_thread(_rows)
            assert found == [(workspace.id, "a@librairie.example", '["z@un.example"]', "Une été")]

    run(work())
    assert bytes(db.value("SELECT raw FROM outbound_captured")).endswith(b"\r\n\r\n.point\r\n")


def _rows() -> list[tuple]:
    try:
        return db.rows("SELECT workspace_id, envelope_from, envelope_to, subject FROM outbound_captured")
    finally:
        connection.close()


def test_what_could_not_be_kept_is_never_acknowledged() -> None:
    def broken(batch: list[capture.Incoming]) -> None:
        raise RuntimeError("no database")

    async def work() -> None:
        async with listening(broken) as address:
            said = await say(address, "EHLO x", "MAIL FROM:<>", "RCPT TO:<z@un.example>", "DATA", MESSAGE, "NOOP")
            assert said[-2].startswith("451 4.3.0")
            assert said[-1].startswith("250")

    run(work())


def test_a_full_disk_is_told_as_452_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise disk.Full("Only 3 MiB are free.")

    monkeypatch.setattr(disk, "refuse_when_full", full)

    async def work() -> None:
        async with listening() as address:
            said = await say(
                address, "EHLO x.example", "MAIL FROM:<a@librairie.example>", "RCPT TO:<z@un.example>", "DATA", MESSAGE
            )
            assert said[-1].startswith("452 4.3.1")

    run(work())
    assert db.value("SELECT count(*) FROM outbound_captured") == 0


def test_it_listens_on_this_machine_only() -> None:
    async def work() -> None:
        with pytest.raises(ValueError, match="this machine only"):
            await Inbox(_store).listen("0.0.0.0", 0)

    run(work())


def test_the_address_is_left_whole_for_the_courier(tmp_path) -> None:  # noqa: ANN001
    assert inbox_address(tmp_path) is None
    tell_inbox_address(tmp_path, "127.0.0.1", 2525)
    assert inbox_address(tmp_path) == ("127.0.0.1", 2525)
    assert Route("local", data=tmp_path).relay_address() == ("127.0.0.1", 2525)


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        ("bounce+550-5.1.1@un.example", "550 5.1.1"),
        ("bounce+550-5.1.1.jean@un.example", "550 5.1.1"),
        ("bounce+451-4.2.0@un.example", "451 4.2.0"),
        ("bounce+450@un.example", "450 None"),
        ("full.jean@un.example", "552 5.2.2"),
        ("jean@un.example", "None None"),
        ("bounce+250@un.example", "None None"),
    ],
)
def test_simulated_receivers_say_what_their_table_says(recipient: str, code: str) -> None:
    refusal = Receivers().behaviour(recipient).refusal
    assert f"{refusal and refusal.code} {refusal and refusal.enhanced}" == code
    assert refusal is None or "(simulated)" in refusal.text


def test_a_simulated_greylister_takes_the_second_try() -> None:
    receivers = Receivers()
    assert receivers.behaviour("greylist.a@un.example").refusal is not None
    assert receivers.behaviour("greylist.a@un.example").refusal is None
    assert receivers.behaviour("greylist.b@un.example").refusal is not None


def test_the_whole_local_road_ends_in_the_inbox(workspace, tmp_path) -> None:  # noqa: ANN001
    domains.add(workspace, "librairie.example", trusted=True)
    who = ["a@un.example", "bounce+550-5.1.1@un.example", "greylist@un.example", "b@busy.example"]
    accepted = accept.accept_messages(
        [accept.Outgoing(workspace.id, ("S", "s@librairie.example"), [("", to)], f"For {to}", "x") for to in who]
    )
    sending = accepted[0].recipients[0][0]

    async def work() -> None:
        async with listening() as address:
            tell_inbox_address(tmp_path, *address)
            async with couriers(None, route=Route("local", data=tmp_path)):  # type: ignore[arg-type]
                await until(lambda: states.counts(sending)["deferred"] == 1)
                await asyncio.to_thread(_hurry)
                await until(lambda: states.finished(sending))

    run(work())
    counts = states.counts(sending)
    assert (counts["delivered"], counts["bounced"]) == (3, 1)
    found = db.rows("SELECT workspace_id, subject FROM outbound_captured ORDER BY subject")
    assert found == [(workspace.id, f"For {to}") for to in sorted(who) if not to.startswith("bounce")]
    assert states.invariants() == []


def _hurry() -> None:
    db.execute("UPDATE outbound_retry SET due = now()")
    connection.close()


def test_a_client_that_vanishes_leaves_nothing() -> None:
    async def work() -> None:
        async with listening() as address:
            client = socket.create_connection(address)
            client.sendall(b"EHLO x\r\n")
            client.close()
            await asyncio.sleep(0.1)

    run(work())
    assert db.value("SELECT count(*) FROM outbound_captured") == 0
