"""How far opens and clicks may be measured without consent, by country and day: a dated table, ``data/measuring.json``.

A pixel reads on the terminal of a person (directive 2002/58/EC art. 5(3)); authorities exempt different things from
consent. A line holds from its day on, until a later one of its country; where nothing is known of the country, the line
without one counts, which is the strictest. What an authority changes is changed in the table. The grace that the CNIL
left until 14 July 2026 for addresses collected before its recommendation is not made use of: not known is no.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Rule(NamedTuple):
    """The most that is lawful without consent in a country, since when, and who says so."""

    country: str
    since: date
    opens: str
    clicks: str
    authority: str
    text: str
    dated: date


@cache
def table() -> tuple[Rule, ...]:
    """All lines, oldest first."""
    lines = json.loads((Path(__file__).parent / "data" / "measuring.json").read_text("utf-8"))
    rules = [
        Rule(
            line["country"],
            date.fromisoformat(line["from"]),
            line["opens"],
            line["clicks"],
            line["authority"],
            line["text"],
            date.fromisoformat(line["dated"]),
        )
        for line in lines
    ]
    return tuple(sorted(rules, key=lambda rule: rule.since))


def without_consent(country: str | None, on: date | None = None) -> Rule:
    """The line in force for a country on a day (today); that of no country where it has none."""
    on = on or datetime.now(UTC).date()
    known = {rule.country: rule for rule in table() if rule.since <= on}
    return known.get((country or "").upper()) or known.get("") or Rule("", on, "none", "none", "", "", on)


def in_force(on: date | None = None) -> list[Rule]:
    """One line for each country, that of all others last: what a page shows."""
    countries = sorted({rule.country for rule in table()}, key=lambda country: (country == "", country))
    found = [without_consent(country, on) for country in countries]
    return [rule for country, rule in zip(countries, found, strict=True) if rule.country == country]
