"""What the dialect calls deprecated and programs still call: sums, stretches of time, messages one by one.

The figures are those of reports, machines left out. Delays and deviations are not reckoned, so they are 0. Where and
with what somebody reads is not kept, and of what Envol does not have there is none: such a resource is empty, which is
true, and a program that reads it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from envol.accounts.models import Scope
from envol.api.rest import messages
from envol.api.rest.campaign_filters import campaigns, span
from envol.api.rest.figures import as_they_are, nowhere
from envol.api.rest.ground import Call, Resource, Wrong, number_of
from envol.api.rest.statistics import sendings_of
from envol.campaigns.models import Campaign
from envol.events.models import Kind
from envol.insight import over_time
from envol.insight.report import report
from envol.outbound.groupings import of_messages
from envol.outbound.mail_log import Entry
from envol.outbound.models import Sending

_USUAL = timedelta(days=90)  # where no time is given
_MOST = 100  # campaigns of one call


def _mean(events: int, people: int) -> float:
    return round(events / people, 4) if people else 0.0


def _sums(call: Call) -> list[dict[str, Any]]:
    found = report(call.workspace, sendings_of(call))
    single = report(call.workspace, sendings_of(call).filter(kind="transactional"))
    of_campaigns = sendings_of(call).exclude(campaign_id=None).values("campaign_id").distinct().count()
    outcome = found.outcome
    return [
        {
            "AverageClickDelay": 0.0,
            "AverageClickedCount": _mean(found.clicked.events, found.clicked.people),
            "AverageOpenDelay": 0.0,
            "AverageOpenedCount": _mean(found.opened.events, found.opened.people),
            "BlockedCount": outcome["suppressed"] + outcome["cancelled"],
            "BouncedCount": outcome["bounced"] + outcome["expired"],
            "CampaignCount": of_campaigns,
            "ClickedCount": found.clicked.people,
            "DeliveredCount": outcome["delivered"],
            "OpenedCount": found.opened.people,
            "ProcessedCount": outcome["accepted"],
            "QueuedCount": outcome["waiting"] + outcome["deferred"],
            "SpamComplaintCount": found.complained.people,
            "TransactionalCount": single.outcome["accepted"],
            "UnsubscribedCount": found.unsubscribed.people,
        }
    ]


def _opens(call: Call) -> list[dict[str, Any]]:
    found = report(call.workspace, sendings_of(call))
    return [{"OpenedCount": found.opened.people, "OpenedDelay": 0.0, "ProcessedCount": found.outcome["accepted"]}]


def _between(call: Call) -> tuple[datetime, datetime]:
    since, until = span(call)
    end = until or datetime.now(UTC) + timedelta(minutes=1)
    return since or end - _USUAL, end


def _stretches(call: Call, ids: Sequence[int], unit: str) -> list[over_time.Stretch]:
    since, until = _between(call)
    return over_time.stretches(ids, unit, since, until)


def _days(call: Call) -> list[dict[str, Any]]:
    """Day by day (UTC), as it happened in that day."""
    rows = []
    for one in _stretches(call, list(sendings_of(call, timed=False).values_list("pk", flat=True)), "day"):
        state, people, began = one.states.get, one.people.get, int(one.began.timestamp())
        counted = {
            "Blocked": state("suppressed", 0) + state("cancelled", 0),
            "Bounced": state("bounced", 0) + state("expired", 0),
            "Clicked": people(Kind.CLICKED, 0),
            "Opened": people(Kind.OPENED, 0),
            "Sent": state("delivered", 0),
            "Spamcomplaint": people(Kind.COMPLAINED, 0),
            "Unsubscribed": people(Kind.UNSUBSCRIBED, 0),
        }
        rows.append(
            {f"{name}Count": number for name, number in counted.items()}
            | {f"{name}StdDev": 0.0 for name in counted}
            | {"RefTimestamp": str(began), "SendtimeStart": began}
        )
    return rows


def _hours(call: Call) -> list[dict[str, Any]]:
    """What was done with each campaign, hour by hour; ``IDS``: numbers of campaigns, with commas between them."""
    found = campaigns(call).order_by("pk")
    if "ids" in call.query:
        found = found.filter(pk__in=[number_of(word.strip()) or 0 for word in call.query["ids"].split(",")])
    numbers = list(found.values_list("pk", flat=True)[: _MOST + 1])
    if len(numbers) > _MOST:
        raise Wrong(400, f"Each campaign is counted by itself: name {_MOST} at most (IDS, CampaignID).")
    sent = Sending.objects.filter(workspace=call.workspace, campaign_id__in=numbers, kind__in=("campaign", "resend"))
    of: dict[int, list[int]] = {number: [] for number in numbers}
    for pk, campaign in sent.values_list("pk", "campaign_id"):
        of[campaign or 0].append(pk)
    return [
        {
            "Clickcount": one.people.get(Kind.CLICKED, 0),
            "ID": number,
            "Opencount": one.people.get(Kind.OPENED, 0),
            "Spamcount": one.people.get(Kind.COMPLAINED, 0),
            "Tick": int(one.began.timestamp()),
            "Unsubcount": one.people.get(Kind.UNSUBSCRIBED, 0),
        }
        for number, ids in of.items()
        for one in (_stretches(call, ids, "hour") if ids else ())
        if one.people
    ]


def _told_messages(call: Call, found: Sequence[Entry]) -> list[dict[str, Any]]:
    """A message with what became of it; moments are seconds of the Unix clock, 0 where there was none."""
    words = of_messages(call.workspace.pk, [one.message_id for one in found if one.message_id])
    rows = []
    for one in found:
        did, status, state = messages.done_with(one), messages.status_of(one), messages.state_of(one)
        came_back = one.state in ("bounced", "expired")
        ended = int(one.ended_at.timestamp()) if one.ended_at else 0
        rows.append(
            {
                "ArrivalTs": int(one.at.timestamp()),
                "Blocked": int(status == "blocked"),
                "Bounce": int(came_back or "returned" in did),
                "BounceDate": ended if came_back else 0,
                "BounceReason": messages.STATES[state][0] if state else "",
                "CampaignID": messages.campaign_number(one, words),
                "Click": did.count("clicked"),
                "CntRecipients": 1,
                "ComplaintDate": 0,
                "ContactID": one.contact_id or 0,
                "Details": "",
                "FBLSource": "",
                "MessageID": one.no,
                "Open": did.count("opened"),
                "Queued": int(status == "queued"),
                "Sent": int(one.state == "delivered"),
                "Spam": int("complained" in did),
                "StateID": state,
                "StatePermanent": one.state in messages.PERMANENT,
                "Status": messages.status_of(one, did),
                "ToEmail": one.address,
                "Unsub": int("unsubscribed" in did),
                "WorkflowID": 0,
            }
        )
    return rows


def _empty(name: str, scope: Scope = Scope.RESULTS) -> Resource:
    return Resource(name, lambda call: Campaign.objects.none(), nowhere, as_they_are, scope)


def _sum_of(name: str, all_of: Callable[[Call], Any]) -> Resource:
    return Resource(name, all_of, nowhere, as_they_are, Scope.RESULTS)


OLDER = (
    _sum_of("messagestatistics", _sums),
    _sum_of("openstatistics", _opens),
    _sum_of("graphstatistics", _days),
    _sum_of("campaigngraphstatistics", _hours),
    Resource(
        "messagesentstatistics", messages.MESSAGE.rows, messages.find, _told_messages, Scope.RESULTS,
        absent=messages.MESSAGE.absent, sorts=messages.MESSAGE.sorts,
    ),
    _empty("geostatistics"),
    _empty("useragentstatistics"),
    _empty("useragent"),
    _empty("axtesting", Scope.CAMPAIGNS),
    _empty("workflow", Scope.CAMPAIGNS),
    _empty("campaignaggregate", Scope.CAMPAIGNS),
    _empty("contacthistorydata", Scope.CONTACTS),
    _empty("preferences"),
)  # fmt: skip
