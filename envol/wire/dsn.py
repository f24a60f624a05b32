"""A report on what became of a message (RFC 3464), as mail: words, the machine's part, and what it was about.

All of it is 7-bit. Read back by `envol.wire.bounce`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from envol.wire.message import encoding
from envol.wire.message.headers import Mailbox, check, line, mailbox_line, unstructured
from envol.wire.smtp.notify import read_xtext

MOST_RETURNED = 256 * 1024
"""Octets of a message that is given back whole; of a larger one the header (RFC 3464 §2: a report may be refused)."""
_MOST_HEADER = 32 * 1024
_MOST_TEXT = 900


@dataclass(frozen=True, slots=True)
class About:
    """What is told of one recipient.

    action: failed, delayed, delivered or relayed. original: ORCPT as written. remote: the host that spoke; diagnostic:
    its words, with the basic code in front. until: how long a delayed one is still tried.
    """

    recipient: str
    action: str
    status: str
    original: str = ""
    remote: str = ""
    diagnostic: str = ""
    at: datetime | None = None
    until: datetime | None = None


def report(
    *,
    sender: Mailbox,
    to: str,
    subject: str,
    words: str,
    mta: str,
    about: Sequence[About],
    returned: bytes,
    whole: bool = False,
    envid: str = "",
    arrived: datetime | None = None,
) -> bytes:
    """The report, without Date and Message-ID.

    words: for people, with a line for each recipient. envid: as written in ENVID. returned: the message; of it goes
    back the header, or with `whole` everything that is 7-bit and not too large.
    """
    form = encoding.choose(words)
    head, _, _ = returned.partition(b"\r\n\r\n")
    whole = whole and returned.isascii() and len(returned) <= MOST_RETURNED
    mark = "=_" + hashlib.sha256(returned + words.encode()).hexdigest()[:24]
    parts = [
        line("Content-Type", "text/plain; charset=utf-8")
        + line("Content-Transfer-Encoding", form)
        + b"\r\n"
        + encoding.encode_text(words, form),
        line("Content-Type", "message/delivery-status") + b"\r\n" + _status(mta, about, envid, arrived),
        line("Content-Type", "message/rfc822" if whole else "text/rfc822-headers")
        + b"\r\n"
        + (returned if whole else _header(head)),
    ]
    reference = _message_id(head)
    fields = [
        mailbox_line("From", [sender]),
        mailbox_line("To", [Mailbox("", to)]),
        line("Subject", unstructured("Subject", subject)),
        line("Auto-Submitted", "auto-replied"),  # RFC 3834 §5: nobody answers this by itself
        *([line("In-Reply-To", reference), line("References", reference)] if reference else []),
        line("MIME-Version", "1.0"),
        line("Content-Type", f'multipart/report; report-type=delivery-status;\r\n boundary="{mark}"'),
    ]
    border = b"--" + mark.encode()
    body = b"".join(border + b"\r\n" + part.removesuffix(b"\r\n") + b"\r\n" for part in parts)
    return b"".join(fields) + b"\r\n" + body + border + b"--\r\n"


def _status(mta: str, about: Sequence[About], envid: str, arrived: datetime | None) -> bytes:
    """The fields of RFC 3464 §2.2 and, behind an empty line each, §2.3."""
    fields = []
    if envid and (decoded := read_xtext(envid)):
        fields.append(line("Original-Envelope-Id", decoded))
    fields.append(line("Reporting-MTA", f"dns; {mta}"))
    if arrived is not None:
        fields.append(line("Arrival-Date", format_datetime(arrived)))
    for one in about:
        fields.append(b"\r\n")
        kind, _, original = one.original.partition(";")
        if original and (decoded := read_xtext(original)):
            fields.append(line("Original-Recipient", f"{kind}; {decoded}"))
        fields.append(line("Final-Recipient", f"rfc822; {_plain(one.recipient)}"))
        fields.append(line("Action", one.action))
        fields.append(line("Status", one.status))
        if one.remote:
            fields.append(line("Remote-MTA", f"dns; {_plain(one.remote)}"))
        if one.diagnostic:
            fields.append(line("Diagnostic-Code", f"smtp; {_plain(one.diagnostic)}"))
        if one.at is not None:
            fields.append(line("Last-Attempt-Date", format_datetime(one.at)))
        if one.until is not None:
            fields.append(line("Will-Retry-Until", format_datetime(one.until)))
    return b"".join(fields)


def _plain(text: str) -> str:
    """What another host said, on one line, in printable ASCII, and not so long that the line would be refused."""
    one_line = " ".join(text.encode("ascii", "replace").decode().split())
    return "".join(c if c.isprintable() else "?" for c in one_line)[:_MOST_TEXT]


def _header(head: bytes) -> bytes:
    """A header in which nothing is beyond ASCII, cut between two lines when it is long."""
    plain = bytes(octet if octet < 128 and octet else 63 for octet in head[:_MOST_HEADER])
    if len(head) > _MOST_HEADER:
        plain = plain[: plain.rfind(b"\r\n")]
    return plain + b"\r\n"


def _message_id(head: bytes) -> str:
    found = re.search(rb"(?im)^Message-ID:[ \t]*(?:\r\n[ \t]+)?(<[!-;=?-~]{1,240}>)", head)
    return check("References", found[1].decode("ascii")) if found else ""


__all__ = ["MOST_RETURNED", "About", "report"]
