from __future__ import annotations

from pathlib import Path

from envol import db
from envol.accounts.models import Workspace
from envol.contacts import imports
from envol.contacts.models import Contact
from envol.outbound.models import Sending


def test_undoing_an_import_keeps_whoever_was_written_to(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email\nmet@lecteurs.example\nunmet@lecteurs.example\n")
    imp = imports.receive(workspace, file, file.name)
    imports.set_mapping(imp, {"email": "email"})
    imports.set_permission(imp, {})
    imports.set_origin(imp, imports.PEOPLE)
    imports.run(imp)
    met = Contact.objects.get(workspace_id=workspace.id, email_key="met@lecteurs.example")
    sending = Sending.objects.create(workspace=workspace, kind="campaign")
    db.execute(
        "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk) VALUES (%s, %s, %s, %s, %s, 1)",
        [sending.id, met.id, met.id, met.email, "lecteurs.example"],
    )
    imp.refresh_from_db()
    imports.undo(imp)
    left = set(Contact.objects.filter(workspace_id=workspace.id).values_list("email_key", flat=True))
    assert left == {"met@lecteurs.example"}
