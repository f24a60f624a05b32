"""Unsubscribing takes one POST and a GET changes nothing; a person sees and decides by the link of a message alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.test import Client

from envol.accounts.models import Workspace
from envol.consent import gates, ledger, purposes, suppression
from envol.consent.models import Evidence, Permission
from envol.contacts.models import Contact
from envol.content import links, templates
from envol.db import execute, rows, value
from envol.events import counters
from envol.events.counters import Count, Key
from envol.events.models import Kind
from envol.outbound.models import Sending

ADDRESS = "zoe.martin@lecteurs.example"
SOURCE = """<html><body><h1>Bonjour {{ contact.first_name }}</h1>
<p><a href="https://boutique.example/livres">Livres</a> <a href="{{ web_version_url }}">en ligne</a></p>
<p>{{ workspace.title }}, {{ workspace.postal_address }}</p>
<p><a href="{{ unsubscribe_url }}">Me désinscrire</a> <a href="{{ preferences_url }}">Mes préférences</a></p>
</body></html>"""


class Reader:
    """Zoé, who agreed to the newsletter and to clicks being measured, and a message she got."""

    def __init__(self, workspace: Workspace, language: str | None = "fr") -> None:
        self.workspace = workspace
        self.contact: int = value(
            "INSERT INTO contacts_contact (workspace_id, email, email_key, language)"
            " VALUES (%s, %s, %s, %s) RETURNING id",
            [workspace.id, ADDRESS, ADDRESS, language],
        )
        version = templates.save(
            workspace, "lettre", "html", SOURCE, "Des livres", fallbacks={"contact.first_name": "à vous"}
        )
        self.newsletter = purposes.get(workspace, "newsletter")
        self.offers = purposes.get(workspace, "offers")
        self.sending = Sending.objects.create(
            workspace=workspace,
            kind="campaign",
            version_id=version.pk,
            state="sent",
            purpose_id=self.newsletter.pk,
            sender={"name": "La librairie", "address": "lettre@boutique.example"},
        )
        execute(
            "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
            " VALUES (%s, %s, %s, %s, 'lecteurs.example', 1)",
            [self.sending.id, self.contact, self.contact, ADDRESS],
        )
        self.answer("newsletter", "granted")
        self.answer("measure_clicks", "granted")

    def answer(self, key: str, state: str) -> None:
        line = ledger.Line(self.contact, purposes.get(self.workspace, key).pk, state, "consent", datetime.now(UTC))
        ledger.append(self.workspace.id, [line])

    def url(self, kind: str) -> str:
        make = {"u": links.unsubscribe_token, "p": links.preferences_token, "w": links.web_token}[kind]
        return f"/{kind}/{make(self.sending.id, self.contact)}"

    def may_get(self, key: str) -> bool:
        """The single gate and the one that couriers ask must agree."""
        purpose = purposes.get(self.workspace, key)
        one = gates.may_send(self.workspace.id, self.contact, ADDRESS, purpose.pk)
        reason = value(
            f"SELECT {gates.refusal_sql('c', purpose.bit)} FROM contacts_contact c WHERE id = %s", [self.contact]
        )
        assert one.allowed == (reason is None)
        return one.allowed

    def answers(self) -> dict[str, str]:
        return {row.purpose_id: row.state for row in Permission.objects.filter(contact_id=self.contact, until=None)}

    def trace(self) -> tuple[int, int, int]:
        """Everything an act leaves: ledger blocks, events, suppressions."""
        return (
            value("SELECT count(*) FROM consent_ledger_block WHERE workspace_id = %s", [self.workspace.id]),
            value("SELECT count(*) FROM events_event WHERE workspace_id = %s", [self.workspace.id]),
            suppression.count(self.workspace.id),
        )


@pytest.fixture
def reader(workspace: Workspace) -> Reader:
    return Reader(workspace)


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True, headers={"host": "localhost"})


def one_click(browser: Client, reader: Reader, **more: object):  # noqa: ANN201
    return browser.post(
        reader.url("u"), "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded", **more
    )


def test_a_scanner_that_opens_every_link_changes_nothing(reader: Reader, browser: Client) -> None:
    before = reader.trace()
    for kind in "upw":
        for method in (browser.get, browser.head):
            answer = method(reader.url(kind))
            assert answer.status_code == 200
            for href in re.findall(r'(?:href|action)="(/[^"]+)"', answer.content.decode()):
                assert browser.get(href).status_code in (200, 404)
    assert reader.trace() == before and reader.may_get("newsletter")


def test_one_post_of_a_mail_provider_is_enough(reader: Reader, browser: Client) -> None:
    """RFC 8058: no cookie, no token, from another site, no redirect."""
    answer = one_click(browser, reader, HTTP_ORIGIN="https://mail.provider.example", HTTP_SEC_FETCH_SITE="cross-site")
    assert answer.status_code == 200 and not answer.cookies and "Location" not in answer.headers
    assert not reader.may_get("newsletter"), "the next lease refuses: no MAIL FROM"
    assert reader.answers()[reader.newsletter.pk] == "withdrawn"
    assert counters.read([reader.sending.id]) == {Key(reader.sending.id, Kind.UNSUBSCRIBED, 0, False): Count(1, 1, 0)}


def test_a_multipart_post_is_enough_too(reader: Reader, browser: Client) -> None:
    answer = browser.post(reader.url("u"), {"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200 and not reader.may_get("newsletter")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe=%%%", b"--x\r\nbroken"])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_an_odd_body_still_unsubscribes(reader: Reader, browser: Client, body: bytes, kind: str) -> None:
    assert browser.post(reader.url("u"), body, content_type=kind).status_code == 200
    assert not reader.may_get("newsletter")


def test_the_second_post_changes_nothing(reader: Reader, browser: Client) -> None:
    one_click(browser, reader)
    before = reader.trace()
    assert one_click(browser, reader).status_code == 200
    assert reader.trace() == before


def test_the_page_asks_with_one_button_says_what_happened_and_how_to_go_back(reader: Reader, browser: Client) -> None:
    page = browser.get(reader.url("u")).content.decode()
    assert page.count("<button") == 1 and "Lettre d’information" in page.replace("&#x27;", "’").replace("'", "’")
    said = browser.post(reader.url("u"), {"act": "unsubscribe"}).content.decode()
    assert "dès maintenant" in said and "Me réinscrire" in said
    assert not reader.may_get("newsletter")
    back = browser.post(reader.url("u"), {"act": "undo"}).content.decode()
    assert "est rétablie" in back and reader.may_get("newsletter")
    history = Permission.objects.filter(contact_id=reader.contact, purpose_id=reader.newsletter.pk).order_by("since")
    assert [row.state for row in history] == ["granted", "withdrawn", "granted"]
    assert history.last().evidence_id is not None, "the words beside the button are kept"
    assert ledger.verify(reader.workspace.id).ok


def test_only_the_purpose_of_the_message_ends(reader: Reader, browser: Client) -> None:
    reader.answer("offers", "granted")
    one_click(browser, reader)
    assert reader.may_get("offers") and not reader.may_get("newsletter")


def test_all_marketing_can_end_at_once_and_come_back(reader: Reader, browser: Client) -> None:
    reader.answer("offers", "granted")
    page = browser.post(reader.url("p"), {"act": "all"}).content.decode()
    assert "aucun message commercial" in page
    assert not reader.may_get("offers") and not reader.may_get("newsletter")
    assert suppression.lookup(reader.workspace.id, [ADDRESS])[ADDRESS].scope == "marketing"
    shown = _shown(browser.get(reader.url("p")).content.decode())
    browser.post(reader.url("p"), {"act": "save", "shown": shown, f"purpose_{reader.offers.pk}": "on"})
    assert reader.may_get("offers") and not reader.may_get("newsletter"), "only what she ticked comes back"


def test_mail_can_be_chosen_again_by_the_undo_button(reader: Reader, browser: Client) -> None:
    browser.post(reader.url("u"), {"act": "all"})
    assert not reader.may_get("newsletter")
    browser.post(reader.url("u"), {"act": "undo"})
    assert reader.may_get("newsletter")


def _shown(page: str) -> str:
    found = re.search(r'name="shown" value="([^"]*)"', page)
    assert found
    return found[1]


def test_preferences_show_each_purpose_and_change_what_differs(reader: Reader, browser: Client) -> None:
    page = browser.get(reader.url("p")).content.decode()
    checked = set(re.findall(r'name="purpose_(\d+)" checked', page))
    clicks, opens = (purposes.get(reader.workspace, key).pk for key in ("measure_clicks", "measure_opens"))
    assert checked == {str(reader.newsletter.pk), str(clicks)}
    assert page.count('type="checkbox"') == 5, "transactional mail is shown, not offered"
    form = {"act": "save", "shown": _shown(page), f"purpose_{reader.newsletter.pk}": "on", f"purpose_{opens}": "on"}
    said = browser.post(reader.url("p"), form).content.decode()
    assert "enregistrés" in said
    assert reader.answers() == {reader.newsletter.pk: "granted", clicks: "withdrawn", opens: "granted"}
    contact = Contact.objects.get(id=reader.contact)
    level = gates.tracking_level(reader.workspace, contact.allowed, contact.refused)
    assert level.clicks == "none" and level.opens == "individual"
    before = reader.trace()
    assert "Rien n" in browser.post(reader.url("p"), form).content.decode() and reader.trace() == before


def test_a_purpose_that_was_not_on_the_page_stays_as_it_is(reader: Reader, browser: Client) -> None:
    form = {"act": "save", "shown": str(reader.offers.pk)}
    browser.post(reader.url("p"), form)
    assert reader.may_get("newsletter")


def test_the_language_can_be_changed(reader: Reader, browser: Client) -> None:
    shown = _shown(browser.get(reader.url("p")).content.decode())
    form = {"act": "save", "shown": shown, "language": "en", f"purpose_{reader.newsletter.pk}": "on"}
    assert 'lang="en"' in browser.post(reader.url("p"), form).content.decode()
    assert "Unsubscribe" in browser.get(reader.url("u")).content.decode()
    form["language"] = "xx<script>"
    browser.post(reader.url("p"), form)
    assert Contact.objects.get(id=reader.contact).language == "en"


@pytest.mark.parametrize("language", ["fr", "en"])
def test_pages_are_small_need_no_script_and_set_no_cookie(workspace: Workspace, browser: Client, language: str) -> None:
    reader = Reader(workspace, language)
    pages = [browser.get(reader.url("u")), browser.get(reader.url("p")), browser.get("/u/nonsense")]
    pages += [browser.post(reader.url("u"), {"act": "unsubscribe"}), browser.post(reader.url("p"), {"act": "all"})]
    for page in pages:
        assert len(page.content) < 15_000 and b"<script" not in page.content and not page.cookies
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert page.headers["Cache-Control"] == "no-store"
        assert ADDRESS.encode() not in page.content, "a forwarded message must not tell the whole address"
    for page in (p for p in pages if p.status_code == 200):
        assert f'<html lang="{language}">' in page.content.decode()


@pytest.mark.parametrize("path", ["/u/preview", "/p/" + "A" * 43, "/w/x", "/u/%00"])
def test_other_links_are_explained(browser: Client, path: str) -> None:
    answer = browser.get(path, HTTP_ACCEPT_LANGUAGE="fr")
    assert answer.status_code == 404 and "Ce lien ne mène nulle part" in answer.content.decode()


def test_a_token_opens_its_own_door_only(reader: Reader, browser: Client) -> None:
    click = links.click_token(reader.sending.id, reader.contact, 1)
    for kind in "upw":
        assert browser.get(f"/{kind}/{click}").status_code == 404
    assert browser.get("/u/" + links.web_token(reader.sending.id, reader.contact)).status_code == 404


def test_somebody_erased_can_still_refuse(reader: Reader, browser: Client) -> None:
    execute("DELETE FROM contacts_contact WHERE id = %s", [reader.contact])
    assert "plus de fiche" in browser.get(reader.url("p")).content.decode()
    assert one_click(browser, reader).status_code == 200
    browser.post(reader.url("p"), {"act": "all"})
    assert ADDRESS in suppression.lookup(reader.workspace.id, [ADDRESS])
    assert browser.get(reader.url("w")).status_code == 404


def test_a_sending_without_purpose_ends_all_marketing(reader: Reader, browser: Client) -> None:
    Sending.objects.filter(id=reader.sending.id).update(purpose_id=None)
    assert one_click(browser, reader).status_code == 200
    assert not reader.may_get("newsletter")
    assert "message commercial" in browser.get(reader.url("u")).content.decode()


def test_the_web_version_is_the_message_without_script_or_pixel(reader: Reader, browser: Client) -> None:
    reader.answer("measure_opens", "granted")
    answer = browser.get(reader.url("w"))
    page = answer.content.decode()
    assert "Bonjour à vous" in page and "/o/" not in page
    assert links.click_token(reader.sending.id, reader.contact, 1) in page
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "allow-scripts" not in policy
    assert "form-action 'none'" in policy
    reader.answer("measure_clicks", "withdrawn")
    assert "https://boutique.example/livres" in browser.get(reader.url("w")).content.decode()
    assert rows("SELECT 1 FROM events_event WHERE sending_id = %s AND kind IN (5, 6)", [reader.sending.id]) == []


@pytest.mark.parametrize("language", ["fr", "en"])
def test_every_public_page_is_light_and_speaks_the_language_chosen(
    reader: Reader, browser: Client, language: str
) -> None:
    """The switch changes the page and its forms, not the person."""
    person = f"/p/{links.person_token(reader.workspace.id, reader.contact)}"
    for path in (reader.url("u"), reader.url("p"), person, "/p/unknown"):
        answer = browser.get(f"{path}?l={language}")
        page = answer.content.decode()
        assert f'<html lang="{language}">' in page and len(answer.content) < 15_000 and "<script" not in page
        if answer.status_code == 200:
            action = re.search(r'action="([^"]+)"', page)
            assert action and (action[1] == path) == (language == "fr"), "what follows speaks it too"
    said = browser.post(f"{reader.url('u')}?l={language}", {"act": "unsubscribe"})
    assert f'<html lang="{language}">' in said.content.decode() and len(said.content) < 15_000
    assert Contact.objects.get(id=reader.contact).language == "fr"


def test_the_words_shown_are_the_proof_whatever_was_written_since(reader: Reader, browser: Client) -> None:
    page = browser.get(f"{reader.url('p')}?l=en").content.decode()
    seen = re.search(r'name="seen" value="([^"]+)"', page)
    assert seen
    shown = purposes.text(reader.offers, "en")
    purposes.reword(reader.offers, {"fr": "Nouveau.", "en": "New."})
    form = {"act": "save", "shown": str(reader.offers.pk), "seen": seen[1], f"purpose_{reader.offers.pk}": "on"}
    browser.post(f"{reader.url('p')}?l=en", form)
    granted = Permission.objects.get(contact_id=reader.contact, purpose_id=reader.offers.pk, until=None)
    evidence = Evidence.objects.get(pk=granted.evidence_id)
    assert evidence.text == shown and shown.version == 1 and shown.language == "en"
