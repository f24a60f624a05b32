"""A name for a copy of a message beside its number."""

from __future__ import annotations

import uuid
from hashlib import blake2b

from django.conf import settings


def message_uuid(workspace_id: int, number: int) -> str:
    """The same for the same copy, always, and telling nothing of how many there are."""
    digest = blake2b(f"{workspace_id}/{number}".encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16)
    return str(uuid.UUID(bytes=digest.digest(), version=4))
