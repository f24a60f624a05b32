"""campaign and the statistics of one: figures as reports count them, machines left out.

Opens and clicks are those of people who agreed to be measured, and sums that name nobody: what was not allowed to be
known is not in any figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envol.accounts.models import Scope
from envol.api.models import Draft
from envol.api.rest import campaign_filters, groupings
from envol.api.rest.ground import JSON_UTF8, Answer, Call, Resource, envelope, missing
from envol.api.rest.values import told
from envol.campaigns.models import Campaign
from envol.content.models import Version
from envol.insight.report import Report, report
from envol.outbound.groupings import Figures
from envol.outbound.models import Grouping, Sending

NAMES = [
    "EventClickDelay",
    "EventClickedCount",
    "EventOpenDelay",
    "EventOpenedCount",
    "EventSpamCount",
    "EventUnsubscribedCount",
    "EventWorkflowExitedCount",
    "MessageBlockedCount",
    "MessageClickedCount",
    "MessageDeferredCount",
    "MessageHardBouncedCount",
    "MessageOpenedCount",
    "MessageQueuedCount",
    "MessageSentCount",
    "MessageSoftBouncedCount",
    "MessageSpamCount",
    "MessageUnsubscribedCount",
    "MessageWorkFlowExitedCount",
]


def counts(found: Report | Figures) -> dict[str, int]:
    """One report in the names of statcounters."""
    outcome = found.outcome
    return dict.fromkeys(NAMES, 0) | {
        "EventClickedCount": found.clicked.events,
        "EventOpenedCount": found.opened.events,
        "EventSpamCount": found.complained.events,
        "EventUnsubscribedCount": found.unsubscribed.events,
        "MessageBlockedCount": outcome["suppressed"] + outcome["cancelled"],
        "MessageClickedCount": found.clicked.people,
        "MessageDeferredCount": outcome["deferred"],
        "MessageHardBouncedCount": outcome["bounced"],
        "MessageOpenedCount": found.opened.people,
        "MessageQueuedCount": outcome["waiting"],
        "MessageSentCount": outcome["delivered"],
        "MessageSoftBouncedCount": outcome["expired"],
        "MessageSpamCount": found.complained.people,
        "MessageUnsubscribedCount": found.unsubscribed.people,
        "Total": outcome["accepted"],
    }


def campaign_of(call: Call, number: int) -> Campaign:
    found = Campaign.objects.filter(workspace=call.workspace, pk=number).first()
    if found is None:
        raise missing()
    return found


def subjects(found: Sequence[Campaign]) -> dict[int, str]:
    """What stands above the latest version of each campaign's content, by its number."""
    templates = {one.template_id for one in found if one.template_id}
    latest = Version.objects.filter(template_id__in=templates).order_by("template_id", "-no").distinct("template_id")
    by_template = dict(latest.values_list("template_id", "subject"))
    return {one.pk: by_template.get(one.template_id or 0, "") for one in found}


def as_they_are(call: Call, found: Sequence[Any]) -> list[dict[str, Any]]:
    return list(found)


def nowhere(call: Call, key: str) -> Any:
    raise missing()


# ---- statistics of one campaign


def _clicked(call: Call, nothing: None, behind: str) -> Answer:
    found = report(call.workspace, campaign_of(call, call.number("campaignid") or 0))
    rows = [
        {
            "ClickedEventsCount": link.events,
            "ClickedMessagesCount": link.people,
            "PositionIndex": link.no,
            "URL": link.url,
        }
        for link in found.links
    ]
    return Answer(200, envelope(rows).body, JSON_UTF8)


def _rate(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _providers(call: Call, nothing: None, behind: str) -> Answer:
    found = report(call.workspace, campaign_of(call, call.number("campaignid") or 0))
    wanted = call.query.get("esp_name", "").lower()
    rows = [
        {
            "AttemptedMessagesCount": site.accepted,
            "ClickThroughRate": _rate(site.clicked, site.opened),
            "ClickedMessagesCount": site.clicked,
            "DeferredMessagesCount": site.deferred,
            "DeferredRate": _rate(site.deferred, site.accepted),
            "DeliveredMessagesCount": site.delivered,
            "ESPName": site.site,
            "HardBouncedMessagesCount": site.bounced,
            "HardBouncedRate": _rate(site.bounced, site.accepted),
            "OpenRate": _rate(site.opened, site.delivered),
            "OpenedMessagesCount": site.opened,
            "SoftBouncedMessagesCount": site.expired,
            "SoftBouncedRate": _rate(site.expired, site.accepted),
            "SpamReportsCount": site.complained,
            "SpamReportsRate": _rate(site.complained, site.delivered),
            "UnsubscribedMessagesCount": site.unsubscribed,
            "UnsubscribedRate": _rate(site.unsubscribed, site.delivered),
        }
        for site in found.sites
        if not wanted or site.site.lower() == wanted
    ]
    return Answer(200, envelope(rows).body, JSON_UTF8)


# ---- campaign


def one_of_all(call: Call, key: str) -> Campaign | Grouping:
    """By number, by ``mj.nl=DRAFT``, which here is the same number, or by the word of a program."""
    given = campaign_filters.number_of_custom(key)
    return (groupings.by_number(call, given) if given else groupings.by_word(call, key)) or campaign_of(call, given)


def _told_all(call: Call, found: Sequence[Campaign | Grouping]) -> list[dict[str, Any]]:
    ours = iter(_told_campaigns(call, [one for one in found if isinstance(one, Campaign)]))
    return [groupings.shown(call, one) if isinstance(one, Grouping) else next(ours) for one in found]


def _told_campaigns(call: Call, found: Sequence[Campaign]) -> list[dict[str, Any]]:
    written = dict(Draft.objects.filter(campaign__in=found).values_list("campaign_id", "facts"))
    first = Sending.objects.filter(campaign_id__in=[one.pk for one in found]).order_by("campaign_id", "pk")
    sendings = {one.campaign_id: one for one in first.distinct("campaign_id")}
    subject = subjects(found)
    rows = []
    for one in found:
        sending = sendings.get(one.pk)
        facts = written.get(one.pk, {})
        rows.append(
            {
                "CampaignType": 2,
                "ClickTracked": int(call.workspace.clicks_mode != "none"),
                "CreatedAt": told(one.created_at),
                "CustomValue": f"mj.nl={one.pk}",
                "FromEmail": one.from_address,
                "FromName": one.from_name,
                "ID": one.pk,
                "IsDeleted": False,
                "IsStarred": False,
                "ListID": facts.get("ContactsListID", 0),
                "NewsLetterID": one.pk,
                "OpenTracked": int(call.workspace.opens_mode != "none"),
                "SegmentationID": facts.get("SegmentationID", 0) if facts else one.segment_id or 0,
                "SendEndAt": told(sending.ended_at) if sending else "",
                "SendStartAt": told(sending.started_at) if sending else "",
                "Status": campaign_filters.STATES.get(one.state, 1),
                "Subject": subject.get(one.pk, ""),
            }
        )
    return rows


STATISTICS = Resource(
    "statistics", lambda call: [], nowhere, as_they_are, Scope.RESULTS,
    wide={"link-click": {"GET": _clicked}, "recipient-esp": {"GET": _providers}},
)  # fmt: skip
CAMPAIGN = Resource(
    "campaign", campaign_filters.every_in_time, one_of_all, _told_all, Scope.RESULTS, sorts={"id": ("pk", True)},
)  # fmt: skip
