"""What a segment said before: on its page, brought back by a button, and the button's own undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.audience import segments
from envol.audience.models import Segment
from tests.web.shop import Shop

Sign = Callable[..., Client]
RECENT = {"field": "created", "op": "in_last", "value": 30}
EMAIL = {"field": "email", "op": "contains", "value": "zoe.secret@lecteurs.example"}


@pytest.fixture
def changed(shop: Shop) -> Iterator[Segment]:
    name = f"Changeant {Segment.objects.count()}"
    owner = shop.members["owner"].pk
    one = segments.save(shop.workspace, name, {"v": 1, "match": "all", "rules": [RECENT]}, actor_id=owner)
    two = {"v": 1, "match": "all", "rules": [{**RECENT, "value": 90}, EMAIL]}
    yield segments.save(shop.workspace, name, two, segment=one, actor_id=owner)
    one.delete()


def part(answer: Any, css: str = "#versions") -> str:
    node = LexborHTMLParser(answer.content.decode()).css_first(css)
    return " ".join(node.text(separator=" ").split()) if node else ""


def test_the_page_tells_who_changed_what(changed: Segment, as_member: Sign) -> None:
    said = part(as_member("editor").get(f"/segments/{changed.pk}"))
    assert "Zoe" in said and "Changed: before: whose" in said and "30" in said and "90" in said
    assert "Added:" in said and "zoe.secret@lecteurs.example" in said and "Bring this rule back" in said


def test_a_viewer_sees_no_address_and_no_button(changed: Segment, as_member: Sign) -> None:
    client = as_member("viewer")
    said = part(client.get(f"/segments/{changed.pk}"))
    assert "Added" in said and "zoe.secret@" not in said and "Bring this rule back" not in said
    kept = changed.versions.get().pk
    assert client.post(f"/segments/{changed.pk}/versions/{kept}/restore").status_code == 403


def test_back_and_forth(changed: Segment, as_member: Sign) -> None:
    client = as_member("editor")
    kept = changed.versions.get().pk
    answer = client.post(f"/segments/{changed.pk}/versions/{kept}/restore")
    assert answer.status_code == 303
    page = client.get(answer["Location"])
    assert "The earlier rule holds again." in page.content.decode()
    changed.refresh_from_db()
    assert changed.tree["rules"] == [RECENT] and "This is what it says now." in part(page)
    undo = segments.undo_of(changed)
    assert undo is not None and client.post(f"/undo/{undo.pk}").status_code == 303
    changed.refresh_from_db()
    assert len(changed.tree["rules"]) == 2 and changed.versions.count() == 3


def test_a_version_of_something_else_is_not_there(
    changed: Segment, shop: Shop, other_shop: Shop, as_member: Sign
) -> None:
    client = as_member("editor")
    kept, theirs = changed.versions.get().pk, other_shop.segment
    for where in (
        f"/segments/{shop.segment.pk}/versions/{kept}/restore",
        f"/segments/{theirs.pk}/versions/{theirs.versions.latest('pk').pk}/restore",
        f"/segments/{changed.pk}/versions/999999999/restore",
    ):
        assert client.post(where).status_code == 404


def test_a_rule_that_cannot_come_back_says_why(changed: Segment, as_member: Sign) -> None:
    kept = changed.versions.get()
    kept.tree["rules"] = [{"field": "prop.gone", "op": "is", "value": "x"}]
    kept.save()
    client = as_member("editor")
    answer = client.post(f"/segments/{changed.pk}/versions/{kept.pk}/restore")
    page = client.get(answer["Location"])
    assert "This rule cannot come back" in page.content.decode() and "Not to be told" in part(page)


def test_never_changed(shop: Shop, as_member: Sign) -> None:
    one = segments.save(shop.workspace, f"Neuf {Segment.objects.count()}", {"v": 1, "match": "all", "rules": []})
    assert "It was never changed" in part(as_member("viewer").get(f"/segments/{one.pk}"))
    one.delete()
