"""Silence: the reason somebody gives or that can be told, and stages by one's own rhythm."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.audience import engine, reasons, rhythm
from envol.contacts import people
from envol.contacts.models import Contact
from envol.outbound.models import Sending
from tests.audience.segment_people import add_event, add_order, add_person, add_send


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
    for days in (120, 270, 420, 570):  # every 150 days
        add_order(workspace, buyer, timezone.now() - timedelta(days=days), [("CD", "Jazz", 900)])
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


def test_who_gets_no_mail_is_not_silent_by_it(workspace: Workspace) -> None:
    alone = person(workspace, "x")
    add_order(workspace, alone, timezone.now() - timedelta(days=300), [("CD", "Jazz", 900)])
    assert among(workspace, "activity.stage", ["inactive"]) == [alone]
    rhythm.decide(workspace, True, 12)
    assert among(workspace, "activity.stage", ["active"]) == [alone]
