"""One SMTP connection of a listener of ours, between the socket and the pure machine (`envol.wire.smtp.server`).

What is the same for all listeners: the greeting, questions answered in order while nothing more is read, time-outs,
a drain that lets the message in hand end and be answered, the handshake of STARTTLS. What a listener thinks of senders,
recipients and messages is its own: it answers questions, at once or in its own time.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from envol.outbound import rolls
from envol.wire.smtp.grammar import Reply, reply
from envol.wire.smtp.questions import Question
from envol.wire.smtp.server import (
    Authenticate,
    Challenge,
    Closed,
    Etrn,
    Event,
    MailFrom,
    Message,
    RcptTo,
    Server,
    ServerOptions,
    StartTls,
    Verify,
)

log = structlog.get_logger()

IDLE_SECONDS = 300.0  # RFC 5321 §4.5.3.2.7
HANDSHAKE_SECONDS = 60.0
MOST_CONNECTIONS = 500
DRAIN_SECONDS = 20.0
"""How long a message that has begun may take to end once we are asked to stop; the supervisor waits 30."""
LAST_SECONDS = 4.0
"""And then: for answers that are on their way, and for clients to hear that we close."""

CLOSING = reply(421, "4.3.2", "Service closing, come back later")

Answer = Reply | Challenge


class Listener:
    """What the sessions of one service share."""

    service = ""
    """Its name in the reports on traffic; without one it is in none."""
    most_connections = MOST_CONNECTIONS
    tls: ssl.SSLContext | None = None
    drain_seconds = DRAIN_SECONDS
    draining = False

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.sessions: set[Session] = set()
        self._servers: list[asyncio.Server] = []

    def session(self, *, implicit: bool = False) -> Session:
        """A session for a new connection; implicit: TLS stands from its first octet (RFC 8314 §3)."""
        raise NotImplementedError

    async def open(self, host: str, port: int, *, implicit: bool = False, shared: bool = False) -> tuple[str, int]:
        """Listen; the address, with the port that was free when `port` is 0.

        shared: other processes listen there too, and the kernel deals the connections out (SO_REUSEPORT).
        """
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: self.session(implicit=implicit),
            host,
            port,
            ssl=self.tls if implicit else None,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if implicit else None,
            reuse_port=shared or None,
        )
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def drain(self) -> None:
        """Take no new session, say 421 to the idle ones, and answer the messages that are on their way.

        A message whose dot has not come within `drain_seconds` is told 421 and nothing is kept of it. May be called
        again.
        """
        self.draining = True
        for server in self._servers:
            server.close()
        for session in list(self.sessions):
            session.drain()
        await self._until(lambda: all(session.server.closed for session in self.sessions), self.drain_seconds)
        for session in list(self.sessions):
            session.give_up()
        await self._until(lambda: not self.sessions, LAST_SECONDS)
        for session in list(self.sessions):
            session.cut()

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not done() and loop.time() < end:
            await asyncio.sleep(0.02)


class Session(asyncio.Protocol):
    """Drives one `Server`; subclasses say in :meth:`judge` what they think of each question."""

    def __init__(self, listener: Listener, *, implicit: bool = False) -> None:
        self.listener = listener
        self.server = Server(listener.options, tls=implicit)
        self._transport: Any = None
        self._answering: asyncio.Task[None] | None = None
        self._early: bytearray | None = None  # while hands are shaken: what came right behind it, in TLS
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0.0
        self._paused = False

    def judge(self, question: Question) -> Answer | Awaitable[Answer]:
        """The answer, or what will give it. What that raises is a mistake of ours, answered by 451."""
        raise NotImplementedError

    def refuse_connection(self) -> Reply | None:
        """Why this connection is not served, or None."""
        return None

    @property
    def peer(self) -> str:
        """The address of the other side."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else ""

    # ---- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        begun, self._transport = self._transport is None, transport
        if not begun:
            return  # the same session, now in TLS
        refusal = self.refuse_connection()
        if len(self.listener.sessions) >= self.listener.most_connections:
            refusal = Reply(421, "4.3.2", ("Too many connections, come back later",))
        if self.listener.draining:  # it shook hands while we began to stop
            refusal = CLOSING
        if self.listener.service:
            rolls.count("in", self.peer, f"{self.listener.service}: {'refused' if refusal else 'served'}")
        if refusal is not None:
            self._count(refusal)
            self._transport.write(refusal.to_bytes())
            self._transport.close()
            return
        self.listener.sessions.add(self)
        self._flush()
        self._wait()

    def data_received(self, data: bytes) -> None:
        self._wait()
        if self._answering is not None and self._early is None and not self._paused:
            # Most clients wait for their answer; who does not may fill one buffer, and then waits too.
            self._paused = True
            self._transport.pause_reading()
        if self._early is not None:
            # A client's first command may come in one segment with the end of its handshake: the TLS layer hands it
            # to us before `start_tls` has returned, and answering it now would write in clear.
            self._early += data
            return
        self._act(self.server.receive_data(data))

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def drain(self) -> None:
        """Say 421 as soon as no message is on its way and nothing is being answered."""
        self._act(self.server.drain())

    def give_up(self) -> None:
        """The time to end is over: 421 to a message whose dot did not come.

        What is being answered is left to its answer: it may be on disk already, and a 421 would have it sent twice.
        """
        if self.server.closed or self._answering is not None:
            return
        self.server.shutdown()
        self._flush()
        # A socket that is closed with octets unread is reset, and the reset overtakes our 421: read on for a moment.
        asyncio.get_running_loop().call_later(LAST_SECONDS / 2, self._transport.close)

    def cut(self) -> None:
        self._transport.abort()

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(IDLE_SECONDS, self._too_long)

    def _too_long(self) -> None:
        """One timer a session, set anew when it rings and not with each line."""
        loop = asyncio.get_running_loop()
        left = self._heard + IDLE_SECONDS - loop.time()
        self._timer = loop.call_later(left, self._too_long) if left > 0 else None
        if self._timer is None and self._answering is None:
            self._act(self.server.shutdown("You were silent for too long"))

    def _flush(self) -> None:
        if (data := self.server.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)

    # ---- questions

    def _act(self, events: list[Event]) -> None:
        """Answer questions until there are none, or one takes its time."""
        pending = list(events)
        while pending:
            event = pending.pop(0)
            match event:
                case Closed():
                    self._flush()
                    self._transport.close()
                    return
                case StartTls():
                    self._flush()
                    self._transport.pause_reading()
                    self._answering = asyncio.ensure_future(self._handshake())
                    return
                case _:
                    answer = self.judge(event)
                    if not isinstance(answer, Reply | Challenge):
                        self._flush()  # what was said before, pipelined commands included
                        self._answering = asyncio.ensure_future(self._answer(answer))
                        return
                    self._count(answer)
                    pending += self.server.answer(answer)
        self._flush()

    def _count(self, answer: Answer) -> None:
        """For the reports: what we refuse, and why."""
        if isinstance(answer, Reply) and answer.code >= 400 and self.listener.service:
            rolls.count("said", f"{answer.code} {answer.enhanced or ''}".strip(), self.listener.service)

    async def _answer(self, coming: Awaitable[Answer]) -> None:
        try:
            answer = await coming
        except Exception as error:  # a mistake of ours: nothing is promised, and the client may try again
            log.warning("an SMTP question failed", error=str(error).strip() or type(error).__name__)
            answer = reply(451, "4.3.0", "Something went wrong here, try again later")
        self._answering = None
        if self._transport.is_closing():
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        self._wait()
        self._count(answer)
        self._act(self.server.answer(answer))

    async def _handshake(self) -> None:
        """RFC 3207: what was said in clear before is forgotten by the machine."""
        context = self.listener.tls
        self._early = bytearray()
        try:
            if context is None:
                raise RuntimeError("STARTTLS is offered without a certificate.")
            self._transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, ssl.SSLError, TimeoutError):
            self._answering = None
            with contextlib.suppress(Exception):
                self._transport.abort()
            return
        self._answering = None
        self.server.tls_started()
        self._wait()
        early, self._early = bytes(self._early), None
        if self.listener.draining:
            self._act(self.server.drain())
        elif early:
            self._act(self.server.receive_data(early))


__all__ = [
    "Answer",
    "Authenticate",
    "Challenge",
    "Etrn",
    "Listener",
    "MailFrom",
    "Message",
    "Question",
    "RcptTo",
    "Session",
    "Verify",
]
