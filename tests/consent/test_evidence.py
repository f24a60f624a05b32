"""The six steps follow what is there, assessments keep every answer, and the pack opens without Envol."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path

from django.utils import timezone
from django.utils.translation import override

from envol.accounts.models import Job, Workspace
from envol.consent import acts, assessments, breaches, data_map, desk, evidence_pack, purposes, six_steps
from envol.consent.models import Assessment, Purpose
from envol.contacts import people
from envol.contacts.models import Property


def undone(workspace: Workspace) -> set[str]:
    with override("en"):
        return {one.said for step in six_steps.steps(workspace) for one in step.checks if not one.done}


def test_each_step_is_done_by_what_is_there(workspace: Workspace) -> None:
    assert {
        "The controller is named",
        "Somebody has read the data map",
        "A breach was rehearsed within a year",
    } <= undone(workspace)
    today = workspace.today()
    who = {"legal_name": "SARL", "dpo_name": "Ana", "dpo_contact": "dpo@sarl.example"}
    desk.save(workspace, who | {"trained_on": today, "rights_reviewed_on": today - timedelta(days=400)})
    desk.save_processor(workspace, {"name": "Relay Inc.", "country": "US"})
    Property.objects.filter(workspace=workspace, purposes=0).update(purposes=4)
    breaches.begin(workspace, "Exercice", timezone.now(), drill=True)
    for purpose in Purpose.objects.filter(workspace=workspace):
        met = {"scoring": True, "scale": True} if purpose.key == "offers" else {}
        assessments.screen(workspace, purpose, met, "")
    data_map.confirm(workspace)
    assert undone(workspace) == {
        "Judged red: Relay Inc.",
        "There is a notice for who signs up",
        "The impact assessments that are due are made",
        "Who may do what was looked over within a year",
        "An evidence pack was made within a year",
    }
    assessments.done(workspace, purposes.get(workspace, "offers"), "Scores only choose what is shown.")
    assert "The impact assessments that are due are made" not in undone(workspace)


def test_one_criterion_is_too_few_and_two_are_enough_and_answers_stay(workspace: Workspace) -> None:
    letter = purposes.get(workspace, "newsletter")
    assert assessments.screen(workspace, letter, {"scale": True}, "").outcome == "not_needed"
    assert assessments.screen(workspace, letter, {"scale": True, "vulnerable": True}, "").outcome == "needed"
    assessments.weigh(workspace, letter, {"interest": "Nous"}, False)
    assert Assessment.objects.filter(workspace=workspace).count() == 3
    assert assessments.newest(workspace)[letter.pk, "lia"].outcome == "does_not_hold"
    Property.objects.create(
        workspace=workspace, key="health", label_fr="S", label_en="Health", type="text", purposes=1 << letter.bit,
        sensitive=True,
    )  # fmt: skip
    assert assessments.proposed(workspace, letter)["sensitive"]


def test_the_pack_opens_without_us_and_its_ledger_verifies(workspace: Workspace, tmp_path: Path) -> None:
    one = people.upsert(workspace, "p@lecteurs.example", {}, source=people.source(workspace, "member", "Carnet"))
    letter = purposes.get(workspace, "newsletter")
    proof = acts.evidence(workspace, "line", "Comptoir", text=purposes.text(letter, "fr"))
    acts.grant(workspace.pk, one.pk, one.email_key, letter, proof_of=proof, proof="fiche 1")
    desk.save(workspace, {"legal_name": "Librairie SARL"})
    desk.save_processor(workspace, {"name": "Hôte", "country": "FR", "dpa": b"%PDF-1.4 x", "dpa_name": "a.pdf"})
    breaches.begin(workspace, "Exercice", timezone.now(), drill=True)
    path = evidence_pack.write(workspace, "fr")
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as pack:
        names = set(pack.namelist())
        index = pack.read("index.html").decode()
        assert all(f'href="{name}"' in index for name in names - {"index.html"}), "every file stands in the index"
        assert "Librairie SARL" in index and pack.read("record/controller.pdf").startswith(b"%PDF-")
        assert [f for f in names if f.startswith("processors/contract-")]
        assert json.loads(pack.read("breaches/register.json"))[0]["title"] == "Exercice"
        assert b"p@lecteurs.example" not in b"".join(
            pack.read(name) for name in names if not name.endswith("ledger.zip")
        )
        pack.extract("ledger/ledger.zip", tmp_path)
    ledger = tmp_path / "ledger" / "ledger.zip"
    with zipfile.ZipFile(ledger) as inner:
        inner.extract("verify.py", tmp_path)
    done = subprocess.run([sys.executable, "-I", tmp_path / "verify.py", ledger], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    other = Workspace(pk=workspace.pk + 1)
    assert evidence_pack.file_of(workspace, path.name) and evidence_pack.file_of(other, path.name) is None
    assert evidence_pack.file_of(workspace, f"../evidence/{path.name}") == path, "a path is a name"


def test_the_pack_is_a_job_with_its_file(workspace: Workspace) -> None:
    from envol.consent import tasks

    job = tasks.start_evidence(workspace, "en", 1)
    assert tasks.start_evidence(workspace, "en", 1).pk == job.pk, "one at a time"
    tasks.make_evidence.func(workspace.pk, job.pk, "en")
    job = Job.objects.get(pk=job.pk)
    assert job.state == "done" and evidence_pack.file_of(workspace, job.result["file"]) is not None
