"""A file larger than memory: decided part by part, the answer is the same, and memory does not grow with the lines."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from envol.consent import ledger, suppression
from envol.contacts import imports, people
from envol.contacts.imports import staging
from envol.contacts.imports.staging import Staging
from envol.contacts.masks import rebuild_masks
from envol.contacts.models import Contact, Import

GROWTH_MB = 60


def frame(lines: list[tuple[str, int]]) -> pl.DataFrame:
    wide = [f"{key} {no}" for key, no in lines]
    return pl.DataFrame({"no": [no for _, no in lines], "key": [key for key, _ in lines], "wide": wide})


@pytest.mark.parametrize("runs", [64, 3])
@pytest.mark.parametrize("order", ["mixed", "sorted", "one key", "two halves"])
def test_parts_are_sorted_and_hold_the_last_line_of_each_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, runs: int
) -> None:
    monkeypatch.setattr(staging, "_RUNS", runs)
    monkeypatch.setattr(staging, "PART_LINES", 700)
    monkeypatch.setattr(staging, "_BATCH_LINES", 50)
    monkeypatch.setattr(staging, "_EVERY", 16)
    draw = random.Random(7)
    lines = [(f"é{draw.randrange(4000):05d}@x.example", no) for no in range(10_000)]
    if order == "sorted":
        lines.sort()
    if order == "one key":
        lines = [("a@x.example", no) for _, no in lines]
    if order == "two halves":
        lines = [(key, no) for no, (key, _) in enumerate(sorted(lines) + sorted(lines, reverse=True))]
    last: dict[str, int] = {}
    for key, no in lines:
        last[key] = max(no, last.get(key, 0))
    shelf = Staging(tmp_path)
    for start in range(0, len(lines), 900):
        shelf.add(frame(lines[start : start + 900]))
    parts = list(shelf.parts())
    shelf.close()
    found = pl.concat(parts)
    assert dict(found.select("key", "no").iter_rows()) == last and found.height == len(last)
    assert found["key"].to_list() == sorted(last)
    assert (found["wide"] == found["key"] + " " + found["no"].cast(pl.String)).all()
    assert (shelf.lines, shelf.kept, shelf.repeated) == (len(lines), len(last), len(lines) - len(last))
    assert max(part.height for part in parts) < 1100
    assert not list(tmp_path.iterdir())


def test_many_small_parts_do_what_one_does(
    workspace: Any, tmp_path: Path, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.contacts.imports import plan, write

    suppression.add(workspace.id, "lecteur17@boite.example", "all", "complaint", "outcome 1/2")
    suppression.add(workspace.id, "lecteur18@boite.example", "all", suppression.ERASED, "request 7")
    for n in range(0, 600, 10):
        people.upsert(workspace, f"lecteur{n}@boite.example", {"last_name": f"Nom{n % 20}"}, source=page)
    path = tmp_path / "people.csv"
    text = "email,last name,consent date,proof\n"
    for n in [*range(600), 3, 50, 599]:
        text += f"lecteur{n}@boite.example,Nom{n},2024-05-01,bulletin\n"
    path.write_text(text + "pas une adresse,,,\n")
    consent = {"purpose": "newsletter", "basis": "consent", "source": "caisse", "text_version": 1}

    def bring() -> Import:
        imp = imports.receive(workspace, path, path.name)
        imports.set_permission(imp, consent | {"evidence": {"kind": "line"}})
        imports.set_origin(imp, imports.PEOPLE)
        return imp

    whole = imports.dry_run(bring())
    monkeypatch.setattr(staging, "PART_LINES", 40)
    monkeypatch.setattr(staging, "_BATCH_LINES", 16)
    monkeypatch.setattr(staging, "_EVERY", 8)
    monkeypatch.setattr(plan, "PIECE", 3)
    monkeypatch.setattr(write, "PIECE", 3)
    monkeypatch.setattr(write, "CHUNK", 15)
    imp = bring()
    assert imports.dry_run(imp) == whole == imports.run(imp)
    assert whole["new"] == 600 - 60 - 1 and whole["repeated"] == 3 and whole["updated"] == 60
    assert whole["suppressed"] == 2 and whole["permission"]["given"] == 598
    found = {c.email_key: c for c in Contact.objects.filter(workspace_id=workspace.id)}
    assert len(found) == 599 and all(c.props["last_name"] == f"Nom{key[7:-14]}" for key, c in found.items())
    assert rebuild_masks(workspace) == 0 and ledger.verify(workspace.id).ok
    assert imports.undo(imp) == {"removed": 539, "restored": 58, "withdrawn": 598}


def test_a_long_suppression_list_is_asked_for_the_files_addresses_only(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.contacts.imports import plan

    for n in range(4):
        suppression.add(workspace.id, f"parti{n}@boite.example", "all", "complaint", "outcome 1/2")
    path = tmp_path / "people.csv"
    path.write_text("email\nparti1@boite.example\nreste@boite.example\n")
    short = imports.dry_run(imports.receive(workspace, path, path.name))
    monkeypatch.setattr(plan, "_LISTED", 3)
    monkeypatch.setattr(suppression, "digests", None)
    assert imports.dry_run(imports.receive(workspace, path, path.name)) == short
    assert (short["suppressed"], short["new"]) == (1, 2)


# -- what it takes -----------------------------------------------------------------------------

MEASURE = """
import json, resource, sys
import django
django.setup()
from envol.accounts.models import Workspace
from envol.contacts import imports
from pathlib import Path

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

workspace = Workspace.objects.get(id=int(sys.argv[2]))
for path in map(Path, sys.argv[3:]):
    imp = imports.receive(workspace, path, path.name)
    imports.set_permission(imp, {
        "purpose": "newsletter", "basis": "consent", "source": "caisse", "text_version": 1, "date": "2024-05-01",
        "evidence": {"kind": "document", "name": "registre.txt", "content": b"registre"},
    })
    imports.set_origin(imp, imports.PEOPLE)
    counts = getattr(imports, sys.argv[1])(imp)
    print(json.dumps([counts["lines"], counts["new"], counts["updated"], counts["mailable"], peak()]), flush=True)
"""


def measure(act: str, workspace: Any, *paths: Path) -> list[list[int]]:
    """Lines, new, updated, mailable and the most memory so far (MB), for each file; in a process of their own."""
    argv = [sys.executable, "-c", MEASURE, act, str(workspace.id), *map(str, paths)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, timeout=300)
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_people(path: Path, lines: int, filler: int = 20) -> Path:
    with path.open("w", encoding="utf-8") as out:
        out.write("email;first_name;last_name;remark\n")
        for n in range(lines):
            address = f"lecteur.{n * 2654435761 % 2**32:08x}.{n}@boite{n % 97}.example"
            out.write(f"{address};Zoé;Nom{n};{'rien ' * filler}{n}\n")
        out.write("lecteur.00000000.0@boite0.example;Ada;Dernière;fin\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("act", ["dry_run", "run"])
def test_memory_does_not_grow_with_the_lines(workspace: Any, tmp_path: Path, act: str) -> None:
    first, second = write_people(tmp_path / "first.csv", 100_000), write_people(tmp_path / "second.csv", 300_000)
    before, after = measure(act, workspace, first, second)
    known = 100_000 if act == "run" else 0
    assert before[:4] == [100_001, 100_000, 0, 100_000]
    assert after[:4] == [300_001, 300_000 - known, 0, 300_000], after
    assert after[4] - before[4] < GROWTH_MB, f"{before[4]} MB, then {after[4]} MB"


@pytest.mark.slow
def test_a_file_of_eight_hundred_thousand_lines(workspace: Any, tmp_path: Path) -> None:
    first, second = write_people(tmp_path / "first.csv", 200_000, 4), write_people(tmp_path / "second.csv", 800_000, 4)
    before, after = measure("dry_run", workspace, first, second)
    assert after[:2] == [800_001, 800_000]
    assert after[4] - before[4] < GROWTH_MB, f"{before[4]} MB, then {after[4]} MB"
