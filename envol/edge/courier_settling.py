"""Outcomes on their way into the database: gathered, written in one transaction, kept until they cannot be lost.

A crash of the database may take the last outcomes with it (they are written without waiting for its disk). So what was
written in the last seconds is written once more after each failure, and until then no lease ends: freed before that,
its people would be sent to twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from django.db import Error as DatabaseError
from django.db import InterfaceError

from envol.edge.courier_journal import Journal
from envol.outbound.settle import Result, settle

log = structlog.get_logger()

GATHER_SECONDS = 0.001
"""Outcomes wait this long for company; while one batch is written the next gathers by itself. Every millisecond more
is cheaper and leaves more to be repeated by a kill: 10 ms repeated fifteen messages a kill, 1 ms five."""
KEEP_SETTLED = 4.0
"""Seconds for which settled outcomes are kept, to write them again if the database lost them in a crash."""


class Settler:
    """Of one courier. call: runs a function of a room in a pool, as `Courier._in`; written: told of what is in."""

    def __init__(
        self,
        call: Callable[[ThreadPoolExecutor, Callable[[list[Result]], set[int]], list[Result]], Awaitable[set[int]]],
        written: Callable[[list[Result], set[int]], None],
        journal: Journal | None,
    ) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="settle")
        self.troubled = False
        self._call, self._written, self._journal = call, written, journal
        self._results: list[Result] = []
        self._settled: deque[tuple[float, Sequence[Result]]] = deque()
        self._again: list[Result] = []
        self._falls = self._falls_mended = 0
        self._have_results = asyncio.Event()

    @property
    def busy(self) -> bool:
        """Is anything not written?"""
        return bool(self._results) or self.troubled

    @property
    def sure(self) -> bool:
        """Is in the database what was written, as far as we know? After a failure only once it was written again."""
        return self._falls_mended >= self._falls

    def report(self, result: Result) -> None:
        """Keep an outcome until it is written."""
        if self._journal is not None and result.state == "delivered":
            self._journal.note(result)
        self._results.append(result)
        self._have_results.set()

    def fell(self) -> None:
        """The database failed somebody: outcomes written a moment ago may be gone with it. Have them written again."""
        self._falls += 1
        self._again = self._with_recent(self._again)
        self._have_results.set()

    def tidy(self) -> None:
        """Forget in the journal what is safe."""
        if self._journal is not None and not self.troubled:
            self._journal.tidy(asyncio.get_running_loop().time())

    async def loop(self) -> None:
        while True:
            await self._have_results.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._have_results.clear()
            falls, results = self._falls, [*self._again, *self._results]
            self._again.clear()
            pause = 0.1
            while True:
                try:
                    # Of what is written again a deferral may have been followed by its next try: the last word counts.
                    latest = list({result.row.key: result for result in results}.values())
                    lost = await self._call(self.pool, _settle, latest)
                    break
                except (DatabaseError, InterfaceError) as error:
                    self.troubled = True
                    log.warning("cannot write outcomes, keeping them", count=len(results), error=str(error).strip())
                    await asyncio.sleep(pause)
                    pause = min(5.0, pause * 2)
                    # What was settled last may have died with the database: write it first.
                    falls, results = self._falls, self._with_recent(results)
            self._falls_mended = falls
            if self.troubled:
                log.info("outcomes are written again")
                self.troubled = False
                self._settled.clear()
            self._after(results, lost)

    def _after(self, results: list[Result], lost: set[int]) -> None:
        now = asyncio.get_running_loop().time()
        written = {id(result) for result in results}
        done = [result for result in self._results if id(result) in written]
        self._results = [result for result in self._results if id(result) not in written]
        if lost:
            log.warning("outcomes of leases that were lost", count=len(lost))
        if self._journal is not None:
            self._journal.settled(results, now)
        # What was written once more too: the database may fall again before that is on its disk.
        self._settled.append((now, results))
        while self._settled and self._settled[0][0] < now - KEEP_SETTLED:
            self._settled.popleft()
        if self._results:
            self._have_results.set()
        self._written(done, lost)

    def _with_recent(self, results: list[Result]) -> list[Result]:
        """What was settled a moment ago, each once, and then these."""
        recent = {id(result): result for _, batch in self._settled for result in batch}
        return list((recent | {id(result): result for result in results}).values())


def _settle(results: list[Result]) -> set[int]:
    return {id(result) for result in settle(results)}
