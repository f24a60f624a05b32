"""What sign-up does by itself."""

from __future__ import annotations

import structlog

from envol.collect import joining

log = structlog.get_logger()


def keep_house() -> dict[str, int]:
    """Erase unconfirmed requests after 7 days, and old counters. Cheap when nothing is due, safe at any time."""
    gone = joining.sweep()
    if any(gone.values()):
        log.info("sign-up requests swept", **gone)
    return gone
