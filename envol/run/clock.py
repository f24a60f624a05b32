"""What happens by itself, asked once a second by the worker; cheap when nothing is due."""

from __future__ import annotations

import time

import structlog

log = structlog.get_logger()
JUMP_SECONDS = 60.0
_last: dict[str, float] = {}
_offset: list[float] = []


def _every(name: str, seconds: float) -> bool:
    now = time.monotonic()
    if now - _last.get(name, -1e9) < seconds:
        return False
    _last[name] = now
    return True


def watch() -> float:
    """Compare the database's clock, by which everything falls due, with one that only counts; the seconds it jumped.

    More than a minute is told: who looks for mail that came early or late finds the reason in the log.
    """
    from envol import db

    offset = float(db.value("SELECT extract(epoch FROM clock_timestamp())")) - time.monotonic()
    jumped = offset - _offset[0] if _offset else 0.0
    _offset[:] = [offset]
    if abs(jumped) > JUMP_SECONDS:
        log.warning("the database's clock jumped", seconds=round(jumped))
        return jumped
    return 0.0


def beat() -> None:
    """Start due sendings, end lost leases, make next month's partitions, drop what passed its time or was left over."""
    from envol.accounts import looks
    from envol.campaigns import tick
    from envol.collect import tasks as collect_tasks
    from envol.content import media
    from envol.events import tasks as event_tasks
    from envol.outbound import lease

    tick.run()
    if _every("leases", 5):
        watch()
        lease.sweep()
    if _every("events", 3600):
        event_tasks.keep_house()
    if _every("pictures", 86400):
        media.sweep()
        looks.sweep()
    if _every("sign-up", 600):
        collect_tasks.keep_house()
