"""The HTML of a whole message, read and changed in place: every octet outside that one part stays as it came.

What somebody signed or encrypted (RFC 1847) is not looked into: a changed octet would break it.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64, a2b_qp
from collections.abc import Callable
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from itertools import pairwise
from typing import Any, NamedTuple

from .encoding import BASE64, QUOTED_PRINTABLE, encode_base64, encode_text

DEEPEST = 50
_SEALED = frozenset({"multipart/signed", "multipart/encrypted", "multipart/report"})
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_ENCODING = re.compile(rb"^content-transfer-encoding[ \t]*:(?:.|\r\n(?=[ \t]))*\r\n", re.IGNORECASE | re.MULTILINE)
_headers = BytesHeaderParser(policy=compat32)


class _Part(NamedTuple):
    """Where it stands in the message: its header from `begins`, its body from `body` to `ends`."""

    begins: int
    body: int
    ends: int
    encoding: str
    charset: str


def html_of(raw: bytes) -> str:
    """The first HTML part that a reader is shown; empty where there is none, or none that can be read."""
    part = _find(raw, 0, len(raw), 0)
    return "" if part is None else _text(raw, part) or ""


def with_html(raw: bytes, change: Callable[[str], str]) -> bytes:
    """The message with that part changed; the same octets where there is nothing to change."""
    part = _find(raw, 0, len(raw), 0)
    text = None if part is None else _text(raw, part)
    if part is None or not text or (made := change(text)) == text:
        return raw
    head = raw[part.begins : part.body]
    if part.encoding != BASE64 and part.charset in _UTF8:
        encoding, body = QUOTED_PRINTABLE, encode_text(made, QUOTED_PRINTABLE)
    else:
        try:
            encoding, body = BASE64, encode_base64(made.encode(part.charset))
        except UnicodeEncodeError:
            return raw
    if encoding != part.encoding:
        line = f"Content-Transfer-Encoding: {encoding}\r\n".encode()
        head = line + _ENCODING.sub(b"", head)
    return raw[: part.begins] + head + body + raw[part.ends :]


def _find(raw: bytes, begins: int, ends: int, depth: int) -> _Part | None:
    if raw.startswith(b"\r\n", begins):
        return None  # without a header of its own it is plain text (RFC 2045 §5.2)
    empty = raw.find(b"\r\n\r\n", begins, ends)
    if empty < 0 or depth > DEEPEST:
        return None
    body = empty + 4
    header: Message[Any, Any] = _headers.parsebytes(raw[begins:body])
    kind = header.get_content_type()
    if kind == "text/html" and header.get_content_disposition() != "attachment":
        encoding = str(header.get("content-transfer-encoding", "")).strip().lower()
        return _Part(begins, body, ends, encoding, (header.get_content_charset("us-ascii") or "us-ascii").lower())
    boundary = header.get_boundary()
    if header.get_content_maintype() != "multipart" or kind in _SEALED or not boundary:
        return None
    line = rb"(?:\A|\r\n)--" + re.escape(boundary.encode("ascii", "surrogateescape")) + rb"(--)?[ \t]*(?=\r\n|\Z)"
    marks = [(body + found.start(), body + found.end(), found[1]) for found in re.finditer(line, raw[body:ends])]
    for (_, after, last), (before, _, _) in pairwise(marks):
        if last:
            break
        if found := _find(raw, after + 2, before, depth + 1):
            return found
    return None


def _text(raw: bytes, part: _Part) -> str | None:
    octets = raw[part.body : part.ends]
    try:
        if part.encoding == BASE64:
            octets = a2b_base64(octets)
        elif part.encoding == QUOTED_PRINTABLE:
            octets = a2b_qp(octets)
        # What says ASCII and is not is UTF-8 nearly always.
        return octets.decode("utf-8" if part.charset in _UTF8 else part.charset)
    except (Error, LookupError, UnicodeDecodeError):
        return None
