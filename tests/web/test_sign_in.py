"""Sign-in in our look: password, codes, recovery, in both languages."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from django.core import mail
from django.test import Client, override_settings

from envol.accounts.models import User
from tests.web.shop import PASSWORD, Shop

OPEN = ("/login/", "/password/reset/", "/password/reset/done/")
INSIDE = (
    "/2fa/", "/2fa/totp/activate/", "/2fa/webauthn/", "/2fa/webauthn/add/", "/password/change/", "/reauthenticate/",
)  # fmt: skip


def signed_in(shop: Shop, role: str = "editor") -> Client:
    client = Client(HTTP_HOST="localhost")
    answer = client.post("/login/", {"login": shop.members[role].user.email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content
    return client


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_open_pages_speak_the_visitors_language(language: str) -> None:
    for where in OPEN:
        answer = Client(HTTP_HOST="localhost").get(where, headers={"Accept-Language": language})
        text = answer.content.decode()
        assert answer.status_code == 200 and f'<html lang="{language}"' in text, where
        assert 'class="gate"' in text and not re.search(r"<[^>]+\sstyle=", text), where


@pytest.mark.parametrize("language", ["fr", "en"])
def test_a_member_reaches_the_pages_of_her_account(shop: Shop, language: str) -> None:
    client = signed_in(shop, "viewer")
    client.post("/language", {"language": language})
    for where in INSIDE:
        answer = client.get(where, follow=True)
        text = answer.content.decode()
        assert answer.status_code == 200 and f'<html lang="{language}"' in text, where
        assert 'class="gate"' in text, where


def test_sign_up_is_closed() -> None:
    answer = Client(HTTP_HOST="localhost").post("/signup/", {"email": "x@y.example", "password1": PASSWORD})
    assert answer.status_code in (200, 302, 403)
    from envol.accounts.models import User

    assert not User.objects.filter(email="x@y.example").exists()


def test_a_wrong_password_and_an_unknown_person_get_the_same_answer(shop: Shop) -> None:
    said = []
    for email in (shop.members["owner"].user.email, "personne@equipe.example"):
        answer = Client(HTTP_HOST="localhost").post("/login/", {"login": email, "password": "pas le bon mot"})
        said.append(re.search(r'class="[^"]*bad[^>]*>(.*?)</div>', answer.content.decode(), re.DOTALL)[1])
    assert said[0] == said[1]


def test_guessing_a_password_is_slowed_and_nobody_else_is(shop: Shop) -> None:
    from django.core.cache import cache

    def opens(member: str, password: str, place: int) -> bool:
        # A header that claims another address each time must not help.
        claimed = f"198.51.100.{next(n)}"
        client = Client(HTTP_HOST="localhost", REMOTE_ADDR=f"192.0.2.{place}", HTTP_X_FORWARDED_FOR=claimed)
        client.post("/login/", {"login": shop.members[member].user.email, "password": password})
        return client.get("/").status_code == 200

    n = itertools.count(1)
    cache.clear()
    try:
        for place in range(5):  # each from another address: it is the account that is guarded
            assert not opens("viewer", f"pas le mot {place}", place)
        assert not opens("viewer", PASSWORD, 77), "after five wrong words the right one waits too"
        assert opens("editor", PASSWORD, 78), "somebody else signs in as ever"
        cache.clear()
        for number in range(12):  # four words for each person: it is the address that is guarded
            assert not opens(["viewer", "editor", "owner"][number % 3], f"pas le mot {number}", 9)
        assert not opens("owner", PASSWORD, 9)
        assert opens("owner", PASSWORD, 10)
    finally:
        cache.clear()


def test_the_session_is_new_after_sign_in(shop: Shop) -> None:
    client = Client(HTTP_HOST="localhost")
    client.get("/login/")
    client.post("/language", {"language": "fr"})
    before = client.cookies["session"].value
    client.post("/login/", {"login": shop.members["editor"].user.email, "password": PASSWORD})
    assert client.cookies["session"].value != before


def test_a_code_is_asked_once_it_is_set_up(tmp_path: Path) -> None:
    from tests.web.shop import open_shop

    own = open_shop(readers=30, folder=tmp_path)
    client = signed_in(own, "owner")
    where = "/2fa/totp/activate/"
    if (asked := client.get(where)).status_code == 302:  # a change of keys asks for the password once more
        assert client.post(asked["Location"], {"password": PASSWORD}).status_code == 302
    page = client.get(where).content.decode()
    field = re.search(r'id="authenticator_secret".*?value="(\w+)"', page, re.DOTALL)
    assert field, page
    secret = field[1]

    def code() -> str:
        return format_hotp_value(hotp_value(secret, next(iter(yield_hotp_counters_from_time()))))

    assert client.post("/2fa/totp/activate/", {"code": code()}).status_code == 302
    assert client.get("/2fa/recovery-codes/").status_code == 200
    again = Client(HTTP_HOST="localhost")
    answer = again.post("/login/", {"login": own.members["owner"].user.email, "password": PASSWORD})
    assert answer["Location"].startswith("/2fa/authenticate/")
    assert again.get("/").status_code == 302, "the password alone does not open"
    assert again.get("/2fa/authenticate/").status_code == 200


def test_mail_about_an_account_speaks_its_language(shop: Shop) -> None:
    """A French member asks from an English browser."""
    user = shop.members["editor"].user
    for language, word in (("fr", "mot de passe"), ("en", "password")):
        User.objects.filter(pk=user.pk).update(language=language)
        asks = Client(HTTP_HOST="localhost", HTTP_ACCEPT_LANGUAGE="en" if language == "fr" else "fr")
        with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
            assert asks.post("/password/reset/", {"email": user.email}).status_code == 302
        said = mail.outbox[-1]  # type: ignore[attr-defined]
        assert said.to == [user.email] and word in f"{said.subject} {said.body}".lower()
    User.objects.filter(pk=user.pk).update(language="en")


def test_a_stranger_gets_no_mail_when_somebody_asks_for_a_password_in_her_name(shop: Shop) -> None:
    asked = []
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
        mail.outbox = []  # type: ignore[attr-defined]
        for email in ("inconnue@ailleurs.example", shop.members["editor"].user.email):
            answer = Client(HTTP_HOST="localhost").post("/password/reset/", {"email": email})
            asked.append((answer.status_code, answer["Location"]))
        assert [one.to for one in mail.outbox] == [[shop.members["editor"].user.email]]  # type: ignore[attr-defined]
    assert asked[0] == asked[1], "who asks learns nothing"
