"""A courier's part of what receivers take: connections and leave to send, agreed with the others in the database.

A `Share` is one receiver's group as seen from one source address. Lanes count on it without asking anybody; a loop asks
for all shares together, about once a second and at once where somebody waits (`envol.outbound.shaping.agree`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import structlog
from django.db import Error as DatabaseError
from django.db import InterfaceError

from envol.outbound import egress
from envol.outbound.egress import TRANSACTIONAL, Source
from envol.outbound.lease import Row
from envol.outbound.shaping import Ask, Grant
from envol.outbound.sites import receiver_of

log = structlog.get_logger()

ASK_SECONDS = 1.0
AT_ONCE_SECONDS = 0.05
MOST_LEAVE = 500
"""Leave that a courier takes in stock at most: what it has when it dies is lost."""
KEEP_SECONDS = 30.0
BLOCKS_IN_A_ROW = 3
"""So many refusals of us, and nothing taken in between, and the receiver is left alone for a while."""


@dataclass(slots=True, eq=False)
class Share:
    """What this courier may do at one group of hosts from one source.

    limit: connections it was granted. leave: messages it may send; None: as many as it likes. until: end of that leave
    (a warm-up day). paused, spent: nothing may go until then, nothing but transactional mail may. dry: it asked for
    leave and got none.
    """

    group: str
    source: Source
    limit: int = 0
    leave: int | None = 0
    until: float = float("inf")
    paused: float = 0.0
    spent: float = 0.0
    reason: str = ""
    lanes: int = 0
    used: float = 0.0
    asked: bool = False
    dry: bool = False
    refused_in_a_row: int = 0
    free: int = 0
    sent: int = 0
    deferred: int = 0
    hard: int = 0
    blocked: int = 0
    slowed: bool = False
    pause: float = 0.0

    def open_for(self, stream: str, now: float) -> bool:
        return self.paused <= now and (self.spent <= now or stream == TRANSACTIONAL)

    def opens(self, stream: str) -> float:
        """When it does."""
        return max(self.paused, 0.0 if stream == TRANSACTIONAL else self.spent)

    def take(self, stream: str, now: float) -> bool:
        """Leave for one message, if there is any."""
        if self.paused > now:
            return False
        if self.leave is None:
            return True
        if self.leave > 0 and now < self.until:
            self.leave -= 1
            return True
        if stream == TRANSACTIONAL and self.spent > now:
            self.free += 1
            return True
        return False

    def give_back(self, stream: str) -> None:
        """A message that had leave did not go."""
        if self.leave is None:
            return
        if stream == TRANSACTIONAL and self.free:
            self.free -= 1
        else:
            self.leave += 1

    def over(self) -> bool:
        """Has it more lanes than it may have?"""
        return self.lanes > self.limit

    def slow(self, now: float, reason: str) -> None:
        """A reply finds us too fast: at once half of everything here; the others hear of it with the next agreement."""
        self.limit = max(1, self.limit // 2)
        self.leave = 0 if self.leave is None else self.leave // 2
        self.paused = max(self.paused, now + receiver_of(self.group).pause_seconds)
        self.slowed, self.reason = True, reason

    def leave_alone(self, now: float, seconds: float, reason: str) -> None:
        """The receiver refuses us, whoever we write to."""
        self.paused = max(self.paused, now + seconds)
        self.pause, self.reason = max(self.pause, seconds), reason


class Shares:
    """All shares of one courier. ask: calls a function of a room in its thread."""

    def __init__(
        self,
        sources: Sequence[Source],
        ask: Callable[[Sequence[Ask], Mapping[str, str]], Awaitable[dict[tuple[str, str], Grant]]],
    ) -> None:
        self._sources = list(sources) or [egress.DEFAULT]
        self._ask = ask
        self._shares: dict[tuple[str, str], Share] = {}
        self._groups: dict[str, str] = {}
        self._learnt: dict[str, str] = {}
        self._now = asyncio.Event()
        self._held = 0

    def __iter__(self) -> Iterator[Share]:
        return iter(list(self._shares.values()))

    # ---- sites and groups

    def group(self, site: str) -> str | None:
        return self._groups.get(site)

    def known(self, groups: Mapping[str, str]) -> None:
        """What the database knew of sites."""
        for site, group in groups.items():
            self._groups.setdefault(site, group)

    def learn(self, site: str, group: str) -> None:
        """What DNS says now."""
        if len(self._groups) > 50_000:
            self._groups.clear()
        if self._groups.get(site) != group:
            self._groups[site] = self._learnt[site] = group

    # ---- choosing

    def share(self, group: str, source: Source, now: float) -> Share:
        found = self._shares.get((group, source.address))
        if found is None:
            found = self._shares[group, source.address] = Share(group, source)
            self._now.set()
        found.used = now
        return found

    def choose(self, group: str, stream: str, row: Row, now: float) -> tuple[Share | None, float]:
        """The share a message goes by; None, and when it may go, if all that could carry it are closed."""
        pool = egress.pool(self._sources, stream, row.sending.workspace_id, group)
        soonest = float("inf")
        for source in egress.in_order(pool, row.key):
            share = self.share(group, source, now)
            if share.open_for(stream, now):
                return share, 0.0
            soonest = min(soonest, share.opens(stream))
        return None, soonest if pool else now + 3600

    def closed(self, now: float) -> tuple[list[str], list[str]]:
        """(groups where nothing may go, groups where only transactional mail may): not to be leased for."""
        shut, spent = [], []
        for group in {share.group for share in self._shares.values() if share.paused > now or share.spent > now}:
            for stream, found in ((TRANSACTIONAL, shut), (egress.MARKETING, spent)):
                pool = [
                    one
                    for one in self._sources
                    if (not one.streams or stream in one.streams) and (not one.receivers or group in one.receivers)
                ]
                shares = [self._shares.get((group, one.address)) for one in pool]
                if shares and all(share is not None and not share.open_for(stream, now) for share in shares):
                    found.append(group)
        return shut, spent

    def after(self, seconds: float) -> float:
        """Seconds to hold a message so that those held together come back in the order in which they were held."""
        self._held += 1
        return max(1.0, seconds) + (self._held % 1_000_000) / 1000

    # ---- agreeing

    def hurry(self) -> None:
        self._now.set()

    async def loop(self, waiting: Callable[[Share], int], after: Callable[[], None]) -> None:
        """Agree with the other couriers, for ever. waiting: messages that would go by a share if they had leave."""
        clock = asyncio.get_running_loop().time
        while True:
            try:
                await asyncio.wait_for(self._now.wait(), ASK_SECONDS)
                await asyncio.sleep(AT_ONCE_SECONDS if any(s.asked for s in self._shares.values()) else 0)
            except TimeoutError:
                pass
            self._now.clear()
            asks = self._asks(waiting, clock())
            if not asks and not self._learnt:
                continue
            learnt, self._learnt = self._learnt, {}
            try:
                grants = await self._ask([ask for _, ask in asks], learnt)
            except (DatabaseError, InterfaceError) as error:
                log.warning("cannot agree on connections, going on as agreed", error=str(error).strip())
                self._learnt = {**learnt, **self._learnt}
                for share, ask in asks:
                    _undo(share, ask)
                await asyncio.sleep(1.0)
                continue
            now = clock()
            for share, ask in asks:
                self._granted(share, ask, grants[share.group, share.source.address], now)
            after()

    async def part(self) -> None:
        """Give back what was not used and tell what was, before this courier ends."""
        asks = self._asks(lambda share: 0, asyncio.get_running_loop().time(), parting=True)
        if asks or self._learnt:
            try:
                await self._ask([ask for _, ask in asks], self._learnt)
            except (DatabaseError, InterfaceError) as error:
                log.warning("cannot tell what was sent today", error=str(error).strip())

    def _asks(self, waiting: Callable[[Share], int], now: float, parting: bool = False) -> list[tuple[Share, Ask]]:
        asks = []
        for key, share in list(self._shares.items()):
            wanted = waiting(share)
            busy = (wanted or share.lanes) and not parting
            news = share.sent or share.slowed or share.pause or share.free or share.blocked
            if busy:
                share.used = now
            elif share.asked and not news and now - share.used > KEEP_SECONDS and share.opens("") <= now:
                del self._shares[key]
                last = Ask(share.group, share.source.address, share.source.warm, want=-(share.leave or 0))
                asks.append((share, last))
                continue
            elif (share.asked or parting) and not news and share.leave in (None, 0) and not share.limit:
                continue
            want = 0
            if share.leave is not None:
                if now >= share.until:
                    share.leave = 0  # of another day
                usable = share.limit or share.lanes or not share.asked  # else it is of use to another courier
                want = (min(MOST_LEAVE, wanted) if usable or not share.leave else 0) - share.leave
                share.leave += min(0, want)
            ask = Ask(
                share.group,
                share.source.address,
                share.source.warm,
                lanes=1 if busy else 0,
                open=0 if parting else share.lanes,
                want=want,
                free=share.free,
                sent=share.sent,
                deferred=share.deferred,
                hard=share.hard,
                blocked=share.blocked,
                slowed=share.slowed,
                pause=share.pause,
                reason=share.reason if share.slowed or share.pause else "",
            )
            share.free = share.sent = share.deferred = share.hard = share.blocked = 0
            share.slowed, share.pause = False, 0.0
            asks.append((share, ask))
        return asks

    def _granted(self, share: Share, ask: Ask, grant: Grant, now: float) -> None:
        if not share.slowed:  # a word that came meanwhile is not in the answer yet
            share.limit = grant.connections
        if grant.messages is None:
            share.leave, share.until = (0, now) if share.slowed else (None, float("inf"))
        else:
            until = now + grant.day if grant.day else float("inf")
            kept = share.leave or 0 if abs(until - share.until) < 3600 or until == share.until else 0  # the same day
            share.leave, share.until = kept + grant.messages, until
            share.dry = ask.want > 0 and not grant.messages
        share.paused = max(now + grant.paused if grant.paused else 0.0, share.paused if share.slowed else 0.0)
        share.spent = now + grant.spent if grant.spent else 0.0
        share.reason = grant.reason or share.reason
        share.asked = True


def _undo(share: Share, ask: Ask) -> None:
    """What could not be told is told with the next question."""
    share.free += ask.free
    share.sent += ask.sent
    share.deferred += ask.deferred
    share.hard += ask.hard
    share.blocked += ask.blocked
    share.slowed = share.slowed or ask.slowed
    share.pause = max(share.pause, ask.pause)
