# ruff: noqa: E501
"""Before sending: everybody who would see a hole is found, by one statement; and previews are the mail itself."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from django.db import connection

from envol.accounts.models import Workspace
from envol.consent import purposes
from envol.contacts.models import Contact, Property
from envol.content.checks import people_without_value
from envol.content.compose import Composer, Person
from envol.content.models import Version
from envol.content.preview import person_of, preview
from envol.content.problems import MissingValue
from envol.content.templates import save

SENDING = SimpleNamespace(id=1, kind="campaign", campaign_id=None, purpose_id=None)
EVERYBODY = "SELECT id FROM contacts_contact WHERE workspace_id = %s"


def add(workspace: Workspace, name: str, props: dict[str, object], allowed: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO contacts_contact (workspace_id, email, email_key, props, allowed) VALUES (%s, %s, %s, %s, %s)"
            " RETURNING id",
            [workspace.id, f"{name}@mail.example", f"{name}@mail.example", json.dumps(props), allowed],
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def news(workspace: Workspace) -> int:
    mask = purposes.mask(workspace, "newsletter")
    for key, kind in (("nickname", "text"), ("likes", "list"), ("points", "number")):
        Property.objects.create(workspace=workspace, key=key, label_fr=key, label_en=key, type=kind, purposes=mask)
    return mask


def a_version(workspace: Workspace, source: str, **more: object) -> Version:
    return save(workspace, "letter", "html", source, "Hello {{ contact.nickname }}", **more)  # type: ignore[arg-type]


def test_who_has_no_value_and_who_may_not_see_hers(workspace: Workspace, news: int) -> None:
    fine = add(workspace, "fine", {"nickname": "Ada", "likes": ["jazz"]}, news)
    none = add(workspace, "none", {"likes": ["rock"]}, news)
    empty = add(workspace, "empty", {"nickname": "", "likes": []}, news)
    null = add(workspace, "null", {"nickname": None, "likes": ["x"]}, news)
    hidden = add(workspace, "hidden", {"nickname": "Bob", "likes": ["x"]}, 0)
    zero = add(workspace, "zero", {"nickname": "Zoe", "likes": ["x"], "points": 0}, news)
    version = a_version(workspace, "{% for x in contact.likes %}{{ x }}{% endfor %}{{ contact.points|default(1) }}")
    found = people_without_value(version, EVERYBODY, [workspace.id])
    assert found["contact.nickname"] == (4, [none, empty, null, hidden])
    assert found["contact.likes"] == (2, [empty, hidden])
    assert set(found) == {"contact.nickname", "contact.likes"}
    assert fine and zero


def test_the_answer_is_the_engines_own(workspace: Workspace, news: int) -> None:
    """Whoever the check passes can be composed for, whoever it names cannot."""
    version = a_version(workspace, "<p>{{ contact.points }}</p>")
    values: list[dict[str, object]] = [
        {}, {"nickname": "A"}, {"nickname": "A", "points": 0}, {"nickname": "", "points": 1}, {"nickname": "A", "points": None},
        {"nickname": "é", "points": 1.5}, {"nickname": 0, "points": False}, {"nickname": [], "points": {}},
    ]  # fmt: skip
    ids = [add(workspace, f"p{at}", props, mask) for at, props in enumerate(values) for mask in (news,)]
    ids += [add(workspace, "refused", {"nickname": "A", "points": 1}, 0)]
    named = "SELECT id FROM contacts_contact WHERE workspace_id = %(w)s AND email LIKE '%%@mail.example'"
    found = people_without_value(version, named, {"w": workspace.id}, sample=100)
    missing = {one for each in found.values() for one in each.sample}
    for contact in Contact.objects.filter(id__in=ids):
        try:
            preview(version, contact)
        except MissingValue:
            assert contact.id in missing
        else:
            assert contact.id not in missing


def test_what_is_missing_inside_a_place_is_found(workspace: Workspace, news: int) -> None:
    Property.objects.create(workspace=workspace, key="home", label_fr="h", label_en="h", type="place", purposes=news)
    add(workspace, "whole", {"nickname": "A", "home": {"label": "Lyon", "postcode": "69001"}}, news)
    half = add(workspace, "half", {"nickname": "B", "home": {"label": "Lyon"}}, news)
    none = add(workspace, "none", {"nickname": "C"}, news)
    found = people_without_value(a_version(workspace, "{{ contact.home.postcode }}"), EVERYBODY, [workspace.id])
    assert found == {"contact.home": (1, [none]), "contact.home.postcode": (2, [half, none])}


def test_with_fallbacks_nobody_is_asked(workspace: Workspace, news: int) -> None:
    add(workspace, "none", {}, 0)
    version = a_version(workspace, "<p>x</p>", fallbacks={"nickname": "you"})
    assert people_without_value(version, EVERYBODY, [workspace.id]) == {}


def test_only_the_chosen_people_count(workspace: Workspace, news: int) -> None:
    add(workspace, "none", {}, 0)
    version = a_version(workspace, "<p>x</p>")
    assert people_without_value(version, EVERYBODY + " AND false", [workspace.id]) == {}


def test_a_preview_is_what_would_be_sent(workspace: Workspace, news: int) -> None:
    contact = Contact.objects.get(id=add(workspace, "ada", {"nickname": "Ada <3"}, news))
    version = a_version(workspace, "<p>Hi {{ contact.nickname }}</p>", preheader="{{ contact.nickname }}!")
    shown = preview(version, contact)
    assert shown.subject == "Hello Ada <3"
    assert "Hi Ada &lt;3" in (shown.html or "") and "Hi Ada <3" in shown.text
    assert "/u/preview" in shown.text

    sender = {"name": workspace.title, "address": "a@shop.example"}
    sent = Composer(SENDING, version, workspace, sender, base_url="https://m.example").parts(person_of(contact))
    assert sent.subject == shown.subject
    assert (sent.html or "").count("Ada &lt;3") == (shown.html or "").count("Ada &lt;3") == 2


def test_a_preview_for_somebody_unknown_shows_fallbacks_or_says_what_is_missing(
    workspace: Workspace, news: int
) -> None:
    assert preview(a_version(workspace, "<p>x</p>", fallbacks={"nickname": "you"})).subject == "Hello you"
    with pytest.raises(MissingValue, match="no fallback"):
        preview(a_version(workspace, "<p>x</p>"))


def test_purposes_come_from_the_workspaces_own_catalogue(workspace: Workspace, news: int) -> None:
    version = a_version(workspace, "<p>x</p>", fallbacks={"nickname": "you"})
    person = Person(1, 1, "a@mail.example", props={"nickname": "Ada"}, allowed=news)
    sender = {"name": "S", "address": "a@shop.example"}
    assert Composer(None, version, workspace, sender).parts(person).subject == "Hello Ada"
    assert Composer(None, version, workspace, sender).parts(person._replace(allowed=0)).subject == "Hello you"


def test_the_web_version_is_the_message_without_pixel(workspace: Workspace, news: int) -> None:
    contact = Contact.objects.get(id=add(workspace, "ada", {"nickname": "Ada <3"}, news | 1 | 2))
    source = '<p>Hi {{ contact.nickname }}</p><a href="https://shop.example/">go</a>'
    composer = Composer(
        SENDING, a_version(workspace, source), workspace, {"address": "a@shop.example"}, base_url="https://m.example"
    )
    page = composer.parts(person_of(contact), pixel=False).html or ""
    assert "Hi Ada &lt;3" in page and "/o/" not in page and "https://m.example/c/" in page
    sent = composer.parts(person_of(contact)).html or ""
    assert page == sent[: sent.index("<img")] + sent[sent.index(">", sent.index("<img")) + 1 :]
