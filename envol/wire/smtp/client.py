"""The delivering side of SMTP as a pure state machine.

The owner (an asyncio courier, a test) connects, then moves bytes:

    client = Client(ClientOptions(helo="out1.shop.example"))
    events = client.receive_data(bytes_from_the_socket)
    socket.write(client.data_to_send())

and acts on the events:

* `StartTls`: write what `data_to_send` gives, perform the handshake, then call
  `tls_started()` or `tls_failed()`;
* `Ready`: the session is open, `send()` may be called;
* `TransactionResult`: exactly one for every `send()`, in their order, whatever happens, also when
  the connection dies. Call `send()` again while `can_send`, or `quit()`; while `can_follow` the next
  transaction may begin together with the data of the one that runs;
* `Closed`: the last event, exactly once. Write what is left, then close the socket.

When a read gives EOF or an error, or a timer of `timeout` runs out, the owner calls
`connection_lost()`. Time itself is the owner's: `TIMEOUTS` are only numbers.

Sources: RFC 5321, 2920 (pipelining), 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE),
2034 (enhanced codes), 9422 (LIMITS), 6531 (SMTPUTF8), 1047 (the doubt).
"""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Sequence

from .grammar import (
    Reply,
    ReplyReader,
    ReplySyntaxError,
    Stage,
    check_path,
    encode_data,
    is_encoded_data,
    reply,
    whole_replies,
)
from .notify import NOTHING_ASKED, Asked, Wish
from .session import (
    DATA_BLOCK_TIMEOUT,
    SESSION_TIMEOUT,
    TIMEOUTS,
    Capabilities,
    Cause,
    ClientOptions,
    Closed,
    Event,
    Outcome,
    Ready,
    StartTls,
    Tls,
    TransactionResult,
)
from .transcript import Said

__all__ = [
    "DATA_BLOCK_TIMEOUT",
    "SESSION_TIMEOUT",
    "TIMEOUTS",
    "Capabilities",
    "Cause",
    "Client",
    "ClientOptions",
    "Closed",
    "Event",
    "Outcome",
    "Ready",
    "Reply",
    "Stage",
    "StartTls",
    "Tls",
    "TransactionResult",
    "encode_data",
]

_NOTHING: tuple[Event, ...] = ()
_UNWRITABLE = reply(553, "5.6.7", "The host does not take addresses beyond ASCII (SMTPUTF8); not sent")


class _Transaction:
    """One MAIL … end of data, while it runs."""

    __slots__ = ("data", "next_rcpt", "outcomes", "recipients", "results", "sent", "talk")

    def __init__(self, recipients: Sequence[str], data: bytes) -> None:
        self.recipients = recipients
        self.data = data
        self.outcomes: dict[int, Outcome] = {}
        self.sent: list[int] = []
        """Indices of recipients for whom RCPT was (or will be) written."""
        self.next_rcpt = 0
        self.talk: list[Said] = []


class Client:
    """One SMTP session, from the greeting to QUIT. See the module for the way to drive it."""

    def __init__(self, options: ClientOptions) -> None:
        check_path(options.helo)
        if not options.helo or not options.helo.isascii():
            raise ValueError("The EHLO name must be a domain name in ASCII, for example out1.shop.example.")
        self.options = options
        self.capabilities = Capabilities({}, False, options.implicit_tls)
        self.greeting: Reply | None = None
        self.opening: list[Said] = []
        """What was said before the first message, secrets left out (`transcript.written` reads it)."""
        self.talks: deque[list[Said]] = deque()
        """What was said in the transactions that ended: one for each `TransactionResult`, for its reader to take."""
        self.transactions = 0
        """How many MAIL transactions this session has begun."""
        self._reader = ReplyReader()
        self._out: list[bytes] = []
        self._waiting: deque[Stage] = deque((Stage.GREETING,))
        """The replies awaited, in order."""
        self._unsent: deque[tuple[Stage, bytes]] = deque()
        """Commands kept back because the host does not pipeline."""
        self._transaction: _Transaction | None = None
        self._next: _Transaction | None = None
        """The transaction whose commands travel behind the data of the one that runs."""
        self._behind = 0
        """Bytes of commands that stand behind the data on its way."""
        self._dirty = False
        """The host may still hold a half transaction: the next one begins with RSET."""
        self._idle = False
        self._closed = False
        self._dot_queued = False
        self._dot_taken = False
        self._lone_dot = False
        self._said_helo = False
        self._login: list[bytes] = []

    # ---- what the owner asks ----------------------------------------------------------------

    @property
    def stage(self) -> Stage:
        """The stage whose reply is awaited, IDLE between transactions, CLOSED at the end."""
        if self._closed:
            return Stage.CLOSED
        return self._waiting[0] if self._waiting else Stage.IDLE

    @property
    def timeout(self) -> float | None:
        """Seconds the owner should wait for the next reply, None when none is awaited."""
        return TIMEOUTS.get(self.stage)

    @property
    def can_send(self) -> bool:
        """May `send()` be called now? False also when the host's MAILMAX is used up (RFC 9422)."""
        return self._idle and self._more_allowed()

    @property
    def can_follow(self) -> bool:
        """May `send()` be called now, before the running transaction has its result?

        Only between the 354 and the moment its data is handed out: RFC 2920 §3.1 lets MAIL, RCPT and DATA of the
        next message stand in one group with the data of the last.
        """
        return self._dot_queued and self._next is None and self._pipelining and self._more_allowed()

    def _more_allowed(self) -> bool:
        most = self.capabilities.limits.get("MAILMAX")
        return most is None or self.transactions < most

    @property
    def _pipelining(self) -> bool:
        return self.options.pipelining and "PIPELINING" in self.capabilities.keywords

    @property
    def max_recipients(self) -> int:
        """How many recipients one transaction may have here (RFC 9422 RCPTMAX, else RFC 5321's 100)."""
        return self.capabilities.limits.get("RCPTMAX") or 100

    def data_to_send(self) -> bytes:
        """The bytes to write now; b"" when there are none. They count as sent."""
        if self._dot_queued:
            self._dot_queued, self._dot_taken = False, True
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out = []
        return data

    # ---- what the owner does ----------------------------------------------------------------

    def send(
        self,
        reverse_path: str,
        recipients: Sequence[str],
        data: bytes,
        *,
        size: int | None = None,
        encoded: bool = False,
        asked: Asked = NOTHING_ASKED,
        wishes: Sequence[Wish] = (),
    ) -> list[Event]:
        """Begin one transaction.

        reverse_path: the address for MAIL FROM, "" for the null path.
        recipients: at least one address; each gets an Outcome of its own.
        data: the message with CRLF line ends, or, with `encoded`, what `encode_data` gave.
        size: bytes announced to a host with SIZE (RFC 1870 §3: without final dot and
            stuffed dots); by default the length of `data`, at most a few bytes too much.
        asked, wishes: of whom the sender wants to hear what (RFC 3461), in the order of `recipients`; said to a
            host that offers DSN, and to no other.

        Returns events only when nothing needs to be sent at all: the host's limits
        already refuse every recipient. Raises ValueError for addresses or data which
        would break the dialogue, RuntimeError when neither `can_send` nor `can_follow`.
        """
        follows = self.can_follow
        if not follows and not self.can_send:
            raise RuntimeError("The SMTP session is not ready for a message: wait for Ready, see can_send.")
        if not recipients:
            raise ValueError("A transaction needs at least one recipient.")
        check_path(reverse_path)
        for recipient in recipients:
            check_path(recipient)
        if size is None:
            size = len(data) - 3 if encoded else len(data)
        if not encoded:
            data = encode_data(data)
        elif not is_encoded_data(data):
            raise ValueError("The data is not one encoded message: use encode_data.")
        transaction = _Transaction(recipients, data)
        parameters = self._judge(transaction, reverse_path, size)
        dsn = "DSN" in self.capabilities.keywords
        if dsn:
            parameters += asked.parameters()
        if follows:
            self._next = transaction
            if not transaction.sent:
                return []  # told when its turn comes
        else:
            self._transaction, self._idle = transaction, False
            if not transaction.sent:
                return self._finish()
        self.transactions += 1
        commands: list[tuple[Stage, bytes]] = []
        if self._dirty:
            commands.append((Stage.RSET, b"RSET\r\n"))
            self._dirty = False
        commands.append((Stage.MAIL, f"MAIL FROM:<{reverse_path}>{parameters}\r\n".encode()))
        for index in transaction.sent:
            wish = wishes[index].parameters() if dsn and index < len(wishes) else ""
            commands.append((Stage.RCPT, f"RCPT TO:<{recipients[index]}>{wish}\r\n".encode()))
        commands.append((Stage.DATA, b"DATA\r\n"))
        if self._pipelining:
            # RFC 2920 §3.1: DATA may end the group.
            for stage, line in commands:
                self._waiting.append(stage)
                self._out.append(line)
                transaction.talk.append(line)
            if follows:
                self._behind = sum([len(line) for _, line in commands])
        else:
            self._unsent.extend(commands)
            self._send_one()
        return []

    def quit(self) -> None:
        """Say QUIT. Raises RuntimeError in the middle of a transaction; does nothing once closed."""
        if self._closed or (self._waiting and self._waiting[-1] is Stage.QUIT):
            return
        if not self._idle:
            raise RuntimeError("QUIT in the middle of a transaction: wait for its TransactionResult.")
        self._idle = False
        self._command(Stage.QUIT, b"QUIT\r\n")

    def tls_started(self) -> list[Event]:
        """The handshake asked by StartTls succeeded: everything known is forgotten, EHLO again."""
        if self.stage is not Stage.HANDSHAKE:
            raise RuntimeError("No StartTls was asked.")
        self._waiting.clear()
        self._reader.discard()
        self.opening.append("TLS begins")
        # RFC 3207 §4.2: discard any knowledge obtained from the server before TLS.
        self.capabilities = Capabilities({}, False, True)
        self._said_helo = False
        self._hello()
        return []

    def tls_failed(self, detail: str) -> list[Event]:
        """The handshake failed: the session is over. In the clear only by another connection."""
        return self._close(Cause.TLS, None, f"The TLS handshake failed: {detail}")

    def connection_lost(self, detail: str = "The connection was closed.", *, unsent: int = 0) -> list[Event]:
        """EOF, an error or a time-out of the owner's.

        unsent: bytes taken from `data_to_send` which never left this process. When more
        remain than stand behind it, the final dot cannot have arrived, so there is no doubt.
        """
        if self._closed:
            return []
        if unsent > self._behind:
            self._dot_taken = False
        quitting = self.stage is Stage.QUIT
        return self._close(Cause.QUIT if quitting else Cause.LOST, None, "" if quitting else detail)

    def receive_data(self, data: bytes) -> list[Event]:
        """Bytes from the socket. Returns the events they cause. Never raises for what the peer says."""
        if self._closed or (self._waiting and self._waiting[0] is Stage.HANDSHAKE):
            # Plaintext between the 220 and the handshake is nobody's word.
            return []
        events: list[Event] = []
        if self._transaction is not None and not self._reader.pending and (known := whole_replies(data)):
            for one in known:
                if self._closed:
                    break
                events += self._answer(one)
            return events
        self._reader.feed(data)
        while not self._closed:
            try:
                answer = self._reader.next()
            except ReplySyntaxError as error:
                events += self._close(Cause.PROTOCOL, None, f"The host does not speak SMTP: {error}.")
                break
            if answer is None:
                break
            events += self._answer(answer)
        return events

    # ---- inside -----------------------------------------------------------------------------

    def _judge(self, transaction: _Transaction, reverse_path: str, size: int) -> str:
        """Refuse what this host's announced limits refuse anyway; give MAIL its parameters."""
        keywords = self.capabilities.keywords
        parameters = ""
        refusal: Reply | None = None
        if "SIZE" in keywords:
            parameters = f" SIZE={size}"
            most = self.capabilities.max_size
            if most is not None and size > most:
                # RFC 1870 §6.1: do not even try.
                refusal = reply(552, "5.3.4", f"The host takes messages of at most {most} bytes; not sent")
        utf8 = "SMTPUTF8" in keywords
        if not reverse_path.isascii():
            if utf8:
                parameters += " SMTPUTF8"
            elif refusal is None:
                refusal = _UNWRITABLE
        limit = self.capabilities.limits.get("RCPTMAX")
        for index, recipient in enumerate(transaction.recipients):
            answer = refusal
            if answer is None and not recipient.isascii():
                if not utf8:
                    answer = _UNWRITABLE
                elif "SMTPUTF8" not in parameters:
                    parameters += " SMTPUTF8"
            if answer is None and limit is not None and len(transaction.sent) >= limit:
                answer = reply(452, "4.5.3", f"The host takes {limit} recipients at a time; not sent yet")
            if answer is None:
                transaction.sent.append(index)
            else:
                transaction.outcomes[index] = Outcome(recipient, Stage.MAIL, answer)
        return parameters

    def _command(self, stage: Stage, line: bytes) -> None:
        self._waiting.append(stage)
        self._out.append(line)
        if self._transaction is not None:
            self._transaction.talk.append(line)
        elif stage is Stage.AUTH:
            # "AUTH PLAIN secret", or in AUTH LOGIN a line that is a secret whole.
            self.opening.append(b" ".join([*(line.split()[:2] if line.startswith(b"AUTH ") else ()), b"********"]))
        elif stage is not Stage.QUIT:
            self.opening.append(line)

    def _send_one(self) -> None:
        if self._unsent:
            stage, line = self._unsent.popleft()
            self._command(stage, line)

    def _hello(self) -> None:
        self._command(Stage.EHLO, f"EHLO {self.options.helo}\r\n".encode())

    def _answer(self, answer: Reply) -> Sequence[Event]:
        """Act on one reply to the oldest waiting command."""
        if not self._waiting:
            if answer.code == 421:
                return self._close(Cause.REFUSED, answer, "")
            return self._close(Cause.PROTOCOL, answer, "A reply came that nobody asked for.")
        stage = self._waiting[0]
        if answer.code == 421 and stage is not Stage.QUIT:
            # RFC 5321 §3.8: the host is closing, whatever was asked.
            (self._transaction.talk if self._transaction is not None else self.opening).append(answer)
            return self._close(Cause.REFUSED, answer, "")
        self._waiting.popleft()
        if self._transaction is not None:
            self._transaction.talk.append(answer)
        elif stage is not Stage.QUIT:
            self.opening.append(answer)
        match stage:
            case Stage.MAIL:
                return self._after_mail(answer)
            case Stage.RCPT:
                return self._after_rcpt(answer)
            case Stage.DATA:
                return self._after_data(answer)
            case Stage.END_OF_DATA:
                return self._after_end_of_data(answer)
            case Stage.RSET:
                self._send_one()
                return _NOTHING
            case Stage.GREETING:
                return self._after_greeting(answer)
            case Stage.EHLO:
                return self._after_ehlo(answer)
            case Stage.STARTTLS:
                return self._after_starttls(answer)
            case Stage.AUTH:
                return self._after_auth(answer)
            case _:
                self._waiting.appendleft(stage)
                return self._close(Cause.QUIT, answer, "")

    def _after_greeting(self, answer: Reply) -> Sequence[Event]:
        self.greeting = answer
        if answer.code != 220:
            return self._give_up(Cause.REFUSED, Stage.GREETING, answer)
        self._hello()
        return _NOTHING

    def _after_ehlo(self, answer: Reply) -> Sequence[Event]:
        tls = self.capabilities.tls
        if self._said_helo:
            if not answer.positive:
                return self._give_up(Cause.REFUSED, Stage.EHLO, answer)
            self.capabilities = Capabilities({}, False, tls)
        elif answer.positive:
            keywords: dict[str, str] = {}
            for line in answer.lines[1:]:
                keyword, _, rest = line.strip().partition(" ")
                # Old servers wrote "AUTH=PLAIN LOGIN".
                if keyword.upper().startswith("AUTH="):
                    keyword, rest = "AUTH", f"{keyword[5:]} {rest}"
                keywords.setdefault(keyword.upper(), rest.strip())
            self.capabilities = Capabilities(keywords, True, tls)
        elif 500 <= answer.code < 600:
            # RFC 5321 §3.2: a host that does not know EHLO is greeted by HELO.
            self._said_helo = True
            self._command(Stage.EHLO, f"HELO {self.options.helo}\r\n".encode())
            return _NOTHING
        else:
            return self._give_up(Cause.REFUSED, Stage.EHLO, answer)
        if not tls and self.options.tls is not Tls.NEVER:
            if "STARTTLS" in self.capabilities:
                self._command(Stage.STARTTLS, b"STARTTLS\r\n")
                return _NOTHING
            if self.options.tls is Tls.REQUIRED:
                return self._give_up(Cause.TLS, Stage.EHLO, None, "TLS is required and the host does not offer it.")
        return self._log_in()

    def _after_starttls(self, answer: Reply) -> Sequence[Event]:
        if answer.code == 220:
            self._waiting.append(Stage.HANDSHAKE)
            return [StartTls(self._reader.discard())]
        if self.options.tls is Tls.REQUIRED:
            return self._give_up(Cause.TLS, Stage.STARTTLS, answer, "TLS is required and the host refuses to start it.")
        # Opportunistic (RFC 7435): without it, as if it had not been offered.
        return self._log_in()

    def _log_in(self) -> Sequence[Event]:
        if self.options.credentials is None:
            return self._open()
        if not (self.capabilities.tls or self.options.auth_in_clear):
            return self._give_up(
                Cause.AUTH, Stage.AUTH, None, "A password is never sent without TLS; allow it if you must."
            )
        user, password = (part.encode() for part in self.options.credentials)
        offered = self.capabilities.auth
        if "PLAIN" in offered:
            secret = base64.b64encode(b"\0" + user + b"\0" + password)
            self._login = []
            self._command(Stage.AUTH, b"AUTH PLAIN " + secret + b"\r\n")
        elif "LOGIN" in offered:
            self._login = [base64.b64encode(user) + b"\r\n", base64.b64encode(password) + b"\r\n"]
            self._command(Stage.AUTH, b"AUTH LOGIN\r\n")
        else:
            return self._give_up(Cause.AUTH, Stage.AUTH, None, "The host offers neither AUTH PLAIN nor AUTH LOGIN.")
        return _NOTHING

    def _after_auth(self, answer: Reply) -> Sequence[Event]:
        if answer.code == 235:
            self._login = []
            return self._open()
        if answer.code == 334:
            if self._login:
                self._command(Stage.AUTH, self._login.pop(0))
                return _NOTHING
            # RFC 4954 §4: "*" cancels an exchange that asks for more than we have.
            self._out.append(b"*\r\n")
        return self._give_up(Cause.REFUSED, Stage.AUTH, answer)

    def _open(self) -> Sequence[Event]:
        self._idle = True
        return [Ready(self.capabilities)]

    def _after_mail(self, answer: Reply) -> Sequence[Event]:
        transaction = self._running()
        if 300 <= answer.code < 400:
            return self._out_of_step(Stage.MAIL, answer)
        if not answer.positive:
            for index in transaction.sent:
                transaction.outcomes[index] = Outcome(transaction.recipients[index], Stage.MAIL, answer)
            if self._unsent:
                self._unsent.clear()
                return self._finish()
        self._send_one()
        return _NOTHING

    def _after_rcpt(self, answer: Reply) -> Sequence[Event]:
        transaction = self._running()
        if 300 <= answer.code < 400:
            return self._out_of_step(Stage.RCPT, answer)
        index = transaction.sent[transaction.next_rcpt]
        transaction.next_rcpt += 1
        if not answer.positive:
            # After a refused MAIL the reply to MAIL says more than this one.
            transaction.outcomes.setdefault(index, Outcome(transaction.recipients[index], Stage.RCPT, answer))
        if len(self._unsent) == 1 and len(transaction.outcomes) == len(transaction.recipients):
            # Nobody is left: no DATA for nobody, and the host must forget the MAIL.
            self._unsent.clear()
            self._dirty = True
            return self._finish()
        self._send_one()
        return _NOTHING

    def _after_data(self, answer: Reply) -> Sequence[Event]:
        transaction = self._running()
        nobody = len(transaction.outcomes) == len(transaction.recipients)
        if answer.code == 354:
            # RFC 2920 §3.1: everybody was refused and yet 354: end it with a lone dot.
            self._lone_dot = nobody
            self._out.append(b".\r\n" if nobody else transaction.data)
            transaction.talk.append(
                "nobody is left: a lone dot" if nobody else f"message of {len(transaction.data) - 3} octets"
            )
            self._waiting.append(Stage.END_OF_DATA)
            self._dot_queued = not nobody
            return _NOTHING
        if answer.code < 400:
            return self._out_of_step(Stage.DATA, answer)
        self._dirty = True
        self._decide(Stage.DATA, answer)
        return self._finish()

    def _after_end_of_data(self, answer: Reply) -> Sequence[Event]:
        if 300 <= answer.code < 400 and not self._lone_dot:
            return self._out_of_step(Stage.END_OF_DATA, answer)
        self._lone_dot = False
        self._dot_queued = self._dot_taken = False
        self._behind = 0
        self._decide(Stage.END_OF_DATA, answer)
        return self._finish()

    def _running(self) -> _Transaction:
        if self._transaction is None:
            raise AssertionError("a transaction reply is awaited without a transaction")
        return self._transaction

    def _decide(self, stage: Stage, answer: Reply | None, in_doubt: bool = False) -> None:
        """Give every recipient that has no outcome yet this one."""
        transaction = self._running()
        for index, recipient in enumerate(transaction.recipients):
            if index not in transaction.outcomes:
                transaction.outcomes[index] = Outcome(recipient, stage, answer, in_doubt)

    def _finish(self) -> list[Event]:
        """The end of the running transaction; the one that follows it runs now."""
        transaction = self._running()
        self._transaction, self._next = self._next, None
        self._idle = self._transaction is None
        outcomes = transaction.outcomes
        self.talks.append(transaction.talk)
        events: list[Event] = [TransactionResult(tuple([outcomes[i] for i in range(len(transaction.recipients))]))]
        if self._transaction is not None and not self._transaction.sent:
            events += self._finish()
        return events

    def _out_of_step(self, stage: Stage, answer: Reply) -> Sequence[Event]:
        self._waiting.appendleft(stage)
        return self._close(Cause.PROTOCOL, None, f"The host answers {stage} with {answer}.")

    def _give_up(self, cause: Cause, stage: Stage, answer: Reply | None, detail: str = "") -> Sequence[Event]:
        """End a session that carries no transaction, politely."""
        self._out.append(b"QUIT\r\n")
        self._waiting.appendleft(stage)
        return self._close(cause, answer, detail)

    def _close(self, cause: Cause, answer: Reply | None, detail: str) -> list[Event]:
        stage = self.stage
        events: list[Event] = []
        if self._transaction is not None:
            self._decide(stage, answer, answer is None and self._dot_taken)
            events += self._finish()
        if self._transaction is not None:
            # Of the next one only commands may have left: whatever ended the session, it says nothing of it.
            self._decide(Stage.MAIL, None)
            events += self._finish()
        if self._dot_queued:
            # The data was never taken: it must not leave after its outcome is told.
            self._dot_queued = False
            self._out.clear()
        self._unsent.clear()
        self._waiting.clear()
        self._idle = False
        self._closed = True
        events.append(Closed(cause, stage, answer, detail))
        return events
