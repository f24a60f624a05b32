"""Silence: the reason somebody gives or that can be told, and stages by one's own rhythm."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.audience import engine, habits, reasons, rhythm, topics
from envol.contacts import people
from envol.contacts.models import Contact
from envol.content import templates
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound.models import Sending
from tests.audience.segment_people import add_event, add_interest, add_order, add_person, add_send


def person(workspace: Workspace, name: str, days: int = 500) -> int:
    """Somebody who came so many days ago."""
    return add_person(workspace, f"{name}@lecteurs.example", created_at=timezone.now() - timedelta(days=days))


def mails(workspace: Workspace, who: int, days: list[int], state: str | None = "delivered") -> None:
    """One message for each of these days ago (delivered a day later)."""
    for day in days:
        sending = Sending.objects.create(workspace=workspace, kind="campaign", state="sent").id
        add_send(workspace, sending, who, timezone.now() - timedelta(days=day + 1), state)


@pytest.fixture(autouse=True)
def tidy(workspace: Workspace) -> Any:
    """Its ledger rows lack chunks and versions: they go, or the books of the whole database would be wrong."""
    yield
    mine = list(Sending.objects.filter(workspace=workspace).values_list("id", flat=True))
    for table in ("outbound_outcome", "outbound_send"):
        db.execute(f"DELETE FROM {table} WHERE sending_id = ANY(%s)", [mine])


def among(workspace: Workspace, field: str, value: list[str], **where: Any) -> list[int]:
    rule: dict[str, Any] = {"field": field, "op": "in", "value": value}
    tree = {"v": 1, "match": "all", "rules": [rule | ({"where": where} if where else {})]}
    query, params = engine.ids_sql(workspace, tree)
    return sorted(row[0] for row in db.rows(query, params))


def test_what_can_be_told_is_the_first_that_fits_and_an_answer_replaces_it(workspace: Workspace) -> None:
    flooded, unreached, buyer = (person(workspace, name) for name in ("a", "b", "c"))
    mails(workspace, flooded, list(range(1, 14)))
    for who in (flooded, buyer):  # inactive: their last sign of life is 200 days old
        add_order(workspace, who, timezone.now() - timedelta(days=200), [("CD", "Jazz", 900)])
    mails(workspace, unreached, [5, 10, 15], "bounced")
    mails(workspace, unreached, [200 + n for n in range(8)])
    assert among(workspace, "inactivity.reason", ["too_many"]) == [flooded]
    assert among(workspace, "inactivity.reason", ["unreached"]) == [unreached]
    assert among(workspace, "inactivity.reason", ["moment"]) == [buyer], "the flooded one bought too, but comes first"
    assert reasons.answer(workspace, buyer, "money")
    assert not reasons.answer(workspace, buyer, "money")
    assert among(workspace, "inactivity.reason", ["moment"]) == []
    assert among(workspace, "inactivity.reason", ["money"]) == [buyer]
    assert among(workspace, "inactivity.reason", ["money"], origin="inferred") == []
    assert among(workspace, "inactivity.reason", ["too_many"], origin="declared") == []
    active = person(workspace, "d")
    add_event(workspace, active, 6, timezone.now() - timedelta(days=3), 1)
    reasons.answer(workspace, active, "money")
    assert among(workspace, "inactivity.answer", ["money"]) == sorted([buyer, active])
    assert among(workspace, "inactivity.reason", ["money"]) == [buyer], "whoever is active has no reason for inactivity"


def test_answers_are_dated_erased_and_exported(workspace: Workspace) -> None:
    made = people.upsert(workspace, "zoe@lecteurs.example", {}, source=people.source(workspace, "member", "caisse"))
    reasons.answer(workspace, made.pk, "other", "  Je   déménage\0 ")
    assert reasons.present(workspace, made.pk) == ("other", "Je déménage")
    db.execute("UPDATE audience_reason SET since = since - interval '10 days'")
    reasons.answer(workspace, made.pk, "too_many", "not kept beside a reason")
    assert reasons.present(workspace, made.pk) == ("too_many", "")
    tree = {"v": 1, "match": "all", "rules": [{"field": "inactivity.answer", "op": "in", "value": ["other"]}]}
    db.execute("UPDATE contacts_contact SET created_at = now() - interval '30 days' WHERE id = %s", [made.pk])
    assert engine.count(workspace, tree) == 0
    assert engine.count(workspace, tree, now=timezone.now().date() - timedelta(days=3)) == 1
    assert "Je déménage" in json.dumps(people.export(Contact.objects.get(pk=made.pk)), ensure_ascii=False)
    people.erase(Contact.objects.get(pk=made.pk), cause="she asked")
    assert db.rows("SELECT 1 FROM audience_reason WHERE workspace_id = %s", [workspace.pk]) == []


def test_a_letter_a_month_leaves_more_than_three_months(workspace: Workspace) -> None:
    monthly, weekly, buyer = (person(workspace, name) for name in ("m", "w", "b"))
    mails(workspace, monthly, [30 * n for n in range(1, 12)])
    mails(workspace, weekly, [7 * n for n in range(1, 52)])
    mails(workspace, buyer, [7 * n for n in range(1, 52)])
    noon = timezone.now().replace(hour=11)  # the same day in Paris all year round
    for days in (120, 270, 420, 570):  # every 150 days
        add_order(workspace, buyer, noon - timedelta(days=days), [("CD", "Jazz", 900)])
    for who in (monthly, weekly):
        add_event(workspace, who, 6, timezone.now() - timedelta(days=120), 1)
    everybody = sorted([monthly, weekly, buyer])
    assert among(workspace, "activity.stage", ["cooling"]) == everybody
    rhythm.decide(workspace, True, 12)
    days = dict(db.rows("SELECT contact_id, days FROM audience_rhythm WHERE workspace_id = %s", [workspace.pk]))
    assert days == {monthly: 399, buyer: 150}, "12 × 365 / 11; 90 % of the gaps; weekly 86 days are fewer than 90"
    assert among(workspace, "activity.stage", ["active"]) == sorted([monthly, buyer])
    assert among(workspace, "activity.stage", ["cooling"]) == [weekly]
    stages = ["new", "active", "cooling", "inactive", "dormant", "never", "open"]
    assert sorted(n for stage in stages for n in among(workspace, "activity.stage", [stage])) == everybody
    rhythm.decide(workspace, True, 1)
    assert among(workspace, "activity.stage", ["active"]) == [buyer], "one message is soon there"
    rhythm.decide(workspace, False, 12)
    assert among(workspace, "activity.stage", ["cooling"]) == everybody
    assert db.rows("SELECT 1 FROM audience_rhythm WHERE workspace_id = %s", [workspace.pk]) == []


def habits_of(workspace: Workspace) -> set[tuple[int, str]]:
    habits.count(workspace)
    return set(db.rows("SELECT contact_id, habit FROM audience_habit WHERE workspace_id = %s", [workspace.pk]))


def test_who_acts_in_one_season_only(workspace: Workspace) -> None:
    winter, silent, all_year, once, against = (person(workspace, name, 900) for name in "wsaoq")
    bought = {  # days ago, and the same day so many years before
        winter: [(20, 0), (40, 0), (20, 1)],
        silent: [(230, 0), (230, 1)],
        all_year: [(30, 0), (150, 0), (30, 1)],
        once: [(30, 0)],
        against: [(30, 0), (30, 1)],
    }
    for who, days in bought.items():
        for ago, years in days:
            day = timezone.now() - timedelta(days=ago)
            at = day.replace(year=day.year - years, day=min(day.day, 28))
            add_order(workspace, who, at, [("CD", "Jazz", 900)])
    db.execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [against])
    assert habits_of(workspace) == {(winter, "seasonal"), (silent, "seasonal")}
    assert among(workspace, "activity.habit", ["seasonal"]) == sorted([winter, silent])
    assert among(workspace, "inactivity.reason", ["seasonal"], origin="inferred") == [silent]
    assert among(workspace, "inactivity.reason", ["seasonal"], origin="declared") == []
    assert among(workspace, "inactivity.reason", ["moment"]) == [], "it is told before what is less exact"
    add_order(workspace, winter, timezone.now() - timedelta(days=200), [("CD", "Jazz", 900)])
    assert habits_of(workspace) == {(silent, "seasonal")}, "each night anew"


def test_who_gets_other_topics_than_hers(workspace: Workspace) -> None:
    wine = topics.create(workspace, topics.Written("Vin", "Wine", [], ["/vin/"]))
    jazz = topics.create(workspace, topics.Written("Jazz", "Jazz", [], ["/jazz/"]))
    html = '<html><body><p><a href="https://journal.example/{}/1">Lire</a></p></body></html>'
    version = templates.save(workspace, "Lettre", "html", html.format("vin"), "Les vins", preheader="Du vin")
    link = version.links[0]["no"]
    reader, listener, reads_wine, unknown = (person(workspace, name) for name in "rljx")
    add_interest(workspace, reader, jazz, "declared", timezone.now() - timedelta(days=300))
    add_interest(workspace, listener, wine, "declared", timezone.now() - timedelta(days=300))
    add_interest(workspace, reads_wine, jazz, "declared", timezone.now() - timedelta(days=300))
    db.execute("UPDATE contacts_contact SET allowed = allowed | 2 WHERE id = %s", [reads_wine])
    for n in range(5):
        assert n < 4 or habits_of(workspace) == set(), "four messages are too few"
        sending = Sending.objects.create(workspace=workspace, kind="campaign", version_id=version.pk, state="sent")
        for who in (reader, listener, reads_wine, unknown):
            add_send(workspace, sending.pk, who, timezone.now() - timedelta(days=100 + n), "delivered")
        if n == 0:
            at = timezone.now() - timedelta(days=99)
            record([NewEvent(workspace.pk, Kind.CLICKED, reads_wine, sending.pk, link, at=at)])
    assert habits_of(workspace) == {(reader, "off_topic")}, (
        "who clicked wine cares for it; of whom nothing is known, none"
    )
    for n in range(8):
        sending = Sending.objects.create(workspace=workspace, kind="campaign", state="sent").pk
        add_send(workspace, sending, reader, timezone.now() - timedelta(days=200 + n), "delivered")
    assert among(workspace, "inactivity.reason", ["content"], origin="inferred") == [reader]
    assert among(workspace, "inactivity.reason", ["content"], origin="declared") == []


def test_who_gets_no_mail_is_not_silent_by_it(workspace: Workspace) -> None:
    alone = person(workspace, "x")
    add_order(workspace, alone, timezone.now() - timedelta(days=300), [("CD", "Jazz", 900)])
    assert among(workspace, "activity.stage", ["inactive"]) == [alone]
    rhythm.decide(workspace, True, 12)
    assert among(workspace, "activity.stage", ["active"]) == [alone]
