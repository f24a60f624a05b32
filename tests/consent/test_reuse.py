"""Another purpose for data that are held: the five factors, what they cannot allow, and what follows."""

from __future__ import annotations

import pytest

from envol.accounts.models import Workspace
from envol.consent import acts, assessments, evidence_pack, purposes, reuse
from envol.consent.models import Assessment, Purpose
from envol.contacts import catalogue, people
from envol.contacts.models import Property

SAID = {name: f"Because of {name}." for name in reuse.FACTORS}


@pytest.fixture
def orders(workspace: Workspace) -> Purpose:
    return purposes.get(workspace, "transactional")


@pytest.fixture
def size(workspace: Workspace, orders: Purpose) -> Property:
    return catalogue.declare(workspace, "shoe", "number", "Pointure", "Shoe size", purposes=1 << orders.bit)


def test_five_answers_are_kept_beside_the_other_assessments(orders: Purpose, size: Property) -> None:
    offers = purposes.get(orders.workspace, "offers")
    for name in reuse.FACTORS:
        with pytest.raises(reuse.Refusal) as lacking:
            reuse.weigh(orders, offers, [size.pk], SAID | {name: "  "}, [], True)
        assert lacking.value.at == name
    with pytest.raises(reuse.Refusal, match="Choose which"):
        reuse.weigh(orders, offers, [0], SAID, [], True)
    with pytest.raises(reuse.Refusal, match="new purpose"):
        reuse.weigh(orders, orders, [size.pk], SAID, [], True)
    assert not Assessment.objects.filter(workspace=orders.workspace).exists()
    yes = reuse.weigh(orders, offers, [size.pk], SAID, [], True)
    no = reuse.weigh(orders, offers, [size.pk], SAID, [], False)
    assert (yes.outcome, no.outcome, yes.kind, yes.purpose) == ("compatible", "not_compatible", "use", offers)
    assert yes.answers["from"] == "transactional" and yes.answers["link"] == "Because of link."
    assert reuse.of(orders) == [no, yes] and assessments.newest(orders.workspace)[offers.pk, "use"] == no
    kept = evidence_pack._assessments(orders.workspace)
    assert kept is not None and "Because of nature." in kept["assessments.json"]


def test_what_no_weighing_allows_needs_consent_whatever_is_said(
    workspace: Workspace, orders: Purpose, size: Property
) -> None:
    def outcome(source: Purpose, target: str, *, signs: tuple[str, ...] = (), field: Property = size) -> list[object]:
        made = reuse.weigh(source, purposes.get(workspace, target), [field.pk], SAID, signs, True)
        return [made.outcome, *made.answers["signs"]]

    assert outcome(orders, "offers") == ["compatible"]
    assert outcome(orders, "offers", signs=("profiling",)) == ["consent", "profiling"], "the member says so"
    assert outcome(orders, "personalisation") == ["consent", "profiling"]
    assert outcome(orders, "measure_opens") == ["consent", "measuring"]
    found = next(one for one in purposes.proposed(workspace) if one[0] == purposes.PARTNERS)
    purposes.add(workspace, found[0], found[1], found[2], texts={"fr": found[4], "en": found[5]})
    assert outcome(orders, purposes.PARTNERS) == ["consent", "passing"]
    health = catalogue.declare(workspace, "health", "text", "Santé", "Health", purposes=1 << orders.bit, sensitive=True)
    assert outcome(orders, "offers", field=health) == ["consent", "sensitive"]
    assert outcome(orders, "offers") == ["compatible"], "the sensitive field was not chosen"
    letter = purposes.get(workspace, "newsletter")
    catalogue.declare(workspace, "shoe", "number", "Pointure", "Shoe size", purposes=1 << orders.bit | 1 << letter.bit)
    assert outcome(letter, "offers") == ["compatible"], "nobody agreed to the newsletter yet"
    zoe = people.upsert(workspace, "zoe@lecteurs.example", {}, source=people.source(workspace, "form", "Salon"))
    people.grant(zoe, letter, proof_of=acts.evidence(workspace, "line", "salon"), proof="1")
    assert outcome(letter, "offers") == ["consent", "consent"], "who agreed to one purpose agreed to that one"
    acts.withdraw(workspace.pk, zoe.pk, [letter])
    assert outcome(letter, "offers") == ["consent", "consent"], "her data were given by consent all the same"
