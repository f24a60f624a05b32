"""Two tabs and two people at one thing: whoever saves second sees both, and nobody's words are lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.shop import open_shop
from tests.web.test_resilience import fields


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_shop(title="Librairie à deux", readers=30, folder=tmp_path_factory.mktemp("own"))


def things(shop: Any) -> dict[str, tuple[str, str, dict[str, str], dict[str, str]]]:
    """Page, address, what one person writes, what the other writes."""
    from envol.consent import purposes

    listed, person = shop.list.pk, shop.people[0].pk
    purpose = f"/consent/purposes/{purposes.get(shop.workspace, 'offers').pk}"
    field = f"/fields/{shop.workspace.properties.get(key='last_name').pk}"
    rename, given = {"act": "rename"}, {"act": "set", "property": "first_name"}
    change = f"/contacts/{person}/change"
    return {
        "settings": ("/settings", "/settings", {"title": "Chez Zoé"}, {"title": "Chez Ahmed"}),
        "account": ("/settings/account", "/settings/account", {"name": "Zoé M."}, {"name": "Zoé Martin"}),
        "list": ("/lists", f"/lists/{listed}", {"name": "Le club"} | rename, {"name": "Les abonnés"} | rename),
        "purpose": (purpose, purpose, {"label_fr": "Promos"} | rename, {"label_fr": "Rabais"} | rename),
        "field": (field, field, {"label_fr": "Patronyme"}, {"label_fr": "Nom de famille"}),
        "contact": (
            f"/contacts/{person}", f"/contacts/{person}/rectify", {"email": "zoe.un@lecteurs.example"},
            {"email": "zoe.deux@lecteurs.example"},
        ),
        "value": (f"/contacts/{person}", change, given | {"value": "Zoë"}, given | {"value": "Zo"}),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["settings", "account", "list", "purpose", "field", "contact", "value"])
def test_who_saves_second_sees_both(own: Any, as_member: Any, name: str) -> None:
    page, action, hers, his = things(own)[name]
    first, second = as_member("owner", own), as_member("owner", own)
    both = [one.get(page).content.decode() for one in (first, second)]
    hers, his = fields(both[0], action, **hers), fields(both[1], action, **his)
    assert first.post(action, hers).status_code == 303
    answer = second.post(action, his)
    assert answer.status_code == 409
    text = answer.content.decode()
    changed = next(key for key in his if key not in ("csrfmiddlewaretoken", "once") and his[key] != hers[key])
    assert his[changed] in text, "what she typed stands in its field"
    assert f"“{hers[changed]}" in text, "and what stands there now is said"


def test_what_only_the_other_changed_stays(own: Any, as_member: Any) -> None:
    first, second = as_member("owner", own), as_member("owner", own)
    pages = [one.get("/settings").content.decode() for one in (first, second)]
    first.post("/settings", fields(pages[0], "/settings", postal_address="1 rue Neuve"))
    answer = second.post("/settings", fields(pages[1], "/settings", take_back_seconds="90"))
    assert answer.status_code == 303
    own.workspace.refresh_from_db()
    assert (own.workspace.postal_address, own.workspace.take_back_seconds) == ("1 rue Neuve", 90)


def test_saved_once_more_it_takes_its_place(own: Any, as_member: Any) -> None:
    first, second = as_member("owner", own), as_member("owner", own)
    pages = [one.get("/settings").content.decode() for one in (first, second)]
    first.post("/settings", fields(pages[0], "/settings", title="Chez elle"))
    conflict = second.post("/settings", fields(pages[1], "/settings", title="Chez lui"))
    assert conflict.status_code == 409
    assert second.post("/settings", fields(conflict.content.decode(), "/settings")).status_code == 303
    own.workspace.refresh_from_db()
    assert own.workspace.title == "Chez lui"
