# ruff: noqa: E501, F811 -- payloads are read better on one line; fixtures are imported
"""Programs that are told what happened: payloads, order, tries, refusals. A real server takes what is posted."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from anymail.webhooks.mailjet import MailjetTrackingWebhookView
from django.conf import settings

from envol import db
from envol.accounts.models import Member
from envol.accounts.workspaces import create_workspace, refuse_late
from envol.api.accepting import Request, serve
from envol.api.hooks import endpoints, payloads, runner
from envol.consent import registry, transfers
from envol.consent.models import Processor
from envol.events import outbox
from envol.events.models import Endpoint, Kind, Outbox
from envol.events.writing import NewEvent, record
from envol.net import NotFetched, Poster
from envol.outbound import domains, states
from envol.outbound.models import Sending
from tests.api.listening import Server, listening, server  # noqa: F401 -- fixtures
from tests.api.program import Program

FROM = {"Email": "zoe@boutique.example"}
NEVER = datetime(2200, 1, 1, tzinfo=UTC)


@pytest.fixture
def program(workspace: Any) -> Program:
    domains.add(workspace, "boutique.example", trusted=True)
    # Whoever else listens lives in no DNS: asking for their names would take fifteen seconds.
    db.execute("UPDATE events_endpoint SET due = %s WHERE workspace_id <> %s", [NEVER, workspace.pk])
    return Program(workspace)


def send(program: Program, *to: str, **more: Any) -> list[int]:
    message = {"From": FROM, "To": [{"Email": one} for one in to], "Subject": "Bonjour", "TextPart": "Bonjour", **more}
    (answer,) = serve([Request(program.authorization, json.dumps({"Messages": [message]}).encode())])
    assert answer.status == 200, answer.body
    return [one["MessageID"] for one in json.loads(answer.body)["Messages"][0]["To"]]


def ends(no: int, state: str = "delivered", cause: str = "", code: int | None = 250, reply: str = "2.0.0 OK") -> None:
    """What a courier writes of a copy."""
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, reply)"
        " SELECT sending_id, no, %s, 1, %s, %s, %s FROM outbound_send WHERE no = %s AND message_id IS NOT NULL",
        [state, cause, code, reply, no],
    )


def due() -> None:
    db.execute("UPDATE events_outbox SET due = now() WHERE state = 'waiting'")
    db.execute("UPDATE events_endpoint SET due = now() WHERE due < %s", [NEVER])


def listen(program: Program, server: Server, *events: str, **more: Any) -> dict[str, Any]:
    made = {}
    for event in events:
        made = program.made_one("eventcallbackurl", {"Url": server.url(f"/{event}"), "EventType": event, **more})
    return made


def test_every_event_as_the_dialect_tells_it(program: Program, server: Server) -> None:
    listen(program, server, *endpoints.DIALECT)
    sent, lost, kept, spam = send(
        program, "luc@lecteurs.example", "a@lecteurs.example", "b@lecteurs.example", "c@lecteurs.example",
        CustomID="commande 17", EventPayload='{"n": 17}', CustomCampaign="soldes",
    )  # fmt: skip
    ends(sent)
    ends(lost, "bounced", "unknown_user", 550, "5.1.1 No such user")
    ends(kept, "suppressed", "complaint", None, "")
    ends(spam)
    of = {
        no: (sending, contact)
        for sending, no, contact in db.rows(
            "SELECT sending_id, no, contact_id FROM outbound_send WHERE message_id IS NOT NULL"
        )
    }
    record(
        [
            NewEvent(
                program.workspace.pk, Kind.COMPLAINED, of[spam][1], of[spam][0], facts={"by": "report", "no": spam}
            ),
            NewEvent(program.workspace.pk, Kind.UNSUBSCRIBED, of[sent][1], facts={"scope": "all", "via": "page"}),
            NewEvent(
                program.workspace.pk,
                Kind.BOUNCED,
                of[spam][1],
                of[spam][0],
                facts={"late": True, "no": spam, "class": "mailbox_full", "reply": "4.2.2 full"},
            ),  # fmt: skip
        ]
    )
    assert runner.run_due() == 7
    found: dict[str, list[Any]] = {}
    for path, _, said in server.calls:
        assert path == f"/{said['event']}"
        found.setdefault(said["event"], []).append(said)
    uuid = payloads.message_uuid(program.workspace.pk, sent)
    first = next(one for one in found["sent"] if one["MessageID"] == sent)
    (soldes,) = program.rows("campaign")
    assert first == {
        "event": "sent", "time": first["time"], "MessageID": sent, "Message_GUID": uuid, "email": "luc@lecteurs.example",
        "mj_campaign_id": soldes["ID"], "mj_contact_id": of[sent][1], "customcampaign": "soldes", "CustomID": "commande 17",
        "Payload": '{"n": 17}', "mj_message_id": str(sent), "smtp_reply": "sent (250 2.0.0 OK)",
    }  # fmt: skip
    assert abs(first["time"] - datetime.now(UTC).timestamp()) < 600
    hard, soft = sorted(found["bounce"], key=lambda one: one["MessageID"])
    told = ("blocked", "hard_bounce", "error_related_to", "error", "comment")
    assert [hard[name] for name in told] == [False, True, "recipient", "user unknown", "550 5.1.1 No such user"]
    assert [soft[name] for name in told] == [False, False, "recipient", "quota exceeded", "4.2.2 full"]
    (blocked,) = found["blocked"]
    assert (blocked["error_related_to"], blocked["error"]) == ("recipient", "spam reporter") or blocked[
        "error"
    ] == "preblocked"
    assert found["spam"][0]["source"] == "report" and found["spam"][0]["MessageID"] == spam
    left = found["unsub"][0]
    assert (left["email"], left["mj_list_id"], left["ip"], left["MessageID"]) == ("luc@lecteurs.example", 0, "", 0)

    heard = MailjetTrackingWebhookView()
    types = {name: heard.esp_to_anymail_event(one[0]).event_type for name, one in found.items()}
    assert types == {
        "sent": "delivered",
        "bounce": "bounced",
        "blocked": "rejected",
        "spam": "complained",
        "unsub": "unsubscribed",
    }
    event = heard.esp_to_anymail_event(first)
    assert (event.message_id, event.tags, event.metadata) == (str(sent), ["soldes"], {"n": 17})


def campaign(workspace: Any, email: str) -> tuple[int, int]:
    """Somebody who got a campaign."""
    contact = db.value(
        "INSERT INTO contacts_contact (workspace_id, email, email_key) VALUES (%s, %s, %s) RETURNING id",
        [workspace.pk, email, email],
    )
    sending = Sending.objects.create(workspace=workspace, kind="campaign", campaign_id=5, state="sent")
    db.execute(
        "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk) VALUES (%s, %s, %s, %s, 'x', 1)",
        [sending.pk, contact, contact, email],
    )
    return sending.pk, contact


def test_who_leaves_by_a_programs_campaign_is_told_with_its_list(program: Program, server: Server) -> None:
    listen(program, server, "unsub")
    club = program.made_one("contactslist", {"Name": "Club"})["ID"]
    words = {"Locale": "fr_FR", "Sender": "Zoé", "SenderEmail": FROM["Email"], "Subject": "Automne"}
    draft = program.made_one("campaigndraft", {**words, "ContactsListID": club})["ID"]
    nobodys = draft + 1_000_000
    for campaign_id, list_id, email in ((draft, club, "luc@lecteurs.example"), (nobodys, 0, "lea@lecteurs.example")):
        sending, contact = campaign(program.workspace, email)
        Sending.objects.filter(pk=sending).update(campaign_id=campaign_id)
        record([NewEvent(program.workspace.pk, Kind.UNSUBSCRIBED, contact, sending, facts={"scope": "purpose"})])
        assert runner.run_due() == 1
        _, _, said = server.calls.pop()
        told = {name: said[name] for name in ("event", "email", "mj_list_id", "mj_campaign_id", "mj_contact_id")}
        assert told == {
            "event": "unsub", "email": email, "mj_list_id": list_id, "mj_campaign_id": campaign_id, "mj_contact_id": contact,
        }  # fmt: skip


def test_reactions_are_told_while_she_agrees_and_no_machines(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(program, server, "open", "click")
    sending, luc = campaign(program.workspace, "luc@lecteurs.example")
    level = {"now": "individual"}

    def behind(tokens: Any) -> list[Any]:
        return [payloads.measuring.Recipient(program.workspace.pk, luc, payloads.Level(level["now"]), payloads.Level(level["now"]), datetime.now(UTC)) for _ in tokens]  # fmt: skip

    monkeypatch.setattr(payloads.measuring, "behind", behind)

    def reacted(kind: Kind, who: int | None, machine: str | None = None) -> None:
        link = 1 if kind == Kind.CLICKED else None
        record([NewEvent(program.workspace.pk, kind, who, sending, link, machine)])

    reacted(Kind.OPENED, luc)
    reacted(Kind.OPENED, None)
    reacted(Kind.CLICKED, luc, "too_fast")
    assert Outbox.objects.filter(workspace_id=program.workspace.pk).count() == 1, "nobody and machines: no row at all"
    assert runner.run_due() == 0, "a reaction waits until its burst is over"
    due()
    assert runner.run_due() == 1
    (said,) = server.said()
    assert (said["event"], said["email"], said["mj_campaign_id"]) == ("open", "luc@lecteurs.example", 5)
    assert (said["ip"], said["geo"], said["agent"], said["customcampaign"]) == ("", "", "", "mj.nl=5")
    assert said["MessageID"] > 1 << 62, "a number of its own, that no single message has"

    reacted(Kind.CLICKED, luc)
    reacted(Kind.OPENED, luc)
    db.execute("UPDATE events_event SET machine = 'burst' WHERE kind = 6 AND machine IS NULL")
    level["now"] = "aggregate"
    due()
    assert runner.run_due() == 0 and server.said() == []
    states = Outbox.objects.filter(workspace_id=program.workspace.pk).order_by("id").values_list("state", flat=True)
    assert list(states) == ["told", "dropped", "dropped"]


def test_a_sender_that_is_not_ours_is_blocked_later_where_an_owner_wants_it(
    program: Program, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, route="direct"))
    listen(program, server, "blocked", "sent")
    before = states.invariants()  # of what other tests left
    stranger = {"From": {"Email": "pirate@ailleurs.example"}, "To": [{"Email": "luc@lecteurs.example"}],
                "Cc": [{"Email": "lea@lecteurs.example"}], "Subject": "x", "TextPart": "x", "CustomID": "c1",
                "Attachments": [{"ContentType": "text/plain", "Filename": "a.txt", "Base64Content": "eA=="}]}  # fmt: skip
    good = {**stranger, "From": FROM, "Cc": []}

    def call(*messages: dict[str, Any], older: bool = False, **more: Any) -> tuple[int, dict[str, Any]]:
        body = messages[0] if older else {"Messages": messages, **more}
        (answer,) = serve([Request(program.authorization, json.dumps(body).encode(), older)])
        return answer.status, json.loads(answer.body)

    def ours(query: str) -> list[tuple[Any, ...]]:
        return db.rows(f"{query} JOIN outbound_sending x ON x.id = s.sending_id AND x.workspace_id = %s",
                       [program.workspace.pk])  # fmt: skip

    legacy = {"FromEmail": "pirate@ailleurs.example", "Subject": "x", "Text-part": "x",
              "Recipients": [{"Email": "luc@lecteurs.example"}]}  # fmt: skip
    assert call(stranger)[0] == 403 and call(legacy, older=True)[0] == 403, "at once, until an owner says otherwise"
    refuse_late(program.workspace, True, Member(pk=1))
    status, told = call(stranger, AdvanceErrorHandling=True)
    assert (status, told["Messages"][0]["Errors"][0]["ErrorCode"]) == (403, "send-0008")
    status, told = call(stranger, SandboxMode=True)
    assert status == 200 and ours("SELECT s.no FROM outbound_send s") == []

    status, told = call(good, stranger)
    assert (status, [one["Status"] for one in told["Messages"]]) == (200, ["success", "success"])
    (sent,), (to, cc) = told["Messages"][0]["To"], (*told["Messages"][1]["To"], *told["Messages"][1]["Cc"])
    status, old = call(legacy, older=True)
    assert status == 200
    numbers = {to["MessageID"], cc["MessageID"], old["Sent"][0]["MessageID"]}
    ended = ours("SELECT s.no, s.state, s.cause FROM outbound_outcome s")
    assert {no for no, *_ in ended} == numbers and {row[1:] for row in ended} == {
        ("suppressed", "sender_not_validated")
    }
    open_chunks = "SELECT s.no FROM outbound_send s JOIN outbound_chunk c ON c.no = s.chunk AND NOT c.done"
    assert ours(open_chunks) == [(sent["MessageID"],)], "a courier finds what is ours and nothing else"
    assert states.invariants() == before

    runner.run_due()
    said = [one for one in server.said() if one["MessageID"] == to["MessageID"]]
    assert [(one["event"], one["error_related_to"], one["error"], one["CustomID"]) for one in said] == [
        ("blocked", "spam", "sender blocked", "c1")
    ]
    (row,) = program.rows(f"message/{to['MessageID']}")
    assert (row["Status"], row["StateID"], row["StatePermanent"], row["AttachmentCount"]) == ("blocked", 7, True, 1)
    (line,) = program.rows(f"messagehistory/{to['MessageID']}")
    assert (line["EventType"], line["State"]) == ("blocked", "sender blocked")
    (counted,) = program.rows("statcounters?CounterSource=APIKey&CounterTiming=Message&CounterResolution=Lifetime")
    assert (counted["MessageBlockedCount"], counted["MessageSentCount"]) == (3, 0)


def test_grouped_and_signed(program: Program, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    listen(program, server, "sent", Version=2)
    made, secret = endpoints.declare(
        program.workspace, server.url("/own"), form="standard", kinds=[Kind.DELIVERED, Kind.BOUNCED]
    )
    for no in send(program, "luc@lecteurs.example", "zoe@lecteurs.example"):
        ends(no)
    assert runner.run_due() == 4
    grouped = [said for path, _, said in server.calls if path == "/sent"]
    assert [[one["email"] for one in said] for said in grouped] == [["luc@lecteurs.example", "zoe@lecteurs.example"]]
    own = sorted((c for c in server.calls if c[0] == "/own"), key=lambda c: c[2]["data"]["email"])
    assert [said["type"] for _, _, said in own] == ["message.delivered"] * 2
    path, head, said = own[0]
    assert said["data"]["email"] == "luc@lecteurs.example" and said["data"]["code"] == 250
    body = json.dumps(said, ensure_ascii=False).encode()
    signed = payloads.signature(secret, head["webhook-id"], int(head["webhook-timestamp"]), body)
    assert head["webhook-signature"] == signed and signed.startswith("v1,")
    row = Outbox.objects.filter(endpoint=made).order_by("id").first()
    assert row is not None and head["webhook-id"] == f"evt_{row.pk}"
    # Renewed: for a day both secrets sign, then the new one alone.
    renewed = endpoints.renew(made, actor="member", actor_id=None)
    assert renewed != secret and endpoints.signing(made)[0] == [renewed, secret]
    both = payloads.headers(made, endpoints.signing(made)[0], "", "evt_1", b"{}")
    at = int(both["webhook-timestamp"])
    assert both["webhook-signature"].split(" ") == [
        payloads.signature(one, "evt_1", at, b"{}") for one in (renewed, secret)
    ]
    monkeypatch.setattr(endpoints, "BOTH_SIGN", timedelta(0))
    again = endpoints.renew(made, actor="member", actor_id=None)
    made.refresh_from_db()
    assert endpoints.signing(made) == ([again], None)
    # The example of the specification (Standard Webhooks 1.0.0).
    assert payloads.signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}') == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="  # fmt: skip


def test_of_one_person_things_are_told_in_order_and_tried_again(program: Program, server: Server) -> None:
    listen(program, server, "sent", "bounce")
    made, _ = endpoints.declare(
        program.workspace, server.url("/own"), form="standard", kinds=[Kind.DEFERRED, Kind.DELIVERED]
    )
    Endpoint.objects.filter(event__in=("sent", "bounce")).delete()
    (luc,) = send(program, "luc@lecteurs.example")
    sending, contact = db.rows(
        "SELECT sending_id, contact_id FROM outbound_send WHERE no = %s AND message_id IS NOT NULL", [luc]
    )[0]
    record([NewEvent(program.workspace.pk, Kind.DEFERRED, contact, sending, facts={"no": luc, "cause": "greylisted"})])
    ends(luc)
    (zoe,) = send(program, "zoe@lecteurs.example")
    ends(zoe)
    server.answer = lambda said: 500 if said["type"] == "message.deferred" else 200
    assert runner.run_due() == 1
    told = [(one["type"], one["data"]["email"]) for one in server.said()]
    assert sorted(told) == [("message.deferred", "luc@lecteurs.example"), ("message.delivered", "zoe@lecteurs.example")]
    first = Outbox.objects.get(endpoint=made, kind=Kind.DEFERRED)
    assert (first.state, first.attempts, first.status, first.said) == ("waiting", 1, 500, "OK")
    assert first.due > datetime.now(UTC) + timedelta(seconds=20)
    assert runner.run_due() == 0 and server.said() == [], "what comes after waits for it"
    server.answer = lambda said: 204
    due()
    assert runner.run_due() == 2
    assert [one["type"] for one in server.said()] == ["message.deferred", "message.delivered"]

    assert outbox.again(made, first.pk) == 1 and runner.run_due() == 1
    assert [one["type"] for one in server.said()] == ["message.deferred"], "and told again when asked"


def test_a_program_that_is_down_rests_then_is_dead_and_its_second_takes_over(program: Program, server: Server) -> None:
    first = listen(program, server, "sent")
    spare = program.made_one("eventcallbackurl", {"Url": server.url("/spare"), "EventType": "sent", "isBackup": "true"})
    one, other, third = send(program, "luc@lecteurs.example", "zoe@lecteurs.example", "eve@lecteurs.example")
    ends(one)
    server.answer = lambda said: 302
    assert runner.run_due() == 0 and len(server.said()) == 1, "a redirect is not followed"
    endpoint = Endpoint.objects.get(pk=first["ID"])
    assert endpoint.failures == 1 and endpoint.due > datetime.now(UTC) and endpoint.said == "HTTP 302 OK"
    db.execute("UPDATE events_endpoint SET failing_at = now() - interval '25 hours' WHERE id = %s", [endpoint.pk])
    due()
    assert runner.run_due() == 0
    assert program.rows("eventcallbackurl/sent|false")[0]["Status"] == "dead"
    assert Outbox.objects.get(endpoint=endpoint).state == "given_up"
    server.calls.clear()
    server.answer = lambda said: 200
    ends(other)
    assert runner.run_due() == 1 and server.calls[0][0] == "/spare"
    assert program("PUT", f"eventcallbackurl/{first['ID']}", {"Status": "alive"})[1]["Data"][0]["Status"] == "alive"
    server.calls.clear()
    ends(third)
    assert outbox.again(Endpoint.objects.get(pk=first["ID"])) == 1
    assert runner.run_due() == 2 and {path for path, _, _ in server.calls} == {"/sent"}, "the spare is silent again"
    assert program("DELETE", f"eventcallbackurl/{spare['ID']}")[0] == 204


def test_a_day_of_tries_is_the_end(program: Program, server: Server) -> None:
    listen(program, server, "sent")
    (no,) = send(program, "luc@lecteurs.example")
    ends(no)
    db.execute("UPDATE events_outbox SET queued_at = now() - interval '23 hours 59 minutes 50 seconds'")
    server.answer = lambda said: 503
    assert runner.run_due() == 0
    row = Outbox.objects.get(workspace_id=program.workspace.pk)
    assert (row.state, row.status) == ("given_up", 503)
    assert outbox.keep_house(datetime.now(UTC) + timedelta(days=8)) >= 1


def test_the_resource(program: Program, server: Server) -> None:
    url = server.url().replace("http://", "http://luc:s%40cret@")
    made = program.made_one("eventcallbackurl", {"url": url, "isBackup": "false", "Status": "alive"})
    assert made == {
        "APIKeyID": program.key.pk, "EventType": "open", "ID": made["ID"], "IsBackup": False, "Status": "alive",
        "Url": url, "Version": 1,
    }  # fmt: skip
    status, told = program("POST", "eventcallbackurl", {"Url": url})
    assert status == 400 and told["ErrorMessage"].startswith('MJ18 A EventCallbackUrl resource with value "open|false"')
    assert program("POST", "eventcallbackurl", {"Url": url, "EventType": "opened"})[0] == 400
    assert program("POST", "eventcallbackurl", {})[1]["ErrorMessage"] == "MJ08 Property Url is invalid: MJ03 A non-empty value is required"  # fmt: skip
    for query, many in (("EventType=6", 1), ("eventtype=open", 1), ("EventType=sent", 0), ("Version=2", 0), ("Backup=true", 0), ("Status=dead", 0)):  # fmt: skip
        assert len(program.rows(f"eventcallbackurl?{query}")) == many, query
    status, told = program("PUT", "eventcallbackurl/open|false", {"Version": 2, "EventType": "open"})
    assert status == 200 and told["Data"][0]["Version"] == 2
    assert program("PUT", f"eventcallbackurl/{made['ID']}", {"Version": 2})[0] == 304
    status, told = program("POST", f"eventcallbackurl/{made['ID']}/test")
    assert status == 201 and told["Data"] == [{"ResponseCode": 200, "ResponseBody": "OK"}]
    ((_, head, said),) = server.calls
    assert said[0]["event"] == "open" and said[0]["email"] == "test@example.org"
    assert base64.b64decode(head["authorization"].partition(" ")[2]) == b"luc:s@cret"
    stranger = Program(create_workspace(f"x{program.workspace.pk}"))
    assert stranger("GET", f"eventcallbackurl/{made['ID']}")[0] == 404
    assert stranger("DELETE", f"eventcallbackurl/{made['ID']}")[0] == 404
    assert program("DELETE", f"eventcallbackurl/{made['ID']}")[0] == 204
    assert program("GET", f"eventcallbackurl/{made['ID']}")[0] == 404


@pytest.mark.parametrize(
    "url",
    ["http://programs.example/x", "ftp://programs.example/", "https://programs.example:22/", "https://", "nonsense"],
)
def test_where_nothing_is_sent_to(program: Program, url: str) -> None:
    status, told = program("POST", "eventcallbackurl", {"Url": url})
    assert status == 400 and told["ErrorMessage"].startswith("MJ08 Property Url is invalid:"), told


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"])
def test_names_that_lead_into_our_own_network(address: str) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.215.14", address]

    with pytest.raises(NotFetched, match="not public"):
        Poster(resolve=resolve).post("https://programs.example/x", b"{}", {})
    assert asked == ["programs.example"], "looked up once: a second answer could be another"


def test_a_red_transfer_bars_the_way(program: Program, server: Server) -> None:
    Processor.objects.create(
        workspace=program.workspace, name="Autre", kind="webhook", role="processor", country="US",
        host="programs.example", tool="privacy_shield",
    )  # fmt: skip
    status, told = program("POST", "eventcallbackurl", {"Url": "https://in.programs.example/x"})
    assert status == 400 and "invalid since" in told["ErrorMessage"]
    listen(program, server, "sent")
    (no,) = send(program, "luc@lecteurs.example")
    ends(no)
    Endpoint.objects.filter(workspace=program.workspace).update(url="https://in.programs.example/x")
    assert transfers.may_lead_to(program.workspace, "webhook", "in.programs.example").colour == "red"
    assert runner.run_due(poster=Poster(resolve=lambda host, port: pytest.fail("it was asked for"))) == 0
    assert Outbox.objects.get(workspace_id=program.workspace.pk).state == "waiting"


def test_erasure_empties_the_outbox(program: Program, server: Server) -> None:
    listen(program, server, "sent")
    for no in send(program, "luc@lecteurs.example", "zoe@lecteurs.example"):
        ends(no)
    luc = db.value("SELECT id FROM contacts_contact WHERE email = 'luc@lecteurs.example' AND workspace_id = %s", [program.workspace.pk])  # fmt: skip
    told = registry.export_person(program.workspace.pk, luc)["rooms"]["events"]["told_to_programs"]
    assert [(one["kind"], one["state"]) for one in told] == [("delivered", "waiting")]
    registry.erase_person(program.workspace.pk, luc, "luc@lecteurs.example", cause="test")
    assert runner.run_due() == 1
    assert [one["email"] for one in server.said()] == ["zoe@lecteurs.example"]


def test_without_anybody_who_listens_nothing_is_written(program: Program) -> None:
    (no,) = send(program, "luc@lecteurs.example")
    ends(no)
    assert not Outbox.objects.filter(workspace_id=program.workspace.pk).exists()
