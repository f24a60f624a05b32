"""Dates as files write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

from django.utils.translation import gettext

_DAY_FIRST = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?:[ T,]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?")


def read_moment(text: str, zone: tzinfo = UTC) -> datetime:
    """ISO 8601, or day first as Europe writes (31/12/2024, 31.12.2024 14:05), as UTC; in ``zone`` where none is said.

    ValueError with a sentence. Only four digits make a year: "03/04/05" has three readings.
    """
    text = text.strip()
    try:
        if match := _DAY_FIRST.fullmatch(text):
            day, month, year, hour, minute, second = (int(part or 0) for part in match.groups())
            moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        elif len(text) >= 10:
            moment = datetime.fromisoformat(text)
        else:
            raise ValueError
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            gettext("“%(text)s” is not a date: write it like 2024-12-31 or 31/12/2024.") % {"text": text[:40]}
        ) from None
    if moment.year < 1970:
        raise ValueError(
            gettext("“%(text)s” lies before the first e-mail campaign: correct the year.") % {"text": text[:40]}
        )
    return moment
