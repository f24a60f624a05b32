"""Both machines against programs that are not ours, over real sockets and real TLS."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envol.wire.smtp import client as c
from envol.wire.smtp import server as s


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file with a key and a self-signed certificate of localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()) + cert.public_bytes(pem)
    )
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class Kept:
    """A handler of aiosmtpd that keeps what it takes and does not know everybody."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, list[str], bytes]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address.startswith("unknown@"):
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append((envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return "250 2.0.0 kept"


def drive(port: int, options: c.ClientOptions, messages: list[tuple[str, list[str], bytes]]) -> list[c.Event]:
    """A small blocking owner of a Client, as the courier is a large one."""
    events: list[c.Event] = []
    todo = list(messages)
    machine = c.Client(options)
    link: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with_tls = link
    try:
        while machine.stage is not c.Stage.CLOSED:
            heard = with_tls.recv(65536)
            news = machine.receive_data(heard) if heard else machine.connection_lost()
            events += news
            if any(isinstance(event, c.StartTls) for event in news):
                with_tls = context.wrap_socket(with_tls, server_hostname="localhost")
                machine.tls_started()
            if machine.can_send and todo:
                reverse_path, recipients, data = todo.pop(0)
                machine.send(reverse_path, recipients, data)
            elif machine.stage is c.Stage.IDLE:
                machine.quit()
            with_tls.sendall(machine.data_to_send())
    finally:
        with_tls.close()
    return events


MESSAGES = [
    ("b1@out.example", ["ann@in.example"], b"Subject: one\r\n\r\n.leading dot\r\n..\r\nend\r\n"),
    ("", ["unknown@in.example"], b"Subject: lost\r\n\r\nHello\r\n"),
    ("b2@out.example", ["bob@in.example", "unknown@in.example"], b"Subject: two\r\n\r\n" + b"x" * 70 + b"\r\n"),
]


@pytest.mark.parametrize("tls", [True, False])
def test_client_delivers_to_aiosmtpd(tls: bool, certificate: Path) -> None:
    kept = Kept()
    extra: dict[str, Any] = {}
    credentials = None
    if tls:
        credentials = ("key", "right")
        extra = {
            "tls_context": server_context(certificate),
            "require_starttls": True,
            "authenticator": lambda *a: AuthResult(success=a[4].password == b"right"),
            "auth_required": True,
        }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(kept, hostname="127.0.0.1", port=port, **extra)
    controller.start()
    try:
        events = drive(port, c.ClientOptions("out.example", credentials=credentials), MESSAGES)
    finally:
        controller.stop()
    ready = next(event for event in events if isinstance(event, c.Ready))
    assert ready.capabilities.tls == tls
    outcomes = [o for event in events if isinstance(event, c.TransactionResult) for o in event.outcomes]
    assert [(o.recipient, o.accepted) for o in outcomes] == [
        ("ann@in.example", True),
        ("unknown@in.example", False),
        ("bob@in.example", True),
        ("unknown@in.example", False),
    ]
    assert kept.messages == [MESSAGES[0], ("b2@out.example", ["bob@in.example"], MESSAGES[2][2])]
    last = events[-1]
    assert isinstance(last, c.Closed) and last.cause is c.Cause.QUIT


class Listener(asyncio.Protocol):
    """A small owner of a Server: takes everything but unknown@; the secret is "right"."""

    taken: list[s.Message]
    context: ssl.SSLContext

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport: asyncio.Transport = transport
        if not hasattr(self, "machine"):
            self.machine = s.Server(
                s.ServerOptions("in.example", starttls=True, tls_required=True, auth=True, auth_required=True)
            )
            transport.write(self.machine.data_to_send())

    def data_received(self, data: bytes) -> None:
        todo = self.machine.receive_data(data)
        while todo:
            match event := todo.pop(0):
                case s.Closed():
                    self.transport.write(self.machine.data_to_send())
                    self.transport.close()
                case s.StartTls():
                    self.transport.write(self.machine.data_to_send())
                    self.task = asyncio.ensure_future(self.handshake())
                case s.RcptTo(recipient):
                    known = not recipient.startswith("unknown@")
                    todo += self.machine.answer(s.RECIPIENT_OK if known else s.reply(550, "5.1.1", "No such mailbox"))
                case s.Authenticate(_, _, secret):
                    todo += self.machine.answer(s.AUTH_OK if secret == "right" else s.AUTH_FAILED)
                case s.MailFrom():
                    todo += self.machine.answer(s.SENDER_OK)
                case s.Message():
                    self.taken.append(event)
                    todo += self.machine.answer(s.ACCEPTED)
        self.transport.write(self.machine.data_to_send())

    async def handshake(self) -> None:
        loop = asyncio.get_running_loop()
        transport = await loop.start_tls(self.transport, self, self.context, server_side=True)
        assert transport is not None
        self.transport = transport
        self.machine.tls_started()


@pytest.fixture
def listener(certificate: Path) -> Iterator[tuple[int, list[s.Message]]]:
    loop = asyncio.new_event_loop()
    taken: list[s.Message] = []
    kind = type("ThisListener", (Listener,), {"taken": taken, "context": server_context(certificate)})
    server = loop.run_until_complete(loop.create_server(kind, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1], taken
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_server_takes_mail_from_smtplib(listener: tuple[int, list[s.Message]]) -> None:
    port, taken = listener
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP("127.0.0.1", port, "out.example", timeout=20) as peer:
        with pytest.raises(smtplib.SMTPSenderRefused) as early:
            peer.sendmail("a@out.example", ["ann@in.example"], b"x")
        assert early.value.smtp_code == 530
        peer.starttls(context=context)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            peer.login("key", "wrong")
        peer.login("key", "right")
        refused = peer.sendmail(
            "a@out.example", ["ann@in.example", "unknown@in.example"], b"Subject: x\r\n\r\n.dot\r\n"
        )
        assert list(refused) == ["unknown@in.example"]
        peer.sendmail("", ["bob@in.example"], b"Subject: y\r\n\r\n" + b".\r\n..\r\n" * 1000)
    assert [(m.envelope.reverse_path, m.envelope.recipients, m.data) for m in taken] == [
        ("a@out.example", ("ann@in.example",), b"Subject: x\r\n\r\n.dot\r\n"),
        ("", ("bob@in.example",), b"Subject: y\r\n\r\n" + b".\r\n..\r\n" * 1000),
    ]
    assert all(m.envelope.tls and m.envelope.identity == "key" and m.envelope.helo == "out.example" for m in taken)
