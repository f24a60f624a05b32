"""The demonstration from start to end, with a bar for each step."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import Progress

from envol.run.cli_road import bar, bars
from envol.run.config import ConfigError
from envol.run.supervisor import parent_of_children
from envol.run.up import alone

WAIT_FOR_RETRIES = 150.0  # seconds; the greylisted are tried again about a minute after the first try


class Failed(Exception):
    """The demonstration cannot go on; the sentence says why."""


def run(data: Path, *, http: str, headless: bool, limit: int = 0, as_json: bool = False) -> int:
    """Everything; the exit code. The second time it finds its data and comes up at once.

    ``as_json``: one object on standard output instead of sentences: ``ok``, ``url``, ``seconds`` and ``sentence``, or
    ``error`` and ``code``.
    """
    os.environ["ENVOL_TAKE_BACK"] = "0"
    from envol.run.installation import NotReady, open_installation

    if headless:
        _forget(data)
        http = _free_port(http)
    began = time.monotonic()
    try:
        config = open_installation(data, http=http)
        with alone(config):
            pass
    except (NotReady, ConfigError) as error:
        return _failed(str(error), 3, as_json)
    from envol.run import logs

    logs.setup("demo", level="WARNING")
    from envol.accounts.models import Workspace
    from envol.run.demo import prepare, verify

    first_time = not Workspace.objects.filter(name=prepare.NAME).exists() or not (data / "demo-done").exists()
    try:
        with _up(data, config.http) as server:
            if first_time:
                result = _first(data, config.base_url, server, headless, limit)
                seconds = round(time.monotonic() - began)
                if as_json:
                    facts = {"ok": True, "url": config.base_url, "seconds": seconds, "sentence": result}
                    print(json.dumps(facts, ensure_ascii=False), flush=True)
                else:
                    print(f"Everything took {seconds} s.")
                    print(result)
                if headless:
                    return 0
            if not as_json:
                _tour(config.base_url, data)
            sys.stdout.flush()
            # Whoever looks around for an hour need not keep 400 MB of what prepared it.
            os.execv(sys.executable, [sys.executable, "-m", "envol.run.demo.stay", str(server.pid)])  # noqa: S606
    except (Failed, verify.Wrong) as error:
        return _failed(f"FAILED: {error}", 1, as_json)
    except KeyboardInterrupt:
        return 0


def _failed(sentence: str, code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": sentence, "code": code}, ensure_ascii=False))
    else:
        print(sentence, file=sys.stderr)
    return code


def _first(data: Path, base: str, server: subprocess.Popen[bytes], headless: bool, limit: int) -> str:
    from envol.accounts import first
    from envol.accounts.models import Workspace
    from envol.campaigns import actions
    from envol.outbound import states
    from envol.run.demo import prepare, readers, verify
    from envol.run.demo.people import SEED

    first.setup(prepare.OWNER, prepare.password_of(data), prepare.TITLE_SLUG)
    workspace = Workspace.objects.get(name=prepare.NAME)
    workspace.title = prepare.TITLE
    workspace.save()
    today = workspace.today()
    people, purchases = prepare.invented(limit, today)
    key, secret = prepare.key_of(workspace, data)
    shop = prepare.Shop(workspace, {p.email: p for p in people}, purchases, today, key, secret)
    prepare.declare(workspace)
    with _steps(headless) as step:
        prepare.bring_people(shop, data / "files", step)
        prepare.bring_answers(shop)
        prepare.open_signup(shop)
        prepare.bring_orders(shop, step)
        campaign = prepare.prepare_campaign(shop)
        sending = actions.send(campaign)
        move = step("Sending over SMTP")
        counts = _watch(sending.id, move, server, settle_retries=headless)
        until = datetime.now(UTC).isoformat()
        readers.wait_for_people()
        move = step("Simulated readers act over HTTP")
        journal = readers.simulate(
            base,
            readers.mailbox(base, key, secret, until),
            seed=SEED,
            progress=lambda done: move(done, counts["delivered"]),
        )
        readers.wait_for_people(1.0)
        move = step("Checking every figure")
        said = verify.verify(shop, campaign, sending.id, journal, base, move)
    assert states.counts(sending.id)["accepted"] == counts["accepted"]
    (data / "demo-done").touch()
    return said


def _watch(
    sending_id: int, move: Callable[..., None], server: subprocess.Popen[bytes], settle_retries: bool
) -> dict[str, int]:
    """Until nobody waits for a first try (and, for the check, for a second one)."""
    from envol.outbound import states
    from envol.outbound.models import Sending

    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise Failed(f"envol up ended with code {server.returncode}.")
        sending = Sending.objects.get(id=sending_id)
        counts = states.counts(sending_id)
        ended = sum(counts[s] for s in ("delivered", "bounced", "expired", "cancelled", "suppressed"))
        waiting = counts["deferred"]
        move(ended + waiting, counts["accepted"] or None, f"({waiting} to retry)" if waiting else "")
        if sending.state == "failed":
            raise Failed("The sending failed; see the log above.")
        if sending.expanded_at and ended + (0 if settle_retries else waiting) >= counts["accepted"]:
            return counts
        time.sleep(0.25)
    raise Failed("After ten minutes not everybody has an outcome.")


@contextmanager
def _steps(headless: bool) -> Iterator[Callable[[str], Callable[..., None]]]:
    progress: Progress = bars()
    progress.disable = headless

    def step(title: str) -> Callable[..., None]:
        if headless:
            print(f"· {title}", file=sys.stderr, flush=True)
        return bar(progress, title)

    with progress:
        yield step


@contextmanager
def _up(data: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """``envol up`` as a process of its own, ready to serve; ended with the block."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=2):
        raise Failed(f"Something listens on {address} already. Stop it, or name another address: --http HOST:PORT")
    command = [sys.executable, "-m", "envol.run.cli", "up", "--data", str(data), "--http", address]
    env = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    env |= {"ENVOL_LOG_LEVEL": "WARNING"} | parent_of_children()
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while True:
            if server.poll() is not None:
                raise Failed(
                    f"envol up ended with code {server.returncode}. Is {address} in use? Name another: --http HOST:PORT"
                )
            try:
                connection = http.client.HTTPConnection(host, int(port), timeout=2)
                connection.request("GET", "/ready")
                if connection.getresponse().status == 200:
                    break
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise Failed("envol up was not ready within a minute.")
            time.sleep(0.1)
        yield server
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


def _forget(data: Path) -> None:
    """The check begins from nothing."""
    import shutil

    from envol.run.embedded import Embedded

    if data.exists():
        Embedded(data).remove()
        shutil.rmtree(data)


def _free_port(address: str) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _tour(base: str, data: Path) -> None:
    from envol.run.demo import people, prepare

    print(
        f"\nThe orders are real, the people invented: {people.SHARE_NEWSLETTER:.0%} agreed to the letter, of them "
        f"{people.SHARE_WITHDRAWN:.0%} took it back and {people.SHARE_MEASURED:.0%} agreed to be measured one by one; "
        "their reactions are a simulation.\n"
        f"Envol is up: {base}\n"
        f"Sign in as {prepare.OWNER} with the password {prepare.password_of(data)}\n"
        f"Tour: Contacts → a person and why you may write to her; Campaigns → “{prepare.CAMPAIGN}” → its report; "
        f"Inbox → what they received.   Ctrl-C stops it.",
        flush=True,
    )


__all__: list[Any] = ["run"]
