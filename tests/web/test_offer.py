"""The audience card asks what a campaign is about where customers are among the people, and says whom it leaves out."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts.models import ApiKey, JournalEntry, User
from envol.campaigns import checks
from envol.campaigns.models import Campaign
from envol.consent import acts, purposes
from envol.consent.models import Evidence, Permission, Purpose
from envol.contacts import people
from envol.contacts.models import Contact
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
SALE = {"sale_ref": "F-12", "sale_date": "2026-02-01", "optout_offered": True}


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop("Librairie aux clients", readers=40)


def newcomer(shop: Shop) -> Contact:
    address = f"{secrets.token_hex(5)}@lecteurs.example"
    return people.upsert(shop.workspace, address, {}, source=people.source(shop.workspace, "form", "Salon"))


def customer(shop: Shop, purpose: Purpose, family: str, seller: str) -> Contact:
    one = newcomer(shop)
    facts = {**SALE, "product_family": family, "entity_id": seller}
    proof = acts.evidence(shop.workspace, "document", "caisse", document=b"tickets", facts=facts)
    people.grant(one, purpose, basis="customer", proof_of=proof)
    return one


def of(client: Client, campaign: Campaign) -> str:
    return client.get(f"/campaigns/{campaign.pk}").content.decode()


def test_what_it_is_about_is_asked_where_customers_are_and_kept(shop: Shop, as_member: Sign) -> None:
    client, draft = as_member("editor", shop), shop.draft
    Campaign.objects.filter(pk=draft.pk).update(segment=None, state="draft")
    draft.refresh_from_db()
    assert draft.purpose is not None
    assert "What is it about?" not in of(client, draft), "not asked where nobody is a customer"
    customer(shop, draft.purpose, "livres", "Papeterie <Zoé>")
    page = of(client, draft)
    assert "What is it about?" in page and 'name="product_family" value=""' in page
    assert '<option value="Papeterie &lt;Zoé&gt;">' in page and "livres, Papeterie &lt;Zoé&gt;" in page
    assert "1 customer will not get this message" in page and "does not say what it is about" in page

    def save(**more: str) -> int:
        draft.refresh_from_db()
        given = {"card": "audience", "revision": str(draft.revision), "purpose": str(draft.purpose_id), **more}
        return client.post(f"/campaigns/{draft.pk}/save", given).status_code

    assert save(product_family=" Livres ", seller="papeterie <zoe>") == 303
    draft.refresh_from_db()
    assert (draft.product_family, draft.seller) == ("Livres", "papeterie <zoe>")
    page = of(client, draft)
    assert "About: Livres, sold by papeterie &lt;zoe&gt;" in page and "will not get this message" not in page
    assert save() == 303
    draft.refresh_from_db()
    assert draft.product_family == "Livres", "a form that did not ask changes nothing"
    assert save(product_family="disques", seller="") == 303
    User.objects.filter(pk=shop.members["editor"].user.pk).update(language="fr")
    shop.members["editor"].user.refresh_from_db()
    page = of(as_member("editor", shop), draft)
    User.objects.filter(pk=shop.members["editor"].user.pk).update(language="en")
    shop.members["editor"].user.refresh_from_db()
    assert "De quoi parle-t-il\u202f?" in page and "1 client ne recevra pas ce message" in page
    assert "«\u202fdisques\u202f»" in page and "vendeur" in page
    stale = client.post(
        f"/campaigns/{draft.pk}/save",
        {"card": "audience", "revision": "0", "purpose": str(draft.purpose_id), "product_family": "cahiers"},
    )
    assert stale.status_code == 409 and 'name="product_family" value="cahiers"' in stale.content.decode()
    assert "what it is about" in stale.content.decode()
    draft.refresh_from_db()
    copy = client.post(f"/campaigns/{draft.pk}/act", {"act": "duplicate"})
    assert Campaign.objects.get(pk=int(copy["Location"].split("/")[2].split("#")[0])).product_family == "disques"


def test_who_sold_is_written_down_with_a_permission_by_hand(shop: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", shop), newcomer(shop)
    assert shop.draft.purpose is not None
    assert 'name="entity_id"' in client.get(f"/contacts/{one.pk}?grant={shop.draft.purpose.pk}").content.decode()
    day = shop.workspace.today().replace(day=1).isoformat()
    given = {
        "purpose": str(shop.draft.purpose.pk), "basis": "customer", "source": "caisse", "date": day, "statement": "vu",
        "sale_ref": "F-9", "sale_date": "2026-02-01", "product_family": "livres", "entity_id": "Papeterie Zoé",
        "optout_offered": "on",
    }  # fmt: skip
    assert client.post(f"/contacts/{one.pk}/grant", given).status_code == 303
    row = Permission.objects.get(contact_id=one.pk, until=None)
    page = client.get(f"/contacts/{one.pk}").content.decode()
    assert "Only about products like “livres”, Papeterie Zoé" in page
    assert Evidence.objects.get(pk=row.evidence_id or 0).facts["entity_id"] == "Papeterie Zoé"


def test_each_reason_opens_the_people_it_counts(as_member: Sign) -> None:
    """Also of gates that ask more than the answer: a customer who bought something else, a child, a stranger's file."""
    own = open_shop("Librairie aux enfants", readers=30, furnished=False)
    client, draft = as_member("editor", own), own.draft
    Campaign.objects.filter(pk=draft.pk).update(segment=None, state="draft", product_family="livres")
    draft.refresh_from_db()
    assert draft.purpose is not None
    for family in ("livres", "disques", "disques"):
        customer(own, draft.purpose, family, "")
    young = own.people[0]
    Contact.objects.filter(pk=young.pk).update(props={**young.props, "birth_date": f"{timezone.now().year - 9}-01-02"})
    summary = checks.summary(draft)
    assert {"other_products": 2, "too_young": 1}.items() <= summary.excluded.items()
    for show, n in [("excluded:" + why, n) for why, n in summary.excluded.items()] + [("allowed", summary.allowed)]:
        page = client.get(f"/campaigns/{draft.pk}/people", {"show": show, "part": "count"}).content.decode()
        assert str(n) in page, show
        rows = client.get(f"/campaigns/{draft.pk}/people.csv", {"show": show})
        assert len(b"".join(rows.streaming_content).decode().strip().splitlines()) == n + 1, show


def test_a_keys_page_asks_what_its_campaigns_are_about(as_member: Sign) -> None:
    own = open_shop("Librairie à clé", readers=30, furnished=False)
    client, key = as_member("owner", own), ApiKey.objects.get(workspace=own.workspace)
    where = f"/settings/keys/{key.pk}"
    asked = "What are the campaigns about that it drafts?"
    assert asked not in client.get(where).content.decode(), "not asked where nobody is a customer"
    customer(own, purposes.get(own.workspace, "newsletter"), "livres", "Papeterie <Zoé>")
    page = client.get(where).content.decode()
    assert asked in page and 'name="product_family" value=""' in page
    given = {"product_family": " Livres ", "seller": "papeterie <zoe>"}
    assert as_member("editor", own).post(f"{where}/about", given).status_code == 403
    assert client.post(f"{where}/about", given).status_code == 303
    key.refresh_from_db()
    assert (key.product_family, key.seller) == ("Livres", "papeterie <zoe>")
    page = client.get(where).content.decode()
    assert 'value="Livres"' in page and 'value="papeterie &lt;zoe&gt;"' in page and "papeterie <zoe>" not in page
    said = JournalEntry.objects.filter(workspace=own.workspace, action="api_key.about").latest("pk")
    assert said.facts == {"product_family": "Livres", "seller": "papeterie <zoe>"}
    ApiKey.objects.filter(pk=key.pk).update(scopes=["smtp"])
    assert asked not in client.get(where).content.decode(), "a key that drafts nothing is not asked"
