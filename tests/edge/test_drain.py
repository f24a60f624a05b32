"""SIGTERM while mail comes in: the processes of the relay and of the MX end without a doubt for anybody."""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from envol.accounts.workspaces import NewKey
from envol.content import links
from envol.events.models import Kind
from tests.edge.test_doors_killed import key  # noqa: F401 -- a fixture
from tests.edge.test_inbound import UNKNOWN, events, sent  # noqa: F401 -- a fixture
from tests.edge.test_submission import queued

pytestmark = pytest.mark.usefixtures("empty_database")
TRUST = ssl._create_unverified_context()  # noqa: S323 -- its certificate was made a moment ago
LETTER = b"From: zoe@boutique.example\r\nSubject: x\r\n\r\nIt begins"

RUN = """
import sys
from envol.edge.smtp_session import Listener
from envol.run import process
Listener.drain_seconds = float(sys.argv[2])
process.main(sys.argv[1])
"""


class Process:
    """The relay or the MX, as `envol up` starts it; `seconds` is the time it gives to messages on their way."""

    def __init__(self, name: str, seconds: float, data: Path) -> None:
        self.ports: list[int] = []
        for _ in range(2):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.ports.append(int(free.getsockname()[1]))
        where = f"127.0.0.1:{self.ports[0]}, tls:127.0.0.1:{self.ports[1]}"
        env = {**os.environ, "ENVOL_DATA": str(data), "ENVOL_LOG_LEVEL": "ERROR", f"ENVOL_{name.upper()}": where}
        self.process = subprocess.Popen([sys.executable, "-c", RUN, name, str(seconds)], env=env)
        end = time.monotonic() + 60
        while True:
            assert self.process.poll() is None and time.monotonic() < end, "it does not listen"
            try:
                socket.create_connection(("127.0.0.1", self.ports[1]), 1).close()
                return
            except OSError:
                time.sleep(0.05)

    def client(self, kind: str, key: NewKey | None = None) -> smtplib.SMTP:  # noqa: F811
        """By `kind`: "starttls", "tls" (from the first octet) or "clear"; signed in with `key`."""
        if kind == "tls":
            made: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", self.ports[1], timeout=20, context=TRUST)
        else:
            made = smtplib.SMTP("127.0.0.1", self.ports[0], timeout=20)
            if kind == "starttls":
                made.starttls(context=TRUST)
        made.ehlo()
        if key is not None:
            made.login(key.key, key.secret)
        return made

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> bool:
        return self.process.wait(30) == 0

    def refuses(self) -> bool:
        """Neither port takes a connection any more (waits until the first refusal)."""
        end = time.monotonic() + 20
        for port in self.ports:
            while time.monotonic() < end:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                except ConnectionRefusedError:
                    break
                except OSError:
                    pass
                time.sleep(0.02)
            else:
                return False
        return True


Begin = Callable[..., Process]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    begun: list[Process] = []

    def one(name: str, seconds: float = 20) -> Process:
        begun.append(Process(name, seconds, settings.ENVOL.data if name == "inbound" else tmp_path))
        return begun[-1]

    yield one
    for process in begun:
        process.process.kill()
        process.process.wait()


def in_data(client: smtplib.SMTP, to: str, text: bytes, sender: str = "zoe@boutique.example") -> None:
    """A client in the middle of its message."""
    for said in (client.mail(sender), client.rcpt(to)):
        assert said[0] == 250, said
    assert client.docmd("DATA")[0] == 354
    client.send(text)


def last_words(client: smtplib.SMTP) -> tuple[int, str]:
    code, said = client.getreply()
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.getreply()
    return code, said.decode()[:5]


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_a_message_on_its_way_ends_and_is_kept(begin: Begin, key: NewKey, kind: str) -> None:  # noqa: F811
    relay = begin("submission")
    idle, begun, chunked, busy = (relay.client(kind, key) for _ in range(4))
    begun.mail("zoe@boutique.example")
    chunked.mail("zoe@boutique.example")
    chunked.rcpt("lea@lecteurs.example")
    chunked.send(b"BDAT %d\r\n%s" % (len(LETTER), LETTER))
    assert chunked.getreply()[0] == 250
    in_data(busy, "luc@lecteurs.example", LETTER)
    relay.stop()
    assert last_words(idle) == (421, "4.3.2") and last_words(begun) == (421, "4.3.2")
    assert relay.refuses(), "no new one comes in"
    busy.send(b" and ends.\r\n.\r\nMAIL FROM:<zoe@boutique.example>\r\n")
    chunked.send(b"BDAT 12 LAST\r\n and ends.\r\n")
    for client in (busy, chunked):
        code, said = client.getreply()
        assert code == 250 and b"in our keeping as" in said
        assert last_words(client) == (421, "4.3.2"), "and nothing new is begun"
    assert relay.ended()
    found = queued()
    assert {row[0] for row in found} == {"luc@lecteurs.example", "lea@lecteurs.example"}
    assert all(b"It begins and ends.\r\n" in bytes(row[2]) for row in found)


@pytest.mark.parametrize("kind", ["starttls", "tls"])
def test_a_message_without_its_dot_is_told_421_and_not_kept(begin: Begin, key: NewKey, kind: str) -> None:  # noqa: F811
    relay = begin("submission", seconds=0.5)
    slow, steady = relay.client(kind, key), relay.client(kind, key)
    for client in (slow, steady):
        in_data(client, "luc@lecteurs.example", LETTER)
    relay.stop()
    assert relay.refuses()
    assert steady.sock is not None
    steady.sock.settimeout(0.05)
    told = b""
    while not told:  # a client that goes on writing hears it too, and not a broken connection
        steady.send(b"and goes on and on " * 50 + b"\r\n")
        with contextlib.suppress(TimeoutError):
            told = steady.sock.recv(1000)
    assert told.startswith(b"421 4.3.2")
    assert last_words(slow) == (421, "4.3.2")
    assert relay.ended() and queued() == [], "nothing of it is kept: its client has it still"


@pytest.mark.parametrize("kind", ["clear", "starttls"])
def test_what_comes_home_on_its_way_is_taken(
    begin: Begin,
    sent: tuple[int, int],  # noqa: F811
    kind: str,
) -> None:
    mx = begin("inbound")
    home = links.return_path(*sent, "lettre.boutique.example")
    idle, busy = mx.client(kind), mx.client(kind)
    report = UNKNOWN.replace("\n", "\r\n").encode()
    in_data(busy, home, report[:200], sender="")
    mx.stop()
    assert last_words(idle) == (421, "4.3.2") and mx.refuses()
    busy.send(report[200:] + b"\r\n.\r\n")
    assert busy.getreply()[0] == 250
    assert [facts["class"] for facts in events(Kind.BOUNCED)] == ["user_unknown"], (
        "what was promised is on disk when it is said"
    )
    assert last_words(busy) == (421, "4.3.2") and mx.ended()


@pytest.mark.parametrize("kind", ["clear", "starttls"])
def test_what_comes_home_without_its_dot_leaves_nothing(
    begin: Begin,
    sent: tuple[int, int],  # noqa: F811
    kind: str,
) -> None:
    mx = begin("inbound", seconds=0.2)
    busy = mx.client(kind)
    in_data(busy, links.return_path(*sent, "lettre.boutique.example"), UNKNOWN.replace("\n", "\r\n").encode(), "")
    mx.stop()
    assert last_words(busy) == (421, "4.3.2") and mx.ended()
    assert events(Kind.BOUNCED) == [], "a report without its end says nothing"
