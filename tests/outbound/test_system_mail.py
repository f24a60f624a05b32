"""Mail of Envol itself takes the same road as every other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from django.conf import settings
from django.core.mail import EmailMultiAlternatives

from envol import db
from envol.accounts.models import Workspace
from envol.consent import acts, purposes, registry, suppression
from envol.contacts.people import grant, source
from envol.contacts.people import upsert as person
from envol.content.compose import compose_message
from envol.events.writing import request_mail
from envol.outbound import accept, domains, lease, requests, states
from envol.outbound.django_mail import Backend
from envol.outbound.making import Makers
from envol.outbound.system import NoWorkspace
from tests.collect.helpers import ask, make_form
from tests.outbound.helpers import people

pytestmark = pytest.mark.usefixtures("empty_database")


def made() -> dict[str, bytes]:
    leases = lease.lease("test", 100, seconds=60)
    makers, problems = Makers("http://localhost:8025").prepare(leases)
    assert problems == {}
    return {row.address: makers[row.key](row).data for one in leases for row in one.rows}


def password_mail() -> EmailMultiAlternatives:
    message = EmailMultiAlternatives("Your\npassword", "Open this page", "x@y.example", ["Zoé <zoe@equipe.example>"])
    message.attach_alternative("<p>Open this page</p>", "text/html")
    return message


def test_a_password_mail_is_accepted_untracked_and_goes_first(workspace) -> None:
    assert Backend().send_messages([password_mail()]) == 1
    data = made()["zoe@equipe.example"]
    assert b"From: Librairie d'essai <noreply@localhost.localdomain>" in data
    assert b"Auto-Submitted: auto-generated" in data
    assert b"/o/" not in data and b"/c/" not in data and b"List-Unsubscribe" not in data
    assert db.value("SELECT priority FROM outbound_chunk") == 0
    lifetime = db.value("SELECT lifetime_seconds FROM outbound_sending WHERE workspace_id = %s", [workspace.id])
    assert lifetime > settings.PASSWORD_RESET_TIMEOUT, "its link is good for days: a night without a road ends nothing"


def test_a_confirmation_measures_nobody_whatever_she_allowed(workspace) -> None:
    """What asks for a consent has no pixel and leads where it says; she may be one of ours who agreed to measuring."""
    domains.add(workspace, "librairie.example", trusted=True)
    Workspace.objects.filter(pk=workspace.pk).update(single_opens=True, single_clicks=True)
    zoe = person(workspace, "zoe@lecteurs.example", source=source(workspace, "form", "Salon"))
    for key in ("measure_opens", "measure_clicks"):
        grant(zoe, purposes.get(workspace, key), proof_of=acts.evidence(workspace, "line", "salon"), proof="1")
    ask(make_form(workspace), zoe.email, now=datetime.now(UTC), first_name="Zoé")
    assert requests.take() == 1
    letter = message_from_bytes(made()[zoe.email], policy=policy.default)
    bodies = [part.get_content() for part in letter.walk() if part.get_content_maintype() == "text"]
    assert len(bodies) == 2, "as text and as HTML"
    for body in bodies:
        assert "<img" not in body and "/o/" not in body and "/c/" not in body
        assert re.search(r"http://localhost:8025/s/[\w-]+/[\w-]+", body)


def test_it_comes_from_a_domain_that_may_send(workspace) -> None:
    domains.add(workspace, "librairie.example", trusted=True)
    Backend().send_messages([password_mail()])
    data = made()["zoe@equipe.example"]
    assert b"<noreply@librairie.example>" in data and data.count(b"DKIM-Signature:") == 2


def test_without_a_workspace_it_says_what_to_do() -> None:
    with pytest.raises(NoWorkspace, match="envol setup"):
        Backend().send_messages([password_mail()])
    assert Backend(fail_silently=True).send_messages([password_mail()]) == 0


def test_requested_mail_is_sent_once_in_the_language_asked(workspace) -> None:
    request_mail("code", "zoe@equipe.example", {"code": "314159"}, workspace_id=workspace.id, language="fr")
    assert requests.take() == 1
    assert requests.take() == 0
    data = made()["zoe@equipe.example"]
    assert b"Subject: Votre code : 314159" in data


def test_a_request_nobody_can_word_does_not_stop_the_others(workspace) -> None:
    request_mail("riddle", "a@equipe.example", {}, workspace_id=workspace.id)
    request_mail("note", "b@equipe.example", {"subject": "S", "text": "T"}, workspace_id=workspace.id)
    assert requests.take() == 2
    assert list(made()) == ["b@equipe.example"]


def test_a_retry_has_the_same_message_id_and_reverse_path(workspace) -> None:
    accept.accept_messages(
        [accept.Outgoing(workspace.id, ("S", "s@librairie.example"), [("", "a@un.example")], "Hi", "x")]
    )
    message = lease.lease("test", 1, seconds=60)[0].rows[0]
    from envol.outbound.models import Message

    stored = Message.objects.get(id=message.message_id)
    first, second = compose_message(stored, message.no), compose_message(stored, message.no)
    assert first.envelope_from == second.envelope_from
    assert [line for line in first.data.split(b"\r\n") if b"Message-ID" in line][0] in second.data


def test_an_erased_person_is_nowhere_in_the_queue(workspace) -> None:
    ((contact, address),) = people(workspace, 1)
    accept.accept_messages(
        [accept.Outgoing(workspace.id, ("S", "s@librairie.example"), [("", address)], "Hi", "x", contact_ids=[contact])]
    )
    assert registry.export_person(workspace.id, contact)["rooms"]["outbound"]["messages"][0]["address"] == address
    registry.erase_person(workspace.id, contact, address, cause="request 1")
    for table in ("outbound_send", "outbound_message", "outbound_outcome", "outbound_retry", "outbound_captured"):
        assert db.value(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", [f"%{address}%"]) == 0
    assert lease.lease("test", 10, seconds=60) == []
    assert db.value("SELECT cause FROM outbound_outcome") == "erased"
    assert states.invariants() == []
    assert suppression.lookup(workspace.id, [address])


def test_an_erasure_takes_nothing_from_others_who_wait_for_the_same_message(workspace) -> None:
    (contact, address), (_, other) = people(workspace, 2)
    accept.accept_messages(
        [
            accept.Outgoing(
                workspace.id,
                ("S", "s@librairie.example"),
                [("", address), ("", other), ("", "x@un.example")],
                "Hi",
                "x",
            )
        ]
    )
    registry.erase_person(workspace.id, contact, address, cause="request 1")
    assert states.invariants() == []
    leased = {row.address: row for lot in lease.lease("test", 10, seconds=60) for row in lot.rows}
    assert set(leased) == {other, "x@un.example"}
    assert db.value("SELECT count(*) FROM outbound_message WHERE raw IS NULL AND text = '' AND html = ''") == 0
