from __future__ import annotations

import datetime
import http.client
import json
import os
import re
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, HTTPSHandler, Request, build_opener

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from envol.run import up
from envol.run.config import Config, ConfigError, load
from envol.run.embedded import Embedded
from envol.run.up import refuse_open_doors
from tests.loopback import Loopback


@pytest.mark.parametrize("address", ["127.0.0.1:8025", "localhost:8025", "[::1]:8025"])
def test_loopback_needs_no_tls(address: str) -> None:
    refuse_open_doors(Config(http=address))


@pytest.mark.parametrize("address", ["0.0.0.0:8025", "192.0.2.7:8025", "[::]:8025", "mail.example.org:8025"])
def test_beyond_loopback_up_refuses_without_tls(address: str) -> None:
    with pytest.raises(ConfigError, match="no TLS"):
        refuse_open_doors(Config(http=address))
    refuse_open_doors(Config(http=address, insecure=True))
    refuse_open_doors(Config(http=address, tls_cert="c.pem", tls_key="k.pem"))


def test_all_processes_together_stay_within_forty_connections(tmp_path: Path) -> None:
    config = load(tmp_path, environ={})
    assert up.couriers_of(config, 2) == 2
    most = up.couriers_of(config, 64)
    assert (
        config.pool_http + config.pool_worker + 2 * most + 1 + up._OF_AUDIENCE + up._FOR_COMMANDS <= up.MOST_CONNECTIONS
    )
    assert most == 5
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        up.couriers_of(load(tmp_path, environ={}, couriers=30), 2)
    with pytest.raises(ConfigError, match="submission_processes = 9"):
        up.couriers_of(load(tmp_path, environ={}, submission="127.0.0.1:0", submission_processes=9, couriers=2), 2)
    names = [one.name for one in up.specs(load(tmp_path, environ={}, submission="127.0.0.1:0", submission_processes=2))]
    assert names.count("submission") == names.count("submission-2") == 1
    elsewhere = {"DATABASE_URL": "postgresql:///somewhere"}
    assert up.couriers_of(load(tmp_path, environ=elsewhere, couriers=30), 2) == 30
    with pytest.raises(ConfigError, match="pool_worker"):
        load(tmp_path, environ={}, worker_jobs=5)


def test_what_keeps_processes_up_does_not_carry_the_pages_with_it() -> None:
    code = "import sys, envol.run.up; print([m for m in ('django', 'typer', 'psycopg') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.strip() == "[]"


def test_the_server_of_the_demonstration_ends_with_who_waits_for_it() -> None:
    code = (
        "import os, subprocess, sys; child = subprocess.Popen(['sleep', '600']); print(child.pid, flush=True);"
        "os.execv(sys.executable, [sys.executable, '-m', 'envol.run.demo.stay', str(child.pid)])"
    )
    waits = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert waits.stdout is not None
    child = int(waits.stdout.readline())
    end = time.monotonic() + 30
    end = time.monotonic() + 30

    def listens() -> bool:
        caught = re.search(r"SigCgt:\s(\w+)", Path(f"/proc/{waits.pid}/status").read_text())
        return caught is not None and bool(int(caught[1], 16) >> (signal.SIGTERM - 1) & 1)

    while not listens() and time.monotonic() < end:
        time.sleep(0.05)
    waits.send_signal(signal.SIGTERM)
    assert waits.wait(30) == 128 + signal.SIGTERM and not Path(f"/proc/{child}").exists()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself: (certificate, key)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    where = tmp_path / "cert.pem", tmp_path / "key.pem"
    where[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    where[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return where


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    if folder.exists():
        Embedded(folder).remove()


PASSWORD = "correct horse battery"
READERS = ("luc@lecteurs.example", "ines.moreau@poste.example")
STRANGER = "inconnue@ailleurs.example"
"""Who tries to sign in and asks for a new password without an account: no mail goes there."""


def _hand_in_by_smtp(data: Path, env: dict[str, str], port: int, trust: ssl.SSLContext) -> dict[str, str]:
    """As a developer does: a domain, a key, and the address of the server changed. The key."""

    def envol(*words: str, given: str | None = None) -> str:
        command = [sys.executable, "-m", "envol.run.cli", *words, "--data", str(data), "--json"]
        return subprocess.run(command, env=env, check=True, capture_output=True, text=True, input=given).stdout

    envol("setup", "--email", "zoe@boutique.example", "--password-stdin", "--workspace", "Boutique", given=PASSWORD)
    envol("domain", "add", "boutique.example", "--trusted")
    key: dict[str, str] = json.loads(envol("apikey", "create", "--name", "la caisse"))
    with smtplib.SMTP("localhost", port, timeout=20) as client:
        client.starttls(context=trust)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(key["key"], "not " + key["secret"])
        client.login(key["key"], key["secret"])
        client.sendmail(
            "zoe@boutique.example",
            ["luc@lecteurs.example"],
            b"From: zoe@boutique.example\r\nSubject: x\r\n\r\nBonjour\r\n",
        )
    return key


def _come_back(port: int, trust: ssl.SSLContext, return_path: str) -> None:
    """A mailbox is not there: what its server writes to us."""
    report = (
        "From: postmaster@lecteurs.example\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nGone.\r\n--b\r\n"
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.lecteurs.example\r\n\r\n"
        f"Final-Recipient: rfc822; {READERS[0]}\r\nAction: failed\r\nStatus: 5.1.1\r\n--b--\r\n"
    )
    with smtplib.SMTP("localhost", port, timeout=20) as client:
        client.starttls(context=trust)
        client.sendmail("", [return_path], report.encode())


def _a_day(port: int, trust: ssl.SSLContext, key: dict[str, str]) -> list[str]:
    """What members and programs do over HTTP, well and badly; the tokens that were part of it."""
    site, jar = f"https://localhost:{port}", CookieJar()
    browser = build_opener(HTTPSHandler(context=trust), HTTPCookieProcessor(jar))

    def ask(path: str, form: dict[str, str] | bytes | None = None, **headers: str) -> int:
        content = (
            urlencode({**form, "csrfmiddlewaretoken": cookie("csrf")}).encode() if isinstance(form, dict) else form
        )
        try:
            with browser.open(Request(site + path, content, {"Referer": site, **headers}), timeout=30) as answer:
                return int(answer.status)
        except HTTPError as error:
            return error.code

    def cookie(name: str) -> str:
        return next((one.value or "" for one in jar if one.name.endswith(name)), "")

    login = {"login": "zoe@boutique.example", "password": PASSWORD}
    assert ask("/login/") == 200
    assert ask("/login/", {"login": STRANGER, "password": PASSWORD}) == 200, "an unknown person"
    assert ask("/login/", {**login, "password": "wrong " + PASSWORD}) == 200
    assert ask("/password/reset/", {"email": STRANGER}) == 200
    assert ask("/login/", login) == 200
    seen = [cookie("csrf"), cookie("session")]
    assert all(seen)
    # Into the address of a page, as far as a person may write it; and pages that are not there, or fail.
    for path in (f"/contacts?q={READERS[0]}", f"/contacts/{READERS[0]}", f"/u/{key['secret']}", f"/s/{key['secret']}"):
        assert ask(path) in (200, 404)
    assert ask("/contacts/1/rectify", {"email": READERS[1]}) == 404
    basic = {"Authorization": "Basic " + b64encode(f"{key['key']}:{key['secret']}".encode()).decode()}
    message = {
        "From": {"Email": "zoe@boutique.example"},
        "To": [{"Email": READERS[1]}],
        "TextPart": "x",
        "Subject": "x",
    }
    content = json.dumps({"Messages": [message]}).encode()
    assert ask("/v3.1/send", content, **basic, **{"Content-Type": "application/json"}) == 200
    unknown = b64encode(f"nobody:{key['secret']}".encode()).decode()
    assert ask("/v3.1/send", b"{", Authorization=f"Basic {unknown}") == 401
    return seen


@pytest.mark.slow
def test_everything_comes_up_with_tls_within_its_connections_and_drains(
    data: Path, certificate: tuple[Path, Path]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = Loopback(data.parent)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ENVOL_", "DATABASE_URL", "DJANGO"))} | world.env
    words = ["--http", f"127.0.0.1:{port}", "--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1])]
    with socket.socket() as free, socket.socket() as other:
        free.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        submission, inbound = free.getsockname()[1], other.getsockname()[1]
    words += ["--submission", f"127.0.0.1:{submission}", "--inbound", f"127.0.0.1:{inbound}"]
    command = [sys.executable, "-m", "envol.run.cli", "up", "--data", str(data), "--json", *words]
    log = data.parent / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command,
            env=env,
            stdout=subprocess.PIPE,
            stderr=out,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().decode().startswith(f"Envol is up: https://localhost:{port}"), log.read_text()
        second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert second.returncode == 3 and "Envol is up already" in second.stderr, "one supervisor for one directory"
        trust = ssl.create_default_context(cafile=str(certificate[0]))
        connection = http.client.HTTPSConnection("localhost", port, context=trust, timeout=20)
        connection.request("GET", "/ready")
        assert connection.getresponse().read()
        connection.request("GET", "/login/")
        answer = connection.getresponse()
        assert answer.status == 200
        cookies = answer.headers.get_all("Set-Cookie") or []
        answer.read()
        connection.close()
        assert cookies and all(c.startswith("__Host-") and "Secure" in c for c in cookies), cookies
        key = _hand_in_by_smtp(data, env, submission, trust)
        tokens = _a_day(port, trust, key)
        with smtplib.SMTP("localhost", inbound, timeout=20) as client:
            client.starttls(context=trust)
            client.ehlo()
            client.mail("")
            assert client.rcpt("luc@lecteurs.example")[0] == 550, "never an open relay"
        server = Embedded(data)
        try:
            with psycopg.connect(server.start()) as database:
                for _ in range(200):
                    rows = database.execute(
                        "SELECT envelope_to, raw, envelope_from FROM outbound_captured ORDER BY id"
                    ).fetchall()
                    if len(rows) >= len(READERS):
                        break
                    time.sleep(0.1)
                    database.rollback()
                assert sorted(row[0] for row in rows) == [[one] for one in sorted(READERS)]
                found = next(row for row in rows if row[0] == ["luc@lecteurs.example"])
                _come_back(inbound, trust, found[2])
                assert found[1].count(b"DKIM-Signature:") == 2 and b"From: zoe@boutique.example" in found[1]
                names = [row[0] for row in database.execute("SELECT application_name FROM pg_stat_activity").fetchall()]
        finally:
            server.stop()
        used = Counter(names)
        assert set(used) >= {"envol worker", "envol courier", "envol http", "envol submission"}
        assert used["envol worker"] <= Config().pool_worker
        assert used["envol http"] <= Config().pool_http
    finally:
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert process.wait(60) == 0, log.read_text()
        assert time.monotonic() - began < 40
    assert not Embedded(data).running(), "its database ends with it"
    said = log.read_text()
    assert '"event": "all processes ready"' in said, "one JSON object a line"
    assert "submission sign-in refused" in said and "mail came back" in said
    told = [*READERS, STRANGER, "zoe@boutique.example", PASSWORD, key["key"], key["secret"], *tokens, found[2]]
    assert [one for one in told if one in said] == [], "no address of a person, no key and no token is in the log"
    assert world.calls() == [], "a fresh installation calls nobody"


def test_a_call_to_another_machine_would_be_seen(tmp_path: Path) -> None:
    """Or the emptiness above would prove nothing: by name, by number, by datagram, in a child of a child."""
    world = Loopback(tmp_path)
    tries = (
        "import socket, subprocess, sys\n"
        "def attempt(act):\n try: act()\n except OSError as why: print(why.errno)\n"
        "attempt(lambda: socket.create_connection(('192.0.2.1', 443), 1))\n"
        "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'?', ('127.0.0.1', 53)))\n"
        "attempt(lambda: socket.socket(socket.AF_INET6).connect(('2001:db8::1', 25)))\n"
        "with socket.create_server(('127.0.0.1', 0)) as here: socket.create_connection(here.getsockname(), 1)\n"
    )
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {tries!r}], check=True)"
    said = subprocess.run(
        [sys.executable, "-c", nested], env={**os.environ, **world.env}, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["101"] * 3
    assert [line.split()[0] for line in world.calls()] == ["connect", "sendto", "connect"]
    assert len(world.calls(but_names=True)) == 2
