"""A file of people that goes from one organisation to another brings no permission with it, and says who gave it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.consent import acts, gates, informing, purposes
from envol.consent.models import Origin, Permission, Purpose
from envol.contacts import export_files, imports, people
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, Import

ZOE = "zoe@lecteurs.example"


def brought(workspace: Workspace) -> Import:
    """The whole file of another workspace, mapped here."""
    there = create_workspace("voisine", title="La Voisine")
    newsletter = purposes.get(there, "newsletter")
    form = people.source(there, "form", "Lettre")
    zoe = people.upsert(there, ZOE, {"first_name": "Zoé"}, source=form)
    people.upsert(there, "max@lecteurs.example", {"first_name": "Max"}, source=form)
    proof = acts.evidence(there, "document", "Lettre", document=b"signed")
    acts.grant(there.pk, zoe.pk, zoe.email_key, newsletter, proof_of=proof)
    assert gates.may_send(there.pk, zoe.pk, zoe.email_key, newsletter.pk).allowed
    export = export_files.prepare(there, Filter(), "csv", ["email", "first_name"], reason="À la voisine", name="Tous")
    export_files.write(export)
    file = export_files.file_of(export)
    assert file is not None
    taken = imports.receive(workspace, file, "voisine.csv")
    imports.set_mapping(taken, {column.name: column.target for column in imports.propose(taken)})
    return taken


def test_it_starts_without_permission_and_whoever_is_new_is_told(workspace: Workspace) -> None:
    taken = brought(workspace)
    imports.set_permission(taken, {})
    with pytest.raises(imports.ImportProblem, match="who gave you"):
        imports.run(taken)
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists(), "nothing is written before"
    today = workspace.today()
    imports.set_origin(taken, imports.OTHER, "La Voisine", (today - timedelta(days=2)).isoformat())
    counts = imports.run(taken)
    assert (counts["new"], counts["mailable"]) == (2, 0)
    zoe = Contact.objects.get(workspace_id=workspace.pk, email_key=ZOE)
    marketing = Purpose.objects.filter(workspace=workspace, kind="marketing")
    assert marketing and not any(gates.may_send(workspace.pk, zoe.pk, ZOE, one.pk).allowed for one in marketing)
    assert not Permission.objects.filter(contact_id=zoe.pk).exists()
    origin = Origin.objects.get(workspace=workspace)
    assert origin.name == "La Voisine" and informing.standing(origin).waiting == 2
