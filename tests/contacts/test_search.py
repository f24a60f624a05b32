"""The table that people are looked for in: filled behind the writing, and never the reason that somebody is missed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.contacts import filters, people, search
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, List
from envol.db import execute, rows, value

TEXTS = (
    "mart",
    "MARTIN zoé",
    "e.m",
    "salem ali",
    "lecteurs.example",
    "0%_",
    "%",
    "z_e",
    "\\",
    "a",
    "xyz",
    "K-17",
    "dur",
)


def found(workspace: Workspace, text: str, **more: object) -> list[int]:
    chosen = Filter(text, **more)  # type: ignore[arg-type]
    ids = [one.pk for one in filters.page(workspace, chosen).contacts]
    assert filters.count(workspace, chosen) == len(ids) == filters.count(workspace, chosen, most=100), text
    return ids


@pytest.fixture
def crowd(add: Callable[..., Contact]) -> list[Contact]:
    who = [
        add("zoe.martin", first_name="Zoé", last_name="Martin"),
        add("ali", first_name="Ali", last_name="Ben Salem"),
        add("100%_sure", first_name="Martine"),
    ]
    people.identify(who[1], "customer", "K-17")
    return who


def test_the_answers_are_the_same_whatever_is_written_yet(
    workspace: Workspace, crowd: list[Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answers() -> list[list[int]]:
        return [found(workspace, text, names_only=only) for text in TEXTS for only in (False, True)]

    monkeypatch.setattr(filters, "LOOKED", 1)  # nobody is found at the head of the order by luck
    before = answers()
    assert search.follow() >= 3
    assert value("SELECT count(*) FROM contacts_search WHERE workspace_id = %s", [workspace.id]) == 3
    assert answers() == before and any(before)
    monkeypatch.setattr(search, "NEAR", -1)  # so many are written since that everybody is read
    assert answers() == before


def test_who_changed_since_is_found_by_what_is_true_now(
    workspace: Workspace, crowd: list[Contact], add: Callable[..., Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "LOOKED", 0)
    search.follow()
    zoe, ali, _sure = crowd
    people.change_address(zoe, "zoe.durand@lecteurs.example")
    new = add("late", last_name="Durand")
    for _ in range(2):
        assert found(workspace, "durand") == [new.pk, zoe.pk]
        assert found(workspace, "zoe.martin") == []
        assert found(workspace, "K-17") == [ali.pk]
        search.follow()
    assert search.follow() == 0


def test_batches_of_one_stamp_lose_nobody(
    workspace: Workspace, add: Callable[..., Contact], monkeypatch: pytest.MonkeyPatch
) -> None:
    search.follow()  # what other tests left, in batches of the usual size
    execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key) SELECT %s, x, x"
        " FROM (SELECT 'n' || n || '@lecteurs.example' AS x FROM generate_series(1, 25) AS n) AS s",
        [workspace.id],
    )
    monkeypatch.setattr(search, "BATCH", 10)
    search.follow()
    known = {one for (one,) in rows("SELECT text FROM contacts_search WHERE workspace_id = %s", [workspace.id])}
    assert known == {f"n{n}@lecteurs.example" for n in range(1, 26)}


def test_nobody_is_found_elsewhere_and_other_filters_hold(workspace: Workspace, crowd: list[Contact]) -> None:
    club = List.objects.create(workspace=workspace, name="Club")
    people.join(club, crowd[0])
    search.follow()
    assert found(create_workspace("elsewhere-search", title="Ailleurs"), "martin") == []
    assert found(workspace, "mart", list_id=club.pk) == [crowd[0].pk]


def test_who_is_erased_leaves_no_text(workspace: Workspace, crowd: list[Contact]) -> None:
    search.follow()
    people.erase(crowd[0], cause="asked")
    execute("DELETE FROM contacts_contact WHERE id = %s", [crowd[1].pk])  # by whatever road
    left = [one for (one,) in rows("SELECT contact_id FROM contacts_search WHERE workspace_id = %s", [workspace.id])]
    assert left == [crowd[2].pk]


@pytest.mark.parametrize(
    ("word", "piece"), [("lecteur0500123", "500123"), ("ann", "ann"), ("kowalski@example.org", "owalsk"), ("", "")]
)
def test_the_index_is_asked_for_the_rarest_piece(word: str, piece: str) -> None:
    assert search.rarest(word) == piece
