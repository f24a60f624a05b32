"""An act is taken back once, by a member of its workspace, while it is young."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest


@pytest.fixture
def kept() -> list[str]:
    """What the registered act was asked to take back."""
    return []


@pytest.fixture
def act(workspace: Any, kept: list[str], request: pytest.FixtureRequest) -> Any:
    from envol.accounts import journal, undo
    from envol.accounts.models import Role, User
    from envol.accounts.workspaces import add_member

    user = User.objects.create_user(f"{workspace.name}@equipe.example", "un mot de passe assez long")
    member = add_member(workspace, user, Role.EDITOR)
    kind = f"test.{request.node.name}.{workspace.pk}"

    def back(where: Any, facts: Mapping[str, Any], who: Any) -> str:
        assert where == workspace and who == member
        kept.append(facts["what"])
        return "Back again."

    undo.register(kind, back)
    entry = journal.note(workspace, "member", "thing.done", actor_id=member.pk)
    return member, undo.offer(entry, kind, {"what": "the thing"})


def test_an_act_is_taken_back_once(workspace: Any, act: Any, kept: list[str]) -> None:
    from envol.accounts import undo
    from envol.accounts.models import JournalEntry

    member, offered = act
    assert undo.open_for([offered.entry_id])[offered.entry_id] == offered
    assert undo.take_back(workspace, offered.pk, member) == "Back again."
    with pytest.raises(undo.CannotUndo, match="already"):
        undo.take_back(workspace, offered.pk, member)
    assert kept == ["the thing"]
    assert undo.open_for([offered.entry_id]) == {}
    last = JournalEntry.objects.filter(workspace=workspace).order_by("-id")[0]
    assert (last.action, last.facts["entry"]) == ("thing.done.undone", offered.entry_id)


def test_what_is_too_old_stays(workspace: Any, act: Any, kept: list[str]) -> None:
    from envol.accounts import undo
    from envol.accounts.models import Undo

    member, offered = act
    Undo.objects.filter(pk=offered.pk).update(until=offered.until - undo.KEPT - timedelta(seconds=1))
    with pytest.raises(undo.CannotUndo, match="too long ago"):
        undo.take_back(workspace, offered.pk, member)
    assert kept == []


def test_another_workspace_has_no_such_act(act: Any, kept: list[str]) -> None:
    from envol.accounts import undo
    from envol.accounts.models import Undo
    from envol.accounts.workspaces import create_workspace

    member, offered = act
    other = create_workspace(f"bob{offered.pk}", title="Bob")
    with pytest.raises(Undo.DoesNotExist):
        undo.take_back(other, offered.pk, member)
    assert kept == []


def test_a_failure_leaves_the_undo_open(workspace: Any, act: Any) -> None:
    from envol.accounts import undo
    from envol.accounts.models import Undo

    member, offered = act

    def fails(where: Any, facts: Any, who: Any) -> None:
        raise undo.CannotUndo("Somebody changed it since.")

    undo._known[offered.kind] = fails
    with pytest.raises(undo.CannotUndo, match="changed it since"):
        undo.take_back(workspace, offered.pk, member)
    assert Undo.objects.get(pk=offered.pk).used_at is None
