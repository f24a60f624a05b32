"""Of which time a list of events tells: that of its filters, and today where none is given."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

from envol.api.rest.ground import Call
from envol.api.rest.values import moment


def span(call: Call) -> tuple[datetime | None, datetime | None]:
    """``EventFromTS`` (or ``FromTS``) and ``EventToTS`` (or ``ToTS``); of neither, since midnight in the workspace's
    zone."""
    query = call.query
    since, until = query.get("eventfromts") or query.get("fromts"), query.get("eventtots") or query.get("tots")
    if not since and not until:
        zone = ZoneInfo(call.workspace.time_zone)
        return datetime.combine(datetime.now(zone).date(), time(), zone), None
    return moment(since) if since else None, moment(until) if until else None
