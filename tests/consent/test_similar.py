"""Customers hear of products like those they bought, of the same seller: on each road, then and now, and in words."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import actions, checks, choosing, drafts
from envol.campaigns.refusals import Refused
from envol.consent import acts, desk, gates, similar, suppression, why
from envol.consent.similar import ANYTHING, Offer
from envol.contacts import people
from envol.contacts.models import Contact
from envol.outbound import lease
from tests.campaigns.shop import Shop, open_shop, start
from tests.examples import examples

SALE = {"sale_ref": "F-12", "sale_date": "2026-02-01", "optout_offered": True}


def customer(shop: Shop, family: str, seller: str = "", name: str = "") -> Contact:
    name = name or secrets.token_hex(5)
    one = people.upsert(
        shop.workspace, f"{name}@lecteurs.example", {}, source=people.source(shop.workspace, "form", "Salon")
    )
    facts = {**SALE, "product_family": family, **({"entity_id": seller} if seller else {})}
    proof = acts.evidence(shop.workspace, "document", "caisse", document=b"tickets", facts=facts)
    people.grant(one, shop.newsletter, basis="customer", proof_of=proof)
    return one


def agreed(shop: Shop) -> Contact:
    one = people.upsert(
        shop.workspace, f"{secrets.token_hex(5)}@lecteurs.example", {},
        source=people.source(shop.workspace, "form", "Salon"),
    )  # fmt: skip
    proof = acts.evidence(shop.workspace, "document", "carnet", document=b"signed")
    people.grant(one, shop.newsletter, proof_of=proof)
    return one


def reason(shop: Shop, one: Contact, offer: Offer) -> str:
    """What the single gate says, after looking that the gates of many say the same: by evidence that was looked at
    beforehand, and by each person's own where there is much of it."""
    said = gates.may_send(shop.workspace.pk, one.pk, one.email_key, shop.newsletter.pk, offer=offer).reason
    with pytest.MonkeyPatch.context() as patch:
        for many in (similar.MANY, -1):
            patch.setattr(similar, "MANY", many)
            for among in ("", "chosen"):
                gate = choosing.refusal_sql(shop.newsletter, [], (), offer, among=among)
                here = f"WITH chosen AS (SELECT {one.pk}::bigint AS id)"
                ((at_once,),) = db.rows(f"{here} SELECT {gate} FROM contacts_contact c WHERE c.id = {one.pk}")
                assert said == (at_once or ""), (said, at_once, many, among)
    return said


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


@pytest.mark.parametrize(
    ("bought", "about", "same"),
    [
        ("livres", "livres", True),
        ("Livres", " LIVRES", True),
        ("Épicerie fine", "epicerie  FINE", True),
        ("œuvres d’art", "OEUVRES d’art", True),
        ("100 % coton", "100 % COTON", True),
        ('l\'"or" \\u', 'L\'"OR" \\U', True),
        ("Ελιές", "ελιες", True),
        ("livres", "disques", False),
        ("livres", "livre", False),
        ("livres", "", False),
        ("", "", False),
    ],
)
def test_kinds_are_compared_as_people_read_them(shop: Shop, bought: str, about: str, same: bool) -> None:
    one = customer(shop, bought or "x")
    if not bought:  # of an earlier day, before the kind had to be said
        db.execute("UPDATE consent_permission SET evidence_id = NULL WHERE contact_id = %s", [one.pk])
    assert reason(shop, one, Offer(about)) == ("" if same else gates.OTHER_PRODUCTS)


def test_another_seller_is_another_seller_and_no_seller_is_the_organisation(shop: Shop) -> None:
    found = desk.of(shop.workspace)
    found.legal_name = "Librairie du Port SARL"
    found.save()
    by_law, by_title = (customer(shop, "livres", one) for one in ("LIBRAIRIE du Port SARL", shop.workspace.title))
    unnamed, other = customer(shop, "livres"), customer(shop, "livres", "Papeterie Zoé")
    for one in (by_law, by_title, unnamed):
        assert reason(shop, one, Offer("livres")) == ""
        assert reason(shop, one, Offer("livres", "Librairie du port sarl")) == ""
        assert reason(shop, one, Offer("livres", "Papeterie Zoé")) == gates.OTHER_PRODUCTS
    assert reason(shop, other, Offer("livres")) == gates.OTHER_PRODUCTS
    assert reason(shop, other, Offer("livres", "papeterie zoe")) == ""
    assert reason(shop, other, Offer("cahiers", "papeterie zoe")) == gates.OTHER_PRODUCTS


def test_whoever_agreed_hears_of_anything_and_so_does_a_customer_who_agrees_later(shop: Shop) -> None:
    assert reason(shop, agreed(shop), ANYTHING) == ""
    one = customer(shop, "livres")
    assert reason(shop, one, Offer("disques")) == gates.OTHER_PRODUCTS
    before = datetime.now(UTC)
    proof = acts.evidence(shop.workspace, "document", "carnet", document=b"signed")
    people.grant(one, shop.newsletter, proof_of=proof)
    assert reason(shop, one, Offer("disques")) == "" == reason(shop, one, ANYTHING)
    then = gates.may_send(
        shop.workspace.pk, one.pk, one.email_key, shop.newsletter.pk, now=before, offer=Offer("disques")
    )
    assert then.reason == gates.OTHER_PRODUCTS, "of the past it is asked by the answer of that day"


def campaign_about(shop: Shop, family: str, seller: str = "") -> None:
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, product_family=family, seller=seller)


def test_a_campaign_reaches_the_customers_of_its_kind_and_says_beforehand_whom_it_does_not(shop: Shop) -> None:
    reader, listener, yes = customer(shop, "Livres"), customer(shop, "disques"), agreed(shop)
    stopped = customer(shop, "disques")
    suppression.add(shop.workspace.pk, stopped.email_key, "all", "hard_bounce", "outcome 1/1")
    look = checks.look(shop.campaign)
    assert look.who is not None and look.who.allowed == 1
    assert look.who.excluded == {gates.OTHER_PRODUCTS: 2, gates.SUPPRESSED: 1}
    (said,) = [one for one in look.checks if one.code == gates.OTHER_PRODUCTS]
    assert said.facts == {"people": 2}
    assert "L34-5" in said.fr and "13(2)" in said.en and "does not say" in said.en
    campaign_about(shop, " livres ")
    assert shop.campaign.product_family == "livres"
    look = checks.look(shop.campaign)
    assert look.who is not None and (look.who.allowed, look.who.excluded[gates.OTHER_PRODUCTS]) == (2, 1)
    query, given_ = checks.allowed_ids(shop.campaign)
    assert {id for (id,) in db.rows(query, given_)} == {reader.pk, yes.pk}
    sending = start(shop)
    assert (sending.product_family, sending.seller) == ("livres", "")
    assert {no for (no,) in db.rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.pk])} == {
        reader.pk, yes.pk,
    }  # fmt: skip
    left = dict(db.rows("SELECT contact_id, reason FROM outbound_excluded WHERE sending_id = %s", [sending.pk]))
    assert left == {listener.pk: gates.OTHER_PRODUCTS, stopped.pk: gates.SUPPRESSED}


def test_of_many_the_whole_audience_is_counted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        customer(shop, "disques")
    few = checks.summary(shop.campaign)
    monkeypatch.setattr(choosing, "MOST_BY_NUMBER", 1)
    assert checks.summary(shop.campaign) == few and few.excluded == {gates.OTHER_PRODUCTS: 3}


def _leased() -> Iterator[lease.Row]:
    while more := lease.lease("here", 5000, seconds=60):
        for one in more:
            yield from one.rows


def test_what_a_sale_turns_out_to_be_counts_until_it_leaves(empty_database: None, workspace: Workspace) -> None:
    shop = open_shop(workspace)
    campaign_about(shop, "livres")
    keeps, changes = customer(shop, "livres"), customer(shop, "livres")
    sending = start(shop)
    facts = {**SALE, "product_family": "disques"}
    proof = acts.evidence(workspace, "document", "caisse", document=b"others", facts=facts)
    people.grant(changes, shop.newsletter, basis="customer", proof_of=proof)
    assert {row.no for row in _leased() if row.sending.id == sending.pk} == {keeps.pk}
    causes = db.rows("SELECT no, cause FROM outbound_outcome WHERE sending_id = %s", [sending.pk])
    assert causes == [(changes.pk, gates.OTHER_PRODUCTS)]


def test_a_test_message_is_no_way_round(shop: Shop) -> None:
    one = customer(shop, "livres")
    with pytest.raises(Refused, match="similar products|semblables"):
        actions.send_test(shop.campaign, one.email)
    campaign_about(shop, "livres")
    assert actions.send_test(shop.campaign, one.email).product_family == "livres"


def test_why_says_what_she_may_be_written_to_about(shop: Shop) -> None:
    one = customer(shop, "livres", "Papeterie Zoé")

    def ask(offer: Offer | None) -> why.Why:
        return why.why(shop.workspace, one.pk, one.email_key, shop.newsletter, offer=offer)

    of_nothing = ask(None)
    assert of_nothing.answer.allowed and of_nothing.facts()["only"] == {"family": "livres", "seller": "Papeterie Zoé"}
    assert of_nothing.sentence("en").endswith("only about products like “livres”, of “Papeterie Zoé”.")
    assert "produits semblables à «\u202flivres\u202f», de «\u202fPapeterie Zoé\u202f»" in of_nothing.sentence("fr")
    assert ask(Offer("Livres", "papeterie zoé")).answer.allowed
    refused = ask(Offer("disques", "Papeterie Zoé"))
    assert refused.answer.reason == gates.OTHER_PRODUCTS and refused.facts()["only"] is None
    assert refused.sentence("en").startswith("No, not for “Newsletter”: This person is a customer")
    assert "semblables" in refused.sentence("fr")
    (line,) = [line for line in people.permissions(one) if line["purpose"] == "newsletter"]
    assert line["allowed"], "nothing in particular is asked about on her page"


_words = st.sampled_from(["livres", "Livres", "LIVRÉS", "disques", "", "  "])


def test_the_two_gates_agree_whatever_is_said(shop: Shop) -> None:
    """The masks with what is asked beside them, and the ledger, for grounds in any order."""

    @settings(
        max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck), database=None,
        derandomize=True,
    )  # fmt: skip
    @given(answers=st.lists(st.sampled_from(["livres", "Disques", "yes", "no"]), min_size=1, max_size=4), about=_words)
    def live(answers: list[str], about: str) -> None:
        one = people.upsert(
            shop.workspace, f"{secrets.token_hex(6)}@lecteurs.example", {},
            source=people.source(shop.workspace, "form", "Salon"),
        )  # fmt: skip
        state = ""
        for answer in answers:
            if answer == "no":
                acts.withdraw(shop.workspace.pk, one.pk, [shop.newsletter])
            elif state != "no":
                more: dict[str, Any] = {}
                if answer != "yes":
                    more = {"facts": {**SALE, "product_family": answer}}
                proof = acts.evidence(shop.workspace, "document", "caisse", document=b"x", **more)
                basis = "consent" if answer == "yes" else "customer"
                people.grant(one, shop.newsletter, basis=basis, proof_of=proof)
            state = "no" if "no" in (state, answer) else answer
        folded = {"livres": "livres", "livrés": "livres", "disques": "disques"}.get(about.strip().lower(), "")
        expected = {"no": gates.WITHDRAWN, "yes": ""}.get(
            state, "" if folded and folded == state.lower() else gates.OTHER_PRODUCTS
        )
        assert reason(shop, one, Offer(about)) == expected, (answers, about)

    live()


def test_a_ground_that_nobody_stands_on_is_not_asked_about(shop: Shop) -> None:
    agreed(shop)
    assert not similar.some(shop.workspace.pk) and similar.known(shop.workspace.pk) == []
    assert gates.OTHER_PRODUCTS not in choosing.refusal_sql(shop.newsletter, [])
    one = customer(shop, "livres", "Papeterie Zoé")
    assert similar.known(shop.workspace.pk) == [("livres", "Papeterie Zoé", 1)]
    assert gates.OTHER_PRODUCTS in choosing.refusal_sql(shop.newsletter, [])
    with transaction.atomic():
        db.execute("SET LOCAL enable_seqscan = off")
        plan = str(db.rows(f"EXPLAIN SELECT {choosing.refusal_sql(shop.newsletter, [])} FROM contacts_contact c"))
    assert "consent_permission_customer" in plan, "an index that holds nobody else"
    acts.withdraw(shop.workspace.pk, one.pk, [shop.newsletter])
    assert gates.OTHER_PRODUCTS not in choosing.refusal_sql(shop.newsletter, [])
