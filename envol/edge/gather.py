"""Group commit: what arrives while one commit runs is the next batch.

An edge puts items one by one; a room's plain synchronous function gets them as a list, in a thread, and
commits them together; then every waiting peer has its answer. No timer is needed: when the
system is idle a batch is one item and costs what a single commit costs, under load the commit's own duration
gathers the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Busy(Exception):
    """Too much waits already; nothing was kept of this item, and the peer may try again later."""


class Closed(Busy):
    """The gatherer is shutting down; nothing was kept of this item, and the peer may try again later."""


class Gatherer(Generic[T, R]):
    """Turns many :meth:`put` into few calls of ``flush``, one at a time, in the order of arrival.

    ``flush(items)`` runs in a thread of its own (so it keeps one database connection) and returns one
    result for each item in the same order, or None when nobody needs one. What it raises is the answer
    to every item of that batch; the next batch is tried as if nothing had happened.

    ``max_batch`` items at most in one call; beyond ``max_waiting`` items waiting, :meth:`put` raises
    :class:`Busy` at once, so memory is bounded. ``max_wait`` (seconds) delays a batch that is not full: 0, the
    default, is right unless a commit is much dearer than the delay.
    """

    def __init__(
        self,
        flush: Callable[[list[T]], Sequence[R] | None],
        *,
        max_batch: int = 1000,
        max_waiting: int = 10_000,
        max_wait: float = 0.0,
        name: str = "gather",
    ) -> None:
        if max_batch < 1 or max_waiting < 1 or max_wait < 0:
            raise ValueError("A gatherer needs max_batch and max_waiting of at least 1, and max_wait of at least 0.")
        self._flush = flush
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._max_wait = max_wait
        self._name = name
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._full = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def waiting(self) -> int:
        """Items put and not yet in a batch."""
        return len(self._waiting)

    async def put(self, item: T) -> R:
        """Give ``item`` to the next batch; its result, once that batch is committed.

        Raises what ``flush`` raised, :class:`Busy` when too much waits, :class:`Closed` at shutdown. An item
        whose waiter is cancelled before its batch begins is left out (its peer got no answer, so nothing was
        promised); from then on it is committed with the others.
        """
        if self._closed:
            raise Closed(f"{self._name} is shutting down; try again later.")
        if len(self._waiting) >= self._max_waiting:
            raise Busy(f"{self._name} has {self._max_waiting} items waiting; try again later.")
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if len(self._waiting) >= self._max_batch:
            self._full.set()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name=f"{self._name} runner")
        return await answer

    async def close(self) -> None:
        """Take nothing new, commit what waits, and end. May be called again."""
        self._closed = True
        self._full.set()
        if self._runner is not None:
            await asyncio.wait([self._runner])
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._gather_a_little()
                await self._commit()
        finally:
            self._runner = None
            for _, answer in self._waiting:  # only when we are cancelled: nobody waits for ever
                if not answer.done():
                    answer.set_exception(Closed(f"{self._name} was stopped; try again later."))
            self._waiting.clear()

    async def _gather_a_little(self) -> None:
        if not self._max_wait or self._closed or len(self._waiting) >= self._max_batch:
            return
        self._full.clear()
        try:
            await asyncio.wait_for(self._full.wait(), self._max_wait)
        except TimeoutError:
            pass

    async def _commit(self) -> None:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(batch) < self._max_batch:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        if not batch:
            return
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, self._flush, [item for item, _ in batch])
            if results is not None and len(results) != len(batch):
                raise RuntimeError(
                    f"{self._name}: {len(batch)} items were flushed and {len(results)} results came back."
                )
        except BaseException as error:
            # A cancelled runner cannot know whether the thread will commit: the peers must hear "try again".
            cause = error if isinstance(error, Exception) else Closed(f"{self._name} was stopped; try again later.")
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(cause)
            if not isinstance(error, Exception):
                raise
            return
        for place, (_, answer) in enumerate(batch):
            if not answer.done():
                answer.set_result(results[place] if results is not None else None)  # type: ignore[arg-type]
