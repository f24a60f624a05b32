"""The pages about buyers: every figure opens the people it counts; tiers and delays are written by a form."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from envol.accounts.models import Job, JournalEntry
from envol.audience import delays, engine, scores, tasks, tiers
from envol.audience.models import Scoring
from envol.contacts.orders import NewLine, NewOrder, add_bulk
from envol.db import execute, rows
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def buyers(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop of its own whose people bought over a year, differently often and much."""
    shop = open_shop("Disques", readers=45, folder=tmp_path_factory.mktemp("buyers"))
    now = datetime.now(UTC).replace(hour=12)
    made = []
    for n, one in enumerate(shop.people):
        for k in range(1 + n % 4):
            at = now - timedelta(days=5 + (n * 37 + k * 29) % 350)
            lines = [NewLine("CD", "Jazz" if n % 2 else "Rock", 1, 900 + 137 * n)]
            made.append(NewOrder(f"b{n}-{k}", at, 900 + 137 * n, contact_id=one.pk, lines=lines))
    made.append(NewOrder("abroad", now - timedelta(days=3), 500, "CHF", contact_id=shop.people[0].pk))
    assert not add_bulk(shop.workspace, made).refused
    scores.compute(shop.workspace)
    return shop


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_every_field_and_name_opens_the_people_it_counts(buyers: Shop, as_member: Sign) -> None:
    page = as_member("editor", buyers).get("/audience/rfm").content.decode()
    tried = 0
    whole = []
    for place, cells in (("map", "rfm-map"), ("named", "Named segments")):
        part = page[page.index(cells) :].split("</table>")[0]
        counted = re.findall(r'<a href="([^"]+)"', part)
        assert counted, place
        for href in counted:
            link = html.unescape(href)
            tree = parse_qs(urlsplit(link).query)["tree"][0]
            around = part[part.index(href) :]
            found = re.search(
                r"<strong>([\d,]+)</strong>" if place == "map" else r'<td class="number">([\d,]+)<small', around
            )
            assert found
            wanted = int(found[1].replace(",", ""))
            assert engine.count(buyers.workspace, json.loads(tree)) == wanted, link
            tried += 1
            if place == "map":
                whole.append(wanted)
    assert tried >= 10 and sum(whole) == 45
    # The link itself leads to the builder, with the rule in it.
    answer = as_member("editor", buyers).get(html.unescape(re.findall(r'rfm-map.*?<a href="([^"]+)"', page, re.S)[0]))
    assert answer.status_code == 200 and "rfm.r" in answer.content.decode()


def test_months_tiers_and_categories_open_their_people_too(buyers: Shop, as_member: Sign) -> None:
    editor = as_member("editor", buyers)
    tried = 0
    for path, start in (
        ("/audience/rfm", "rfm-months"),
        ("/audience/tiers", "<tbody>"),
        ("/audience/delays", "<tbody>"),
    ):
        page = editor.get(path).content.decode()
        part = page[page.index(start) :].split("</table>")[0]
        for row in re.findall(r"<tr>(.*?)</tr>", part, re.S):
            link = re.search(r'<a href="([^"]+)"', row)
            if not link:
                continue
            tree = json.loads(parse_qs(urlsplit(html.unescape(link[1])).query)["tree"][0])
            numbers = [int(n) for n in re.findall(r'<td class="number">(\d+)</td>', row)]
            if path != "/audience/delays":
                assert engine.count(buyers.workspace, tree) == numbers[0], row
            else:
                assert engine.count(buyers.workspace, tree) <= numbers[0]
            tried += 1
    assert tried >= 8


def test_a_viewer_reads_the_figures_and_opens_nothing(buyers: Shop, as_member: Sign) -> None:
    viewer = as_member("viewer", buyers)
    for path in ("/audience/rfm", "/audience/tiers", "/audience/delays"):
        page = viewer.get(path).content.decode()
        assert "/segments/new" not in page and f'action="{path}' not in page
    for path in ("/audience/rfm/compute", "/audience/tiers/change", "/audience/delays/change"):
        assert viewer.post(path).status_code == 403


def test_the_page_says_what_counts(buyers: Shop, as_member: Sign) -> None:
    said = text_of(as_member("owner", buyers).get("/audience/rfm").content.decode())
    assert "Only EUR counts: 1 order in another currency is left out." in said
    assert "Fewer than 100 buyers" in said and "of the buyers are champions and bring" in said
    execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [buyers.people[7].pk])
    try:
        scores.compute(buyers.workspace)
        said = text_of(as_member("owner", buyers).get("/audience/rfm").content.decode())
        assert "1 buyer objected to marketing and is not scored" in said
    finally:
        execute("UPDATE contacts_contact SET objected = false WHERE id = %s", [buyers.people[7].pk])
        scores.compute(buyers.workspace)


def test_computing_is_a_job_to_watch_and_to_stop(tmp_path: Path, as_member: Sign) -> None:
    shop = open_shop("Vinyles", readers=30, folder=tmp_path)
    Scoring.objects.filter(workspace=shop.workspace).delete()
    editor = as_member("editor", shop)
    first = editor.get("/audience/rfm").content.decode()
    assert "Who are your best customers?" in first and "Compute the scores" in first
    assert editor.post("/audience/rfm/compute")["Location"] == "/audience/rfm"
    job = Job.objects.get(workspace=shop.workspace, kind=tasks.SCORES)
    waiting = editor.get("/audience/rfm").content.decode()
    assert "Waiting for the worker" in waiting and "Compute the scores" not in waiting
    moving = editor.get("/audience/rfm", HTTP_HX_REQUEST="true")
    assert b"<html" not in moving.content and "HX-Refresh" not in moving
    # Stopped before it began: nothing is written.
    assert editor.post("/audience/rfm/compute", {"act": "cancel"}).status_code == 303
    tasks.compute_scores(shop.workspace.pk, job.pk)
    assert not Scoring.objects.filter(workspace=shop.workspace).exists()
    assert "was stopped" in editor.get("/audience/rfm").content.decode()
    # And once more, to the end.
    editor.post("/audience/rfm/compute")
    job = Job.objects.filter(workspace=shop.workspace, kind=tasks.SCORES).latest("pk")
    tasks.compute_scores(shop.workspace.pk, job.pk)
    ended = editor.get("/audience/rfm", HTTP_HX_REQUEST="true")
    assert ended["HX-Refresh"] == "true"
    assert "Seven groups with a name" in editor.get("/audience/rfm").content.decode()
    assert "Nothing is running" in editor.post("/audience/rfm/compute", {"act": "cancel"}, follow=True).content.decode()


def test_a_shop_without_orders_is_told_what_it_takes(other_shop: Shop, as_member: Sign, tmp_path: Path) -> None:
    shop = open_shop("Neuve", readers=30, folder=tmp_path)
    execute("DELETE FROM contacts_order WHERE workspace_id = %s", [shop.workspace.pk])
    assert scores.compute(shop.workspace) is None
    editor = as_member("editor", shop)
    page = text_of(editor.get("/audience/rfm").content.decode())
    assert "there are none yet" in page and "Compute" not in page
    assert "scores are made from orders" in text_of(editor.post("/audience/rfm/compute", follow=True).content.decode())
    assert "Nobody is in a tier yet" in text_of(editor.get("/audience/tiers").content.decode())
    assert "No order names a category yet" in text_of(editor.get("/audience/delays").content.decode())


def test_what_a_tier_gives_is_kept_and_nothing_typed_is_lost(buyers: Shop, as_member: Sign) -> None:
    editor = as_member("editor", buyers)
    wrong = editor.post(
        "/audience/tiers/change",
        {"text.gold": "Livraison offerte", "code.gold": "x" * 61, "early_days.gold": "soon"},
    )
    page = wrong.content.decode()
    assert wrong.status_code == 422 and "Livraison offerte" in page and 'value="soon"' in page
    assert "Write at most 60 characters." in page and "Nothing is saved yet" in page
    assert tiers.privileges(buyers.workspace)["gold"].text == ""
    good = {"text.gold": "Livraison offerte", "code.gold": "OR-2027", "early_days.gold": "2"}
    assert editor.post("/audience/tiers/change", good).status_code == 303
    kept = tiers.privileges(buyers.workspace)["gold"]
    assert (kept.text, kept.code, kept.early_days) == ("Livraison offerte", "OR-2027", 2)
    noted = JournalEntry.objects.filter(workspace=buyers.workspace, action="tier.changed")
    assert [entry.facts["tier"] for entry in noted] == ["gold"]  # the others did not change
    assert "OR-2027" in as_member("viewer", buyers).get("/audience/tiers").content.decode()


def test_delays_are_set_taken_away_and_refused_with_what_was_typed(buyers: Shop, as_member: Sign) -> None:
    editor = as_member("editor", buyers)
    form = {"usual": "30", "category": ["jazz", "rock"], "days": ["400", "often"]}
    wrong = editor.post("/audience/delays/change", form)
    assert wrong.status_code == 422 and 'value="often"' in wrong.content.decode()
    assert 'value="400"' in wrong.content.decode()
    editor.post("/audience/delays/change", form | {"days": ["400", ""]})
    assert [(d.category, d.days) for d in delays.table(buyers.workspace) if d.own] == [("jazz", 400)]
    editor.post("/audience/delays/change", {"usual": "10", "category": ["jazz"], "days": [""]})
    assert delays.default(buyers.workspace) == 10
    assert {d.category: (d.days, d.own) for d in delays.table(buyers.workspace)} == {
        "jazz": (10, False), "rock": (10, False)
    }  # fmt: skip
    delays.set_days(buyers.workspace, "", None)


def test_the_pages_speak_french(buyers: Shop, as_member: Sign) -> None:
    editor = as_member("editor", buyers)
    editor.post("/language", {"language": "fr", "next": "/"})
    page = text_of(editor.get("/audience/rfm").content.decode())
    assert "Qui achète, combien de fois, pour combien ?" in page and "À surveiller" in page and "€" in page
    assert "Délais de rachat" in text_of(editor.get("/audience/delays").content.decode())
    assert "Or" in text_of(editor.get("/audience/tiers").content.decode())


def test_a_buyers_page_says_her_scores_and_tiers(buyers: Shop, as_member: Sign) -> None:
    editor = as_member("editor", buyers)
    best = rows(
        "SELECT s.contact_id, s.r, s.f, s.m FROM audience_score s JOIN audience_tier t USING (workspace_id, contact_id)"
        " WHERE s.workspace_id = %s AND t.tier = 'premium' ORDER BY 1",
        [buyers.workspace.pk],
    )[0]
    said = text_of(editor.get(f"/contacts/{best[0]}").content.decode())
    assert f"scores {best[1]}-{best[2]}-{best[3]}: recency" in said and "Premium since" in said
    execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [best[0]])
    try:
        assert "recency" not in text_of(editor.get(f"/contacts/{best[0]}").content.decode())
    finally:
        execute("UPDATE contacts_contact SET objected = false WHERE id = %s", [best[0]])
