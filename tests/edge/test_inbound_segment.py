"""A mailing list whose people a segment chooses: anew for each post, by the gates of a campaign, for announcements."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from envol import db
from envol.audience import segments
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.consent import acts, purposes, restriction
from envol.contacts import people
from envol.contacts.models import Contact, Property
from envol.events.models import MailRequest
from envol.outbound import digests, list_commands, list_people, mailing
from envol.outbound.models import MailingList, Post, PostState
from envol.wire.bounce import explain
from tests.edge.test_inbound import Running
from tests.edge.test_inbound_lists import CLUB, LUC, ROSE, ZOE, club, inbound, leaving, written  # noqa: F401 -- fixtures

pytestmark = pytest.mark.usefixtures("empty_database")
LYON = {"v": 1, "match": "all", "rules": [{"field": "prop.city", "op": "called", "value": "Lyon"}]}
NEWS = "lyon@bounces.boutique.example"


@pytest.fixture
def lyon(workspace: Any, club: MailingList) -> MailingList:  # noqa: F811
    """Luc lives in Lyon, Rose in Paris; both allow the newsletter."""
    for address, city in ((LUC, "Lyon"), (ROSE, "Paris")):
        lives(workspace, address, city)
    segment = segments.save(workspace, "Lyonnais", LYON)
    made = mailing.create(workspace, club.domain, "lyon", segment, purposes.get(workspace, "newsletter"), title="Lyon")
    mailing.moderate(made, [ZOE])
    return made


def lives(workspace: Any, address: str, city: str) -> None:
    people.upsert(workspace, address, {"city": city}, source=people.source(workspace, "member", "carnet"))


def posted(inbound: Running, **more: str) -> int | None:  # noqa: F811
    """Zoé writes and confirms; to how many it went."""
    assert inbound.send(NEWS, written(ZOE, To=NEWS, **more), ZOE)[0] == 250
    post = Post.objects.order_by("-id")[0]
    assert mailing.decide(post.pk, True, ZOE)
    return mailing.distribute(post.pk)


def test_each_post_goes_to_those_whom_the_segment_chooses_then(
    inbound: Running,  # noqa: F811
    workspace: Any,
    lyon: MailingList,
) -> None:
    assert posted(inbound) == 1 and [address for address, _ in leaving()] == [LUC]
    lives(workspace, ROSE, "Lyon")
    assert posted(inbound, **{"Message-ID": "<2@x.example>"}) == 2
    luc = Contact.objects.get(email_key=LUC)
    acts.withdraw(workspace.pk, luc.pk, [purposes.get(workspace, "newsletter")])
    assert list_people.reached(lyon) == [(Contact.objects.get(email_key=ROSE).pk, ROSE)], (
        "the rule chooses, consent decides"
    )


def test_what_does_not_serve_the_purpose_chooses_nobody(workspace: Any, lyon: MailingList) -> None:
    assert len(list_people.reached(lyon)) == 1
    offers = purposes.get(workspace, "offers")
    Property.objects.filter(workspace=workspace, key="city").update(purposes=1 << offers.bit, personal=True)
    assert list_people.reached(lyon) == [], "as a campaign to this segment (GDPR art. 5(1)(b))"


def test_who_wants_one_message_a_week_gets_one_post_of_it(
    inbound: Running,  # noqa: F811
    workspace: Any,
    lyon: MailingList,
    club: MailingList,  # noqa: F811
) -> None:
    """The wish of her page holds for what a rule chooses her for, as in a campaign; not for what she joined herself."""
    lives(workspace, ROSE, "Lyon")
    luc = Contact.objects.get(email_key=LUC)
    assert restriction.set_frequency(workspace.pk, luc.pk, "weekly", "her page")
    assert posted(inbound) == 2 and {address for address, _ in leaving()} == {LUC, ROSE}, "the first of the week"
    assert posted(inbound, **{"Message-ID": "<2@x.example>"}) == 1 and [address for address, _ in leaving()] == [ROSE]
    assert LUC in {address for _, address in list_people.reached(club)}
    db.execute("UPDATE outbound_send SET created_at = created_at - interval '8 days' WHERE address = %s", [LUC])
    assert {address for _, address in list_people.reached(lyon)} == {LUC, ROSE}


def test_nobody_writes_to_it_joins_it_or_takes_it_daily(
    inbound: Running,  # noqa: F811
    workspace: Any,
    lyon: MailingList,
) -> None:
    with pytest.raises(Exception, match="(?i)only its moderators"):
        inbound.send(NEWS, written(LUC, To=NEWS), LUC)
    for rules, field in (
        ({"discussion": True}, "kind"),
        ({"joins": True}, "joins"),
        ({"archive": "members"}, "archive"),
    ):
        with pytest.raises(mailing.Invalid) as error:
            mailing.suit_segment(rules)
        assert error.value.field == field
    with pytest.raises(IntegrityError), transaction.atomic():
        MailingList.objects.filter(pk=lyon.pk).update(discussion=True)
    luc = Contact.objects.get(email_key=LUC)
    assert lyon not in [one for one, _daily in digests.lists_of(workspace.pk, luc.pk)]
    raw = written(LUC).replace("\n", "\r\n").encode()
    list_commands.take(lyon, mailing.DAILY, raw, explain(raw), True)
    assert len(list_people.reached(lyon)) == 1
    list_commands.take(lyon, mailing.HELP, raw, explain(raw), True)
    told = MailRequest.objects.get(kind="list_command").facts["text"]
    assert mailing.address_of(lyon, "leave") in told and "-daily@" not in told
    assert list_commands.take(lyon, mailing.LEAVE, raw, explain(raw), True) == "list command"
    assert list_people.reached(lyon) == [], "leaving works as everywhere"


def test_a_segment_in_use_stays_and_without_one_the_post_waits(
    inbound: Running,  # noqa: F811
    lyon: MailingList,
) -> None:
    segment = Segment.objects.get(pk=lyon.segment_id)
    with pytest.raises(SegmentProblem, match="Lyon"):
        segments.delete(segment)
    segment.delete()  # by another road
    assert posted(inbound) is None and leaving() == []
    post = Post.objects.get()
    assert (post.state, post.reason) == (PostState.HELD, "cannot leave")
