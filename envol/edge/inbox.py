"""The inbox: where the local route ends. An SMTP listener on loopback that keeps every message in the database.

A few milliseconds of messages are gathered and committed together; then each gets its 250 (RFC 5321 §6.1).
Nothing leaves the machine. Some addresses are received by simulated receivers (`envol.outbound.simulated`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Callable
from typing import Any

import structlog

from envol import disk
from envol.edge.gather import Busy, Gatherer
from envol.outbound import capture
from envol.outbound.capture import Incoming
from envol.outbound.route import tell_inbox_address
from envol.outbound.simulated import Receivers
from envol.wire.smtp.grammar import reply
from envol.wire.smtp.server import (
    ACCEPTED,
    RECIPIENT_OK,
    SENDER_OK,
    Authenticate,
    Closed,
    Event,
    MailFrom,
    Message,
    RcptTo,
    Server,
    ServerOptions,
    StartTls,
)

log = structlog.get_logger()

IDLE_SECONDS = 300.0  # RFC 5321 §4.5.3.2.7
MOST_CONNECTIONS = 500
NOT_KEPT = reply(451, "4.3.0", "The database is away, try again later")


class Inbox:
    """The listener and what its sessions share."""

    def __init__(self, store: Callable[[list[Incoming]], None] = capture.store) -> None:
        self.gatherer: Gatherer[Incoming, None] = Gatherer(store, max_batch=200, max_waiting=2000, name="inbox")
        self.receivers = Receivers()
        self.sessions: set[_Session] = set()
        self.options = ServerOptions("inbox.localhost", smtputf8=True, strict_recipients=False)
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address, with the port that was free when `port` is 0. Only on loopback: ValueError."""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The inbox listens on this machine only, not on {host}: set inbox = 127.0.0.1:PORT.")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Session(self), host, port)
        name = self._server.sockets[0].getsockname()
        return name[0], name[1]

    async def close(self) -> None:
        """Take no new session, answer what was received, say 421 to the rest."""
        if self._server is not None:
            self._server.close()
        for session in list(self.sessions):
            session.shutdown()
        for _ in range(200):
            if not self.sessions:
                break
            await asyncio.sleep(0.02)
        for session in list(self.sessions):
            session.cut()
        await self.gatherer.close()


class _Session(asyncio.Protocol):
    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._server = Server(inbox.options)
        self._transport: Any = None
        self._delay = 0.0
        self._answering: asyncio.Task[None] | None = None
        self._stop = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        if len(self._inbox.sessions) >= MOST_CONNECTIONS:
            self._transport.write(b"421 4.3.2 Too many connections, come back later\r\n")
            self._transport.close()
            return
        self._inbox.sessions.add(self)
        self._flush()
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._wait()
        self._act(self._server.receive_data(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self._inbox.sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def shutdown(self) -> None:
        """Say 421 when no message is being kept, else after its answer."""
        self._stop = True
        if self._answering is None:
            self._act(self._server.shutdown())

    def cut(self) -> None:
        self._transport.abort()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._too_long)

    def _too_long(self) -> None:
        if self._answering is None:
            self._act(self._server.shutdown("You were silent for too long"))

    def _flush(self) -> None:
        if (data := self._server.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)

    def _act(self, events: list[Event]) -> None:
        """Answer questions until there are none, or one takes its time."""
        pending = list(events)
        while pending:
            event = pending.pop(0)
            match event:
                case MailFrom():
                    self._delay = 0.0
                    pending += self._server.answer(SENDER_OK)
                case RcptTo():
                    behaviour = self._inbox.receivers.behaviour(event.recipient)
                    if behaviour.close:
                        answer = reply(421, "4.7.0", "Too busy, come back later (simulated)")
                    else:
                        answer = behaviour.refusal or RECIPIENT_OK
                    self._delay = max(self._delay, behaviour.delay)
                    pending += self._server.answer(answer)
                case Message():
                    self._transport.pause_reading()
                    self._answering = asyncio.ensure_future(self._keep(event))
                case Authenticate() | StartTls():
                    pass  # neither is offered
                case Closed():
                    self._flush()
                    self._transport.close()
                    return
        self._flush()

    async def _keep(self, message: Message) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        envelope = message.envelope
        answer = ACCEPTED
        try:
            await self._inbox.gatherer.put(Incoming(envelope.reverse_path, envelope.recipients, message.data))
        except (Busy, disk.Full) as error:
            answer = reply(452, "4.3.1", str(error))
        except Exception as error:  # whatever it is: not kept, so not promised
            log.warning("messages could not be kept", error=str(error).strip())
            answer = NOT_KEPT
        self._answering = None
        if self._transport.is_closing():
            return
        self._transport.resume_reading()
        self._wait()
        self._act(self._server.answer(answer))
        if self._stop and not self._server.closed:
            self._act(self._server.shutdown())


def _store(batch: list[Incoming]) -> None:
    """As `capture.store`, with a new connection after a failure."""
    from django.db import Error, InterfaceError, connection

    disk.refuse_when_full()
    try:
        capture.store(batch)
    except (Error, InterfaceError):
        connection.close()
        raise


def run(config: Any, ready: Callable[[], None]) -> None:
    """The process: listen on loopback until SIGTERM, and leave word where (port 0: any free one)."""
    import uvloop

    host, _, port = config.inbox.rpartition(":")

    async def main() -> None:
        inbox = Inbox(_store)
        address = await inbox.listen(host.strip("[]"), int(port))
        tell_inbox_address(config.data, *address)
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        log.info("inbox listens", host=address[0], port=address[1])
        ready()
        await stopping.wait()
        await inbox.close()

    uvloop.run(main())
