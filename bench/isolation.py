"""Isolation: one receiver that drips a byte a second, and how much later the mail of all the others arrives.

Rounds with and without the slow receiver alternate; each has a courier of its own on the direct route, real sockets,
and Debian's smtp-sink for the others. Measured is the time from their first delivery until 95 % of the others' mail is
delivered, by the ledger's own clock.
"""

from __future__ import annotations

import asyncio
import statistics
from contextlib import suppress
from typing import Any

from bench import ground, send

GOAL = 1.10
OTHERS = tuple(f"receveur{n}.example" for n in range(6))
SLOW = "goutte.example"


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.isolation", options)


def measure(messages: int = 3_000, rounds: int = 5, slow: int = 500, **_: Any) -> dict[str, Any]:
    """messages: to the others, in each round; slow: to the receiver that drips."""
    port = ground.free_port()
    with ground.installation(route="direct") as here, send.sink(port):
        version = here.version()
        others = _people(here, [(messages // len(OTHERS), domain) for domain in OTHERS])
        dripped = _people(here, [(slow, SLOW)])
        alone, beside = [], []
        for number in range(rounds):
            alone.append(asyncio.run(_round(here, port, version, others, [])))
            beside.append(asyncio.run(_round(here, port, version, others, dripped)))
            ground.say(f"round {number + 1}: p95 alone {alone[-1]:.2f} s, beside the slow one {beside[-1]:.2f} s")
    ours, reference = statistics.median(beside), statistics.median(alone)
    ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
    return {
        "bench": "isolation",
        "ours": round(ours, 3),
        "reference": round(reference, 3),
        "unit": "s, p95",
        "ratio": round(ratio, 3),
        "goal": GOAL,
        "met": ratio <= GOAL,
        "notes": f"{rounds} pairs of rounds, {messages:,} messages to {len(OTHERS)} receivers, {slow:,} to one that"
        f" drips a byte a second; less is better; {[round(b / a, 2) for a, b in zip(alone, beside, strict=True)]}",
    }


def _people(here: ground.Ground, groups: list[tuple[int, str]]) -> list[tuple[int, str]]:
    from envol import db

    found: list[tuple[int, str]] = []
    for count, domain in groups:
        found += db.rows(
            "INSERT INTO contacts_contact (workspace_id, email, email_key, allowed, props)"
            ' SELECT %(w)s, a, a, -1, \'{"first_name": "Zoé", "town": "Sète", "genre": "jazz", "points": 3}\''
            " FROM (SELECT format('p%%s@%%s', i, %(domain)s::text) AS a FROM generate_series(1, %(count)s) i) x"
            " RETURNING id, email",
            {"w": here.workspace.id, "domain": domain, "count": count},
        )
    return found


class _Nothing:
    """A resolver for names that nobody has: no policy, no TLSA record."""

    async def resolve(self, qname: str, rdtype: str) -> Any:
        import dns.resolver

        raise dns.resolver.NXDOMAIN


class _Hosts:
    """MX hosts of the bench: the one that drips has an address of its own."""

    async def hosts(self, domain: str) -> list[Any]:
        from envol.edge.courier_mx import Host

        return [Host(f"mx.{domain}", "127.0.0.2" if domain == SLOW else "127.0.0.1")]


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.CancelledError):
        for octet in b"220-" + b"wait " * 1000:
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(1)


async def _round(here: ground.Ground, port: int, version: Any, others: Any, dripped: Any) -> float:
    from envol.edge.courier import Courier
    from envol.outbound import states
    from envol.outbound.route import Route

    server = await asyncio.start_server(_drip, "127.0.0.2", port)
    courier = Courier(
        f"bench-{id(server)}",
        Route("direct", helo="bench.example", allow_private=True, mx_port=port),
        base_url=here.config.base_url,
        resolver=_Nothing(),
    )
    courier._lanes._connector.mx = _Hosts()  # type: ignore[assignment]
    task = asyncio.create_task(courier.run())
    made = await asyncio.to_thread(lambda: [_sending(here, version, people) for people in (dripped, others) if people])
    fast = made[-1]
    try:
        for one in made:  # the slow receiver's mail is first in the queue
            await asyncio.to_thread(here.set_state, one, "sending")
        while not await asyncio.to_thread(states.finished, fast.id):
            await asyncio.sleep(0.05)
            if task.done():
                task.result()
        p95 = await asyncio.to_thread(_p95, fast.id)
    finally:
        for one in made:
            await asyncio.to_thread(here.set_state, one, "stopped")
        task.cancel()  # what drips would keep an orderly end waiting for minutes
        await asyncio.gather(task, return_exceptions=True)
        server.close()
    return p95


def _sending(here: ground.Ground, version: Any, people: list[tuple[int, str]]) -> Any:
    from envol import db
    from envol.outbound import accept

    made = here.empty_sending(version)
    with db.durable():
        accept.expand_batch(made, people)
    return made


def _p95(sending_id: int) -> float:
    from envol import db

    delivered, seconds = db.rows(
        "SELECT count(*) FILTER (WHERE state = 'delivered'),"
        " extract(epoch FROM percentile_disc(0.95) WITHIN GROUP (ORDER BY at) - min(at))::float8"
        " FROM outbound_outcome WHERE sending_id = %s",
        [sending_id],
    )[0]
    everybody = db.value("SELECT count(*) FROM outbound_send WHERE sending_id = %s", [sending_id])
    if delivered != everybody:
        raise RuntimeError(f"{delivered} of {everybody} were delivered.")
    return float(seconds)
