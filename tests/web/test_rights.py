"""The person's side: asking by the public page, by the preference page and by mail; the desk that answers."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts import api_keys
from envol.accounts.api_keys import Limits
from envol.accounts.models import Workspace
from envol.consent import desk, directives, gates, purposes, registry, requests, restriction, suppression
from envol.consent.models import RightsRequest
from envol.contacts import people
from envol.contacts.models import Contact, Import
from envol.db import execute
from envol.events.models import MailRequest
from envol.outbound import domains, returned
from envol.outbound.records import return_host
from envol.outbound.returned import Returned
from tests.web.shop import Shop
from tests.web.test_public import Reader
from tests.web.test_segments_told import Program

Sign = Callable[..., Client]


@pytest.fixture
def reader(workspace: Workspace) -> Reader:
    return Reader(workspace)


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True, headers={"host": "localhost"})


def link(workspace: Workspace) -> str:
    mail = MailRequest.objects.filter(workspace_id=workspace.pk, kind="rights").latest("pk")
    found = re.search(r"/r/[\w-]{43}", mail.facts["text"])
    assert found
    return found[0]


def test_anybody_may_ask_and_learns_nothing_of_who_is_known(reader: Reader, browser: Client) -> None:
    where = f"/r/at/{reader.workspace.name}"
    form = browser.get(where, headers={"accept-language": "fr"})
    assert form.status_code == 200 and not form.cookies and len(form.content) < 15_000
    assert browser.post(where, {"email": "zoe", "kind": "access"}).status_code == 422
    wrong = browser.post(where, {"email": "zoe.martin@lecteurs.example", "kind": "rectification", "words": ""})
    assert wrong.status_code == 422 and "zoe.martin@lecteurs.example" in wrong.content.decode(), "nothing typed is lost"
    known = browser.post(where, {"email": "zoe.martin@lecteurs.example", "kind": "access"})
    unknown = browser.post(where, {"email": "zoe.martln@lecteurs.example", "kind": "access"})
    assert known.status_code == 200 and known.content == unknown.content
    assert browser.get("/r/at/nobody").status_code == 404 and browser.get("/r/" + "A" * 43).status_code == 404

    # The look-alike gets an answer about itself: nothing.
    page = browser.post(link(reader.workspace), {"act": "confirm"}).content.decode()
    assert "exactement" in page or "exactly" in page
    assert "download" not in page


def test_the_link_shows_and_only_a_post_acts(reader: Reader, browser: Client) -> None:
    form = people.source(reader.workspace, "form", "La lettre")
    Contact.objects.filter(pk=reader.contact).update(source_id=form.pk)
    browser.post(f"/r/at/{reader.workspace.name}", {"email": "zoe.martin@lecteurs.example", "kind": "access"})
    where = link(reader.workspace)
    for _ in range(2):
        page = browser.get(where)
        assert page.status_code == 200 and 'value="confirm"' in page.content.decode() and not page.cookies
    assert browser.post(where, {"act": "download"})["Content-Type"].startswith("text/html"), "not before she confirmed"
    page = browser.post(where, {"act": "confirm"}).content.decode()
    assert 'value="download"' in page
    assert "Vous avez donné votre adresse vous-même, le" in page and "La lettre." in page
    fair = Import.objects.create(workspace=reader.workspace, origin={"by": "other", "name": "Salon du livre"})
    for source, said in (
        (people.source(reader.workspace, "import", "salon.csv", import_id=fair.pk), "Salon du livre l’a donnée."),
        (people.source(reader.workspace, "message", "Le site", actor="key 4711"), "Le site » vous a écrit."),
        (people.source(reader.workspace, "api", "La caisse", actor="key 4711"), "par son programme « La caisse »."),
        (people.source(reader.workspace, "import", "clients.csv"), "par le fichier « clients.csv »."),
        (None, "D’où vient votre adresse n’a pas été noté."),
    ):
        Contact.objects.filter(pk=reader.contact).update(source_id=source.pk if source else None)
        page = browser.get(where).content.decode().replace("\u202f", " ").replace("\xa0", " ")
        assert said in page
    answer = browser.post(where, {"act": "download"})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert "zoe.martin@lecteurs.example" in file.read("data.json").decode()
    assert answer["Cache-Control"] == "no-store"


def test_an_erasure_asked_on_the_preference_page(reader: Reader, browser: Client) -> None:
    page = browser.post(reader.url("p"), {"act": "ask_erasure"}).content.decode()
    assert Contact.objects.filter(pk=reader.contact).exists(), "a message may have been passed on: the mailbox decides"
    assert "7 jours" in page
    page = browser.post(link(reader.workspace), {"act": "confirm"}).content.decode()
    assert not Contact.objects.filter(pk=reader.contact).exists()
    assert re.search(rf"{reader.workspace.pk}-\d+", page), "the reference of the certificate"


def test_what_protects_counts_at_once_and_a_pause_ends_by_itself(reader: Reader, browser: Client) -> None:
    where = reader.url("p")
    page = browser.post(where, {"act": "pause"}).content.decode()
    assert not reader.may_get("newsletter") and 'value="pause_end"' in page
    box = LexborHTMLParser(page).css_first(f'input[name="purpose_{reader.newsletter.pk}"]')
    assert box is not None and "checked" in box.attributes, "what she chose stands, only later"
    browser.post(where, {"act": "pause_end"})
    assert reader.may_get("newsletter")
    browser.post(where, {"act": "pause"})
    execute("UPDATE consent_suppression SET until = %s WHERE reason = 'paused'", [datetime.now(UTC) - timedelta(1)])
    suppression.expire()
    assert reader.may_get("newsletter")
    browser.post(where, {"act": "pause"})
    browser.post(where, {"act": "all"})
    browser.post(where, {"act": "pause_end"})
    assert not reader.may_get("newsletter"), "leaving for good is stronger than a pause"
    browser.post(where, {"act": "ask_restriction"})
    assert restriction.now(reader.workspace.pk, reader.contact) is not None and not reader.may_get("transactional")
    assert 'value="ask_rectification"' in browser.post(where, {"act": "ask_rectification"}).content.decode()
    assert not RightsRequest.objects.filter(workspace_id=reader.workspace.pk).exists()


def test_all_answers_of_the_preference_page_weigh_the_same(reader: Reader, browser: Client) -> None:
    """No class, no style, no smaller element: saying no looks like saying yes."""
    answer = browser.get(reader.url("p"))
    page = LexborHTMLParser(answer.content.decode())
    buttons = page.css("button")
    assert {b.attributes["value"] for b in buttons} >= {"save", "all", "pause", "ask_erasure", "ask_objection"}
    assert {tuple(sorted(set(b.attributes) - {"name", "value"})) for b in buttons} == {()}
    assert len(answer.content) < 15_000 and not answer.cookies and not page.css("script")


def test_the_desk(shop: Shop, as_member: Sign) -> None:
    editor, viewer = as_member("editor"), as_member("viewer")
    new = {"address": "lecteur@poste.example", "kind": "rectification", "words": "Zoë", "language": "fr"}
    wrong = editor.post("/consent/requests/new", {**new, "address": "no"})
    assert wrong.status_code == 422 and "Zoë" in wrong.content.decode()
    made = editor.post("/consent/requests/new", new)
    assert made.status_code == 303
    where = made["Location"]
    assert "lecteur@poste.example" not in viewer.get(where).content.decode()
    assert viewer.post(where, {"act": "refuse", "said": "x"}).status_code == 403
    assert editor.post(where, {"act": "carry_out", "said": "x"}).status_code == 422
    for act, said in (
        ("prove", "rappel au numéro de la commande"),
        ("extend", "dossier long"),
        ("carry_out", "Corrigé."),
    ):
        assert editor.post(where, {"act": act, "said": said}).status_code == 303, act
    page = editor.get(where).content.decode()
    assert "Corrigé." in page and "dossier long" in page and 'value="carry_out"' not in page
    assert "lecteur@poste.example" in editor.get("/consent/requests?show=all").content.decode()
    assert 'value="reopen"' in page and 'value="reopen"' not in viewer.get(where).content.decode()
    assert editor.post(where, {"act": "reopen", "said": ""}).status_code == 422
    assert editor.post(where, {"act": "reopen", "said": "mauvais dossier"}).status_code == 303
    page = editor.get(where).content.decode()
    assert "mauvais dossier" in page and 'value="carry_out"' in page and 'value="reopen"' not in page
    told = viewer.get(f"/consent/erasures/{shop.ids()['erasure_id']}?as=json").json()
    assert told["certified_at"] and any(line["table"] == "contacts_contact" for line in told["deleted"])


def test_the_desk_tells_recipients(shop: Shop, as_member: Sign) -> None:
    editor, viewer = as_member("editor"), as_member("viewer")
    one = desk.save_processor(
        shop.workspace, {"name": "Atelier <Pub>", "kind": "other", "country": "FR", "contact": "dpo@pub.example"}
    )
    try:
        made = requests.receive(shop.workspace, "rectification", shop.people[2].email, channel="member", words="Zoë")
        requests.carry_out(requests.prove(made, "guichet", shop.members["editor"].pk), 1, "Corrigé.")
        where = f"/consent/requests/{made.pk}"
        page = editor.get(where).content.decode()
        assert "Atelier &lt;Pub&gt;" in page and "Mail these words" in page and shop.people[2].email in page
        seen = viewer.get(where).content.decode()
        assert "Atelier &lt;Pub&gt;" in seen and shop.people[2].email not in seen and "Mail these words" not in seen
        assert f"{where}#recipients" in editor.get("/consent/requests").content.decode()
        step = made.steps.get(what="to_tell").pk
        assert editor.post(where, {"act": "tell", "step": "x"}).status_code == 422
        assert editor.post(where, {"act": "tell", "step": step}).status_code == 303
        assert "Atelier &lt;Pub&gt;: dpo@pub.example" in editor.get(where).content.decode()
        assert f"{where}#recipients" not in editor.get("/consent/requests").content.decode()
    finally:
        one.delete()


def test_programs_pass_on_a_withdrawal_and_a_request(other_shop: Shop) -> None:
    shop = other_shop  # its own words stay out of the pages that others look at
    program, person = Program(shop), shop.people[5]
    address = person.email

    def told(path: str, body: object) -> Any:
        return program.client.post(path, body, content_type="application/json", headers=program.header)

    assert gates.may_send(shop.workspace.pk, person.pk, person.email_key, purpose(shop)).allowed
    answer = told("/consent/withdrawals.json", {"email": address.upper(), "purpose": "newsletter"})
    assert answer.json() == {"contact": person.pk, "changed": True}
    found = gates.may_send(shop.workspace.pk, person.pk, person.email_key, purpose(shop))
    assert (found.allowed, found.reason) == (False, "withdrawn")
    assert not told("/consent/withdrawals.json", {"email": address, "purpose": "newsletter"}).json()["changed"]
    stranger = told("/consent/withdrawals.json", {"email": "nobody@ailleurs.example"}).json()
    assert stranger == {"contact": None, "changed": True}, "whom we do not know is kept silent all the same"
    asked = told("/consent/requests.json", {"email": address, "kind": "access", "language": "en"})
    assert asked.status_code == 202 and "/r/" in link(shop.workspace)
    status = program.get(f"/consent/requests.json?id={asked.json()['id']}").json()
    assert status["state"] == "unproven" and address not in str(status), "a program proves nobody"
    for path, body in (
        ("/consent/withdrawals.json", {"email": "x"}), ("/consent/withdrawals.json", "[1]"),
        ("/consent/withdrawals.json", {"email": address, "purpose": "no"}),
        ("/consent/withdrawals.json", {"email": 1}),
        ("/consent/requests.json", {"email": address, "kind": "x"}),
        ("/consent/requests.json", {"email": address, "kind": "rectification"}),
    ):  # fmt: skip
        wrong = told(path, body)
        assert wrong.status_code == 400 and wrong.json()["error"].endswith("."), (path, body, wrong.content)
    assert program.get("/consent/requests.json?id=999999999").status_code == 404
    api_keys.limit(program.row, Limits(scopes=["smtp"]))
    assert told("/consent/withdrawals.json", {"email": address}).status_code == 403


def purpose(shop: Shop) -> int:
    return int(purposes.get(shop.workspace, "newsletter").pk)


def test_a_mail_to_privacy_is_a_request_of_whoever_wrote_it(reader: Reader, browser: Client) -> None:
    domain = domains.add(reader.workspace, f"{reader.workspace.name}.example", trusted=True)
    to = f"privacy@{return_host(domain.name)}"
    assert returned.is_ours(to)
    raw = (
        b"From: Zoe <zoe.martin@lecteurs.example>\r\nTo: x@y.example\r\nSubject: Effacez mes donnees\r\n"
        b"Date: Thu, 26 Nov 2026 10:00:00 +0100\r\n\r\nMerci\r\n"
    )
    assert returned.take([Returned(to, raw)]) == ["request"]
    one = RightsRequest.objects.get(workspace_id=reader.workspace.pk)
    assert (one.kind, one.channel, one.state, one.contact_id) == ("erasure", "mail", "unproven", reader.contact)
    assert Contact.objects.filter(pk=reader.contact).exists(), "From proves nothing: the link does"
    machine = raw.replace(b"Subject: Eff", b"Auto-Submitted: auto-replied\r\nSubject: Eff")
    assert returned.take([Returned(to, machine)]) != ["request"]


def test_terms_holds_and_the_dry_run_on_their_page(shop: Shop, as_member: Sign) -> None:
    owner, viewer = as_member("owner"), as_member("viewer")
    assert viewer.post("/consent/retention", {"act": "preview"}).status_code == 403
    longer = {"act": "change", "category": "prospects", "months": "60", "reason": ""}
    wrong = owner.post("/consent/retention", longer)
    assert wrong.status_code == 422 and 'value="60"' in wrong.content.decode()
    assert owner.post("/consent/retention", {**longer, "reason": "long guarantee"}).status_code == 303
    assert owner.post("/consent/retention", {"act": "hold", "address": "x@y.example", "why": "z"}).status_code == 422
    person = shop.people[5]
    done = owner.post("/consent/retention", {"act": "hold", "address": person.email, "why": "invoice 12"})
    assert done.status_code == 303
    page = viewer.get("/consent/retention").content.decode()
    assert "long guarantee" in page and "invoice 12" in page and person.email not in page
    assert owner.post("/consent/retention", {"act": "preview"}).status_code == 303
    held = re.search(r'name="hold" value="(\d+)"', owner.get("/consent/retention").content.decode())
    assert held and owner.post("/consent/retention/release", {"hold": held[1]}).status_code == 303
    assert "invoice 12" not in owner.get("/consent/retention").content.decode()


@pytest.fixture
def passer_by(shop: Shop) -> Iterator[Contact]:
    """Somebody more in the shop, whose figures other tests know: gone afterwards."""
    source = people.source(shop.workspace, "form", "Salon")
    person = people.upsert(shop.workspace, "partie@lecteurs.example", {}, source=source)
    yield person
    registry.erase_person(shop.workspace.pk, person.pk, person.email_key, cause="fin d’essai")


def test_the_desk_follows_a_death_from_the_call_to_the_register(
    shop: Shop, as_member: Sign, passer_by: Contact
) -> None:
    editor, person = as_member("editor"), passer_by
    directives.say(shop.workspace.pk, person.pk, directives.HAND, "Paul, 01 02")
    new = {"kind": "death", "address": person.email, "language": "en"}
    assert editor.post("/consent/requests/new", new).status_code == 422
    answer = editor.post("/consent/requests/new", new | {"words": "her brother, by phone"})
    page = editor.get(where := answer.headers["Location"]).content.decode()
    assert "hand the data to the person named" in page and "Paul, 01 02" in page and "Which proof did you see?" in page
    assert "Mail the link again" not in page
    assert editor.post(where, {"act": "prove", "said": "certificate of 3 May"}).status_code == 303
    assert editor.get(f"{where}/pack.zip").headers["Content-Type"] == "application/zip"
    assert editor.post(where, {"act": "carry_out", "said": ""}).status_code == 422
    assert editor.post(where, {"act": "carry_out", "said": "handed to Paul"}).status_code == 303
    assert "the person has died" in editor.get("/consent/requests?show=all").content.decode()
