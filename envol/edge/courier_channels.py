"""What lanes are made of: messages on their way, tickets, channels."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from envol.edge.courier_mx import NoMail
from envol.edge.courier_shaping import Share
from envol.outbound.egress import stream_of
from envol.outbound.lease import Row
from envol.outbound.making import Made
from envol.wire.smtp.client import Closed
from envol.wire.smtp.notify import Asked, Wish

MOST_HEAD = 16_384


class Item(NamedTuple):
    """A made message on its way. `tries`: hosts that failed it without a word about the recipient."""

    row: Row
    made: Made
    tries: int = 0

    @property
    def lax(self) -> bool:
        """Does it ask to go whatever the receiver asks of TLS (RFC 8689 §5; reports about TLS must)?"""
        return self.row.message_id is not None and b"\nTLS-Required: No\r\n" in self.made.data[:MOST_HEAD]

    @property
    def stream(self) -> str:
        return stream_of(self.row.sending.priority)

    @property
    def reverse_path(self) -> str:
        return self.made.envelope_from

    @property
    def recipient(self) -> str:
        return self.row.address

    @property
    def data(self) -> bytes:
        return self.made.data

    @property
    def asked(self) -> Asked:
        return self.made.asked

    @property
    def wish(self) -> Wish:
        return self.made.wish


class Tickets:
    """So many transactions may be under way or not yet in the database."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """How many could be taken now: who waits goes first."""
        return 0 if self._waiting else self._free

    def take(self) -> bool:
        """Take one if one is free and nobody waits for it."""
        if self.free:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Take one, now or later."""
        if self.take():
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)  # it is handed on
                return
        self._free += 1


class Channel:
    """What lanes share: made messages, hosts, and how many lanes there may be.

    share: what its receiver takes from its source address; None where everything goes to one host. lax: its messages
    go whatever TLS policy the receiver has.
    """

    def __init__(
        self, key: str, limit: int, per_connection: int, share: Share | None = None, *, lax: bool = False
    ) -> None:
        self.key = key
        self.share = share
        self.lax = lax
        self.prepared: deque[Item] = deque()
        self.idle: deque[tuple[float, asyncio.Future[Item | None]]] = deque()  # since when, and what it waits for
        self.lanes = 0
        self.taken = 0  # messages that its hosts took
        self.base = self.limit = limit
        self.per_connection = per_connection
        self.pace = 1.0  # seconds a message took last
        self.paused_until = 0.0
        self.backoff = 0.0
        self.calm_since = 0.0
        self.bad: dict[str, float] = {}
        self.moved = False


class Unreachable(Exception):
    """No host of a channel takes mail now. `closed`: how the last try ended; `permanent`: the domain itself says no;
    `tls`: the hosts did not prove who they are, and the receiver's policy asks for it."""

    def __init__(
        self,
        closed: Closed | None,
        text: str,
        permanent: NoMail | None = None,
        *,
        tls: bool = False,
        dialogue: str = "",
    ) -> None:
        super().__init__(text)
        self.closed, self.permanent, self.tls, self.dialogue = closed, permanent, tls, dialogue
