"""When it would leave, told by the workspace's clock: refused with a sentence where the clock has no such moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from django.utils.translation import override

from envol.accounts.models import Workspace
from envol.campaigns import progress
from envol.campaigns.models import Campaign
from envol.campaigns.planning import Usual, moment, usual
from envol.campaigns.refusals import Refused
from envol.db import execute
from envol.outbound.models import Sending

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)  # 13:00 in Paris


def test_an_hour_is_that_of_the_workspace(workspace: Workspace) -> None:
    assert moment(workspace, "2027-03-01", "14:05", now=NOW) == datetime(2027, 3, 1, 13, 5, tzinfo=UTC)
    assert moment(workspace, "2027-07-01", "14:05", now=NOW) == datetime(2027, 7, 1, 12, 5, tzinfo=UTC), "summer"
    workspace.time_zone = "America/New_York"
    assert moment(workspace, "2027-03-01", "14:05", now=NOW) == datetime(2027, 3, 1, 19, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "hour", "why"),
    [
        ("2027-03-01", "12:59", "12:59 on that day has passed: it is 13:00 in Europe/Paris"),
        ("2027-03-01", "13:00", "has passed"),
        ("2020-01-01", "10:00", "has passed"),
        ("2027-03-28", "02:30", "02:30 does not exist in Europe/Paris: choose 03:30 or later"),
        ("2028-03-28", "10:00", "more than a year away"),
        ("", "", "Choose a day and an hour"),
        ("2027-02-30", "10:00", "Choose a day and an hour"),
        ("2027-03-02", "25:00", "Choose a day and an hour"),
        ("2027-03-02T10:00", "10:00", "Choose a day and an hour"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(workspace: Workspace, day: str, hour: str, why: str) -> None:
    with override("en"), pytest.raises(Refused, match=why):
        moment(workspace, day, hour, now=NOW)


def test_an_hour_that_comes_twice_is_the_first(workspace: Workspace) -> None:
    assert moment(workspace, "2027-10-31", "02:30", now=NOW) == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)
    assert moment(workspace, "2027-10-31", "03:30", now=NOW) == datetime(2027, 10, 31, 2, 30, tzinfo=UTC)


def test_what_is_usual_is_told_by_what_ended(workspace: Workspace) -> None:
    assert usual(workspace) == Usual(None, None)
    for n, people in enumerate((50, 60, 100)):
        start = datetime(2027, 1, n + 1, 10, 0, tzinfo=UTC)
        sending = Sending.objects.create(
            workspace=workspace, kind="campaign", state="sent",
            started_at=start, ended_at=start.replace(second=10),
        )  # fmt: skip
        execute(
            "INSERT INTO outbound_send (sending_id, no, address, site, chunk)"
            " SELECT %s, n, 'a@b.example', 'b.example', 1 FROM generate_series(1, %s) AS n",
            [sending.pk, people],
        )
    found = usual(workspace)
    assert (found.people, found.rate) == (60, 6.0)
    assert found.minutes(3600) == 10 and found.minutes(1) == 1 and found.minutes(0) is None


def test_progress_tells_why_it_waits_and_when_it_goes_on(workspace: Workspace) -> None:
    campaign = Campaign.objects.create(workspace=workspace, name="Lettre", state="sending")
    assert progress.of(campaign) is None
    sending = Sending.objects.create(
        workspace=workspace, kind="campaign", campaign_id=campaign.pk, state="sending",
        started_at=timezone.now() - timedelta(seconds=20),
    )  # fmt: skip
    execute(
        "INSERT INTO outbound_send (sending_id, no, address, site, chunk)"
        " SELECT %s, n, 'a@b.example', 'b.example', 1 FROM generate_series(1, 8) AS n",
        [sending.pk],
    )
    execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
        " SELECT %s, n, 'delivered', now(), 1, 250, 'taken' FROM generate_series(1, 4) AS n",
        [sending.pk],
    )
    for no, site, cause, due in (
        (5, "a.example", "mailbox_full", 5),
        (6, "b.example", "greylisted", 3),
        (7, "b.example", "greylisted", 9),
    ):
        execute(
            "INSERT INTO outbound_retry (sending_id, no, site, priority, due, attempts, first_at, cause, code, reply)"
            " VALUES (%s, %s, %s, 5, %s, 1, now(), %s, 451, 'later')",
            [sending.pk, no, site, NOW.replace(minute=due), cause],
        )
    found = progress.of(campaign)
    assert found is not None and (found.total, found.done, found.waiting, found.quarter) == (8, 4, 1, 2)
    assert found.rate == pytest.approx(4 / 20, rel=0.3) and found.minutes == 1
    obstacle = found.obstacle
    assert obstacle is not None
    assert (obstacle.people, obstacle.site, obstacle.cause, obstacle.reply) == (
        2,
        "b.example",
        "greylisted",
        "451 later",
    )
    assert obstacle.next_at == NOW.replace(minute=3)
    figures = progress.figures(workspace.pk, campaign.pk)
    assert figures is not None and figures["done"] == 4 and figures["deferred"] == 3
    Campaign.objects.filter(pk=campaign.pk).update(state="paused")
    campaign.refresh_from_db()
    paused = progress.of(campaign)
    assert paused is not None and paused.rate == 0 and paused.obstacle is None, (
        "nothing moves, nothing waits for itself"
    )


def test_the_rhythm_has_zeros_but_nothing_before_the_first(workspace: Workspace) -> None:
    sending = Sending.objects.create(workspace=workspace, kind="campaign", state="sending")
    for no, second in ((1, 0), (2, 5), (3, 35)):
        execute(
            "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
            " VALUES (%s, %s, 'delivered', %s, 1, 250, 'taken')",
            [sending.pk, no, NOW.replace(second=second)],
        )
    start = int(NOW.timestamp())
    assert progress.rhythm(sending.pk, NOW.replace(second=45)) == [
        (start, 0.2), (start + 10, 0.0), (start + 20, 0.0), (start + 30, 0.1),
    ]  # fmt: skip
    assert progress.rhythm(sending.pk, NOW.replace(second=9)) == [], "the first step is not over"
    assert progress.rhythm(sending.pk, NOW.replace(minute=2), large=True) == [(start, 0.05), (start + 60, 0.0)]
