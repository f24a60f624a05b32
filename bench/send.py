"""Sending: personalised, signed messages a second, from the queue to a sink, against RSA signatures a second.

The reference is `openssl speed -multi CORES rsa2048`: what the machine could do if signing were all there is to
do. Ours and the reference alternate, because a shared machine changes its speed from minute to minute.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import random
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import ground

GOAL = 0.60
SAMPLE = 200


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.send", options)


def measure(
    messages: int = 20_000, rounds: int = 5, seconds: int = 3, keys: str = "rsa", couriers: int = 0, **_: Any
) -> dict[str, Any]:
    """keys: `rsa` signs with RSA-2048 alone, as the reference does; `both` as an installation does by default."""
    cores = len(os.sched_getaffinity(0))
    port = ground.free_port()
    settings = {"route": "smart_host", "smart_host": f"127.0.0.1:{port}", "couriers": couriers or cores}
    with ground.installation(**settings) as here, sink(port):
        from envol.outbound import states
        from envol.outbound.models import DkimKey

        if keys == "rsa":
            DkimKey.objects.filter(algorithm="ed25519-sha256").update(state="retired")
        here.people(messages)
        version = here.version()
        size, checked = verified_sample(here, version)
        processes = [here.courier(n + 1).start() for n in range(settings["couriers"])]
        ours, reference = [], []
        try:
            for number in range(rounds):
                reference.append(signatures_per_second(cores, seconds))
                sending = here.sending(version)
                ours.append(delivered_per_second(here, sending, messages))
                ground.say(
                    f"round {number + 1}: {ours[-1]:,.0f} messages/s, {reference[-1]:,.0f} signatures/s,"
                    f" {ours[-1] / reference[-1]:.2f}"
                )
                count = states.counts(sending.id)
                if count["delivered"] != messages:
                    raise RuntimeError(f"Not everybody got the letter: {count}.")
        finally:
            for process in processes:
                process.stop()
        broken = states.invariants()
        if broken:
            raise RuntimeError(" ".join(broken))
    ratios = [a / b for a, b in zip(ours, reference, strict=True)]
    ratio = statistics.median(ratios)
    return {
        "bench": "send",
        "ours": round(statistics.median(ours)),
        "reference": round(statistics.median(reference)),
        "unit": "messages/s",
        "ratio": round(ratio, 3),
        "goal": GOAL,
        "met": ratio >= GOAL,
        "notes": f"{rounds} rounds of {messages:,} messages of {size:,} bytes, {len(processes)} couriers, keys {keys};"
        f" {checked} signatures verified; ratios {[round(r, 2) for r in ratios]}",
    }


def delivered_per_second(here: ground.Ground, sending: Any, messages: int) -> float:
    """From the moment the sending is let go until the last outcome is in the database."""
    from envol import db
    from envol.outbound import states

    began = time.perf_counter()
    here.set_state(sending, "sending")
    while not states.finished(sending.id):
        time.sleep(0.02)
        if time.perf_counter() - began > 600:
            raise RuntimeError(f"Not finished after ten minutes: {states.counts(sending.id)}.")
    took = time.perf_counter() - began
    db.execute("CHECKPOINT") if _may_checkpoint() else None
    return messages / took


def _may_checkpoint() -> bool:
    """Between rounds only when we are allowed to: what is measured contains its own checkpoints anyway."""
    from envol import db

    return bool(db.value("SELECT pg_has_role(current_user, 'pg_checkpoint', 'member')"))


def signatures_per_second(cores: int, seconds: int) -> float:
    said = subprocess.run(
        ["openssl", "speed", "-multi", str(cores), "-seconds", str(seconds), "rsa2048"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found = re.search(r"rsa\s+2048 bits\s+\S+\s+\S+\s+([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"openssl speed said something else than expected: {said[-300:]}")
    return float(found.group(1))


@contextmanager
def sink(port: int) -> Iterator[int]:
    """Debian's smtp-sink: takes everything, keeps nothing. Gives its pid."""
    program = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec/postfix")
    if program is None:
        raise RuntimeError("smtp-sink is missing: install Debian's package postfix.")
    command = [program, "-4", f"127.0.0.1:{port}", "1000"]
    if os.geteuid() == 0:
        pwd.getpwnam("nobody")
        command[1:1] = ["-u", "nobody"]
    process = subprocess.Popen(command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        ground.wait_for_port(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


# ---- are the signatures right?


def verified_sample(here: ground.Ground, version: Any) -> tuple[int, int]:
    """Send a sample through a courier to a sink that keeps it, and verify each signature with dkimpy.

    The answer: usual size of a message as sent, and how many signatures were verified. Raises RuntimeError."""
    import dkim

    from envol.edge.courier import Courier
    from envol.outbound import lease, states
    from envol.outbound.models import DkimKey
    from envol.outbound.route import Route

    kept: list[bytes] = []
    sending = here.sending(version)
    everybody = states.counts(sending.id)["accepted"]

    async def work() -> None:
        server = await asyncio.start_server(lambda r, w: _keep(r, w, kept), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        courier = Courier(
            "sample",
            Route("smart_host", relay=("127.0.0.1", port), helo="bench.example"),
            base_url=here.config.base_url,
        )
        task = asyncio.create_task(courier.run())
        while len(kept) < min(SAMPLE * 2, everybody):
            await asyncio.sleep(0.05)
            if task.done():
                task.result()
        courier.stop()
        await task
        server.close()

    here.set_state(sending, "sending")
    asyncio.run(work())
    here.set_state(sending, "stopped")
    lease.sweep()
    records = {
        f"{key.selector}._domainkey.{ground.DOMAIN}.".encode(): key.record.encode()
        for key in DkimKey.objects.filter(domain__name=ground.DOMAIN, state="active")
    }
    sample = random.Random(7).sample(kept, min(SAMPLE, len(kept)))
    for message in sample:
        signatures = message.count(b"\r\nDKIM-Signature:") + message.startswith(b"DKIM-Signature:")
        if signatures != len(records):
            raise RuntimeError(f"A message has {signatures} signatures instead of {len(records)}.")
        for index in range(signatures):
            if not dkim.DKIM(message).verify(index, dnsfunc=lambda name, timeout=5: records.get(name)):
                raise RuntimeError(f"Signature {index} of a message does not verify.")
    if len({message.split(b"\r\n\r\n", 1)[1] for message in sample}) != len(sample):
        raise RuntimeError("Two people got the same body.")
    return round(statistics.median(len(message) for message in sample)), len(sample) * len(records)


async def _keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: list[bytes]) -> None:
    writer.write(b"220 capture.example ESMTP\r\n")
    try:
        while line := (await reader.readline()).strip().upper():
            if line.startswith(b"EHLO"):
                writer.write(b"250-capture.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif line == b"DATA":
                writer.write(b"354 Go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                kept.append(data[:-3].replace(b"\r\n..", b"\r\n."))
                writer.write(b"250 2.0.0 Kept\r\n")
            elif line == b"QUIT":
                writer.write(b"221 2.0.0 Goodbye\r\n")
                break
            else:
                writer.write(b"250 2.0.0 OK\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()


# ---- where the time goes


def profile(messages: int = 6000, *, lines: int = 0, threads: int = 2) -> str:
    """Where a courier's processor time goes, by thread and by step, in µs a message. For people, not for the table.

    lines: so many lines of cProfile (own time by the thread's processor clock) for each thread; it slows all down.
    """
    import cProfile
    import pstats
    from io import StringIO

    port = ground.free_port()
    out = StringIO()
    with ground.installation(route="smart_host", smart_host=f"127.0.0.1:{port}") as here, sink(port) as receiver:
        from envol.content import compose, links
        from envol.edge import courier as edge
        from envol.edge import courier_settling
        from envol.outbound import states
        from envol.outbound.models import DkimKey
        from envol.outbound.route import Route

        DkimKey.objects.filter(algorithm="ed25519-sha256").update(state="retired")
        here.people(messages)
        sending = here.sending(here.version(), "sending")
        spent: dict[str, float] = {}
        profiles: dict[str, cProfile.Profile] = {}

        def within(name: str, work: Any, whole_thread: bool = False) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                profiler = None
                if whole_thread and lines:
                    profiler = profiles.setdefault(name, cProfile.Profile(time.thread_time))
                    profiler.enable()
                began = time.thread_time()
                try:
                    return work(*args, **more)
                finally:
                    spent[name] = spent.get(name, 0.0) + time.thread_time() - began
                    if profiler is not None:
                        profiler.disable()

            return call

        edge._make = within("thread make", edge._make, True)
        courier_settling._settle = within("thread settle", courier_settling._settle, True)
        edge.leasing.lease = within("thread lease: lease", edge.leasing.lease, True)
        edge.leasing.changed = within("thread lease: ask again", edge.leasing.changed, True)
        edge.Makers.prepare = within("thread lease: prepare", edge.Makers.prepare)
        compose.Outline.sign = within("  make: sign, RSA included", compose.Outline.sign)
        compose.Composer._values = within("  make: values of the gaps", compose.Composer._values)
        links.Tokens.__call__ = within("  make: tokens", links.Tokens.__call__)
        compose.Skeleton.header = within("  make: header", compose.Skeleton.header)
        compose.Layout.fill = within("  make: fill the layout", compose.Layout.fill)
        database = server_seconds()

        async def work() -> float:
            courier = edge.Courier(
                "profile",
                Route("smart_host", relay=("127.0.0.1", port), helo="bench.example"),
                threads=threads,
                base_url=here.config.base_url,
            )
            began = time.perf_counter()
            task = asyncio.create_task(courier.run())
            while courier.delivered < messages:
                await asyncio.sleep(0.02)
                if task.done():
                    task.result()
            took = time.perf_counter() - began
            courier.stop()
            await task
            return took

        import uvloop

        sys.setswitchinterval(edge.SWITCH_SECONDS)
        whole = time.process_time()
        spent["whole courier process"] = 0.0
        loop = cProfile.Profile(time.thread_time)
        if lines:
            profiles["thread loop"] = loop
            loop.enable()
        began = time.thread_time()
        took = uvloop.run(work())
        loop.disable()
        spent["thread loop"] = time.thread_time() - began
        spent["whole courier process"] = time.process_time() - whole
        spent["PostgreSQL, all backends"] = server_seconds() - database
        spent["the sink"] = cpu_seconds(receiver)
        assert states.counts(sending.id)["delivered"] == messages
        spent["    (RSA-2048 alone, afterwards)"] = rsa_seconds() * messages
    out.write(
        f"{messages:,} messages, one courier, making threads: {threads}: {took / messages * 1e6:.0f} µs a message by"
        " the clock on the wall\nprocessor time, µs a message (indented: part of the thread above it in name)\n"
    )
    for name, value in sorted(spent.items(), key=lambda pair: -pair[1]):
        out.write(f"{value / messages * 1e6:8.0f}  {name}\n")
    for name, found in profiles.items():
        stats = pstats.Stats(found, stream=out)
        out.write(f"\n==== {name}: {stats.total_tt / messages * 1e6:.0f} µs a message under cProfile\n")
        stats.sort_stats("tottime").print_stats(lines)
    return out.getvalue()


def rsa_seconds(times: int = 1000) -> float:
    """Processor time of one signature as we make it."""
    from envol.wire import dkim

    key = dkim.generate_rsa()
    began = time.thread_time()
    for _ in range(times):
        key.sign(b"x" * 1200, dkim._PKCS1, dkim._SHA256)
    return (time.thread_time() - began) / times


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_seconds() -> float:
    """Processor time of the whole PostgreSQL, ended backends included."""
    from envol import db

    postmaster = ground.parent_of(db.value("SELECT pg_backend_pid()"))
    ended = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()[13:15]
    total = cpu_seconds(postmaster) + sum(int(ticks) for ticks in ended) / os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if ground.parent_of(int(entry.name)) == postmaster:
                    total += cpu_seconds(int(entry.name))
            except OSError:
                continue
    return total


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]  # lines of cProfile, making threads
    print(profile(**dict(zip(("lines", "threads"), numbers, strict=False))))
