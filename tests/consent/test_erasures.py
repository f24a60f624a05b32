"""An erasure outlives the database: the journal beside it, erasing again after a restore, the certificate."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings

from envol.accounts.models import Workspace
from envol.audience.columns import store
from envol.consent import erasures, suppression
from envol.consent.models import Erasure, Suppression
from envol.contacts import forgotten, people
from envol.contacts.models import Contact


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, data=tmp_path))
    return tmp_path


def add(workspace: Workspace, address: str) -> Contact:
    return people.upsert(workspace, address, {"first_name": "Zoé"}, source=people.source(workspace, "form", "Salon"))


def entries() -> list[erasures.Entry]:
    return erasures.read(erasures.journal().read_bytes())


def test_every_erasure_is_a_line_beside_the_database_and_holds_no_address(workspace: Workspace) -> None:
    zoe = add(workspace, "zoe@lecteurs.example")
    people.erase(zoe, cause="request 12")
    (line,) = entries()
    assert (line.workspace, line.cause, line.scope) == (workspace.pk, "request 12", "person")
    assert bytes.fromhex(line.digest) == suppression.digest_many(workspace.pk, ["zoe@lecteurs.example"])[0]
    assert b"zoe" not in erasures.journal().read_bytes() and erasures.journal().stat().st_mode & 0o077 == 0


def test_half_a_line_of_a_crash_spoils_neither_the_lines_before_nor_those_after(workspace: Workspace) -> None:
    people.erase(add(workspace, "zoe@lecteurs.example"), cause="request 1")
    with erasures.journal().open("ab") as file:
        file.write(b'{"at": "2026-')
    people.erase(add(workspace, "noe@lecteurs.example"), cause="request 2")
    assert [one.cause for one in entries()] == ["request 1", "request 2"]
    with pytest.raises(ValueError, match="not a journal"):
        erasures.read(b"PGDMP something else")


def test_a_restore_brings_nobody_back(workspace: Workspace) -> None:
    """The rows are put back as an old backup would, the journal is that of the lost installation."""
    zoe, noe = add(workspace, "zoe@lecteurs.example"), add(workspace, "noe@lecteurs.example")
    backup_at = datetime.now(UTC)
    Contact.objects.filter(pk=noe.pk).update(email="other@lecteurs.example", email_key="other@lecteurs.example")
    noe.refresh_from_db()
    people.erase(zoe, cause="request 1")
    people.erase(noe, cause="request 2")
    lost = entries()
    for person, address in ((zoe, "zoe@lecteurs.example"), (noe, "noe@lecteurs.example")):
        Contact.objects.create(
            id=person.pk,
            workspace_id=workspace.pk,
            email=address,
            email_key=address,
            created_at=person.created_at,
            sources={},
        )
    Suppression.objects.filter(workspace_id=workspace.pk).delete()
    Erasure.objects.filter(workspace_id=workspace.pk).delete()
    bystander = add(workspace, "lea@lecteurs.example")

    assert forgotten.replay(lost, backup_at) == 2, "Noé had another address when the backup was made"
    assert list(Contact.objects.filter(workspace_id=workspace.pk)) == [bystander]
    keys = ["zoe@lecteurs.example", "other@lecteurs.example", "lea@lecteurs.example"]
    assert {key for key, one in suppression.lookup(workspace.pk, keys).items() if one.erased} == set(keys[:2])
    assert entries() == lost, "a replay writes no new line"
    assert forgotten.replay(lost, backup_at) == 0


def test_who_came_back_herself_stays(workspace: Workspace) -> None:
    people.erase(add(workspace, "zoe@lecteurs.example"), cause="request 1")
    lost = entries()
    back = add(workspace, "zoe@lecteurs.example")
    suppression.lift(workspace.pk, back.email_key, "marketing", "own consent to newsletter")
    assert forgotten.replay(lost, datetime.now(UTC) + timedelta(seconds=1)) == 0
    assert Contact.objects.filter(pk=back.pk).exists()
    assert not suppression.lookup(workspace.pk, [back.email_key]), "the backup is younger: it knows better"


def test_the_certificate_waits_for_the_last_copy(workspace: Workspace, own_data: Path) -> None:
    zoe = add(workspace, "zoe@lecteurs.example")
    people.erase(zoe, cause="request 1")
    (row,) = Erasure.objects.filter(workspace_id=workspace.pk)
    home = store.folder(own_data, workspace.pk)

    def slabs(version: str, watermark: int) -> None:
        (home / version).mkdir(parents=True)
        (home / version / "manifest.json").write_text(json.dumps({"watermark": watermark}))

    slabs("1", row.stamp)
    slabs("2", row.stamp + 1)
    assert erasures.certify(workspace.pk) == 0
    told = erasures.certificate(row)
    assert told["certified_at"] is None and told["copies_that_may_hold_her"] == ["columns"]
    (home / "1" / "manifest.json").unlink()
    assert erasures.certify(workspace.pk) == 0, "a version that does not say what it holds may hold her"
    (home / "1").rmdir()
    assert erasures.certify(workspace.pk) == 1
    row.refresh_from_db()
    told = erasures.certificate(row)
    assert (
        told["certified_at"]
        and {"contacts_contact": 1}.items() <= {line["table"]: line["rows"] for line in told["deleted"]}.items()
    )
    assert "zoe" not in json.dumps(told)
