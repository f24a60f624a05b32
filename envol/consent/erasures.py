"""Who was erased, so that an erasure holds longer than the database: the journal beside it, and the certificate.

A backup that is older than an erasure brings the person back. So every erasure is also a line of a file in the data
directory, outside the database: a keyed digest, no address. Each later backup carries the file, and a restore erases
again whoever is named in it before the service opens (GDPR art. 17 and 32).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from envol.consent.models_rights import Erasure
from envol.db import value

FILE = "proof/erasures.jsonl"

log = logging.getLogger(__name__)

Copy = Callable[[int, int], bool]
_copies: dict[str, Copy] = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. ``contact`` and ``born`` together recognise a row whose address was another then."""

    at: str  # ISO 8601, UTC
    workspace: int
    digest: str
    contact: int
    born: str = ""
    scope: str = "person"
    cause: str = ""

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at)


def copies(name: str, may_hold: Copy) -> None:
    """``may_hold(workspace_id, stamp)``: is there a copy of people outside the tables from before that transaction?"""
    _copies[name] = may_hold


def held_by(erasure: Erasure) -> list[str]:
    """The copies that may still hold her; none: she is gone everywhere."""
    found = []
    for name, may_hold in _copies.items():
        try:
            if may_hold(erasure.workspace_id, erasure.stamp):
                found.append(name)
        except Exception:  # it does not answer: it may
            log.exception("the copy %s could not be asked for workspace %s", name, erasure.workspace_id)
            found.append(name)
    return found


def journal() -> Path:
    """Beside the anchors of the ledger (`envol.consent.anchor`)."""
    return Path(settings.ENVOL.data) / FILE


def note(entry: Entry) -> None:
    """One more line, on the disk when this returns: before the transaction that erases commits.

    Should that fail, the line asks for an erasure that somebody wanted anyway.
    """
    append([entry])


def append(entries: Iterable[Entry], file: Path | None = None) -> None:
    text = b"".join(json.dumps(asdict(one), sort_keys=True).encode() + b"\n" for one in entries)
    if not text:
        return
    (file or journal()).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(file or journal(), "a+b", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        end = out.seek(0, os.SEEK_END)
        # A crash may have left half a line: ours begins on its own.
        if end and os.pread(out.fileno(), 1, end - 1) != b"\n":
            text = b"\n" + text
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def read(text: bytes) -> list[Entry]:
    """The lines of a journal; half a line (a crash, a cut copy) says nothing. ValueError for another file."""
    found = []
    lines = text.split(b"\n")
    for line in lines:
        try:
            raw = json.loads(line)
            entry = Entry(**raw)
            if entry.moment.tzinfo is None or len(bytes.fromhex(entry.digest)) != 32:
                raise ValueError
            found.append(entry)
        except (ValueError, TypeError):
            continue
    if not found and text.strip():
        raise ValueError("This is not a journal of erasures.")
    return found


def merged(*journals: Iterable[Entry]) -> list[Entry]:
    """All lines once, the oldest first."""
    return sorted({entry for one in journals for entry in one}, key=lambda entry: entry.moment)


def record(
    workspace_id: int,
    digest: bytes,
    gone: Mapping[str, int],
    *,
    cause: str,
    actor: str,
    actor_id: int | None,
    at: datetime | None = None,
) -> Erasure:
    """The row that the certificate is made of; in the transaction that erases."""
    return Erasure.objects.create(
        workspace_id=workspace_id,
        digest=digest,
        at=at or datetime.now(UTC),
        cause=cause[:120],
        actor=actor,
        actor_id=actor_id,
        gone={table: rows for table, rows in gone.items() if rows},
        stamp=int(value("SELECT pg_current_xact_id()::text::bigint")),
    )


def certify(workspace_id: int | None = None) -> int:
    """Date the certificates of those who are in no copy any more; how many."""
    waiting = Erasure.objects.filter(certified_at=None)
    if workspace_id is not None:
        waiting = waiting.filter(workspace_id=workspace_id)
    done = [one.pk for one in waiting.order_by("id")[:1000] if not held_by(one)]
    return Erasure.objects.filter(pk__in=done).update(certified_at=datetime.now(UTC))


def certificate(erasure: Erasure) -> dict[str, Any]:
    """What was deleted where, and what stays with why, as plain values; `certified` is empty while a copy remains."""
    from envol.consent import registry

    told = {data.table: data.content for room in registry.data_map().values() for data in room}
    return {
        "version": 1,
        "reference": f"{erasure.workspace_id}-{erasure.pk}",
        "erased_at": erasure.at.isoformat(),
        "cause": erasure.cause,
        "digest": bytes(erasure.digest).hex(),
        "deleted": [
            {"table": table, "content": told.get(table, ""), "rows": rows}
            for table, rows in sorted(erasure.gone.items())
        ],
        "kept": [
            {"what": "a keyed digest of the address", "why": "so that nobody takes the person in again"},
            {
                "what": "a SHA-256 of the address, where a partner or recipient was given it",
                "why": "until that one was told",
            },
            {"what": "commitments of the consent ledger", "why": "they prove the ledger whole and say nothing"},
            {"what": "numbers of messages and reactions without a person", "why": "sums of past campaigns"},
        ],
        "copies_that_may_hold_her": held_by(erasure) if erasure.certified_at is None else [],
        "certified_at": erasure.certified_at.isoformat() if erasure.certified_at else None,
    }
