"""The sign-up page and its pasted form: the same answer for everybody, nothing by a GET, proof by the mailbox."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.audience import segments
from envol.collect import joining, signup, visibility
from envol.collect.models import SignupForm, SignupRequest
from envol.consent import gates, ledger, purposes, suppression
from envol.consent.models import Evidence, Permission, Purpose
from envol.contacts import catalogue, people
from envol.contacts.models import Contact, List
from envol.content import links
from envol.db import execute, rows, value
from envol.events.models import MailRequest
from envol.outbound import requests
from envol.web.public import signup as pages

HTML_LIMIT = 15_000


@pytest.fixture(autouse=True)
def nobody_asked() -> None:
    execute("DELETE FROM collect_attempt")


@pytest.fixture
def browser() -> Client:
    return Client(enforce_csrf_checks=True, headers={"host": "localhost", "accept-language": "fr"})


@pytest.fixture
def form(workspace: Workspace) -> SignupForm:
    made = signup.create(workspace, List.objects.create(workspace=workspace, name="Lettre"), "first_name")
    signup.switch(made, True)
    return made


def early(form: SignupForm, language: str = "fr") -> str:
    """The stamp of a page that was opened a minute ago."""
    return joining.stamp(form, signup.texts_of(form, language), datetime.now(UTC) - timedelta(minutes=1))


def filled(form: SignupForm, email: str = "zoe@lecteurs.example", **more: Any) -> dict[str, Any]:
    text = next(t for t in signup.texts_of(form, "fr") if t.purpose.kind == "marketing")
    return {"email": email, "agree": str(text.pk), "stamp": early(form), "field_first_name": "Zoé", **more}


def link(workspace: Workspace) -> str:
    mail = MailRequest.objects.filter(workspace_id=workspace.pk).latest("id")
    found = re.search(r"/s/[\w-]+/[\w-]+", mail.facts["text"])
    assert found
    return found[0]


def trace(workspace: Workspace) -> tuple[int, ...]:
    return (
        value("SELECT count(*) FROM consent_ledger_block WHERE workspace_id = %s", [workspace.pk]),
        value("SELECT count(*) FROM contacts_contact WHERE workspace_id = %s", [workspace.pk]),
        value("SELECT count(*) FROM collect_signup_request WHERE workspace_id = %s", [workspace.pk]),
        value("SELECT count(*) FROM events_mail_request WHERE workspace_id = %s", [workspace.pk]),
        value("SELECT coalesce(sum(asked + confirmed + held), 0) FROM collect_day"),
    )


def test_the_whole_road(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    """Request → message of the queue → link → POST → the ledger has the exact text → she may be written to."""
    page = browser.get(f"/s/{form.token}")
    text = signup.texts_of(form, "fr")[0]
    assert text.text.replace("'", "&#x27;") in page.content.decode() and not page.cookies
    sent = browser.post(f"/s/{form.token}", filled(form))
    assert sent.status_code == 303 and sent["Location"].endswith(f"/s/{form.token}/sent?l=fr")
    look = browser.get(sent["Location"].removeprefix("http://localhost:8025"))
    assert "boîte de réception" in look.content.decode()
    purposes.reword(text.purpose, {"fr": "De nouveaux mots, plus tard."})

    assert requests.take() >= 1
    while requests.take():  # other tests have asked too, and for more than one turn takes
        pass
    (body, address, kind), *_ = rows(
        "SELECT m.text, s.address, x.kind FROM outbound_message m JOIN outbound_send s ON s.message_id = m.id"
        " JOIN outbound_sending x ON x.id = m.sending_id WHERE m.workspace_id = %s ORDER BY m.id DESC",
        [workspace.pk],
    )
    assert (address, kind) == ("zoe@lecteurs.example", "transactional")
    path = re.search(r"http://localhost:8025(/s/[\w-]+/[\w-]+)", body)
    assert path
    before = trace(workspace)
    asks = browser.get(path[1]).content.decode()
    assert "Confirmer" in asks and "z•••@lecteurs.example" in asks and trace(workspace) == before
    done = browser.post(path[1])
    assert done.status_code == 200 and not done.cookies and "C’est confirmé" in done.content.decode()

    contact = people.find(workspace, "zoe@lecteurs.example")
    assert contact and gates.may_send(workspace.pk, contact.pk, contact.email_key, text.purpose.pk).allowed
    granted = Permission.objects.get(contact_id=contact.pk, until=None)
    assert Evidence.objects.get(pk=granted.evidence_id).text == text, "the words she saw, not the newer ones"
    assert ledger.verify(workspace.pk).ok
    leave = re.search(r'href="(/p/[^"]+)"', done.content.decode())
    assert leave
    preferences = browser.get(leave[1].replace("&amp;", "&")).content.decode()
    assert f'name="purpose_{text.purpose.pk}" checked' in preferences
    browser.post(leave[1], {"act": "all"})
    assert not gates.may_send(workspace.pk, contact.pk, contact.email_key, text.purpose.pk).allowed


def test_scanners_change_nothing(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    browser.post(f"/s/{form.token}", filled(form))
    before = trace(workspace)
    for path in (f"/s/{form.token}", f"/s/{form.token}/sent", link(workspace)):
        for ask in (browser.get, browser.head):
            assert ask(path).status_code == 200
    assert trace(workspace) == before
    browser.post(link(workspace))
    after = trace(workspace)
    assert browser.get(link(workspace)).status_code == 200 and trace(workspace) == after


def test_confirming_twice_says_so(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    browser.post(f"/s/{form.token}", filled(form))
    browser.post(link(workspace))
    before = trace(workspace)
    again = browser.post(link(workspace))
    assert "déjà confirmé" in again.content.decode() and trace(workspace) == before


def test_an_expired_or_forged_link_offers_to_ask_again(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    browser.post(f"/s/{form.token}", filled(form))
    path = link(workspace)
    for wrong in (path[:-1] + ("A" if path[-1] != "A" else "B"), f"/s/{form.token}/x", f"/s/{form.token}/{'é' * 300}"):
        answer = browser.post(wrong)
        assert answer.status_code == 410 and f"/s/{form.token}?l=fr" in answer.content.decode()
    execute("UPDATE collect_signup_request SET expires_at = now() WHERE form_id = %s", [form.pk])
    answer = browser.post(path)
    assert answer.status_code == 410 and "7 jours" in answer.content.decode()
    assert people.find(workspace, "zoe@lecteurs.example") is None


@pytest.mark.parametrize("token", ["x", "1", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "%00", "é" * 100])
def test_a_form_cannot_be_guessed(form: SignupForm, browser: Client, token: str) -> None:
    assert len(form.token) == 32, "192 bits"
    for path in (f"/s/{token}", f"/s/{token}/sent", f"/s/{token}/abc", f"/s/{form.list.pk}"):
        assert browser.get(path).status_code == 404
    assert browser.post(f"/s/{token}", filled(form)).status_code == 404


def _answer(browser: Client, form: SignupForm, email: str) -> tuple[int, str, bytes, list[tuple[str, str]]]:
    answer = browser.post(f"/s/{form.token}", filled(form, email))
    return answer.status_code, answer["Location"], answer.content, sorted(answer.items())


def test_the_answer_is_the_same_whoever_it_is(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    """Unknown, known, granted, suppressed, objected, over a limit, a program: byte for byte."""
    source = people.source(workspace, "member", "carnet")
    people.upsert(workspace, "known@un.example", source=source)
    granted = people.upsert(workspace, "granted@un.example", source=source)
    newsletter = purposes.get(workspace, "newsletter")
    ledger.append(workspace.pk, [ledger.Line(granted.pk, newsletter.pk, "granted", "consent", datetime.now(UTC))])
    for scope in ("all", "marketing"):
        suppression.add(workspace.pk, f"{scope}@un.example", scope, "complaint", "event 1")
    names = ("unknown", "known", "granted", "all", "marketing", "unknown")  # the last one is over its limit
    answers = [_answer(browser, form, f"{name}@un.example") for name in names]
    trap = browser.post(f"/s/{form.token}", filled(form, "robot@un.example", **{joining.TRAP: "x"}))
    answers.append((trap.status_code, trap["Location"], trap.content, sorted(trap.items())))
    assert all(answer == answers[0] for answer in answers)
    asked = set(SignupRequest.objects.filter(form=form).values_list("email_key", flat=True))
    assert asked == {f"{name}@un.example" for name in names}, "and the program left nothing"


def test_the_work_is_about_the_same(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    """As many statements for somebody known or held back as for a stranger."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    people.upsert(workspace, "known@un.example", source=people.source(workspace, "member", "carnet"))
    counts = []
    for email in ("warm@un.example", "stranger@un.example", "known@un.example", "known@un.example"):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            browser.post(f"/s/{form.token}", filled(form, email))
        counts.append(len([q for q in seen.captured_queries if "SAVEPOINT" not in q["sql"]]))
    assert len(set(counts[1:])) == 1, counts


def test_a_form_pasted_on_any_site_works(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    html = pages.pasted_html(form, "fr")
    assert "<script" not in html and "checked" not in html and "csrf" not in html.lower()
    stamp = re.search(r'name="stamp" value="([^"]+)"', html)
    action = re.search(r'action="http://localhost:8025([^"]+)"', html)
    box = re.search(r'name="agree" value="(\d+)"', html)
    assert stamp and action and box
    sent = {"email": "zoe@lecteurs.example", "stamp": stamp[1], "language": "fr", "agree": box[1], joining.TRAP: ""}
    foreign = {"Origin": "https://site.example", "Sec-Fetch-Site": "cross-site"}
    answer = browser.post(action[1], sent, headers=foreign)
    assert answer.status_code == 303 and answer["Location"].endswith("/sent?l=fr")
    assert SignupRequest.objects.get(form=form).pasted
    SignupForm.objects.filter(pk=form.pk).update(redirect_url="https://site.example/merci")
    execute("DELETE FROM collect_attempt")
    assert browser.post(action[1], sent, headers=foreign)["Location"] == "https://site.example/merci"
    bad = browser.post(action[1], {**sent, "email": "zoe@"}, headers=foreign)
    assert bad.status_code == 422 and 'value="zoe@"' in bad.content.decode(), "nothing typed is lost"


def test_our_own_page_never_leads_away(form: SignupForm, browser: Client) -> None:
    SignupForm.objects.filter(pk=form.pk).update(redirect_url="https://site.example/merci")
    answer = browser.post(f"/s/{form.token}", filled(form))
    assert answer["Location"].endswith("/sent?l=fr")


def test_errors_keep_what_was_typed_and_say_what_to_do(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    before = trace(workspace)
    answer = browser.post(f"/s/{form.token}", filled(form, "zoe(at)un.example", agree=""))
    page = answer.content.decode()
    assert answer.status_code == 422 and trace(workspace) == before
    assert 'value="zoe(at)un.example"' in page and 'value="Zoé"' in page
    assert 'aria-invalid="true"' in page and 'href="#f-agree"' in page and 'role="alert"' in page
    stamp = re.search(r'name="stamp" value="([^"]+)"', page)
    assert stamp
    fixed = browser.post(f"/s/{form.token}", filled(form, stamp=stamp[1]))
    assert fixed.status_code == 303, "the time of the first view counts"


def test_a_moment_is_too_fast(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    now = joining.stamp(form, signup.texts_of(form, "fr"), datetime.now(UTC) + timedelta(minutes=1))
    answer = browser.post(f"/s/{form.token}", filled(form, stamp=now))
    assert answer.status_code == 422 and "très rapide" in answer.content.decode()
    assert not SignupRequest.objects.filter(form=form).exists()


@pytest.mark.parametrize("stamp", ["", "x:y", "é"])
def test_without_our_stamp_the_page_is_shown_again(form: SignupForm, browser: Client, stamp: str) -> None:
    answer = browser.post(f"/s/{form.token}", filled(form, stamp=stamp))
    assert answer.status_code == 422 and 'value="zoe@lecteurs.example"' in answer.content.decode()


def test_the_stamp_of_another_form_does_not_fit(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    other = signup.create(workspace, List.objects.create(workspace=workspace, name="Autre"), "letter")
    answer = browser.post(f"/s/{form.token}", filled(form, stamp=early(other)))
    assert answer.status_code == 422 and not SignupRequest.objects.filter(form=form).exists()


def test_a_tick_does_not_move_to_newer_words(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    old = signup.texts_of(form, "fr")[0]
    stamp = joining.stamp(form, signup.texts_of(form, "fr"), None)
    purposes.reword(old.purpose, {"fr": "Mots nouveaux.", "en": "New words."})
    answer = browser.post(f"/s/{form.token}", filled(form, "no address", stamp=stamp, agree=str(old.pk)))
    page = answer.content.decode()
    assert "Mots nouveaux." in page and " checked" not in page


def test_nothing_is_ticked_in_advance(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    for query in ("", f"?agree={signup.texts_of(form, 'fr')[0].pk}"):
        assert " checked" not in browser.get(f"/s/{form.token}{query}").content.decode()


def test_agreeing_stands_apart(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    """GDPR art. 7(2): each consent is a box of its own beside its own words. The button, and what is told of data, are
    not among them; no box is needed to press the button, and none stands for terms as well."""
    asked = signup.texts_of(form, "fr")
    page = LexborHTMLParser(browser.get(f"/s/{form.token}").content.decode())
    boxes = page.css('input[type="checkbox"]')
    assert boxes and [box.attributes["value"] for box in boxes] == [str(text.pk) for text in asked]
    assert boxes == page.css("fieldset#f-agree label input"), "no other box on the page"
    for box, text in zip(boxes, asked, strict=True):
        assert box.attributes.keys() == {"type", "name", "value"}, "neither ticked nor required"
        label = box.parent
        assert label is not None and label.tag == "label" and not label.css("a, button")
        words = label.css_first("small")
        assert words is not None and words.text() == text.text
    told = [one.text() for one in page.css("form > p.muted")]
    notice = form.words["fr"]["notice"]
    assert notice and any(notice in one for one in told), "what is told of data, outside the boxes"
    assert not any(notice in one.text() for one in page.css("fieldset"))
    (button,) = page.css("form > button")
    assert button.text().strip() == "M’inscrire" and not page.css("fieldset button")


ODD = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


def test_words_of_the_form_and_of_the_visitor_are_no_markup(
    workspace: Workspace, form: SignupForm, browser: Client
) -> None:
    catalogue.declare(workspace, "first_name", "text", ODD, ODD)
    execute("UPDATE consent_purpose SET label_fr = %s WHERE workspace_id = %s", [ODD, workspace.pk])
    purposes.reword(purposes.get(workspace, "newsletter"), {"fr": ODD, "en": ODD})
    Workspace.objects.filter(pk=workspace.pk).update(title=ODD[:190], postal_address=ODD)
    words = {code: dict.fromkeys(signup.PARTS, ODD) for code in ("fr", "en")}
    SignupForm.objects.filter(pk=form.pk).update(words=words)
    form.refresh_from_db()
    form.workspace.refresh_from_db()
    good = browser.post(f"/s/{form.token}", filled(form))
    assert good.status_code == 303
    shown = [browser.get(f"/s/{form.token}"), browser.get(f"/s/{form.token}/sent"), browser.get(link(workspace))]
    shown += [browser.post(f"/s/{form.token}", {"email": ODD, "field_first_name": ODD, "agree": ODD, "stamp": ODD})]
    shown += [browser.post(link(workspace))]
    pages_html = [answer.content.decode() for answer in shown]
    mail = MailRequest.objects.filter(workspace_id=workspace.pk).latest("id").facts
    for html in (*pages_html, mail["html"], pages.pasted_html(form, "fr")):
        assert "<script" not in html and "<img" not in html


def test_a_closed_form_takes_nobody(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    signup.switch(form, False)
    assert browser.get(f"/s/{form.token}").status_code == 410
    assert browser.post(f"/s/{form.token}", filled(form)).status_code == 410
    assert not SignupRequest.objects.filter(form=form).exists()


def test_pages_speak_her_language_and_switch(workspace: Workspace, form: SignupForm) -> None:
    french = Client(headers={"host": "localhost", "accept-language": "de, en;q=0.5, fr;q=0.4"})
    assert 'lang="en"' in french.get(f"/s/{form.token}").content.decode()
    page = french.get(f"/s/{form.token}?l=fr").content.decode()
    assert '<html lang="fr">' in page and 'hreflang="en"' in page
    form.languages = ["fr"]
    form.save()
    page = french.get(f"/s/{form.token}?l=en").content.decode()
    assert '<html lang="fr">' in page and "hreflang" not in page


@pytest.mark.parametrize("language", ["fr", "en"])
def test_pages_are_light_and_closed(workspace: Workspace, form: SignupForm, browser: Client, language: str) -> None:
    """A page for everybody: < 15 kB, no script, no cookie, nothing from elsewhere, its own strict policy."""
    for key in ("last_name", "city", "birth_date"):
        form.fields.append({"key": key, "required": False})
    form.purposes = [p.pk for p in signup.offered(workspace)]
    form.save()
    browser.post(f"/s/{form.token}", filled(form))
    here, mailed = f"/s/{form.token}", link(workspace)
    answers = [browser.get(f"{path}?l={language}") for path in (here, f"{here}/sent", mailed, f"{here}/gone", "/s/no")]
    answers += [browser.post(f"{path}?l={language}", {"email": "x"}) for path in (here, mailed)]
    for answer in answers:
        html = answer.content.decode()
        assert f'<html lang="{language}">' in html
        assert len(answer.content) < HTML_LIMIT
        assert "<script" not in html and " style=" not in html and not answer.cookies
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html)
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and answer["Cache-Control"] == "no-store"
        assert html.count("<h1>") == 1


def _client(**meta: str) -> str:
    from django.test import RequestFactory

    from envol.web.public.client import client_address

    return client_address(RequestFactory().get("/", **meta))


@pytest.fixture
def settings_of() -> Any:
    import dataclasses

    from django.conf import settings
    from django.test import override_settings

    def change(proxies: str) -> Any:
        return override_settings(ENVOL=dataclasses.replace(settings.ENVOL, proxies=proxies))

    return change


def test_a_forwarded_address_is_believed_from_our_proxies_alone(settings_of: Callable[[str], Any]) -> None:
    said = {"HTTP_X_FORWARDED_FOR": "203.0.113.9, 198.51.100.7"}
    assert _client(REMOTE_ADDR="127.0.0.1", **said) == "127.0.0.1", "nobody told us of a proxy"
    with settings_of("127.0.0.1, 10.0.0.0/8"):
        assert _client(REMOTE_ADDR="127.0.0.1", **said) == "198.51.100.7", "what the proxy itself wrote"
        assert _client(REMOTE_ADDR="198.51.100.1", **said) == "198.51.100.1"
        assert (
            _client(REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 198.51.100.7, 10.1.1.1") == "198.51.100.7"
        )
        assert _client(REMOTE_ADDR="127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe=%%%", b"--x\r\nbroken", b"email=" + b"a" * 70_000, b"email=%00&stamp=%00"]
)
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_an_odd_body_is_answered(form: SignupForm, browser: Client, body: bytes, kind: str) -> None:
    assert browser.post(f"/s/{form.token}", body, content_type=kind).status_code == 422


def test_what_a_segment_is_shown_strangers_never_learn(workspace: Workspace, form: SignupForm, browser: Client) -> None:
    """Only a signed link says who comes; what is hidden looks as if it had never been there."""
    inside, outside = (
        people.upsert(
            workspace, f"{name}@lecteurs.example", {"first_name": name}, source=people.source(workspace, "member", "x")
        )
        for name in ("Ada", "Bob")
    )
    tree = {"v": 1, "match": "all", "rules": [{"field": "prop.first_name", "op": "is", "value": "Ada"}]}
    segment = segments.save(workspace, "Ada", tree)
    where = f"/s/{form.token}?l=fr"
    offers = next(pk for pk in form.purposes if Purpose.objects.get(pk=pk).key == "offers")

    def seen(who: Contact | None = None, mark: str = "") -> Any:
        known = mark or (links.person_token(workspace.pk, who.pk) if who else "")
        return browser.get(f"{where}&p={known}" if known else where)

    def decide(**rules: visibility.Shown) -> None:
        named = {
            "whole": visibility.WHOLE,
            "name": visibility.field("first_name"),
            "offers": visibility.purpose(offers),
        }
        form.visibility = visibility.kept(form, {named[key]: rule for key, rule in rules.items()})
        form.save(update_fields=["visibility"])

    decide(name=visibility.Shown(segment.pk), offers=visibility.Shown(segment.pk, strangers=True))
    assert segments.used_by(segment) == [form.list.name]
    label = Purpose.objects.get(pk=offers).label_fr
    hers, his, theirs = (seen(one).content.decode() for one in (inside, outside, None))
    assert "field_first_name" in hers and label in hers
    assert "field_first_name" not in his and label not in his
    assert "field_first_name" not in theirs and label in theirs
    forged = links.person_token(workspace.pk + 1, inside.pk)
    elsewhere = create_workspace(f"ailleurs-{workspace.pk}")
    ada = people.upsert(elsewhere, inside.email, {}, source=people.source(elsewhere, "member", "x"))
    for mark in (
        "x",
        forged,
        links.person_token(elsewhere.pk, ada.pk),
        links.person_token(workspace.pk, inside.pk)[:-2] + "AA",
    ):
        assert "field_first_name" not in seen(mark=mark).content.decode(), "no mark of ours is a stranger's"
    assert "field_first_name" not in pages.pasted_html(form, "fr")
    # What was not shown is not taken, even if it is sent; nor missed, though it is required.
    form.fields = [{"key": "first_name", "required": True}]
    form.save(update_fields=["fields"])
    assert browser.post(where, filled(form)).status_code == 303
    assert SignupRequest.objects.get(workspace_id=workspace.pk).values == {}
    mark = links.person_token(workspace.pk, inside.pk)
    wanting = filled(form, "ada@lecteurs.example", field_first_name="", p=mark)
    again = browser.post(where, wanting)
    assert again.status_code == 422 and f'value="{mark}"' in again.content.decode(), "who she is goes along"
    assert browser.post(where, {**wanting, "field_first_name": "Ada"}).status_code == 303
    assert SignupRequest.objects.latest("pk").values == {"first_name": "Ada"}
    # A form hidden as a whole is a closed one to the letter.
    decide(whole=visibility.Shown(segment.pk))
    hidden = seen(outside)
    assert seen(inside).status_code == 200 and hidden.status_code == 410
    SignupForm.objects.filter(pk=form.pk).update(active=False)
    closed = seen(outside)
    assert (closed.status_code, closed.content) == (410, hidden.content)
    # A segment that is gone lets nobody in, and strangers see what was decided for them.
    SignupForm.objects.filter(pk=form.pk).update(active=True)
    segment.delete()
    assert seen(inside).status_code == 410
