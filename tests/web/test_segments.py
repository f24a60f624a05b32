"""Segments without a line of script: built, counted, explained, copied, deleted and brought back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.html import escape
from selectolax.lexbor import LexborHTMLParser

from envol.audience import counting, segments
from envol.audience.models import Segment
from envol.db import execute, value
from tests.web.shop import Shop, open_shop
from tests.web.test_segment_form import controls

Sign = Callable[..., Client]
READERS = {
    "v": 1,
    "match": "all",
    "rules": [{"field": "email", "op": "contains", "value": "lecteurs.example"}],
}
HTMX = {"HX-Request": "true"}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not turn a count into an estimate; the tests of estimates slow it down themselves."""
    from envol.web.views import segment_builder
    from envol.web.views import segments as pages

    monkeypatch.setattr(counting, "PATIENCE", 60.0)
    monkeypatch.setattr(segment_builder, "AT_ONCE", 60.0)
    monkeypatch.setattr(pages, "COUNTING", 60.0)


def form_of(answer: Any) -> dict[str, list[str]]:
    """What a browser would send of the builder's form."""
    node = LexborHTMLParser(answer.content.decode()).css_first("form#builder")
    assert node is not None and node.html
    made: dict[str, list[str]] = {}
    for name, text in controls(node.html):
        made.setdefault(name, []).append(text)
    return made


def press(client: Client, where: str, posted: dict[str, list[str]], act: str, **more: str) -> Any:
    return client.post(where, {**posted, "act": [act], **{k: [v] for k, v in more.items()}})


def text_of(answer: Any, css: str = "main") -> str:
    node = LexborHTMLParser(answer.content.decode()).css_first(css)
    return " ".join(node.text(separator=" ").split()) if node else ""


def figure_of(listed: Any, segment: Segment) -> str:
    """The count in the row of this segment: other tests of the shop leave segments of their own in the list."""
    for row in LexborHTMLParser(listed.content.decode()).css("tbody tr"):
        if row.css_first(f'a[href="/segments/{segment.pk}"]') and (cell := row.css_first("td.number")):
            return cell.text(strip=True)
    raise AssertionError(f"{segment.name} is not in the list")


def test_a_segment_is_built_by_plain_forms(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    page = client.get("/segments/new")
    posted = form_of(page)
    assert "60 people" in text_of(page, "#figures") and "1 rule is not filled" in text_of(page, "#figures")
    page = press(client, "/segments/new", posted, "draw", **{"r.0.f": "orders.count"})
    posted = form_of(page)
    assert posted["r.0.o"] == ["is"]
    page = press(client, "/segments/new", posted, "draw", **{"r.0.o": "gte", "r.0.v": "1"})
    assert "20 people" in text_of(page, "#figures") and "33%" in text_of(page, "#figures")
    page = press(client, "/segments/new", form_of(page), "group:")
    posted = form_of(page)
    assert posted["r.1.m"] == ["any"] and "autofocus" in page.content.decode()
    page = press(client, "/segments/new", posted, "draw", **{"r.1.0.f": "mail.opened"})
    assert "among people who agreed" in text_of(page)
    page = press(client, "/segments/new", form_of(page), "add:1")
    page = press(client, "/segments/new", form_of(page), "draw", **{"r.1.1.f": "list"})
    posted = form_of(page)
    page = press(client, "/segments/new", posted, "copy:1.1", **{"r.1.1.v": str(shop.list.pk)})
    assert form_of(page)["r.1.2.v"] == [str(shop.list.pk)]
    page = press(client, "/segments/new", form_of(page), "remove:1.2")
    answer = press(client, "/segments/new", form_of(page), "save", name="Bâti à la main")
    assert answer.status_code == 303
    made = Segment.objects.get(workspace=shop.workspace, name="Bâti à la main")
    assert made.tree["rules"] == [
        {"field": "orders.count", "op": "gte", "value": 1},
        {"match": "any", "rules": [
            {"field": "mail.opened", "op": "at_least", "value": 1},
            {"field": "list", "op": "on", "value": shop.list.pk},
        ]},
    ]  # fmt: skip
    made.delete()


def test_saving_what_is_wrong_loses_nothing_and_says_what_to_do(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    posted = form_of(client.get("/segments/new"))
    posted = form_of(press(client, "/segments/new", posted, "draw", **{"r.0.f": "orders.sum"}))
    page = press(client, "/segments/new", posted, "add:", **{"r.0.v": "douze euros"})
    page = press(client, "/segments/new", form_of(page), "save", name="Inachevé")
    assert page.status_code == 422
    kept = form_of(page)
    assert (kept["name"], kept["r.0.v"], kept["r.1.f"]) == (["Inachevé"], ["douze euros"], [""])
    said = text_of(page, "[role=alert]")
    assert "Write an amount" in said and "Choose what the rule is about" in said
    html = page.content.decode()
    assert 'href="#r.0"' in html and 'id="r.0.wrong"' in html and 'aria-describedby="r.0.wrong"' in html
    page = press(client, "/segments/new", {**kept, "r.0.v": ["12,50"], "r.1.f": ["email"]}, "save", name="")
    page = press(client, "/segments/new", {**form_of(page), "r.1.o": ["known"]}, "save", name="")
    assert page.status_code == 422 and "Give the segment a name" in text_of(page)
    page = press(client, "/segments/new", form_of(page), "save", name="Fidèles")
    assert page.status_code == 422 and "already a segment called" in text_of(page)


def test_a_whole_page_asks_for_its_count_before_it_is_drawn(
    shop: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_member("editor")
    posted = form_of(client.get("/segments/new?" + urlencode({"tree": json.dumps(READERS)})))
    acts: list[str] = []

    def noted(act: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            acts.append(act)
            return real(*args, **kwargs)

        return run

    from envol.web.views import segment_builder

    monkeypatch.setattr(counting, "ahead", noted("asked", counting.ahead))
    monkeypatch.setattr(segment_builder, "Drawing", noted("drawn", segment_builder.Drawing))
    monkeypatch.setattr(counting, "figures", noted("read", counting.figures))
    page = press(client, "/segments/new", posted, "draw")
    assert acts == ["asked", "drawn", "read"] and text_of(page, "#count") == "20"
    acts.clear()
    client.post("/segments/new", {**posted, "act": "draw"}, headers=HTMX)
    assert acts == ["drawn"], "the tree alone asks for no count"


def test_the_tree_alone_and_the_figures_alone_for_script(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    posted = {**form_of(client.get("/segments/new")), "r.0.f": ["email"], "r.0.k": ["email"], "r.0.o": ["contains"]}
    tree = client.post("/segments/new", {**posted, "act": "add:"}, headers=HTMX).content.decode()
    assert tree.lstrip().startswith('<div id="tree"') and "<html" not in tree and 'name="r.1.f"' in tree
    figures = client.post("/segments/figures", {**posted, "r.0.v": "lecteurs.example", "turn": "5"})
    assert text_of(figures, "#count") == "20" and "Zoé" in text_of(figures, "#figures")
    assert "without permission" in text_of(figures, ".reasons")
    wrong = client.post("/segments/figures", {**posted, "r.0.v": "x" * 501, "turn": "6"})
    assert "longer than 500" in text_of(wrong, "#figures") and not text_of(wrong, "#count")
    assert client.post("/segments/leave", {"page": posted["page"]}).status_code == 204


def test_a_slow_count_is_an_estimate_that_says_so(shop: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = counting._exact
    client = as_member("editor")
    posted = form_of(client.get("/segments/new"))

    def slow(*args: Any) -> Any:
        raise counting.TooSlow

    monkeypatch.setattr(counting, "_exact", slow)
    about = client.post("/segments/figures", posted)
    assert text_of(about, "#count") == "≈ 60" and "Estimated from 60 people drawn at random" in text_of(
        about, "#figures"
    )
    assert b'data-more="exact"' in about.content
    given_up = client.post("/segments/figures", {**posted, "act": "exact", "turn": "3"})
    assert "was given up" in text_of(given_up, "#figures") and b"data-more" not in given_up.content
    monkeypatch.setattr(counting, "_exact", exact)
    sure = client.post("/segments/figures", {**posted, "act": "exact", "turn": "4"})
    assert text_of(sure, "#count") == "60"

    def newer(*args: Any, **kwargs: Any) -> Any:
        raise counting.Superseded

    monkeypatch.setattr(counting, "figures", newer)
    assert client.post("/segments/figures", posted).status_code == 204


def test_why_is_she_in_it_or_not_rule_by_rule(shop: Shop, as_member: Sign) -> None:
    tree = {"v": 1, "match": "all", "rules": [
        {"field": "list", "op": "on", "value": shop.list.pk},
        {"match": "none", "rules": [{"field": "orders.count", "op": "gte", "value": 1}]},
    ]}  # fmt: skip
    segment = segments.save(shop.workspace, "Sans commande", tree)
    where = f"/segments/{segment.pk}"
    client = as_member("editor")
    found = client.get(where, {"who": shop.people[2].email})
    assert f"?person={shop.people[2].pk}#why" in found.content.decode()
    buyer, other = client.get(where, {"person": shop.people[2].pk}), client.get(where, {"person": shop.people[40].pk})
    assert "is not in it" in text_of(buyer, "#why") and "is in it" in text_of(other, "#why")
    marks = [
        [node.attributes["class"] for node in LexborHTMLParser(a.content.decode()).css(".reason")]
        for a in (buyer, other)
    ]
    assert marks == [
        ["reason fails", "reason fits", "reason fails", "reason fits"],
        ["reason fits", "reason fits", "reason fits", "reason fails"],
    ]
    assert "who are on the list “Abonnés FR”" in text_of(buyer, ".why")
    assert client.get(where, {"person": 999999999}).status_code == 404
    viewer = as_member("viewer")
    assert "Nobody matches" in text_of(viewer.get(where, {"who": shop.people[2].email}), "#why"), "no guessing"
    assert shop.people[2].email not in viewer.get(where, {"person": shop.people[2].pk}).content.decode()
    segment.delete()


def test_every_figure_of_a_segment_opens_as_many_people(shop: Shop, as_member: Sign) -> None:
    client = as_member("viewer")
    page = client.get(f"/segments/{shop.segment.pk}")
    figures = re.findall(r'<strong>(?:≈ )?<a href="(/contacts\?segment=[^"]+)">(\d+)</a>', page.content.decode())
    assert [n for _, n in figures] == ["60", "48"]
    for href, n in figures:
        there = client.get(href.replace("&amp;", "&"))
        rows = LexborHTMLParser(there.content.decode()).css("tbody tr")
        assert len(rows) == min(int(n), 50), href
    assert "Lettre d'automne" in text_of(page), "used by"


def test_the_list_counts_what_it_can_and_asks_for_the_rest(
    shop: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    from envol.web.views import segments as view

    client = as_member("viewer")
    listed = client.get("/segments")
    assert figure_of(listed, shop.segment) == "60" and "counted at" in text_of(listed, "caption")
    monkeypatch.setattr(view, "COUNTING", 0.0)
    lazy = client.get("/segments").content.decode()
    asked = f"/segments/{shop.segment.pk}/count"
    assert f'hx-get="{asked}"' in lazy and f'href="{asked}"' in lazy
    assert text_of(client.get(asked, headers=HTMX), "a") == "60"
    assert client.get(asked)["Location"] == f"/segments/{shop.segment.pk}"


def test_a_segment_is_copied_made_from_an_address_and_from_json(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    copied = form_of(client.get(f"/segments/new?copy={shop.segment.pk}"))
    assert copied["name"] == ["Fidèles (copy)"] and copied["r.0.v"] == [str(shop.list.pk)]
    assert client.get("/segments/new?copy=999999").status_code == 404
    tree = {"v": 1, "match": "any", "rules": [{"field": "email", "op": "begins", "value": 'zoé <&">'}]}
    linked = client.get("/segments/new?" + urlencode({"tree": json.dumps(tree), "name": "Zoés"}))
    assert (form_of(linked)["r.0.v"], form_of(linked)["r.m"]) == ([tree["rules"][0]["value"]], ["any"])
    assert form_of(linked)["name"] == ["Zoés"]
    for bad in ("{", "[]", "[" * 100_000):
        answer = (
            client.get("/segments/new", {"tree": bad})
            if len(bad) < 9
            else client.post("/segments/new", {"tree": bad, "act": "json"})
        )
        assert answer.status_code == 422, bad[:9]
    expert = client.post("/segments/new", {"tree": json.dumps(tree), "act": "json", "name": "X"})
    assert form_of(expert)["r.0.v"] == [tree["rules"][0]["value"]]
    shown = LexborHTMLParser(expert.content.decode()).css_first("#json")
    assert shown is not None and shown.text() == 'any(email begins "zoé <&\\">")'
    again = client.post("/segments/new", {"tree": shown.text(), "act": "json", "name": "X"})
    assert form_of(again)["r.0.v"] == [tree["rules"][0]["value"]]
    answer = client.post("/segments/new", {"tree": "orders.count >= 2\nand email", "act": "json", "name": "X"})
    assert answer.status_code == 422 and "Line 2, column 10" in text_of(answer)
    wrong = json.dumps({"v": 1, "match": "all", "rules": [{"field": "prop.gone", "op": "is", "value": "x"}]})
    answer = client.post("/segments/new", {"tree": wrong, "act": "json", "name": "X"})
    assert answer.status_code == 422 and "choose one of the catalogue" in text_of(answer)
    assert escape(wrong) in answer.content.decode(), "the JSON stays as it was written"


def test_a_segment_that_uses_itself_is_refused_while_it_is_edited(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    where = f"/segments/{shop.segment.pk}/edit"
    posted = form_of(client.get(where))
    posted |= {"r.0.f": ["segment"], "r.0.k": ["segment"], "r.0.o": ["in"], "r.0.v": [str(shop.segment.pk)]}
    assert "would contain itself" in text_of(client.post("/segments/figures", posted), "#figures")
    answer = press(client, where, posted, "save")
    assert answer.status_code == 422 and "would contain itself" in text_of(answer)


def test_two_people_change_one_segment_and_nobody_overwrites_unawares(shop: Shop, as_member: Sign) -> None:
    made = segments.save(shop.workspace, "À deux", {"v": 1, "match": "all", "rules": []})
    where = f"/segments/{made.pk}/edit"
    hers, his = as_member("editor"), as_member("owner")
    her_form, his_form = form_of(hers.get(where)), form_of(his.get(where))
    assert press(his, where, his_form, "save", name="À lui").status_code == 303
    told = press(hers, where, her_form, "save", name="À elle")
    assert told.status_code == 409
    said = text_of(told, "[role=alert]")
    assert "Zoe changed this segment meanwhile" in said and "“À lui”" in said
    assert form_of(told)["name"] == ["À elle"]
    made.refresh_from_db()
    assert made.name == "À lui"
    assert press(hers, where, form_of(told), "save").status_code == 303
    made.refresh_from_db()
    assert made.name == "À elle"
    made.delete()


def test_deleting_is_taken_back(shop: Shop, as_member: Sign) -> None:
    client = as_member("editor")
    made = segments.save(shop.workspace, "Éphémère", {"v": 1, "match": "all", "rules": []})
    pk, tree = made.pk, made.tree
    page = client.post(f"/segments/{pk}/delete", follow=True)
    assert "is gone" in text_of(page) and client.get(f"/segments/{pk}").status_code == 404
    found = LexborHTMLParser(page.content.decode()).css_first("undo-notice form")
    assert found is not None
    client.post(str(found.attributes["action"]), dict(controls(found.html or "")))
    back = Segment.objects.get(pk=pk)
    assert (back.name, back.tree) == ("Éphémère", tree)
    back.delete()
    refused = client.post(f"/segments/{shop.segment.pk}/delete", follow=True)
    assert "is used by" in text_of(refused) and Segment.objects.filter(pk=shop.segment.pk).exists()


def test_an_empty_list_offers_three_examples_of_its_own(as_member: Sign) -> None:
    fresh = open_shop("Sans segment", readers=30)
    Segment.objects.filter(workspace=fresh.workspace).exclude(pk=fresh.segment.pk).delete()
    from envol.campaigns.models import Campaign

    Campaign.objects.filter(segment=fresh.segment).update(segment=None)
    fresh.segment.delete()
    client = as_member("editor", of=fresh)
    page = client.get("/segments")
    links = [a.attributes["href"] for a in LexborHTMLParser(page.content.decode()).css(".grid a")]
    assert len(links) == 3
    for link in links:
        form = form_of(client.get(str(link)))
        answer = press(client, "/segments/new", form, "save")
        assert answer.status_code == 303, link


def test_each_reason_opens_its_people_and_a_new_segment_can_be_taken_back(other_shop: Shop, as_member: Sign) -> None:
    execute("UPDATE contacts_contact SET suppressed = true WHERE id = %s", [other_shop.people[0].pk])
    client = as_member("editor", other_shop)
    said = {"query": "?q=example", "name": "Tous"}
    answer = client.post("/contacts/segment", said, follow=True)
    page = LexborHTMLParser(answer.content.decode())
    reasons = page.css(".reasons a")
    assert reasons, "somebody may not be written to"
    for link in reasons:
        people = LexborHTMLParser(client.get(link.attributes["href"]).content.decode())
        assert len(people.css("main tbody tr")) == int(link.text()), link.attributes["href"]
    made = Segment.objects.get(workspace=other_shop.workspace, name="Tous")
    undo = page.css_first("undo-notice form").attributes["action"]
    other = segments.save(other_shop.workspace, "Dedans", {"v": 1, "match": "all", "rules": [
        {"field": "segment", "op": "in", "value": made.pk}]})  # fmt: skip
    assert "used by" in client.post(undo, follow=True).content.decode() and Segment.objects.filter(pk=made.pk).exists()
    other.delete()
    assert client.post(undo).headers["Location"] == "/segments"
    assert not Segment.objects.filter(pk=made.pk).exists()


def test_who_was_in_on_a_past_day_and_who_came_and_went(as_member: Sign) -> None:
    own = open_shop("Librairie d'avant")
    tree = {"v": 1, "match": "all", "rules": [{"field": "list", "op": "on", "value": own.list.pk}]}
    made = segments.save(own.workspace, "Sur la liste", tree)
    client = as_member("editor", of=own)
    mine = [own.workspace.pk]
    execute("UPDATE contacts_contact SET created_at = now() - interval '60 days' WHERE workspace_id = %s", mine)
    execute("DELETE FROM contacts_membership WHERE workspace_id = %s", [own.workspace.pk])
    execute(
        "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, since, until)"
        " SELECT workspace_id, %s, id, now() - make_interval(days => 2 + 40 * (n < 5)::int),"
        " CASE WHEN n = 0 THEN now() - interval '3 days' END"
        " FROM (SELECT *, row_number() OVER (ORDER BY id) - 1 AS n FROM contacts_contact WHERE workspace_id = %s) c",
        [own.list.pk, own.workspace.pk],
    )
    where = f"/segments/{made.pk}"
    today = timezone.now().astimezone(ZoneInfo(own.workspace.time_zone)).date()  # near midnight, not that of UTC
    day = (today - timedelta(days=20)).isoformat()
    told = text_of(client.get(f"{where}?on={day}"), "#then")
    people = int(value("SELECT count(*) FROM contacts_contact WHERE workspace_id = %s", [own.workspace.pk]))
    assert f"5 on {date_text(day)}" in told and f"+{people - 5} came in since" in told, told
    assert "−1 went out since" in told and f"{people - 1} people now" in told, told
    for wrong in ("2999-01-01", "hier", "2027-02-31"):
        page = client.get(where, {"on": wrong})
        assert "Choose a day that is over." in text_of(page, "#then") and page.status_code == 200
    assert f'value="{(today - timedelta(days=7)).isoformat()}"' in client.get(where).content.decode()


def date_text(day: str) -> str:
    from django.utils import formats, translation

    with translation.override("en"):
        return formats.date_format(date.fromisoformat(day), "DATE_FORMAT")
