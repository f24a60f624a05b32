"""What happened to some sendings, stretch of time by stretch of time, as it happened; machines left out.

A person counts once in a stretch for each sending. Single events older than their retention are in no stretch, while
what became of messages stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from envol.db import rows, sql
from envol.events.counters import COUNTED
from envol.events.models import Kind

UNITS = ("highest", "hour", "day", "week", "month")
"""Five minutes; and whole hours, days, weeks and months of UTC."""


@dataclass(slots=True)
class Stretch:
    """``states``: messages by what became of them; ``events`` and ``people`` by what they did."""

    began: datetime
    states: dict[str, int] = field(default_factory=dict)
    events: dict[Kind, int] = field(default_factory=dict)
    people: dict[Kind, int] = field(default_factory=dict)


def stretches(sendings: Sequence[int], unit: str, since: datetime, until: datetime) -> list[Stretch]:
    """Those in which something happened, in order."""
    if unit not in UNITS:
        raise ValueError(unit)
    given = {"sendings": list(sendings), "unit": unit, "since": since, "until": until}
    found: dict[datetime, Stretch] = {}
    states: dict[datetime, dict[str, int]] = defaultdict(dict)
    for began, state, count in rows(sql("outbound", "tally_times"), given):
        states[began][state] = count
    for began, by_state in states.items():
        found[began] = Stretch(began, by_state)
    for began, number, events, people in rows(sql("events", "times"), given | {"kinds": [int(k) for k in COUNTED]}):
        one = found.setdefault(began, Stretch(began))
        one.events[Kind(number)], one.people[Kind(number)] = events, people
    return [found[began] for began in sorted(found)]
