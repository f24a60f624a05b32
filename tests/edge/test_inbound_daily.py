"""One message a day of a mailing list: chosen on a page or by mail, each post once, nothing to who left meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from envol.contacts.models import Contact, Membership
from envol.content import links
from envol.events.models import MailRequest
from envol.outbound import digests, list_commands, list_people, mailing, privacy, returned
from envol.outbound.models import DailyReader, DigestItem, MailingList, Post
from envol.wire import dkim
from envol.wire.bounce import explain
from envol.wire.message.read import read
from tests.edge.test_inbound import Running
from tests.edge.test_inbound_lists import (
    CLUB,
    LUC,
    ROSE,
    ZOE,
    club,  # noqa: F401 -- a fixture
    inbound,  # noqa: F401 -- a fixture
    leaving,
    signed,
    written,
)
from tests.outbound.test_domains import name_server, txt

pytestmark = pytest.mark.usefixtures("empty_database")

PARIS = ZoneInfo("Europe/Paris")
MORNING = datetime(2026, 3, 6, 7, 30, tzinfo=PARIS)
NEXT = datetime(2026, 3, 7, 9, 0, tzinfo=PARIS)


def number(address: str) -> int:
    return int(Contact.objects.get(email_key=address).pk)


def post(club: MailingList, subject: str, author: str = LUC) -> Post:  # noqa: F811
    """A post that a moderator let through, on its way."""
    raw = written(author, Subject=subject, **{"Message-ID": f"<{subject}@x.example>"}).replace("\n", "\r\n").encode()
    assert mailing.take(club, raw, explain(raw), proven=False) == "post held"
    made = Post.objects.get(subject=subject)
    assert mailing.decide(made.pk, True, ZOE) and mailing.distribute(made.pk) == 2
    return made


def test_what_waits_leaves_in_the_morning_once_and_each_post_by_one_road(club: MailingList) -> None:  # noqa: F811
    post(club, "Avant")
    assert [address for address, _ in leaving()] == [LUC, ROSE]
    assert digests.choose(club, number(ROSE), daily=True) and not digests.choose(club, number(ROSE), daily=True)
    post(club, "Samedi")
    post(club, "Dimanche")
    assert [address for address, _ in leaving()] == [LUC, LUC]
    assert digests.run(MORNING.replace(hour=5)) == 0, "it is night there"
    assert digests.run(MORNING) == 1 and digests.run(MORNING.replace(hour=12)) == 0
    ((address, raw),) = leaving()
    message = read(raw)
    assert address == ROSE and message.subject == "[Club lecture] 2 messages, 6 mars 2026"
    assert message.get("From") == "Club lecture <club@boutique.example>"
    assert message.get("Reply-To") == "Club lecture <club@boutique.example>"
    assert message.get("List-Id") == "Club lecture <club.boutique.example>" and message.get("List-Unsubscribe-Post")
    assert message.text is not None and message.text.count("À samedi.") == 2
    assert (
        message.text.index("1. Samedi – Quelqu'un") < message.text.index("2. Dimanche") and "Avant" not in message.text
    )
    assert "club-each@boutique.example" in message.text and "club-leave@" in message.text
    assert b"d=boutique.example" in raw, "signed as the domain in From"


def test_who_changes_her_mind_misses_nothing_and_gets_nothing_twice(club: MailingList) -> None:  # noqa: F811
    rose = number(ROSE)
    digests.choose(club, rose, daily=True)
    post(club, "Un")
    digests.choose(club, rose, daily=False)
    post(club, "Deux")
    assert [address for address, _ in leaving()] == [LUC, LUC, ROSE], "the second at once"
    assert digests.run(MORNING) == 1
    ((_, raw),) = leaving()
    text = read(raw).text or ""
    assert "1. Un" in text and "Deux" not in text
    assert digests.run(NEXT) == 0


def test_whoever_left_gets_no_message_of_the_day(club: MailingList) -> None:  # noqa: F811
    for address in (LUC, ROSE):
        digests.choose(club, number(address), daily=True)
    post(club, "Un")
    Membership.objects.filter(contact_id=number(ROSE)).update(until=datetime.now(UTC))
    assert digests.run(MORNING) == 1 and [address for address, _ in leaving()] == [LUC]
    assert not DigestItem.objects.exists()


def test_people_for_whom_other_posts_wait_get_other_messages(club: MailingList) -> None:  # noqa: F811
    digests.choose(club, number(ROSE), daily=True)
    post(club, "Un")
    leaving()
    digests.choose(club, number(LUC), daily=True)
    post(club, "Deux")
    assert digests.run(MORNING) == 2
    sent = {address: read(raw).text or "" for address, raw in leaving()}
    assert "Un" not in sent[LUC] and "1. Deux" in sent[LUC] and "1. Un" in sent[ROSE] and "2. Deux" in sent[ROSE]


def test_a_post_whose_author_is_erased_is_in_no_message(workspace: Any, club: MailingList) -> None:  # noqa: F811
    digests.choose(club, number(ROSE), daily=True)
    post(club, "Un")
    post(club, "Deux", author=ROSE)
    leaving()
    told = privacy.export(workspace.pk, number(ROSE))
    assert [one["subject"] for one in told["posts"]] == ["Deux"] and "À samedi." in told["posts"][0]["message"]
    assert told["one_message_a_day"] == [{"mailing_list": "Club lecture"}]
    privacy.erase(workspace.pk, number(LUC))
    digests.run(MORNING)
    text = read(leaving()[-1][1]).text or ""
    assert "Un" not in text and "1. Deux" in text
    privacy.erase(workspace.pk, number(ROSE))
    assert not DailyReader.objects.exists() and not DigestItem.objects.exists()


def test_a_page_says_how_each_list_is_read(workspace: Any, club: MailingList) -> None:  # noqa: F811
    page = f"/p/{links.person_token(workspace.pk, number(ROSE))}"
    visitor = Client(HTTP_HOST="localhost")
    field = f"list_{club.pk}"
    shown = visitor.get(page).content.decode()
    assert "Club lecture" in shown and f'name="{field}"' in shown and "un message par jour" in shown
    visitor.get(page, {field: "daily"})
    assert not DailyReader.objects.exists(), "a scanner that follows links changes nothing"
    done = visitor.post(page, {"act": "save", field: "daily"}).content.decode()
    assert '<option value="daily" selected>' in done and DailyReader.objects.get().contact_id == number(ROSE)
    visitor.post(page, {"act": "save", field: "sometimes"})
    visitor.post(page, {"act": "save"})
    assert DailyReader.objects.exists(), "what is not on the form stays"
    visitor.post(page, {"act": "save", field: "each"})
    assert not DailyReader.objects.exists()
    stranger = f"/p/{links.person_token(workspace.pk, number(LUC))}"
    Membership.objects.filter(contact_id=number(LUC)).update(until=datetime.now(UTC))
    assert field not in visitor.get(stranger).content.decode()
    visitor.post(stranger, {"act": "save", field: "daily"})
    assert not DailyReader.objects.exists(), "she is not on the list"


def to(command: str) -> str:
    return CLUB.replace("@", f"-{command}@")


def test_a_signed_mail_is_her_wish(club: MailingList) -> None:  # noqa: F811
    key = dkim.generate_ed25519()
    with name_server({("s1._domainkey.poste.example", "TXT"): [txt(dkim.record_text(key))]}) as resolver:
        for command, count in ((mailing.DAILY, 1), (mailing.EACH, 0), (mailing.DAILY, 1)):
            letter = written(ROSE, To=to(command))
            assert mailing.judge_author(signed(letter, "poste.example", key), resolver)
            asked = list_commands.of(to(command))
            assert asked == (club, command)
            raw = letter.replace("\n", "\r\n").encode()
            assert list_commands.take(*asked, raw, explain(raw), True) == "list command"
            assert DailyReader.objects.count() == count
        raw = written(ROSE, To=to("leave")).replace("\n", "\r\n").encode()
        assert list_commands.take(club, "leave", raw, explain(raw), True) == "list command"
    assert [address for _, address in list_people.reached(club)] == [LUC]


def test_an_unsigned_mail_brings_her_a_link_once_a_day_and_changes_nothing(
    inbound: Running,  # noqa: F811
    club: MailingList,  # noqa: F811
) -> None:
    for command in ("daily", "daily", "leave"):
        assert inbound.send(to(command), written(ROSE), "x@ailleurs.example")[0] == 250
    asked = MailRequest.objects.get()
    assert (
        asked.recipient == ROSE
        and "/p/" in asked.facts["text"]
        and asked.facts["subject"] == "Comment vous lisez Club lecture"
    )
    assert not DailyReader.objects.exists() and len(list_people.reached(club)) == 2
    link = asked.facts["text"].rpartition("/p/")[2].strip()
    assert "Club lecture" in Client(HTTP_HOST="localhost").get(f"/p/{link}").content.decode()


def test_nobody_else_commands_a_list(inbound: Running, club: MailingList) -> None:  # noqa: F811
    assert inbound.send(to("daily"), written("x@ailleurs.example"), "x@ailleurs.example")[0] == 250, (
        "as to a member: nobody learns by it who is on the list"
    )
    assert inbound.send(to("explode"), written(ROSE), ROSE)[0] == 550
    assert inbound.send(to("leave"), written(ROSE, **{"Auto-Submitted": "auto-replied"}), ROSE)[0] == 250
    assert not MailRequest.objects.exists() and not returned.is_ours(to("explode"))


def test_a_list_that_is_called_so_comes_first(workspace: Any, club: MailingList) -> None:  # noqa: F811
    from envol.consent import purposes
    from envol.contacts.models import List

    purpose = purposes.get(workspace, "newsletter")
    mailing.create(workspace, club.domain, "club-daily", List.objects.get(), purpose, title="Autre")
    assert list_commands.of(to("daily")) is None and list_commands.of(to("each")) == (club, "each")
