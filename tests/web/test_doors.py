"""Who may enter, on every route there is: roles, other workspaces, forged requests, whole addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from django.core.checks import run_checks
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path

from envol.accounts.workspaces import create_api_key
from envol.web.doors import ALLAUTH, anybody, routes
from tests.web.shop import Shop

Sign = Callable[..., Client]
_PARAMETER = re.compile(r"<(?:int:)?(\w+)>")
RANK = {"viewer": 0, "editor": 1, "owner": 2}

# Routes that answer another method than GET, by name.
POST_ONLY = {
    "act_on_move", "content_draft", "preview_typed", "media_act",
    "language", "add_note", "delete_segment", "import_format", "import_mapping", "import_permission", "import_act",
    "save", "test",
    "end_sessions", "act", "check_domain",
    "domain_replies", "change_mailing_list", "decide_post",
    "invite", "change_member", "revoke_key", "pause_key", "resume_key", "declare_key", "key_about", "late_refusal",
    "single_messages", "undo",
    "keep_people",
    "new_form", "switch_signup", "verify_ledger", "new_purpose", "suppressed",
    "empty_inbox", "resend_message", "add_suppression", "queue_act", "mail_act", "decide_held",
    "density", "save_view", "delete_view", "save_as_segment", "bulk_do", "change_contact", "rectify", "withdraw",
    "grant",
    "new_list", "change_list", "new_field", "field_act", "turn_key",
    "segment_figures", "leave_segment", "restore_segment",
    "new_topic", "infer_interests", "change_interest", "change_happening", "change_rhythm",
    "compute_scores", "change_tiers", "change_delays", "export_act", "follow_segment",
    "confirm_map", "demand_step", "end_processor", "new_breach", "breach_step",
    "new_request", "add_partner", "object_to_change", "cancel_change", "purpose_term", "ask_again",
    "make_evidence",
    "release_hold",
    "start_stored", "remove_stored",
    "test_webhook", "switch_webhook", "renew_webhook_secret", "tell_webhook_again", "remove_webhook",
    "silence_contact", "put_contact", "put_into_segment", "new_shop", "remove_shop",
}  # fmt: skip
# Those that answer GET and POST both.
BOTH = {
    "analysis",
    "demands",
    "moves",
    "content",
    "media",
    "new_segment",
    "edit_segment",
    "imports",
    "new_campaign",
    "send",
    "settings",
    "domains",
    "stored",
    "keys",
    "key",
    "webhooks",
    "webhook",
    "account",
    "signup",
    "preview_signup",
    "purpose",
    "act_on_people",
    "field",
    "topic",
    "campaign_topics",
    "new_export",
    "shop",
    "suppressions",
    "reuse",
    "rights_request",
    "retention",
    "controller",
    "planned_changes",
    "partner",
    "processor",
    "new_processor",
    "assessment",
    "texts",
    "text_notice",
    "text_privacy",
    "text_terms",
    "text_cookies",
}


def ours() -> list[tuple[str, str, str]]:
    """The routes of the pages that a member sees: (path, name, least role)."""
    found = [(p, name, who.rpartition(" ")[2]) for p, name, who in routes() if who.startswith("members")]
    return [one for one in found if one[1] != "styleguide"]  # only there with debug: test_ground.py


def address(route: str, shop: Shop) -> str:
    ids = shop.known
    return "/" + _PARAMETER.sub(lambda found: str(ids[found[1]]), route)


def test_the_routes_are_all_known_here() -> None:
    assert len(ours()) >= 35
    for route, name, least in ours():
        assert name and least in RANK, (route, name, least)


def test_every_route_says_who_may_enter() -> None:
    assert [e for e in run_checks() if e.id == "envol.E001"] == []
    assert all(who for _, _, who in routes())


def test_a_route_that_does_not_say_it_stops_the_start() -> None:
    def open_door(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    class Urls:
        urlpatterns = [path("secret", open_door, name="secret"), path("open", anybody(lambda r: HttpResponse()))]

    with override_settings(ROOT_URLCONF=Urls):
        found = [e for e in run_checks() if e.id == "envol.E001"]
    assert len(found) == 1 and "/secret" in found[0].msg


def test_the_table_of_allauth_names_only_what_exists() -> None:
    with override_settings(ROOT_URLCONF="envol.web.urls"):
        names = {name for _, name, _ in routes()}
    known = {
        name
        for _, name, _ in routes([path("", include("allauth.account.urls")), path("", include("allauth.mfa.urls"))])
    }
    assert known <= set(ALLAUTH) and known <= names


def test_who_is_not_signed_in_is_asked_to(shop: Shop) -> None:
    client = Client(HTTP_HOST="localhost")
    for route, name, _ in ours():
        where = address(route, shop)
        answer = client.post(where) if name in POST_ONLY else client.get(where)
        if name in POST_ONLY and answer.status_code == 405:
            continue
        assert answer.status_code in (302, 401), (where, answer.status_code)
        if answer.status_code == 302:
            assert answer["Location"].startswith("/login/?next="), where


@pytest.mark.parametrize("role", ["viewer", "editor", "owner"])
def test_each_role_enters_where_it_may_and_nowhere_else(shop: Shop, as_member: Sign, role: str) -> None:
    client = as_member(role)
    for route, name, least in ours():
        if name in POST_ONLY:
            if RANK[role] < RANK[least]:
                assert client.post(address(route, shop)).status_code == 403, (role, name)
            continue
        answer = client.get(address(route, shop))
        if RANK[role] < RANK[least]:
            assert answer.status_code == 403, (role, name)
        else:
            assert answer.status_code in (200, 303), (role, name, answer.status_code)


def test_the_data_protection_officer_keeps_consent_and_sends_nothing(shop: Shop, as_member: Sign) -> None:
    """A viewer everywhere, but an owner at the desk of consent; and she reads the journal and who looked at whom."""
    ours_alone = ("/consent", "/settings/journal", "/settings/looks")
    client, entered = as_member("dpo"), 0
    for route, name, least in ours():
        where = address(route, shop)
        hers = RANK[least] == 0 or where.startswith(ours_alone)
        if name in POST_ONLY:
            if not hers:
                assert client.post(where).status_code == 403, name
            continue
        answer = client.get(where)
        assert answer.status_code in ((200, 303) if hers else (403,)), (name, answer.status_code)
        entered += hers and RANK[least] > 0
    assert entered >= 12
    person = client.get(f"/contacts/{shop.people[0].pk}").content.decode()
    assert shop.people[0].email in person and 'action="/contacts/' not in person, "she reads whole addresses, no more"
    assert client.post("/consent/controller", {"legal_name": ""}).status_code == 422
    assert "/settings/journal" in client.get("/settings/account").content.decode()


def test_what_belongs_to_another_workspace_does_not_exist(shop: Shop, other_shop: Shop, as_member: Sign) -> None:
    """Every route with a parameter, by every method it has, with ids of the other workspace."""
    client = as_member("owner")
    tried = 0
    for route, name, _ in ours():
        if not _PARAMETER.search(route):
            continue
        where = address(route, other_shop)
        methods = {"post"} if name in POST_ONLY else {"get", "post"} if name in BOTH else {"get"}
        for method in methods:
            answer = getattr(client, method)(where)
            assert answer.status_code == 404, (method, where, answer.status_code)
            tried += 1
    assert tried >= 25


def test_filters_do_not_reach_into_another_workspace(shop: Shop, other_shop: Shop, as_member: Sign) -> None:
    client = as_member("owner")
    for query in (f"list={other_shop.list.pk}", f"segment={other_shop.segment.pk}"):
        assert client.get(f"/contacts?{query}").status_code == 404
    assert client.get(f"/campaigns/{shop.draft.pk}/preview?contact={other_shop.people[0].pk}").status_code == 404
    answer = client.post(
        f"/campaigns/{shop.draft.pk}/save",
        {"card": "audience", "revision": shop.draft.revision, "segment": other_shop.segment.pk, "purpose": ""},
    )
    assert answer.status_code == 422


def test_the_captured_mail_opens_to_an_owner_or_a_key(shop: Shop, other_shop: Shop, as_member: Sign) -> None:
    assert as_member("editor").get("/inbox.json").status_code == 403
    assert len(as_member("owner").get("/inbox.json").json()) == 1
    key = create_api_key(other_shop.workspace, "essai")
    import base64

    basic = base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()
    key_holder = Client(HTTP_HOST="localhost", headers={"Authorization": f"Basic {basic}"})
    answer = key_holder.get("/inbox.json")
    found = answer.json()
    assert [m["id"] for m in found] == [other_shop.captured.pk] and "Link" not in answer
    first = key_holder.get("/inbox.json?limit=1")
    following = f"/inbox.json?after={other_shop.captured.pk}&limit=1"
    assert first["Link"] == f'<{following}>; rel="next"' and key_holder.get(following).json() == []
    keys = ["id", "received_at", "envelope_from", "envelope_to", "subject", "headers", "text", "html", "raw"]
    assert list(found[0]) == keys
    assert Client(HTTP_HOST="localhost").get("/inbox.json", headers={"Authorization": "Basic eDp5"}).status_code == 401


def _posts(shop: Shop) -> Iterator[tuple[str, str]]:
    for route, name, _ in ours():
        if name in POST_ONLY | BOTH:
            yield name, address(route, shop)
    yield "language", "/language"
    yield "account_login", "/login/"


def test_no_post_works_without_the_token(shop: Shop, as_member: Sign) -> None:
    client = as_member("owner", enforce_csrf_checks=True)
    for name, where in _posts(shop):
        assert client.post(where).status_code == 403, name


def test_no_post_works_from_another_site(shop: Shop, as_member: Sign) -> None:
    client = as_member("owner")
    for name, where in _posts(shop):
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
        ):
            answer = client.post(where, headers=headers)
            assert answer.status_code == 403 and b"another site" in answer.content, (name, headers)
    assert client.post("/language", {"language": "fr"}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_a_post_only_route_refuses_get(shop: Shop, as_member: Sign) -> None:
    client = as_member("owner")
    for route, name, _ in ours():
        if name in POST_ONLY:
            assert client.get(address(route, shop)).status_code == 405, name


def test_every_page_carries_its_policies(shop: Shop, as_member: Sign) -> None:
    client = as_member("owner")
    pages = [address(route, shop) for route, name, _ in ours() if name not in POST_ONLY]
    for where in [*pages, "/login/", "/password/reset/", "/2fa/", "/nowhere"]:
        answer = client.get(where)
        policy = answer["Content-Security-Policy"]
        assert "default-src" in policy and "frame-ancestors" in policy and "'unsafe-eval'" not in policy, where
        if not where.endswith(("/preview", "/html")):
            assert "'unsafe-inline'" not in policy, where
            assert answer["X-Frame-Options"] == "DENY", where
        else:
            assert "sandbox" in policy and "script-src 'none'" in policy, where
        assert answer["X-Content-Type-Options"] == "nosniff" and answer["Referrer-Policy"] == "same-origin", where
        assert answer["Cross-Origin-Opener-Policy"] == "same-origin", where


def test_no_page_needs_what_its_policy_forbids(shop: Shop, as_member: Sign) -> None:
    """No inline script, no style attribute, nothing from another host."""
    client = as_member("owner")
    for route, name, _ in ours():
        if name in POST_ONLY | {
            "model_preview", "preview", "click_map", "message_html",
            "held_html", "people_csv", "import_refused", "preview_signup",
            "export_file", "record_pdf", "breach_pdf",
        }:  # fmt: skip
            continue
        text = client.get(address(route, shop)).content.decode()
        assert not re.search(r"<[^>]+\sstyle=", text), name
        assert not re.search(r"<[^>]+\son\w+=", text), name
        assert not re.search(r"<script(?![^>]*(src=|application/json))", text), name
        assert not re.search(r"(src|href)=\"(https?:)?//", text), name
        assert not re.search(r"\b[A-Z]\w+ object \(", text), f"{name}: a row shown by its number, not by its name"


def test_whoever_sees_addresses_is_told_that_she_may_look_for_one(shop: Shop, as_member: Sign) -> None:
    pages = ("/contacts", f"/segments/{shop.segment.pk}")
    for role, by_address in (("viewer", False), ("dpo", True), ("editor", True)):
        client = as_member(role)
        for where in pages:
            told = client.get(where).content.decode()
            assert ("Search by name" not in told) == by_address, (role, where)


def test_a_viewer_never_sees_a_whole_address(shop: Shop, as_member: Sign) -> None:
    """Every page she may open, every group of people, the CSV too."""
    client = as_member("viewer")
    pages = [address(r, shop) for r, name, least in ours() if least == "viewer" and name not in POST_ONLY]
    base = f"/campaigns/{shop.sent.pk}/people"
    groups = ("chosen", "allowed", "excluded", "accepted", "delivered", "bounced", "clicked", "opened", "unsubscribed")
    pages += [f"{base}?show={group}" for group in groups] + [f"{base}.csv?show=bounced"]
    pages += [f"/contacts/{person.pk}" for person in shop.people[:12]]
    pages += ["/contacts?q=martin", f"/campaigns/{shop.draft.pk}/preview?contact={shop.people[0].pk}"]
    seen = 0
    for where in pages:
        answer = client.get(where)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        for whole in shop.addresses:
            assert whole.encode() not in body, (where, whole)
        seen += body.count("•••".encode())
    assert seen > 100, "she sees them masked"
    owner = as_member("owner").get(f"/contacts/{shop.people[0].pk}").content.decode()
    assert shop.people[0].email in owner and shop.people[1].email in owner, "the note's address is hidden by her role"


def test_a_viewer_cannot_guess_addresses_by_searching(shop: Shop, as_member: Sign) -> None:
    whole = shop.people[0].email
    assert b"/contacts/" + str(shop.people[0].pk).encode() in as_member("editor").get("/contacts", {"q": whole}).content
    assert f"/contacts/{shop.people[0].pk}" not in as_member("viewer").get("/contacts", {"q": whole}).content.decode()
