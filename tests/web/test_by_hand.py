"""One person against the rules: marketing that rests, a segment she is always in or never in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from envol.accounts.models import JournalEntry, Undo
from envol.audience import engine, hands, segments
from envol.audience.models import Segment, SegmentPerson
from envol.consent.models import Silence
from envol.contacts import people
from envol.contacts.models import Contact
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
NOBODY = {"v": 1, "match": "all", "rules": [{"field": "email", "op": "is", "value": "x@nobody.example"}]}


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    return open_shop(readers=30, folder=tmp_path, furnished=False)


def take_back(client: Client, own: Shop) -> None:
    number = Undo.objects.filter(workspace=own.workspace).latest("pk").pk
    assert client.post(f"/undo/{number}", {"next": "/contacts"}).status_code == 303


def test_marketing_rests_while_a_complaint_is_open(own: Shop, as_member: Sign) -> None:
    client, one = as_member("editor", own), own.people[0]
    where = f"/contacts/{one.pk}/silence"
    assert client.post(where, {"act": "open", "reason": " "}).status_code == 422
    wrong = client.post(where, {"act": "open", "reason": "Colis perdu", "date": "2999-01-01"})
    assert wrong.status_code == 422 and "Colis perdu" in wrong.content.decode()
    assert not Silence.objects.filter(contact_id=one.pk).exists()
    assert client.post(where, {"act": "open", "reason": "Colis perdu", "date": "2026-01-05"}).status_code == 303
    page = client.get(f"/contacts/{one.pk}").content.decode()
    assert "Marketing rests for this person: Colis perdu" in page and "a complaint is open" in page
    lines = {line["purpose"]: line["reason"] for line in people.permissions(Contact.objects.get(pk=one.pk))}
    assert lines["newsletter"] == "silenced" and lines["transactional"] == ""
    rule = {"v": 1, "match": "all", "rules": [{"field": "complaint", "op": "open"}]}
    assert engine.count(own.workspace, rule) == 1
    assert client.post(where, {"act": "close"}).status_code == 303
    assert engine.count(own.workspace, rule) == 0
    take_back(client, own)
    assert engine.count(own.workspace, rule) == 1, "closing is taken back"
    client.post(where, {"act": "close"})
    assert "Complaints that are closed" in client.get(f"/contacts/{one.pk}").content.decode()
    client.post(where, {"act": "open", "reason": "Encore"})
    take_back(client, own)
    assert not Contact.objects.get(pk=one.pk).silenced and Silence.objects.filter(contact_id=one.pk).count() == 1
    assert as_member("viewer", own).post(where, {"act": "open", "reason": "x"}).status_code == 403
    assert {"contact.silenced", "contact.unsilenced"} <= set(
        JournalEntry.objects.filter(workspace=own.workspace).values_list("action", flat=True)
    )


def test_somebody_is_always_in_or_never_in(own: Shop, as_member: Sign) -> None:
    client, one, two = as_member("editor", own), own.people[0], own.people[1]
    press = segments.save(own.workspace, "Presse", NOBODY)
    both = segments.save(
        own.workspace,
        "Invités",
        {"v": 1, "match": "any", "rules": [{"field": "segment", "op": "in", "value": press.pk}]},
    )
    client.post(f"/contacts/{one.pk}/segment", {"segment": press.pk, "where": "in"})
    press.refresh_from_db()
    assert engine.count(own.workspace, press.tree) == 0 and engine.count(own.workspace, press.whole) == 1
    assert engine.count(own.workspace, both.whole) == 1, "inside other segments too"
    page = client.get(f"/segments/{press.pk}?person={one.pk}").content.decode()
    assert "plus 1 person put in by hand" in page and "put in by hand, whatever the rule says" in page
    assert "Let the rule decide" in client.get(f"/contacts/{one.pk}").content.decode()
    everybody = segments.save(own.workspace, "Tout le monde", {"v": 1, "match": "all", "rules": []})
    client.post(f"/segments/{everybody.pk}/people", {"person": two.pk, "where": "out"})
    everybody.refresh_from_db()
    assert engine.count(own.workspace, everybody.whole) == 29
    assert ">29<" in client.get(f"/segments/{everybody.pk}").content.decode()
    assert client.get(f"/contacts?segment={press.pk}").content.decode().count("data-row") == 1
    client.post(f"/segments/{everybody.pk}/people", {"person": two.pk, "where": "rule"})
    everybody.refresh_from_db()
    assert not everybody.by_hand and engine.count(own.workspace, everybody.whole) == 30
    take_back(client, own)
    everybody.refresh_from_db()
    assert engine.count(own.workspace, everybody.whole) == 29


def test_hands_go_with_the_person_and_come_back_with_the_segment(own: Shop, as_member: Sign) -> None:
    client, one, two = as_member("editor", own), own.people[0], own.people[1]
    press = segments.save(own.workspace, "Presse", NOBODY)
    for person in (one, two):
        hands.put(press, person.pk, True)
    assert people.export(one)["rooms"]["audience"]["segments_by_hand"][0]["segment"] == "Presse"
    client.post(f"/segments/{press.pk}/delete")
    assert not SegmentPerson.objects.filter(workspace_id=own.workspace.pk).exists()
    people.erase(Contact.objects.get(pk=one.pk), cause="request 1")
    take_back(client, own)
    back = Segment.objects.get(workspace=own.workspace, name="Presse")
    assert [row.contact_id for row in hands.of(back)] == [two.pk] and engine.count(own.workspace, back.whole) == 1
    people.erase(Contact.objects.get(pk=two.pk), cause="request 2")
    assert not SegmentPerson.objects.filter(workspace_id=own.workspace.pk).exists()


def test_it_is_for_a_few(own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hands, "MOST", 1)
    client = as_member("editor", own)
    press = segments.save(own.workspace, "Presse", NOBODY)
    for person in own.people[:2]:
        client.post(f"/contacts/{person.pk}/segment", {"segment": press.pk, "where": "in"})
    assert "use a tag or a list" in client.get("/contacts").content.decode()
    assert SegmentPerson.objects.filter(segment=press).count() == 1
    client.post(f"/contacts/{own.people[0].pk}/segment", {"segment": press.pk, "where": "out"})
    assert SegmentPerson.objects.get(segment=press).inside is False


def test_nobody_of_another_workspace(own: Shop, as_member: Sign, other_shop: Shop) -> None:
    client = as_member("editor", own)
    press = segments.save(own.workspace, "Presse", NOBODY)
    client.post(f"/segments/{press.pk}/people", {"person": other_shop.people[0].pk, "where": "in"})
    client.post(f"/contacts/{own.people[0].pk}/segment", {"segment": other_shop.segment.pk, "where": "in"})
    assert not SegmentPerson.objects.filter(segment__in=[press, other_shop.segment]).exists()
    assert client.post(f"/segments/{other_shop.segment.pk}/people", {"person": 1, "where": "in"}).status_code == 404
