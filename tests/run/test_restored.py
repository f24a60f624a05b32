"""The worst day of an operator: a backup while mail waits, the mail leaves, the directory is lost, the backup restored
and started. By real processes: nobody is mailed twice, who was erased stays so, and the service works."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from envol.run.embedded import Embedded
from tests.run.test_backup_sealed import inside
from tests.run.test_cli import envol

FILL = """
from envol import db
from envol.accounts.models import Workspace
from envol.campaigns.models import Campaign, State
from envol.content import templates
from envol.contacts import people
from envol.outbound import accept, domains
from envol.outbound.models import Sending
w = Workspace.objects.get()
domains.add(w, "boutique.example", trusted=True)
source = people.source(w, "form", "Salon")
for name in ("lea", "zoe"):
    people.upsert(w, name + "@lecteurs.example", {}, source=source)
version = templates.save(w, "lettre", "html", "<p>Bonjour</p>", "Bonjour")
campaign = Campaign.objects.create(workspace=w, name="Automne", state=State.SENDING)
Sending.objects.create(workspace=w, kind="campaign", campaign_id=campaign.pk, state="sending", version_id=version.id)
for subject in ("waits-1", "waits-2"):
    accept.accept_messages([accept.Outgoing(w.pk, ("", "zoe@boutique.example"), [("", "luc@lecteurs.example")],
                            subject=subject, text="Bonjour")])
told = w.pk
"""
MORE = """
from envol.accounts.models import Workspace
from envol.outbound import accept
w = Workspace.objects.get()
accept.accept_messages([accept.Outgoing(w.pk, ("", "zoe@boutique.example"), [("", "luc@lecteurs.example")],
                        subject="anew", text="Bonjour")])
told = 1
"""
SEEN = """
from envol import db
told = [row[0] for row in db.rows("SELECT subject FROM outbound_captured ORDER BY id")]
"""


@contextmanager
def up(data: Path) -> Iterator[int]:
    """`envol up` until it says that it is; its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ENVOL_", "DATABASE_URL", "DJANGO"))}
    command = [sys.executable, "-m", "envol.run.cli", "up", "--data", str(data), "--http", f"127.0.0.1:{port}"]
    with open(data.parent / "up.log", "ab") as log:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"Envol is up"), (data.parent / "up.log").read_text()
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(90)


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("restored") / "data"
    yield folder
    for used in (folder, folder.with_name("again")):
        if used.exists():
            Embedded(used).remove()


def arrived(data: Path, subject: str) -> list[str]:
    """Wait until this one is in the inbox of the local route; all that is there."""
    end = time.monotonic() + 60
    while subject not in (found := inside(data, SEEN)):
        assert time.monotonic() < end, found
        time.sleep(0.5)
    return found


@pytest.mark.slow
def test_nobody_is_mailed_twice_from_a_restored_backup(data: Path, tmp_path: Path) -> None:
    words = ("setup", "--email", "owner@boutique.example", "--password-stdin", "--workspace", "Essai", "--json")
    envol(*words, data=data, stdin="a long pass phrase\n")
    copy, again = tmp_path / "old.backup", data.with_name("again")
    lost = Embedded(data)
    lost.start()
    try:
        inside(data, FILL)
        envol("backup", str(copy), "--json", data=data)
        with up(data):
            assert arrived(data, "waits-2") == ["waits-1", "waits-2"], "they leave after the backup was made"
        envol("erasures", "erase", "zoe@lecteurs.example", "--cause", "letter 7", "--json", data=data)
    finally:
        lost.stop()
    journal = ("--erasures", str(data / "proof" / "erasures.jsonl"), "--json")
    told: dict[str, Any] = json.loads(envol("restore", str(copy), *journal, data=again))
    assert (told["contacts"], told["erased_again"]) == (1, 1)
    assert (told["held_campaigns"], told["held_messages"]) == (["Automne"], 2)
    new = Embedded(again)
    new.start()
    try:
        with up(again):
            inside(again, MORE)
            assert arrived(again, "anew") == ["anew"], "what is new leaves, what waited does not"
            (waits,) = json.loads(envol("restored", "list", "--json", data=again))
            assert (waits["kind"], waits["people"]) == ("transactional", 2)
            number = str(waits["sending_id"])
            assert "Nothing waits under 999999" in envol("restored", "release", "999999", data=again, code=1)
            assert json.loads(envol("restored", "release", number, "--json", data=again))["people"] == 2
            assert arrived(again, "waits-2") == ["anew", "waits-1", "waits-2"], "by somebody's decision"
            assert json.loads(envol("restored", "list", "--json", data=again)) == []
        state = 'from envol import db\ntold = db.value("SELECT state FROM campaigns_campaign")'
        assert inside(again, state) == "paused"
    finally:
        new.stop()
