# ruff: noqa: E501 -- a query and what it finds are read better on one line
"""CustomCampaign: single messages that their program counts together are a campaign of the dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from envol import db
from envol.accounts.workspaces import create_workspace
from envol.api.accepting import Request, serve
from envol.api.hooks import payloads
from envol.campaigns.models import Campaign
from envol.events import outbox
from envol.events.models import Endpoint, Kind
from envol.events.writing import NewEvent, record
from envol.outbound import domains
from tests.api.program import Program


@pytest.fixture
def program(workspace: Any) -> Program:
    for name in ("boutique.example", "autre.example"):
        domains.add(workspace, name, trusted=True)
    return Program(workspace)


def send(program: Program, *to: str, **more: Any) -> list[int]:
    message = {
        "From": {"Email": "zoe@boutique.example", "Name": "Zoé"},
        "To": [{"Email": one} for one in to],
        "Subject": "Bonjour",
        "TextPart": "Bonjour",
        **more,
    }
    (answer,) = serve([Request(program.authorization, json.dumps({"Messages": [message]}).encode())])
    assert answer.status == 200, answer.body
    return [one["MessageID"] for one in json.loads(answer.body)["Messages"][0]["To"]]


def ends(no: int, state: str = "delivered", cause: str = "") -> None:
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, reply)"
        " SELECT sending_id, no, %s, 1, %s, 250, 'OK' FROM outbound_send WHERE no = %s AND message_id IS NOT NULL",
        [state, cause, no],
    )


def reacted(program: Program, kind: Kind, no: int, times: int = 1) -> None:
    (row,) = db.rows("SELECT contact_id, sending_id FROM outbound_send WHERE no = %s AND message_id IS NOT NULL", [no])
    record([NewEvent(program.workspace.pk, kind, row[0], row[1], facts={"no": no}) for _ in range(times)])


def test_a_word_of_a_program_is_a_campaign_with_figures(program: Program) -> None:
    luc, ann, rose = send(
        program, "luc@lecteurs.example", "ann@lecteurs.example", "rose@ailleurs.example", CustomCampaign="Soldes d'été"
    )
    (other,) = send(program, "luc@lecteurs.example", CustomCampaign="reçus", From={"Email": "zoe@autre.example"})
    (plain,) = send(program, "luc@lecteurs.example")
    ends(luc)
    ends(ann, "bounced", "unknown_user")
    ends(other)
    reacted(program, Kind.OPENED, luc, 2)
    reacted(program, Kind.CLICKED, luc)
    reacted(program, Kind.OPENED, other)
    reacted(program, Kind.OPENED, plain)
    ours = Campaign.objects.create(workspace=program.workspace, name="La lettre", state="sent")

    first, soldes, recus = program.rows("campaign")
    assert (first["ID"], first["CampaignType"]) == (ours.pk, 2)
    assert [one["CustomValue"] for one in (soldes, recus)] == ["Soldes d'été", "reçus"]
    assert (soldes["CampaignType"], soldes["FromEmail"], soldes["FromName"]) == (1, "zoe@boutique.example", "Zoé")
    assert soldes["ID"] < 1 << 53, "clients read it exactly"
    assert [one["ID"] for one in program.rows("campaign?Sort=ID%20DESC")] == [recus["ID"], soldes["ID"], ours.pk]
    assert program.rows("campaign?Limit=1&Offset=1") == [soldes] == program.rows(f"campaign/{soldes['ID']}")
    assert program.rows("campaign/re%C3%A7us") == [recus] == program.rows("campaign?CustomCampaign=re%C3%A7us")
    assert program("GET", "campaign?countOnly=1")[1]["Total"] == 3
    for query, found in (
        ("FromType=1", [soldes, recus]), ("FromType=2", [first]), ("FromDomain=autre.example", [recus]),
        (f"CampaignID={soldes['ID']}", [soldes]), ("IsNewsletterTool=true", [first]), ("CustomCampaign=rien", []),
        ("FromTS=2099-01-01T00:00:00Z", []),
    ):  # fmt: skip
        assert program.rows(f"campaign?{query}") == found, query
    assert program("GET", "campaign?Sort=Name")[0] == 400

    (figures,) = program.rows("campaignstatistics?CustomCampaign=Soldes%20d'%C3%A9t%C3%A9")
    names = ("ID", "ProcessedCount", "DeliveredCount", "BouncedCount", "QueuedCount", "OpenedCount", "ClickedCount")
    assert [figures[name] for name in names] == [soldes["ID"], 3, 1, 1, 1, 1, 1]
    assert program.rows(f"campaignstatistics/{recus['ID']}")[0]["OpenedCount"] == 1
    counted = f"statcounters?CounterSource=Campaign&CounterTiming=Message&SourceID={soldes['ID']}&CounterResolution="
    (row,) = program.rows(counted + "Lifetime")
    told = (
        "MessageSentCount",
        "MessageHardBouncedCount",
        "MessageQueuedCount",
        "MessageOpenedCount",
        "EventOpenedCount",
    )
    assert (row["SourceID"], row["Total"], [row[name] for name in told]) == (soldes["ID"], 3, [1, 1, 1, 1, 2])
    assert program("GET", counted + "Day")[0] == 400

    foreign = Program(create_workspace("autre-des-mots", title="Autre"))
    assert foreign.rows("campaign") == [] and foreign("GET", f"campaign/{soldes['ID']}")[0] == 404
    assert foreign("GET", counted + "Lifetime")[0] == 404


def test_opens_clicks_and_bounces_by_the_word_of_a_program(program: Program) -> None:
    luc, ann = send(program, "luc@lecteurs.example", "ann@lecteurs.example", CustomCampaign="soldes")
    (other,) = send(program, "luc@lecteurs.example", CustomCampaign="reçus")
    (plain,) = send(program, "luc@lecteurs.example")
    for no in (luc, other, plain):
        reacted(program, Kind.OPENED, no)
    reacted(program, Kind.CLICKED, luc)
    ends(luc)
    for no in (ann, other, plain):
        ends(no, "bounced", "unknown_user")
    soldes, recus = program.rows("campaign")
    opens = {row["MessageID"]: row["CampaignID"] for row in program.rows("openinformation")}
    assert opens == {luc: soldes["ID"], other: recus["ID"], plain: 0}
    bounces = {row["ID"]: row["CampaignID"] for row in program.rows("bouncestatistics")}
    assert bounces == {ann: soldes["ID"], other: recus["ID"], plain: 0}
    for query, opened, clicked, bounced in (
        ("CustomCampaign=soldes", {luc}, {luc}, {ann}), (f"CampaignID={recus['ID']}", {other}, set(), {other}),
        (f"CampaignID={recus['ID']}&CustomCampaign=soldes", set(), set(), set()), ("CustomCampaign=rien", set(), set(), set()),
        ("CustomCampaign=soldes&FromType=1&FromDomain=boutique.example", {luc}, {luc}, {ann}), ("CustomCampaign=soldes&FromType=2", set(), set(), set()),
        ("CustomCampaign=soldes&From=leo@autre.example", set(), set(), set()), ("FromType=1", {luc, other, plain}, {luc}, {ann, other, plain}),
    ):  # fmt: skip
        assert {row["MessageID"] for row in program.rows(f"openinformation?{query}")} == opened, query
        assert {row["MessageID"] for row in program.rows(f"clickstatistics?{query}")} == clicked, query
        assert {row["ID"] for row in program.rows(f"bouncestatistics?{query}")} == bounced, query
    foreign = Program(create_workspace(f"autre-{program.workspace.pk}", title="Autre"))
    for resource in ("openinformation", "clickstatistics", "bouncestatistics"):
        assert foreign.rows(f"{resource}?CustomCampaign=soldes") == foreign.rows(resource) == []


def test_messages_by_the_filters_of_the_dialect(program: Program) -> None:
    luc, rose = send(program, "luc@lecteurs.example", "rose@ailleurs.example", CustomCampaign="soldes")
    (other,) = send(program, "luc@lecteurs.example", From={"Email": "zoe@autre.example"})
    ends(rose, "bounced", "unknown_user")
    (soldes,) = program.rows("campaign")
    senders = {row["Email"]: row["ID"] for row in program.rows("sender")}

    def found(query: str) -> set[int]:
        return {row["ID"] for row in program.rows(f"message?{query}")}

    everything = {luc, rose, other}
    for query, wanted in (
        ("CustomCampaign=soldes", {luc, rose}), (f"Campaign={soldes['ID']}", {luc, rose}), ("CampaignID=1", set()),
        (f"CampaignID={soldes['ID']}&CustomCampaign=autre", set()), ("Destination=ailleurs.example", {rose}),
        (f"SenderID={senders['*@autre.example']}", {other}), (f"FromID={senders['*@boutique.example']}", {luc, rose}),
        ("Sender=zoe@autre.example", {other}), ("BounceReason=user%20unknown", {rose}), ("FromType=1", everything),
        ("FromType=2", set()), ("SenderID=999999999", set()),
    ):  # fmt: skip
        assert found(query) == wanted, query
    assert {row["CampaignID"] for row in program.rows("message?CustomCampaign=soldes")} == {soldes["ID"]}
    assert {row["ID"] for row in program.rows("messageinformation?CustomCampaign=soldes")} == {luc, rose}
    assert program("GET", "message?PlanSubscription=1")[0] == 400


def test_webhooks_tell_its_number(program: Program) -> None:
    endpoint = Endpoint.objects.create(
        workspace=program.workspace, form="dialect", event="sent", kinds=[int(Kind.DELIVERED)],
        url="https://programme.example/hook",
    )  # fmt: skip
    (luc,) = send(program, "luc@lecteurs.example", CustomCampaign="soldes")
    ends(luc)
    (said,) = payloads.compose(endpoint, outbox.take(endpoint, 10))
    assert said is not None
    (soldes,) = program.rows("campaign")
    assert (said["mj_campaign_id"], said["customcampaign"]) == (soldes["ID"], "soldes")


def test_what_became_of_each_message_as_the_older_family_tells_it(program: Program) -> None:
    luc, ann = send(program, "luc@lecteurs.example", "ann@lecteurs.example", CustomCampaign="Soldes", CustomID="c7")
    ends(luc)
    ends(ann, "bounced", "unknown_user")
    reacted(program, Kind.OPENED, luc, 2)
    first, second = sorted(program.rows("messagesentstatistics"), key=lambda row: row["MessageID"])
    assert (first["MessageID"], first["ToEmail"], first["Sent"], first["Open"], first["Bounce"]) == (
        luc, "luc@lecteurs.example", 1, first["Open"], 0,
    )  # fmt: skip
    assert first["Open"] >= 1 and first["Status"] == "opened" and first["BounceDate"] == 0
    assert (second["Bounce"], second["BounceReason"], second["StateID"], second["StatePermanent"]) == (
        1, "user unknown", 1, True,
    )  # fmt: skip
    assert second["BounceDate"] >= second["ArrivalTs"] > 0
    assert program.rows(f"messagesentstatistics/{luc}") == [first]
    assert len(program.rows("messagesentstatistics?CustomID=c7")) == 2 and not program.rows(
        "messagesentstatistics?CustomID=c"
    )
    stranger = Program(create_workspace(f"older{program.workspace.pk}"))
    assert stranger.rows("messagesentstatistics") == []
