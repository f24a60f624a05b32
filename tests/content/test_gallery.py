"""The gallery: every model in both languages makes a whole message, and nothing typed into a place becomes code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from types import SimpleNamespace
from typing import Any

import dkim as dkimpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from envol.accounts.models import Workspace
from envol.content import designs, gallery
from envol.content.compose import Composer, Person
from envol.content.gallery import Chip, Design, Repeat
from envol.content.gallery.marks import line, prose, untagged, web_address
from envol.content.gallery.places import contrast, mix
from envol.content.language import Templates
from envol.content.preview import preview
from envol.content.templates import compile_template
from envol.outbound import control
from envol.wire import dkim
from envol.wire.fraud import ALLOW

CHIPS = {
    "first_name": Chip("first_name", "Prénom", "First name"),
    "birthday": Chip("birthday", "Anniversaire", "Birthday", "date"),
}
EACH = [(model.key, language) for model in gallery.MODELS for language in ("fr", "en")]
SENDER = {"name": "Zoé", "address": "zoe@boutique.example"}


def filled(key: str, language: str, words: str | None = None) -> Design:
    """A model with every place filled: its own words or these, addresses on buttons, days."""
    design = gallery.start(key, language)
    assert design is not None

    def fill(place: gallery.Place, value: Any) -> Any:
        match place.kind:
            case "button":
                return {"label": words or value["label"], "url": "https://boutique.example/page?a=1&b=2"}
            case "date":
                return "2026-12-05"
            case "line" | "text":
                return words or value or "x"
        return value

    for place in design.model.places:
        if isinstance(place, Repeat):
            for item in design.values[place.key]:
                for one in place.places:
                    item[one.key] = fill(one, item[one.key])
        else:
            design.values[place.key] = fill(place, design.values[place.key])
    return design


@pytest.mark.parametrize(("key", "language"), EACH)
def test_every_model_makes_a_whole_message(key: str, language: str, workspace: Workspace) -> None:
    design = filled(key, language)
    assert gallery.wrong(design) == [] and gallery.missing(design) == []
    version = designs.save(
        workspace, f"{key} {language}", design, gallery.tags(design.model.subject.of(language), CHIPS),
        base_url="http://localhost:8025",
    )  # fmt: skip
    parts = preview(version)
    assert parts.html is not None
    for part in (parts.html, parts.text, parts.subject):
        assert not re.search(r"\{\{|\{%|\[\[|\[%|first_name|None\b", part), part
    assert len(version.html.encode()) < 80_000
    page = HTMLParser(parts.html)
    assert all(image.attributes.get("alt") is not None for image in page.css("img"))
    root = page.css_first("html")
    assert root is not None and (root.attributes.get("lang") or "")[:2] == language
    assert len(page.css("h1")) == (0 if key == "personal" else 1)
    assert "/u/preview" in parts.html and "/p/preview" in parts.html and "/w/preview" in parts.html
    assert parts.text.count("boutique.example/page") >= (0 if key == gallery.ASKING else 1)  # it leads to her choices
    back = designs.of(version)
    assert back is not None and back.values == design.values  # the form opens again with what was typed


@pytest.mark.parametrize(("key", "language"), EACH)
def test_every_model_leaves_signed_and_reads_back(key: str, language: str, workspace: Workspace) -> None:
    version = designs.save(workspace, "m", filled(key, language), "Objet", base_url="https://envoi.example")
    sending = SimpleNamespace(id=7, kind="campaign", campaign_id=3, purpose_id=1)
    secret = dkim.generate_ed25519()
    zone = {b"ev1._domainkey.boutique.example.": dkim.record_text(secret).encode()}
    signers = [dkim.Signer("boutique.example", "ev1", secret)]
    composer = Composer(sending, version, workspace, SENDER, signers, "https://envoi.example", attachments=())
    made = composer.compose(Person(5, 5, "a@lecteurs.example"), datetime.now(UTC)).data
    message = message_from_bytes(made, policy=policy.default)
    assert [part.get_content_type() for part in message.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    assert not [part for part in message.walk() if part.defects]
    assert max(map(len, made.split(b"\r\n"))) <= 998  # RFC 5322 §2.1.1
    assert dkimpy.verify(made, dnsfunc=lambda name, timeout=5: zone.get(name))


@pytest.mark.parametrize("sender", [("Zoé", "zoe@boutique.example"), ("La Boutique", "info@boutique.example")])
@pytest.mark.parametrize(("key", "language"), EACH)
def test_no_model_looks_like_fraud(key: str, language: str, sender: tuple[str, str], workspace: Workspace) -> None:
    version = designs.save(workspace, "m", filled(key, language), "Nouvelles", base_url="https://envoi.example")
    verdict = control.examine_version(workspace.pk, sender, "", version)
    assert verdict.action == ALLOW and verdict.points < 4, verdict


def test_words_on_colours_can_be_read() -> None:
    """WCAG 2.2 §1.4.3: white on the colour, the colour on white and on its own tint, its light twin in the dark."""
    for colour in [*gallery.PALETTE, *(model.colour for model in gallery.MODELS)]:
        assert colour in gallery.PALETTE
        assert contrast(colour, "#ffffff") >= 4.5
        assert contrast(colour, mix(colour, "#ffffff", 0.08)) >= 4.5, colour
        assert contrast("#4d5b68", mix(colour, "#ffffff", 0.08)) >= 4.5
        assert contrast(mix(colour, "#ffffff", 0.45), "#22303b") >= 4.5, colour
    assert gallery.bad_colour("#ffd000") and gallery.bad_colour("red") and not gallery.bad_colour("#134e5e")


ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</mj-text><mj-raw><script>alert(1)</script></mj-raw>",
    "{{ 7*7 }} {% for a in b %} {# c #} {{ contact.email }}",
    "[clic](javascript:alert(1)) [x](data:text/html,<script>) [y](//evil.example)",
    '{first_name|{{ 7*7 }}} {first_name|"> <b>} {first_name|a\\"}',
    "**<b>** *<i>* - <li>\n- <script>",
    "[[ p.colour ]] [% include 'x' %]",
    "\ue0000\ue001 \x00 \ufdd0 \ud800",
    "&lt;script&gt; &#123;&#123; 7*7 }}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_typed_into_a_place_becomes_code(attack: str, workspace: Workspace) -> None:
    for model in gallery.MODELS:
        get = {"colour": model.colour}
        for place in model.places:
            for path, one in (
                [(f"{place.key}.{i}.{p.key}", p) for i in range(2) for p in place.places]
                if isinstance(place, Repeat)
                else [(place.key, place)]
            ):
                get |= {
                    path: attack,
                    f"{path}.label": attack,
                    f"{path}.url": "https://a.example/",
                    f"{path}.alt": attack,
                }
                if one.kind == "date":
                    get[path] = "2026-12-05"
            if isinstance(place, Repeat):
                get[f"{place.key}.n"] = "2"
        design = gallery.read(model, "en", lambda name, get=get: get.get(name, ""), CHIPS)  # type: ignore[misc]
        source = gallery.to_mjml(design, CHIPS, {})
        made = compile_template("mjml", source, "s")
        shown = Templates({"a.html": made.html, "a.txt": made.text})
        context = {
            "workspace": {"title": "W", "postal_address": ""}, "contact": {"first_name": None}, "language": "en",
            **dict.fromkeys(("unsubscribe_url", "preferences_url", "web_version_url"), "https://x.example/"),
            **{f"envol_link_{link['no']}": link["url"] for link in made.links},
        }  # fmt: skip
        for name in ("a.html", "a.txt"):
            text = shown.render(name, context)
            assert "49" not in text
            if name == "a.html":
                page = HTMLParser(text)
                assert not page.css("script"), text
                assert not [n for n in page.css("*") if any(a.startswith("on") for a in n.attributes)]
                assert not [n for n in page.css("a") if not (n.attributes.get("href") or "").startswith("https://")], (
                    text
                )


@given(st.text(max_size=80))
@example("**a** *b* [c](https://d.example)")
@example("{{ '{' }}")
def test_any_text_prints_as_it_was_typed(text: str) -> None:
    """A line shows exactly its characters; prose at least compiles and holds no markup but ours."""
    from envol.content.gallery.marks import clean

    typed = clean(text, longest=300, lines=False)
    made = Templates({"a.html": line(typed, {})}).render("a.html", {})
    assert HTMLParser(f"<body><p>{made}</p></body>").css_first("p").text() == typed  # type: ignore[union-attr]
    written = Templates({"a.html": prose(clean(text, longest=300, lines=True), {})}).render("a.html", {})
    names = {node.tag for node in HTMLParser(f"<body>{written}</body>").css("body *")}
    assert names <= {"p", "br", "ul", "li", "strong", "em", "a"}


def test_marks_make_what_they_promise() -> None:
    made = prose("Bonjour **Zoé**,\nà *demain*\n\n- un\n- [deux](deux.example/x?a=1&b=2)", {}, "#134e5e")
    assert "<strong>Zoé</strong>,<br>à <em>demain</em></p>" in made
    assert '<a href="https://deux.example/x?a=1&amp;b=2"' in made and made.count("<li") == 2
    assert "<em>" not in prose("2 * 3 * 4 et a*b*c", {})


def test_chips_are_stored_by_key_and_shown_by_label() -> None:
    stored = gallery.canonical("Bonjour {prenom|vous}, {FIRST NAME} {Inconnu}", CHIPS)
    assert stored == "Bonjour {first_name|vous}, {first_name} {Inconnu}"
    assert gallery.shown(stored, CHIPS, "fr") == "Bonjour {Prénom|vous}, {Prénom} {Inconnu}"
    assert gallery.unknown(stored, CHIPS) == ["Inconnu"]
    assert gallery.used([stored], CHIPS) == {"first_name": False}
    assert line('{first_name|l\'ami "x"}', CHIPS) == '{{ contact.first_name | default("l\'ami \\"x\\"") }}'
    assert gallery.tags("{birthday|bientôt}", CHIPS) == '{{ contact.birthday | default("bientôt") | date }}'


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60))
@example('a {first_name|b "c"} { } {birthday}')
def test_a_subject_comes_back_as_it_was_typed(text: str) -> None:
    stored = gallery.tags(text, CHIPS)
    back = untagged(stored, CHIPS)
    assert back is None or gallery.tags(back, CHIPS) == stored
    if not re.search(r"[{}\ue000\ue001]", text):
        assert back == text


def test_a_subject_in_code_stays_code() -> None:
    assert untagged("{% if contact.first_name %}x{% endif %}", CHIPS) is None
    assert untagged("{{ contact.first_name | upper }}", CHIPS) is None


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("www.boutique.example", "https://www.boutique.example"),
        ("http://a.example/x", "http://a.example/x"),
        ("zoe@boutique.example", "mailto:zoe@boutique.example"),
        ("javascript:alert(1)", None), ("//evil.example", None), ("https://u:p@a.example/", None),
        ("https://a.example/{{ contact.email }}", None), ("", None), ("https://", None), ("/page", None),
    ],
)  # fmt: skip
def test_addresses(typed: str, address: str | None) -> None:
    assert web_address(typed) == address


def test_what_is_missing_is_said_and_what_is_wrong_is_refused() -> None:
    design = gallery.start("letter", "en")
    assert design is not None
    assert [w.path for w in gallery.missing(design)] == ["button"]  # no address yet
    assert [w.path for w in gallery.untouched(design)] == ["text"]
    design.values["title"] = " "
    design.values["picture"] = {"media": 5, "alt": "", "decorative": False, "size": "full", "url": "nulle part"}
    design.values["colour"] = "#ffffff"
    assert [w.path for w in gallery.missing(design)] == ["title", "picture", "button"]
    assert [w.path for w in gallery.wrong(design)] == ["picture.url", "colour"]


def test_a_stored_design_survives_a_place_that_came_later() -> None:
    stored = gallery.start("offer", "fr").to_json()  # type: ignore[union-attr]
    del stored["values"]["code"]
    again = gallery.opened(json.loads(json.dumps(stored)))
    assert again is not None and again.values["code"] == ""
    assert gallery.opened({**stored, "model": "gone"}) is None and gallery.opened("x") is None
