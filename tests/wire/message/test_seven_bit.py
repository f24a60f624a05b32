"""What a program wrote in eight bits leaves in seven, and reads the same (RFC 6152 §3, RFC 2047)."""

from __future__ import annotations

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from envol.wire.message import read
from envol.wire.message.seven_bit import seven_bits


def crlf(text: str, charset: str = "utf-8") -> bytes:
    return text.replace("\n", "\r\n").encode(charset)


def test_text_and_header_read_the_same() -> None:
    raw = crlf(
        'From: Zoé Lefèvre <zoe@un.example>\nTo: "Lefèvre, Benoît" <b@un.example>, Marc <m@un.example>\n'
        "Subject: Été à\n la mer\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
        "Content-Transfer-Encoding: 8bit\n\nBonjour Zoé,\nfrom here = there\n.\nà bientôt\n"
    )
    made = seven_bits(raw)
    assert made.isascii() and b"\n" not in made.replace(b"\r\n", b"")
    found = read(made)
    assert found.text == "Bonjour Zoé,\nfrom here = there\n.\nà bientôt\n"
    assert found.subject == "Été à la mer"
    parsed = email.message_from_bytes(made, policy=email.policy.default)
    assert [(a.display_name, a.addr_spec) for a in parsed["To"].addresses] == [
        ("Lefèvre, Benoît", "b@un.example"),
        ("Marc", "m@un.example"),
    ]
    assert parsed["From"].addresses[0].display_name == "Zoé Lefèvre"


def test_another_character_set_keeps_its_octets() -> None:
    raw = crlf("MIME-Version: 1.0\nContent-Type: text/plain; charset=iso-8859-1\n\nÉté\n", "iso-8859-1")
    made = seven_bits(raw)
    assert made.isascii() and read(made).text == "Été\n"


def test_only_what_is_in_eight_bits_is_touched() -> None:
    raw = crlf(
        'Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n'
        "Content-Transfer-Encoding: 8bit\n\n"
        "--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nÀ\n"
        "--b\nContent-Type: text/plain\nX-Kept: as   it is\n\nplain  \n"
        "--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\nAAEC\n--b--\n"
    )
    made = seven_bits(raw)
    assert made.isascii()
    assert b"Content-Type: text/plain\r\nX-Kept: as   it is\r\n\r\nplain  \r\n" in made
    assert b"\r\n\r\nAAEC\r\n--b--" in made
    assert b"8bit" not in made


def test_seven_bits_stay_as_they_are() -> None:
    raw = crlf("Subject:  odd\n\tfold\n\nbody =20 \n")
    assert seven_bits(raw) == raw


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_comes_it_is_ascii_afterwards(head: bytes, body: bytes) -> None:
    assert seven_bits(b"Subject: " + head.replace(b"\r", b"").replace(b"\n", b"") + b"\r\n\r\n" + body).isascii()
