"""What buyers are worth: recency, frequency and amount, scored by fifths, with names for who is alike.

Read by rules, pages and reports; written by one statement (``sql/scores.sql``) every night and when somebody asks.
Amounts are those of the workspace's main currency, the one most of its orders are in: sums of different
money mean nothing. What is in others is counted and said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from datetime import date, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.audience import delays, tiers
from envol.audience.days import Days
from envol.audience.models import Scoring
from envol.audience.standings import NAMED
from envol.consent.gates import PROFILE_SQL
from envol.contacts import masks

Tell = Callable[[int, int | None, str], None]

COHORTS = 24  # months of first purchases that are kept


# The map's columns: sums of the scores of frequency and amount that lie together in one named segment.
BANDS = ((2, 3), (4, 5), (6, 6), (7, 8), (9, 10))


def named(r: int, f: int, m: int) -> str:
    """The segment of three scores: the same first match as in ``sql/scores.sql``, for the legend of the map."""
    if r >= 4:
        return "champions" if f + m >= 9 else "loyal" if f + m >= 6 else "promising"
    if f + m >= 6:
        return "attention" if r == 3 else "at_risk"
    return "sleeping" if r == 3 else "lost"


def year_before(day: date) -> date:
    """The first of the twelve months that end with ``day``."""
    try:
        return day.replace(year=day.year - 1) + timedelta(days=1)
    except ValueError:  # 29 February
        return date(day.year - 1, 3, 1)


def compute(
    workspace: Workspace,
    reference: date | None = None,
    *,
    year_begins: date | None = None,
    tell: Tell | None = None,
) -> Scoring | None:
    """Score every buyer as of ``reference`` (today); None when nothing was ever bought.

    ``year_begins``: the first day of what counts for tiers, twelve months before when None. One computation of a
    workspace at a time; readers see the scores before it or those after it.
    """
    tell = tell or (lambda done, total, step: None)
    today = reference or workspace.today()
    days = Days.of(timezone.now(), workspace.time_zone)
    begins = year_begins or year_before(today)
    with transaction.atomic():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('audience.scores'), %s)", [workspace.pk])
        currencies = db.rows(
            "SELECT currency, count(*) FROM contacts_order WHERE workspace_id = %s GROUP BY 1 ORDER BY 2 DESC, 1",
            [workspace.pk],
        )
        if not currencies:
            for table in ("audience_score", "audience_tier"):
                db.execute(f"DELETE FROM {table} WHERE workspace_id = %s", [workspace.pk])
            Scoring.objects.filter(workspace=workspace).delete()
            return None
        asked: dict[str, Any] = {
            "workspace": workspace.pk,
            "zone": days.zone.key,
            "currency": currencies[0][0],
            "end": days.midnight(today + timedelta(days=1)),
            "year_begins": begins,
        }
        masks.project_ages(workspace.pk)
        # Everybody is read anyway; a loop over them, planned for few by old statistics, would take minutes.
        db.execute("SET LOCAL enable_nestloop = off")
        tell(1, 4, "scores")
        buyers, order_days, amount = db.rows(db.sql("audience", "scores"), asked)[0]
        tell(2, 4, "tiers")
        before = Scoring.objects.filter(workspace=workspace).first()
        if before is None or abs(before.buyers - buyers) > before.buyers / 10:
            # Until the database knows how many there are it plans for none, here and on the pages.
            db.execute("ANALYZE audience_score")
        thresholds, reviewed_on = tiers.settle(workspace, today, begins, asked["currency"], before)
        tell(3, 4, "months")
        scoring, _new = Scoring.objects.update_or_create(
            workspace=workspace,
            defaults={
                "computed_at": Now(),
                "reference": today,
                "currency": asked["currency"],
                "buyers": buyers,
                "order_days": order_days,
                "amount": amount,
                "elsewhere": sum(n for _currency, n in currencies[1:]),
                "objected": _objected(asked),
                "thresholds": thresholds,
                "reviewed_on": reviewed_on,
                "cohorts": _cohorts(asked, today),
                "figures": _figures(workspace, today, thresholds),
            },
        )
        tell(4, 4, "months")
    scoring.refresh_from_db()
    return scoring


def _objected(asked: dict[str, Any]) -> int:
    """Buyers who are not scored because they objected to marketing or profiling."""
    return int(
        db.value(
            "SELECT count(*) FROM contacts_contact c WHERE c.workspace_id = %(workspace)s"
            f" AND NOT {PROFILE_SQL.format('c')}"
            " AND EXISTS (SELECT FROM contacts_order o WHERE o.contact_id = c.id AND o.workspace_id = %(workspace)s"
            " AND o.currency = %(currency)s AND o.at < %(end)s)",
            asked,
        )
    )


def _cohorts(asked: dict[str, Any], today: date) -> list[dict[str, Any]]:
    """[{month, people, later: [[months later, people, cents], …]}], oldest first, the last ``COHORTS`` months."""
    back = today.year * 12 + today.month - COHORTS
    asked = asked | {"from_month": date(back // 12, back % 12 + 1, 1)}
    made: dict[date, list[list[int]]] = {}
    for month, later, people, amount in db.rows(db.sql("audience", "cohorts"), asked):
        made.setdefault(month, []).append([later, people, amount])
    return [{"month": month.isoformat(), "people": rows[0][1], "later": rows} for month, rows in made.items()]


# -- figures for pages -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """What the pages show, as of the last computation. ``once``: buyers with one day of purchases."""

    cells: list[Cell]
    groups: list[Group]
    fifths: list[Fifth]
    once: int


def of(workspace: Workspace) -> Scoring | None:
    """The last computation, if it left figures to show."""
    found = Scoring.objects.filter(workspace=workspace).first()
    return found if found and found.figures else None


def figures(scoring: Scoring) -> Figures:
    kept = scoring.figures
    return Figures(
        [Cell(*row) for row in kept["cells"]],
        [Group(*row) for row in kept["groups"]],
        [Fifth(*row) for row in kept["fifths"]],
        kept["once"],
    )


def _figures(workspace: Workspace, today: date, thresholds: dict[str, int | None]) -> dict[str, Any]:
    return {
        "cells": [astuple(one) for one in cells(workspace)],
        "groups": [astuple(one) for one in groups(workspace, today)],
        "fifths": [astuple(one) for one in fifths(workspace, today)],
        "once": bought_once(workspace),
        "standings": [astuple(one) for one in tiers.standings(workspace, thresholds)],
        "repurchase": delays.gaps(workspace),
    }


_SCORED = (
    "audience_score s JOIN contacts_contact c ON c.id = s.contact_id AND c.workspace_id = s.workspace_id"
    f" AND {PROFILE_SQL.format('c')} WHERE s.workspace_id = %(workspace)s"
)


@dataclass(frozen=True, slots=True)
class Cell:
    """``r`` is the score of recency, ``band`` the place in BANDS (from 1)."""

    r: int
    band: int
    named: str
    people: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    key: str
    people: int
    amount: int
    median_days: float | None
    mean_orders: float | None
    mean_amount: float | None


@dataclass(frozen=True, slots=True)
class Fifth:
    """People with one score of one measure: its lowest and highest value, how many they are, what they spent."""

    measure: str
    score: int
    low: int
    high: int
    people: int
    amount: int


def cells(workspace: Workspace) -> list[Cell]:
    """All 25, also the empty ones; most recent first, as the map is drawn."""
    band = " ".join(f"WHEN s.f + s.m <= {high} THEN {n}" for n, (_low, high) in enumerate(BANDS, 1))
    found = {
        (r, band): (people, int(amount))
        for r, band, people, amount in db.rows(
            f"SELECT s.r, CASE {band} END, count(*), sum(s.amount) FROM {_SCORED} GROUP BY 1, 2",
            {"workspace": workspace.pk},
        )
    }
    return [
        Cell(r, n, named(r, low // 2, low - low // 2), *found.get((r, n), (0, 0)))
        for r in range(5, 0, -1)
        for n, (low, _high) in enumerate(BANDS, 1)
    ]


def groups(workspace: Workspace, reference: date) -> list[Group]:
    """The named segments, all seven, best first."""
    found = {
        row["named"]: Group(
            row["named"],
            row["n"],
            int(row["amount"]),
            float(row["median"]),
            float(row["orders"]),
            float(row["mean"]),
        )
        for row in db.dicts(
            "SELECT s.named, count(*) AS n, sum(s.amount) AS amount, avg(s.frequency) AS orders,"
            " avg(s.amount) AS mean, percentile_cont(0.5) WITHIN GROUP (ORDER BY %(reference)s - s.last_day) AS median"
            f" FROM {_SCORED} GROUP BY 1",
            {"workspace": workspace.pk, "reference": reference},
        )
    }
    return [found.get(key, Group(key, 0, 0, None, None, None)) for key in NAMED]


def fifths(workspace: Workspace, reference: date) -> list[Fifth]:
    """Where the scores begin and end, for each measure from 1 to 5; a score that nobody has is left out."""
    made = []
    for measure, raw in (("r", "%(reference)s - s.last_day"), ("f", "s.frequency"), ("m", "s.amount")):
        made += [
            Fifth(measure, score, int(low), int(high), people, int(amount))
            for score, low, high, people, amount in db.rows(
                f"SELECT s.{measure}, min({raw}), max({raw}), count(*), sum(s.amount) FROM {_SCORED}"
                " GROUP BY 1 ORDER BY 1",
                {"workspace": workspace.pk, "reference": reference},
            )
        ]
    return made


def bought_once(workspace: Workspace) -> int:
    """Buyers with one day of purchases."""
    return int(db.value(f"SELECT count(*) FROM {_SCORED} AND s.frequency = 1", {"workspace": workspace.pk}))


@dataclass(frozen=True, slots=True)
class Buyer:
    """What is known of one buyer. ``stays`` in tiers: tier, first day, last day (None: still there)."""

    r: int
    f: int
    m: int
    named: str
    stays: list[tuple[str, date, date | None]]


def buyer(workspace: Workspace, contact_id: int) -> Buyer | None:
    """None for whoever never bought, and for whoever objected to marketing or profiling."""
    found = db.rows(
        f"SELECT s.r, s.f, s.m, s.named FROM {_SCORED} AND s.contact_id = %(contact)s",
        {"workspace": workspace.pk, "contact": contact_id},
    )
    if not found:
        return None
    r, f, m, name = found[0]
    return Buyer(r, f, m, name, tiers.history(workspace, contact_id))
