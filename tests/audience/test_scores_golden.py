"""Recency, frequency and amount on a published purchase history: every figure known beforehand, to the row and cent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from envol import db
from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.audience import scores, tiers
from envol.audience.models import Scoring
from envol.audience.standings import NAMED
from tests.audience import cdnow

REFERENCE = date(1998, 7, 1)


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[Workspace, dict[int, int], Scoring]]:
    workspace = create_workspace(f"w{secrets.token_hex(4)}", title="CDNOW")
    ids = cdnow.load(workspace)
    # Tiers over the whole history, as the published percentiles are.
    scoring = scores.compute(workspace, REFERENCE, year_begins=date(1997, 1, 1))
    assert scoring is not None
    yield workspace, ids, scoring
    cdnow.unload(workspace)


Shop = tuple[Workspace, dict[int, int], Scoring]


def test_the_whole(shop: Shop) -> None:
    workspace, _ids, scoring = shop
    assert (scoring.buyers, scoring.order_days, scoring.amount) == (23_570, 67_591, 250_031_563)
    assert (scoring.currency, scoring.elsewhere, scoring.objected) == ("USD", 0, 0)
    mean, median, most = db.rows(
        "SELECT round(avg(%s - last_day), 2), percentile_cont(0.5) WITHIN GROUP (ORDER BY %s - last_day),"
        " max(frequency) FROM audience_score WHERE workspace_id = %s",
        [REFERENCE, REFERENCE, workspace.pk],
    )[0]
    assert (float(mean), median, most) == (368.22, 472, 171)
    assert (
        db.value(
            "SELECT round(avg(frequency), 2)::text || ' ' || round(avg(amount) / 100, 2)::text || ' ' || max(amount)"
            " FROM audience_score WHERE workspace_id = %s",
            [workspace.pk],
        )
        == "2.87 106.08 1399093"
    )


def test_where_the_fifths_begin_and_end(shop: Shop) -> None:
    workspace, _ids, scoring = shop
    found = {
        (one.measure, one.score): (one.low, one.high, one.people, round(100 * one.amount / scoring.amount, 2))
        for one in scores.fifths(workspace, REFERENCE)
    }
    assert found == {
        ("r", 1): (513, 546, 4735, 6.36),
        ("r", 2): (486, 512, 4712, 6.78),
        ("r", 3): (433, 485, 4702, 8.70),
        ("r", 4): (142, 432, 4720, 24.91),
        ("r", 5): (1, 141, 4701, 53.26),
        ("f", 1): (1, 1, 12054, 14.70),  # half bought once: none of them is parted from the others
        ("f", 3): (2, 2, 4040, 10.80),
        ("f", 4): (3, 4, 3641, 17.57),
        ("f", 5): (5, 171, 3835, 56.92),
        ("m", 1): (0, 1536, 4817, 2.41),
        ("m", 2): (1537, 3135, 4615, 4.46),
        ("m", 3): (3137, 5992, 4710, 8.37),
        ("m", 4): (5993, 13395, 4715, 16.99),
        ("m", 5): (13396, 1399093, 4713, 67.77),
    }


def test_the_named_segments(shop: Shop) -> None:
    workspace, _ids, scoring = shop
    found = [
        (
            one.key,
            one.people,
            round(100 * one.people / scoring.buyers, 2),
            round(100 * one.amount / scoring.amount, 2),
            one.median_days,
            round(one.mean_orders or 0, 2),
            round((one.mean_amount or 0) / 100, 2),
        )
        for one in scores.groups(workspace, REFERENCE)
    ]
    assert found == [
        ("champions", 4722, 20.03, 64.47, 88, 8.07, 341.40),
        ("loyal", 4120, 17.48, 13.09, 215, 2.75, 79.44),
        ("promising", 579, 2.46, 0.60, 269, 2.00, 26.08),
        ("attention", 1140, 4.84, 4.80, 461, 2.47, 105.35),
        ("at_risk", 729, 3.09, 3.23, 506, 2.03, 110.63),
        ("sleeping", 3562, 15.11, 3.89, 474, 1.06, 27.32),
        ("lost", 8718, 36.99, 9.91, 513, 1.02, 28.42),
    ]


def test_known_customers(shop: Shop) -> None:
    workspace, ids, _scoring = shop
    wanted = {
        1: (546, 1, 1177, 1, 1, 1, "lost"),
        2: (535, 1, 8900, 1, 1, 4, "lost"),
        3: (34, 6, 15646, 5, 5, 5, "champions"),
        8830: (21, 11, 180017, 5, 5, 5, "champions"),
        23570: (462, 2, 9408, 3, 3, 4, "attention"),
        7592: (2, 146, 1399093, 5, 5, 5, "champions"),
    }
    found = {
        contact: tuple(row)
        for contact, *row in db.rows(
            "SELECT contact_id, %s - last_day, frequency, amount, r, f, m, named FROM audience_score"
            " WHERE workspace_id = %s AND contact_id = ANY(%s)",
            [REFERENCE, workspace.pk, [ids[customer] for customer in wanted]],
        )
    }
    assert found == {ids[customer]: row for customer, row in wanted.items()}


def test_the_tiers(shop: Shop) -> None:
    workspace, _ids, scoring = shop
    assert scoring.thresholds == {"premium": 91_924, "gold": 38_100, "bronze": 13_395}
    found = {
        one.tier: (one.people, round(100 * one.amount / scoring.amount, 1))
        for one in tiers.standings(workspace, scoring.thresholds)
    }
    assert found == {
        "premium": (236, 15.9), "gold": (943, 20.8), "bronze": (3536, 31.1), "standard": (18_855, 32.2)
    }  # fmt: skip


def test_the_map_holds_everybody_once_and_agrees_with_the_names(shop: Shop) -> None:
    workspace, _ids, scoring = shop
    cells = scores.cells(workspace)
    assert len(cells) == 25
    assert sum(c.people for c in cells) == scoring.buyers and sum(c.amount for c in cells) == scoring.amount
    by_name = {one.key: one.people for one in scores.groups(workspace, REFERENCE)}
    assert {key: sum(c.people for c in cells if c.named == key) for key in by_name} == by_name


def test_the_months_of_first_purchases(shop: Shop) -> None:
    """Beside a plain count; one cohort joined in January, February and March 1997."""
    _workspace, _ids, scoring = shop
    first: dict[int, date] = {}
    bought: dict[tuple[str, int], set[int]] = {}
    for one in cdnow.history():
        start = first.setdefault(one.customer, one.on)
        later = one.on.year * 12 + one.on.month - start.year * 12 - start.month
        bought.setdefault((f"{start:%Y-%m}-01", later), set()).add(one.customer)
    assert [row["month"] for row in scoring.cohorts] == ["1997-01-01", "1997-02-01", "1997-03-01"]
    found = {(row["month"], later): n for row in scoring.cohorts for later, n, _cents in row["later"]}
    assert found == {place: len(people) for place, people in bought.items()}
    assert sum(cents for row in scoring.cohorts for _later, _n, cents in row["later"]) == scoring.amount


def test_do_scores_of_one_year_tell_the_next_half() -> None:
    """Scores from 1997 alone, and who of them bought from January to June 1998, for how much a head."""
    workspace = create_workspace(f"w{secrets.token_hex(4)}", title="CDNOW 1997")
    begins = date(1998, 1, 1)
    ids = cdnow.load(workspace, before=begins)
    try:
        scores.compute(workspace, begins)
        named = dict(db.rows("SELECT contact_id, named FROM audience_score WHERE workspace_id = %s", [workspace.pk]))
    finally:
        cdnow.unload(workspace)
    later: dict[int, int] = {}
    for one in cdnow.history():
        if begins <= one.on < begins + timedelta(days=181):
            later[ids[one.customer]] = later.get(ids[one.customer], 0) + one.cents
    found = {}
    for key in NAMED:
        people = [contact for contact, name in named.items() if name == key]
        spent = sum(later.get(contact, 0) for contact in people)
        share = round(100 * sum(contact in later for contact in people) / len(people), 1)
        found[key] = (
            len(people),
            share,
            round(spent / len(people) / 100, 2),
            round(100 * spent / sum(later.values()), 1),
        )
    assert found == {
        "champions": (4483, 60.2, 74.92, 70.5),
        "loyal": (3939, 32.7, 18.20, 15.1),
        "promising": (1000, 18.3, 8.68, 1.8),
        "attention": (707, 15.3, 8.56, 1.3),
        "at_risk": (838, 10.7, 9.40, 1.7),
        "sleeping": (3968, 8.9, 3.71, 3.1),
        "lost": (8635, 7.6, 3.62, 6.6),
    }
