"""The receiving side of SMTP as a pure state machine.

The owner accepts a connection, writes `data_to_send()` (the greeting), then feeds
`receive_data`. Some events are questions: `MailFrom`, `RcptTo`, `Message` and
`Authenticate` must each be answered by one call of `answer`, which goes on with what
the client has pipelined behind and returns the next events. While a question is open
nothing more is read from the buffer (`waiting_for_owner`), so the order of replies
is kept and the owner may commit in its own time (RFC 5321 §6.1: 250 only after that).

What the protocol itself forbids is refused here and never reaches the owner. Whose
mail is taken, and for whom, is the owner's to say.

Sources: RFC 5321, 2920, 1870, 6152, 2034, 3207, 3461, 4954, 9422, 6531.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import NamedTuple

from .grammar import Reply, crlf_only, reply
from .notify import NO_WISH, NOTHING_ASKED, Asked, Wish, read_envid, read_notify, read_orcpt, read_ret

__all__ = [
    "ACCEPTED",
    "AUTH_FAILED",
    "AUTH_OK",
    "OK",
    "RECIPIENT_OK",
    "SENDER_OK",
    "Authenticate",
    "Closed",
    "Envelope",
    "Etrn",
    "Event",
    "MailFrom",
    "Message",
    "RcptTo",
    "Reply",
    "Server",
    "ServerOptions",
    "StartTls",
    "reply",
]

MAX_COMMAND_LINE = 512
MAX_PATH_LINE = 1024
"""MAIL and RCPT, which extensions lengthen (RFC 1870 §3, RFC 4954 §3, RFC 6531 §3.4)."""
MAX_AUTH_LINE = 12288
"""RFC 4954 §4."""
MAX_SKIPPED = 65536
"""Bytes of an endless command line we put up with before closing."""
MAX_ERRORS = 20
MAX_AUTH_FAILURES = 5

OK = reply(250, "2.0.0", "OK")
ACCEPTED = reply(250, "2.0.0", "OK, your message is in our keeping")
SENDER_OK = reply(250, "2.1.0", "OK")
RECIPIENT_OK = reply(250, "2.1.5", "OK")
AUTH_OK = reply(235, "2.7.0", "Welcome")
AUTH_FAILED = reply(535, "5.7.8", "Unknown key or wrong secret")
BARE_LINE_END = reply(550, "5.6.0", "A line must end with CRLF; a bare CR or LF was found")

_HTTP = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "PRI", "HOST:"})
_NOT_HERE = frozenset({"ETRN", "TURN", "ATRN", "EXPN", "XCLIENT", "XFORWARD", "PROXY", "BDAT", "SEND", "SOML", "SAML"})
_VERB = re.compile(r"[A-Za-z]{1,20}:?")
_PATH = re.compile(r" ?<([^<>\x00-\x20]*)>(?: +(.*))?", re.DOTALL)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_DOMAIN = re.compile(r"[^\W_](?:[\w-]*\w)?(?:\.[^\W_](?:[\w-]*\w)?)*")
_NUMERIC = re.compile(r"[0-9.]+")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What one listener offers.

    hostname: our name in the greeting.
    max_size: bytes of one message, announced by SIZE and enforced while reading.
    starttls: STARTTLS is offered while the connection is in clear.
    tls_required: no mail without TLS (530 5.7.0).
    auth: LOGIN and PLAIN are offered, in TLS only unless `auth_in_clear`.
    auth_required: no mail without a login (530 5.7.0), as for submission (RFC 6409 §4.3).
    strict_recipients: refuse recipients which abuse relays or point into a network:
        quoted, source routes, percent hack, bang path, literals, single labels.
    etrn: who is logged in may start the queue of a domain of hers (RFC 1985); 502 before.
    dsn: senders may ask to be told what became of a message (RFC 3461).
    """

    hostname: str
    max_size: int = 25 * 1024 * 1024
    max_recipients: int = 1000
    starttls: bool = False
    tls_required: bool = False
    auth: bool = False
    auth_in_clear: bool = False
    auth_required: bool = False
    smtputf8: bool = False
    strict_recipients: bool = True
    dsn: bool = False
    etrn: bool = False


class Envelope(NamedTuple):
    """One transaction: reverse-path ("" is the null path), recipients in order, and how it came.

    wishes: what was asked for each recipient, in their order.
    """

    reverse_path: str
    recipients: tuple[str, ...]
    helo: str
    tls: bool
    identity: str | None = None
    size: int | None = None
    eight_bit: bool = False
    smtputf8: bool = False
    asked: Asked = NOTHING_ASKED
    wishes: tuple[Wish, ...] = ()


class MailFrom(NamedTuple):
    """A question: may this reverse-path begin a transaction?"""

    reverse_path: str
    size: int | None


class RcptTo(NamedTuple):
    """A question: do we take mail for this recipient?"""

    recipient: str
    reverse_path: str
    wish: Wish = NO_WISH


class Message(NamedTuple):
    """A question, and the last: a whole message, unstuffed, CRLF only. A 2yz answer takes responsibility."""

    envelope: Envelope
    data: bytes


class Authenticate(NamedTuple):
    """A question: is this the secret of this key? Answer AUTH_OK or AUTH_FAILED."""

    mechanism: str
    identity: str
    secret: str

    def __repr__(self) -> str:
        return f"Authenticate(mechanism={self.mechanism!r}, secret hidden)"


class Etrn(NamedTuple):
    """A question: start the queue of this domain, and with `below` of those below it. Answered by RFC 1985 §5.3."""

    domain: str
    below: bool


class StartTls(NamedTuple):
    """Write what `data_to_send` gives, perform the handshake, call `tls_started()`; close if it fails."""


class Closed(NamedTuple):
    """Write what `data_to_send` gives, then close the socket."""

    detail: str


Event = MailFrom | RcptTo | Message | Authenticate | Etrn | StartTls | Closed


class Server:
    """One SMTP session as its receiver. See the module for the way to drive it."""

    def __init__(self, options: ServerOptions, *, tls: bool = False) -> None:
        self.options = options
        self.tls = tls
        self.helo = ""
        self.identity: str | None = None
        self.errors = 0
        self.auth_failures = 0
        self._buffer = bytearray()
        self._out: list[bytes] = [f"220 {options.hostname} ESMTP\r\n".encode()]
        self._greeted = False
        self._closed = False
        self._handshake = False
        self._question: MailFrom | RcptTo | Message | Authenticate | Etrn | None = None
        self._envelope: Envelope | None = None
        self._recipients: list[str] = []
        self._wishes: list[Wish] = []
        self._refused_recipients = 0
        self._login: list[str] | None = None
        """Not None: an AUTH exchange runs; holds what was given so far, first the mechanism."""
        self._skipping = False
        self._in_data = False
        self._searched = 0
        self._size = 0
        self._too_large = False

    # ---- the owner's side -------------------------------------------------------------------

    @property
    def waiting_for_owner(self) -> bool:
        """A question is open: stop reading from the socket until it is answered."""
        return self._question is not None

    @property
    def closed(self) -> bool:
        """Has Closed been given?"""
        return self._closed

    def data_to_send(self) -> bytes:
        """The bytes to write now."""
        self._greeted = True
        data = b"".join(self._out)
        self._out = []
        return data

    def receive_data(self, data: bytes) -> list[Event]:
        """Bytes from the socket. Returns the events they cause. Never raises for what the peer says."""
        if self._closed or not data:
            return []
        if not self._greeted:
            # RFC 5321 §4.3.1: the client waits for the greeting. Only programs that do not read talk first.
            self._out = [reply(554, "5.5.1", "You spoke before the greeting").to_bytes()]
            return [self._close("the client spoke before the greeting")]
        if self._handshake:
            # CVE-2011-0411: what follows STARTTLS in clear would be taken for the words of the TLS client.
            return [self._refuse_and_close(reply(501, "5.5.2", "Nothing may follow STARTTLS before the handshake"))]
        self._buffer += data
        return self._run()

    def answer(self, answer: Reply) -> list[Event]:
        """Answer the open question; go on with what waits in the buffer. Raises RuntimeError without a question."""
        question, self._question = self._question, None
        if question is None:
            raise RuntimeError("There is no open question to answer.")
        if self._closed:
            return []
        self._say(answer)
        match question:
            case MailFrom() if not answer.positive:
                self._envelope = None
            case RcptTo() if answer.positive:
                self._recipients.append(question.recipient)
                self._wishes.append(question.wish)
            case RcptTo():
                self._refused_recipients += 1
            case Message():
                self._reset()
            case Authenticate() if answer.positive:
                self.identity = question.identity
            case Authenticate():
                if (tired := self._login_failed()) is not None:
                    return [tired]
            case _:
                pass
        if answer.code == 421:
            return [self._close("421 was answered")]
        return self._run()

    def tls_started(self) -> None:
        """The handshake succeeded: HELO, AUTH and MAIL start anew (RFC 3207 §4.2)."""
        if not self._handshake:
            raise RuntimeError("No StartTls was asked.")
        self._handshake = False
        self.tls = True
        self.helo = ""
        self.identity = None
        self._reset()

    def shutdown(self, text: str = "Service closing, come back later") -> list[Event]:
        """Say 421 (RFC 5321 §3.8): a time-out, or we are stopping."""
        return [] if self._closed else [self._refuse_and_close(reply(421, "4.3.2", text))]

    # ---- reading ----------------------------------------------------------------------------

    def _run(self) -> list[Event]:
        events: list[Event] = []
        while not self._closed and self._question is None and not self._handshake:
            step = self._read_data() if self._in_data else self._read_line()
            if step is None:
                break
            if step:
                events.append(step[0])
        return events

    def _read_line(self) -> tuple[Event, ...] | None:
        """One command line; None when more bytes are needed. Only CRLF ends a line (RFC 5321 §2.3.8)."""
        buffer = self._buffer
        end = buffer.find(b"\n")
        if self._skipping or end >= 0 or len(buffer) >= MAX_COMMAND_LINE:
            limit = self._line_limit()
            if not self._skipping and (end >= limit or (end < 0 and len(buffer) >= limit)):
                self._skipping = True
            if self._skipping:
                if end < 0:
                    self._size += len(buffer)
                    buffer.clear()
                    over = self._size > MAX_SKIPPED
                    return (self._refuse_and_close(reply(500, "5.5.2", "Line too long")),) if over else None
                del buffer[: end + 1]
                self._skipping, self._size = False, 0
                self._login = None
                return self._error(500, "5.5.2", "Line too long")
        if end < 0:
            return None
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        if not line.endswith(b"\r") or line.find(b"\r") != len(line) - 1:
            return (self._refuse_and_close(reply(500, "5.5.2", "A command ends with CRLF; a bare CR or LF was found")),)
        return self._command(line[:-1])

    def _line_limit(self) -> int:
        if self._login is not None:
            return MAX_AUTH_LINE
        verb = bytes(self._buffer[:4]).upper()
        return {b"AUTH": MAX_AUTH_LINE, b"MAIL": MAX_PATH_LINE, b"RCPT": MAX_PATH_LINE}.get(verb, MAX_COMMAND_LINE)

    def _read_data(self) -> tuple[Event, ...] | None:
        """Message data until CRLF.CRLF and nothing else (RFC 5321 §4.1.1.4).

        The buffer begins with the CRLF of the DATA line, so that a lone dot ends an empty message.
        """
        buffer = self._buffer
        end = buffer.find(b"\r\n.\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(buffer) - 4)
            # Stuffed dots make a message at most a third longer; the exact size is judged at the end.
            if self._too_large or len(buffer) > self.options.max_size * 3 // 2 + 64:
                self._too_large = True
                self._size += len(buffer) - 4
                del buffer[:-4]
                self._searched = 0
                if self._size > 4 * self.options.max_size + 65536:
                    return (self._refuse_and_close(self._size_refusal()),)
            return None
        raw = bytes(buffer[: end + 2])
        del buffer[: end + 5]
        self._in_data = False
        if self._too_large:
            self._reset()
            self._say(self._size_refusal())
            return ()
        if not crlf_only(raw):
            return (self._refuse_and_close(BARE_LINE_END),)
        # RFC 5321 §4.5.2: undo dot-stuffing.
        data = raw.replace(b"\r\n.", b"\r\n")[2:]
        if len(data) > self.options.max_size:
            self._reset()
            self._say(self._size_refusal())
            return ()
        if self._envelope is None:
            raise AssertionError("DATA without an envelope")
        envelope = self._envelope._replace(recipients=tuple(self._recipients), wishes=tuple(self._wishes))
        return self._ask(Message(envelope, data))

    def _size_refusal(self) -> Reply:
        return reply(552, "5.3.4", f"The message is larger than {self.options.max_size} bytes")

    # ---- saying -----------------------------------------------------------------------------

    def _say(self, answer: Reply) -> None:
        self._out.append(answer.to_bytes())

    def _error(self, code: int, enhanced: str, text: str) -> tuple[Event, ...]:
        """Refuse what the client said wrong; after MAX_ERRORS of them the session ends."""
        self.errors += 1
        if self.errors >= MAX_ERRORS:
            return (self._refuse_and_close(reply(421, "4.7.0", "Too many errors, closing")),)
        self._say(reply(code, enhanced, text))
        return ()

    def _refuse_and_close(self, answer: Reply) -> Closed:
        self._say(answer)
        return self._close(answer.text)

    def _close(self, detail: str) -> Closed:
        self._closed = True
        self._buffer.clear()
        return Closed(detail)

    def _ask(self, question: MailFrom | RcptTo | Message | Authenticate | Etrn) -> tuple[Event, ...]:
        self._question = question
        return (question,)

    def _reset(self) -> None:
        self._envelope = None
        self._recipients, self._wishes = [], []
        self._refused_recipients = 0
        self._in_data = False
        self._too_large = False
        self._size = 0

    # ---- commands ---------------------------------------------------------------------------

    def _command(self, raw: bytes) -> tuple[Event, ...]:
        if self._login is not None:
            return self._auth_step(raw)
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            return self._error(500, "5.5.2", "Not an SMTP command")
        verb, _, argument = line.partition(" ")
        verb = verb.upper()
        if verb in _HTTP:
            # A browser or a proxy made to talk to us (cross-protocol attack): not one more line.
            return (self._refuse_and_close(reply(500, "5.5.1", "This is SMTP, not HTTP")),)
        if "\0" in line or not _VERB.fullmatch(verb):
            return self._error(500, "5.5.2", "Not an SMTP command")
        match verb:
            case "EHLO" | "HELO":
                return self._hello(verb, argument.strip())
            case "MAIL":
                return self._mail(argument)
            case "RCPT":
                return self._rcpt(argument)
            case "DATA":
                return self._data(argument)
            case "RSET":
                self._reset()
                self._say(OK)
            case "NOOP":
                self._say(OK)
            case "QUIT":
                self._say(reply(221, "2.0.0", "Goodbye"))
                return (self._close("QUIT"),)
            case "VRFY":
                self._say(reply(252, "2.0.0", "Send some mail, we shall try"))
            case "HELP":
                self._say(reply(214, "2.0.0", "RFC 5321"))
            case "STARTTLS":
                return self._starttls(argument)
            case "AUTH":
                return self._auth(argument)
            case "ETRN" if self.options.etrn and self.identity is not None:
                return self._etrn(argument.strip())
            case _ if verb in _NOT_HERE:
                return self._error(502, "5.5.1", "Not offered here")
            case _:
                return self._error(500, "5.5.2", "Not an SMTP command")
        return ()

    def _hello(self, verb: str, name: str) -> tuple[Event, ...]:
        if not name or " " in name or not name.isprintable():
            return self._error(501, "5.5.4", f"Say who you are: {verb} and your domain name")
        self.helo = name
        self._reset()
        options = self.options
        if verb == "HELO":
            self._say(reply(250, None, options.hostname))
            return ()
        offers = [options.hostname, "PIPELINING", f"SIZE {options.max_size}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if options.starttls and not self.tls:
            offers.append("STARTTLS")
        if options.auth and (self.tls or options.auth_in_clear):
            offers.append("AUTH PLAIN LOGIN")
        if options.smtputf8:
            offers.append("SMTPUTF8")
        if options.dsn:
            offers.append("DSN")
        if options.etrn and self.identity is not None:
            offers.append("ETRN")
        offers.append(f"LIMITS RCPTMAX={options.max_recipients}")
        self._say(reply(250, None, *offers))
        return ()

    def _closed_door(self) -> tuple[Event, ...] | None:
        """The refusal for mail commands that come too early, or None."""
        if not self.helo:
            return self._error(503, "5.5.1", "Say EHLO first")
        if self.options.tls_required and not self.tls:
            return self._error(530, "5.7.0", "Say STARTTLS first")
        if self.options.auth_required and self.identity is None:
            return self._error(530, "5.7.0", "Log in first")
        return None

    def _mail(self, argument: str) -> tuple[Event, ...]:
        if (door := self._closed_door()) is not None:
            return door
        if self._envelope is not None:
            return self._error(503, "5.5.1", "A transaction is open already; RSET forgets it")
        match = _PATH.fullmatch(argument[5:]) if argument[:5].upper() == "FROM:" else None
        if match is None:
            return self._error(501, "5.5.4", "Say MAIL FROM:<address>")
        path, parameters = match[1], match[2] or ""
        size: int | None = None
        eight_bit = utf8 = False
        ret = envid = ""
        for parameter in parameters.split():
            key, _, value = parameter.partition("=")
            match key.upper():
                case "RET" if self.options.dsn and not ret and (found := read_ret(value)):
                    ret = found
                case "ENVID" if self.options.dsn and not envid and (found := read_envid(value)):
                    envid = found
                case "RET" | "ENVID" if self.options.dsn:
                    return self._error(501, "5.5.4", f"{key.upper()} is given twice, or its value is not valid")
                case "SIZE" if value.isascii() and value.isdigit() and len(value) <= 20:
                    size = int(value)
                case "BODY" if value.upper() in ("7BIT", "8BITMIME"):
                    eight_bit = value.upper() == "8BITMIME"
                case "SMTPUTF8" if self.options.smtputf8 and not value:
                    utf8 = True
                case "AUTH" if self.options.auth and value:
                    pass  # RFC 4954 §5: may be ignored.
                case "SIZE" | "BODY":
                    return self._error(501, "5.5.4", f"The value of {key.upper()} is not valid")
                case _:
                    return self._error(555, "5.5.4", "An unknown parameter of MAIL")
        if size is not None and size > self.options.max_size:
            self._say(self._size_refusal())
            return ()
        if not path.isascii() and not utf8:
            return self._error(553, "5.6.7", "An address beyond ASCII needs SMTPUTF8")
        if path and not _mailbox(path):
            return self._error(501, "5.1.7", "The reverse-path is not an address of the form name@domain")
        self._recipients, self._wishes, self._refused_recipients = [], [], 0
        asked = Asked(ret, envid)
        self._envelope = Envelope(path, (), self.helo, self.tls, self.identity, size, eight_bit, utf8, asked)
        return self._ask(MailFrom(path, size))

    def _rcpt(self, argument: str) -> tuple[Event, ...]:
        if (door := self._closed_door()) is not None:
            return door
        if self._envelope is None:
            return self._error(503, "5.5.1", "Say MAIL FROM first")
        match = _PATH.fullmatch(argument[3:]) if argument[:3].upper() == "TO:" else None
        if match is None or not match[1]:
            quoted = argument[:4].upper() == "TO:<" and '"' in argument
            if quoted and self.options.strict_recipients:
                return self._error(550, "5.1.3", "Quoted local parts are not accepted")
            return self._error(501, "5.5.4", "Say RCPT TO:<address>")
        wish = self._wish(match[2] or "")
        if isinstance(wish, str):
            known = wish in ("NOTIFY", "ORCPT") and self.options.dsn
            said = f"{wish} is given twice, or its value is not valid" if known else "An unknown parameter of RCPT"
            return self._error(501 if known else 555, "5.5.4", said)
        if len(self._recipients) >= self.options.max_recipients:
            # RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
            self._say(reply(452, "4.5.3", f"At most {self.options.max_recipients} recipients at a time"))
            return ()
        path = match[1]
        if not path.isascii() and not self._envelope.smtputf8:
            return self._error(553, "5.6.7", "An address beyond ASCII needs SMTPUTF8")
        if (wrong := self._wrong_recipient(path)) is not None:
            self._refused_recipients += 1
            return self._error(550, "5.1.3", wrong)
        return self._ask(RcptTo(path, self._envelope.reverse_path, wish))

    def _wish(self, parameters: str) -> Wish | str:
        """The parameters of RCPT; the name of the first that cannot stand."""
        notify = orcpt = ""
        for parameter in parameters.split():
            key, _, value = parameter.partition("=")
            match key.upper():
                case "NOTIFY" if self.options.dsn and not notify and (found := read_notify(value)):
                    notify = found
                case "ORCPT" if self.options.dsn and not orcpt and (found := read_orcpt(value)):
                    orcpt = found
                case name:
                    return name or " "
        return Wish(notify, orcpt) if notify or orcpt else NO_WISH

    def _wrong_recipient(self, path: str) -> str | None:
        """Why the protocol refuses this recipient whoever asks, or None."""
        if path.upper() == "POSTMASTER":
            return None  # RFC 5321 §4.5.1
        if path.startswith("@"):
            return "Source routes are not accepted"
        if not self.options.strict_recipients:
            return None if _mailbox(path) else "The recipient is not an address of the form name@domain"
        local, _, domain = path.rpartition("@")
        if '"' in local:
            return "Quoted local parts are not accepted"
        if domain.startswith("[") or _NUMERIC.fullmatch(domain):
            return "Address literals are not accepted; write a domain name"
        if "%" in local or "!" in local or "@" in local:
            return "Routes inside an address are not accepted"
        if not _mailbox(path):
            return "The recipient is not an address of the form name@domain"
        if "." not in domain:
            return "The domain of a recipient has at least one dot"
        return None

    def _data(self, argument: str) -> tuple[Event, ...]:
        if (door := self._closed_door()) is not None:
            return door
        if argument.strip():
            return self._error(501, "5.5.4", "DATA takes no parameter")
        if self._envelope is None:
            return self._error(503, "5.5.1", "Say MAIL FROM and RCPT TO first")
        if not self._recipients:
            # RFC 2920 §3.2: a pipelined DATA after refused recipients is refused too.
            if self._refused_recipients:
                return self._error(554, "5.5.1", "No valid recipients")
            return self._error(503, "5.5.1", "Say RCPT TO first")
        self._in_data = True
        self._too_large = False
        self._searched = self._size = 0
        self._buffer[:0] = b"\r\n"
        self._say(reply(354, None, "Go on, end with a dot on a line of its own"))
        return ()

    def _etrn(self, node: str) -> tuple[Event, ...]:
        """RFC 1985 §5.1: not within a transaction; the mail never travels on this connection."""
        if self._envelope is not None:
            return self._error(503, "5.5.1", "Not within a transaction; RSET forgets it")
        below = node.startswith("@")
        if node.startswith("#"):
            self._say(reply(458, "4.3.0", "Queues have no names here; name a domain"))
            return ()
        domain = node.removeprefix("@").lower()
        if not domain.isascii() or not _DOMAIN.fullmatch(domain):
            return self._error(501, "5.5.4", "Say ETRN and a domain")
        return self._ask(Etrn(domain, below))

    def _starttls(self, argument: str) -> tuple[Event, ...]:
        if not self.options.starttls:
            return self._error(502, "5.5.1", "Not offered here")
        if self.tls:
            return self._error(503, "5.5.1", "TLS is on already")
        if argument.strip():
            return self._error(501, "5.5.4", "STARTTLS takes no parameter")
        if self._buffer:
            return (self._refuse_and_close(reply(501, "5.5.2", "Nothing may follow STARTTLS before the handshake")),)
        self._say(reply(220, "2.0.0", "Go on with the handshake"))
        self._handshake = True
        self._reset()
        return (StartTls(),)

    # ---- AUTH (RFC 4954, 4616) --------------------------------------------------------------

    def _auth(self, argument: str) -> tuple[Event, ...]:
        if not self.options.auth:
            return self._error(502, "5.5.1", "Not offered here")
        if not self.helo:
            return self._error(503, "5.5.1", "Say EHLO first")
        if not (self.tls or self.options.auth_in_clear):
            return self._error(538, "5.7.11", "Say STARTTLS first: a secret does not travel in clear")
        if self.identity is not None or self._envelope is not None:
            return self._error(503, "5.5.1", "Not now: you are logged in, or in a transaction")
        mechanism, _, initial = argument.strip().partition(" ")
        mechanism = mechanism.upper()
        if mechanism not in ("PLAIN", "LOGIN"):
            return self._error(504, "5.5.4", "Use AUTH PLAIN or AUTH LOGIN")
        self._login = [mechanism]
        if initial:
            # RFC 4954 §4: "=" is an initial response of no bytes.
            return self._auth_step(b"" if initial == "=" else initial.encode("ascii", "replace"))
        prompt = b"334 \r\n" if mechanism == "PLAIN" else b"334 VXNlcm5hbWU6\r\n"
        self._out.append(prompt)
        return ()

    def _login_failed(self) -> Closed | None:
        self.auth_failures += 1
        if self.auth_failures < MAX_AUTH_FAILURES:
            return None
        return self._refuse_and_close(reply(421, "4.7.0", "Too many failed logins, closing"))

    def _auth_step(self, raw: bytes) -> tuple[Event, ...]:
        login, self._login = self._login or [], None
        if raw == b"*":
            return self._error(501, "5.7.0", "The login was cancelled")
        try:
            text = base64.b64decode(raw, validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            return self._error(501, "5.5.2", "This is not base64 of UTF-8 text")
        if login[0] == "PLAIN":
            parts = text.split("\0")
            if len(parts) != 3 or not parts[1] or not parts[2]:
                return self._error(501, "5.5.2", "PLAIN is: nothing, NUL, key, NUL, secret")
            if parts[0] not in ("", parts[1]):
                # RFC 4616 §2: nobody here acts in the name of another. Counted like a wrong secret.
                self._say(AUTH_FAILED)
                tired = self._login_failed()
                return () if tired is None else (tired,)
            return self._ask(Authenticate("PLAIN", parts[1], parts[2]))
        if "\0" in text:
            return self._error(501, "5.5.2", "A NUL has no place here")
        if len(login) == 1:
            self._login = [login[0], text]
            self._out.append(b"334 UGFzc3dvcmQ6\r\n")
            return ()
        return self._ask(Authenticate("LOGIN", login[1], text))


def _mailbox(path: str) -> bool:
    """Is this a Mailbox of RFC 5321 §4.1.2: a dot-string or quoted string, @, a domain or a literal?"""
    local, at, domain = path.rpartition("@")
    if not at or not local or len(local.encode()) > 64 or len(domain.encode()) > 255:
        return False
    quoted = len(local) >= 2 and local[0] == local[-1] == '"' and local.isprintable()
    if not quoted and not _DOT_STRING.fullmatch(local):
        return False
    literal = domain.startswith("[") and domain.endswith("]")
    return literal or _DOMAIN.fullmatch(domain) is not None
