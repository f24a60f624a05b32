"""The filters that all resources about campaigns share, and what they leave of campaigns and of sendings.

Of the campaigns here none is starred, deleted or of a workflow, and their ``CustomValue`` is ``mj.nl=`` with their own
number. A filter by who sends or by kind that knows nobody leaves nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db.models import QuerySet

from envol.api.models import Draft
from envol.api.rest import groupings
from envol.api.rest.ground import Call, Wrong
from envol.api.rest.values import moment
from envol.campaigns.models import Campaign
from envol.outbound.models import Grouping, Sending

NAMES = frozenset(
    {
        "campaign", "campaignid", "campaignstatus", "contactslist", "contactslistid", "customcampaign", "from",
        "fromdomain", "fromid", "fromtype", "isdeleted", "isnewslettertool", "isstarred", "workflowid",
    }
)  # fmt: skip
OURS = ("campaign", "resend")
"""Kinds of sendings that are campaigns of ours: the second ``FromType``; single messages are the first."""
STATES = {"draft": 0, "sent": 2}
"""Of `Campaign.state` as a ``Status``; everything else is 1, under way."""
Found = TypeVar("Found", bound=QuerySet[Any])
_PERIODS = {"day": 1, "week": 7, "month": 30, "year": 365}


def number_of_custom(word: str) -> int:
    """The campaign that a ``CustomValue`` names; 0 when it names none."""
    word = word.lower().removeprefix("mj.nl=")
    return int(word) if word.isdecimal() and len(word) < 19 else 0


def campaigns(call: Call) -> QuerySet[Campaign]:
    """Those that the query leaves; drafts are none of them."""
    query, found = call.query, Campaign.objects.filter(workspace=call.workspace).exclude(state="draft")
    if (number := call.number("campaignid", "campaign")) is not None:
        found = found.filter(pk=number)
    if (status := call.number("campaignstatus")) is not None:
        known = [state for state, one in STATES.items() if one == status]
        found = found.exclude(state__in=STATES) if status == 1 else found.filter(state__in=known)
    if (number := call.number("contactslist", "contactslistid")) is not None:
        drafts = Draft.objects.filter(workspace=call.workspace, facts__ContactsListID=number)
        found = found.filter(pk__in=drafts.values("campaign_id"))
    if "customcampaign" in query:
        found = found.filter(pk=number_of_custom(query["customcampaign"]))
    found = groupings.from_sender(call, found)
    if call.switch("isdeleted") or call.switch("isstarred") or call.number("workflowid"):
        found = found.none()
    return found.none() if call.switch("isnewslettertool") is False else found


def span(call: Call) -> tuple[datetime | None, datetime | None]:
    """``FromTS`` and ``ToTS``, or the last ``Period``: Day, Week, Month or Year."""
    query = call.query
    since = moment(query["fromts"]) if query.get("fromts") else None
    if period := query.get("period", "").lower():
        if period not in _PERIODS:
            raise Wrong(400, "Filter Period is invalid: it is one of Day, Week, Month, Year.")
        begun = datetime.now(UTC) - timedelta(days=_PERIODS[period])
        since = max(since, begun) if since else begun
    return since, moment(query["tots"]) if query.get("tots") else None


def campaigns_in_time(call: Call) -> QuerySet[Campaign]:
    """`campaigns` that were made within `span`."""
    return _within(call, campaigns(call))


def every_in_time(call: Call) -> groupings.Both:
    """The same and those of programs, by number; ``FromType``: 1 for single messages, 2 for campaigns of ours."""
    kind = call.number("fromtype")
    ours, theirs = campaigns_in_time(call), _within(call, groupings.left_by(call))
    return groupings.Both(
        ours if kind in (None, 2) else ours.none(),
        theirs if kind in (None, 1) else theirs.none(),
        falling=groupings.falling(call),
    )


def _within(call: Call, found: Found) -> Found:
    since, until = span(call)
    if since:
        found = found.filter(created_at__gte=since)
    return found.filter(created_at__lt=until) if until else found


def of_campaigns(call: Call, found: QuerySet[Sending], word: Grouping | None = None) -> QuerySet[Sending]:
    """Sendings of the campaigns that the query names; all of them where it names none.

    ``word``: the grouping that it names instead (`groupings.named`); then those of single messages, where the other
    filters leave it."""
    if word is not None:
        left = call.number("fromtype") in (None, 1) and groupings.left_by(call).contains(word)
        return found.filter(kind="transactional") if left else found.none()
    if (number := call.number("campaignid", "campaign")) is not None:
        found = found.filter(campaign_id=number)
    if (kind := call.number("fromtype")) is not None:
        found = found.filter(kind__in={1: ("transactional",), 2: OURS}.get(kind, ()))
    if (NAMES - {"campaignid", "campaign", "fromtype"}) & call.query.keys():
        found = found.filter(campaign_id__in=campaigns(call).values("pk"))
    return found
