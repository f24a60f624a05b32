"""Signed links: what a URL of ours points at, without saying it.

A token is 32 octets: a 128-bit code over (kind, sending, no, link), then these four hidden under a mask made
from the code. It is the idea of SIV (RFC 5297) with keyed BLAKE2b (RFC 7693) as both functions, three times as
fast as HMAC-SHA256 on 16 octets, and a message may carry twenty tokens. The same arguments always give the same
token, nobody without the installation's secret can read, count or forge one, and no table of tokens is needed.
The target of a click is looked up from the sending's version, never taken from the URL, so a link of ours cannot
be made to lead elsewhere.

    /c/T click   /o/T pixel   /u/T unsubscribe   /p/T preferences (of a message, or of a person)   /w/T web version
    /i/T the question why somebody reads so little   /d/T what becomes of a post to a mailing list

A token without a person (``no`` is None) measures in sum: it is the same for everybody in the sending.
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from hashlib import blake2b
from hmac import compare_digest
from typing import NamedTuple

from envol.accounts.keys import derive


class Kind(StrEnum):
    CLICK = "click"
    OPEN = "open"
    UNSUBSCRIBE = "unsubscribe"
    PREFERENCES = "preferences"
    WEB = "web"
    RETURN_PATH = "return_path"
    MESSAGE = "message"
    PERSON = "person"
    SURVEY = "survey"
    MODERATION = "moderation"  # of a post to a mailing list: post and moderator
    LETTER = "letter"  # a click in a single message, naming nobody: ``no`` is the message's number


class Target(NamedTuple):
    """What a token means. ``no`` is None where it names nobody; ``link`` is 0 but for clicks."""

    kind: Kind
    sending_id: int
    no: int | None
    link: int = 0


PATHS = {
    Kind.CLICK: "c",
    Kind.LETTER: "c",
    Kind.OPEN: "o",
    Kind.UNSUBSCRIBE: "u",
    Kind.PREFERENCES: "p",
    Kind.WEB: "w",
    Kind.PERSON: "p",
    Kind.SURVEY: "i",
    Kind.MODERATION: "d",
}
# Numbers on the wire: never reused, because old mail keeps its links for years.
_CODES = {kind: code for code, kind in enumerate(Kind, 1)}
_KINDS = {code: kind for kind, code in _CODES.items()}
KNOWN = "p"
"""By this name an address of a form carries whom it was given to: a token of preferences or of a person."""
COMPLAINTS = "fbl"
"""Local part of the address at which complaints are taken, of a domain that takes reverse-paths."""
_MAX_SENDING, _MAX_NO, _MAX_LINK = 2**40, 2**56, 2**16


@cache
def _keyed() -> tuple[Callable[[], blake2b], Callable[[], blake2b]]:
    """How to begin both functions: a copy of the state that has taken its key in costs half of keying a new one."""
    return (
        blake2b(key=derive("links authentication"), digest_size=16).copy,
        blake2b(key=derive("links mask"), digest_size=16).copy,
    )


def _tag(plain: int) -> bytes:
    state = _keyed()[0]()
    state.update(plain.to_bytes(16, "big"))
    return state.digest()


def _stream(tag: bytes) -> bytes:
    state = _keyed()[1]()
    state.update(tag)
    return state.digest()


def _check(sending_id: int, no: int | None, link: int) -> None:
    if not (0 < sending_id < _MAX_SENDING and 0 <= (no or 0) < _MAX_NO and 0 <= link < _MAX_LINK):
        raise ValueError("A link needs a sending, a person and a link number that fit 40, 56 and 16 bits.")


def _seal(code: int, sending_id: int, no: int | None, link: int) -> bytes:
    _check(sending_id, no, link)
    plain = code << 112 | sending_id << 72 | (no or 0) << 16 | link
    tag = _tag(plain)
    return tag + (plain ^ int.from_bytes(_stream(tag), "big")).to_bytes(16, "big")


def _open(raw: bytes) -> Target | None:
    tag = raw[:16]
    plain = int.from_bytes(raw[16:], "big") ^ int.from_bytes(_stream(tag), "big")
    if not compare_digest(tag, _tag(plain)):
        return None
    kind = _KINDS.get(plain >> 112)
    if kind is None:
        return None
    return Target(kind, plain >> 72 & _MAX_SENDING - 1, (plain >> 16 & _MAX_NO - 1) or None, plain & _MAX_LINK - 1)


def token(kind: Kind, sending_id: int, no: int | None = None, link: int = 0) -> str:
    """43 characters of base64url (RFC 4648 §5); ValueError only for numbers out of range."""
    raw = _seal(_CODES[kind], sending_id, no, link)
    return b2a_base64(raw, newline=False).translate(_URL_SAFE)[:43].decode("ascii")


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_PLAIN = str.maketrans("-_", "+/")


def read(token: object, *kinds: Kind) -> Target | None:
    """What a token points at, or None when it is not ours, was changed, or is not one of ``kinds``.

    Takes anything and never raises; constant time in what matters (the comparison of the code).
    """
    if not isinstance(token, str) or len(token) != 43 or not token.isascii():
        return None
    try:
        raw = a2b_base64(token.translate(_PLAIN) + "=")
    except (Base64Error, ValueError):
        return None
    # Base64 has spare bits and lenient readers: only the one spelling we wrote is ours.
    if len(raw) != 32 or b2a_base64(raw, newline=False).translate(_URL_SAFE)[:43] != token.encode("ascii"):
        return None
    target = _open(raw)
    return target if target is not None and (not kinds or target.kind in kinds) else None


def click_token(sending_id: int, no: int | None, link: int) -> str:
    return token(Kind.CLICK, sending_id, no, link)


class Tokens:
    """The tokens of one message, always the same kinds and links: each as `token` gives it, in half the time."""

    def __init__(self, sending_id: int, wanted: Sequence[tuple[Kind, int]]) -> None:
        for _, link in wanted:
            _check(sending_id, 0, link)
        self._plain = [_CODES[kind] << 112 | sending_id << 72 | link for kind, link in wanted]

    def __call__(self, no: int) -> list[bytes]:
        """In the order of what is wanted, each 43 octets."""
        _check(1, no, 0)
        authentication, mask = _keyed()
        shifted = no << 16
        raw = []
        for plain in self._plain:
            plain |= shifted
            state = authentication()
            state.update(plain.to_bytes(16, "big"))
            tag = state.digest()
            state = mask()
            state.update(tag)
            raw += [tag, (plain ^ int.from_bytes(state.digest(), "big")).to_bytes(16, "big"), b"\0"]
        # 33 octets are 44 characters; the zero octet shows only in the last, which is cut off.
        coded = b2a_base64(b"".join(raw), newline=False).translate(_URL_SAFE)
        return [coded[at : at + 43] for at in range(0, len(coded), 44)]


def open_token(sending_id: int, no: int | None = None) -> str:
    return token(Kind.OPEN, sending_id, no)


def unsubscribe_token(sending_id: int, no: int) -> str:
    return token(Kind.UNSUBSCRIBE, sending_id, no)


def preferences_token(sending_id: int, no: int) -> str:
    return token(Kind.PREFERENCES, sending_id, no)


def person_token(workspace_id: int, contact_id: int) -> str:
    """The preferences of somebody who holds no message of ours yet: she has just confirmed her address."""
    return token(Kind.PERSON, workspace_id, contact_id)


def survey_token(sending_id: int, no: int) -> str:
    """The question why she reads so little, asked by a message."""
    return token(Kind.SURVEY, sending_id, no)


def web_token(sending_id: int, no: int) -> str:
    return token(Kind.WEB, sending_id, no)


def to_form(url: str, base_url: str, sending_id: int, no: int | None) -> str:
    """An address of a sign-up form of ours, with who was sent there; any other address as it is."""
    if no is None or not url.startswith(f"{base_url.rstrip('/')}/s/"):
        return url
    address, mark, fragment = url.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{KNOWN}={preferences_token(sending_id, no)}{mark}{fragment}"


def url(base_url: str, kind: Kind, sending_id: int, no: int | None = None, link: int = 0) -> str:
    """The whole address: ``base_url`` comes from the settings only, never from a request."""
    return f"{base_url.rstrip('/')}/{PATHS[kind]}/{token(kind, sending_id, no, link)}"


def message_id(sending_id: int, no: int, domain: str) -> str:
    """Message-ID without its angle brackets: the same at every try (RFC 5322 §3.6.4), and readable by us alone."""
    return f"{token(Kind.MESSAGE, sending_id, no)}@{domain}"


def return_path(sending_id: int, no: int, domain: str) -> str:
    """The reverse-path that brings a bounce home; signed, so that a forged one suppresses nobody.

    Hexadecimal, because some hosts change the case of local parts, and without the octets that are always zero
    here: 60 characters of the 64 that RFC 5321 §4.5.3.1.1 allows.
    """
    raw = _seal(_CODES[Kind.RETURN_PATH], sending_id, no, 0)
    return f"b+{raw[:16].hex()}{raw[17:30].hex()}@{domain}"


def unsubscribe_address(token: str, domain: str) -> str:
    """The address by which a person leaves (RFC 2369 §3.2), for an unsubscribe token; short and blind to case as
    `return_path`."""
    raw = a2b_base64(token.translate(_PLAIN) + "=")
    return f"u+{raw[:16].hex()}{raw[17:30].hex()}@{domain}"


def read_return_path(address: object) -> Target | None:
    """The recipient a bounce to ``address`` (whole, or its local part) speaks of; None when it is not ours."""
    return _read_address(address, "b+", Kind.RETURN_PATH)


def read_unsubscribe_address(address: object) -> Target | None:
    """Who leaves by a mail to ``address``; None when it is not ours."""
    return _read_address(address, "u+", Kind.UNSUBSCRIBE)


def _read_address(address: object, mark: str, kind: Kind) -> Target | None:
    if not isinstance(address, str) or not address.isascii():
        return None
    local = address.partition("@")[0].lower()
    if not local.startswith(mark) or not _SHORT.fullmatch(local, 2):
        return None
    short = bytes.fromhex(local[2:])
    stream = _stream(short[:16])
    target = _open(short[:16] + stream[:1] + short[16:] + stream[14:])
    return target if target is not None and target.kind is kind else None


_SHORT = re.compile(r"[0-9a-f]{58}")


def read_message_id(value: object) -> Target | None:
    """The recipient a Message-ID of ours (with or without brackets) belongs to, for DSNs that keep only that."""
    if not isinstance(value, str):
        return None
    return read(value.strip().removeprefix("<").partition("@")[0], Kind.MESSAGE)
