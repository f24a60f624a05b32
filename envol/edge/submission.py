"""The submission relay: programs hand in their mail by SMTP, signed in and in TLS (RFC 6409, RFC 8314).

A ``250`` is said when the message is on disk: what arrives while one commit runs is the next batch. STARTTLS is always
offered and a sign-in never before it; without a certificate of yours one that signs itself is made and said so.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import resource
import secrets
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import SynchronousOnlyOperation

from envol import disk
from envol.accounts.api_keys import Barred
from envol.api import by_smtp
from envol.edge import certificates
from envol.edge.gather import Busy, Gatherer
from envol.edge.smtp_session import (
    Answer,
    Authenticate,
    Challenge,
    Etrn,
    Listener,
    MailFrom,
    Message,
    Question,
    RcptTo,
    Session,
    Verify,
)
from envol.letters import ascii_of
from envol.outbound import control, relay, rolls, stored
from envol.outbound.accept import Outgoing, Refused
from envol.outbound.route import our_name
from envol.wire.message.submit import Unacceptable
from envol.wire.smtp.grammar import Reply, reply
from envol.wire.smtp.server import AUTH_FAILED, AUTH_OK, RECIPIENT_OK, SENDER_OK, ServerOptions

log = structlog.get_logger()

PER_PEER = 50
MOST_SESSIONS = 2000
LOGIN_SECONDS = 60.0
"""Whoever has not signed in by then is somebody who holds connections."""
MOST_FAILED = 10
"""Failed sign-ins from one address within ten minutes, before nobody from there is heard."""
PATIENCE = 2
"""Wrong secrets from one address that are answered at once; each further one waits a second more, five at most."""
RELOAD_SECONDS = 30.0
SMALL = 64 * 1024
"""Octets of a message that is read and judged between two others; a larger one does not hold them up."""
NOT_KEPT = reply(451, "4.3.0", "The database is away, try again later")


SECOND = 1.0
SWITCH_SECONDS = 0.00005
"""How long the loop may keep the interpreter while the batch waits for it: with Python's 5 ms the next batch began when
the loop had nothing left to read, so reading and committing took turns instead of running side by side."""
ASK = object()
"""Not known by heart: to be asked in the thread that may."""


class Submission(Listener):
    """The listeners of the relay and what their sessions share."""

    service = "submission"

    def __init__(
        self,
        host: str,
        tls: ssl.SSLContext,
        keep: Callable[[list[Outgoing]], list[int | Barred]] = relay.keep,
        *,
        door: relay.Door | None = None,
        share: int = 1,
    ) -> None:
        super().__init__(
            ServerOptions(
                host,
                starttls=True,
                tls_required=True,
                auth=True,
                scram=True,
                auth_required=True,
                smtputf8=True,
                dsn=True,
                etrn=True,
                chunking=True,
            )
        )
        self.tls = tls
        self.door = door or relay.Door(-(-MOST_FAILED // share))
        self._share = share
        self.most_connections = MOST_SESSIONS
        self.peers: dict[str, int] = {}
        self.gatherer: Gatherer[Outgoing, int | Barred] = Gatherer(
            keep, max_batch=200, max_waiting=1000, name="submission"
        )
        # One thread asks whose key it is and whom it may write as: it keeps one database connection.
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="submission asks")
        self._elsewhere = ThreadPoolExecutor(8, thread_name_prefix="submission asks elsewhere")

    @property
    def per_peer(self) -> int:
        """Of so many processes each sees its share of a peer's connections, as the kernel deals them out."""
        return -(-PER_PEER // self._share)

    @property
    def second_opinions(self) -> bool:
        return bool(settings.ENVOL.rspamd)

    async def ask_elsewhere(self, work: Callable[[], Any]) -> Any:
        """Of somebody who may take seconds to answer: several at once, and none holds up the others."""
        return await asyncio.get_running_loop().run_in_executor(self._elsewhere, work)

    def session(self, *, implicit: bool = False) -> Session:
        return _Session(self, implicit=implicit)

    async def ask(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._asking, partial(fresh, work))

    def know(self, work: Callable[[], Any]) -> Any:
        """What needs no question to the database now, at once: a hop to a thread costs more. Else `ASK`."""
        try:
            return work()
        except (SynchronousOnlyOperation, control.TakesLong):
            return ASK  # something that we knew is due to be looked at again, or it takes its time

    async def close(self) -> None:
        await self.drain()
        await self.gatherer.close()
        self._asking.shutdown(wait=False)
        self._elsewhere.shutdown(wait=False)


class _Session(Session):
    def __init__(self, submission: Submission, *, implicit: bool) -> None:
        super().__init__(submission, implicit=implicit)
        self._submission = submission
        self._account: relay.Account | None = None
        self._counted = ""
        self._recipients = 0
        self._login: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._login is None:
            self._login = asyncio.get_running_loop().call_later(LOGIN_SECONDS, self._no_login)
        super().connection_made(transport)

    def _no_login(self) -> None:
        if self.server.identity is None and self._answering is None:
            self._act(self.server.shutdown("You did not sign in"))

    def refuse_connection(self) -> Reply | None:
        peer, peers = self.peer, self._submission.peers
        if self._submission.door.shut(peer):
            return reply(421, "4.7.0", "Too many failed sign-ins from your address, come back later")
        if peers.get(peer, 0) >= self._submission.per_peer and not _loopback(peer):
            return reply(421, "4.7.0", f"At most {self._submission.per_peer} connections from one address")
        peers[peer] = peers.get(peer, 0) + 1
        self._counted = peer
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._login is not None:
            self._login.cancel()
        if self._counted:
            left = self._submission.peers[self._counted] - 1
            self._submission.peers[self._counted] = left
            if not left:
                del self._submission.peers[self._counted]
            self._counted = ""
        super().connection_lost(exc)

    def judge(self, question: Question) -> Answer | Awaitable[Answer]:
        match question:
            case Verify():
                return self._verifier(question)
            case Authenticate():
                return self._sign_in(question)
            case MailFrom():
                self._recipients = 0
                return self._begin(question)
            case RcptTo():
                return self._one_more()
            case Message():
                return self._keep(question)
            case Etrn():
                return self._start(question)

    async def _verifier(self, asked: Verify) -> Challenge:
        verifier = await self._submission.ask(lambda: relay.verifier_of(asked.identity))
        return Challenge(verifier, secrets.token_urlsafe(18))

    async def _sign_in(self, given: Authenticate) -> Reply:
        door, peer = self._submission.door, self.peer
        if door.shut(peer):
            return reply(421, "4.7.0", "Too many failed sign-ins from your address, come back later")
        if given.proved is None:
            found = await self._submission.ask(lambda: relay.sign_in(given.identity, given.secret))
        else:
            found = await self._submission.ask(lambda: relay.proved(given.identity)) if given.proved else None
        how = "refused" if found is None else "shut" if isinstance(found, str) else "signed in"
        rolls.count("auth", peer, how)
        if how != "signed in" and (failed := await self._submission.ask(lambda: relay.whose(given.identity))):
            rolls.count("auth_key", str(failed[0]), how, workspace=failed[1])
        if found is None:
            times = door.failed(peer)
            log.info("submission sign-in refused", peer=peer)
            await asyncio.sleep(min(max(0, times - PATIENCE), 5) * SECOND)
            return AUTH_FAILED
        if isinstance(found, str):
            return reply(535, "5.7.13", ascii_of(found))  # RFC 5248: the account is there, and shut
        self._account = found
        return AUTH_OK

    def _begin(self, asked: MailFrom) -> Reply | Awaitable[Reply]:
        account = self._account
        assert account is not None
        work = partial(relay.may_begin, account, asked.reverse_path)
        known = self._submission.know(work)
        return _begun(known) if known is not ASK else self._ask_to_begin(work)

    async def _ask_to_begin(self, work: Callable[[], tuple[bool, str]]) -> Reply:
        return _begun(await self._submission.ask(work))

    async def _start(self, asked: Etrn) -> Reply:
        account = self._account
        assert account is not None
        return await self._submission.ask(
            lambda: reply(
                *stored.start(
                    account.workspace_id, asked.domain, below=asked.below, actor="key", actor_id=account.key_id
                )
            )
        )

    def _one_more(self) -> Reply:
        most = self._account.most_recipients if self._account else None
        if most is not None and self._recipients >= most:
            # RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
            return reply(452, "4.5.3", f"This key may name {most} recipients at a time")
        self._recipients += 1
        return RECIPIENT_OK

    async def _keep(self, message: Message) -> Reply:
        account, envelope, server = self._account, message.envelope, self.server
        assert account is not None
        now = datetime.now(UTC).replace(microsecond=0)
        received = relay.trace_field(server.options.hostname, esmtp=True, tls=envelope.tls, when=now)
        try:
            if by_smtp.asks(message.data):
                return _handed(
                    await self._submission.ask(partial(by_smtp.hand_in, account, envelope, message.data, received))
                )
            work = partial(relay.outgoing, account, envelope, message.data, received)
            made: Any = ASK if len(message.data) > SMALL else self._submission.know(partial(work, at_once=True))
            if made is ASK:
                made = await self._submission.ask(work)
            if self._submission.second_opinions:
                made = await self._submission.ask_elsewhere(partial(relay.second_opinion, account, made))
                made = await self._submission.ask(partial(relay.settled, account, made))
            number = await self._submission.gatherer.put(made)
        except Unacceptable as error:
            return reply(554 if error.code == "5.4.6" else 550, error.code, str(error))
        except Refused as error:
            return reply(550, "5.7.1", str(error))
        except (Busy, disk.Full) as error:
            return reply(452, "4.3.1", str(error))
        except Exception as error:  # whatever it is: not kept, so not promised
            log.warning("submitted messages could not be kept", error=str(error).strip())
            return NOT_KEPT
        if isinstance(number, Barred):
            code, enhanced = (550, "5.7.1") if number.lasting else (450, "4.7.1")
            return reply(
                code, enhanced, ascii_of(number.sentence)
            )  # somebody's own words; a reply is ASCII (RFC 5321 §4.2)
        waits = ", and somebody looks at it before it leaves" if relay.is_held(made) else ""
        return reply(250, "2.0.0", f"OK, your message is in our keeping as {number}{waits}")


def _handed(how: by_smtp.Handed) -> Reply:
    if how.sentence:
        return reply(how.code, how.enhanced, ascii_of(how.sentence))
    kept = f"your message is in our keeping as {how.number}" if how.number else "all had something of this campaign"
    return reply(how.code, how.enhanced, f"OK, {kept}")


def _begun(said: tuple[bool, str]) -> Reply:
    ok, sentence = said
    return SENDER_OK if ok else reply(553, "5.7.1", sentence)


def _loopback(peer: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(peer).is_loopback
    return False


def fresh(work: Callable[[], Any]) -> Any:
    """With a new connection after a failure of the database. Raises `disk.Full` where it has no room left."""
    from django.db import Error, InterfaceError, connection

    try:
        return work()
    except (Error, InterfaceError) as error:
        connection.close()
        if disk.is_full(error):
            raise disk.Full("The disk of the database is full, try again later") from error
        raise


def _keep_fresh(batch: list[Outgoing]) -> list[int | Barred]:
    found: list[int | Barred] = fresh(lambda: relay.keep(batch))
    return found


def run(config: Any, ready: Callable[[], None]) -> None:
    """The process: listen where the setting `submission` says, until SIGTERM."""
    import uvloop

    sys.setswitchinterval(SWITCH_SECONDS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * MOST_SESSIONS)), hard))

    async def main() -> None:
        tls = certificates.Kept(*certificates.files_of(config))
        share = config.submission_processes
        submission = Submission(our_name(config), tls.context, _keep_fresh, share=share)
        for host, port, implicit in config.submission_listeners:
            where = await submission.open(host, port, implicit=implicit, shared=share > 1)
            log.info("submission listens", host=where[0], port=where[1], tls="at once" if implicit else "STARTTLS")
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        ready()
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), RELOAD_SECONDS)
            if stopping.is_set():
                await submission.drain()  # first of all: what is counted below may wait for the database
            await submission.ask(rolls.flush)
            if tls.reload():
                log.info("certificate of submission read anew", file=str(tls.certificate))
        await submission.close()

    uvloop.run(main())


__all__ = ["Submission", "run"]
