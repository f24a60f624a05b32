"""The catalogue, lists and saved views as members keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # models cannot be imported before pytest has set Django up
    from envol.accounts.models import Workspace
    from envol.contacts.models import Contact

Add = Callable[..., "Contact"]


def test_a_list_that_is_removed_comes_back_with_its_people(workspace: Workspace, zoe: Contact) -> None:
    from envol.contacts import lists, people
    from envol.contacts.models import List

    club = lists.create(workspace, "  Club   du soir ")
    assert club.name == "Club du soir"
    people.join(club, zoe)
    assert lists.overview(workspace)[0][1:4] == (1, 1, 0)
    lists.remove(club)
    assert not List.objects.filter(pk=club.pk).exists() and people.lists_of(zoe) == []
    again = lists.create(workspace, "Club du soir")
    with pytest.raises(lists.ListProblem, match="already a list"):
        lists.restore(workspace, club.pk)
    lists.rename(again, "Autre")
    lists.restore(workspace, club.pk)
    assert [one.name for one, _ in people.lists_of(zoe)] == ["Club du soir"]
    with pytest.raises(lists.ListProblem):
        lists.rename(again, "Club du soir")


def test_a_list_in_use_is_not_removed(workspace: Workspace) -> None:
    from envol.audience import segments
    from envol.contacts import lists

    club = lists.create(workspace, "Club")
    recent = {"field": "list", "op": "joined_in_last", "value": {"list": club.pk, "days": 30}}
    segments.save(workspace, "Récents", {"v": 1, "match": "all", "rules": [recent]})
    with pytest.raises(lists.ListProblem, match="Récents"):
        lists.remove(club)


def test_a_property_says_who_has_it_and_what_uses_it(workspace: Workspace, add: Add) -> None:
    from envol.audience import segments
    from envol.contacts import fields
    from envol.content import templates

    add("a", first_name="A", city="Nantes")
    add("b", first_name="B")
    rule = {"field": "prop.city", "op": "known"}
    segments.save(workspace, "Avec ville", {"v": 1, "match": "all", "rules": [rule]})
    templates.save(workspace, "Lettre", "html", "<p>{{ contact.first_name | default('vous') }}</p>", "Bonjour")
    total, estimated, lines = fields.overview(workspace)
    assert not estimated
    found = {line.property.key: line for line in lines}
    assert total == 2 and found["first_name"].filled == 2 and found["city"].filled == 1
    assert [use[:2] for use in found["city"].uses] == [("segment", "Avec ville")]
    assert [use[:2] for use in found["first_name"].uses] == [("template", "Lettre")]
    templates.save(workspace, "Lettre", "html", "<p>Bonjour</p>", "Bonjour")
    assert fields.uses_of(workspace, ["first_name"]) == {"first_name": []}, "only the newest version counts"


def test_a_property_is_added_changed_and_deleted_only_when_unused(workspace: Workspace, add: Add) -> None:
    from envol.contacts import catalogue, fields

    made = fields.add(workspace, "choice", "Genre préféré", "", choices=["policier", "roman"], purposes=["newsletter"])
    assert made.key == "genre_prefere" and made.label_en == "Genre préféré"
    with pytest.raises(fields.FieldProblem, match="already a property"):
        fields.add(workspace, "text", "genre PRÉFÉRÉ", "")
    assert fields.key_of(workspace, "Liste") == "liste" and fields.key_of(workspace, "Email") == "email_2"
    add("a", genre_prefere="roman")
    keep = {"label_fr": "Genre", "label_en": "Genre", "purposes": ["newsletter"], "personal": True, "sensitive": False}
    with pytest.raises(fields.FieldProblem, match="roman"):
        fields.change(made, **keep, choices=["policier"])
    changed = fields.change(made, **keep, choices=["roman", "policier", "poésie"])
    assert changed.label_fr == "Genre" and [c["value"] for c in changed.choices] == ["roman", "policier", "poésie"]
    with pytest.raises(fields.FieldProblem, match="still have"):
        fields.delete(changed)
    add("a", genre_prefere=None)
    assert fields.loss(changed).earlier == 1
    declared = catalogue.declaration(changed)
    fields.delete(changed)
    assert "genre_prefere" not in catalogue.of(workspace)
    assert catalogue.declaration(fields.restore(workspace, declared)) == declared


def test_views_are_ones_own_or_shared(workspace: Workspace) -> None:
    from envol.accounts.models import Role
    from envol.contacts import saved_views
    from tests.web.shop import member

    owner = member(workspace, Role.OWNER, "zoe")
    editor = member(workspace, Role.EDITOR, "ahmed")
    viewer = member(workspace, Role.VIEWER, "ines")
    mine = saved_views.save(editor, "À moi", "?tag=vip")
    shared = saved_views.save(editor, "À tous", "?q=paul", shared=True)
    assert {v.pk for v in saved_views.seen_by(editor)} == {mine.pk, shared.pk}
    assert {v.pk for v in saved_views.seen_by(viewer)} == {shared.pk}
    with pytest.raises(saved_views.ViewProblem):
        saved_views.save(viewer, "X", "?q=x", shared=True)
    assert saved_views.save(editor, "À moi", "?tag=presse").pk == mine.pk
    assert saved_views.delete(viewer, shared.pk) is None and saved_views.delete(owner, mine.pk) is None
    assert saved_views.delete(owner, shared.pk) is not None


def test_pages_of_people_in_every_order_without_an_address_in_the_place(workspace: Workspace, add: Add) -> None:
    from envol.contacts import filters

    for n in (3, 1, 2, 5, 4):
        add(f"p{n}")
    for sort in filters.SORTS:
        seen: list[str] = []
        after: int | None = 0
        while after is not None:
            page = filters.page(workspace, filters.Filter(), sort=sort, after=after, limit=2)
            seen += [c.email[:2] for c in page.contacts]
            after = page.next
        if "email" in sort:
            assert seen == sorted(seen, reverse=sort[0] == "-") and len(seen) == 5
        else:
            assert seen == (["p4", "p5", "p2", "p1", "p3"] if sort == "-id" else ["p3", "p1", "p2", "p5", "p4"])


def test_who_sees_no_addresses_finds_nobody_by_guessing_one(workspace: Workspace, zoe: Contact) -> None:
    from envol.contacts import filters, people

    people.identify(zoe, "customer", "K-17")
    for text, plain, blind in (("zoe@lect", 1, 0), ("Zoé", 1, 1), ("K-17", 1, 0), ("mart zo", 1, 1), ("%", 0, 0)):
        assert filters.count(workspace, filters.Filter(text=text)) == plain, text
        assert filters.count(workspace, filters.Filter(text=text, names_only=True)) == blind, text


def test_a_large_base_is_asked_by_a_sample(workspace: Workspace, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.core.cache import cache

    from envol.contacts import fields
    from envol.db import execute

    add("a", first_name="A")
    execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, props) SELECT %s, 'x' || i || '@l.example',"
        " 'x' || i || '@l.example', CASE WHEN i %% 2 = 0 THEN '{\"first_name\": \"B\"}'::jsonb ELSE '{}' END"
        " FROM generate_series(1, 3999) i",
        [workspace.pk],
    )
    execute("ANALYZE contacts_contact")
    exact = {line.property.key: line.filled for line in fields.overview(workspace).lines}
    assert exact["first_name"] == 2000 and exact["city"] == 0
    monkeypatch.setattr(fields, "COUNTED", 1000)
    monkeypatch.setattr(fields, "SAMPLE", 2000)
    about = fields.overview(workspace)
    guessed = {line.property.key: line.filled for line in about.lines}
    assert about.estimated and about.total == 4000 and 1800 < guessed["first_name"] < 2200 and guessed["city"] == 0
    monkeypatch.setattr(fields, "_ROWS", "SELECT 10000000")
    cache.clear()
    guessed = {line.property.key: line.filled for line in fields.overview(workspace).lines}
    assert 1800 < guessed["first_name"] < 2200, "of a table where we are few, a larger share is asked"
