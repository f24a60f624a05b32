"""Composed messages are legal on the wire, and read as they were meant."""

import email
import email.policy
import quopri
import unicodedata
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire import list_headers as lh
from envol.wire.dkim import canonical_body
from envol.wire.message import Attachment, Composed, Mailbox, Skeleton, compose, read
from envol.wire.message.encoding import BASE64, QUOTED_PRINTABLE, choose, encode_text
from envol.wire.message.layout import Layout, Stretches
from envol.wire.smtp.grammar import encode_data

from .strategies import FORBIDDEN, body_text, line_of_text

WHEN = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SENDER = Mailbox("Librairie Élan", "bonjour@news.shop.example")
ANNA = Mailbox("Anna", "anna@mail.example")


def note(**changed: Any) -> Composed:
    """A message with everything it needs, and `changed` on top."""
    fields: dict[str, Any] = {
        "sender": SENDER,
        "to": [ANNA],
        "subject": "Bonjour",
        "text": "Bonjour Anna",
        "html": "<p>Bonjour Anna</p>",
        "message_id": "1@news.shop.example",
        "date": WHEN,
    }
    return compose(**(fields | changed))


def parsed(message: Composed) -> email.message.EmailMessage:
    out = email.message_from_bytes(message.to_bytes(), policy=email.policy.default)
    for part in out.walk():
        assert not part.defects
    return out


def assert_legal(raw: bytes) -> None:
    raw.decode("ascii")
    assert raw.count(b"\r\n") == raw.count(b"\r") == raw.count(b"\n")
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))


def shape(part: email.message.EmailMessage) -> Any:
    if part.is_multipart():
        return (part.get_content_subtype(), [shape(p) for p in part.iter_parts()])
    return part.get_content_type()


def lines_of(text: str) -> str:
    """A text as it must arrive: line ends unified, the last line ended, no byte order mark."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


@pytest.mark.parametrize("encoding", [QUOTED_PRINTABLE, BASE64])
@given(text=body_text)
def test_any_text_arrives_whole_in_short_lines(encoding: str, text: str) -> None:
    out = encode_text(text, encoding)
    assert_legal(out)
    assert all(len(line) <= 76 for line in out.split(b"\r\n"))
    assert not any(line.endswith((b" ", b"\t")) for line in out.split(b"\r\n"))
    raw = quopri.decodestring(out) if encoding == QUOTED_PRINTABLE else b64decode(out)
    assert raw.decode().replace("\r\n", "\n") == lines_of(text).encode("utf-8", "replace").decode()


def test_no_line_of_a_text_begins_with_from() -> None:
    for text in ("From here", "a\nFrom here\n", "x" * 75 + "From here and on " * 9):
        out = encode_text(text, QUOTED_PRINTABLE)
        assert not any(line.startswith(b"From ") for line in out.split(b"\r\n"))
        assert quopri.decodestring(out).decode().replace("\r\n", "\n") == lines_of(text)


def test_a_blank_at_the_end_of_a_full_line_does_not_make_it_too_long() -> None:
    for length in range(60, 90):
        for blank in " \t":
            out = encode_text("x" * length + blank + "\nnext", QUOTED_PRINTABLE)
            assert max(map(len, out.split(b"\r\n"))) <= 76


def test_base64_is_chosen_when_more_than_thirty_percent_is_not_ascii() -> None:
    assert choose("Élodie, une sélection de livres à découvrir") == QUOTED_PRINTABLE
    assert choose("a" * 70 + "é" * 15) == QUOTED_PRINTABLE
    assert choose("a" * 69 + "é" * 16) == BASE64
    assert choose("Καλημέρα σας") == BASE64


@given(text=body_text, html=body_text, subject=line_of_text, name=line_of_text)
def test_any_message_is_legal_and_reads_as_written(text: str, html: str, subject: str, name: str) -> None:
    message = note(text=text, html=html, subject=subject, to=[Mailbox(name, "anna@mail.example")])
    assert_legal(message.to_bytes())
    seen = parsed(message)
    assert shape(seen) == ("alternative", ["text/plain", "text/html"])
    parts = [p.get_content().encode("utf-8", "replace").decode() for p in seen.iter_parts()]
    # The CRLF before a boundary belongs to the boundary, so the last line end of a part is not read back.
    for got, sent in zip(parts, (text, html), strict=True):
        wanted = lines_of(sent).encode("utf-8", "replace").decode()
        assert got.replace("\r\n", "\n") in (wanted, wanted[:-1])


FILE = Attachment("catalogue.pdf", bytes(range(256)) * 3, "application/pdf")
LOGO = Attachment("logo.png", b"\x89PNG" * 40, "image/png", content_id="logo@shop.example")


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"html": None}, "text/plain"),
        ({"text": None}, "text/html"),
        ({}, ("alternative", ["text/plain", "text/html"])),
        ({"attachments": [LOGO]}, ("alternative", ["text/plain", ("related", ["text/html", "image/png"])])),
        (
            {"attachments": [FILE, LOGO]},
            (
                "mixed",
                [
                    ("alternative", ["text/plain", ("related", ["text/html", "image/png"])]),
                    "application/pdf",
                ],
            ),
        ),
        ({"html": None, "attachments": [FILE, FILE]}, ("mixed", ["text/plain", "application/pdf", "application/pdf"])),
        ({"text": None, "attachments": [LOGO]}, ("related", ["text/html", "image/png"])),
        (
            {"text": "", "html": "", "attachments": [FILE]},
            ("mixed", [("alternative", ["text/plain", "text/html"]), "application/pdf"]),
        ),
    ],
)
def test_the_tree_of_parts_is_the_one_readers_understand_best(changed: dict[str, Any], wanted: Any) -> None:
    message = note(**changed)
    assert_legal(message.to_bytes())
    assert shape(parsed(message)) == wanted
    for part in parsed(message).walk():
        if not part.is_multipart() and part.get_filename():
            sent = {"catalogue.pdf": FILE, "logo.png": LOGO}[part.get_filename()]
            assert part.get_content() == sent.content
            if sent is LOGO:
                assert part["Content-ID"] == "<logo@shop.example>"
                assert part.get_content_disposition() == "inline"


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=60))
def test_a_file_keeps_its_name(name: str) -> None:
    wanted = unicodedata.normalize("NFC", name).replace("/", "_").replace("\\", "_").strip()
    if not wanted:
        with pytest.raises(ValueError, match="Attachment name"):
            Attachment(name, b"x").encode()
        return
    raw = note(html=None, attachments=[Attachment(name, b"x")]).to_bytes()
    assert_legal(raw)
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    (file,) = read(raw).attachments
    assert file.filename == wanted


def test_a_file_has_a_plain_name_for_old_readers() -> None:
    raw = note(html=None, attachments=[Attachment("Été 2026.pdf", b"x")]).to_bytes()
    assert b"filename*=utf-8''%C3%89t%C3%A9%202026.pdf;\r\n filename=\"Ete 2026.pdf\"\r\n" in raw


@pytest.mark.parametrize("kind", ["message/rfc822", "multipart/mixed", "image/png\r\nX: y", "text/html; a=b", "pdf"])
def test_a_type_that_base64_may_not_carry_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="application/octet-stream"):
        note(attachments=[Attachment("a", b"x", kind)])


@pytest.mark.parametrize("bad", FORBIDDEN)
def test_no_line_end_enters_a_message_through_any_argument(bad: str) -> None:
    evil = f"x{bad}Bcc: eve"
    for changed in (
        {"subject": evil},
        {"sender": Mailbox(evil, SENDER.address)},
        {"sender": Mailbox("", evil)},
        {"to": [Mailbox(evil, ANNA.address)]},
        {"to": [Mailbox("", evil)]},
        {"cc": [Mailbox(evil, ANNA.address)]},
        {"reply_to": [Mailbox(evil, ANNA.address)]},
        {"reply_to": [Mailbox("", evil)]},
        {"message_id": evil},
        {"list_id": evil},
        {"feedback_id": evil},
        {"auto_submitted": evil},
        {"list_unsubscribe_url": f"https://u.example/{evil}"},
        {"list_unsubscribe_url": "https://u.example/", "list_unsubscribe_mailto": evil},
        {"extra": [("X-Campaign", evil)]},
        {"extra": [(evil, "value")]},
        {"attachments": [Attachment(evil, b"x")]},
        {"attachments": [Attachment("a", b"x", evil)]},
        {"attachments": [Attachment("a", b"x", "image/png", evil)]},
    ):
        with pytest.raises(ValueError):
            note(**changed)


@pytest.mark.parametrize("name", ["From", "subject", "DKIM-Signature", "Bcc", "Content-Type", "List-Unsubscribe"])
def test_an_extra_header_cannot_repeat_one_of_ours(name: str) -> None:
    with pytest.raises(ValueError, match="leave it out"):
        note(extra=[(name, "x")])


def test_the_headers_of_a_newsletter() -> None:
    message = note(
        cc=[Mailbox("Ben", "ben@mail.example")],
        reply_to=[Mailbox("Service", "aide@shop.example")],
        list_unsubscribe_url="https://u.shop.example/u/abc",
        list_unsubscribe_mailto="u+abc@shop.example",
        list_id=lh.list_id("news.shop.example", "La lettre"),
        feedback_id=lh.feedback_id("c1", "w1", "marketing", "envol1"),
        auto_submitted=lh.AUTO_GENERATED,
        extra=[("X-Campaign", "7")],
    )
    seen = parsed(message)
    assert seen["List-Unsubscribe"] == "<https://u.shop.example/u/abc>, <mailto:u+abc@shop.example>"
    assert seen["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert seen["List-Id"] == "La lettre <news.shop.example>"
    assert seen["Feedback-ID"] == "c1:w1:marketing:envol1"
    assert seen["Auto-Submitted"] == "auto-generated"
    assert seen["X-Campaign"] == "7"
    assert seen["Cc"] == "Ben <ben@mail.example>"
    assert seen["Reply-To"] == "Service <aide@shop.example>"
    assert seen["MIME-Version"] == "1.0"
    names = [line.split(b":")[0].lower() for line in message.headers]
    assert len(names) == len(set(names))


def skeleton(**changed: Any) -> Skeleton:
    fields: dict[str, Any] = {
        "from_name": SENDER.name,
        "from_address": SENDER.address,
        "text_sample": "Bonjour {{ name }}",
        "html_sample": "<p>Bonjour {{ name }}</p>",
    }
    return Skeleton(**(fields | changed))


def rendered(made: Skeleton, **changed: Any) -> Composed:
    fields: dict[str, Any] = {
        "to_name": "Anna",
        "to_address": "anna@mail.example",
        "subject": "Bonjour",
        "text_body": "Bonjour Anna",
        "html_body": "<p>Bonjour Anna</p>",
        "message_id": "1@news.shop.example",
        "date": WHEN,
    }
    return made.render(**(fields | changed))


def test_a_skeleton_gives_what_compose_gives() -> None:
    assert rendered(skeleton()).to_bytes() == note().to_bytes()


def test_the_same_person_gets_the_same_bytes_again() -> None:
    made = skeleton()
    first = rendered(made).to_bytes()
    other = rendered(made, to_name="Ben", to_address="ben@mail.example", html_body="<p>Bonjour Ben</p>\n").to_bytes()
    assert rendered(made).to_bytes() == first == rendered(skeleton()).to_bytes() != other


def test_a_recipient_whose_name_shows_another_address_gets_the_mail_without_the_name() -> None:
    message = rendered(skeleton(), to_name="support@bank.example")
    assert b"To: anna@mail.example\r\n" in message.headers


def test_a_sender_whose_name_shows_another_address_is_refused() -> None:
    with pytest.raises(ValueError, match="^From"):
        skeleton(from_name="support@bank.example")


def test_a_person_gets_exactly_the_parts_of_the_version() -> None:
    with pytest.raises(ValueError, match="HTML"):
        rendered(skeleton(), html_body=None)
    with pytest.raises(ValueError, match="text"):
        rendered(skeleton(text_sample=None))
    with pytest.raises(ValueError, match="at least one"):
        skeleton(text_sample=None, html_sample=None)
    with pytest.raises(ValueError, match="HTML"):
        skeleton(html_sample=None, attachments=[LOGO])


a_word = st.text("abcXYZ019-_", min_size=1, max_size=75)
a_stretch = st.one_of(
    st.text("ab =.\t\n\ré<>", max_size=200), st.sampled_from(["From ", ".", "\n.\n", "=\n"]), body_text
)


@given(st.data())
def test_a_body_filled_piece_by_piece_says_what_the_whole_text_says(data: st.DataObject) -> None:
    plain = data.draw(st.lists(st.booleans(), max_size=6))
    constants = data.draw(st.lists(a_stretch, min_size=len(plain) + 1, max_size=len(plain) + 1))
    made = Layout([b"--before\r\n", Stretches(constants, plain), b"--after--\r\n"])
    for _ in range(2):
        values = [data.draw(a_word if word else a_stretch) for word in plain]
        filled = made.fill([v.encode() if word else v for v, word in zip(values, plain, strict=True)])
        out = filled.body.removeprefix(b"--before\r\n").removesuffix(b"--after--\r\n")
        assert_legal(out)
        assert all(len(line) <= 76 for line in out.split(b"\r\n"))
        assert not any(line.endswith((b" ", b"\t")) or line.startswith(b"From ") for line in out.split(b"\r\n"))
        # Line ends are read stretch by stretch: a CR that ends one and a LF that begins the next are two.
        pieces = [constants[0].removeprefix("\ufeff")]
        for value, constant in zip(values, constants[1:], strict=True):
            pieces += [value, constant]
        pieces = [piece.replace("\r\n", "\n").replace("\r", "\n") for piece in pieces]
        wanted = "".join(pieces) + "\n" * (not pieces[-1].endswith("\n"))
        decoded = quopri.decodestring(out).decode().replace("\r\n", "\n")
        assert decoded == wanted.encode("utf-8", "replace").decode()
        assert filled.canonical == canonical_body(filled.body)
        assert filled.stuffed + b".\r\n" == encode_data(filled.body)


def test_a_stretch_that_fills_its_last_line_leaves_room_for_the_soft_break() -> None:
    for length in range(60, 180):
        for end in ("x", "é", "=", " ", "\t", "\n"):
            constant = "y" * length + end
            for plain in (False, True):
                made = Layout([Stretches([constant, constant], [plain])])
                out = made.fill([b"Anna" if plain else "Anna"]).body
                assert max(map(len, out.split(b"\r\n"))) <= 76
                wanted = f"{constant}Anna{constant}"
                assert quopri.decodestring(out).decode().replace("\r\n", "\n") == wanted + "\n" * (end != "\n")


def test_a_text_without_gaps_is_written_as_a_whole_text() -> None:
    text = "Une phrase assez longue pour être coupée en plusieurs lignes. " * 9
    assert Layout([Stretches([text], [])]).fill([]).body == encode_text(text, QUOTED_PRINTABLE)


def test_a_body_wants_a_value_for_each_gap() -> None:
    with pytest.raises(ValueError, match="1 gaps"):
        Layout([Stretches(["a", "b"], [False])]).fill([])


def test_a_part_in_base64_is_written_whole() -> None:
    assert skeleton(text_sample="Добрый день").layout(Stretches(["a"], []), Stretches(["b"], [])) is None
    assert skeleton().layout(Stretches(["a"], []), Stretches(["b"], [])) is not None
    with pytest.raises(ValueError, match="HTML"):
        skeleton().layout(Stretches(["a"], []), None)


@given(st.lists(body_text, min_size=2, max_size=4))
def test_what_one_person_got_never_shows_in_the_mail_of_the_next(bodies: list[str]) -> None:
    sample = "<style>" + "p { margin: 0 }\n" * 30 + "{{ name }}" + "<p>address</p>\n" * 30
    made = skeleton(text_sample=sample, html_sample=sample)
    for body in bodies:
        text = sample.replace("{{ name }}", body)
        fresh = skeleton(text_sample=sample, html_sample=sample)
        assert rendered(made, text_body=text, html_body=text) == rendered(fresh, text_body=text, html_body=text)
