"""The inbox: where the local route ends. An SMTP listener on loopback that keeps every message in the database.

A few milliseconds of messages are gathered and committed together; then each gets its 250 (RFC 5321 §6.1).
Nothing leaves the machine. Some addresses are received by simulated receivers (`envol.outbound.simulated`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from envol import disk
from envol.edge.gather import Busy, Gatherer
from envol.edge.smtp_session import Authenticate, Etrn, Listener, MailFrom, Message, Question, RcptTo, Session, Verify
from envol.outbound import capture
from envol.outbound.capture import Incoming
from envol.outbound.route import tell_inbox_address
from envol.outbound.simulated import Receivers
from envol.wire.smtp.grammar import Reply, reply
from envol.wire.smtp.server import ACCEPTED, RECIPIENT_OK, SENDER_OK, ServerOptions

log = structlog.get_logger()

NOT_KEPT = reply(451, "4.3.0", "The database is away, try again later")


class Inbox(Listener):
    """The listener and what its sessions share."""

    def __init__(self, store: Callable[[list[Incoming]], None] = capture.store) -> None:
        super().__init__(ServerOptions("inbox.localhost", smtputf8=True, strict_recipients=False))
        self.gatherer: Gatherer[Incoming, None] = Gatherer(store, max_batch=200, max_waiting=2000, name="inbox")
        self.receivers = Receivers()

    def session(self, *, implicit: bool = False) -> Session:
        return _Session(self)

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Listen; the address, with the port that was free when `port` is 0. Only on loopback: ValueError."""
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"The inbox listens on this machine only, not on {host}: set inbox = 127.0.0.1:PORT.")
        return await self.open(host, port)

    async def close(self) -> None:
        await self.drain()
        await self.gatherer.close()


class _Session(Session):
    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self._inbox = inbox
        self._delay = 0.0

    def judge(self, question: Question) -> Reply | Awaitable[Reply]:
        match question:
            case MailFrom():
                self._delay = 0.0
                return SENDER_OK
            case RcptTo():
                behaviour = self._inbox.receivers.behaviour(question.recipient)
                self._delay = max(self._delay, behaviour.delay)
                if behaviour.close:
                    return reply(421, "4.7.0", "Too busy, come back later (simulated)")
                return behaviour.refusal or RECIPIENT_OK
            case Message():
                return self._keep(question)
            case Authenticate() | Verify() | Etrn():
                raise AssertionError("it is not offered")

    async def _keep(self, message: Message) -> Reply:
        if self._delay:
            await asyncio.sleep(self._delay)
        envelope = message.envelope
        try:
            await self._inbox.gatherer.put(Incoming(envelope.reverse_path, envelope.recipients, message.data))
        except (Busy, disk.Full) as error:
            return reply(452, "4.3.1", str(error))
        except Exception as error:  # whatever it is: not kept, so not promised
            log.warning("messages could not be kept", error=str(error).strip())
            return NOT_KEPT
        return ACCEPTED


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
