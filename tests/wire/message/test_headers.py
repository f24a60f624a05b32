"""Header fields survive the road: what a person wrote is what another person's program shows."""

import email
import email.policy
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.utils import parseaddr, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire.message import headers as h
from envol.wire.message.headers import Mailbox

from .strategies import FORBIDDEN, line_of_text, poisoned


def parsed(line: bytes) -> email.message.EmailMessage:
    message = email.message_from_bytes(line + b"\r\n", policy=email.policy.default)
    assert not message.defects
    return message


def assert_lines_are_legal(line: bytes) -> None:
    assert line.endswith(b"\r\n")
    line.decode("ascii")
    bare = line.replace(b"\r\n", b"")
    assert b"\r" not in bare and b"\n" not in bare
    for part in line[:-2].split(b"\r\n"):
        assert len(part) <= 998
        assert part.strip(b" \t") or part == line[:-2]
        if b"=?utf-8?" in part:
            assert len(part) <= 76
            for word in part.split():
                if word.startswith(b"=?utf-8?"):
                    assert len(word.rstrip(b",")) <= 75


@given(line_of_text)
def test_a_subject_is_read_back_as_it_was_written(subject: str) -> None:
    line = h.subject_line(subject)
    assert_lines_are_legal(line)
    wanted = unicodedata.normalize("NFC", subject)
    assert parsed(line)["Subject"] == wanted
    assert all(len(part) <= 78 for part in line.split(b"\r\n"))


@given(st.text(st.characters(min_codepoint=0x80, blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1))
def test_no_encoded_word_splits_a_character(subject: str) -> None:
    for word in h.subject_line(subject).split()[1:]:
        ((raw, charset),) = decode_header(word.decode())
        assert charset == "utf-8"
        raw.decode("utf-8")  # raises if a character was cut


@given(line_of_text)
def test_a_display_name_is_read_back_as_it_was_written(name: str) -> None:
    line = h.mailbox_line("To", [Mailbox(name, "anna@mail.example")])
    assert_lines_are_legal(line)
    # Not the standard policy: it puts a blank between encoded-words of a phrase, against RFC 2047 §6.2.
    phrase, address = parseaddr(line[4:].decode().replace("\r\n", ""))
    assert address == "anna@mail.example"
    shown = str(make_header(decode_header(phrase)))
    # A run of blanks means no more than one, for people and for parsers.
    assert " ".join(shown.split()) == " ".join(unicodedata.normalize("NFC", name).split())


@given(st.lists(line_of_text, min_size=1, max_size=8))
def test_many_recipients_stay_as_many(names: list[str]) -> None:
    line = h.mailbox_line("Cc", [Mailbox(n, f"p{i}@mail.example") for i, n in enumerate(names)])
    assert_lines_are_legal(line)
    assert [a.addr_spec for a in parsed(line)["Cc"].addresses] == [f"p{i}@mail.example" for i in range(len(names))]


@given(st.lists(st.text("abcXYZ019=?<>:;,", min_size=1, max_size=300), min_size=1, max_size=30))
def test_a_long_header_is_folded_between_words(words: list[str]) -> None:
    value = " ".join(words)
    line = h.field_line("X-Trace", value)
    assert_lines_are_legal(line)
    assert parsed(line)["X-Trace"] == value


def test_an_identifier_longer_than_a_line_is_kept_whole() -> None:
    identifier = "<" + "a" * 200 + "@mail.example>"
    assert h.field_line("References", f"<1@x.example> {identifier}") == (
        f"References: <1@x.example>\r\n {identifier}\r\n".encode()
    )


@pytest.mark.parametrize("bad", FORBIDDEN)
@given(data=st.data())
def test_no_line_end_enters_any_field(bad: str, data: st.DataObject) -> None:
    text = data.draw(poisoned(bad))
    with pytest.raises(ValueError, match="Subject"):
        h.subject_line(text)
    with pytest.raises(ValueError, match="X-Campaign"):
        h.field_line("X-Campaign", text)
    with pytest.raises(ValueError, match="is no header name"):
        h.field_line(text, "value")
    with pytest.raises(ValueError, match="To"):
        h.mailbox_line("To", [Mailbox(text, "anna@mail.example")])
    with pytest.raises(ValueError, match="Reply-To"):
        h.mailbox_line("Reply-To", [Mailbox("", f"anna{bad}@mail.example")])
    with pytest.raises(ValueError, match="Reply-To"):
        h.mailbox_line("Reply-To", [Mailbox("", f"anna@mail.example{bad}")])
    with pytest.raises(ValueError, match="Message-ID"):
        h.message_id_line(f"<1{bad}@mail.example>")
    with pytest.raises(ValueError, match="Message-ID"):
        h.message_id_line(f"1@mail.example{bad}")
    with pytest.raises(ValueError, match="List-Id"):
        h.structured_line("List-Id", f"<a.example>{bad}")


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "Sujet-é", "X_Y", "a" * 71, "X\r\nY", "X\n"])
def test_a_header_name_is_letters_digits_and_hyphens(name: str) -> None:
    with pytest.raises(ValueError, match="is no header name"):
        h.field_line(name, "value")


@pytest.mark.parametrize(
    ("written", "wire"),
    [
        ("Anna.Maria@MAIL.Example", "Anna.Maria@mail.example"),
        ("anna+news@mail.example", "anna+news@mail.example"),
        ('"anna maria"@mail.example', '"anna maria"@mail.example'),
        ("anna@bücher.example", "anna@xn--bcher-kva.example"),
        ("o'neil@mail.example", "o'neil@mail.example"),
    ],
)
def test_an_address_keeps_its_local_part_and_lowers_its_domain(written: str, wire: str) -> None:
    assert h.addr_spec("To", written) == wire


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "@mail.example",
        "anna@",
        "a@b@c.example",
        "anna@mail..example",
        "anna @mail.example",
        "anna@mail.example>",
        "<anna@mail.example>",
        "anna@-mail.example",
        "élodie@mail.example",
        "a" * 65 + "@mail.example",
        "anna@mail.example, eve@else.example",
        ".anna@mail.example",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="^To"):
        h.addr_spec("To", address)


def test_a_name_that_shows_another_address_is_seen() -> None:
    assert h.looks_like_other_address("support@bank.example", "eve@else.example")
    assert not h.looks_like_other_address("Eve@Else.example", "eve@else.example")
    assert not h.looks_like_other_address("Eve @ home", "eve@else.example")


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2100, 1, 1)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
def test_a_date_is_read_back(naive: datetime, minutes: int) -> None:
    when = naive.replace(microsecond=0, tzinfo=timezone(timedelta(minutes=minutes)))
    line = h.date_line(when)
    assert parsedate_to_datetime(line.decode()[6:].strip()) == when


def test_a_date_is_written_as_the_standard_shows_it() -> None:
    assert h.date_line(datetime(2026, 11, 3, 9, 5, 7, tzinfo=UTC)) == b"Date: Tue, 03 Nov 2026 09:05:07 +0000\r\n"
    with pytest.raises(ValueError, match="time zone"):
        h.date_line(datetime(2026, 11, 3))
