"""When an action depends on the hour, the page says which day, and whose clock, in the reader's words."""

from __future__ import annotations

from datetime import UTC, datetime
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
