"""What was promised outlives the process that promised it: the relay's and the site's, killed under real clients.

Each client hands in letters with a number of its own, and writes down which were promised (SMTP 250, HTTP 200 with a
number). A letter whose answer was lost may be there or not, once and whole: its client cannot know, and tries again.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import os
import random
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envol import db
from envol.accounts.workspaces import NewKey, create_api_key
from envol.outbound import domains, states

pytestmark = pytest.mark.usefixtures("empty_database")
CLIENTS = 5
KILLS = 2
BETWEEN = 25  # promises, at least, before each kill
END = "and here it ends."


class Door:
    """One process of ours behind a port, started again after each end."""

    def __init__(self, name: str, data: Path, setting: Callable[[int], dict[str, str]]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._command = [sys.executable, "-m", "envol.run.process", name]
        self._env = {**os.environ, "ENVOL_DATA": str(data), "ENVOL_LOG_LEVEL": "ERROR", **setting(self.port)}
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, env=self._env)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.process.poll() is None, "it ended instead of listening"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        pytest.fail("it does not listen")

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(30)


class Crowd:
    """Clients that hand in letter after letter, each in a thread of its own."""

    def __init__(self, hand_in: Callable[[Callable[[], int], Callable[[int], None], Callable[[], bool]], None]) -> None:
        self.promised: set[int] = set()
        self._number = itertools.count()
        self._over = threading.Event()
        self._hand_in = hand_in
        self.strange: list[Exception] = []
        self._threads = [threading.Thread(target=self._work) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._over.is_set():
            try:
                self._hand_in(self._number.__next__, self.promised.add, self._over.is_set)
            except (OSError, smtplib.SMTPException, http.client.HTTPException):
                time.sleep(0.05)  # it is away: as a client does, once more
            except Exception as error:
                self.strange.append(error)
                return

    def wait_for(self, promises: int) -> None:
        end, wanted = time.monotonic() + 60, len(self.promised) + promises
        while len(self.promised) < wanted:
            assert not self.strange, self.strange
            assert time.monotonic() < end, "hardly anything is promised"
            time.sleep(0.01)

    def go_home(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
        assert not self.strange, self.strange


def kill_under(door: Door, crowd: Crowd) -> int:
    """Kill it at random moments; how many letters may be in doubt since."""
    chance = random.Random(7)
    for _ in range(KILLS):
        crowd.wait_for(BETWEEN)
        time.sleep(chance.random() * 0.05)
        door.end(signal.SIGKILL)
        door.start()
    crowd.wait_for(BETWEEN)
    return KILLS * CLIENTS


def in_the_ledger() -> Counter[int]:
    """How often each number was accepted, as whole letters alone."""
    rows = db.rows("SELECT s.address, m.raw FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id")
    for address, raw in rows:
        assert END in bytes(raw).decode(), f"{address}: half a letter"
    return Counter(int(address.partition("@")[0][1:]) for address, _ in rows)


def compare(found: Counter[int], promised: set[int], doubts: int) -> None:
    assert promised <= set(found), f"lost: {sorted(promised - set(found))}"
    assert set(found.values()) == {1}, "nobody twice"
    assert len(set(found) - promised) <= doubts
    assert states.invariants() == []


@pytest.fixture
def key(workspace: Any) -> NewKey:
    domains.add(workspace, "boutique.example", trusted=True)
    return create_api_key(workspace, "la boutique")


@pytest.fixture
def doors() -> Iterator[list[Door]]:
    opened: list[Door] = []
    yield opened
    for door in opened:
        door.process.kill()
        door.process.wait()


def by_smtp(door: Door, key: NewKey, trust: ssl.SSLContext, halves: list[int]) -> Callable[..., None]:
    def hand_in(number: Callable[[], int], promised: Callable[[int], None], over: Callable[[], bool]) -> None:
        client = smtplib.SMTP("127.0.0.1", door.port, local_hostname="shop.example", timeout=20)
        try:
            client.starttls(context=trust)
            client.login(key.key, key.secret)
            while not over():
                n = number()
                client.mail("zoe@boutique.example")
                client.rcpt(f"m{n}@lecteurs.example")
                client.docmd("DATA")
                begin = f"From: zoe@boutique.example\r\nSubject: {n}\r\n\r\nIt begins here\r\n".encode()
                if n % 10 == 9:  # gone in the middle: nothing was promised, nothing may be there
                    halves.append(n)
                    client.send(begin)
                    raise OSError("the client goes away")
                client.send(begin + f"{END}\r\n.\r\n".encode())
                code = client.getreply()[0]
                if code == 250:
                    promised(n)
                elif code != 421:
                    raise AssertionError(f"{n} was answered with {code}")
        finally:
            client.close()

    return hand_in


def test_the_relay_is_killed_and_every_250_is_kept(key: NewKey, doors: list[Door], tmp_path: Path) -> None:
    door = Door("submission", tmp_path, lambda port: {"ENVOL_SUBMISSION": f"127.0.0.1:{port}"})
    doors.append(door)
    trust = ssl._create_unverified_context()  # noqa: S323 -- its certificate was made a moment ago
    halves: list[int] = []
    crowd = Crowd(by_smtp(door, key, trust, halves))
    try:
        doubts = kill_under(door, crowd)
        before = set(in_the_ledger())
        crowd.wait_for(BETWEEN)
        door.end(signal.SIGTERM)  # asked to end, it answers what it took: no doubt is left
    finally:
        crowd.go_home()
    found = in_the_ledger()
    compare(found, crowd.promised, doubts)
    assert set(found) - crowd.promised - before == set(), "an orderly end leaves nobody in doubt"
    assert halves and not set(halves) & set(found), "half a letter leaves no trace"


def test_the_site_is_killed_and_every_number_it_told_is_kept(key: NewKey, doors: list[Door], tmp_path: Path) -> None:
    door = Door("http", tmp_path, lambda port: {"ENVOL_HTTP": f"127.0.0.1:{port}"})
    doors.append(door)
    basic = "Basic " + base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()

    def hand_in(number: Callable[[], int], promised: Callable[[int], None], over: Callable[[], bool]) -> None:
        client = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
        try:
            while not over():
                n = number()
                letter = {
                    "From": {"Email": "zoe@boutique.example"},
                    "To": [{"Email": f"m{n}@lecteurs.example"}],
                    "Subject": f"{n}",
                    "TextPart": f"It begins here\n{END}",
                }
                call = json.dumps({"Messages": [letter]})
                client.request("POST", "/v3.1/send", call, {"Authorization": basic, "Content-Type": "application/json"})
                answer = client.getresponse()
                said = json.loads(answer.read())
                assert answer.status == 200 and said["Messages"][0]["To"][0]["MessageID"], said
                promised(n)
        finally:
            client.close()

    crowd = Crowd(hand_in)
    try:
        doubts = kill_under(door, crowd)
        before = set(in_the_ledger())
        crowd.wait_for(BETWEEN)
        door.end(signal.SIGTERM)
    finally:
        crowd.go_home()
    found = in_the_ledger()
    compare(found, crowd.promised, doubts)
    assert set(found) - crowd.promised - before == set(), "an orderly end leaves nobody in doubt"
