"""What a viewer sees of an address: enough to tell two people apart, too little to write to one."""

from __future__ import annotations

import re
from typing import Any

from django.http import HttpRequest

from envol.accounts.models import Role
from envol.contacts.people import masked

# Any address inside a text: notes, property values, replies of servers.
_ADDRESS = re.compile(r"[^\s<>\"'(),:;@/\[\]]+@[^\s<>\"'(),:;@/\[\]]+")


def sees_addresses(request: HttpRequest) -> bool:
    """Editors, owners and the data-protection officer do, viewers never; without a member (error pages) nobody."""
    member = getattr(request, "member", None)
    return member is not None and (member.role != Role.VIEWER or member.dpo)


def mask_text(text: str) -> str:
    """The text with every address in it masked."""
    return _ADDRESS.sub(lambda found: masked(found[0]), text)


def shown(request: HttpRequest, value: Any) -> str:
    """A text as this member may read it."""
    text = "" if value is None else str(value)
    return text if sees_addresses(request) else mask_text(text)
