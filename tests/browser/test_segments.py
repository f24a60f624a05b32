"""The builder of segments with a keyboard alone: the count follows, focus and caret stay, nobody counts in vain."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from tests.audience.test_counting import running, until
from tests.browser.conftest import AXE
from tests.browser.test_pages import signed_in, speak, violations


def begun(page: Any, address: str) -> None:
    """A new segment about addresses, with the focus in its value."""
    page.goto(address + "/segments/new")
    page.wait_for_function("document.activeElement?.tagName === 'FIELD-PICKER'")
    page.keyboard.type("mail add")
    page.keyboard.press("Enter")
    page.locator("[id='r.0.o']").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.type("contains")
    page.wait_for_function("document.querySelector('#figures')?.dataset.state === 'counted'")
    page.keyboard.press("Tab")
    assert focused(page) == "r.0.v"


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement?.id ?? ''"))


def caret(page: Any) -> int:
    return int(page.evaluate("document.activeElement.selectionStart"))


def count_becomes(page: Any, text: str) -> None:
    page.wait_for_function("text => document.querySelector('#count')?.textContent.trim() === text", arg=text)


def test_a_segment_by_keyboard_in_six_steps(browser: Any, address: str, shop: Any) -> None:
    """Journey 4: make, choose a field, save; what is typed is counted at once."""
    page = signed_in(browser, address, shop, role="editor", locale="en")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    begun(page, address)
    count_becomes(page, "60")
    page.keyboard.type("zoe")
    count_becomes(page, "9")
    assert (focused(page), caret(page)) == ("r.0.v", 3)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    with page.expect_response("**/segments/new"):
        page.keyboard.press("Enter")  # the form is posted and morphed
    page.wait_for_function("document.querySelector(\"[id='r.0.v']\").defaultValue === 'zoe'")
    assert (focused(page), caret(page)) == ("r.0.v", 1)
    page.keyboard.type("zz")
    count_becomes(page, "0")
    assert (focused(page), caret(page)) == ("r.0.v", 3)
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    count_becomes(page, "9")
    assert "contains “zoe”" in page.locator("#sentence").inner_text()
    page.locator("#name").focus()
    page.keyboard.type("Les Zoé")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile(r"/segments/\d+$"))
    assert page.get_by_role("heading", name="Les Zoé").is_visible()
    assert not errors
    page.context.close()


def test_rules_are_added_moved_copied_and_taken_away_by_keyboard(browser: Any, address: str, shop: Any) -> None:
    page = signed_in(browser, address, shop, role="editor", locale="en")
    begun(page, address)
    page.keyboard.type("zoe")
    count_becomes(page, "9")
    page.locator("[id='r.add']").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement?.closest('.rule')?.id === 'r.1'")
    page.keyboard.type("number of orders")
    # The focus comes with the morph, the end of the drawing a little later: who types in between loses nothing.
    page.locator("[id='r.1'] field-picker").evaluate("picker => picker.dispatchEvent(new Event('drawn'))")
    page.keyboard.press("Enter")
    page.locator("[id='r.1.o']").wait_for()
    page.locator("[id='r.1.v']").focus()
    page.keyboard.type("1")
    count_becomes(page, "3")
    page.keyboard.press("Alt+ArrowUp")
    page.wait_for_function("document.activeElement?.id === 'r.0.up'")
    assert page.locator("[id='r.0.v']").input_value() == "1" and page.locator("[id='r.1.v']").input_value() == "zoe"
    page.locator("[id='r.0.remove']").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.rule').length === 1")
    assert page.locator("[id='r.0.v']").input_value() == "zoe"
    count_becomes(page, "9")
    page.locator("[id='r.group']").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement?.closest('.rule')?.id === 'r.1.0'")
    page.add_script_tag(path=str(AXE))
    assert violations(page) == []
    page.context.close()


def test_a_field_that_is_chosen_while_an_answer_is_on_its_way_stays(browser: Any, address: str, shop: Any) -> None:
    """That answer knows nothing of the choice, and must not take it back."""
    page = signed_in(browser, address, shop, role="editor", locale="en")
    begun(page, address)
    page.locator("[id='r.add']").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement?.closest('.rule')?.id === 'r.1'")
    held: list[Any] = []
    page.route("**/segments/new", lambda route: held.append(route) if not held else route.continue_())
    with page.expect_request("**/segments/new"):  # drawn anew for the rule before
        page.locator("[id='r.0.o']").evaluate("one => one.dispatchEvent(new Event('change', {bubbles: true}))")
    page.keyboard.type("number of orders")
    page.keyboard.press("Enter")
    held[0].continue_()
    page.locator("[id='r.1.o']").wait_for(timeout=5000)
    assert page.locator("[id='r.1'] select").first.input_value() == "orders.count"
    page.context.close()


# The builder with groups, boxes, dates, money, a place and what is wrong.
ALL_KINDS = {"match": "all", "rules": [
    {"field": "tag", "op": "has_any", "value": ["vip"]},
    {"field": "created", "op": "in_last", "value": 30},
    {"match": "any", "rules": [
        {"field": "orders.sum", "op": "between", "value": [100, 20000], "where": {"within_days": 90}},
        {"field": "mail.opened", "op": "at_least", "value": 1},
        {"field": "prop.gone", "op": "is", "value": "x"},
        {"match": "none", "rules": [{"field": "random", "op": "share", "value": 5}]},
    ]},
]}  # fmt: skip


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_builder_is_accessible_with_every_kind_of_input(
    browser: Any, address: str, shop: Any, language: str
) -> None:
    page = signed_in(browser, address, shop, locale=language, reduced_motion="reduce")
    speak(page, address, language)
    for path in (
        f"/segments/new?tree={quote(json.dumps(ALL_KINDS))}",
        f"/segments/{shop.segment.pk}?person={shop.people[0].pk}",
    ):
        page.goto(address + path)
        page.add_script_tag(path=str(AXE))
        for theme, width in (("light", 1280), ("dark", 320)):
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 800})
            assert violations(page) == [], (path, theme, width)
            assert not page.evaluate("document.documentElement.scrollWidth > window.innerWidth"), (path, width)
    page.context.close()


def test_a_count_that_nobody_waits_for_ends_in_the_engine(
    browser: Any, address: str, shop: Any, database_url: str
) -> None:
    page = signed_in(browser, address, shop, role="editor", locale="en")
    begun(page, address)
    with psycopg.connect(database_url) as holder:
        holder.execute("LOCK TABLE contacts_contact IN ACCESS EXCLUSIVE MODE")
        page.keyboard.type("z")
        (first,) = until(running)
        page.keyboard.type("o")
        until(lambda: len(now := running()) == 1 and first not in now)
        page.goto("about:blank")
        until(lambda: not running())
    page.context.close()
