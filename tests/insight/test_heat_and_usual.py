"""Hours of the week and own medians: told by the workspace's clock, from enough people, and open the people behind."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache

from envol.accounts.models import Workspace
from envol.contacts import people
from envol.contacts.models import Contact
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.insight.heat import ENOUGH, heat
from envol.insight.people import behind
from envol.insight.usual import usual
from envol.outbound.models import Sending
from tests.insight.test_report import START, Campaign


@pytest.fixture
def campaign(workspace: Workspace) -> Campaign:
    return Campaign(workspace)


def test_hours_are_those_of_the_workspaces_clock(campaign: Campaign) -> None:
    reader = campaign.sent(campaign.person())
    # 2026-07-05 is a Sunday; 22:30 UTC is already Monday in Paris.
    at = datetime(2026, 7, 5, 22, 30, tzinfo=UTC)
    for who, machine in ((reader, None), (None, None), (reader, "head")):
        record([NewEvent(campaign.workspace.id, Kind.CLICKED, who, campaign.sendings[0], 1, machine, at=at)])
    found = heat(campaign.workspace, campaign.sendings)
    assert (found.zone, found.total, found.enough, len(found.cells)) == ("Europe/Paris", 2, False, 168)
    assert (found.best.day, found.best.hour, found.best.events, found.best.people) == (1, 0, 2, 1)
    assert behind(campaign.sendings, found.best.figure).ids() == [reader]
    assert behind(campaign.sendings, "slot:7:22").ids() == []
    assert ENOUGH == 500


def test_each_hour_opens_who_clicked_in_it(campaign: Campaign) -> None:
    one, two = campaign.sent(campaign.person()), campaign.sent(campaign.person())
    campaign.did(Kind.CLICKED, one, 1, hour=1.2)
    campaign.did(Kind.CLICKED, one, 2, hour=1.9)
    campaign.did(Kind.CLICKED, two, 1, hour=2.0)
    hours = campaign.report().hours
    assert [(h.clicked, h.clickers) for h in hours] == [(0, 0), (2, 1), (1, 1)]
    assert [behind(campaign.sendings, h.figure).ids() for h in hours] == [[], [one], [two]]


def test_a_site_opens_who_clicked_there(campaign: Campaign) -> None:
    one, two = campaign.sent(campaign.person("a.example")), campaign.sent(campaign.person("b.example"))
    campaign.did(Kind.CLICKED, one, 1)
    campaign.did(Kind.CLICKED, two, 1, machine="head")
    assert behind(campaign.sendings, "site:a.example:clicked").ids() == [one]
    assert behind(campaign.sendings, "site:b.example:clicked").ids() == []


def test_both_sides_of_a_rate_open_their_people(campaign: Campaign) -> None:
    agreed, silent = campaign.sent(campaign.person()), campaign.sent(campaign.person(allowed=0))
    idle = campaign.sent(campaign.person())
    for who in (agreed, silent):
        campaign.did(Kind.CLICKED, who, 1)
    share = campaign.report().clicked.agreed
    assert share is not None and (share.people, share.of) == (1, 2)
    assert behind(campaign.sendings, "agreed_clicks:reacted").ids() == [agreed]
    assert behind(campaign.sendings, "agreed_clicks").ids() == sorted([agreed, idle])


@pytest.mark.parametrize("figure", ["slot:8:1", "slot:1:24", "clicked:part:60:1", "agreed_clicks:x"])
def test_figures_there_are_not(campaign: Campaign, figure: str) -> None:
    with pytest.raises(ValueError, match="there are accepted"):
        behind(campaign.sendings, figure)


def sent(workspace: Workspace, days_ago: int, people: int, clicks: int, bounces: int = 0) -> int:
    made = Campaign(workspace)
    number = random.randrange(10**9)
    start = START - timedelta(days=days_ago)
    Sending.objects.filter(id=made.sendings[0]).update(
        campaign_id=number, started_at=start, ended_at=start + timedelta(hours=1)
    )
    for n in range(people):
        who = made.sent(made.person(), "bounced" if n < bounces else "delivered")
        if bounces <= n < bounces + clicks:
            made.did(Kind.CLICKED, who, 1)
    return number


def test_a_campaign_is_compared_with_its_own_predecessors(workspace: Workspace) -> None:
    cache.clear()
    for days, clicks in ((50, 2), (40, 4), (30, 6), (20, 8)):
        sent(workspace, days, 40, clicks)
    sent(workspace, 60, 10, 10)  # too few people to be usual
    number = sent(workspace, 10, 45, 20, bounces=5)
    later = sent(workspace, 1, 40, 39)
    clicked, bounced, unsubscribed = usual(workspace, number)
    assert (clicked.own.people, clicked.own.of, clicked.campaigns) == (20, 40, 4)
    assert (clicked.low, clicked.median, clicked.high) == pytest.approx((0.0875, 0.125, 0.1625))
    assert clicked.standing == "above" and bounced.standing == "above" and unsubscribed.standing == "within"
    assert (bounced.own.people, bounced.own.of) == (5, 45)
    assert usual(workspace, later)[0].campaigns == 5, "and this one has one more predecessor"


def test_three_campaigns_are_no_habit(workspace: Workspace) -> None:
    cache.clear()
    for days in (40, 30, 20):
        sent(workspace, days, 30, 3)
    assert usual(workspace, sent(workspace, 10, 30, 3)) == ()


def test_who_was_erased_stays_in_the_number_alone(campaign: Campaign) -> None:
    kept, gone = campaign.sent(campaign.person()), campaign.sent(campaign.person())
    found = behind(campaign.sendings, "delivered")
    assert (found.count(), found.counted()) == (2, (2, 0))
    people.erase(Contact.objects.get(pk=gone), cause="letter 3")
    assert (found.count(), found.counted()) == (2, (1, 1)) and kept in found.ids()
