"""A segment against the rest of those who got the same message, on people whose answers are written down beside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from envol.accounts.models import Workspace
from envol.audience.overlap import overlap
from envol.contacts.models import List
from envol.db import execute, rows
from envol.events.models import Kind
from envol.insight.pertinence import Judged, Pertinence, pertinence
from envol.insight.trial import COUNTER, PERTINENT, TOO_SMALL, Group
from tests.insight.test_report import CLICKS, START, Campaign


@pytest.fixture
def campaign(workspace: Workspace) -> Campaign:
    return Campaign(workspace)


def on(a_list: List) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": [{"field": "list", "op": "on", "value": a_list.pk}]}


def crowd(campaign: Campaign, club: List, people: int, inside: int, clicks: tuple[int, int]) -> None:
    """``people`` got it, the first ``inside`` were on the list; of both so many clicked."""
    execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, allowed, refused, created_at)"
        " SELECT %(w)s, n || '@crowd.example', n || '@crowd.example', 3, 0, %(before)s"
        " FROM generate_series(1, %(people)s) n;"
        "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
        " SELECT %(s)s, id, id, email, 'crowd.example', 1 FROM contacts_contact WHERE workspace_id = %(w)s;"
        "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
        " SELECT %(s)s, id, 'delivered', %(at)s, 1, 250, 'taken' FROM contacts_contact WHERE workspace_id = %(w)s;"
        "INSERT INTO contacts_membership (workspace_id, contact_id, list_id, since)"
        " SELECT %(w)s, id, %(list)s, %(before)s FROM contacts_contact WHERE workspace_id = %(w)s"
        " ORDER BY id LIMIT %(inside)s;"
        "INSERT INTO events_event (workspace_id, kind, contact_id, sending_id, link, at)"
        " SELECT %(w)s, 6, id, %(s)s, 1, %(at)s FROM"
        " (SELECT id, row_number() OVER (ORDER BY id) n FROM contacts_contact WHERE workspace_id = %(w)s) c"
        " WHERE n <= %(clicked)s OR (n > %(inside)s AND n <= %(inside)s + %(others)s)",
        {
            "w": campaign.workspace.id, "s": campaign.sendings[0], "people": people, "list": club.pk,
            "inside": inside, "clicked": clicks[0], "others": clicks[1], "at": START + timedelta(hours=1),
            "before": START - timedelta(days=60),
        },
    )  # fmt: skip


def asked(campaign: Campaign, *lists: List) -> Pertinence:
    return pertinence(campaign.workspace, campaign.sendings, [on(one) for one in lists])


def clicked(judged: Judged) -> tuple[Group, Group]:
    test = judged.tests[0]
    assert test.metric == "clicked"
    return test.inside, test.outside


def test_the_worked_example_from_the_tables(campaign: Campaign) -> None:
    club = List.objects.create(workspace=campaign.workspace, name="Club")
    crowd(campaign, club, 20_000, 1200, (48, 380))
    found = asked(campaign, club)
    judged = found.segments[0]
    assert clicked(judged) == (Group(48, 1200), Group(380, 18_800))
    ratio = judged.tests[0].ratio
    assert ratio and (round(ratio.value, 2), round(ratio.low, 2), round(ratio.high, 2)) == (1.98, 1.47, 2.66)
    assert judged.verdict == PERTINENT
    assert (judged.base, judged.delivered, found.base, found.delivered) == (1200, 1200, 20_000, 20_000)
    assert [test.metric for test in judged.tests] == ["clicked", "unsubscribed", "complained"]
    assert found.buying == "none" and not found.clicks and found.unmeasured == 0
    assert [test.verdict for test in judged.tests[1:]] == [TOO_SMALL, TOO_SMALL]


def test_who_is_not_measured_stands_in_no_rate(campaign: Campaign) -> None:
    club = List.objects.create(workspace=campaign.workspace, name="Club")
    crowd(campaign, club, 40, 20, (4, 2))
    for allowed, refused in ((0, 0), (CLICKS, CLICKS)):  # said nothing; took it back
        silent = campaign.sent(campaign.person(allowed=allowed, refused=refused))
        campaign.did(Kind.UNSUBSCRIBED, silent)
    erased = campaign.sent(campaign.person())
    execute("DELETE FROM contacts_contact WHERE id = %s", [erased])
    bounced = campaign.sent(campaign.person(), "bounced")
    campaign.did(Kind.CLICKED, bounced, 1, machine="scanner")
    campaign.did(Kind.CLICKED, None, 1)
    found = asked(campaign, club)
    assert clicked(found.segments[0]) == (Group(4, 20), Group(2, 20))
    leaving = found.segments[0].tests[1]
    assert leaving.metric == "unsubscribed" and (leaving.inside, leaving.outside) == (Group(0, 20), Group(2, 22))
    assert (found.unmeasured, found.erased, found.delivered) == (2, 1, 43)


def test_membership_is_that_of_the_moment_of_sending(campaign: Campaign) -> None:
    club = List.objects.create(workspace=campaign.workspace, name="Club")
    crowd(campaign, club, 40, 20, (20, 0))
    # Half leave the list afterwards, others join because they clicked: neither changes who was in it.
    execute(
        "UPDATE contacts_membership SET until = now() WHERE id IN (SELECT id FROM contacts_membership"
        " WHERE list_id = %s ORDER BY contact_id LIMIT 10)",
        [club.pk],
    )
    clickers = {"v": 1, "match": "all", "rules": [{"field": "mail.clicked", "op": "at_least", "value": 1}]}
    found = pertinence(campaign.workspace, campaign.sendings, [on(club), clickers])
    assert clicked(found.segments[0]) == (Group(20, 20), Group(0, 20))
    assert found.segments[1].delivered == 0 and found.segments[1].verdict == TOO_SMALL
    moved = found.segments[0].moved
    assert (moved.then, moved.now, moved.left) == (20, 10, 10) and found.segments[0].churn == 0.5


def test_orders_within_a_week_of_the_message(campaign: Campaign) -> None:
    club = List.objects.create(workspace=campaign.workspace, name="Club")
    crowd(campaign, club, 40, 20, (0, 0))
    members = [one for (one,) in rows("SELECT contact_id FROM contacts_membership WHERE list_id = %s", [club.pk])]
    at = START + timedelta(hours=1)
    for n, (moment, amount) in enumerate(
        (
            (at, 1000),
            (at + timedelta(days=1), 500),
            (at - timedelta(seconds=1), 900),  # before it arrived
            (at + timedelta(days=7), 900),  # too late
            (at + timedelta(days=1), -900),  # sent back
        )
    ):
        execute(
            "INSERT INTO contacts_order (workspace_id, contact_id, external_id, at, amount, currency)"
            " VALUES (%s, %s, %s, %s, %s, 'EUR')",
            [campaign.workspace.id, members[n], str(n), moment, amount],
        )
    found = asked(campaign, club)
    bought = found.segments[0].tests[1]
    assert bought.metric == "bought" and (bought.inside, bought.outside) == (Group(2, 20), Group(0, 20))
    assert found.until is not None  # a week is not over yet


def test_where_clicks_have_no_names_orders_decide(campaign: Campaign) -> None:
    club = List.objects.create(workspace=campaign.workspace, name="Club")
    crowd(campaign, club, 40, 20, (4, 2))
    Workspace.objects.filter(pk=campaign.workspace.pk).update(clicks_mode="aggregate")
    campaign.workspace.refresh_from_db()
    found = asked(campaign, club)
    assert found.clicks == "mode" and [test.metric for test in found.segments[0].tests] == [
        "unsubscribed",
        "complained",
    ]
    assert found.segments[0].lead is None and found.segments[0].verdict == TOO_SMALL


def test_two_segments_at_once_and_their_overlap(campaign: Campaign) -> None:
    club = List.objects.create(workspace=campaign.workspace, name="Club")
    crowd(campaign, club, 400, 100, (60, 30))
    others = {"v": 1, "match": "none", "rules": on(club)["rules"]}
    found = pertinence(campaign.workspace, campaign.sendings, [on(club), others, on(club)])
    assert [one.verdict for one in found.segments] == [PERTINENT, COUNTER, PERTINENT]
    assert found.among.jaccard(0, 1) == 0.0 and found.among.jaccard(0, 2) == 1.0
    now = overlap(campaign.workspace, [on(club), others])
    assert (now.size(0), now.size(1), now.both(0, 1), now.either(0, 1)) == (100, 300, 0, 400)
    assert now.masks == {1: 100, 2: 300}


def test_the_empty_case_of_overlap(workspace: Workspace) -> None:
    club = List.objects.create(workspace=workspace, name="Club")
    found = overlap(workspace, [on(club), on(club)])
    assert found.jaccard(0, 1) is None and found.people == 0
