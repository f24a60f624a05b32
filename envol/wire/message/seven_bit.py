"""A message that somebody wrote in eight bits, as one that every host takes: before it is signed, not on its way.

A next hop without 8BITMIME (RFC 6152) or SMTPUTF8 (RFC 6531) must not be sent eight bits, and re-encoding later would
break the signature. So what a program submits is put in seven bits once. Parts that are in seven bits already keep
their octets.
"""

from __future__ import annotations

import email
import email.policy
import re
from binascii import b2a_qp
from collections.abc import Iterator
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO
from typing import Any

from .encoding import BASE64, QUOTED_PRINTABLE, encode_base64
from .headers import unstructured

MOST_PARTS = 2000
_ADDRESSES = frozenset({b"from", b"to", b"cc", b"bcc", b"reply-to", b"sender", b"resent-from", b"resent-to"})
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[^\s<>,;:"()]+|.', re.DOTALL)


def seven_bits(raw: bytes) -> bytes:
    """The same message in ASCII, CRLF line ends, the same parts and texts."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not head.isascii():
        head = b"\r\n".join(_field(line) for line in _unfolded(head))
    raw = head + separator + body
    if body.isascii():
        return raw
    message = email.message_from_bytes(raw, policy=email.policy.compat32)
    for part in _parts(message):
        _encode(part)
    out = BytesIO()
    policy = email.policy.compat32.clone(linesep="\r\n", max_line_length=None)
    BytesGenerator(out, mangle_from_=False, maxheaderlen=0, policy=policy).flatten(message)
    made = out.getvalue()
    # What stands between parts and before the first one is for nobody; what is left there is no text we know.
    return made if made.isascii() else bytes(octet if octet < 128 else 63 for octet in made)


def _parts(message: Message[Any, Any]) -> Iterator[Message[Any, Any]]:
    for count, part in enumerate(message.walk()):
        if count >= MOST_PARTS:
            raise ValueError("The message has too many parts.")
        yield part


def _encode(part: Message[Any, Any]) -> None:
    for number, (name, value) in enumerate(part._headers):  # type: ignore[attr-defined]
        text = str(value)
        if not text.isascii():
            octets = text.encode("ascii", "surrogateescape")
            line = _field(name.encode("ascii", "replace") + b": " + octets)
            part._headers[number] = (name, line.partition(b":")[2].strip().decode("ascii"))  # type: ignore[attr-defined]
    written = str(part.get("Content-Transfer-Encoding", "7bit")).strip().lower()
    if part.is_multipart():
        if written in ("8bit", "binary"):
            part.replace_header("Content-Transfer-Encoding", "7bit")
        return
    payload = part._payload  # type: ignore[attr-defined]  # as it came: get_payload would decode it
    if not isinstance(payload, str):
        return
    octets = payload.encode("ascii", "surrogateescape")
    if octets.isascii():
        if written in ("8bit", "binary"):
            part.replace_header("Content-Transfer-Encoding", "7bit")
        return
    octets = octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    legible = sum(octet < 128 for octet in octets) >= 0.7 * len(octets)
    if part.get_content_maintype() == "text" and legible and b"\0" not in octets:
        # In whatever character set it is: the octets are encoded, not the text.
        how, encoded = QUOTED_PRINTABLE, b2a_qp(octets, quotetabs=False, istext=True, header=False)
    else:
        how, encoded = BASE64, encode_base64(octets)
    part.set_payload(encoded.decode("ascii").replace("\r\n", "\n"))
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = how


def _unfolded(head: bytes) -> list[bytes]:
    lines: list[bytes] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] += b"\r\n" + line
        else:
            lines.append(line)
    return lines


def _field(line: bytes) -> bytes:
    """One header field in ASCII; encoded-words where it is text or a name (RFC 2047 §5)."""
    if line.isascii():
        return line
    name, _, value = line.partition(b":")
    # What may not stand in a header (RFC 5322 §2.2) is not carried over.
    text = " ".join("".join(c if c.isprintable() else " " for c in value.decode("utf-8", "replace")).split())
    label = name.decode("ascii", "replace")
    if name.strip().lower() in _ADDRESSES:
        words = [_word(label, word) for word in _WORD.findall(text)]
        return name + b": " + "".join(words).encode("ascii", "replace")
    return name + b": " + unstructured(label, text).encode("ascii")


def _word(label: str, word: str) -> str:
    if word.isascii():
        return word
    if word.startswith('"') and word.endswith('"') and len(word) > 1:
        word = re.sub(r"\\(.)", r"\1", word[1:-1])
    return unstructured(label, word).strip()
