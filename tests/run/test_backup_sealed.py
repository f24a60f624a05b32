"""Sealed values through the worst day: backup, erasure, loss, restore of the old backup, by real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envol.run.embedded import Embedded
from tests.run.test_cli import envol

SECRET = "séropositive"

# What a program of the installation sees: run with its data directory, one JSON line out.
FILL = f"""
from envol.accounts.models import Workspace
from envol.contacts import catalogue, people
w = Workspace.objects.get()
catalogue.declare(w, "health", "text", "Santé", "Health", sensitive=True)
source = people.source(w, "form", "Salon")
for name in ("lea", "zoe"):
    people.upsert(w, name + "@lecteurs.example", {{"health": "{SECRET}", "first_name": name.title()}}, source=source)
told = w.pk
"""
LOOK = """
from envol.contacts import sealing
from envol.contacts.models import Contact
from envol.db import rows, value
told = {
    "read": {c.email: sealing.opened(c.workspace_id, c.props["health"]) for c in Contact.objects.order_by("email")},
    "lies": [text for (text,) in rows("SELECT props::text FROM contacts_contact ORDER BY email")],
    "history": value("SELECT count(*) FROM contacts_property_history"),
}
"""


def inside(data: Path, code: str) -> Any:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ENVOL_", "DATABASE_URL", "DJANGO"))}
    begin = "from pathlib import Path\nfrom envol.run.installation import open_installation\n"
    begin += f"open_installation(Path({str(data)!r}))\n"
    whole = begin + code + "\nimport json; print(json.dumps(told))\n"
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("sealed") / "data"
    yield folder
    for used in (folder, folder.with_name("again"), folder.with_name("alone")):
        if used.exists():
            Embedded(used).remove()


@pytest.mark.slow
def test_an_old_backup_gives_back_what_is_sealed_of_the_living_and_nothing_of_the_erased(
    data: Path, tmp_path: Path
) -> None:
    words = ("setup", "--email", "owner@boutique.example", "--password-stdin", "--workspace", "Essai", "--json")
    envol(*words, data=data, stdin="a long pass phrase\n")
    lost = Embedded(data)
    lost.start()
    copy = tmp_path / "old.backup"
    try:
        inside(data, FILL)
        before = inside(data, LOOK)
        assert set(before["read"].values()) == {SECRET} and not any(SECRET in text for text in before["lies"])
        envol("backup", str(copy), "--json", data=data)
        envol("erasures", "erase", "zoe@lecteurs.example", "--cause", "letter 7", "--json", data=data)
    finally:
        lost.stop()
    again = data.with_name("again")
    journal = ("--erasures", str(data / "proof" / "erasures.jsonl"), "--json")
    told = json.loads(envol("restore", str(copy), *journal, data=again))
    assert (told["contacts"], told["erased_again"]) == (1, 1)
    new = Embedded(again)
    new.start()
    try:
        after = inside(again, LOOK)
        assert after["read"] == {"lea@lecteurs.example": SECRET}, "the key came along; the erased person did not"
        assert after["lies"] == before["lies"][:1] and after["history"] == 0
        # Without the secret of the installation the same tables tell nothing.
        (again / "secret").write_text("0" * 64 + "\n")
        assert inside(again, LOOK)["read"] == {"lea@lecteurs.example": None}
    finally:
        new.stop()
