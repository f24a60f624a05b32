"""Signing up in a real browser: without script, by keyboard, in both languages; and the preview while one types."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.browser.conftest import AXE
from tests.browser.test_pages import focus, signed_in, violations


@pytest.fixture(scope="module")
def form(shop: Any) -> Any:
    from envol.collect import signup
    from envol.collect.models import SignupForm

    found = signup.of_list(shop.workspace, shop.list.pk)
    assert found
    fields = [{"key": "first_name", "required": True}, {"key": "birth_date", "required": False}]
    SignupForm.objects.filter(pk=found.pk).update(fields=fields, min_seconds=0)
    return found


@pytest.fixture(autouse=True)
def nobody_asked() -> None:
    from envol.db import execute

    execute("DELETE FROM collect_attempt")


def mailed() -> str:
    from envol.events.models import MailRequest

    found = re.search(r"/s/[\w-]+/[\w-]+", MailRequest.objects.filter(kind="confirmation").latest("id").facts["text"])
    assert found
    return found[0]


@pytest.mark.parametrize(("language", "theme", "width"), [("fr", "light", 1280), ("en", "dark", 320)])
def test_the_road_of_a_visitor_without_script(
    browser: Any, address: str, shop: Any, form: Any, language: str, theme: str, width: int
) -> None:
    """By keyboard; every page accessible, no wider than the window, and without a cookie."""
    from envol.contacts import people
    from envol.content import links

    looks = {"color_scheme": theme, "locale": language, "viewport": {"width": width, "height": 800}}
    plain = browser.new_context(java_script_enabled=False, **looks).new_page()
    looker = browser.new_context(bypass_csp=True, **looks).new_page()
    looker.add_init_script(path=str(AXE))

    def accessible(path: str) -> None:
        looker.goto(address + path)
        assert violations(looker) == [], path
        assert not looker.evaluate("document.documentElement.scrollWidth > window.innerWidth"), path

    here = f"/s/{form.token}"
    accessible(here)
    with looker.expect_navigation():
        looker.locator("form button").click()
    assert violations(looker) == [], "with errors"
    plain.goto(address + here)
    plain.keyboard.press("Tab")
    plain.keyboard.press("Tab")  # past the other language
    plain.keyboard.type(f"zoe.{language}@visiteurs.example")
    plain.keyboard.press("Tab")
    plain.keyboard.type("Zoé")
    for _ in range(12):
        plain.keyboard.press("Tab")
        if plain.locator("input[name=agree]:focus").count():
            break
    plain.keyboard.press("Space")
    plain.keyboard.press("Enter")
    plain.wait_for_url("**/sent?l=*")
    accessible(f"{here}/sent?l={language}")
    accessible(mailed())
    assert people.find(shop.workspace, f"zoe.{language}@visiteurs.example") is None
    plain.goto(address + mailed())
    plain.get_by_role("button").focus()
    plain.keyboard.press("Enter")
    plain.get_by_role("heading", name={"fr": "C’est confirmé", "en": "It is confirmed"}[language]).wait_for()
    assert people.find(shop.workspace, f"zoe.{language}@visiteurs.example") is not None
    accessible(mailed())
    plain.get_by_role("link").last.click()
    assert plain.locator("input[type=checkbox]:checked").count() == 1
    someone = shop.people[3].pk
    for path in (
        f"{here}/gone",
        "/s/nowhere",
        f"/p/{links.person_token(shop.workspace.pk, someone)}?l={language}",
        f"/p/{links.preferences_token(shop.sending.pk, someone)}?l={language}",
        f"/u/{links.unsubscribe_token(shop.sending.pk, someone)}?l={language}",
        f"/i/{links.survey_token(shop.sending.pk, someone)}?l={language}",
    ):
        accessible(path)
    looker.locator("input[type=radio]").first.check()
    looker.locator("button").first.click()
    assert violations(looker) == []
    assert plain.context.cookies() == [] and looker.context.cookies() == []
    plain.context.close()
    looker.context.close()


def test_the_preview_follows_what_is_typed(browser: Any, address: str, shop: Any, form: Any) -> None:
    page = signed_in(browser, address, shop, role="editor")
    page.goto(f"{address}/lists/{shop.list.pk}/signup")
    inside = page.frame_locator("iframe[name=preview]")
    page.locator("#title_fr").fill("Rejoignez le club")
    inside.get_by_role("heading", name="Rejoignez le club").wait_for()
    page.locator("#title_en").fill("Join the club")
    inside.get_by_role("heading", name="Join the club").wait_for()
    page.go_back()
    assert not page.url.endswith("/signup"), "one step back leaves the page: the preview fills no history"
    page.context.close()


def test_a_form_is_opened_by_keyboard(browser: Any, address: str, shop: Any) -> None:
    page = signed_in(browser, address, shop, role="editor")
    page.goto(address + "/forms")
    focus(page, "name")
    page.keyboard.type("Club des lecteurs")
    page.keyboard.press("Enter")
    page.wait_for_url("**/signup")
    focus(page, "Open the form")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Close the form").wait_for()
    assert page.get_by_role("button", name="Undo").is_visible()
    page.context.close()
