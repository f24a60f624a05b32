"""What a letter shows to whoever fears fraud: names, links, files, words. One test a kind of sign."""

from __future__ import annotations

import io
import re
import time
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envol.wire.fraud import ALLOW, HOLD, REFUSE, Letter, judge, letter_of
from envol.wire.fraud import files as attachments
from envol.wire.fraud.names import _plain, borrowed, mixed, named_sender, plain, skeleton
from envol.wire.fraud.phrases import words_of
from tests.examples import CHEAP, examples


def letter(html: str = "", text: str = "", subject: str = "Votre commande", name: str = "La Boutique") -> Letter:
    return Letter(name, "zoe@boutique.example", subject, text, html)


def rules(one: Letter) -> set[str]:
    return {reason.rule for reason in judge(one).reasons}


@pytest.mark.parametrize(
    ("host", "how"),
    [
        ("paypa1.example", "alike"),
        ("xn--pypal-4ve.com", "alike"),  # a Cyrillic а
        ("arnazon.example", "alike"),
        ("netfliix.example", "near"),
        ("secure-paypal.example", "with"),
        ("colissimo-livraison.example", "with"),
        ("orange-facture.example", "with"),
        ("paypal.com.verify.example", "below"),
        ("netflix.billing.example", "below"),
    ],
)
def test_hosts_that_borrow_a_name(host: str, how: str) -> None:
    found = borrowed(host)
    assert found is not None
    assert found[1] == how


@pytest.mark.parametrize(
    "host",
    [
        "paypal.com", "www.laposte.fr", "orangerie.example", "grange.example", "finance.example", "cooking.example",
        "visa-pour-la-culture.example", "free-shipping.example", "s3.amazonaws.com", "boutique.example",
    ],
)  # fmt: skip
def test_hosts_that_borrow_nothing(host: str) -> None:
    assert borrowed(host) is None


@pytest.mark.parametrize("name", ["PayPal", "PаyPal", "Netfl1x", "Service client Orange", "Crédit Agricole – Sécurité"])
def test_senders_that_claim_to_be_a_brand(name: str) -> None:
    assert named_sender(name)


@pytest.mark.parametrize(
    "name", ["Zoé", "Marc Orange", "Librairie Visa pour l'ailleurs", "Free Jazz Club", "Ups & Downs"]
)
def test_senders_that_are_only_called_so(name: str) -> None:
    assert named_sender(name) is None


def test_skeletons_of_what_an_eye_takes_for_the_same() -> None:
    assert skeleton("micr0s0ft") == skeleton("microsoft") == skeleton("мicrosoft")
    assert mixed("Le cоmpte")  # a Cyrillic о
    assert not mixed("Письмо для Zoé")  # whole words of each are no trick


@given(st.text(st.one_of(st.characters(codec="cp1252"), st.characters()), max_size=40))
def test_the_quick_reading_reads_as_the_slow_one(text: str) -> None:
    slow = _plain(text.replace("$", " usd "))
    assert plain(text) == (slow if not text.isascii() else text.replace("$", " usd ").lower())
    assert words_of(slow) == re.findall("[a-z0-9]+", slow)


def test_a_link_that_shows_one_host_and_opens_another() -> None:
    shows = letter('<a href="https://ailleurs.example/x">www.impots.gouv.fr</a>')
    assert "mismatch" in rules(shows)
    assert not rules(letter('<a href="https://www.boutique.example/x">www.boutique.example</a>'))
    assert not rules(
        letter('<a href="https://www.boutique.example/c/1">www.instagram.com/boutique</a>')
    )  # counted clicks


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("http://203.0.113.9/login", "address_link"),
        ("http://3405803785/login", "address_link"),
        ("https://www.paypal.com@evil.example/", "disguised_link"),
        ("https://bit.ly/3xYz", "short_link"),
        ("https://compte-client.web.app/", "free_host"),
        ("javascript:alert(1)", "script_link"),
        ("data:text/html;base64,PGgxPg==", "script_link"),
    ],
)
def test_links_that_hide(target: str, rule: str) -> None:
    assert rule in rules(letter(f'<a href="{target}">Voir</a>'))


def test_a_blocked_host_is_refused_with_everything_below_it() -> None:
    seen = letter('<a href="https://www.mauvais.example/x">Voir</a>')
    assert judge(seen, lambda host: "mauvais.example" if host.endswith("mauvais.example") else "").action == REFUSE
    assert judge(seen).action == ALLOW


def test_the_same_words_weigh_more_where_they_lead_away() -> None:
    words = "Votre compte est suspendu. Confirmez votre identité sous 24 heures : "
    away = letter(f'<p>{words}<a href="https://autre.example/">ici</a>')
    home = letter(f'<p>{words}<a href="https://www.boutique.example/">ici</a>')
    assert judge(away).action == HOLD
    assert judge(home).action == ALLOW


@pytest.mark.parametrize(
    "html",
    [
        '<a title=">" href="https://www.paypal.com@evil.example/">Voir</a>',
        '<a title="<" href="https://www.paypal.com@evil.example/">Voir</a>',
        "<A\nHREF = https://www.paypal.com@evil.example/ >Voir",
        '<a href="https&#58;//www.paypal.com&#64;evil.example/">Voir</a>',
        '<!-- > <a href="x"> --><area href="https://www.paypal.com@evil.example/">',
    ],
)
def test_links_are_found_however_they_are_written(html: str) -> None:
    assert "disguised_link" in rules(letter(html))


def test_words_are_read_as_they_are_seen() -> None:
    cut = "Votre com<b></b>pte est sus<span>pen</span>du&#46; Confirmez votre identit&eacute;"
    assert {"says_threat", "says_demand"} <= rules(
        letter(f'<style>p{{}}</style><p>{cut} <a href="https://x.example/">ici')
    )
    assert {"says_threat", "says_demand"} <= rules(letter(f'{cut} <a href="https://x.example/">ici')), "no tag before"
    unseen = rules(letter(f'<style>{cut}</style><!-- {cut} --><a href="https://x.example/">ici'))
    assert not {"says_threat", "says_demand"} & unseen


def test_a_field_for_a_password_is_refused() -> None:
    assert judge(letter('<form action="https://x.example"><input type="password" name="p"></form>')).action == REFUSE


# ---- files


def archive(**entries: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as out:
        for name, content in entries.items():
            out.writestr(name.replace("__", "."), content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("facture.pdf", b"MZ\x90\0program", "program"),
        ("facture.pdf.exe", b"anything", "program"),
        ("a.zip", archive(facture__pdf=b"MZ\x90\0program"), "program"),
        ("a.zip", archive(b__zip=archive(facture__js=b"x()")), "program"),
        ("devis.docx", archive(**{"[Content_Types]__xml": b"<x/>", "word/vbaProject__bin": b"x"}), "macro"),
        ("devis.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600 + b"_\0V\0B\0A\0_\0P\0", "macro"),
        ("devis.xlsm", b"PK", "macro"),
        ("connexion.html", b"<html><input type=password>", "page"),
        ("facture.pdf", b"%PDF-1.7 /OpenAction << /S /JavaScript >>", "script"),
        ("photos.rar", b"Rar!\x1a\x07\0", "archive"),
        ("zeros.zip", archive(zeros__bin=b"\0" * (40 << 20)), "bomb"),
    ],
)
def test_files_by_content(name: str, content: bytes, rule: str) -> None:
    assert [found.rule for found in attachments.look(name, content)] == [rule]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("facture.pdf", b"%PDF-1.7 an invoice"),
        ("photo.jpg", b"\xff\xd8\xff\xe0 a picture"),
        ("devis.docx", archive(**{"[Content_Types]__xml": b"<x/>", "word/document__xml": b"<x/>"})),
        ("photos.zip", archive(un__jpg=b"\xff\xd8\xff\xe0", deux__jpg=b"\xff\xd8\xff\xe0")),
        ("rendez-vous.ics", b"BEGIN:VCALENDAR"),
        ("MZ.txt", b"a text"),
    ],
)
def test_files_that_are_what_they_seem(name: str, content: bytes) -> None:
    assert attachments.look(name, content) == []


# ---- reading


def test_a_message_is_read_as_a_mail_program_shows_it() -> None:
    message = EmailMessage(policy=SMTP)
    message["Reply-To"] = "Zoé <zoe.perso@gmail.com>"
    message.set_content("Bonjour à toutes")
    message.add_alternative("<p>Voyez <a href='https://été.example/'>ici</a></p>", subtype="html", cte="base64")
    message.add_attachment(b"MZ\x90\0", maintype="application", subtype="pdf", filename="reçu.pdf")
    seen = letter_of(message.as_bytes(), name="Zoé", address="zoe@boutique.example", subject="Bonjour")
    assert "Bonjour à toutes" in seen.text
    assert "Voyez" in seen.html
    assert seen.files == [("reçu.pdf", b"MZ\x90\0")]
    assert seen.reply_to == "zoe.perso@gmail.com"
    assert judge(seen).action == REFUSE


@given(st.binary(max_size=3000), st.binary(max_size=400))
@settings(max_examples=examples(300, CHEAP), deadline=None)
def test_junk_gets_a_verdict(body: bytes, more: bytes) -> None:
    for raw in (
        body,
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\n"
        + body
        + b"\r\n--x\r\n"
        + more,
        b"Content-Transfer-Encoding: base64\r\nContent-Type: application/zip\r\n\r\n" + body,
    ):
        judge(letter_of(raw, name="Zoé", address="zoe@boutique.example", subject="Bonjour"))
    attachments.look("a.zip", b"PK\x03\x04" + body)


def _parts(number: int) -> bytes:
    nested = b"x"
    for one in range(number):
        bound = b"b%d" % one
        nested = b"Content-Type: multipart/mixed; boundary=" + bound + b"\r\n\r\n--" + bound + b"\r\n" + nested
    return nested


_HTML, _TEXT = b"Content-Type: text/html\r\n\r\n", b"Content-Type: text/plain\r\n\r\nOuvrir le document : "
_LONG: dict[str, tuple[Callable[[int], bytes], int]] = {
    "parts in parts": (_parts, 15),
    "links": (lambda n: _HTML + b"<a href='https://a.example/'>www.b.example" * n, 25_000),
    "words": (lambda n: _TEXT + b"votre compte suspendu confirmez identite carte " * n, 20_000),
    "one word": (lambda n: _TEXT + b"a" * n, 1_000_000),
    "tags": (lambda n: _HTML + b"<div>" * n, 100_000),
    "one number": (lambda n: _TEXT + b"4" * n, 20_000),
    "numbers": (lambda n: _TEXT + b"4 1." * n, 20_000),
}


@pytest.mark.parametrize("what", _LONG)
def test_a_letter_twice_as_long_or_tangled_takes_about_twice_the_time(what: str) -> None:
    """Small letters are judged in the relay's loop: what grew with the square would hold everybody up."""
    make, half = _LONG[what]

    def seconds(raw: bytes) -> float:
        begun = time.process_time()
        judge(letter_of(raw, name="Zoé", address="zoe@boutique.example", subject="Bonjour"))
        return time.process_time() - begun

    seconds(make(1))  # what is read once
    once, twice = (min(seconds(make(size)) for _ in range(3)) for size in (half, 2 * half))
    assert twice < 3 * once + 0.05, (once, twice)
