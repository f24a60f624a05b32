"""Mail that came for a program, as the dialect's JSON: envelope, fields, texts, attachments."""

from __future__ import annotations

import base64
import email.policy
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from typing import Any

from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.api.hooks.endpoints import Refused
from envol.content import links
from envol.events.models import Endpoint
from envol.events.outbox import Row
from envol.outbound import domains, returned, told
from envol.outbound.models import Domain
from envol.outbound.records import return_host
from envol.outbound.told import Copy
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.message.read import ReadAttachment, ReadMessage, read

_PLAIN = frozenset(
    {"date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject"}
)
"""Fields that stand once (RFC 5322 §3.6), told as a text; all others as a list."""


def address_for(workspace: Workspace, wanted: str) -> str:
    """The address of a new route: the one that is wanted, of a domain of the workspace, or one nobody guesses at the
    first domain whose mail comes home. Raises Refused."""
    if not wanted:
        home = Domain.objects.filter(workspace=workspace).exclude(returns_at=None).order_by("id").first()
        if home is None:
            raise Refused(_("Mail of none of your domains comes here yet: name an address, or set up a domain first."))
        return f"{secrets.token_hex(8)}@{return_host(home.name)}"
    try:
        wanted = normalise(wanted).key
    except AddressError as error:
        raise Refused(str(error)) from None
    domain = domains.at_host(domain_of(wanted))
    if domain is None or domain.workspace_id != workspace.pk:
        raise Refused(_("%(address)s is of no domain of this workspace.") % {"address": wanted})
    if returned.is_ours(wanted) and not Endpoint.objects.filter(form="parse", address=wanted).exists():
        raise Refused(_("Mail for %(address)s is read here already, for something else.") % {"address": wanted})
    return wanted


def compose(rows: Sequence[Row]) -> list[dict[str, Any] | None]:
    read_ones = [read(row.raw) if row.raw else None for row in rows]
    answered = [_answered(one) if one else None for one in read_ones]
    copies = told.copies([key for key in answered if key])
    made: list[dict[str, Any] | None] = []
    for row, one, key in zip(rows, read_ones, answered, strict=True):
        if row.facts.get("test") is not None:
            made.append(row.facts["test"])
        elif one is None:
            made.append(None)
        else:
            sender, recipient = str(row.facts.get("sender", "")), str(row.facts.get("recipient", ""))
            made.append(said(one, sender, recipient, row.at, copies.get(key) if key else None))
    return made


def _answered(one: ReadMessage) -> tuple[int, int] | None:
    """Which copy of ours it answers, by the Message-ID that it names."""
    for mark in f"{one.get('In-Reply-To') or ''} {one.get('References') or ''}".split():
        target = links.read_message_id(mark)
        if target is not None and target.no is not None:
            return target.sending_id, target.no
    return None


def said(one: ReadMessage, sender: str, recipient: str, at: datetime, answers: Copy | None = None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in one.headers:
        if name.lower() in _PLAIN:
            fields.setdefault(name, value)
        else:
            fields.setdefault(name, []).append(value)
    body: dict[str, Any] = {
        "Sender": sender,
        "Recipient": recipient,
        "Date": _date(one, at),
        "From": one.get("From") or "",
        "Subject": one.subject,
        "Headers": fields,
        "Parts": [],
        "SpamAssassinScore": "0",
        "CustomID": answers.custom_id if answers else "",
        "Payload": answers.payload if answers else "",
    }
    if (cc := one.get("Cc")) is not None:
        body["Cc"] = cc
    for name, kind, text in (("Text-part", "plain", one.text), ("Html-part", "html", one.html)):
        if text is not None:
            body["Parts"].append({"Headers": {"Content-Type": f'text/{kind}; charset="UTF-8"'}, "ContentRef": name})
            body[name] = text
    numbers = {"Attachment": 0, "InlineAttachment": 0}
    for attached in one.attachments:
        word = "InlineAttachment" if attached.content_id else "Attachment"
        numbers[word] += 1
        name = f"{word}{numbers[word]}"
        body["Parts"].append({"Headers": _part(attached), "ContentRef": name})
        body[name] = base64.b64encode(attached.content).decode()
    return body


def _part(attached: ReadAttachment) -> dict[str, str]:
    """The fields of a part, its name encoded where it has to be (RFC 2231)."""
    made = EmailMessage(policy=email.policy.HTTP)
    word = "inline" if attached.content_id else "attachment"
    filename = "".join(c for c in attached.filename if c.isprintable())[:255]
    made.add_header("Content-Disposition", word, **({"filename": filename} if filename else {}))
    found = {"Content-Type": attached.content_type, "Content-Disposition": str(made["Content-Disposition"])}
    found["Content-Transfer-Encoding"] = "base64"
    if attached.content_id:
        found["Content-ID"] = f"<{attached.content_id}>"
    return found


def _date(one: ReadMessage, at: datetime) -> str:
    try:
        sent = parsedate_to_datetime(one.get("Date") or "")
    except (ValueError, TypeError):
        sent = at
    return (sent.astimezone(UTC) if sent.tzinfo else sent).strftime("%Y%m%dT%H%M%S")


def sample(endpoint: Endpoint) -> dict[str, Any]:
    raw = (
        b"From: Test <test@example.org>\r\nTo: " + endpoint.address.encode() + b"\r\nSubject: Test\r\n"
        b"Date: Thu, 01 Jan 2026 12:00:00 +0000\r\n\r\nA test.\r\n"
    )
    return said(read(raw), "test@example.org", endpoint.address, datetime.now(UTC))
