"""Destination sites: what is throttled together, and who stands behind a host.

A site is the recipient's domain in lower case. Which receiver runs it is learnt from the MX host when mail is
sent (:func:`provider_of`), because the words of a reply mean different things at different receivers.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from envol.wire.address import domain_of

NOWHERE = "invalid"
"""Site of an address without a domain; RFC 2606 §2 promises that it never resolves."""

_FILE = Path(__file__).parent / "data" / "providers.toml"
OTHERS = "others"


def site_of(address: str) -> str:
    """The destination site of an address."""
    return domain_of(address) or NOWHERE


@dataclass(frozen=True, slots=True)
class Receiver:
    """What one receiver takes from one source address; each number is told in ``data/providers.toml``."""

    name: str
    connections: int
    messages_per_connection: int
    messages_per_minute: int = 0
    pause_seconds: int = 60
    longest_pause: int = 3600
    share: float = 0.0
    source: str = ""
    hosts: tuple[str, ...] = ()


@cache
def receivers() -> dict[str, Receiver]:
    """All receivers of the data file, by name; `OTHERS` stands for whoever has no entry."""
    with _FILE.open("rb") as file:
        written = tomllib.load(file)
    usual = written[OTHERS]
    return {
        name: Receiver(name, **{**usual, "share": 0.0, "source": "", **one, "hosts": tuple(one.get("hosts", ()))})
        for name, one in written.items()
        if isinstance(one, dict)
    }


@cache
def as_of() -> date:
    """The day of the data file."""
    with _FILE.open("rb") as file:
        found: date = tomllib.load(file)["as_of"]
    return found


@cache
def _suffixes() -> tuple[tuple[str, str], ...]:
    return tuple((suffix, one.name) for one in receivers().values() for suffix in one.hosts)


@lru_cache(maxsize=4096)
def provider_of(mx_host: str) -> str | None:
    """The receiver that runs an MX host, or None when we know nothing special about it."""
    host = "." + mx_host.lower().rstrip(".")
    return next((name for suffix, name in _suffixes() if host.endswith(suffix)), None)


@cache
def _public_suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


@lru_cache(maxsize=4096)
def group_of(mx_host: str) -> str:
    """What is shaped together: a known receiver, else everything behind hosts of one organisation."""
    host = mx_host.lower().rstrip(".")
    return provider_of(host) or _public_suffixes().privatesuffix(host) or host


def receiver_of(group: str) -> Receiver:
    """The numbers of a group."""
    known = receivers()
    return known.get(group, known[OTHERS])


def limits_of(provider: str | None) -> tuple[int, int]:
    """(connections, messages per connection) that a receiver takes from one source, as far as it says so."""
    one = receiver_of(provider or OTHERS)
    return one.connections, one.messages_per_connection
