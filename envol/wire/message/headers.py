"""Header fields as they go on the wire: checked, encoded, folded.

Every function here returns or takes `str` without the final CRLF unless it says *line*; a line is `bytes`, whole,
`Name: value CRLF`, with its folds inside. All output is 7-bit. Refusals are `ValueError` and name the field.
"""

from __future__ import annotations

import re
import unicodedata
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import idna

FOLD = 78  # RFC 5322 §2.1.1: SHOULD, without CRLF
HARD = 998  # RFC 5322 §2.1.1: MUST, without CRLF
ENCODED_LINE = 76  # RFC 2047 §2: a line that holds an encoded-word
ENCODED_WORD = 75  # RFC 2047 §2: one encoded-word

# What must never reach a header: everything some reader may take for the end of a line (C0 but TAB, NEL and the
# rest of C1, LINE and PARAGRAPH SEPARATOR), and surrogates, which no UTF-8 can carry.
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
UNKEPT = re.compile("[\x00\ud800-\udfff]")
"""What no text that is stored can hold: NUL (PostgreSQL) and half a surrogate pair (RFC 3629 §3)."""
_NAME = re.compile(r"[A-Za-z0-9-]{1,70}\Z")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")
_LOCAL = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*|\"(?:[ !#-\[\]-~]|\\[ -~])*\")"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_LOCAL})@({_LABEL}(?:\.{_LABEL})*)\Z")
_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9._-]+>\Z")
_LOOKS_LIKE_ADDRESS = re.compile(r"[^\s<>\"',;()]+@[^\s<>\"',;()]+")

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# RFC 2047 §5 (3): inside a phrase only these stand for themselves. We use the same set everywhere.
_Q = {c: c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"} | {" ": "_"}


class Mailbox(NamedTuple):
    """A person as From, To, Cc and Reply-To show them: display name (may be empty) and address."""

    name: str
    address: str


def check(field: str, value: str) -> str:
    """Give `value` back if it can stand in header `field`; the one place where header injection ends.

    RFC 5322 §2.2 forbids CR and LF in a field body. We also refuse what other readers take for a line end, so
    that no gateway in between can be made to see a second header.
    """
    if value.isascii() and value.isprintable():
        return value
    bad = _FORBIDDEN.search(value)
    if bad:
        code = f"U+{ord(bad.group()):04X}"
        raise ValueError(f"{field} holds the character {code}, which may not stand in a header; remove it.")
    return unicodedata.normalize("NFC", value)


def check_name(name: str) -> str:
    """Give a header's name back, or refuse it: letters, digits and hyphens, at most 70."""
    if not _NAME.match(name):
        raise ValueError(f"{name[:80]!r} is no header name; use letters, digits and hyphens, at most 70.")
    return name


def encoded_words(text: str, used: int) -> str:
    """Text as RFC 2047 encoded-words, one a line, joined by folds; a character is never split.

    `used` is how many octets already stand on the first line. The shorter of Q and B is taken: Q stays legible
    for languages in Latin letters, B is shorter for the rest.
    """
    raw = text.encode("utf-8")
    quoted = "".join(map(_q, text))
    first = min(ENCODED_WORD, ENCODED_LINE - used) - 12  # 12: "=?utf-8?Q?" and "?="
    lead = ""
    if first < 16:  # too little room beside the name: begin on the next line
        first, lead = ENCODED_WORD - 12, "\r\n "
    if len(quoted) <= (len(raw) + 2) // 3 * 4:
        words = _chunk_quoted(quoted, first, ENCODED_WORD - 12)
        return lead + "\r\n ".join([f"=?utf-8?Q?{word}?=" for word in words])
    pieces = _chunk_utf8(raw, first // 4 * 3, (ENCODED_WORD - 12) // 4 * 3)
    return lead + "\r\n ".join([f"=?utf-8?B?{b2a_base64(piece, newline=False).decode('ascii')}?=" for piece in pieces])


@lru_cache(maxsize=1024)
def _q(character: str) -> str:
    return _Q.get(character) or "".join([f"={octet:02X}" for octet in character.encode("utf-8")])


def _chunk_quoted(quoted: str, first: int, rest: int) -> list[str]:
    words: list[str] = []
    start, room = 0, first
    while len(quoted) - start > room:
        end = start + room
        # Not inside "=C3", nor before "=A9": a continuation octet belongs to the character before it.
        while "=" in quoted[end - 2 : end] or (quoted[end] == "=" and quoted[end + 1] in "89AB"):
            end -= 1
        words.append(quoted[start:end])
        start, room = end, rest
    words.append(quoted[start:])
    return words


def _chunk_utf8(raw: bytes, first: int, rest: int) -> list[bytes]:
    pieces: list[bytes] = []
    start, room = 0, first
    while start < len(raw):
        end = min(start + room, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:  # RFC 2047 §5: not inside a character
            end -= 1
        pieces.append(raw[start:end])
        start, room = end, rest
    return pieces


def unstructured(field: str, value: str, longest: int = FOLD - 1) -> str:
    """The body of an unstructured field (Subject, Comments, X-…): as it is, folded, or in encoded-words.

    A word of more than `longest` octets is cut into encoded-words. Identifiers would not survive that, so fields that
    may hold one (References, X-…) allow as much as a line can.
    """
    value = check(field, value)
    used = len(field) + 2
    plain = value.isascii() and value.isprintable() and "=?" not in value and value == value.strip()
    if plain and used + len(value) <= FOLD:
        return value
    if plain and "  " not in value:
        words = value.split(" ")
        if max(map(len, words)) <= longest:
            return fold(words, used)
    return encoded_words(value, used)


def fold(words: Sequence[str], used: int) -> str:
    """Words joined by a space, or by a fold where a line would pass 78; a longer word has a line to itself."""
    lead = ""
    if FOLD - used < len(words[0]) < FOLD:  # the first word fits on a line, but not beside the name
        lead, used = "\r\n ", 1
    lines = []
    line = words[0]
    for word in words[1:]:
        if used + len(line) + 1 + len(word) <= FOLD:
            line = f"{line} {word}"
        else:
            lines.append(line)
            line, used = word, 1
    lines.append(line)
    return lead + "\r\n ".join(lines)


@lru_cache(maxsize=256)
def subject_line(subject: str) -> bytes:
    """The Subject line. Cached, because most campaigns have the same subject for everybody."""
    return line("Subject", unstructured("Subject", subject))


def line(name: str, body: str) -> bytes:
    """`Name: body CRLF` from a body that is already encoded and folded."""
    text = f"{name}: {body}\r\n" if body and body[0] != "\r" else f"{name}:{body}\r\n"
    return text.encode("ascii")


def addr_spec(field: str, address: str) -> str:
    """An address as it stands in a header: ASCII, domain in lower case and as A-label (RFC 5891), local part kept.

    A local part outside ASCII needs SMTPUTF8 (RFC 6531) of every server on the way, so it is refused.
    """
    match = _ADDRESS.match(address)
    if match is None and not address.isascii():
        local, at, domain = check(field, address).rpartition("@")
        if at and not local.isascii():
            raise ValueError(f"{field}: only ASCII can stand before the @ of an address; ask for another one.")
        try:
            match = _ADDRESS.match(f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}")
        except idna.IDNAError:
            match = None
    if match is None:
        raise ValueError(f"{field} is not a complete address; write it as name@domain.")
    local, domain = match[1], match[2]
    if len(local) > 64 or len(domain) > 253:  # RFC 5321 §4.5.3.1
        raise ValueError(f"{field} is too long; at most 64 characters before the @ and 253 after it.")
    return f"{local}@{domain.lower()}"


def looks_like_other_address(name: str, address: str) -> bool:
    """Does this display name pretend to be an address that is not the one behind it?"""
    return "@" in name and any(found.group().lower() != address.lower() for found in _LOOKS_LIKE_ADDRESS.finditer(name))


def mailbox(field: str, name: str, address: str, used: int) -> str:
    """`name <address>` of RFC 5322 §3.4: the name bare, quoted or encoded as it needs, folded before the `<`."""
    address = addr_spec(field, address)
    name = check(field, name).strip() if name else ""
    if "  " in name or "\t" in name:
        name = " ".join(name.split())
    if not name:
        return address
    limit = FOLD
    if not name.isascii() or "=?" in name or len(name) > 60:
        phrase, limit = encoded_words(name, used), ENCODED_LINE
    elif _ATOMS.match(name):
        phrase = name
    else:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{escaped}"'
    if "\r\n" in phrase or used + len(phrase) + len(address) + 3 > limit:
        return f"{phrase}\r\n <{address}>"
    return f"{phrase} <{address}>"


def mailbox_line(field: str, boxes: Iterable[Mailbox]) -> bytes:
    """A line with one or more mailboxes, each on its own line after the first."""
    used = len(field) + 2
    bodies = []
    for box in boxes:
        bodies.append(mailbox(field, box.name, box.address, used))
        used = 1
    return line(field, ",\r\n ".join(bodies))


def date_line(when: datetime) -> bytes:
    """The Date line, in the zone `when` carries (RFC 5322 §3.3: always numeric). Never in the reader's language."""
    offset = when.utcoffset()
    if offset is None:
        raise ValueError("Date needs a time zone; give an aware datetime.")
    return _date_line(when.replace(microsecond=0), offset)


@lru_cache(maxsize=16)
def _date_line(when: datetime, offset: timedelta) -> bytes:
    """Many messages leave within a second. Moments that are equal in two zones are told apart by the offset."""
    minutes = round(offset.total_seconds() / 60)
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return (
        f"Date: {_DAYS[when.weekday()]}, {when.day:02d} {_MONTHS[when.month - 1]} {when.year:04d} "
        f"{when.hour:02d}:{when.minute:02d}:{when.second:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}\r\n"
    ).encode("ascii")


def message_id_line(message_id: str) -> bytes:
    """The Message-ID line; `unique@domain` with or without its angle brackets (RFC 5322 §3.6.4)."""
    if not message_id.startswith("<"):
        message_id = f"<{message_id}>"
    if not _MESSAGE_ID.match(message_id) or len(message_id) > 250:
        raise ValueError("Message-ID must read <unique@domain>, in ASCII, within 250 characters.")
    return f"Message-ID: {message_id}\r\n".encode("ascii")


def field_line(name: str, value: str) -> bytes:
    """Any other header of the caller's, name and value checked, folded."""
    return line(check_name(name), unstructured(name, value, longest=HARD - 98))


def structured_line(name: str, body: str) -> bytes:
    """A field whose body is already in its own syntax (wire.list_headers): never encoded, only checked and folded."""
    if not (body.isascii() and body.isprintable()):
        raise ValueError(f"{name} may hold printable ASCII only; check what it was made of.")
    if len(name) + 2 + len(body) > FOLD:
        body = fold(body.split(" "), len(name) + 2)
    return line(name, body)
