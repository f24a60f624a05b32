"""Nothing typed is lost and nothing is done twice: double clicks, sessions that end, tokens that grow old."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts import once
from envol.accounts.models import ApiKey, SentForm
from envol.audience.models import Segment
from envol.campaigns.models import Campaign
from envol.contacts.models import List, Note
from tests.web.shop import PASSWORD, open_shop

SAME = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return open_shop(title="Librairie tenace", readers=30, folder=tmp_path_factory.mktemp("own"))


@pytest.fixture
def client(own: Any) -> Client:
    found = Client(HTTP_HOST="localhost", enforce_csrf_checks=True, headers=SAME)
    found.force_login(own.members["owner"].user, "allauth.account.auth_backends.AuthenticationBackend")
    return found


BUTTONS = {"act", "do"}


def form(client: Client, page: str, action: str, **typed: Any) -> dict[str, Any]:
    """The fields of the form with this action on a page, as a browser would send them, with what was typed."""
    return fields(client.get(page).content.decode(), action, **typed)


def fields(html: str, action: str, **typed: Any) -> dict[str, Any]:
    for one in LexborHTMLParser(html).css("main form[method=post]"):
        if (one.attributes.get("action") or action) != action:
            continue
        found: dict[str, Any] = {}
        for control in one.css("input, textarea, select"):
            name, kind = control.attributes.get("name"), control.attributes.get("type")
            if not name or kind in ("checkbox", "radio", "file") and "checked" not in control.attributes:
                continue
            chosen = control.css_first("option[selected]")
            value = control.text() if control.tag == "textarea" else control.attributes.get("value") or ""
            found[name] = (chosen.attributes.get("value") or "") if chosen else value
        mine = {key for key in ("property", "card") if key in found and key in typed}
        if set(typed) - BUTTONS <= set(found) and all(found[key] == typed[key] for key in mine):
            return found | typed
    raise AssertionError(f"no form {action} with {list(typed)}")


def of(shop: Any, name: str) -> tuple[str, str, dict[str, Any], Any]:
    """A form by name: its page, its address, what is typed, and how often its effect is there."""
    draft, person = f"/campaigns/{shop.draft.pk}", shop.people[0].pk
    w = shop.workspace
    return {
        "list": (
            "/lists", "/lists/new", {"name": "Deux fois"},
            lambda: List.objects.filter(workspace=w, name="Deux fois").count(),
        ),
        "note": (
            f"/contacts/{person}", f"/contacts/{person}/notes", {"text": "Elle rappelle\n  demain."},
            lambda: Note.objects.filter(contact_id=person, text__startswith="Elle rappelle").count(),
        ),
        "campaign": (
            "/campaigns/new", "/campaigns/new", {"name": "Deux clics", "start": "letter"},
            lambda: Campaign.objects.filter(workspace=w, name="Deux clics").count(),
        ),
        "segment": (
            f"/segments/new?tree={quote(json.dumps(RULE))}", "/segments/new", {"name": "Clic clic", "act": "save"},
            lambda: Segment.objects.filter(workspace=w, name="Clic clic").count(),
        ),
        "sender": (
            draft, f"{draft}/save", {"card": "sender", "from_name": "Zoé et Ahmed"},
            lambda: Campaign.objects.filter(pk=shop.draft.pk, from_name="Zoé et Ahmed").count(),
        ),
        "settings": (
            "/settings", "/settings", {"postal_address": "5 quai des Brumes\n44000 Nantes"},
            lambda: type(w).objects.filter(pk=w.pk, postal_address__startswith="5 quai").count(),
        ),
        "purpose": (
            "/consent", "/consent/purposes",
            {"label_fr": "Rencontres", "label_en": "Meetings", "fr": "Oui.", "en": "I agree.", "kind": "marketing"},
            lambda: sum(p.key == "meetings" for p in w.purposes.all()),
        ),
        "content": (
            f"{draft}/content", f"{draft}/content", {"source": HTML, "do": "save"},
            lambda: int("Vu de la vitrine" in latest(shop)),
        ),
    }[name]  # fmt: skip


RULE = {"v": 1, "match": "all", "rules": [{"field": "email", "op": "contains", "value": "zoe"}]}
HTML = "<html><body>\n<h1>Vu de la vitrine</h1><p>{{ contact.first_name | default('vous') }}</p></body></html>"


def latest(shop: Any) -> str:
    from envol.campaigns import checks

    found = checks.latest_version(Campaign.objects.get(pk=shop.draft.pk))
    return str(found.html) if found else ""


@pytest.mark.parametrize("name", ["list", "note", "campaign", "segment"])
def test_a_double_click_has_one_effect(own: Any, client: Client, name: str) -> None:
    page, action, typed, count = of(own, name)
    before, body = count(), form(client, page, action, **typed)
    first, second = client.post(action, body), client.post(action, body)
    assert first.status_code == second.status_code == 303
    assert first["Location"] == second["Location"]
    assert count() == before + 1
    said = client.get(second["Location"]).content.decode()
    assert said.count('class="notice ok"') <= 1
    assert client.post(action, form(client, page, action, **typed)).status_code in (303, 422)


def test_a_key_clicked_twice_is_one_and_its_secret_is_shown(own: Any, client: Client) -> None:
    body = form(client, "/settings/keys", "/settings/keys", name="Deux fois la clé")
    first, second = client.post("/settings/keys", body), client.post("/settings/keys", body)
    assert first.status_code == second.status_code == 201
    assert ApiKey.objects.filter(workspace=own.workspace, name="Deux fois la clé").count() == 1
    secret = LexborHTMLParser(first.content.decode()).css("copy-text code")[-1].text()
    assert secret in second.content.decode()
    kept = SentForm.objects.exclude(shown=None).latest("at")
    assert secret.encode() not in bytes(kept.shown or b""), "sealed: the token that opens it is kept nowhere"


def test_what_was_refused_may_be_sent_again_as_it_stands(own: Any, client: Client) -> None:
    body = form(client, "/lists", "/lists/new", name="Abonnés FR")
    before = SentForm.objects.count()
    assert [client.post("/lists/new", body).status_code for _ in range(2)] == [422, 422]
    empty = form(client, f"/contacts/{own.people[0].pk}", f"/contacts/{own.people[0].pk}/notes", text=" ")
    assert client.post(f"/contacts/{own.people[0].pk}/notes", empty).status_code == 303
    assert SentForm.objects.count() == before


def test_much_later_it_is_said_that_nothing_was_done_again(own: Any, client: Client, monkeypatch: Any) -> None:
    from envol.web import once as pages

    body = form(client, "/lists", "/lists/new", name="Du matin")
    client.post("/lists/new", body)
    client.get("/lists")
    monkeypatch.setattr(pages, "TWICE", timedelta(0))
    again = client.post("/lists/new", body)
    assert "had been sent at" in client.get(again["Location"]).content.decode()
    assert List.objects.filter(workspace=own.workspace, name="Du matin").count() == 1


def test_who_comes_while_it_is_done_waits_for_the_same_answer() -> None:
    key, found = b"k" * 32, []

    def second() -> None:
        from django.db import connection

        row = once.begin(key)
        found.append(row.location if row else None)
        connection.close()

    assert once.begin(key) is None
    waiting = threading.Thread(target=second)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive() and not found
    with pytest.raises(once.Busy):
        once.begin(key, wait=0.1)
    once.done(key, "/there", [])
    waiting.join(5)
    assert found == ["/there"]
    once.nothing(key)


def signed_out(client: Client) -> Client:
    """The session ended while the page was open; the browser still has its token."""
    del client.cookies["session"]
    return client


@pytest.mark.parametrize("name", ["note", "segment", "sender", "settings", "purpose", "content"])
def test_what_was_typed_outlives_the_session(own: Any, client: Client, name: str) -> None:
    """Through the sign-in, a wrong password included, to the very act."""
    page, action, typed, count = of(own, name)
    Segment.objects.filter(workspace=own.workspace, name=typed.get("name", "")).delete()
    body = form(client, page, action, **typed)
    before = count()
    answer = signed_out(client).post(action, body, headers={"Referer": f"http://localhost{page}"})
    assert answer.status_code == 403 and "What you typed is kept" in answer.content.decode()
    sign_in = fields(answer.content.decode(), "/login/", login=own.members["owner"].user.email, password="faux")
    if name == "note":  # more would be too many wrong ones
        answer = client.post("/login/", sign_in)
        assert answer.status_code == 200 and "What you typed is kept" in answer.content.decode()
    right = fields(answer.content.decode(), "/login/", login=own.members["owner"].user.email, password=PASSWORD)
    arrived = client.post("/login/", right)
    assert arrived.status_code == 302 and arrived["Location"] == "/again"
    offered = client.get("/again").content.decode()
    assert "What you typed is still here" in offered
    done = client.post(action, fields(offered, action))
    assert done.status_code == 303, done.content.decode()[:2000]
    assert count() == before + 1
    assert client.get("/again").status_code == 303, "nothing is left to be offered"


def test_what_was_typed_outlives_a_sign_in_with_a_code_too(own: Any) -> None:
    user = own.members["editor"].user
    secret = generate_totp_secret()
    second = TOTP.activate(user, secret)
    client = Client(HTTP_HOST="localhost", enforce_csrf_checks=True, headers=SAME)
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    page, action, typed, count = of(own, "note")
    body, before = form(client, page, action, **typed), count()
    asked = signed_out(client).post(action, body, headers={"Referer": f"http://localhost{page}"}).content.decode()
    answer = client.post("/login/", fields(asked, "/login/", login=user.email, password=PASSWORD))
    assert answer.status_code == 302 and answer["Location"].startswith("/2fa/authenticate/"), answer["Location"]
    where = urlsplit(answer["Location"]).path
    code = fields(client.get(answer["Location"]).content.decode(), where, code="000000")
    wrong = client.post(where, code)
    assert wrong.status_code == 200
    right = format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))
    arrived = client.post(where, fields(wrong.content.decode(), where, code=right))
    assert arrived.status_code == 302 and arrived["Location"] == "/again"
    assert client.post(action, fields(client.get("/again").content.decode(), action)).status_code == 303
    assert count() == before + 1
    second.instance.delete()


def test_what_was_kept_can_be_thrown_away(own: Any, client: Client) -> None:
    page, action, typed, count = of(own, "note")
    body = form(client, page, action, **typed)
    answer = signed_out(client).post(action, body, headers={"Referer": f"http://localhost{page}"}).content.decode()
    assert 'name="kept" value="' in answer and 'form="mfa_login"' in answer, "a passkey carries it too"
    client.post("/login/", fields(answer, "/login/", login=own.members["owner"].user.email, password=PASSWORD))
    before = count()
    gone = client.post("/again", fields(client.get("/again").content.decode(), "/again", act="drop"))
    assert gone["Location"] == page and client.get("/again").status_code == 303 and count() == before


def test_a_token_that_grew_old_brings_the_words_back(own: Any, client: Client) -> None:
    """She signed in again in another window: the open page's token is of no use any more, its words are."""
    page, action, typed, count = of(own, "note")
    body = form(client, page, action, **typed)
    client.cookies["csrf"] = "x" * 32
    before = count()
    answer = client.post(action, body, headers={"Referer": f"http://localhost{page}"})
    assert answer.status_code == 403 and "another window" in answer.content.decode() and count() == before
    assert client.post(action, fields(answer.content.decode(), action)).status_code == 303
    assert count() == before + 1
    strange = client.post(action, body | {"csrfmiddlewaretoken": "y" * 64}, headers={"Sec-Fetch-Site": "none"})
    assert strange.status_code == 403 and "Elle rappelle" not in strange.content.decode()
    draft = client.post(action, body | {"csrfmiddlewaretoken": "y" * 64}, headers={"Sec-Fetch-Mode": "cors"})
    assert draft.status_code == 403 and draft["X-Token"]


def test_no_password_is_carried_and_no_gigabyte_is_read(own: Any) -> None:
    stranger = Client(HTTP_HOST="localhost", headers=SAME)
    assert b'name="kept"' not in stranger.post("/login/", {"login": "a@b.example", "password": "x"}).content
    large = stranger.post("/imports", {"file": "x" * (3 << 20)})
    assert large.status_code == 302 and large["Location"].startswith("/login/?next=")
    empty = stranger.post("/lists/new", {}, headers={"Referer": "https://evil.example/x"})
    assert empty["Location"] == "/login/?next=/"
    part = stranger.get("/", headers={"HX-Request": "true"})
    assert part.status_code == 204 and part["HX-Trigger"] == "signed-out"
