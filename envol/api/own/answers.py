"""One effect for a call that comes twice with the same ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header).

The answer is written in the transaction of what it tells: a process that dies between the two leaves neither, and the
second call does the work. Of the key only a digest is kept, and the answer is sealed under the key itself, so that
nobody's data lies here for whoever reads the table; it goes after a day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from envol.accounts import once
from envol.accounts.models import ApiKey
from envol.api.models import KeptAnswer
from envol.db import execute, value

KEPT = "24 hours"
SENTENCES = {
    "unreadable": "An Idempotency-Key is 1 to 255 printable characters, of your own choice.",
    "in-progress": "Wait until the first call is answered, then ask again with the same key.",
    "other-body": "Take a new Idempotency-Key for a new request; the first one was done and is not done again.",
}
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Kept:
    status: int
    octets: bytes


@dataclass(frozen=True, slots=True)
class Turn:
    """The call is ours to do; `keep` ends it."""

    key: ApiKey
    given: str
    digest: bytes
    request: bytes


def begin(key: ApiKey, given: str, request: bytes) -> Turn | Kept | str:
    """Whose turn it is: ours, nobody's any more (the answer), or nobody's now (a name of `SENTENCES`)."""
    # A string of structured fields (RFC 9651) has quotes; most programs write none.
    given = given[1:-1] if len(given) > 1 and given[0] == given[-1] == '"' else given
    if not _KEY.fullmatch(given):
        return "unreadable"
    turn = Turn(key, given, sha256(f"{key.pk} {given}".encode()).digest(), sha256(request).digest())
    lock = int.from_bytes(turn.digest[:8], signed=True)
    if not value("SELECT pg_try_advisory_xact_lock(%s)", [lock]):
        return "in-progress"
    row = KeptAnswer.objects.filter(workspace_id=key.workspace_id, digest=turn.digest).first()
    if row is None:
        return turn
    if bytes(row.request) != turn.request:
        return "other-body"
    return Kept(row.status, once.opened(given, bytes(row.answer)))


def keep(turn: Turn, status: int, octets: bytes) -> None:
    KeptAnswer.objects.create(
        workspace_id=turn.key.workspace_id,
        digest=turn.digest,
        request=turn.request,
        status=status,
        answer=once.sealed(turn.given, octets),
    )


def forget() -> int:
    """Drop what is older than it is promised."""
    return execute(f"DELETE FROM api_kept_answer WHERE at < now() - interval '{KEPT}'")
