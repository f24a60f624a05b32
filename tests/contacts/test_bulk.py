"""One act on many people: set-based, stopped half way, undone exactly, two members at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from envol.accounts.jobs import Cancelled

if TYPE_CHECKING:  # models cannot be imported before pytest has set Django up
    from envol.accounts.models import Workspace
    from envol.contacts.models import Contact, Source

Add = Callable[..., "Contact"]


def everybody() -> Any:
    from envol.contacts.filters import Filter

    return Filter()


def act(workspace: Workspace, name: str, argument: dict[str, Any], chosen: Any = None) -> Any:
    from envol.contacts import bulk

    made = bulk.prepare(workspace, name, argument, chosen or everybody())
    bulk.apply(made)
    return made


def picture(workspace: Workspace) -> str:
    """Everything about the people that an act may change, and that undoing must leave as it was."""
    from envol.db import dicts

    w = [workspace.id]
    return json.dumps(
        [
            dicts("SELECT id, props, sources, tags FROM contacts_contact WHERE workspace_id = %s ORDER BY id", w),
            dicts(
                "SELECT contact_id, key, value, source_id FROM contacts_property_history"
                " WHERE workspace_id = %s ORDER BY id",
                w,
            ),
            dicts(
                "SELECT id, list_id, contact_id, since, until, source_id FROM contacts_membership"
                " WHERE workspace_id = %s ORDER BY id",
                w,
            ),
            dicts(
                "SELECT key, type, label_fr, purposes FROM contacts_property WHERE workspace_id = %s ORDER BY key", w
            ),
        ],
        default=str,
    )


@pytest.fixture
def crowd(workspace: Workspace, add: Add, page: Source) -> list[Contact]:
    """Twelve people who differ: tags, cities, stays on the list."""
    from envol.contacts import people
    from envol.contacts.models import List

    club = List.objects.create(workspace=workspace, name="Club")
    found = []
    for n in range(12):
        props: dict[str, Any] = {"first_name": f"P{n}"}
        if n % 3:
            props["city"] = {"label": "Nantes" if n % 2 else "Brest"}
        one = add(f"p{n}", **props)
        if n % 4 == 0:
            people.tag(one, "fidèle", "presse")
        if n % 2:
            people.join(club, one, page)
        if n == 5:
            people.leave(club, one)
        found.append(one)
    return found


ACTS: list[tuple[str, dict[str, Any], int]] = [
    ("tag", {"tag": "fidèle"}, 9),
    ("untag", {"tag": "presse"}, 3),
    ("join", {"list": "Club"}, 7),
    ("leave", {"list": "Club"}, 5),
    ("set", {"property": "city", "value": "Nantes"}, 8),
    ("set", {"property": "city", "value": ""}, 8),
    ("merge", {"from": "last_name", "into": "first_name"}, 2),
]


@pytest.mark.parametrize(("name", "argument", "changed"), ACTS, ids=[f"{a[0]}-{n}" for n, a in enumerate(ACTS)])
def test_an_act_changes_whom_it_must_and_undoing_restores_exactly(
    workspace: Workspace, crowd: list[Contact], add: Add, name: str, argument: dict[str, Any], changed: int
) -> None:
    from envol.contacts import bulk
    from envol.contacts.models import List

    add("p0", last_name="Zéro")
    add("p13", last_name="Seul")
    if "list" in argument:
        argument = {"list": List.objects.get(workspace=workspace, name="Club").pk}
    if name == "set":
        add("p13", city="Nantes") if argument["value"] else None
    before = picture(workspace)
    extra = {"tag": 1, "join": 1}.get(name, 0)
    made = act(workspace, name, argument)
    assert made.counts["changed"] == changed + extra, made.counts
    assert made.state == "done" and made.counts["left"] == 0
    assert picture(workspace) != before
    result = bulk.undo(made)
    assert result == {"restored": changed + extra, "kept": 0}
    assert picture(workspace) == before
    with pytest.raises(bulk.BulkProblem):
        bulk.undo(made)


def test_each_batch_is_a_few_statements_however_many_people(
    workspace: Workspace, crowd: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from envol.contacts import bulk

    def statements(people: int) -> int:
        from envol.contacts.filters import Filter

        made = bulk.prepare(workspace, "tag", {"tag": f"t{people}"}, Filter(ids=tuple(c.id for c in crowd[:people])))
        with CaptureQueriesContext(
            connection,
        ) as seen:
            bulk.apply(made)
        assert made.counts["changed"] == people
        return len(seen)

    assert statements(2) == statements(12)


def test_a_value_keeps_where_it_came_from(workspace: Workspace, crowd: list[Contact]) -> None:
    from envol.contacts.models import Contact, PropertyHistory, Source

    made = act(workspace, "set", {"property": "city", "value": "Lorient"})
    one = Contact.objects.get(pk=crowd[1].pk)
    assert one.props["city"] == {"label": "Lorient"} and one.sources["city"] == made.source_id
    source = Source.objects.get(pk=made.source_id)
    assert source.kind == "member" and str(made.pk) in source.label
    earlier = PropertyHistory.objects.get(contact_id=one.pk, key="city")
    assert earlier.value == {"label": "Nantes"} and earlier.source_id == crowd[1].sources["city"]


def test_undoing_keeps_what_somebody_changed_since(
    workspace: Workspace, crowd: list[Contact], page: Source, add: Add
) -> None:
    from envol.contacts import bulk, people
    from envol.contacts.models import Contact, List

    club = List.objects.get(workspace=workspace, name="Club")
    city, leaving = act(workspace, "set", {"property": "city", "value": "Lorient"}), None
    add("p1", city="Quimper")
    assert bulk.undo(city) == {"restored": 11, "kept": 1}
    assert Contact.objects.get(pk=crowd[1].pk).props["city"] == {"label": "Quimper"}
    leaving = act(workspace, "leave", {"list": club.pk})
    people.join(club, crowd[1], page)
    assert bulk.undo(leaving) == {"restored": 4, "kept": 1}
    assert len(people.lists_of(crowd[1])) == 1


def test_stopped_half_way_whole_batches_stand_and_can_be_undone(
    workspace: Workspace, crowd: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.contacts import bulk

    monkeypatch.setattr(bulk, "BATCH", 5)
    before = picture(workspace)
    made = bulk.prepare(workspace, "tag", {"tag": "x"}, everybody())

    def stop(done: int, total: int | None, step: str) -> None:
        assert total == 12
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        bulk.apply(made, stop)
    assert made.state == "cancelled" and made.counts["changed"] == 5 and made.counts["left"] == 7
    bulk.undo(made)
    assert picture(workspace) == before


def test_a_worker_that_died_is_taken_up_with_the_same_people(
    workspace: Workspace, crowd: list[Contact], add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.contacts import bulk
    from envol.contacts.models import BulkAct

    monkeypatch.setattr(bulk, "BATCH", 5)
    made = bulk.prepare(workspace, "tag", {"tag": "x"}, everybody())
    bulk._choose(made)
    bulk._step(made)
    late = add("late")
    again = BulkAct.objects.get(pk=made.pk)
    assert again.state == "running"
    bulk.apply(again)
    assert again.state == "done" and again.counts["changed"] == 12 and again.counts["chosen"] == 12
    late.refresh_from_db()
    assert late.tags == [], "who came after was not meant"


def test_two_members_at_once_lose_nothing(workspace: Workspace, crowd: list[Contact]) -> None:
    from django.db import connection

    from envol.contacts import bulk
    from envol.contacts.models import Contact

    acts = [bulk.prepare(workspace, "tag", {"tag": name}, everybody()) for name in ("un", "deux", "trois")]
    together = threading.Barrier(len(acts))
    failed: list[BaseException] = []

    def work(made: Any) -> None:
        try:
            together.wait(10)
            bulk.apply(made)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(made,)) for made in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failed
    for one in Contact.objects.filter(workspace_id=workspace.id):
        assert {"un", "deux", "trois"} <= set(one.tags)
    for made in acts:
        bulk.undo(made)
    assert {tuple(one.tags) for one in Contact.objects.filter(workspace_id=workspace.id)} == {(), ("fidèle", "presse")}


def test_nothing_crosses_into_another_workspace(workspace: Workspace, crowd: list[Contact]) -> None:
    from envol.accounts.workspaces import create_workspace
    from envol.contacts import bulk
    from envol.contacts.filters import Filter
    from envol.contacts.models import Contact, List

    other = create_workspace(f"{workspace.name}x", title="Autre")
    made = act(other, "tag", {"tag": "volé"}, Filter(ids=tuple(c.id for c in crowd)))
    assert made.counts["chosen"] == 0
    assert not Contact.objects.filter(workspace_id=workspace.id, tags__contains=["volé"]).exists()
    club = List.objects.get(workspace=workspace, name="Club")
    for name, argument, chosen in (
        ("join", {"list": club.pk}, Filter()),
        ("tag", {"tag": "x"}, Filter(list_id=club.pk)),
        ("tag", {"tag": " "}, Filter()),
        ("set", {"property": "nope", "value": "x"}, Filter()),
        ("set", {"property": "birth_date", "value": "31/02/2020"}, Filter()),
        ("merge", {"from": "first_name", "into": "birth_date"}, Filter()),
        ("erase", {}, Filter()),
    ):
        with pytest.raises(bulk.BulkProblem):
            bulk.prepare(other, name, argument, chosen)


def test_merging_says_first_what_it_would_do_and_loses_no_value(workspace: Workspace, add: Add) -> None:
    from envol.contacts import bulk, catalogue
    from envol.contacts.models import Contact, PropertyHistory

    catalogue.declare(workspace, "prenom", "text", "Prénom usuel", "Usual name")
    both, same, only = add("b", first_name="A", prenom="B"), add("s", first_name="C", prenom="C"), add("o", prenom="D")
    add("n", first_name="E")
    assert bulk.merge_figures(workspace, "prenom", "first_name") == {"moved": 1, "same": 1, "kept": 1}
    before = picture(workspace)
    made = act(workspace, "merge", {"from": "prenom", "into": "first_name"})
    assert "prenom" not in catalogue.of(workspace)
    values = {c.pk: c.props for c in Contact.objects.filter(workspace_id=workspace.id)}
    assert values[both.pk] == {"first_name": "A"} and values[only.pk] == {"first_name": "D"}
    assert values[same.pk] == {"first_name": "C"}
    assert PropertyHistory.objects.get(contact_id=both.pk).value == "B"
    bulk.undo(made)
    assert picture(workspace) == before


def test_erasing_a_person_forgets_that_she_was_meant(workspace: Workspace, crowd: list[Contact]) -> None:
    from envol.contacts import people
    from envol.contacts.models import BulkPerson

    act(workspace, "set", {"property": "city", "value": "Lorient"})
    people.erase(crowd[1], cause="request 1")
    assert not BulkPerson.objects.filter(contact_id=crowd[1].pk).exists()
    assert BulkPerson.objects.filter(contact_id=crowd[2].pk).exists()


def test_the_journal_keeps_the_undo(workspace: Workspace, crowd: list[Contact]) -> None:
    from envol.accounts import undo
    from envol.accounts.models import Role
    from envol.contacts import bulk, lists
    from envol.contacts.models import List
    from tests.web.shop import member

    owner = member(workspace, Role.OWNER, "zoe")
    before = picture(workspace)
    made = act(workspace, "tag", {"tag": "x"})
    offered = bulk.undo_of(made)
    assert offered is not None and offered.entry.action == "bulk.tag"
    assert "12 people" in str(undo.take_back(workspace, offered.pk, owner))
    assert picture(workspace) == before and bulk.undo_of(made) is None
    club = List.objects.get(workspace=workspace, name="Club")
    gone = lists.remove(club, actor_id=owner.pk)
    assert "Club" in str(undo.take_back(workspace, gone.pk, owner))
    assert List.objects.filter(pk=club.pk).exists()
