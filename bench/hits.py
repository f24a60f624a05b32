"""Hits: clicks over HTTP, gathered into batches, against one commit for each request.

Both run the same http application on the same database, one after the other in turns: the same routes, the
same question about permissions, the same events and counters, everything durable. Only the reference commits each
request on its own, in as many threads as it has connections, as a plain web application does.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from typing import Any

from bench import ground

GOAL = 4.0
CONNECTIONS = 256
WARM_UP_SECONDS = 1.0


def run(json: bool = False, **options: Any) -> dict[str, Any]:
    """One line of the table; three rounds of 2 s for each side."""
    return ground.in_child("bench.hits", options)


def measure(seconds: float = 2.0, rounds: int = 3, people: int = 4000, **_: Any) -> dict[str, Any]:
    with ground.installation() as here:
        from envol import db
        from envol.content import links

        here.people(people)
        sending = here.sending(here.version())
        db.execute(
            "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
            " SELECT sending_id, no, 'delivered', now() - interval '1 hour', 1, 250, '250 ok' FROM outbound_send"
        )
        numbers = [no for (no,) in db.rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.id])]
        count = len(db.rows("SELECT jsonb_array_elements(links) FROM content_version"))
        paths = [f"/c/{links.click_token(sending.id, no, link)}" for link in range(1, count + 1) for no in numbers]
        rates: dict[str, list[float]] = {"gathered": [], "alone": []}
        start = 0
        for number in range(rounds):
            for mode in ("alone", "gathered") if number % 2 else ("gathered", "alone"):
                ground.say(f"hits: round {number + 1} of {rounds}, {mode}")
                rate, start = _serve(mode, paths, start, seconds)
                rates[mode].append(rate)
        counted = int(db.value("SELECT count(*) FROM events_event WHERE sending_id = %s", [sending.id]))
        answered = int(db.value("SELECT events FROM events_counter WHERE kind = 6 AND link = 0 AND NOT machine") or 0)
    ours, reference = (statistics.median(rates[mode]) for mode in ("gathered", "alone"))
    return {
        "bench": "hits",
        "ours": round(ours),
        "reference": round(reference),
        "unit": "clicks/s",
        "ratio": round(ours / reference, 2),
        "goal": GOAL,
        "met": ours >= GOAL * reference,
        "notes": f"{CONNECTIONS} connections, medians of {rounds} rounds; {counted:,} events stored, "
        f"{answered:,} in the counter",
    }


def _serve(mode: str, paths: list[str], start: int, seconds: float) -> tuple[float, int]:
    port = ground.free_port()
    server = ground.Process(
        "http", [sys.executable, "-m", "bench.hits", mode, str(port)], env={"ENVOL_DB_ROLE": "envol_page"}
    ).start()
    try:
        warm, _ = asyncio.run(_load(port, paths, start, WARM_UP_SECONDS))
        start += warm + CONNECTIONS
        done, took = asyncio.run(_load(port, paths, start, seconds))
    finally:
        server.stop()
    return done / took, start + done + CONNECTIONS


async def _load(port: int, paths: list[str], start: int, seconds: float) -> tuple[int, float]:
    """Kept-alive connections that click one link after the other; (answers, seconds)."""
    place = start
    done = 0
    end = time.monotonic() + seconds

    async def reader() -> None:
        nonlocal place, done
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            path = paths[place % len(paths)]
            place += 1
            outgoing.write(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 Firefox/140.0\r\n\r\n".encode()
            )
            head = await incoming.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 302 "):
                raise RuntimeError(f"A click was answered {head[:60]!r}.")
            done += 1
        outgoing.close()

    began = time.monotonic()
    await asyncio.gather(*(reader() for _ in range(CONNECTIONS)))
    return done, time.monotonic() - began


def serve(mode: str, port: int) -> None:
    """The http application; ``alone`` exchanges its gatherer for a commit per request."""
    from envol.run import logs, supervisor

    supervisor.die_with_parent()
    import django

    django.setup()
    logs.setup("http", level="WARNING")
    from types import SimpleNamespace

    from envol.edge import http, http_hits

    if mode == "alone":
        from concurrent.futures import ThreadPoolExecutor

        threads = ThreadPoolExecutor(8)

        class Alone:
            async def put(self, hit: Any) -> None:
                await asyncio.get_running_loop().run_in_executor(threads, http.count, [hit])

            async def close(self) -> None:
                threads.shutdown()

        http.Gatherer = lambda *args, **more: Alone()  # type: ignore[assignment,misc]
    http_hits.WAIT_SECONDS = 60.0  # every answer counted here is a commit
    settings = SimpleNamespace(http_host="127.0.0.1", http_port=port, pool_http=8, tls_cert="", tls_key="")
    http.run(settings, supervisor.notify_ready)  # type: ignore[arg-type]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envol.run.django_settings")
    serve(sys.argv[1], int(sys.argv[2]))
