"""Interests: the five-article rule, fading, refusals, minors, sensitive subjects; said beats shown."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.audience import engine, interests, segments, topics
from envol.audience.models import Topic
from envol.contacts import catalogue, people
from envol.contacts.models import Contact
from envol.contacts.orders import NewLine, NewOrder, add_bulk
from envol.content import templates
from envol.db import execute, rows
from envol.events import NewEvent, record
from envol.events.models import Kind
from envol.outbound.models import Sending

ARTICLES = 8
HTML = "<html><body>{}</body></html>".format(
    "".join(
        f'<p><a href="https://journal.example/vin/article-{n}?utm_source=x">Vin {n}</a></p>' for n in range(ARTICLES)
    )
    + "".join(f'<p><a href="https://journal.example/jazz/{n}">Jazz {n}</a></p>' for n in range(10))
    + '<p><a href="https://journal.example/vin/diabete">Vin et diabète</a></p>'
)
Read = Callable[..., None]


@pytest.fixture
def wine(workspace: Workspace) -> Topic:
    return topics.create(workspace, topics.Written("Vin", "Wine", ["Vins"], ["/vin/"]))


@pytest.fixture
def zoe(workspace: Workspace) -> Contact:
    made = people.upsert(workspace, "zoe@lecteurs.example", {}, source=people.source(workspace, "member", "caisse"))
    execute("UPDATE contacts_contact SET allowed = allowed | 2 WHERE id = %s", [made.pk])  # clicks may be measured
    return made


@pytest.fixture
def read(workspace: Workspace, zoe: Contact) -> Read:
    version = templates.save(workspace, "Lettre", "html", HTML, "Les vins", preheader="Et le jazz")
    sending = Sending.objects.create(workspace=workspace, kind="campaign", version_id=version.pk, state="sent")
    number = {topics.article_of(link["url"]): link["no"] for link in version.links}

    def act(path: str, *, days: float = 1, machine: str | None = None, who: Contact = zoe) -> None:
        link = number[f"journal.example/{path}"]
        at = timezone.now() - timedelta(days=days)
        record([NewEvent(workspace.pk, Kind.CLICKED, who.pk, sending.pk, link, machine, at=at)])

    return act


def infer(workspace: Workspace, now: datetime | None = None) -> list[tuple[str, str]]:
    interests.infer(workspace, now)
    return [
        (topic, origin)
        for topic, origin in rows(
            "SELECT t.label_en, i.origin FROM audience_interest i JOIN audience_topic t ON t.id = i.topic_id"
            " WHERE i.workspace_id = %s AND i.until IS NULL ORDER BY 1, 2",
            [workspace.pk],
        )
    ]


def test_four_articles_are_chance(workspace: Workspace, wine: Topic, read: Read) -> None:
    for n in range(4):
        read(f"vin/article-{n}")
    assert infer(workspace) == []


def test_five_articles_are_an_interest(workspace: Workspace, wine: Topic, read: Read, zoe: Contact) -> None:
    for n in range(5):
        read(f"vin/article-{n}", days=n)
    assert infer(workspace) == [("Wine", "inferred")]
    found = interests.of_person(workspace, zoe.pk)[0]
    assert (found.reads, found.of_reads) == (5, 5) and found.weight == pytest.approx(1 - math.exp(-1))


def test_five_loads_of_one_article_are_one(workspace: Workspace, wine: Topic, read: Read) -> None:
    for n in range(5):
        read("vin/article-1", days=n)
    assert infer(workspace) == []


def test_a_scanner_has_no_interest(workspace: Workspace, wine: Topic, read: Read) -> None:
    for n in range(ARTICLES):
        read(f"vin/article-{n}", machine="many_links")
    assert infer(workspace) == []


def test_it_must_be_three_tenths_of_what_is_read(workspace: Workspace, wine: Topic, read: Read) -> None:
    topics.create(workspace, topics.Written("Jazz", "Jazz", [], ["/jazz/"]))
    for n in range(10):
        read(f"jazz/{n}")
    for n in range(4):
        read(f"vin/article-{n}")
    assert infer(workspace) == [("Jazz", "inferred")]
    read("vin/article-4")  # five of fifteen
    assert infer(workspace) == [("Jazz", "inferred"), ("Wine", "inferred")]


def test_only_what_was_read_within_ninety_days(workspace: Workspace, wine: Topic, read: Read) -> None:
    for n in range(4):
        read(f"vin/article-{n}")
    read("vin/article-4", days=95)
    assert infer(workspace) == []


def test_it_fades_and_goes_and_the_past_remembers_it(
    workspace: Workspace, wine: Topic, read: Read, zoe: Contact
) -> None:
    for n in range(5):
        read(f"vin/article-{n}")
    interests.infer(workspace)
    tree = {"v": 1, "match": "all", "rules": [{"field": "interest", "op": "has_any", "value": ["wine"]}]}
    strong = json.loads(json.dumps(tree))
    strong["rules"][0]["where"] = {"strength": 50}
    now = timezone.now()
    assert (engine.count(workspace, tree), engine.count(workspace, strong)) == (1, 1)
    assert engine.count(workspace, strong, now=now + timedelta(days=60)) == 0  # half of 63 %
    assert infer(workspace, now + timedelta(days=97)) == [("Wine", "inferred")]
    assert infer(workspace, now + timedelta(days=101)) == []
    assert engine.count(workspace, tree) == 0
    assert engine.count(workspace, tree, now=now.date() - timedelta(days=1)) == 0  # it was not there yet


def test_what_is_said_comes_first_and_no_keeps_it_away_for_a_year(
    workspace: Workspace, wine: Topic, read: Read, zoe: Contact
) -> None:
    for n in range(6):
        read(f"vin/article-{n}")
    assert infer(workspace) == [("Wine", "inferred")]
    assert interests.say(workspace, zoe.pk, wine, "declared", "page")
    assert infer(workspace) == [("Wine", "declared")]
    assert interests.say(workspace, zoe.pk, wine, "refused", "page")
    assert not interests.say(workspace, zoe.pk, wine, "refused", "page")
    assert infer(workspace) == [("Wine", "refused")]
    tree = {"v": 1, "match": "all", "rules": [{"field": "interest", "op": "known"}]}
    assert engine.count(workspace, tree) == 0
    execute("UPDATE audience_interest SET since = since - interval '366 days', until = until - interval '366 days'")
    assert infer(workspace) == [("Wine", "inferred")]


@pytest.mark.parametrize("years", [14, 17])
def test_nothing_is_inferred_of_a_minor(
    workspace: Workspace, wine: Topic, read: Read, zoe: Contact, years: int
) -> None:
    born = f"{workspace.today().year - years}-12-31"
    for n in range(6):
        read(f"vin/article-{n}")
    assert infer(workspace) == [("Wine", "inferred")]
    execute(
        "UPDATE contacts_contact SET props = jsonb_build_object('birth_date', %s::text) WHERE id = %s", [born, zoe.pk]
    )
    assert infer(workspace) == []
    assert interests.infer(workspace).minors == 1


def test_nothing_is_inferred_against_her_will(workspace: Workspace, wine: Topic, read: Read, zoe: Contact) -> None:
    for n in range(6):
        read(f"vin/article-{n}")
    assert infer(workspace) == [("Wine", "inferred")]
    tree = {"v": 1, "match": "all", "rules": [{"field": "interest", "op": "has_any", "value": ["wine"]}]}
    execute("UPDATE contacts_contact SET objected = true WHERE id = %s", [zoe.pk])
    assert engine.count(workspace, tree) == 0, "from the moment she said so"
    assert infer(workspace) == []
    execute("UPDATE contacts_contact SET objected = false, allowed = 0 WHERE id = %s", [zoe.pk])
    assert infer(workspace) == [], "she no longer agrees that clicks are measured"


def test_products_count_with_articles(workspace: Workspace, wine: Topic, read: Read, zoe: Contact) -> None:
    for n in range(3):
        read(f"vin/article-{n}")
    lines = [NewLine(name, "VINS", 1, 900) for name in ("Chinon", "chinon", "Bourgueil")]
    assert not add_bulk(
        workspace, [NewOrder("o1", timezone.now() - timedelta(days=2), 2700, contact_id=zoe.pk, lines=lines)]
    ).refused
    assert infer(workspace) == [("Wine", "inferred")]


def test_health_is_never_an_interest(workspace: Workspace, wine: Topic, read: Read) -> None:
    for n in range(4):
        read(f"vin/article-{n}")
    read("vin/diabete")
    assert infer(workspace) == []
    for name in ("Diabète", "Santé", "Politique locale", "Églises romanes", "gay pride", "Syndicats", "Grossesse"):
        with pytest.raises(topics.TopicProblem, match="art. 9"):
            topics.create(workspace, topics.Written(name, "X"))
    for name in ("Vin blanc", "Jazz", "Rock", "Jardin", "Romans policiers", "Droits d'auteur", "Cuisine", "Gauguin"):
        topics.create(workspace, topics.Written(name, name))


def test_a_page_keeps_its_topics_in_every_letter(workspace: Workspace, zoe: Contact, read: Read) -> None:
    music = topics.create(workspace, topics.Written("Musique", "Music"))
    for n in range(5):
        assert topics.give(workspace, f"https://JOURNAL.example/jazz/{n}/?utm_medium=mail#x", [music.pk])
        read(f"jazz/{n}")
    assert infer(workspace) == [("Music", "inferred")]
    assert not topics.give(workspace, "https://journal.example/jazz/0", [music.pk])


def test_erased_and_exported_with_the_person(workspace: Workspace, wine: Topic, read: Read, zoe: Contact) -> None:
    interests.say(workspace, zoe.pk, wine, "declared", "form")
    said = json.dumps(people.export(zoe))
    assert "Vin" in said and "declared" in said
    people.erase(zoe, cause="she asked")
    assert rows("SELECT 1 FROM audience_interest WHERE workspace_id = %s", [workspace.pk]) == []


def test_a_topic_that_a_segment_speaks_of_stays(workspace: Workspace, wine: Topic) -> None:
    tree: dict[str, Any] = {
        "v": 1,
        "match": "all",
        "rules": [{"field": "interest", "op": "has_any", "value": ["wine"]}],
    }
    made = segments.save(workspace, "Amateurs", tree)
    with pytest.raises(topics.TopicProblem, match="Amateurs"):
        topics.remove(wine)
    segments.delete(made)
    topics.remove(wine)
    assert topics.of(workspace) == []
    execute("UPDATE audience_topic SET removed_at = now() - interval '8 days' WHERE id = %s", [wine.pk])
    topics.sweep()
    assert not Topic.objects.filter(pk=wine.pk).exists()


def test_a_value_chosen_in_a_form_or_a_file_says_it(workspace: Workspace, read: Read, zoe: Contact) -> None:
    for key, kind in (("genre", "choice"), ("likes", "list")):
        catalogue.declare(workspace, key, kind, key, key, choices=["vin", "jazz"])
    wine = topics.create(workspace, topics.Written("Vin", "Wine", [], ["/vin/"], [["genre", "vin"], ["likes", "vin"]]))
    for n in range(6):
        read(f"vin/article-{n}")
    assert infer(workspace) == [("Wine", "inferred")]
    form = people.source(workspace, "form", "La lettre")
    people.upsert(workspace, zoe.email, {"likes": ["jazz", "vin"]}, source=form)
    other = people.upsert(
        workspace, "paul@lecteurs.example", {"genre": "vin"}, source=people.source(workspace, "import", "caisse")
    )
    assert infer(workspace) == [("Wine", "declared")] * 2
    assert interests.of_person(workspace, zoe.pk)[0].source == "field form"
    assert interests.of_person(workspace, other.pk)[0].source == "field import"
    # What she says on her own page stands, also after another night.
    interests.say(workspace, other.pk, wine, "", "page")
    interests.say(workspace, zoe.pk, wine, "refused", "page")
    assert infer(workspace) == [("Wine", "refused")]
    # A value that is gone says nothing any more.
    third = people.upsert(workspace, "lea@lecteurs.example", {"genre": "vin"}, source=form)
    assert ("Wine", "declared") in infer(workspace)
    people.upsert(workspace, "lea@lecteurs.example", {"genre": "jazz"}, source=form)
    assert infer(workspace) == [("Wine", "refused")] and interests.present(workspace, third.pk, wine) == ""


def test_what_was_said_by_somebody_who_is_gone_goes_at_night(workspace: Workspace, wine: Topic, zoe: Contact) -> None:
    interests.say(workspace, zoe.pk, wine, "declared", "member")
    interests.sweep(13)
    assert interests.present(workspace, zoe.pk, wine) == "declared"
    execute("DELETE FROM contacts_contact WHERE id = %s", [zoe.pk])
    interests.sweep(13)
    assert interests.present(workspace, zoe.pk, wine) == ""
