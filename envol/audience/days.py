"""Calendar days of a workspace: every phrase about time becomes bounds before any SQL is built.

A day is a day of the workspace's time zone. "In the last 30 days" starts at midnight thirty days
ago and ends with today; "in the next 7 days" starts today.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

FIRST, LAST = "0001-01-01", "9999-12-31"


@dataclass(frozen=True, slots=True)
class Days:
    """``now`` seen from a time zone. ``limit``: the end of what is asked about in the past, None for the present."""

    now: datetime
    zone: ZoneInfo
    limit: datetime | None = None

    @classmethod
    def of(cls, now: datetime | date | Days, zone_name: str) -> Days:
        if isinstance(now, Days):
            return now
        try:
            zone = ZoneInfo(zone_name)
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        if isinstance(now, datetime):
            return cls(now, zone)
        end = datetime.combine(now + timedelta(days=1), time(), zone).astimezone(UTC)
        return cls(end - timedelta(microseconds=1), zone, end)

    @classmethod
    def until(cls, moment: datetime, zone_name: str) -> Days:
        """As it stood at a past moment: nothing of that moment or after it counts."""
        return replace(cls.of(moment, zone_name), limit=moment)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def shifted(self, days: int) -> date:
        """Today moved by ``days``; never outside what a date can hold."""
        try:
            return self.today + timedelta(days=days)
        except OverflowError:
            return date.max if days > 0 else date.min

    def years_ago(self, years: int) -> date:
        """Today's day so many years ago; from 29 February the 28th where there is no 29th."""
        day = self.today
        try:
            return day.replace(year=day.year - years)
        except ValueError:
            return day.replace(year=day.year - years, day=28)

    def midnight(self, day: date) -> datetime:
        """The instant at which ``day`` begins here; the edges of the calendar stay what they are."""
        if day <= date(1, 1, 2):
            return datetime(1, 1, 1, tzinfo=UTC)
        if day >= date(9999, 12, 30):
            return datetime(9999, 12, 30, tzinfo=UTC)
        return datetime.combine(day, time(), self.zone).astimezone(UTC)

    def bounds(self, op: str, value: object) -> tuple[date | None, date | None]:
        """First day inside and first day after, for the operators that are one range of days."""
        one = timedelta(days=1)

        def after(day: date) -> date | None:
            return None if day == date.max else day + one

        match op:
            case "is":
                day = date.fromisoformat(str(value))
                return day, after(day)
            case "before":
                return None, date.fromisoformat(str(value))
            case "after":
                return after(date.fromisoformat(str(value))) or date.max, None
            case "between":
                assert isinstance(value, list)
                return date.fromisoformat(value[0]), after(date.fromisoformat(value[1]))
            case "in_last":
                assert isinstance(value, int)
                return self.shifted(-value), after(self.today)
            case "in_next":
                assert isinstance(value, int)
                return self.today, after(self.shifted(value))
            case "more_than_ago":
                assert isinstance(value, int)
                return None, self.shifted(-value)
            case "age_between":
                # Somebody is n years old from the day n years after her birth to the day before the next birthday.
                assert isinstance(value, list)
                return after(self.years_ago(value[1] + 1)), after(self.years_ago(value[0]))
        raise AssertionError(op)

    def years_since(self, years: Sequence[int], spread: int) -> list[tuple[date, date]]:
        """First day inside and first day after, for what began so many whole years ago, give or take ``spread`` days.

        What began on 29 February has its day on the 28th of a common year.
        """
        found = []
        for n in years:
            first, last = (
                self._back(self.shifted(-spread), n, late=False),
                self._back(self.shifted(spread), n, late=True),
            )
            if first and last and first <= last:
                found.append((first, last + timedelta(days=1)))
        return found

    @staticmethod
    def _back(day: date, years: int, *, late: bool) -> date | None:
        year = day.year - years
        if not 1 < year < 9999:
            return None
        if (day.month, day.day) == (2, 29) and not calendar.isleap(year):
            return date(year, 2, 28) if late else date(year, 3, 1)
        if late and (day.month, day.day) == (2, 28) and not calendar.isleap(day.year) and calendar.isleap(year):
            return date(year, 2, 29)
        return day.replace(year=year)

    def anniversaries(self, spread: int) -> list[str]:
        """Month and day of today ± ``spread`` days. Born on 29 February: the 28th of a common year."""
        found = set()
        for n in range(-spread, spread + 1):
            day = self.shifted(n)
            found.add(day.isoformat()[5:])
            if day.month == 2 and day.day == 28 and not calendar.isleap(day.year):
                found.add("02-29")
        return sorted(found)


When = datetime | date | Days | None
"""A moment, or a past day: then what is dated (lists, orders, messages, answers) counts as it stood when it ended.
Or days with a limit of their own."""
