"""Connections, rates and warm-up that couriers agree on: never more together than a receiver takes."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.events.models import Kind
from envol.outbound import accept, egress, lease, shaping, sites, states, warmup
from envol.outbound.settle import DEFERRED, Result, settle
from envol.outbound.shaping import Ask
from envol.outbound.warmup import Day
from tests.outbound import helpers
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def ask(courier: str, group: str = "google", *, at: datetime = NOON, **more: Any) -> shaping.Grant:
    one = Ask(group, more.pop("source", "*"), **{"lanes": 1, **more})
    return shaping.agree(courier, [one], now=at)[group, one.source]


def test_receivers_are_known_by_their_hosts_and_each_number_has_a_source() -> None:
    assert sites.group_of("gmail-smtp-in.l.google.com") == "google"
    assert sites.group_of("librairie-example.mail.protection.outlook.com.") == "microsoft"
    assert sites.group_of("mx1.mail.hebergeur.example") == "hebergeur.example"
    assert sites.group_of("mx.petit.co.uk") == "petit.co.uk"
    assert all(one.source for one in sites.receivers().values())
    assert round(sum(one.share for one in sites.receivers().values()), 6) == 1
    assert isinstance(sites.as_of(), date)


def test_two_couriers_share_the_connections_of_a_receiver() -> None:
    assert ask("a").connections == 5
    assert ask("b", open=0).connections == 0  # a holds all five until it asks again
    assert ask("a", open=5).connections == 3
    assert ask("b").connections == 0
    assert ask("a", open=3).connections == 3
    assert ask("b").connections == 2


def test_a_courier_that_died_gives_its_connections_back_after_a_while() -> None:
    assert ask("a").connections == 5
    assert ask("b", at=NOON + timedelta(seconds=shaping.HOLD_SECONDS - 1)).connections == 0
    assert ask("b", at=NOON + timedelta(seconds=shaping.HOLD_SECONDS + 1)).connections == 5


def test_whatever_couriers_do_their_connections_never_exceed_the_limit() -> None:
    dice = random.Random(5)
    granted: dict[str, int] = {}
    for step in range(200):
        who = f"c{dice.randrange(6)}"
        held = granted.get(who, 0)
        still_open = dice.randint(0, held)
        busy = dice.random() < 0.8
        # What it has open it keeps open; beyond that it opens what it was granted.
        got = ask(who, lanes=int(busy), open=still_open, at=NOON + timedelta(seconds=step / 10)).connections
        granted[who] = max(got, still_open)
        assert sum(granted.values()) <= 5, (step, granted)


def test_a_word_on_our_rate_halves_at_once_and_calm_raises_slowly() -> None:
    ask("a", sent=600)
    slow = ask("a", slowed=True, reason="421 4.7.28 unusual rate")
    assert slow.connections == 2 and slow.paused == 300 and slow.messages == 0
    assert ask("b", want=50).paused == 300  # the others hear of it
    # Many connections say the same at once: it is one word.
    assert ask("b", slowed=True, reason="421 4.7.28 unusual rate", at=NOON + timedelta(seconds=3)).paused <= 300
    assert shaping.table()[0]["reason"] == "421 4.7.28 unusual rate"
    later = NOON + timedelta(seconds=300 + 2 * shaping.HOLD_SECONDS)
    calm = ask("a", want=1000, at=later)
    assert calm.paused == 0 and calm.connections == 2
    assert calm.messages == 300 // 6  # half of 600 a minute, ten seconds' worth
    for minute in range(0, 60, 5):
        ask("a", at=later + timedelta(minutes=minute))
    assert ask("a", at=later + timedelta(minutes=61)).connections == 5


def test_words_that_go_on_double_the_pause_up_to_a_longest_one() -> None:
    at, pauses = NOON, []
    for _ in range(6):
        pauses.append(ask("a", "yahoo", slowed=True, reason="421 [TSS04]", at=at).paused)
        at += timedelta(seconds=pauses[-1] + 60)
    assert pauses == [7200, 14400, 14400, 14400, 14400, 14400]


def test_the_rate_is_kept_by_all_couriers_together() -> None:
    ask("a", sent=120)
    ask("a", slowed=True)
    start = NOON + timedelta(seconds=301)
    ask("a", at=start, lanes=0)  # its connection is free again
    given = 0
    for step in range(600):  # a minute of eight couriers that want much more
        given += ask(f"c{step % 8}", want=500, at=start + timedelta(seconds=step / 10)).messages or 0
    assert 50 <= given <= 60 + 10


def test_a_courier_without_a_connection_takes_no_leave_from_the_one_that_has_it() -> None:
    ask("a", slowed=True, sent=60)
    ask("a", slowed=True, at=NOON + timedelta(seconds=30))
    start = NOON + timedelta(minutes=8)
    assert ask("a", at=start, open=1, want=0).connections == 1
    given = 0
    for second in range(1, 21):
        now = start + timedelta(seconds=second)
        waiting = ask("b", at=now, want=15)  # it asks before the other, each time
        assert (waiting.connections, waiting.messages) == (0, 0)
        given += ask("a", at=now, open=1, want=15).messages or 0
    assert given >= 5


def test_leave_that_is_given_back_can_be_used_by_another() -> None:
    def messages(courier: str, group: str, want: int) -> int | None:
        return ask(courier, group, plan="conservative", want=want).messages

    assert messages("a", "petit.example", 3) == 3
    assert messages("b", "autre.example", 10) == 2  # all small receivers together: a tenth of the first day's fifty
    assert messages("a", "petit.example", -3) == 0
    assert messages("b", "autre.example", 10) == 3


def day(**more: Any) -> Day:
    return Day(**{"day": date(2026, 11, 26), "step": 4, "allowed": 240, "used": 240, "sent": 240, **more})


@pytest.mark.parametrize(
    ("last", "gap", "step", "note"),
    [
        (day(), 1, 5, ""),
        (day(used=100), 1, 4, ""),  # not even half of it: the day does not count
        (day(deferred=25), 1, 4, "held"),
        (day(hard=5), 1, 4, "held"),
        (day(hard=13), 1, 2, "stopped"),
        (day(complaints=1), 1, 2, "stopped"),
        (day(blocked=1), 1, 2, "stopped"),
        (day(), 31, 2, "idle"),
        (None, 1, 0, ""),
    ],
)
def test_the_calendar_follows_what_happened(last: Day | None, gap: int, step: int, note: str) -> None:
    today = date(2026, 11, 26) + timedelta(days=gap)
    begun = warmup.begin("conservative", "google", today, last)
    assert (begun.step, begun.note) == (step, note)
    assert begun.allowed == round(warmup.PLANS["conservative"][step] * 0.30)


def test_a_block_ends_the_day() -> None:
    assert ask("a", plan="conservative", want=5).messages == 5
    stopped = ask("a", plan="conservative", want=5, sent=5, blocked=1)
    assert stopped.messages == 0 and stopped.spent == 12 * 3600


def test_a_complaint_of_today_is_remembered_by_the_calendar() -> None:
    ask("a", plan="conservative", want=5)
    db.execute("UPDATE outbound_warmup SET day = (now() AT TIME ZONE 'UTC')::date")
    shaping.agree("a", [], learnt={"lecteurs.example": "google"})
    shaping.complained("lecteurs.example")
    shaping.complained("ailleurs.example")
    assert db.value("SELECT complaints FROM outbound_warmup") == 1


@pytest.mark.slow
def test_thirty_days_of_eight_couriers_never_go_beyond_a_days_allowance() -> None:
    """Each courier takes leave, uses some, dies now and then with what it has left, and wants more than there is."""
    dice = random.Random(11)
    groups = {"google": 0.30, "orange": 0.10, "petit.example": 0.10, "autre.example": 0.10}
    sent: Counter[tuple[date, str]] = Counter()
    now = datetime(2026, 11, 1, tzinfo=UTC)
    leave: dict[tuple[int, str], int] = {}
    for _ in range(30):
        for _ in range(14):
            now += timedelta(seconds=dice.randint(3000, 6000))
            for courier in dice.sample(range(8), 8):
                for group in groups:
                    key = courier, group
                    if dice.random() < 0.1:
                        leave[key] = 0  # killed: what it had is lost
                    had = leave.get(key, 0)
                    went = dice.randint(0, had)
                    sent[now.date(), warmup.bucket_of(group)] += went
                    got = ask(
                        str(courier),
                        group,
                        source="192.0.2.10",
                        plan="conservative",
                        want=dice.randint(1, 30_000) - (had - went),
                        sent=went,
                        at=now,
                    )
                    # It keeps what is left, or gives it back, and uses all of the new at once.
                    assert got.messages is not None
                    leave[key] = 0
                    sent[now.date(), warmup.bucket_of(group)] += got.messages
        now = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    calendar = {(row["day"], row["receiver"]): row for row in shaping.calendar()}
    assert len({when for when, _ in calendar}) == 30
    last = max(row["step"] for row in calendar.values())
    assert last > 20  # it moved along the calendar
    for key, row in calendar.items():
        assert row["used"] <= row["allowed"], row
        assert row["allowed"] == warmup.allowance("conservative", row["step"], row["receiver"])
        assert key in sent


def test_no_lease_for_a_receiver_whose_day_is_over_but_for_what_cannot_wait(workspace) -> None:
    marketing = queued(workspace, 120, domain="lecteurs.example")
    urgent = queued(workspace, 3, domain="lecteurs.example", kind="transactional", priority=2)
    other = queued(workspace, 120, domain="ailleurs.example")
    shaping.agree("x", [], learnt={"lecteurs.example": "google"})

    def leased(**more: Any) -> set[int]:
        found = lease.lease("c", 1000, seconds=60, **more)
        ids = {row.sending.id for one in found for row in one.rows}
        lease.release(found)
        return ids

    assert leased() == {marketing.id, urgent.id, other.id}
    assert leased(spent=["google"]) == {urgent.id, other.id}
    assert leased(shut=["google"]) == {other.id}


def test_what_is_held_by_ourselves_loses_no_attempt_and_no_lifetime(workspace) -> None:
    one = queued(workspace, 2)
    (held,) = lease.lease("c", 10, seconds=60)
    row = held.rows[0]
    settle([Result(row, DEFERRED, "warm_up", reply="Tomorrow.", hold=86_400.0)])
    attempts, wait, lifetime = db.rows(
        "SELECT attempts, extract(epoch FROM due - now()), extract(epoch FROM first_at - due) FROM outbound_retry"
    )[0]
    assert attempts == 1 and 86_000 < wait <= 86_400 and lifetime == 0
    # Held for a month: it is still there, and still has all its attempts.
    for _ in range(30):
        db.execute("UPDATE outbound_retry SET due = now(), first_at = first_at - interval '3 days'")
        again = [o for o in lease.lease("c", 10, seconds=60) if o.retries][0]
        assert again.rows[0].attempts == 2
        settle([Result(again.rows[0], DEFERRED, "warm_up", reply="Tomorrow.", hold=86_400.0)])
        lease.release([again])
    assert db.value("SELECT attempts FROM outbound_retry") == 1
    assert states.counts(one.id)["deferred"] == 1 and states.invariants() == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("192.0.2.10 out.example.org transactional; 2001:db8::1 - marketing lists warm", ""),
        ("* - warm=aggressive", ""),
        ("192.0.2.10 transactional", "second word"),
        ("out.example.org - marketing", "no address"),
        ("192.0.2.10 - workspace=all", "no rule"),
        ("192.0.2.10 - warm=quick", "no rule"),
        ("192.0.2.10; 192.0.2.10", "twice"),
    ],
)
def test_sources_are_read_from_a_setting_or_refused_with_a_sentence(text: str, wrong: str) -> None:
    if wrong:
        with pytest.raises(ValueError, match=wrong):
            egress.parse(text)
    else:
        assert egress.parse(text)


def test_pools_by_stream_workspace_and_receiver_and_the_same_source_for_each_retry() -> None:
    sources = egress.parse(
        "192.0.2.1 - transactional; 192.0.2.2 - marketing; 192.0.2.3 - marketing; 192.0.2.4 - workspace=7; 192.0.2.5 -"
    )

    def names(stream: str, workspace: int) -> list[str]:
        return [one.address[-1] for one in egress.pool(sources, stream, workspace, "google")]

    assert names("transactional", 1) == ["1"] and names("marketing", 1) == ["2", "3"]
    assert names("lists", 1) == ["5"] and names("lists", 7) == ["4"]
    pool = egress.pool(sources, "marketing", 1, "google")
    first = Counter(egress.in_order(pool, (1, no))[0].address for no in range(1000))
    assert min(first.values()) > 400
    assert egress.in_order(pool, (1, 5)) == egress.in_order(pool[::-1], (1, 5))


def test_a_new_address_meets_those_who_reacted_lately_first(workspace, monkeypatch) -> None:
    people = helpers.people(workspace, 40)
    db.execute("UPDATE contacts_contact SET created_at = now() - interval '1 year'")
    lately, some_time_ago, opened = people[7][0], people[3][0], people[30][0]
    for contact, days in ((lately, 3), (some_time_ago, 45), (people[9][0], 200)):
        db.execute(
            "INSERT INTO events_event (workspace_id, kind, contact_id, at)"
            " VALUES (%s, %s, %s, now() - %s * interval '1 day')",
            [workspace.id, int(Kind.CLICKED), contact, days],
        )
    db.execute("UPDATE contacts_contact SET last_open_day = current_date - 10 WHERE id = %s", [opened])

    def order(sources: str) -> list[int]:
        monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, route="direct", sources=sources))
        one = helpers.sending(workspace)
        accept.expand_batch(one, people)
        found = []
        for _ in range(10):
            for held in lease.lease("c", 1, seconds=60):
                found += [row.no for row in held.rows if row.sending.id == one.id]
        return found

    assert order("") == [no for no, _ in people]
    warm = order("192.0.2.9 - warm")
    assert warm[:3] == sorted([lately, opened]) + [some_time_ago]
    assert sorted(warm) == [no for no, _ in people]
