"""A hasty, a disconnected and a signed-out writer in a real browser: nothing twice, nothing lost, and it is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.test_pages import signed_in
from tests.web.shop import PASSWORD


@pytest.fixture
def page(browser: Any, address: str, shop: Any) -> Any:
    found = signed_in(browser, address, shop, "editor", locale="en", bypass_csp=False)
    found.set_default_timeout(10_000)
    yield found
    found.context.close()


def ends_session(page: Any) -> None:
    page.context.clear_cookies(name="session")


def signs_in(page: Any, shop: Any) -> None:
    page.locator("input[name=login]").fill(shop.members["editor"].user.email)
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_double_click_makes_one(page: Any, address: str, shop: Any) -> None:
    from envol.contacts.models import List

    page.goto(address + "/lists")
    page.locator("form.card #name").fill("Double clic")
    page.get_by_role("button", name="Make the list").dblclick()
    page.get_by_text("The list “Double clic” is made").wait_for()
    assert List.objects.filter(workspace=shop.workspace, name="Double clic").count() == 1


def test_without_a_connection_the_form_stays_and_says_so(page: Any, address: str, shop: Any) -> None:
    page.goto(f"{address}/contacts/{shop.people[1].pk}")
    note = page.locator("#notes textarea, textarea[name=text]").first
    note.fill("Écrit dans le train.")
    page.context.set_offline(True)
    page.get_by_role("button", name="Keep the note").click()
    page.get_by_text("No connection: nothing was sent.").wait_for()
    assert note.input_value() == "Écrit dans le train."
    page.context.set_offline(False)
    page.get_by_role("button", name="Keep the note").click()
    page.get_by_text("The note is kept.").wait_for()
    page.reload()
    assert page.get_by_text("that was not saved").count() == 0, "what was done is not offered again"


@pytest.mark.parametrize("form", ["note", "purpose", "sender"])
def test_a_connection_lost_while_saving_keeps_the_words(page: Any, address: str, shop: Any, form: str) -> None:
    path, field, button = {
        "note": (f"/contacts/{shop.people[2].pk}", "textarea[name=text]", "Keep the note"),
        "purpose": (f"/consent/purposes/{newsletter(shop)}", "textarea[name=text_en]", "Put in force"),
        "sender": (f"/campaigns/{shop.draft.pk}", "#from_name", "Save sender and subject"),
    }[form]
    page.goto(address + path)
    typed = page.locator(field).first
    if not typed.is_visible():
        typed.locator("xpath=ancestor::details[1]/summary").click()
    typed.fill("Perdu en route ?")
    page.route("**/*", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    with page.expect_event("requestfailed", lambda request: request.method == "POST"):
        typed.locator("xpath=ancestor::form[1]//button[not(@formtarget)]").first.click(no_wait_after=True)
    page.unroute("**/*")
    page.wait_for_function("location.protocol == 'chrome-error:'")  # the browser's own page of an error comes between
    page.goto(address + path)
    page.get_by_text("you wrote something here that was not saved").wait_for()
    page.get_by_role("button", name="Bring it back").click()
    assert page.locator(field).first.input_value() == "Perdu en route ?" and page.locator(field).first.is_visible()
    page.goto(address + path)
    page.get_by_role("button", name="Forget it").click()
    page.reload()
    assert page.get_by_role("button", name="Forget it").count() == 0


def newsletter(shop: Any) -> int:
    from envol.consent import purposes

    return int(purposes.get(shop.workspace, "newsletter").pk)


def test_a_rule_is_drawn_again_from_what_was_kept(page: Any, address: str) -> None:
    page.goto(address + "/segments/new")
    page.wait_for_function("document.activeElement?.tagName === 'FIELD-PICKER'")
    page.keyboard.type("mail add")
    page.keyboard.press("Enter")
    page.locator("[id='r.0.o']").select_option("contains")
    page.locator("[id='r.0.v']").fill("zoe")
    page.locator("#name").fill("Les Zoé gardées")
    page.wait_for_timeout(400)  # a draft is kept a moment after the last letter
    page.goto(address + "/campaigns")
    page.goto(address + "/segments/new")
    page.get_by_role("button", name="Bring it back").click()
    page.locator("[id='r.0.v']").wait_for()
    assert page.locator("[id='r.0.v']").input_value() == "zoe"
    assert page.locator("#name").input_value() == "Les Zoé gardées"


def test_a_part_never_becomes_the_sign_in_page(page: Any, address: str, shop: Any) -> None:
    """The builder asks for figures by itself: signed out it says so, and the form carries through the sign-in."""
    page.goto(address + "/segments/new")
    page.wait_for_function("document.activeElement?.tagName === 'FIELD-PICKER'")
    page.locator("#name").fill("Sans session")
    ends_session(page)
    page.get_by_role("button", name="Add a group").click()
    page.get_by_text("Your session has ended. What stands here stays").wait_for()
    assert page.locator("#name").input_value() == "Sans session" and page.locator("input[name=login]").count() == 0
    page.get_by_role("button", name="Save the segment").click()
    page.get_by_text("What you typed is kept: sign in").wait_for()
    signs_in(page, shop)
    page.wait_for_url("**/again")
    page.get_by_role("button", name="Go on where you were").click()
    page.wait_for_url("**/segments/new")
    assert page.locator("#name").input_value() == "Sans session"


def test_writing_goes_on_after_a_sign_in_in_another_window(page: Any, address: str, shop: Any) -> None:
    page.goto(f"{address}/campaigns/{shop.draft.pk}/content?models")
    page.locator("button[value='model:newsletter']").click()
    page.wait_for_url("**/content")
    ends_session(page)
    title = page.get_by_label("Title", exact=True).first
    title.fill("Toujours là")
    page.get_by_text("Not kept: you were signed out").wait_for()
    other = page.context.new_page()
    other.goto(address + "/login/")
    signs_in(other, shop)
    other.wait_for_url(address + "/")
    page.get_by_text("Kept as a draft at").wait_for()
    page.reload()
    assert page.get_by_label("Title", exact=True).first.input_value() == "Toujours là"
