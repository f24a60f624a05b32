"""Single messages whose program asked for it are measured as far as each recipient allows: from the call to the words
of the webhook, with the bytes that a courier sends and real HTTP."""

from __future__ import annotations

import email
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member, measure_singles
from envol.api.accepting import Request, serve
from envol.api.hooks import payloads
from envol.consent import ledger, purposes
from envol.content import links
from envol.edge.http_hits import PIXEL
from envol.events import outbox
from envol.events.models import Endpoint, Kind, Outbox
from envol.outbound import domains, lease, relay
from envol.outbound.making import Makers
from envol.wire.smtp.notify import NO_WISH
from envol.wire.smtp.server import Envelope
from tests.api.program import Program
from tests.edge.test_http import Server

pytestmark = pytest.mark.usefixtures("empty_database")

HTML = (
    '<html><body><p class=a>Bonjour</p><A HREF="https://boutique.example/facture?n=1&amp;m=2">Facture</A>'
    "<a href='https://boutique.example/aide'>Aide</a> <a href=\"https://boutique.example/aide\">encore</a>"
    '<a href="mailto:zoe@boutique.example">écrire</a></body></html>'
)
LUC, ROSE, ANN = "luc@lecteurs.example", "rose@lecteurs.example", "ann@lecteurs.example"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def program(workspace: Workspace) -> Program:
    domains.add(workspace, "boutique.example", trusted=True)
    return Program(workspace)


def person(workspace: Workspace, address: str, **answers: str) -> int:
    """A contact, and what she said of being measured: opens="granted", clicks="refused"…"""
    contact = int(
        db.value(
            "INSERT INTO contacts_contact (workspace_id, email, email_key) VALUES (%s, %s, %s) RETURNING id",
            [workspace.id, address, address],
        )
    )
    for what, state in answers.items():
        purpose = purposes.get(workspace, f"measure_{what}")
        ledger.append(workspace.id, [ledger.Line(contact, purpose.id, state, "consent", datetime.now(UTC))])
    return contact


def send(program: Program, *to: str, **more: Any) -> list[int]:
    message = {
        "From": {"Email": "zoe@boutique.example"},
        "To": [{"Email": one} for one in to],
        "Subject": "Votre facture",
        "HTMLPart": HTML,
        **more,
    }
    (answer,) = serve([Request(program.authorization, json.dumps({"Messages": [message]}).encode())])
    assert answer.status == 200, answer.body
    return [one["MessageID"] for one in json.loads(answer.body)["Messages"][0]["To"]]


def leaving() -> dict[str, Message]:
    """Address → the message as it leaves."""
    leases = lease.lease("test", 100, seconds=900)
    makers, problems = Makers(settings.ENVOL.base_url).prepare(leases)
    assert problems == {}
    made = {row.address: makers[row.key](row).data for one in leases for row in one.rows}
    return {address: email.message_from_bytes(data.removesuffix(b".\r\n")) for address, data in made.items()}


def html_of(message: Message) -> str:
    part = next(one for one in message.walk() if one.get_content_type() == "text/html")
    return bytes(part.get_payload(decode=True)).decode().replace("\r\n", "\n").rstrip("\n")  # type: ignore[arg-type]


def hits(html: str) -> tuple[list[str], list[str]]:
    """Tokens of links and of pixels."""
    base = re.escape(settings.ENVOL.base_url)
    return re.findall(rf'href=["\']{base}/c/([^"\']+)', html, re.I), re.findall(rf'src="{base}/o/([^"]+)', html)


def delivered(no: int) -> None:
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
        " SELECT sending_id, no, 'delivered', now() - interval '1 hour', 1, 250, '2.0.0 OK' FROM outbound_send"
        " WHERE no = %s AND message_id IS NOT NULL",
        [no],
    )


def stored() -> list[tuple[Any, ...]]:
    return db.rows(
        "SELECT kind, contact_id, link, (facts ->> 'no')::bigint FROM events_event WHERE kind IN (5, 6)"
        " AND machine IS NULL ORDER BY id"
    )


def test_each_copy_is_measured_as_far_as_its_recipient_allows(program: Program, server: Server) -> None:
    luc = person(program.workspace, LUC, opens="granted", clicks="granted")
    person(program.workspace, ROSE, opens="withdrawn", clicks="withdrawn")
    Endpoint.objects.create(
        workspace=program.workspace, form="dialect", event="click", kinds=[int(Kind.OPENED), int(Kind.CLICKED)],
        url="https://programme.example/hook",
    )  # fmt: skip
    to_luc, _, to_ann = send(
        program, LUC, ROSE, ANN, TrackOpens="enabled", TrackClicks="enabled", CustomID="f-17", EventPayload="{}",
        CustomCampaign="factures",
    )  # fmt: skip
    assert to_luc != to_ann
    made = leaving()
    plain = html_of(made[ROSE])
    assert plain == HTML, "who refused gets it as it was written"
    (facture, aide, encore), (pixel,) = hits(html_of(made[LUC]))
    assert aide == encore, "an address is one link"
    assert html_of(made[LUC]).replace("</body>", "", 1).startswith('<html><body><p class=a>Bonjour</p><A HREF="http')
    assert "mailto:zoe@boutique.example" in html_of(made[LUC]), "what is no page is left alone"
    in_sum, no_pixel = hits(html_of(made[ANN]))
    assert no_pixel == [] and len(in_sum) == 3, "who said nothing: opens not at all, clicks in sum"
    assert {links.read(one).kind for one in in_sum} == {links.Kind.LETTER}  # type: ignore[union-attr]

    delivered(to_luc)
    delivered(to_ann)
    status, headers, _ = server.get(f"/c/{facture}")
    assert (status, headers["location"]) == (302, "https://boutique.example/facture?n=1&m=2")
    assert server.get(f"/c/{in_sum[1]}")[1]["location"] == "https://boutique.example/aide"
    assert server.get(f"/o/{pixel}")[2] == PIXEL
    assert stored() == [
        (Kind.CLICKED, luc, 1, to_luc),
        (Kind.CLICKED, None, 2, None),
        (Kind.OPENED, luc, None, to_luc),
    ]

    assert Outbox.objects.filter(workspace_id=program.workspace.pk).count() == 2, "nobody in particular is not told of"
    db.execute("UPDATE events_outbox SET due = now()")
    endpoint = Endpoint.objects.get(workspace=program.workspace)
    click, opened = payloads.compose(endpoint, outbox.take(endpoint, 10))
    assert click is not None and opened is not None
    assert (click["event"], click["url"]) == ("click", "https://boutique.example/facture?n=1&m=2")
    told = [
        (one["MessageID"], one["email"], one["CustomID"], one["Payload"], one["customcampaign"])
        for one in (click, opened)
    ]
    assert told == [(to_luc, LUC, "f-17", "{}", "factures")] * 2

    (row,) = program.rows(f"message/{to_luc}")
    assert (row["IsOpenTracked"], row["IsClickTracked"], row["Status"]) == (True, True, "clicked")
    assert [one["EventType"] for one in program.rows(f"messagehistory/{to_luc}")][-2:] == ["clicked", "opened"]
    (information,) = program.rows(f"messageinformation/{to_luc}")
    assert (information["ClickTrackedCount"], information["OpenTrackedCount"]) == (1, 1)
    (one,) = program.rows("clickstatistics")
    assert (one["MessageID"], one["Url"]) == (to_luc, "https://boutique.example/facture?n=1&m=2")

    purpose = purposes.get(program.workspace, "measure_clicks")
    ledger.append(program.workspace.pk, [ledger.Line(luc, purpose.id, "withdrawn", "consent", datetime.now(UTC))])
    assert server.get(f"/c/{facture}")[0] == 302
    assert len(stored()) == 3, "she took it back: the link leads on, and nothing is kept"


def test_two_messages_to_one_person_are_told_apart(program: Program, server: Server) -> None:
    person(program.workspace, LUC, clicks="granted")
    first = send(program, LUC, TrackClicks="enabled")
    (one, *_), _ = hits(html_of(leaving()[LUC]))
    second = send(program, LUC, TrackClicks="enabled", HTMLPart='<a href="https://boutique.example/suite">Suite</a>')
    (two,), _ = hits(html_of(leaving()[LUC]))
    for no in first + second:
        delivered(no)
    assert server.get(f"/c/{one}")[1]["location"] == "https://boutique.example/facture?n=1&m=2"
    assert server.get(f"/c/{two}")[1]["location"] == "https://boutique.example/suite"
    assert [row[3] for row in stored()] == first + second, "also within the two seconds in which a click counts once"
    assert program.rows(f"message/{first[0]}")[0]["Status"] == "clicked"
    assert [row["Url"] for row in program.rows("clickstatistics")] == [
        "https://boutique.example/facture?n=1&m=2",
        "https://boutique.example/suite",
    ]


def test_nothing_is_measured_that_nobody_asked_for(program: Program) -> None:
    person(program.workspace, LUC, opens="granted", clicks="granted")
    send(program, LUC)
    assert html_of(leaving()[LUC]) == HTML
    user = User.objects.create_user(f"singles{program.workspace.pk}@equipe.example", "x")
    undo = measure_singles(program.workspace, True, True, add_member(program.workspace, user, Role.OWNER))
    assert undo is not None
    send(program, LUC)
    clicks, opens = hits(html_of(leaving()[LUC]))
    assert (len(clicks), len(opens)) == (3, 1), "the workspace's own default"
    send(program, LUC, TrackOpens="disabled", TrackClicks="disabled")
    assert html_of(leaving()[LUC]) == HTML, "a program's word is stronger"
    send(program, LUC, HTMLPart=f'<a href="{settings.ENVOL.base_url}/p/x">Préférences</a>')
    assert hits(html_of(leaving()[LUC]))[0] == [], "our own pages are never counted"
    send(program, LUC, HTMLPart="", TextPart="https://boutique.example/")
    assert b"/c/" not in leaving()[LUC].as_bytes()


def submitted(program: Program, raw: bytes, *to: str) -> None:
    account = relay.sign_in(program.made.key, program.made.secret)
    assert isinstance(account, relay.Account)
    envelope = Envelope("zoe@boutique.example", to, "shop.example", True, wishes=(NO_WISH,) * len(to))
    made = relay.outgoing(account, envelope, raw.replace(b"\n", b"\r\n"), b"Received: by test\r\n")
    assert isinstance(relay.keep([made])[0], int)


BY_SMTP = b"""From: zoe@boutique.example
To: luc@lecteurs.example
Subject: Facture
MIME-Version: 1.0
%sContent-Type: multipart/mixed; boundary="b"

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=utf-8

https://boutique.example/texte  =E9
--c
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

<a href=https://boutique.example/facture>Re\xe7u</a>
--c--
--b
Content-Type: text/html; name="joint.html"
Content-Disposition: attachment

<a href="https://boutique.example/joint">joint</a>
--b--
"""


def test_by_smtp_where_the_message_asks_for_it(program: Program, server: Server) -> None:
    person(program.workspace, LUC, opens="granted", clicks="granted")
    submitted(program, BY_SMTP % b"X-Mailjet-TrackClick: 0\n", LUC)
    untouched = leaving()[LUC]
    assert b"/c/" not in untouched.as_bytes() and "X-Mailjet-TrackClick" not in untouched
    submitted(program, BY_SMTP % b"X-Mailjet-TrackOpen: 1\nX-Mailjet-TrackClick: 1\n", LUC, ANN)
    made = leaving()
    html = [one for one in made[LUC].walk() if one.get_content_type() == "text/html"][0]
    text = bytes(html.get_payload(decode=True)).decode("iso-8859-1")  # type: ignore[arg-type]
    (click,), (pixel,) = hits(text)
    assert "Reçu" in text and pixel
    whole = made[LUC].as_bytes()
    assert b"https://boutique.example/texte  =E9\n" in whole, "the other parts keep their octets"
    assert b'<a href="https://boutique.example/joint">joint</a>' in whole, "and so does what is attached"
    assert server.get(f"/c/{click}")[1]["location"] == "https://boutique.example/facture"
    other = [one for one in made[ANN].walk() if one.get_content_type() == "text/html"][0]
    clicks, pixels = hits(bytes(other.get_payload(decode=True)).decode("iso-8859-1"))  # type: ignore[arg-type]
    assert len(clicks) == 1 and pixels == [], "whoever is no contact is measured in sum"


def test_what_is_signed_by_its_writer_is_never_changed(program: Program) -> None:
    person(program.workspace, LUC, opens="granted", clicks="granted")
    head = b"From: zoe@boutique.example\nTo: luc@lecteurs.example\nSubject: x\nMIME-Version: 1.0\n"
    head += b"X-Mailjet-TrackClick: 1\n"
    signed = (
        b'Content-Type: multipart/signed; boundary="s"; protocol="application/pgp-signature"\n\n--s\n'
        b'Content-Type: text/html\n\n<a href="https://boutique.example/">x</a>\n--s\n'
        b"Content-Type: application/pgp-signature\n\nxx\n--s--\n"
    )
    submitted(program, head + signed, LUC)
    assert b'<a href="https://boutique.example/">x</a>' in leaving()[LUC].as_bytes()
