"""Our shops: added by postcode, changed, removed, each taken back; rules that speak of them; who is near."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from envol.accounts.models import Undo
from envol.audience import engine, segments
from envol.audience.models import Segment, Shop
from envol.contacts import people
from envol.contacts.models import Contact
from tests.web.shop import Shop as Own
from tests.web.shop import open_shop

Sign = Callable[..., Client]
LYON = {"name": "Lyon Bellecour", "postcode": "69002", "town": "Lyon", "country": "FR", "opening": "10 à 19"}


@pytest.fixture
def own(tmp_path: Path) -> Own:
    made = open_shop(readers=30, folder=tmp_path, furnished=False)
    Shop.objects.filter(workspace=made.workspace).delete()
    return made


def live_in(own: Own, n: int, place: dict[str, str]) -> None:
    source = people.source(own.workspace, "member", "Carnet")
    people.upsert(own.workspace, own.people[n].email, {"city": place}, source=source)


def count(own: Own, op: str, value: object) -> int:
    tree = {"v": 1, "match": "all", "rules": [{"field": "prop.city", "op": op, "value": value}]}
    return engine.count(own.workspace, tree)


def last_undo(own: Own) -> int:
    return Undo.objects.filter(workspace=own.workspace).latest("pk").pk


def test_a_shop_is_added_by_its_postcode_and_people_near_it_are_found(own: Own, as_member: Sign) -> None:
    client = as_member("editor", own)
    assert "A postcode is enough" in client.get("/shops").content.decode()
    live_in(own, 0, {"label": "Villeurbanne", "postcode": "69100"})
    live_in(own, 1, {"label": "Paris", "postcode": "75011"})
    assert client.post("/shops/new", LYON).status_code == 303
    assert client.post("/shops/new", LYON | {"name": "Paris", "postcode": "75004", "town": "Paris"}).status_code == 303
    lyon, paris = Shop.objects.filter(workspace=own.workspace).order_by("name")
    assert 45 < lyon.lat < 46 and 48 < paris.lat < 49
    assert (count(own, "near_shop", 15), count(own, "near_shop", 1)) == (2, 0)
    assert (count(own, "nearest_shop", [lyon.pk]), count(own, "nearest_shop", [lyon.pk, paris.pk])) == (1, 30)
    page = client.get(f"/contacts/{own.people[0].pk}").content.decode()
    assert "Nearest shop: Lyon Bellecour" in page and "Rhône · Auvergne-Rhône-Alpes" in page


def test_what_is_wrong_is_said_at_its_place_and_nothing_typed_is_lost(own: Own, as_member: Sign) -> None:
    client = as_member("editor", own)
    for typed, said in (
        (LYON | {"name": " "}, "Give the shop a name."),
        (LYON | {"postcode": "00000"}, "The table of places does not know where this is"),
        (LYON | {"country": "France"}, "two letters"),
        (LYON | {"lat": "45", "lon": ""}, "Give both"),
        (LYON | {"lat": "145", "lon": "4"}, "Give both"),
        (LYON | {"opening": "x" * 501}, "at most 500"),
    ):
        answer = client.post("/shops/new", typed)
        assert answer.status_code == 422 and said in answer.content.decode(), said
        assert typed["town"] in answer.content.decode()
    client.post("/shops/new", LYON)
    assert "already a shop" in client.post("/shops/new", LYON | {"name": "LYON bellecour"}).content.decode()
    assert Shop.objects.filter(workspace=own.workspace).count() == 1
    assert as_member("viewer", own).post("/shops/new", LYON | {"name": "x"}).status_code == 403
    assert "Lyon Bellecour" in as_member("viewer", own).get("/shops").content.decode()


def test_adding_changing_and_removing_are_taken_back(own: Own, as_member: Sign) -> None:
    client = as_member("editor", own)
    client.post("/shops/new", LYON)
    one = Shop.objects.get(workspace=own.workspace)
    typed = LYON | {"postcode": "44000", "town": "Nantes", "lat": str(one.lat), "lon": str(one.lon)}
    assert client.post(f"/shops/{one.pk}", typed).status_code == 303
    one.refresh_from_db()
    assert one.town == "Nantes" and 47 < one.lat < 48, "a new postcode brings its own middle"
    client.post(f"/undo/{last_undo(own)}", {"next": "/shops"})
    one.refresh_from_db()
    assert one.town == "Lyon" and one.lat < 46
    assert client.post(f"/shops/{one.pk}/remove").status_code == 303
    assert not Shop.objects.filter(workspace=own.workspace).exists()
    client.post(f"/undo/{last_undo(own)}", {"next": "/shops"})
    assert Shop.objects.get(workspace=own.workspace).pk == one.pk


def test_a_shop_that_a_rule_needs_stays(own: Own, as_member: Sign) -> None:
    client = as_member("editor", own)
    client.post("/shops/new", LYON)
    one = Shop.objects.get(workspace=own.workspace)
    rule = {"field": "prop.city", "op": "nearest_shop", "value": [one.pk]}
    made = segments.save(own.workspace, "Lyonnais", {"v": 1, "match": "all", "rules": [rule]})
    client.post(f"/shops/{one.pk}/remove")
    assert "used by Lyonnais" in client.get(f"/shops/{one.pk}").content.decode() and Shop.objects.filter(pk=one.pk)
    sentence = client.get(f"/segments/{made.pk}").content.decode()
    assert "has as its nearest shop “Lyon Bellecour”" in sentence
    rule = {"field": "prop.city", "op": "near_shop", "value": 20}
    Segment.objects.filter(pk=made.pk).update(tree={"v": 1, "match": "all", "rules": [rule]})
    client.post(f"/shops/{one.pk}/remove")
    assert Shop.objects.filter(pk=one.pk), "the last one is what the rule means"


def test_another_workspace_has_its_own_shops(own: Own, as_member: Sign, other_shop: Own) -> None:
    client = as_member("editor", own)
    client.post("/shops/new", LYON)
    one = Shop.objects.get(workspace=own.workspace)
    bob = as_member("editor", other_shop)
    assert bob.get(f"/shops/{one.pk}").status_code == bob.post(f"/shops/{one.pk}/remove").status_code == 404
    assert "Lyon Bellecour" not in bob.get("/shops").content.decode()


def test_departments_and_regions_by_name_or_number(own: Own, as_member: Sign) -> None:
    live_in(own, 0, {"label": "Villeurbanne", "postcode": "69100"})
    live_in(own, 1, {"label": "Grenoble", "postcode": "38000"})
    live_in(own, 2, {"label": "Heidelberg", "postcode": "69115", "country": "DE"})
    assert (count(own, "department_in", ["Rhône"]), count(own, "department_in", ["69", "38"])) == (1, 2)
    assert count(own, "region_in", ["Auvergne-Rhône-Alpes"]) == 2
    client = as_member("editor", own)
    form = {"r.m": "all", "r.0.f": "prop.city", "r.0.k": "prop.city", "r.0.o": "department_in", "r.0.v.more": "isère"}
    page = client.post("/segments/new", form | {"act": "draw", "name": "x"}).content.decode()
    assert "is in the department “Isère”" in page and "Rhône" in page
    wrong = client.post("/segments/new", form | {"r.0.v.more": "Bavière", "act": "save", "name": "x"})
    assert wrong.status_code == 422 and "“Bavière” is no department" in wrong.content.decode()


def test_places_are_completed_from_the_page_of_the_field(own: Own, as_member: Sign) -> None:
    client, city = as_member("editor", own), own.workspace.properties.get(key="city")
    one = own.people[0]
    Contact.objects.filter(pk=one.pk).update(props={"city": {"label": "Nantes"}})
    assert "Complete the places" in client.get(f"/fields/{city.pk}").content.decode()
    assert client.post(f"/fields/{city.pk}/act", {"act": "locate"}).status_code == 303
    assert "The place of 1 person got its coordinates." in client.get(f"/fields/{city.pk}").content.decode()
    assert "lat" in Contact.objects.get(pk=one.pk).props["city"]
    client.post(f"/undo/{last_undo(own)}", {"next": "/fields"})
    assert Contact.objects.get(pk=one.pk).props["city"] == {"label": "Nantes"}
