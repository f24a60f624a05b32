"""What a person is handed (GDPR art. 15 and 20), held against a life that is known piece by piece."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.collect import joining
from envol.consent import access, purposes
from envol.contacts import catalogue, people
from envol.contacts.models import Contact, List
from envol.contacts.orders import NewLine, NewOrder, add_bulk
from envol.events import NewEvent, record
from envol.events.models import Kind
from tests.collect.helpers import ask, mails, make_form, secret_of

ZOE, LEA = "zoe@lecteurs.example", "lea@lecteurs.example"
NOW = datetime.now(UTC)
CLICKS = 40
OF_EVERY_TYPE = {
    "text": "Ruelle", "number": 3.5, "boolean": True, "date": "1990-02-28", "choice": "jazz", "list": "jazz;polar",
    "place": "Nantes", "money": 1205,
}  # fmt: skip


def life(workspace: Workspace, address: str, mark: str) -> Contact:
    """Two sign-ups, three lists with that of one, one order of two lines, forty clicks, a value of every kind."""
    for form, name in (("Lettre", "first_name"), ("Salon", "first_name")):
        db.execute("DELETE FROM collect_attempt")  # who fills in several forms at once is held, against list bombing
        made = make_form(workspace, f"{form} {mark}")
        ask(made, address, now=NOW, first_name=f"{name} {mark}")
        found = joining.find(made, secret_of(mails(workspace)[-1]))
        assert found is not None
        joining.confirm(found, page="https://lettre.librairie.example/s/x")
    contact = people.find(workspace, address)
    assert contact is not None
    people.join(List.objects.create(workspace=workspace, name=f"Club {mark}"), contact)
    lines = [NewLine(f"Tome {n} {mark}", "livres", 1, 1000) for n in (1, 2)]
    order = f"F-{mark}-{workspace.pk}"
    add_bulk(workspace, [NewOrder(order, NOW - timedelta(days=9), 2000, contact_id=contact.pk, lines=lines)])
    sending = 9000 + contact.pk
    record(
        NewEvent(workspace.pk, int(Kind.CLICKED), contact.pk, sending, link=n, at=NOW - timedelta(hours=n))
        for n in range(1, CLICKS + 1)
    )
    source = people.source(workspace, "form", "Salon")
    catalogue.declare(workspace, "taste", "text", "Goût", "Taste", inferred=True)
    catalogue.declare(workspace, "faith", "text", "Foi", "Faith", sensitive=True)
    for kind in OF_EVERY_TYPE:
        choices = ["jazz", "polar"] if kind in ("choice", "list") else ()
        catalogue.declare(workspace, f"of_{kind}", kind, kind, kind, choices=choices)
    given = {f"of_{kind}": value for kind, value in OF_EVERY_TYPE.items()}
    for taste in ("old", "new"):
        words = {"taste": f"{taste} {mark}", "faith": f"{taste} {mark}"}
        contact = people.upsert(workspace, address, {**words, **given}, source=source)
    return contact


@pytest.fixture
def elsewhere() -> Workspace:
    return create_workspace("ailleurs")


def test_it_is_complete_and_holds_nobody_else(workspace: Workspace, elsewhere: Workspace) -> None:
    zoe = life(workspace, ZOE, "zz-hers")
    life(workspace, LEA, "zz-another")
    life(elsewhere, ZOE, "zz-elsewhere")
    with zipfile.ZipFile(io.BytesIO(access.packed(workspace, zoe.pk, "fr"))) as file:
        whole = b"".join(file.read(name) for name in file.namelist()).decode("utf-8", "replace")
        told = json.loads(file.read("data.json"))
    for theirs in ("zz-another", "zz-elsewhere", LEA, elsewhere.title):
        assert theirs not in whole
    rooms = told["rooms"]
    assert sorted(one["name"] for one in rooms["contacts"]["lists"]) == [
        "Club zz-hers", "Lettre zz-hers", "Salon zz-hers",
    ]  # fmt: skip
    (order,) = rooms["contacts"]["orders"]
    assert order["amount"] == 2000 and [one["product"] for one in order["lines"]] == [
        "Tome 1 zz-hers",
        "Tome 2 zz-hers",
    ]
    clicks = [one for one in rooms["events"]["events"] if one["sending"] == 9000 + zoe.pk]
    assert sorted(one["link"] for one in clicks) == list(range(1, CLICKS + 1))
    said = [one for one in rooms["consent"]["permissions"] if one["purpose"] == "newsletter" and one["text"]]
    for form in ("Lettre zz-hers", "Salon zz-hers"):
        assert any(form in one["source"] for one in said), "with the words, and the form she said it on"


def test_every_field_of_the_catalogue_is_in_it(workspace: Workspace) -> None:
    """Art. 4(1): whatever is declared as a field of people and has a value; the sensitive one legible to her."""
    zoe = life(workspace, ZOE, "zz-hers")
    zoe.refresh_from_db()
    declared = {one.key: one for one in catalogue.of(workspace).values() if one.key in zoe.props}
    assert len(declared) >= len(OF_EVERY_TYPE) + 3
    said = {one["property"]: one for one in access.data(workspace, zoe.pk)["rooms"]["contacts"]["properties"]}
    assert said.keys() == declared.keys()
    assert {key for key, one in said.items() if one["sensitive"]} == {"faith"}
    assert {key for key, one in said.items() if one["inferred"]} == {"taste"}
    assert said["faith"]["value"] == "new zz-hers" and "new zz-hers" not in json.dumps(zoe.props["faith"])
    assert all(one["value"] not in (None, "") and one["source"]["label"] for one in said.values())


def test_what_was_inferred_is_hers_to_see_and_not_to_carry(workspace: Workspace) -> None:
    """Art. 15 against art. 20: guessed fields and habits are in the one file and not in the other."""
    zoe = life(workspace, ZOE, "zz-hers")
    db.execute(
        "INSERT INTO audience_habit (workspace_id, contact_id, habit) VALUES (%s, %s, 'seasonal')",
        [workspace.pk, zoe.pk],
    )

    def seen(portable: bool) -> str:
        return json.dumps(access.data(workspace, zoe.pk, portable=portable))

    for guessed in ('"taste"', '"seasonal"'):
        assert guessed in seen(False) and guessed not in seen(True), guessed
    assert '"faith"' in seen(True), "what she gave is hers to carry"
    assert purposes.get(workspace, "newsletter").key in seen(True)
