"""A file of people comes in: mapping, permission, dry run, run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from envol.campaigns import actions
from envol.consent import gates, ledger, purposes, suppression
from envol.contacts import fields, imports, people
from envol.contacts.models import Contact, Identifier, Import, List, Membership, PropertyHistory
from tests.campaigns.shop import open_shop

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
    imports.set_origin(imp, imports.PEOPLE)
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
    imports.set_origin(imp, imports.PEOPLE)

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


def test_people_of_one_purpose_are_of_no_other(workspace: Any, tmp_path: Path) -> None:
    """GDPR art. 5(1)(b): who came in a file for offers is in no audience of the newsletter."""
    imports.run(bring(workspace, write(tmp_path, FRENCH), CONSENT | {"purpose": "offers"}))
    shop = open_shop(workspace)
    came = by_key(workspace)
    assert {"anne@lecteurs.example", "bruno@lecteurs.example"} <= came.keys()
    asked = {key: purposes.get(workspace, key) for key in ("offers", "newsletter")}
    for key, reason in (("offers", None), ("newsletter", "no_permission")):
        answer = gates.may_send(workspace.id, came["anne@lecteurs.example"].pk, "anne@lecteurs.example", asked[key].pk)
        assert answer.allowed == (reason is None) and (answer.reason or None) == reason
    told = actions.summary(shop.campaign)
    assert told.allowed == 0 and told.excluded == {"no_permission": told.chosen} and told.chosen == len(came)


def test_nothing_stated_is_stored_and_not_mailable(workspace: Any, tmp_path: Path) -> None:
    counts = imports.run(bring(workspace, write(tmp_path, "email\nzoe@lecteurs.example\n")))
    assert counts["new"] == 1 and counts["mailable"] == 0
    zoe = by_key(workspace)["zoe@lecteurs.example"]
    assert zoe.allowed == 0 and ledger.verify(workspace.id).blocks == 0


# -- policies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("merge", {"first_name": "Zoe", "last_name": "Martin", "birth_date": "1980-01-31"}),
        ("keep", {"first_name": "Zoé", "last_name": "Martin", "birth_date": "1980-01-31"}),
        ("replace", {"first_name": "Zoe", "birth_date": "1980-01-31"}),
    ],
)
def test_what_is_known_meets_the_file_by_policy(
    workspace: Any, tmp_path: Path, add: Any, page: Any, policy: str, wanted: dict[str, str]
) -> None:
    zoe = add("zoe", first_name="Zoé", last_name="Martin")
    text = "email,first name,last name,birth date\nZOE@lecteurs.example,Zoe,,31/01/1980\n"
    imp = bring(workspace, write(tmp_path, text), policy=policy)
    assert imports.dry_run(imp)["updated"] == 1
    imports.run(imp)
    zoe.refresh_from_db()
    assert zoe.props == wanted and zoe.email == "zoe@lecteurs.example"
    assert {k: v == imp.source_id for k, v in zoe.sources.items()} == {
        key: key == "birth_date" or (key == "first_name" and policy != "keep") for key in wanted
    }
    imports.undo(imp)
    zoe.refresh_from_db()
    assert zoe.props == {"first_name": "Zoé", "last_name": "Martin"}
    assert set(zoe.sources.values()) == {page.id}


# -- the permission step -----------------------------------------------------------------------

CUSTOMER = {
    "sale_ref": "caisse 2024",
    "sale_date": "2024",
    "entity_id": "librairie",
    "product_family": "livres",
    "optout_offered": True,
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"purpose": "unknown"}, "no purpose"),
        ({"basis": "wish"}, "on what ground"),
        ({"basis": "transactional"}, "transactional"),
        ({"purpose": "measure_opens", "basis": "customer"}, "Measuring"),
        ({"source": " "}, "where"),
        ({"text_version": None}, "version"),
        ({"text_version": 99}, "version 99"),
        ({"date": None}, "when"),
        ({"date": "2999-01-01"}, "future"),
        ({"date": "yesterday"}, "is not a date"),
        ({"evidence": {}}, "column, a document or a statement"),
        ({"evidence": {"kind": "line"}}, "needs a column"),
        ({"evidence": {"kind": "document", "name": "x"}}, "Add the document"),
        ({"evidence": {"kind": "statement", "text": "I saw them agree."}}, "member of this workspace"),
        ({"basis": "customer"}, "kind of product"),
        ({"basis": "customer", "conditions": CUSTOMER | {"optout_offered": False}}, "able to refuse"),
        ({"basis": "business"}, "their profession"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_permission_that_lacks_something_is_refused(
    workspace: Any, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    imp = bring(workspace, write(tmp_path, "email\nzoe@lecteurs.example\n"))
    stated = {
        "purpose": "newsletter",
        "basis": "consent",
        "source": "salon",
        "date": "2024-05-01",
        "text_version": 1,
        "evidence": {"kind": "document", "name": "liste.pdf", "content": b"%PDF"},
    }
    with pytest.raises(imports.ImportProblem, match=said):
        imports.set_permission(imp, stated | change)
    imports.set_permission(imp, stated)
    imports.set_origin(imp, imports.PEOPLE)
    assert imports.run(imp)["mailable"] == 1


def test_business_contacts_are_not_at_private_mailboxes(workspace: Any, tmp_path: Path) -> None:
    imp = bring(
        workspace,
        write(tmp_path, "email\nachats@usine.example\nmarie@gmail.com\n"),
        {
            "purpose": "offers",
            "basis": "business",
            "source": "salon",
            "date": "2024-05-01",
            "evidence": {"kind": "document", "name": "liste.pdf", "content": b"%PDF"},
            "conditions": {"job_role": "acheteurs", "relation_note": "fournitures de leur métier"},
        },
    )
    counts = imports.run(imp)
    assert (counts["new"], counts["mailable"], counts["permission"]["private_mailbox"]) == (2, 1, 1)


GENERAL = {
    "purpose": "offers",
    "basis": "business",
    "source": "annuaire",
    "date": "2024-05-01",
    "evidence": {"kind": "document", "name": "liste.pdf", "content": b"%PDF"},
}


def test_no_profession_is_asked_where_all_addresses_are_general(workspace: Any, tmp_path: Path) -> None:
    """Of companies; at a consumer provider, and of any other name, nobody knows that it is no person's."""
    companies = "".join(f"{name}@usine-{n}.example\n" for n, name in enumerate(("info", "Contact", "ventes+salon")))
    imp = bring(workspace, write(tmp_path, "email\n" + companies + "no address\n"), GENERAL)
    counts = imports.run(imp)
    assert (counts["new"], counts["mailable"]) == (3, 3)
    rest = "marie@usine.example\nMARIE@usine.example\ninfo@gmail.com\n"
    mixed = write(tmp_path, "email;also\n" + (companies + rest).replace("\n", ";info@autre.example\n"), "mixed.csv")
    with pytest.raises(imports.ImportProblem, match="asked for 2 addresses that may be people's"):
        bring(workspace, mixed, GENERAL)


def test_people_get_nothing_when_another_column_becomes_the_address_afterwards(workspace: Any, tmp_path: Path) -> None:
    imp = bring(workspace, write(tmp_path, "email;own\ninfo@usine.example;marie@usine.example\n"), GENERAL)
    imports.set_mapping(imp, {"own": "email", "email": "skip"})
    counts = imports.run(imp)
    assert (counts["new"], counts["mailable"], counts["permission"]["no_job_relation"]) == (1, 0, 1)


# -- interruptions -----------------------------------------------------------------------------


def many(count: int) -> str:
    lines = "".join(f"p{n:04d}@lecteurs.example;P{n};2024-05-01;form {n}\n" for n in range(count))
    return "email;prenom;consent date;proof\n" + lines


@pytest.mark.parametrize("part", [25_000, 300])
def test_cancel_leaves_whole_chunks_and_a_later_run_does_the_rest(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    from envol.accounts.jobs import Cancelled
    from envol.contacts.imports import staging
    from envol.contacts.imports import write as writing
    from envol.contacts.masks import rebuild_masks

    monkeypatch.setattr(writing, "CHUNK", 50)
    monkeypatch.setattr(staging, "PART_LINES", part)
    imp = bring(workspace, write(tmp_path, many(1000)), CONSENT)

    def stop(done: int, total: int | None, step: str) -> None:
        if step == "writing" and done >= 100:
            raise Cancelled

    with pytest.raises(Cancelled):
        imports.run(imp, stop)
    imp.refresh_from_db()
    some = len(by_key(workspace))
    assert imp.state == "cancelled" and 100 <= some < 1000 and imp.counts["new"] == some
    assert rebuild_masks(workspace) == 0 and ledger.verify(workspace.id).ok

    counts = imports.run(imp)
    assert (counts["new"], counts["unchanged"], counts["mailable"]) == (1000, 0, 1000)
    assert imp.state == "done" and rebuild_masks(workspace) == 0 and ledger.verify(workspace.id).ok
    assert imports.undo(imp) == {"removed": 1000, "restored": 0, "withdrawn": 1000}
    assert not by_key(workspace)


def test_people_who_come_by_another_door_meanwhile_are_met_as_known(
    workspace: Any, tmp_path: Path, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.contacts.imports import plan
    from envol.contacts.masks import rebuild_masks

    imp = bring(workspace, write(tmp_path, many(20)), CONSENT)
    parts = plan.Plan.parts

    def late(self: Any, *args: Any) -> Any:
        for part in parts(self, *args):
            people.upsert(workspace, "p0007@lecteurs.example", {"last_name": "Sept"}, source=page)
            yield part

    monkeypatch.setattr(plan.Plan, "parts", late)
    counts = imports.run(imp)
    seven = by_key(workspace)["p0007@lecteurs.example"]
    assert seven.props == {"first_name": "P7", "last_name": "Sept"}
    assert len(by_key(workspace)) == 20 and counts["new"] == 19
    newsletter = purposes.get(workspace, "newsletter")
    assert all(c.allowed & 1 << newsletter.bit for c in by_key(workspace).values())
    assert rebuild_masks(workspace) == 0 and ledger.verify(workspace.id).ok


def test_two_imports_of_one_workspace_do_not_run_at_once(workspace: Any, tmp_path: Path) -> None:
    first = bring(workspace, write(tmp_path, many(3)))
    second = bring(workspace, write(tmp_path, many(4)))

    def meanwhile(done: int, total: int | None, step: str) -> None:
        if step == "writing":
            with pytest.raises(imports.ImportProblem, match="Another import"):
                imports.run(second)

    imports.run(first, meanwhile)
    assert imports.run(second)["unchanged"] == 3


def test_an_identifier_of_somebody_else_is_listed_and_the_person_stays(
    workspace: Any, tmp_path: Path, add: Any
) -> None:
    people.identify(add("zoe"), "customer", "C1")
    imp = bring(workspace, write(tmp_path, "email;N° client\nann@lecteurs.example;C1\nbob@lecteurs.example;C2\n"))
    counts = imports.run(imp)
    assert counts["new"] == 2 and counts["refused"] == {"identifier": 1}
    assert "C1" in "".join(imports.refused_csv(imp))
    assert Identifier.objects.filter(workspace_id=workspace.id).count() == 2


def test_a_job_runs_an_import_and_says_so(workspace: Any, tmp_path: Path) -> None:
    from envol.accounts.models import Job
    from envol.contacts import tasks

    imp = bring(workspace, write(tmp_path, many(5)))
    job = tasks.start(imp, "run")
    tasks.run_import.func(import_id=imp.id, job_id=job.id)
    job.refresh_from_db()
    assert (job.state, job.result["new"]) == ("done", 5)
    tasks.run_import.func(import_id=imp.id, job_id=job.id)  # taken up again after the end: nothing more
    assert len(by_key(workspace)) == 5
    assert Job.objects.get(id=job.id).state == "done"


def test_town_postcode_and_country_are_one_place(workspace: Any, tmp_path: Path) -> None:
    text = (
        "Email;Ville;Code postal;Pays\n"
        "a@lecteurs.example;Lyon;69001;France\n"
        "b@lecteurs.example;;44000;\n"
        "c@lecteurs.example;Berlin;10115;Allemagne\n"
        "d@lecteurs.example;Nantes;;\n"
        "e@lecteurs.example;;;\n"
        "f@lecteurs.example;Ys;29000;Atlantide\n"
    )
    imp = imports.receive(workspace, write(tmp_path, text), "villes.csv")
    assert {name: target for name, target in imp.mapping.items() if name != "Email"} == {
        "Ville": "property:city",
        "Code postal": "part:city.postcode",
        "Pays": "part:city.country",
    }
    with pytest.raises(imports.ImportProblem, match="nothing a column can become"):
        imports.set_mapping(imp, imp.mapping | {"Ville": "part:first_name.postcode"})
    imports.set_mapping(imp, imp.mapping)
    imports.set_permission(imp, {})
    imports.set_origin(imp, imports.PEOPLE)
    counts = imports.run(imp)
    assert counts["refused"] == {"value": 1}
    found = {key[0]: person.props.get("city") for key, person in by_key(workspace).items()}
    assert found["d"] == {"label": "Nantes"} and found["e"] is None and found["f"] is None
    assert found["a"]["label"] == "Lyon" and (found["a"]["postcode"], found["a"]["country"]) == ("69001", "FR")
    assert 45 < found["a"]["lat"] < 46 and 47 < found["b"]["lat"] < 48 and 52 < found["c"]["lat"] < 53
    again = bring(workspace, write(tmp_path, text, "encore.csv"))
    assert imports.run(again)["unchanged"] == 6


def test_a_property_of_its_own_keeps_the_postcodes(workspace: Any, tmp_path: Path) -> None:
    fields.adopt(workspace, "postcode")
    imp = imports.receive(workspace, write(tmp_path, "Email;Ville;CP\na@lecteurs.example;Lyon;69001\n"), "cp.csv")
    assert imp.mapping["CP"] == "property:postcode"
