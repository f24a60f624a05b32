"""The courier against Debian's Postfix: TLS when it is there, mail in any case, signatures that arrive whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest
from django.db import connection

from envol import db
from envol.content import templates
from envol.edge.courier import Courier
from envol.outbound import domains, states
from envol.outbound.models import DkimKey, Sending
from envol.outbound.route import Route
from tests.outbound.helpers import queued
from tests.peers import postfix as peers

pytestmark = [
    pytest.mark.peers,
    pytest.mark.usefixtures("empty_database"),
    pytest.mark.skipif(peers.POSTFIX is None, reason="Postfix is not installed: apt-get install postfix"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Postfix starts as root only"),
]

HTML = (
    "<html><body><p>Bonjour, voici l’été : {{ contact.email }}</p>\n.une ligne qui commence par un point\n"
    "<p><a href='{{ unsubscribe_url }}'>Me désabonner</a></p></body></html>"
)


@pytest.fixture(scope="module")
def postfix() -> Iterator[peers.Postfix]:
    # Not pytest's own directory: Postfix's account could not enter it.
    base = Path(tempfile.mkdtemp(prefix="envol-postfix-"))
    base.chmod(0o755)
    try:
        with peers.running(base) as found:
            yield found
    finally:
        shutil.rmtree(base)


@pytest.fixture
def letter(workspace) -> int:  # noqa: ANN001
    domains.add(workspace, "librairie.example", trusted=True)
    return templates.save(workspace, "lettre", "html", HTML, "Des livres pour l’été").id


def deliver(sending: Sending, port: int, connections: int = 1, *, retries_at_once: bool = False) -> None:
    """One courier, until everybody has an outcome. retries_at_once: who was deferred need not wait."""

    def finished() -> bool:
        try:
            if retries_at_once:
                db.execute("UPDATE outbound_retry SET due = now() WHERE due > now()")
            return states.finished(sending.id)
        finally:
            connection.close()

    async def work() -> None:
        route = Route("smart_host", relay=("127.0.0.1", port), helo="out.librairie.example")
        courier = Courier("peer", route, connections=connections, base_url="http://localhost:8025")
        task = asyncio.create_task(courier.run())
        try:
            async with asyncio.timeout(30):
                while not await asyncio.to_thread(finished):
                    await asyncio.sleep(0.05)
        finally:
            courier.stop()
            await task

    asyncio.run(work())


def outcomes(sending: Sending) -> set[tuple[str, str, int]]:
    return set(db.rows("SELECT state, tls, code FROM outbound_outcome WHERE sending_id = %s", [sending.id]))


def test_tls_is_used_where_it_is_offered_and_the_books_say_so(workspace, letter, postfix) -> None:  # noqa: ANN001
    one = queued(workspace, 5, domain=peers.DOMAIN, version_id=letter)
    deliver(one, postfix.ports["tls"])
    assert outcomes(one) == {("delivered", "TLSv1.3", 250)}
    assert len(postfix.lines("tls", "Anonymous TLS connection established")) == 1
    assert states.invariants() == []


def test_without_starttls_mail_leaves_in_clear(workspace, letter, postfix) -> None:  # noqa: ANN001
    one = queued(workspace, 5, domain=peers.DOMAIN, version_id=letter)
    deliver(one, postfix.ports["clear"])
    assert outcomes(one) == {("delivered", "", 250)}
    assert not postfix.lines("clear", "TLS connection established")


def test_a_broken_handshake_costs_one_new_connection_in_clear(workspace, letter, postfix) -> None:  # noqa: ANN001
    before = len(postfix.lines("broken", " connect from"))
    one = queued(workspace, 5, domain=peers.DOMAIN, version_id=letter)
    deliver(one, postfix.ports["broken"])
    assert outcomes(one) == {("delivered", "", 250)}
    assert len(postfix.lines("broken", " connect from")) - before == 2
    assert len(postfix.lines("broken", "SSL_accept error")) == 1


def test_what_lies_in_the_mailbox_is_signed_and_whole(workspace, letter, postfix) -> None:  # noqa: ANN001
    one = queued(workspace, 20, domain=peers.DOMAIN, version_id=letter)
    addresses = {row[0] for row in db.rows("SELECT address FROM outbound_send WHERE sending_id = %s", [one.id])}
    deliver(one, postfix.ports["tls"], connections=4)
    records = {
        f"{key.selector}._domainkey.librairie.example.".encode(): key.record.encode()
        for key in DkimKey.objects.filter(domain__workspace=workspace)
    }
    found: dict[str, bytes] = {}
    end = time.monotonic() + 20
    while set(found) != addresses and time.monotonic() < end:
        time.sleep(0.1)
        for message in postfix.mailbox():
            head = message.partition(b"\n\n")[0].decode()
            to = next(line for line in head.splitlines() if line.startswith("Delivered-To:")).partition(": ")[2]
            if to in addresses:
                found[to] = message
    assert set(found) == addresses
    for address, message in found.items():
        whole = message.replace(b"\n", b"\r\n")
        verifier = dkim.DKIM(whole)
        for index in range(2):  # RSA and Ed25519
            assert verifier.verify(index, dnsfunc=lambda name, timeout=5: records.get(name))
        assert whole.startswith(b"Return-Path: <")
        assert address.encode() in whole
