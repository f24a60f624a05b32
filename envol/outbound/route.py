"""By which way mail leaves: captured here, through a relay, or to the receivers' own hosts."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from envol.outbound import egress
from envol.outbound.egress import Source

if TYPE_CHECKING:
    from django.conf import LazySettings

Kind = Literal["local", "smart_host", "direct"]


@dataclass(frozen=True, slots=True)
class Route:
    """The way of an installation.

    relay: host and port everything goes to; None for `direct`, and for `local` until the inbox has said where
    it listens (:func:`inbox_address`). allow_private: connect to addresses that are not public (tests only).
    mx_port: 25, but for tests. sources: addresses that mail leaves from on the direct route; none: the system picks.
    """

    kind: Kind
    relay: tuple[str, int] | None = None
    credentials: tuple[str, str] | None = None
    helo: str = "localhost.localdomain"
    allow_private: bool = False
    mx_port: int = 25
    data: Path | None = None
    sources: tuple[Source, ...] = ()
    resolver: str = ""

    @property
    def one_host(self) -> bool:
        """Does everything go to one host, whatever the destination site?"""
        return self.kind != "direct"

    def relay_address(self) -> tuple[str, int] | None:
        """Where to connect; None while nobody listens there yet."""
        if self.relay is None and self.kind == "local" and self.data is not None:
            return inbox_address(self.data)
        return self.relay


def our_name(config: Any) -> str:
    """The name this machine gives itself in SMTP."""
    name: str = config.helo_name or socket.getfqdn()
    return name if name.isascii() and name and " " not in name else "localhost.localdomain"


def of_settings(settings: LazySettings) -> Route:
    """The route of this installation. Raises ValueError when a setting is missing."""
    config = settings.ENVOL
    helo = our_name(config)
    if config.route == "local":
        return Route("local", helo=helo, data=config.data)
    if config.route == "direct":
        return Route("direct", helo=helo, sources=tuple(egress.parse(config.sources)), resolver=config.resolver)
    host, _, port = config.smart_host.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("The route is smart_host: name the relay as smart_host = HOST:PORT in envol.toml.")
    credentials = (config.smart_host_user, config.smart_host_password) if config.smart_host_user else None
    return Route("smart_host", relay=(host.strip("[]"), int(port)), credentials=credentials, helo=helo)


def _inbox_file(data: Path) -> Path:
    return data / "inbox.address"


def tell_inbox_address(data: Path, host: str, port: int) -> None:
    """Leave word where the inbox listens; replaced whole, so a reader never sees half."""
    file = _inbox_file(data)
    new = file.with_suffix(".new")
    new.write_text(f"{host} {port}\n", "ascii")
    new.rename(file)


def inbox_address(data: Path) -> tuple[str, int] | None:
    """Where the inbox said it listens."""
    try:
        host, port = _inbox_file(data).read_text("ascii").split()
        return host, int(port)
    except (OSError, ValueError):
        return None
