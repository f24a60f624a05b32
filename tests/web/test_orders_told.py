"""Orders told by a program: by key, once each, with a reason for each that is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from django.test import Client

from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import NewKey, create_api_key
from envol.contacts.models import Identifier, Order, OrderLine
from tests.web.shop import Shop


def post(shop: Shop, body: Any, key: Any = None) -> Any:
    key = key or create_api_key(shop.workspace, "caisse")
    basic = base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()
    text = body if isinstance(body, str) else json.dumps(body)
    return Client(HTTP_HOST="localhost").post(
        "/orders.json", text, content_type="application/json", headers={"Authorization": f"Basic {basic}"}
    )


def test_orders_are_kept_once_with_their_lines(shop: Shop) -> None:
    one, two = shop.people[0], shop.people[1]
    Identifier.objects.create(workspace_id=shop.workspace.pk, contact_id=two.pk, kind="customer", value="C-9")
    lines = [{"product": "Kind of Blue", "category": "jazz", "quantity": 2, "price": "24.90"}]
    told = [
        {"id": "T-1", "email": one.email.upper(), "at": "2026-03-14T10:30:00+01:00", "lines": lines},
        {"id": "T-2", "identifier": "customer:C-9", "at": "2026-03-15", "amount": 12.5, "currency": "CHF"},
        {"id": "T-3", "contact": one.pk, "at": "2026-03-15T00:00:00Z", "amount": "-3,00"},
    ]
    assert post(shop, {"orders": told}).json() == {"added": 3, "known": 0, "refused": []}
    assert post(shop, told).json() == {"added": 0, "known": 3, "refused": []}
    found = {
        o.external_id: o for o in Order.objects.filter(workspace_id=shop.workspace.pk, external_id__startswith="T-")
    }
    assert [found[k].amount for k in ("T-1", "T-2", "T-3")] == [4980, 1250, -300]
    assert (found["T-2"].contact_id, found["T-2"].currency, found["T-3"].contact_id) == (two.pk, "CHF", one.pk)
    (line,) = OrderLine.objects.filter(order_id=found["T-1"].pk)
    assert (line.product, line.category, line.quantity, line.amount) == ("Kind of Blue", "jazz", 2, 4980)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"id": ""}, "id of the order is missing"),
        ({"id": "x" * 101}, "1 to 100"),
        ({"email": "zoe"}, "no @"),
        ({"email": "nobody@lecteurs.example"}, "nobody here"),
        ({"email": None}, "by one of"),
        ({"contact": 5}, "by one of"),
        ({"email": None, "contact": "5"}, "whole number"),
        ({"email": None, "identifier": "C-1"}, "customer:4711"),
        ({"email": None, "identifier": "customer:absent"}, "Nobody here"),
        ({"at": "yesterday"}, "not a date"),
        ({"at": "2999-01-01"}, "not possible"),
        ({"amount": "ten"}, "no number"),
        ({"amount": None}, "amount of the order"),
        ({"currency": "euro"}, "three letters"),
        ({"lines": "x"}, "written as"),
        ({"lines": [{"product": "x" * 201}]}, "visible characters"),
        ({"total": 3}, "does not know"),
    ],
)
def test_what_cannot_be_kept_is_said_and_the_others_stay(shop: Shop, change: dict[str, Any], why: str) -> None:
    good = {"id": f"G-{why}", "email": shop.people[0].email, "at": "2026-01-02", "amount": "1.00"}
    answer = post(shop, [{**good, "id": "B-1", **change}, good])
    told = answer.json()
    assert answer.status_code == 200 and told["added"] + told["known"] == 1
    assert [one["order"] for one in told["refused"]] == [0] and why in told["refused"][0]["why"], told
    assert post(shop, [{**good, "id": "B-1", **change}]).status_code == 422


@pytest.mark.parametrize("body", ["", "[", "3", '"x"', "[" * 100_000, '{"orders": 3}', json.dumps([0] * 5001)])
def test_what_is_no_list_of_orders_is_refused_whole(shop: Shop, body: str) -> None:
    assert post(shop, body).status_code in (400, 422)


def test_another_workspace_s_people_are_nobody_and_a_key_is_needed(shop: Shop, other_shop: Shop) -> None:
    order = {"id": "O-1", "contact": other_shop.people[0].pk, "at": "2026-01-02", "amount": "1.00"}
    assert "nobody here" in post(shop, order).json()["refused"][0]["why"]
    assert Client(HTTP_HOST="localhost").post("/orders.json", order, content_type="application/json").status_code == 401


def test_a_key_without_the_scope_or_paused_is_told_why(shop: Shop) -> None:
    key = create_api_key(shop.workspace, "relais", Limits(scopes=["smtp"]))
    refused = post(shop, [], key)
    assert refused.status_code == 403 and "orders is not among them" in refused.json()["error"]
    open_key = create_api_key(shop.workspace, "caisse")
    api_keys.pause(ApiKey.objects.get(public_id=open_key.key), "we look into it")
    refused = post(shop, [], open_key)
    assert refused.status_code == 403 and refused.json()["error"] == "This key is paused: we look into it."
    wrong = post(shop, [], NewKey(open_key.key, "wrong"))
    assert wrong.status_code == 401 and "paused" not in wrong.json()["error"]
