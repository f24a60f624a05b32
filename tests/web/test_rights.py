"""The person's side: asking by the public page, by the preference page and by mail; the desk that answers."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Workspace
from envol.consent import restriction, suppression
from envol.consent.models import RightsRequest
from envol.contacts.models import Contact
from envol.db import execute
from envol.events.models import MailRequest
from envol.outbound import domains, returned
from envol.outbound.records import return_host
from envol.outbound.returned import Returned
from tests.web.shop import Shop
from tests.web.test_public import Reader

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
    browser.post(f"/r/at/{reader.workspace.name}", {"email": "zoe.martin@lecteurs.example", "kind": "access"})
    where = link(reader.workspace)
    for _ in range(2):
        page = browser.get(where)
        assert page.status_code == 200 and 'value="confirm"' in page.content.decode() and not page.cookies
    assert browser.post(where, {"act": "download"})["Content-Type"].startswith("text/html"), "not before she confirmed"
    page = browser.post(where, {"act": "confirm"}).content.decode()
    assert 'value="download"' in page
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
    told = viewer.get(f"/consent/erasures/{shop.ids()['erasure_id']}?as=json").json()
    assert told["certified_at"] and any(line["table"] == "contacts_contact" for line in told["deleted"])


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
