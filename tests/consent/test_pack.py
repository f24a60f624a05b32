"""The ledger outside the database: anchors, the pack and the program that verifies it; each alteration is found."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction

from envol.accounts.models import Workspace
from envol.consent import acts, anchor, chain, ledger, pack, purposes, stand_alone
from envol.consent.ledger import Line
from envol.consent.models import Evidence
from envol.db import execute

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def people(workspace: Workspace) -> list[int]:
    """Three blocks: seven answers on one document, a withdrawal, an answer to the words of a form."""
    newsletter = purposes.get(workspace, "newsletter")
    proof = acts.evidence(
        workspace, "document", "carnet", text=purposes.text(newsletter), document=b"%PDF signed", document_name="c.pdf"
    )
    found = [secrets.randbits(40) for _ in range(7)]
    first = [
        Line(one, newsletter.pk, "granted", "consent", MONDAY, proof.pk, f"page {n}") for n, one in enumerate(found)
    ]
    ledger.append(workspace.id, first)
    ledger.append(workspace.id, [Line(found[0], newsletter.pk, "withdrawn", "consent", MONDAY + timedelta(days=1))])
    ledger.append(
        workspace.id, [Line(found[0], newsletter.pk, "granted", "consent", MONDAY + timedelta(days=2), proof.pk)]
    )
    return found


# -- evidence is committed to ------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE consent_evidence SET source = 'elsewhere' WHERE id = {e}",
        "UPDATE consent_evidence SET facts = '{{\"optout_offered\": true}}' WHERE id = {e}",
        "UPDATE consent_evidence SET document = 'other' WHERE id = {e}",
        "UPDATE consent_evidence SET seal = NULL WHERE id = {e}",
        "UPDATE consent_evidence SET seal = sha256('x') WHERE id = {e}",
        "UPDATE consent_purpose_text SET text = text || ' And more.' WHERE id = {t}",
        "DELETE FROM consent_evidence WHERE id = {e}",
    ],
)
def test_evidence_that_was_altered_is_found(workspace: Workspace, people: list[int], change: str) -> None:
    assert ledger.verify(workspace.id).ok
    proof = Evidence.objects.get(workspace=workspace)
    execute(change.format(e=proof.pk, t=proof.text_id))
    assert not ledger.verify(workspace.id).ok


def test_altered_evidence_with_a_seal_of_its_own_is_found_by_the_lines_that_cite_it(
    workspace: Workspace, people: list[int]
) -> None:
    proof = Evidence.objects.get(workspace=workspace)
    proof.source = "a better place"
    proof.seal = chain.evidence_seal(proof.octets())
    proof.save()
    report = ledger.verify(workspace.id)
    assert {(p.block, p.leaf) for p in report.problems} == {(1, leaf) for leaf in range(7)} | {(3, 0)}


def test_evidence_from_before_seals_keeps_its_lines_valid(workspace: Workspace) -> None:
    newsletter = purposes.get(workspace, "newsletter")
    old = acts.evidence(workspace, "line", "form")
    Evidence.objects.filter(pk=old.pk).update(seal=None)
    ledger.append(workspace.id, [Line(1, newsletter.pk, "granted", "consent", MONDAY, old.pk)])
    assert ledger.verify(workspace.id).ok


# -- anchors -----------------------------------------------------------------------------------


def ours(anchors: list[anchor.Anchor], workspace: Workspace) -> list[anchor.Anchor]:
    return [one for one in anchors if one.workspace_id == workspace.pk]


def test_anchors_are_appended_while_the_chain_grows_and_kept_whole(
    workspace: Workspace, people: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "proof" / "anchors.jsonl"
    assert [(one.block, one.lines) for one in ours(anchor.write(file=file), workspace)] == [(3, 9)]
    assert ours(anchor.write(file=file), workspace) == [], "a chain that did not grow is not noted again"
    ledger.append(workspace.id, [Line(people[1], purposes.get(workspace, "offers").pk, "granted", "consent", MONDAY)])
    anchor.write(file=file)
    noted = anchor.read(file)
    assert [one.block for one in ours(noted, workspace)] == [3, 4] and file.stat().st_mode & 0o777 == 0o600
    assert anchor.check(workspace.pk, noted) == (2, [])
    lines = file.read_bytes().splitlines(keepends=True)
    for spoiled in (lines[:-2] + lines[-1:], [*lines[:-1], b"{}\n"], [lines[-1], *lines[:-1]]):
        if len(spoiled) > 1:
            file.write_bytes(b"".join(spoiled))
            with pytest.raises(anchor.Unreadable):
                anchor.read(file)


def test_a_ledger_written_anew_does_not_pass_through_its_anchors(
    workspace: Workspace, people: list[int], tmp_path: Path
) -> None:
    file = tmp_path / "anchors.jsonl"
    anchor.write(file=file)
    with pytest.raises(InterruptedError), transaction.atomic():
        execute("ALTER TABLE consent_ledger_block DISABLE TRIGGER USER")
        execute("DELETE FROM consent_ledger_block WHERE workspace_id = %s AND no = 3", [workspace.id])
        execute("DELETE FROM consent_permission WHERE workspace_id = %s AND block = 3", [workspace.id])
        execute("UPDATE consent_permission SET until = NULL WHERE workspace_id = %s AND block = 2", [workspace.id])
        assert ledger.verify(workspace.id).ok, "whole in itself"
        held, missed = anchor.check(workspace.pk, anchor.read(file))
        assert (held, [one.block for one in missed]) == (0, [3])
        raise InterruptedError


# -- the pack ----------------------------------------------------------------------------------


@pytest.fixture
def packed(workspace: Workspace, people: list[int], tmp_path: Path) -> Path:
    anchor.write()  # DATA of the tests
    file = tmp_path / "pack.zip"
    counts = pack.write(workspace, file)
    assert counts == {"blocks": 3, "lines": 9, "evidence": 1, "texts": 12, "purposes": 6, "anchors": 1}
    folder = tmp_path / "pack"
    with zipfile.ZipFile(file) as inside:
        inside.extractall(folder)
    return folder


def test_the_pack_verifies_itself_without_envol(packed: Path) -> None:
    command = [sys.executable, "-I", "-S", str(packed / "verify.py")]  # no site-packages: the standard library alone
    for where in (packed, packed.with_suffix(".zip")):
        done = subprocess.run([*command, str(where)], capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "3 blocks, 9 lines, 9 of them readable, 1 anchors: nothing was altered" in done.stdout
    source = Path(stand_alone.__file__).read_text()
    assert len(source.splitlines()) < 200 and "envol." not in source.replace("envol.consent", "envol.")


def edit(name: str, change: Callable[[list[dict]], object]) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        lines = [json.loads(line) for line in (folder / name).read_text().splitlines()]
        changed = change(lines)
        lines = changed if isinstance(changed, list) else lines
        (folder / name).write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    return act


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            edit("lines.jsonl", lambda x: x[3].update(payload=x[3]["payload"] + "!")),
            "else than",
        ),
        (edit("lines.jsonl", lambda x: x[3].update(leaf=4)), "Line 4 of block 1"),
        (edit("lines.jsonl", lambda x: [x[1], x[0], *x[2:]]), "out of order"),
        (edit("lines.jsonl", lambda x: [*x, x[0]]), "there twice"),
        (edit("blocks.jsonl", lambda x: [x[0], x[2]]), "a block is missing"),
        (edit("blocks.jsonl", lambda x: x[:2]), "does not end where"),
        (edit("blocks.jsonl", lambda x: [x[1], x[0], x[2]]), "reordered"),
        (edit("blocks.jsonl", lambda x: x[1].update(at=x[1]["at"] + 1)), "Block 2: its number, time"),
        (edit("blocks.jsonl", lambda x: x[0].update(leaves=x[0]["leaves"][::-1])), "Block 1: its"),
        (edit("texts.jsonl", lambda x: x[0].update(text="Other words")), "altered"),
        (
            edit("evidence.jsonl", lambda x: x[0].update(octets=x[0]["octets"].replace("carnet", "forms"))),
            "not what was",
        ),
        (edit("evidence.jsonl", lambda x: []), "its evidence is missing"),
        (edit("anchors.jsonl", lambda x: x[0].update(hash="00" * 32)), "noted on"),
        (lambda folder: next((folder / "documents").iterdir()).write_bytes(b"another"), "exchanged"),
    ],
)
def test_whatever_is_altered_removed_or_reordered_in_a_pack_is_found(
    packed: Path, spoil: Callable[[Path], None], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stand_alone.main([str(packed)]) == 0
    spoil(packed)
    assert stand_alone.main([str(packed)]) == 1
    assert told in capsys.readouterr().out


def test_what_is_no_pack_is_told(tmp_path: Path) -> None:
    (tmp_path / "head.json").write_text("{}")
    assert stand_alone.main([str(tmp_path)]) == 2
