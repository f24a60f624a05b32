"""Keeping the processes of one installation up: start, readiness, restart, drain.

One event loop in the main thread. Children inherit standard error, so there is one log stream. Each child is
in a session of its own: Ctrl-C reaches the supervisor alone, which then drains all of them. What a child
owes the supervisor: `die_with_parent()` first, `notify_ready()` once it serves, and an end on SIGTERM.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

EX_CONFIG = 78  # sysexits.h: no restart mends a wrong setting

_READY_FD = "ENVOL_READY_FD"
_PARENT = "ENVOL_SUPERVISOR_PID"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Log(Protocol):
    """What is used of a structlog logger."""

    def info(self, event: str, /, **fields: Any) -> Any: ...

    def warning(self, event: str, /, **fields: Any) -> Any: ...


@dataclass(frozen=True)
class ProcessSpec:
    """A process to keep up.

    `env` is added to ours. It is ready when it calls `notify_ready()`, or when `ready()` (asked ten times a
    second in a thread) says so; one that is not within `ready_seconds` is killed and started again. At the
    end it gets `stop_signal` and, if it is still there after `drain_seconds`, SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    drain_seconds: float = 30.0


@dataclass(frozen=True)
class Keeper:
    """Something that is not our child but must be up too, as the embedded PostgreSQL: look, and mend."""

    name: str
    alive: Callable[[], bool]
    revive: Callable[[], object]


@dataclass
class _Kept:
    spec: ProcessSpec | Keeper
    state: str = "stopped"
    restarts: int = 0
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    process: asyncio.subprocess.Process | None = None


class Supervisor:
    """Runs `processes` until told to stop, and looks after `keepers`.

    A process that ends is started again after `backoff[0]` seconds, doubled each time up to `backoff[1]`, and
    from the beginning once it has been up for `steady_seconds`. One that ends with EX_CONFIG (78) ends the
    whole, for no restart mends a wrong setting.
    """

    def __init__(
        self,
        processes: Sequence[ProcessSpec],
        log: Log,
        *,
        keepers: Sequence[Keeper] = (),
        backoff: tuple[float, float] = (0.5, 30.0),
        steady_seconds: float = 60.0,
        look_seconds: float = 1.0,
    ) -> None:
        self._log = log
        self._children = [_Kept(spec) for spec in processes]
        self._kept = [_Kept(keeper) for keeper in keepers]
        self._backoff = backoff
        self._steady = steady_seconds
        self._look = look_seconds
        self._stopping = asyncio.Event()
        self._all_ready = asyncio.Event()
        self._exit_code = 0

    async def run(self, on_ready: Callable[[], object] | None = None) -> int:
        """Run until SIGTERM, SIGINT, SIGHUP or `stop()`; the exit code: 0, or 78 when a setting is wrong.

        `on_ready` is called once, when every process has been ready at the same time.
        """
        loop = asyncio.get_running_loop()
        heard = self._listen(loop)
        tasks = [loop.create_task(self._keep(kept)) for kept in self._kept]
        tasks += [loop.create_task(self._keep_running(child)) for child in self._children]
        announce = loop.create_task(self._announce(on_ready))
        try:
            await asyncio.gather(*tasks)
        finally:
            self.stop()
            announce.cancel()
            await asyncio.gather(*tasks, announce, return_exceptions=True)
            for number in heard:
                loop.remove_signal_handler(number)
        return self._exit_code

    def stop(self) -> None:
        """Drain: ask every process to end, last started first; asked again, end them now.

        Only from the event loop's thread.
        """
        impatient = self._stopping.is_set()
        self._stopping.set()
        for child in reversed(self._children):
            if child.process is None or child.process.returncode is not None:
                continue
            assert isinstance(child.spec, ProcessSpec)
            self._signal(child, signal.SIGKILL if impatient else child.spec.stop_signal)
            self._becomes(child, "draining")

    def status(self) -> list[dict[str, Any]]:
        """Name, pid, state (starting, ready, waiting, draining, stopped), restarts and since (UTC) of each."""
        return [
            {
                "name": kept.spec.name,
                "pid": kept.process.pid if kept.process and kept.process.returncode is None else None,
                "state": kept.state,
                "restarts": kept.restarts,
                "since": kept.since.isoformat(timespec="milliseconds"),
            }
            for kept in [*self._kept, *self._children]
        ]

    # ---- one process

    async def _keep_running(self, child: _Kept) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._live(child)
            self._becomes(child, "stopped")
            if self._stopping.is_set():
                break
            if code == EX_CONFIG:
                self._log.warning("process cannot run with these settings", process=child.spec.name)
                self._exit_code = EX_CONFIG
                self.stop()
                break
            failures = 1 if time.monotonic() - began >= self._steady else failures + 1
            await self._wait_before_restart(child, failures, how=_ending(code))

    async def _wait_before_restart(self, kept: _Kept, failures: int, how: str) -> None:
        first, longest = self._backoff
        delay = min(longest, first * 2 ** min(failures - 1, 16))
        kept.restarts += 1
        self._becomes(kept, "waiting")
        self._log.warning("process ended", process=kept.spec.name, how=how, restart_in_seconds=delay)
        await self._pause(delay)

    async def _live(self, child: _Kept) -> int:
        """One life of a process, from its start to its end; its return code as subprocess gives it."""
        spec = child.spec
        assert isinstance(spec, ProcessSpec)
        reader, writer = os.pipe()
        self._becomes(child, "starting")
        try:
            child.process = process = await asyncio.create_subprocess_exec(
                *spec.argv,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **spec.env, _READY_FD: str(writer), _PARENT: str(os.getpid())},
                pass_fds=(writer,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(reader)
            self._log.warning("process cannot start", process=spec.name, error=str(error))
            return 127  # as a shell says it
        finally:
            os.close(writer)
        exited = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        ready = asyncio.ensure_future(self._ready(spec, reader))
        try:
            if self._stopping.is_set():  # asked while it was being born
                self._signal(child, spec.stop_signal)
            await asyncio.wait(
                {exited, stopping, ready}, timeout=spec.ready_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if not (exited.done() or stopping.done() or ready.done()):
                self._log.warning("process was not ready in time", process=spec.name, seconds=spec.ready_seconds)
                self._signal(child, signal.SIGKILL)
            elif ready.done() and not exited.done() and not stopping.done():
                ready.result()
                self._becomes(child, "ready")
                self._log.info("process ready", process=spec.name, pid=process.pid)
            await asyncio.wait({exited, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not exited.done():
                await asyncio.wait({exited}, timeout=spec.drain_seconds)
            if not exited.done():
                self._log.warning("process did not drain in time", process=spec.name, seconds=spec.drain_seconds)
                self._signal(child, signal.SIGKILL)
            return await exited
        finally:
            if not exited.done():  # we are leaving by an error of our own: leave nobody behind
                self._signal(child, signal.SIGKILL)
            for task in (stopping, ready):
                task.cancel()
            await asyncio.gather(exited, stopping, ready, return_exceptions=True)
            os.close(reader)

    async def _ready(self, spec: ProcessSpec, reader: int) -> None:
        """Return when the process is ready; never, when it ends before."""
        if spec.ready is not None:
            while not await asyncio.to_thread(spec.ready):
                await asyncio.sleep(0.1)
            return
        loop = asyncio.get_running_loop()
        told: asyncio.Future[bool] = loop.create_future()

        def look() -> None:
            loop.remove_reader(reader)
            if not told.done():
                told.set_result(bool(os.read(reader, 16)))

        loop.add_reader(reader, look)
        try:
            if not await told:
                await loop.create_future()  # it closed the pipe unsaid: only its end, or the time limit, counts
        finally:
            loop.remove_reader(reader)

    async def _keep(self, kept: _Kept) -> None:
        keeper = kept.spec
        assert isinstance(keeper, Keeper)
        failures, began = 0, time.monotonic()
        while not self._stopping.is_set():
            if await asyncio.to_thread(keeper.alive):
                if kept.state != "ready":
                    self._becomes(kept, "ready")
                await self._pause(self._look)
                continue
            failures = 1 if time.monotonic() - began >= self._steady else failures + 1
            await self._wait_before_restart(kept, failures, how="not there")
            if self._stopping.is_set():
                break
            began = time.monotonic()
            self._becomes(kept, "starting")
            try:
                await asyncio.to_thread(keeper.revive)
            except Exception as error:  # whatever it is, the next look tries again, later each time
                self._log.warning("process cannot start", process=keeper.name, error=str(error))
        self._becomes(kept, "stopped")

    # ---- small things

    def _listen(self, loop: asyncio.AbstractEventLoop) -> list[signal.Signals]:
        if threading.current_thread() is not threading.main_thread():
            return []
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants us to stay
            numbers.append(signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._asked_to_stop, number)
        return numbers

    def _asked_to_stop(self, number: signal.Signals) -> None:
        self._log.info("asked to stop", signal=number.name, again=self._stopping.is_set())
        self.stop()

    async def _announce(self, on_ready: Callable[[], object] | None) -> None:
        await self._all_ready.wait()
        self._log.info("all processes ready")
        if on_ready is not None:
            on_ready()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def _becomes(self, kept: _Kept, state: str) -> None:
        kept.state, kept.since = state, datetime.now(UTC)
        if all(other.state == "ready" for other in [*self._kept, *self._children]):
            self._all_ready.set()

    def _signal(self, child: _Kept, number: signal.Signals) -> None:
        if child.process is not None:
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(number)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


# ---- for children


def notify_ready() -> None:
    """Tell the supervisor that this process serves; does nothing without one, or the second time."""
    number = os.environ.pop(_READY_FD, "")
    if number:
        with contextlib.suppress(OSError):  # the supervisor may just have gone
            os.write(int(number), b"ready\n")
            os.close(int(number))


def parent_of_children() -> dict[str, str]:
    """For the environment of a child that owes this process what this one owes the supervisor."""
    return {_PARENT: str(os.getpid())}


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """End this process when the supervisor ends, even by kill -9; does nothing without a supervisor.

    Linux does it for us (prctl PR_SET_PDEATHSIG); elsewhere a thread looks once a second.
    """
    parent = int(os.environ.pop(_PARENT, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    else:
        threading.Thread(target=_watch_parent, args=(parent, number), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), number)


def _watch_parent(parent: int, number: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), number)
