"""Where the chain stood, day by day, written outside the database: who rewrites the ledger must rewrite this too.

One line of JSON for each workspace and day in ``DATA/proof/ledger-anchors.jsonl``, appended and synced, each with
the SHA-256 of the line before. Kept elsewhere as well (a backup, the mail of `anchor_to`), it shows a tail that was
cut or a story that was written anew, which a chain alone cannot show to its owner.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NamedTuple

from django.conf import settings
from django.utils.translation import gettext_noop

from envol.consent.chain import START
from envol.consent.ledger import Problem
from envol.db import rows

FILE = "proof/ledger-anchors.jsonl"


class Anchor(NamedTuple):
    """The head of one workspace's chain at a moment: so many blocks and lines, and this hash."""

    workspace_id: int
    workspace: str
    block: int
    lines: int
    hash: str
    at: str
    before: str

    def line(self) -> bytes:
        said = {"envol_ledger_anchor": 1, **self._asdict()}
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Unreadable(ValueError):
    """The file of anchors is none; the sentence says which line and why."""


def path() -> Path:
    """The file beside the data. The directory keeps what must outlive the database."""
    return Path(settings.ENVOL.data) / FILE


def write(at: datetime | None = None, file: Path | None = None) -> list[Anchor]:
    """Append where the chains stand now; of a workspace whose chain has not grown since, nothing."""
    at, file = at or datetime.now(UTC), file or path()
    with _held(file) as out:
        known = list(_lines(out))
        last = {anchor.workspace_id: anchor for anchor, _ in known}
        before = hashlib.sha256(known[-1][1]).digest() if known else START
        made = []
        for workspace_id, name, block, lines, digest in _heads():
            if workspace_id in last and last[workspace_id].block == block:
                continue
            moment = at.astimezone(UTC).isoformat(timespec="seconds")
            anchor = Anchor(workspace_id, name, block, lines, bytes(digest).hex(), moment, before.hex())
            written = anchor.line()
            out.write(written)
            before = hashlib.sha256(written).digest()
            made.append(anchor)
        out.flush()
        os.fsync(out.fileno())
    return made


@contextmanager
def _held(file: Path) -> Iterator[IO[bytes]]:
    """The file, ours alone until the end; made, with its directory, where it is missing."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "r+b") as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        yield out


def _heads() -> list[tuple[Any, ...]]:
    return rows(
        "SELECT DISTINCT ON (b.workspace_id) b.workspace_id, w.name, b.no,"
        " (SELECT sum(count) FROM consent_ledger_block s WHERE s.workspace_id = b.workspace_id AND s.no <= b.no),"
        " b.hash"
        " FROM consent_ledger_block b JOIN accounts_workspace w ON w.id = b.workspace_id"
        " ORDER BY b.workspace_id, b.no DESC"
    )


def _lines(lines: Iterable[bytes]) -> Iterator[tuple[Anchor, bytes]]:
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            if said.pop("envol_ledger_anchor") != 1:
                raise ValueError
            yield Anchor(**{**said, "block": int(said["block"]), "hash": bytes.fromhex(said["hash"]).hex()}), line
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Unreadable(f"Line {number} is no anchor of a ledger.") from None


def read(file: Path) -> list[Anchor]:
    """The anchors of a file, or `Unreadable`; a file whose lines were altered or taken out is unreadable, too."""
    before, found = START.hex(), []
    with open(file, "rb") as lines:
        for number, (anchor, line) in enumerate(_lines(lines), 1):
            if anchor.before != before and found:
                raise Unreadable(f"Line {number} does not follow the line before it: the file was altered.")
            found.append(anchor)
            before = hashlib.sha256(line).hexdigest()
    return found


def check(workspace_id: int, anchors: Iterable[Anchor]) -> tuple[int, list[Problem]]:
    """How many anchors of this workspace the ledger holds to, and those it does not."""
    ours = [anchor for anchor in anchors if anchor.workspace_id == workspace_id]
    there = {
        no: (bytes(digest).hex(), int(lines))
        for no, digest, lines in rows(
            "SELECT no, hash, lines FROM (SELECT no, hash, sum(count) OVER (ORDER BY no) AS lines"
            " FROM consent_ledger_block WHERE workspace_id = %s) b WHERE no = ANY(%s)",
            [workspace_id, [anchor.block for anchor in ours]],
        )
    }
    problems = [
        Problem(anchor.block, -1, gettext_noop("it is not the block that was noted earlier"))
        for anchor in ours
        if there.get(anchor.block) != (anchor.hash, anchor.lines)
    ]
    return len(ours) - len(problems), problems
