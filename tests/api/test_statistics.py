# ruff: noqa: E501 -- calls are read better on one line
"""The families of statistics and statcounters by time, over one campaign and its reactions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from envol.accounts.workspaces import create_workspace
from envol.api.models import Draft
from envol.campaigns.models import Campaign
from envol.contacts.models import Contact
from envol.content.models import Template, Version
from envol.db import execute
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound import domains
from envol.outbound.models import Sending
from tests.api.program import Program

NOON = datetime(2026, 3, 2, 12, 1, tzinfo=UTC)  # a Monday


class Sent(NamedTuple):
    program: Program
    campaign: Campaign
    list_id: int
    people: list[int]
    domain_id: int


@pytest.fixture
def sent(workspace: Any) -> Sent:
    """Two delivered (one opened and clicked, a day later), one bounced, one suppressed."""
    program = Program(workspace)
    domain = domains.add(workspace, "boutique.example", trusted=True)
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    template = Template.objects.create(workspace=workspace, name="Lettre")
    links = [
        {"no": 1, "url": "https://boutique.example/a", "label": "a"},
        {"no": 2, "url": "https://boutique.example/b", "label": "b"},
    ]
    version = Version.objects.create(
        workspace=workspace, template=template, no=1, mode="html", source="", subject="Automne", links=links
    )
    campaign = Campaign.objects.create(
        workspace=workspace, name="Automne", state="sent", template=template, from_address="zoe@boutique.example"
    )
    Draft.objects.create(workspace=workspace, campaign=campaign, facts={"ContactsListID": club, "Subject": "Automne"})
    sending = Sending.objects.create(
        workspace=workspace,
        kind="campaign",
        campaign_id=campaign.pk,
        version_id=version.pk,
        state="sent",
        started_at=NOON,
    )
    people = []
    for n, state in enumerate(("delivered", "delivered", "bounced", "suppressed"), 1):
        made = program.made_one(
            f"contactslist/{club}/managecontact", {"Email": f"p{n}@lecteurs.example", "Action": "addforce"}
        )["ContactID"]
        people.append(made)
        execute("INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk, created_at) VALUES (%s, %s, %s, %s, 'lecteurs.example', 1, %s)",
                [sending.pk, made, made, f"p{n}@lecteurs.example", NOON])  # fmt: skip
        execute("INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, reply, at) VALUES (%s, %s, %s, 1, %s, 250, '2.0.0 OK', %s)",
                [sending.pk, made, state, "unknown_user" if state == "bounced" else "", NOON + timedelta(minutes=2)])  # fmt: skip
    later = NOON + timedelta(days=1)
    record(
        [
            NewEvent(workspace.pk, Kind.OPENED, people[0], sending.pk, at=later),
            NewEvent(workspace.pk, Kind.OPENED, people[0], sending.pk, at=later + timedelta(minutes=9)),
            NewEvent(workspace.pk, Kind.CLICKED, people[0], sending.pk, 2, at=later),
            NewEvent(workspace.pk, Kind.CLICKED, people[1], sending.pk, 1, machine="agent", at=later),
        ]
    )
    return Sent(program, campaign, club, people, domain.pk)


FIGURES = {
    "Total": 4, "MessageSentCount": 2, "MessageHardBouncedCount": 1, "MessageBlockedCount": 1, "MessageOpenedCount": 1,
    "EventOpenedCount": 2, "MessageClickedCount": 1, "EventClickedCount": 1,
}  # fmt: skip


def figures(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FIGURES if row[name]}


def counters(
    sent: Sent, source: str, timing: str, resolution: str, number: int = 0, **more: Any
) -> list[dict[str, Any]]:
    query = {
        "CounterSource": source,
        "CounterTiming": timing,
        "CounterResolution": resolution,
        "SourceID": number,
        "FromTS": "2026-01-01T00:00:00Z",
        **more,
    }
    return sent.program.rows("statcounters?Limit=0&" + "&".join(f"{name}={value}" for name, value in query.items()))


def test_campaigns_by_the_filters_that_their_resources_share(sent: Sent) -> None:
    other = Campaign.objects.create(
        workspace=sent.program.workspace, name="Hiver", state="sending", from_address="leo@autre.example"
    )
    Campaign.objects.create(workspace=sent.program.workspace, name="Brouillon", from_address="zoe@boutique.example")
    mine, both, old = {sent.campaign.pk}, {sent.campaign.pk, other.pk}, NOON.isoformat().replace("+", "%2B")
    for query, left in (
        ("", both),
        (f"CampaignID={sent.campaign.pk}", mine),
        (f"CustomCampaign=mj.nl={sent.campaign.pk}", mine),
        ("CustomCampaign=mine", set()),
        (f"ContactsList={sent.list_id}", mine),
        ("From=Zoe@boutique.example", mine),
        ("FromDomain=boutique.example", mine),
        ("FromDomain=example", set()),
        (f"FromID={sent.domain_id}", mine),
        ("FromID=1234567890123", set()),
        ("CampaignStatus=2", mine),
        ("CampaignStatus=1", {other.pk}),
        ("CampaignStatus=0", set()),
        ("CampaignStatus=x", set()),
        ("Period=Day", both),
        ("FromTS=2020-01-01T00:00:00Z", both),
        ("ToTS=2020-01-01T00:00:00Z", set()),
        ("IsStarred=true", set()),
        ("IsDeleted=false&IsStarred=0&IsNewsletterTool=true&WorkflowID=0", both),
    ):
        for resource in ("campaign", "campaignstatistics"):
            assert {one["ID"] for one in sent.program.rows(f"{resource}?{query}")} == left, (resource, query)
    for query in ("From=zoe@boutique.example", f"ContactsList={sent.list_id}", f"FromID={sent.domain_id}"):
        assert sent.program.rows(f"apikeytotals?{query}")[0]["DeliveredCount"] == 2
        for resource, many in (("bouncestatistics", 2), ("openinformation", 2), ("clickstatistics", 1)):
            assert len(sent.program.rows(f"{resource}?FromTS={old}&{query}")) == many, (resource, query)
    for kind, there in ((2, True), (1, False), (3, False)):
        assert bool(sent.program.rows(f"campaign?FromType={kind}")) is there
        for resource in ("bouncestatistics", "openinformation", "clickstatistics"):
            assert bool(sent.program.rows(f"{resource}?FromTS={old}&FromType={kind}")) is there, (resource, kind)
    for resource in ("bouncestatistics", "openinformation", "clickstatistics"):
        assert not sent.program.rows(f"{resource}?FromTS={old}&FromDomain=autre.example")
    assert not sent.program.rows("apikeytotals?FromDomain=autre.example")[0]["ProcessedCount"]
    for wrong in ("Period=Decade", "FromTS=yesterday"):
        assert sent.program("GET", f"campaign?{wrong}")[0] == 400


def test_counters_of_each_source_and_stretch(sent: Sent) -> None:
    for source, number in (
        ("Campaign", sent.campaign.pk),
        ("APIKey", 0),
        ("List", sent.list_id),
        ("Sender", sent.domain_id),
    ):
        (row,) = counters(sent, source, "Message", "Lifetime", number)
        assert figures(row) == FIGURES and row["Timeslice"] == "" and (number in (0, row["SourceID"])), source
    for resolution, began in (("Highest", "2026-03-02T12:00:00Z"), ("Hour", "2026-03-02T12:00:00Z"), ("Day", "2026-03-02T00:00:00Z"),
                              ("Week", "2026-03-02T00:00:00Z"), ("Month", "2026-03-01T00:00:00Z")):  # fmt: skip
        (row,) = counters(sent, "Campaign", "Message", resolution, sent.campaign.pk)
        assert figures(row) == FIGURES and row["Timeslice"] == began, resolution
    sending, reacting = counters(sent, "APIKey", "Event", "Day")
    assert (sending["Timeslice"], reacting["Timeslice"]) == ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    assert figures(sending) == {
        "Total": 4,
        "MessageSentCount": 2,
        "MessageHardBouncedCount": 1,
        "MessageBlockedCount": 1,
    }
    assert figures(reacting) == {
        "MessageOpenedCount": 1,
        "EventOpenedCount": 2,
        "MessageClickedCount": 1,
        "EventClickedCount": 1,
    }
    found = counters(sent, "Campaign", "Event", "Highest", sent.campaign.pk, FromTS="2026-03-03")
    assert [(row["Timeslice"], row["EventOpenedCount"]) for row in found] == [
        ("2026-03-03T12:00:00Z", 1),
        ("2026-03-03T12:10:00Z", 1),
    ]
    assert counters(sent, "Campaign", "Event", "Day", sent.campaign.pk, ToTS="2026-03-01") == []
    for wrong in ("CounterSource=List&CounterTiming=Event&CounterResolution=Lifetime", "CounterSource=Sender&CounterTiming=Event&CounterResolution=Day",
                  "CounterSource=APIKey&CounterTiming=Message&CounterResolution=Year"):  # fmt: skip
        assert sent.program("GET", f"statcounters?{wrong}&SourceID={sent.list_id}")[0] == 400


def test_people(sent: Sent) -> None:
    first, second, third, fourth = sent.program.rows("contactstatistics")
    assert (
        first["ContactID"],
        first["DeliveredCount"],
        first["OpenedCount"],
        first["ClickedCount"],
        first["ProcessedCount"],
    ) == (sent.people[0], 1, 1, 1, 1)
    assert first["LastActivityAt"].startswith("2026-03-03") and second["LastActivityAt"] == ""
    assert second["ClickedCount"] == 0, "what a machine did is in no figure"
    assert (third["HardBouncedCount"], third["BouncedCount"], fourth["BlockedCount"], fourth["DeliveredCount"]) == (
        1,
        1,
        1,
        0,
    )
    assert (
        sent.program.rows(f"contactstatistics/{sent.people[0]}")
        == sent.program.rows("contactstatistics/P1@lecteurs.example")
        == [first]
    )
    for since, who in (("2026-03-03T00:00:00Z", sent.people[:1]), ("1772000000", sent.people[:1]), ("2026-03-04", [])):
        assert [one["ID"] for one in sent.program.rows(f"contact?LastActivityAt={since}")] == list(who), since
        on = sent.program.rows(f"listrecipient?ContactsList={sent.list_id}&LastActivityAt={since}")
        assert [one["ContactID"] for one in on] == list(who)
    assert sent.program.rows("contact")[1]["LastActivityAt"] == "", "what a machine did is nobody's activity"
    assert sent.program("GET", "contact?LastActivityAt=yesterday")[0] == 400
    rows = sent.program.rows(f"listrecipientstatistics?ContactsList={sent.list_id}")
    assert [row["DeliveredCount"] for row in rows] == [1, 1, 0, 0] and rows[0]["OpenedCount"] == 1


def test_campaigns_and_what_came_back(sent: Sent) -> None:
    program, number = sent.program, sent.campaign.pk
    (row,) = program.rows("campaignoverview?Sent=1")
    assert (
        row["ID"],
        row["ProcessedCount"],
        row["DeliveredCount"],
        row["OpenedCount"],
        row["ClickedCount"],
        row["Subject"],
    ) == (number, 4, 2, 1, 1, "Automne")
    assert row["SendTimeStart"] == int(NOON.timestamp()) and program.rows("campaignoverview?Drafts=1") == []
    assert program.rows(f"campaignoverview/{number}") == [row]
    for path, found in (("apikeytotals", {}), (f"campaignstatistics/{number}", {"CampaignID": number}), ("domainstatistics", {"Domain": "lecteurs.example"}),
                        (f"liststatistics/{sent.list_id}", {"Name": "Club", "SubscriberCount": 4}), (f"senderstatistics/{sent.domain_id}", {"SenderID": sent.domain_id})):  # fmt: skip
        (told,) = program.rows(path)
        expected = {
            "ProcessedCount": 4,
            "DeliveredCount": 2,
            "BouncedCount": 1,
            "BlockedCount": 1,
            "OpenedCount": 1,
            "ClickedCount": 1,
            "QueuedCount": 0,
            **found,
        }
        assert {name: told[name] for name in expected} == expected, path
    assert program.rows(f"toplinkclicked?CampaignID={number}") == [
        {"ClickedCount": 1, "LinkId": 1, "Url": "https://boutique.example/b"}
    ]
    assert program.rows("toplinkclicked?CampaignID=9999999") == program.rows("bouncestatistics") == [], (
        "of today, where no time is named"
    )
    bounced, blocked = program.rows("bouncestatistics?FromTS=2026-03-01&ToTS=2026-03-04")
    assert (
        bounced["ContactID"],
        bounced["StateID"],
        bounced["IsBlocked"],
        bounced["IsStatePermanent"],
        bounced["CampaignID"],
    ) == (sent.people[2], 1, False, True, number)
    assert (blocked["ContactID"], blocked["StateID"], blocked["IsBlocked"]) == (sent.people[3], 14, True)
    assert program.rows("bouncestatistics?FromTS=2026-03-01&Limit=1&Offset=1") == [blocked]
    assert program("GET", "bouncestatistics?FromTS=2026-03-01&countOnly=1")[1]["Count"] == 2
    stranger = Program(create_workspace(f"stat{program.workspace.pk}"))
    for path in ("contactstatistics", "listrecipientstatistics", "campaignoverview", "campaignstatistics", "liststatistics", "senderstatistics", "toplinkclicked", "domainstatistics", "bouncestatistics?FromTS=2026-03-01"):  # fmt: skip
        assert stranger.rows(path) == [], path
    for path in (
        f"contactstatistics/{sent.people[0]}",
        f"campaignoverview/{number}",
        f"liststatistics/{sent.list_id}",
        f"senderstatistics/{sent.domain_id}",
    ):
        assert stranger("GET", path)[0] == 404, path
    assert Contact.objects.filter(workspace_id=program.workspace.pk).count() == 4


def test_what_is_deprecated_and_still_called(sent: Sent) -> None:
    program, since = sent.program, "FromTS=2026-01-01T00:00:00Z"
    (sums,) = program.rows("messagestatistics")
    assert {name: sums[name] for name in sums if sums[name]} == {
        "AverageClickedCount": 1.0, "AverageOpenedCount": 2.0, "BlockedCount": 1, "BouncedCount": 1, "CampaignCount": 1,
        "ClickedCount": 1, "DeliveredCount": 2, "OpenedCount": 1, "ProcessedCount": 4,
    }  # fmt: skip
    assert program.rows("messagestatistics?FromType=1")[0]["ProcessedCount"] == 0
    assert program.rows("openstatistics") == [{"OpenedCount": 1, "OpenedDelay": 0.0, "ProcessedCount": 4}]
    first, second = program.rows(f"graphstatistics?{since}")
    midnight = int(NOON.replace(hour=0, minute=0).timestamp())
    assert {name: first[name] for name in first if first[name]} == {
        "BlockedCount": 1, "BouncedCount": 1, "SentCount": 2, "RefTimestamp": str(midnight), "SendtimeStart": midnight,
    }  # fmt: skip
    assert (second["OpenedCount"], second["ClickedCount"], second["SendtimeStart"]) == (1, 1, midnight + 86400)
    assert program.rows(f"graphstatistics?{since}&ToTS={int(NOON.timestamp()) + 3600}") == [first]
    (hour,) = program.rows(f"campaigngraphstatistics?{since}&IDS={sent.campaign.pk}")
    assert hour == {
        "Clickcount": 1, "ID": sent.campaign.pk, "Opencount": 1, "Spamcount": 0, "Unsubcount": 0,
        "Tick": int(NOON.replace(minute=0).timestamp()) + 86400,
    }  # fmt: skip
    assert program.rows(f"campaigngraphstatistics?{since}&IDS=x") == []
    for empty in ("geostatistics", "useragentstatistics", "axtesting", "workflow", "contacthistorydata", "preferences"):
        assert program("GET", empty) == (200, {"Count": 0, "Data": [], "Total": 0}), empty
    other = Program(create_workspace(f"older{program.workspace.pk}"))
    assert other.rows(f"graphstatistics?{since}") == other.rows(f"campaigngraphstatistics?{since}") == []
    assert other.rows("messagestatistics")[0]["ProcessedCount"] == 0
