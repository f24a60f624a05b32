"""Writing a message in a real browser: what is typed is seen at once, kept, and never written over."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import AXE
from tests.browser.test_pages import signed_in, speak, violations


def shot(page: Any, name: str) -> None:
    """Written when ENVOL_SHOTS names a folder, to be looked at."""
    if folder := os.environ.get("ENVOL_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.fixture
def writing(browser: Any, address: str, shop: Any) -> Any:
    """A page that shows the form of a new campaign's content."""
    page = signed_in(browser, address, shop, "editor", bypass_csp=False, viewport={"width": 1280, "height": 900})
    speak(page, address, "en")
    page.goto(address + "/campaigns/new")
    page.get_by_label("Name", exact=True).fill("Lettre d'hiver")
    page.get_by_role("radio", name="Newsletter").check()
    page.get_by_role("button", name="Make the campaign").click()
    page.get_by_role("link", name="Write the content").click()
    page.wait_for_url("**/content")
    yield page
    page.context.close()


def frame(page: Any) -> Any:
    return page.frame_locator("iframe.preview:not(.coming)")


def test_what_is_typed_is_seen_and_kept(writing: Any, address: str) -> None:
    page = writing
    page.get_by_label("Title", exact=True).first.fill("Tout est **neuf**")
    frame(page).get_by_role("heading", name="Tout est **neuf**").wait_for()
    page.get_by_text("Kept as a draft at").wait_for()
    # Personalise by the menu: a value with the words for those of whom it is not known.
    subject = page.get_by_label("Subject", exact=True)
    subject.fill("Pour ")
    subject.locator("xpath=..").get_by_role("button", name="Personalise").click()
    page.get_by_label("Value", exact=True).select_option(label="First name")
    page.get_by_label("Words when it is not known").fill("vous")
    page.get_by_role("button", name="Insert", exact=True).click()
    assert subject.input_value() == "Pour {First name|vous}"
    page.locator(".inbox-row b", has_text="Pour vous").wait_for()
    page.get_by_label("See as").fill("zoe")
    page.locator(".inbox-row b", has_text="Pour Zoé").wait_for()
    text = page.get_by_label("Introduction")
    text.fill("Un mot")
    text.select_text()
    text.locator("xpath=..").get_by_role("button", name="Bold").click()
    assert text.input_value() == "**Un mot**"
    frame(page).locator("strong", has_text="Un mot").wait_for()
    page.get_by_label("Telephone").check()
    page.get_by_label("Dark").check()
    page.locator("iframe.preview:not(.coming)[src*='see.dark=1']").wait_for()
    assert page.locator("iframe.preview").last.evaluate("f => f.clientWidth") <= 375
    page.reload()
    assert page.get_by_label("Title", exact=True).first.input_value() == "Tout est **neuf**"


def test_a_chosen_picture_is_there_at_once(writing: Any) -> None:
    page = writing
    out = io.BytesIO()
    Image.linear_gradient("L").resize((900, 500)).convert("RGB").save(out, "JPEG")
    page.get_by_label("Picture from your computer").first.set_input_files(
        {"name": "hiver.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}
    )
    page.get_by_text("hiver.jpg").wait_for()
    kept = page.locator(".picked-now img")
    assert kept.evaluate("async i => { await i.decode(); return i.naturalWidth; }") == 600
    page.get_by_label("What it shows").first.fill("La vitrine")
    shown = frame(page).get_by_role("img", name="La vitrine")
    shown.wait_for()
    assert shown.evaluate("async i => { await i.decode(); return i.naturalWidth; }") == 900
    shot(page, "content-picture")


def test_two_windows_hear_of_one_another(writing: Any) -> None:
    page, other = writing, writing.context.new_page()
    other.goto(page.url)
    page.get_by_label("Title", exact=True).first.fill("Ici")
    page.get_by_text("Kept as a draft at").wait_for()
    other.get_by_label("Title", exact=True).first.fill("Là")
    other.get_by_text("You wrote here in another window").wait_for()
    other.get_by_label("Keep what stands here").check()
    other.get_by_text("Kept as a draft at").wait_for()
    frame(other).get_by_role("heading", name="Là").wait_for()


@pytest.mark.slow
@pytest.mark.parametrize(("language", "theme", "width"), [("en", "light", 1280), ("fr", "dark", 320)])
def test_the_pages_of_content_are_accessible(
    browser: Any, address: str, shop: Any, language: str, theme: str, width: int
) -> None:
    page = signed_in(browser, address, shop, "editor", reduced_motion="reduce", color_scheme=theme)
    speak(page, address, language)
    page.set_viewport_size({"width": width, "height": 900})
    draft = f"/campaigns/{shop.draft.pk}"
    found = {}
    page.goto(f"{address}{draft}/content?models")
    page.locator("button[value='model:newsletter']").click()
    page.wait_for_url(f"{address}{draft}/content")
    for number, path in enumerate(
        (
            "/campaigns/new",
            draft,
            f"{draft}/content",
            f"{draft}/content?models",
            f"{draft}/content?code",
            f"{draft}/checks",
            "/media",
        )
    ):
        page.goto(address + path)
        page.add_script_tag(path=str(AXE))
        if wrong := violations(page):
            found[path] = wrong
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found[path] = [*found.get(path, []), "wider than the window"]
        shot(page, f"content-{language}-{theme}-{width}-{number}")
    page.goto(f"{address}{draft}/content?code")
    page.locator("main form button").click()
    page.wait_for_url(f"{address}{draft}/content")
    page.add_script_tag(path=str(AXE))
    if wrong := violations(page):
        found["code"] = wrong
    shot(page, f"content-{language}-{theme}-{width}-code")
    page.context.close()
    assert not found, "\n".join(f"{where}: {wrong}" for where, wrong in found.items())


def test_code_is_written_in_an_editor_that_shows_the_line(writing: Any, address: str) -> None:
    """Under the page's own policy: the editor's styles have its nonce, and nothing else may bring any."""
    page = writing
    page.goto(page.url + "?code")
    page.locator("main form button").click()
    page.wait_for_url("**/content")
    editor = page.locator(".cm-content")
    editor.wait_for()
    assert page.locator("#source").is_hidden()
    assert page.locator(".cm-editor").evaluate("e => getComputedStyle(e).display") == "flex", "its styles apply"
    editor.press("Control+a")
    page.keyboard.insert_text(
        "<mjml>\n<mj-body>\n<mj-section><mj-column><mj-tekst>x</mj-tekst></mj-column></mj-section>\n</mj-body></mjml>"
    )
    page.locator(".cm-lint-marker-error").first.wait_for()
    assert "mj-tekst" in page.locator(".problems li").first.inner_text()
    shot(page, "content-code")
    editor.press("Control+a")
    page.keyboard.insert_text(
        "<mjml><mj-body><mj-section><mj-column><mj-text>Voilà</mj-text></mj-column></mj-section></mj-body></mjml>"
    )
    frame(page).get_by_text("Voilà").wait_for()
    page.get_by_role("button", name="Save the content").click()
    page.get_by_text("The content is saved").wait_for()
