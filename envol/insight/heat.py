"""On which day and hour do people click? Events by weekday and hour of the workspace's own clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from envol.accounts.models import Workspace
from envol.audience.days import Days
from envol.db import rows, sql
from envol.events.models import Kind

ENOUGH = 500
"""Clicks below which an hour of the week says more about chance than about people."""


@dataclass(frozen=True, slots=True)
class Cell:
    """``day`` 1 is Monday. ``people`` stand behind ``events``, but for those measured in sum."""

    day: int
    hour: int
    events: int = 0
    people: int = 0

    @property
    def figure(self) -> str:
        return f"slot:{self.day}:{self.hour}"


@dataclass(frozen=True, slots=True)
class Heat:
    """``cells`` are 7 × 24, Monday at midnight first; ``zone`` is the clock they are told by."""

    zone: str
    cells: tuple[Cell, ...]
    total: int

    @property
    def enough(self) -> bool:
        return self.total >= ENOUGH

    @property
    def best(self) -> Cell:
        return max(self.cells, key=lambda cell: cell.events)


def heat(workspace: Workspace, sending_ids: Sequence[int]) -> Heat:
    """Clicks without machines by weekday and hour, counted now."""
    zone = clock_of(workspace)
    params = {"sendings": list(sending_ids), "kind": int(Kind.CLICKED), "zone": zone}
    found = {
        (day, hour): Cell(day, hour, events, people)
        for day, hour, events, people in rows(sql("insight", "heat"), params)
    }
    cells = tuple(found.get((day, hour), Cell(day, hour)) for day in range(1, 8) for hour in range(24))
    return Heat(zone, cells, sum(cell.events for cell in cells))


def clock_of(workspace: Workspace) -> str:
    """The time zone by which a workspace tells hours; UTC where its own is unknown to this machine."""
    return Days.of(datetime.now(UTC), workspace.time_zone).zone.key
