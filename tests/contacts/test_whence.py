"""Where a person's data came from first, as her page and an answer to a request say it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.contacts import imports, people, whence
from envol.contacts.models import Contact, List


@pytest.mark.parametrize(
    ("kind", "by"), [("form", "herself"), ("person", "herself"), ("member", "member"), ("api", "program")]
)
def test_the_first_source_counts(workspace: Workspace, kind: str, by: str) -> None:
    first = people.source(workspace, kind, "Le premier", actor="key 4711" if kind == "api" else "")
    person = people.upsert(workspace, "zoe@lecteurs.example", {"first_name": "Zoe"}, source=first)
    with time_machine.travel(timezone.now() + timedelta(days=2)):
        later = people.source(workspace, "member", "Fiche contact")
        people.set_values(person, {"first_name": "Zoé", "last_name": "Martin"}, later)
    came = whence.of(workspace.pk, person.pk)
    assert came is not None and (came.kind, came.by, came.label) == (kind, by, "Le premier")
    assert came.key_id == (4711 if kind == "api" else None)


def test_a_file_says_who_gave_it_and_an_address_alone_by_its_list(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "salon.csv"
    path.write_text("email\nzoe@lecteurs.example\n")
    imp = imports.receive(workspace, path, path.name)
    club = List.objects.create(workspace=workspace, name="Club")
    imports.set_mapping(imp, {column.name: column.target for column in imports.propose(imp)}, club.pk)
    imports.set_origin(imp, imports.OTHER, "Salon du livre", timezone.localdate().isoformat())
    imports.run(imp)
    zoe = Contact.objects.get(workspace_id=workspace.pk)
    assert not zoe.sources
    came = whence.of(workspace.pk, zoe.pk)
    assert came is not None and (came.by, came.name, came.import_id) == ("other", "Salon du livre", imp.pk)
    held = people.export(zoe)["rooms"]["contacts"]["first_source"]
    assert (held["given_by"], held["name"], held["kind"]) == ("other", "Salon du livre", "import")


def test_what_nobody_wrote_down_is_said_to_be_unknown(workspace: Workspace) -> None:
    alone = Contact.objects.create(
        workspace_id=workspace.pk, email="a@lecteurs.example", email_key="a@lecteurs.example"
    )
    assert whence.of(workspace.pk, alone.pk) is None
    assert people.export(alone)["rooms"]["contacts"]["first_source"] is None
