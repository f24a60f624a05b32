from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.consent import acts, ledger, purposes, registry, why
from envol.consent.bases import unmet
from envol.consent.models import Evidence, Permission
from envol.contacts import people
from envol.db import execute

SALE = {"sale_ref": "F-12", "sale_date": "2026-02-01", "product_family": "livres", "optout_offered": True}
JOB = {"job_role": "libraire", "relation_note": "catalogue professionnel"}
TOMORROW = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()


@pytest.mark.parametrize(
    ("basis", "kind", "strength", "facts", "address", "code"),
    [
        ("consent", "marketing", "line", {}, "", None),
        ("consent", "marketing", "none", {}, "", "no_evidence"),
        ("consent", "marketing", "a rumour", {}, "", "no_evidence"),
        ("consent", "measuring", "document", {}, "", None),
        ("customer", "measuring", "document", SALE, "", "consent_only"),
        ("customer", "marketing", "document", SALE, "", None),
        ("customer", "marketing", "none", SALE, "", "no_evidence"),
        ("customer", "marketing", "document", SALE | {"optout_offered": "yes"}, "", "no_opt_out_offered"),
        ("customer", "marketing", "document", SALE | {"sale_ref": " "}, "", "sale_incomplete"),
        ("customer", "marketing", "document", SALE | {"product_family": None}, "", "sale_incomplete"),
        ("customer", "marketing", "document", SALE | {"sale_date": "1/2/26"}, "", "sale_date"),
        ("customer", "marketing", "document", SALE | {"sale_date": TOMORROW}, "", "sale_date"),
        ("business", "marketing", "statement", JOB, "zoe@librairie.example", None),
        ("business", "marketing", "statement", {"job_role": "libraire"}, "zoe@librairie.example", "no_job_relation"),
        ("business", "marketing", "statement", JOB, "zoe@laposte.net", "free_mail"),
        ("transactional", "transactional", "none", {}, "", None),
        ("transactional", "marketing", "line", {}, "", "not_a_contract"),
        ("because", "marketing", "line", {}, "", "unknown_basis"),
    ],
)
def test_a_ground_counts_only_when_all_its_conditions_hold(
    basis: str, kind: str, strength: str, facts: dict, address: str, code: str | None
) -> None:
    lacking = unmet(basis, kind, strength=strength, facts=facts, email_key=address)
    assert (lacking.code if lacking else None) == code
    if lacking:
        assert lacking.sentence("fr") != lacking.sentence("en") and lacking.en.endswith(".")


def test_a_ground_without_its_conditions_writes_nothing(workspace: Workspace) -> None:
    offers = purposes.get(workspace, "offers")
    proof = acts.evidence(workspace, "document", "caisse", document=b"%PDF", facts=SALE | {"optout_offered": False})
    with pytest.raises(acts.Refusal, match="refusal must have been offered"):
        acts.grant(workspace.id, 1, "zoe@lecteurs.example", offers, basis="customer", proof_of=proof)
    assert ledger.head(workspace.id) is None


def test_a_purpose_of_another_workspace_and_a_missing_line_proof_are_refused(workspace: Workspace) -> None:
    offers = purposes.get(workspace, "offers")
    proof = acts.evidence(workspace, "line", "salon")
    with pytest.raises(acts.Refusal, match="another workspace"):
        acts.grant(workspace.id + 1, 1, "zoe@lecteurs.example", offers, proof_of=proof)
    with pytest.raises(acts.Refusal, match="this person's proof"):
        acts.grant(workspace.id, 1, "zoe@lecteurs.example", offers, proof_of=proof)


@pytest.mark.parametrize(
    ("strength", "details", "sentence"),
    [
        ("strong", {}, "Evidence is"),
        ("document", {}, "Attach the document"),
        ("statement", {"statement": "Recueillis au comptoir."}, "member who makes it"),
        ("line", {"source": " "}, "where the permissions"),
    ],
)
def test_evidence_holds_what_its_strength_promises(
    workspace: Workspace, strength: str, details: dict, sentence: str
) -> None:
    with pytest.raises(acts.Refusal, match=sentence):
        acts.evidence(workspace, strength, **({"source": "salon"} | details))
    assert not Evidence.objects.filter(workspace=workspace).exists()


def test_every_room_that_keeps_people_is_on_the_data_map() -> None:
    tables = {data.table for room in registry.data_map().values() for data in room}
    assert {"contacts_contact", "contacts_order", "consent_permission", "consent_suppression", "events_event"} <= tables


def test_a_ground_is_never_swapped_silently(workspace: Workspace) -> None:
    """Art. 6(1): another ground is a line of its own with its own evidence; the former answer stays what it was, and
    a row that is changed beside the ledger is found."""
    offers, salon = purposes.get(workspace, "offers"), people.source(workspace, "form", "Salon")
    zoe = people.upsert(workspace, "zoe@lecteurs.example", {}, source=salon)
    sold = acts.evidence(workspace, "document", "caisse", document=b"%PDF", facts=SALE)
    before = datetime.now(UTC) - timedelta(days=9)
    people.grant(zoe, offers, basis="customer", proof_of=sold, since=before)
    with pytest.raises(acts.Refusal, match="Without any proof"):
        people.grant(zoe, offers, basis="consent")
    bare = acts.evidence(workspace, "document", "carnet", document=b"signed")
    with pytest.raises(acts.Refusal):
        people.grant(zoe, offers, basis="business", proof_of=bare)
    people.grant(zoe, offers, basis="consent", proof_of=bare)
    hers = Permission.objects.filter(workspace_id=workspace.pk, contact_id=zoe.pk, purpose_id=offers.pk)
    found = hers.order_by("since")
    assert [(one.basis, one.evidence_id, one.until is None) for one in found] == [
        ("customer", sold.pk, False), ("consent", bare.pk, True),
    ]  # fmt: skip
    assert why.why(workspace, zoe.pk, zoe.email_key, offers, at=before + timedelta(days=1)).permission == found[0]
    assert ledger.verify(workspace.pk).ok
    execute("UPDATE consent_permission SET basis = 'customer' WHERE id = %s", [found[1].pk])
    assert not ledger.verify(workspace.pk).ok
