"""The HTML of a whole message, changed in place."""

from __future__ import annotations

import base64
import email
import email.policy

import pytest

from envol.wire.message.html_part import html_of, with_html

HEAD = b"From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
TEXT = "<p>Reçu : 5 €</p>"


def shown(raw: bytes) -> str:
    """What another reader finds."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(("html",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n").rstrip("\n")


def louder(html: str) -> str:
    return html.replace("</p>", "!</p>")


@pytest.mark.parametrize(
    ("charset", "encoding", "octets"),
    [
        ("utf-8", "8bit", TEXT.encode()),
        ("utf-8", "quoted-printable", b"<p>Re=C3=A7u=\r\n : 5 =E2=82=AC</p>"),
        ("utf-8", "BASE64", base64.encodebytes(TEXT.encode()).replace(b"\n", b"\r\n")),
        ("iso-8859-15", "8bit", TEXT.encode("iso-8859-15")),
        ("utf-16", "base64", base64.encodebytes(TEXT.encode("utf-16")).replace(b"\n", b"\r\n")),
        ("us-ascii", "7bit", TEXT.encode()),
    ],
)
def test_each_charset_and_encoding(charset: str, encoding: str, octets: bytes) -> None:
    kind = f'Content-Type: text/html; charset="{charset}"\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n'
    raw = HEAD + kind.encode() + octets + b"\r\n"
    assert html_of(raw).strip() == TEXT
    made = with_html(raw, louder)
    assert made != raw and html_of(made).strip() == louder(TEXT)
    assert with_html(raw, str) is raw, "nothing to change: the same octets"
    if charset != "us-ascii":  # it said less than it held
        assert shown(made) == louder(TEXT)


def mixed(*parts: bytes, boundary: bytes = b"b", kind: bytes = b"mixed", end: bytes = b"--b--\r\n") -> bytes:
    made = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return b"Content-Type: multipart/" + kind + b"; boundary=" + boundary + b"\r\n\r\nfore\r\n" + made + end


HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>a</p>"
PLAIN = b"Content-Type: text/plain\r\n\r\n<p>a</p> --b \r\n--bb"


@pytest.mark.parametrize("end", [b"--b--\r\n", b"--b--", b"--b-- \t\r\nafter\r\n", b"--b\r\n"])
def test_every_octet_outside_that_part_stays(end: bytes) -> None:
    inner = mixed(PLAIN, HTML, boundary=b"c", kind=b"alternative", end=b"--c--\r\n")
    raw = HEAD + mixed(PLAIN, inner, HTML.replace(b"\r\n", b"\r\nContent-Disposition: attachment\r\n", 1), end=end)
    made = with_html(raw, louder)
    assert made.count(b"<p>a!</p>") == 1
    old = b"--c\r\n" + HTML + b"\r\n--c--"
    before, after = raw.split(old)
    assert made.startswith(before) and made.endswith(b"\r\n--c--" + after)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        HEAD,
        HEAD + b"\r\n<p>a</p>",
        HEAD + mixed(HTML, kind=b"signed"),
        HEAD + mixed(HTML, kind=b"encrypted"),
        HEAD + mixed(HTML, boundary=b"other", end=b"").replace(b"boundary=other", b"x=y"),
        HEAD + b"Content-Type: message/rfc822\r\n\r\n" + HTML,
        HEAD + HTML.replace(b"utf-8", b"no-such"),
        HEAD + HTML.replace(b"<p>a</p>", b"<p>\xff</p>"),
        HEAD + mixed(b"\r\n<p>a</p>"),
    ],
)
def test_where_there_is_none_or_none_that_may_be_read_nothing_changes(raw: bytes) -> None:
    assert html_of(raw) == "" and with_html(raw, louder) is raw


def test_deep_nesting_ends() -> None:
    inner = HTML
    for depth in range(200):
        inner = mixed(inner, boundary=b"d%d" % depth, end=b"--d%d--\r\n" % depth)
    assert html_of(HEAD + inner) == ""
