"""The inbound MX: bounces and complaints come home, mail for listed domains waits for their servers, and nothing else
comes in.

Never an open relay: a recipient is ours or refused in the session, so that nothing has to be bounced later (no
backscatter). ``250`` is said when what the message means is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from envol import disk
from envol.collect import by_mail
from envol.edge import certificates
from envol.edge.gather import Busy, Gatherer
from envol.edge.smtp_session import Authenticate, Etrn, Listener, MailFrom, Message, Question, RcptTo, Session, Verify
from envol.edge.submission import NOT_KEPT, RELOAD_SECONDS, fresh
from envol.outbound import returned, rolls, stored
from envol.outbound.mailing import REFUSED
from envol.outbound.returned import Returned
from envol.outbound.route import our_name
from envol.wire.smtp.grammar import Reply, reply
from envol.wire.smtp.server import ACCEPTED, RECIPIENT_OK, SENDER_OK, ServerOptions

log = structlog.get_logger()

MAX_SIZE = 10 * 1024 * 1024
NOT_OURS = reply(550, "5.7.1", "We take nothing for this address")


class Inbound(Listener):
    """The listeners of the MX and what their sessions share."""

    service = "inbound"

    def __init__(
        self,
        host: str,
        tls: ssl.SSLContext | None,
        take: Callable[[list[Returned]], list[str]] = returned.take,
        keep: Callable[[list[stored.Incoming]], None] = stored.keep,
        join: Callable[[list[by_mail.Asked]], list[str]] = by_mail.take,
    ) -> None:
        super().__init__(
            ServerOptions(host, max_size=MAX_SIZE, max_recipients=100, starttls=tls is not None, chunking=True)
        )
        self.tls = tls
        self.gatherer: Gatherer[Returned, str] = Gatherer(take, max_batch=100, max_waiting=500, name="inbound")
        self.stored: Gatherer[stored.Incoming, None] = Gatherer(keep, max_batch=100, max_waiting=500, name="stored")
        self.joins: Gatherer[by_mail.Asked, str] = Gatherer(join, max_batch=20, max_waiting=200, name="joins")
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="inbound asks")

    def session(self, *, implicit: bool = False) -> Session:
        return _Session(self)

    async def ask(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._asking, partial(fresh, work))

    async def close(self) -> None:
        await self.drain()
        await self.gatherer.close()
        await self.stored.close()
        await self.joins.close()
        self._asking.shutdown(wait=False)


class _Session(Session):
    def __init__(self, inbound: Inbound) -> None:
        super().__init__(inbound)
        self._inbound = inbound
        self._stored: dict[str, int] = {}

    def judge(self, question: Question) -> Reply | Awaitable[Reply]:
        match question:
            case MailFrom():
                self._stored = {}
                return SENDER_OK
            case RcptTo():
                return self._known(question.recipient)
            case Message():
                return self._take(question)
            case Authenticate() | Verify() | Etrn():
                raise AssertionError("it is not offered")

    async def _known(self, recipient: str) -> Reply:
        if await self._inbound.ask(lambda: returned.is_ours(recipient) or by_mail.of(recipient) is not None):
            return RECIPIENT_OK
        waits = await self._inbound.ask(lambda: stored.place_of(recipient))
        if waits is None:
            return NOT_OURS
        self._stored[recipient] = waits
        return RECIPIENT_OK

    async def _one(self, recipient: str, message: Message) -> str:
        sender = message.envelope.reverse_path
        if await self._inbound.ask(lambda: by_mail.of(recipient, message.data) is not None):
            return await self._inbound.joins.put(by_mail.Asked(recipient, message.data, sender, self.peer))
        return await self._inbound.gatherer.put(Returned(recipient, message.data, sender))

    async def _take(self, message: Message) -> Reply:
        kinds = []
        try:
            envelope = message.envelope
            here = [one for one in dict.fromkeys(envelope.recipients) if one not in self._stored]
            there = [one for one in dict.fromkeys(envelope.recipients) if one in self._stored]
            if there:
                stored.check(message.data)
                received = stored.trace_field(
                    self.server.options.hostname,
                    helo=envelope.helo,
                    peer=self.peer,
                    tls=envelope.tls,
                    when=datetime.now(UTC),
                )
                places = {one: self._stored[one] for one in there}
                await self._inbound.stored.put(stored.Incoming(envelope.reverse_path, places, received + message.data))
            for recipient in here:
                kind = await self._one(recipient, message)
                log.info("mail came back", kind=kind)
                kinds.append(kind)
        except stored.Loop as error:
            return reply(554, "5.4.6", str(error))
        except (Busy, disk.Full) as error:
            return reply(452, "4.3.1", str(error))
        except Exception as error:  # whatever it is: not kept, so not promised
            log.warning("returned mail could not be kept", error=str(error).strip())
            return NOT_KEPT
        if kinds and all(kind.startswith(REFUSED) for kind in kinds):
            # Said here, so that the author's own server tells her, and we write to nobody.
            sentence = kinds[0].removeprefix(REFUSED)
            return reply(550, "5.7.1", sentence[:1].upper() + sentence[1:])
        return ACCEPTED


def _take_fresh(batch: list[Returned]) -> list[str]:
    found: list[str] = fresh(lambda: returned.take(batch))
    return found


def _join_fresh(batch: list[by_mail.Asked]) -> list[str]:
    found: list[str] = fresh(lambda: by_mail.take(batch))
    return found


def _keep_fresh(batch: list[stored.Incoming]) -> None:
    fresh(lambda: stored.keep(batch))


def run(config: Any, ready: Callable[[], None]) -> None:
    """The process: listen where the setting `inbound` says, until SIGTERM."""
    import uvloop

    async def main() -> None:
        tls = certificates.Kept(*certificates.files_of(config))
        inbound = Inbound(our_name(config), tls.context, _take_fresh, _keep_fresh, _join_fresh)
        for host, port, _implicit in config.inbound_listeners:
            where = await inbound.open(host, port)
            log.info("inbound listens", host=where[0], port=where[1])
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        ready()
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RELOAD_SECONDS)
            if stopping.is_set():
                await inbound.drain()  # first of all: what is counted below may wait for the database
            await inbound.ask(rolls.flush)
            tls.reload()
        await inbound.close()

    uvloop.run(main())
