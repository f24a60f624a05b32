"""How far segments name the same people: figures, the way on to the people of both, and who may go it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.audience import engine, segments
from envol.audience.models import Segment
from envol.contacts.models import List
from envol.db import execute
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def pair() -> tuple[Shop, Segment, Segment]:
    """Of 60 readers the first 30 on one list, those from the 20th to the 50th on another."""
    shop = open_shop("Librairie des listes")
    made = []
    for name, start, end in (("Jazz & classique", 0, 30), ("Polars", 20, 50)):
        some = List.objects.create(workspace=shop.workspace, name=name)
        execute(
            "INSERT INTO contacts_membership (workspace_id, contact_id, list_id)"
            " SELECT workspace_id, id, %s FROM contacts_contact WHERE id = ANY(%s)",
            [some.pk, [one.pk for one in shop.people[start:end]]],
        )
        rule = {"field": "list", "op": "on", "value": some.pk}
        made.append(segments.save(shop.workspace, name, {"v": 1, "match": "all", "rules": [rule]}))
    return shop, made[0], made[1]


def address(*found: Segment) -> str:
    return "/segments/overlap?" + urlencode([("segment", one.pk) for one in found])


def page_of(answer: Any) -> tuple[LexborHTMLParser, str]:
    tree = LexborHTMLParser(answer.content.decode())
    node = tree.css_first("main")
    return tree, " ".join(node.text(separator=" ").split()) if node else ""


def test_two_segments_share_what_they_share(pair: tuple[Shop, Segment, Segment], as_member: Sign) -> None:
    shop, jazz, crime = pair
    client = as_member("editor", shop)
    tree, said = page_of(client.get(address(jazz, crime)))
    assert "“Jazz & classique” and “Polars” have 10 people in common, 20% of those in either." in said
    assert "In at least one of them: 50 of 60 contacts." in said
    links = [a.attributes["href"] or "" for a in tree.css("main td a")]
    assert len(links) == 2 and all(link.startswith("/segments/new?") for link in links)
    built = page_of(client.get(links[0]))[1]
    assert "10 people" in built and "Jazz & classique and Polars" in client.get(links[0]).content.decode().replace(
        "&amp;", "&"
    )
    assert tree.css_first("svg.matrix rect.own") and tree.css_first("svg.matrix text.h2")


def test_a_viewer_reads_and_goes_nowhere(pair: tuple[Shop, Segment, Segment], as_member: Sign) -> None:
    shop, jazz, crime = pair
    tree, said = page_of(as_member("viewer", shop).get(address(jazz, crime, shop.segment)))
    assert "have 30 people in common, 50% of those in either" in said  # each list within everybody
    assert tree.css("main td a") == [] and "opens the people" not in said


def test_fewer_than_two(pair: tuple[Shop, Segment, Segment], as_member: Sign) -> None:
    shop, jazz, _crime = pair
    client = as_member("owner", shop)
    assert "Choose the segments above" in page_of(client.get("/segments/overlap"))[1]
    assert "Choose one more" in page_of(client.get(address(jazz)))[1]
    bare = open_shop("Sans segments")
    assert "It takes two" in page_of(as_member("editor", bare).get("/segments/overlap"))[1]
    assert "/segments/overlap" in client.get("/segments").content.decode()


def test_others_are_not_there(pair: tuple[Shop, Segment, Segment], other_shop: Shop, as_member: Sign) -> None:
    shop, jazz, _crime = pair
    _tree, said = page_of(as_member("owner", shop).get(address(jazz, other_shop.segment)))
    assert "Choose one more" in said and said.count("Fidèles") == 1


def test_a_count_that_takes_too_long_is_given_up(
    pair: tuple[Shop, Segment, Segment], as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.audience import overlap

    shop, jazz, crime = pair

    def slow(*args: Any, **more: Any) -> None:
        engine.count(shop.workspace, jazz.tree)
        execute("SELECT pg_sleep(5)")

    from envol.web.views import overlap as view

    monkeypatch.setattr(overlap, "overlap", slow)
    monkeypatch.setattr(view, "CEILING", 0.05)
    assert "takes longer than 30 seconds" in page_of(as_member("viewer", shop).get(address(jazz, crime)))[1]


def test_a_rule_that_cannot_be_read_is_said(pair: tuple[Shop, Segment, Segment], as_member: Sign) -> None:
    shop, jazz, _crime = pair
    rule = {"field": "prop.gone", "op": "is", "value": "x"}
    lost = Segment.objects.create(
        workspace=shop.workspace, name="Perdu", tree={"v": 1, "match": "all", "rules": [rule]}
    )
    assert "A rule can no longer be read" in page_of(as_member("viewer", shop).get(address(jazz, lost)))[1]
    lost.delete()
