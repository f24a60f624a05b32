"""The greeting while many hold connections, 500 that say nothing and 60 that drip a byte a second: within a second?"""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from typing import Any

from bench import ground

GOAL = 1.0
LIMIT = 1.0


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.connections", options)


def measure(idle: int = 500, slow: int = 60, probes: int = 50, **_: Any) -> dict[str, Any]:
    port = ground.free_port()
    with ground.installation(submission=f"127.0.0.1:{port}"):
        process = ground.Process("submission").start()
        held = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(idle + slow)]
        stop = threading.Event()
        dripping = threading.Thread(target=_drip, args=(held[:slow], stop))
        dripping.start()
        try:
            greeted = sum(sock.recv(512).startswith(b"220 ") for sock in held)
            if greeted != idle + slow:
                raise RuntimeError(f"Of {idle + slow} connections only {greeted} were greeted.")
            waits = []
            for _ in range(probes):
                began = time.perf_counter()
                with socket.create_connection(("127.0.0.1", port), timeout=20) as probe:
                    if not probe.recv(512).startswith(b"220 "):
                        raise RuntimeError("A new connection was not greeted.")
                waits.append(time.perf_counter() - began)
                time.sleep(0.02)
        finally:
            stop.set()
            dripping.join()
            for sock in held:
                sock.close()
            process.stop()
    worst = max(waits)
    return {
        "bench": "connections",
        "ours": round(worst * 1000, 1),
        "reference": LIMIT * 1000,
        "unit": "ms to greeting",
        "ratio": round(LIMIT / worst, 1),
        "goal": GOAL,
        "met": worst < LIMIT,
        "notes": f"worst of {probes} with {idle} idle and {slow} slow; median {statistics.median(waits) * 1000:.1f} ms",
    }


def _drip(socks: list[socket.socket], stop: threading.Event) -> None:
    """One octet of EHLO a second on each."""
    line = b"EHLO a-very-slow-client.example\r\n"
    for number in range(10_000):
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.send(line[number % len(line) : number % len(line) + 1])
        if stop.wait(1.0):
            return
