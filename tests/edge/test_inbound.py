"""The inbound MX with a real client and a real database: what comes back is believed by our marks alone."""

from __future__ import annotations

import asyncio
import json
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from envol import db
from envol.consent import suppression
from envol.content import links
from envol.edge import certificates
from envol.edge.inbound import Inbound, _join_fresh, _keep_fresh, _take_fresh
from envol.events.models import Kind
from envol.outbound import domains, returned
from envol.outbound.accept import Outgoing, accept_messages
from tests.wire.test_bounce import block, dsn, plain

pytestmark = pytest.mark.usefixtures("empty_database")

LUC = "luc@poste.example"


class Running:
    """The MX in a thread. context: its TLS, where it has one."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(20)

    async def _run(self) -> None:
        self._stop = asyncio.Event()

        def take(batch: Any) -> Any:
            try:
                return _take_fresh(batch)
            finally:
                connection.close()  # the database of a test goes with it

        def keep(batch: Any) -> None:
            try:
                _keep_fresh(batch)
            finally:
                connection.close()

        def join(batch: Any) -> list[str]:
            try:
                return _join_fresh(batch)
            finally:
                connection.close()

        inbound = Inbound("mx.boutique.example", self._context, take, keep, join)
        _, self.port = await inbound.open("127.0.0.1", 0)
        self._ready.set()
        await self._stop.wait()
        await inbound.ask(lambda: connection.close())
        await inbound.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()

    def send(self, recipient: str, raw: str, sender: str = "") -> tuple[int, str]:
        """The reply that decided."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            try:
                client.sendmail(sender, [recipient], raw.replace("\n", "\r\n").encode())
            except smtplib.SMTPRecipientsRefused as error:
                code, said = next(iter(error.recipients.values()))
                return code, said.decode()
        return 250, ""


@pytest.fixture
def inbound() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def sent(workspace: Any) -> tuple[int, int]:
    """(sending, number) of a message to Luc."""
    domains.add(workspace, "boutique.example", trusted=True)
    return written_to(workspace)


def written_to(workspace: Any, address: str = LUC) -> tuple[int, int]:
    message = Outgoing(workspace.pk, ("", "zoe@boutique.example"), [("", address)], subject="x", text="x")
    return accept_messages([message])[0].recipients[0]


def events(kind: Kind) -> list[Any]:
    found = db.rows("SELECT facts::text FROM events_event WHERE kind = %s ORDER BY at", [int(kind)])
    return [json.loads(facts) for (facts,) in found]


def suppressed(workspace: Any, address: str = LUC) -> str:
    found = suppression.lookup(workspace.pk, [address]).get(address)
    return f"{found.scope} {found.reason}" if found else ""


UNKNOWN = dsn(block(LUC, "failed", "5.1.1", f"550 5.1.1 <{LUC}>: User unknown"))


def test_a_bounce_to_its_signed_address_suppresses_once(
    inbound: Running, workspace: Any, sent: tuple[int, int]
) -> None:
    home = links.return_path(*sent, "lettre.boutique.example")
    assert inbound.send(home.upper(), UNKNOWN)[0] == 250, "some hosts change the case"
    assert inbound.send(home, UNKNOWN)[0] == 250
    assert suppressed(workspace) == "all unknown_user"
    (facts,) = events(Kind.BOUNCED)
    assert facts["class"] == "user_unknown" and facts["late"] and LUC not in str(facts), "reports come twice"


def test_nothing_else_comes_in(inbound: Running, workspace: Any, sent: tuple[int, int]) -> None:
    forged = links.return_path(*sent, "boutique.example")
    forged = forged[:20] + ("0" if forged[20] != "0" else "1") + forged[21:]
    for stranger in (forged, LUC, "zoe@boutique.example", "fbl@ailleurs.example", "b+00@boutique.example"):
        code, said = inbound.send(stranger, UNKNOWN)
        assert (code, "take nothing" in said) == (550, True), stranger
    assert suppressed(workspace) == "" and events(Kind.BOUNCED) == []


@pytest.mark.parametrize(
    "raw",
    [
        dsn(block(LUC, "delayed", "4.4.1", "450 4.1.1 user unknown for now")),
        dsn(block(LUC, "relayed", "2.0.0")),
        plain("Je suis absent. 550 5.1.1 user unknown", subject="Réponse automatique : absent", sender=LUC),
        plain(f"My mail to {LUC} came back: 550 user unknown. Could not be delivered.", subject="question", sender=LUC),
    ],
    ids=["delayed", "relayed", "absent", "a person"],
)
def test_what_is_no_bounce_changes_nothing(inbound: Running, workspace: Any, sent: tuple[int, int], raw: str) -> None:
    assert inbound.send(links.return_path(*sent, "boutique.example"), raw)[0] == 250
    assert suppressed(workspace) == "" and events(Kind.BOUNCED) == []


def test_a_forward_that_fails_says_nothing_of_who_forwards(
    inbound: Running, workspace: Any, sent: tuple[int, int]
) -> None:
    other = dsn(block("vieux@ailleurs.example", "failed", "5.1.1", "550 user unknown"))
    assert inbound.send(links.return_path(*sent, "boutique.example"), other)[0] == 250
    assert suppressed(workspace) == "" and len(events(Kind.BOUNCED)) == 1


def test_a_disabled_mailbox_is_believed_the_second_time(
    inbound: Running, workspace: Any, sent: tuple[int, int]
) -> None:
    raw = dsn(block(LUC, "failed", "5.2.1", "550 5.2.1 account disabled"))
    inbound.send(links.return_path(*sent, "boutique.example"), raw)
    assert suppressed(workspace) == ""
    inbound.send(links.return_path(*written_to(workspace), "boutique.example"), raw)
    assert suppressed(workspace) == "all mailbox_disabled"


def report(kind: str, mark: str) -> str:
    return (
        "From: feedback@poste.example\nSubject: FW: x\nContent-Type: multipart/report; report-type=feedback-report;"
        f" boundary=b\n\n--b\nContent-Type: message/feedback-report\n\nFeedback-Type: {kind}\nVersion: 1\n--b\n"
        f"Content-Type: message/rfc822\n\n{mark}\nTo: redacted@poste.example\nSubject: x\n\nx\n--b--\n"
    )


def test_a_complaint_is_found_by_our_marks_though_the_address_is_hidden(
    inbound: Running, workspace: Any, sent: tuple[int, int]
) -> None:
    mark = f"Message-ID: <{links.message_id(*sent, 'boutique.example').strip('<>')}>"
    inbound.send("fbl@boutique.example", report("not-spam", mark), "feedback@poste.example")
    inbound.send("fbl@boutique.example", report("abuse", "Message-ID: <x@y.example>"), "feedback@poste.example")
    assert suppressed(workspace) == "" and events(Kind.COMPLAINED) == []
    for _ in range(2):
        inbound.send("FBL@Boutique.example", report("abuse", mark), "feedback@poste.example")
    assert suppressed(workspace) == "marketing complaint" and len(events(Kind.COMPLAINED)) == 1


def test_mail_for_the_people_of_a_domain_is_kept(inbound: Running, workspace: Any, sent: tuple[int, int]) -> None:
    raw = "From: a@b.example\nSubject: Question\n\nBonjour\n"
    assert inbound.send("Postmaster@boutique.example", raw, "a@b.example")[0] == 250
    assert db.rows("SELECT workspace_id, subject FROM outbound_captured") == [(workspace.pk, "Question")]


def test_the_answer_waits_for_the_disk(workspace: Any, sent: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(batch: Any) -> Any:
        raise RuntimeError("the database is away")

    monkeypatch.setattr(returned, "take", broken)
    running = Running()
    try:
        with smtplib.SMTP("127.0.0.1", running.port, timeout=20) as client, pytest.raises(smtplib.SMTPDataError) as no:
            client.sendmail("", [links.return_path(*sent, "boutique.example")], b"From: x@y.example\r\n\r\nx\r\n")
        assert no.value.smtp_code == 451
    finally:
        running.stop()
    assert suppressed(workspace) == ""


SERVE = """
import sys
from dataclasses import replace
import django
django.setup()
from django.conf import settings
from envol.edge import inbound
inbound.RELOAD_SECONDS = 0.1
where, certificate, key = sys.argv[1:]
config = replace(settings.ENVOL, inbound=where, smtp_cert=certificate, smtp_key=key)
inbound.run(config, lambda: print("ready", flush=True))
"""


def shown(port: int) -> bytes:
    """The certificate behind STARTTLS."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=context)
        assert isinstance(client.sock, ssl.SSLSocket)
        return client.sock.getpeercert(binary_form=True) or b""


def test_a_renewed_certificate_is_shown_by_the_process_that_runs(tmp_path: Path) -> None:
    files = tmp_path / "c.pem", tmp_path / "k.pem"
    other = tmp_path / "o.pem", tmp_path / "ok.pem"
    for pair in (files, other):
        certificates.make_self_signed("mx.boutique.example", *pair)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, f"127.0.0.1:{port}", *map(str, files)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        while (line := process.stdout.readline()).strip() != b"ready":
            assert line, "it did not start"
        before, wanted = (ssl.PEM_cert_to_DER_cert(pair[0].read_text()) for pair in (files, other))
        assert shown(port) == before
        with smtplib.SMTP("127.0.0.1", port, timeout=20) as open_before:
            for old, new in zip(files, other, strict=True):
                new.replace(old)
            end = time.monotonic() + 60
            while shown(port) != wanted:
                assert time.monotonic() < end, "the old certificate is still shown"
                time.sleep(0.05)
            assert open_before.noop()[0] == 250, "a session that was open stays"
    finally:
        process.terminate()
        process.wait(60)
