"""The courier: leases work, makes the messages in threads, delivers them, settles what became of them.

One event loop; rooms are called in threads, one for leasing and looking, one for settling. Every rule about
states is in `envol.outbound`; here is only the moving. What is promised:

* A message is sent only while its lease is ours and its permission was asked within the last second.
* A transaction takes one of `connections` tickets and gives it back when its outcome is in the database. So
  whatever is killed, at most that many messages of this process can be sent twice; and of these not those whose 250
  was heard (:mod:`envol.edge.courier_journal`), when the next courier starts on the same disk.
* While outcomes cannot be written nothing is leased and nothing is sent (:mod:`envol.edge.courier_settling`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog
from django.db import Error as DatabaseError
from django.db import InterfaceError, connection

from envol.edge.courier_connect import Connector
from envol.edge.courier_journal import Journal, inherit
from envol.edge.courier_lanes import Lanes
from envol.edge.courier_mx import AsyncResolver, Mx, own_resolver
from envol.edge.courier_queue import Queue, Site
from envol.edge.courier_settling import KEEP_SETTLED, Settler
from envol.edge.courier_shaping import Shares
from envol.edge.courier_tls import TlsRules
from envol.net import Fetcher
from envol.outbound import lease as leasing
from envol.outbound import rolls, shaping
from envol.outbound import route as routes
from envol.outbound.lease import Lease, Row
from envol.outbound.making import Made, Maker, Makers
from envol.outbound.route import Route
from envol.outbound.settle import DEFERRED, Result
from envol.wire.smtp.client import TIMEOUTS, Stage

log = structlog.get_logger()
T = TypeVar("T")

AT_A_TIME = 8
"""Messages handed to a thread together: one hop of the executor for eight."""
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter: with 5 ms each answer of the database waits for a making thread."""
LOOK_SECONDS = 0.4
FRESH_SECONDS = 1.0


class Courier:
    """One courier process's work; `run` ends after `stop`, when everything in its hands is written or given back."""

    def __init__(
        self,
        name: str,
        route: Route,
        *,
        connections: int = 20,
        threads: int = 2,
        lease_seconds: int = 900,
        slots: int = 500,
        base_url: str | None = None,
        resolver: AsyncResolver | None = None,
        fetcher: Fetcher | None = None,
        trust: ssl.SSLContext | None = None,
        timeouts: Mapping[Stage, float] = TIMEOUTS,
        journal: Path | None = None,
    ) -> None:
        """journal: a directory of all couriers of this machine; None: without."""
        self.name = name
        self._heirlooms = journal
        self._journal = None if journal is None else Journal(journal, name, keep=KEEP_SETTLED)
        self._settler = Settler(self._in, self._written, self._journal)
        self._drained = False
        self._lease_seconds = lease_seconds
        self._slots = slots
        self._places = connections * 2 + AT_A_TIME * threads
        self._queue = Queue(self._places)
        self._leases: set[Lease] = set()
        self._makers: dict[int, Maker] = {}  # by row held: after a lost lease two of one recipient may be here
        self._room = Makers(base_url)
        self._making = 0
        self._threads = threads
        self._makers_pool = ThreadPoolExecutor(threads, thread_name_prefix="make")
        self._lease_pool = ThreadPoolExecutor(1, thread_name_prefix="lease")
        self._ended: list[Lease] = []
        self._have_ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hungry = asyncio.Event()
        self._looked = asyncio.Event()
        self._doubtful = asyncio.Event()
        self._withheld: dict[tuple[int, int], tuple[str, str]] = {}
        self._direct = not route.one_host
        self.shares = Shares(route.sources, self._agree)
        resolver = resolver or own_resolver(route.resolver)
        self._rules = TlsRules(resolver, self._ask, fetcher=fetcher, trust=trust)
        self._lanes = Lanes(
            self,
            route,
            Connector(route, Mx(resolver, allow_private=route.allow_private), self._rules, self.shares, timeouts),
            connections=connections,
            timeouts=timeouts,
        )
        self._complained: set[int] = set()
        self.delivered = 0
        self.lost = 0

    # ---- the life of it

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Work until `stop()`."""
        self._loop = asyncio.get_running_loop()
        settler = asyncio.create_task(self._settler.loop())
        others = [
            asyncio.create_task(work())
            for work in (self._lease_loop, self._look_loop, self._renew_loop, self._release_loop)
        ]
        others.append(asyncio.create_task(self._lanes.clock()))
        if self._direct:
            others.append(asyncio.create_task(self.shares.loop(self._lanes.waiting, self._lanes.pump)))
            others.append(asyncio.create_task(self._rules.loop()))
        failed = asyncio.create_task(self._first_failure([settler, *others]))
        try:
            ready()
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({stopping, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
            await self._drain(failed)
        finally:
            failed.cancel()
            for task in (*others, settler):
                task.cancel()
            await asyncio.gather(*others, settler, failed, return_exceptions=True)
            self._lanes.abort()
            if self._direct:
                await self.shares.part()
            await asyncio.wrap_future(self._lease_pool.submit(rolls.flush))
            for pool in (self._lease_pool, self._settler.pool):
                await asyncio.wrap_future(pool.submit(lambda: connection.close()))
                pool.shutdown(wait=False)
            self._makers_pool.shutdown(wait=False)
            self._rules.close()
            if self._journal is not None:
                self._journal.close(keep=not self._drained)

    @staticmethod
    async def _first_failure(tasks: Iterable[asyncio.Task[None]]) -> None:
        """A loop that ends by a bug ends the process: the supervisor starts a clean one, leases run out."""
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    def stop(self) -> None:
        """Lease no more, finish what is on the wire, write it, give the rest back."""
        self._stopping.set()
        self._hungry.set()

    async def _drain(self, failed: asyncio.Task[None]) -> None:
        for row in self._queue.clear():
            self._give_back(row)
        while self._making or self._lanes.busy or self._settler.busy or self._ended:
            if failed.done():
                failed.result()
            self._lanes.give_up_prepared()
            await asyncio.sleep(0.01)
        await self._lanes.close()
        if self._direct:
            await self._rules.flush()
            try:
                await self._in(self._lease_pool, shaping.leave, self.name)
            except (DatabaseError, InterfaceError):
                pass  # they run out by themselves
        left = list(self._leases)
        if left:
            await self._in(self._lease_pool, leasing.release, left)
        self._leases.clear()
        self._drained = True

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[..., T], *args: Any) -> T:
        """Call a room in its thread; a broken connection is closed so that the next call opens another."""

        def call() -> T:
            try:
                return work(*args)
            except (DatabaseError, InterfaceError):
                connection.close()
                raise

        try:
            return await self._loop.run_in_executor(pool, call)
        except (DatabaseError, InterfaceError):
            self._settler.fell()
            raise

    # ---- leasing

    async def _inherit(self) -> None:
        """Before the first lease: what couriers that died here had heard is written, what they held is free."""
        if self._heirlooms is None or self._journal is None:
            return
        self._journal.open()
        while not self._stopping.is_set():
            try:
                await self._in(self._lease_pool, inherit, self._heirlooms)
                return
            except (DatabaseError, InterfaceError) as error:
                log.warning("cannot take over from couriers that died, trying again", error=str(error).strip())
                await asyncio.sleep(0.5)
            except OSError as error:
                log.warning("cannot read the journals of couriers that died", error=str(error))
                return

    async def _lease_loop(self) -> None:
        await self._inherit()
        pause = 0.05
        while not self._stopping.is_set():
            got = False
            if not self._settler.troubled:
                enough = self._queue.ready(self._loop.time()) >= self._slots // 2 or self._queue.waiting >= 8000
                try:
                    got = await self._lease(2 if enough else leasing.EVERY_PRIORITY)
                    got = got and not enough
                except (DatabaseError, InterfaceError) as error:
                    log.warning("cannot lease, trying again", error=str(error).strip())
                    pause = min(5.0, pause * 2)
            if got:
                pause = 0.05
            else:
                pause = min(0.25, pause * 1.5) if not self._settler.troubled else 1.0
                self._hungry.clear()
                try:
                    await asyncio.wait_for(self._hungry.wait(), pause)
                except TimeoutError:
                    pass

    async def _ask(self, work: Callable[..., T], *args: Any) -> T:
        return await self._in(self._lease_pool, work, *args)

    async def _agree(
        self, asks: Sequence[shaping.Ask], learnt: Mapping[str, str]
    ) -> dict[tuple[str, str], shaping.Grant]:
        return await self._in(self._lease_pool, lambda: shaping.agree(self.name, asks, learnt=learnt))

    async def _lease(self, priority: int) -> bool:
        full = self._queue.full(self._loop.time())
        shut, spent = self.shares.closed(self._loop.time())
        leases: list[Lease] = []
        groups: dict[str, str] = {}

        def work() -> tuple[dict[tuple[int, int], Maker], dict[int, str]]:
            leases.extend(
                leasing.lease(
                    self.name,
                    self._slots,
                    seconds=self._lease_seconds,
                    full=full,
                    shut=shut,
                    spent=spent,
                    priority=priority,
                )
            )
            if self._direct and leases:
                groups.update(shaping.groups({row.site for lease in leases for row in lease.rows}))
            return self._room.prepare(leases) if leases else ({}, {})

        try:
            makers, problems = await self._in(self._lease_pool, work)
            self.shares.known(groups)
        except BaseException:
            # Leased, and yet of no use: given back as soon as the database can be reached.
            self._leases.update(leases)
            self._ended += leases
            self._have_ended.set()
            raise
        for lease in leases:
            self._leases.add(lease)
            waiting = []
            for row in lease.rows:
                if row.sending.id in problems:
                    self.report(Result(row, DEFERRED, "not_ready", reply=problems[row.sending.id]))
                elif row.key in makers:
                    self._makers[id(row)] = makers[row.key]
                    waiting.append(row)
                else:
                    self._give_back(row)
            self._queue.add(waiting)
        self.feed()
        return bool(leases)

    async def _renew_loop(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._doubtful.wait(), self._lease_seconds / 3)
            except TimeoutError:
                pass
            held = list(self._leases)
            try:
                kept = await self._in(
                    self._lease_pool, lambda held: leasing.renew(held, seconds=self._lease_seconds), held
                )
            except (DatabaseError, InterfaceError) as error:
                log.warning("cannot renew leases", error=str(error).strip())
                await asyncio.sleep(0.5)
                continue
            for lease in held:
                if lease.id not in kept and lease in self._leases:
                    self._lose(lease)
            self._doubtful.clear()
            self._wake()

    def _lose(self, lease: Lease) -> None:
        """Somebody else holds it: what waits here would be sent twice."""
        if lease in self._leases and not lease.lost:
            lease.lost = True
            self._doubtful.set()  # what took this one may have taken others: nothing is sent until they were renewed
            log.warning("lease lost", rows=lease.pending)
            for row in self._queue.remove_of(lease):
                self._give_back(row)

    async def _look_loop(self) -> None:
        """Ask again, for everything held, whether it may still be sent."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._settler.tidy()
            # What was leased, and so asked, a moment ago needs no answer yet. Once somebody is withheld all are asked:
            # the answers kept are always those of one time.
            young = time.monotonic() - LOOK_SECONDS / 4 if not self._withheld else float("inf")
            held = [lease for lease in self._leases if lease.pending and lease.checked < young]
            if not held:
                continue
            asked = self._loop.time()
            monotonic = time.monotonic()
            try:
                withheld = await self._in(self._lease_pool, leasing.changed, held)
            except (DatabaseError, InterfaceError) as error:
                log.warning("cannot ask for permissions, sending nothing", error=str(error).strip())
                continue
            for lease in held:
                lease.checked = max(lease.checked, monotonic)
            self._withheld = withheld
            if withheld:
                for row in self._queue.remove(withheld):
                    self._withhold(row)
            self._wake()
            if self._loop.time() - asked > FRESH_SECONDS:
                log.warning("asking for permissions takes longer than a second")

    def _wake(self) -> None:
        """Whoever waits for an answer looks again."""
        self._looked.set()
        self._looked = asyncio.Event()

    def _withhold(self, row: Row) -> None:
        state, cause = self._withheld[row.key]
        if state == leasing.RELEASE:
            self._give_back(row)
        else:
            self.report(Result(row, state, cause))

    async def may_go(self, row: Row) -> bool:
        """The last question before MAIL FROM; False: the row was settled or given back instead."""
        while time.monotonic() - row.lease.checked > FRESH_SECONDS or self._doubtful.is_set():
            if self._stopping.is_set() and self._settler.troubled:
                self._give_back(row)
                return False
            await self._looked.wait()
        if row.lease.lost:
            self._give_back(row)
            return False
        if row.key in self._withheld:
            self._withhold(row)
            return False
        return True

    def is_fresh(self, row: Row) -> bool:
        """The same question where nobody can wait: was it asked within the last second, and answered with yes?"""
        fresh = time.monotonic() - row.lease.checked <= FRESH_SECONDS and not self._doubtful.is_set()
        return fresh and row.key not in self._withheld and not row.lease.lost

    # ---- making

    def feed(self) -> None:
        """Give the threads what they can take."""
        while self._making < self._threads and not self._stopping.is_set():
            rows = self._queue.take(AT_A_TIME, self._loop.time())
            if not rows:
                break
            self._making += 1
            work = [(row, self._makers[id(row)]) for row in rows]
            future = self._loop.run_in_executor(self._makers_pool, _make, work)
            future.add_done_callback(self._made)
        if self._queue.ready(self._loop.time()) < self._slots // 2:
            self._hungry.set()

    def _made(self, future: asyncio.Future[list[tuple[Row, Made | Exception]]]) -> None:
        self._making -= 1
        for row, made in future.result():
            if isinstance(made, Made):
                self._lanes.add(row, made)
            else:
                self._queue.done(row)
                if isinstance(made, ValueError):
                    self.report(Result(row, "bounced", "not_composed", reply=str(made)))
                else:
                    if row.sending.id not in self._complained:
                        self._complained.add(row.sending.id)
                        log.error("cannot compose", sending=row.sending.id, no=row.no, error=repr(made))
                    self.report(Result(row, DEFERRED, "not_composed", reply=f"Composing failed: {type(made).__name__}"))
        self._lanes.pump()
        self.feed()

    # ---- from the lanes

    def taken_back(self, row: Row) -> None:
        """A made row that was not attempted: it waits again."""
        self._queue.done(row)
        if self._stopping.is_set():
            self._give_back(row)
        else:
            self._queue.add([row])

    def ended(self, result: Result) -> None:
        """A made row has an outcome."""
        self._queue.done(result.row)
        self.report(result)

    def untake(self, row: Row) -> None:
        """A made row leaves the lanes; the caller reports it."""
        self._queue.done(row)

    def share(self, places: int) -> int:
        return self._queue.share(places)

    def sites(self) -> Iterable[Site]:
        return list(self._queue)

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def dropped(self, row: Row) -> None:
        """A made row was withheld by `may_go`, which has seen to it."""
        self._queue.done(row)

    def pull(self, site: str, streams: Iterable[str]) -> list[Row]:
        """What waits for a site in these streams, to be held."""
        return self._queue.pull(site, streams)

    def unreachable(self, site: str, until: float) -> list[Row]:
        """Nobody can be reached for a site: everything that waits for it, to be deferred."""
        self._queue.site(site).paused_until = until
        return self._queue.pull(site)

    def report(self, result: Result) -> None:
        """Keep an outcome until it is written."""
        self._settler.report(result)

    def _give_back(self, row: Row) -> None:
        """A row that stays in its lease unsent."""
        self._makers.pop(id(row), None)
        self._less(row)

    def _less(self, row: Row) -> None:
        row.ended = True
        lease = row.lease
        lease.pending -= 1
        if lease.pending == 0 and lease in self._leases:
            self._ended.append(lease)
            self._have_ended.set()

    # ---- settled

    def _written(self, done: list[Result], lost: set[int]) -> None:
        """These outcomes are in the database, or were somebody else's to write (`lost`, by identity)."""
        for result in done:
            self._makers.pop(id(result.row), None)
            if id(result) in lost:
                self.lost += 1
                self._lose(result.row.lease)
            elif result.state == "delivered":
                self.delivered += 1
        for result in done:
            self._less(result.row)
        self._lanes.settled(done)
        self.feed()

    async def _release_loop(self) -> None:
        """End leases whose rows are all written. Durable, so it takes a while: nobody's ticket waits for it."""
        while True:
            await self._have_ended.wait()
            self._have_ended.clear()
            while ended := list(self._ended):
                if not self._settler.sure:
                    # The outcomes that end these leases may be lost: freed before they are written again, their people
                    # would be sent to twice.
                    await asyncio.sleep(0.05)
                    continue
                try:
                    await self._in(self._lease_pool, leasing.release, ended)
                except (DatabaseError, InterfaceError) as error:
                    log.warning("cannot end leases, trying again", error=str(error).strip())
                    await asyncio.sleep(0.5)
                    continue
                for lease in ended:
                    # It and its rows point at each other: left so, tens of thousands of rows wait for the
                    # collector of cycles, which comes the more rarely the more there is.
                    lease.rows.clear()
                gone = set(ended)
                self._ended = [lease for lease in self._ended if lease not in gone]
                self._leases -= gone


def _make(work: list[tuple[Row, Maker]]) -> list[tuple[Row, Made | Exception]]:
    made: list[tuple[Row, Made | Exception]] = []
    for row, maker in work:
        try:
            made.append((row, maker(row)))
        except Exception as error:  # one person's message must not hold back the other seven
            made.append((row, error))
    return made


def run(config: Any, ready: Callable[[], None]) -> None:
    """The process: work until SIGTERM. `ready` is called when leasing begins."""
    import uvloop
    from django.conf import settings

    sys.setswitchinterval(SWITCH_SECONDS)
    # Numbers of processes come again, and in containers soon; the heir of a dead courier must not mean a living one.
    name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    route = routes.of_settings(settings)

    async def main() -> None:
        courier = Courier(
            name,
            route,
            connections=config.courier_connections,
            threads=config.courier_threads,
            lease_seconds=config.lease_seconds,
            base_url=config.base_url,
            journal=config.data / "couriers",
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, courier.stop)
        await courier.run(ready)

    uvloop.run(main())
