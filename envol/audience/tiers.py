"""Tiers of customers by what they spent in twelve months, entered at once and left only at a yearly review.

The thresholds are those of the last review and stay until the next: nobody falls out of a tier because
others spent more, and everybody can be told what it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from envol import db
from envol.accounts import journal
from envol.accounts.models import Workspace
from envol.audience.models import Privilege, Scoring
from envol.audience.standings import TIERS
from envol.consent.gates import PROFILE_SQL


def next_review(reviewed_on: date) -> date:
    try:
        return reviewed_on.replace(year=reviewed_on.year + 1)
    except ValueError:  # 29 February
        return date(reviewed_on.year + 1, 3, 1)


def settle(
    workspace: Workspace, today: date, year_begins: date, currency: str, before: Scoring | None
) -> tuple[dict[str, int | None], date]:
    """Let people in, and at a review out. The thresholds that hold now, and the day of their review."""
    # Other money, other thresholds.
    reviewed_on = before.reviewed_on if before and before.currency == currency else None
    review = reviewed_on is None or today >= next_review(reviewed_on)
    thresholds: dict[str, int | None] = dict(before.thresholds) if before else {}
    asked: dict[str, Any] = {"workspace": workspace.pk, "year_begins": year_begins, "today": today, "review": review}
    if reviewed_on is None or review:
        thresholds = dict(db.rows(db.sql("audience", "tier_thresholds"), asked))
        reviewed_on = today
    asked |= thresholds
    db.execute(db.sql("audience", "tiers_leave"), asked)
    db.execute(db.sql("audience", "tiers_enter"), asked)
    return thresholds, reviewed_on


@dataclass(frozen=True, slots=True)
class Standing:
    """What a tier holds now. ``threshold`` in cents; None for standard, or when nobody could reach it."""

    tier: str
    threshold: int | None
    people: int
    lately: int
    amount: int


def standings(workspace: Workspace, thresholds: Mapping[str, int | None]) -> list[Standing]:
    """All four, best first: people, what they spent in the last twelve months and ever."""
    found = {
        tier: (people, int(lately), int(amount))
        for tier, people, lately, amount in db.rows(
            "SELECT coalesce(t.tier, 'standard'), count(*), sum(s.lately), sum(s.amount) FROM audience_score s"
            " JOIN contacts_contact c ON c.id = s.contact_id AND c.workspace_id = s.workspace_id"
            f" AND {PROFILE_SQL.format('c')}"
            " LEFT JOIN audience_tier t ON t.workspace_id = s.workspace_id AND t.contact_id = s.contact_id"
            " AND t.until IS NULL WHERE s.workspace_id = %s GROUP BY 1",
            [workspace.pk],
        )
    }
    return [Standing(tier, thresholds.get(tier), *found.get(tier, (0, 0, 0))) for tier in TIERS]


def kept_standings(scoring: Scoring) -> list[Standing]:
    """Those of the last computation, without reading everybody."""
    return [Standing(*row) for row in scoring.figures["standings"]]


def holders(workspace: Workspace) -> dict[int, str]:
    """Who is above standard now, all at once: contact id → tier. A fifth of a year's customers at most."""
    words = {key: key for key in TIERS}  # one text for all, not one for each
    return {
        contact: words[tier]
        for contact, tier in db.rows(
            "SELECT contact_id, tier FROM audience_tier WHERE workspace_id = %s AND until IS NULL", [workspace.pk]
        )
    }


def history(workspace: Workspace, contact_id: int) -> list[tuple[str, date, date | None]]:
    """The stays of one person: tier, first day, last day (None: still there)."""
    return [
        (tier, since, until)
        for tier, since, until in db.rows(
            "SELECT tier, since, until FROM audience_tier WHERE workspace_id = %s AND contact_id = %s"
            " ORDER BY since, id",
            [workspace.pk, contact_id],
        )
    ]


def privileges(workspace: Workspace) -> dict[str, Privilege]:
    """What each tier is given, by tier; unsaved and empty where nobody wrote anything."""
    kept = {one.tier: one for one in Privilege.objects.filter(workspace=workspace)}
    return {key: kept.get(key) or Privilege(workspace=workspace, tier=key) for key in TIERS}


def give(workspace: Workspace, tier: str, *, text: str, code: str, early_days: int, actor_id: int | None) -> Privilege:
    """Write down what a tier is given."""
    assert tier in TIERS
    made, _new = Privilege.objects.update_or_create(
        workspace=workspace, tier=tier, defaults={"text": text, "code": code, "early_days": early_days}
    )
    journal.note(workspace, "member", "tier.changed", made, actor_id=actor_id, tier=tier)
    return made
