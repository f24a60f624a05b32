"""Names of time zones (the IANA database), read once: asking walks through a directory."""

from __future__ import annotations

import functools
from zoneinfo import available_timezones

__all__ = ["known_zones"]


@functools.cache
def known_zones() -> frozenset[str]:
    """Every name that `zoneinfo.ZoneInfo` takes, such as ``Europe/Paris``."""
    return frozenset(available_timezones())
