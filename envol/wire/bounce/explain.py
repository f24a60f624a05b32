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
from dataclasses import dataclass, field
from email.message import Message
from html import unescape
from typing import Literal

from envol.wire.bounce import rules
from envol.wire.message.read import decode
from envol.wire.smtp import replies
from envol.wire.smtp.grammar import Stage

Kind = Literal["bounce", "delayed", "delivered", "auto_reply", "feedback", "not_bounce"]

MAX_OCTETS = 4 * 1024 * 1024
_MAX_PARTS = 100
_MAX_RECIPIENTS = 1000
_MAX_TEXT = 60_000
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_CODE = re.compile(r"(?<![\w.\[])(4[2-5]\d|5[0-57]\d)(?![\d.\]])")
_ADDRESS = re.compile(rules.ADDRESS, re.IGNORECASE)
_TAGS = re.compile(r"<(?:style|script)\b.*?</(?:style|script)>|<[^<>]{1,2000}>", re.DOTALL | re.IGNORECASE)
_ACTIONS = frozenset({"failed", "delayed", "delivered", "relayed", "expanded"})
_PROVIDERS = {
    "google": r"gmail\.com|googlemail\.com",
    "microsoft": r"(?:hotmail|outlook|live|msn)\.[a-z.]+",
    "yahoo": r"(?:yahoo|ymail|rocketmail|aol)\.[a-z.]+",
    "orange": r"(?:orange|wanadoo|voila)\.fr",
    "laposte": r"laposte\.net",
    "sfr": r"(?:sfr|neuf|cegetel|club-internet|numericable)\.(?:fr|com)",
    "free": r"(?:free|aliceadsl|libertysurf)\.fr",
    "gmx": r"(?:gmx|web)\.[a-z]+",
    "icloud": r"(?:icloud|me|mac)\.com",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """action: as in `smtp.replies`, or delivered. kind: of `replies.CLASSES`. status: the enhanced code, or empty."""

    recipient: str
    action: str
    status: str
    hard: bool
    kind: str
    text: str = ""


@dataclass(slots=True)
class Explanation:
    """marks: Message-ID and reverse-path of the message it is about, by which its sender may know it."""

    type: Kind
    rule: str
    recipients: list[Recipient] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)


def explain(raw: bytes) -> Explanation:
    """Read one message, of any octets; never raises. At most 4 MiB are looked at."""
    try:
        message = email.message_from_bytes(raw[:MAX_OCTETS], policy=email.policy.compat32)
        parts = list(_parts(message))
        found = (
            _report(message, parts)
            or _status(parts)
            or _look_alike(message, parts)
            or _words(message, parts)
            or _plain(message)
        )
        found.marks = list(_marks(parts))
        return found
    except Exception as error:  # the library's parser meets hostile mail
        return Explanation("not_bounce", f"unreadable: {type(error).__name__}")


def _parts(message: Message, depth: int = 0) -> Iterator[Message]:
    """All parts but those of messages inside, which are somebody else's; the containers themselves included."""
    yield message
    if message.get_content_type().startswith("message/") or not message.is_multipart() or depth > 10:
        return
    for number, part in enumerate(message.get_payload()):
        if number >= _MAX_PARTS:
            return
        yield from _parts(part, depth + 1)


def _header(message: Message, name: str) -> str:
    # As it stands: `get` puts signs of replacement in the place of octets that were sent raw (RFC 6532).
    value = next((value for key, value in message.raw_items() if key.lower() == name.lower()), "")
    return decode(str(value).encode("utf-8", "surrogateescape")).strip()


# ---- reports by their type


def _report(message: Message, parts: list[Message]) -> Explanation | None:
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
    if not re.search(r"reject|refus", _header(message, "Subject").lower()):
        return None
    for part in parts:
        if part.get_content_type() == "message/disposition-notification":
            for block in _blocks(part):
                address = _address_of(_header(block, "Final-Recipient"))
                if address and "deleted" in _header(block, "Disposition").lower():
                    text = " ".join(_text(parts).split())[:4000]
                    return Explanation("bounce", "a rejection by disposition", [_judged(address, True, "", text)])
    return None


def _feedback(parts: list[Message]) -> Explanation:
    """A complaint (RFC 5965). `hard`: the person does not want it: abuse and opt-out."""
    fields: Message = Message()
    inner: Message | None = None
    for part in parts:
        if part.get_content_type() == "message/feedback-report":
            fields = next(iter(_blocks(part)), fields)
        elif part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            inner = _inside(part)
    kind = _header(fields, "Feedback-Type").lower() or "abuse"
    hard = kind in ("abuse", "opt-out", "opt-out-list", "fraud")
    named = [_header(fields, name) for name in ("Original-Rcpt-To", "Removal-Recipient")]
    named += [_header(inner, "To")] if inner is not None else []
    found = next((match[0] for text in named if (match := _ADDRESS.search(text))), "")
    one = [Recipient(found.lower(), "fail", "", hard, "spam" if hard else "other", kind)] if found else []
    return Explanation("feedback", f"feedback report: {kind} (RFC 5965)", one)


def _marks(parts: list[Message]) -> Iterator[str]:
    for part in parts:
        kind = part.get_content_type()
        if kind in ("message/rfc822", "text/rfc822-headers") and (inner := _inside(part)) is not None:
            yield from (found for name in ("Return-Path", "Message-ID") if (found := _header(inner, name)))
        elif kind == "message/feedback-report":
            yield from (found for block in _blocks(part) if (found := _header(block, "Original-Mail-From")))


def _inside(part: Message) -> Message | None:
    payload = part.get_payload()
    if isinstance(payload, list) and payload:
        return payload[0]  # type: ignore[return-value]
    return email.message_from_string(str(payload)) if payload else None


def _blocks(part: Message) -> Iterator[Message]:
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


# ---- delivery status (RFC 3464)


def _status(parts: list[Message]) -> Explanation | None:
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
        for block in _blocks(part):
            if len(found) >= _MAX_RECIPIENTS:
                break
            if (one := _of_block(block)) is not None:
                if not one[1].text and one[1].kind == "other" and one[0] == "failed":
                    # The fields give no reason; the words for people may.
                    words = words or " ".join(_text(parts)[:4000].split())
                    one = (one[0], _judged(one[1].recipient, True, one[1].status, words))
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
    named = _header(block, "Final-Recipient") or _header(block, "Original-Recipient")
    original = _header(block, "Original-Recipient") or named
    if not named:
        return None
    address = _address_of(original) or _address_of(named)
    diagnostic = " ".join(_header(block, "Diagnostic-Code").split())
    text = diagnostic.partition(";")[2].strip() or diagnostic
    match = _STATUS.search(_header(block, "Status"))
    status = ".".join(match.groups()) if match else ""
    action = _header(block, "Action").lower().split(" ")[0].strip("<>;.")
    if action not in _ACTIONS:
        action = {"2": "delivered", "4": "delayed", "5": "failed"}.get(status[:1], "failed")
    if action in ("delivered", "relayed", "expanded"):
        return action, Recipient(address, "delivered", status, False, "other", text)
    return action, _judged(address, action == "failed", status, text)


def _address_of(field_text: str) -> str:
    match = _ADDRESS.search(field_text.partition(";")[2] or field_text)
    return match[0].lower() if match else ""


def _judged(address: str, failed: bool, status: str, text: str) -> Recipient:
    """What the reason means, whether a program or a host wrote it."""
    codes = _CODE.findall(text)
    inner = [".".join(found) for found in _STATUS.findall(text)]
    # The host's own code says more than the sum that the reporting program made of it.
    enhanced = next((code for code in inner if code[0] in "45"), "") or status
    code = int(codes[0]) if codes else {"4": 450, "5": 550}.get(enhanced[:1], 550 if failed else 450)
    if failed and code < 500 and not codes:
        code = 550
    provider = next(
        (name for name, names in _PROVIDERS.items() if re.fullmatch(names, address.rpartition("@")[2])), None
    )
    said = replies.explain(code, enhanced if enhanced[:1] in "45" else None, text, provider, Stage.RCPT)
    action, cause, kind = said.verdict.action, said.verdict.cause, said.kind
    if not said.rule.startswith(("words", "receiver")) and (found := _reason(text)) is not None:
        action, cause = found  # type: ignore[assignment]
        kind = replies.class_of(cause, "5")
    elif cause == "routing":
        kind = "host_unknown" if enhanced in ("5.4.4", "5.1.2", "5.4.0") else "temporary"
    if failed and action in ("retry", "throttle"):
        action = "fail"
    if not failed:
        action = action if action in ("throttle", "blocked") else "retry"
    if failed and kind == "other" and enhanced[:1] == "4":
        kind = "temporary"
    hard = failed and action == "hard_bounce"
    return Recipient(address, action, enhanced or status, hard, kind, text[:500])


def _reason(text: str) -> tuple[str, str] | None:
    low = text.lower()
    return next(((action, cause) for pattern, action, cause in rules.REASONS if pattern.search(low)), None)


# ---- what only looks like one


def _look_alike(message: Message, parts: list[Message]) -> Explanation | None:
    subject = _header(message, "Subject").lower()
    if message.get("X-Failed-Recipients"):
        return None
    if subject.startswith("report domain:"):
        return Explanation("not_bounce", "a DMARC report (RFC 7489 §7.2.1.1)")
    if rules.NO_BOUNCE_SUBJECTS.search(subject):
        return Explanation("not_bounce", "its subject: a forward, a receipt or an answer to an invitation")
    if _auto(message, subject):
        return Explanation("auto_reply", "Auto-Submitted and its kin, or its subject (RFC 3834)")
    return None


def _auto(message: Message, subject: str) -> bool:
    if rules.AUTO_SUBJECTS.search(subject):
        return True
    if rules.SUBJECTS.search(subject) and rules.SENDERS.search(_header(message, "From").lower()):
        return False  # programs that return mail call it automatic too
    if _header(message, "Auto-Submitted").lower().split(";")[0].strip() == "auto-replied":
        return True
    marks = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Mail-Autoreply", "X-AutoReply-From")
    if any(message.get(name) for name in marks):
        return True
    return _header(message, "Precedence").lower() in ("auto_reply", "auto-reply")


# ---- words


def _words(message: Message, parts: list[Message]) -> Explanation | None:
    named = [one.lower() for one in _ADDRESS.findall(_header(message, "X-Failed-Recipients"))]
    signs = _signs(message) + 2 * bool(named)
    if not signs:
        return None
    if signs < 2:
        return _second_opinion(message, parts)
    text = _text(parts)
    low = text.lower()
    begins = rules.ORIGINAL.search(low)
    said, said_low = (text[: begins.start()], low[: begins.start()]) if begins else (text, low)
    ours = {one.lower() for name in ("To", "From", "Return-Path") for one in _ADDRESS.findall(_header(message, name))}
    for layout in rules.LAYOUTS:
        here = layout.here.search(said_low)
        if here is None:
            continue
        found = _failed(layout, here, said, said_low, ours, named)
        if found or layout.delayed:
            kind: Kind = "delayed" if layout.delayed else "bounce"
            return Explanation(kind, f"words of {layout.name}", found)
    if named:
        return Explanation("bounce", "X-Failed-Recipients", [_judged(one, True, "", said[:2000]) for one in named])
    if _reason(said_low) or _CODE.search(said):
        returned = _returned(parts)
        if returned:
            return Explanation(
                "bounce", "a reason, and the returned header", [_judged(returned, True, "", said[:2000])]
            )
    return _passed_on(message, parts) or _second_opinion(message, parts)


def _signs(message: Message) -> int:
    """How much of it looks like returned mail, before a word of its text was read."""
    sender = f"{_header(message, 'From')} {_header(message, 'Return-Path')}".lower()
    signs = bool(rules.SENDERS.search(sender)) + bool(rules.SUBJECTS.search(_header(message, "Subject").lower()))
    signs += bool(rules.STRONG.search(_header(message, "From").lower()))
    signs += _header(message, "Return-Path") == "<>"
    return signs + 2 * (str(message.get_param("report-type", "") or "").lower() == "delivery-status")


def _passed_on(message: Message, parts: list[Message]) -> Explanation | None:
    """A report that a gateway put into a message of its own, with no word beside it."""
    inside = [part for part in parts if part.get_content_type() == "message/rfc822"]
    if len(inside) != 1 or _text(parts).strip() or (inner := _inside(inside[0])) is None:
        return None
    return _status(list(_parts(inner)))


def _second_opinion(message: Message, parts: list[Message]) -> Explanation | None:
    """What flufl.bounce finds where our rules find nothing; how bad it is, the words say."""
    from flufl.bounce import all_failures

    temporary, permanent = all_failures(message)
    found = {(one.decode("ascii", "replace").lower(), False) for one in temporary}
    found |= {(one.decode("ascii", "replace").lower(), True) for one in permanent}
    known = sorted(one for one in found if _ADDRESS.fullmatch(one[0]))[:_MAX_RECIPIENTS]
    if not known:
        return None
    text = " ".join(_text(parts).split())[:4000]
    kind: Kind = "bounce" if any(failed for _, failed in known) else "delayed"
    return Explanation(
        kind, "second opinion: flufl.bounce", [_judged(address, failed, "", text) for address, failed in known]
    )


_NEAR = 600  # characters behind the words of failure in which its addresses stand


def _who(layout: rules.Layout, here: re.Match[str], low: str, ours: set[str]) -> list[tuple[int, int, str]]:
    """Where which addresses stand that the words speak of: those behind the words, else those beside them."""
    places, told = [], []
    for match in layout.who.finditer(low):
        address = match[1].lower()
        for prefix in ("smtp=", "smtp:", "rfc822;"):
            address = address.removeprefix(prefix)
        if address in ours or rules.SENDERS.search(address.partition("@")[0]):
            continue
        place = (match.start(1), match.end(1), address)
        before = low[max(0, match.start(1) - 80) : match.start(1)]
        if not rules.NOT_WHO.search(before):
            places.append(place)
        elif rules.TO_LINE.search(before):
            told.append(place)
    if not places and len({address for _, _, address in told}) == 1:
        places = told
    if layout.anywhere:
        behind = [place for place in places if 0 <= place[0] - here.end() < _NEAR]
        line = low.rfind("\n", 0, here.start()) + 1
        places = behind or [place for place in places if line <= place[0]] or places[-1:]
    # Who was written to may have her mail sent on: it is her address that we know.
    places += [(match.start(1), match.end(1), match[1].lower()) for match in rules.OLD_ADDRESS.finditer(low)]
    return sorted(places)


def _failed(
    layout: rules.Layout, here: re.Match[str], said: str, low: str, ours: set[str], named: list[str]
) -> list[Recipient]:
    places = _who(layout, here, low, ours)
    if named:
        places = [place for place in places if place[2] in named] or [(0, 0, one) for one in named]
    found: dict[str, Recipient] = {}
    for index, (_, end, address) in enumerate(places[:_MAX_RECIPIENTS]):
        if address in found:
            continue
        until = next((start for start, _, other in places[index + 1 :] if other != address), len(said))
        reason = " ".join(said[end:until].split())[:2000]
        if not (_reason(reason) or _CODE.search(reason) or _STATUS.search(reason)):
            reason = " ".join(said.split())[:4000]
        match = _STATUS.search(reason)
        found[address] = _judged(address, not layout.delayed, ".".join(match.groups()) if match else "", reason)
    return list(found.values())


def _text(parts: list[Message]) -> str:
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


def _returned(parts: list[Message]) -> str:
    """To whom the returned message was addressed, when it is one mailbox."""
    for part in parts:
        if (
            part.get_content_type() in ("message/rfc822", "text/rfc822-headers")
            and (inner := _inside(part)) is not None
        ):
            found = _ADDRESS.findall(_header(inner, "To"))
            if len(found) == 1:
                return str(found[0]).lower()
    return ""


def _plain(message: Message) -> Explanation:
    auto = _header(message, "Auto-Submitted").lower().split(";")[0].strip()
    if auto in ("auto-generated", "auto-notified"):
        return Explanation("auto_reply", f"Auto-Submitted: {auto} (RFC 3834)")
    return Explanation("not_bounce", "no sign of a bounce")
