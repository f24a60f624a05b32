"""The pages of webhooks: declaring, testing, telling again. Nothing is posted to anybody outside."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from envol.api.hooks import endpoints
from envol.events import outbox
from envol.events.models import Endpoint, Kind, Outbox
from envol.net import NotFetched, Said
from tests.web.shop import Shop


class Quiet:
    """In the place of whoever posts."""

    said: Said | None = Said(500, "<b>nothing</b>")

    def check(self, url: str) -> Any:
        return endpoints.Poster().check(url)

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Said:
        if self.said is None:
            raise NotFetched("programme.example has no address.")
        return self.said


@pytest.fixture
def owner(as_member: Any, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(endpoints, "poster", Quiet)
    found: Client = as_member("owner")
    return found


def test_from_the_first_address_to_its_removal(shop: Shop, owner: Client) -> None:
    told = {"url": "https://luc:mot@programme.example/suite", "kinds": ["2", "8"], "form": "standard", "act": "hook"}
    page = owner.post("/settings/webhooks", told)
    assert page.status_code == 201 and "whsec_" in page.content.decode()
    made = Endpoint.objects.get(workspace=shop.workspace, url="https://programme.example/suite")
    assert (made.kinds, endpoints.login(made)) == ([2, 8], "luc:mot")
    where = f"/settings/webhooks/{made.pk}"
    assert "signed in as luc" in owner.get(where).content.decode() and ":mot" not in owner.get(where).content.decode()
    page = owner.post(f"{where}/test")
    assert (
        page.status_code == 200
        and "It answered 500" in page.content.decode()
        and "&lt;b&gt;nothing&lt;/b&gt;" in page.content.decode()
    )
    assert "test@example.org" in page.content.decode() and not Outbox.objects.filter(endpoint=made).exists()

    page = owner.post(f"{where}/secret")
    assert page.status_code == 201 and "whsec_" in page.content.decode() and "no-store" in page["Cache-Control"]
    assert "with the former one until" in owner.get(where).content.decode()
    assert "whsec_" not in owner.get(where).content.decode()

    row = outbox.put(made, Kind.DELIVERED, {"test": {}})
    outbox.settle([outbox.Became(row, outbox.GIVEN_UP, 503, 12, "too busy")])
    page = owner.get(f"{where}?state=given_up")
    assert "too busy" in page.content.decode() and "1 event was given up." in page.content.decode()
    assert owner.get(f"{where}?state=told").content.decode().count("too busy") == 0
    assert owner.post(f"{where}/again", {"row": str(row)}).status_code == 303
    assert Outbox.objects.get(pk=row).state == "waiting"
    assert (
        "There is nothing to tell again"
        in owner.post(f"{where}/again", {"row": str(row)}, follow=True).content.decode()
    )

    owner.post(f"{where}/switch", {"to": "paused"})
    assert "Paused: what happens now is told neither now nor later." in owner.get(where).content.decode()
    owner.post(f"{where}/switch", {"to": "alive"})
    page = owner.post(where, {"url": "http://programme.example/x"})
    assert (
        page.status_code == 422
        and "https only" in page.content.decode()
        and 'value="http://programme.example/x"' in page.content.decode()
    )
    assert owner.post(where, {"url": "https://ailleurs.example/x"}).status_code == 303
    owner.post(f"{where}/remove")
    assert owner.get(where).status_code == 200, "not without a yes"
    assert owner.post(f"{where}/remove", {"sure": "yes"}).status_code == 303
    assert owner.get(where).status_code == 404


def test_what_was_typed_stays(shop: Shop, owner: Client) -> None:
    page = owner.post(
        "/settings/webhooks", {"url": "https://programme.example:22/x", "kinds": ["4"], "form": "dialect"}
    )
    assert (
        page.status_code == 422
        and "The port is 443" in page.content.decode()
        and "https://programme.example:22/x" in page.content.decode()
    )
    page = owner.post(
        "/settings/webhooks", {"act": "route", "url": "https://programme.example", "address": "a@b.example"}
    )
    assert page.status_code == 422 and "Name a path" in page.content.decode() and "a@b.example" in page.content.decode()


def test_in_the_other_form_there_is_an_address_for_each_event(shop: Shop, owner: Client) -> None:
    told = {"url": "https://programme.example/m", "kinds": ["4", "9", "7"], "form": "dialect", "act": "hook"}
    assert owner.post("/settings/webhooks", told).status_code == 303
    made = Endpoint.objects.filter(workspace=shop.workspace, form="dialect").order_by("event")
    assert [(one.event, one.kinds) for one in made] == [("bounce", [4, 9]), ("spam", [7])]
    page = owner.post("/settings/webhooks", told)
    assert page.status_code == 422 and "already" in page.content.decode()
