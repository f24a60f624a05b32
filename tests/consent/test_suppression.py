from __future__ import annotations

import pytest

from envol.accounts.models import JournalEntry, Workspace
from envol.accounts.workspaces import address_digest, create_workspace
from envol.consent import suppression
from envol.db import rows, value

ZOE, ALI = "zoe@lecteurs.example", "ali@lecteurs.example"


def test_an_address_is_kept_as_a_keyed_digest_only(workspace: Workspace) -> None:
    assert suppression.add(workspace.id, ZOE, "all", "complaint", "report 7")
    found = rows("SELECT * FROM consent_suppression WHERE workspace_id = %s", [workspace.id])
    assert bytes(found[0][1]) == address_digest(workspace.id, ZOE)
    assert "zoe" not in repr(found) and "lecteurs" not in repr(found)
    assert suppression.lookup(workspace.id, [ALI, ZOE]) == {ZOE: ("all", "complaint", False, False)}


def test_what_one_workspace_suppresses_says_nothing_in_another(workspace: Workspace) -> None:
    suppression.add(workspace.id, ZOE, "all", "complaint", "report 7")
    other = create_workspace(workspace.name + "-other")
    assert suppression.lookup(other.id, [ZOE]) == {}


def test_the_first_reason_is_kept_and_the_strictest_scope_answers(workspace: Workspace) -> None:
    assert suppression.add(workspace.id, ZOE, "marketing", "objection", "preferences")
    assert not suppression.add(workspace.id, ZOE, "marketing", "unsubscribe", "click")
    assert suppression.lookup(workspace.id, [ZOE])[ZOE] == ("marketing", "objection", False, True)
    suppression.add(workspace.id, ZOE, "all", "hard_bounce", "outcome 1/2")
    assert suppression.lookup(workspace.id, [ZOE])[ZOE] == ("all", "hard_bounce", False, True)


def test_an_erasure_takes_over_the_reason_and_keeps_the_story(workspace: Workspace) -> None:
    suppression.add(workspace.id, ZOE, "marketing", "objection", "preferences")
    suppression.add(workspace.id, ZOE, "marketing", suppression.ERASED, "request 3")
    suppression.add(workspace.id, ZOE, "all", "hard_bounce", "outcome 1/2")
    assert suppression.lookup(workspace.id, [ZOE])[ZOE] == ("all", "hard_bounce", True, True)
    cause = value(
        "SELECT cause FROM consent_suppression WHERE workspace_id = %s AND scope = 'marketing'", [workspace.id]
    )
    assert cause == "request 3; before: objection"


def test_digests_made_in_bulk_are_the_same_as_one_by_one(workspace: Workspace) -> None:
    keys = [f"p{i}@exämple.test" for i in range(50)]
    assert suppression.digest_many(workspace.id, keys) == [address_digest(workspace.id, key) for key in keys]
    suppression.add_many(workspace.id, keys, "marketing", "imported", "import 4")
    assert set(suppression.digests(workspace.id)) == set(suppression.digest_many(workspace.id, keys))
    assert suppression.count(workspace.id) == 50


def test_lifting_is_journaled_and_needs_a_cause(workspace: Workspace) -> None:
    suppression.add(workspace.id, ZOE, "all", "hard_bounce", "outcome 1/2")
    with pytest.raises(ValueError, match="why"):
        suppression.lift(workspace.id, ZOE, "all", "")
    assert suppression.lift(workspace.id, ZOE, "all", "mailbox repaired", actor="member")
    assert not suppression.lift(workspace.id, ZOE, "all", "mailbox repaired", actor="member")
    assert suppression.lookup(workspace.id, [ZOE]) == {}
    entry = JournalEntry.objects.get(workspace=workspace, action="suppression.lifted")
    assert entry.facts == {"scope": "all", "cause": "mailbox repaired"}


@pytest.mark.parametrize(("scope", "cause"), [("some", "x"), ("all", ""), ("all", f"mail of {ZOE}")])
def test_a_scope_or_cause_that_cannot_stand_is_refused(workspace: Workspace, scope: str, cause: str) -> None:
    with pytest.raises(ValueError):
        suppression.add(workspace.id, ZOE, scope, "manual", cause)
