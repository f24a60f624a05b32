"""What happens by itself, asked once a second by the worker; cheap when nothing is due."""

from __future__ import annotations

import time

_last: dict[str, float] = {}


def _every(name: str, seconds: float) -> bool:
    now = time.monotonic()
    if now - _last.get(name, -1e9) < seconds:
        return False
    _last[name] = now
    return True


def beat() -> None:
    """Start due sendings, end lost leases, make next month's partitions, drop what passed its time or was left over."""
    from envol.campaigns import tick
    from envol.content import media
    from envol.events import tasks as event_tasks
    from envol.outbound import lease

    tick.run()
    if _every("leases", 5):
        lease.sweep()
    if _every("events", 3600):
        event_tasks.keep_house()
    if _every("pictures", 86400):
        media.sweep()
