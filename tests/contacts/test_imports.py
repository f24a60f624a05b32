"""A file of people comes in: mapping, permission, dry run, run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from envol.consent import gates, ledger, purposes, suppression
from envol.contacts import imports, people
from envol.contacts.models import Contact, Identifier, Import, List, Membership, PropertyHistory

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


# -- undo --------------------------------------------------------------------------------------


def test_undo_gives_back_values_and_takes_new_people_and_permissions_away(
    workspace: Any, tmp_path: Path, add: Any
) -> None:
    zoe = add("zoe", first_name="Zoé", last_name="Martin")
    people.tag(zoe, "fidèle")
    text = "email,first name,last name,tags,optin date,proof\n"
    text += "zoe@lecteurs.example,Zoe,Martin,import,2024-05-01,form 1\n"
    text += "yves@lecteurs.example,Yves,Blanc,,2024-05-01,form 2\n"
    text += "xav@lecteurs.example,Xavier,,,2024-05-01,form 3\n"
    letters = List.objects.create(workspace=workspace, name="L")
    imp = bring(workspace, write(tmp_path, text), CONSENT, list_id=letters.id)
    imports.run(imp)
    zoe.refresh_from_db()
    assert zoe.props["first_name"] == "Zoe" and zoe.tags == ["fidèle", "import"]
    assert PropertyHistory.objects.get(contact_id=zoe.id).value == "Zoé"
    xav = by_key(workspace)["xav@lecteurs.example"]
    people.add_note(xav, "A appelé le magasin.")
    blocks = ledger.verify(workspace.id).blocks

    assert imports.undo(imp) == {"removed": 1, "restored": 2, "withdrawn": 3}
    left = by_key(workspace)
    assert set(left) == {"zoe@lecteurs.example", "xav@lecteurs.example"}
    zoe.refresh_from_db()
    assert zoe.props == {"first_name": "Zoé", "last_name": "Martin"} and zoe.tags == ["fidèle"]
    assert imp.source_id not in zoe.sources.values()
    assert left["xav@lecteurs.example"].props == {}
    assert not Membership.objects.filter(list_id=letters.id, until=None).exists()
    newsletter = purposes.get(workspace, "newsletter")
    for person in left.values():
        assert not gates.may_send(workspace.id, person.id, person.email_key, newsletter.id).allowed
    report = ledger.verify(workspace.id)
    assert report.ok and report.blocks > blocks
    with pytest.raises(imports.ImportProblem, match="undone already"):
        imports.undo(imp)


def test_a_value_changed_since_survives_undo(workspace: Any, tmp_path: Path, add: Any, page: Any) -> None:
    zoe = add("zoe", first_name="Zoé", last_name="Martin")
    imp = bring(workspace, write(tmp_path, "email,first name,last name\nzoe@lecteurs.example,Z,M\n"))
    imports.run(imp)
    people.set_values(zoe, {"first_name": "Zoéline"}, source=page)
    imports.undo(imp)
    zoe.refresh_from_db()
    assert zoe.props == {"first_name": "Zoéline", "last_name": "Martin"}


def test_after_seven_days_nothing_is_undone(workspace: Any, tmp_path: Path) -> None:
    imp = bring(workspace, write(tmp_path, "email\nzoe@lecteurs.example\n"))
    imports.run(imp)
    Import.objects.filter(id=imp.id).update(ended_at=datetime.now(UTC) - timedelta(days=7, minutes=1))
    with pytest.raises(imports.ImportProblem, match="7 days"):
        imports.undo(imp)
    assert by_key(workspace)


# -- refusals and suppression ------------------------------------------------------------------


def test_nobody_is_resubscribed(workspace: Any, tmp_path: Path, add: Any) -> None:
    newsletter = purposes.get(workspace, "newsletter")
    gone, left, bounced = add("gone"), add("left"), add("bounced")
    now = datetime.now(UTC) - timedelta(days=1)
    ledger.append(workspace.id, [ledger.Line(gone.id, newsletter.id, "withdrawn", "consent", now)])
    letters = List.objects.create(workspace=workspace, name="L")
    people.join(letters, left)
    people.leave(letters, left)
    suppression.add(workspace.id, bounced.email_key, "all", "hard_bounce", "outcome 1/1")
    suppression.add(workspace.id, "angry@lecteurs.example", "all", "complaint", "outcome 1/2")
    suppression.add(workspace.id, "objector@lecteurs.example", "marketing", "objection", "click 1")
    suppression.add(workspace.id, "erased@lecteurs.example", "all", suppression.ERASED, "request 7")
    names = ["gone", "left", "bounced", "angry", "objector", "erased", "fine"]
    text = "email,consent date,proof\n" + "".join(f"{n}@lecteurs.example,2024-05-01,form\n" for n in names)
    imp = bring(workspace, write(tmp_path, text), CONSENT, list_id=letters.id)
    planned = imports.dry_run(imp)
    counts = imports.run(imp)
    assert counts == planned
    assert (counts["suppressed"], counts["erased"], counts["permission"]["kept_refused"]) == (4, 1, 1)
    assert counts["mailable"] == 2
    found = by_key(workspace)
    assert "erased@lecteurs.example" not in found
    assert found["angry@lecteurs.example"].suppressed and found["objector@lecteurs.example"].objected
    allowed = {
        n.split("@")[0]
        for n, c in found.items()
        if gates.may_send(workspace.id, c.id, c.email_key, newsletter.id).allowed
    }
    assert allowed == {"left", "fine"}
    assert not Membership.objects.filter(list_id=letters.id, contact_id=left.id, until=None).exists()
    from envol.contacts.masks import rebuild_masks

    assert rebuild_masks(workspace) == 0


def test_nothing_stated_is_stored_and_not_mailable(workspace: Any, tmp_path: Path) -> None:
    counts = imports.run(bring(workspace, write(tmp_path, "email\nzoe@lecteurs.example\n")))
    assert counts["new"] == 1 and counts["mailable"] == 0
    zoe = by_key(workspace)["zoe@lecteurs.example"]
    assert zoe.allowed == 0 and ledger.verify(workspace.id).blocks == 0
