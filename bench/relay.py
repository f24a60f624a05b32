"""The relay's acceptance: messages of 7 kB a second that are on disk when they are answered, against Postfix.

Both take the same load from `smtp-source` (ten sessions that stay open) in turns. It speaks neither TLS nor AUTH, so
both listeners do without: ours is the relay's own session with a key that is signed in already. Postfix puts what it
took on hold, so that it delivers nothing meanwhile; no courier of ours runs.

Beside the rates, and without a goal: how long a client waits from its final dot to the 250, which is said after the
commit. Sessions of our own measure it of both, each message by itself, so that a commit shared by ten of them shows.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import ground

GOAL = 4.0
TIMED = 1000
"""Messages of a round whose answers are timed."""
RECIPIENT = "luc@boite.example"
HOLD = "smtpd_data_restrictions = check_client_access static:HOLD\n"


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.relay", options)


def measure(
    messages: int = 10_000, rounds: int = 5, sessions: int = 10, size: int = 7000, processes: int = 1, **_: Any
) -> dict[str, Any]:
    from tests.peers import postfix as peers

    if peers.POSTFIX is None or os.geteuid() != 0:
        raise RuntimeError("Postfix is missing, or this is not root: install Debian's package postfix.")
    base = Path(tempfile.mkdtemp(prefix="envol-postfix-", dir=os.environ.get("ENVOL_BENCH_DIR")))
    base.chmod(0o755)
    letter = base / "letter"
    letter.write_text(
        f"From: {ground.SENDER}\nTo: {RECIPIENT}\nSubject: Votre commande\n\n" + ("Bonjour à vous.\n" * 700)[:size],
        "utf-8",
    )
    try:
        with peers.running(base, HOLD) as postfix, ground.installation() as here, relay(here, processes) as port:
            ours, reference = [], []
            waits: dict[str, list[float]] = {"ours": [], "postfix": []}
            for number in range(rounds):
                reference.append(load(postfix.ports["clear"], messages // 4, sessions, letter))
                ours.append(load(port, messages, sessions, letter))
                ground.say(f"round {number + 1}: {ours[-1]:,.0f} messages/s, Postfix {reference[-1]:,.0f}")
                waits["postfix"] += asyncio.run(waited(postfix.ports["clear"], TIMED, sessions, letter))
                waits["ours"] += asyncio.run(waited(port, TIMED, sessions, letter))
            from envol import db

            kept, taken = db.value("SELECT count(*) FROM outbound_send"), (messages + TIMED) * rounds
            if kept != taken:
                raise RuntimeError(f"{taken:,} messages were answered with 250, and {kept:,} are kept.")
    finally:
        shutil.rmtree(base, ignore_errors=True)
    slow = {who: [round(hundredth(found, n) * 1000, 1) for n in (50, 99)] for who, found in waits.items()}
    told = {who: f"{p50} and {p99} ms" for who, (p50, p99) in slow.items()}
    return ground.compared(
        "relay",
        ours,
        reference,
        GOAL,
        f"{rounds} rounds of {messages:,} messages of {size:,} bytes, {sessions} sessions,"
        f" {processes} processes; durable, no TLS; from dot to 250 (p50 and p99) {told['ours']},"
        f" Postfix {told['postfix']}",
    ) | {"dot_to_250_ms": slow}


def hundredth(found: list[float], n: int) -> float:
    """The value below which n of a hundred lie."""
    return sorted(found)[min(len(found) * n // 100, len(found) - 1)]


async def waited(port: int, messages: int, sessions: int, letter: Path) -> list[float]:
    """Seconds from the final dot to its 250, of each message; the sessions stay open and send one after another."""
    body = letter.read_bytes().rstrip(b"\n").replace(b"\n", b"\r\n") + b"\r\n"

    async def session(count: int) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = []

        async def said(wanted: bytes) -> None:
            while (line := await reader.readline())[3:4] == b"-":
                pass
            if not line.startswith(wanted):
                raise RuntimeError(f"Instead of {wanted.decode()} came {line.decode().strip() or 'nothing'}.")

        async def ask(command: str, wanted: bytes = b"250") -> None:
            writer.write(f"{command}\r\n".encode())
            await said(wanted)

        await said(b"220")
        await ask("EHLO bench.example")
        for _ in range(count):
            await ask(f"MAIL FROM:<{ground.SENDER}>")
            await ask(f"RCPT TO:<{RECIPIENT}>")
            await ask("DATA", b"354")
            writer.write(body)
            await writer.drain()
            began = time.perf_counter()
            await ask(".")
            found.append(time.perf_counter() - began)
        await ask("QUIT", b"221")
        writer.close()
        return found

    parts = [messages // sessions + (n < messages % sessions) for n in range(sessions)]
    return [one for found in await asyncio.gather(*map(session, parts)) for one in found]


def load(port: int, messages: int, sessions: int, letter: Path) -> float:
    program = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert program is not None
    command = [program, "-d", "-s", str(sessions), "-m", str(messages), "-F", str(letter),
               "-f", ground.SENDER, "-t", RECIPIENT, f"127.0.0.1:{port}"]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    return messages / (time.perf_counter() - began)


@contextmanager
def relay(here: ground.Ground, processes: int = 1) -> Iterator[int]:
    """The relay in so many processes of its own; their port."""
    from envol.accounts.models import ApiKey
    from envol.accounts.workspaces import create_api_key

    key = ApiKey.objects.get(public_id=create_api_key(here.workspace, "bench").key)
    port = ground.free_port()
    argv = [sys.executable, "-m", "bench.relay", str(port), str(key.pk), str(here.workspace.pk)]
    running = [ground.Process("relay", argv).start() for _ in range(processes)]
    try:
        yield port
    finally:
        for process in running:
            process.stop()


def serve(port: int, key_id: int, workspace_id: int) -> None:
    """The relay's sessions as they are, but for TLS and AUTH."""
    from envol.run import supervisor
    from envol.run.installation import open_installation

    open_installation(migrate=False)
    import signal
    import ssl
    from dataclasses import replace

    import uvloop

    from envol.edge import submission
    from envol.outbound import relay as rules

    class Open(submission.Submission):
        def session(self, *, implicit: bool = False) -> Any:
            made = submission._Session(self, implicit=implicit)
            made._account = rules.Account(key_id, workspace_id)
            made.server.identity = "bench"
            return made

    sys.setswitchinterval(submission.SWITCH_SECONDS)

    async def main() -> None:
        found = Open("bench.example", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), submission._keep_fresh)
        found.options = replace(found.options, starttls=False, tls_required=False, auth=False, auth_required=False)
        await found.open("127.0.0.1", port, shared=True)
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        supervisor.notify_ready()
        await stopping.wait()
        await found.close()

    uvloop.run(main())


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
