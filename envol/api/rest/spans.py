"""Of which time a list of events tells: that of its filters, and today where none is given."""

from __future__ import annotations

from datetime import datetime, time

from envol.api.rest import campaign_filters
from envol.api.rest.ground import Call
from envol.api.rest.values import moment


def span(call: Call) -> tuple[datetime | None, datetime | None]:
    """``EventFromTS`` (or ``FromTS``) and ``EventToTS`` (or ``ToTS``), or the last ``Period``; of none of them, since
    midnight in the workspace's zone."""
    query, (since, until) = call.query, campaign_filters.span(call)
    since = moment(query["eventfromts"]) if query.get("eventfromts") else since
    until = moment(query["eventtots"]) if query.get("eventtots") else until
    if since is None and until is None:
        zone = call.workspace.zone
        return datetime.combine(datetime.now(zone).date(), time(), zone), None
    return since, until
