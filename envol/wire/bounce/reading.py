"""The parts, fields and words of a returned message, however it was encoded."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from email.message import Message
from html import unescape

from envol.wire.bounce import rules
from envol.wire.message.read import decode

_MAX_PARTS = 100
_MAX_TEXT = 60_000
ADDRESS = re.compile(rules.ADDRESS, re.IGNORECASE)
_TAGS = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^<>]{1,2000}>", re.DOTALL | re.IGNORECASE)


def parts_of(message: Message, depth: int = 0) -> Iterator[Message]:
    """All parts but those of messages inside, which are somebody else's; the containers themselves included."""
    yield message
    if message.get_content_type().startswith("message/") or not message.is_multipart() or depth > 10:
        return
    for number, part in enumerate(message.get_payload()):
        if number >= _MAX_PARTS:
            return
        yield from parts_of(part, depth + 1)


def header(message: Message, name: str) -> str:
    # As it stands: `get` puts signs of replacement in the place of octets that were sent raw (RFC 6532).
    value = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    return decode(str(value).encode("utf-8", "surrogateescape")).strip()


def inside(part: Message) -> Message | None:
    payload = part.get_payload()
    if isinstance(payload, list) and payload:
        return payload[0]  # type: ignore[return-value]
    return email.message_from_string(str(payload)) if payload else None


def blocks(part: Message) -> Iterator[Message]:
    """The groups of fields of a delivery-status or feedback part, however it was encoded."""
    payload = part.get_payload()
    if isinstance(payload, list):
        for block in payload:
            if not isinstance(block, Message):
                continue
            if block.keys():
                yield block
            elif isinstance(inner := block.get_payload(), str) and ":" in inner:
                yield from _of_text(inner)
        return
    decoded = part.get_payload(decode=True)
    yield from _of_text(decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else str(payload or ""))


def _of_text(text: str) -> Iterator[Message]:
    for block in re.split(r"\r?\n[ \t]*\r?\n", text.strip()):
        if ":" in block:
            yield email.message_from_string(block.strip() + "\n\n")


def text_of(parts: list[Message]) -> str:
    html = ""
    for part in parts:
        kind = part.get_content_type()
        if kind.startswith("multipart/") and not part.is_multipart():
            kind = "text/plain"  # its boundaries are broken: what stands there can still be read
        if part.is_multipart() or kind not in ("text/plain", "text/html"):
            continue
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        try:
            text = payload[: 4 * _MAX_TEXT].decode(part.get_content_charset() or "utf-8", "replace")
        except LookupError:
            text = payload[: 4 * _MAX_TEXT].decode("utf-8", "replace")
        if kind == "text/plain" and text.strip():
            return text[:_MAX_TEXT].replace("\r\n", "\n")
        html = html or _TAGS.sub(" ", re.sub(r"(?i)<br[^>]{0,20}>|</p>|</div>|</tr>", "\n", text))
    return unescape(html)[:_MAX_TEXT]


def addressee(parts: list[Message]) -> str:
    """To whom the returned message was addressed, when it is one mailbox."""
    for part in parts:
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers") and (inner := inside(part)) is not None:
            found = ADDRESS.findall(header(inner, "To"))
            if len(found) == 1:
                return str(found[0]).lower()
    return ""
