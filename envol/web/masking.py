"""What a viewer sees of an address: enough to tell two people apart, too little to write to one."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from envol.accounts.models import Role
from envol.contacts.people import mask_text


def sees_addresses(request: HttpRequest) -> bool:
    """Editors, owners and the data-protection officer do, viewers never; without a member (error pages) nobody."""
    member = getattr(request, "member", None)
    return member is not None and (member.role != Role.VIEWER or member.dpo)


def shown(request: HttpRequest, value: Any) -> str:
    """A text as this member may read it."""
    text = "" if value is None else str(value)
    return text if sees_addresses(request) else mask_text(text)
