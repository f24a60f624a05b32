"""Joining a mailing list by mail: asked by anybody's From, counted after a POST from the mailbox, and no bombing."""

from __future__ import annotations

import smtplib

import pytest
from django.test import Client

from envol.collect import signup
from envol.collect.models import SignupForm, SignupRequest
from envol.consent.models import Evidence, Permission
from envol.contacts.models import Contact, List
from envol.events.models import MailRequest
from envol.outbound import list_people, mailing, returned
from envol.outbound.models import MailingList, Post
from envol.wire.message.read import read
from tests.edge.test_inbound import Running
from tests.edge.test_inbound_lists import CLUB, LUC, ROSE, ZOE, club, inbound, leaving, written  # noqa: F401 -- fixtures

pytestmark = pytest.mark.usefixtures("empty_database")
NINA = "nina@poste.example"


def to(command: str) -> str:
    return CLUB.replace("@", f"-{command}@")


def _taken(inbound: Running, address: str) -> bool:  # noqa: F811
    with smtplib.SMTP("127.0.0.1", inbound.port, timeout=20) as client:
        client.ehlo()
        client.mail(NINA)
        return client.rcpt(address)[0] == 250


@pytest.fixture
def open_club(club: MailingList) -> MailingList:  # noqa: F811
    form = signup.create(club.workspace, List.objects.get(pk=club.list_id))
    SignupForm.objects.filter(pk=form.pk).update(active=True)
    MailingList.objects.filter(pk=club.pk).update(joins=True)
    club.refresh_from_db()
    return club


def mails() -> list[MailRequest]:
    return list(MailRequest.objects.order_by("id"))


def asks(inbound: Running, author: str, command: str = "join", **more: str) -> int:  # noqa: F811
    return inbound.send(to(command), written(author, **more), author)[0]


def test_a_mail_asks_and_the_mailbox_confirms(inbound: Running, open_club: MailingList) -> None:  # noqa: F811
    assert asks(inbound, NINA, **{"Content-Language": "en-GB"}) == 250
    (asked,) = mails()
    assert asked.recipient == NINA and "Club lecture – " in asked.facts["text"] and "Hello" in asked.facts["text"]
    assert not Contact.objects.filter(email_key=NINA).exists(), "a mail in her name says nothing about her"
    path = asked.facts["text"].partition("/s/")[2].split()[0]
    visitor = Client(HTTP_HOST="localhost")
    shown = visitor.get(f"/s/{path}?l=en").content.decode()
    assert "<form" in shown and not Contact.objects.filter(email_key=NINA).exists(), "scanners follow links"
    assert visitor.post(f"/s/{path}").status_code in (200, 303)
    nina = Contact.objects.get(email_key=NINA)
    given = Permission.objects.get(contact_id=nina.pk, purpose_id=open_club.purpose_id, until=None)
    assert given.state == "granted"
    text = Evidence.objects.filter(facts__place="mail_to_list").get()
    assert text.facts["mailing_list"] == open_club.pk and text.facts["double_opt_in"] and text.text is not None
    assert text.text.text in shown, "she read the words that she agreed to, above the button"
    assert NINA in [address for _, address in list_people.reached(open_club)]


def test_the_answer_is_the_same_for_all_and_nobody_is_bombed(
    inbound: Running,  # noqa: F811
    open_club: MailingList,
) -> None:
    said = set()
    for author in (NINA, LUC, NINA, NINA, LUC):
        with smtplib.SMTP("127.0.0.1", inbound.port, timeout=20) as client:
            client.ehlo()
            client.mail(author)
            said.add(client.rcpt(to("join")))
            said.add(client.data(written(author).replace("\n", "\r\n").encode()))
    assert {code for code, _ in said} == {250} and len(said) == 2, "whoever is on it, and whatever a limit held back"
    assert sorted(one.recipient for one in mails()) == [LUC, NINA], "one mail a day to one mailbox"
    for number in range(12):
        assert asks(inbound, f"p{number}@poste.example") == 250
    assert len(mails()) == 10, "ten an hour from one network"


@pytest.mark.parametrize(
    "more", [{"Auto-Submitted": "auto-replied"}, {"Precedence": "bulk"}, {"List-Id": "<autre.liste.example>"}]
)
def test_machines_ask_for_nothing(inbound: Running, open_club: MailingList, more: dict[str, str]) -> None:  # noqa: F811
    assert asks(inbound, NINA, **more) == 250
    assert inbound.send(to("join"), written(NINA), "")[0] == 250, "nor who has no return path"
    assert mails() == [] and not SignupRequest.objects.exists()


def test_the_request_address_takes_a_wish_as_its_subject(
    inbound: Running,  # noqa: F811
    open_club: MailingList,
) -> None:
    assert asks(inbound, NINA, "request", Subject="Inscription s.v.p.") == 250
    assert [one.recipient for one in mails()] == [NINA]
    assert asks(inbound, ROSE, "request", Subject="help") == 250
    told = mails()[-1]
    words = ("daily", "each", "leave")
    assert told.recipient == ROSE
    assert all(mailing.address_of(open_club, word) in told.facts["text"] for word in words)
    assert "/p/" in told.facts["text"]
    with pytest.raises(smtplib.SMTPDataError, match="leave, daily, each or help or join"):
        asks(inbound, NINA, "request", Subject="Bonjour")
    assert asks(inbound, "x@ailleurs.example", "request", Subject="leave") == 250
    assert len(mails()) == 2 and not Post.objects.exists()


def test_who_does_not_want_it_is_not_joined_by_mail(inbound: Running, club: MailingList) -> None:  # noqa: F811
    assert asks(inbound, NINA) == 550 and not returned.is_ours(to("join"))
    with pytest.raises(smtplib.SMTPDataError, match="Nobody joins this list by mail: it says"):
        asks(inbound, NINA, "request", Subject="join")
    MailingList.objects.update(joins=True)
    with pytest.raises(smtplib.SMTPDataError, match="(?i)nobody joins this list by mail at the moment"):
        asks(inbound, NINA)
    assert mails() == []


def test_a_post_says_how_to_join_and_where_help_is(inbound: Running, open_club: MailingList) -> None:  # noqa: F811
    inbound.send(CLUB, written(ZOE), ZOE)
    assert mailing.decide(Post.objects.get().pk, True, ZOE) and mailing.distribute(Post.objects.get().pk) == 2
    message = read(dict(leaving())[LUC])
    for field, word in (("List-Subscribe", "join"), ("List-Help", "help")):
        address = mailing.address_of(open_club, word)
        assert message.get(field) == f"<mailto:{address}>" and _taken(inbound, address)
