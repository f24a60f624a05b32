"""The command line as people use it: real processes, a real data directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from envol.run.embedded import Embedded

PEOPLE = (
    "E-mail;Prénom;Accord le;Preuve\n"
    "zoe@lecteurs.example;Zoé;03/02/2026;bulletin 12\n"
    "léa@lecteurs.example;Léa;03/02/2026;bulletin 13\n"
    "no address;Nul;03/02/2026;bulletin 14\n"
    "ada@lecteurs.example;Ada;;\n"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cli") / "data"
    yield folder
    for used in (folder, folder.with_name("again")):
        if used.exists():
            Embedded(used).remove()


def envol(*words: str, data: Path, stdin: str = "", code: int = 0) -> str:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("ENVOL_", "DATABASE_URL", "DJANGO"))}
    command = [sys.executable, "-m", "envol.run.cli", *words, "--data", str(data)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + (done.stderr if code else "")


def test_what_needs_no_installation_speaks_json_too() -> None:
    for word in ("version", "settings"):
        command = [sys.executable, "-m", "envol.run.cli", word, "--json"]
        assert json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_a_command_starts_without_what_it_does_not_need() -> None:
    """Every command waits for this, and every process of ours keeps it in memory."""
    heavy = ("sqlglot", "duckdb", "polars", "numpy", "mjml", "dns.resolver", "minijinja", "PIL")
    code = f"import django, sys; django.setup(); print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_road_by_command_line(data: Path, tmp_path: Path) -> None:
    def setup() -> dict[str, object]:
        words = ("setup", "--email", "owner@boutique.example", "--password-stdin", "--workspace", "Essai", "--json")
        return json.loads(envol(*words, data=data, stdin="a long pass phrase\n"))

    assert setup()["made"] is True
    assert setup()["made"] is False, "the second time it says so and changes nothing"
    # Each command would start and stop the database again, as these two did; what follows works beside a running one.
    running = Embedded(data)
    running.start()
    try:
        the_road(data, tmp_path)
    finally:
        running.stop()
    assert json.loads(envol("segment", "count", '{"v":1,"match":"all","rules":[]}', "--json", data=data))["count"] == 2


def the_road(data: Path, tmp_path: Path) -> None:
    key = json.loads(envol("apikey", "create", "--name", "shop", data=data))
    assert set(key) == {"key", "secret"}
    limits = ("--scope", "smtp", "--domain", "boutique.example", "--rate", "5/hour", "--expires", "2099-01-31")
    till = json.loads(envol("apikey", "create", "--name", "till", *limits, data=data))["key"]
    assert "no rate" in envol("apikey", "create", "--name", "x", "--rate", "5 a day", data=data, code=2)
    assert json.loads(envol("apikey", "pause", till[:8], "--reason", "lost", "--json", data=data))["changed"]
    shown = {one["key"]: one for one in json.loads(envol("apikey", "list", "--json", data=data))}
    assert shown[till]["state"] == "This key is paused: lost." and shown[till]["senders"] == ["boutique.example"]
    assert shown[key["key"]]["state"] == "open" and "till" in envol("apikey", "list", data=data)
    assert json.loads(envol("apikey", "resume", till, "--json", data=data))["changed"]
    about = ("about", till, "--family", "Livres", "--seller", "Papeterie Zoé", "--json")
    told = json.loads(envol("apikey", *about, data=data))
    assert (told["product_family"], told["seller"]) == ("Livres", "Papeterie Zoé")
    assert json.loads(envol("apikey", "limit", till, "--scope", "read", "--json", data=data))["per_hour"] is None
    domain = json.loads(envol("domain", "add", "boutique.example", "--trusted", "--json", data=data))
    assert {r["record"] for r in domain["records"]} >= {"DKIM", "SPF", "DMARC"}
    assert "not declared" in envol("etrn", "add", "x.example", "--host", "mail.x.example", data=data, code=1)
    listed = json.loads(
        envol("etrn", "add", "boutique.example", "--host", "mail.boutique.example", "--json", data=data)
    )
    assert (listed["waiting"], listed["scheduled"], listed["host"]) == (0, False, "mail.boutique.example")
    assert "251" in envol("etrn", "start", "boutique.example", data=data)
    assert json.loads(envol("etrn", "list", "--json", data=data))[0]["domain"] == "boutique.example"
    assert json.loads(envol("etrn", "remove", "boutique.example", "--json", data=data))["cancelled"] == 0

    file = tmp_path / "people.csv"
    file.write_bytes(PEOPLE.encode("cp1252"))
    words = (
        "contacts",
        "import",
        str(file),
        "--given-by",
        "people",
        "--purpose",
        "newsletter",
        "--source",
        "shop",
        "--line-proof",
        "--json",
    )
    dry = json.loads(envol(*words, "--dry-run", data=data))
    done = json.loads(envol(*words, data=data))
    assert (dry["new"], done["new"], done["mailable"]) == (done["new"], 3, 2), done

    more = tmp_path / "more.csv"
    more.write_text("email\neva@lecteurs.example\n")
    stated = (
        "contacts",
        "import",
        str(more),
        "--given-by",
        "people",
        "--purpose",
        "newsletter",
        "--date",
        "2026-02-03",
        "--json",
    )
    assert "--statement" in json.loads(envol(*stated, data=data, code=2).splitlines()[0])["error"]
    words = ("--statement", "They signed the list at our counter.", "--member")
    assert "not a member" not in envol(*stated, *words, "owner@boutique.example", "--dry-run", data=data)
    assert "--member" in envol(*stated, *words, "nobody@boutique.example", data=data, code=2)
    business = ("--basis", "business", "--condition", "job_role=bookseller", "--condition", "relation_note=trade fair")
    dry = json.loads(envol(*stated, *words, "owner@boutique.example", *business, "--dry-run", data=data))
    assert dry["mailable"] == 1, dry

    assert [
        r["record"] for r in json.loads(envol("domain", "rotate", "boutique.example", "--json", data=data))["records"]
    ] == ["DKIM"] * 4
    turned = json.loads(envol("domain", "rotate", "boutique.example", "--finish", "--json", data=data))
    assert [r["name"].partition(".")[0] for r in turned["records"]] == ["envol2r", "envol2e"]
    assert "prepare the rotation" in envol("domain", "rotate", "boutique.example", "--finish", data=data, code=1)

    assert json.loads(envol("segment", "count", '{"v":1,"match":"all","rules":[]}', "--json", data=data))["count"] == 3
    assert "no segment 'Nobody'" in envol("segment", "count", "Nobody", data=data, code=1)
    assert json.loads(envol("queue", "--json", data=data)) == []
    found = json.loads(envol("check", "--json", data=data, code=4))
    assert [item["code"] for item in found if not item["ok"]] == ["postal_address"]

    picture = data / "media" / ("A" * 22) / "600.jpg"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"a picture of a message")
    envol("consent", "anchor", data=data)
    copy = tmp_path / "one.backup"
    assert json.loads(envol("backup", str(copy), "--json", data=data))["contacts"] == 3
    assert copy.stat().st_mode & 0o077 == 0, "the file holds the secret: for its owner alone"
    again = data.with_name("again")
    gone = json.loads(envol("erasures", "erase", "zoe@lecteurs.example", "--cause", "letter 7", "--json", data=data))
    assert (
        gone["certified_at"]
        and {"table": "contacts_contact", "rows": 1}.items()
        <= next(line for line in gone["deleted"] if line["table"] == "contacts_contact").items()
    )
    journal = ("--erasures", str(data / "proof" / "erasures.jsonl"), "--json")
    told = json.loads(envol("restore", str(copy), *journal, data=again))
    assert (told["contacts"], told["erased_again"]) == (2, 1) and "known until" in told["erasures"]
    assert (again / "media" / ("A" * 22) / "600.jpg").read_bytes() == b"a picture of a message"
    anchors = "proof/ledger-anchors.jsonl"
    assert (again / anchors).read_bytes() == (data / anchors).read_bytes() != b""
    envol("consent", "verify", "--anchor", str(again / anchors), data=again)
    assert "not empty" in envol("restore", str(copy), data=again, code=1)
    assert json.loads(envol("segment", "count", '{"v":1,"match":"all","rules":[]}', "--json", data=again))["count"] == 2
