"""Lanes: the SMTP connections of a courier, each a small task that carries message after message.

Lanes belong to a channel: the one relay of the installation, or, on the direct route, a destination site.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from envol.edge.courier_channels import Channel, Item, Tickets, Unreachable
from envol.edge.courier_connect import BAD_HOST_SECONDS, Connector
from envol.edge.courier_connection import Connection
from envol.edge.courier_mx import NoMail, Unknown
from envol.edge.courier_shaping import BLOCKS_IN_A_ROW, Share
from envol.outbound.egress import STREAMS, TRANSACTIONAL
from envol.outbound.lease import Row
from envol.outbound.making import Made
from envol.outbound.route import Route
from envol.outbound.settle import DEFERRED, Result
from envol.outbound.sites import group_of, provider_of, receiver_of
from envol.wire.smtp.client import Outcome, Stage
from envol.wire.smtp.replies import classify

if TYPE_CHECKING:
    from envol.edge.courier import Courier

log = structlog.get_logger()

RELAY = ("", "", False)
"""The key of the one channel of a route that has one host."""
IDLE_SECONDS = 3.0
"""A connection without work is kept so long: the next message to the site saves four round trips."""
QUICK_SECONDS = 0.05
"""A host that takes a message in less is worth no further connection: the next goes behind the last."""
BLOCKED_SECONDS = 1800.0
HOLD_SECONDS = 20.0
"""What would wait longer than this for a receiver goes back into the queue with a later time."""
UNPROVED_LANES = 2
RELAY_BACKOFF = (0.25, 30.0)


class Lanes:
    """All connections of one courier; at most `connections`, and as many transactions not yet in the database."""

    def __init__(
        self,
        courier: Courier,
        route: Route,
        connector: Connector,
        *,
        connections: int,
        timeouts: Mapping[Stage, float],
    ) -> None:
        self._courier = courier
        self._route = route
        self._most = connections
        self._timeouts = timeouts
        self._connector = connector
        self._channels: dict[tuple[str, str, bool], Channel] = {}
        self._unplaced: dict[str, deque[Item]] = {}
        self._look_ups: set[asyncio.Task[None]] = set()
        self._sending: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = connector.open
        self._tickets = Tickets(connections)
        self._held: set[int] = set()
        self._on_wire = 0

    @property
    def busy(self) -> bool:
        """Is anything made, or on the wire?"""
        return bool(self._on_wire or self._unplaced or any(channel.prepared for channel in self._channels.values()))

    @property
    def open(self) -> int:
        return len(self._connections)

    # ---- what the courier asks

    def add(self, row: Row, made: Made) -> None:
        """A made message; `pump` gets it going."""
        item = Item(row, made)
        if self._route.one_host:
            self._relay().prepared.append(item)
        else:
            self._place(item)

    def waiting(self, share: Share) -> int:
        """Messages that would go by this share if they had leave."""
        made = sum(len(channel.prepared) for channel in self._channels.values() if channel.share is share)
        group = self._courier.shares.group
        return made + sum(site.waiting for site in self._courier.sites() if group(site.name) == share.group)

    def settled(self, results: Iterable[Result]) -> None:
        """These outcomes are in the database: their tickets are free."""
        for result in results:
            if id(result) in self._held:
                self._held.discard(id(result))
                self._tickets.give_back()
        self.pump()

    def pump(self, spread: bool = False) -> None:
        """Hand made messages to idle lanes, or open new ones.

        A lane takes the next message by itself, behind the data of the last, in half the system calls. So where a host
        is quick most of what is made is left to lanes that begin; with `spread` nothing is.
        """
        now = asyncio.get_running_loop().time()
        starving = False
        poor: set[int] = set()  # shares whose connections idle elsewhere
        tickets = self._tickets.free
        for channel in list(self._channels.values()):
            if channel.paused_until > now:
                continue
            leave = 0 if spread or channel.pace > QUICK_SECONDS else len(channel.prepared) * 3 // 4
            while len(channel.prepared) > leave and tickets > 0:
                while channel.idle and channel.idle[0][1].done():
                    channel.idle.popleft()
                can_open = len(self._tasks) < self._most and channel.lanes < self._limit(channel)
                if can_open and channel.share is not None and channel.share.lanes >= channel.share.limit:
                    can_open = False
                    if not channel.share.asked:
                        break  # nobody has said yet how many
                    if not channel.lanes:
                        poor.add(id(channel.share))
                if not channel.idle and not can_open:
                    starving = starving or not channel.lanes
                    break
                item = self._pick(channel)
                if item is None:
                    break
                tickets -= 1
                if channel.idle:
                    channel.idle.popleft()[1].set_result(item)
                else:
                    channel.lanes += 1
                    if channel.share is not None:
                        channel.share.lanes += 1
                    task = asyncio.create_task(self._lane(channel, item))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        if starving:
            for channel in sorted(self._channels.values(), key=lambda one: id(one.share) not in poor):
                if channel.idle and not channel.prepared:
                    _, waiting = channel.idle.popleft()
                    if not waiting.done():
                        waiting.set_result(None)
                        break

    async def clock(self) -> None:
        """Once a second: time-outs of connections, ends of pauses, slow recovery of what was throttled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(1.0, *(t / 4 for t in self._timeouts.values())))
            now = loop.time()
            for connection in list(self._connections):
                connection.tick(now)
            for key, channel in list(self._channels.items()):
                over = channel.share is not None and channel.share.over()
                while channel.idle and (over or channel.idle[0][0] < now - IDLE_SECONDS):
                    _, waiting = channel.idle.popleft()
                    if not waiting.done():
                        waiting.set_result(None)
                if channel.limit < channel.base and now - channel.calm_since > 600:
                    channel.limit, channel.calm_since = channel.limit + 1, now
                unused = not channel.lanes and not channel.prepared and not channel.bad
                if unused and channel.paused_until <= now and channel.limit == channel.base:
                    del self._channels[key]
            for site in self._courier.sites():
                if 0 < site.paused_until <= now:
                    site.paused_until = 0.0
            for share in self._courier.shares:
                if share.paused > now + HOLD_SECONDS or share.spent > now:
                    self._place_again(share)
            self._courier.feed()
            self.pump(spread=True)

    def give_up_prepared(self) -> None:
        """Stopping: what is made and not on the wire goes back."""
        for channel in self._channels.values():
            while channel.prepared:
                self._courier.taken_back(channel.prepared.popleft().row)
        unplaced, self._unplaced = self._unplaced, {}
        for items in unplaced.values():
            for item in items:
                self._courier.taken_back(item.row)

    async def close(self) -> None:
        """Say goodbye on every connection. Nothing may be on the wire."""
        for channel in self._channels.values():
            self._end_idle(channel)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        for _ in range(50):
            if not self._connections:
                break
            await asyncio.sleep(0.02)

    def abort(self) -> None:
        """Cut everything."""
        for task in (*self._tasks, *self._look_ups):
            task.cancel()
        for connection in list(self._connections):
            connection.abort()

    # ---- inside

    @staticmethod
    def _end_idle(channel: Channel) -> None:
        for _, waiting in channel.idle:
            if not waiting.done():
                waiting.set_result(None)

    def _relay(self) -> Channel:
        found = self._channels.get(RELAY)
        if found is None:
            found = self._channels[RELAY] = Channel("", self._most, 1000)
        return found

    def _place(self, item: Item) -> None:
        """Find the channel of a made message: behind which receiver its site is, and by which source it goes."""
        site = item.row.site
        shares = self._courier.shares
        group = shares.group(site)
        if group is None:
            if (others := self._unplaced.get(site)) is not None:
                others.append(item)
                return
            self._unplaced[site] = deque([item])
            task = asyncio.create_task(self._look_up(site))
            self._look_ups.add(task)
            task.add_done_callback(self._look_ups.discard)
            return
        now = asyncio.get_running_loop().time()
        share, opens = shares.choose(group, item.stream, item.row, now)
        if share is None:
            self._hold(item, group, opens - now)
            return
        key = site, share.source.address, item.lax
        found = self._channels.get(key)
        if found is None or found.share is not share:
            one = receiver_of(group)
            new = Channel(site, min(one.connections, self._most), one.messages_per_connection, share, lax=item.lax)
            if found is not None:  # its site moved to another receiver
                new.prepared, found.prepared, found.moved = found.prepared, deque(), True
                self._end_idle(found)
            found = self._channels[key] = new
        found.prepared.append(item)

    async def _look_up(self, site: str) -> None:
        """Learn who runs a site; where nobody can tell, it is a group of its own, and connecting says what is wrong."""
        try:
            group = group_of((await self._connector.mx.hosts(site))[0].name)
        except (NoMail, Unknown):
            group = site
        self._courier.shares.learn(site, group)
        for item in self._unplaced.pop(site, ()):
            self._place(item)
        self.pump()

    def _hold(self, item: Item, group: str, seconds: float) -> None:
        """Nothing of this stream may go there for a while: this message, and those that wait behind it, come later."""
        shares = self._courier.shares
        spent = item.stream != TRANSACTIONAL and any(
            share.spent > share.paused for share in shares if share.group == group
        )
        said = next((share.reason for share in shares if share.group == group and share.reason), "")
        if spent:
            cause, text = "warm_up", f"Today's allowance for {group} is used up: our address is new there."
        else:
            cause, text = "paused", f"{group} asked us to wait: {said}" if said else f"A pause for {group}."
        streams = [TRANSACTIONAL] if item.stream == TRANSACTIONAL else [one for one in STREAMS if one != TRANSACTIONAL]
        self._courier.ended(Result(item.row, DEFERRED, cause, reply=text, hold=shares.after(seconds)))
        for row in self._courier.pull(item.row.site, streams):
            self._courier.report(Result(row, DEFERRED, cause, reply=text, hold=shares.after(seconds)))

    def _place_again(self, share: Share) -> None:
        """A share has closed for longer than it is worth waiting: another one, or later."""
        for channel in list(self._channels.values()):
            if channel.share is share and channel.prepared:
                items, channel.prepared = channel.prepared, deque()
                for item in items:
                    self._place(item)

    def _limit(self, channel: Channel) -> int:
        if self._route.one_host:
            return channel.limit
        # A host that has taken nothing yet gets two connections: what never answers holds no more than these.
        return min(channel.limit, self._courier.share(self._most), UNPROVED_LANES + channel.taken)

    def _pick(self, channel: Channel) -> Item | None:
        """The next made message whose site is within its share of the lanes, and which has leave to go."""
        share = self._courier.share(self._most)
        now = asyncio.get_running_loop().time()
        for place, item in enumerate(channel.prepared):
            site = item.row.site
            if self._sending.get(site, 0) < share:
                if channel.share is not None and not channel.share.take(item.stream, now):
                    if not channel.share.dry and channel.share.paused <= now:
                        self._courier.shares.hurry()
                    return None
                del channel.prepared[place]
                self._sending[site] = self._sending.get(site, 0) + 1
                self._on_wire += 1
                return item
        return None

    def _unpick(self, channel: Channel, item: Item, *, sent: bool = False) -> None:
        site = item.row.site
        if channel.share is not None and not sent:
            channel.share.give_back(item.stream)
        self._on_wire -= 1
        self._sending[site] -= 1
        if not self._sending[site]:
            del self._sending[site]

    async def _lane(self, channel: Channel, first: Item) -> None:
        connection: Connection | None = None
        item: Item | None = first
        try:
            while item is not None:
                if connection is not None and (not connection.usable or connection.sent >= channel.per_connection):
                    connection.quit()
                    connection = None
                if connection is None:
                    try:
                        connection = await self._connector.connect(channel)
                    except Unreachable as error:
                        self._unreachable(channel, item, error)
                        return
                current, item = item, None
                await self._deliver(channel, connection, current)
                now = asyncio.get_running_loop().time()
                if channel.share is not None and channel.share.over():
                    return
                # Without a ticket it would only wait, and keep from lanes at work what could follow at once.
                item = self._pick(channel) if channel.paused_until <= now and self._tickets.free else None
                if item is None:
                    item = await self._wait(channel)
        except Exception as error:
            log.error("a lane broke", channel=channel.key, error=repr(error))
            raise
        finally:
            if connection is not None and connection.closed is None:
                try:
                    connection.quit()
                except RuntimeError:
                    connection.abort()
            channel.lanes -= 1
            if channel.share is not None:
                channel.share.lanes -= 1
            asyncio.get_running_loop().call_soon(self.pump)

    async def _wait(self, channel: Channel) -> Item | None:
        if self._courier.stopping or channel.moved:
            return None
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Item | None] = loop.create_future()
        channel.idle.append((loop.time(), waiting))
        return await waiting  # `clock` ends what waits too long: a timer for each message would cost more

    def _unreachable(self, channel: Channel, item: Item, error: Unreachable) -> None:
        now = asyncio.get_running_loop().time()
        self._unpick(channel, item)
        if self._route.one_host:
            # Our own relay is away: nobody was tried, nothing is counted, everybody waits where they are.
            first, longest = RELAY_BACKOFF
            if not channel.backoff or channel.paused_until <= now:
                channel.backoff = min(longest, channel.backoff * 2 or first)
                channel.paused_until = now + channel.backoff
                if channel.backoff > 4:
                    log.warning("the relay cannot be reached", error=str(error))
            channel.prepared.appendleft(item)
            return
        others = [other.row for other in channel.prepared]
        channel.prepared.clear()
        for row in others:
            self._courier.untake(row)
        if error.permanent is not None:
            no = error.permanent
            cause = "null_mx" if no.code == 556 else "unknown_domain"
            rows = [*others, *self._courier.unreachable(channel.key, 0.0)]
            for result in (Result(row, "bounced", cause, no.code, no.enhanced, no.text, suppress=True) for row in rows):
                self._courier.report(result)
            self._courier.ended(Result(item.row, "bounced", cause, no.code, no.enhanced, no.text, suppress=True))
            return
        reply = error.closed.reply if error.closed else None
        stage = error.closed.stage if error.closed else Stage.CONNECT
        cause, final, pause = "tls_policy" if error.tls else "unreachable", False, BAD_HOST_SECONDS
        if reply is not None:
            verdict = classify(reply.code, reply.enhanced, reply.text, provider_of(channel.key), stage)
            cause, final = verdict.cause, verdict.final
            pause = BLOCKED_SECONDS if verdict.action == "blocked" else pause
        code, enhanced = (reply.code, reply.enhanced) if reply else (None, None)
        text = reply.text if reply else str(error)
        rows = [*others, *self._courier.unreachable(channel.key, now + pause)]
        for row in rows:
            self._courier.report(Result(row, DEFERRED, cause, code, enhanced, text, host=channel.key))
        state = "bounced" if final else DEFERRED
        self._courier.ended(
            Result(item.row, state, cause, code, enhanced, text, host=channel.key, dialogue=(error.dialogue, ()))
        )

    async def _deliver(self, channel: Channel, connection: Connection, item: Item) -> None:
        """One transaction, those that can follow it at once, and what follows from them."""
        await self._tickets.wait()
        ready = False
        try:
            if not await self._courier.may_go(item.row):
                self._courier.dropped(item.row)
                return
            if not connection.usable:  # the host said goodbye while we waited
                channel.prepared.appendleft(item)
                return
            ready = True
        finally:
            if not ready:
                self._unpick(channel, item)
                self._tickets.give_back()
        loop = asyncio.get_running_loop()
        began, before = loop.time(), connection.sent
        await connection.run(
            item,
            lambda: self._following(channel, connection),
            lambda item, outcome: self._done(channel, connection, item, outcome),
        )
        channel.pace = (loop.time() - began) / (connection.sent - before)

    def _following(self, channel: Channel, connection: Connection) -> Item | None:
        """A made message that may go on this connection now, with a ticket, without waiting for anything."""
        if not channel.prepared or self._courier.stopping or connection.sent >= channel.per_connection:
            return None
        if channel.paused_until > asyncio.get_running_loop().time() or not self._tickets.take():
            return None
        item = self._pick(channel)
        if item is not None and self._courier.is_fresh(item.row):
            return item
        if item is not None:
            self._unpick(channel, item)
            channel.prepared.appendleft(item)
        self._tickets.give_back()
        return None

    def _done(self, channel: Channel, connection: Connection, item: Item, outcome: Outcome | ValueError) -> None:
        keep = False
        try:
            if isinstance(outcome, ValueError):
                result: Result | None = Result(item.row, "bounced", "bad_address", reply=str(outcome))
            else:
                result = self._judge(channel, connection, item, outcome)
            if result is None:
                channel.prepared.appendleft(item._replace(tries=item.tries + (connection.taken == 0)))
                return
            keep = True
            if not isinstance(outcome, ValueError):
                result.dialogue, result.octets = (connection.opening, connection.talk), len(item.data)
            self._held.add(id(result))
            if channel.share is not None:
                self._count(channel.share, result)
            self._courier.ended(result)
        finally:
            self._unpick(channel, item, sent=True)
            if not keep:
                self._tickets.give_back()

    def _judge(self, channel: Channel, connection: Connection, item: Item, outcome: Outcome) -> Result | None:
        """What an outcome means; None: nothing was said of this recipient, try it on another connection first."""
        row, reply = item.row, outcome.reply
        where: dict[str, Any] = {"host": connection.host, "tls": connection.tls}
        now = asyncio.get_running_loop().time()
        if outcome.accepted and reply is not None:
            channel.taken += 1
            connection.taken += 1
            told_on = "SUCCESS" in item.made.wish.notify and connection.offers("DSN")
            words = reply.text or "OK"
            return Result(row, "delivered", "", reply.code, reply.enhanced, words, told_on=told_on, **where)
        if reply is None and outcome.in_doubt:
            text = "The connection ended after the final dot and before its answer; the message may have arrived."
            return Result(row, DEFERRED, "in_doubt", reply=text, **where)
        if reply is None or reply.code == 421:
            # It says something of the host, not of the recipient (RFC 5321 §3.8): another host, then later.
            # A host that took messages on this connection has had enough of it, not of us: that is no try.
            if not connection.taken:
                channel.bad[connection.address] = now + BAD_HOST_SECONDS
            again = item.tries == 0 or connection.taken > 0
            if reply is not None and not self._slowed(channel, connection, outcome, now) and again:
                return None
            if reply is None and again:
                return None
            if reply is None:
                detail = connection.closed.detail if connection.closed else "The connection was lost."
                return Result(row, DEFERRED, "connection_lost", reply=detail, **where)
            return Result(row, DEFERRED, "host_closing", reply.code, reply.enhanced, reply.text, **where)
        verdict = classify(reply.code, reply.enhanced, reply.text, provider_of(connection.host), outcome.stage)
        if verdict.action == "throttle":
            self._slow_down(channel, now, str(reply))
        elif verdict.action == "blocked" and channel.share is not None:
            self._refused(channel.share, now, str(reply))
        state = "bounced" if verdict.final else DEFERRED
        suppress = verdict.final and verdict.action == "hard_bounce"
        return Result(row, state, verdict.cause, reply.code, reply.enhanced, reply.text, suppress=suppress, **where)

    def _slowed(self, channel: Channel, connection: Connection, outcome: Outcome, now: float) -> bool:
        reply = outcome.reply
        if reply is None:
            return False
        verdict = classify(reply.code, reply.enhanced, reply.text, provider_of(connection.host), outcome.stage)
        if verdict.action != "throttle":
            return False
        self._slow_down(channel, now, str(reply))
        return True

    def _count(self, share: Share, result: Result) -> None:
        share.sent += 1
        if result.state == "delivered":
            share.refused_in_a_row = 0
        elif result.state == DEFERRED and result.cause != "greylisted":
            share.deferred += 1
        elif result.suppress:
            share.hard += 1

    def _refused(self, share: Share, now: float, reply: str) -> None:
        """One refusal may be about this message; several in a row are about us."""
        share.refused_in_a_row += 1
        if share.refused_in_a_row >= BLOCKS_IN_A_ROW:
            share.refused_in_a_row = 0
            share.blocked += 1
            share.leave_alone(now, BLOCKED_SECONDS, reply)
            log.warning("refused, leaving it alone", receiver=share.group, source=share.source.address)
            self._courier.shares.hurry()

    def _slow_down(self, channel: Channel, now: float, reply: str) -> None:
        """The receiver finds us too fast: half the connections, a pause, and one more every ten calm minutes."""
        if channel.share is not None:
            if channel.share.paused <= now:
                channel.share.slow(now, reply)
                log.info("slowing down", receiver=channel.share.group, source=channel.share.source.address)
            self._courier.shares.hurry()
            return
        channel.limit = max(1, channel.limit // 2)
        channel.calm_since = now
        channel.paused_until = max(channel.paused_until, now + 2.0)
        log.info("slowing down", site="relay", connections=channel.limit)
