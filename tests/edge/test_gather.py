"""One commit serves everybody who came while the one before it ran; nobody is lost, nobody waits for ever."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envol.edge.gather import Busy, Closed, Gatherer
from tests.examples import CHEAP, examples

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Store:
    """A room that commits lists of numbers; ``hold`` keeps a commit open until it is set."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.running = 0
        self.together = 0

    def commit(self, items: list[int]) -> list[int]:
        self.running += 1
        self.together = max(self.together, self.running)
        self.hold.wait(10)
        if any(item < 0 for item in items):
            self.running -= 1
            raise OSError("the disk is full")
        self.batches.append(items)
        self.running -= 1
        return [item * 2 for item in items]


async def _begun(store: Store) -> None:
    while not store.running:
        await asyncio.sleep(0.001)


async def test_alone_it_is_committed_at_once() -> None:
    store = Store()
    gatherer = Gatherer(store.commit)
    assert await gatherer.put(21) == 42
    assert store.batches == [[21]]
    await gatherer.close()


async def test_those_who_come_during_a_commit_are_the_next_batch() -> None:
    store = Store()
    gatherer = Gatherer(store.commit)
    store.hold.clear()
    first = asyncio.create_task(gatherer.put(0))
    await _begun(store)
    others = [asyncio.create_task(gatherer.put(n)) for n in range(1, 50)]
    await asyncio.sleep(0)
    store.hold.set()
    assert await first == 0
    assert await asyncio.gather(*others) == [n * 2 for n in range(1, 50)]
    assert store.batches == [[0], list(range(1, 50))]
    await gatherer.close()


async def test_a_failed_commit_is_told_to_all_of_its_batch_and_to_no_other() -> None:
    store = Store()
    gatherer = Gatherer(store.commit)
    store.hold.clear()
    first = asyncio.create_task(gatherer.put(1))
    await _begun(store)
    doomed = [asyncio.create_task(gatherer.put(n)) for n in (2, -1, 3)]
    await asyncio.sleep(0)
    store.hold.set()
    assert await first == 2
    answers = await asyncio.gather(*doomed, return_exceptions=True)
    assert [type(a) for a in answers] == [OSError] * 3
    assert await gatherer.put(4) == 8
    assert store.batches == [[1], [4]]
    await gatherer.close()


async def test_too_many_waiting_are_told_to_come_back() -> None:
    store = Store()
    gatherer = Gatherer(store.commit, max_waiting=3, max_batch=2)
    store.hold.clear()
    first = asyncio.create_task(gatherer.put(0))
    await _begun(store)
    kept = [asyncio.create_task(gatherer.put(n)) for n in (1, 2, 3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="try again later"):
        await gatherer.put(4)
    store.hold.set()
    assert await asyncio.gather(first, *kept) == [0, 2, 4, 6]
    assert store.batches == [[0], [1, 2], [3]], "at most two in a batch"
    await gatherer.close()


async def test_one_who_leaves_takes_nobody_along() -> None:
    store = Store()
    gatherer = Gatherer(store.commit)
    store.hold.clear()
    leaves_during_commit = asyncio.create_task(gatherer.put(0))
    await _begun(store)
    stays, leaves_before, stays_too = (asyncio.create_task(gatherer.put(n)) for n in (1, 2, 3))
    await asyncio.sleep(0)
    leaves_during_commit.cancel()
    leaves_before.cancel()
    await asyncio.sleep(0)
    store.hold.set()
    assert await asyncio.gather(stays, stays_too) == [2, 6]
    assert store.batches == [[0], [1, 3]], "what began is committed, what had not begun leaves no trace"
    await gatherer.close()


async def test_shutdown_commits_what_waits_and_takes_nothing_new() -> None:
    store = Store()
    gatherer = Gatherer(store.commit, max_batch=2)
    store.hold.clear()
    tasks = [asyncio.create_task(gatherer.put(n)) for n in range(5)]
    await _begun(store)
    closing = asyncio.create_task(gatherer.close())
    await asyncio.sleep(0)
    with pytest.raises(Closed):
        await gatherer.put(9)
    store.hold.set()
    await closing
    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8]
    assert sorted(sum(store.batches, [])) == [0, 1, 2, 3, 4]
    await gatherer.close()


async def test_a_stopped_loop_leaves_nobody_waiting() -> None:
    store = Store()
    gatherer = Gatherer(store.commit)
    store.hold.clear()
    tasks = [asyncio.create_task(gatherer.put(n)) for n in range(3)]
    await _begun(store)
    tasks += [asyncio.create_task(gatherer.put(7))]
    await asyncio.sleep(0)
    assert gatherer._runner is not None
    gatherer._runner.cancel()
    answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [type(a) for a in answers] == [Closed] * 4
    store.hold.set()


async def test_a_room_that_forgets_a_result_is_found_out() -> None:
    gatherer: Gatherer[int, int] = Gatherer(lambda items: [])
    with pytest.raises(RuntimeError, match="1 items were flushed and 0 results came back"):
        await gatherer.put(1)
    silent: Gatherer[int, None] = Gatherer(lambda items: None)
    assert await silent.put(1) is None


async def test_a_delay_fills_the_batch_but_a_full_one_does_not_wait() -> None:
    store = Store()
    gatherer = Gatherer(store.commit, max_wait=0.2, max_batch=3)
    assert await asyncio.gather(*(gatherer.put(n) for n in range(2))) == [0, 2]
    assert store.batches == [[0, 1]]
    patient = Gatherer(store.commit, max_wait=60, max_batch=3)
    assert await asyncio.wait_for(asyncio.gather(*(patient.put(n) for n in range(3))), 10) == [0, 2, 4]
    late = asyncio.create_task(patient.put(5))
    await asyncio.sleep(0.01)
    await asyncio.wait_for(patient.close(), 10)
    assert await late == 10


@settings(max_examples=examples(40, CHEAP), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), min_size=1, max_size=80),
    st.integers(1, 9),
    st.integers(5, 60),
)
def test_every_peer_has_exactly_one_answer_and_it_is_true(
    plan: list[tuple[int, bool, bool]], max_batch: int, max_waiting: int
) -> None:
    """Arrivals at any pace, some failing, some leaving: who was told yes is committed once, and nobody else is
    committed but those who left or were told nothing."""
    committed: list[int] = []
    largest = 0

    def commit(items: list[int]) -> list[int]:
        nonlocal largest
        largest = max(largest, len(items))
        time.sleep(0.0002)
        if any(plan[item][1] for item in items):
            raise OSError("no")
        committed.extend(items)
        return items

    async def scenario() -> list[object]:
        gatherer = Gatherer(commit, max_batch=max_batch, max_waiting=max_waiting)
        tasks = []
        for number, (pause, _, leaves) in enumerate(plan):
            tasks.append(asyncio.create_task(gatherer.put(number)))
            await asyncio.sleep(0 if pause < 3 else 0.0005)
            if leaves:
                tasks[-1].cancel()
        await gatherer.close()
        return await asyncio.gather(*tasks, return_exceptions=True)

    answers = asyncio.run(scenario())
    assert len(committed) == len(set(committed)) and largest <= max_batch
    for number, answer in enumerate(answers):
        if answer == number and not isinstance(answer, BaseException):
            assert number in committed
        elif isinstance(answer, asyncio.CancelledError):
            assert plan[number][2]
        else:
            assert isinstance(answer, OSError | Busy) and number not in committed


async def test_ten_thousand_peers_share_few_commits() -> None:
    store = Store()
    gatherer = Gatherer(store.commit, max_batch=2000, max_waiting=20_000)
    answers = await asyncio.gather(*(gatherer.put(n) for n in range(10_000)))
    assert answers == [n * 2 for n in range(10_000)]
    assert len(store.batches) <= 10 and store.together == 1
    await gatherer.close()
