"""Where the time of one question goes: the engine's own functions with a clock around each.

A clock stands still while another runs inside it, so the stages add up to the whole; "the rest" is what no clock saw.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any


class _Clocks:
    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self.running: list[str] = []
        self.since = 0.0
        self.real: list[tuple[Any, str, Any]] = []

    def _turn(self) -> None:
        now = time.perf_counter()
        if self.running:
            self.spent[self.running[-1]] = self.spent.get(self.running[-1], 0.0) + now - self.since
        self.since = now

    def around(self, owner: Any, name: str, stage: str | Callable[[], str]) -> None:
        real = getattr(owner, name)
        self.real.append((owner, name, real))

        @wraps(real)
        def timed(*args: Any, **more: Any) -> Any:
            self._turn()
            self.running.append(stage if isinstance(stage, str) else stage())
            try:
                return real(*args, **more)
            finally:
                self._turn()
                self.running.pop()

        setattr(owner, name, timed)

    def stop(self) -> None:
        for owner, name, real in self.real:
            setattr(owner, name, real)


def told(act: Callable[[], Any], times: int) -> str:
    """Microseconds of each stage of ``act``, at the mean of ``times``."""
    from envol.audience.columns import engine, together
    from envol.audience.columns.compile import LeafCompiler
    from envol.audience.columns.delta import Delta

    clocks = _Clocks()

    def scan() -> str:
        return "reading changes" if "placing changes" in clocks.running else "reading"

    clocks.around(Delta, "look", "looking at PostgreSQL")
    clocks.around(Delta, "_insert", "keeping changes")
    clocks.around(Delta, "_keep", "keeping changes")
    clocks.around(engine, "parse", "checking the tree")
    clocks.around(LeafCompiler, "leaf", "compiling")
    clocks.around(together, "reading", "compiling")
    clocks.around(engine.Question, "_compiled", "compiling")
    clocks.around(engine.Question, "_over_slabs", "placing")
    clocks.around(engine.Question, "_over_delta", "placing changes")
    clocks.around(together, "answer", "placing")
    clocks.around(engine.Question, "ask", scan)
    clocks.around(engine.Question, "refusals", "permissions")
    clocks.around(engine.Question, "node", "combining")
    clocks.around(engine.Question, "leaf", "keys")
    clocks.around(engine.Question, "chosen", "combining")
    clocks.around(engine.Question, "count", "counting")
    began = time.perf_counter()
    try:
        for _ in range(times):
            act()
    finally:
        clocks.stop()
    whole = time.perf_counter() - began
    clocks.spent["the rest"] = whole - sum(clocks.spent.values())
    by_cost = sorted(clocks.spent.items(), key=lambda stage: -stage[1])
    stages = ", ".join(f"{name} {spent / times * 1e6:.0f}" for name, spent in by_cost)
    return f"{whole / times * 1e6:.0f} µs: {stages}"
