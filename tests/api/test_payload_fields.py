"""Payloads of the dialect, event by event, field by field."""

from __future__ import annotations

from typing import Any

import pytest

from envol import db
from envol.accounts.models import Member
from envol.accounts.workspaces import refuse_late
from envol.api.hooks import payloads, runner
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from tests.api.program import Program
from tests.api.test_webhooks import Server, due, ends, listen, listening, program, send, server

__all__ = ["listening", "program", "server"]  # the fixtures

COMMON = {
    "event": str, "time": int, "MessageID": int, "Message_GUID": str, "email": str, "mj_campaign_id": int,
    "mj_contact_id": int, "customcampaign": str, "CustomID": str, "Payload": str,
}  # fmt: skip
LOOKED = {"ip": str, "geo": str, "agent": str}
TROUBLE = {"error_related_to": str, "error": str}
OWN: dict[str, dict[str, type]] = {
    "sent": {"mj_message_id": str, "smtp_reply": str},
    "open": LOOKED,
    "click": {"url": str, **LOOKED},
    "bounce": {"blocked": bool, "hard_bounce": bool, "comment": str, **TROUBLE},
    "blocked": TROUBLE,
    "spam": {"source": str},
    "unsub": {"mj_list_id": int, **LOOKED},
}


def test_each_event_has_its_fields_and_no_others(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(program, server, *OWN)
    sent, lost, kept, spam = send(
        program,
        *(f"p{n}@lecteurs.example" for n in range(4)),
        CustomID="c-17",
        EventPayload="p",
        CustomCampaign="soldes",
    )
    ends(sent)
    ends(lost, "bounced", "mailbox_full", 552, "5.2.2 Full")
    ends(kept, "suppressed", "objection", None, "")
    query = "SELECT sending_id, no, contact_id FROM outbound_send WHERE no = ANY(%s)"
    of = {no: (sending, contact) for sending, no, contact in db.rows(query, [[sent, spam]])}
    both = payloads.Level.INDIVIDUAL
    agreed = payloads.measuring.Recipient(program.workspace.pk, of[sent][1], both, both, None)
    monkeypatch.setattr(payloads.measuring, "behind", lambda keys: [agreed for _ in keys])
    workspace = program.workspace.pk
    for kind, no in ((Kind.OPENED, sent), (Kind.CLICKED, sent), (Kind.UNSUBSCRIBED, sent), (Kind.COMPLAINED, spam)):
        link = 1 if kind == Kind.CLICKED else None
        record([NewEvent(workspace, kind, of[no][1], of[no][0], link, facts={"no": no})])
    due()
    runner.run_due()
    said: dict[str, dict[str, Any]] = {one["event"]: one for one in server.said()}
    assert said.keys() == OWN.keys()
    for event, own in OWN.items():
        wanted = COMMON | own
        assert {name: type(value) for name, value in said[event].items()} == wanted, event
        told = {name: said[event][name] for name in ("CustomID", "Payload", "customcampaign")}
        assert told == {"CustomID": "c-17", "Payload": "p", "customcampaign": "soldes"}, event


def test_what_never_leaves_is_told_as_blocked(program: Program, server: Server) -> None:
    listen(program, server, "blocked")
    refuse_late(program.workspace, True, Member(pk=1))
    once = {"CustomCampaign": "automne", "DeduplicateCampaign": True}
    send(program, "luc@lecteurs.example", **once)
    (again,) = send(program, "luc@lecteurs.example", **once)
    (wrong,) = send(program, "lea@lecteurs.example", TextPart="{{var:day}}", TemplateLanguage=True)
    runner.run_due()
    said = {one["MessageID"]: (one["error_related_to"], one["error"]) for one in server.said()}
    assert said == {again: ("mailjet", "duplicate in campaign"), wrong: ("content", "error in template language")}
