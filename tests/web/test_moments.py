"""When an action depends on the hour, the page says which day, and whose clock, in the reader's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone, translation

from envol.web.templatetags.envol import city, day_at, moment

MIDNIGHT = datetime(2026, 11, 26, 23, 10, tzinfo=UTC)  # ten past midnight in Paris


def test_a_moment_names_the_clock_by_a_city_and_no_offset() -> None:
    with timezone.override(ZoneInfo("Europe/Paris")):
        with translation.override("fr"):
            assert moment(MIDNIGHT) == "vendredi 27 novembre 2026, 00:10 (Paris)"
        with translation.override("en"):
            assert moment(MIDNIGHT) == "Friday 27 November 2026, 00:10 (Paris)"
    with timezone.override(ZoneInfo("UTC")), translation.override("fr"):
        assert moment(MIDNIGHT) == "jeudi 26 novembre 2026, 23:10 (UTC)"


def test_the_day_of_a_sending_is_that_of_the_workspace() -> None:
    with translation.override("fr"):
        assert day_at(MIDNIGHT, "Europe/Paris") == "vendredi 27 novembre"
        assert day_at(MIDNIGHT, "UTC") == "jeudi 26 novembre"
        assert city("Europe/Moscow") == "Moscou"


def test_a_refused_address_is_refused_in_the_readers_language(as_member: Any, shop: Any) -> None:
    owner = as_member("owner")
    owner.post("/language", {"language": "fr"})
    campaign = f"/campaigns/{shop.draft.pk}"
    card = {"card": "sender", "revision": shop.draft.revision, "from_name": "Zoé", "from_address": "zoe@@b.example"}
    said = owner.post(f"{campaign}/save", card).content.decode()
    assert "L’adresse a plus d’un @" in said and "more than one" not in said
    said = owner.post("/settings/domains", {"name": "bou_tique.example"}).content.decode()
    assert "Le domaine bou_tique.example n’est pas valide" in said
    owner.post(f"{campaign}/test", {"address": "zoe b@boutique.example"})
    assert "L’adresse contient une espace" in owner.get(campaign).content.decode()
    owner.post("/language", {"language": "en"})
