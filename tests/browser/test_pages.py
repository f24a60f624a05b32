"""The pages in a real browser: by keyboard, without violation of accessibility, in both languages and themes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import AXE
from tests.browser.every_page import every_page

RULES = {
    "resultTypes": ["violations"],
    "iframes": False,  # what is shown in one is a message, not our page
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}


def signed_in(browser: Any, address: str, shop: Any, role: str = "owner", **options: Any) -> Any:
    """A page of somebody who has signed in by form; the policy of our pages would keep axe out."""
    from tests.web.shop import PASSWORD

    page = browser.new_context(**{"bypass_csp": True} | options).new_page()
    page.goto(address + "/login/")
    page.locator("input[name=login]").fill(shop.members[role].user.email)
    page.locator("input[type=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(address + "/")
    return page


def violations(page: Any) -> list[str]:
    # What passed stays in the page: carrying it over takes a third of the time.
    found = page.evaluate("rules => axe.run(document, rules).then(told => told.violations)", RULES)
    return [f"{v['id']}: {v['nodes'][0]['html'][:160]} {v['nodes'][0]['failureSummary'][:200]}" for v in found]


def speak(page: Any, address: str, language: str) -> None:
    page.goto(address + "/settings/account")
    page.locator(f"section button[value={language}]").click()
    page.wait_for_url(address + "/settings/account")
    assert page.locator("html").get_attribute("lang") == language


PAIRINGS = [
    pytest.param("fr", [("light", 1280), ("dark", 320)], id="fr"),
    pytest.param("en", [("dark", 1280), ("light", 320)], id="en"),
    pytest.param("fr", [("dark", 1280), ("light", 320)], id="fr-rest", marks=pytest.mark.looks),
    pytest.param("en", [("light", 1280), ("dark", 320)], id="en-rest", marks=pytest.mark.looks),
]
"""Every pair of language and theme, language and width, theme and width; all eight triples by ``make looks``."""


TAB_SEEN = """[...document.querySelectorAll('.tabs [aria-current]')].map(one => one.getBoundingClientRect())
    .every(one => one.left >= 0 && one.right <= window.innerWidth)"""


@pytest.mark.slow
@pytest.mark.parametrize(("language", "looks"), PAIRINGS)
def test_every_page_is_accessible(
    browser: Any, address: str, shop: Any, language: str, looks: list[tuple[str, int]]
) -> None:
    """axe finds nothing, in either theme, wide and narrow, and nothing is wider than the window."""
    page = signed_in(browser, address, shop, locale=language, reduced_motion="reduce")
    speak(page, address, language)
    page.context.add_init_script(path=str(AXE))
    found = {}
    pages = every_page(shop)
    assert len(pages) > 30
    for path in pages:
        page.goto(address + path)
        for theme, width in looks:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 800})
            wrong = violations(page)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                wrong.append("wider than the window")
            if not page.evaluate(TAB_SEEN):
                wrong.append("the tab one is on lies outside the window")
            if wrong:
                found[path, theme, width] = wrong
    page.context.close()
    assert not found, "\n".join(f"{where}: {wrong}" for where, wrong in found.items())


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_gate_is_accessible(browser: Any, address: str, language: str) -> None:
    page = browser.new_context(bypass_csp=True, locale=language).new_page()
    for path in ("/login/", "/password/reset/"):
        page.goto(address + path)
        assert page.locator("html").get_attribute("lang") == language
        page.add_script_tag(path=str(AXE))
        assert violations(page) == []
    page.context.close()


def focus(page: Any, name: str, most: int = 80) -> None:
    """Walk with Tab until the focus lies on something of this name."""
    for _ in range(most):
        page.keyboard.press("Tab")
        reached = "(e => ['A', 'BUTTON', 'INPUT'].includes(e.tagName) ? e.innerText || e.name || '' : '')"
        if name in page.evaluate(f"{reached}(document.activeElement)"):
            return
    raise AssertionError(f"{name!r} cannot be reached with the keyboard on {page.url}")


def test_from_sign_in_to_the_report_by_keyboard(browser: Any, address: str, shop: Any) -> None:
    page = signed_in(browser, address, shop, role="editor")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    focus(page, "Contacts")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts")
    focus(page, "q")
    page.keyboard.type("zoé martin")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts?q=*")
    focus(page, "Zoé Martin")
    page.keyboard.press("Enter")
    page.wait_for_url("**/contacts/*")
    assert page.get_by_role("heading", name="May I write to this person?").is_visible()
    focus(page, "Campaigns")
    page.keyboard.press("Enter")
    page.wait_for_url("**/campaigns")
    focus(page, "Lettre d'automne")
    page.keyboard.press("Enter")
    page.wait_for_url("**/report")
    assert page.get_by_role("heading", name="Clicks").is_visible()
    focus(page, "14")
    page.keyboard.press("Enter")
    page.wait_for_url("**/people?show=clicked")
    assert page.get_by_role("heading", name="People who clicked").is_visible()
    assert not errors
    page.context.close()
