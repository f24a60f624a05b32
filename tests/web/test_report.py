"""Every figure of a report opens the people behind it, and keeps them: followed link by link, counted on both pages."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Workspace
from envol.audience import engine
from envol.audience.models import Segment
from envol.contacts.models import List, Membership
from envol.content.models import Version
from envol.db import execute, rows
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.insight import kept
from envol.insight import people as insight_people
from envol.insight.heat import ENOUGH, heat
from envol.insight.models import Counted
from envol.insight.people import behind
from envol.insight.report import report
from envol.outbound.models import Sending
from envol.web import charts
from envol.web.views import people as people_page
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def busy() -> Shop:
    """A shop with every kind of figure: a resend, machines, causes, hours of the week, and a habit to compare with."""
    shop = open_shop("Librairie affairée", readers=80)
    workspace, sending, people = shop.workspace, shop.sending, shop.people
    start = sending.started_at or sending.created_at
    resend = Sending.objects.create(
        workspace=workspace, kind="resend", campaign_id=shop.sent.pk, version_id=sending.version_id, state="sent",
        started_at=start + timedelta(days=1), expanded_at=start, ended_at=start + timedelta(days=1, minutes=2),
        purpose_id=sending.purpose_id,
    )  # fmt: skip
    for n, one in enumerate(people[:10]):
        execute(
            "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
            " VALUES (%s, %s, %s, %s, %s, 1)",
            [resend.pk, one.pk, one.pk, one.email, one.email.partition("@")[2]],
        )
        if n < 2:
            execute(
                "INSERT INTO outbound_retry (sending_id, no, site, priority, due, attempts, first_at, cause)"
                " VALUES (%s, %s, 'lecteurs.example', 5, now(), 1, now(), 'mailbox_full')",
                [resend.pk, one.pk],
            )
        else:
            execute(
                "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, cause, code, reply)"
                " VALUES (%s, %s, 'delivered', %s, 1, '', 250, 'taken')",
                [resend.pk, one.pk, start + timedelta(days=1)],
            )
    clicks = [
        NewEvent(
            workspace.pk, Kind.CLICKED, people[n % 12].pk, sending.pk, 1 + n % 2, at=start + timedelta(minutes=7 * n)
        )
        for n in range(ENOUGH)
    ]
    record([*clicks, NewEvent(workspace.pk, Kind.COMPLAINED, people[6].pk, sending.pk, at=start + timedelta(hours=2))])
    for back in range(5):
        _earlier(shop, back)
    cache.clear()
    return shop


def _earlier(shop: Shop, back: int) -> None:
    start = datetime.now(UTC) - timedelta(days=30 + back)
    one = Sending.objects.create(
        workspace=shop.workspace, kind="campaign", campaign_id=10**9 + back + shop.workspace.pk * 100,
        version_id=shop.sending.version_id, state="sent", started_at=start, ended_at=start + timedelta(hours=1),
    )  # fmt: skip
    for person in shop.people[:35]:
        execute(
            "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
            " VALUES (%s, %s, %s, %s, 'x', 1)",
            [one.pk, person.pk, person.pk, person.email],
        )
        execute(
            "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, code, reply)"
            " VALUES (%s, %s, 'delivered', %s, 1, 250, 'taken')",
            [one.pk, person.pk, start],
        )


def total(answer: Any) -> int:
    """What the page of people says of their number."""
    said = LexborHTMLParser(answer.content.decode()).css_first(".head p").text()
    return int(re.sub(r"[^0-9].*", "", said.replace(",", "").strip(), flags=re.DOTALL))


def figures(page: str) -> list[tuple[str, int]]:
    """Each link into the people of a figure, with the number of people that its words give; shares give none."""
    found = []
    for link in LexborHTMLParser(page).css("main a"):
        href = link.attributes.get("href") or ""
        if "/people?" not in href:
            continue
        said = link.text().replace("\u202f", "").replace(",", "").strip()
        number = re.match(r"([0-9]+)(?![0-9.]*\s*%)", said)
        found.append((unescape(href), int(number[1]) if number else -1))
    return found


@pytest.mark.parametrize("which", ["first", "resend"])
def test_every_figure_opens_as_many_people_as_it_says(busy: Shop, as_member: Sign, which: str) -> None:
    client = as_member("editor", busy)
    resend = Sending.objects.get(workspace=busy.workspace, kind="resend")
    where = f"/campaigns/{busy.sent.pk}/report" + (f"?sending={resend.pk}" if which == "resend" else "")
    page = client.get(where).content.decode()
    links = figures(page)
    shown = {re.search(r"show=([^&]*)", href)[1] for href, _ in links}  # type: ignore[index]
    if which == "first":
        assert len(shown) > 60, "outcome, reasons, funnel, hours, links, heat, destinations, causes"
        kinds = {show.partition("%3A")[0] for show in shown}
        assert kinds >= {
            "clicked", "opened", "unsubscribed", "complained", "accepted", "delivered", "bounced", "excluded", "link",
            "slot", "site", "agreed_clicks", "agreed_opens",
        }  # fmt: skip
    followed = 0
    for href, said in dict(links).items() if which == "resend" else links:
        if said < 0:
            continue
        people = client.get(href)
        assert people.status_code == 200, href
        assert total(people) == said, (href, said)
        rows = list(
            csv.reader(io.StringIO(b"".join(client.get(href.replace("/people?", "/people.csv?"))).decode("utf-8-sig")))
        )
        assert len(rows) - 1 == said, (href, said)
        followed += 1
    assert followed > (60 if which == "first" else 8)


def test_a_rate_is_told_with_both_its_sides(busy: Shop, as_member: Sign) -> None:
    client = as_member("viewer", busy)
    page = LexborHTMLParser(client.get(f"/campaigns/{busy.sent.pk}/report").content.decode())
    for share in page.css(".share"):
        assert "who agreed" in share.text()
        rate, whole = [link.attributes["href"] for link in share.css("a")]
        part = total(client.get(rate))
        of = total(client.get(whole))
        assert f"of the {of}" in share.text() and 0 < part <= of
        if of >= 30:
            assert f"{round(100 * part / of)}%" in share.text().replace("\u202f", "")


def test_each_chart_states_its_finding_and_has_its_table(busy: Shop, as_member: Sign) -> None:
    client = as_member("viewer", busy)
    page = LexborHTMLParser(client.get(f"/campaigns/{busy.sent.pk}/report").content.decode())
    charts = page.css("figure")
    assert len(charts) == 6
    for chart in charts:
        assert len(chart.css_first("figcaption").text()) > 15
        assert chart.css_first("details table"), chart.text()
        csv_link = next(
            a.attributes["href"] for a in chart.css("details a") if "table=" in (a.attributes["href"] or "")
        )
        assert client.get(csv_link).status_code == 200
    for svg in page.css("figure svg[role=img]"):
        named = (svg.attributes["aria-labelledby"] or "").split()
        assert len(named) == 2 and all(
            page.css_first(f"#{one}") is not None and page.css_first(f"#{one}").text() for one in named
        )
    ids = [node.attributes["id"] for node in page.css("[id]")]
    assert len(ids) == len(set(ids)), "no id twice"


def test_few_people_have_no_percentage_and_few_clicks_no_hours(
    shop: Shop, as_member: Sign, workspace: Workspace
) -> None:
    small = open_shop("Petite librairie", readers=28)
    page = LexborHTMLParser(as_member("viewer", small).get(f"/campaigns/{small.sent.pk}/report").content.decode())
    assert page.css_first(".heat") is None, "below 500 clicks it would be chance"
    assert page.css_first(".band") is None, "three campaigns are no habit"
    text = page.css_first(".charts").text() + page.css_first(".lead-figures").text()
    assert "%" not in re.sub(r"100\s*%", "", text.replace("\u202f", "")) or "of the clicks" in text


def test_the_whole_report_as_csv(busy: Shop, as_member: Sign) -> None:
    client = as_member("viewer", busy)
    text = client.get(f"/campaigns/{busy.sent.pk}/report.csv").content.decode("utf-8-sig")
    for word in ("Where everybody stands", "From sent to clicked", "Clicks by day and hour", "By destination"):
        assert word in text
    assert client.get(f"/campaigns/{busy.sent.pk}/report.csv?table=nothing").status_code == 404
    foreign = open_shop("Ailleurs", readers=28)
    assert client.get(f"/campaigns/{busy.sent.pk}/report?sending={foreign.sending.pk}").status_code == 404


def test_the_click_map_shows_the_message_with_people_beside_each_link(busy: Shop, as_member: Sign) -> None:
    client = as_member("viewer", busy)
    answer = client.get(f"/campaigns/{busy.sent.pk}/report/preview")
    html = answer.content.decode()
    for link in report(busy.workspace, busy.sending).links:
        assert re.search(rf'href="{re.escape(link.url)}"[^>]*>[^<]*</a><span[^>]*>{link.people} p', html), link
    assert "sandbox" in answer["Content-Security-Policy"] and "<script" not in html and "/o/" not in html
    assert "envol_link" not in html


def test_clicks_become_a_rule_and_hours_a_fixed_list(busy: Shop, as_member: Sign) -> None:
    client = as_member("editor", busy)
    where = f"/campaigns/{busy.sent.pk}/people/keep"
    answer = client.post(where, {"show": "clicked", "name": ""})
    assert answer.status_code == 303
    segment = Segment.objects.filter(workspace=busy.workspace).latest("pk")
    assert answer["Location"] == f"/segments/{segment.pk}"
    clickers = behind([busy.sending.pk], "clicked")
    assert engine.count(busy.workspace, segment.tree) == clickers.count() > 0
    assert segment.tree["rules"][0]["field"] == "mail.clicked"
    assert segment.name.startswith("Lettre d'automne")

    href, said = next(
        (href, said)
        for href, said in figures(client.get(f"/campaigns/{busy.sent.pk}/report").content.decode())
        if "slot" in href
    )
    assert "fixed list" in client.get(href).content.decode(), "said before it is done"
    answer = client.post(
        where, {"show": re.search(r"show=([^&]*)", href)[1].replace("%3A", ":"), "name": "Du soir"}, follow=True
    )  # type: ignore[index]
    fixed = List.objects.get(workspace=busy.workspace, name="Du soir")
    segment = Segment.objects.get(workspace=busy.workspace, name="Du soir")
    assert Membership.objects.filter(list_id=fixed.pk, until=None).count() == said
    assert engine.count(busy.workspace, segment.tree) == said
    assert "fixed list" in answer.content.decode()
    client.post(where, {"show": "clicked", "name": "Du soir"})
    assert Segment.objects.filter(workspace=busy.workspace, name="Du soir (2)").exists(), (
        "no name is lost or taken twice"
    )


@pytest.mark.parametrize("show", ["clicked", "slot:1:10"])
def test_a_kept_group_can_be_taken_back(busy: Shop, as_member: Sign, show: str) -> None:
    client = as_member("editor", busy)
    slot = next(c for c in heat(busy.workspace, [busy.sending.pk]).cells if c.people) if "slot" in show else None
    sent = {"show": slot.figure if slot else show, "name": f"Zurück {show}"}
    answer = client.post(f"/campaigns/{busy.sent.pk}/people/keep", sent, follow=True)
    made = Segment.objects.get(workspace=busy.workspace, name=sent["name"])
    assert List.objects.filter(workspace=busy.workspace, name=sent["name"]).exists() == bool(slot)
    form = LexborHTMLParser(answer.content.decode()).css_first("undo-notice form")
    back = client.post(form.attributes["action"], {"next": f"/segments/{made.pk}"}, follow=True)
    assert back.status_code == 200 and not Segment.objects.filter(pk=made.pk).exists()
    assert not List.objects.filter(workspace=busy.workspace, name=sent["name"]).exists()
    assert "its people stay" in back.content.decode()


def test_only_who_may_write_keeps_people(busy: Shop, other_shop: Shop, as_member: Sign) -> None:
    where = f"/campaigns/{busy.sent.pk}/people/keep"
    assert as_member("viewer", busy).post(where, {"show": "clicked"}).status_code == 403
    assert as_member("editor", other_shop).post(where, {"show": "clicked"}).status_code == 404
    before = Segment.objects.count()
    assert as_member("editor", busy).post(where, {"show": "nonsense"}).status_code == 404
    assert as_member("editor", busy).post(where, {"show": "chosen"}).status_code == 303
    assert Segment.objects.count() == before
    assert Version.objects.filter(pk=busy.sending.version_id).exists()


def test_of_a_large_sending_the_page_comes_first_and_its_report_is_kept(
    busy: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "is_large", lambda table: True)
    monkeypatch.setattr(kept, "SECONDS", 0.0)  # nothing is as good as now
    monkeypatch.setattr(kept, "SHARE", 0)
    Counted.objects.all().delete()
    client = as_member("editor", busy)
    where = f"/campaigns/{busy.sent.pk}/report"
    first = LexborHTMLParser(client.get(where).content.decode())
    waits = first.css_first("#report [hx-get]")
    assert waits.attributes["hx-select"] == waits.attributes["hx-target"] == "#report" and not figures(first.html or "")
    whole = client.get(where + (waits.css_first("a").attributes["href"] or "")).content.decode()
    again = client.get(where).content.decode()
    assert figures(whole) == figures(again) != [] and "hx-select" not in again
    record([NewEvent(busy.workspace.pk, Kind.CLICKED, busy.people[15].pk, busy.sending.pk, 1)])
    moved = client.get(where).content.decode()
    assert figures(moved) == figures(again), "what there is stands there at once"
    follows = LexborHTMLParser(moved).css_first("#report [hx-get] a").attributes["href"] or ""
    newer = client.get(where + follows).content.decode()
    assert "hx-select" not in newer and figures(newer) != figures(again), "and what is new follows it"


@pytest.mark.parametrize("looked", [0, 3])
def test_people_of_a_large_group_page_by_page(
    busy: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch, looked: int
) -> None:
    monkeypatch.setattr(insight_people, "LOOKED", looked)
    monkeypatch.setattr(people_page, "PAGE", 7)
    client = as_member("viewer", busy)
    for show in ("delivered", "bounced", "clicked", "site:lecteurs.example", "agreed_clicks"):
        seen, query = [], f"?show={show}"
        while query:
            page = LexborHTMLParser(client.get(f"/campaigns/{busy.sent.pk}/people{query}").content.decode())
            seen += [int((a.attributes["href"] or "").rpartition("/")[2]) for a in page.css("main tbody th a")]
            older = [a for a in page.css(".pager a") if "before=" in (a.attributes["href"] or "")]
            query = (older[0].attributes["href"] or "") if older else ""
        assert seen == sorted(behind([busy.sending.pk], show).ids(), reverse=True) and seen, show


def test_how_many_they_are_may_follow_the_page(busy: Shop, as_member: Sign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people_page, "is_large", lambda table: True)
    monkeypatch.setattr(people_page, "PATIENCE", 0.0)
    client = as_member("viewer", busy)
    where = f"/campaigns/{busy.sent.pk}/people?show=delivered"
    monkeypatch.setattr(insight_people.People, "counted", lambda self: rows("SELECT 1, 0 FROM pg_sleep(5)")[0])
    page = LexborHTMLParser(client.get(where).content.decode())
    link = page.css_first(".head [hx-get]")
    monkeypatch.undo()
    said = f"{behind([busy.sending.pk], 'delivered').count()} people"
    assert said in client.get(link.attributes["hx-get"], HTTP_HX_REQUEST="true").content.decode()
    assert said in client.get(link.attributes["href"]).content.decode(), "without a script the link counts"


@pytest.mark.parametrize("most", [12, 4_321, 1_000_000, 12_345_678])
def test_figures_of_the_funnel_stand_inside_the_drawing(most: int) -> None:
    steps = [("sent", most), ("delivered", most - 1), ("clicked", most // 9)]
    drawn = LexborHTMLParser(str(charts.funnel("f", steps, title="t", desc="d", number=lambda n: f"{n:,}")))
    width = float((drawn.css_first("svg").attributes["viewBox"] or "").split()[2])
    for text in drawn.css("text.strong"):
        # Bold digits of 13 px are at most 8 wide.
        assert float(text.attributes["x"] or 0) + 8 * len(text.text()) <= width, text.text()
