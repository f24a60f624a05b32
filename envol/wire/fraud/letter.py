"""A message as it leaves, read for the judge: quickly, bounded, and never raising.

The texts are those that a mail program would show. What has a shape that programs read differently is read by the
standard library's parser, which is slow and patient.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from urllib.parse import unquote

from envol.wire.fraud.judge import Letter
from envol.wire.message.read import decode, read

MOST_PARTS = 200
MOST_DEPTH = 10
_FIELD = re.compile(
    rb"(?im)^(content-type|content-transfer-encoding|content-disposition|reply-to)[ \t]*:((?:[^\r\n]|\r\n[ \t])*)"
)
_PARAMETER = re.compile(
    rb"(?i);\s*(boundary|charset|name|filename)\*?(?:0\*?)?\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;]+))"
)
_ADDRESS = re.compile(r"[^\s<>@,;\"]{1,64}@([\w.-]+)")  # RFC 5321, 4.5.3.1.1: no local part is longer


def letter_of(
    raw: bytes,
    *,
    name: str,
    address: str,
    subject: str,
    own: Iterable[str] = (),
    ours: Iterable[str] = (),
    known: Iterable[str] = (),
) -> Letter:
    """Read a whole message; who it is from and its subject were read before, by the one reading that counts."""
    head, _, body = raw.partition(b"\r\n\r\n")
    letter = Letter(name, address, subject, own=frozenset(own), ours=frozenset(ours), known=frozenset(known))
    try:
        fields = _fields(head)
        if b"reply-to" in fields:
            found = _ADDRESS.search(decode(fields[b"reply-to"]))
            letter.reply_to = found[0] if found else ""
        _walk(fields, body, letter, [MOST_PARTS], 0)
    except _Odd:
        letter.text, letter.html, letter.files = _patiently(raw)
    return letter


class _Odd(Exception):
    """Not of the everyday shape."""


def _patiently(raw: bytes) -> tuple[str, str, list[tuple[str, bytes]]]:
    message = read(raw, max_parts=MOST_PARTS)
    return message.text or "", message.html or "", [(a.filename, a.content) for a in message.attachments]


def _fields(head: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for match in _FIELD.finditer(head):
        name = match[1].lower()
        if name in found:
            raise _Odd
        found[name] = match[2].replace(b"\r\n", b"").strip()
    return found


def _parameters(value: bytes) -> dict[bytes, bytes]:
    return {m[1].lower(): (m[2] if m[2] is not None else m[3]) for m in _PARAMETER.finditer(value)}


def _walk(fields: dict[bytes, bytes], body: bytes, letter: Letter, left: list[int], depth: int) -> None:
    left[0] -= 1
    if left[0] < 0 or depth > MOST_DEPTH:
        raise _Odd
    kind_field = fields.get(b"content-type", b"text/plain")
    kind = kind_field.partition(b";")[0].strip().lower()
    given = _parameters(kind_field)
    if kind.startswith(b"multipart/"):
        boundary = given.get(b"boundary")
        if not boundary:
            raise _Odd
        pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
        for piece in pieces[1:]:
            if piece.startswith(b"--"):
                break
            head, _, inner = piece.partition(b"\r\n\r\n")
            _walk(_fields(head), inner, letter, left, depth + 1)
        return
    disposition = fields.get(b"content-disposition", b"")
    if b"*1" in disposition or b"*1" in kind_field:
        raise _Odd  # RFC 2231 §3: a name in pieces
    name = _parameters(disposition).get(b"filename", given.get(b"name", b""))
    content = _decoded(body, fields.get(b"content-transfer-encoding", b"").lower())
    attached = disposition[:10].lower() == b"attachment"
    if kind == b"text/plain" and not attached:
        letter.text += _text(content, given.get(b"charset")) + "\n"
    elif kind == b"text/html" and not attached:
        letter.html += _text(content, given.get(b"charset"))
    elif kind == b"message/rfc822":
        forwarded = read(content, max_parts=50)
        letter.text += f"{forwarded.text or ''}\n"
        letter.html += forwarded.html or ""
        letter.files += [(a.filename, a.content) for a in forwarded.attachments]
    else:
        letter.files.append((_name(name), content))


def _name(value: bytes) -> str:
    charset, mark, rest = value.partition(b"''")  # RFC 2231 §4
    return unquote(rest, charset.decode("ascii", "replace") or "utf-8", "replace") if mark else decode(value)


def _decoded(body: bytes, encoding: bytes) -> bytes:
    if encoding == b"base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            letters = re.sub(rb"[^A-Za-z0-9+/]", b"", body)
            return binascii.a2b_base64(letters[: len(letters) // 4 * 4])
    return binascii.a2b_qp(body) if encoding == b"quoted-printable" else body


def _text(content: bytes, charset: bytes | None) -> str:
    try:
        return content.decode((charset or b"utf-8").decode("ascii", "replace"), "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")
