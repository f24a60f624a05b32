"""The client for hosts that strangers named, against a real HTTPS server on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from envol.net import Fetcher, NotFetched, is_public
from tests.edge import certs

ROOT = certs.make("Root", ca=True)


@contextlib.contextmanager
def https(answer: bytes, *, name: str = "mta-sts.un.example", leaf: certs.Made | None = None) -> Iterator[Fetcher]:
    """A server that gives this answer to whoever asks, and a fetcher that finds it."""
    context = certs.serving(leaf or certs.make(name, ROOT, names=[name]))
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as tls:
                    tls.recv(65536)
                    tls.sendall(answer)
            except (OSError, ssl.SSLError):
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Fetcher(
            seconds=3,
            most_bytes=1000,
            allow_private=True,
            port=listener.getsockname()[1],
            context=certs.trusting(ROOT),
            resolve=lambda host, port: ["127.0.0.1"],
        )
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(3)


def http(body: bytes, status: str = "200 OK", kind: str = "text/plain", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n{more}\r\n".encode() + body


URL = "https://mta-sts.un.example/.well-known/mta-sts.txt"


def test_a_page_is_fetched() -> None:
    with https(http(b"version: STSv1")) as fetcher:
        assert fetcher.get(URL, "text/plain") == b"version: STSv1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http(b"", "301 Moved", more="Location: https://autre.example/\r\n"), "answered 301"),
        (http(b"", "404 Not Found"), "answered 404"),
        (http(b"x", kind="text/html"), "not text/plain"),
        (http(b"x" * 1001), "more than"),
        (b"junk\r\n\r\n", "did not answer"),
        (b"", "did not answer"),
    ],
)
def test_no_redirect_no_other_kind_no_endless_body(answer: bytes, said: str) -> None:
    with https(answer) as fetcher, pytest.raises(NotFetched, match=said):
        fetcher.get(URL, "text/plain")


@pytest.mark.parametrize(
    "leaf",
    [
        certs.make("autre.example", ROOT, names=["autre.example"]),
        certs.make("mta-sts.un.example", ROOT, names=["mta-sts.un.example"], days=(-9, -1)),
        certs.make("mta-sts.un.example", names=["mta-sts.un.example"]),
    ],
)
def test_the_certificate_must_be_the_hosts(leaf: certs.Made) -> None:
    with https(http(b"x"), leaf=leaf) as fetcher, pytest.raises(NotFetched, match="certificate"):
        fetcher.get(URL)


@pytest.mark.parametrize(
    "url",
    ["http://un.example/", "https://un.example:22/", "https://u:p@un.example/", "file:///etc/passwd", "https:///x"],
)
def test_only_https_on_its_ports(url: str) -> None:
    with pytest.raises(NotFetched, match="Only https"):
        Fetcher(resolve=lambda host, port: ["93.184.216.34"]).get(url)


@pytest.mark.parametrize("url", ["https://un.example:99999/", "https://[un.example/"])
def test_what_is_no_address_is_not_fetched(url: str) -> None:
    with pytest.raises(NotFetched, match="no address"):
        Fetcher().get(url)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("::1", "::", "fd00::1", "fe80::1", "fe80::1%eth0", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "2001:db8::1"),
    ],
)
def test_no_name_leads_into_our_own_network(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(NotFetched, match="not public"):
        Fetcher(resolve=lambda host, port: ["93.184.216.34", address]).get("https://un.example/")


def test_public_addresses_are() -> None:
    assert is_public("93.184.216.34") and is_public("2606:2800:220:1:248:1893:25c8:1946")
