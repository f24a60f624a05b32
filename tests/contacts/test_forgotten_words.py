"""What an erasure takes away where nobody kept it for the person: her whole name, and nobody else's line."""

from __future__ import annotations

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.contacts import forgotten_words, people
from envol.contacts.models import Import, ImportRefusal

HERS = ["pas une adresse;Éva;Ly (rue D.)", "x;LY Éva;", "eva.ly@lecteurs.example;;", "C+4.7;autre;"]
OTHERS = ["y;Évaristo;Lyautey", "z;Éva;Lyon", "evaxly@lecteurs.example;;", "CCC4x7;;"]


@pytest.mark.parametrize("line", HERS + OTHERS)
def test_a_refused_line_goes_when_it_names_her_and_stays_when_it_does_not(workspace: Workspace, line: str) -> None:
    here = people.source(workspace, "member", "by hand")
    names = {"first_name": "Éva", "last_name": "Ly"}
    person = people.upsert(workspace, "eva.ly@lecteurs.example", names, source=here)
    people.identify(person, "customer", "C+4.7")
    taken = Import.objects.create(workspace=workspace, file_name="salon.csv", path="imports/x")
    db.execute(
        "INSERT INTO contacts_import_refusal (import_id, line, cause, value, row) VALUES (%s, 2, 'email', '', %s)",
        [taken.pk, line],
    )
    assert forgotten_words.refusals(workspace.pk, person.pk) == (line in HERS)
    assert ImportRefusal.objects.filter(import_id=taken.pk).exists() == (line in OTHERS)
