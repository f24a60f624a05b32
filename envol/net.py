"""The one client for HTTPS requests of our own to hosts that strangers named: never into our own network.

A name is resolved once, every address must be public, and the connection goes to that very address. No redirects, no
user in the address, a few ports, a limit in time and size. Beside :mod:`envol.wire`: it imports nothing of ours.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PORTS = frozenset({443, 8443})


class NotFetched(Exception):
    """The sentence says why."""


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How to fetch. For tests: `allow_private`, another port, their own certificate authority and names."""

    seconds: float = 10.0
    most_bytes: int = 10 * 2**20
    allow_private: bool = False
    port: int | None = None
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    resolve: Callable[[str, int], list[str]] = _resolve

    def get(self, url: str, media_type: str = "") -> bytes:
        """The body of a 200 answer. media_type: what it must be, where that matters. Raises NotFetched."""
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError as error:  # a port beyond 65535, brackets that do not close
            raise NotFetched(f"This is no address: {error}.") from None
        if parts.scheme != "https" or not parts.hostname or parts.username is not None or port not in PORTS:
            raise NotFetched("Only https addresses, without a user name, on port 443 or 8443, are fetched.")
        end = time.monotonic() + self.seconds
        try:
            return self._get(parts.hostname, self.port or port, parts.path or "/", parts.query, media_type, end)
        except (OSError, http.client.HTTPException, ssl.CertificateError, UnicodeError) as error:
            raise NotFetched(f"{parts.hostname} did not answer: {error}") from None

    def _get(self, host: str, port: int, path: str, query: str, media_type: str, end: float) -> bytes:
        address = self._address(host, port)
        plain = socket.create_connection((address, port), timeout=max(0.1, end - time.monotonic()))
        try:
            plain.settimeout(max(0.1, end - time.monotonic()))
            connection = http.client.HTTPConnection(host, port)
            connection.sock = self.context.wrap_socket(plain, server_hostname=host)
            connection.request("GET", path + (f"?{query}" if query else ""), headers={"User-Agent": "Envol"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise NotFetched(f"{host} answered {answer.status}.")
            kind = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
            if media_type and kind != media_type:
                raise NotFetched(f"{host} sent {kind or 'nothing'}, not {media_type}.")
            body = b""
            while piece := answer.read1(65_536):
                body += piece
                if len(body) > self.most_bytes:
                    raise NotFetched(f"{host} sent more than {self.most_bytes} bytes.")
                if time.monotonic() > end:  # a host that drips bytes must come to an end
                    raise NotFetched(f"{host} took too long.")
            return body
        finally:
            plain.close()

    def _address(self, host: str, port: int) -> str:
        addresses = self.resolve(host, port)
        if not addresses:
            raise NotFetched(f"{host} has no address.")
        if not self.allow_private and not all(is_public(one) for one in addresses):
            raise NotFetched(f"{host} leads to an address that is not public.")
        return addresses[0]


def is_public(address: str) -> bool:
    """May we connect to it? Addresses that carry another one inside are judged by that, too."""
    one = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour or (one.teredo[1] if one.teredo else None)
        if inner is None and one in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
        if inner is not None and not inner.is_global:
            return False
    return one.is_global and not one.is_multicast
