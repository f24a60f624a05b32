"""Own events and interests on the pages: what comes in, topics, links, one person, her own page."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from envol.accounts.models import Job, Undo
from envol.accounts.workspaces import create_api_key
from envol.audience import engine, interests, reasons, rhythm, tasks, topics
from envol.audience.models import Topic
from envol.content import links, templates
from envol.content.compose import Composer
from envol.content.preview import person_of
from envol.db import rows
from envol.events.models import CustomEvent
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def shop2(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop of its own: it is changed here."""
    return open_shop("Cave et disques", readers=30, folder=tmp_path_factory.mktemp("cave"))


def text_of(page: bytes) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.decode())))


def tell(shop: Shop, body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    key = create_api_key(shop.workspace, "caisse")
    token = base64.b64encode(f"{key.key}:{key.secret}".encode()).decode()
    client = Client(HTTP_HOST="localhost", enforce_csrf_checks=True)
    given = {"HTTP_AUTHORIZATION": f"Basic {token}"} | more
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.post("/events.json", data, content_type="application/json", **given)
    return answer.status_code, answer.json()


def test_a_program_tells_events_with_its_key(shop2: Shop, as_member: Sign) -> None:
    who = shop2.people[0]
    event = {"event": "visit", "email": who.email, "at": datetime.now(UTC).isoformat(), "id": "v1"}
    event["properties"] = {"shop": "Lyon", "amount": 12.5}
    assert tell(shop2, {"events": [event, {**event, "event": "Bad!"}]}) == (
        200,
        {"added": 1, "known": 0, "refused": [{"event": 1, "why": "Name the event with small letters, digits and _, "
                                              "for example appointment_booked."}]},
    )  # fmt: skip
    assert tell(shop2, event)[1]["known"] == 1
    assert tell(shop2, {"event": "visit", "email": "nobody@lecteurs.example"})[0] == 422
    for body in (b"{", b"[" * 100_000, b"12", b'"x"', json.dumps({"events": {}}).encode(), b"\xff"):
        assert tell(shop2, body)[0] == 400, body[:20]
    assert tell(shop2, [event] * 5001)[0] == 400
    assert Client(HTTP_HOST="localhost").post("/events.json", b"{}", content_type="application/json").status_code == 401
    assert as_member("owner", shop2).post("/events.json", b"{}", content_type="application/json").status_code == 401
    assert Client(HTTP_HOST="localhost").get("/events.json").status_code == 405

    page = text_of(as_member("viewer", shop2).get("/audience/events").content)
    assert "Visit visit" in page and "shop text" in page
    page = text_of(as_member("editor", shop2).get(f"/contacts/{who.pk}").content)
    assert "Told by a program · Visit" in page and "shop: Lyon · amount: 12.5" in page


def test_an_event_is_renamed_counted_and_taken_away(shop2: Shop, as_member: Sign) -> None:
    tell(shop2, {"event": "booked", "email": shop2.people[1].email})
    editor = as_member("editor", shop2)
    kind = CustomEvent.objects.get(workspace=shop2.workspace, key="booked")
    where = f"/audience/events/{kind.pk}"
    assert editor.post(where, {"act": "rename", "label_fr": "", "label_en": "x"}).status_code == 422
    assert (
        editor.post(where, {"act": "rename", "label_fr": "Rendez-vous", "label_en": "Appointment"}).status_code == 303
    )
    page = editor.get("/audience/events").content.decode()
    link = html.unescape(re.findall(r'href="(/segments/new[^"]+)"[^>]*>Appointment', page)[0])
    tree = json.loads(parse_qs(urlsplit(link).query)["tree"][0])
    assert engine.count(shop2.workspace, tree) == 1
    builder = editor.get(link).content.decode()
    assert "Your own events" in builder and "for whom “Appointment” happened at least once" in html.unescape(builder)
    rule = {"r.m": "all", "r.0.f": "event.booked", "r.0.k": "event.booked", "r.0.o": "at_least", "r.0.v": "1"}
    assert editor.post("/segments/new", {"name": "Rendez-vous", **rule, "act": "save"}).status_code == 303
    assert editor.post(where, {"act": "remove"}, follow=True).content.decode().count("Rendez-vous") >= 1
    assert CustomEvent.objects.filter(pk=kind.pk, removed_at=None).exists(), "a segment speaks of it"
    assert as_member("viewer", shop2).post(where, {"act": "remove"}).status_code == 403
    other = CustomEvent.objects.get(workspace=shop2.workspace, key="visit")
    editor.post(f"/audience/events/{other.pk}", {"act": "remove"})
    assert "Visit" not in text_of(editor.get("/audience/events").content).replace("a visit", "")
    editor.post(f"/undo/{Undo.objects.latest('pk').pk}")
    assert CustomEvent.objects.filter(pk=other.pk, removed_at=None).exists()


def test_a_rule_with_a_property_goes_through_the_form(shop2: Shop, as_member: Sign) -> None:
    tell(shop2, {"event": "bought_in_shop", "email": shop2.people[2].email, "properties": {"amount": 30, "gift": True}})
    editor = as_member("editor", shop2)
    rule = {
        "r.m": "all", "r.0.f": "event.bought_in_shop", "r.0.k": "event.bought_in_shop", "r.0.o": "at_least",
        "r.0.v": "1",
        "r.0.w.property.name": "amount", "r.0.w.property.op": "gte", "r.0.w.property.value": "12,5",
    }  # fmt: skip
    page = html.unescape(editor.post("/segments/new", {**rule, "name": "Boutique", "act": "draw"}).content.decode())
    assert "where “amount” is at least 12.5" in page
    assert editor.post("/segments/new", {**rule, "name": "Boutique", "act": "save"}).status_code == 303
    tree = rows("SELECT tree::text FROM audience_segment WHERE name = 'Boutique' ORDER BY id DESC")[0][0]
    assert json.loads(tree)["rules"][0]["where"] == {"property": {"name": "amount", "op": "gte", "value": 12.5}}
    wrong = editor.post("/segments/new", {**rule, "r.0.w.property.value": "viel", "name": "B", "act": "save"})
    assert wrong.status_code == 422 and "is a number" in text_of(wrong.content) and "viel" in wrong.content.decode()


# -- interests -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wine(shop2: Shop) -> Topic:
    return topics.create(shop2.workspace, topics.Written("Vin", "Wine", [], ["/nouveautes"]))


def test_a_topic_is_made_and_says_what_is_wrong(shop2: Shop, as_member: Sign) -> None:
    editor = as_member("editor", shop2)
    answer = editor.post("/audience/topics/new", {"label_fr": "Diabète", "label_en": "Diabetes"})
    assert answer.status_code == 422 and "art. 9" in text_of(answer.content) and "Diabète" in answer.content.decode()
    answer = editor.post("/audience/topics/new", {"label_fr": "Jazz", "label_en": "Jazz"})
    made = Topic.objects.get(workspace=shop2.workspace, key="jazz")
    assert answer.status_code == 303 and answer["Location"] == f"/audience/topics/{made.pk}"
    where = f"/audience/topics/{made.pk}"
    form = {
        "label_fr": "Jazz",
        "label_en": "Jazz",
        "categories_more": "Jazz, Swing",
        "addresses": "/jazz/\nrubrique-jazz",
    }
    assert editor.post(where, form).status_code == 303
    made.refresh_from_db()
    assert (made.categories, made.addresses) == (["jazz", "swing"], ["/jazz/", "rubrique-jazz"])
    assert editor.post(where, {**form, "addresses": "x"}).status_code == 422
    assert editor.post(where, {"act": "remove"}).status_code == 303
    assert where not in editor.get("/audience/topics").content.decode()
    editor.post(f"/undo/{Undo.objects.latest('pk').pk}")
    page = editor.get("/audience/topics").content.decode()
    assert "jazz, swing" in page
    viewer = as_member("viewer", shop2)
    assert viewer.get("/audience/topics").status_code == 200 and viewer.get(where).status_code == 403


def test_interests_are_inferred_when_asked(shop2: Shop, wine: Topic, as_member: Sign) -> None:
    editor = as_member("editor", shop2)
    assert editor.post("/audience/topics/infer").status_code == 303
    job = Job.objects.filter(workspace=shop2.workspace, kind=tasks.INTERESTS).latest("pk")
    assert "Interests are being inferred" in text_of(editor.get("/audience/topics").content)
    tasks.infer_interests.func(shop2.workspace.pk, job.pk)
    job.refresh_from_db()
    assert job.state == "done"
    assert "anew each night" in text_of(editor.get("/audience/topics").content)


def test_links_of_a_campaign_get_their_topics(shop2: Shop, wine: Topic, as_member: Sign) -> None:
    editor = as_member("editor", shop2)
    where = f"/campaigns/{shop2.draft.pk}/topics"
    page = editor.get(where).content.decode()
    assert "boutique.example/agenda" in page and "by its address" in page
    no = int(re.findall(r'name="link_(\d+)"', page)[-1])
    assert editor.post(where, {f"link_{no}": str(wine.pk)}).status_code == 303
    assert wine.articles.values_list("article", flat=True)[0] in (
        "boutique.example/agenda",
        "boutique.example/nouveautes",
    )
    assert "It was so already" in text_of(editor.post(where, {f"link_{no}": str(wine.pk)}, follow=True).content)
    editor.post(where, {})
    assert not wine.articles.exists()
    assert f"{where}" in editor.get(f"/campaigns/{shop2.draft.pk}").content.decode()


def test_a_member_writes_down_what_she_was_told(shop2: Shop, wine: Topic, as_member: Sign) -> None:
    editor, who = as_member("editor", shop2), shop2.people[3]
    where = f"/contacts/{who.pk}/interests"
    editor.post(where, {"topic": wine.pk, "act": "declare"})
    page = text_of(editor.get(f"/contacts/{who.pk}").content)
    assert "Said Wine written down by the team" in page
    editor.post(where, {"topic": wine.pk, "act": "refuse"})
    assert interests.present(shop2.workspace, who.pk, wine) == "refused"
    editor.post(f"/undo/{Undo.objects.latest('pk').pk}")
    assert interests.present(shop2.workspace, who.pk, wine) == "declared"
    editor.post(where, {"topic": wine.pk, "act": "forget"})
    assert interests.present(shop2.workspace, who.pk, wine) == ""
    assert "nothing was changed" in text_of(editor.post(where, {"topic": "x", "act": "declare"}, follow=True).content)
    assert as_member("viewer", shop2).post(where, {"topic": wine.pk, "act": "declare"}).status_code == 403


def test_she_sees_why_and_says_no_on_her_own_page(shop2: Shop, wine: Topic) -> None:
    who = shop2.people[4]
    rows(
        "INSERT INTO audience_interest (workspace_id, contact_id, topic_id, origin, reads, of_reads, last_on)"
        " VALUES (%s, %s, %s, 'inferred', 6, 9, '2026-11-20') RETURNING id",
        [shop2.workspace.pk, who.pk, wine.pk],
    )
    page = Client(HTTP_HOST="localhost")
    where = f"/p/{links.person_token(shop2.workspace.pk, who.pk)}"
    said = text_of(page.get(where).content)
    assert "Pourquoi je vois ceci : vous avez suivi ou acheté 6 articles différents de ce sujet, sur 9" in said
    assert "le 20 novembre 2026" in said
    unsaid = page.post(where, {"act": "save", f"topic_{wine.pk}": ""})
    assert unsaid.status_code == 200 and interests.present(shop2.workspace, who.pk, wine) == "inferred"
    page.post(where, {"act": "save", f"topic_{wine.pk}": "no", "topic_999999": "yes"})
    assert interests.present(shop2.workspace, who.pk, wine) == "refused"
    answer = page.post(where, {"act": "save", f"topic_{wine.pk}": "yes"})
    assert "Vos choix sont enregistrés" in text_of(answer.content)
    assert interests.present(shop2.workspace, who.pk, wine) == "declared"
    assert interests.of_person(shop2.workspace, who.pk)[0].source == "page"


def test_the_command_line_brings_a_file(shop2: Shop, tmp_path: Path) -> None:
    from envol.contacts import happenings
    from envol.run.cli_road import _json_lines

    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps({"event": "newsletter_read", "email": shop2.people[0].email}) + "\nno json\n\n", "utf-8")
    with open(file, encoding="utf-8") as text:
        told = happenings.tell(shop2.workspace, _json_lines(text))
    assert told.added == 1 and [place for place, _ in told.refused] == [1, 2]


# -- inactivity ----------------------------------------------------------------------------------


def test_the_question_is_asked_by_a_link_and_answered_by_a_post(shop2: Shop) -> None:
    page, who = Client(HTTP_HOST="localhost"), shop2.people[5]
    where = f"/i/{links.survey_token(shop2.sending.pk, who.pk)}"
    said = text_of(page.get(where).content)
    assert "Pourquoi lisez-vous si peu nos messages ?" in said and "Il y en a trop" in said
    assert who.email not in page.get(where).content.decode()
    assert reasons.present(shop2.workspace, who.pk) is None, "a GET changes nothing"
    assert page.post(where, {"reason": "nonsense", "words": "peu de temps"}).status_code == 422
    answer = page.post(where, {"reason": "other", "words": "peu de temps"})
    assert answer.status_code == 200 and "votre réponse est notée" in text_of(answer.content)
    assert reasons.present(shop2.workspace, who.pk) == ("other", "peu de temps")
    assert "Why do you read" in text_of(page.get(where + "?l=en").content)
    assert page.get("/i/" + "x" * 43).status_code == 404
    assert page.get(f"/i/{links.web_token(shop2.sending.pk, who.pk)}").status_code == 404


def test_whoever_leaves_may_say_why(shop2: Shop) -> None:
    page, who = Client(HTTP_HOST="localhost"), shop2.people[6]
    answer = page.post(f"/u/{links.unsubscribe_token(shop2.sending.pk, who.pk)}", {"act": "unsubscribe"})
    form = answer.content.decode()
    where = html.unescape(re.findall(r'action="(/i/[^"]+)"', form)[0])
    page.post(where, {"reason": "competitor", "from": "unsubscribed"})
    assert rows("SELECT reason, source FROM audience_reason WHERE contact_id = %s", [who.pk]) == [
        ("competitor", "unsubscribed")
    ]


def test_a_message_can_hold_the_question(shop2: Shop) -> None:
    source = '<html><body><p><a href="{{ survey_url }}">Dites-nous pourquoi</a></p></body></html>'
    version = templates.save(shop2.workspace, "Question", "html", source, "Pourquoi ?")
    assert version.links == [] and "survey_url" in version.variables
    sender = {"name": "Zoé", "address": "zoe@boutique.example"}
    composer = Composer(shop2.sending, version, shop2.workspace, sender, (), "https://envol.example", attachments=())
    parts = composer.parts(person_of(shop2.people[8], shop2.people[8].pk), pixel=False)
    token = links.survey_token(shop2.sending.pk, shop2.people[8].pk)
    assert f'href="https://envol.example/i/{token}"' in (parts.html or "")


def test_reasons_and_stages_open_their_people(shop2: Shop, as_member: Sign) -> None:
    reasons.answer(shop2.workspace, shop2.people[7].pk, "too_many")
    editor = as_member("editor", shop2)
    page = editor.get("/audience/inactivity").content.decode()
    tried = 0
    for link in re.findall(r'href="(/segments/new[^"]+)"[^>]*>', page):
        tree = json.loads(parse_qs(urlsplit(html.unescape(link)).query)["tree"][0])
        assert engine.count(shop2.workspace, tree) > 0
        assert editor.get(html.unescape(link)).status_code == 200
        tried += 1
    assert tried >= 3
    assert "too many e-mails" in text_of(editor.get(f"/contacts/{shop2.people[7].pk}").content)
    viewer = as_member("viewer", shop2)
    shown = viewer.get("/audience/inactivity").content.decode()
    assert "/segments/new" not in shown and "audience/inactivity/rhythm" not in shown


def test_the_rhythm_is_a_setting(shop2: Shop, as_member: Sign) -> None:
    editor = as_member("editor", shop2)
    wrong = editor.post("/audience/inactivity/rhythm", {"on": "on", "sends": "0"})
    assert wrong.status_code == 422 and "between 1 and 100" in text_of(wrong.content)
    assert editor.post("/audience/inactivity/rhythm", {"on": "on", "sends": "10"}).status_code == 303
    kept = rhythm.of(shop2.workspace)
    assert (kept.on, kept.sends) == (True, 10)
    editor.post("/audience/inactivity/rhythm", {"sends": "12"})
    assert not rhythm.of(shop2.workspace).on
    assert as_member("viewer", shop2).post("/audience/inactivity/rhythm", {"sends": "12"}).status_code == 403
