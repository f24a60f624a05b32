"""Journey 8: the notice on whatever page is open, the report, the people behind a figure, a segment."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings

from envol.audience import engine
from envol.audience.models import Segment
from envol.campaigns.models import Campaign
from envol.db import execute
from envol.outbound.models import Sending
from tests.edge.test_http import Server
from tests.journeys.traveller import Traveller, signed_in


@pytest.fixture(scope="module")
def edge() -> Iterator[str]:
    """The pages behind the http process itself: what moves is told by its stream."""
    server = Server()
    with override_settings(
        ENVOL=dataclasses.replace(settings.ENVOL, http=f"127.0.0.1:{server.port}"),
        CSRF_TRUSTED_ORIGINS=[f"http://localhost:{server.port}"],
    ):
        yield f"http://localhost:{server.port}"
    server.stop()


def goes_on(sending: Sending) -> None:
    """The sending is on its way again, as if it had not ended."""
    Campaign.objects.filter(pk=sending.campaign_id or 0).update(state="sending")
    Sending.objects.filter(pk=sending.pk).update(state="sending", ended_at=None)


def ends(sending: Sending) -> None:
    execute("UPDATE outbound_sending SET state = 'sent', ended_at = now() WHERE id = %s", [sending.pk])
    Campaign.objects.filter(pk=sending.campaign_id or 0).update(state="sent")


@pytest.mark.parametrize("language", ["fr", "en"])
def test_measure(browser: Any, edge: str, language: str) -> None:
    from tests.web.shop import open_shop

    shop = open_shop("Librairie qui mesure", readers=40)
    goes_on(shop.sending)
    page = signed_in(browser, edge, shop.members["editor"].user, language)
    with page.expect_response("**/events?*"):
        page.goto(f"{edge}/contacts")
    one = Traveller(page, edge, language)
    page.wait_for_function("document.querySelector('live-notices').matches(':defined')")
    page.wait_for_timeout(600)  # the first full state: what has ended before is no news
    ends(shop.sending)
    notice = page.locator("live-notices .notice")
    notice.wait_for(timeout=15_000)
    assert "Lettre d'automne" in notice.inner_text()
    page.locator("main").focus()
    one.begun = time.monotonic()
    one.press(one.say("Read the report"))
    one.at("**/report")
    people = page.locator(".figure.big a").inner_text()
    one.press(people, tags=("A",))
    one.at("**/people?*")
    one.press(one.say("Save as a segment"))
    one.at("**/segments/*")
    segment = Segment.objects.filter(workspace=shop.workspace).latest("pk")
    assert engine.count(shop.workspace, segment.tree) == int(people)
    one.write_down(8, "Measure", 3)
    page.context.close()


def test_the_live_page_moves_by_itself_and_never_back(browser: Any, edge: str) -> None:
    from tests.web.shop import open_shop

    shop = open_shop("Librairie en route", readers=40)
    sending = shop.sending
    goes_on(sending)
    waiting = [one.pk for one in shop.people[:8]]
    execute("DELETE FROM outbound_outcome WHERE sending_id = %s AND no = ANY(%s)", [sending.pk, waiting])
    page = signed_in(browser, edge, shop.members["editor"].user, "en")
    page.goto(f"{edge}/campaigns/{shop.sent.pk}/live")
    region = page.locator("live-region")
    region.locator(".lead", has_text="24 of 32").wait_for()
    assert region.get_by_role("link", name="Refresh").count() == 0, "nobody has to ask"
    page.locator("live-region button", has_text="Pause").focus()
    execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
        " SELECT %s, n, 'delivered', now(), 1, 250, 'taken' FROM unnest(%s::bigint[]) AS n",
        [sending.pk, waiting[:4]],
    )
    region.locator(".lead", has_text="28 of 32").wait_for(timeout=15_000)
    assert page.evaluate("document.activeElement.value") == "pause", "the focus stays where it was"
    assert page.locator("live-region progress").get_attribute("value") == "28"
    page.get_by_role("link", name="Stop for good").click()
    dialog = page.get_by_role("dialog", name="Stop this campaign for good?")
    assert "8 people" in dialog.inner_text() and "cannot be resumed" in dialog.inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Pause").click()
    region.get_by_text("paused", exact=True).wait_for(timeout=15_000)
    assert Campaign.objects.get(pk=shop.sent.pk).state == "paused"
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Pause").wait_for(timeout=15_000)
    ends(sending)
    region.get_by_role("link", name="Read the report").wait_for(timeout=15_000)
    page.context.close()


def test_without_a_stream_the_page_asks_by_itself(browser: Any, edge: str) -> None:
    from tests.web.shop import open_shop

    shop = open_shop("Librairie sans flux", readers=40)
    goes_on(shop.sending)
    page = signed_in(browser, edge, shop.members["viewer"].user, "en")
    page.route("**/events?*", lambda route: route.fulfill(status=503, body="no"))
    page.goto(f"{edge}/campaigns/{shop.sent.pk}/live")
    page.locator("live-region .lead", has_text="32 of 32").wait_for()
    ends(shop.sending)
    page.locator("live-region").get_by_role("link", name="Read the report").wait_for(timeout=20_000)
    page.context.close()
