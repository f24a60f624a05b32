"""Was the segmentation pertinent? The page of a campaign, for each role, with its empty and its narrow cases."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import User, Workspace
from envol.audience import segments
from envol.contacts.models import List
from envol.db import execute, rows
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def shop_with_past() -> Shop:
    """Everybody was there long before the message; half of the readers were on a second list."""
    shop = open_shop("Librairie d'avant", readers=120)
    before = (shop.sending.started_at or shop.sending.created_at) - timedelta(days=90)
    execute(
        "UPDATE contacts_contact SET created_at = %s, allowed = allowed | 2 WHERE workspace_id = %s",
        [before, shop.workspace.pk],
    )
    execute("UPDATE contacts_membership SET since = %s WHERE workspace_id = %s", [before, shop.workspace.pk])
    half = List.objects.create(workspace=shop.workspace, name="Lecteurs du soir")
    execute(
        "INSERT INTO contacts_membership (workspace_id, contact_id, list_id, since)"
        " SELECT workspace_id, id, %s, %s FROM contacts_contact WHERE id = ANY(%s)",
        [half.pk, before, [one.pk for one in shop.people[:48]]],
    )
    segments.save(
        shop.workspace,
        "Le <soir>",
        {"v": 1, "match": "all", "rules": [{"field": "list", "op": "on", "value": half.pk}]},
    )
    return shop


def where(shop: Shop, *names: str) -> str:
    found = {one.name: one.pk for one in shop.workspace.segments.all()}
    return f"/campaigns/{shop.sent.pk}/report/segments?" + "&".join(f"segment={found[name]}" for name in names)


def text_of(answer: Any) -> str:
    node = LexborHTMLParser(answer.content.decode()).css_first("main")
    return " ".join(node.text(separator=" ").split()) if node else ""


@pytest.mark.parametrize("role", ["viewer", "editor", "owner"])
def test_each_role_reads_the_same_figures(shop_with_past: Shop, as_member: Sign, role: str) -> None:
    shop = shop_with_past
    answer = as_member(role, shop).get(where(shop, "Le <soir>"))
    said = text_of(answer)
    # Of the first 48 people 44 got it (n % 12 == 5 bounced) and 13 of these clicked; of the 44 others nobody did.
    assert "Pertinent: people of “Le <soir>” clicked 27 times as often as the others" in said
    assert "29.55% (13 of 44)" in said and "0.00% (0 of 44)" in said
    assert "too small" in said  # one unsubscribed
    assert "48 of 120 contacts" in said and "44 of 88" in said
    assert "Of the 48 who were in it 30 days ago, 0% are not any more" in said
    assert '<svg class="intervals"' in answer.content.decode() and "style=" not in answer.content.decode()


def test_in_french(shop_with_past: Shop, as_member: Sign) -> None:
    users = User.objects.filter(pk=shop_with_past.members["viewer"].user.pk)
    users.update(language="fr")
    shop_with_past.members["viewer"].user.refresh_from_db()
    said = text_of(as_member("viewer", shop_with_past).get(where(shop_with_past, "Le <soir>")))
    users.update(language="en")
    shop_with_past.members["viewer"].user.refresh_from_db()
    assert "29,55" in said, said
    assert "ont cliqué 27 fois aussi souvent que les autres" in said and "29,55 % (13 sur 44)" in said


def test_a_segment_of_everybody_compares_with_nobody(shop_with_past: Shop, as_member: Sign) -> None:
    said = text_of(as_member("viewer", shop_with_past).get(where(shop_with_past, "Fidèles")))
    assert "all who got this message were in “Fidèles”; there is nobody to compare with" in said


def test_several_at_once_say_how_close_they_are_and_many_warn(shop_with_past: Shop, as_member: Sign) -> None:
    shop = shop_with_past
    client = as_member("viewer", shop)
    said = text_of(client.get(where(shop, "Le <soir>", "Fidèles")))
    assert "have 44 people in common, 50% of those in either" in said and "Holm" not in said
    club = {"field": "list", "op": "on", "value": shop.list.pk}
    for n in range(10):
        segments.save(shop.workspace, f"Part {n}", {"v": 1, "match": "all", "rules": [club]})
    said = text_of(client.get(where(shop, "Le <soir>", *(f"Part {n}" for n in range(5)))))
    assert "With 6 segments at once" in said
    said = text_of(client.get(where(shop, "Le <soir>", *(f"Part {n}" for n in range(10)))))
    assert "At most 10 segments at once: 1 is left out." in said


def test_nothing_chosen_nothing_sent_nothing_there(shop_with_past: Shop, as_member: Sign) -> None:
    shop = shop_with_past
    client = as_member("editor", shop)
    assert "Choose a segment above" in text_of(client.get(f"/campaigns/{shop.sent.pk}/report/segments"))
    assert "Nothing to compare yet" in text_of(client.get(f"/campaigns/{shop.draft.pk}/report/segments"))
    assert client.get(f"/campaigns/{shop.sent.pk}/report/segments?segment=x&segment=99999999999").status_code == 200
    report = client.get(f"/campaigns/{shop.sent.pk}/report?whole=1").content.decode()
    assert f"/campaigns/{shop.sent.pk}/report/segments" in report


def test_segments_of_another_workspace_are_not_there(shop_with_past: Shop, other_shop: Shop, as_member: Sign) -> None:
    theirs = other_shop.segment.pk
    said = text_of(
        as_member("owner", shop_with_past).get(f"/campaigns/{shop_with_past.sent.pk}/report/segments?segment={theirs}")
    )
    assert "Choose a segment above" in said
    assert as_member("owner", shop_with_past).get(f"/campaigns/{other_shop.sent.pk}/report/segments").status_code == 404


def test_where_clicks_have_no_names_it_says_so(shop_with_past: Shop, as_member: Sign) -> None:
    shop = shop_with_past
    Workspace.objects.filter(pk=shop.workspace.pk).update(clicks_mode="aggregate")
    try:
        said = text_of(as_member("viewer", shop).get(where(shop, "Le <soir>")))
    finally:
        Workspace.objects.filter(pk=shop.workspace.pk).update(clicks_mode="individual")
    assert "Clicks are not measured by name in this workspace" in said and "clicked" not in said.split("Who is")[0]


def test_a_rule_that_cannot_be_read_is_said(shop_with_past: Shop, as_member: Sign) -> None:
    shop = shop_with_past
    [(pk,)] = rows(
        "INSERT INTO audience_segment (workspace_id, name, tree) VALUES (%s, 'Perdu', %s) RETURNING id",
        [shop.workspace.pk, '{"v": 1, "match": "all", "rules": [{"field": "prop.gone", "op": "is", "value": "x"}]}'],
    )
    said = text_of(as_member("viewer", shop).get(f"/campaigns/{shop.sent.pk}/report/segments?segment={pk}"))
    assert "A rule can no longer be read" in said
    shop.workspace.segments.filter(pk=pk).delete()


def test_the_figures_are_taken_away_as_csv(shop_with_past: Shop, as_member: Sign) -> None:
    shop = shop_with_past
    client = as_member("viewer", shop)
    page = where(shop, "Le <soir>")
    there = page.replace("/report/segments?", "/report/segments.csv?")
    assert there.replace("&", "&amp;") in client.get(page).content.decode()
    head, *lines = csv.reader(client.get(there).content.decode("utf-8-sig").splitlines())
    clicked = dict(zip(head, next(line for line in lines if line[1] == "clicked"), strict=True))
    assert (clicked["In it: did"], clicked["In it: of"], clicked["Verdict"]) == ("13", "44", "pertinent")
    assert clicked["In it: rate"] == "0.295455" and float(clicked["Times as often"]) > 20
    assert client.get(f"/campaigns/{shop.sent.pk}/report/segments.csv").status_code == 303, "nothing chosen"


def test_over_the_last_campaigns_it_says_whether_it_holds(shop_with_past: Shop, as_member: Sign) -> None:
    shop = shop_with_past
    client = as_member("viewer", shop)
    assert "over=1#over" in client.get(where(shop, "Le <soir>")).content.decode()
    said = text_of(client.get(where(shop, "Le <soir>") + "&over=1"))
    assert "Each time people in it clicked more often (1 of 1): it holds." in said
    part = said.split("Over the last campaigns")[1]
    assert shop.sent.name in part and "29.55% (13 of 44)" in part
    assert "over=1" not in client.get(where(shop, "Le <soir>", "Fidèles")).content.decode(), "one segment at a time"
