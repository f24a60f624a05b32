"""Somebody else's message, passed on under a name of ours.

The author's domain did not send what we send, so her address cannot stand in From: receivers would refuse it by her
own policy (RFC 9989). From is an address of ours that bears her name, Reply-To is hers (RFC 5322 §3.6.2). Of her header
stays what says how to read the body and which thread it belongs to; the body stays as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.headerregistry import HeaderRegistry
from typing import Any

from envol.wire.address import AddressError, normalise
from envol.wire.message.headers import Mailbox, field_line, mailbox_line
from envol.wire.message.read import decode

MAX_LINE = 998  # RFC 5322 §2.1.1
_KEPT = frozenset(
    b"subject date message-id in-reply-to references mime-version content-type content-transfer-encoding"
    b" content-language".split()
)
_registry = HeaderRegistry()


class Unreadable(ValueError):
    """A message that cannot be passed on as it is; the sentence says why."""


def fields_of(raw: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, the whole field with its folds and CRLF), in order; what is no field is left out."""
    found: list[tuple[bytes, bytes]] = []
    for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            if found:
                found[-1] = (found[-1][0], found[-1][1] + line + b"\r\n")
            continue
        name, colon, _ = line.partition(b":")
        if colon:
            found.append((name.rstrip(b" \t").lower(), line + b"\r\n"))
    return found


def value_of(fields: Sequence[tuple[bytes, bytes]], name: bytes) -> str:
    """A field as a person reads it; empty when there is none."""
    line = next((line for key, line in fields if key == name), b"")
    return decode(line.partition(b":")[2].replace(b"\r\n", b"")).replace("\0", "").strip()


def author_of(fields: Sequence[tuple[bytes, bytes]]) -> Mailbox | None:
    """The one mailbox of the one From; None when there is no such thing."""
    lines = [line for name, line in fields if name == b"from"]
    if len(lines) != 1 or len(lines[0]) > 1000:
        return None
    try:
        header: Any = _registry("From", lines[0].partition(b":")[2].replace(b"\r\n", b"").decode("utf-8").strip())
        if len(header.addresses) != 1:
            return None
        one = header.addresses[0]
        return Mailbox(" ".join(one.display_name.split())[:100], normalise(one.addr_spec).written)
    except (AddressError, Exception):  # the library's parser meets hostile headers
        return None


def pass_on(
    raw: bytes,
    *,
    sender: Mailbox,
    to: Sequence[Mailbox],
    reply_to: Sequence[Mailbox],
    extra: Sequence[tuple[str, str]] = (),
    subject: str | None = None,
) -> bytes:
    """The message from ``sender``. Raises Unreadable for a line too long, a NUL, or no body at all."""
    _, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        raise Unreadable("The message has no text.")
    if b"\0" in raw or any(len(line) > MAX_LINE for line in raw.split(b"\r\n")):
        raise Unreadable("The message contains a NUL octet or a line longer than 998 octets.")
    kept: dict[bytes, bytes] = {}
    for name, line in fields_of(raw):
        if name in _KEPT and not (name == b"subject" and subject is not None):
            kept.setdefault(name, line)
    head = [mailbox_line("From", [sender]), mailbox_line("To", to), mailbox_line("Reply-To", reply_to)]
    if subject is not None:
        head.append(field_line("Subject", subject))
    head += kept.values()
    head += [field_line(name, value) for name, value in extra]
    return b"".join(head) + b"\r\n" + body
