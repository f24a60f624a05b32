"""The receiving side of SMTP as a pure state machine.

The owner accepts a connection, writes `data_to_send()` (the greeting), then feeds
`receive_data`. Some events are questions: `MailFrom`, `RcptTo`, `Message`, `Verify` and
`Authenticate` must each be answered by one call of `answer`, which goes on with what
the client has pipelined behind and returns the next events. While a question is open
nothing more is read from the buffer (`waiting_for_owner`), so the order of replies
is kept and the owner may commit in its own time (RFC 5321 §6.1: 250 only after that).

What the protocol itself forbids is refused here and never reaches the owner. Whose
mail is taken, and for whom, is the owner's to say.

Sources: RFC 5321, 2920, 1870, 3030, 6152, 2034, 3207, 3461, 4954, 9422, 6531.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .chunks import Chunk
from .chunks import parse as parse_chunk
from .grammar import Reply, crlf_only, reply
from .incoming import MAX_SKIPPED, Fault, Incoming
from .login import AUTH_FAILED, AUTH_OK, LOGIN, PLAIN, SCRAM, Authenticate, Challenge, Exchange, Verify
from .notify import NO_WISH, Asked, Wish, read_envid, read_notify, read_orcpt, read_ret
from .paths import DOMAIN, PATH, is_mailbox, wrong_recipient
from .questions import Closed, Envelope, Etrn, Event, MailFrom, Message, Question, RcptTo, StartTls

__all__ = [
    "ACCEPTED",
    "AUTH_FAILED",
    "AUTH_OK",
    "OK",
    "RECIPIENT_OK",
    "SENDER_OK",
    "Authenticate",
    "Challenge",
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
    "Verify",
    "reply",
]

MAX_ERRORS = 20
MAX_AUTH_FAILURES = 5

OK = reply(250, "2.0.0", "OK")
ACCEPTED = reply(250, "2.0.0", "OK, your message is in our keeping")
SENDER_OK = reply(250, "2.1.0", "OK")
RECIPIENT_OK = reply(250, "2.1.5", "OK")
BARE_LINE_END = reply(550, "5.6.0", "A line must end with CRLF; a bare CR or LF was found")

_HTTP = frozenset({"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "PATCH", "TRACE", "PRI", "HOST:"})
_NOT_HERE = frozenset({"ETRN", "TURN", "ATRN", "EXPN", "XCLIENT", "XFORWARD", "PROXY", "BDAT", "SEND", "SOML", "SAML"})
_VERB = re.compile(r"[A-Za-z]{1,20}:?")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What one listener offers.

    hostname: our name in the greeting.
    max_size: bytes of one message, announced by SIZE and enforced while reading.
    starttls: STARTTLS is offered while the connection is in clear.
    tls_required: no mail without TLS (530 5.7.0).
    auth: LOGIN and PLAIN are offered, in TLS only unless `auth_in_clear`.
    scram: SCRAM-SHA-256 beside them; the owner answers `Verify`.
    auth_required: no mail without a login (530 5.7.0), as for submission (RFC 6409 §4.3).
    strict_recipients: refuse recipients which abuse relays or point into a network:
        quoted, source routes, percent hack, bang path, literals, single labels.
    etrn: who is logged in may start the queue of a domain of hers (RFC 1985); 502 before.
    chunking: a message may come by BDAT instead of DATA (RFC 3030; BINARYMIME is not offered).
    dsn: senders may ask to be told what became of a message (RFC 3461).
    """

    hostname: str
    max_size: int = 25 * 1024 * 1024
    max_recipients: int = 1000
    starttls: bool = False
    tls_required: bool = False
    auth: bool = False
    scram: bool = False
    auth_in_clear: bool = False
    auth_required: bool = False
    smtputf8: bool = False
    strict_recipients: bool = True
    dsn: bool = False
    etrn: bool = False
    chunking: bool = False


class Server:
    """One SMTP session as its receiver. See the module for the way to drive it."""

    def __init__(self, options: ServerOptions, *, tls: bool = False) -> None:
        self.options = options
        self.tls = tls
        self.helo = ""
        self.identity: str | None = None
        self.errors = 0
        self.auth_failures = 0
        self._incoming = Incoming(options.max_size)
        self._out: list[bytes] = [f"220 {options.hostname} ESMTP\r\n".encode()]
        self._greeted = False
        self._closed = False
        self._ending: Reply | None = None
        self._handshake = False
        self._question: Question | None = None
        self._envelope: Envelope | None = None
        self._recipients: list[str] = []
        self._wishes: list[Wish] = []
        self._refused_recipients = 0
        self._login: Exchange | None = None
        self._in_data = False
        self._chunk: Chunk | None = None
        self._chunks: bytearray | None = None
        """Not None: the transaction's message comes by BDAT; what came so far."""

    # ---- the owner's side -------------------------------------------------------------------

    @property
    def waiting_for_owner(self) -> bool:
        """A question is open: stop reading from the socket until it is answered."""
        return self._question is not None

    @property
    def closed(self) -> bool:
        """Has Closed been given?"""
        return self._closed

    @property
    def receiving(self) -> bool:
        """A message has begun (354 was said, or a first chunk was named) and is not whole yet."""
        return self._in_data or self._chunks is not None

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
        self._incoming.buffer += data
        return self._run()

    def answer(self, answer: Reply | Challenge) -> list[Event]:
        """Answer the open question; go on with what waits in the buffer. Raises RuntimeError without a question.

        A Challenge answers Verify, and a Reply that refuses; all others are answered by a Reply.
        """
        question, self._question = self._question, None
        if question is None:
            raise RuntimeError("There is no open question to answer.")
        if self._closed:
            return []
        if isinstance(answer, Challenge):
            if self._login is None:
                raise RuntimeError("There is no exchange that asked for a challenge.")
            self._out.append(self._login.challenge(answer))
            return self._run()
        self._say(answer)
        match question:
            case Verify():
                self._login = None
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

    def drain(self, text: str = "Service closing, come back later") -> list[Event]:
        """Say 421 as soon as nothing is in hand: now, or when the message that has begun and the question that is open
        are answered. What was pipelined behind them is not begun (RFC 5321 §3.8: not in the middle of a command)."""
        self._ending = reply(421, "4.3.2", text)
        return self._run()

    # ---- reading ----------------------------------------------------------------------------

    def _run(self) -> list[Event]:
        events: list[Event] = []
        while not self._closed and self._question is None and not self._handshake:
            if self._ending is not None and not self.receiving:
                events.append(self._refuse_and_close(self._ending))
                break
            if self._in_data:
                step = self._read_data()
            else:
                step = self._read_line() if self._chunk is None else self._read_chunk(self._chunk)
            if step is None:
                break
            if step:
                events.append(step[0])
        return events

    def _read_line(self) -> tuple[Event, ...] | None:
        """One command line; None when more bytes are needed."""
        match self._incoming.line(in_login=self._login is not None):
            case None:
                return None
            case Fault.TOO_LONG:
                self._login = None
                return self._error(500, "5.5.2", "Line too long")
            case Fault.ENDLESS:
                return (self._refuse_and_close(reply(500, "5.5.2", "Line too long")),)
            case Fault.BARE_LINE_END:
                said = "A command ends with CRLF; a bare CR or LF was found"
                return (self._refuse_and_close(reply(500, "5.5.2", said)),)
            case line:
                return self._command(line)

    def _read_data(self) -> tuple[Event, ...] | None:
        """The message that follows DATA; None when more bytes are needed."""
        match self._incoming.message():
            case None:
                return None
            case Fault.ENDLESS:
                return (self._refuse_and_close(self._size_refusal()),)
            case Fault.BARE_LINE_END:
                return (self._refuse_and_close(BARE_LINE_END),)
            case Fault.TOO_LONG:
                self._reset()
                self._say(self._size_refusal())
                return ()
            case data:
                self._in_data = False
                return self._whole(data)

    def _read_chunk(self, chunk: Chunk) -> tuple[Event, ...] | None:
        """The octets that BDAT announced, and nothing beyond them."""
        if chunk.left and not self._incoming.buffer:
            return None
        gathered = self._chunks if self._chunks is not None else bytearray()
        if not chunk.take(self._incoming.buffer, gathered):
            return None
        self._chunk = None
        if chunk.refusal is not None:
            # RFC 3030 §2: the transaction has failed; chunks that are in the pipeline already are refused one by one.
            self._reset()
            return self._refuse(chunk.refusal)
        if not chunk.last:
            self._say(reply(250, "2.0.0", f"{chunk.octets} octets received"))
            return ()
        # To others it goes by DATA, where every line has an end.
        data = bytes(gathered) if not gathered or gathered.endswith(b"\r\n") else bytes(gathered + b"\r\n")
        if not crlf_only(data):
            return (self._refuse_and_close(BARE_LINE_END),)
        return self._whole(data)

    def _whole(self, data: bytes) -> tuple[Event, ...]:
        if self._envelope is None:
            raise AssertionError("a message without an envelope")
        envelope = self._envelope._replace(recipients=tuple(self._recipients), wishes=tuple(self._wishes))
        return self._ask(Message(envelope, data))

    def _no_recipients(self) -> Reply:
        # RFC 2920 §3.2: a pipelined DATA after refused recipients is refused too.
        if self._refused_recipients:
            return reply(554, "5.5.1", "No valid recipients")
        return reply(503, "5.5.1", "Say RCPT TO first")

    def _size_refusal(self) -> Reply:
        return reply(552, "5.3.4", f"The message is larger than {self.options.max_size} bytes")

    # ---- saying -----------------------------------------------------------------------------

    def _say(self, answer: Reply) -> None:
        self._out.append(answer.to_bytes())

    def _error(self, code: int, enhanced: str, text: str) -> tuple[Event, ...]:
        """Refuse what the client said wrong."""
        return self._refuse(reply(code, enhanced, text))

    def _refuse(self, answer: Reply) -> tuple[Event, ...]:
        """After MAX_ERRORS of them the session ends."""
        self.errors += 1
        if self.errors >= MAX_ERRORS:
            return (self._refuse_and_close(reply(421, "4.7.0", "Too many errors, closing")),)
        self._say(answer)
        return ()

    def _refuse_and_close(self, answer: Reply) -> Closed:
        self._say(answer)
        return self._close(answer.text)

    def _close(self, detail: str) -> Closed:
        self._closed = True
        self._incoming.buffer.clear()
        return Closed(detail)

    def _ask(self, question: Question) -> tuple[Event, ...]:
        self._question = question
        return (question,)

    def _reset(self) -> None:
        self._envelope = None
        self._recipients, self._wishes = [], []
        self._refused_recipients = 0
        self._in_data = False
        self._chunks = None

    # ---- commands ---------------------------------------------------------------------------

    def _command(self, raw: bytes) -> tuple[Event, ...]:
        if self._login is not None:
            return self._auth_step(self._login, raw)
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
            case "BDAT" if self.options.chunking:
                return self._bdat(argument)
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
            offers.append(f"AUTH {' '.join(self._mechanisms)}")
        if options.smtputf8:
            offers.append("SMTPUTF8")
        if options.dsn:
            offers.append("DSN")
        if options.chunking:
            offers.append("CHUNKING")
        if options.etrn and self.identity is not None:
            offers.append("ETRN")
        offers.append(f"LIMITS RCPTMAX={options.max_recipients}")
        self._say(reply(250, None, *offers))
        return ()

    def _early(self) -> Reply | None:
        """The refusal of mail commands that come too early, or None."""
        if not self.helo:
            return reply(503, "5.5.1", "Say EHLO first")
        if self.options.tls_required and not self.tls:
            return reply(530, "5.7.0", "Say STARTTLS first")
        if self.options.auth_required and self.identity is None:
            return reply(530, "5.7.0", "Log in first")
        return None

    def _closed_door(self) -> tuple[Event, ...] | None:
        early = self._early()
        return None if early is None else self._refuse(early)

    def _mail(self, argument: str) -> tuple[Event, ...]:
        if (door := self._closed_door()) is not None:
            return door
        if self._envelope is not None:
            return self._error(503, "5.5.1", "A transaction is open already; RSET forgets it")
        match = PATH.fullmatch(argument[5:]) if argument[:5].upper() == "FROM:" else None
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
        if path and not is_mailbox(path):
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
        if self._chunks is not None:
            return self._error(503, "5.5.1", "The message has begun; finish it, or RSET forgets it")
        match = PATH.fullmatch(argument[3:]) if argument[:3].upper() == "TO:" else None
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
        if (wrong := wrong_recipient(path, strict=self.options.strict_recipients)) is not None:
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

    def _data(self, argument: str) -> tuple[Event, ...]:
        if (door := self._closed_door()) is not None:
            return door
        if argument.strip():
            return self._error(501, "5.5.4", "DATA takes no parameter")
        if self._envelope is None:
            return self._error(503, "5.5.1", "Say MAIL FROM and RCPT TO first")
        if not self._recipients:
            return self._refuse(self._no_recipients())
        if self._chunks is not None:
            return self._error(503, "5.5.1", "This message comes by BDAT; finish it so")  # RFC 3030 §2
        self._in_data = True
        self._incoming.begin_message()
        self._say(reply(354, None, "Go on, end with a dot on a line of its own"))
        return ()

    def _bdat(self, argument: str) -> tuple[Event, ...]:
        """RFC 3030 §2. Whatever is wrong, the octets are read first: else they would be taken for commands."""
        announced = parse_chunk(argument)
        most = self.options.max_size
        if announced is None or announced[0] > 4 * most + MAX_SKIPPED:
            said = self._size_refusal() if announced else reply(501, "5.5.4", "Say BDAT, a number of octets, and LAST")
            return (self._refuse_and_close(said),)
        octets, last = announced
        gathered = len(self._chunks or b"")
        refusal: Reply | None = None
        if (early := self._early()) is not None:
            refusal = early
        elif self._envelope is None:
            refusal = reply(503, "5.5.1", "Say MAIL FROM and RCPT TO first")
        elif not self._recipients:
            refusal = self._no_recipients()
        elif gathered + octets > most:
            refusal = self._size_refusal()
        elif self._chunks is None:
            self._chunks = bytearray()
        self._chunk = Chunk(octets, last=last, refusal=refusal)
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
        if not domain.isascii() or not DOMAIN.fullmatch(domain):
            return self._error(501, "5.5.4", "Say ETRN and a domain")
        return self._ask(Etrn(domain, below))

    def _starttls(self, argument: str) -> tuple[Event, ...]:
        if not self.options.starttls:
            return self._error(502, "5.5.1", "Not offered here")
        if self.tls:
            return self._error(503, "5.5.1", "TLS is on already")
        if argument.strip():
            return self._error(501, "5.5.4", "STARTTLS takes no parameter")
        if self._incoming.buffer:
            return (self._refuse_and_close(reply(501, "5.5.2", "Nothing may follow STARTTLS before the handshake")),)
        self._say(reply(220, "2.0.0", "Go on with the handshake"))
        self._handshake = True
        self._reset()
        return (StartTls(),)

    # ---- AUTH (RFC 4954) --------------------------------------------------------------------

    @property
    def _mechanisms(self) -> tuple[str, ...]:
        return (PLAIN, LOGIN, SCRAM) if self.options.scram else (PLAIN, LOGIN)

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
        if mechanism not in self._mechanisms:
            return self._error(504, "5.5.4", f"Use AUTH {' or AUTH '.join(self._mechanisms)}")
        self._login = Exchange(mechanism)
        if initial:
            # RFC 4954 §4: "=" is an initial response of no bytes.
            return self._auth_step(self._login, b"" if initial == "=" else initial.encode("ascii", "replace"))
        self._out.append(self._login.prompt)
        return ()

    def _auth_step(self, login: Exchange, raw: bytes) -> tuple[Event, ...]:
        answer = login.step(raw)
        if isinstance(answer, bytes):
            self._out.append(answer)
            return ()
        if isinstance(answer, Verify):
            return self._ask(answer)
        self._login = None
        if isinstance(answer, Authenticate):
            return self._ask(answer)
        if answer is not AUTH_FAILED:
            return self._refuse(answer)
        self._say(answer)
        tired = self._login_failed()
        return () if tired is None else (tired,)

    def _login_failed(self) -> Closed | None:
        self.auth_failures += 1
        if self.auth_failures < MAX_AUTH_FAILURES:
            return None
        return self._refuse_and_close(reply(421, "4.7.0", "Too many failed logins, closing"))
