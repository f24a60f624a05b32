"""Memory of all processes together, as PSS: idle, and while mail leaves.

PSS counts a shared page once, divided among those who share it, so PostgreSQL's buffers are not counted once for
each of its backends. The installation runs as `envol up` runs it; the sink is not ours and not counted.

    python -m bench memory --messages 1000000     the long form: is memory flat over a million?
"""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import ground, send

IDLE_GOAL, BUSY_GOAL = 500.0, 900.0  # MB
STEP = 100_000
"""Messages for which the growth of our processes is told."""


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.memory", options)


def measure(messages: int = 100_000, **_: Any) -> dict[str, Any]:
    port = ground.free_port()
    with ground.installation(route="smart_host", smart_host=f"127.0.0.1:{port}") as here, send.sink(port):
        from django.db import connection

        from envol import db
        from envol.outbound import states

        here.people(messages)
        sending = here.sending(here.version())
        postmaster = ground.parent_of(db.value("SELECT pg_backend_pid()"))
        connection.close()
        # `envol up` runs on the database of this directory: it joins the server that runs already.
        up = ground.Process(
            "up", [sys.executable, "-m", "envol.run.cli", "up", "--data", str(here.data), "--http", here.config.http]
        )
        up.start(wait=False)
        try:
            ground.wait_for_port(here.config.http_port, 60)
            _wait_for_couriers(up.pid)
            time.sleep(10)
            idle = _together(up.pid, postmaster)
            most, parts = 0.0, {}
            seen: list[tuple[float, dict[str, float]]] = []  # seconds since it began, MB by kind without PostgreSQL
            ended = threading.Event()

            began = time.monotonic()

            def watch() -> None:
                nonlocal most, parts
                while not ended.wait(0.5):
                    now = _together(up.pid, postmaster)
                    ours = {kind: taken for kind, taken in now.items() if kind != "PostgreSQL"}
                    seen.append((time.monotonic() - began, ours))
                    if sum(now.values()) > most:
                        most, parts = sum(now.values()), now

            watcher = threading.Thread(target=watch)
            watcher.start()
            here.set_state(sending, "sending")
            patience = 1800 * max(1, messages / STEP)
            while not states.finished(sending.id):
                time.sleep(0.5)
                if time.monotonic() - began > patience:
                    raise RuntimeError(f"Not finished after {patience / 60:.0f} min: {states.counts(sending.id)}.")
            took = time.monotonic() - began
            ended.set()
            watcher.join()
            if states.counts(sending.id)["delivered"] != messages:
                raise RuntimeError(f"Not everybody got the letter: {states.counts(sending.id)}.")
        finally:
            up.stop()
    idle_mb = sum(idle.values())
    ratio = min(IDLE_GOAL / idle_mb, BUSY_GOAL / most)
    return {
        "bench": "memory",
        "ours": round(most),
        "reference": BUSY_GOAL,
        "unit": "MB PSS",
        "ratio": round(ratio, 2),
        "goal": 1.0,
        "met": ratio >= 1,
        "notes": f"idle {idle_mb:.0f} MB of {IDLE_GOAL:.0f} ({_words(idle)}); at most {most:.0f} MB of {BUSY_GOAL:.0f}"
        f" while {messages:,} messages left in {took:.0f} s ({_words(parts)}); {_growth(seen, messages)};"
        " ratio: the worse of goal by measured",
    }


def _growth(seen: list[tuple[float, dict[str, float]]], messages: int) -> str:
    """Our processes (PostgreSQL fills its buffers, and stops) in the second tenth of the time and in the last.

    And their slope over the last nine tenths, by least squares, as MB for each `STEP` messages: messages leave evenly.
    Of all together, and of each kind that grew by a megabyte.
    """
    tenth = max(1, len(seen) // 10)
    level = [sum(taken.values()) for _, taken in seen]
    early, late = statistics.median(level[tenth : 2 * tenth] or level), statistics.median(level[-tenth:])
    told = f"without PostgreSQL {early:.0f} MB in the second tenth of the time and {late:.0f} in the last"
    warm = seen[tenth:]
    if messages < STEP or len(warm) < 10:
        return told  # a short run tells of its beginning
    steps = messages / STEP / seen[-1][0]  # steps a second

    def slope(levels: Iterable[float]) -> float:
        return statistics.linear_regression([at for at, _ in warm], list(levels)).slope / steps

    every = {kind for _, taken in warm for kind in taken}
    kinds = {kind: slope(taken.get(kind, 0.0) for _, taken in warm) for kind in every}
    grown = ", ".join(f"{kind} {by:+.1f}" for kind, by in sorted(kinds.items(), key=lambda p: -p[1]) if abs(by) >= 1)
    whole = slope(sum(taken.values()) for _, taken in warm)
    return f"{told}, {whole:+.1f} MB for each {STEP:,} messages ({grown or 'no kind by more than 1'})"


def _wait_for_couriers(up: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    wanted = len(os.sched_getaffinity(0))
    while sum(name == "courier" for name in _family(up).values()) < wanted:
        if time.monotonic() > end:
            raise RuntimeError("The couriers did not start.")
        time.sleep(0.2)


def _family(root: int) -> dict[int, str]:
    """The processes below one, itself included: pid → what it is."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = ground.parent_of(int(entry.name))
            except OSError:
                continue
    found, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    names = {}
    for pid in found:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        names[pid] = words[3].decode() if b"envol.run.process" in words[:3] else ""
    return names


def _together(up: int, postmaster: int) -> dict[str, float]:
    """Megabytes of PSS by kind of process."""
    found: dict[str, float] = {}
    for root, usual in ((up, "supervisor"), (postmaster, "PostgreSQL")):
        for pid, name in _family(root).items():
            if root == up and pid == postmaster:
                continue
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            kilobytes = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
            found[name or usual] = found.get(name or usual, 0.0) + kilobytes / 1024
    return found


def _words(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in sorted(parts.items(), key=lambda pair: -pair[1]))
