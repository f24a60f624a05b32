"""Custom events: told by programs, bounded, kept once, erased and exported with the person."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from envol import db
from envol.accounts.models import Member, Role, User, Workspace
from envol.accounts.undo import take_back
from envol.accounts.workspaces import add_member, create_workspace
from envol.audience import engine
from envol.contacts import happenings, people
from envol.contacts.models import Contact
from envol.events import custom
from envol.events.models import CustomEvent

AT = "2026-03-01T10:00:00+01:00"


@pytest.fixture
def zoe(workspace: Workspace) -> Contact:
    made = people.upsert(workspace, "Zoe@Lecteurs.example", {}, source=people.source(workspace, "member", "caisse"))
    people.identify(made, "customer", "4711")
    return made


@pytest.fixture
def other_workspace() -> Workspace:
    return create_workspace(f"w{secrets.token_hex(4)}", title="Disques de Bob")


def event(**more: Any) -> dict[str, Any]:
    return {"event": "visit", "email": "zoe@lecteurs.example", "at": AT, **more}


def test_what_is_told_is_kept_once_and_makes_its_name(workspace: Workspace, zoe: Contact) -> None:
    lines = [
        event(id="a", properties={"shop": "Lyon", "amount": 12.5, "first": True, "nothing": None}),
        event(identifier="customer:4711", email=None, id="b"),
        event(contact=zoe.pk, email=None),
    ]
    told = happenings.tell(workspace, lines)
    assert (told.added, told.known, told.refused) == (3, 0, [])
    again = happenings.tell(workspace, lines[:2] * 2)
    assert (again.added, again.known) == (0, 4)
    made = CustomEvent.objects.get(workspace=workspace, key="visit")
    assert made.properties == {"shop": "text", "amount": "number", "first": "boolean"}
    assert made.label_fr == "Visit" and custom.heard(workspace)[made.pk].events == 3


@pytest.mark.parametrize(
    "line",
    [
        "no object", {}, event(event="Bad Name"), event(event="x" * 61), event(email="nobody@lecteurs.example"),
        event(email="no address"), event(contact=1), event(email=None), event(email=None, contact=True),
        event(email=None, contact=2**70), event(email=None, identifier="4711"),
        event(email=None, identifier="=email:x"),
        event(at="2026-03-01"), event(at="2026-03-01T10:00:00"), event(at=12), event(at="1200-01-01T00:00:00Z"),
        event(at="2300-01-01T00:00:00Z"), {**event(id="x"), "at": None} | {"id": []}, event(id="x" * 201),
        event(id="x\0"), event(properties=[]), event(properties={"a": []}), event(properties={"A": 1}),
        event(properties={"a": float("nan")}), event(properties={"a": 10**400}), event(properties={"a": "x" * 201}),
        event(properties={"a": "\ud800"}), event(properties={"a": "\0"}),
        event(properties={f"p{n}": 1 for n in range(21)}),
        event(email=None, identifier="customer:\ud800"), event(id="\ud800"), event(extra=1),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_sentence(workspace: Workspace, zoe: Contact, line: Any) -> None:
    told = happenings.tell(workspace, [line, event()])
    assert told.added == 1 and len(told.refused) == 1
    place, why = told.refused[0]
    assert place == 0 and len(why) > 10


def test_an_id_needs_its_moment(workspace: Workspace, zoe: Contact) -> None:
    told = happenings.tell(workspace, [{"event": "visit", "email": zoe.email, "id": "x"}])
    assert told.added == 0 and "moment" in told.refused[0][1]


def test_names_and_properties_are_bounded_and_keep_their_type(workspace: Workspace, zoe: Contact) -> None:
    lines = [event(event=f"e{n}") for n in range(custom.MOST_NAMES + 2)]
    told = happenings.tell(workspace, lines)
    assert told.added == custom.MOST_NAMES and len(told.refused) == 2
    told = happenings.tell(
        workspace, [event(event="e1", properties={"a": 1}), event(event="e1", properties={"a": "x"})]
    )
    assert told.added == 1 and "number" in told.refused[0][1]
    many = [event(event="e2", properties={f"p{n}_{k}": 1 for k in range(10)}) for n in range(3)]
    assert happenings.tell(workspace, many).added == 2


def test_nobody_of_another_workspace_is_reached(workspace: Workspace, other_workspace: Workspace, zoe: Contact) -> None:
    for line in (event(), event(email=None, contact=zoe.pk), event(email=None, identifier="customer:4711")):
        told = happenings.tell(other_workspace, [line])
        assert told.added == 0 and len(told.refused) == 1
    assert not CustomEvent.objects.filter(workspace=other_workspace)


def test_they_go_with_the_person_and_are_in_her_export(workspace: Workspace, zoe: Contact) -> None:
    happenings.tell(workspace, [event(properties={"shop": "Lyon"})])
    found = json.dumps(people.export(zoe))
    assert "Lyon" in found and "visit" in found
    people.erase(zoe, cause="she asked")
    assert (
        db.value("SELECT count(*) FROM events_event WHERE workspace_id = %s AND custom IS NOT NULL", [workspace.pk])
        == 0
    )


def test_a_removed_kind_is_back_by_undo_or_gone_after_a_week(workspace: Workspace, zoe: Contact) -> None:
    happenings.tell(workspace, [event()])
    kind = CustomEvent.objects.get(workspace=workspace, key="visit")
    user = User.objects.create_user(f"o{workspace.pk}@equipe.example", "un mot de passe long", name="O")
    owner: Member = add_member(workspace, user, Role.OWNER)
    back = custom.remove(kind, actor_id=owner.pk)
    assert "deleted" in happenings.tell(workspace, [event()]).refused[0][1]
    take_back(workspace, back.pk, owner)
    assert happenings.tell(workspace, [event()]).added == 1
    custom.remove(kind, actor_id=owner.pk)
    custom.sweep()
    assert CustomEvent.objects.filter(pk=kind.pk).exists()
    custom.sweep(datetime.now(UTC) + timedelta(days=8))
    assert not CustomEvent.objects.filter(pk=kind.pk).exists()
    assert db.value("SELECT count(*) FROM events_event WHERE custom = %s", [kind.pk]) == 0


def test_a_rule_counts_them_in_a_window_with_a_property(workspace: Workspace, zoe: Contact) -> None:
    now = datetime.now(UTC)
    happenings.tell(
        workspace,
        [
            event(at=(now - timedelta(days=days)).isoformat(), properties={"shop": shop, "amount": amount})
            for days, shop, amount in ((1, "Lyon", 10), (2, "Lyon", 30), (50, "Nantes", 99))
        ],
    )

    def count(times: int, **where: Any) -> int:
        rule = {"field": "event.visit", "op": "at_least", "value": times, "where": where}
        return engine.count(workspace, {"v": 1, "match": "all", "rules": [rule]})

    assert [count(n) for n in (1, 3, 4)] == [1, 1, 0]
    assert [count(n, within_days=30) for n in (2, 3)] == [1, 0]
    assert count(1, property={"name": "amount", "op": "gte", "value": 99}) == 1
    assert count(1, property={"name": "amount", "op": "gte", "value": 99}, within_days=30) == 0
    assert count(2, property={"name": "shop", "op": "is", "value": "lyon"}) == 1
