"""A small reader for the local inbox and for tests: what a person would see of a message.

It never raises: junk gives what can be read and a list of defects. It is no judge; DSN and ARF have readers
of their own.
"""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass, field
from email.header import decode_header
from email.message import Message

_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r?\n[ \t]|\r(?!\n))*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ReadAttachment:
    """A part that is not one of the two texts."""

    filename: str
    content_type: str
    content: bytes
    content_id: str | None = None


@dataclass(slots=True)
class ReadMessage:
    """What could be read. `headers` are (name, decoded value) in their order, folds undone."""

    headers: list[tuple[str, str]] = field(default_factory=list)
    text: str | None = None
    html: str | None = None
    attachments: list[ReadAttachment] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)

    @property
    def subject(self) -> str:
        return self.get("Subject") or ""

    def get(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


def read(raw: bytes, limit: int = 50 * 1024 * 1024, max_parts: int = 500) -> ReadMessage:
    """Read at most `limit` octets and `max_parts` parts of a message; never raises."""
    out = ReadMessage()
    if len(raw) > limit:
        raw = raw[:limit]
        out.defects.append(f"longer than {limit} octets: only the beginning was read")
    head_end = min((i for i in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if i >= 0), default=len(raw))
    for match in _FIELD.finditer(raw[: min(head_end + 2, 1024 * 1024)]):
        out.headers.append((match[1].decode("ascii"), decode(match[2])))
    try:
        message = email.message_from_bytes(raw, policy=email.policy.compat32)
        _walk(message, out, max_parts)
    except Exception as error:
        # The standard parser has raised a dozen kinds of exceptions on hostile mail (RecursionError, LookupError…);
        # an inbox that cannot open because of one message would be worse than a part left unread.
        out.defects.append(f"body not read: {type(error).__name__}")
    return out


def decode(body: bytes) -> str:
    """A field body as a person reads it: unfolded (RFC 5322 §2.2.3), encoded-words decoded; never raises."""
    text = re.sub(r"\r?\n(?=[ \t])", "", body.decode("utf-8", "replace")).strip()
    if "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
    except Exception:  # malformed base64 and the like: show it as it came
        return text
    return "".join(_to_text(piece, charset) for piece, charset in pieces)


def _to_text(piece: str | bytes, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    try:
        return piece.decode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        return piece.decode("utf-8", "replace")


def _walk(message: Message, out: ReadMessage, max_parts: int) -> None:
    for number, part in enumerate(message.walk()):
        if number >= max_parts:
            out.defects.append(f"more than {max_parts} parts: the rest was not read")
            return
        out.defects += [type(defect).__name__ for defect in part.defects]
        if part.is_multipart():
            continue
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        kind = part.get_content_type()
        disposition = part.get_content_disposition()
        if disposition != "attachment" and kind == "text/plain" and out.text is None:
            out.text = _to_text(content, part.get_content_charset()).replace("\r\n", "\n")
        elif disposition != "attachment" and kind == "text/html" and out.html is None:
            out.html = _to_text(content, part.get_content_charset()).replace("\r\n", "\n")
        else:
            content_id = part.get("Content-ID")
            out.attachments.append(
                ReadAttachment(
                    filename=_filename(part),
                    content_type=kind,
                    content=content,
                    content_id=str(content_id).strip("<> \t") if content_id else None,
                )
            )


def _filename(part: Message) -> str:
    """The name by RFC 2231 when there is one, else the plain one."""
    try:
        unfolded = re.sub(r"[\r\n]+", "", str(part.get("Content-Disposition", "")))
        disposition = email.policy.default.header_factory("Content-Disposition", unfolded)
        named = disposition.params.get("filename")
        return named or part.get_filename("") or ""
    except Exception:  # the parser trips over broken parameters
        return ""
