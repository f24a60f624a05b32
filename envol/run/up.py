"""``envol up``: every process of one machine under one supervisor."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sys
from collections.abc import Callable

import structlog

from envol.run import logs
from envol.run.config import Config, ConfigError
from envol.run.embedded import Embedded
from envol.run.installation import EMBEDDED
from envol.run.supervisor import Keeper, ProcessSpec, Supervisor


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
    others += _OF_SUBMISSION * (bool(config.submission) + bool(config.inbound))
    room = (MOST_CONNECTIONS - others) // _OF_COURIER
    if config.database_url and not os.environ.get(EMBEDDED):
        return config.couriers or min(cores, max(1, room))
    if room < 1 or config.couriers > room:
        asked = f"pool_http = {config.pool_http}, pool_worker = {config.pool_worker}, couriers = {config.couriers or 1}"
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
        found.append(ProcessSpec("submission", [*python, "submission"]))
    if config.inbound:
        found.append(ProcessSpec("inbound", [*python, "inbound"]))
    for number in range(1, couriers + 1):
        env = {"ENVOL_COURIER": str(number)}
        found.append(ProcessSpec(f"courier-{number}", [*python, "courier"], env=env, drain_seconds=630))
    return found


def supervisor(config: Config) -> Supervisor:
    """Everything of this machine, the embedded PostgreSQL included; nothing is started yet."""
    refuse_open_doors(config)
    keepers = []
    if os.environ.get(EMBEDDED):
        server = Embedded(config.data)
        server.start()
        keepers.append(Keeper("postgresql", server.alive, server.start))
    return Supervisor(specs(config), structlog.get_logger(), keepers=keepers)


def run(config: Config, *, on_ready: Callable[[], object] | None = None) -> int:
    """Keep everything up until SIGTERM or Ctrl-C; the exit code."""
    logs.setup("up", level=config.log_level, json=config.log_json)
    keeper = supervisor(config)

    def ready() -> None:
        print(f"Envol is up: {config.base_url}   (Ctrl-C stops it)", flush=True)
        if link := first_link(config):
            print(f"Nobody is here yet. Become the first owner: {link}   (works once)", flush=True)

    return asyncio.run(keeper.run(on_ready or ready))
