"""A message as a program submits it (RFC 6409): who it says it is from, read once for all.

The same reading decides whether the sender may, is signed, and is what leaves: the From line is written anew from what
was understood, so that no other program can read another sender in it. Whatever could be read twice is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.headerregistry import HeaderRegistry
from functools import lru_cache
from typing import Any

from envol.wire.address import AddressError, normalise
from envol.wire.message.headers import Mailbox, looks_like_other_address, mailbox_line
from envol.wire.message.read import decode

MAX_HEADER = 256 * 1024
MAX_FROM = 1000  # octets of the From field; people have shorter names
MAX_FIELDS = 1000  # no program writes so many; each costs whoever reads the message after us
MAX_LINE = 998  # RFC 5322 §2.1.1
MAX_HOPS = 100  # Received fields, RFC 5321 §6.3
MAX_NESTED = 50  # multiparts of one message: it is nowhere deeper than that
MAX_PARTS = 2000
_ONCE = frozenset(
    b"from sender reply-to to cc bcc date message-id in-reply-to references subject".split()
)  # RFC 5322 §3.6
_NAME = re.compile(rb"[!-9;-~]{1,76}")
_registry = HeaderRegistry()


class Unacceptable(ValueError):
    """Nothing that can be sent as it is; the sentence says what to change. `code`: of RFC 3463."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Submitted:
    """author: the one mailbox of From, its address normalised. raw: the message with that From line and no other.

    subject: as a person reads it, at most 1,000 characters. message_id: with its brackets, empty when it has none.
    """

    author: Mailbox
    subject: str
    message_id: str
    raw: bytes


def read_submission(raw: bytes) -> Submitted:
    """Read a submitted message (CRLF only). Raises :class:`Unacceptable`."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    if not separator:
        head, body = raw.removesuffix(b"\r\n"), b""
    if len(head) > MAX_HEADER:
        raise Unacceptable("5.3.4", f"The header is larger than {MAX_HEADER} bytes")
    if b"\0" in raw:
        raise Unacceptable("5.6.0", "The message contains a NUL octet: encode what is not text as base64")
    if _long_line(raw):
        raise Unacceptable(
            "5.6.0", f"A line is longer than {MAX_LINE} octets: encode the body as quoted-printable or base64"
        )
    fields = _fields(head)
    if len(fields) > MAX_FIELDS:
        raise Unacceptable("5.3.4", f"The header has more than {MAX_FIELDS} fields")
    seen: dict[bytes, bytes] = {}
    hops = 0
    for name, line in fields:
        if name in _ONCE and name in seen:
            raise Unacceptable("5.6.0", f"There are two {name.decode().title()} fields; a message has one")
        seen.setdefault(name, line)
        hops += name == b"received"
    if b"multipart/" in head.lower() and _bomb(body):
        raise Unacceptable(
            "5.6.0", f"The message has more than {MAX_PARTS} parts, or nests more than {MAX_NESTED} deep"
        )
    if hops > MAX_HOPS:
        raise Unacceptable("5.4.6", "This message has gone round in circles")
    if b"from" not in seen:
        raise Unacceptable("5.6.0", "There is no From field: say who writes")
    author = _author(_value(seen[b"from"]))
    # Sender would name somebody whom nobody has checked; who submits is who writes.
    kept = b"".join(
        mailbox_line("From", [author]) if name == b"from" else line for name, line in fields if name != b"sender"
    )
    subject = decode(_value(seen.get(b"subject", b""))).replace("\0", "")[:1000]
    message_id = _value(seen.get(b"message-id", b"")).decode("ascii", "replace").strip()[:998]
    return Submitted(author, subject, message_id, kept + b"\r\n" + body)


def _long_line(raw: bytes) -> bool:
    """Asked in strides from one line end to the last within reach: a message of short lines is never split."""
    begins = 0
    while len(raw) - begins > MAX_LINE:
        end = raw.rfind(b"\r\n", begins, begins + MAX_LINE + 2)
        if end < 0:
            return True
        begins = end + 2
    return False


def _bomb(body: bytes) -> bool:
    """Would it be dear to read? Counted, not parsed, so that the question is not dear itself."""
    low = body.lower()
    return low.count(b"\ncontent-type:") > MAX_PARTS or low.count(b"multipart/") > MAX_NESTED


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """(name in lower case, the whole field with its folds and CRLF), in order."""
    found: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\r\n"):
        if line[:1] in (b" ", b"\t"):
            if not found:
                raise Unacceptable("5.6.0", "The header begins with a folded line")
            name, before = found[-1]
            found[-1] = (name, before + line + b"\r\n")
            continue
        name, colon, _ = line.partition(b":")
        name = name.rstrip(b" \t").lower()
        if not colon or not _NAME.fullmatch(name):
            raise Unacceptable("5.6.0", "A line of the header is no field: an empty line must stand before the text")
        found.append((name, line + b"\r\n"))
    return found


def _value(line: bytes) -> bytes:
    return line.partition(b":")[2].replace(b"\r\n", b"").strip()


@lru_cache(maxsize=1024)
def _author(value: bytes) -> Mailbox:
    """The one mailbox of a From field. Kept, because a program writes as the same few senders."""
    if len(value) > MAX_FROM:
        raise Unacceptable("5.6.0", f"The From field is longer than {MAX_FROM} octets")
    try:
        text = value.decode("utf-8")
        header: Any = _registry("From", text)
        groups, addresses = header.groups, header.addresses
        broken = [one for one in header.defects if "Obsolete" not in type(one).__name__]
    except Exception:  # the parser of the library meets a hostile header
        raise Unacceptable("5.6.0", "The From field cannot be read") from None
    if len(addresses) != 1 or any(group.display_name is not None for group in groups):
        raise Unacceptable("5.7.1", "From must name exactly one mailbox")
    if broken:
        raise Unacceptable("5.6.0", "The From field cannot be read: write it as Name <name@domain.example>")
    one = addresses[0]
    try:
        address = normalise(one.addr_spec).written
        mailbox_line("From", [Mailbox(one.display_name, address)])
    except (AddressError, ValueError) as error:
        raise Unacceptable("5.1.7", f"From: {error}") from None
    if looks_like_other_address(one.display_name, address):
        raise Unacceptable("5.7.1", "The name in From looks like another address than the one behind it")
    return Mailbox(one.display_name, address)


__all__ = ["Submitted", "Unacceptable", "read_submission"]
