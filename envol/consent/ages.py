"""From which age somebody agrees alone to a service on line (GDPR art. 8; in France 15, loi 78-17 art. 45).

The limits are dated data (``data/ages.json``). A younger person's agreement needs that of a parent; without it nothing
of hers is taken in, and no message that promotes something reaches her.
"""

from __future__ import annotations

import json
from datetime import date
from functools import cache
from pathlib import Path

from envol.accounts.models import Workspace
from envol.consent import desk

PARENT = "parent"
"""The fact of an evidence that says a parent agreed too."""


@cache
def _known() -> tuple[int, dict[str, int]]:
    told = json.loads((Path(__file__).parent / "data" / "ages.json").read_text("utf-8"))
    return told["default"], told["countries"]


def of_country(country: str) -> int:
    """The limit of this country; that of the regulation where it is not known, which is the strictest."""
    default, countries = _known()
    return countries.get(country.upper(), default)


def limit(workspace: Workspace) -> int:
    """The limit that holds for this organisation, by where it is."""
    return of_country(desk.of(workspace).hosted_in)


def of_age_since(years: int, today: date) -> date:
    """Whoever was born later than this day is younger. Who was born on 29 February has her birthday on 1 March."""
    try:
        return today.replace(year=today.year - years)
    except ValueError:
        return today.replace(year=today.year - years, day=28)


def young_sql(alias: str, key: str, since: date, purpose_id: int) -> str:
    """SQL over a contact alias: was she born later than ``since``, by the property ``key``, and has no parent agreed?

    Dates lie as year-month-day, so the order of their octets is that of days; it is asked first, as nearly everybody
    is older or says nothing: compared with nothing at all it would be unknown, and the ledger be asked of each such
    person. What is no such date says nothing.
    """
    if not alias.isidentifier() or not key.replace("_", "").isalnum():
        raise ValueError("The alias and the key are plain names.")
    born = f"({alias}.props ->> '{key}')"
    return (
        f"(coalesce({born}, '') COLLATE \"C\" > '{since.isoformat()}' AND {born} ~ '^\\d{{4}}-\\d\\d-\\d\\d$'"
        f" AND NOT EXISTS (SELECT FROM consent_permission p JOIN consent_evidence e ON e.id = p.evidence_id"
        f" WHERE p.workspace_id = {alias}.workspace_id AND p.contact_id = {alias}.id"
        f" AND p.purpose_id = {int(purpose_id)} AND p.until IS NULL AND p.state = 'granted'"
        f" AND jsonb_exists(e.facts, '{PARENT}')))"
    )
