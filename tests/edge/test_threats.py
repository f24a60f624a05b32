"""What strangers and thieves try on the SMTP ports, each against a live server. Rows as in docs/reliability.md."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import NewKey
from envol.content import links
from envol.edge import smtp_session
from envol.edge import submission as module
from envol.outbound import domains, lease, rolls
from envol.outbound.making import Makers
from envol.wire.message.read import read
from tests.edge.test_inbound import Running as Mx
from tests.edge.test_inbound import inbound, written_to  # noqa: F401 -- a fixture
from tests.edge.test_submission import Running, keep, kept, key, relay_of  # noqa: F401 -- fixtures

pytestmark = pytest.mark.usefixtures("empty_database")

FROM = "MAIL FROM:<zoe@boutique.example>"
TO = "RCPT TO:<luc@lecteurs.example>"
HEAD = b"From: zoe@boutique.example\r\nTo: luc@lecteurs.example\r\nSubject: x\r\n"


class Wire:
    """Bytes on a socket, and the replies to them."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")

    def close(self) -> None:
        self.file.close()  # else the socket stays open behind it, and the server waits for us
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def hear(self) -> str:
        """One whole reply; empty when the other side has closed."""
        lines = []
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while line := self.file.readline():
                lines.append(line.decode().rstrip())
                if lines[-1][3:4] != "-":
                    break
        return "\n".join(lines)

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.hear()

    def data(self, raw: bytes) -> str:
        assert self.say("DATA").startswith("354")
        self.send(raw)
        return self.hear()


@contextlib.contextmanager
def clear(port: int) -> Iterator[Wire]:
    with contextlib.closing(Wire(socket.create_connection(("127.0.0.1", port), timeout=20))) as wire:
        yield wire


@pytest.fixture
def tls(relay_of: Running) -> Iterator[Wire]:  # noqa: F811
    with in_tls(relay_of) as wire:
        yield wire


@contextlib.contextmanager
def signed_in(relay_of: Running, key: NewKey) -> Iterator[Wire]:  # noqa: F811
    with in_tls(relay_of) as wire:
        assert plain(wire, key.key, key.secret).startswith("235")
        yield wire


@contextlib.contextmanager
def in_tls(relay_of: Running) -> Iterator[Wire]:  # noqa: F811
    """Greeted, and not signed in."""
    with clear(relay_of.tls_port) as wire:
        sock = relay_of.trust.wrap_socket(wire.sock, server_hostname="localhost")
        with contextlib.closing(Wire(sock)) as found:
            assert found.hear().startswith("220") and "AUTH PLAIN LOGIN" in found.say("EHLO shop.example")
            yield found


@pytest.fixture
def own(tls: Wire, key: NewKey) -> Wire:  # noqa: F811
    """Signed in."""
    assert plain(tls, key.key, key.secret).startswith("235")
    return tls


def plain(wire: Wire, user: str, secret: str, authzid: str = "") -> str:
    return wire.say("AUTH PLAIN " + base64.b64encode(f"{authzid}\0{user}\0{secret}".encode()).decode())


def nothing_kept() -> bool:
    return bool(db.value("SELECT count(*) = 0 FROM outbound_message"))


# ---- relaying

QUIRKS = [
    "luc%lecteurs.example@boutique.example",
    "@boutique.example:luc@lecteurs.example",
    "lecteurs.example!luc",
    "lecteurs.example!luc@boutique.example",
    '"luc@lecteurs.example"@boutique.example',
    '"luc@lecteurs.example"',
    "luc@[192.0.2.1]",
    "luc@[IPv6:2001:db8::1]",
    "luc@192.0.2.1",
    "luc@localhost",
    "luc@intranet",
    "luc@lecteurs.example@boutique.example",
]


def test_nobody_relays_without_signing_in(tls: Wire) -> None:
    assert tls.say(FROM).startswith("530") and tls.say(TO).startswith("530") and tls.say("DATA").startswith("530")


def test_addresses_that_lead_elsewhere_are_refused_also_after_it(own: Wire) -> None:
    own.say(FROM)
    for recipient in QUIRKS:
        assert own.say(f"RCPT TO:<{recipient}>")[:3] in ("550", "553", "501"), recipient
    assert own.say("DATA")[:3] in ("554", "503")


def test_the_mx_takes_mail_for_our_own_addresses_alone(workspace: Any, inbound: Mx) -> None:  # noqa: F811
    domains.add(workspace, "boutique.example", trusted=True)
    with clear(inbound.port) as wire:
        wire.hear()
        wire.say("EHLO shop.example")
        wire.say("MAIL FROM:<stranger@ailleurs.example>")
        for recipient in (*QUIRKS, "luc@lecteurs.example", "zoe@boutique.example", "b+00@boutique.example"):
            assert wire.say(f"RCPT TO:<{recipient}>")[:3] in ("550", "501"), recipient
        assert wire.say("DATA")[:3] in ("554", "503")


# ---- smuggling


ENDS = (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n.\n", b"\r\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n .\n", b"\n\n")


def test_only_crlf_dot_crlf_ends_a_message(relay_of: Running, key: NewKey) -> None:  # noqa: F811
    for end in ENDS:
        with signed_in(relay_of, key) as own:
            _smuggle(own, end)


def _smuggle(own: Wire, end: bytes) -> None:
    own.say(FROM)
    own.say(TO)
    smuggled = b"MAIL FROM:<admin@boutique.example>\r\nRCPT TO:<victim@lecteurs.example>\r\nDATA\r\nboo\r\n.\r\n"
    assert own.data(HEAD + b"\r\nfirst" + end + smuggled).startswith("550 5.6.0")
    with contextlib.suppress(OSError):
        own.send(b"NOOP\r\n")
    assert own.hear() in ("", "250 2.0.0 OK") and nothing_kept(), "what came behind was never a command"


def test_nothing_is_smuggled_into_the_mx_either(workspace: Any, inbound: Mx) -> None:  # noqa: F811
    domains.add(workspace, "boutique.example", trusted=True)
    home = links.return_path(*written_to(workspace), "lettre.boutique.example")
    for end in ENDS:
        with clear(inbound.port) as wire:
            assert wire.hear().startswith("220") and wire.say("EHLO a.example").startswith("250")
            assert wire.say("MAIL FROM:<>").startswith("250") and wire.say(f"RCPT TO:<{home}>").startswith("250")
            behind = f"MAIL FROM:<>\r\nRCPT TO:<{home}>\r\nDATA\r\nboo\r\n.\r\n".encode()
            answer = wire.data(b"Subject: x\r\n\r\nfirst" + end + behind)
            # A NUL is an octet of a text that somebody sends back; where the text ends it does not say.
            assert answer.startswith("250 2.0.0" if b"\0" in end else "550 5.6.0"), end
            with contextlib.suppress(OSError):
                wire.send(b"NOOP\r\n")
            assert wire.hear() in ("", "250 2.0.0 OK"), "what came behind was never a command"


def test_what_is_relayed_ends_its_lines_with_crlf_and_keeps_its_dots(own: Wire) -> None:
    own.say(FROM)
    own.say(TO)
    assert own.data(HEAD + b"\r\n..one\r\n...two\r\n.\r\n").startswith("250")
    raw = bytes(db.value("SELECT raw FROM outbound_message"))
    assert raw.endswith(b"\r\n\r\n.one\r\n..two\r\n") and raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")


# ---- pipelining and TLS


def test_who_speaks_first_is_not_listened_to(relay_of: Running) -> None:  # noqa: F811
    with socket.create_connection(("127.0.0.1", relay_of.port), timeout=20) as sock:
        sock.sendall(b"EHLO a\r\nMAIL FROM:<zoe@boutique.example>\r\n")
        wire = Wire(sock.dup())
        sock.close()
        heard = [wire.hear() for _ in range(3)]
        wire.close()
    assert not any(one.startswith("250 2.1.0") for one in heard), "at most the greeting, and what EHLO offers"


def test_a_queued_data_after_a_refused_mail_is_refused(own: Wire) -> None:
    own.send(f"MAIL FROM:<>x\r\n{TO}\r\nDATA\r\n".encode())
    assert [own.hear()[:3] for _ in range(3)] == ["501", "503", "503"]


def test_nothing_travels_behind_starttls(relay_of: Running) -> None:  # noqa: F811
    with clear(relay_of.port) as wire:
        wire.hear()
        wire.say("EHLO a")
        wire.send(b"STARTTLS\r\nMAIL FROM:<evil@boutique.example>\r\n")
        assert wire.hear().startswith("501") and wire.hear() == "", "and the session is over"


def test_a_handshake_forgets_what_was_said_before(relay_of: Running) -> None:  # noqa: F811
    with clear(relay_of.port) as wire:
        wire.hear()
        wire.say("EHLO a")
        assert wire.say("STARTTLS").startswith("220")
        sock = relay_of.trust.wrap_socket(wire.sock, server_hostname="localhost")
        with contextlib.closing(Wire(sock)) as inside:
            assert inside.say(FROM).startswith("503"), "EHLO again"
            inside.say("EHLO a")
            assert inside.say("STARTTLS").startswith("503")


# ---- signing in


def test_a_secret_is_never_taken_in_clear(relay_of: Running, key: NewKey) -> None:  # noqa: F811
    with clear(relay_of.port) as wire:
        wire.hear()
        assert "AUTH" not in wire.say("EHLO a") and plain(wire, key.key, key.secret).startswith("538")


def prove(wire: Wire, user: str, secret: str) -> tuple[str, str]:
    """Sign in by SCRAM (RFC 5802): what the other side asked, and its last word."""

    def b64(text: str | bytes) -> str:
        return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()

    first = f"n={user},r=fyko"
    asked = base64.b64decode(wire.say(f"AUTH SCRAM-SHA-256 {b64('n,,' + first)}")[4:]).decode()
    told = dict(part.split("=", 1) for part in asked.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", secret.encode(), base64.b64decode(told["s"]), int(told["i"]))
    ours = hmac.digest(salted, b"Client Key", "sha256")
    bare = f"c=biws,r={told['r']}"
    said = f"{first},{asked},{bare}".encode()
    signature = hmac.digest(hashlib.sha256(ours).digest(), said, "sha256")
    proof = bytes(a ^ b for a, b in zip(ours, signature, strict=True))
    answer = wire.say(b64(f"{bare},p={b64(proof)}"))
    if answer.startswith("334"):
        theirs = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), said, "sha256")
        assert base64.b64decode(answer[4:]) == b"v=" + b64(theirs).encode(), "it knows the secret too"
        answer = wire.say("")
    return asked.partition(",")[2], answer


def test_a_secret_is_proved_and_unknown_keys_look_like_others(
    relay_of: Running,  # noqa: F811
    key: NewKey,  # noqa: F811
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(module, "SECOND", 0.0)
    with in_tls(relay_of) as wire:
        assert wire.say("EHLO shop.example").count("AUTH PLAIN LOGIN SCRAM-SHA-256") == 1
        known, refused = prove(wire, key.key, "another")
        nobody, unknown = prove(wire, "0" * 32, "another")
        assert refused == unknown and refused.startswith("535 5.7.8")
        assert len(known) == len(nobody) and known.endswith("i=4096") and nobody.endswith("i=4096")
    with in_tls(relay_of) as wire:
        again, _ = prove(wire, "0" * 32, "another")
        assert again == nobody, "an unknown key has one salt, like a known one"
    relay_of.submission.door = type(relay_of.submission.door)(most=9)
    db.execute("UPDATE accounts_api_key SET scram = ''")  # made before there was SCRAM
    with in_tls(relay_of) as wire:
        assert prove(wire, key.key, key.secret)[1].startswith("535")
        assert plain(wire, key.key, key.secret).startswith("235")
    with in_tls(relay_of) as wire:
        assert prove(wire, key.key, key.secret)[1].startswith("235")
        assert wire.say(FROM).startswith("250")


def test_junk_is_answered_and_the_session_stays_sane(tls: Wire, key: NewKey, monkeypatch: Any) -> None:  # noqa: F811
    monkeypatch.setattr(module, "SECOND", 0.0)
    for line, code in (
        ("AUTH", "504"), ("AUTH CRAM-MD5", "504"), ("AUTH PLAIN ####", "501"), ("AUTH PLAIN =", "501"),
        ("AUTH PLAIN " + base64.b64encode(b"\0a\0b\0c").decode(), "501"),
        ("AUTH PLAIN " + base64.b64encode(b"\xff\0\xfe\0\xfd").decode(), "501"),
        ("AUTH PLAIN " + "A" * 20000, "500"),
    ):  # fmt: skip
        assert tls.say(line).startswith(code), line[:40]
    assert tls.say("AUTH LOGIN").startswith("334") and tls.say("*").startswith("501")
    assert plain(tls, key.key, key.secret, authzid="somebody").startswith("535")
    assert plain(tls, key.key, key.secret).startswith("235") and tls.say("AUTH PLAIN").startswith("503")


def test_guessing_is_slow_and_the_same_for_unknown_keys(tls: Wire, key: NewKey, monkeypatch: Any) -> None:  # noqa: F811
    monkeypatch.setattr(module, "SECOND", 0.2)
    rolls.flush()  # what other tests counted
    db.execute("DELETE FROM outbound_roll")
    said, took = [], []
    for user in (key.key, "nobody", key.key):
        began = time.monotonic()
        said.append(plain(tls, user, "wrong"))
        took.append(time.monotonic() - began)
    assert said[0] == said[1] == said[2] and said[0].startswith("535")
    assert took[2] >= 0.2, "from the third on each waits a second more"
    assert plain(tls, key.key, "wrong").startswith("421"), "this relay hears nobody from there after three"
    rolls.flush()
    row = ApiKey.objects.get(public_id=key.key)
    assert db.rows("SELECT subject, outcome, workspace_id, n FROM outbound_roll WHERE series = 'auth_key'") == [
        (str(row.pk), "refused", row.workspace_id, 2)
    ], "an unknown key is nobody's, and might be a secret typed in its place"


# ---- who writes


FIELDS = [
    "From: luc@ailleurs.example",
    "From: zoe@boutique.example\r\nFrom: luc@ailleurs.example",
    "From: luc@ailleurs.example\r\nFrom: zoe@boutique.example",
    "From: zoe@boutique.example, luc@ailleurs.example",
    "From : zoe@boutique.example\r\nFrom: luc@ailleurs.example",
    "From: Amis: zoe@boutique.example;",
    "From: undisclosed:;",
    "From: ",
    "To: luc@lecteurs.example",
    'From: "luc@ailleurs.example" <zoe@boutique.example>',
    "From: =?utf-8?B?bHVjQGFpbGxldXJzLmV4YW1wbGU=?= <zoe@boutique.example>",
    "From: zoe@boutique.example <luc@ailleurs.example>",
    "From: luc@ailleurs.example (zoe@boutique.example)",
    "From: <zoe@boutique.example> <luc@ailleurs.example>",
    "From: zoe@boutique.example\r\n luc@ailleurs.example",
    " folded: first\r\nFrom: zoe@boutique.example",
]


def test_one_writer_and_it_is_ours(own: Wire, monkeypatch: Any) -> None:
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, route="direct"))
    domains._forget()
    for fields in FIELDS:
        for envelope in (FROM, "MAIL FROM:<>"):
            assert own.say(envelope).startswith("250") and own.say(TO).startswith("250")
            assert own.data(f"{fields}\r\nSubject: x\r\n\r\nx\r\n.\r\n".encode()).startswith("550"), fields
    assert nothing_kept()


def test_traces_of_others_do_not_pass(own: Wire) -> None:
    own.say(FROM)
    own.say(TO)
    foreign = (
        b"Sender: luc@ailleurs.example\r\nReturn-Path: <luc@ailleurs.example>\r\nDKIM-Signature: d=ailleurs.example\r\n"
        b"ARC-Seal: i=1\r\nAuthentication-Results: mx; dmarc=pass\r\nX-Envol-Key: 1\r\nBcc: secret@lecteurs.example\r\n"
    )
    assert own.data(HEAD + foreign + b"\r\nx\r\n.\r\n").startswith("250")
    [held] = lease.lease("test", 5, seconds=60)
    makers, problems = Makers("http://localhost").prepare([held])
    assert problems == {}
    made = makers[held.rows[0].key](held.rows[0]).data
    for name in (b"sender:", b"return-path:", b"ailleurs", b"arc-", b"authentication-results:", b"x-envol", b"secret@"):
        assert name not in made.lower()


# ---- sizes and forms


def test_recipients_beyond_a_thousand_wait_for_the_next_transaction(own: Wire) -> None:
    own.say(FROM)
    own.send(b"".join(f"RCPT TO:<p{n}@lecteurs.example>\r\n".encode() for n in range(1001)))
    assert [own.hear()[:3] for _ in range(1001)] == ["250"] * 1000 + ["452"]


def test_a_size_that_is_announced_is_refused_before_anything_is_sent(own: Wire) -> None:
    assert own.say(f"{FROM} SIZE={26 * 1024 * 1024}").startswith("552")


DEAR = [
    (HEAD + b"X-Nul: a\0b\r\n\r\nx\r\n", "550 5.6.0"),
    (HEAD + b"\r\nx\0y\r\n", "550 5.6.0"),
    (HEAD + b"X: " + b"a" * 999 + b"\r\n\r\nx\r\n", "550 5.6.0"),
    (HEAD + b"\r\n" + b"a" * 999 + b"\r\n", "550 5.6.0"),
    (HEAD + b"X: a\r\n" * 60_000 + b"\r\nx\r\n", "550 5.3.4"),
    (HEAD + b"X: a\r\n" * 998 + b"\r\nx\r\n", "550 5.3.4"),
    (HEAD + b"Received: by a\r\n" * 101 + b"\r\nx\r\n", "554 5.4.6"),
    (HEAD + b"no field\r\n\r\nx\r\n", "550 5.6.0"),
    (
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nContent-Type: a/b\r\n\r\n" * 2001,
        "550 5.6.0",
    ),
    (
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b"".join(b"--b\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % n for n in range(60)),
        "550 5.6.0",
    ),
]


def test_what_would_be_dear_or_unclear_to_others_is_refused(own: Wire) -> None:
    for raw, code in DEAR:
        assert own.say(FROM).startswith("250") and own.say(TO).startswith("250")
        assert own.data(raw + b".\r\n").startswith(code), raw[:120]
    assert own.say("NOOP").startswith("250") and nothing_kept()


def test_a_size_that_nobody_announced_is_noticed_while_it_is_read(own: Wire) -> None:
    own.say(FROM)
    own.say(TO)
    assert own.say("DATA").startswith("354")
    line = b"x" * 76 + b"\r\n"
    own.send(HEAD + b"\r\n" + line * (26 * 1024 * 1024 // len(line)) + b".\r\n")
    assert own.hear().startswith("552 5.3.4") and own.say("NOOP").startswith("250") and nothing_kept()


MANY = range(9000)
TANGLED = {
    "parameters": b"Content-Type: text/plain;\r\n" + b"".join(b" a*%d*=utf-8''%%C3;\r\n" % n for n in MANY),
    "addresses": b"Cc: " + b"".join(b"<p%d@lecteurs.example>,\r\n " % n for n in MANY) + b"<p@lecteurs.example>\r\n",
    "comments": b"Cc: " + b"\r\n ".join([b"(" * 300] * 300) + b"\r\n",
    "encoded words": b"X-Name: " + b"\r\n ".join([b"=?utf-8?Q?=C3=A9?= =?x?B?//?="] * 6000) + b"\r\n",
}


@pytest.mark.parametrize("kind", TANGLED)
def test_what_is_tangled_is_answered_soon(own: Wire, kind: str) -> None:
    began = time.process_time()  # of the relay too, whose threads are of this process
    assert own.say(FROM).startswith("250") and own.say(TO).startswith("250")
    answer = own.data(HEAD + TANGLED[kind] + b"\r\nx\r\n.\r\n")
    assert answer[:3] in ("250", "550") and own.say("NOOP").startswith("250")
    assert time.process_time() - began < 2


def test_eight_bits_that_nobody_announced_leave_in_seven(own: Wire) -> None:
    own.say(FROM)
    own.say(TO)
    mime = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    assert own.data(HEAD + f"{mime}\r\nÉté\r\n.\r\n".encode()).startswith("250")
    [held] = lease.lease("test", 5, seconds=60)
    makers, _ = Makers("http://localhost").prepare([held])
    made = makers[held.rows[0].key](held.rows[0]).data
    assert made.isascii() and "Été" in (read(made).text or "")


def test_addresses_beyond_ascii_need_their_extension(own: Wire) -> None:
    assert own.say("MAIL FROM:<zoé@boutique.example>").startswith("553 5.6.7")


# ---- commands


def test_commands_that_open_doors_are_not_there(tls: Wire) -> None:
    for line in ("TURN", "ATRN x.example", "EXPN staff", "XCLIENT ADDR=127.0.0.1", "XFORWARD NAME=x",
                 "PROXY TCP4 192.0.2.1 192.0.2.2 1 25", "ETRN boutique.example"):  # fmt: skip
        assert tls.say(line).startswith("502"), line
    assert tls.say("VRFY zoe").startswith("252")


def test_a_browser_is_shown_the_door(relay_of: Running) -> None:  # noqa: F811
    for line in ("GET / HTTP/1.1", "POST /send HTTP/1.1", "Host: mail.boutique.example"):
        with in_tls(relay_of) as wire:
            assert wire.say(line).startswith("500") and wire.hear() == ""


def test_a_chunk_ends_where_its_length_says(own: Wire) -> None:
    """RFC 3030: dots and commands inside are data; what is refused is read to its end."""
    own.send(b"BDAT 24 LAST\r\n" + b"MAIL FROM:<a@b.example>\n")
    assert own.hear().startswith("503")
    raw = HEAD + b"\r\n.\r\nQUIT\r\n"
    own.send(f"{FROM}\r\n{TO}\r\nBDAT {len(raw) - 6}\r\n".encode() + raw[:-6] + b"BDAT 6 LAST\r\n" + raw[-6:])
    assert [own.hear()[:3] for _ in range(4)] == ["250"] * 4
    raw = bytes(db.value("SELECT raw FROM outbound_message"))
    assert raw.endswith(b"\r\n\r\n.\r\nQUIT\r\n")
    own.send(f"{FROM}\r\n{TO}\r\nBDAT {200 << 20}\r\n".encode())
    assert [own.hear()[:3] for _ in range(3)] == ["250", "250", "552"] and own.say("NOOP") == ""


# ---- holding connections


def test_who_does_not_sign_in_is_sent_away(relay_of: Running, monkeypatch: Any) -> None:  # noqa: F811
    monkeypatch.setattr(module, "LOGIN_SECONDS", 0.3)
    with clear(relay_of.port) as wire:
        wire.hear()
        wire.say("EHLO a")
        assert wire.hear().startswith("421") and wire.hear() == ""


def test_who_falls_silent_is_sent_away_also_after_signing_in(
    relay_of: Running,  # noqa: F811
    key: NewKey,  # noqa: F811
    inbound: Mx,  # noqa: F811
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(smtp_session, "IDLE_SECONDS", 0.5)
    with signed_in(relay_of, key) as wire:
        assert wire.hear().startswith("421") and wire.hear() == ""
    with clear(inbound.port) as wire:
        assert wire.hear().startswith("220") and wire.hear().startswith("421") and wire.hear() == ""


def test_many_idle_connections_keep_nobody_waiting(relay_of: Running) -> None:  # noqa: F811
    with contextlib.ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(clear(relay_of.port))
        began = time.monotonic()
        with clear(relay_of.port) as wire:
            assert wire.hear().startswith("220") and time.monotonic() - began < 1


def test_one_address_holds_so_many_connections_and_no_more(relay_of: Running, monkeypatch: Any) -> None:  # noqa: F811
    monkeypatch.setattr(module, "PER_PEER", 3)
    monkeypatch.setattr(module, "_loopback", lambda peer: False)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            assert stack.enter_context(clear(relay_of.port)).hear().startswith("220")
        assert stack.enter_context(clear(relay_of.port)).hear().startswith("421")
