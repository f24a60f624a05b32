"""Months of events: made ahead, and dropped when their time has passed."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

import structlog
from django.conf import settings
from django.db import OperationalError, transaction

from envol.db import execute, rows, value
from envol.events import acts, counters, custom, outbox

log = structlog.get_logger()
MONTHS_AHEAD = 3
_NAME = re.compile(r"^events_event_(\d{4})_(\d{2})$")


def keep_house(today: date | None = None) -> dict[str, list[str]]:
    """Make the next months, drop those past their retention (``event_months``); what was made and dropped.

    Before a month goes, the counters of every sending in it are computed a last time and frozen.
    Cheap when nothing is due; safe to run anywhere, any number of times.
    """
    day = today or datetime.now(UTC).date()
    forget_mail_requests()
    outbox.keep_house()
    custom.sweep()
    return {"made": make_ahead(day), "dropped": drop_old(day, settings.ENVOL.event_months)}


def forget_mail_requests(now: datetime | None = None) -> int:
    """Requests for mail that were taken 30 days ago: they hold an address, and links that are long over."""
    return execute("DELETE FROM events_mail_request WHERE taken_at < coalesce(%s, now()) - interval '30 days'", [now])


def months() -> list[tuple[date, str]]:
    """The months that have a partition, oldest first, with its name."""
    names = rows(
        "SELECT c.relname FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'events_event'::regclass ORDER BY 1"
    )
    return [(date(int(m[1]), int(m[2]), 1), m[0]) for (name,) in names if (m := _NAME.match(name))]


def make_ahead(today: date) -> list[str]:
    """The month of ``today`` and the next three exist afterwards."""
    before = {name for _, name in months()}
    wanted = {f"events_event_{month:%Y_%m}" for month in (_shift(today, n) for n in range(MONTHS_AHEAD + 1))}
    if wanted <= before:
        return []
    value("SELECT events_make_partitions(%s, %s)", [today.replace(day=1), MONTHS_AHEAD + 1])
    return sorted({name for _, name in months()} - before)


def drop_old(today: date, keep_months: int) -> list[str]:
    """Drop the months that ended ``keep_months`` ago or earlier, after freezing what was counted from them."""
    limit = _shift(today, -keep_months)
    dropped = []
    for month, name in months():
        if month >= limit:
            break
        if _drop(name):
            dropped.append(name)
    with transaction.atomic():
        execute("DELETE FROM events_event_default WHERE at < %s", [datetime(limit.year, limit.month, 1, tzinfo=UTC)])
    return dropped


def _drop(name: str) -> bool:
    for (sending,) in rows(f"SELECT DISTINCT sending_id FROM {name} WHERE sending_id IS NOT NULL ORDER BY 1"):
        counters.freeze(sending)
    try:
        with transaction.atomic():
            # Hits wait behind us while we wait for readers: give up soon, the next hour tries again.
            execute("SET LOCAL lock_timeout = '2s'")
            acts.remember(name)
            execute(f"DROP TABLE {name}")
    except OperationalError as error:
        log.warning("old events stay another hour", month=name, why=str(error).strip())
        return False
    return True


def _shift(day: date, by: int) -> date:
    """The first day of the month ``by`` months away."""
    place = day.year * 12 + day.month - 1 + by
    return date(place // 12, place % 12 + 1, 1)
