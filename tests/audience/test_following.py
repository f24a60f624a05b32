"""Who enters and leaves a followed segment: once each, whatever dies meanwhile; and its size day by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from envol import db
from envol.accounts.models import JournalEntry, Workspace
from envol.audience import following, segments
from envol.audience.models import Follow, Segment, Size
from envol.consent import registry
from envol.contacts import people, timeline
from envol.contacts.models import Contact
from tests.audience.segment_people import add_person, declare

IN_NANTES = {"v": 1, "match": "all", "rules": [{"field": "prop.town", "op": "is", "value": "Nantes"}]}


@pytest.fixture
def nantes(workspace: Workspace) -> Iterator[Segment]:
    declare(workspace, "town", "text")
    for n in range(6):
        add_person(workspace, f"p{n}@lecteurs.example", props={"town": "Nantes" if n % 2 else "Lyon"})
    yield segments.save(workspace, "Nantais", IN_NANTES)
    Follow.objects.filter(segment__workspace=workspace).delete()


def town(segment: Segment, email: str, name: str) -> int:
    """Somebody moves to another town; her id."""
    return int(
        db.rows(
            "UPDATE contacts_contact SET props = jsonb_build_object('town', %s::text)"
            " WHERE email_key = %s AND workspace_id = %s RETURNING id",
            [name, email, segment.workspace.pk],
        )[0][0]
    )


def moves(segment: Segment) -> list[tuple[int, bool]]:
    return [
        (contact, entered)
        for _n, of, contact, _at, entered in following.since(segment.workspace.pk, 0)
        if of == segment.pk
    ]


def look(segment: Segment) -> following.Moves:
    return following.look(Follow.objects.select_related("segment__workspace").get(segment=segment))


def test_who_is_in_it_at_the_first_look_has_not_entered(nantes: Segment) -> None:
    following.start(nantes)
    assert look(nantes) == (0, 0) and moves(nantes) == []
    came, went = town(nantes, "p0@lecteurs.example", "Nantes"), town(nantes, "p1@lecteurs.example", "Brest")
    assert look(nantes) == (1, 1) and sorted(moves(nantes)) == sorted([(came, True), (went, False)])
    assert look(nantes) == (0, 0), "once each"
    town(nantes, "p0@lecteurs.example", "Brest")
    look(nantes)
    assert following.of_days(nantes) == (1, 2)
    assert [(m.contact_id, m.entered) for m in following.newest(nantes)][0] == (came, False)
    kinds = [e.kind for e in timeline.timeline(Contact.objects.get(pk=came)) if e.kind.startswith("segment")]
    assert kinds == ["segment_left", "segment_entered"]


def test_a_change_of_the_rule_moves_nobody(nantes: Segment) -> None:
    following.start(nantes)
    look(nantes)
    lyon = {"v": 1, "match": "all", "rules": [{"field": "prop.town", "op": "is", "value": "Lyon"}]}
    segments.save(nantes.workspace, nantes.name, lyon, segment=nantes)
    assert look(nantes) == (0, 0) and moves(nantes) == []
    came = town(nantes, "p1@lecteurs.example", "Lyon")
    assert look(nantes) == (1, 0) and moves(nantes) == [(came, True)]
    # So does a change of a segment inside it.
    around = {"v": 1, "match": "all", "rules": [{"field": "segment", "op": "in", "value": nantes.pk}]}
    outer = segments.save(nantes.workspace, "Autour", around)
    following.start(outer)
    look(outer)
    segments.save(nantes.workspace, nantes.name, IN_NANTES, segment=nantes)
    assert look(outer) == (0, 0) and moves(outer) == []


def test_a_look_that_dies_between_two_batches_repeats_nothing(nantes: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BATCH", 2)
    following.start(nantes)
    look(nantes)
    for n in range(6):
        town(nantes, f"p{n}@lecteurs.example", "Lyon" if n % 2 else "Nantes")
    real, calls = following._write, iter(range(10))

    def dies(*args: Any, **more: Any) -> int:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(following, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        look(nantes)
    assert len(moves(nantes)) == 3, "two batches stand"
    monkeypatch.setattr(following, "_write", real)
    look(nantes)
    found = moves(nantes)
    assert len(found) == 6 == len(set(found)) and sum(entered for _, entered in found) == 3


def test_a_first_look_that_dies_begins_again_without_a_move(nantes: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BATCH", 1)
    following.start(nantes)
    real, calls = following._write, iter(range(10))

    def dies(*args: Any, **more: Any) -> int:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(following, "_write", dies)
    with pytest.raises(KeyboardInterrupt):
        look(nantes)
    monkeypatch.setattr(following, "_write", real)
    assert look(nantes) == (0, 0) and moves(nantes) == []


def test_erasure_and_export_know_the_moves(nantes: Segment) -> None:
    workspace = nantes.workspace
    following.start(nantes)
    look(nantes)
    came = town(nantes, "p0@lecteurs.example", "Nantes")
    look(nantes)
    told = registry.export_person(workspace.pk, came)["rooms"]["audience"]["segments"]
    assert [(m["segment"], m["what"]) for m in told] == [("Nantais", "entered")]
    gone = people.erase(Contact.objects.get(pk=came), cause="request")
    assert gone["audience_move"] == 1 and gone["audience_member"] == 1
    assert look(nantes) == (0, 0) and moves(nantes) == [], "who is gone has not left"


def test_columns_are_asked_where_there_are_any(
    nantes: Segment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def columns(data: Path, workspace_id: int, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        asked.append((question["after"], question["limit"]))
        rows = db.rows(
            "SELECT id FROM contacts_contact WHERE workspace_id = %s AND props ->> 'town' = 'Nantes' AND id > %s"
            " ORDER BY id LIMIT %s",
            [workspace_id, question["after"] or 0, question["limit"]],
        )
        return {"ids": [row[0] for row in rows]}

    monkeypatch.setattr(following.ask, "ask", columns)
    monkeypatch.setattr(following, "PAGE", 2)
    following.start(nantes)
    look(nantes)
    assert [after is None for after, _ in asked] == [True, False]
    assert db.value("SELECT count(*) FROM audience_member WHERE segment_id = %s", [nantes.pk]) == 3


def test_a_rule_that_cannot_be_read_says_so_and_stops_no_other(nantes: Segment) -> None:
    broken = Segment.objects.create(
        workspace=nantes.workspace, name="Cassé", tree={"v": 1, "match": "all", "rules": [{"field": "prop.gone"}]}
    )
    following.start(broken)
    following.start(nantes)
    following.look_at_all()
    assert "prop.gone" in Follow.objects.get(segment=broken).problem
    assert Follow.objects.get(segment=nantes).looked_at is not None


def test_following_is_bounded_and_in_the_journal(nantes: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST", 1)
    following.start(nantes)
    following.start(nantes)
    other = segments.save(nantes.workspace, "Tous", {"v": 1, "match": "all", "rules": []})
    with pytest.raises(following.TooMany, match="stop following another"):
        following.start(other)
    following.stop(nantes)
    assert not db.value("SELECT count(*) FROM audience_member WHERE segment_id = %s", [nantes.pk])
    following.start(other)
    done = JournalEntry.objects.filter(workspace=nantes.workspace, action__endswith="followed")
    assert [entry.action for entry in done.order_by("id")] == [
        "segment.followed", "segment.unfollowed", "segment.followed",
    ]  # fmt: skip


def test_the_size_of_every_segment_is_kept_once_a_day(nantes: Segment) -> None:
    following.keep_sizes()
    town(nantes, "p0@lecteurs.example", "Nantes")
    following.keep_sizes()
    ((day, size),) = following.sizes(nantes)
    assert size == 3 and abs(day - datetime.now(UTC).date()) <= timedelta(days=1)
    Size.objects.create(segment=nantes, day=day - timedelta(days=1), people=7)
    assert [people_ for _day, people_ in following.sizes(nantes)] == [7, 3]
