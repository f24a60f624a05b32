"""A page of many rows asks the database as often as a page of two: in both of our APIs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from envol.api.accepting import Request, serve
from envol.api.models import Draft
from envol.audience import segments
from envol.campaigns.models import Campaign
from envol.contacts import people, subscriptions
from envol.contacts.models import List
from envol.content.models import Template, Version
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound import domains
from envol.outbound.models import Sending
from tests.api.program import Program

FEW, MANY = 2, 12
THEIRS = [
    "contact",
    "contactdata",
    "contactmetadata",
    "contactslist",
    "listrecipient",
    "contactslistsignup",
    "contactfilter",
    "template",
    "campaign",
    "campaigndraft",
    "newsletter",
    "campaignoverview",
    "contactstatistics",
    "listrecipientstatistics",
    "message",
    "messageinformation",
    "openinformation",
    "clickstatistics",
    "bouncestatistics",
    "sender",
    "parseroute",
    "eventcallbackurl",
    "batchjob",
    "csvimport",
]
OURS = ["contacts", "lists", "properties", "segments", "campaigns", "forms", "purposes"]
EVENTS = ("open", "click", "bounce", "spam", "blocked", "unsub", "sent")


@pytest.fixture
def program(workspace: Any) -> Program:
    domains.add(workspace, "boutique.example", trusted=True)
    return Program(workspace)


def fill(program: Program, since: int, until: int) -> None:
    """Of each thing those between two numbers."""
    workspace = program.workspace
    form = people.source(workspace, "form", "Salon")
    for n in range(since, until):
        one = program.made_one("contactslist", {"Name": f"Liste {n}"})
        program.made_one("contactmetadata", {"Name": f"p{n}", "Datatype": "str"})
        who = {"Email": f"p{n}@lecteurs.example", "Action": "addnoforce", "Properties": {f"p{n}": "x"}}
        person = program.made_one(f"contactslist/{one['ID']}/managecontact", who)["ContactID"]
        signed = List.objects.get(pk=program.made_one("contactslist", {"Name": f"Inscrits {n}"})["ID"])
        subscriptions.join_many(signed, [f"p{n}@lecteurs.example"], form.pk)
        program.made_one("contactfilter", {"Name": f"Filtre {n}", "Expression": f'(p{n}="x")'})
        kept = program.made_one("template", {"Name": f"Modèle {n}"})
        program("POST", f"template/{kept['ID']}/detailcontent", {"Html-part": "<p>Bonjour</p>"})
        program.made_one("parseroute", {"Url": "https://boutique.example/mail", "Email": f"r{n}@boutique.example"})
        template = Template.objects.create(workspace=workspace, name=f"Lettre {n}")
        version = Version.objects.create(
            workspace=workspace, template=template, no=1, mode="html", source="", subject="Automne"
        )
        campaign = Campaign.objects.create(
            workspace=workspace, name=f"Automne {n}", state="sent", template=template,
            segment=segments.save(workspace, f"Tous {n}", {"v": 1, "match": "all", "rules": []}),
        )  # fmt: skip
        if n % 2:
            Draft.objects.create(workspace=workspace, campaign=campaign, facts={"ContactsListID": one["ID"]})
        sending = Sending.objects.create(
            workspace=workspace, kind="campaign", campaign_id=campaign.pk, version_id=version.pk, state="sent"
        )
        record([NewEvent(workspace.pk, kind, person, sending.pk) for kind in (Kind.OPENED, Kind.CLICKED)])
        message = {
            "From": {"Email": "zoe@boutique.example"},
            "To": [{"Email": f"p{n}@lecteurs.example"}],
            "Subject": "Bonjour",
            "TextPart": "Bonjour",
        }
        (answer,) = serve([Request(program.authorization, json.dumps({"Messages": [message]}).encode())])
        assert answer.status == 200, answer.body
    for kind in EVENTS[:until]:
        program("POST", "eventcallbackurl", {"Url": "https://boutique.example/hook", "EventType": kind})


def asked(program: Program, path: str) -> tuple[int, int]:
    """Rows of a page, and queries that it took."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = program.raw("GET", path)
    assert answer.status_code == 200, (path, answer.content)
    told = json.loads(answer.content)
    return len(told.get("Data", told.get("items", ()))), len(captured)


def test_a_longer_page_takes_no_more_queries(program: Program) -> None:
    paths = [f"/v3/REST/{name}?Limit=100" for name in THEIRS] + [f"/api/v1/{name}?limit=100" for name in OURS]
    fill(program, 0, FEW)
    for path in paths:
        asked(program, path)  # what is asked once and remembered
    few = {path: asked(program, path) for path in paths}
    fill(program, FEW, MANY)
    many = {path: asked(program, path) for path in paths}
    grown = {path: (few[path], many[path]) for path in paths if many[path][1] > few[path][1]}
    assert not grown, grown
    longer = {path for path in paths if many[path][0] > few[path][0]}
    still = {"sender", "bouncestatistics", "batchjob", "csvimport", "forms", "purposes"}
    assert {path.partition("?")[0].rpartition("/")[2] for path in paths if path not in longer} <= still
