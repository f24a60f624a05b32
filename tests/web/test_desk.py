"""The organisation's desk: the data map, the records as files, processors with their verdicts."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from envol.accounts.models import JournalEntry
from envol.campaigns import check_law, checks
from envol.consent import desk, playbooks, policies, purposes, reuse, tasks
from envol.consent.models import Processor
from envol.consent.paper import Paper
from envol.contacts import bulk, catalogue, export_files, people
from envol.contacts.filters import Filter
from envol.contacts.models import BulkAct, Contact
from tests.consent.test_legacy import reader
from tests.web.shop import Shop, open_shop

Sign = Callable[..., Client]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop("Librairie du bureau", readers=30, folder=tmp_path_factory.mktemp("desk"))


def test_the_map_is_read_once_and_shows_what_came_since(own: Shop, as_member: Sign) -> None:
    owner = as_member("owner", own)
    assert "Nobody has read this map yet" in owner.get("/consent/map").content.decode()
    assert owner.post("/consent/map/confirm").status_code == 303
    assert "Nothing has changed" in owner.get("/consent/map").content.decode()
    own.workspace.properties.create(key="shoe", label_fr="Pointure", label_en="Shoe size", type="number")
    page = owner.get("/consent/map").content.decode()
    assert "Something is new" in page and "property Shoe size" in page and "contacts_contact" in page


def test_who_is_responsible_stands_on_the_record(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    given = {"legal_name": "Deux Rives SARL", "dpo_name": "=Ana", "hosted_in": "FR", "breach_hours": "72"}
    assert editor.post("/consent/controller", given | {"trained_on": "2999-01-01"}).status_code == 422
    assert editor.post("/consent/controller", given).status_code == 303
    assert "Deux Rives SARL" in editor.get("/consent/record").content.decode()
    lines = list(csv.reader(io.StringIO(editor.get("/consent/record.csv").content.decode("utf-8-sig")), delimiter=";"))
    assert ["Data protection officer", "'=Ana"] in lines and any(line[:1] == ["Newsletter"] for line in lines)
    paper = editor.get("/consent/record.pdf")
    assert paper.content.startswith(b"%PDF-") and len(paper.content) > 3000
    assert as_member("viewer", own).post("/consent/controller", given).status_code == 403


def test_a_processor_is_judged_on_its_page_and_kept_with_its_contract(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    given = {"name": "Relay Inc.", "role": "processor", "kind": "smart_host", "host": "relay.example", "country": "US"}
    wrong = editor.post("/consent/processors/new", given | {"host": "https://relay.example/x"})
    assert wrong.status_code == 422 and "host name alone" in wrong.content.decode()
    fake = SimpleUploadedFile("dpa.pdf", b"GIF89a")
    assert "This is no PDF" in editor.post("/consent/processors/new", given | {"file": fake}).content.decode()
    file = SimpleUploadedFile("dpa.pdf", b"%PDF-1.4 contract")
    answer = editor.post("/consent/processors/new", given | {"file": file, "dpa_on": "2026-01-05"})
    assert answer.status_code == 303
    page = editor.get(answer["Location"]).content.decode()
    assert "nothing covers it" in page and "Ways out" in page
    assert editor.get(answer["Location"] + "/contract").content == b"%PDF-1.4 contract"
    changed = given | {"tool": "scc", "assessed_on": "2026-02-01", "measures": "keys here", "dpa_on": "2026-01-05"}
    assert editor.post(answer["Location"], changed).status_code == 303
    assert "Standard clauses with an assessment" in editor.get(answer["Location"]).content.decode()
    assert editor.get(answer["Location"] + "/contract").content == b"%PDF-1.4 contract", "kept without a new file"
    assert editor.post(answer["Location"] + "/end").status_code == 303
    assert Processor.objects.get(workspace=own.workspace, name="Relay Inc.").ended_on is not None


def test_red_stops_the_campaign_through_that_relay_and_the_file_for_that_platform(own: Shop) -> None:
    one = desk.save_processor(own.workspace, {"name": "Relay", "host": "relay.example", "country": "US"})
    config = SimpleNamespace(route="smart_host", smart_host="smtp.relay.example:587")
    with override_settings(ENVOL=config):
        found = check_law.transfer(own.draft)
        assert [(c.level, c.code) for c in found] == [("block", "transfer")]
        assert "rien ne les couvre" in found[0].fr and "nothing covers it" in found[0].en
        desk.end_processor(one)
        assert check_law.transfer(own.draft) == []
    desk.save_processor(own.workspace, {"name": "Ads Corp", "kind": "ads", "country": "US"})
    if export_files.ad_purpose(own.workspace) is None:
        key, fr, en, kind, text_fr, text_en = next(
            p for p in purposes.proposed(own.workspace) if p[0] == purposes.AD_MATCHING
        )
        purposes.add(own.workspace, key, fr, en, kind=kind, texts={"fr": text_fr, "en": text_en})
    with pytest.raises(export_files.ExportProblem, match="Ads Corp"):
        export_files.prepare(own.workspace, Filter(), "hashed")


def test_paper_writes_names_of_any_alphabet() -> None:
    paper = Paper("Éléments – «\u202fpreuve\u202f»")
    paper.facts([("Nom", "Łukasz Żółć, Νίκος, Ирина"), ("Rien", "")])
    paper.table(["A", "B"], [["x" * 400, "1"]] * 80)
    assert paper.write().startswith(b"%PDF-")


def step(client: Client, where: str, name: str, **given: str) -> int:
    fields = {f"{name}-{key}": text for key, text in given.items()}
    return client.post(f"{where}/step", {"step": name, **fields}).status_code


def test_a_drill_goes_from_the_first_minute_to_the_register(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    when = timezone.localtime(timezone=ZoneInfo("Europe/Paris")) - timedelta(hours=2)
    given = {"title": "Lettre à la mauvaise liste", "aware_at": f"{when:%Y-%m-%dT%H:%M}", "drill": "on"}
    assert editor.post("/consent/breaches/new", given | {"aware_at": "2999-01-01T00:00"}).status_code == 422
    answer = editor.post("/consent/breaches/new", given | {"scope": f"sending:{own.sending.pk}"})
    where = answer["Location"]
    page = editor.get(where).content.decode()
    assert "hours left to notify" in page and ">69<" in page
    assert step(editor, where, "facts", nature="", consequences="x", measures="y", categories="z") == 422
    facts = {
        "nature": "Envoi à tort",
        "consequences": "Peu",
        "measures": "Arrêté",
        "categories": "adresse",
        "persons": "24",
    }
    assert step(editor, where, "facts", **facts) == 303
    assert step(editor, where, "tell", subject="S", text="T") == 422, "art. 34 is decided first"
    assert step(editor, where, "persons", tell="yes", why="Risque élevé") == 303
    assert "Envoi à tort" in editor.get(where).content.decode(), "the message is drafted from the facts"
    late = f"{when + timedelta(hours=73):%Y-%m-%dT%H:%M}"
    assert step(editor, where, "notified", at=late) == 422
    assert step(editor, where, "notified", at=late, late="Week-end") == 303
    assert editor.post(f"{where}/step", {"step": "close", "remedy": "Relire à deux"}).status_code == 303
    page = editor.get(where).content.decode()
    assert "Relire à deux" in page and "Week-end" in page
    told = editor.get(f"{where}.json").json()
    assert told["nature"] == "Envoi à tort" and told["persons"] == 24
    assert [one["kind"] for one in told["register"]][-1] == "closed"
    assert editor.get(f"{where}.pdf").content.startswith(b"%PDF-")
    assert as_member("viewer", own).get(where).status_code == 403


@pytest.mark.parametrize("kind", [one.key for one in playbooks.PLAYBOOKS])
def test_a_usual_breach_begins_with_first_steps_and_a_draft(own: Shop, as_member: Sign, kind: str) -> None:
    owner = as_member("owner", own)
    when = timezone.localtime(timezone=ZoneInfo("Europe/Paris")) - timedelta(hours=2)
    given = {"title": "Exercice", "aware_at": f"{when:%Y-%m-%dT%H:%M}", "drill": "on", "playbook": kind}
    assert owner.post("/consent/breaches/new", given | {"playbook": "meteor"}).status_code == 422
    where = owner.post("/consent/breaches/new", given)["Location"]
    book = playbooks.of(kind)
    assert book is not None
    page = html.unescape(owner.get(where).content.decode())
    for words in (book.nature, book.consequences, book.measures, book.authority, book.people):
        assert str(words) in page
    for one in book.steps:
        assert str(one.words) in page
        if one.page:
            there = reverse(f"web:{one.page}")
            assert f'href="{there}"' in page and owner.get(there).status_code == 200
    facts = {"nature": "Autrement", "consequences": "x", "measures": "y", "categories": "z"}
    assert step(owner, where, "facts", **facts) == 303
    page = html.unescape(owner.get(where).content.decode())
    assert "Autrement" in page and str(book.steps[0].words) in page, "the draft is changed, the steps stay"
    assert owner.get(f"{where}.json").json()["nature"] == "Autrement"


def test_a_purpose_is_screened_and_the_pack_is_made_from_the_steps(own: Shop, as_member: Sign) -> None:
    editor, viewer = as_member("editor", own), as_member("viewer", own)
    letter = purposes.get(own.workspace, "newsletter")
    where = f"/consent/assessments/{letter.pk}"
    assert "not screened yet" in viewer.get("/consent/assessments").content.decode()
    assert viewer.get(where).status_code == 403
    assert editor.post(where, {"act": "screen", "met": ["scale", "scoring"]}).status_code == 303
    assert "an impact assessment is due" in editor.get(where).content.decode()
    assert editor.post(where, {"act": "done", "summary": " "}).status_code == 422
    assert editor.post(where, {"act": "done", "summary": "Peu de risques."}).status_code == 303
    kept = editor.post(where, {"act": "weigh", "interest": "Vendre", "need": "", "balance": "x", "safeguards": "y"})
    assert kept.status_code == 422 and "Vendre" in kept.content.decode()
    assert "Make an evidence pack" in editor.get("/consent/steps").content.decode()
    assert editor.post("/consent/steps/pack").status_code == 303
    job = tasks.last_evidence(own.workspace)
    assert job is not None
    tasks.make_evidence.func(own.workspace.pk, job.pk, "fr")
    assert "Download the pack" in editor.get("/consent/steps").content.decode()
    assert b"".join(editor.get("/consent/steps/pack.zip").streaming_content).startswith(b"PK")  # type: ignore[arg-type]
    assert viewer.get("/consent/steps/pack.zip").status_code == 403


def test_a_high_risk_that_stays_stops_the_purpose_until_the_authority_was_asked(own: Shop, as_member: Sign) -> None:
    editor = as_member("editor", own)
    letter = purposes.get(own.workspace, "newsletter")
    where = f"/consent/assessments/{letter.pk}"

    def stopped() -> bool:
        return "consultation" in {one.code for one in checks.check(own.draft) if one.level == checks.BLOCK}

    desk.save(own.workspace, {"joint": "Salon du livre, for the contest", "dpo_name": "Maud", "dpo_contact": "1 quai"})
    assert editor.post(where, {"act": "screen", "met": ["scale", "vulnerable"]}).status_code == 303
    assert not stopped()
    said = {"act": "done", "summary": "Des enfants seraient reconnus."}
    assert editor.post(where, said | {"high": "yes"}).status_code == 303
    assert stopped() and "ask the authority first" in next(
        one.en for one in checks.check(own.draft) if one.code == "consultation"
    )
    page = editor.get(where).content.decode()
    for part in (
        "Salon du livre, for the contest",
        "Maud, 1 quai",
        "Des enfants seraient reconnus.",
        "very many people",
    ):
        assert part in page.split('id="ask"')[1].split("</section>")[0], part
    assert "The authority was asked wherever a high risk stays" in editor.get("/consent/steps").content.decode()
    assert editor.post(where, {"act": "screen"}).status_code == 303
    assert stopped() and 'name="high"' in editor.get(where).content.decode(), "fewer ticks do not lift it"
    assert editor.post(where, said | {"high": "no", "summary": "Avis suivi."}).status_code == 303
    assert not stopped() and 'id="ask"' not in editor.get(where).content.decode()


def test_a_notice_is_drafted_and_published_and_people_are_told(own: Shop, as_member: Sign) -> None:
    editor, viewer = as_member("editor", own), as_member("viewer", own)
    where = "/consent/texts/notice"
    assert "Information notice" in viewer.get("/consent/texts").content.decode()
    assert (
        viewer.post(where, {"act": "publish"}).status_code == 403 and editor.get("/consent/texts/x").status_code == 404
    )
    page = editor.get(f"{where}?fresh=1").content.decode()
    assert "Your right to object" in page
    given = {"act": "publish", "fr": "Tout", "en": "All", "short_fr": "mot " * 61, "short_en": "short"}
    wrong = editor.post(where, given)
    assert wrong.status_code == 422 and "60 words" in wrong.content.decode() and "Tout" in wrong.content.decode()
    assert editor.post(where, given | {"short_fr": "court"}).status_code == 303
    assert "people have not been told yet" in editor.get(where).content.decode()
    assert editor.post(where, {"act": "tell", "subject": "", "message": "x"}).status_code == 422
    assert editor.post(where, {"act": "tell", "subject": "Ce qui change", "message": "x"}).status_code == 303


def test_which_version_bound_whom_on_which_day(own: Shop, as_member: Sign) -> None:
    editor, viewer = as_member("editor", own), as_member("viewer", own)
    person, today = own.people[0], timezone.localdate().isoformat()
    policies.publish(own.workspace, "cookies", {"fr": "Un", "en": "One"})
    policies.publish(own.workspace, "cookies", {"fr": "Deux", "en": "Two"})
    page = editor.post("/consent/texts", {"address": person.email.upper(), "on": today}).content.decode()
    cookies = page[page.index("Cookie policy", page.index("h_applied")) :]
    assert "Version 1" in cookies and "binds everybody since" in cookies
    policies.accept(own.workspace.pk, person.pk)
    cookies = editor.get(f"/consent/texts?person={person.pk}&on={today}").content.decode().split("Cookie policy")[-1]
    assert "Version 2" in cookies and "taken at sign-up" in cookies
    early = viewer.get(f"/consent/texts?person={person.pk}&on=2020-01-01").content.decode()
    assert "none on that day" in early and "not among your contacts yet" in early and person.email not in early
    for typed, said in (
        ({"address": "x", "on": today}, "one whole address"),
        ({"address": "who@lecteurs.example", "on": today}, "Nobody here"),
        ({"address": person.email, "on": "hier"}, "year-month-day"),
    ):
        wrong = editor.post("/consent/texts", typed)
        assert (
            wrong.status_code == 422 and said in wrong.content.decode() and typed["address"] in wrong.content.decode()
        )
    assert editor.get("/consent/texts?person=999999999").status_code == 404


def test_a_compatible_purpose_is_served_from_then_on_and_consent_is_never_skipped(own: Shop, as_member: Sign) -> None:
    said = {name: f"Because of {name}." for name in reuse.FACTORS}
    orders, words = purposes.get(own.workspace, "transactional"), {"fr": "Club", "en": "Club"}
    offers = purposes.add(own.workspace, "club", "Club", "Club", texts=words)
    size = catalogue.declare(own.workspace, "shoe", "number", "Pointure", "Shoe size", purposes=1 << orders.bit)
    editor, where = as_member("editor", own), f"/consent/purposes/{orders.pk}/reuse"
    assert where in editor.get(f"/consent/purposes/{orders.pk}").content.decode()
    assert "Shoe size" in editor.get(where).content.decode()
    sent = {"target": offers.pk, "field": [size.pk], "agrees": "yes", **said}
    assert as_member("viewer", own).post(where, sent).status_code == 403
    answer = editor.post(where, sent | {"nature": ""})
    page = answer.content.decode()
    assert answer.status_code == 422 and "Answer all five" in page and "Because of link." in page
    assert editor.post(where, sent | {"sign": "profiling"}).status_code == 303
    size.refresh_from_db()
    assert size.purposes == 1 << orders.bit, "consent is needed: nothing changed"
    assert "people are profiled for it" in editor.get(where).content.decode()
    assert editor.post(where, sent | {"agrees": "no"}).status_code == 303
    size.refresh_from_db()
    assert size.purposes == 1 << orders.bit
    assert editor.post(where, sent).status_code == 303
    size.refresh_from_db()
    assert size.purposes == 1 << orders.bit | 1 << offers.bit
    page = editor.get(where).content.decode()
    assert "the new purpose is compatible" in page and "Because of safeguards." in page
    assert "the new purpose is compatible" in editor.get("/consent/assessments").content.decode()
    done = JournalEntry.objects.filter(workspace=own.workspace, action="assessment.use")
    assert sorted(done.values_list("facts__outcome", flat=True)) == ["compatible", "consent", "not_compatible"]


def test_the_page_of_the_purpose_proposes_a_term_and_a_message(own: Shop, as_member: Sign) -> None:
    letter = purposes.get(own.workspace, "newsletter")
    owner, where = as_member("owner", own), f"/consent/purposes/{letter.pk}"
    assert "Taken over from a former system" not in owner.get(where).content.decode()
    reader(letter, "taken", "legacy", own.members["owner"].pk)
    page = owner.get(where).content.decode()
    assert "Our proposal: a term of 6 months" in page and "The permission of 1 person rests" in page
    assert as_member("editor", own).post(f"{where}/term", {"which": "legacy", "months": "6"}).status_code == 403
    assert owner.post(f"{where}/term", {"which": "legacy", "months": "6"}).status_code == 303
    letter.refresh_from_db()
    assert (letter.legacy_months, letter.months) == (6, None)
    assert "Prepare a message that asks them to confirm" in owner.get(where).content.decode()
    made = owner.post(f"{where}/ask", {"which": "legacy"})
    assert made.status_code == 303 and "/campaigns/" in made["Location"]
    assert Contact.objects.filter(workspace_id=own.workspace.pk, email="taken@lecteurs.example").exists()
    assert "taken@lecteurs.example" in owner.get("/contacts?proof=legacy").content.decode()


def test_a_field_that_people_have_gains_no_purpose_before_it_was_weighed(own: Shop, as_member: Sign) -> None:
    orders, letter = purposes.get(own.workspace, "transactional"), purposes.get(own.workspace, "newsletter")
    hat = catalogue.declare(own.workspace, "hat", "number", "Chapeau", "Hat", purposes=1 << orders.bit)
    editor, where = as_member("editor", own), f"/fields/{hat.pk}"
    given = {"label_fr": "Chapeau", "label_en": "Hat"}

    def served() -> int:
        hat.refresh_from_db()
        return hat.purposes

    both = {**given, "purpose": ["transactional", "newsletter"]}
    assert editor.post(where, both).status_code == 303, "nobody has one yet: nothing was collected for anything"
    assert editor.post(where, {**given, "purpose": ["transactional"]}).status_code == 303
    zoe = Contact.objects.filter(workspace_id=own.workspace.pk).earliest("id")
    people.set_values(zoe, {"hat": 56}, people.source(own.workspace, "member", "Salon"))
    refused = editor.post(where, both)
    page = html.unescape(refused.content.decode())
    wizard = f"/consent/purposes/{orders.pk}/reuse?field={hat.pk}&target={letter.pk}"
    assert refused.status_code == 422 and "weigh first whether" in page and wizard in page
    assert served() == 1 << orders.bit
    assert "at least one purpose" in editor.post(where, given).content.decode(), "no way around by taking all away"
    said = {name: f"Because of {name}." for name in reuse.FACTORS}
    sent = {"target": letter.pk, "field": [hat.pk], **said}
    assert editor.post(wizard, sent | {"agrees": "no"}).status_code == 303
    assert editor.post(where, both).status_code == 422, "it was found not compatible"
    assert editor.post(wizard, sent | {"agrees": "yes"}).status_code == 303
    assert served() == 1 << orders.bit | 1 << letter.bit
    assert editor.post(where, {**given, "purpose": ["transactional"]}).status_code == 303
    assert editor.post(where, both).status_code == 303 and served() == 1 << orders.bit | 1 << letter.bit
    assert editor.post(wizard, sent | {"agrees": "yes", "sign": "profiling"}).status_code == 303
    assert editor.post(where, {**given, "purpose": ["transactional"]}).status_code == 303
    assert editor.post(where, both).status_code == 422, "the newest answer counts: only consent can allow it"


def test_values_serve_no_more_by_a_merge_or_by_coming_back(own: Shop, as_member: Sign) -> None:
    """GDPR art. 6(4): the field page is not the only way by which values could come to serve another purpose."""
    orders, letter = purposes.get(own.workspace, "transactional"), purposes.get(own.workspace, "newsletter")
    cap = catalogue.declare(own.workspace, "cap", "number", "Casquette", "Cap", purposes=1 << orders.bit)
    both = 1 << orders.bit | 1 << letter.bit
    hood = catalogue.declare(own.workspace, "hood", "number", "Capuche", "Hood", purposes=both)
    bare = catalogue.declare(own.workspace, "bare", "number", "Tête nue", "Bare head")
    editor, act = as_member("editor", own), f"/fields/{cap.pk}/act"
    zoe = Contact.objects.filter(workspace_id=own.workspace.pk).earliest("id")
    origin = people.source(own.workspace, "member", "Salon")
    people.set_values(zoe, {"cap": 56}, origin)
    wizard = f"/consent/purposes/{orders.pk}/reuse?field={cap.pk}&target={letter.pk}"
    for answer in (editor.get(f"/fields/{cap.pk}?into=hood"), editor.post(act, {"act": "merge", "into": "hood"})):
        page = html.unescape(answer.content.decode())
        assert "weigh first whether" in page and wizard in page and "values moved" not in page
    assert "serves no purpose yet" in html.unescape(editor.get(f"/fields/{cap.pk}?into=bare").content.decode())
    assert Contact.objects.filter(pk=zoe.pk, props__has_key="cap").exists()

    assert editor.post(act, {"act": "empty"}).status_code == 303
    given = {"label_fr": "Casquette", "label_en": "Cap", "purpose": ["transactional", "newsletter"]}
    assert editor.post(f"/fields/{cap.pk}", given).status_code == 303, "nobody has one now"
    emptied = BulkAct.objects.filter(workspace=own.workspace, act="set").latest("id")
    with pytest.raises(bulk.BulkProblem, match="given for less"):
        bulk.undo(emptied)
    given["purpose"] = ["transactional"]
    assert editor.post(f"/fields/{cap.pk}", given).status_code == 303
    bulk.undo(emptied)
    assert Contact.objects.get(pk=zoe.pk).props["cap"] == 56

    said = {name: f"Because of {name}." for name in reuse.FACTORS}
    assert editor.post(wizard, {"target": letter.pk, "field": [cap.pk], **said, "agrees": "yes"}).status_code == 303
    assert editor.post(act, {"act": "merge", "into": "hood"}).status_code == 303
    assert Contact.objects.get(pk=zoe.pk).props["hood"] == 56
    people.set_values(zoe, {"hood": None}, origin)
    for one in (hood, bare):
        one.delete()
