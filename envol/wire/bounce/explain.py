"""What a returned message says: kind, recipients, and the rule that decided.

Trusted first is a ``message/delivery-status`` part (RFC 3464), then the words of known programs. A report inside a
forwarded message is somebody's forward. Only what is sure suppresses: `hard` is True for a mailbox or domain that is
not there. Nothing here knows our tokens: who believes a bounce asks for them first.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import Message

from envol.wire.bounce import rules
from envol.wire.bounce.guess import guess
from envol.wire.bounce.judged import Explanation, Recipient
from envol.wire.bounce.reading import blocks, header, inside, parts_of
from envol.wire.bounce.reports import report, status
from envol.wire.bounce.words import words

__all__ = ["MAX_OCTETS", "Explanation", "Recipient", "explain"]

MAX_OCTETS = 4 * 1024 * 1024


def explain(raw: bytes) -> Explanation:
    """Read one message, of any octets; never raises. At most 4 MiB are looked at."""
    try:
        message = email.message_from_bytes(raw[:MAX_OCTETS], policy=email.policy.compat32)
        parts = list(parts_of(message))
        found = (
            report(message, parts)
            or status(parts)
            or _look_alike(message, parts)
            or words(message, parts)
            or guess(message, parts)
            or _plain(message)
        )
        found.marks = list(_marks(parts))
        return found
    except Exception as error:  # the library's parser meets hostile mail
        return Explanation("not_bounce", f"unreadable: {type(error).__name__}")


_NAMED = ("Return-Path", "Message-ID", "CFBL-Feedback-ID")  # the last: RFC 9477 §3.3


def _marks(parts: list[Message]) -> Iterator[str]:
    for part in parts:
        kind = part.get_content_type()
        if kind in ("message/rfc822", "text/rfc822-headers") and (inner := inside(part)) is not None:
            yield from (found for name in _NAMED if (found := header(inner, name)))
        elif kind == "message/feedback-report":
            yield from (found for block in blocks(part) if (found := header(block, "Original-Mail-From")))


def _look_alike(message: Message, parts: list[Message]) -> Explanation | None:
    subject = header(message, "Subject").lower()
    if message.get("X-Failed-Recipients"):
        return None
    if subject.startswith("report domain:"):
        return Explanation("not_bounce", "a DMARC report (RFC 7489 §7.2.1.1)")
    if rules.NO_BOUNCE_SUBJECTS.search(subject):
        return Explanation("not_bounce", "its subject: a forward, a receipt or an answer to an invitation")
    if message.get("List-Id") or message.get("List-Post"):
        return Explanation("not_bounce", "a post of a mailing list (RFC 2919)")
    if _auto(message, subject):
        if not rules.AUTO_SUBJECTS.search(subject) and (found := guess(message, parts)) is not None:
            return found  # programs that return mail call it automatic too, whatever they are called
        return Explanation("auto_reply", "Auto-Submitted and its kin, or its subject (RFC 3834)")
    return None


def _auto(message: Message, subject: str) -> bool:
    if rules.AUTO_SUBJECTS.search(subject):
        return True
    if rules.SUBJECTS.search(subject) and rules.SENDERS.search(header(message, "From").lower()):
        return False  # programs that return mail call it automatic too
    if re.match(r"auto-replied\b", header(message, "Auto-Submitted").lower()):
        return True
    marks = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Mail-Autoreply", "X-AutoReply-From")
    if any(message.get(name) for name in marks):
        return True
    return header(message, "Precedence").lower() in ("auto_reply", "auto-reply")


def _plain(message: Message) -> Explanation:
    auto = header(message, "Auto-Submitted").lower().split(";")[0].strip()
    if auto in ("auto-generated", "auto-notified"):
        return Explanation("auto_reply", f"Auto-Submitted: {auto} (RFC 3834)")
    return Explanation("not_bounce", "no sign of a bounce")
