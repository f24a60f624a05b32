"""Streams and the source addresses they leave from. Knows no database: the settings' table checks with it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

TRANSACTIONAL, MARKETING, LISTS = "transactional", "marketing", "lists"
STREAMS = (TRANSACTIONAL, MARKETING, LISTS)
ANY = "*"
"""The source that the operating system picks."""


def stream_of(priority: int) -> str:
    """The stream of a sending: what somebody waits for, then campaigns, then mailing lists."""
    if priority < 5:
        return TRANSACTIONAL
    return MARKETING if priority < 7 else LISTS


@dataclass(frozen=True, slots=True)
class Source:
    """An address that mail leaves from. Empty rules hold for everything. warm: the name of its warm-up plan, or ""."""

    address: str = ANY
    helo: str = ""
    streams: frozenset[str] = frozenset()
    workspaces: frozenset[int] = frozenset()
    receivers: frozenset[str] = frozenset()
    warm: str = ""

    @property
    def local(self) -> tuple[str, int] | None:
        """What a socket is bound to before it connects."""
        return None if self.address == ANY else (self.address, 0)

    @property
    def version(self) -> int:
        """4, 6, or 0 where the system picks."""
        return 0 if self.address == ANY else ipaddress.ip_address(self.address).version

    def carries(self, stream: str, workspace_id: int, group: str) -> bool:
        return (
            (not self.streams or stream in self.streams)
            and (not self.workspaces or workspace_id in self.workspaces)
            and (not self.receivers or group in self.receivers)
        )


DEFAULT = Source()


def parse(text: str) -> list[Source]:
    """The sources of a setting. Raises ValueError with a sentence.

    ``;`` between sources; of each: address (or ``*``), the name it gives at EHLO (or ``-``), then rules: streams,
    ``workspace=3``, ``receiver=google``, ``warm`` or ``warm=PLAN``.
    """
    from envol.outbound.warmup import PLANS

    found: list[Source] = []
    for part in text.split(";"):
        words = part.split()
        if not words:
            continue
        address, helo, rules = words[0], words[1] if len(words) > 1 else "-", words[2:]
        if address != ANY:
            try:
                address = str(ipaddress.ip_address(address))
            except ValueError:
                raise ValueError(f"{address!r} is no address; write 192.0.2.10, 2001:db8::1 or *") from None
        if "=" in helo or helo in STREAMS or not helo.isascii():
            raise ValueError(f"{part.strip()!r}: the second word is the name given at EHLO; write - for helo_name")
        streams, workspaces, receivers, warm = set(), set(), set(), ""
        for rule in rules:
            name, _, value = rule.partition("=")
            if rule in STREAMS:
                streams.add(rule)
            elif name == "workspace" and value.isdigit():
                workspaces.add(int(value))
            elif name == "receiver" and value:
                receivers.add(value)
            elif name == "warm" and (value or "conservative") in PLANS:
                warm = value or "conservative"
            else:
                raise ValueError(
                    f"{rule!r} is no rule; there are {', '.join(STREAMS)}, workspace=NUMBER, receiver=NAME, warm,"
                    f" and warm={'|'.join(PLANS)}"
                )
        if address in {one.address for one in found}:
            raise ValueError(f"{address} is named twice")
        found.append(
            Source(
                address,
                "" if helo == "-" else helo,
                frozenset(streams),
                frozenset(workspaces),
                frozenset(receivers),
                warm,
            )
        )
    return found


def pool(sources: Iterable[Source], stream: str, workspace_id: int, group: str) -> list[Source]:
    """The sources that may carry this; those that name the stream, workspace or receiver before those open to all."""
    fitting = [one for one in sources if one.carries(stream, workspace_id, group)]
    told = [one for one in fitting if one.streams or one.workspaces or one.receivers]
    return told or fitting


def in_order(sources: Sequence[Source], key: tuple[int, int]) -> list[Source]:
    """The sources in the order in which this message tries them: the same at each attempt, so that greylisting
    (RFC 6647) meets the same address again, and different from message to message."""
    if len(sources) < 2:
        return list(sources)
    return sorted(sources, key=lambda one: _weight(one.address, key))


@lru_cache(maxsize=65536)
def _weight(address: str, key: tuple[int, int]) -> bytes:
    return blake2b(f"{address} {key[0]} {key[1]}".encode(), digest_size=8).digest()
