"""Roads that a script makes quicker, walked with scripts switched off: each still arrives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_pages import signed_in


@pytest.fixture
def page(browser: Any, address: str, shop: Any) -> Any:
    found = signed_in(browser, address, shop, "editor", java_script_enabled=False, locale="en", bypass_csp=False)
    found.set_default_timeout(5000)
    yield found
    found.context.close()


def test_a_segment_is_built_counted_and_saved(page: Any, address: str) -> None:
    page.goto(address + "/segments/new")
    page.get_by_label("What the rule is about").select_option(value="email")
    page.get_by_role("button", name="Count again").click()
    page.locator("[name='r.0.o']").select_option(value="contains")
    page.locator("[name='r.0.v']").fill("zoe")
    page.get_by_role("button", name="Count again").click()
    assert page.locator("#count").inner_text().strip() == "9"
    page.get_by_role("button", name="Add a rule").click()
    assert page.locator(".rule").count() == 2
    page.locator("[name='act'][value^='remove:']").nth(1).click()
    assert page.locator(".rule").count() == 1 and page.locator("[name='r.0.v']").input_value() == "zoe"
    page.get_by_label("Name of the segment").fill("Les Zoé sans script")
    page.get_by_role("button", name="Save the segment").click()
    assert re.search(r"/segments/\d+$", page.url)
    assert page.get_by_role("heading", name="Les Zoé sans script").is_visible()


def test_a_campaign_is_written_in_places_seen_and_then_in_code(page: Any, address: str) -> None:
    page.goto(address + "/campaigns/new")
    page.get_by_label("Name", exact=True).fill("Lettre sans script")
    page.get_by_role("button", name="Make the campaign").click()
    page.get_by_role("link", name="Write the content").click()
    here = page.url
    page.get_by_label("Title", exact=True).first.fill("Vu sans script")
    page.get_by_role("button", name="Refresh the preview").click()
    page.frame_locator("iframe.preview").get_by_role("heading", name="Vu sans script").wait_for()
    page.get_by_role("button", name="Save the content").click()
    page.goto(here + "?code")
    page.get_by_role("button", name="Switch to code").click()
    source = page.locator("#source")
    assert source.is_visible() and "Vu sans script" in source.input_value()
    source.fill(source.input_value().replace("Vu sans script", "Écrit à la main"))
    page.get_by_role("button", name="Save the content").click()
    page.goto(here)
    assert "Écrit à la main" in page.locator("#source").input_value()


def test_a_file_is_brought_by_its_button_and_a_filter_kept(page: Any, address: str, tmp_path: Path) -> None:
    file = tmp_path / "gens.csv"
    file.write_text("email;ville\nlou@lecteurs.example;Brest\n", "utf-8")
    page.goto(address + "/imports")
    page.locator("#file").set_input_files(file)
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_role("button", name="Keep these columns").click()
    page.get_by_label("the people themselves").check()
    page.get_by_role("button", name="Without permission: keep them, write to nobody").click()
    assert page.get_by_role("link", name="Refresh").is_visible(), "work that moves is looked at again by a link"
    page.goto(address + "/contacts")
    page.locator("main #q").fill("martin")
    page.locator("main form.filters button").first.click()
    page.locator("summary", has_text="Keep this view").click()
    page.get_by_label("Name of the view").fill("Les Martin")
    page.locator(".pop[open] button").first.click()
    page.get_by_role("link", name="Les Martin").click()
    assert "q=martin" in page.url


def test_a_sending_is_watched_and_stopped_by_pages(page: Any, address: str, shop: Any) -> None:
    from envol.campaigns.models import Campaign
    from envol.outbound.models import Sending

    Campaign.objects.filter(pk=shop.sent.pk).update(state="sending")
    Sending.objects.filter(pk=shop.sending.pk).update(state="sending", ended_at=None)
    page.goto(f"{address}/campaigns/{shop.sent.pk}/live")
    page.get_by_role("link", name="Refresh").click()
    assert "48 of 48" in page.locator(".lead").first.inner_text()
    page.get_by_role("link", name="Stop for good").click()
    page.locator("main section").get_by_role("button", name="Stop for good").first.click()
    assert Campaign.objects.get(pk=shop.sent.pk).state == "stopped"
    page.goto(f"{address}/campaigns/{shop.sent.pk}/report")
    assert page.locator("figure svg").first.is_visible()
    page.locator("summary", has_text="As a table").first.click()
    assert page.locator("figure table").first.is_visible()
