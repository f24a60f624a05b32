"""What a campaign is told before it leaves: what stops it, what is advised, and what is held as fraud."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import actions, drafts, tick
from envol.consent import gates, purposes
from envol.consent.models import Purpose
from envol.contacts.models import Property
from envol.content import templates
from envol.content.problems import TemplateProblem
from envol.outbound import held
from envol.outbound.models import Domain, Sending
from tests.campaigns.shop import Shop, codes, open_shop, settings_with, start


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


# ---- outgoing control

SUSPECT = (
    "<html><body><p>Votre compte est suspendu. Confirmez votre identité sous 24 heures :"
    ' <a href="https://ailleurs.example/">ici</a></p></body></html>'
)


def rewrite(shop: Shop, html: str) -> None:
    template = shop.campaign.template
    assert template is not None
    templates.save(shop.workspace, template.name, "html", html, "Votre compte")


def test_a_suspicious_campaign_is_held_until_somebody_lets_it_go(shop: Shop) -> None:
    shop.person("luc@lecteurs.example")
    rewrite(shop, SUSPECT)
    assert "suspicious" in codes(shop.campaign, "advice")
    sending = start(shop)
    assert (sending.state, shop.campaign.state) == ("held", "scheduled")
    row = held.waiting(shop.workspace).get()
    assert row.pk == sending.pk
    held.release(row)
    tick.run()
    sending.refresh_from_db()
    assert sending.state == "preparing"


def test_a_suspicious_campaign_is_refused_or_taken_back(shop: Shop) -> None:
    shop.person("luc@lecteurs.example")
    rewrite(shop, SUSPECT)
    start(shop)
    actions.take_back(shop.campaign)
    assert shop.campaign.state == "draft"
    assert not held.waiting(shop.workspace).exists()
    start(shop)
    held.refuse(held.waiting(shop.workspace).get())
    tick.run()
    shop.campaign.refresh_from_db()
    assert shop.campaign.state == "stopped"


def test_a_campaign_of_plain_fraud_is_not_sent_nor_tested(shop: Shop) -> None:
    shop.person("luc@lecteurs.example")
    rewrite(shop, '<html><body><form action="https://x.example"><input type="password"></form></body></html>')
    assert "fraud" in codes(shop.campaign)
    with pytest.raises(actions.NotReady, match="looks like fraud"):
        actions.send(shop.campaign)
    with pytest.raises(actions.NotReady, match="looks like fraud"):
        actions.send_test(shop.campaign, "luc@lecteurs.example")


def test_a_host_cannot_be_filled_in_for_each_person(shop: Shop) -> None:
    """So looking at a version once is looking at every letter of it."""
    with pytest.raises(TemplateProblem, match="only after the"):
        rewrite(shop, '<html><body><p><a href="https://{{ contact.first_name }}/x">voir</a></p></body></html>')


# ---- checks


def test_a_ready_campaign_has_nothing_that_blocks(shop: Shop) -> None:
    shop.person("a@lecteurs.example")
    assert codes(shop.campaign) == set()


def test_an_empty_draft_says_everything_it_lacks(shop: Shop) -> None:
    bare = drafts.create(shop.workspace, "Bare")
    assert codes(bare) == {"no_purpose", "no_sender", "no_content"}
    for found in actions.check(bare):
        assert found.fr.endswith(".") and found.en.endswith(".") and found.where
    with pytest.raises(actions.NotReady, match="Choose the purpose") as refused:
        actions.send(bare)
    assert {c.code for c in refused.value.checks} == codes(bare)
    assert not Sending.objects.filter(campaign_id=bare.pk).exists()


def test_a_domain_must_be_declared_always_and_ready_when_mail_leaves_the_machine(shop: Shop) -> None:
    shop.person("a@lecteurs.example")
    Domain.objects.filter(workspace=shop.workspace).update(trusted=False)
    from envol.outbound import domains

    domains._forget()
    assert codes(shop.campaign) == set()
    with override_settings(ENVOL=settings_with(route="direct", public_url="https://mail.librairie.example")):
        domains._forget()
        assert codes(shop.campaign) == {"domain_unchecked", "no_postal_address"}
    domains._forget()
    Domain.objects.filter(workspace=shop.workspace).delete()
    assert codes(shop.campaign) == {"domain_unknown"}


def test_links_must_lead_where_others_can_go(shop: Shop) -> None:
    shop.person("a@lecteurs.example")

    def found(**changes: Any) -> list[str]:
        with override_settings(ENVOL=settings_with(**changes)):
            return [f"{c.level} {c.code}" for c in actions.check(shop.campaign) if "public_url" in c.code]

    assert found(route="local") == []
    assert found(route="direct") == ["block no_public_url"]
    assert found(route="smart_host") == ["advice no_public_url"], "a relay on this machine may be a trial"
    assert found(route="smart_host", public_url="http://mail.librairie.example") == ["block public_url_not_https"]
    assert found(route="direct", public_url="https://mail.librairie.example") == []


def test_people_without_a_value_are_named_before_anything_is_sent(workspace: Workspace) -> None:
    shop = open_shop(workspace)
    Property.objects.create(
        workspace=workspace,
        key="home_town",
        label_fr="Ville",
        label_en="City",
        type="text",
        purposes=1 << shop.newsletter.bit,
    )
    version = templates.save(
        workspace, "Ville", "html", "<body><p>À {{ contact.home_town }}</p></body>", "Près de vous"
    )
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, template=version.template)
    shop.person("a@lecteurs.example", props={"home_town": "Nantes"})
    without = shop.person("b@lecteurs.example")
    shop.person("c@lecteurs.example", allowed=False)  # would not be written to anyway
    (found,) = [c for c in actions.check(shop.campaign) if c.code == "missing_values"]
    assert (found.level, found.facts["people"], found.facts["sample"]) == ("block", 1, [without])


def test_who_did_not_accept_a_use_reads_the_fallback_and_is_counted(workspace: Workspace) -> None:
    shop = open_shop(workspace)
    personal = purposes.get(workspace, "personalisation")
    Property.objects.create(
        workspace=workspace, key="home_town", label_fr="Ville", label_en="City", type="text", purposes=1 << personal.bit
    )
    html = "<body><p>À {{ contact.home_town | default('côté') }}</p></body>"
    version = templates.save(workspace, "Ville", "html", html, "Près de vous")
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, template=version.template)
    barred = shop.person("a@lecteurs.example", props={"home_town": "Nantes"})
    shop.person("b@lecteurs.example")
    agreed = shop.person("c@lecteurs.example", props={"home_town": "Rennes"})
    db.execute("UPDATE contacts_contact SET allowed = allowed | %s WHERE id = %s", [1 << personal.bit, agreed])
    (found,) = [c for c in actions.check(shop.campaign) if c.code == "fallback"]
    assert (found.level, found.group, found.facts["sample"]) == ("advice", "values", [barred])
    assert found.sentence("en") == (
        "2 people will read the fallback of “contact.home_town”: nothing is known of 1, 1 did not accept this use."
    )
    orders = Purpose.objects.filter(workspace=workspace, kind="transactional").first()
    Property.objects.filter(workspace=workspace, key="home_town").update(purposes=1 << orders.bit)
    contract = drafts.edit(shop.campaign, shop.campaign.revision, purpose=orders)
    assert "fallback" not in {c.code for c in actions.check(contract)}, "what a contract needs is shown"
    Property.objects.filter(workspace=workspace, key="home_town").update(purposes=1 << personal.bit)
    shop.campaign = drafts.edit(contract, contract.revision, purpose=shop.newsletter)
    db.execute("UPDATE contacts_contact SET allowed = allowed | %s WHERE id = %s", [1 << personal.bit, barred])
    assert "fallback" not in {c.code for c in actions.check(shop.campaign)}, "a value that is not known is no surprise"


def test_nobody_to_write_to_blocks_and_says_why(shop: Shop) -> None:
    assert codes(shop.campaign) == {"nobody"}
    shop.person("a@lecteurs.example", allowed=False)
    (found,) = [c for c in actions.check(shop.campaign) if c.code == "nobody"]
    assert found.facts == {"chosen": 1, "excluded": {"no_permission": 1}}


def test_a_heavy_message_without_postal_address_is_advised_against_not_stopped(shop: Shop) -> None:
    shop.person("a@lecteurs.example")
    version = templates.save(shop.workspace, "Lourd", "html", f"<body><p>{'x' * 100_001}</p></body>", "Lourd")
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, template=version.template)
    assert codes(shop.campaign) == set()
    assert {"heavy", "no_postal_address"} <= codes(shop.campaign, "advice")


@pytest.mark.parametrize("route", ["smart_host", "direct"])
def test_what_promotes_says_who_sends_it_before_it_leaves_the_machine(shop: Shop, route: str) -> None:
    shop.person("a@lecteurs.example")
    assert codes(shop.campaign) == set(), "a trial"
    away = {"route": route, "smart_host": "127.0.0.1:2525", "public_url": "https://mail.librairie.example"}
    with override_settings(ENVOL=settings_with(**away)):
        assert codes(shop.campaign) == {"no_postal_address"}
        with pytest.raises(actions.NotReady, match="postal address"):
            actions.send(shop.campaign)
        orders = Purpose.objects.filter(workspace=shop.workspace, kind="transactional").first()
        contract = drafts.edit(shop.campaign, shop.campaign.revision, purpose=orders)
        assert "no_postal_address" in codes(contract, "advice"), "what a contract needs promotes nothing"
        campaign = drafts.edit(contract, contract.revision, purpose=shop.newsletter)
        Workspace.objects.filter(pk=shop.workspace.pk).update(postal_address="3 rue des Livres, 44000 Nantes")
        campaign.workspace.refresh_from_db()
        assert codes(campaign) == set()


def test_of_several_reasons_the_first_gate_is_told_counted_and_kept_by_person(shop: Shop) -> None:
    """Somebody who fails at several gates is told of the first; whoever passes it fails at the next."""
    order = [gates.SUPPRESSED, gates.OBJECTED, gates.SILENCED, gates.WITHDRAWN, gates.NO_PERMISSION]
    of = {}
    for n, reason in enumerate([*order, None]):
        fails = order[n:]
        one = shop.person(
            f"p{n}@lecteurs.example", allowed=not fails,
            suppressed=gates.SUPPRESSED in fails, objected=gates.OBJECTED in fails,
        )  # fmt: skip
        db.execute(
            "UPDATE contacts_contact SET silenced = %s, refused = %s WHERE id = %s",
            [gates.SILENCED in fails, (1 << shop.newsletter.bit) * (gates.WITHDRAWN in fails), one],
        )
        of[one] = reason
    found = actions.summary(shop.campaign)
    assert (found.chosen, found.allowed) == (len(of), 1)
    assert found.excluded == dict.fromkeys(order, 1)
    sending = start(shop)
    kept = dict(db.rows("SELECT contact_id, reason FROM outbound_excluded WHERE sending_id = %s", [sending.pk]))
    assert kept == {one: reason for one, reason in of.items() if reason}


def test_the_summary_counts_who_is_left_out_by_reason(shop: Shop) -> None:
    shop.people(3)
    shop.person("n@lecteurs.example", allowed=False)
    shop.person("s@lecteurs.example", suppressed=True)
    shop.person("o@lecteurs.example", objected=True)
    found = actions.summary(shop.campaign)
    assert (found.chosen, found.allowed) == (6, 3)
    assert found.excluded == {"no_permission": 1, "suppressed": 1, "objected": 1}
