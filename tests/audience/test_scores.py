"""Scores and tiers on small bases: what counts as a purchase, who is left out, who enters a tier and who stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from envol import db
from envol.accounts.models import Job, Workspace
from envol.audience import delays, engine, scores, tasks, tiers
from envol.audience.models import Scoring
from envol.audience.sentences import describe
from envol.consent import registry
from tests.audience.segment_people import add_order, add_person

TODAY = date(2027, 3, 1)


@pytest.fixture
def buyer(workspace: Workspace) -> Iterator[Callable[..., int]]:
    """A person with orders: (days ago, cents) or (days ago, cents, currency), at noon in Paris."""
    made = iter(range(10_000))

    def add(*orders: tuple[Any, ...], **more: Any) -> int:
        person = add_person(workspace, f"b{next(made)}@lecteurs.example", **more)
        buy(workspace, person, *orders)
        return person

    yield add
    for table in ("audience_score", "audience_tier"):
        db.execute(f"DELETE FROM {table} WHERE workspace_id = %s", [workspace.pk])


def buy(workspace: Workspace, person: int, *orders: tuple[Any, ...], today: date = TODAY) -> None:
    for days, cents, *currency in orders:
        at = datetime(today.year, today.month, today.day, 12, tzinfo=ZoneInfo("Europe/Paris")) - timedelta(days=days)
        add_order(workspace, person, at, [("CD", "jazz", cents)], *currency)


def row(workspace: Workspace, person: int) -> dict[str, Any]:
    found = db.dicts(
        "SELECT %s - last_day AS days, frequency, amount, lately, r, f, m, named FROM audience_score"
        " WHERE workspace_id = %s AND contact_id = %s",
        [TODAY, workspace.pk, person],
    )
    return found[0] if found else {}


def test_orders_of_one_day_of_the_zone_are_one_purchase(workspace: Workspace, buyer: Callable[..., int]) -> None:
    person = buyer()
    # 23:30 and 00:30 in Paris are two days there; in UTC they are one.
    for hour in (22, 23):
        add_order(workspace, person, datetime(2027, 2, 10, hour, 30, tzinfo=UTC), [("CD", "", 100)])
    add_order(workspace, person, datetime(2027, 2, 11, 8, tzinfo=UTC), [("CD", "", 100)])
    scores.compute(workspace, TODAY)
    found = row(workspace, person)
    assert (found["days"], found["frequency"], found["amount"]) == (18, 2, 300)


def test_what_was_paid_back_lowers_the_amount_and_is_no_purchase(
    workspace: Workspace, buyer: Callable[..., int]
) -> None:
    refunded = buyer((40, 2000), (3, -500))
    only_back = buyer((5, -100))
    free = buyer()
    at = datetime(2027, 2, 20, 12, tzinfo=UTC)
    add_order(workspace, free, at, [("Affiche", "", 0)])  # goods left at no price
    nothing = buyer()
    add_order(workspace, nothing, at, [], amount=0)
    scores.compute(workspace, TODAY)
    found = row(workspace, refunded)
    assert (found["days"], found["frequency"], found["amount"]) == (40, 1, 1500)
    assert row(workspace, only_back) == {} and row(workspace, nothing) == {}
    assert (row(workspace, free)["frequency"], row(workspace, free)["amount"]) == (1, 0)


def test_only_the_main_currency_counts_and_the_rest_is_said(workspace: Workspace, buyer: Callable[..., int]) -> None:
    person = buyer((1, 100), (2, 100), (5, 100), (3, 900, "CHF"))
    abroad = buyer((4, 100, "CHF"))
    scoring = scores.compute(workspace, TODAY)
    assert scoring is not None and (scoring.currency, scoring.elsewhere, scoring.buyers) == ("EUR", 2, 1)
    assert row(workspace, person)["amount"] == 300 and row(workspace, abroad) == {}


def test_who_objected_is_not_profiled(workspace: Workspace, buyer: Callable[..., int]) -> None:
    buyer((1, 100))
    against = buyer((2, 100))
    scores.compute(workspace, TODAY)
    assert row(workspace, against)
    db.execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [against])
    # Pages leave her out at once, the next computation forgets her scores.
    assert sum(c.people for c in scores.cells(workspace)) == 1
    scoring = scores.compute(workspace, TODAY)
    assert scoring is not None and scoring.objected == 1 and row(workspace, against) == {}


def test_equal_people_have_equal_scores(workspace: Workspace, buyer: Callable[..., int]) -> None:
    people = [buyer((10, 500)) for _ in range(7)]
    best = buyer((1, 900), (2, 900))
    scores.compute(workspace, TODAY)
    assert {tuple(row(workspace, one)[k] for k in "rfm") for one in people} == {(1, 1, 1)}
    assert tuple(row(workspace, best)[k] for k in "rfm") == (5, 5, 5)


def test_orders_that_are_gone_take_the_scores_with_them(workspace: Workspace, buyer: Callable[..., int]) -> None:
    person = buyer((1, 100))
    scores.compute(workspace, TODAY)
    db.execute("DELETE FROM contacts_order WHERE workspace_id = %s", [workspace.pk])
    assert scores.compute(workspace, TODAY) is None
    assert row(workspace, person) == {} and not Scoring.objects.filter(workspace=workspace).exists()


def stays(workspace: Workspace, person: int) -> list[tuple[str, date, date | None]]:
    return tiers.history(workspace, person)


def test_a_tier_is_entered_at_once_and_left_only_at_the_review(workspace: Workspace, buyer: Callable[..., int]) -> None:
    people = [buyer((200, 1000 + n)) for n in range(100)]
    long_here = TODAY - timedelta(days=400)  # whatever the day on which this runs
    db.execute("UPDATE contacts_contact SET created_at = %s WHERE workspace_id = %s", [long_here, workspace.pk])
    scoring = scores.compute(workspace, TODAY)
    assert scoring is not None and scoring.thresholds == {"premium": 1098, "gold": 1094, "bronze": 1079}
    assert [t for t, *_ in stays(workspace, people[0])] == []
    assert stays(workspace, people[99]) == [("premium", TODAY, None)]
    assert stays(workspace, people[80]) == [("bronze", TODAY, None)]

    # A month later one buys for much: she rises by the thresholds that stand, whoever else bought.
    later = TODAY + timedelta(days=30)
    buy(workspace, people[80], (0, 9000), today=later)
    again = scores.compute(workspace, later)
    assert again is not None and again.thresholds == scoring.thresholds and again.reviewed_on == TODAY
    assert stays(workspace, people[80]) == [("bronze", TODAY, later), ("premium", later, None)]

    # Months later her year holds only that; the others' purchases are too old to count, and yet they stay.
    before = TODAY + timedelta(days=360)
    scores.compute(workspace, before)
    assert stays(workspace, people[99]) == [("premium", TODAY, None)]

    def gold_or_better(day: date | None) -> int:
        rule = {"field": "tier", "op": "in", "value": ["gold", "premium"]}
        return engine.count(workspace, {"v": 1, "match": "all", "rules": [rule]}, now=day)

    # A past day is told as it was, the first day of a stay included.
    days = (TODAY - timedelta(days=1), TODAY, later - timedelta(days=1), later, None)
    assert [gold_or_better(day) for day in days] == [0, 6, 6, 7, 7]

    # The review comes a year after the first: thresholds of the year, and whoever does not reach them leaves.
    review = date(2028, 3, 1)
    reviewed = scores.compute(workspace, review)
    assert reviewed is not None and reviewed.reviewed_on == review
    assert stays(workspace, people[99]) == [("premium", TODAY, review)]
    assert stays(workspace, people[80])[-1] == ("premium", later, None)
    held = {one.tier: one.people for one in tiers.standings(workspace, reviewed.thresholds)}
    assert held == {"premium": 1, "gold": 0, "bronze": 0, "standard": 99}


def test_a_tier_that_would_hold_everybody_holds_nobody(workspace: Workspace, buyer: Callable[..., int]) -> None:
    for _ in range(20):
        buyer((5, 1000))
    scoring = scores.compute(workspace, TODAY)
    assert scoring is not None and scoring.thresholds == {"premium": None, "gold": None, "bronze": None}
    assert db.value("SELECT count(*) FROM audience_tier WHERE workspace_id = %s", [workspace.pk]) == 0


def test_a_person_takes_her_scores_with_her_and_may_read_them(workspace: Workspace, buyer: Callable[..., int]) -> None:
    buyer((300, 100))
    person = buyer((1, 100), (9, 900))
    scores.compute(workspace, TODAY)
    told = registry.export_person(workspace.pk, person)["rooms"]["audience"]
    assert told["purchases"]["order_days"] == 2 and told["purchases"]["currency"] == "EUR"
    assert told["tiers"][0]["tier"] == "premium" and "fifth" in told["logic"]
    address = db.value("SELECT email_key FROM contacts_contact WHERE id = %s", [person])
    gone = registry.erase_person(workspace.pk, person, address, cause="asked")
    assert gone["audience_score"] == 1 and gone["audience_tier"] == 1
    assert row(workspace, person) == {} and stays(workspace, person) == []


def test_a_job_says_how_far_it_is_and_what_came_of_it(workspace: Workspace, buyer: Callable[..., int]) -> None:
    buyer((300, 100))
    job = tasks.start_scores(workspace)
    assert tasks.start_scores(workspace).pk == job.pk  # one at a time
    tasks.compute_scores(workspace.pk, job.pk)
    found = Job.objects.get(pk=job.pk)
    assert (found.state, found.result) == ("done", {"buyers": 1})
    assert tasks.start_scores(workspace).pk != job.pk


def test_every_night_once(workspace: Workspace, buyer: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    buyer((1, 100))
    asked: list[int] = []
    monkeypatch.setattr(scores, "compute", lambda workspace: asked.append(workspace.pk))
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 2, 1, 30, tzinfo=UTC))  # 02:30 in Paris
    tasks.nightly_scores(0)
    assert workspace.pk not in asked
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 2, 2, 7, tzinfo=UTC))
    tasks.nightly_scores(0)
    assert asked.count(workspace.pk) == 1
    Scoring.objects.create(
        workspace=workspace, reference=date(2027, 3, 2), currency="EUR", buyers=1, order_days=1, amount=100
    )
    tasks.nightly_scores(0)
    assert asked.count(workspace.pk) == 1


def test_rules_about_buyers_are_sentences(workspace: Workspace) -> None:
    def said(field: str, op: str, value: Any = None) -> tuple[str, str]:
        tree = {"v": 1, "match": "all", "rules": [{"field": field, "op": op, "value": value}]}
        return describe(tree, workspace, "en"), describe(tree, workspace, "fr").replace("\u202f", " ")

    assert said("rfm.segment", "in", ["champions", "at_risk"]) == (
        "People whose “RFM segment” is “At risk” or “Champions”.",
        "Les personnes dont « Segment RFM » vaut « À risque » ou « Champions ».",
    )
    assert said("tier", "is_not", "gold") == (
        "People whose “Tier” is not “Gold”.",
        "Les personnes dont « Palier » ne vaut pas « Or ».",
    )
    assert said("rfm.fm", "between", [3.5, 4]) == (
        "People whose “Mean score of frequency and amount” is between 3.5 and 4.",
        "Les personnes dont « Note moyenne de fréquence et de montant » est compris entre 3,5 et 4.",
    )
    assert said("orders.just_bought", "not_of_category", ["jazz"]) == (
        "People who have not just bought in the category “jazz”.",
        "Les personnes qui ne viennent pas d’acheter dans la catégorie « jazz ».",
    )
    assert said("orders.just_bought", "anything") == (
        "People who have just bought.",
        "Les personnes qui viennent d’acheter.",
    )


def test_what_was_just_bought_follows_the_delay_of_its_category_and_ends_with_a_refund(
    workspace: Workspace, buyer: Callable[..., int]
) -> None:
    lately, long_ago, back = buyer((20, 100)), buyer((40, 100)), buyer((5, 100), (2, -100))
    now = datetime(2027, 3, 1, 12, tzinfo=UTC)

    def in_it(op: str = "of_category", value: Any = ("jazz",)) -> set[int]:
        rule = {"field": "orders.just_bought", "op": op, "value": list(value) if value else None}
        query, params = engine.ids_sql(workspace, {"v": 1, "match": "all", "rules": [rule]}, now=now)
        return {row[0] for row in db.rows(query, params)}

    assert in_it() == {lately} and in_it("not_of_category") == {long_ago, back}
    delays.set_days(workspace, "Jazz", 45)
    assert in_it() == in_it("anything", None) == in_it("of_product", ["cd"]) == {lately, long_ago}
    delays.set_days(workspace, "Jazz", 10)
    assert in_it() == set()
    delays.set_days(workspace, "jazz", None)
    assert in_it() == {lately}
