"""The calendar of an address that nobody knows yet: what it may send to each receiver on each day. Pure.

A day counts when at least half of its allowance was used. A day with many deferrals, dead addresses or complaints is
repeated; one with a block ends, and the next begins at half.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from envol.outbound.sites import OTHERS, receivers

PLANS: dict[str, tuple[int, ...]] = {
    # Messages a day from one address, to all receivers together. Source: KumoMTA's published warm-up files.
    "conservative": (
        *(50, 100, 200, 400, 800, 1_500, 3_000, 5_000, 7_500, 10_000),
        *(12_500, 15_000, 20_000, 25_000, 30_000, 35_000, 40_000, 45_000, 50_000, 55_000),
        *(60_000, 70_000, 80_000, 90_000, 100_000, 110_000, 120_000, 135_000, 150_000, 175_000),
    ),
    "aggressive": (
        *(200, 500, 1_000, 2_500, 5_000, 10_000, 20_000),
        *(35_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000),
    ),
}
HOLD_DEFERRED, HOLD_HARD, HOLD_COMPLAINTS = 0.10, 0.02, 0.001
STOP_HARD, STOP_COMPLAINTS = 0.05, 0.003
FEW = 10
"""Fewer messages than these say nothing by their rates."""
IDLE_DAYS = 30


@dataclass(slots=True)
class Day:
    """One day of one address at one receiver. `used`: messages that were given leave to go."""

    day: date
    step: int
    allowed: int
    used: int = 0
    sent: int = 0
    deferred: int = 0
    hard: int = 0
    blocked: int = 0
    complaints: int = 0
    note: str = ""

    @property
    def stopped(self) -> bool:
        """Must nothing more go today?"""
        if self.blocked:
            return True
        return self.sent >= FEW and (
            self.hard > STOP_HARD * self.sent or self.complaints >= max(1.0, STOP_COMPLAINTS * self.sent)
        )

    @property
    def held(self) -> bool:
        """Must the next day be no larger?"""
        return self.sent >= FEW and (
            self.deferred > HOLD_DEFERRED * self.sent
            or self.hard > HOLD_HARD * self.sent
            or self.complaints > HOLD_COMPLAINTS * self.sent
        )

    @property
    def left(self) -> int:
        return 0 if self.stopped else max(0, self.allowed - self.used)


def bucket_of(group: str) -> str:
    """Receivers of the data file warm up each for itself, all others together."""
    known = receivers().get(group)
    return group if known is not None and known.share > 0 else OTHERS


def allowance(plan: str, step: int, bucket: str) -> int:
    """Messages of that step for that receiver; at least one."""
    days = PLANS[plan]
    return max(1, round(days[min(step, len(days) - 1)] * receivers()[bucket].share))


def over(plan: str, step: int) -> bool:
    """Is the calendar at its end?"""
    return step >= len(PLANS[plan])


def begin(plan: str, bucket: str, today: date, last: Day | None) -> Day:
    """The day that begins, after the last one on which something went."""
    step, note = 0, ""
    if last is not None:
        if (today - last.day).days > IDLE_DAYS:
            step, note = last.step // 2, "idle"
        elif last.stopped:
            step, note = last.step // 2, "stopped"
        elif last.held:
            step, note = last.step, "held"
        elif last.used * 2 < last.allowed:
            step = last.step
        else:
            step = last.step + 1
    return Day(today, step, allowance(plan, step, bucket), note=note)
