"""Who hands in a message hears what became of it (RFC 3461, RFC 3464): noted with the outcome, told by mail."""

from __future__ import annotations

import asyncio
import email
import email.policy
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from envol import db
from envol.accounts.models import ApiKey
from envol.accounts.workspaces import create_api_key
from envol.edge.courier import Courier
from envol.outbound import domains, lease, notices, privacy, relay, returned, states
from envol.outbound.route import Route
from envol.wire.bounce import explain
from envol.wire.smtp.notify import Asked, Wish
from envol.wire.smtp.server import Envelope
from tests.edge.sink import Sink, Talk
from tests.edge.test_courier import until
from tests.wire.test_bounce import block, dsn

pytestmark = pytest.mark.usefixtures("empty_database")

RAW = (
    b"From: =?utf-8?Q?Zo=C3=A9?= <zoe@boutique.example>\r\nTo: luc@poste.example\r\nSubject: Votre commande\r\n"
    b"Message-ID: <17@boutique.example>\r\n\r\nElle est partie.\r\n"
)
ZOE = "returns@boutique.example"


@pytest.fixture
def account(workspace: Any) -> relay.Account:
    domains.add(workspace, "boutique.example", trusted=True)
    key = create_api_key(workspace, "la boutique")
    return relay.Account(ApiKey.objects.get(public_id=key.key).pk, workspace.pk)


def hand_in(
    account: relay.Account, to: dict[str, Wish], asked: Asked = Asked(), sender: str = ZOE, raw: bytes = RAW
) -> int:
    envelope = Envelope(sender, tuple(to), "shop", True, asked=asked, wishes=tuple(to.values()))
    number = relay.keep([relay.outgoing(account, envelope, raw, b"Received: by us;\r\n now\r\n")])[0]
    assert isinstance(number, int)
    return number


def deliver(script: Any = None, ready: Any = None, most: float = 20) -> Sink:
    """One courier to one sink until nothing waits, or `ready` says so; the sink, with what it took."""
    found: list[Sink] = []

    def finished() -> bool:
        notices.take()
        if ready is not None:
            return bool(ready())
        waits = "SELECT count(*) FROM outbound_send s WHERE NOT EXISTS (SELECT FROM outbound_outcome o"
        return not db.value(f"{waits} WHERE o.sending_id = s.sending_id AND o.no = s.no)") and not db.value(
            "SELECT count(*) FROM outbound_notice WHERE taken_at IS NULL AND due <= now()"
        )

    async def work() -> None:
        async with Sink(script) as sink:
            found.append(sink)
            route = Route("smart_host", relay=("127.0.0.1", sink.port), helo="out.boutique.example")
            courier = Courier("dsn", route, base_url="http://localhost:8025")
            task = asyncio.create_task(courier.run())
            try:
                await until(finished, most)
            finally:
                courier.stop()
                await task

    asyncio.run(work())
    connection.close()
    return found[0]


def refuses(*who: str, reply: str = "550 5.1.1 <{}>: no such user") -> Any:
    def script(talk: Talk, verb: str) -> str | None:
        return reply.format(talk.recipient) if verb == "RCPT" and talk.recipient in who else None

    return script


def reports(sink: Sink) -> list[bytes]:
    return [data for to, data in sink.accepted if to == ZOE]


def parts_of(raw: bytes) -> tuple[Any, Any, Any, Any]:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "delivery-status"
    words, status, original = message.iter_parts()  # type: ignore[attr-defined]
    assert raw.isascii()
    return message, words, status, original


def test_a_failure_is_told_once_with_what_the_host_said(account: relay.Account) -> None:
    hand_in(account, {"luc@poste.example": Wish(), "lea@poste.example": Wish()})
    sink = deliver(refuses("luc@poste.example"))
    [raw] = reports(sink)
    message, words, status, original = parts_of(raw)
    assert "MAIL FROM:<>" in "\n".join(sink.commands) and message["Auto-Submitted"] == "auto-replied"
    assert message["From"].addresses[0].addr_spec == "postmaster@boutique.example" and b"DKIM-Signature" in raw
    assert message["In-Reply-To"] == "<17@boutique.example>"
    assert "luc@poste.example" in words.get_content() and "lea@poste.example" not in words.get_content()
    group = status.get_payload()[1]
    assert (group["Action"], group["Status"], group["Final-Recipient"]) == (
        "failed",
        "5.1.1",
        "rfc822; luc@poste.example",
    )
    assert group["Diagnostic-Code"] == "smtp; 550 5.1.1 <luc@poste.example>: no such user"
    assert original.get_content_type() == "text/rfc822-headers" and "Elle est partie" not in original.get_payload()
    read = explain(raw)
    assert read.type == "bounce" and [(r.recipient, r.kind, r.hard) for r in read.recipients] == [
        ("luc@poste.example", "user_unknown", True)
    ]
    assert states.invariants() == []


def test_what_was_asked_decides(account: relay.Account) -> None:
    wishes = {
        "never@poste.example": Wish("NEVER"),
        "only-success@poste.example": Wish("SUCCESS"),
        "failed@poste.example": Wish("FAILURE", "rfc822;Failed+2Bx@poste.example"),
        "fine@poste.example": Wish("SUCCESS,FAILURE"),
        "fine-too@poste.example": Wish("FAILURE"),
    }
    hand_in(account, wishes, Asked("FULL", "QQ+2B314"))
    sink = deliver(refuses("never@poste.example", "only-success@poste.example", "failed@poste.example"))
    found = {parts_of(raw)[2].get_payload()[1]["Action"]: parts_of(raw) for raw in reports(sink)}
    assert set(found) == {"failed", "relayed"} and len(reports(sink)) == 2
    _, _, status, original = found["failed"]
    assert status.get_payload()[0]["Original-Envelope-Id"] == "QQ+314"
    assert status.get_payload()[1]["Original-Recipient"] == "rfc822; Failed+x@poste.example"
    assert original.get_content_type() == "message/rfc822" and "Elle est partie" in original.as_string(), "RET=FULL"
    _, _, status, original = found["relayed"]
    assert status.get_payload()[1]["Final-Recipient"] == "rfc822; fine@poste.example"
    assert original.get_content_type() == "text/rfc822-headers", "only failures give the message back"
    assert explain(reports(sink)[0]).type in ("bounce", "delivered")


@pytest.mark.parametrize("sender", ["", ZOE])
def test_reports_go_in_no_circle(account: relay.Account, sender: str) -> None:
    hand_in(account, {"luc@poste.example": Wish("SUCCESS,FAILURE,DELAY")}, sender=sender)
    sink = deliver(refuses("luc@poste.example", ZOE))
    assert sink.accepted == [] and sum(line == "MAIL FROM:<>" for line in sink.commands) == (1 if sender else 0)
    assert db.value("SELECT count(*) FROM outbound_notice") == (1 if sender else 0)


def test_a_delay_is_told_after_four_hours_and_only_while_it_lasts(account: relay.Account) -> None:
    hand_in(account, {"luc@poste.example": Wish("DELAY"), "lea@poste.example": Wish("DELAY")})

    def later(talk: Talk, verb: str) -> str | None:
        return "451 4.7.1 greylisted" if verb == "RCPT" and talk.recipient.endswith("poste.example") else None

    deliver(later, lambda: db.value("SELECT count(*) FROM outbound_notice") == 2)
    assert db.value("SELECT min(due) > now() + interval '3 hours 59 minutes' FROM outbound_notice")
    assert notices.take() == 0
    db.execute("UPDATE outbound_notice SET due = now(), at = at - interval '4 hours'")
    db.execute("DELETE FROM outbound_retry WHERE no = (SELECT max(no) FROM outbound_retry)")  # one has arrived
    sink = deliver(None, lambda: db.value("SELECT count(*) FROM outbound_outcome"))
    [raw] = reports(sink)
    message, _, status, _ = parts_of(raw)
    group = status.get_payload()[1]
    assert (group["Action"], group["Status"]) == ("delayed", "4.7.1") and group["Will-Retry-Until"]
    assert explain(raw).type == "delayed" and len(status.get_payload()) == 2


def offering(talk: Talk, verb: str) -> str | None:
    return "250-sink.example\r\n250-PIPELINING\r\n250 DSN" if verb == "EHLO" else None


def test_a_host_that_offers_dsn_is_asked_and_answers_through_us(
    account: relay.Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where what it says comes home: then our signed reverse-path carries it back, and we tell it on."""
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, inbound="127.0.0.1:25"))
    hand_in(account, {"luc@poste.example": Wish("SUCCESS", "rfc822;luc@poste.example")}, Asked("HDRS", "x+2By"))
    sink = deliver(offering)
    [mail] = [line for line in sink.commands if line.startswith("MAIL")]
    assert mail.endswith("RET=HDRS ENVID=x+2By")
    assert "RCPT TO:<luc@poste.example> NOTIFY=SUCCESS ORCPT=rfc822;luc@poste.example" in sink.commands
    assert reports(sink) == [], "the next host will say so"
    home = mail[mail.index("<") + 1 : mail.index(">")]
    said = dsn(block("luc@poste.example", "delivered", "2.1.5")).replace("\n", "\r\n").encode()
    assert returned.take([returned.Returned(home, said)] * 2) == ["delivered"] * 2
    [raw] = reports(deliver())
    assert parts_of(raw)[2].get_payload()[1]["Action"] == "delivered"


def test_without_a_way_home_the_next_host_is_told_nothing(account: relay.Account) -> None:
    hand_in(account, {"luc@poste.example": Wish("SUCCESS")}, Asked("HDRS", "x"))
    sink = deliver(offering)
    assert "RCPT TO:<luc@poste.example>" in sink.commands
    assert parts_of(reports(sink)[0])[2].get_payload()[1]["Action"] == "relayed"


def test_a_bounce_that_comes_later_is_told_too(account: relay.Account) -> None:
    hand_in(account, {"luc@poste.example": Wish()})
    sink = deliver()
    [mail] = [line for line in sink.commands if line.startswith("MAIL")]
    home = mail[mail.index("<") + 1 : mail.index(">")]
    said = dsn(block("luc@poste.example", "failed", "5.1.1", "550 5.1.1 <luc@poste.example>: unknown")).encode()
    returned.take([returned.Returned(home, said)])
    [raw] = reports(deliver())
    assert explain(raw).type == "bounce" and "luc@poste.example" in explain(raw).recipients[0].recipient


def test_a_header_beyond_ascii_or_too_large_is_cut_and_never_breaks_the_report(account: relay.Account) -> None:
    wild = RAW.replace(
        b"Subject: Votre commande", "Subject: Été\r\nX-Long: ".encode() + b"\r\n ".join([b"y" * 900] * 60)
    )
    hand_in(account, {"luc@poste.example": Wish()}, Asked("FULL", ""), raw=wild)
    [raw] = reports(deliver(refuses("luc@poste.example", reply="550 5.1.1 \x07très\tloin " + "z" * 400)))
    assert all(len(line) <= 998 for line in raw.split(b"\r\n")) and explain(raw).type == "bounce"


def test_erasing_a_person_takes_the_reports_on_her_too(workspace: Any, account: relay.Account) -> None:
    db.execute("INSERT INTO contacts_contact (workspace_id, email, email_key) VALUES (%s, 'luc@poste.example',"
               " 'luc@poste.example')", [workspace.pk])  # fmt: skip
    hand_in(account, {"luc@poste.example": Wish()})
    deliver(refuses("luc@poste.example"))
    holds = "SELECT count(*) FROM outbound_message WHERE position('luc@poste.example' in encode(raw, 'escape')) > 0"
    assert db.value(holds) == 2
    privacy.erase(workspace.pk, db.value("SELECT id FROM contacts_contact"))
    assert db.value(holds) == 0 and db.value("SELECT count(*) FROM outbound_notice") == 0
    assert lease.sweep() == 0
