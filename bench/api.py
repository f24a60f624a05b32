"""The send API: messages a second, on disk when answered, one a call and fifty, against a commit for each message.

All sides run on one database with the same tables, indexes and fsync, one after the other in turns, and prepare a
message alike. Ours is the http process as it is: calls of many connections are kept together. The reference is a plain
WSGI view behind the same server, with as many threads as the pages have, which keeps each call on its own as it comes.
Where Postfix is installed (and this is root), it takes letters of the same text by as many sessions in the same rounds.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import ground

GOAL = 4.0
CONNECTIONS = 64
WARM_UP_SECONDS = 1.0
TEXT = "Votre commande est partie ce matin.\n" * 40


def run(json: bool = False, **options: Any) -> dict[str, Any]:
    """One line of the table: ours with one message a call; the notes tell fifty a call, and how long answers took."""
    return ground.in_child("bench.api", options)


def measure(seconds: float = 4.0, rounds: int = 3, **_: Any) -> dict[str, Any]:
    with ground.installation() as here, _postfix() as postfix:
        from envol import db
        from envol.accounts.workspaces import create_api_key

        made = create_api_key(here.workspace, "bench")
        authorization = "Basic " + base64.b64encode(f"{made.key}:{made.secret}".encode()).decode()
        rates: dict[str, list[float]] = {"single": [], "fifty": [], "plain": []}
        slow: dict[str, list[float]] = {"single": [], "fifty": [], "plain": []}
        others: list[float] = []
        for number in range(rounds):
            order = list(rates) if number % 2 else list(rates)[::-1]
            for mode in order:
                rate, worst = _serve(mode, authorization, seconds)
                rates[mode].append(rate)
                slow[mode].append(worst)
                ground.say(f"api: round {number + 1} of {rounds}, {mode}: {rate:,.0f} messages/s, p99 {worst:.0f} ms")
            if postfix is not None:
                others.append(postfix(int(600 * seconds)))
                ground.say(f"api: round {number + 1} of {rounds}, Postfix: {others[-1]:,.0f} messages/s")
        kept = int(db.value("SELECT count(*) FROM outbound_send"))
    against = {
        mode: statistics.median(a / b for a, b in zip(rates[mode], rates["plain"], strict=True))
        for mode in ("single", "fifty")
    }
    beside = ", Postfix is not installed"
    if others:
        shares = [statistics.median(rates[mode]) / statistics.median(others) for mode in ("single", "fifty")]
        beside = f"; Postfix {statistics.median(others):,.0f}/s: {shares[0]:.2f}× and {shares[1]:.2f}× of it"
    p99 = {mode: round(statistics.median(found)) for mode, found in slow.items()}
    return {
        "bench": "api",
        "ours": round(statistics.median(rates["single"])),
        "reference": round(statistics.median(rates["plain"])),
        "unit": "messages/s",
        "ratio": round(min(against.values()), 2),
        "goal": GOAL,
        "met": min(against.values()) >= GOAL,
        "notes": f"one a call {against['single']:.2f}×, fifty a call {statistics.median(rates['fifty']):,.0f}/s ="
        f" {against['fifty']:.2f}×; p99 {p99['single']} ms, {p99['fifty']} ms, reference {p99['plain']} ms{beside};"
        f" {CONNECTIONS} connections, medians of {rounds} rounds, {kept:,} messages kept",
    }


@contextmanager
def _postfix() -> Iterator[Callable[[int], float] | None]:
    """Messages a second that Postfix takes, durably, and puts on hold; None where it cannot run."""
    from bench import relay
    from tests.peers import postfix as peers

    if peers.POSTFIX is None or os.geteuid() != 0:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="envol-postfix-", dir=os.environ.get("ENVOL_BENCH_DIR")) as folder:
        base = Path(folder)
        base.chmod(0o755)
        letter = base / "letter"
        head = f"From: {ground.SENDER}\nTo: {relay.RECIPIENT}\nSubject: Votre commande\n\n"
        letter.write_text(head + TEXT, "utf-8")
        with peers.running(base, relay.HOLD) as running:
            yield lambda messages: relay.load(running.ports["clear"], messages, CONNECTIONS, letter)


def _serve(mode: str, authorization: str, seconds: float) -> tuple[float, float]:
    port = ground.free_port()
    server = ground.Process(
        "http", [sys.executable, "-m", "bench.api", mode, str(port)], env={"ENVOL_DB_ROLE": "envol_page"}
    ).start()
    many = 50 if mode == "fifty" else 1
    try:
        asyncio.run(_load(port, authorization, many, WARM_UP_SECONDS))
        calls, took, times = asyncio.run(_load(port, authorization, many, seconds))
    finally:
        server.stop()
    times.sort()
    return calls * many / took, 1000 * times[int(0.99 * (len(times) - 1))]


async def _load(port: int, authorization: str, many: int, seconds: float) -> tuple[int, float, list[float]]:
    """Kept-alive connections that send one call after the other; (calls answered with 200, seconds, each one's)."""
    times: list[float] = []
    end = time.monotonic() + seconds

    async def program(n: int) -> None:
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
        while time.monotonic() < end:
            # Each call has people of its own, as in life: nobody is written to twice.
            first = len(times) * 100_000 + n * 1000
            letters = [
                {
                    "From": {"Email": ground.SENDER, "Name": "La boutique"},
                    "To": [{"Email": f"p{first + place}@boite.example"}],
                    "Subject": "Votre commande",
                    "TextPart": TEXT,
                }
                for place in range(many)
            ]
            body = json.dumps({"Messages": letters}).encode()
            began = time.monotonic()
            outgoing.write(
                f"POST /v3.1/send HTTP/1.1\r\nHost: localhost\r\nAuthorization: {authorization}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            head = (await incoming.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length:")[2].partition("\r")[0])
            answer = await incoming.readexactly(length)
            if not head.startswith("http/1.1 200 "):
                raise RuntimeError(f"A call was answered {head[:40]!r} {answer[:200]!r}.")
            times.append(time.monotonic() - began)
        outgoing.close()

    began = time.monotonic()
    await asyncio.gather(*(program(n) for n in range(CONNECTIONS)))
    return len(times), time.monotonic() - began, times


def plain_view(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """A call as it comes: read, prepared, kept by a transaction of its own, answered."""
    from django.db import close_old_connections

    from envol.api.accepting import Request, serve

    close_old_connections()
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    (answer,) = serve([Request(environ["HTTP_AUTHORIZATION"], body)])
    start_response(
        f"{answer.status} OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer.body)))]
    )
    return [answer.body]


def serve(mode: str, port: int) -> None:
    from envol.run import logs, supervisor

    supervisor.die_with_parent()
    import django

    django.setup()
    logs.setup("http", level="WARNING")
    from types import SimpleNamespace

    from a2wsgi import WSGIMiddleware

    from envol.edge import http

    if mode == "plain":
        http.is_send = lambda path: False  # type: ignore[assignment]
        http.get_wsgi_application = lambda: plain_view  # type: ignore[assignment]
        assert WSGIMiddleware is http.WSGIMiddleware
    settings = SimpleNamespace(http_host="127.0.0.1", http_port=port, pool_http=12, tls_cert="", tls_key="")
    http.run(settings, supervisor.notify_ready)  # type: ignore[arg-type]


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "envol.run.django_settings")
    serve(sys.argv[1], int(sys.argv[2]))
