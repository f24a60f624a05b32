"""What leaves: right for each person, measured as she answered, injected by nobody, the same at every try."""
# ruff: noqa: E501

from __future__ import annotations

import email
import re
import threading
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from types import SimpleNamespace
from typing import Any

import dkim as dkimpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.accounts.models import Workspace
from envol.content import links
from envol.content.compose import Composer, Person, compose_message
from envol.content.links import Kind, Target
from envol.content.models import Version
from envol.content.problems import MissingValue
from envol.content.templates import compile_template
from envol.wire import dkim
from envol.wire.smtp.grammar import encode_data

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BASE = "https://mail.shop.example"
SENDER = {"name": "Librairie Élan", "address": "lettre@shop.example", "reply_to": "bonjour@shop.example"}
SENDING = SimpleNamespace(id=5, kind="campaign", campaign_id=3, purpose_id=2)
SHOP = Workspace(id=1, name="librairie", title="Librairie Élan", postal_address="1 rue du Port, 44000 Nantes")
OPENS, CLICKS, NEWS, PERSONAL = 1, 2, 4, 32
PURPOSES = {"first_name": NEWS, "city": PERSONAL}
SOURCE = (
    "<html><body><p>Bonjour {{ contact.first_name|default('à vous') }}{% if contact.city %} de {{ contact.city }}{% endif %},</p>"
    '<a href="https://shop.example/one?a=1&b=2">One</a> <a href="https://shop.example/two">Two</a> <a href="{{ web_version_url }}">Web</a></body></html>'
)


def a_version(
    source: str = SOURCE, subject: str = "Bonjour {{ contact.first_name|default('') }}", mode: str = "html", **more: Any
) -> Version:
    fallbacks = more.pop("fallbacks", {})
    made = compile_template(mode, source, subject, **more)
    return Version(
        mode=mode,
        source=source,
        subject=subject,
        html=made.html,
        text=made.text,
        links=made.links,
        variables=made.variables,
        fallbacks=fallbacks,
    )


def a_composer(version: Version | None = None, **more: Any) -> Composer:
    given: dict[str, Any] = {
        "sending": SENDING,
        "workspace": SHOP,
        "sender": SENDER,
        "base_url": BASE,
        "purposes": PURPOSES,
    }
    return Composer(version=version or a_version(), **(given | more))


def a_person(**more: Any) -> Person:
    given: dict[str, Any] = {
        "no": 7,
        "contact_id": 7,
        "address": "ada@mail.example",
        "props": {"first_name": "Ada", "city": "Lyon"},
        "allowed": NEWS,
    }
    return Person(**(given | more))


def read(data: bytes) -> EmailMessage:
    message = email.message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part(data: bytes, kind: str) -> str:
    body = read(data).get_body((kind,))
    assert body is not None
    return str(body.get_content())


def tokens(data: bytes) -> dict[str, list[Target | None]]:
    """Every signed link of the html and text parts, by its path."""
    found: dict[str, list[Target | None]] = {}
    for path, token in re.findall(rf"{BASE}/(\w)/([\w-]+)", part(data, "html") + part(data, "plain")):
        found.setdefault(path, []).append(links.read(token))
    return found


@pytest.mark.parametrize(
    ("allowed", "refused", "opens", "clicks"),
    [
        (OPENS | CLICKS, 0, 7, 7),  # agreed to both
        (CLICKS, 0, "none", 7),
        (OPENS, 0, 7, None),
        (0, 0, "none", None),  # said nothing: no pixel, clicks in sum
        (0, OPENS | CLICKS, "none", "none"),
        (OPENS | CLICKS, OPENS | CLICKS, "none", "none"),  # a refusal wins over a stale yes
    ],
)
def test_measuring_follows_each_persons_answer(allowed: int, refused: int, opens: Any, clicks: Any) -> None:
    """In the message of who did not agree, nothing of it is hers but the ways out."""
    found = tokens(a_composer().compose(a_person(allowed=NEWS | allowed, refused=refused), NOW).data)
    assert found.get("o", []) == ([] if opens == "none" else [Target(Kind.OPEN, 5, opens)])
    wanted = [] if clicks == "none" else [Target(Kind.CLICK, 5, clicks, 1), Target(Kind.CLICK, 5, clicks, 2)]
    assert found.get("c", []) == wanted * 2
    assert found["u"] == [Target(Kind.UNSUBSCRIBE, 5, 7)] * 2
    assert found["w"] == [Target(Kind.WEB, 5, 7)] * 2


def test_unmeasured_links_are_the_original_addresses() -> None:
    data = a_composer().compose(a_person(refused=OPENS | CLICKS), NOW).data
    assert 'href="https://shop.example/one?a=1&b=2"' in part(data, "html")
    assert "<https://shop.example/one?a=1&b=2>" in part(data, "plain")
    assert "<img" not in part(data, "html")


def test_measured_in_sum_two_people_get_the_same_tokens() -> None:
    composer = a_composer()
    one = composer.parts(a_person(no=7)).html or ""
    two = composer.parts(a_person(no=8)).html or ""
    clicks = [re.findall(r"/c/[\w-]+", html) for html in (one, two)]
    assert clicks[0] == clicks[1] and len(clicks[0]) == 2


def test_opens_in_sum_is_one_pixel_for_all() -> None:
    shop = Workspace(id=1, name="l", title="L", opens_mode="aggregate", opens_unknown="aggregate")
    data = a_composer(workspace=shop).compose(a_person(country="IT"), NOW).data
    assert tokens(data)["o"] == [Target(Kind.OPEN, 5, None)]
    assert "o" not in tokens(a_composer(workspace=shop).compose(a_person(), NOW).data), "nor where no country is known"


def test_a_property_is_shown_only_where_one_of_its_purposes_is_permitted() -> None:
    composer = a_composer()
    assert "Bonjour Ada," in composer.parts(a_person(allowed=NEWS)).text
    assert "Bonjour Ada de Lyon," in composer.parts(a_person(allowed=NEWS | PERSONAL)).text
    hidden = composer.parts(a_person(allowed=0))
    assert "Bonjour à vous," in hidden.text and "Ada" not in f"{hidden}" and "Lyon" not in f"{hidden}"
    undeclared = a_composer(purposes={"first_name": 0})
    assert "Ada" not in f"{undeclared.parts(a_person(allowed=2**61))}"


def test_a_missing_value_shows_its_fallback_or_stops_the_message() -> None:
    version = a_version("<p>Hello {{ contact.first_name }},</p>", "x", fallbacks={"contact.first_name": "dear reader"})
    assert "Hello dear reader," in a_composer(version).parts(a_person(props={})).text
    assert "Hello dear reader," in a_composer(version).parts(a_person(props={"first_name": ""})).text
    with pytest.raises(MissingValue):
        a_composer(a_version("<p>Hello {{ contact.first_name }},</p>", "x")).compose(a_person(props={}), NOW)


def test_the_headers_mailboxes_ask_for() -> None:
    made = a_composer().compose(a_person(name="Ada Lovelace"), NOW)
    message = read(made.data)
    assert message["From"].addresses[0].display_name == "Librairie Élan"
    assert str(message["To"]) == "Ada Lovelace <ada@mail.example>"
    assert message["Reply-To"] == "bonjour@shop.example"
    assert message["Subject"] == "Bonjour Ada"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = re.fullmatch(rf"<{BASE}/u/([\w-]+)>", message["List-Unsubscribe"].strip())
    assert url and links.read(url[1]) == Target(Kind.UNSUBSCRIBE, 5, 7)
    assert links.read_message_id(message["Message-ID"]) == Target(Kind.MESSAGE, 5, 7)
    assert links.read_return_path(made.envelope_from) == Target(Kind.RETURN_PATH, 5, 7)
    assert made.envelope_from.endswith("@shop.example")
    assert re.fullmatch(r"[0-9a-f]{12}:[0-9a-f]{12}:campaign:ev-[0-9a-f]{12}", message["Feedback-ID"])
    assert message["List-Id"] == "<p2.librairie.shop.example>"
    assert message["Date"] == "Tue, 24 Nov 2026 12:00:00 +0000"
    assert [one.get_content_type() for one in message.iter_parts()] == ["text/plain", "text/html"]
    assert max(map(len, made.data.split(b"\r\n"))) <= 998
    assert b"\n" not in made.data.replace(b"\r\n", b"")


def test_feedback_names_tell_nobody_our_ids() -> None:
    two = a_composer(sending=SimpleNamespace(id=6, kind="campaign", campaign_id=4, purpose_id=2))
    first, second = (read(c.compose(a_person(), NOW).data)["Feedback-ID"].split(":") for c in (a_composer(), two))
    assert first[0] != second[0] and first[1:] == second[1:]


def test_a_retry_is_the_same_message() -> None:
    assert a_composer().compose(a_person(), NOW) == a_composer().compose(a_person(), NOW)
    later = a_composer().compose(a_person(), NOW + timedelta(hours=1))
    assert read(later.data)["Message-ID"] == read(a_composer().compose(a_person(), NOW).data)["Message-ID"]


def test_no_two_people_share_a_message_id_or_a_return_path() -> None:
    composer = a_composer()
    made = [composer.compose(a_person(no=no), NOW) for no in range(1, 30)]
    assert len({read(one.data)["Message-ID"] for one in made}) == len({one.envelope_from for one in made}) == 29


ENDS = ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"]


@pytest.mark.parametrize("end", ENDS)
def test_no_value_makes_a_header(end: str) -> None:
    evil = f"Ada{end}Bcc: all@victim.example{end}{end}<script>"
    if end == "\0":  # PostgreSQL stores none, but a preview may be given one
        assert "Bcc" in a_composer().parts(a_person(props={"first_name": evil})).subject
    made = a_composer().compose(a_person(name=evil, props={"first_name": evil, "city": evil}), NOW)
    plain = read(a_composer().compose(a_person(), NOW).data)
    message = read(made.data)
    assert message.keys() == plain.keys() and message["Bcc"] is None
    assert [one.get_content_type() for one in message.walk()] == [one.get_content_type() for one in plain.walk()]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_value_leaves_one_subject_and_no_markup(value: str) -> None:
    made = COMPOSER.compose(
        a_person(allowed=NEWS | PERSONAL, name=value, props={"first_name": value, "city": value}), NOW
    )
    message = read(made.data)
    assert message.keys() == HEADERS
    assert len(re.findall(r"<[a-z]+", part(made.data, "html"))) == TAGS


COMPOSER = a_composer()
_KNOWN = COMPOSER.compose(a_person(allowed=NEWS | PERSONAL), NOW).data
HEADERS, TAGS = read(_KNOWN).keys(), len(re.findall(r"<[a-z]+", part(_KNOWN, "html")))


def test_one_persons_message_leaves_nothing_in_the_next() -> None:
    composer = a_composer()
    alone = composer.compose(a_person(no=2, props={}), NOW)
    composer.compose(a_person(no=1, props={"first_name": "Secret", "city": "Hidden"}, allowed=NEWS | PERSONAL), NOW)
    assert composer.compose(a_person(no=2, props={}), NOW) == alone
    props = {"first_name": "Ada", "city": {"label": "Lyon"}}
    composer.compose(a_person(props=props), NOW)
    assert props == {"first_name": "Ada", "city": {"label": "Lyon"}}


def test_threads_may_share_a_composer() -> None:
    composer = a_composer()
    expected = {no: a_composer().compose(a_person(no=no, allowed=NEWS | no % 4), NOW) for no in range(1, 60)}
    got: dict[int, Any] = {}

    def work(offset: int) -> None:
        for no in range(1 + offset, 60, 4):
            got[no] = composer.compose(a_person(no=no, allowed=NEWS | no % 4), NOW)

    threads = [threading.Thread(target=work, args=(offset,), daemon=True) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == expected


def test_another_verifier_accepts_both_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    keys: dict[str, dkim.PrivateKey] = {"r": dkim.generate_rsa(), "e": dkim.generate_ed25519()}
    zone = {f"{name}._domainkey.shop.example.".encode(): dkim.record_text(key).encode() for name, key in keys.items()}
    composer = a_composer(signers=[dkim.Signer("shop.example", name, key) for name, key in keys.items()])
    monkeypatch.setattr(dkimpy.time, "time", lambda: NOW.timestamp() + 60)
    for allowed in (NEWS, NEWS | PERSONAL | OPENS | CLICKS):
        data = composer.compose(a_person(allowed=allowed), NOW).data
        for index in range(2):
            assert dkimpy.DKIM(data).verify(idx=index, dnsfunc=lambda name, timeout=5: zone.get(name))


def test_the_standard_footer_speaks_the_readers_language() -> None:
    version = a_version("<p>x</p>", "x")
    assert "Me désinscrire" in a_composer(version).parts(a_person(language="fr-CA")).text
    assert "Unsubscribe" in a_composer(version).parts(a_person(language="en")).text
    assert "1 rue du Port" in a_composer(version).parts(a_person(language="en")).text


def test_plain_text_templates_have_no_html_part() -> None:
    data = a_composer(a_version("See https://shop.example/one today", "x", mode="text")).compose(a_person(), NOW).data
    assert read(data).get_content_type() == "text/plain"
    assert f"See {BASE}/c/" in read(data).get_content()


def test_a_test_message_says_so() -> None:
    test = SimpleNamespace(id=5, kind="test", campaign_id=3, purpose_id=2)
    assert a_composer(sending=test).parts(a_person()).subject == "[Test] Bonjour Ada"


def test_the_constant_part_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="https://"):
        a_composer(base_url="http://mail.shop.example")
    with pytest.raises(ValueError, match="From"):
        a_composer(sender={"name": "x", "address": "nowhere"})


def a_message(**more: Any) -> Any:
    header = {
        "from": ["Shop", "orders@shop.example"],
        "to": [["Ada", "ada@mail.example"]],
        "subject": "Your order",
        "reply_to": [],
        "extra": [["X-Order", "12"]],
    }
    given = {
        "workspace_id": 1,
        "sending_id": 9,
        "header": header | more.pop("header", {}),
        "text": "Thank you.",
        "html": "",
        "raw": None,
    }
    return SimpleNamespace(**(given | more))


def test_single_messages_keep_their_words_and_are_not_measured() -> None:
    body = '<p>Hi <a href="https://shop.example/o/12">{{ order }}</a></p>'
    made = compose_message(a_message(html=body), 4, now=NOW)
    message = read(made.data)
    assert part(made.data, "html").strip() == body
    assert message["Auto-Submitted"] == "auto-generated" and message["List-Unsubscribe"] is None
    assert message["X-Order"] == "12"
    assert links.read_message_id(message["Message-ID"]) == Target(Kind.MESSAGE, 9, 4)
    assert links.read_return_path(made.envelope_from) == Target(Kind.RETURN_PATH, 9, 4)


@pytest.mark.parametrize("end", ENDS)
def test_single_messages_cannot_be_injected_either(end: str) -> None:
    evil = f"a{end}Bcc: victim.example"
    made = compose_message(
        a_message(header={"subject": evil, "from": [evil, "orders@shop.example"], "to": [[evil, "ada@mail.example"]]}),
        4,
        now=NOW,
    )
    assert read(made.data)["Bcc"] is None
    for extra in ([["X-A", evil]], [[evil, "x"]], [["Bcc", "x@victim.example"]], [["From", "x@victim.example"]]):
        with pytest.raises(ValueError, match=r"."):
            compose_message(a_message(header={"extra": extra}), 4, now=NOW)


def test_a_relayed_message_stays_as_it_came_and_is_signed() -> None:
    raw = (
        b"Return-Path: <x@other.example>\r\nFrom: Shop <orders@shop.example>\r\nTo: ada@mail.example\r\n"
        b"Subject: A\r\n folded one\r\nBcc: hidden@mail.example\r\n\r\nBody  of it\r\n\r\nsecond\r\n"
    )
    key = dkim.generate_ed25519()
    made = compose_message(a_message(raw=raw), 4, [dkim.Signer("shop.example", "e", key)], now=NOW)
    head, _, body = made.data.partition(b"\r\n\r\n")
    assert body == b"Body  of it\r\n\r\nsecond\r\n"
    assert b"Subject: A\r\n folded one\r\n" in head and b"hidden@" not in head and b"Return-Path" not in head
    assert head.startswith(b"DKIM-Signature:") and b"\r\nDate: " in head and b"\r\nMessage-ID: <" in head


def test_what_travels_is_the_message_encoded_for_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short way to the wire says byte for byte what the long one says."""
    monkeypatch.setattr(dkimpy.time, "time", lambda: NOW.timestamp() + 60)  # signatures end after a week
    key = dkim.Signer("shop.example", "s1", dkim.generate_ed25519())
    dotted = SOURCE.replace("<p>", "<p>\n.dot\n..  two\tblanks\n") + "\n\n.\n"
    for source, mode in ((SOURCE, "html"), (dotted, "html"), ("Добрый день, {{ contact.city }}", "text")):
        composer = a_composer(a_version(source, mode=mode, fallbacks={"contact.city": "…"}), signers=[key])
        for city in ("Lyon", ".", "\n.\n", "a  b", "From here", ""):
            person = a_person(props={"first_name": ".Zoé  ", "city": city}, allowed=NEWS | PERSONAL | OPENS | CLICKS)
            whole, travels = composer.compose(person, NOW), composer.encoded(person, NOW)
            assert travels == (whole.envelope_from, encode_data(whole.data))
            record = dkim.record_text(key._key).encode()
            assert dkimpy.DKIM(whole.data).verify(dnsfunc=lambda name, timeout=5, record=record: record)


def test_a_tier_gives_its_own_words_and_code(workspace: Workspace) -> None:
    from envol.audience import tiers
    from envol.db import execute

    version = a_version(
        "<html><body>{% if tier.code %}<p>{{ tier.name }} : {{ tier.text }} ({{ tier.code }})</p>{% else %}<p>Bonjour</p>{% endif %}</body></html>",
        "Pour vous{% if tier.key == 'gold' %}, en avance{% endif %}",
    )
    assert set(version.variables) >= {"tier.code", "tier.name", "tier.text"}
    tiers.give(workspace, "gold", text="Livraison <offerte>", code="OR-27", early_days=2, actor_id=None)
    execute(
        "INSERT INTO audience_tier (workspace_id, contact_id, tier, since, until)"
        " VALUES (%s, 71, 'gold', '2026-01-01', NULL), (%s, 72, 'gold', '2025-01-01', '2026-01-01')",
        [workspace.pk, workspace.pk],
    )
    try:
        composer = Composer(None, version, workspace, SENDER, base_url=BASE, attachments=())
        holder = composer.parts(Person(1, 71, "a@lecteurs.example", language="fr"))
        assert holder.subject == "Pour vous, en avance"
        assert "Or : Livraison &lt;offerte&gt; (OR-27)" in (holder.html or "")
        for contact in (72, 73, None):  # left it, never was in it, nobody known
            other = composer.parts(Person(2, contact, "b@lecteurs.example", language="en"))
            assert other.subject == "Pour vous" and "OR-27" not in (other.html or "")
    finally:
        execute("DELETE FROM audience_tier WHERE workspace_id = %s", [workspace.pk])


def test_a_tier_has_no_other_values() -> None:
    with pytest.raises(ValueError, match=r"no value called tier\.colour"):
        a_version("<p>{{ tier.colour }}</p>")
