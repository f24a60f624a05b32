"""The people's table: filters, order, views, what becomes a segment, who sees what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from envol.accounts.models import JournalEntry
from envol.audience import engine
from envol.audience.models import Segment
from envol.contacts import filters, lists, people
from envol.contacts.filters import Filter
from envol.contacts.models import SavedView
from envol.db import value
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def own(tmp_path: Path) -> Shop:
    """A shop that a test may change."""
    return open_shop(readers=70, folder=tmp_path, furnished=False)


def text(client: Client, where: str, **more: str) -> str:
    answer = client.get(where, **more)
    assert answer.status_code == 200, (where, answer.status_code)
    return answer.content.decode()


def test_pages_of_fifty_in_the_order_that_was_asked(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    page = text(client, "/contacts")
    assert page.count("<tr data-row>") == 50 and "70 people" in page
    assert 'aria-sort="descending"' in page, "newest first"
    for sort in ("email", "-email"):
        first = text(client, f"/contacts?sort={sort}")
        shown = [one for one in sorted(own.addresses, reverse=sort[0] == "-") if one in first]
        assert shown == sorted(own.addresses, reverse=sort[0] == "-")[:50]
    place = page.split("after=")[1].split('"')[0]
    assert place.isdigit(), "a place holds no address"
    second = text(client, f"/contacts?after={place}")
    assert second.count("<tr data-row>") == 20 and "First page" in second


def test_a_filter_is_a_sentence_and_can_be_taken_away(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    people.tag(own.people[3], "Presse & radio")
    for query, sentence, n in (
        ("q=martin", "Matches “martin”", 10),
        (f"list={own.list.pk}", "On the list “Abonnés FR”", 70),
        (f"segment={own.segment.pk}", "In the segment “Fidèles”", 70),
        ("tag=Presse+%26+radio", "Wears the tag “Presse &amp; radio”", 1),
        ("permission=newsletter.yes", "May be written to for “Newsletter”", 56),
        ("permission=newsletter.no", "Not for “Newsletter”", 14),
    ):
        page = text(client, f"/contacts?{query}")
        assert sentence in page and f"{n} " in page.split('class="total"')[1][:60], query
        assert "Clear all" in page
    both = text(client, f"/contacts?q=martin&list={own.list.pk}")
    assert f'href="?list={own.list.pk}"' in both and 'href="?q=martin"' in both


def test_for_htmx_only_what_a_filter_changes_comes_back(own: Shop, as_member: Sign) -> None:
    part = text(as_member("editor", own), "/contacts?q=martin", **HTMX)
    assert "<html" not in part and 'role="search"' not in part and part.count("<tr data-row>") == 10


@pytest.mark.parametrize("query", ["q=martin", "q=zo+mar", "list", "segment", "tag=vip", "permission=newsletter.yes",
                                   "permission=offers.no", "q=paul&tag=vip"])  # fmt: skip
def test_the_same_people_become_a_segment(own: Shop, as_member: Sign, query: str) -> None:
    client = as_member("editor", own)
    for one in own.people[::4]:
        people.tag(one, "vip")
    people.erase(own.people[9], cause="request 1")
    query = {"list": f"list={own.list.pk}", "segment": f"segment={own.segment.pk}"}.get(query, query)
    page = text(client, f"/contacts?{query}")
    shown = int(page.split('class="total"')[1].split("<span>")[1].split()[0])
    answer = client.post("/contacts/segment", {"query": f"?{query}", "name": "Ceux-là"})
    made = Segment.objects.get(workspace=own.workspace, name="Ceux-là")
    assert answer.status_code == 303 and answer["Location"].endswith(f"/segments/{made.pk}")
    assert engine.count(own.workspace, made.tree) == shown > 0


def test_what_a_segment_cannot_say_is_not_offered(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    assert "Save as segment" not in text(client, "/contacts?blocked=1")
    answer = client.post("/contacts/segment", {"query": "?blocked=1", "name": "X"})
    assert answer.status_code == 303 and not Segment.objects.filter(workspace=own.workspace, name="X").exists()


def test_views_are_kept_shared_and_deleted_by_who_may(own: Shop, other_shop: Shop, as_member: Sign) -> None:
    editor, viewer, owner = (as_member(role, own) for role in ("editor", "viewer", "owner"))
    form = {"query": "?q=martin&sort=email&after=3", "name": "Les Martin", "shared": "on"}
    assert editor.post("/contacts/views", form)["Location"] == "/contacts?q=martin&sort=email"
    view = SavedView.objects.get(workspace=own.workspace, name="Les Martin")
    assert "Les Martin" in text(viewer, "/contacts")
    viewer.post("/contacts/views", {"query": "?q=paul", "name": "À moi"})
    assert "À moi" in text(viewer, "/contacts") and "À moi" not in text(owner, "/contacts")
    viewer.post("/contacts/views", {"query": "?q=paul", "name": "Pour tous", "shared": "on"})
    assert not SavedView.objects.filter(name="Pour tous").exists()
    assert viewer.post(f"/contacts/views/{view.pk}/delete").status_code == 404
    stranger = as_member("owner", other_shop)
    assert stranger.post(f"/contacts/views/{view.pk}/delete").status_code == 404
    assert stranger.post("/contacts/views", {"query": f"?list={own.list.pk}", "name": "X"}).status_code == 404
    assert owner.post(f"/contacts/views/{view.pk}/delete").status_code == 303
    assert not SavedView.objects.filter(pk=view.pk).exists()


def test_dense_rows_are_remembered(own: Shop, as_member: Sign) -> None:
    client = as_member("viewer", own)
    assert 'class="people dense"' not in text(client, "/contacts")
    answer = client.post("/contacts/density", {"density": "dense", "next": "/contacts?q=martin"})
    assert answer["Location"] == "/contacts?q=martin"
    assert 'class="people dense"' in text(client, "/contacts")
    assert (
        client.post("/contacts/density", {"density": "x", "next": "https://ailleurs.example/"})["Location"]
        == "/contacts"
    )


def test_a_viewer_sees_no_address_ticks_nobody_and_guesses_none(own: Shop, as_member: Sign) -> None:
    viewer = as_member("viewer", own)
    page = text(viewer, "/contacts")
    assert not any(one in page for one in own.addresses)
    assert 'name="id"' not in page and "Set a value" not in page and 'name="act"' not in page
    assert "sort=email" not in page
    assert "<tr data-row>" not in text(viewer, f"/contacts?q={own.people[0].email}")
    for where in ("/contacts/act?act=tag&all=1", "/contacts/export.csv?all=1", "/contacts/tags"):
        assert viewer.get(where).status_code == 403
    assert viewer.post("/contacts/act", {"act": "tag", "all": "1", "tag_name": "x"}).status_code == 403


def test_a_large_table_says_so_and_counts_by_itself(
    own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.web.views import contacts

    monkeypatch.setattr(contacts, "COUNTED", 20)
    page = text(as_member("editor", own), "/contacts?q=example")
    assert "more than" in page and 'hx-get="/contacts/count?q=example"' in page
    assert "70 people" in text(as_member("editor", own), "/contacts/count?q=example")


def test_an_export_brings_the_people_meant_and_is_in_the_journal(own: Shop, as_member: Sign) -> None:
    client = as_member("editor", own)
    answer = client.get("/contacts/export.csv?all=1&q=martin&purpose=newsletter")
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 9 and all("martin" in line for line in lines[1:]), "two of the ten gave no permission"
    some = [one.pk for one in own.people[:3]]
    answer = client.get("/contacts/export.csv", {"id": some, "purpose": "newsletter"})
    assert len(b"".join(answer.streaming_content).decode().splitlines()) == 4
    assert JournalEntry.objects.filter(workspace=own.workspace, action="contacts.exported").count() == 2
    assert client.get("/contacts/export.csv").status_code == 303, "nobody was ticked"


def test_strangers_people_are_never_meant(own: Shop, other_shop: Shop, as_member: Sign) -> None:
    client = as_member("owner", own)
    answer = client.get(
        "/contacts/export.csv", {"id": [one.pk for one in other_shop.people[:3]], "purpose": "newsletter"}
    )
    assert len(b"".join(answer.streaming_content).decode().splitlines()) == 1
    assert filters.count(own.workspace, Filter(ids=(other_shop.people[0].pk,))) == 0


def test_a_figure_that_takes_long_follows_the_page(own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "count_within", lambda *_args: None)
    client = as_member("editor", own)
    page = text(client, "/contacts?q=example")
    assert 'hx-get="/contacts/count?q=example"' in page and "70 people" not in page
    assert "70 people" in text(client, "/contacts/count?q=example", **HTMX)
    link = page.split("Count these people")[0].rsplit('href="', 1)[1].split('"')[0]
    assert "70 people" in text(client, link.replace("&amp;", "&")), "without a script the link counts"


def test_counting_on_a_large_base_is_given_up_in_time(own: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_args: object, **_more: object) -> int:
        return int(value("SELECT 1 FROM pg_sleep(30)"))

    monkeypatch.setattr(filters, "is_large", lambda table: True)
    assert filters.count_within(own.workspace, Filter(), 10, 5) == 10
    monkeypatch.setattr(filters, "count", slow)
    assert filters.count_within(own.workspace, Filter(), 10, 0.02) is None
    assert value("SHOW statement_timeout") == "0", "nothing else is hurried afterwards"


def test_the_lists_of_a_large_base_say_that_they_are_counted(
    own: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_member("editor", own)
    whole = text(client, "/lists")
    monkeypatch.setattr(lists, "overview_within", lambda workspace, seconds: None)
    page = text(client, "/lists")
    assert 'hx-select="#lists"' in page and "<tbody>" not in page and own.list.name not in page
    assert text(client, "/lists?whole=1").count("<tr data-row>") == whole.count("<tr data-row>") > 0
