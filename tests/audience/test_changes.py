"""Versions of a segment: kept, told apart in sentences, brought back, taken back."""

from __future__ import annotations

from typing import Any

import pytest

from envol.accounts import undo
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.audience import segments
from envol.audience.catalogue import Catalogue
from envol.audience.changes import changes
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.contacts.models import List


def tree(*rules: dict[str, Any], match: str = "all") -> dict[str, Any]:
    return {"v": 1, "match": match, "rules": list(rules)}


RECENT = {"field": "created", "op": "in_last", "value": 30}
OLDER = {"field": "created", "op": "in_last", "value": 90}
BUYERS = {"field": "orders.count", "op": "gte", "value": 2}


@pytest.fixture
def member(workspace: Workspace) -> Member:
    return add_member(workspace, User.objects.create_user(f"z{workspace.pk}@equipe.example", "x"), Role.EDITOR)


def test_changes_are_told_apart(workspace: Workspace) -> None:
    catalogue = Catalogue(workspace)

    def kinds(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        return [one.kind for one in changes(before, after, catalogue, "en")]

    assert kinds(tree(RECENT), tree(RECENT)) == []
    assert kinds(tree(RECENT), tree(RECENT, BUYERS)) == ["added"]
    assert kinds(tree(RECENT, BUYERS), tree(BUYERS)) == ["removed"]
    assert kinds(tree(RECENT), tree(OLDER)) == ["changed"]
    assert kinds(tree(RECENT, BUYERS), tree(RECENT, BUYERS, match="any")) == ["match"]
    assert kinds(tree(RECENT, BUYERS), tree(BUYERS, RECENT)) == ["grouping"]
    assert kinds(tree(RECENT, RECENT), tree(RECENT)) == ["removed"]
    nested = tree({"match": "any", "rules": [RECENT, BUYERS]})
    assert kinds(tree(RECENT, BUYERS), nested) == ["grouping"]
    lost = tree({"field": "prop.gone", "op": "is", "value": "x"})
    assert kinds(lost, tree(RECENT)) == ["unreadable"]
    found = changes(tree(RECENT, BUYERS), tree(OLDER), catalogue, "fr")
    assert found[0].kind == "changed" and "30" in found[0].before and "90" in found[0].after
    assert found[1].kind == "removed" and "2" in found[1].before and not found[1].after


def test_each_change_keeps_what_was(workspace: Workspace, member: Member) -> None:
    one = segments.save(workspace, "Un", tree(RECENT), actor_id=member.pk)
    assert not one.versions.exists()
    assert segments.undo_of(one) is not None
    segments.save(workspace, "Un", tree(RECENT), segment=one, actor_id=member.pk)  # nothing changed
    assert segments.undo_of(one) is None  # nothing to take back, least of all the segment
    assert not one.versions.exists()
    written = one.updated_at
    segments.save(workspace, "Deux", tree(OLDER), segment=one, actor_id=member.pk)
    version = one.versions.get()
    assert (version.name, version.tree["rules"], version.replaced_by) == ("Un", [RECENT], member)
    assert version.written_at == written
    segments.restore(version, actor_id=member.pk)
    one.refresh_from_db()
    assert (one.name, one.tree["rules"]) == ("Deux", [RECENT]) and one.versions.count() == 2


def test_a_change_is_taken_back_until_another_follows(workspace: Workspace, member: Member) -> None:
    one = segments.save(workspace, "Un", tree(RECENT), actor_id=member.pk)
    segments.save(workspace, "Deux", tree(OLDER), segment=one, actor_id=member.pk)
    first = segments.undo_of(one)
    assert first is not None and first.kind == segments.CHANGED
    segments.save(workspace, "Trois", tree(BUYERS), segment=one, actor_id=member.pk)
    with pytest.raises(undo.CannotUndo):
        undo.take_back(workspace, first.pk, member)
    second = segments.undo_of(one)
    assert second is not None
    assert "Deux" in (undo.take_back(workspace, second.pk, member) or "")
    one.refresh_from_db()
    assert (one.name, one.tree["rules"]) == ("Deux", [OLDER])


def test_a_rule_of_a_list_that_is_gone_does_not_come_back(workspace: Workspace, member: Member) -> None:
    club = List.objects.create(workspace=workspace, name="Club")
    one = segments.save(workspace, "Un", tree({"field": "list", "op": "on", "value": club.pk}))
    segments.save(workspace, "Un", tree(RECENT), segment=one)
    club.delete()
    with pytest.raises(SegmentProblem):
        segments.restore(one.versions.get(), actor_id=member.pk)
    one.refresh_from_db()
    assert one.tree["rules"] == [RECENT] and one.versions.count() == 1


def test_only_so_many_are_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "VERSIONS", 3)
    one = segments.save(workspace, "Un", tree(RECENT))
    for days in range(1, 7):
        segments.save(workspace, "Un", tree({**RECENT, "value": days}), segment=one)
    assert [v.tree["rules"][0]["value"] for v in one.versions.order_by("pk")] == [3, 4, 5]


def test_what_is_deleted_comes_back_with_its_versions(workspace: Workspace, member: Member) -> None:
    one = segments.save(workspace, "Un", tree(RECENT), actor_id=member.pk)
    segments.save(workspace, "Un", tree(OLDER), segment=one, actor_id=member.pk)
    kept = one.versions.get()
    pk = one.pk
    undo.take_back(workspace, segments.delete(one, actor_id=member.pk).pk, member)
    back = Segment.objects.get(pk=pk).versions.get()
    assert (back.tree, back.replaced_at, back.replaced_by) == (kept.tree, kept.replaced_at, member)
