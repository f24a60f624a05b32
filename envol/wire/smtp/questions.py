"""What the receiving machine tells its owner: questions, each to be answered once, and what the connection must do.

See :mod:`envol.wire.smtp.server` for the way they are answered.
"""

from __future__ import annotations

from typing import NamedTuple

from .login import Authenticate, Verify
from .notify import NO_WISH, NOTHING_ASKED, Asked, Wish


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


class Etrn(NamedTuple):
    """A question: start the queue of this domain, and with `below` of those below it. Answered by RFC 1985 §5.3."""

    domain: str
    below: bool


class StartTls(NamedTuple):
    """Write what `data_to_send` gives, perform the handshake, call `tls_started()`; close if it fails."""


class Closed(NamedTuple):
    """Write what `data_to_send` gives, then close the socket."""

    detail: str


Question = MailFrom | RcptTo | Message | Verify | Authenticate | Etrn
Event = Question | StartTls | Closed
