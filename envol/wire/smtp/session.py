"""What a delivering session is told and what it tells: options, capabilities, events, time-outs.

The machine itself is in `client`, which gives these names too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from .grammar import Reply, Stage

TIMEOUTS: Mapping[Stage, float] = {
    Stage.CONNECT: 30,
    Stage.GREETING: 300,
    Stage.EHLO: 300,
    Stage.STARTTLS: 120,
    Stage.HANDSHAKE: 60,
    Stage.AUTH: 120,
    Stage.RSET: 300,
    Stage.MAIL: 300,
    Stage.RCPT: 300,
    Stage.DATA: 120,
    # Never shorten this one: giving up early makes duplicates (RFC 1047).
    Stage.END_OF_DATA: 600,
    Stage.QUIT: 5,
}
"""Seconds to wait for the reply of each stage (RFC 5321 §4.5.3.2; CONNECT, HANDSHAKE, AUTH, QUIT: ours)."""

DATA_BLOCK_TIMEOUT: float = 180
"""Seconds in which each write of message data must make progress (RFC 5321 §4.5.3.2.5)."""

SESSION_TIMEOUT: float = 1800
"""Seconds after which a session without a finished message is a tarpit."""


class Tls(StrEnum):
    """What to do about STARTTLS."""

    NEVER = "never"
    IF_OFFERED = "if_offered"
    REQUIRED = "required"


class Cause(StrEnum):
    """Why a session ended."""

    QUIT = "quit"
    """We said QUIT."""
    REFUSED = "refused"
    """The other side said no (greeting, EHLO, AUTH) or 421; `Closed.reply` has its words."""
    TLS = "tls"
    """TLS was required and not to be had, or the handshake failed."""
    AUTH = "auth"
    """We may not log in here: no common mechanism, or it would be in clear."""
    PROTOCOL = "protocol"
    """What came was not SMTP; `Closed.detail` says what."""
    LOST = "lost"
    """The connection went away or timed out."""


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to behave towards one host.

    helo: our name, a domain with an address (RFC 5321 §4.1.1.1).
    implicit_tls: the connection is TLS from its first byte (port 465).
    credentials: user and password for a smart host, or None.
    """

    helo: str
    tls: Tls = Tls.IF_OFFERED
    implicit_tls: bool = False
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    auth_in_clear: bool = False
    pipelining: bool = True


@dataclass(frozen=True)
class Capabilities:
    """What the host offers. `keywords`: upper-case EHLO keyword → its parameters as written."""

    keywords: Mapping[str, str]
    esmtp: bool
    tls: bool

    def __contains__(self, keyword: str) -> bool:
        return keyword in self.keywords

    @cached_property
    def max_size(self) -> int | None:
        """The largest message in bytes (RFC 1870), None when unknown or without limit."""
        return _positive(self.keywords.get("SIZE", ""))

    @cached_property
    def limits(self) -> Mapping[str, int]:
        """The limits of RFC 9422 (MAILMAX, RCPTMAX, RCPTDOMAINMAX) that the host states."""
        words = (word.partition("=") for word in self.keywords.get("LIMITS", "").split())
        return {name.upper(): number for name, _, value in words if (number := _positive(value)) is not None}

    @cached_property
    def auth(self) -> frozenset[str]:
        """AUTH mechanisms in upper case."""
        return frozenset(self.keywords.get("AUTH", "").upper().split())


def _positive(text: str) -> int | None:
    """The number, or None. Twenty digits are enough for any size (RFC 1870 §3)."""
    return (int(text) or None) if text.isascii() and text.isdigit() and len(text) <= 20 else None


class Ready(NamedTuple):
    """The session is open: `Client.send` may be called."""

    capabilities: Capabilities


class StartTls(NamedTuple):
    """Perform the handshake now. `discarded`: bytes of injected plaintext thrown away (RFC 3207 §6)."""

    discarded: int


class Outcome(NamedTuple):
    """What became of one recipient.

    reply: the words that decide, or None when the connection ended without any.
    stage: the command they answer; with no reply, where the connection ended.
    in_doubt: the final dot had left and no reply came. The message may have been
    delivered: try again with the same Message-ID (RFC 1047).
    """

    recipient: str
    stage: Stage
    reply: Reply | None
    in_doubt: bool = False

    @property
    def accepted(self) -> bool:
        """The other side has taken responsibility (RFC 5321 §6.1)."""
        return self.reply is not None and self.reply.positive and self.stage is Stage.END_OF_DATA


class TransactionResult(NamedTuple):
    """The end of one `send()`: an outcome for each recipient, in the order given."""

    outcomes: tuple[Outcome, ...]


class Closed(NamedTuple):
    """The session is over. `stage`: where it stood. `reply`: the words that ended it, if any."""

    cause: Cause
    stage: Stage
    reply: Reply | None = None
    detail: str = ""


Event = Ready | StartTls | TransactionResult | Closed
