from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from envol.accounts.models import JournalEntry, Workspace
from envol.accounts.workspaces import address_digest, create_workspace
from envol.consent import suppression
from envol.contacts import people
from envol.db import execute, rows, value

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


def test_a_line_of_a_members_hand_ends_by_itself_and_the_person_may_be_written_to(workspace: Workspace) -> None:
    source = people.source(workspace, "member", "essai")
    zoe = people.upsert(workspace, ZOE, {}, source=source)
    soon, later = timezone.now() + timedelta(hours=1), timezone.now() + timedelta(days=30)
    suppression.add(workspace.id, ZOE, "all", "by_hand", "asked by phone", until=soon)
    suppression.add(workspace.id, ALI, "all", "by_hand", "asked by phone", until=later)
    zoe.refresh_from_db()
    assert zoe.suppressed and suppression.expire() == 0
    execute("UPDATE consent_suppression SET until = now() WHERE until < now() + interval '2 hours'")
    assert suppression.expire() == 1
    zoe.refresh_from_db()
    assert not zoe.suppressed
    assert suppression.lookup(workspace.id, [ZOE, ALI]) == {ALI: ("all", "by_hand", False, False)}
    assert JournalEntry.objects.get(workspace=workspace, action="suppression.expired").facts == {"addresses": 1}


def test_what_comes_for_ever_takes_the_place_of_what_would_end(workspace: Workspace) -> None:
    later = timezone.now() + timedelta(days=30)
    suppression.add(workspace.id, ZOE, "all", "by_hand", "asked by phone", until=later)
    suppression.add(workspace.id, ZOE, "all", "by_hand", "shorter", until=timezone.now() + timedelta(days=1))
    assert suppression.entries(workspace.id, ZOE)[0].until == later
    suppression.add(workspace.id, ZOE, "all", "hard_bounce", "outcome 1/2")
    entry = suppression.entries(workspace.id, ZOE)[0]
    assert (entry.reason, entry.until) == ("hard_bounce", None)
    assert suppression.add(workspace.id, ZOE, "all", "by_hand", "too late", until=later) is False


def test_the_list_is_read_newest_first_page_by_page(workspace: Workspace) -> None:
    for n in range(5):
        at = timezone.now() - timedelta(hours=n)
        suppression.add(workspace.id, f"p{n}@x.example", "all" if n % 2 else "marketing", "complaint", f"r {n}", at=at)
    first = suppression.newest(workspace.id, 3)
    rest = suppression.newest(workspace.id, 3, before=(first[-1].at, first[-1].digest))
    assert [one.cause for one in first + rest] == [f"r {n}" for n in range(5)]
    assert [one.cause for one in suppression.newest(workspace.id, 9, scope="all")] == ["r 1", "r 3"]
    assert suppression.newest(workspace.id, 9, reason="hard_bounce") == []
