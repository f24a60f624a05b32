"""The one client for HTTP requests of our own to hosts that strangers named: never into our own network.

A name is resolved once, every address must be public, and the connection goes to that very address. No redirects, no
user in the address, a few ports, a limit in time and size. Beside :mod:`envol.wire`: it imports nothing of ours.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

PORTS = frozenset({443, 8443})


class NotFetched(Exception):
    """The sentence says why."""


class Said(NamedTuple):
    """An answer: its status and how its body begins."""

    status: int
    text: str


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@functools.cache
def trusted() -> ssl.SSLContext:
    """Whom this machine trusts, read once: the certificates of all authorities take a twentieth of a second."""
    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How to fetch. For tests: `allow_private`, another port, their own certificate authority and names."""

    seconds: float = 10.0
    most_bytes: int = 10 * 2**20
    allow_private: bool = False
    port: int | None = None
    context: ssl.SSLContext = field(default_factory=trusted)
    resolve: Callable[[str, int], list[str]] = _resolve
    headers: Mapping[str, str] = field(default_factory=dict)

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
            connection.request(
                "GET", path + (f"?{query}" if query else ""), headers={"User-Agent": "Envol", **self.headers}
            )
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
        return _one_of(self.resolve(host, port), host, self.allow_private)


@dataclass(frozen=True, slots=True)
class Poster:
    """How to post to a program that somebody named. allow_private: also into our own network, and there without TLS.

    A user and password go in a header, never in the address; redirects are answers like any other.
    """

    seconds: float = 10.0
    most_chars: int = 500  # kept of the answer's body
    allow_private: bool = False
    context: ssl.SSLContext = field(default_factory=trusted)
    resolve: Callable[[str, int], list[str]] = _resolve

    def check(self, url: str) -> SplitResult:
        """The parts of an address that may be posted to, whatever its name leads to. Raises NotFetched."""
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise NotFetched(f"This is no address: {error}.") from None
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username is not None:
            raise NotFetched("An address begins with https:// and names a host.")
        if any(ord(c) <= 32 or ord(c) == 127 for c in url):
            raise NotFetched("An address has no blanks and no control characters.")
        if parts.scheme == "http" and not self.allow_private:
            raise NotFetched("People's data go over https only.")
        if port < 1024 and port not in (80, 443):
            raise NotFetched("The port is 443, 80, or one above 1023.")
        return parts

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Said:
        """Post, to the very address that was looked at. Raises NotFetched: nobody answered."""
        parts = self.check(url)
        host = parts.hostname or ""
        end = time.monotonic() + self.seconds
        try:
            return self._post(parts, host, body, headers, end)
        except (OSError, http.client.HTTPException, ssl.CertificateError, UnicodeError, ValueError) as error:
            raise NotFetched(f"{host} did not answer: {error}") from None

    def _post(self, parts: SplitResult, host: str, body: bytes, headers: Mapping[str, str], end: float) -> Said:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        addresses = self.resolve(host, port)
        address = _one_of(addresses, host, self.allow_private)
        if parts.scheme == "http" and is_public(address):
            raise NotFetched("People's data go over https only.")
        wire = socket.create_connection((address, port), timeout=max(0.1, end - time.monotonic()))
        wire.settimeout(max(0.1, end - time.monotonic()))
        if parts.scheme == "https":
            wire = self.context.wrap_socket(wire, server_hostname=host)
        # Each octet may take as long as the limit allows: whoever drips them is cut off.
        cut = threading.Timer(max(0.1, end - time.monotonic()), _cut, [wire])
        cut.start()
        try:
            connection = http.client.HTTPConnection(host, port)
            connection.sock = wire
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", path, body, {"User-Agent": "Envol", "Connection": "close", **headers})
            answer = connection.getresponse()
            text = answer.read1(4 * self.most_chars).decode("utf-8", "replace")[: self.most_chars]
            return Said(answer.status, text.replace("\0", ""))
        finally:
            cut.cancel()
            wire.close()


def _cut(wire: socket.socket) -> None:
    with contextlib.suppress(OSError):
        wire.shutdown(socket.SHUT_RDWR)


def _one_of(addresses: Sequence[str], host: str, allow_private: bool) -> str:
    """Where to connect: all that a name leads to must be public, for who may choose one may choose another."""
    if not addresses:
        raise NotFetched(f"{host} has no address.")
    if not allow_private and not all(is_public(one) for one in addresses):
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
