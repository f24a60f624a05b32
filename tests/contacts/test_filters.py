from __future__ import annotations

from collections.abc import Callable

import pytest

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.contacts import people
from envol.contacts.filters import Filter, count, page
from envol.contacts.models import Contact, List


@pytest.fixture
def crowd(add: Callable[..., Contact]) -> dict[str, Contact]:
    return {
        "zoe": add("zoe.martin", first_name="Zoé", last_name="Martin"),
        "ali": add("ali", first_name="Ali", last_name="Ben Salem"),
        "odd": add("100%_sure", first_name="Martine"),
    }


def names(workspace: Workspace, text: str = "", **where: object) -> list[str]:
    chosen = Filter(text, **where)  # type: ignore[arg-type]
    return [c.email.partition("@")[0] for c in page(workspace, chosen, sort="email").contacts]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mart", ["100%_sure", "zoe.martin"]),
        ("MARTIN zoé", ["zoe.martin"]),
        ("e.m", ["zoe.martin"]),
        ("salem ali", ["ali"]),
        ("lecteurs.example", ["100%_sure", "ali", "zoe.martin"]),
        ("0%_", ["100%_sure"]),
        ("%", ["100%_sure"]),
        ("z_e", []),
        ("\\", []),
        ("' OR 1=1 --", []),
        ("\0ali", ["ali"]),
    ],
)
def test_people_are_found_by_any_part_of_address_or_name(
    workspace: Workspace, crowd: dict, text: str, found: list[str]
) -> None:
    assert names(workspace, text) == found
    assert count(workspace, Filter(text)) == len(found)


def test_a_customer_number_finds_its_person_and_lists_and_tags_narrow(workspace: Workspace, crowd: dict) -> None:
    people.identify(crowd["ali"], "customer", "K-17")
    assert names(workspace, "K-17") == ["ali"] and names(workspace, "K-1") == []
    club = List.objects.create(workspace=workspace, name="Club")
    people.join(club, crowd["zoe"])
    people.join(club, crowd["ali"])
    people.leave(club, crowd["ali"])
    people.tag(crowd["zoe"], "vip")
    assert names(workspace, list_id=club.pk) == ["zoe.martin"] == names(workspace, tag="vip")
    assert names(workspace, tag="vi") == []


def test_pages_follow_each_other_without_gap_or_repeat(workspace: Workspace, add: Callable[..., Contact]) -> None:
    for i in range(7):
        add(f"p{i}")
    first = page(workspace, Filter(), sort="email", limit=3)
    add("p0bis")  # arrives on a page already shown
    second = page(workspace, Filter(), sort="email", limit=3, after=first.next or 0)
    third = page(workspace, Filter(), sort="email", limit=3, after=second.next or 0)
    shown = [c.email[:2] for one in (first, second, third) for c in one.contacts]
    assert shown == [f"p{i}" for i in range(7)] and third.next is None


def test_nobody_of_another_workspace_is_found(workspace: Workspace, crowd: dict) -> None:
    assert names(create_workspace(workspace.name + "-other"), "mart") == []
