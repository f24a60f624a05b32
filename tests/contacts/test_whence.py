"""Where a person's data came from first, as her page and an answer to a request say it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.utils import timezone

from envol.accounts.models import ApiKey, Role, User, Workspace
from envol.accounts.workspaces import add_member, create_api_key
from envol.api import accepting, declared, send_v31
from envol.consent import informing, purposes
from envol.consent.models import Origin
from envol.contacts import imports, people, whence
from envol.contacts.models import Contact, List
from envol.db import rows
from envol.outbound import domains


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


@pytest.mark.parametrize("on_a_list", [True, False])
def test_a_file_says_who_gave_it_of_an_address_alone_too(workspace: Workspace, tmp_path: Path, on_a_list: bool) -> None:
    path = tmp_path / "salon.csv"
    path.write_text("email\nzoe@lecteurs.example\n")
    imp = imports.receive(workspace, path, path.name)
    club = List.objects.create(workspace=workspace, name="Club") if on_a_list else None
    columns = {column.name: column.target for column in imports.propose(imp)}
    imports.set_mapping(imp, columns, club.pk if club else None)
    imports.set_origin(imp, imports.OTHER, "Salon du livre", workspace.today().isoformat())
    imports.run(imp)
    zoe = Contact.objects.get(workspace_id=workspace.pk)
    assert not zoe.sources
    came = whence.of(workspace.pk, zoe.pk)
    assert came is not None and (came.by, came.name, came.import_id) == ("other", "Salon du livre", imp.pk)
    held = people.export(zoe)["rooms"]["contacts"]["first_source"]
    assert (held["given_by"], held["name"], held["kind"]) == ("other", "Salon du livre", "import")
    again = tmp_path / "plus tard.csv"
    again.write_text("email\nzoe@lecteurs.example\nluc@lecteurs.example\n")
    later = imports.receive(workspace, again, again.name)
    imports.set_mapping(later, columns)
    imports.set_origin(later, imports.PEOPLE)
    imports.run(later)
    assert whence.of(workspace.pk, zoe.pk) == came, "a later file does not become the first source"
    luc = Contact.objects.get(workspace_id=workspace.pk, email_key="luc@lecteurs.example")
    of_luc = whence.of(workspace.pk, luc.pk)
    assert of_luc is not None and (of_luc.by, of_luc.label) == ("people", "plus tard.csv")
    assert imports.undo(later)["removed"] == 1 and Contact.objects.filter(pk=zoe.pk).exists()


def test_an_address_alone_says_which_program_or_form_it_came_by(workspace: Workspace) -> None:
    """A program's call without a value; a letter of a program to somebody new; a letter that shows her own page's
    link; a form without a question."""
    domains.add(workspace, "boutique.example", trusted=True)
    key = ApiKey.objects.get(public_id=create_api_key(workspace, "Le site").key)
    people.upsert(workspace, "par-appel@lecteurs.example", source=declared.source_of(key, None))
    for name, text in (("lettre", "Votre facture"), ("lettre-a-lien", "Votre page : [[UNSUB_LINK_FR]]")):
        call = {
            "Messages": [
                {
                    "From": {"Email": "zoe@boutique.example"},
                    "To": [{"Email": f"{name}@lecteurs.example"}],
                    "Subject": "Bonjour",
                    "TextPart": text,
                }
            ]
        }
        letter = send_v31.read(json.dumps(call).encode()).letters[0]
        assert isinstance(letter, send_v31.Letter)
        assert [one["Status"] for one in accepting.accept_letters(key, [letter])] == ["success"]
    club = List.objects.create(workspace=workspace, name="Club")
    people.upsert(
        workspace,
        "formulaire@lecteurs.example",
        source=people.source(workspace, "form", club.name, actor="sign-up 4711"),
    )
    found = {}
    for one in Contact.objects.filter(workspace_id=workspace.pk):
        came = whence.of(workspace.pk, one.pk)
        assert not one.sources and came is not None, one.email
        found[one.email.partition("@")[0]] = (came.kind, came.by, came.label, came.key_id)
    assert found == {
        "par-appel": ("api", "program", "Le site", key.pk),
        "lettre": ("message", "program", "Le site", key.pk),
        "lettre-a-lien": ("message", "program", "Le site", key.pk),
        "formulaire": ("form", "herself", "Club", None),
    }
    assert whence.keys_that_brought(workspace.pk) == {key.pk}
    brought = whence.brought_by(workspace, key.pk)
    assert brought is not None
    (query, params) = brought[1]
    assert [pk for (pk,) in rows(query, params)] == [
        Contact.objects.get(workspace_id=workspace.pk, email="par-appel@lecteurs.example").pk
    ], "a message to somebody is no hand-over of people"


def test_whoever_is_new_to_a_letter_of_a_program_with_others_data_is_told_within_a_month(workspace: Workspace) -> None:
    """Said of the key: its data come from a partner. So do people whom nobody knew before a message went to them."""
    domains.add(workspace, "boutique.example", trusted=True)
    key = ApiKey.objects.get(public_id=create_api_key(workspace, "Le site").key)
    owner = add_member(workspace, User.objects.create_user(f"claire{workspace.pk}@equipe.example", "x"), Role.OWNER)
    known = people.upsert(workspace, "connue@lecteurs.example", source=people.source(workspace, "member", "Fiche"))

    def write_to(*names: str) -> None:
        call = {
            "Messages": [
                {
                    "From": {"Email": "zoe@boutique.example"},
                    "To": [{"Email": f"{name}@lecteurs.example"}],
                    "Subject": "Bonjour",
                    "TextPart": "Votre facture",
                }
                for name in names
            ]
        }
        letters = [one for one in send_v31.read(json.dumps(call).encode()).letters if isinstance(one, send_v31.Letter)]
        assert [one["Status"] for one in accepting.accept_letters(key, letters)] == ["success"] * len(names)

    write_to("avant")
    declared.declare(
        key, purposes.get(workspace, "newsletter"), "le salon", "leur liste", owner, given_by="Salon du livre"
    )
    write_to("connue", "paul", "lea")
    write_to("paul", "max")
    (origin,) = Origin.objects.filter(workspace=workspace)
    waiting = {pk for (pk,) in rows(informing.WAITING_SQL, [workspace.pk, origin.pk])}
    told = Contact.objects.filter(pk__in=waiting).values_list("email", flat=True)
    assert origin.name == "Salon du livre"
    assert sorted(told) == [f"{name}@lecteurs.example" for name in ("lea", "max", "paul")]
    assert known.pk not in waiting


def test_what_nobody_wrote_down_is_said_to_be_unknown(workspace: Workspace) -> None:
    alone = Contact.objects.create(
        workspace_id=workspace.pk, email="a@lecteurs.example", email_key="a@lecteurs.example"
    )
    assert whence.of(workspace.pk, alone.pk) is None
    assert people.export(alone)["rooms"]["contacts"]["first_source"] is None
