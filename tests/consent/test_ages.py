"""Nobody too young agrees alone: a form turns her away and keeps nothing, and no campaign reaches her."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.campaigns import checks
from envol.collect import joining, signup
from envol.collect.models import SignupRequest
from envol.consent import acts, ages, purposes
from envol.consent.models import Evidence, Permission
from envol.contacts import catalogue, people
from envol.contacts.models import Contact, List
from envol.events.models import MailRequest
from tests.campaigns.shop import open_shop, start
from tests.web.test_signup_public import filled, link


@pytest.mark.parametrize(("country", "limit"), [("FR", 15), ("fr", 15), ("DE", 16), ("SE", 13), ("ZZ", 16)])
def test_each_country_has_its_limit_and_an_unknown_one_the_strictest(country: str, limit: int) -> None:
    assert ages.of_country(country) == limit


def test_a_birthday_counts_on_its_day() -> None:
    assert ages.of_age_since(15, date(2026, 11, 26)) == date(2011, 11, 26)
    assert ages.of_age_since(15, date(2028, 2, 29)) == date(2013, 2, 28)


def test_a_form_asks_and_keeps_nothing_of_who_is_younger(workspace: Workspace) -> None:
    db.execute("DELETE FROM collect_attempt")
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"), "first_name")
    signup.switch(form, True)
    form.asks_age = True
    form.save(update_fields=["asks_age"])
    browser = Client(headers={"host": "localhost", "accept-language": "fr"})
    page = browser.get(f"/s/{form.token}").content.decode()
    assert "15 ans ou plus" in page and "moins de 15 ans" in page and 'name="age" value="older" checked' not in page
    for said, words in ((None, "Dites quel âge"), ("younger", "un parent"), ("nonsense", "Dites quel âge")):
        more = {"age": said} if said else {}
        answer = browser.post(f"/s/{form.token}", filled(form, **more))
        assert answer.status_code == 422 and words in answer.content.decode()
    assert not SignupRequest.objects.filter(form=form).exists()
    # Who says one thing and writes another is younger.
    signup.save(
        form, words=form.words, languages=form.languages, fields=[("birth_date", False)], purposes=form.purposes,
        asks_age=True,
    )  # fmt: skip
    form.refresh_from_db()
    for years in (12, 14):  # of fourteen in France nobody agrees alone either
        young = (form.workspace.today() - timedelta(days=365 * years + 30)).isoformat()
        posted = filled(form, age="older", field_birth_date=young)
        assert browser.post(f"/s/{form.token}", posted).status_code == 422
    assert not SignupRequest.objects.filter(form=form).exists()
    assert browser.post(f"/s/{form.token}", filled(form, age="older")).status_code == 303
    assert SignupRequest.objects.get(form=form).of_age == 15


def test_a_parent_agrees_by_a_link_of_the_parents_own(workspace: Workspace) -> None:
    db.execute("DELETE FROM collect_attempt")
    form = signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"), "first_name")
    signup.switch(form, True)
    form.asks_age = True
    form.save(update_fields=["asks_age"])
    browser = Client(headers={"host": "localhost", "accept-language": "fr"})
    same = filled(form, age="younger", parent="Zoe@lecteurs.example")
    assert "et non la vôtre" in browser.post(f"/s/{form.token}", same).content.decode()
    asked = browser.post(f"/s/{form.token}", filled(form, age="younger", parent="parent@maison.example"))
    assert asked.status_code == 303

    def mails() -> list[str]:
        asked = MailRequest.objects.filter(workspace_id=workspace.pk).order_by("id")
        return list(asked.values_list("recipient", flat=True))

    assert mails() == ["zoe@lecteurs.example"], "her own mailbox first: nobody else is written to for her"
    hers = link(workspace)
    request = SignupRequest.objects.get(form=form)
    assert joining.confirm(request, page="x") is None, "her link alone takes nobody in"
    for _again in range(2):
        assert "vers votre parent" in browser.post(hers).content.decode()
    assert mails() == ["zoe@lecteurs.example", "parent@maison.example"], "asked once"
    assert not Contact.objects.filter(workspace_id=workspace.pk).exists()
    parents = link(workspace)
    page = browser.get(parents).content.decode()
    assert "Je suis d’accord" in page and "zoe@lecteurs" not in page
    assert browser.post(parents).status_code == 200
    zoe = Contact.objects.get(workspace_id=workspace.pk)
    row = Permission.objects.filter(contact_id=zoe.pk, state="granted", until=None).first()
    assert row is not None and row.proof.endswith("; by a parent") and joining.read_proof(row.proof) is not None
    facts = Evidence.objects.get(pk=row.evidence_id).facts
    assert ages.PARENT in facts and "parent@maison.example" not in str(facts)
    assert SignupRequest.objects.get(form=form).parent == ""


def test_no_campaign_reaches_her_unless_a_parent_agreed_too(workspace: Workspace) -> None:
    shop = open_shop(workspace)
    catalogue.create_defaults(workspace) if not workspace.properties.filter(key="birth_date").exists() else None
    newsletter = purposes.get(workspace, "newsletter")
    today = timezone.localdate(timezone=ZoneInfo(workspace.time_zone))  # near midnight, not that of UTC
    born = {
        "adult": ages.of_age_since(40, today), "fifteen": ages.of_age_since(15, today),
        "child": ages.of_age_since(15, today) + timedelta(days=1), "helped": ages.of_age_since(10, today),
    }  # fmt: skip
    made = {}
    for name, day in born.items():
        one = people.upsert(
            workspace, f"{name}@lecteurs.example", {"birth_date": day.isoformat()},
            source=people.source(workspace, "form", "Salon"),
        )  # fmt: skip
        facts = {ages.PARENT: "agreed too"} if name == "helped" else {}
        people.grant(one, newsletter, proof_of=acts.evidence(workspace, "line", "salon", facts=facts), proof="1")
        made[one.pk] = name
    look = checks.look(shop.campaign)
    assert look.who is not None and look.who.excluded == {"too_young": 1}
    assert any("article 8" in one.en for one in look.checks if one.code == "too_young")
    sending = start(shop)
    got = {made[no] for (no,) in db.rows("SELECT no FROM outbound_send WHERE sending_id = %s", [sending.pk])}
    assert got == {"adult", "fifteen", "helped"}
    left = db.rows("SELECT contact_id, reason FROM outbound_excluded WHERE sending_id = %s", [sending.pk])
    assert [(made[who], why) for who, why in left] == [("child", "too_young")]


def test_the_ledger_is_asked_of_nobody_who_is_old_enough_or_says_nothing(workspace: Workspace) -> None:
    """Every road asks this of everybody it writes to: a look at the ledger for each would be most of its time."""
    born: dict[str, dict[str, str]] = {"a": {}, "b": {"birth_date": "1980-01-01"}, "c": {"birth_date": "2020-01-01"}}
    for name, props in born.items():
        address = f"{name}@lecteurs.example"
        Contact.objects.create(workspace_id=workspace.pk, email=address, email_key=address, props=props)
    young = ages.young_sql("c", "birth_date", date(2011, 11, 26), purposes.get(workspace, "newsletter").pk)
    plan = db.rows(
        f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT {young} FROM contacts_contact c WHERE c.workspace_id = %s",
        [workspace.pk],
    )[0][0]
    looks: list[int] = []

    def walk(node: dict[str, Any]) -> None:
        if node.get("Parent Relationship") == "SubPlan":
            looks.append(node["Actual Loops"])
        for child in node.get("Plans", ()):
            walk(child)

    walk(plan[0]["Plan"])
    assert looks and sum(looks) == 1
