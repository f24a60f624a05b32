"""statcounters: messages and reactions of a campaign, a key, a list or a sender, over all time or in stretches of it.

``Message`` counts what became of the messages of a stretch: those of a campaign belong to the moment at which it began.
``Event`` counts what happened in it. Machines are in neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from envol.accounts.models import Scope
from envol.api.models import Draft
from envol.api.rest import groupings, lists
from envol.api.rest.account import SENDER
from envol.api.rest.figures import NAMES, as_they_are, campaign_of, counts, nowhere
from envol.api.rest.ground import Call, Resource, Wrong
from envol.api.rest.values import moment, told
from envol.campaigns.models import Campaign
from envol.events.models import Kind
from envol.insight import over_time
from envol.insight.report import report
from envol.outbound.groupings import figures as figures_of_groupings
from envol.outbound.models import Sending

KINDS = ("campaign", "resend", "transactional")
_MOST = 366  # stretches that are counted message by message
_USUAL = {"highest": 1, "hour": 7, "day": 90, "week": 366, "month": 730}  # days, where no FromTS is given


def _needed(call: Call, name: str, allowed: Sequence[str]) -> str:
    given = call.query.get(name.lower(), "")
    known = {word.lower(): word for word in allowed}
    if given.lower() not in known:
        raise Wrong(400, f"Filter {name} is invalid: it is one of {', '.join(allowed)}.")
    return known[given.lower()]


def _counters(call: Call) -> list[dict[str, Any]]:
    source = _needed(call, "CounterSource", ("Campaign", "APIKey", "List", "Sender"))
    timing = _needed(call, "CounterTiming", ("Message", "Event"))
    resolution = _needed(call, "CounterResolution", ("Highest", "Hour", "Day", "Week", "Month", "Lifetime"))
    if source == "List" and (resolution, timing) != ("Lifetime", "Message"):
        raise Wrong(400, "Counters of a List are by Message, over the Lifetime.")
    if source == "Sender" and timing != "Message":
        raise Wrong(400, "Counters of a Sender are by Message.")
    if source == "Campaign" and (word := groupings.by_number(call, call.number("sourceid") or 0)):
        if resolution != "Lifetime":
            raise Wrong(400, "Counters of a CustomCampaign are over the Lifetime.")
        found = figures_of_groupings(call.workspace.pk, [word.name])[word.name]
        return [_row(call, groupings.number(word.pk), "", counts(found))]
    sendings, source_id = _sendings(call, source)
    if resolution == "Lifetime":
        return [_row(call, source_id, "", counts(report(call.workspace, [one.pk for one in sendings])))]
    since, until = _between(call, resolution.lower())
    made = _by_event if timing == "Event" else _by_message
    rows = made(call, sendings, resolution.lower(), since, until)
    return [_row(call, source_id, told(began), rows[began]) for began in sorted(rows)]


def _row(call: Call, source_id: int, began: str, figures: dict[str, int]) -> dict[str, Any]:
    return {"APIKeyID": call.key.pk, "SourceID": source_id, "Timeslice": began, **figures}


def _sendings(call: Call, source: str) -> tuple[list[Sending], int]:
    mine = Sending.objects.filter(workspace=call.workspace, kind__in=KINDS)
    number = call.number("sourceid") or 0
    if source == "APIKey":
        return list(mine), call.key.pk
    if source == "Campaign":
        return list(mine.filter(campaign_id=campaign_of(call, number).pk)), number
    if source == "List":
        one = lists.find(call, str(number))
        drafts = Draft.objects.filter(workspace=call.workspace, facts__ContactsListID=one.pk)
        return list(mine.filter(campaign_id__in=list(drafts.values_list("campaign_id", flat=True)))), one.pk
    domain = SENDER.one(call, str(number)).domain
    from_it = Campaign.objects.filter(workspace=call.workspace, from_address__iendswith=f"@{domain.name}")
    return list(mine.filter(campaign_id__in=list(from_it.values_list("pk", flat=True)))), domain.pk


def _between(call: Call, unit: str) -> tuple[datetime, datetime]:
    until = moment(call.query["tots"]) if call.query.get("tots") else datetime.now(UTC) + timedelta(minutes=1)
    given = call.query.get("fromts")
    return moment(given) if given else until - timedelta(days=_USUAL[unit]), until


def _by_event(
    call: Call, sendings: Sequence[Sending], unit: str, since: datetime, until: datetime
) -> dict[datetime, dict[str, int]]:
    found = over_time.stretches([one.pk for one in sendings], unit, since, until)
    return {one.began: _of_stretch(one) for one in found}


def _of_stretch(one: over_time.Stretch) -> dict[str, int]:
    state, events, people = one.states.get, one.events.get, one.people.get
    return dict.fromkeys(NAMES, 0) | {
        "EventClickedCount": events(Kind.CLICKED, 0),
        "EventOpenedCount": events(Kind.OPENED, 0),
        "EventSpamCount": events(Kind.COMPLAINED, 0),
        "EventUnsubscribedCount": events(Kind.UNSUBSCRIBED, 0),
        "MessageBlockedCount": state("suppressed", 0) + state("cancelled", 0),
        "MessageClickedCount": people(Kind.CLICKED, 0),
        "MessageHardBouncedCount": state("bounced", 0),
        "MessageOpenedCount": people(Kind.OPENED, 0),
        "MessageSentCount": state("delivered", 0),
        "MessageSoftBouncedCount": state("expired", 0),
        "MessageSpamCount": people(Kind.COMPLAINED, 0),
        "MessageUnsubscribedCount": people(Kind.UNSUBSCRIBED, 0),
        "Total": state("accepted", 0),
    }


def _by_message(
    call: Call, sendings: Sequence[Sending], unit: str, since: datetime, until: datetime
) -> dict[datetime, dict[str, int]]:
    """Campaigns whole, in the stretch in which they began; single messages as they were accepted and ended."""
    began: dict[datetime, list[int]] = defaultdict(list)
    streams = []
    for one in sendings:
        at = one.started_at or one.created_at
        if one.kind == "transactional":
            streams.append(one)
        elif since <= at < until:
            began[_floor(at, unit)].append(one.pk)
    if len(began) > _MOST:
        raise Wrong(400, f"More than {_MOST} stretches are counted message by message: narrow them by FromTS and ToTS.")
    found = {at: counts(report(call.workspace, ids)) for at, ids in began.items()}
    for at, more in (_by_event(call, streams, unit, since, until) if streams else {}).items():
        there = found.get(at, {})
        found[at] = {name: there.get(name, 0) + more[name] for name in more}
    return found


def _floor(at: datetime, unit: str) -> datetime:
    at = at.astimezone(UTC).replace(second=0, microsecond=0)
    if unit == "highest":
        return at - timedelta(minutes=at.minute % 5)
    at = at.replace(minute=0)
    if unit == "hour":
        return at
    at = at.replace(hour=0)
    if unit == "week":
        return at - timedelta(days=at.weekday())
    return at.replace(day=1) if unit == "month" else at


COUNTERS = Resource("statcounters", _counters, nowhere, as_they_are, Scope.RESULTS)
