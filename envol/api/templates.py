"""Templates that programs keep here: parts and headers as they wrote them, in the dialect's own language."""

from __future__ import annotations

from typing import Any

from envol.api.models import StoredTemplate
from envol.wire.address import AddressError, normalise
from envol.wire.message.headers import Mailbox


def mailbox(text: str) -> Mailbox | None:
    """``"Name" <a@b.example>`` as a mailbox; None when it is none."""
    from email.utils import parseaddr

    name, address = parseaddr(text.replace("\r", " ").replace("\n", " "))
    try:
        return Mailbox(name, normalise(address).written)
    except AddressError:
        return None


def header(template: StoredTemplate, name: str) -> str:
    """A header of a template, whatever the case it was written in."""
    found: Any = next((value for key, value in template.headers.items() if key.lower() == name.lower()), "")
    return found if isinstance(found, str) else ""


def sender_of(template: StoredTemplate) -> Mailbox | None:
    """Who the template says writes: ``From``, or ``SenderEmail`` with ``SenderName``."""
    if found := header(template, "From"):
        return mailbox(found)
    if email := header(template, "SenderEmail"):
        made = mailbox(email)
        return Mailbox(header(template, "SenderName"), made.address) if made else None
    return None
