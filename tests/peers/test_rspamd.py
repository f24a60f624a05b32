"""A second opinion from the real Rspamd, of Debian's package, with a small configuration of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from envol.outbound import rspamd
from envol.wire.fraud import ALLOW, REFUSE, Reason, Verdict, verdict_of

RSPAMD = shutil.which("rspamd")
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
HONEST = Verdict(ALLOW, 0.0)
CONFIG = """
options {{ pidfile = "{folder}/pid"; filters = ""; dns {{ nameserver = ["127.0.0.1:1"]; timeout = 100ms; }} }}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
"""


def letter(body: bytes) -> bytes:
    return b"From: zoe@boutique.example\r\nSubject: Bonjour\r\n\r\n" + body + b"\r\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if RSPAMD is None:
        pytest.skip("needs the package rspamd")
    folder: Path = tmp_path_factory.mktemp("rspamd")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "rspamd.conf").write_text(CONFIG.format(folder=folder, port=port))
    alone = ["--insecure", "-u", "root", "-g", "root"] if os.geteuid() == 0 else []
    process = subprocess.Popen([RSPAMD, "-f", *alone, "-c", str(folder / "rspamd.conf")], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def test_what_it_rejects_is_refused_and_the_rest_is_left_to_us(url: str) -> None:
    asked = ("zoe@boutique.example", ["luc@lecteurs.example"], "key-1")
    found = rspamd.asked(url, HONEST, letter(GTUBE), *asked)
    assert (found.action, [reason.rule for reason in found.reasons]) == (REFUSE, ["rspamd"])
    assert "reject, 15.0 / 15.0" in found.reasons[0].what
    assert rspamd.asked(url, HONEST, letter(b"Votre commande est partie."), *asked) is HONEST
    ours = verdict_of([Reason("short_link", 2, "bit.ly")])
    assert rspamd.asked(url, ours, letter(b"Bonjour"), *asked) is ours


def test_when_it_does_not_answer_our_rules_decide() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        where = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert rspamd.asked(where, HONEST, letter(GTUBE), "zoe@boutique.example", [], "key-1") is HONEST
