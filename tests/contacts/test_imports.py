"""A file of people comes in: mapping, permission, dry run, run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from envol.consent import gates, ledger, purposes
from envol.contacts import imports
from envol.contacts.models import Contact, Identifier, Import, List, Membership

FRENCH = """N° client;E-mail;Prénom;Né(e) le;Ville;Accord le;Preuve
C1;Anne@Lecteurs.example;Anne;31/12/1980;Lyon;05/06/2024;bulletin 1
C2;bruno@lecteurs.example;Bruno "Bibi";;Nîmes;06/06/2024;bulletin 2
C3;chloe@lecteurs.example;Chloé;31/02/1980;Paris;;
C4;pas une adresse;Denis;;;;
C5;anne@lecteurs.example;Annie;01/01/1981;Lyon;07/06/2024;bulletin 5
"""
CONSENT = {
    "purpose": "newsletter",
    "basis": "consent",
    "source": "bulletin en caisse",
    "text_version": 1,
    "evidence": {"kind": "line"},
}


def write(tmp_path: Path, text: str | bytes, name: str = "people.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def bring(workspace: Any, path: Path, permission: dict | None = None, **options: Any) -> Import:
    imp = imports.receive(workspace, path, path.name)
    mapping = {c.name: c.target for c in imports.propose(imp)}
    mapping |= options.pop("mapping", {})
    imports.set_mapping(imp, mapping, **options)
    imports.set_permission(imp, permission or {})
    return imp


def by_key(workspace: Any) -> dict[str, Contact]:
    return {c.email_key: c for c in Contact.objects.filter(workspace_id=workspace.id)}


def test_a_french_file_goes_from_mapping_to_mailable_people(workspace: Any, tmp_path: Path) -> None:
    path = write(tmp_path, FRENCH.encode("cp1252"))
    imp = imports.receive(workspace, path, "clients.csv")
    assert imp.format["encoding"] == "cp1252" and imp.format["separator"] == ";"
    assert imp.mapping == {
        "N° client": "identifier:customer",
        "E-mail": "email",
        "Prénom": "property:first_name",
        "Né(e) le": "property:birth_date",
        "Ville": "property:city",
        "Accord le": "permission_date",
        "Preuve": "permission_proof",
    }
    letters = List.objects.create(workspace=workspace, name="Lettre")
    imports.set_mapping(imp, imp.mapping, list_id=letters.id)
    imports.set_permission(imp, CONSENT)

    planned = imports.dry_run(imp)
    assert not by_key(workspace)
    assert planned["lines"] == 5
    assert (planned["new"], planned["updated"], planned["repeated"]) == (3, 0, 1)
    assert planned["refused"] == {"address": 1, "value": 1}
    assert planned["mailable"] == 2
    assert planned["permission"]["no_proof"] == 1

    done = imports.run(imp)
    assert {k: done[k] for k in ("lines", "new", "updated", "refused", "mailable")} == {
        k: planned[k] for k in ("lines", "new", "updated", "refused", "mailable")
    }
    people = by_key(workspace)
    assert set(people) == {"anne@lecteurs.example", "bruno@lecteurs.example", "chloe@lecteurs.example"}
    anne = people["anne@lecteurs.example"]
    assert anne.props == {"first_name": "Annie", "birth_date": "1981-01-01", "city": {"label": "Lyon"}}
    assert anne.sources == dict.fromkeys(anne.props, imp.source_id)
    assert people["bruno@lecteurs.example"].props["first_name"] == 'Bruno "Bibi"'
    assert people["chloe@lecteurs.example"].props == {"first_name": "Chloé", "city": {"label": "Paris"}}
    assert Membership.objects.filter(list_id=letters.id, until=None).count() == 3
    assert Identifier.objects.get(workspace_id=workspace.id, value="C5").contact_id == anne.id

    newsletter = purposes.get(workspace, "newsletter")
    for key, allowed in (("anne", True), ("bruno", True), ("chloe", False)):
        person = people[f"{key}@lecteurs.example"]
        assert gates.may_send(workspace.id, person.id, person.email_key, newsletter.id).allowed is allowed
        assert bool(person.allowed & 1 << newsletter.bit) is allowed
    assert ledger.verify(workspace.id).ok
    assert imp.state == "done"


def test_the_same_file_again_changes_nothing(workspace: Any, tmp_path: Path) -> None:
    path = write(tmp_path, FRENCH)
    imports.run(bring(workspace, path, CONSENT))
    blocks = ledger.verify(workspace.id).blocks
    again = bring(workspace, path, CONSENT)
    assert imports.dry_run(again)["unchanged"] == 3
    counts = imports.run(again)
    assert (counts["new"], counts["updated"], counts["unchanged"]) == (0, 0, 3)
    assert counts["permission"]["already"] == 2 and counts["permission"]["given"] == 0
    assert ledger.verify(workspace.id).blocks == blocks
