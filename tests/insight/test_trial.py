"""Intervals and verdicts against worked figures, and where they must refuse to judge."""

from __future__ import annotations

import random

import pytest

from envol.insight.trial import (
    COUNTER,
    NOT_SHOWN,
    PERTINENT,
    TOO_SMALL,
    Group,
    chance,
    holm,
    ratio,
    verdict,
    wilson,
    z_score,
)

SEGMENT, REST = Group(48, 1200), Group(380, 18_800)


def percents(pair: tuple[float, float]) -> tuple[float, float]:
    return round(100 * pair[0], 2), round(100 * pair[1], 2)


def test_the_worked_example() -> None:
    assert percents(SEGMENT.interval) == (3.03, 5.26)
    assert percents(REST.interval) == (1.83, 2.23)
    assert round(z_score(SEGMENT, REST), 2) == 4.59
    found = ratio(SEGMENT, REST)
    assert found and (round(found.value, 2), round(found.low, 2), round(found.high, 2)) == (1.98, 1.47, 2.66)
    assert verdict(SEGMENT, REST) == PERTINENT


def test_a_handful_of_people_is_too_small() -> None:
    assert percents(wilson(5, 80)) == (2.70, 13.81)
    assert verdict(Group(5, 80), REST) == TOO_SMALL
    assert verdict(REST, Group(5, 80)) == TOO_SMALL  # the rest may be too small as well


@pytest.mark.parametrize(
    ("inside", "outside"), [(Group(0, 0), REST), (SEGMENT, Group(0, 0)), (Group(0, 500), Group(0, 500)), (REST, REST)]
)
def test_nothing_to_compare_is_never_a_finding(inside: Group, outside: Group) -> None:
    assert verdict(inside, outside) in (TOO_SMALL, NOT_SHOWN)


def test_more_is_worse_where_it_does_harm() -> None:
    assert verdict(SEGMENT, REST, harm=True) == COUNTER
    assert verdict(REST, SEGMENT) == COUNTER
    assert verdict(REST, SEGMENT, harm=True) == PERTINENT


def test_a_sure_difference_that_is_too_small_to_matter_is_not_shown() -> None:
    inside, outside = Group(105_000, 1_000_000), Group(100_000, 1_000_000)
    assert chance(inside, outside) < 0.001 and verdict(inside, outside) == NOT_SHOWN


def test_nobody_of_many_is_a_finding() -> None:
    found = ratio(Group(0, 5000), REST)
    assert found and 0 < found.value < 0.1
    assert verdict(Group(0, 5000), REST) == COUNTER


def test_asking_often_asks_for_more() -> None:
    assert [round(one, 3) for one in holm([0.01, 0.04, 0.03, 0.005])] == [0.03, 0.06, 0.06, 0.02]
    assert holm([]) == [] and holm([0.2]) == [0.2]
    inside, outside = Group(60, 1000), Group(760, 19_000)
    alone = chance(inside, outside)
    assert verdict(inside, outside) == PERTINENT
    assert verdict(inside, outside, by_chance=holm([alone, *[0.5] * 99])[0]) == NOT_SHOWN


def test_intervals_hold_what_they_promise() -> None:
    """Of rates that are known, about 95 of a hundred lie inside; a coin that is fair is seldom called otherwise."""
    dice = random.Random(7)
    held = false = 0
    for _ in range(400):
        inside = sum(dice.random() < 0.1 for _ in range(200))
        outside = sum(dice.random() < 0.1 for _ in range(400))
        low, high = wilson(inside, 200)
        held += low <= 0.1 <= high
        false += verdict(Group(inside, 200), Group(outside, 400)) in (PERTINENT, COUNTER)
    assert 365 <= held <= 395 and false <= 28
