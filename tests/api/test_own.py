"""Our own API: contacts, permissions, segments, orders, mail; errors, pages, and calls that come twice."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.models import Member, Role, User
from envol.accounts.workspaces import add_member, create_workspace
from envol.api import calls, declared
from envol.api.models import KeptAnswer, LoggedCall
from envol.api.own import answers
from envol.audience import segments
from envol.consent import informing, partners, purposes, suppression
from envol.consent.models import Origin
from envol.contacts import catalogue
from envol.contacts.models import Contact
from envol.db import value
from envol.outbound import domains
from tests.api.program import Program


class Own(Program):
    """The same program, calling our own API."""

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        answer = self.raw(method, f"/api/v1{path}", body, **headers)
        return answer.status_code, json.loads(answer.content) if answer.content else None


@pytest.fixture
def own(workspace: Any) -> Own:
    return Own(workspace)


def member(workspace: Any) -> Member:
    user = User.objects.create_user(f"zoe{workspace.pk}@equipe.example", "x", language="en")
    return add_member(workspace, user, Role.OWNER)


def test_a_person_is_taken_in_changed_found_and_erased(own: Own) -> None:
    _, letter = own("POST", "/lists", {"name": "Lettre"})
    given = {"email": "Zoe@lecteurs.example", "properties": {"first_name": "Zoé"}, "language": "fr", "tags": ["jazz"],
             "lists": [letter["id"]]}  # fmt: skip
    status, zoe = own("POST", "/contacts", given)
    assert status == 201 and zoe["email"] == "Zoe@lecteurs.example" and zoe["properties"] == {"first_name": "Zoé"}
    assert (zoe["tags"], zoe["language"], zoe["refuses"]) == (["jazz"], "fr", False)
    status, again = own("POST", "/contacts", {"email": "zoe@lecteurs.example", "properties": {"last_name": "Martin"}})
    assert status == 200 and again["id"] == zoe["id"]
    assert again["properties"] == {"first_name": "Zoé", "last_name": "Martin"}
    change = {"email": "zoe@poste.example", "properties": {"last_name": None}, "add_tags": ["roman"],
              "remove_tags": ["jazz"], "time_zone": "Europe/Paris"}  # fmt: skip
    status, changed = own("PATCH", f"/contacts/{zoe['id']}", change)
    assert status == 200 and changed["email"] == "zoe@poste.example" and changed["tags"] == ["roman"]
    assert changed["properties"] == {"first_name": "Zoé"} and changed["time_zone"] == "Europe/Paris"
    assert own("GET", "/contacts?email=ZOE@poste.example")[1]["items"] == [changed]
    assert own("GET", f"/contacts?list={letter['id']}")[1]["items"] == [changed]
    assert own("GET", f"/lists/{letter['id']}/members")[1]["items"][0]["contact"] == zoe["id"]
    assert own("GET", f"/lists/{letter['id']}")[1]["contacts"] == 1
    assert own("DELETE", f"/lists/{letter['id']}/members/{zoe['id']}") == (204, None)
    assert own("PUT", f"/lists/{letter['id']}/members/{zoe['id']}") == (204, None)
    assert own("DELETE", f"/contacts/{zoe['id']}") == (204, None)
    assert own("GET", f"/contacts/{zoe['id']}")[0] == 404
    status, problem = own("POST", "/contacts", {"email": "zoe@poste.example"})
    assert status == 409 and "erased" in problem["detail"]


def test_pages_follow_each_other_whatever_is_added_meanwhile(own: Own, workspace: Any) -> None:
    made = [own("POST", "/contacts", {"email": f"p{n}@lecteurs.example"})[1]["id"] for n in range(5)]
    _, first = own("GET", "/contacts?limit=2")
    own("DELETE", f"/contacts/{made[0]}")
    _, second = own("GET", f"/contacts?limit=2&cursor={first['next']}")
    _, third = own("GET", f"/contacts?limit=2&cursor={second['next']}")
    assert [one["id"] for one in first["items"] + second["items"] + third["items"]] == made
    assert third["next"] is None
    status, problem = own("GET", "/contacts?cursor=bm9uZQ")
    assert status == 422 and "cursor" in problem["detail"]


def test_properties_are_declared_and_what_is_sensitive_is_not_shown(own: Own, workspace: Any) -> None:
    given = {"key": "size", "type": "choice", "label_fr": "Taille", "label_en": "Size", "choices": ["S", "M"],
             "purposes": ["newsletter"]}  # fmt: skip
    status, size = own("POST", "/properties", given)
    assert status == 201 and size["purposes"] == ["newsletter"] and size["choices"] == ["S", "M"]
    assert own("POST", "/properties", given)[0] == 409
    catalogue.declare(workspace, "health", "text", "Santé", "Health", sensitive=True)
    keys = [one["key"] for one in own("GET", "/properties?limit=1000")[1]["items"]]
    assert "size" in keys and "health" not in keys
    status, problem = own(
        "POST", "/contacts", {"email": "a@lecteurs.example", "properties": {"size": "XXL", "health": "x"}}
    )
    assert status == 422 and {one["place"] for one in problem["errors"]} == {"$.properties.size", "$.properties.health"}
    assert not Contact.objects.filter(workspace_id=workspace.pk, email_key="a@lecteurs.example").exists()


def test_permission_is_asked_passed_on_as_declared_and_withdrawn(own: Own, workspace: Any) -> None:
    _, zoe = own("POST", "/contacts", {"email": "zoe@lecteurs.example"})
    ask = "/consent/why?email=zoe@lecteurs.example&purpose=newsletter"
    assert own("GET", ask)[1]["allowed"] is False
    grant = {"contact": zoe["id"], "purpose": "newsletter"}
    status, problem = own("POST", "/consent/grants", grant)
    assert status == 409 and "declared" in problem["detail"]
    owner = member(workspace)
    declared.declare(own.key, purposes.get(workspace, "newsletter"), "le site", "case à cocher", owner)
    status, told = own("POST", "/consent/grants", grant)
    assert status == 200 and told["allowed"] and told["line"]["source"] == "le site"
    assert own("POST", "/consent/grants", grant | {"purpose": "offers"})[0] == 409
    status, told = own("POST", "/consent/withdrawals", {"email": "zoe@lecteurs.example", "purpose": "newsletter"})
    assert (status, told) == (200, {"contact": zoe["id"], "changed": True})
    assert own("GET", ask)[1]["allowed"] is False
    assert own("POST", "/consent/grants", grant)[0] == 409  # only she comes back
    status, told = own("POST", "/consent/requests", {"email": "zoe@lecteurs.example", "kind": "access"})
    assert status == 202 and own("GET", f"/consent/requests/{told['id']}") == (200, told)
    assert {one["key"] for one in own("GET", "/purposes")[1]["items"]} >= {"newsletter", "offers"}
    assert not Origin.objects.filter(workspace=workspace).exists(), "she gave it herself, as far as was said"
    # Whose data somebody else gave is told so first, and those of a week share a clock.
    newsletter = purposes.get(workspace, "newsletter")
    declared.declare(own.key, newsletter, "le salon", "case", owner, given_by="Salon du livre")
    for name in ("paul", "lea"):
        one = own("POST", "/contacts", {"email": f"{name}@lecteurs.example"})[1]
        status, told = own("POST", "/consent/grants", {"contact": one["id"], "purpose": "newsletter"})
        assert status == 200 and (told["allowed"], told["reason"]) == (False, "not_told")
    (origin,) = Origin.objects.filter(workspace=workspace)
    assert origin.name == "Salon du livre" and informing.standing(origin).waiting == 2
    suppression.add(workspace.pk, "zoe@lecteurs.example", "marketing", "complaint", "x")
    assert own("GET", f"/contacts/{zoe['id']}")[1]["refuses"] is True


def test_segments_are_counted_listed_and_explained(own: Own, workspace: Any) -> None:
    rule = {"v": 1, "match": "all", "rules": [{"field": "prop.first_name", "op": "is", "value": "Zoé"}]}
    for n, name in enumerate(("Zoé", "Paul", "Zoé", "Zoé")):
        own("POST", "/contacts", {"email": f"p{n}@lecteurs.example", "properties": {"first_name": name}})
    one = segments.save(workspace, "Les Zoé", rule)
    _, found = own("GET", "/segments")
    assert found["items"][0]["id"] == one.pk and found["items"][0]["sentence"]["fr"]
    status, whole = own("GET", f"/segments/{one.pk}?purpose=newsletter")
    assert status == 200 and whole["figures"]["count"] == 3 and whole["figures"]["may_be_written_to"] == 0
    _, first = own("GET", f"/segments/{one.pk}/members?limit=2")
    _, second = own("GET", f"/segments/{one.pk}/members?limit=2&cursor={first['next']}")
    emails = [one["email"] for one in first["items"] + second["items"]]
    assert emails == [f"p{n}@lecteurs.example" for n in (0, 2, 3)] and second["next"] is None
    status, why = own("GET", f"/segments/{one.pk}/why?email=p1@lecteurs.example")
    assert status == 200 and why["inside"] is False and why["why"]["rules"][0]["sentence"]
    status, counted = own("POST", "/segments/count", {"text": whole["segment"]["text"]})
    assert status == 200 and counted["figures"]["count"] == 3
    status, problem = own("POST", "/segments/count", {"text": "prop.nothing = 1"})
    assert status == 422 and problem["errors"]
    assert own("POST", "/segments/count", {})[0] == 422


def test_orders_and_events_each_line_by_itself(own: Own) -> None:
    own("POST", "/contacts", {"email": "zoe@lecteurs.example"})
    order = {"id": "A-1", "email": "zoe@lecteurs.example", "at": "2026-03-14T10:30:00+01:00", "amount": "36.90",
             "currency": "EUR"}  # fmt: skip
    status, told = own("POST", "/orders", {"orders": [order, {"id": "A-2"}, order]})
    assert status == 200 and told["added"] == 1 and told["known"] == 1
    assert [one["place"] for one in told["refused"]] == ["$.orders[1]"]
    status, told = own("POST", "/events", {"events": [{"event": "visit", "email": "nobody@lecteurs.example"}]})
    assert status == 422 and told["errors"][0]["place"] == "$.events[0]"


def test_a_message_is_accepted_and_seen_in_the_log(own: Own, workspace: Any) -> None:
    domains.add(workspace, "boutique.example", trusted=True)
    given = {"from": {"email": "bonjour@boutique.example", "name": "La boutique"},
             "to": [{"email": "anna@lecteurs.example"}, {"email": "ANNA@lecteurs.example"}],
             "bcc": [{"email": "luc@lecteurs.example"}], "subject": "Votre commande", "text": "Elle est partie.",
             "reference": "C-17",
             "attachments": [{"name": "a.txt", "content": "w6k=", "type": "text/plain"}]}  # fmt: skip
    status, told = own("POST", "/messages", given)
    assert status == 202, told
    assert [one["email"] for one in told["recipients"]] == ["anna@lecteurs.example", "luc@lecteurs.example"]
    api_keys.limit(own.key, Limits(senders=("autre.example",)))
    status, problem = own("POST", "/messages", given)
    assert status == 403 and "authorized sender" in problem["detail"]
    api_keys.limit(own.key, Limits())
    assert own("POST", "/messages", {k: v for k, v in given.items() if k != "text"})[0] == 422


def test_the_same_call_twice_has_one_effect_and_one_answer(own: Own, workspace: Any) -> None:
    call = {"name": "Lettre"}
    first = own.raw("POST", "/api/v1/lists", call, **{"Idempotency-Key": '"k-1"'})
    again = own.raw("POST", "/api/v1/lists", call, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 201) and first.content == again.content
    assert "Idempotency-Replayed" not in first and again["Idempotency-Replayed"] == "true"
    status, problem = own("POST", "/lists", {"name": "Autre"}, **{"Idempotency-Key": "k-1"})
    assert status == 422 and problem["type"].endswith("#problem-other-body")
    kept = KeptAnswer.objects.get(workspace=workspace)
    assert b"Lettre" not in bytes(kept.answer)  # sealed under the key, which is not kept
    assert Own(create_workspace(f"x{workspace.pk}"))("POST", "/lists", call, **{"Idempotency-Key": "k-1"})[0] == 201
    assert own("POST", "/lists", call, **{"Idempotency-Key": "x" * 300})[0] == 400
    # What was refused did nothing, and may be sent again under its key.
    assert own("POST", "/lists", call, **{"Idempotency-Key": "k-2"})[0] == 409
    assert own("POST", "/lists", {"name": "Deux"}, **{"Idempotency-Key": "k-2"})[0] == 201
    KeptAnswer.objects.filter(workspace=workspace).update(at=timezone.now() - timedelta(hours=25))
    answers.forget()
    assert not KeptAnswer.objects.filter(workspace=workspace).exists()


def test_a_call_that_comes_while_the_first_is_done_is_told_to_wait(own: Own) -> None:
    turn = answers.sha256(f"{own.key.pk} k-3".encode()).digest()
    params = {
        k: v
        for k, v in connection.get_connection_params().items()
        if k in ("host", "port", "user", "dbname", "password")
    }
    with psycopg.connect(**params) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(turn[:8], signed=True)])
        status, problem = own("POST", "/lists", {"name": "Lettre"}, **{"Idempotency-Key": "k-3"})
        assert status == 409 and problem["type"].endswith("#problem-in-progress")
    assert own("POST", "/lists", {"name": "Lettre"}, **{"Idempotency-Key": "k-3"})[0] == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/lists", "{", 400, "JSON"),
        ("POST", "/lists", b"\xff", 400, "JSON"),
        ("POST", "/lists", "[" * 100_000, 400, "JSON"),
        ("POST", "/lists", '{"name": NaN}', 400, "JSON"),
        ("POST", "/lists", '{"name": "a\\u0000b"}', 400, "U+0000"),
        ("POST", "/lists", {"name": 3}, 422, "$.name"),
        ("POST", "/lists", {"nom": "x"}, 422, "nom"),
        ("POST", "/lists", {"name": ""}, 422, "length"),
        ("POST", "/contacts", {"email": "not an address"}, 422, "address"),
        ("POST", "/contacts", {"email": "a@lecteurs.example", "lists": [1]}, 404, "list"),
        ("GET", "/contacts?limit=0", None, 422, "limit"),
        ("GET", "/contacts?limit=1&limit=2", None, 422, "twice"),
        ("GET", "/contacts?wrong=1", None, 422, "wrong"),
        ("GET", "/contacts/99999999", None, 404, "contact"),
        ("GET", "/contacts/x", None, 404, "openapi"),
        ("GET", "/nothing", None, 404, "openapi"),
        ("GET", "/segments/1%0A/members", None, 404, ""),
        ("PUT", "/contacts", {}, 405, "GET, POST"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    own: Own, method: str, path: str, body: Any, status: int, said: str
) -> None:
    answer = own.raw(method, f"/api/v1{path}", body)
    problem = json.loads(answer.content)
    assert answer.status_code == problem["status"] == status, problem
    assert answer["Content-Type"] == "application/problem+json" and problem["title"] and problem["type"]
    assert said in problem["detail"] + str(problem.get("errors")), problem


def test_a_backslash_that_is_text_is_text(own: Own) -> None:
    status, made = own("POST", "/lists", '{"name": "a\\\\u0000b"}')
    assert status == 201 and made["name"] == "a\\u0000b"
    assert own("POST", "/lists", '{"name": "a\\\\\\u0000b"}')[0] == 400, "a backslash, then what no text holds"


def test_keys_scopes_and_other_workspaces(own: Own, workspace: Any) -> None:
    assert Client(HTTP_HOST="localhost").get("/api/v1/contacts").status_code == 401
    reads = Own(workspace, "segments")
    status, problem = reads("GET", "/contacts")
    assert status == 403 and "contacts" in problem["detail"]
    _, zoe = own("POST", "/contacts", {"email": "zoe@lecteurs.example"})
    _, letter = own("POST", "/lists", {"name": "Lettre"})
    other = Own(create_workspace(f"y{workspace.pk}"))
    assert other("GET", "/contacts")[1] == {"items": [], "next": None}
    for method, path in (("GET", f"/contacts/{zoe['id']}"), ("DELETE", f"/contacts/{zoe['id']}"),
                         ("GET", f"/lists/{letter['id']}/members"), ("DELETE", f"/lists/{letter['id']}")):  # fmt: skip
        assert other(method, path)[0] == 404
    api_keys.pause(own.key, "trop vite")
    status, problem = own("GET", "/contacts")
    assert status == 403 and "trop vite" in problem["detail"]


def test_calls_are_logged_without_anybodys_address(own: Own, workspace: Any) -> None:
    calls.flush()
    own.raw("GET", "/v3/REST/contact/zoe@lecteurs.example")
    own("GET", "/contacts?email=zoe@lecteurs.example")
    own("POST", "/lists", {"name": 3})
    own.raw("POST", "/orders.json", {"orders": []})
    calls.flush()
    told = list(LoggedCall.objects.filter(workspace=workspace).order_by("id").values_list("method", "path", "status"))
    assert told == [
        ("GET", "/v3/REST/contact/…", 404),
        ("GET", "/api/v1/contacts", 200),
        ("POST", "/api/v1/lists", 422),
        ("POST", "/orders.json", 200),
    ]
    for _ in range(calls.MOST_AT_ONCE + 20):
        calls.note(own.key, "GET", "/api/v1/lists", 200, 0.0)
    calls.note(own.key, "GET", "/api/v1/lists", 404, 0.0)
    assert calls.flush() == calls.MOST_AT_ONCE
    assert LoggedCall.objects.filter(workspace=workspace, status=404).count() == 2  # refusals before others
    LoggedCall.objects.filter(workspace=workspace).update(at=timezone.now() - timedelta(days=8))
    calls.forget()
    assert value("SELECT count(*) FROM api_logged_call WHERE workspace_id = %s", [workspace.pk]) == 0


def test_the_description_names_every_route_and_refers_to_nothing_that_is_missing() -> None:
    told = json.loads(Client(HTTP_HOST="localhost").get("/api/openapi.json").content)
    assert told["openapi"] == "3.1.0" and len(told["paths"]) > 20
    names = [one["operationId"] for path in told["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))
    text = json.dumps(told)
    wanted = {part.split('"')[0] for part in text.split('"#/components/')[1:]}
    assert wanted and all(name in told["components"][kind] for kind, name in (one.split("/") for one in wanted))


def test_partners_are_read_with_the_versions_that_name_them(own: Own) -> None:
    offers = purposes.get(own.workspace, "offers")
    assert own("GET", "/partners")[1]["items"] == []
    first = partners.add(offers, "Atelier Bleu", "atelier.example", "FR")
    second = partners.add(offers, "Studio Vert", "studio.example", "BE")
    zoe = own("POST", "/contacts", {"email": "zoe@lecteurs.example"})[1]
    partners.hand(first, [(zoe["id"], "zoe@lecteurs.example")])
    partners.drop(first)
    status, found = own("GET", "/partners?limit=1")
    (told,) = found["items"]
    assert status == 200 and (told["name"], told["site"], told["country"], told["purpose"]) == (
        "Atelier Bleu", "atelier.example", "FR", "offers",
    )  # fmt: skip
    assert told["until_version"] > told["since_version"] and told["ended_at"]
    assert (told["given"], told["owed"]) == (1, 0)
    (other,) = own("GET", f"/partners?limit=1&cursor={found['next']}")[1]["items"]
    assert (other["id"], other["until_version"], other["given"]) == (second.pk, None, 0)
    assert other["since_version"] == told["since_version"] + 1
    assert own("DELETE", f"/contacts/{zoe['id']}")[0] == 204
    assert own("GET", "/partners")[1]["items"][0]["owed"] == 1, "she is erased: the partner is to be told"
    assert own("POST", "/partners", {"name": "x"})[0] == 405, "whom people are asked about is decided on a page"
