"""Journey 7: look, one sentence, send; then the seconds in which it can be taken back."""

from __future__ import annotations

import re
from typing import Any

import pytest

from envol.campaigns.models import Campaign
from envol.outbound.models import Sending
from tests.journeys.traveller import Traveller, signed_in


@pytest.mark.parametrize("language", ["fr", "en"])
def test_send(browser: Any, address: str, language: str) -> None:
    from tests.web.shop import open_shop

    shop = open_shop("Librairie qui écrit", readers=28)
    Campaign.objects.filter(pk=shop.draft.pk).update(segment=shop.segment)
    page = signed_in(browser, address, shop.members["editor"].user, language)
    page.goto(f"{address}/campaigns/{shop.draft.pk}")
    one = Traveller(page, address, language)
    one.press(one.say("Look and send"))
    one.at("**/send")
    sentence = page.locator(".sentence").first.inner_text()
    assert "22" in sentence and "Lettre d'hiver" in sentence and "zoe@boutique.example" in sentence
    assert "Fidèles" in sentence and "(Paris)" in sentence and re.search(r"\d\d:\d\d", sentence)
    left_out = page.locator(".left-out").inner_text()
    assert left_out.startswith("6 "), "each reason with its number"
    assert page.locator(".left-out a").count() == 2
    one.press(one.say("Send to %(people)s people").replace("%(people)s", "22") if language == "en" else "Envoyer à 22")
    one.at("**/live")
    one.write_down(7, "Send", 3)
    # Sixty seconds that one can see passing, and a way back.
    timer = page.get_by_role("timer")
    timer.wait_for()
    first = int(re.sub(r"\D", "", timer.inner_text()))
    assert 50 <= first <= 60
    page.wait_for_function(f"+document.querySelector('[role=timer]').textContent.replace(/\\D/g, '') < {first}")
    assert int(page.locator("take-back progress").get_attribute("value")) < 60
    one.press(one.say("Take it back"))
    one.at(f"**/campaigns/{shop.draft.pk}")
    shop.draft.refresh_from_db()
    assert shop.draft.state == "draft"
    assert not Sending.objects.filter(campaign_id=shop.draft.pk, started_at__isnull=False).exists()
    page.context.close()
