"""Returned mail of a layout that nobody described, known by what all of them have in common.

A program wrote it, something was not delivered, somebody is named, and a reason or a code is told. Each is weighed;
what a person writes about such things has some of it and never enough.
"""

from __future__ import annotations

import re
from email.message import Message

from envol.wire.bounce import rules
from envol.wire.bounce.judged import CODE, STATUS, Explanation, Recipient, judged
from envol.wire.bounce.reading import ADDRESS, addressee, header, text_of
from envol.wire.bounce.words import original
from envol.wire.smtp import families

_ENOUGH = 6
_MOST_TEXT = 6000
_MACHINE = re.compile(
    r"(?:^|[<\s\"])(?:no-?reply|do-?not-?reply|ne-?pas-?repondre|nicht-?antworten|no-?responder|non-?rispondere"
    r"|mail-?admin|mta|bounces?|robot|daemon|post-?office|mailsystem|system)@"
)
_FORWARDED = re.compile(r"^(?:\[[^\]]*\] ?)?(?:re|aw|sv|vs|antw|odp|res|ref|fwd?|wg|tr|rv|回复|答复|转发) ?: ")
_CASE = re.compile(r"^\W*(?:re: ?)?(?:ticket|case|incident|request|anfrage|demande|vorgang|dossier) ?\W{0,2}\d")
"""What people write about it to a desk, which numbers it."""
_WATCH = re.compile(r"^\W*(?:alert|alarm|alerte|warnung|alerta|allarme)\b.*\d")
"""What watches a queue, and counts it."""
_SUMS = re.compile(r"digest|weekly|daily|summary|statist|maintenance|unblock|quarant|rapport|alert")
_REPLY = re.compile(r"(?<![\w.\[])(?:4[2-5]\d|5[0-57]\d)[ -](?=[^\W\d]|[45]\.|[<#(])")
_SAYS_WHO = re.compile(
    r"(?:cc|from|de|von|da|van|od|от|contact|reply-to|sender|absender|mittente|remitente)[ \t]*[:<]?[ \t]*<?$"
)


def guess(message: Message, parts: list[Message]) -> Explanation | None:
    """What `words` did not know, if it is surely returned mail; a notice of delay counts as one that only waits."""
    if message.get("List-Id") or message.get("List-Unsubscribe"):
        return None
    subject = families.plain(header(message, "Subject"))
    sender = header(message, "From").lower()
    text = text_of(parts)[:_MOST_TEXT]
    end = original(text.lower())
    said, begins = text[:end], end < len(text)
    plain = families.plain(said)
    about, told = families.signs(subject), families.signs(plain)
    points = _written_by(message, sender) + 2 * bool(about.failed or rules.SUBJECTS.search(subject)) + told.labelled
    points += 2 * about.slow - 3 * bool(about.parcel or told.parcel)
    points -= 4 * bool(_FORWARDED.match(subject) or _CASE.match(subject) or _WATCH.match(subject))
    if points < 2:
        return None  # whatever it says: nothing that returns mail wrote it
    recipients = _named(message, said, sender) or [one for one in [addressee(parts)] if one]
    if not recipients:
        return None
    coded = bool(STATUS.search(said) or _REPLY.search(said))
    found = [_one(address, said, recipients) for address in recipients[:50]]
    points += 2 * bool(told.failed) + 2 * coded + any(one.kind != "other" for one in found)
    points += bool(begins or addressee(parts)) - 3 * bool(
        _SUMS.search(subject) and not (coded and len(recipients) == 1)
    )
    if points < _ENOUGH or not (coded or told.failed or any(one.kind != "other" for one in found)):
        return None
    if (about.slow or told.slow) and not coded:
        return Explanation(
            "delayed",
            "structure: a machine's notice of delay",
            [_one(a, said, recipients, failed=False) for a in recipients],
        )
    return Explanation("bounce", f"structure: {points} signs of returned mail", found)


def _written_by(message: Message, sender: str) -> int:
    points = 3 * bool(re.search(r"(?:mailer|mail)-?daemon|mdaemon", sender))
    points = points or 2 * bool(re.search(r"\bpostmaster\b", sender))
    points = points or int(bool(rules.SENDERS.search(sender) or _MACHINE.search(sender)))
    points += 2 * (header(message, "Return-Path") == "<>")
    return points + header(message, "Auto-Submitted").lower().startswith(("auto-generated", "auto-replied"))


def _named(message: Message, said: str, sender: str) -> list[str]:
    """Who the text names, but for those who wrote and those whom to ask; the first alone where nothing tells more."""
    ours = {
        one.lower()
        for name in ("To", "From", "Return-Path", "Reply-To")
        for one in ADDRESS.findall(header(message, name))
    }
    places: list[tuple[int, str]] = []
    for match in ADDRESS.finditer(said):
        address = match[0].lower().rpartition("=")[2]  # rcpt=luc@…, where a program names its fields
        if address in ours or rules.SENDERS.search(address.partition("@")[0]):
            continue
        before = said[max(0, match.start() - 60) : match.start()].lower()
        if _SAYS_WHO.search(before) or (rules.NOT_WHO.search(before) and not rules.TO_LINE.search(before)):
            continue
        places.append((match.start(), address))
    different = list(dict.fromkeys(address for _, address in places))
    if len(different) < 2:
        return different
    # A list of them stands one a line; elsewhere the first is who failed, and others are told beside.
    alone = [a for a in different if re.search(rf"(?im)^[ \t*-]*<?{re.escape(a)}>?[ \t]*(?:[:;,(-].*)?$", said)]
    return alone or different[:1]


def _one(address: str, said: str, recipients: list[str], *, failed: bool = True) -> Recipient:
    """Its reason: lines that tell a code, else what follows the address, else all of it."""
    low = said.lower()
    begin = low.find(address)
    end = min(
        (at for one in recipients if one != address and (at := low.find(one, begin + 1)) > begin), default=len(said)
    )
    behind = said[begin + len(address) : end] if begin >= 0 else ""
    match = next((code for code in (STATUS.search(behind), STATUS.search(said)) if code), None)
    status = ".".join(match.groups()) if match else ""
    lines = [line for line in said[max(begin, 0) : end].splitlines() if CODE.search(line) or STATUS.search(line)]
    best: Recipient | None = None
    for reason in (" ".join(lines), behind, said):
        words = " ".join(reason.split())[:2000]
        if not words:
            continue
        one = judged(address, failed, status, words)
        if one.kind not in ("other", "temporary"):
            return one
        best = one if best is None or best.kind == "other" else best
    return best or judged(address, failed, status, "")
