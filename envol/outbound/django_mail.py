"""Django's mail (sign-in, passwords, of django-allauth) takes the road of every other message: accepted
durably, untracked, delivered by a courier."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import getaddresses
from typing import Any

from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.message import EmailMessage

from envol.db_role import as_owner
from envol.outbound.accept import Outgoing, accept_messages
from envol.outbound.system import sender_of, workspace_for


class Backend(BaseEmailBackend):
    """EMAIL_BACKEND of an installation. Addresses of the sender come from the workspace, not from the caller."""

    @as_owner()  # whoever signs in or forgot her password has no workspace yet
    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Accept them all, or none; how many. With `fail_silently` a refusal is 0 instead of an error."""
        try:
            batch = [_outgoing(message) for message in email_messages if message.recipients()]
            accept_messages(batch)
        except ValueError:
            if self.fail_silently:
                return 0
            raise
        return len(batch)


def _outgoing(message: EmailMessage) -> Outgoing:
    if message.attachments:
        raise ValueError("System mail has no attachments; send a transactional message.")
    to = [(name, address) for name, address in getaddresses(message.recipients()) if address]
    workspace = workspace_for(to[0][1])
    alternatives: Sequence[Any] = getattr(message, "alternatives", None) or ()
    html = next((part[0] for part in alternatives if part[1] == "text/html"), "")
    body = str(message.body)
    return Outgoing(
        workspace.id,
        sender_of(workspace),
        to,
        subject=" ".join(str(message.subject).split()),
        text="" if message.content_subtype == "html" else body,
        html=body if message.content_subtype == "html" else str(html),
        kind="system",
        urgency=4,  # somebody waits for it; no code of fifteen minutes: links to a new password are good for days
    )
