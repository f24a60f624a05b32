"""The arithmetic of the ledger: commitments, Merkle trees, chained blocks. Pure, no database.

Anybody who has the blocks, and the permission rows with their keys, can verify a ledger with this
file alone:

    payload  = the permission row in bytes (`payload`), with the digest of its evidence (`evidence_seal`)
    leaf     = HMAC-SHA256(key of its own, payload), a commitment: without the key it says nothing
    root     = binary SHA-256 tree over the leaves of one block; a lone node moves up as it is
    hash     = SHA-256 over workspace, number, count, time, hash of the block before, root

The count stands in the block's hash, so the shape of the tree is fixed and an inner node cannot pass
for a leaf. The person is named by contact id alone: an address changes and is erased, and the row
that lists it is not the ledger's.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

LEAF = 32
KEY = 16
"""Octets. 128 random bits per line: nobody can try payloads against a leaf."""

START = bytes(32)
"""What stands before the first block."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# HMAC (RFC 2104) written out: two plain SHA-256 over prepared pads cost 2.0 µs, hmac.digest 2.8 µs.
_INNER = bytes(x ^ 0x36 for x in range(256))
_OUTER = bytes(x ^ 0x5C for x in range(256))
_INNER_REST, _OUTER_REST = b"\x36" * (64 - KEY), b"\x5c" * (64 - KEY)


def micros(moment: datetime) -> int:
    """Whole microseconds since 1970, UTC: what PostgreSQL keeps of a timestamptz."""
    return (moment - _EPOCH) // _MICROSECOND


def payload(
    workspace_id: int,
    contact_id: int,
    purpose_id: int,
    state: str,
    basis: str,
    since: datetime,
    evidence_id: int | None,
    proof: str,
    seal: bytes | None = None,
) -> bytes:
    """The canonical octets of a permission row. ``proof`` comes last because it alone may hold any character.

    ``seal`` is the digest of its evidence (`evidence_seal`), so that the words, document and circumstances are
    committed to with the answer. Evidence from before seals existed has none, and lines that cite it are of version 1.
    """
    evidence = "-" if evidence_id is None else f"{evidence_id} {seal.hex()}" if seal else str(evidence_id)
    return (
        f"envol permission {2 if seal else 1}\n{workspace_id}\n{contact_id}\n{purpose_id}\n{state}\n{basis}\n"
        f"{micros(since)}\n{evidence}\n{proof}"
    ).encode()


def evidence_octets(
    workspace_id: int,
    strength: str,
    source: str,
    text_sha256: bytes | None,
    statement: str,
    member_id: int | None,
    document_name: str,
    document_sha256: bytes | None,
    facts: Mapping[str, Any],
) -> bytes:
    """The canonical octets of an evidence: JSON with sorted keys and without spaces, in UTF-8."""
    said = {
        "workspace": workspace_id,
        "strength": strength,
        "source": source,
        "text_sha256": text_sha256.hex() if text_sha256 else None,
        "statement": statement,
        "member": member_id,
        "document_name": document_name,
        "document_sha256": document_sha256.hex() if document_sha256 else None,
        "facts": dict(facts),
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def evidence_seal(octets: bytes) -> bytes:
    return hashlib.sha256(b"envol evidence 1\n" + octets).digest()


def leaf(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def leaves(keys: bytes, messages: Sequence[bytes]) -> bytes:
    """All leaves together: ``keys`` holds one key of `KEY` octets for each message."""
    if len(keys) != KEY * len(messages):
        raise ValueError("There must be one key of 16 octets for each line.")
    inner, outer, sha256 = keys.translate(_INNER), keys.translate(_OUTER), hashlib.sha256
    return b"".join(
        [
            sha256(
                outer[i : i + KEY] + _OUTER_REST + sha256(inner[i : i + KEY] + _INNER_REST + message).digest()
            ).digest()
            for i, message in zip(range(0, len(keys), KEY), messages, strict=True)
        ]
    )


def _levels(leaves: bytes) -> Iterator[list[bytes]]:
    sha256 = hashlib.sha256
    level = [leaves[i : i + LEAF] for i in range(0, len(leaves), LEAF)]
    yield level
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [sha256(a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)] + odd
        yield level


def root(leaves: bytes) -> bytes:
    """Merkle root of at least one leaf."""
    if not leaves or len(leaves) % LEAF:
        raise ValueError("A block has at least one leaf, each of 32 octets.")
    for level in _levels(leaves):
        last = level
    return last[0]


def path(leaves: bytes, index: int) -> list[tuple[bool, bytes]]:
    """What to hash leaf ``index`` with, from the bottom to the root: (stands left of us, its hash)."""
    steps = []
    for level in _levels(leaves):
        other = index ^ 1
        if other < len(level):
            steps.append((bool(index & 1), level[other]))
        index >>= 1
    return steps


def climb(leaf: bytes, steps: Sequence[tuple[bool, bytes]]) -> bytes:
    """The root that a leaf and its path lead to."""
    for left, other in steps:
        leaf = hashlib.sha256(other + leaf if left else leaf + other).digest()
    return leaf


def block_hash(workspace_id: int, no: int, count: int, at: datetime, previous: bytes, root: bytes) -> bytes:
    head = f"envol ledger 1\n{workspace_id}\n{no}\n{count}\n{micros(at)}\n".encode()
    return hashlib.sha256(head + previous + root).digest()


class Inclusion(NamedTuple):
    """Proof that one line stands in one block, without showing any other line."""

    workspace_id: int
    block: int
    lines: int
    at: datetime
    previous: bytes
    hash: bytes
    leaf: bytes
    place: int
    steps: list[tuple[bool, bytes]]

    def holds(self) -> bool:
        if len(self.steps) > self.lines.bit_length() or not 0 <= self.place < self.lines:
            return False
        top = climb(self.leaf, self.steps)
        return block_hash(self.workspace_id, self.block, self.lines, self.at, self.previous, top) == self.hash
