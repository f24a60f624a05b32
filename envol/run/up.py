"""``envol up``: every process of one machine under one supervisor."""

from __future__ import annotations

import asyncio
import fcntl
import ipaddress
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from envol.run import logs
from envol.run.config import Config, ConfigError, load
from envol.run.embedded import session
from envol.run.installation import EMBEDDED
from envol.run.supervisor import Keeper, ProcessSpec, Supervisor, die_with_parent


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open_doors(config: Config) -> None:
    """Passwords never cross a network in clear: beyond loopback TLS is needed. Raises ConfigError."""
    if config.tls_cert and not config.tls_key:
        raise ConfigError("tls_cert needs tls_key: name both.")
    if not is_loopback(config.http_host) and not config.tls_cert and not config.insecure:
        raise ConfigError(
            f"{config.http} can be reached from other machines and there is no TLS. Name a certificate with "
            "--tls-cert and --tls-key, listen on 127.0.0.1 behind a proxy (docs/operations.md), or say --insecure."
        )


def first_link(config: Config) -> str:
    """The one-time link of an installation without anybody; empty afterwards."""
    from envol.accounts import first

    return f"{config.base_url}/setup/{first.token()}" if first.is_fresh() else ""


MOST_CONNECTIONS = 40
_OF_COURIER, _OF_INBOX, _OF_AUDIENCE, _OF_SUBMISSION = 2, 1, 4, 2
"""Of the audience four: two for each of two questions at once, or as many while columns are written."""
_FOR_COMMANDS = 9
"""Kept free: three that PostgreSQL keeps for its superuser, and some for commands and backups beside us."""


def couriers_of(config: Config, cores: int) -> int:
    """How many couriers run. All processes together never ask for more than forty database connections.

    Raises ConfigError when more are asked for than the embedded PostgreSQL has room for.
    """
    others = _FOR_COMMANDS + config.pool_http + config.pool_worker + _OF_INBOX + _OF_AUDIENCE
    others += _OF_SUBMISSION * (config.submission_processes * bool(config.submission) + bool(config.inbound))
    room = (MOST_CONNECTIONS - others) // _OF_COURIER
    if config.database_url and not os.environ.get(EMBEDDED):
        return config.couriers or min(cores, max(1, room))
    if room < 1 or config.couriers > room:
        asked = f"pool_http = {config.pool_http}, pool_worker = {config.pool_worker}, couriers = {config.couriers or 1}"
        if config.submission_processes > 1:
            asked += f", submission_processes = {config.submission_processes}"
        raise ConfigError(
            f"{asked} need more than {MOST_CONNECTIONS} database connections together. Lower one of them, or name a"
            " PostgreSQL of your own in DATABASE_URL."
        )
    return config.couriers or min(cores, room)


def specs(config: Config) -> list[ProcessSpec]:
    python = [sys.executable, "-m", "envol.run.process"]
    couriers = couriers_of(config, len(os.sched_getaffinity(0)))
    found = [ProcessSpec("http", [*python, "http"]), ProcessSpec("worker", [*python, "worker"], drain_seconds=35)]
    found.append(ProcessSpec("audience", [*python, "audience"]))
    if config.route == "local":
        found.append(ProcessSpec("inbox", [*python, "inbox"]))
    if config.submission:
        for number in range(1, config.submission_processes + 1):
            name = "submission" if number == 1 else f"submission-{number}"
            found.append(ProcessSpec(name, [*python, "submission"]))
    if config.inbound:
        found.append(ProcessSpec("inbound", [*python, "inbound"]))
    for number in range(1, couriers + 1):
        env = {"ENVOL_COURIER": str(number)}
        found.append(ProcessSpec(f"courier-{number}", [*python, "courier"], env=env, drain_seconds=630))
    return found


@contextmanager
def _database(config: Config) -> Iterator[list[Keeper]]:
    """The embedded PostgreSQL, kept alive meanwhile and stopped at the end, unless a command still uses it."""
    if not os.environ.get(EMBEDDED):
        yield []
        return
    with session(config.data) as server:
        yield [Keeper("postgresql", server.alive, server.start)]


def run(config: Config, *, link: str = "", on_ready: Callable[[], object] | None = None) -> int:
    """Keep everything up until SIGTERM or Ctrl-C; the exit code. link: the one-time link of the first owner."""
    logs.setup("up", level=config.log_level, json=config.log_json)
    refuse_open_doors(config)

    def ready() -> None:
        print(f"Envol is up: {config.base_url}   (Ctrl-C stops it)", flush=True)
        if link:
            print(f"Nobody is here yet. Become the first owner: {link}   (works once)", flush=True)

    with _database(config) as keepers:
        keeper = Supervisor(specs(config), logs.get_logger(), keepers=keepers)
        return asyncio.run(keeper.run(on_ready or ready))


_LINK = "ENVOL_FIRST_LINK"  # by the environment: arguments can be read by everybody on the machine


def become(config: Config) -> NoReturn:
    """Keep an opened installation up, as this process but without what it loaded to open it (50 MB of Django).

    Settings and database are in the environment already (`open_installation`). Raises ConfigError before it goes.
    """
    refuse_open_doors(config)
    couriers_of(config, len(os.sched_getaffinity(0)))
    sys.stdout.flush()
    command = [sys.executable, "-m", "envol.run.up"]
    os.execve(sys.executable, command, os.environ | {_LINK: first_link(config)})  # noqa: S606 -- our own interpreter


@contextmanager
def alone(config: Config) -> Iterator[None]:
    """One supervisor for one data directory: two would fight over the port and the inbox. Raises ConfigError."""
    with open(config.data / "up.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"Envol is up already on {config.data}. Stop that one first, or name another directory with --data."
            ) from None
        yield


if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)  # the demonstration's, when it was that which started us
    first = os.environ.pop(_LINK, "")
    try:
        settings = load()
        with alone(settings):
            code = run(settings, link=first)
    except ConfigError as error:
        print(error, file=sys.stderr)
        code = 3
    sys.exit(code)
