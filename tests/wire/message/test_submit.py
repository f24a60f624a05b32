"""One From, one mailbox: what decides is what leaves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.message.headers import Mailbox
from envol.wire.message.submit import Unacceptable, read_submission


def message(*fields: bytes, body: bytes = b"Bonjour\r\n") -> bytes:
    return b"\r\n".join(fields) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("written", "understood", "line"),
    [
        (b"From: <zoe@boutique.example>", Mailbox("", "zoe@boutique.example"), b"From: zoe@boutique.example\r\n"),
        (b"From: Zoe <Zoe@Boutique.Example>", Mailbox("Zoe", "Zoe@boutique.example"), b"From: Zoe <Zoe@bout"),
        (b"from : zoe@boutique.example (de nuit)", Mailbox("", "zoe@boutique.example"), b"From: zoe@bout"),
        ("From: Zoé <zoe@boutique.example>".encode(), Mailbox("Zoé", "zoe@boutique.example"), b"From: =?utf-8?"),
        (b"From: =?utf-8?q?Zo=C3=A9?=\r\n <zoe@boutique.example>", Mailbox("Zoé", "zoe@boutique.example"), b"From: =?"),
        (b'From: "Dupont, Zoe" <zoe@boutique.example>', Mailbox("Dupont, Zoe", "zoe@boutique.example"), b'From: "Dup'),
    ],
)
def test_the_sender_is_written_anew_from_what_was_understood(written: bytes, understood: Mailbox, line: bytes) -> None:
    found = read_submission(message(b"Subject: =?utf-8?q?=C3=89t=C3=A9?=", written, b"Message-ID: <1@x.example>"))
    assert found.author == understood and found.subject == "Été" and found.message_id == "<1@x.example>"
    assert found.raw.startswith(b"Subject: =?utf-8?q?=C3=89t=C3=A9?=\r\n" + line)
    assert found.raw.count(b"zoe@") + found.raw.count(b"Zoe@") == 1 and found.raw.endswith(b"\r\n\r\nBonjour\r\n")


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ([b"Subject: x"], "5.6.0", "no From"),
        ([b"From: a@x.example", b"From: b@y.example"], "5.6.0", "two From"),
        ([b"From: a@x.example", b"Subject: x", b"subject: y"], "5.6.0", "two Subject"),
        ([b"From: a@x.example, b@y.example"], "5.7.1", "exactly one mailbox"),
        ([b"From: friends: a@x.example;"], "5.7.1", "exactly one mailbox"),
        ([b"From: undisclosed:;"], "5.7.1", "exactly one mailbox"),
        ([b"From: <a@x.example> <b@y.example>"], "5.6.0", "cannot be read"),
        ([b"From: a@x.example <b@y.example>"], "5.6.0", "cannot be read"),
        ([b'From: "security@bank.example" <a@x.example>'], "5.7.1", "looks like another address"),
        ([b'From: "a@y.example"@x.example'], "5.1.7", "quotation marks"),
        ([b"From: a@[127.0.0.1]"], "5.1.7", "IP address"),
        ([b"From: \xff\xfe <a@x.example>"], "5.6.0", "cannot be read"),
        ([b"From: " + b"x" * 1001 + b" <a@x.example>"], "5.6.0", "longer than 998"),
        ([b"From: " + b"x\r\n " * 600 + b"<a@x.example>"], "5.6.0", "longer than 1000"),
        ([b" folded", b"From: a@x.example"], "5.6.0", "folded"),
        ([b"From: a@x.example", b"no field at all"], "5.6.0", "no field"),
        ([b"From: a@x.example", b"X: a\0b"], "5.6.0", "NUL"),
        ([b"Received: by x.example"] * 101 + [b"From: a@x.example"], "5.4.6", "circles"),
        ([b"From: a@x.example", b"X: " + b"\r\n y" * 80_000], "5.3.4", "larger than"),
    ],
)  # fmt: skip
def test_what_could_be_read_twice_is_refused(fields: list[bytes], code: str, said: str) -> None:
    with pytest.raises(Unacceptable, match=said) as error:
        read_submission(message(*fields))
    assert error.value.code == code


def test_nobody_else_is_named_as_the_sender() -> None:
    found = read_submission(message(b"Sender: other@y.example", b"From: a@x.example", b"To: b@z.example"))
    assert found.raw == b"From: a@x.example\r\nTo: b@z.example\r\n\r\nBonjour\r\n"


def test_a_long_line_asks_for_an_encoding() -> None:
    with pytest.raises(Unacceptable, match="quoted-printable"):
        read_submission(message(b"From: a@x.example", body=b"x" * 999 + b"\r\n"))
    read_submission(message(b"From: a@x.example", body=b"x" * 998 + b"\r\n"))


@given(st.binary(max_size=300))
def test_any_octets_get_an_answer(raw: bytes) -> None:
    raw = raw.replace(b"\n", b"").replace(b"\r", b"\r\n")
    for whole in (raw, b"From: " + raw + b"\r\n\r\n"):
        try:
            found = read_submission(whole)
        except Unacceptable:
            continue
        again = read_submission(found.raw)
        assert again.author == found.author, "what leaves is read as what decided"
