"""Reports of large sendings: counted before somebody asks, kept for all processes, true or said not to be."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.db import execute
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.insight import kept
from envol.insight.heat import heat
from envol.insight.models import Counted
from envol.insight.report import report
from envol.outbound.models import Sending
from tests.insight.test_report import Campaign


@pytest.fixture
def campaign(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Campaign:
    monkeypatch.setattr(kept, "is_large", lambda table: True)
    made = Campaign(workspace)
    for number in range(3):
        reader = made.sent(made.person())
        if number:
            record([NewEvent(workspace.pk, Kind.CLICKED, reader, made.sendings[0], 1)])
    # Before all others of this database's, so that the worker comes to it first.
    Sending.objects.filter(pk__in=made.sendings).update(started_at=timezone.now(), ended_at=timezone.now())
    return made


def look_after_all() -> int:
    """As the worker does within some minutes: until nothing is left."""
    counted = 0
    while kept.look_after():
        counted += 1
        assert counted < 500
    return counted


def click(campaign: Campaign) -> None:
    reader = campaign.sent(campaign.person())
    record([NewEvent(campaign.workspace.pk, Kind.CLICKED, reader, campaign.sendings[0], 1)])


def age(campaign: Campaign, by: timedelta) -> None:
    """The clock of what was counted goes back: so much later is now."""
    execute(
        "UPDATE insight_counted SET counted_at = counted_at - %s, read_at = read_at - %s WHERE workspace_id = %s",
        [by, by, campaign.workspace.pk],
    )


def test_the_worker_counts_before_anybody_asks(campaign: Campaign) -> None:
    assert kept.at_hand(campaign.workspace, campaign.sendings) is None
    assert look_after_all() >= 1
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and not found.moved
    counted = report(campaign.workspace, campaign.sendings)
    assert {**found.made.report.as_dict(), "at": ""} == {
        **counted.as_dict(),
        "at": "",
    } and found.made.report.clicked.people == 2
    assert found.made.heat == heat(campaign.workspace, campaign.sendings)
    assert not look_after_all(), "nothing moved"


def test_what_moved_is_said_and_counted_again_but_not_at_every_click(campaign: Campaign) -> None:
    look_after_all()
    click(campaign)
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and not found.moved, "a minute old: as good as now"
    assert not look_after_all()
    age(campaign, timedelta(seconds=kept.SECONDS + 1))
    Counted.objects.exclude(workspace=campaign.workspace).update(counted_at=timezone.now() - timedelta(hours=1))
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and found.moved and found.made.report.clicked.people == 2
    look_after_all()
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and not found.moved and found.made.report.clicked.people == 3


def test_counting_takes_a_twentieth_of_the_time(campaign: Campaign) -> None:
    look_after_all()
    click(campaign)
    age(campaign, timedelta(minutes=5))
    Counted.objects.filter(workspace=campaign.workspace).update(took=60.0)
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and not found.moved, "a minute of counting stands for twenty"
    age(campaign, timedelta(minutes=16))
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and found.moved


def test_who_waits_for_it_gets_what_is_true_now(campaign: Campaign) -> None:
    look_after_all()
    click(campaign)
    age(campaign, timedelta(hours=1))
    assert kept.figures(campaign.workspace, campaign.sendings).report.clicked.people == 3


def test_reports_that_nobody_looks_at_are_forgotten(campaign: Campaign) -> None:
    look_after_all()
    Sending.objects.filter(pk__in=campaign.sendings).update(
        started_at=timezone.now() - timedelta(days=30), ended_at=timezone.now() - timedelta(days=30)
    )
    click(campaign)
    age(campaign, timedelta(days=6))
    Counted.objects.exclude(workspace=campaign.workspace).update(counted_at=timezone.now() - timedelta(hours=1))
    look_after_all()
    found = kept.at_hand(campaign.workspace, campaign.sendings)
    assert found is not None and not found.moved, "somebody read it within the week"
    age(campaign, timedelta(days=8))
    look_after_all()
    assert kept.at_hand(campaign.workspace, campaign.sendings) is None


def test_a_report_of_another_version_is_counted_anew(campaign: Campaign) -> None:
    look_after_all()
    Counted.objects.filter(workspace=campaign.workspace).update(body='{"was": "otherwise"}')
    assert kept.at_hand(campaign.workspace, campaign.sendings) is None
    assert kept.figures(campaign.workspace, campaign.sendings).report.clicked.people == 2


def test_it_names_nobody(campaign: Campaign) -> None:
    address = "zoe.martin@lecteurs.example"
    campaign.sent(campaign.person(), "bounced", "hard_bounce")
    said = f"550 5.1.1 <{address}> unknown"
    execute(
        "UPDATE outbound_outcome SET reply = %s WHERE sending_id = %s AND state = 'bounced'",
        [said, campaign.sendings[0]],
    )
    made = kept.figures(campaign.workspace, campaign.sendings).report
    assert any("550 5.1.1" in cause.example for cause in made.causes)
    assert not any("zoe" in body for body in Counted.objects.values_list("body", flat=True))


def test_who_asks_while_another_counts_waits_for_it(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    count = kept._count

    def slowly(workspace: Workspace, ids: Sequence[int]) -> kept.Figures:
        counted.append(threading.get_ident())
        time.sleep(0.3)  # long enough for the other to come
        return count(workspace, ids)

    monkeypatch.setattr(kept, "_count", slowly)

    def ask(_: int) -> kept.Figures:
        try:
            return kept.figures(campaign.workspace, campaign.sendings)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(ask, range(2))
    assert one == other and len(counted) == 1
