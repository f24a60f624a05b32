"""Segments to copy: each opens, counts and saves; what is not known offers nothing and says what it needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils.translation import override
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Workspace
from envol.audience import engine
from envol.audience.catalogue import Catalogue
from envol.contacts.models import Property
from envol.db import execute
from envol.web.examples import families
from tests.audience.segment_people import add_happening, add_person
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def known() -> Shop:
    shop = open_shop("Librairie aux champs", readers=30)
    Property.objects.create(
        workspace=shop.workspace, key="genres", label_fr="Genres", label_en="Genres", type="list",
        choices=["jazz", "polar"],
    )  # fmt: skip
    execute(
        "UPDATE contacts_contact SET props = props || %s::jsonb WHERE workspace_id = %s",
        ['{"genres": ["jazz"], "birth_date": "1990-05-04"}', shop.workspace.pk],
    )
    return shop


@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_one_can_be_counted(known: Shop, language: str) -> None:
    with override(language):
        found = families(Catalogue(known.workspace))
    assert [one.key for one in found] == ["profile", "activity", "purchases", "loyalty", "interests"]
    assert all(one.examples and not one.lacking for one in found)
    counted = {e.name: engine.count(known.workspace, e.tree) for one in found for e in one.examples}
    assert len(counted) == sum(len(one.examples) for one in found), "no name twice"
    jazz = next(e for e in found[4].examples if "jazz" in e.name)
    assert engine.count(known.workspace, jazz.tree) == 30
    aged = "Aged 35 to 49" if language == "en" else "De 35 à 49 ans"
    assert counted[aged] == 30
    staged = [e for e in found[1].examples if e.tree["rules"][0]["field"] == "activity.stage"]
    stages = [engine.count(known.workspace, e.tree) for e in staged]
    assert sum(stages) == 30  # everybody is at one stage


def test_each_link_opens_the_builder(known: Shop, as_member: Sign) -> None:
    client = as_member("editor", known)
    page = LexborHTMLParser(client.get("/segments/ready").content.decode())
    links = [a.attributes["href"] or "" for a in page.css(".grid a")]
    assert len(links) > 20
    for link in links[::6]:
        answer = client.get(link)
        assert answer.status_code == 200 and "no longer be read" not in answer.content.decode(), link
    assert "/segments/ready" in client.get("/segments").content.decode()
    viewer = as_member("viewer", known)
    assert viewer.get("/segments/ready").status_code == 403
    assert "/segments/ready" not in viewer.get("/segments").content.decode()


def test_what_is_not_known_is_not_offered(workspace: Workspace) -> None:
    Property.objects.filter(workspace=workspace).delete()
    found = {one.key: one for one in families(Catalogue(workspace))}
    assert not found["profile"].examples and "date of birth" in found["profile"].lacking
    assert not found["purchases"].examples and found["purchases"].lacking
    assert not found["interests"].examples and found["interests"].lacking
    assert found["activity"].examples and found["loyalty"].examples


def test_fans_are_told_by_the_events_that_a_program_brings(workspace: Workspace) -> None:
    fan, other = (add_person(workspace, f"{name}@lecteurs.example") for name in ("fan", "other"))
    add_happening(workspace, fan, "newsletter_referral", datetime.now(UTC), {})
    add_happening(workspace, other, "visit", datetime.now(UTC), {})
    with override("en"):
        found = {e.name: e.tree for e in families(Catalogue(workspace))[3].examples}
    assert engine.count(workspace, found["Fans: they recommend, answer or vote"]) == 1


def test_a_sensitive_field_is_never_offered(known: Shop) -> None:
    Property.objects.filter(workspace=known.workspace, key="genres").update(sensitive=True)
    try:
        found = families(Catalogue(known.workspace))
    finally:
        Property.objects.filter(workspace=known.workspace, key="genres").update(sensitive=False)
    assert not any("prop.genres" in str(e.tree) for e in found[4].examples)
