"""What says by its type what it is: delivery status, complaints, receipts, and other reports."""

from __future__ import annotations

import re
from email.message import Message

from envol.wire.bounce.judged import MAX_RECIPIENTS, STATUS, Explanation, Recipient, judged
from envol.wire.bounce.reading import ADDRESS, blocks, header, inside, text_of

_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})


def report(message: Message, parts: list[Message]) -> Explanation | None:
    kinds = {part.get_content_type() for part in parts}
    kind = str(message.get_param("report-type", "") or "").lower()
    if "message/feedback-report" in kinds or kind == "feedback-report":
        return _feedback(parts)
    if "message/disposition-notification" in kinds or kind == "disposition-notification":
        if (rejected := _rejected(message, parts)) is not None:
            return rejected
        return Explanation("not_bounce", "a receipt: message/disposition-notification (RFC 8098)")
    if kind == "tlsrpt" or kinds & {"application/tlsrpt+gzip", "application/tlsrpt+json"}:
        return Explanation("not_bounce", "a TLS report (RFC 8460)")
    if "text/calendar" in kinds:
        return Explanation("not_bounce", "an answer to an invitation: text/calendar")
    return None


def _rejected(message: Message, parts: list[Message]) -> Explanation | None:
    """A mailbox that rejects after it took the message says so by a disposition (RFC 5429 §2.1 by MDN): deleted."""
    if not re.search(r"reject|refus", header(message, "Subject").lower()):
        return None
    for part in parts:
        if part.get_content_type() == "message/disposition-notification":
            for block in blocks(part):
                address = _address_of(header(block, "Final-Recipient"))
                if address and "deleted" in header(block, "Disposition").lower():
                    text = " ".join(text_of(parts).split())[:4000]
                    return Explanation("bounce", "a rejection by disposition", [judged(address, True, "", text)])
    return None


def _feedback(parts: list[Message]) -> Explanation:
    """A complaint (RFC 5965). `hard`: the person does not want it: abuse and opt-out."""
    fields: Message = Message()
    inner: Message | None = None
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            fields = next(iter(blocks(part)), fields)
        elif part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            inner = inside(part)
    kind = header(fields, "Feedback-Type").lower() or "abuse"
    hard = kind in ("abuse", "opt-out", "opt-out-list", "fraud")
    named = [header(fields, name) for name in ("Original-Rcpt-To", "Removal-Recipient")]
    named += [header(inner, "To")] if inner is not None else []
    found = next((match[0] for text in named if (match := ADDRESS.search(text))), "")
    one = [Recipient(found.lower(), "fail", "", hard, "spam" if hard else "other", kind)] if found else []
    return Explanation("feedback", f"feedback report: {kind} (RFC 5965)", one)


def status(parts: list[Message]) -> Explanation | None:
    statuses = [
        part
        for part in parts
        if part.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
    ]
    if not statuses:
        return None
    found: list[tuple[str, Recipient]] = []
    words = ""
    for part in statuses:
        for block in blocks(part):
            if len(found) >= MAX_RECIPIENTS:
                break
            if (one := _of_block(block)) is not None:
                if not one[1].text and one[1].kind == "other" and one[0] == "failed":
                    # The fields give no reason; the words for people may.
                    words = words or " ".join(text_of(parts)[:4000].split())
                    one = (one[0], judged(one[1].recipient, True, one[1].status, words))
                found.append(one)
    if not found:
        return None
    actions = {action for action, _ in found}
    failed = [one for action, one in found if action == "failed"]
    rule = "delivery status (RFC 3464)"
    if failed:
        return Explanation("bounce", f"{rule}: Action: failed", failed + [r for a, r in found if a == "delayed"])
    if "delayed" in actions:
        return Explanation("delayed", f"{rule}: Action: delayed", [one for action, one in found if action == "delayed"])
    return Explanation("delivered", f"{rule}: Action: {min(actions)}", [one for _, one in found])


def _of_block(block: Message) -> tuple[str, Recipient] | None:
    named = header(block, "Final-Recipient") or header(block, "Original-Recipient")
    original = header(block, "Original-Recipient") or named
    if not named:
        return None
    address = _address_of(original) or _address_of(named)
    diagnostic = " ".join(header(block, "Diagnostic-Code").split())
    text = diagnostic.partition(";")[2].strip() or diagnostic
    match = STATUS.search(header(block, "Status"))
    status = ".".join(match.groups()) if match else ""
    action = header(block, "Action").lower().split(" ")[0].strip("<>;.")
    if action not in _ACTIONS:
        action = {"2": "delivered", "4": "delayed", "5": "failed"}.get(status[:1], "failed")
    if action in ("delivered", "relayed", "expanded"):
        return action, Recipient(address, "delivered", status, False, "other", text)
    return action, judged(address, action == "failed", status, text)


def _address_of(field_text: str) -> str:
    match = ADDRESS.search(field_text.partition(";")[2] or field_text)
    return match[0].lower() if match else ""
