"""Values of sensitive properties: sealed where they lie, opened for who may see them, under keys that turn."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.audience import segments
from envol.audience.language import SegmentProblem
from envol.consent import registry
from envol.contacts import catalogue, fields, imports, people, sealing
from envol.contacts.exports import csv_rows
from envol.contacts.models import Contact, DataKey, Property, PropertyHistory
from envol.db import value

SECRET = "séropositive"


@pytest.fixture
def health(workspace: Workspace) -> Property:
    return catalogue.declare(workspace, "health", "text", "Santé", "Health", sensitive=True)


def _kept(contact: Contact) -> str:
    """Everything that the tables say of her, as text."""
    said = value("SELECT props::text FROM contacts_contact WHERE id = %s", [contact.pk])
    return said + "".join(str(h.value) for h in PropertyHistory.objects.filter(contact_id=contact.pk))


def test_a_value_lies_sealed_and_opens_in_its_workspace_alone(
    workspace: Workspace, add: Callable[..., Contact], health: Property
) -> None:
    zoe = add("zoe", health=SECRET, first_name="Zoé")
    kept = zoe.props["health"]
    assert sealing.is_sealed(kept) and SECRET not in _kept(zoe) and zoe.props["first_name"] == "Zoé"
    assert sealing.opened(workspace.pk, kept) == SECRET
    other = create_workspace(f"{workspace.name}-2")
    assert sealing.opened(other.pk, kept) is None, "copied into another workspace it tells nothing"
    torn = {sealing.SEALED: kept[sealing.SEALED][:-6] + "AAAA=="}
    assert [sealing.opened(workspace.pk, one) for one in (torn, {"sealed": "x"}, {"sealed": "999999999.AAAA"})] == [
        None
    ] * 3
    # The same again is no change, though it is sealed otherwise; another value leaves the old one sealed behind it.
    source = people.source(workspace, "member", "x")
    again = people.upsert(workspace, zoe.email, {"health": SECRET}, source=source)
    assert again.props["health"] == kept and not PropertyHistory.objects.filter(contact_id=zoe.pk).exists()
    people.upsert(workspace, zoe.email, {"health": "guérie"}, source=source)
    assert PropertyHistory.objects.get(contact_id=zoe.pk).key == "health" and SECRET not in _kept(zoe)
    with pytest.raises(ValueError, match="it is longer"):
        people.upsert(workspace, zoe.email, {"health": "x" * 100_000}, source=source)
    # Names stay readable: people are found by them.
    assert not sealing.is_sealed(add("ali", first_name="Ali").props["first_name"])


def test_who_may_see_it_reads_it_and_no_rule_asks_for_it(
    workspace: Workspace, add: Callable[..., Contact], health: Property
) -> None:
    zoe = add("zoe", health=SECRET)
    text = "".join(csv_rows(workspace, columns=["email", "property:health"], language="en"))
    assert list(csv.reader(io.StringIO(text)))[1] == [zoe.email, SECRET]
    hers = registry.export_person(workspace.pk, zoe.pk)
    told = hers["rooms"]["contacts"]["properties"]
    assert [one["value"] for one in told if one["property"] == "health"] == [SECRET]
    tree = {"v": 1, "match": "all", "rules": [{"field": "prop.health", "op": "is", "value": SECRET}]}
    with pytest.raises(SegmentProblem, match="no rule can ask for them"):
        segments.save(workspace, "Malades", tree)


def test_an_import_seals_what_it_brings(workspace: Workspace, health: Property, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(f"email,Santé\nzoe@lecteurs.example,{SECRET}\nali@lecteurs.example,bien\n", "utf-8")
    imp = imports.receive(workspace, file, file.name)
    imports.set_mapping(imp, {"email": "email", "Santé": "property:health"})
    imports.set_permission(imp, {})
    imports.set_origin(imp, imports.PEOPLE)
    assert imports.run(imp)["new"] == 2
    zoe, ali = (people.find(workspace, f"{name}@lecteurs.example") for name in ("zoe", "ali"))
    assert zoe and ali and SECRET not in _kept(zoe)
    assert [sealing.opened(workspace.pk, one.props["health"]) for one in (zoe, ali)] == [SECRET, "bien"]


def test_keys_turn_and_what_was_open_follows_its_property(
    workspace: Workspace, add: Callable[..., Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "_BATCH", 2)
    belief = catalogue.declare(workspace, "belief", "list", "Croyance", "Belief")
    source = people.source(workspace, "member", "x")
    held = [add(f"p{n}", belief=["une", f"n{n}"]) for n in range(5)]
    people.upsert(workspace, held[0].email, {"belief": ["autre"]}, source=source)
    assert "une" in _kept(held[0])

    def change(sensitive: bool) -> None:
        fields.change(belief, label_fr="Croyance", label_en="Belief", purposes=(), personal=True, sensitive=sensitive)
        belief.refresh_from_db()

    def now() -> list[object]:
        return [Contact.objects.get(pk=one.pk).props["belief"] for one in held]

    change(True)
    assert sealing.follow(workspace.pk) == 6 and all(map(sealing.is_sealed, now())), (
        "five people and one value of before"
    )
    assert "une" not in _kept(held[0]) and sealing.follow(workspace.pk) == 0
    first = DataKey.objects.get(workspace=workspace)
    assert sealing.turn(workspace) == 6
    second = DataKey.objects.exclude(pk=first.pk).get(workspace=workspace)
    assert {str(one["sealed"]).partition(".")[0] for one in now()} == {str(second.pk)}  # type: ignore[index]
    assert sealing.opened(workspace.pk, now()[1]) == ["n1", "une"]
    # The old key stays while an undo may bring back what it sealed; then it is destroyed.
    sealing.sweep()
    assert DataKey.objects.filter(pk=first.pk).exists()
    DataKey.objects.filter(pk=second.pk).update(made_at=timezone.now() - sealing.KEPT - timedelta(minutes=1))
    sealing.sweep()
    assert list(DataKey.objects.filter(workspace=workspace)) == [second]
    assert sealing.opened(workspace.pk, now()[1]) == ["n1", "une"]
    change(False)
    assert sealing.follow(workspace.pk) == 6 and now()[1] == ["n1", "une"] and "une" in _kept(held[0])


def test_what_segments_use_is_not_sealed_under_their_feet(workspace: Workspace, add: Callable[..., Contact]) -> None:
    city = catalogue.declare(workspace, "belief", "text", "Croyance", "Belief")
    tree = {"v": 1, "match": "all", "rules": [{"field": "prop.belief", "op": "is", "value": "x"}]}
    segments.save(workspace, "Fidèles", tree)
    with pytest.raises(fields.FieldProblem, match="take it out of Fidèles first"):
        fields.change(city, label_fr="Croyance", label_en="Belief", purposes=(), personal=True, sensitive=True)
    assert json.dumps(city.choices) == "[]"
