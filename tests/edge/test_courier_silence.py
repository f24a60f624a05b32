"""The other side is silent and nothing says so: a way that drops every packet, a name server that answers nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from envol import db
from envol.edge.courier_mx import Mx, Unknown
from envol.outbound import states
from envol.outbound.route import Route
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401
from tests.edge.test_courier_direct import public, resolving
from tests.edge.test_courier_faults import SHORT, due_now
from tests.outbound.helpers import queued

DOT = b"\r\n.\r\n"


@contextlib.asynccontextmanager
async def dropping(port: int, *, after: bytes) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A way to this port. Its first connection drops all octets, both ways, once the client has said so much; both
    ends stay open, as behind a firewall that forgot them. With an event: that has happened."""
    first, dropped = True, asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal first
        drops, first = first, False
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        silent = asyncio.Event()

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, heard: bytes) -> None:
            said = b""
            while data := await source.read(65536):
                if silent.is_set():
                    continue
                said = said[-len(DOT) :] + data
                if drops and heard and heard in said:
                    silent.set()
                    dropped.set()
                    if heard != DOT:
                        continue
                target.write(data)
                await target.drain()
            if not silent.is_set():
                target.close()

        both = (carry(reader, there_writer, after), carry(there_reader, writer, b""))
        with contextlib.suppress(OSError):
            await asyncio.gather(*both)

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(one(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], dropped
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.usefixtures("empty_database")
@pytest.mark.parametrize(("after", "doubt"), [(b"MAIL FROM", False), (DOT, True)], ids=["the words", "the answer"])
def test_a_way_that_drops_everything_is_given_up_and_tried_again(workspace, version, after, doubt) -> None:  # noqa: ANN001, F811
    one = queued(workspace, 1, version_id=version)
    replies: list[str] = []

    async def work() -> None:
        async with Sink() as sink, dropping(sink.port, after=after) as (port, dropped):
            route = Route("smart_host", relay=("127.0.0.1", port), helo="out.librairie.example")
            async with couriers(sink, route=route, timeouts=SHORT):
                if doubt:  # else nothing can have arrived, and another connection is made at once
                    await until(lambda: states.counts(one.id)["deferred"] == 1)
                    replies.extend(await asyncio.to_thread(_replies))
                    assert len(sink.accepted) == 1
                    await due_now()
                await until(lambda: states.counts(one.id)["delivered"] == 1)
            assert dropped.is_set()
            assert len(sink.accepted) == 1 + doubt  # RFC 1047: rather twice than never, and it says so

    run(work())
    assert [("may have arrived" in reply) for reply in replies] == [True] * doubt
    assert db.value("SELECT count(*) FROM consent_suppression") == 0 and states.invariants() == []


def _replies() -> list[str]:
    from django.db import connection

    try:
        return [row[0] for row in db.rows("SELECT reply FROM outbound_retry")]
    finally:
        connection.close()


@pytest.mark.parametrize("silent", [("un.example", "MX"), ("mx0.un.example", "A")], ids=["MX", "A"])
def test_a_name_server_that_answers_nothing_is_temporary(silent: tuple[str, str]) -> None:
    zone = public(1) | {silent: ["SILENT"]}
    with resolving(zone) as resolver:
        resolver.lifetime = 0.3
        with pytest.raises(Unknown, match="do not answer"):
            asyncio.run(Mx(resolver).hosts("un.example"))
