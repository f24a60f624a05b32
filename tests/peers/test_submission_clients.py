"""Real clients hand in mail to the relay: curl, swaks and msmtp, where they are installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from envol import db
from envol.accounts.workspaces import NewKey
from envol.edge import certificates
from envol.edge.submission import _keep_fresh
from tests.edge.test_submission import HOST, Running, key, queued

pytestmark = pytest.mark.usefixtures("empty_database")
__all__ = ["key"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    from django.db import connection

    files = tmp_path / "c.pem", tmp_path / "k.pem"
    certificates.make_self_signed(HOST, *files)

    def keep(batch: list) -> list[int]:  # type: ignore[type-arg]
        try:
            return _keep_fresh(batch)
        finally:
            connection.close()

    found = Running(certificates.Kept(*files), keep)
    yield found
    found.stop()


@pytest.mark.parametrize(
    "client",
    [
        "curl",
        "curl, TLS at once",
        "swaks",
        "swaks, TLS at once",
        "msmtp",
        "msmtp, TLS at once",
        "msmtp, its secret proved",
    ],
)
def test_a_real_client_hands_in_its_mail(running: Running, key: NewKey, tmp_path: Path, client: str) -> None:
    program = client.partition(",")[0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    if (
        program == "swaks"
        and "TLS supported" not in subprocess.run(["swaks", "--support"], capture_output=True, text=True).stdout
    ):
        pytest.skip("swaks has no TLS here: install libnet-ssleay-perl")
    at_once = client.endswith("once")
    port = running.tls_port if at_once else running.port
    letter = tmp_path / "letter"
    letter.write_bytes(
        b"From: Zoe <zoe@boutique.example>\r\nTo: luc@lecteurs.example\r\nSubject: essai\r\n\r\n.\r\nfin\r\n"
    )
    if program == "curl":
        command = ["curl", "-sS", "--insecure", "--ssl-reqd", f"smtp{'s' if at_once else ''}://127.0.0.1:{port}"]
        command += ["--mail-from", "zoe@boutique.example", "--mail-rcpt", "luc@lecteurs.example"]
        command += ["--user", f"{key.key}:{key.secret}", "--upload-file", str(letter)]
    elif program == "msmtp":
        command = ["msmtp", "--host=127.0.0.1", f"--port={port}", "--tls=on", "--tls-certcheck=off"]
        command += [f"--auth={'scram-sha-256' if client.endswith('proved') else 'plain'}"]
        command += [f"--tls-starttls={'off' if at_once else 'on'}", f"--user={key.key}", "--read-envelope-from"]
        command += [f"--passwordeval=echo {key.secret}", "--dsn-notify=failure,delay", "--dsn-return=headers"]
        command += ["luc@lecteurs.example"]
    else:
        command = ["swaks", "--server", "127.0.0.1", "--port", str(port), "--tls-on-connect" if at_once else "--tls"]
        command += ["--auth-user", key.key, "--auth-password", key.secret, "--from", "zoe@boutique.example"]
        command += ["--to", "luc@lecteurs.example", "--header", "Subject: essai", "--hide-all"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, input=letter.read_text())
    assert said.returncode == 0, said.stdout + said.stderr
    found = queued()
    assert [(row[0], row[1]) for row in found] == [("luc@lecteurs.example", "essai")]
    if client.endswith("proved"):
        wrong = [word.replace(key.secret, "another") for word in command]
        refused = subprocess.run(wrong, capture_output=True, text=True, timeout=60, input=letter.read_text())
        assert refused.returncode != 0 and len(queued()) == 1
    if program == "msmtp":
        asked = db.value("SELECT header -> 'dsn' #>> '{to,luc@lecteurs.example,0}' FROM outbound_message")
        assert asked == "FAILURE,DELAY", "it asks for reports (RFC 3461)"


@pytest.fixture(scope="module")
def nodemailer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its lock names version and digest; npm brings it at test time."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    folder = tmp_path_factory.mktemp("nodemailer")
    for file in (Path(__file__).parent / "nodemailer").iterdir():
        shutil.copy(file, folder)
    subprocess.run(["npm", "ci", "--silent", "--ignore-scripts"], cwd=folder, check=True, timeout=120)
    return folder


@pytest.mark.peers
@pytest.mark.parametrize("how", ["starttls", "secure"])
def test_nodemailer_hands_in_what_it_composes(running: Running, key: NewKey, nodemailer: Path, how: str) -> None:
    port = running.tls_port if how == "secure" else running.port
    command = ["node", "send.js", str(port), key.key, key.secret, how]
    said = subprocess.run(command, cwd=nodemailer, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == [[1, "250"]] * 3
    assert sorted(row[:2] for row in queued()) == [(f"luc{n}@lecteurs.example", f"Reçu n° {n}") for n in (1, 2, 3)]
    wishes = "SELECT DISTINCT header -> 'dsn' #>> ARRAY['to', s.address, '0'] FROM outbound_message m"
    wishes += " JOIN outbound_send s ON s.message_id = m.id"
    assert db.rows(wishes) == [("FAILURE,DELAY",)]
    refused = subprocess.run([*command[:4], "another", how], cwd=nodemailer, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and "535" in refused.stderr and len(queued()) == 3
