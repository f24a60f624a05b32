"""One SMTP connection of a courier: moves the bytes, keeps the time and performs TLS for `wire.smtp.client`."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from envol.wire.dane import NotTrusted
from envol.wire.smtp.client import (
    DATA_BLOCK_TIMEOUT,
    SESSION_TIMEOUT,
    TIMEOUTS,
    Cause,
    Client,
    ClientOptions,
    Closed,
    Event,
    Outcome,
    Ready,
    Stage,
    StartTls,
    TransactionResult,
)
from envol.wire.smtp.notify import Asked, Wish
from envol.wire.smtp.transcript import Said, written


class Message(Protocol):
    """What a connection carries: one message to one recipient, `data` as `encode_data` gives it."""

    @property
    def reverse_path(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def asked(self) -> Asked: ...
    @property
    def wish(self) -> Wish: ...


class NoSession(Exception):
    """No session could be opened with this host; `closed` tells how it ended, `word` what a TLS report calls it."""

    def __init__(self, closed: Closed, word: str = "validation-failure") -> None:
        super().__init__(closed.detail or (str(closed.reply) if closed.reply else closed.cause.value))
        self.closed, self.word = closed, word
        self.dialogue = ""


def opportunistic_context() -> ssl.SSLContext:
    """TLS against listeners, not against impostors: most hosts have no certificate that could be checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8996
    return context


_WORDS = {10: "certificate-expired", 62: "certificate-host-mismatch", 64: "certificate-host-mismatch"}
"""OpenSSL's reasons for refusing a certificate → words of RFC 8460 §4.3; others: certificate-not-trusted."""


def failure_word(error: BaseException) -> str:
    """What a broken handshake is called in a report."""
    if isinstance(error, NotTrusted):
        return error.result
    if isinstance(error, ssl.SSLCertVerificationError):
        return _WORDS.get(error.verify_code, "certificate-not-trusted")
    return "validation-failure"


def chain_of(tls: Any) -> list[bytes]:
    """The certificates a host showed, the leaf first, as DER."""
    if hasattr(tls, "get_unverified_chain"):  # Python 3.13
        return list(tls.get_unverified_chain())
    inner = getattr(tls, "_sslobj", None)
    if inner is None or not hasattr(inner, "get_unverified_chain"):
        leaf = tls.getpeercert(True)
        return [leaf] if leaf else []
    return [one.public_bytes(2) for one in inner.get_unverified_chain() or ()]  # 2: ENCODING_DER


class Connection(asyncio.Protocol):
    """A session with one host, used by one task. `host`: its name, for TLS and the books; `address`: where it is."""

    def __init__(
        self,
        options: ClientOptions,
        host: str,
        context: ssl.SSLContext,
        timeouts: Mapping[Stage, float] = TIMEOUTS,
        check: Callable[[Sequence[bytes]], None] | None = None,
    ) -> None:
        self.host, self.address = host, ""
        self._check = check
        self._word = "validation-failure"
        self.tls = ""
        self.sent = self.taken = 0
        self.closed: Closed | None = None
        self.opening = ""
        self.talk: list[Said] = []
        self._from = self._to = ""
        self._client = Client(options)
        self._context = context
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._flying: deque[Any] = deque()
        self._over: asyncio.Future[None] | None = None
        self._more: Callable[[], Any] = lambda: None
        self._done: Callable[[Any, Outcome | ValueError], None] = lambda message, outcome: None
        self._handshake: asyncio.Task[None] | None = None
        self._stage = Stage.CONNECT
        self._deadline = self._loop.time() + timeouts.get(Stage.GREETING, 300)
        self._session_end = self._loop.time() + SESSION_TIMEOUT
        self._buffered = 0

    @classmethod
    async def open(
        cls,
        address: str,
        port: int,
        options: ClientOptions,
        *,
        host: str,
        context: ssl.SSLContext,
        timeouts: Mapping[Stage, float] = TIMEOUTS,
        watch: set[Connection] | None = None,
        local: tuple[str, int] | None = None,
        check: Callable[[Sequence[bytes]], None] | None = None,
    ) -> Connection:
        """Connect and come to the point where a message may be sent. Raises NoSession.

        local: the address of ours to connect from. check: raises `dane.NotTrusted` over the host's certificates.
        watch: the set whose members the owner calls `tick` on; the connection is in it while it lives.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeouts.get(Stage.CONNECT, 30)):
                _, connection = await loop.create_connection(
                    lambda: cls(options, host, context, timeouts, check), address, port, local_addr=local
                )
        except (OSError, TimeoutError) as error:
            said = "No answer in time" if isinstance(error, TimeoutError) else str(error)
            raise NoSession(Closed(Cause.LOST, Stage.CONNECT, None, f"Cannot connect to {host}: {said}")) from None
        connection.address = address
        if watch is not None:
            watch.add(connection)
            connection._watch = watch
        try:
            await connection._ready
        except BaseException:
            connection.abort()
            raise
        return connection

    _watch: set[Connection] | None = None

    @property
    def usable(self) -> bool:
        return self.closed is None and self._client.can_send

    def offers(self, keyword: str) -> bool:
        """Does the host offer this extension?"""
        return keyword in self._client.capabilities

    def run(
        self,
        first: Message,
        more: Callable[[], Any],
        done: Callable[[Any, Outcome | ValueError], None],
    ) -> asyncio.Future[None]:
        """Message after message, as long as `more` gives one. The answer ends when nothing is on the wire any more.

        Where the host takes it, the commands of a message travel behind the data of the one before it. `done` is called
        once for each message, with a ValueError for an address that would break the dialogue, and with an
        outcome for whatever the other side does. Neither may raise or wait.
        """
        over = self._over = self._loop.create_future()
        self._more, self._done = more, done
        self._act(self._begin(first))
        return over

    def _begin(self, message: Any) -> list[Event]:
        """Put a message on its way, or the next one if that cannot be."""
        while message is not None:
            self._session_end = self._loop.time() + SESSION_TIMEOUT
            self.sent += 1
            try:
                events = self._client.send(
                    message.reverse_path,
                    [message.recipient],
                    message.data,
                    encoded=True,
                    asked=message.asked,
                    wishes=(message.wish,),
                )
            except ValueError as error:
                self._done(message, error)
                message = self._more()
            else:
                self._flying.append(message)
                return events
        return []

    def quit(self) -> None:
        """Say goodbye; the socket closes when the other side has answered, or after a moment."""
        if self.closed is None:
            self._client.quit()
            self._write()
            self._watch_stage()

    def abort(self) -> None:
        """Cut the connection."""
        if self.closed is None:
            self._act(self._client.connection_lost("We closed the connection.", unsent=self._unsent()))
        if self._transport is not None:
            self._transport.abort()

    def tick(self, now: float) -> None:
        """Called about once a second: ends what takes too long (RFC 5321 §4.5.3.2)."""
        if self.closed is not None:
            return
        buffered = self._unsent()
        if buffered and buffered < self._buffered:
            # Data is on its way out, block after block: each has its own three minutes.
            self._deadline = max(self._deadline, now + DATA_BLOCK_TIMEOUT)
        self._buffered = buffered
        if self._stage is Stage.IDLE:
            return
        if now > self._deadline or now > self._session_end:
            self._act(
                self._client.connection_lost(f"No answer to {self._stage} in time.", unsent=buffered),
            )
            if self._transport is not None:
                self._transport.abort()

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._from = str((transport.get_extra_info("sockname") or ("?",))[0])
        self._to = str((transport.get_extra_info("peername") or ("?",))[0])
        self._watch_stage()

    def data_received(self, data: bytes) -> None:
        self._act(self._client.receive_data(data))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.closed is None:
            self._act(self._client.connection_lost(str(exc) if exc else "The host closed the connection."))
        if self._watch is not None:
            self._watch.discard(self)

    # ---- inside

    def _opened(self) -> str:
        said = f"connected to {self.host} ({self._to}) from {self._from}"
        return written([said, *self._client.opening])

    def _unsent(self) -> int:
        try:
            return int(self._transport.get_write_buffer_size())
        except (AttributeError, RuntimeError):
            return 0

    def _write(self) -> None:
        if (data := self._client.data_to_send()) and self._transport is not None:
            self._transport.write(data)

    def _watch_stage(self) -> None:
        stage = self._client.stage
        if stage is not self._stage or stage is Stage.IDLE:
            # Only progress renews the time: a host that drips bytes must come to an end.
            self._stage = stage
            self._deadline = self._loop.time() + self._timeouts.get(stage, 300)

    def _act(self, events: Sequence[Event]) -> None:
        while True:
            if self._client.can_follow and (message := self._more()) is not None:
                events = [*events, *self._begin(message)]
            self._write()
            for event in events:
                match event:
                    case TransactionResult(outcomes):
                        self.talk = self._client.talks.popleft()
                        self._done(self._flying.popleft(), outcomes[0])
                    case Ready():
                        self.opening = self._opened()
                        if not self._ready.done():
                            self._ready.set_result(None)
                    case StartTls():
                        self._handshake = asyncio.ensure_future(self._start_tls())
                    case Closed():
                        self._end(event)
            self._watch_stage()
            if self._over is None or self._flying:
                return
            if not self.usable or (message := self._more()) is None:
                self._over.set_result(None)
                self._over = None
                return
            events = self._begin(message)

    def _end(self, event: Closed) -> None:
        self.closed = event
        if not self._ready.done():
            failed = NoSession(event, self._word)
            failed.dialogue = f"{self._opened()}\n* {failed}"
            self._ready.set_exception(failed)
            self._ready.exception()  # nobody may be waiting any more
        while self._flying:
            # The machine gives all results before it closes; this is for the reader who doubts.
            self._done(self._flying.popleft(), Outcome("", event.stage, None, True))
        if self._transport is not None:
            self._transport.close()

    async def _start_tls(self) -> None:
        try:
            self._transport = await self._loop.start_tls(
                self._transport,
                self,
                self._context,
                server_hostname=self.host if not self.host.replace(".", "").isdigit() else None,
                ssl_handshake_timeout=self._timeouts.get(Stage.HANDSHAKE, 60),
            )
            if self._transport is None:
                raise OSError("The connection was closed.")
            if self._check is not None:
                self._check(chain_of(self._transport.get_extra_info("ssl_object")))
        except (OSError, ssl.SSLError, TimeoutError, ConnectionError, AttributeError, NotTrusted) as error:
            self._word = failure_word(error)
            if self.closed is None:
                self._act(self._client.tls_failed(str(error) or type(error).__name__))
            return
        tls = self._transport.get_extra_info("ssl_object")
        self.tls = (tls.version() or "TLS") if tls is not None else "TLS"
        self._act(self._client.tls_started())
