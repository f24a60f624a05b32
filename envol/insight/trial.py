"""Two groups and how many of each did something: what may be concluded from it. Pure functions.

Intervals are of 95 %: Wilson's for a rate, the log method for a ratio of two rates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()
Z = _NORMAL.inv_cdf(0.975)
CHANCE = 0.05
EXPECTED = 5  # Cochran: below so many expected in any cell, the normal approximation does not hold
WORTH = 1.1  # a ratio that is surely larger is worth a letter of its own

PERTINENT, NOT_SHOWN, COUNTER, TOO_SMALL = "pertinent", "not_shown", "counter", "too_small"


@dataclass(frozen=True, slots=True)
class Group:
    """``people`` of ``of`` did it."""

    people: int
    of: int

    @property
    def rate(self) -> float | None:
        return self.people / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.people, self.of)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as often, and between which bounds."""

    value: float
    low: float
    high: float

    @property
    def upside_down(self) -> Ratio:
        return Ratio(1 / self.value, 1 / self.high, 1 / self.low)


def wilson(people: int, of: int) -> tuple[float, float]:
    """Between which rates the true one lies; nobody asked: anything is possible."""
    if of <= 0:
        return 0.0, 1.0
    rate, square = people / of, Z * Z
    middle = (rate + square / (2 * of)) / (1 + square / of)
    half = Z / (1 + square / of) * sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    return (0.0 if people == 0 else max(0.0, middle - half)), (1.0 if people == of else min(1.0, middle + half))


def ratio(inside: Group, outside: Group) -> Ratio | None:
    """None when one of the groups is empty or nobody did it. Half a person is added to both where one count is 0."""
    if not inside.of or not outside.of or not inside.people + outside.people:
        return None
    more = 0.0 if inside.people and outside.people else 0.5
    x1, n1, x0, n0 = inside.people + more, inside.of + more, outside.people + more, outside.of + more
    value = (x1 / n1) / (x0 / n0)
    spread = Z * sqrt(max(0.0, 1 / x1 - 1 / n1 + 1 / x0 - 1 / n0))
    return Ratio(value, exp(log(value) - spread), exp(log(value) + spread))


def z_score(inside: Group, outside: Group) -> float:
    """Of two proportions with pooled variance; 0 where there is nothing to compare."""
    of = inside.of + outside.of
    pooled = (inside.people + outside.people) / of if of else 0.0
    if not inside.of or not outside.of or pooled in (0.0, 1.0):
        return 0.0
    difference = inside.people / inside.of - outside.people / outside.of
    return difference / sqrt(pooled * (1 - pooled) * (1 / inside.of + 1 / outside.of))


def chance(inside: Group, outside: Group) -> float:
    """How often chance alone would make a difference at least as large (two-sided)."""
    return 2 * (1 - _NORMAL.cdf(abs(z_score(inside, outside))))


def holm(chances: Sequence[float]) -> list[float]:
    """Each made larger for having asked several times (Holm), in the order given."""
    made, least = [0.0] * len(chances), 0.0
    for rank, n in enumerate(sorted(range(len(chances)), key=lambda n: chances[n])):
        least = max(least, min(1.0, chances[n] * (len(chances) - rank)))
        made[n] = least
    return made


def enough(inside: Group, outside: Group) -> bool:
    """Would at least five of each group do it, and not do it, if both were alike?"""
    of, people = inside.of + outside.of, inside.people + outside.people
    if not inside.of or not outside.of:
        return False
    least = min(inside.of, outside.of) / of
    return min(people, of - people) * least >= EXPECTED


def verdict(inside: Group, outside: Group, *, harm: bool = False, by_chance: float | None = None) -> str:
    """``harm``: fewer is better (leaving, complaints). ``by_chance`` after a correction for several questions."""
    found = ratio(inside, outside)
    if found is None or not enough(inside, outside):
        return TOO_SMALL
    if (chance(inside, outside) if by_chance is None else by_chance) >= CHANCE:
        return NOT_SHOWN
    if harm:
        found = found.upside_down
    if found.low > WORTH:
        return PERTINENT
    if found.high < 1 and found.value < 0.9:
        return COUNTER
    return NOT_SHOWN
