"""Segments told to a program by key: which, how many, who, why; nothing of another workspace, nothing without scope."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import create_api_key
from envol.audience import segments
from envol.audience.models import Segment
from tests.web.shop import Shop

TREE = {"v": 1, "match": "all", "rules": [{"field": "email", "op": "contains", "value": "lecteurs.example"}]}


class Program:
    def __init__(self, shop: Shop) -> None:
        key = create_api_key(shop.workspace, "le site")
        self.row = ApiKey.objects.get(public_id=key.key)
        self.header = {"Authorization": "Basic " + base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()}
        self.client = Client(HTTP_HOST="localhost")

    def get(self, path: str) -> Any:
        return self.client.get(path, headers=self.header)

    def count(self, body: Any) -> Any:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.client.post("/segments/count.json", text, content_type="application/json", headers=self.header)


@pytest.fixture
def program(shop: Shop) -> Program:
    return Program(shop)


@pytest.fixture
def segment(shop: Shop) -> Iterator[Segment]:
    made = segments.save(shop.workspace, "Lecteurs par programme", TREE)
    yield made
    made.delete()


def test_a_program_reads_segments_their_figures_and_their_people(
    shop: Shop, program: Program, segment: Segment
) -> None:
    told = {one["id"]: one for one in program.get("/segments.json").json()}
    assert told[segment.pk]["rule"] == TREE and told[segment.pk]["text"] == 'email contains "lecteurs.example"'
    assert told[segment.pk]["sentence"]["fr"] != told[segment.pk]["sentence"]["en"]
    whole = program.get(f"/segments/{segment.pk}.json?purpose=newsletter").json()
    assert whole["count"] == whole["may_be_written_to"] + sum(whole["refused"].values()) == 20
    found, path = [], f"/segments/{segment.pk}/people.json?limit=7"
    while path:
        answer = program.get(path)
        found += answer.json()
        link = answer.headers.get("Link", "")
        assert not link or link.endswith('>; rel="next"')
        path = link[1:].partition(">")[0]
    assert len(found) == len({one["contact"] for one in found}) == whole["count"]
    assert all("lecteurs.example" in one["email"] for one in found)


def test_why_somebody_is_in_it(shop: Shop, program: Program, segment: Segment) -> None:
    someone = shop.people[0]
    by_number = program.get(f"/segments/{segment.pk}/why.json?contact={someone.pk}").json()
    assert by_number == program.get(f"/segments/{segment.pk}/why.json?email={someone.email.upper()}").json()
    assert by_number["in"] and by_number["why"]["rules"][0]["holds"] and by_number["why"]["rules"][0]["sentence"]
    asked = {"": 400, "?contact=x": 400, "?contact=999999999": 404, "?email=n@lecteurs.example": 404, "?email=zoe": 400}
    for query, status in asked.items():
        assert program.get(f"/segments/{segment.pk}/why.json{query}").status_code == status, query


def test_a_rule_is_counted_without_being_saved(program: Program, segment: Segment) -> None:
    before = Segment.objects.count()
    by_tree = program.count({"rule": TREE}).json()
    by_text = program.count({"text": by_tree["text"], "purpose": "newsletter"}).json()
    assert by_tree["count"] == by_text["count"] == program.get(f"/segments/{segment.pk}.json").json()["count"]
    assert "refused" in by_text and "refused" not in by_tree and Segment.objects.count() == before


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ("", 400, "Send JSON"), ("[" * 100_000, 400, "Send JSON"), ([], 400, "either rule or text"),
        ({"rule": TREE, "text": "x"}, 400, "either rule or text"),
        ({"text": "prop.absent = 3"}, 422, "absent"),
        ({"text": "email contains"}, 422, "Line 1"),
        ({"rule": {"v": 1, "match": "all", "rules": [{"field": "email", "op": "gt", "value": 3}]}}, 422, "[0]"),
        ({"rule": 3}, 422, ""), ({"rule": TREE, "purpose": "absent"}, 400, "no purpose"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_said(program: Program, body: Any, status: int, says: str) -> None:
    answer = program.count(body)
    assert answer.status_code == status and says in answer.json()["error"], answer.content


def test_only_a_key_of_the_house_with_this_scope_reads(
    program: Program, other_shop: Shop, shop: Shop, segment: Segment
) -> None:
    theirs = segments.save(other_shop.workspace, "Les leurs", TREE)
    paths = ("/segments.json", "/segments/{}.json", "/segments/{}/people.json", "/segments/{}/why.json?contact=1")
    for path in paths[1:]:
        assert program.get(path.format(theirs.pk)).status_code == 404
    assert theirs.pk not in {one["id"] for one in program.get("/segments.json").json()}
    stranger = other_shop.people[0]
    assert program.get(f"/segments/{segment.pk}/why.json?contact={stranger.pk}").status_code == 404
    api_keys.limit(program.row, Limits(scopes=("read", "orders")))
    owner = Client(HTTP_HOST="localhost")
    owner.force_login(shop.members["owner"].user, "allauth.account.auth_backends.AuthenticationBackend")
    for path in paths:
        assert program.get(path.format(segment.pk)).status_code == 403
        assert Client(HTTP_HOST="localhost").get(path.format(segment.pk)).status_code == 401
        assert owner.get(path.format(segment.pk)).status_code == 401, "a cookie opens nothing here"
    assert program.count({"rule": TREE}).status_code == 403
    theirs.delete()
