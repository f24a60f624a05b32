"""What is counted: each act once, people and machines apart, and nothing that a person did not allow."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.db import rows
from envol.events import counters, hits
from envol.events.counters import Count, Key
from envol.events.hits import Hit, Level, Recipient, record_hits
from envol.events.models import Kind

DELIVERED = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
_sendings = itertools.count(random.randrange(10**9, 10**11, 10**4))


def at(seconds: float) -> datetime:
    """So long after delivery."""
    return DELIVERED + timedelta(seconds=seconds)


class Shop:
    """Readers of one sending: number n is contact 1000 + n; what each allows can change at any time."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.sending = next(_sendings)
        self.opens: dict[int | None, Level] = {}
        self.clicks: dict[int | None, Level] = {}
        self.open_days: dict[int, date] = {}

    def resolve(self, pairs: Sequence[tuple[int, int | None]]) -> list[Recipient | None]:
        return [
            Recipient(
                self.workspace.id,
                None if no is None else 1000 + no,
                self.opens.get(no, Level.NONE if no else Level.AGGREGATE),
                self.clicks.get(no, Level.INDIVIDUAL if no else Level.AGGREGATE),
                DELIVERED - timedelta(hours=1),
                DELIVERED if no else None,
            )
            if sending == self.sending
            else None
            for sending, no in pairs
        ]

    def click(self, no: int | None, link: int, seconds: float, machine: str = "") -> Hit:
        return Hit(Kind.CLICKED, self.sending, no, link, at(seconds), machine)

    def open(self, no: int | None, seconds: float, machine: str = "") -> Hit:
        return Hit(Kind.OPENED, self.sending, no, 0, at(seconds), machine)

    def count(self, kind: Kind = Kind.CLICKED, link: int = 0, machine: bool = False) -> tuple[int, int, int]:
        return tuple(counters.read([self.sending]).get(Key(self.sending, kind, link, machine), Count()))

    def stored(self) -> list[tuple[object, ...]]:
        return rows(
            "SELECT kind, contact_id, link, machine FROM events_event WHERE sending_id = %s ORDER BY at, id",
            [self.sending],
        )


@pytest.fixture
def shop(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    one = Shop(workspace)
    monkeypatch.setattr(hits, "_resolver", one.resolve)
    monkeypatch.setattr(hits, "_open_days", lambda days: one.open_days.update(days))
    yield one
    incremental = counters.read([one.sending])
    if not counters.frozen([one.sending]):
        assert counters.rebuild(one.sending) == incremental, "counters are what the events say"


def test_people_and_events_are_counted_apart(shop: Shop) -> None:
    assert record_hits([shop.click(1, 1, 60), shop.click(2, 1, 61), shop.click(1, 2, 90)]) == 3
    assert shop.count() == (3, 2, 0)
    assert shop.count(link=1) == (2, 2, 0)
    assert shop.count(link=2) == (1, 1, 0)
    record_hits([shop.click(1, 1, 600)])
    assert shop.count() == (4, 2, 0) and shop.count(link=1) == (3, 2, 0)


def test_the_same_hit_within_two_seconds_counts_once(shop: Shop) -> None:
    record_hits([shop.click(1, 1, 60), shop.click(1, 1, 60.4), shop.click(1, 1, 61.9), shop.click(2, 1, 61)])
    assert shop.count() == (2, 2, 0)
    record_hits([shop.click(1, 1, 61.95)])
    assert shop.count() == (2, 2, 0), "also when the first was committed in an earlier batch"
    record_hits([shop.click(1, 1, 63), shop.open(2, 61)])
    assert shop.count() == (3, 2, 0), "two seconds later it is another"


def test_hits_that_name_nobody_all_count_and_name_nobody(shop: Shop) -> None:
    record_hits([shop.click(None, 3, 60), shop.click(None, 3, 60), shop.click(None, 3, 60.1), shop.open(None, 70)])
    assert shop.count(link=3) == (3, 0, 3) and shop.count() == (3, 0, 3)
    assert shop.count(Kind.OPENED) == (1, 0, 1)
    assert {contact for _, contact, _, _ in shop.stored()} == {None}


def test_a_personal_link_of_somebody_who_withdrew_is_counted_in_sum_only(shop: Shop) -> None:
    record_hits([shop.click(1, 1, 60)])
    shop.clicks[1] = Level.AGGREGATE
    record_hits([shop.click(1, 1, 90)])
    assert shop.stored() == [(Kind.CLICKED, 1001, 1, None), (Kind.CLICKED, None, 1, None)]
    assert shop.count() == (2, 1, 1)
    shop.clicks[1] = Level.NONE
    record_hits([shop.click(1, 1, 120)])
    assert shop.count() == (2, 1, 1), "and with everything refused it leaves nothing"


def test_an_open_is_kept_only_by_those_who_agreed(shop: Shop) -> None:
    shop.opens = {1: Level.INDIVIDUAL, 2: Level.NONE, 3: Level.LAST_OPEN_DAY}
    record_hits([shop.open(no, 3600) for no in (1, 2, 3)])
    assert shop.stored() == [(Kind.OPENED, 1001, None, None)]
    assert shop.open_days == {1003: at(3600).date()}, "the day, without a time, and nowhere else"


def test_a_machine_does_not_move_the_last_open_day(shop: Shop) -> None:
    shop.opens = {3: Level.LAST_OPEN_DAY}
    record_hits([shop.open(3, 3600, "agent"), shop.open(3, 1)])
    assert shop.open_days == {} and shop.stored() == []


@pytest.mark.parametrize("reason", ["head", "agent"])
def test_what_the_door_knows_to_be_a_machine_is_counted_apart(shop: Shop, reason: str) -> None:
    record_hits([shop.click(1, 1, 60, reason), shop.click(None, 1, 60, reason), shop.click(2, 1, 60)])
    assert shop.count() == (1, 1, 0)
    assert shop.count(machine=True) == (2, 1, 1)


def test_a_machine_never_hides_the_person_behind_it(shop: Shop) -> None:
    record_hits([shop.click(1, 1, 60, "head"), shop.click(1, 1, 61)])
    assert shop.count() == (1, 1, 0) and shop.count(machine=True) == (1, 1, 0)


def test_nobody_reads_within_two_seconds_of_delivery(shop: Shop) -> None:
    record_hits([shop.click(1, 1, 1.5), shop.click(2, 1, 2.5)])
    assert [row[3] for row in shop.stored()] == ["too_fast", None]


def test_three_links_in_two_seconds_are_a_machine_and_the_first_two_too(shop: Shop) -> None:
    record_hits([shop.click(1, 1, 60), shop.click(2, 1, 60)])
    record_hits([shop.click(1, 2, 60.5)])
    assert shop.count() == (3, 2, 0), "two links could still be a person"
    record_hits([shop.click(1, 3, 61.5)])
    assert shop.count() == (1, 1, 0)
    assert shop.count(machine=True) == (3, 1, 0)
    assert {row[3] for row in shop.stored() if row[1] == 1001} == {"many_links"}


def test_three_links_with_time_to_read_are_a_person(shop: Shop) -> None:
    record_hits([shop.click(1, 1, 60), shop.click(1, 2, 61.5), shop.click(1, 3, 63)])
    assert shop.count() == (3, 1, 0) and shop.count(machine=True) == (0, 0, 0)


def test_a_person_may_come_back_after_her_gateway_looked(shop: Shop) -> None:
    record_hits([shop.click(1, n, 10 + n / 10) for n in (1, 2, 3)])
    record_hits([shop.click(1, 2, 400)])
    assert shop.count() == (1, 1, 0) and shop.count(machine=True) == (3, 1, 0)


def test_unknown_sendings_leave_nothing(shop: Shop) -> None:
    assert record_hits([Hit(Kind.CLICKED, shop.sending + 1, 1, 1, at(60)), *[]]) == 0
    assert record_hits([]) == 0
    assert shop.stored() == []


def test_when_permissions_cannot_be_known_nothing_is_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pairs: object) -> list[Recipient | None]:
        raise OSError("no answer")

    monkeypatch.setattr(hits, "_resolver", broken)
    with pytest.raises(OSError):
        record_hits([shop.click(1, 1, 60)])
    monkeypatch.setattr(hits, "_resolver", None)
    with pytest.raises(RuntimeError, match="Nobody registered"):
        record_hits([shop.click(1, 1, 60)])
    assert shop.stored() == []


def test_two_processes_count_the_same_hit_once(shop: Shop) -> None:
    """The same requests arrive at two nodes at the same time, batch after batch."""
    from django.db import connection

    batches = [[shop.click(no, link, 60 + link * 3) for no in range(1, 21) for link in (1, 2)] for _ in range(6)]
    start = threading.Barrier(3)
    failures: list[BaseException] = []

    def node() -> None:
        try:
            start.wait(10)
            for batch in batches:
                record_hits(batch)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    nodes = [threading.Thread(target=node) for _ in range(3)]
    for one in nodes:
        one.start()
    for one in nodes:
        one.join()
    assert not failures
    assert shop.count() == (40, 20, 0)


def test_any_order_of_batches_ends_in_the_same_counters(shop: Shop) -> None:
    draw = random.Random(7)
    moments = [
        shop.click(
            draw.choice([None, 1, 2, 3, 4]), draw.randint(1, 5), draw.randint(3, 40), draw.choice(["", "", "head"])
        )
        for _ in range(300)
    ]
    moments += [shop.open(draw.choice([None, 1, 2]), draw.randint(3, 40)) for _ in range(40)]
    shop.opens[1] = Level.INDIVIDUAL
    while moments:
        size = draw.randint(1, 40)
        record_hits(moments[:size])
        moments = moments[size:]
    # The fixture compares the counters with what the events say.
    assert shop.count(machine=True)[0] > 50
