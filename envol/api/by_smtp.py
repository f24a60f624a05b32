"""A submitted message that is to be filled in: its ``X-MJ-…`` fields name a template, its language or values for it, or
ask that whoever had something of its campaign be left out.

It becomes a letter as the send API reads one, and goes that road: the same templates, the same errors, one message for
each recipient where she shows in it. Files and other fields of the message stay with it; its date, its boundaries and
the spelling of its header are made anew.
"""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any, NamedTuple

from envol.accounts.models import ApiKey
from envol.api import accepting
from envol.api.send_v31 import Letter, letter_or_problems, no_constant, once
from envol.outbound import asides, notices
from envol.outbound.relay import Account
from envol.wire.address import AddressError, normalise
from envol.wire.message.headers import Mailbox, field_line
from envol.wire.message.parts import Attachment
from envol.wire.message.submit import read_submission
from envol.wire.smtp.notify import Wish
from envol.wire.smtp.questions import Envelope

_MADE_ANEW = frozenset(
    "from sender to cc bcc subject reply-to date message-id mime-version received return-path dkim-signature"  # noqa: SIM905
    " authentication-results x-feedback-id".split()
)
_SEALED = frozenset({"multipart/signed", "multipart/encrypted"})


class Handed(NamedTuple):
    """How it is answered: a number where it was taken, else a code (RFC 5321 §4.2), an enhanced one and a sentence."""

    number: int = 0
    code: int = 250
    enhanced: str = "2.0.0"
    sentence: str = ""


class _Wrong(ValueError):
    pass


def asks(raw: bytes) -> bool:
    """Is this message to be filled in? Cheap, since every message is asked."""
    fields = asides.fields(raw)
    return (
        bool(fields.get("x-mj-templateid") or fields.get("x-mj-vars"))
        or asides.yes(fields.get("x-mj-templatelanguage"))
        or asides.yes(fields.get("x-mailjet-deduplicatecampaign"))
    )


def hand_in(account: Account, envelope: Envelope, raw: bytes, received: bytes) -> Handed:
    """Take it, durably; received: our trace field. Raises `submit.Unacceptable` or `disk.Full`: nothing was kept."""
    fields = asides.fields(raw)
    submitted = read_submission(asides.taken(raw).raw)
    key = ApiKey.objects.select_related("workspace").get(pk=account.key_id)
    try:
        letter = _letter(email.message_from_bytes(submitted.raw, policy=email.policy.default), fields, submitted.author)
        people, wishes = _recipients(envelope, [*letter.to, *letter.cc])
        letter = replace(letter, only=people, message_id=submitted.message_id.strip("<>"))
    except _Wrong as wrong:
        return Handed(0, 554, "5.6.0", str(wrong))
    facts: dict[str, Any] = {"by": "smtp"}
    facts |= notices.facts(envelope.reverse_path, [one.address for one in people], envelope.asked, wishes)
    (entry,) = accepting.accept_letters(key, [letter], facts=facts, trace=received)
    if entry["Status"] != "success":
        problem = entry["Errors"][0]
        code, enhanced = {403: (550, "5.7.1"), 429: (450, "4.7.1")}.get(problem["StatusCode"], (554, "5.6.0"))
        return Handed(0, code, enhanced, problem["ErrorMessage"])
    return Handed(max(one["MessageID"] for part in ("To", "Cc", "Bcc") for one in entry[part]))


def _recipients(envelope: Envelope, shown: Sequence[Mailbox]) -> tuple[list[Mailbox], list[Wish]]:
    """Each once, by the name that the header gives her, with what was asked for her."""
    names = {normalise(one.address).key: one.name for one in shown}
    found: dict[str, tuple[Mailbox, Wish]] = {}
    for recipient, wish in zip(envelope.recipients, envelope.wishes, strict=True):
        try:
            address = normalise(recipient)
        except AddressError as error:
            raise _Wrong(str(error)) from None
        found.setdefault(address.key, (Mailbox(names.get(address.key, ""), address.written), wish))
    return [one for one, _ in found.values()], [wish for _, wish in found.values()]


def _letter(message: EmailMessage, fields: Mapping[str, str], author: Mailbox) -> Letter:
    text, html, files = _parts(message)
    template = fields.get("x-mj-templateid", "")
    given: dict[str, Any] = {
        "from": {"Email": author.address, "Name": author.name},
        "to": [{"Email": author.address}],  # who is shown and who gets it is said below
        "subject": str(message.get("subject", "")),
        "templateid" if template.isdecimal() else "templatename": template or None,
        "templatelanguage": asides.yes(fields.get("x-mj-templatelanguage")),
        "variables": _values(fields.get("x-mj-vars", "")),
        "customid": fields.get("x-mj-customid"),
        "eventpayload": fields.get("x-mj-eventpayload"),
        "customcampaign": fields.get("x-mailjet-campaign"),
        "deduplicatecampaign": asides.yes(fields.get("x-mailjet-deduplicatecampaign")),
        "priority": fields.get("x-mailjet-prio") or None,
        "trackopens": _track(fields.get("x-mailjet-trackopen")),
        "trackclicks": _track(fields.get("x-mailjet-trackclick")),
    }
    if given["templatelanguage"]:
        report = fields.get("x-mj-templateerrorreporting")
        given["templateerrorreporting"] = {"Email": report} if report else None
        deliver = fields.get("x-mj-templateerrordeliver", "")
        given["templateerrordeliver"] = deliver.lower() == "deliver" or asides.yes(deliver)
    if not template:  # a template is the content: what stands in the message was for readers without one
        given |= {"textpart": text, "htmlpart": html}
    made = letter_or_problems(given)
    if not isinstance(made, Letter):
        place = f" ({', '.join(made[0].related)})" if made[0].related else ""
        raise _Wrong(f"{made[0].message}{place}")
    to, cc = _boxes(message, "to"), _boxes(message, "cc")
    return replace(
        made,
        to=to or cc or [author],
        cc=cc if to else [],
        reply_to=_boxes(message, "reply-to"),
        given=_fields(message),
        attachments=files,
    )


def _parts(message: EmailMessage) -> tuple[str, str, list[Attachment]]:
    """The text and the HTML that a reader is shown, and everything else as files."""
    texts: dict[str, str] = {}
    files: list[Attachment] = []
    for part in message.walk():
        kind = part.get_content_type()
        if kind in _SEALED:
            raise _Wrong("What is signed or encrypted cannot be filled in: leave the X-MJ- fields out.")
        if part.is_multipart():
            if kind == "message/rfc822":
                raise _Wrong("A message that is attached to another cannot be filled in: attach it as a file.")
            continue
        shown = part.get_content_disposition() != "attachment" and not part.get_filename()
        try:
            if kind in ("text/plain", "text/html") and shown and kind not in texts:
                texts[kind] = str(part.get_content()).replace("\r\n", "\n")
                continue
            content = part.get_payload(decode=True)
        except (LookupError, ValueError):
            raise _Wrong("A part of the message cannot be read in the character set that it names.") from None
        octets = content if isinstance(content, bytes) else b""
        name = part.get_filename() or "part"
        content_id = str(part.get("content-id", "")).strip().strip("<>") or None
        files.append(Attachment(name, octets, kind, content_id))
    return texts.get("text/plain", ""), texts.get("text/html", ""), files


def _values(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        found = json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _Wrong("X-MJ-Vars is no JSON object.")
    return found


def _track(value: str | None) -> str:
    """By SMTP nothing is measured that the message does not ask for."""
    return "enabled" if asides.yes(value) else "disabled"


def _boxes(message: EmailMessage, name: str) -> list[Mailbox]:
    found = []
    for shown, address in getaddresses([str(one) for one in message.get_all(name, [])]):
        try:
            found.append(Mailbox(shown, normalise(address).written))
        except AddressError:
            continue  # a group without members, or what is no address: nobody to show
    return found


def _fields(message: EmailMessage) -> list[tuple[str, str]]:
    """What else its header says."""
    found: list[tuple[str, str]] = []
    for name, value in message.items():
        low = name.lower()
        if low in _MADE_ANEW or low.startswith(("content-", "arc-", "x-envol-")):
            continue
        try:
            field_line(name, str(value))
        except ValueError:
            continue
        found.append((name, str(value)))
    return found


__all__ = ["Handed", "asks", "hand_in"]
