"""The submission relay with a real client (smtplib), a real database and real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import email
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from email.policy import SMTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import OperationalError, connection
from django.test import override_settings

from envol import db, disk
from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import NewKey, create_api_key
from envol.api.models import StoredTemplate
from envol.edge import certificates
from envol.edge.submission import Submission, _keep_fresh, fresh
from envol.outbound import control, domains, relay

pytestmark = pytest.mark.usefixtures("empty_database")

HOST = "mail.boutique.example"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> certificates.Kept:
    folder = tmp_path_factory.mktemp("tls")
    certificates.make_self_signed(HOST, folder / "c.pem", folder / "k.pem")
    assert (folder / "k.pem").stat().st_mode & 0o777 == 0o600
    return certificates.Kept(folder / "c.pem", folder / "k.pem")


class Running:
    """A relay in a thread of its own, as its process would be."""

    def __init__(self, kept: certificates.Kept, keep: Callable[[Any], Any]) -> None:
        self.trust = ssl.create_default_context(cafile=str(kept.certificate))
        self.submission: Submission
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._kept, self._keep = kept, keep
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self._thread.start()
        assert self._ready.wait(20)

    async def _run(self) -> None:
        self._stop = asyncio.Event()
        self.submission = Submission(HOST, self._kept.context, self._keep, door=relay.Door(most=3))
        _, self.port = await self.submission.open("127.0.0.1", 0)
        _, self.tls_port = await self.submission.open("127.0.0.1", 0, implicit=True)
        self._ready.set()
        await self._stop.wait()
        await self.submission.ask(lambda: connection.close())  # noqa: PLW0108 -- of that thread
        await self.submission.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()

    def client(self, *, tls: bool = True) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self.port, local_hostname="shop.example", timeout=20)
        client._host = "localhost"  # type: ignore[attr-defined]  # whose name the certificate bears
        if tls:
            client.starttls(context=self.trust)
        client.ehlo()
        return client


@pytest.fixture
def keep() -> Callable[[Any], Any]:
    def work(batch: Any) -> Any:
        try:
            return _keep_fresh(batch)
        finally:
            connection.close()  # the database of a test goes with it

    return work


@pytest.fixture
def relay_of(kept: certificates.Kept, keep: Callable[[Any], Any]) -> Iterator[Running]:
    running = Running(kept, keep)
    yield running
    running.stop()


@pytest.fixture
def key(workspace: Any) -> NewKey:
    domains.add(workspace, "boutique.example", trusted=True)
    return create_api_key(workspace, "la boutique")


def letter(sender: str = "Zoé <zoe@boutique.example>", **more: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "luc@lecteurs.example", "Votre commande"
    for name, value in more.items():
        message[name] = value
    message.set_content("Elle est partie.\n.\n..deux points\n")
    return message


def queued() -> list[tuple[Any, ...]]:
    return db.rows("SELECT s.address, m.header ->> 'subject', m.raw FROM outbound_send s JOIN outbound_message m"
                   " ON m.id = s.message_id ORDER BY s.no")  # fmt: skip


def signed_in(relay_of: Running, key: NewKey) -> smtplib.SMTP:
    client = relay_of.client()
    client.login(key.key, key.secret)
    return client


def test_a_250_means_it_is_on_disk_once_for_each_person(relay_of: Running, key: NewKey) -> None:
    with signed_in(relay_of, key) as client:
        to = ["luc@lecteurs.example", "Lea@Lecteurs.example", "LUC@lecteurs.example", "lea@lecteurs.example"]
        assert client.send_message(letter(Bcc="lea@lecteurs.example"), to_addrs=to) == {}
        found = queued()
        assert [row[0] for row in found] == ["luc@lecteurs.example", "Lea@lecteurs.example"]
        raw = bytes(found[0][2])
        assert found[0][1] == "Votre commande" and raw.startswith(b"Received: by mail.boutique.example with ESMTPSA;")
        assert b"shop.example" not in raw and b"127.0.0.1" not in raw and b"\r\n.\r\n..deux points\r\n" in raw
        client.send_message(letter(**{"X-MJ-CustomID": "c-17", "X-Mailjet-Campaign": "automne"}))
        assert len(queued()) == 3, "several transactions in one session"
        assert b"X-M" not in bytes(queued()[2][2]), "what is between a program and the relay does not leave"
        said = db.rows("SELECT header ->> 'custom_id', header ->> 'campaign' FROM outbound_message ORDER BY id DESC")
        assert said[0] == ("c-17", "automne")
    used = db.value("SELECT last_used_at FROM accounts_api_key")
    assert used is not None


def test_tls_comes_first_and_then_the_sign_in(relay_of: Running, kept: certificates.Kept, key: NewKey) -> None:
    with relay_of.client(tls=False) as client:
        assert client.has_extn("starttls") and not client.has_extn("auth")
        assert client.docmd("AUTH", "PLAIN AGEAYg==")[0] == 538
        assert client.mail("zoe@boutique.example")[0] == 530
    with relay_of.client() as client:
        assert not client.has_extn("starttls") and client.has_extn("auth")
        assert client.mail("zoe@boutique.example")[0] == 530
        assert client.docmd("ETRN", "boutique.example")[0] == 502
    with smtplib.SMTP_SSL("127.0.0.1", relay_of.tls_port, context=_any_name(kept), timeout=20) as client:
        client.login(key.key, key.secret)
        client.send_message(letter())
    assert len(queued()) == 1


def test_a_command_behind_the_handshake_is_answered_in_tls(relay_of: Running) -> None:
    """RFC 3207 §4: the end of a client's handshake and its first command may come in one segment."""
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = relay_of.trust.wrap_bio(coming, going, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", relay_of.port), timeout=20) as wire:
        for said in (b"", b"EHLO shop.example\r\n", b"STARTTLS\r\n"):
            wire.sendall(said)
            last = wire.recv(4096)
        assert last.startswith(b"220 ")
        for _ in range(10):
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                wire.sendall(going.read())
                coming.write(wire.recv(65536))
        tls.write(b"EHLO shop.example\r\n")
        wire.sendall(going.read())
        answer = b""
        while b"250 " not in answer:
            coming.write(wire.recv(65536))
            with contextlib.suppress(ssl.SSLWantReadError):
                answer += tls.read(4096)
        assert b"AUTH" in answer, "said in TLS, as one who may sign in"


def _any_name(kept: certificates.Kept) -> ssl.SSLContext:
    loose = ssl.create_default_context(cafile=str(kept.certificate))
    loose.check_hostname = False
    return loose


@pytest.mark.parametrize(
    ("sender", "envelope", "code", "said"),
    [
        ("zoe@ailleurs.example", "zoe@boutique.example", 550, "not declared"),
        ("zoe@boutique.example, luc@boutique.example", "zoe@boutique.example", 550, "exactly one mailbox"),
        ('"security@bank.example" <zoe@boutique.example>', "zoe@boutique.example", 550, "looks like another"),
        ("zoe@boutique.example", "zoe@ailleurs.example", 553, "not declared"),
    ],
)
def test_the_sender_is_one_the_account_may_use(
    relay_of: Running, key: NewKey, monkeypatch: pytest.MonkeyPatch, sender: str, envelope: str, code: int, said: str
) -> None:
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, route="direct"))
    domains._forget()
    with signed_in(relay_of, key) as client:
        raw = f"From: {sender}\r\nTo: luc@lecteurs.example\r\nSubject: x\r\n\r\nx\r\n"
        with pytest.raises((smtplib.SMTPDataError, smtplib.SMTPSenderRefused)) as error:
            client.sendmail(envelope, ["luc@lecteurs.example"], raw.encode())
        assert error.value.smtp_code == code and said in str(error.value.smtp_error)
        assert client.noop()[0] == 250 and queued() == [], "the session goes on, and nothing was kept"
        client.sendmail("", ["luc@lecteurs.example"], b"From: zoe@boutique.example\r\n\r\nx\r\n")
        assert len(queued()) == 1, "the null path may begin"


def test_whoever_guesses_is_not_heard_for_a_while(relay_of: Running, key: NewKey) -> None:
    with relay_of.client() as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(key.key, "wrong")  # by PLAIN and by LOGIN
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(key.key, "wrong")
        assert refused.value.smtp_code == 421
    with pytest.raises(smtplib.SMTPConnectError) as error:
        relay_of.client()
    assert error.value.smtp_code == 421
    db.execute("UPDATE accounts_api_key SET revoked_at = now()")
    assert relay.sign_in(key.key, key.secret) is None, "a revoked key opens nothing"


def test_a_key_does_what_it_may_and_nothing_else(relay_of: Running, workspace: Any, key: NewKey) -> None:
    """Its senders, its recipients a message, its rate: each refused in the session, with a sentence and a code."""
    for name in ("autre.example", "boutique.example"):
        domains.add(workspace, name, trusted=True)
    limits = Limits(senders=["orders@boutique.example"], per_hour=3, most_recipients=2)
    with signed_in(relay_of, create_api_key(workspace, "orders", limits)) as client:
        assert client.mail("zoe@autre.example")[0] == 553
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.send_message(letter("Zoé <zoe@boutique.example>"))
        assert error.value.smtp_code == 550 and b"its senders are: orders@boutique.example" in error.value.smtp_error
        mine = letter("Orders <Orders@boutique.example>")
        refused = client.send_message(mine, to_addrs=["a@lecteurs.example", "b@lecteurs.example", "c@lecteurs.example"])
        assert refused["c@lecteurs.example"][0] == 452, "the rest in another transaction"
        client.send_message(mine)
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.send_message(mine)
        assert error.value.smtp_code == 450 and error.value.smtp_error.startswith(b"4.7.1 This key may send 3 messages")
    assert len(queued()) == 3


def test_a_paused_or_expired_key_is_told_so_and_an_open_session_too(
    relay_of: Running, workspace: Any, key: NewKey
) -> None:
    row = ApiKey.objects.get(public_id=key.key)
    with signed_in(relay_of, key) as client:
        api_keys.pause(row, "elle a l\u2019air volée")
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.send_message(letter())
        assert error.value.smtp_code == 550 and b"This key is paused" in error.value.smtp_error
    with relay_of.client() as client:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(key.key, key.secret)
        assert refused.value.smtp_code == 535 and b"paused: elle a l'air volee" in refused.value.smtp_error
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.login(key.key, "wrong")
        assert b"paused" not in refused.value.smtp_error, "told to nobody who does not hold the secret"
    api_keys.resume(row)
    for column, said in (
        ("expires_at = now()", b"expired"),
        ("expires_at = NULL, scopes = '[\"read\"]'", b"scopes are"),
    ):
        db.execute(f"UPDATE accounts_api_key SET {column}")
        with relay_of.client() as client:
            with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                client.login(key.key, key.secret)
            assert refused.value.smtp_code == 535 and said in refused.value.smtp_error
    assert queued() == []


def test_what_could_not_be_kept_is_not_promised(kept: certificates.Kept, key: NewKey) -> None:
    full = OperationalError("could not extend file")
    full.__cause__ = psycopg.errors.DiskFull()
    fails: list[Exception] = [RuntimeError("the database is away"), disk.Full("The disk is full."), full]

    def fail() -> Any:
        raise fails.pop(0)

    running = Running(kept, lambda batch: fresh(fail))
    try:
        with signed_in(running, key) as client:
            for code in (451, 452, 452):
                with pytest.raises(smtplib.SMTPDataError) as error:
                    client.send_message(letter())
                assert error.value.smtp_code == code
    finally:
        running.stop()
    assert queued() == []


def test_a_bare_line_end_is_refused_and_the_session_ends(relay_of: Running, key: NewKey) -> None:
    with contextlib.suppress(smtplib.SMTPServerDisconnected), signed_in(relay_of, key) as client:
        client.mail("zoe@boutique.example")
        client.rcpt("luc@lecteurs.example")
        client.docmd("DATA")
        client.send(b"From: zoe@boutique.example\r\n\r\nx\n.\n\r\nMAIL FROM:<x@y.example>\r\n.\r\n")
        assert client.getreply()[0] == 550
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    assert queued() == []


def test_a_new_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    files = tmp_path / "c.pem", tmp_path / "k.pem"
    certificates.make_self_signed(HOST, *files)
    kept = certificates.Kept(*files)
    assert not kept.reload()
    key_before = files[1].read_bytes()
    other = tmp_path / "o.pem", tmp_path / "ok.pem"
    certificates.make_self_signed(HOST, *other)
    files[0].write_bytes(other[0].read_bytes())
    assert not kept.reload(), "certificate and key do not fit yet"
    files[1].write_bytes(other[1].read_bytes())
    assert files[1].read_bytes() != key_before and kept.reload() and not kept.reload()
    shown: list[str] = []

    async def work() -> None:
        submission = Submission(HOST, kept.context, lambda batch: [])
        _, port = await submission.open("127.0.0.1", 0, implicit=True)
        shown.append(await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port)))
        await submission.close()

    asyncio.run(work())
    assert shown[0].split() == other[0].read_text().split()


# ---- outgoing control


def html(words: str) -> EmailMessage:
    message = letter()
    message.set_content(words, subtype="html")
    return message


def test_fraud_is_refused_with_its_reason_and_what_looks_like_it_waits(relay_of: Running, key: NewKey) -> None:
    with signed_in(relay_of, key) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.send_message(html('<form action="https://x.example"><input type="password"></form>'))
        assert refused.value.smtp_code == 550
        assert b"5.7.1 This message looks like fraud" in refused.value.smtp_error
        client.mail("zoe@boutique.example")
        client.rcpt("luc@lecteurs.example")
        words = "Votre compte est suspendu. Confirmez votre identité sous 24 heures :"
        suspect = html(f'{words} <a href="https://x.example/">ici</a>')
        code, said = client.data(suspect.as_bytes(policy=SMTP))
        assert (code, said.endswith(b"and somebody looks at it before it leaves")) == (250, True)
        client.send_message(letter())
    assert db.value("SELECT array_agg(state ORDER BY state) FROM outbound_sending") == ["held", "sending"]


def test_a_second_opinion_is_asked_where_one_is_named(relay_of: Running, key: NewKey) -> None:
    asked: list[str] = []

    class Rspamd(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(f"{self.path} {self.headers['From']} {self.headers['Rcpt']}")
            action = "reject" if b"XJS*C4JDBQADN1" in body else "no action"
            answer = f'{{"action": "{action}", "score": 15.0, "required_score": 15.0, "symbols": {{}}}}'.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Rspamd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    named = replace(settings.ENVOL, rspamd=f"http://127.0.0.1:{server.server_port}")
    try:
        with override_settings(ENVOL=named), signed_in(relay_of, key) as client:
            client.send_message(letter())
            with pytest.raises(smtplib.SMTPDataError, match="Rspamd takes it for spam"):
                client.send_message(html("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE"))
    finally:
        server.shutdown()
        server.server_close()
    assert asked[0] == "/checkv2 zoe@boutique.example luc@lecteurs.example"
    assert len(queued()) == 1


def test_several_processes_share_a_port_and_what_one_peer_may_hold(kept: certificates.Kept) -> None:
    async def open_both() -> tuple[int, int, set[str]]:
        first, second = (Submission(HOST, kept.context, list, share=2) for _ in range(2))
        _, port = await first.open("127.0.0.1", 0, shared=True)
        assert (await second.open("127.0.0.1", port, shared=True))[1] == port
        greeted = set()
        while len(greeted) < 2:  # the kernel deals them out
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.readline()
            greeted |= {name for name, one in (("first", first), ("second", second)) if one.sessions}
            writer.close()
        await asyncio.gather(first.close(), second.close())
        return first.per_peer, second.per_peer, greeted

    assert asyncio.run(open_both()) == (25, 25, {"first", "second"})


def test_a_fact_that_is_due_is_asked_in_the_thread_that_may(relay_of: Running, key: NewKey) -> None:
    with signed_in(relay_of, key) as client:
        client.send_message(letter())
        control._forget()
        client.send_message(letter())
        with_file = letter()
        with_file.add_attachment(b"%PDF-1.7", maintype="application", subtype="pdf", filename="facture.pdf")
        client.send_message(with_file)
        client.send_message(letter(**{"X-Large": "x " * 40_000}))
        assert len(queued()) == 4


# ---- messages that are to be filled in


def filled(**fields: str) -> EmailMessage:
    """With X-MJ- fields, written with _ for -; the text shows a value and, perhaps, its recipient."""
    message = letter(**{name.replace("_", "-"): value for name, value in fields.items()})
    message.replace_header("To", "Luc <luc@lecteurs.example>, lea@lecteurs.example")
    message["References"] = "<un@boutique.example>"
    message["Message-ID"] = "<deux@boutique.example>"
    return message


def test_values_are_filled_in_and_one_message_is_for_all_where_it_shows_nobody(relay_of: Running, key: NewKey) -> None:
    message = filled(X_MJ_TemplateLanguage="1", X_MJ_Vars='{"n": "n° 17"}', X_MJ_CustomID="c-17")
    message.replace_header("Subject", "Commande {{var:n}}")
    message.set_content("Elle part, {{var:n}}.\n")
    message.add_alternative('<p>{{var:n}}</p><img src="cid:logo">', subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="reçu.pdf")
    with signed_in(relay_of, key) as client:
        to = ["luc@lecteurs.example", "lea@lecteurs.example", "LUC@lecteurs.example", "cachee@lecteurs.example"]
        client.send_message(message, to_addrs=to)
    rows = queued()
    assert [row[0] for row in rows] == ["luc@lecteurs.example", "lea@lecteurs.example", "cachee@lecteurs.example"]
    assert len({bytes(row[2]) for row in rows}) == 1 and rows[0][1] == "Commande n° 17"
    raw = bytes(rows[0][2])
    made = email.message_from_bytes(raw, policy=SMTP)
    assert raw.startswith(b"Received: by mail.boutique.example with ESMTPSA;") and b"x-mj" not in raw.lower()
    assert made["To"] == "Luc <luc@lecteurs.example>, lea@lecteurs.example" and b"cachee" not in raw
    assert (made["References"], made["Message-ID"]) == ("<un@boutique.example>", "<deux@boutique.example>")
    body, page = made.get_body(("plain",)), made.get_body(("html",))
    assert body is not None and page is not None
    assert body.get_content().strip() == "Elle part, n° 17." and "<p>n° 17</p>" in page.get_content()
    (file,) = made.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("reçu.pdf", b"%PDF")
    said = db.rows("SELECT header ->> 'custom_id', header ->> 'by', header ->> 'message_id' FROM outbound_message")
    assert said == [("c-17", "smtp", "<deux@boutique.example>")]


def test_what_shows_its_recipient_is_a_message_for_each(relay_of: Running, key: NewKey) -> None:
    message = filled(X_MJ_TemplateLanguage="true")
    message.set_content("Pour {{mj:contact.email}}.\n")
    with signed_in(relay_of, key) as client:
        client.send_message(message, to_addrs=["luc@lecteurs.example", "lea@lecteurs.example"])
    rows = queued()
    assert [(row[0], f"Pour {row[0]}.".encode() in bytes(row[2])) for row in rows] == [
        ("luc@lecteurs.example", True),
        ("lea@lecteurs.example", True),
    ]


def test_a_template_by_its_number_or_name_is_the_content(relay_of: Running, key: NewKey, workspace: Any) -> None:
    stored = StoredTemplate.objects.create(
        workspace=workspace, name="Commande", html="<p>{{var:n}} du modèle</p>", headers={"Subject": "Du modèle"}
    )
    for name in (str(stored.pk), "Commande"):
        with signed_in(relay_of, key) as client:
            client.send_message(filled(X_MJ_TemplateID=name, X_MJ_TemplateLanguage="1", X_MJ_Vars='{"n": 17}'))
    raws = [bytes(row[2]) for row in queued()]
    assert len(raws) == 4 and all(b"17 du mod=C3=A8le" in raw and b"Elle est partie" not in raw for raw in raws)
    assert {row[1] for row in queued()} == {"Votre commande"}, "what the message says wins"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"X_MJ_TemplateID": "999999"}, b"Template ID"),
        ({"X_MJ_TemplateLanguage": "1", "X_MJ_Vars": "[1]"}, b"X-MJ-Vars is no JSON object"),
        ({"X_MJ_TemplateLanguage": "1"}, b"var:absent"),
        ({"X_Mailjet_DeduplicateCampaign": "1"}, b"needs a CustomCampaign"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_with_its_reason(
    relay_of: Running, key: NewKey, fields: dict[str, str], said: bytes
) -> None:
    message = filled(**fields)
    message.set_content("{{var:absent}}\n")
    with signed_in(relay_of, key) as client, pytest.raises(smtplib.SMTPDataError) as refusal:
        client.send_message(message, to_addrs=["luc@lecteurs.example"])
    assert refusal.value.smtp_code == 554 and said in refusal.value.smtp_error  # type: ignore[operator]
    assert queued() == []


def test_a_template_in_error_is_told_and_delivered_as_the_message_asks(relay_of: Running, key: NewKey) -> None:
    message = filled(X_MJ_TemplateLanguage="1", X_MJ_TemplateErrorReporting="dev@equipe.example")
    message["X-MJ-TemplateErrorDeliver"] = "deliver"
    message.set_content("{{var:absent}}\n")
    with signed_in(relay_of, key) as client:
        client.send_message(message, to_addrs=["luc@lecteurs.example"])
    assert [row[0] for row in queued()] == ["dev@equipe.example", "luc@lecteurs.example"]
    assert b"{{var:absent}}" in bytes(queued()[1][2]), "as it was written"


def test_a_campaign_reaches_a_person_once_where_the_message_asks(relay_of: Running, key: NewKey) -> None:
    fields = {"X_Mailjet_Campaign": "soldes", "X_Mailjet_DeduplicateCampaign": "yes"}
    with signed_in(relay_of, key) as client:
        client.send_message(filled(**fields), to_addrs=["luc@lecteurs.example"])
        client.send_message(filled(**fields), to_addrs=["luc@lecteurs.example", "lea@lecteurs.example"])
        client.send_message(filled(**fields), to_addrs=["luc@lecteurs.example"])
    found = db.rows(
        "SELECT s.address, o.state, o.cause FROM outbound_send s"
        " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no ORDER BY s.no"
    )
    again = ("suppressed", "duplicate_in_campaign")
    luc, lea = "luc@lecteurs.example", "lea@lecteurs.example"
    assert sorted(found, key=str) == sorted(
        [(luc, None, None), (lea, None, None), (luc, *again), (luc, *again)], key=str
    )


def test_opens_and_clicks_are_measured_where_the_message_asks(relay_of: Running, key: NewKey) -> None:
    with signed_in(relay_of, key) as client:
        for fields in ({}, {"X_Mailjet_TrackClick": "1"}):
            message = filled(**fields)
            message.add_alternative('<a href="https://boutique.example/">x</a>', subtype="html")
            client.send_message(message, to_addrs=["luc@lecteurs.example"])
    asked = [row[0] for row in db.rows("SELECT header -> 'measured' ->> 'links' FROM outbound_message ORDER BY id")]
    assert asked == [None, '["https://boutique.example/"]']
