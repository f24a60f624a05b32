"""Asking by SQL with a keyboard alone, in both languages: question, answer, next page; axe finds nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from envol.audience.columns import build
from tests.browser.conftest import AXE
from tests.browser.test_pages import signed_in, speak, violations


@pytest.fixture
def asked(shop: Any) -> Iterator[Any]:
    build.build(shop.workspace, settings.ENVOL.data, build.address())
    yield shop
    shutil.rmtree(settings.ENVOL.data / "columns", ignore_errors=True)


@pytest.mark.parametrize(("language", "theme"), [("fr", "light"), ("en", "dark")])
def test_a_question_by_keyboard(browser: Any, address: str, asked: Any, language: str, theme: str) -> None:
    page = signed_in(browser, address, asked, role="editor", locale=language, color_scheme=theme)
    speak(page, address, language)
    page.goto(address + "/audience/sql")
    page.focus("#sql")
    page.keyboard.type("SELECT email, created FROM people ORDER BY id")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator("#answer tbody tr").nth(49).wait_for()
    assert page.input_value("#sql").startswith("SELECT email")
    page.locator(".pager button").last.focus()
    page.keyboard.press("Enter")
    page.locator("#answer caption", has_text="51").wait_for()
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 800})
        page.add_script_tag(path=AXE)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.fill("#sql", "SELECT * FROM '/etc/passwd'")
    page.press("#sql", "Tab")
    page.keyboard.press("Enter")
    page.locator("#sql[aria-invalid=true]").wait_for()
    assert page.evaluate("document.activeElement.id") == "sql" and "/etc/passwd" in page.input_value("#sql")
    page.context.close()
