"""Whoever objected to profiling is in no score, habit, interest or rule of these, and still gets what she chose; whose
data are restricted is in nothing at all."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.audience import engine, expected, scores
from envol.consent import acts, ages, gates, purposes, restriction
from envol.consent.models import Purpose
from envol.contacts import beyond, export_files, masks, orders, people
from envol.contacts.filters import Filter
from envol.contacts.masks import rebuild_masks
from envol.contacts.models import Contact
from envol.content import links
from envol.db import rows, value

BUYERS = {"v": 1, "match": "all", "rules": [{"field": "rfm.r", "op": "known"}]}
NO_BUYERS = {"v": 1, "match": "all", "rules": [{"field": "rfm.r", "op": "unknown"}]}


@pytest.fixture
def buyers(workspace: Workspace) -> list[Contact]:
    found = []
    for n in range(3):
        one = people.upsert(
            workspace, f"b{n}@lecteurs.example", {"first_name": "Zoé"}, source=people.source(workspace, "form", "Salon")
        )
        proof = acts.evidence(workspace, "line", "salon")
        people.grant(one, purposes.get(workspace, "newsletter"), proof_of=proof, proof="1")
        found.append(one)
    day = datetime.now(UTC) - timedelta(days=3)
    orders.add_bulk(workspace, [orders.NewOrder(f"o{one.pk}", day, 1250, contact_id=one.pk) for one in found])
    scores.compute(workspace)
    return found


def of_scores(workspace: Workspace) -> set[int]:
    return {row for (row,) in _rows("SELECT contact_id FROM audience_score WHERE workspace_id = %s", workspace)}


def _rows(query: str, workspace: Workspace) -> list[tuple[int]]:
    return rows(query, [workspace.pk])


def test_an_objection_to_profiling_ends_scores_and_no_message(workspace: Workspace, buyers: list[Contact]) -> None:
    one, two, three = buyers
    client = Client(HTTP_HOST="localhost")
    page = f"/p/{links.person_token(workspace.pk, one.pk)}?l=en"
    assert 'value="profile_end"' in client.get(page).content.decode()
    answer = client.post(page, {"act": "profile_end"}).content.decode()
    assert "nothing is worked out about you" in answer and 'value="profile_again"' in answer
    restriction.begin(workspace.pk, two.pk, "her letter")
    for each in buyers:
        each.refresh_from_db()
    newsletter = purposes.get(workspace, "newsletter")
    assert gates.may_send(workspace.pk, one.pk, one.email_key, newsletter.pk).allowed, "she gets what she chose"
    assert one.allowed and not one.suppressed and one.refused >> purposes.UNPROFILED & 1
    assert scores.buyer(workspace, one.pk) is None and expected.of_person(workspace, one.pk) is None
    # At once in every rule, before the night has computed anew.
    assert engine.count(workspace, BUYERS) == 1 and engine.count(workspace, NO_BUYERS) == 2
    scores.compute(workspace)
    assert of_scores(workspace) == {three.pk}
    chosen = export_files.people_of(workspace, Filter(), "csv")
    assert list(chosen) == [one.pk, three.pk], "what is restricted leaves in no file"
    assert rebuild_masks(workspace) == 0

    client.post(page, {"act": "profile_again"})
    restriction.end(workspace.pk, two.pk)
    scores.compute(workspace)
    assert of_scores(workspace) == {one.pk, two.pk, three.pk} and rebuild_masks(workspace) == 0
    kept = value(
        "SELECT count(*) FROM consent_restriction WHERE workspace_id = %s AND until IS NOT NULL", [workspace.pk]
    )
    assert kept == 2, "what was asked and when stays"


def test_how_often_at_most_is_hers_to_say(workspace: Workspace, buyers: list[Contact]) -> None:
    one, client = buyers[0], Client(HTTP_HOST="localhost")
    page = f"/p/{links.person_token(workspace.pk, one.pk)}?l=en"
    assert 'name="often"' in client.get(page).content.decode()
    shown = client.post(page, {"act": "save", "often": "monthly"}).content.decode()
    assert 'value="monthly" selected' in shown and "Un message par mois" in shown and len(shown.encode()) < 15_000
    assert restriction.frequency(workspace.pk, one.pk) == "monthly" and rebuild_masks(workspace) == 0
    client.post(page, {"act": "save", "often": "hourly"})
    assert restriction.frequency(workspace.pk, one.pk) == "monthly", "what is not offered changes nothing"
    one.refresh_from_db()
    assert one.allowed and not one.refused >> purposes.UNPROFILED & 1, "it is no objection to anything else"


def test_no_purpose_takes_the_place_of_the_objection(workspace: Workspace) -> None:
    Purpose.objects.create(workspace=workspace, bit=purposes.UNPROFILED - 2, key="late", label_fr="x", label_en="x")
    assert purposes.add(workspace, "last", "x", "x", texts={"fr": "x"}).bit == purposes.UNPROFILED - 1
    with pytest.raises(ValueError, match="at most 61"):
        purposes.add(workspace, "one_more", "x", "x", texts={"fr": "x"})


def test_of_whoever_is_not_of_age_nothing_is_worked_out(
    workspace: Workspace, buyers: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = buyers
    today = workspace.today()
    eighteen = ages.of_age_since(beyond.ADULT, today)
    source = people.source(workspace, "form", "Salon")
    for who, born in ((one, eighteen + timedelta(days=1)), (two, eighteen)):
        held = Contact.objects.get(pk=who.pk)
        people.set_values(held, {"birth_date": born.isoformat()}, source)
    # A file writes past the person's own road: what works something out looks again first.
    Contact.objects.filter(pk=three.pk).update(props={"birth_date": today.isoformat()})
    scores.compute(workspace)
    assert of_scores(workspace) == {two.pk}
    assert engine.count(workspace, BUYERS) == 1
    assert [beyond.is_minor(Contact.objects.get(pk=who.pk).props, today) for who in buyers] == [True, False, True]
    newsletter = purposes.get(workspace, "newsletter")
    assert gates.may_send(workspace.pk, one.pk, one.email_key, newsletter.pk).allowed, "old enough to have agreed"
    assert rebuild_masks(workspace) == 0
    # A restriction that ends does not bring profiling back, and her birthday does.
    restriction.begin(workspace.pk, one.pk, "x", scope=restriction.PROFILING)
    restriction.end(workspace.pk, one.pk, scope=restriction.PROFILING)
    scores.compute(workspace)
    assert of_scores(workspace) == {two.pk}
    monkeypatch.setattr(masks, "_minor", lambda alias, _w: beyond.minor_sql(alias, today + timedelta(days=1)))
    scores.compute(workspace)
    assert of_scores(workspace) == {one.pk, two.pk}


def test_her_birthday_begins_in_the_zone_of_the_organisation(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = timezone.localdate(timezone=ZoneInfo("Europe/Paris"))
    late = datetime.combine(day, time(23, 30), UTC)  # half past midnight, or half past one, of the next day in Paris
    eighteen = ages.of_age_since(beyond.ADULT, day + timedelta(days=1)).isoformat()
    one = people.upsert(
        workspace, "midnight@lecteurs.example", {"birth_date": eighteen},
        source=people.source(workspace, "form", "Salon"),
    )  # fmt: skip
    monkeypatch.setattr(timezone, "now", lambda: late)
    for zone, minor in (("UTC", True), ("Europe/Paris", False), ("America/New_York", True)):
        Workspace.objects.filter(pk=workspace.pk).update(time_zone=zone)
        masks.project_ages(workspace.pk)
        one.refresh_from_db()
        assert bool(one.refused >> purposes.UNPROFILED & 1) is minor, zone
        assert rebuild_masks(workspace) == 0
