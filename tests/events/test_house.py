"""Months are there before they are needed; old events go and leave only figures; others can record events too."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import pytest

from envol import events
from envol.accounts.models import Workspace
from envol.db import execute, rows, value
from envol.events import NewEvent, counters, hits, tasks
from envol.events.counters import Count, Frozen, Key
from envol.events.hits import Hit, Level, Recipient
from envol.events.models import Event, Kind, MailRequest


@pytest.fixture
def sending() -> int:
    return random.randrange(10**9, 10**11)


def test_the_next_months_are_made_ahead() -> None:
    made = tasks.make_ahead(date(2031, 11, 20))
    assert made == [f"events_event_{m}" for m in ("2031_11", "2031_12", "2032_01", "2032_02")]
    assert tasks.make_ahead(date(2031, 11, 21)) == []
    for name in made:
        execute(f"DROP TABLE {name}")


def test_what_a_wrong_clock_brought_moves_into_its_month(workspace: Workspace, sending: int) -> None:
    far = datetime(2041, 5, 17, 12, tzinfo=UTC)
    events.record([NewEvent(workspace.id, Kind.CLICKED, 5, sending, 1, at=far)])
    assert (
        value("SELECT tableoid::regclass::text FROM events_event WHERE sending_id = %s", [sending])
        == "events_event_default"
    )
    tasks.make_ahead(date(2041, 5, 1))
    assert rows("SELECT tableoid::regclass::text, at FROM events_event WHERE sending_id = %s", [sending]) == [
        ("events_event_2041_05", far)
    ]
    for month in ("2041_05", "2041_06", "2041_07", "2041_08"):
        execute(f"DROP TABLE events_event_{month}")


def test_old_months_go_and_their_counters_stay(
    workspace: Workspace, sending: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    value("SELECT events_make_partitions('2021-03-01', 1)")
    old = datetime(2021, 3, 9, tzinfo=UTC)
    events.record([NewEvent(workspace.id, Kind.CLICKED, n, sending, 1, at=old) for n in (1, 2)])
    events.record([NewEvent(workspace.id, Kind.CLICKED, None, sending, 2, at=old)])
    figures = counters.read([sending])
    assert figures[Key(sending, Kind.CLICKED, 0, False)] == Count(3, 2, 1)

    assert "events_event_2021_03" in tasks.drop_old(date(2022, 5, 1), 13)
    assert rows("SELECT 1 FROM events_event WHERE sending_id = %s", [sending]) == []
    assert counters.read([sending]) == figures
    with pytest.raises(Frozen, match="dropped at the end of their retention"):
        counters.rebuild(sending)

    # A late click on an old message still counts, but there is nobody to compare it with.
    who = Recipient(workspace.id, 1, Level.INDIVIDUAL, Level.INDIVIDUAL, old)
    monkeypatch.setattr(hits, "_resolver", lambda pairs: [who for _ in pairs])
    hits.record_hits([Hit(Kind.CLICKED, sending, 1, 1, datetime.now(UTC))])
    assert counters.read([sending])[Key(sending, Kind.CLICKED, 0, False)] == Count(4, 2, 2)
    assert value("SELECT contact_id FROM events_event WHERE sending_id = %s", [sending]) is None


def test_a_month_inside_its_retention_stays(workspace: Workspace) -> None:
    assert tasks.keep_house()["dropped"] == []
    assert tasks.keep_house() == {"made": [], "dropped": []}


def test_rebuilding_finds_what_was_counted(workspace: Workspace, sending: int) -> None:
    events.record([NewEvent(workspace.id, Kind.UNSUBSCRIBED, n, sending) for n in range(5)])
    events.record([Event(workspace_id=workspace.id, kind=Kind.COMPLAINED, contact_id=1, sending_id=sending)])
    counted = counters.read([sending])
    assert counted == {
        Key(sending, Kind.UNSUBSCRIBED, 0, False): Count(5, 5, 0),
        Key(sending, Kind.COMPLAINED, 0, False): Count(1, 1, 0),
    }
    execute("UPDATE events_counter SET events = 99 WHERE sending_id = %s", [sending])
    assert counters.rebuild(sending) == counted


def test_events_of_other_kinds_have_no_counter(workspace: Workspace, sending: int) -> None:
    assert events.record([NewEvent(workspace.id, Kind.LIST_JOINED, 7, facts={"list": 3})]) == 1
    assert events.record([]) == 0
    assert Event.objects.get(workspace_id=workspace.id, contact_id=7).facts == {"list": 3}
    assert counters.read([sending]) == {}


def test_a_room_can_ask_that_somebody_be_written_to(workspace: Workspace) -> None:
    events.request_mail("code", "zoe@lecteurs.example", {"code": "123456"}, workspace_id=workspace.id, language="en")
    asked = MailRequest.objects.get(workspace_id=workspace.id)
    assert (asked.kind, asked.recipient, asked.facts, asked.taken_at) == (
        "code",
        "zoe@lecteurs.example",
        {"code": "123456"},
        None,
    )


def test_requests_for_mail_are_forgotten_after_thirty_days(workspace: Workspace) -> None:
    now = datetime(2026, 6, 30, 12, tzinfo=UTC)
    for name, age in (("old", timedelta(days=30, seconds=1)), ("young", timedelta(days=30)), ("waiting", None)):
        made = events.request_mail("code", f"{name}@un.example", {}, workspace_id=workspace.id)
        if age is not None:
            MailRequest.objects.filter(pk=made.pk).update(taken_at=now - age)
    tasks.forget_mail_requests(now)
    left = MailRequest.objects.filter(workspace_id=workspace.id).order_by("id").values_list("recipient", flat=True)
    assert list(left) == ["young@un.example", "waiting@un.example"]
