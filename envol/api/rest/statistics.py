"""The older families of statistics: of people, campaigns, bounces, links, domains, lists and senders.

Machines are in none of them, and neither is what was not allowed to be known of a single person. What an older family
counted twice is told once: processed is what was accepted, queued what waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Count, Max, QuerySet

from envol.accounts.models import Scope
from envol.api.models import Draft
from envol.api.rest import campaign_filters, lists, messages, people
from envol.api.rest.account import SENDER
from envol.api.rest.campaign_filters import of_campaigns
from envol.api.rest.counters import KINDS
from envol.api.rest.figures import CAMPAIGN, as_they_are, campaign_of, nowhere, one_of_all, subjects
from envol.api.rest.ground import Call, Resource, Wrong, missing, number_of
from envol.api.rest.groupings import named
from envol.api.rest.groupings import number as number_of_grouping
from envol.api.rest.spans import span
from envol.api.rest.values import told
from envol.campaigns.models import Campaign
from envol.contacts.models import Contact, List, Membership
from envol.db import rows, sql
from envol.events import counters
from envol.events.models import Event, Kind
from envol.insight.report import Report, report
from envol.outbound import delivered, groupings
from envol.outbound.models import Grouping, Sending

_DID = {Kind.OPENED: "OpenedCount", Kind.CLICKED: "ClickedCount", Kind.COMPLAINED: "SpamComplaintCount",
        Kind.UNSUBSCRIBED: "UnsubscribedCount"}  # fmt: skip
_MOST = 5000  # bounces of one call
_REPORTS = 100  # rows of a page that are reports each
_LATELY = timedelta(days=90)  # campaigns whose links are added up where none is named


# ---- of people


def _of_people(call: Call, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    states = delivered.states(call.workspace.pk, ids)
    mine = Event.objects.filter(workspace_id=call.workspace.pk, contact_id__in=list(ids), machine=None)
    mine = mine.filter(kind__in=list(_DID))
    did = mine.values_list("contact_id", "kind").annotate(many=Count("sending_id", distinct=True), last=Max("at"))
    reactions: dict[int, dict[str, int]] = {one: {} for one in ids}
    last: dict[int, datetime] = {}
    for contact, kind, many, at in did:
        reactions[contact or 0][_DID[Kind(kind)]] = many
        if kind in (Kind.OPENED, Kind.CLICKED):
            last[contact or 0] = max(at, last.get(contact or 0, at))
    return {one: _figures(states[one], reactions[one], last.get(one)) for one in ids}


def _figures(states: dict[str, int], did: dict[str, int], last: datetime | None) -> dict[str, Any]:
    state = states.get
    hard, soft = state("bounced", 0), state("expired", 0)
    return {
        "BlockedCount": state("suppressed", 0) + state("cancelled", 0),
        "BouncedCount": hard + soft,
        "ClickedCount": did.get("ClickedCount", 0),
        "DeferredCount": 0,
        "DeliveredCount": state("delivered", 0),
        "HardBouncedCount": hard,
        "LastActivityAt": told(last),
        "OpenedCount": did.get("OpenedCount", 0),
        "PreQueuedCount": 0,
        "ProcessedCount": sum(states.values()),
        "QueuedCount": state("queued", 0),
        "SoftBouncedCount": soft,
        "SpamComplaintCount": did.get("SpamComplaintCount", 0),
        "UnsubscribedCount": did.get("UnsubscribedCount", 0),
        "WorkFlowExitedCount": 0,
    }


def _told_people(call: Call, found: Sequence[Contact]) -> list[dict[str, Any]]:
    figures = _of_people(call, [one.pk for one in found])
    return [
        {"ContactID": one.pk, "MarketingContacts": 0, "UserMarketingContacts": 0, **figures[one.pk]} for one in found
    ]


def _told_members(call: Call, found: Sequence[Membership]) -> list[dict[str, Any]]:
    figures = _of_people(call, sorted({one.contact_id for one in found}))
    return [{"Data": [], "ListRecipientID": one.pk, **figures[one.contact_id]} for one in found]


# ---- of campaigns


def sendings_of(call: Call, *, timed: bool = True) -> QuerySet[Sending]:
    """Those that the query leaves: of campaigns, and, with ``timed``, begun in a time."""
    found = of_campaigns(call, Sending.objects.filter(workspace=call.workspace, kind__in=KINDS))
    if not timed:
        return found
    since, until = campaign_filters.span(call)
    if since:
        found = found.filter(created_at__gte=since)
    return found.filter(created_at__lt=until) if until else found


def _overview(call: Call) -> QuerySet[Campaign]:
    found = Campaign.objects.filter(workspace=call.workspace)
    wanted: set[str] = set()
    for name, states in (
        ("drafts", {"draft"}),
        ("programmed", {"scheduled", "preparing", "sending", "paused", "failed"}),
        ("sent", {"sent"}),
        ("archived", {"stopped"}),
    ):
        if call.switch(name):
            wanted |= states
    if not call.switch("all") and wanted:
        found = found.filter(state__in=wanted)
    if (number := call.number("id")) is not None:
        found = found.filter(pk=number)
    if call.query.get("idtype", "campaign").lower() not in ("campaign", "nl") or call.switch("starred"):
        found = found.none()
    return found


_OVERVIEW_STATUS = {"draft": 0, "sent": 2, "stopped": -1}


def _told_overview(call: Call, found: Sequence[Campaign]) -> list[dict[str, Any]]:
    sent = Sending.objects.filter(campaign_id__in=[one.pk for one in found], kind__in=KINDS).order_by("-pk")
    by_sending = {one.pk: one.campaign_id or 0 for one in sent}
    first = {one.campaign_id: one.started_at or one.created_at for one in sent}
    figures: dict[int, list[int]] = {one.pk: [0, 0, 0, 0] for one in found}  # processed, delivered, opened, clicked
    for sending, accepted, arrived, _ in rows(sql("outbound", "results"), {"sendings": list(by_sending)}):
        figures[by_sending[sending]][0] += accepted
        figures[by_sending[sending]][1] += arrived
    for key, counted in counters.read(list(by_sending)).items():
        if key.link == 0 and not key.machine and key.kind in (Kind.OPENED, Kind.CLICKED):
            figures[by_sending[key.sending_id]][2 if key.kind == Kind.OPENED else 3] += counted.people
    written = dict(Draft.objects.filter(campaign__in=found).values_list("campaign_id", "facts"))
    subject = subjects(found)
    return [
        {
            "ClickedCount": figures[one.pk][3],
            "DeliveredCount": figures[one.pk][1],
            "EditMode": written.get(one.pk, {}).get("EditMode", "tool2"),
            "EditType": "full" if one.state == "draft" else "unknown",
            "ID": one.pk,
            "IDType": "Campaign" if one.state != "draft" else "NL",
            "OpenedCount": figures[one.pk][2],
            "ProcessedCount": figures[one.pk][0],
            "SendTimeStart": int(first[one.pk].timestamp()) if one.pk in first else 0,
            "Starred": False,
            "Status": _OVERVIEW_STATUS.get(one.state, 1),
            "Subject": written.get(one.pk, {}).get("Subject", "") or subject.get(one.pk, ""),
            "Title": one.name,
        }
        for one in found
    ]


def _overview_one(call: Call, key: str) -> Campaign:
    return campaign_of(call, number_of(key) or 0)


# ---- sums of the older families


def _sum(found: Report | groupings.Figures) -> dict[str, Any]:
    outcome = found.outcome
    return {
        "BlockedCount": outcome["suppressed"] + outcome["cancelled"],
        "BouncedCount": outcome["bounced"] + outcome["expired"],
        "ClickedCount": found.clicked.people,
        "DeliveredCount": outcome["delivered"],
        "LastActivityAt": "",
        "OpenedCount": found.opened.people,
        "ProcessedCount": outcome["accepted"],
        "QueuedCount": outcome["waiting"] + outcome["deferred"],
        "SpamcomplaintCount": found.complained.people,
        "UnsubscribedCount": found.unsubscribed.people,
    }


def _totals(call: Call) -> list[dict[str, Any]]:
    return [{"ID": call.key.pk, "APIKeyID": call.key.pk, **_sum(report(call.workspace, sendings_of(call)))}]


def _domains(call: Call) -> list[dict[str, Any]]:
    """Of each receiving domain; the largest first."""
    found = report(call.workspace, sendings_of(call))
    return [
        {
            "BlockedCount": site.suppressed + site.cancelled,
            "BouncedCount": site.bounced + site.expired,
            "ClickedCount": site.clicked,
            "DeliveredCount": site.delivered,
            "Domain": site.site,
            "ID": no,
            "LastActivityAt": "",
            "OpenedCount": site.opened,
            "ProcessedCount": site.accepted,
            "QueuedCount": site.waiting + site.deferred,
            "SpamcomplaintCount": site.complained,
            "UnsubscribedCount": site.unsubscribed,
        }
        for no, site in enumerate(found.sites, 1)
    ]


def _links(call: Call) -> list[dict[str, Any]]:
    sendings = sendings_of(call)
    if not (campaign_filters.NAMES | {"fromts", "period"}) & call.query.keys():
        sendings = sendings.filter(created_at__gte=datetime.now(UTC) - _LATELY)
    found = report(call.workspace, sendings)
    return [
        {"ClickedCount": link.people, "LinkId": no, "Url": link.url}
        for no, link in enumerate(found.links, 1)
        if link.people or link.events
    ]


def _few(found: Sequence[Any]) -> None:
    if len(found) > _REPORTS:
        raise Wrong(400, f"Each of these is a report of its own: ask for {_REPORTS} at most (Limit).")


def _per_campaign(call: Call, found: Sequence[Campaign | Grouping]) -> list[dict[str, Any]]:
    _few(found)
    words = [one.name for one in found if isinstance(one, Grouping)]
    of_words = groupings.figures(call.workspace.pk, words) if words else {}
    made = []
    for one in found:
        if isinstance(one, Grouping):
            number, figures = number_of_grouping(one.pk), _sum(of_words[one.name])
        else:
            number, figures = one.pk, _sum(report(call.workspace, one))
        made.append({"CampaignID": number, "ID": number, **figures})
    return made


def _per_list(call: Call, found: Sequence[List]) -> list[dict[str, Any]]:
    _few(found)
    shown = {row["ID"]: row for row in lists.LIST.show(call, found)}
    made = []
    for one in found:
        drafts = Draft.objects.filter(workspace=call.workspace, facts__ContactsListID=one.pk)
        campaigns = list(drafts.values_list("campaign_id", flat=True))
        sendings = Sending.objects.filter(workspace=call.workspace, campaign_id__in=campaigns, kind__in=KINDS)
        facts = {name: shown[one.pk][name] for name in ("Address", "IsDeleted", "Name", "SubscriberCount")}
        made.append(
            {"ID": one.pk, "ActiveCount": facts["SubscriberCount"], **facts, **_sum(report(call.workspace, sendings))}
        )
    return made


def _per_sender(call: Call, found: Sequence[Any]) -> list[dict[str, Any]]:
    _few(found)
    made = []
    for one in found:
        from_it = Campaign.objects.filter(workspace=call.workspace, from_address__iendswith=f"@{one.domain.name}")
        campaigns = list(from_it.values_list("pk", flat=True))
        sendings = Sending.objects.filter(workspace=call.workspace, campaign_id__in=campaigns, kind__in=KINDS)
        made.append({"ID": one.domain.pk, "SenderID": one.domain.pk, **_sum(report(call.workspace, sendings))})
    return made


# ---- bounces


@dataclass(frozen=True, slots=True)
class _Page:
    """Bounces are read a page at a time: the slice that is asked for is all that is read."""

    call: Call

    def __len__(self) -> int:
        return len(self[0:_MOST])

    def __getitem__(self, part: slice) -> list[delivered.NotDelivered]:
        since, until = span(self.call)
        begin = since or datetime(2000, 1, 1, tzinfo=UTC)
        end = until or datetime.now(UTC) + timedelta(minutes=1)
        word = named(self.call)
        sendings = Sending.objects.filter(workspace=self.call.workspace, kind__in=(*KINDS, "transactional"))
        ids = list(of_campaigns(self.call, sendings, word).values_list("pk", flat=True))
        start, campaign = part.start or 0, word.name if word else None
        many = min((part.stop or _MOST) - start, _MOST)
        return delivered.not_delivered(ids, begin, end, many, start, campaign=campaign)


def _told_bounces(call: Call, found: Sequence[delivered.NotDelivered]) -> list[dict[str, Any]]:
    words = groupings.of_copies(call.workspace.pk, [(one.sending_id, one.no) for one in found if one.single])
    return [
        {
            "BouncedAt": told(one.at),
            "CampaignID": number_of_grouping(words[key])
            if (key := (one.sending_id, one.no)) in words
            else one.campaign_id or 0,
            "ContactID": one.contact_id or 0,
            "ID": one.number,
            "IsBlocked": one.state == "suppressed",
            "IsStatePermanent": one.state != "expired",
            "StateID": 14 if one.state == "suppressed" else messages.CAUSES.get(one.cause, 10),
        }
        for one in found
    ]


def _resource(name: str, all_of: Callable[[Call], Any], **more: Any) -> Resource:
    return Resource(name, all_of, nowhere, as_they_are, Scope.RESULTS, **more)


def _only(call: Call, key: str) -> Any:
    raise missing()


_PEOPLE_ABSENT = frozenset(
    "blocked bounced click open queued sent spam unsubscribed minlastactivityat maxlastactivityat".split()  # noqa: SIM905
)
STATISTICS = (
    Resource("contactstatistics", people.CONTACT.rows, people.find, _told_people, Scope.RESULTS, absent=_PEOPLE_ABSENT,
             sorts={"id": ("pk", True)}),
    Resource("listrecipientstatistics", lists.RECIPIENT.rows, lists.RECIPIENT.one, _told_members, Scope.RESULTS,
             absent=_PEOPLE_ABSENT, sorts={"id": ("pk", True)}),
    Resource("campaignoverview", _overview, _overview_one, _told_overview, Scope.RESULTS, absent=frozenset({"subject"}),
             sorts={"id": ("pk", True)}),
    Resource("campaignstatistics", CAMPAIGN.rows, one_of_all, _per_campaign, Scope.RESULTS, sorts=CAMPAIGN.sorts),
    Resource("liststatistics", lists.LIST.rows, lists.find, _per_list, Scope.RESULTS, sorts={"id": ("pk", True)}),
    Resource("senderstatistics", SENDER.rows, SENDER.one, _per_sender, Scope.RESULTS),
    Resource("bouncestatistics", _Page, _only, _told_bounces, Scope.RESULTS),
    _resource("apikeytotals", _totals),
    _resource("domainstatistics", _domains),
    _resource("toplinkclicked", _links, absent=frozenset({"actualclicks", "contact", "message"})),
)  # fmt: skip
