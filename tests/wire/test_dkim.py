"""What we sign, another implementation verifies; what was changed on the way, it refuses."""

import email
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import dkim as dkimpy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from envol.wire import dkim
from envol.wire import list_headers as lh
from envol.wire.message import Attachment, Composed, Mailbox, compose
from tests.examples import CHEAP, examples

DOMAIN = "news.shop.example"
NOW = 1_795_500_000
RSA = dkim.generate_rsa()
ED25519 = dkim.generate_ed25519()
SIGNERS = [dkim.Signer(DOMAIN, "envol1", RSA), dkim.Signer(DOMAIN, "envol2", ED25519)]
ZONE = {
    f"envol1._domainkey.{DOMAIN}.".encode(): dkim.record_text(RSA).encode(),
    f"envol2._domainkey.{DOMAIN}.".encode(): dkim.record_text(ED25519).encode(),
}


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier looks at t= and x=; let it live a minute after the signature."""
    monkeypatch.setattr(dkimpy.time, "time", lambda: NOW + 60)


def verified(raw: bytes) -> list[bool]:
    """The verdict on each DKIM-Signature, from the top."""

    def verdict(index: int) -> bool:
        try:
            return bool(dkimpy.DKIM(raw).verify(idx=index, dnsfunc=lambda name, timeout=5: ZONE.get(name)))
        except dkimpy.ValidationError:  # a changed body, or a signature past its time
            return False

    return [verdict(i) for i in range(len(email.message_from_bytes(raw).get_all("DKIM-Signature") or []))]


def note(**changed: Any) -> Composed:
    fields: dict[str, Any] = {
        "sender": Mailbox("Librairie Élan", f"bonjour@{DOMAIN}"),
        "to": [Mailbox("Anna", "anna@mail.example")],
        "subject": "Bonjour",
        "text": "Bonjour Anna,\n\nà bientôt.\n",
        "html": "<p>Bonjour  Anna</p>\n    <p>\tà bientôt</p>\n",
        "message_id": f"1@{DOMAIN}",
        "date": datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
    }
    return compose(**(fields | changed))


def signed(message: Composed, signers: list[dkim.Signer] = SIGNERS) -> bytes:
    return message.to_bytes(dkim.sign(message.headers, message.body, signers, NOW, composed=True))


SHAPES: dict[str, dict[str, Any]] = {
    "ascii": {"text": "Hello", "html": "<p>Hello</p>", "sender": Mailbox("Shop", f"a@{DOMAIN}")},
    "subject in UTF-8": {"subject": "Été : –50 % sur les 📚"},
    "very long subject": {"subject": "une très longue phrase, " * 30},
    "very long ASCII subject": {"subject": "a rather long sentence " * 30},
    "empty subject": {"subject": ""},
    "folded headers": {"extra": [("X-Trace", "word " * 60 + "end"), ("References", " ".join(["<a@x.example>"] * 20))]},
    "empty body": {"text": "", "html": None},
    "empty parts": {"text": "", "html": ""},
    "only line ends": {"text": "\n\n\n", "html": None},
    "trailing blank lines": {"text": "Bonjour\n\n\n\n", "html": None},
    "trailing blanks": {"text": "Bonjour   \n\t\nAnna \t\n  ", "html": None},
    "only html": {"text": None},
    "only text": {"html": None},
    "lines that begin with dots": {"text": ".\n..\n.hidden\n\n.\n", "html": "<p>\n.\n</p>"},
    "lines that begin with From": {"text": "From here\nFrom there\n"},
    "attachment": {"attachments": [Attachment("été.pdf", bytes(range(256)) * 9, "application/pdf")]},
    "inline image": {"attachments": [Attachment("a.png", b"\x89PNG" * 99, "image/png", content_id="a")]},
    "both": {
        "attachments": [
            Attachment("a.png", b"\x89PNG" * 99, "image/png", content_id="a"),
            Attachment("b.bin", b"\x00\r\n " * 50),
        ]
    },
    "names with quotes": {"to": [Mailbox('O"Neil, "Jim" \\', "jim@mail.example"), Mailbox("Zoë  Ñ", "z@mail.example")]},
    "list headers": {
        "list_unsubscribe_url": "https://u.shop.example/u/" + "a" * 60,
        "list_unsubscribe_mailto": "u+a@shop.example",
        "list_id": lh.list_id("news.shop.example", "The letter"),
        "feedback_id": lh.feedback_id("c1", "w1", "marketing", "envol1"),
        "auto_submitted": lh.AUTO_GENERATED,
        "reply_to": [Mailbox("Aide", "aide@shop.example")],
        "cc": [Mailbox("Ben", "ben@mail.example")],
    },
    "Greek": {"subject": "Καλημέρα", "text": "Καλημέρα σας\n" * 20, "html": "<p>Καλημέρα σας</p>\n" * 20},
    "long lines": {"text": "x" * 5000, "html": "<p>" + "mot " * 2000 + "</p>"},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_both_signatures_verify(shape: str) -> None:
    message = note(**SHAPES[shape])
    assert verified(signed(message)) == [True, True]
    # What we know of our own bodies is a shortcut, never another result.
    assert dkim.canonical_body(message.body) == dkim.canonical_body(message.body, composed=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_signs_as_if_each_message_were_read_anew(shape: str) -> None:
    first = note(**SHAPES[shape])
    outline = dkim.Outline(first.headers)
    others = {"subject": "Autre  chose", "message_id": f"2@{DOMAIN}", "to": [Mailbox("Ben", "ben@mail.example")]}
    for message in (first, note(**(SHAPES[shape] | others))):
        body = dkim.canonical_body(message.body)
        assert outline.sign(message.headers, body, SIGNERS, NOW)[:300] == signed(message)[:300]
        assert verified(message.to_bytes(outline.sign(message.headers, body, SIGNERS, NOW))) == [True, True]
    with pytest.raises(ValueError, match="outline"):
        outline.sign(first.headers[:-1], b"", SIGNERS, NOW)


@given(st.text(max_size=300), st.text(max_size=300))
@settings(max_examples=examples(60, CHEAP), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_verifies(text: str, html: str) -> None:
    assert verified(signed(note(text=text, html=html), SIGNERS[1:])) == [True]


@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b".", b"=", b"  ", b"\x0b", b"\xe9"]), max_size=40).map(
        b"".join
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bodies_we_did_not_compose_get_the_same_canonical_form_as_elsewhere(body: bytes) -> None:
    ended = body + b"\r\n"
    assert dkim.canonical_body(ended) == dkimpy.canonicalization.Relaxed.canonicalize_body(ended).removeprefix(
        b"" if ended.strip(b" \t\r\n") else b"\r\n"
    )
    assert dkim.canonical_body(body) == dkim.canonical_body(ended)  # §3.4.4: the missing line end is added


@given(
    st.lists(
        st.sampled_from([b"a", b" ", b"\t", b"\r\n ", b"\r\n\t", b":", b"\x0b", b"\x0c", b"\xe9"]), max_size=30
    ).map(b"".join)
)
def test_header_lines_get_the_same_canonical_form_as_elsewhere(value: bytes) -> None:
    ((name, body),) = dkimpy.canonicalization.Relaxed.canonicalize_headers([(b"Sub-Ject ", b" a" + value + b"a \r\n")])
    ours = dkim.canonical_header(b"Sub-Ject : a" + value + b"a \r\n")
    assert ours == name + b":" + body


@pytest.mark.parametrize(
    "added",
    [
        b"From: Bank <support@bank.example>\r\n",
        b"Subject: You have won\r\n",
        b"To: somebody@else.example\r\n",
        b"Cc: somebody@else.example\r\n",
        b"Reply-To: eve@else.example\r\n",
        b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n",
        b"Message-ID: <2@else.example>\r\n",
        b"Content-Type: text/html\r\n",
        b"List-Unsubscribe: <https://else.example/>\r\n",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
    ],
)
@pytest.mark.parametrize("shape", ["ascii", "list headers"])
def test_a_header_added_on_the_way_breaks_both_signatures(shape: str, added: bytes) -> None:
    raw = signed(note(**SHAPES[shape]))
    assert verified(added + raw) == [False, False]
    head, _, body = raw.partition(b"\r\n\r\n")
    assert verified(head + b"\r\n" + added + b"\r\n" + body) == [False, False]


def test_a_header_that_servers_add_breaks_nothing() -> None:
    assert verified(b"Received: from a by b\r\nReturn-Path: <>\r\n" + signed(note())) == [True, True]


def test_a_body_changed_on_the_way_breaks_both_signatures() -> None:
    raw = signed(note())
    assert verified(raw.replace(b"Bonjour Anna,", b"Bonjour Hanna,")) == [False, False]
    assert verified(raw + b"One more line.\r\n") == [False, False]


@pytest.mark.parametrize("name", [b"Subject", b"To", b"Date", b"From", b"Message-ID", b"MIME-Version", b"Feedback-ID"])
def test_a_header_changed_or_taken_away_breaks_both_signatures(name: bytes) -> None:
    raw = signed(note(**SHAPES["list headers"]))
    assert raw.count(b"\r\n" + name + b": ") == 1
    assert verified(raw.replace(b"\r\n" + name + b": ", b"\r\n" + name + b": x")) == [False, False]
    assert verified(raw.replace(b"\r\n" + name + b": ", b"\r\nX-" + name + b": ")) == [False, False]


def test_the_signature_says_when_it_was_made_and_when_it_ends() -> None:
    message = note()
    lines = dkim.sign(message.headers, message.body, SIGNERS, NOW)
    tags = email.message_from_bytes(lines).get_all("DKIM-Signature")
    assert tags is not None and len(tags) == 2
    for tag in tags:
        assert f"t={NOW}; x={NOW + 7 * 86400};" in tag
        assert "l=" not in [item.split("=")[0].strip() + "=" for item in tag.split(";")]
        assert "c=relaxed/relaxed" in tag
    assert "a=rsa-sha256" in tags[0] and "a=ed25519-sha256" in tags[1]
    assert all(len(line) <= 78 for line in lines.split(b"\r\n"))
    assert lines.endswith(b"\r\n") and lines.count(b"\n") == lines.count(b"\r\n")


def test_a_signature_ends_after_seven_days(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = signed(note())
    monkeypatch.setattr(dkimpy.time, "time", lambda: NOW + 8 * 86400)
    assert verified(raw) == [False, False]


def test_a_message_with_no_from_or_with_two_is_not_signed() -> None:
    message = note()
    for headers in (
        [h for h in message.headers if not h.startswith(b"From:")],
        [b"FROM: a@x.example\r\n", *message.headers],
    ):
        with pytest.raises(ValueError, match="exactly one From"):
            dkim.sign(headers, message.body, SIGNERS, NOW)


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"\n", b"a\r\n\r"])
def test_a_body_with_a_bare_cr_or_lf_is_not_signed(body: bytes) -> None:
    with pytest.raises(ValueError, match="bare CR or LF"):
        dkim.sign(note().headers, body, SIGNERS, NOW)


def test_repeated_headers_are_signed_from_the_last_to_the_first() -> None:
    message = note()
    headers = [*message.headers, b"List-Help: <https://a.example>\r\n", b"List-Help: <https://b.example>\r\n"]
    raw = dkim.sign(headers, message.body, SIGNERS, NOW) + b"".join(headers) + b"\r\n" + message.body
    assert verified(raw) == [True, True]


def test_the_published_example_of_ed25519() -> None:
    """RFC 8463 appendix A: from its key and message come its record, its body hash and its very signature."""
    key = Ed25519PrivateKey.from_private_bytes(b64decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))
    assert dkim.record_text(key) == "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    headers = {
        "from": b"From: Joe SixPack <joe@football.example.com>\r\n",
        "to": b"To: Suzie Q <suzie@shopping.example.net>\r\n",
        "subject": b"Subject: Is dinner ready?\r\n",
        "date": b"Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n",
        "message-id": b"Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n",
    }
    body = b"Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n"
    field = (
        b"DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
        b" d=football.example.com; i=@football.example.com;\r\n"
        b" q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
        b" subject : date : message-id : from : subject : date;\r\n"
        b" bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
        b" b="
    )
    from hashlib import sha256

    bh = b64decode("2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=")
    assert sha256(dkim.canonical_body(body)).digest() == bh
    covered = b"".join(map(dkim.canonical_header, headers.values())) + dkim.canonical_header(field)[:-2]
    assert key.sign(sha256(covered).digest()) == b64decode(
        "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    )


@pytest.mark.parametrize("key", [RSA, ED25519])
def test_a_record_is_read_back_and_fits_only_its_own_key(key: dkim.PrivateKey) -> None:
    text = dkim.record_text(key)
    strings = dkim.txt_strings(text)
    assert all(len(s.encode()) <= 255 for s in strings) and "".join(strings) == text
    record = dkim.parse_record(text)
    assert record.publishes(key) and not record.revoked and not record.testing
    assert not record.publishes(dkim.generate_ed25519())
    assert (
        dkim.load_private_key(dkim.dump_private_key(key)).private_numbers() == key.private_numbers()
        if isinstance(key, rsa.RSAPrivateKey)
        else dkim.public_key(dkim.load_private_key(dkim.dump_private_key(key))) == dkim.public_key(key)
    )


def test_a_revoked_and_a_testing_key_are_seen() -> None:
    assert dkim.parse_record("v=DKIM1; p=").revoked
    assert dkim.parse_record("v=DKIM1; t=y:s; p=AAAA").testing
    assert dkim.parse_record(" p = AA AA ; n=a note;").public_key == b"\0\0\0"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no p="),
        ("v=DKIM1; k=rsa", "no p="),
        ("v=DKIM2; p=AAAA", "begin with v=DKIM1"),
        ("p=AAAA; v=DKIM1", "begin with v=DKIM1"),
        ("v=DKIM1; p=AAAA; p=AAAA", "twice"),
        ("v=DKIM1; k=dsa; p=AAAA", "k=dsa"),
        ("v=DKIM1; p=AAA", "cut"),
        ("v=DKIM1; p=AA$A", "cut"),
        ("v=DKIM1; h=sha1; p=AAAA", "sha256"),
        ("v=DKIM1; s=tlsrpt; p=AAAA", "s="),
        ("v=spf1 -all", "begin with v=DKIM1"),
        ("hello", "no tag=value"),
    ],
)
def test_a_record_that_receivers_would_not_use_is_explained(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        dkim.parse_record(text)


def test_a_key_that_cannot_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="2048"):
        dkim.Signer(DOMAIN, "a", rsa.generate_private_key(65537, 1024))
    with pytest.raises(ValueError, match="rsa-sha256"):
        dkim.Signer(DOMAIN, "a", RSA, "ed25519-sha256")
    with pytest.raises(ValueError, match="PEM"):
        dkim.Signer(DOMAIN, "a", b"nothing")
    with pytest.raises(ValueError, match="RSA or Ed25519"):
        dkim.load_private_key(dkim.dump_private_key(ec.generate_private_key(ec.SECP256R1())))  # type: ignore[arg-type]


@pytest.mark.parametrize("domain", ["", "shop", "shop.example;", "élan.example", "shop..example", "shop.example\r\n"])
def test_a_domain_that_cannot_stand_in_a_signature_is_refused(domain: str) -> None:
    with pytest.raises(ValueError, match="no domain"):
        dkim.Signer(domain, "envol1", RSA)


@pytest.mark.parametrize("selector", ["", "a b", "a;b", "-a", "é", "a\r\n"])
def test_a_selector_that_cannot_stand_in_a_signature_is_refused(selector: str) -> None:
    with pytest.raises(ValueError, match="selector"):
        dkim.Signer(DOMAIN, selector, RSA)
