"""What people write to the inbound MX: they leave by mail, they answer, they ask the postmaster."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.consent import acts, purposes
from envol.content import links
from envol.events.models import Kind
from envol.outbound import accept, domains, lease, mailbox, making
from envol.outbound.models import Captured, Domain, Message
from tests.edge.test_inbound import Running, events, report, suppressed
from tests.outbound.helpers import people, sending

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def inbound() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def domain(workspace: Any) -> Domain:
    return domains.add(workspace, "boutique.example", trusted=True)


@pytest.fixture
def reader(workspace: Any, domain: Domain) -> tuple[int, int, str]:
    """(sending, number, address) of somebody who got the newsletter."""
    ((no, address),) = people(workspace, 1)
    newsletter = purposes.get(workspace, "newsletter")
    proof = acts.evidence(workspace, "document", "carnet", document=b"signed")
    acts.grant(workspace.pk, no, address, newsletter, proof_of=proof)
    row = sending(workspace)
    accept.expand_batch(row, [(no, address)])
    return row.pk, no, address


def leaves_at(reader: tuple[int, int, str]) -> str:
    return links.unsubscribe_address(links.unsubscribe_token(*reader[:2]), "bounces.boutique.example")


def allowed(no: int) -> bool:
    return bool(db.value("SELECT allowed <> 0 FROM contacts_contact WHERE id = %s", [no]))


LEAVE = "From: {0}\nTo: x\nSubject: unsubscribe\n\n"


def test_a_mail_to_its_address_unsubscribes_once(inbound: Running, reader: tuple[int, int, str]) -> None:
    assert allowed(reader[1])
    for _ in range(2):
        assert inbound.send(leaves_at(reader).upper(), LEAVE.format("autre@ailleurs.example"), reader[2])[0] == 250
    assert not allowed(reader[1]), "her answer is in the gate's mask at once"
    assert [facts["via"] for facts in events(Kind.UNSUBSCRIBED)] == ["mail"], "asked twice, it is recorded once"


@pytest.mark.parametrize(
    "raw",
    [
        "From: {0}\nAuto-Submitted: auto-replied\nSubject: Absence\n\nJe suis absent.\n",
        "From: {0}\nSubject: Réponse automatique : unsubscribe\n\nAbsent\n",
    ],
)
def test_a_machine_that_answers_does_not_leave(inbound: Running, reader: tuple[int, int, str], raw: str) -> None:
    assert inbound.send(leaves_at(reader), raw.format(reader[2]), reader[2])[0] == 250
    assert allowed(reader[1]) and events(Kind.UNSUBSCRIBED) == []


def test_a_forged_address_is_refused_at_the_door(inbound: Running, reader: tuple[int, int, str]) -> None:
    good = leaves_at(reader)
    forged = good[:10] + ("0" if good[10] != "0" else "1") + good[11:]
    bounce = links.return_path(*reader[:2], "bounces.boutique.example")
    assert inbound.send(forged, LEAVE)[0] == 550
    assert inbound.send("u" + bounce[1:], LEAVE)[0] == 550, "the address of bounces is no address of leaving"
    assert allowed(reader[1])


def reply(reader: tuple[int, int, str], **more: str) -> str:
    answered = links.message_id(*reader[:2], "boutique.example")
    lines = {
        "From": f"Luc Petit <{reader[2]}>",
        "Subject": "Re: Lettre d'automne",
        "In-Reply-To": f"<{answered}>",
        "Content-Type": "text/plain; charset=utf-8",
        **more,
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\nMerci, je passerai samedi.\n"


HOME = "replies@bounces.boutique.example"


def test_a_reply_is_kept_and_passed_on_in_our_name(
    inbound: Running, workspace: Any, domain: Domain, reader: tuple[int, int, str]
) -> None:
    assert inbound.send(HOME, reply(reader), reader[2])[0] == 550, "nobody said where replies go on to"
    domains.pass_replies_on(domain, "zoe@equipe.example")
    assert inbound.send(HOME, reply(reader, Bcc="x@y.example", Received="from secret"), reader[2])[0] == 250
    kept = Captured.objects.get()
    assert (kept.kind, kept.contact_id, kept.sending_id) == ("reply", reader[1], reader[0])
    assert kept.forwarded_at is not None
    told = "SELECT contact_id, sending_id FROM events_event WHERE kind = %s"
    assert db.rows(told, [int(Kind.REPLIED)]) == [(reader[1], reader[0])]
    passed = bytes(Message.objects.get().raw).decode()
    head, _, body = passed.partition("\r\n\r\n")
    assert "<replies@boutique.example>" in head and f"Reply-To: Luc Petit <{reader[2]}>" in head
    assert "secret" not in head and "y.example" not in head, "only what says how to read it goes on"
    assert body == "Merci, je passerai samedi.\r\n"
    ((to,),) = db.rows("SELECT address FROM outbound_send WHERE message_id IS NOT NULL")
    assert to == "zoe@equipe.example"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"Auto-Submitted": "auto-replied"}, "absent"),
        ({"Subject": "Absence du bureau"}, "absent, by its subject"),
        ({"X-Loop": HOME}, "a loop"),
    ],
)
def test_machines_and_loops_go_no_further(
    inbound: Running, domain: Domain, reader: tuple[int, int, str], more: dict[str, str], kind: str
) -> None:
    domains.pass_replies_on(domain, "zoe@equipe.example")
    assert inbound.send(HOME, reply(reader, **more), reader[2])[0] == 250
    assert not Captured.objects.exists() and not Message.objects.exists(), kind


def test_a_flood_of_replies_fills_nobodys_mailbox(
    inbound: Running, domain: Domain, reader: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "FORWARDS_AN_HOUR", 2)
    domains.pass_replies_on(domain, "zoe@equipe.example")
    for _ in range(4):
        inbound.send(HOME, reply(reader), reader[2])
    assert Captured.objects.count() == 4 and Message.objects.count() == 2


def test_what_is_kept_is_bounded(workspace: Any, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "KEPT_NUMBER", 2)
    for n in range(4):
        mailbox.keep(domain, "postmaster@boutique.example", f"Subject: {n}\r\n\r\nx".encode(), "people")
    Captured.objects.create(workspace_id=workspace.pk, envelope_to=[], raw=b"x")
    Captured.objects.update(received_at=Captured.objects.latest("id").received_at)
    assert mailbox.forget_old() == 2
    assert sorted(Captured.objects.values_list("subject", flat=True)) == ["", "2", "3"], "the newest, and no capture"
    db.execute("UPDATE outbound_captured SET received_at = now() - interval '91 days'")
    assert mailbox.forget_old() == 2


def test_campaigns_name_the_addresses_that_the_inbound_takes(
    workspace: Any, domain: Domain, reader: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.content import templates
    from envol.content.compose import Composer, Person
    from envol.outbound import returned

    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, inbound="127.0.0.1:0"))
    Domain.objects.filter(pk=domain.pk).update(returns_at=datetime.now(UTC))
    domain.refresh_from_db()
    domains.pass_replies_on(domain, "zoe@equipe.example")
    version = templates.save(workspace, "x", "html", "<p>Bonjour</p>", "Bonjour")
    row = sending(workspace)
    home = domains.return_domain(workspace.pk, "lettre@boutique.example")
    composer = Composer(
        row,
        version,
        workspace,
        {"name": "x", "address": "lettre@boutique.example"},
        (),
        "https://envol.example",
        bounce_domain=home,
        replies=domains.replies_address(workspace.pk, "lettre@boutique.example"),
    )
    made = composer.compose(Person(no=reader[1], contact_id=reader[1], address=reader[2], language="fr", props={}))
    head = made.data.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").decode()
    leave = head.partition("<mailto:")[2].partition("?")[0]
    assert made.envelope_from.endswith("@bounces.boutique.example")
    assert "?subject=unsubscribe>" in head and f"Reply-To: {HOME}" in head
    complaints = head.partition("CFBL-Address: ")[2].partition("\r\n")[0]
    assert complaints == "fbl@bounces.boutique.example; report=arf", "RFC 9477, of a domain below the author's"
    for address in (leave, made.envelope_from, HOME, complaints.partition(";")[0]):
        assert returned.is_ours(address), address


def test_a_complaint_comes_to_where_the_message_says(
    inbound: Running, workspace: Any, domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 9477: the message of a program names the address and its own copy, signed; the report need not tell more."""
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, inbound="127.0.0.1:0"))
    Domain.objects.filter(pk=domain.pk).update(returns_at=datetime.now(UTC))
    domains._forget()
    luc = "luc@poste.example"
    raw = b"From: zoe@boutique.example\r\nTo: luc@poste.example\r\nMessage-ID: <1@programme.example>\r\n\r\nx\r\n"
    accept.accept_messages([accept.Outgoing(workspace.pk, ("", "zoe@boutique.example"), [("", luc)], raw=raw)])
    (held,) = lease.lease("test", 10, seconds=60)
    makers, problems = making.Makers("https://envol.example").prepare([held])
    (row,) = held.rows
    data = makers[row.key](row).data
    seen = email.message_from_bytes(data)
    assert not problems and seen["Message-ID"] == "<1@programme.example>"
    signed = re.sub(r"\s", "", seen["DKIM-Signature"]).lower()
    assert {"cfbl-address", "cfbl-feedback-id"} <= set(signed.partition(";h=")[2].partition(";")[0].split(":"))
    to = seen["CFBL-Address"].partition(";")[0]
    told = f"Message-ID: <1@programme.example>\nCFBL-Feedback-ID: {seen['CFBL-Feedback-ID']}"
    assert inbound.send(to, report("abuse", told), "feedback@poste.example")[0] == 250
    assert suppressed(workspace, luc) == "marketing complaint" and len(events(Kind.COMPLAINED)) == 1
    own = raw.replace(b"From:", b"CFBL-Address: plaintes@boutique.example; report=arf\r\nFrom:")
    accept.accept_messages(
        [accept.Outgoing(workspace.pk, ("", "zoe@boutique.example"), [("", "b@c.example")], raw=own)]
    )
    (held,) = lease.lease("test", 10, seconds=60)
    makers, _ = making.Makers("https://envol.example").prepare([held])
    data = makers[held.rows[0].key](held.rows[0]).data
    assert data.count(b"CFBL-Address: plaintes@") == 1 and b"CFBL-Feedback-ID" not in data, (
        "who says it herself is heard"
    )
