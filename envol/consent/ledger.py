"""The consent ledger: append, seal in bulk, prove one line; `envol.consent.verifying` recomputes all of it.

A block seals the lines of one commit, or of one part of an import. Lines never change; what a line says is the
``consent_permission`` row it opened, tied to it by a commitment (see `envol.consent.chain`). An erased
row leaves its line unreadable and the chain whole; an altered one is found by `verifying.verify`.

The present answer of a person for a purpose is the row whose interval is open. An answer that
arrives late (its ``since`` lies before a newer one) takes its place in the history and changes
nothing in the present.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction

from envol.consent import chain
from envol.consent.models import Basis
from envol.consent.verifying import Problem as Problem
from envol.consent.verifying import Report as Report
from envol.consent.verifying import blocks as blocks
from envol.consent.verifying import payloads as payloads
from envol.consent.verifying import verify as verify
from envol.db import execute, rows
from envol.db_role import as_owner

STATES = ("granted", "withdrawn", "refused", "objected", "requested", "lapsed")
REFUSALS = ("withdrawn", "refused", "objected")
MAX_LINES = 4_000_000
"""Lines of one block: its leaves are one value of 128 MB at most."""

COPY_ROWS = (
    "COPY consent_permission (workspace_id, contact_id, purpose_id, state, basis, since, until, evidence_id,"
    " proof, block, leaf, leaf_key) FROM STDIN"
)
_ADVANCE = timedelta(minutes=5)  # how far another machine's clock may run ahead

Projection = Callable[[int, Sequence[int]], None]
_projections: list[Projection] = []


class Line(NamedTuple):
    """One answer: ``since`` is when the person gave it, ``proof`` what shows it for this person alone."""

    contact_id: int
    purpose_id: int
    state: str
    basis: str
    since: datetime
    evidence_id: int | None = None
    proof: str = ""


def on_change(act: Projection) -> Projection:
    """Run ``act(workspace_id, contact_ids)`` in the transaction that changes these people's answers."""
    _projections.append(act)
    return act


def project(workspace_id: int, contact_ids: Sequence[int]) -> None:
    """Bring all projections of these people up to date, in the current transaction."""
    for act in _projections:
        act(workspace_id, contact_ids)


def lock(workspace_id: int) -> None:
    """Hold a workspace's chain until the transaction ends: appends come one after the other."""
    execute("SELECT pg_advisory_xact_lock(hashtext('envol consent ledger'), %s)", [workspace_id])


def append(workspace_id: int, lines: Sequence[Line], *, at: datetime | None = None) -> int:
    """Record answers in one block; intervals, masks and chain change together or not at all.

    Returns the block's number. ``at`` is when we learnt it (now). Refuses unknown states, moments in
    the future or without a time zone, and an empty call, each with a sentence.
    """
    at = at or datetime.now(UTC)
    lines = [_checked(line, at) for line in lines]
    seals = seals_of(line.evidence_id for line in lines)
    messages = [chain.payload(workspace_id, *line, seals.get(line.evidence_id)) for line in lines]
    keys = os.urandom(chain.KEY * len(lines))
    sealed = chain.leaves(keys, messages)
    with transaction.atomic():
        lock(workspace_id)
        block = _write_block(workspace_id, sealed, at)
        untils = _close(lines)
        with as_owner(), connection.cursor() as cursor, cursor.copy(COPY_ROWS) as copy:
            for leaf, (line, until) in enumerate(zip(lines, untils, strict=True)):
                key = "\\x" + keys[leaf * chain.KEY : (leaf + 1) * chain.KEY].hex()
                copy.write_row((workspace_id, *line[:5], until, *line[5:], block, leaf, key))
        project(workspace_id, sorted({line.contact_id for line in lines}))
    return block


def seals_of(evidence_ids: Iterable[int | None]) -> dict[int | None, bytes]:
    """What lines that cite these commit to; evidence from before seals existed is absent."""
    wanted = sorted({one for one in evidence_ids if one is not None})
    found = rows("SELECT id, seal FROM consent_evidence WHERE id = ANY(%s)", [wanted]) if wanted else []
    return {number: bytes(seal) for number, seal in found if seal is not None}


def _checked(line: Line, at: datetime) -> Line:
    if line.state not in STATES:
        raise ValueError(f"An answer is {', '.join(STATES)}; not {line.state!r}.")
    if line.basis not in Basis.values:
        raise ValueError(f"The basis of an answer is {', '.join(Basis.values)}; not {line.basis!r}.")
    if line.since.tzinfo is None:
        raise ValueError("The date of an answer needs its time zone.")
    if line.since > at + _ADVANCE:
        raise ValueError("The date of an answer lies in the future: correct it.")
    _checked_proof(line.proof)
    return line


def _checked_proof(proof: str) -> None:
    if "\0" in proof or len(proof) > 300:
        raise ValueError("A proof is at most 300 characters of text.")


def _close(lines: Sequence[Line]) -> list[datetime | None]:
    """Close the intervals these lines end, and answer where each line's own interval ends."""
    pairs = {(line.contact_id, line.purpose_id) for line in lines}
    known = rows(
        "SELECT p.contact_id, p.purpose_id, p.since, p.id, p.until FROM consent_permission p"
        " JOIN unnest(%s::bigint[], %s::bigint[]) AS k (contact_id, purpose_id) USING (contact_id, purpose_id)"
        " ORDER BY p.since, p.block, p.leaf",
        [[c for c, _ in pairs], [p for _, p in pairs]],
    )
    # Per pair (since, is new, place): on one instant the answer recorded last comes last.
    order: dict[tuple[int, int], list[tuple[datetime, int, int]]] = {}
    for i, row in enumerate(known):
        order.setdefault((row[0], row[1]), []).append((row[2], 0, i))
    for i, line in enumerate(lines):
        order.setdefault((line.contact_id, line.purpose_id), []).append((line.since, 1, i))
    untils: list[datetime | None] = [None] * len(lines)
    changed = []
    for entries in order.values():
        entries.sort()
        for (_, new, i), later in zip(entries, [*entries[1:], None], strict=True):
            until = later[0] if later else None
            if new:
                untils[i] = until
            elif known[i][4] != until:
                changed.append((*known[i][:4], until))
    if changed:
        execute(
            "UPDATE consent_permission p SET until = k.until"
            " FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::timestamptz[])"
            " AS k (contact_id, purpose_id, since, id, until)"
            " WHERE (p.contact_id, p.purpose_id, p.since, p.id) = (k.contact_id, k.purpose_id, k.since, k.id)",
            [list(column) for column in zip(*changed, strict=True)],
        )
    return untils


def _write_block(workspace_id: int, leaves: bytes, at: datetime) -> int:
    """Chain one block to the last; the caller holds the lock."""
    count = len(leaves) // chain.LEAF
    if not 0 < count <= MAX_LINES:
        raise ValueError(f"A block holds 1 to {MAX_LINES} lines: seal the rest in another call.")
    last = rows(
        "SELECT no, hash FROM consent_ledger_block WHERE workspace_id = %s ORDER BY no DESC LIMIT 1", [workspace_id]
    )
    no, previous = (last[0][0] + 1, bytes(last[0][1])) if last else (1, chain.START)
    root = chain.root(leaves)
    digest = chain.block_hash(workspace_id, no, count, at, previous, root)
    # COPY in binary: the leaves of a large import would double as a text parameter.
    with (
        as_owner(),
        connection.cursor() as cursor,
        cursor.copy(
            "COPY consent_ledger_block (workspace_id, no, at, count, leaves, root, previous, hash)"
            " FROM STDIN WITH (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["int4", "int8", "timestamptz", "int4", "bytea", "bytea", "bytea", "bytea"])
        copy.write_row((workspace_id, no, at, count, leaves, root, previous, digest))
    return no


# -- in bulk -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sealed:
    """Lines that are in the ledger already; the caller COPYs their rows, in any pieces and on any connections.

    A row that never arrives (a crash, a cancelled import) is as an erased one: the line stays, the
    person is not mailable.
    """

    block: int
    lines: int
    copy_rows: Callable[[Sequence[int]], bytes] = field(repr=False)
    """``copy_rows(places)``: permission rows of these lines (counted from 0, in the order given), for `COPY_ROWS`."""


def seal_rows(
    workspace_id: int,
    contact_ids: Sequence[int],
    *,
    purpose_id: int,
    basis: str,
    since: datetime | Sequence[datetime],
    state: str = "granted",
    evidence_id: int | None = None,
    proofs: Sequence[str] | None = None,
    at: datetime | None = None,
) -> Sealed:
    """Seal one block for many people who have no answer for this purpose yet, and commit it.

    Seal first, then COPY: a row in the table always has its line in the ledger, and the chain is
    locked for the time of one insert, not of the import. Each contact may occur once, and must have no
    row for the purpose (the unique index refuses a second present answer): people who answered before
    go through `append`. The caller sets ``allowed`` on contact rows in the transaction that copies
    their permissions, or calls `project` there. About 4 µs a line (two SHA-256 for the commitment, one for the tree).
    """
    at = at or datetime.now(UTC)
    one = [since] if isinstance(since, datetime) else since
    evidence = "\\N" if evidence_id is None else str(evidence_id)
    if len(one) not in (1, len(contact_ids)) or (proofs is not None and len(proofs) != len(contact_ids)):
        raise ValueError("There must be one date, and one proof if any, for each person.")
    if any(moment.tzinfo is None for moment in one):
        raise ValueError("The date of an answer needs its time zone.")
    _checked(Line(0, purpose_id, state, basis, max(one), evidence_id), at)
    for proof in proofs or ():
        _checked_proof(proof)

    messages = _messages(workspace_id, contact_ids, purpose_id, state, basis, one, evidence_id, proofs)
    keys = os.urandom(chain.KEY * len(contact_ids))
    leaves = chain.leaves(keys, messages)
    with transaction.atomic():
        lock(workspace_id)
        block = _write_block(workspace_id, leaves, at)

    # What all rows share is written once, and so are the keys.
    head, middle, end = f"{workspace_id}\t", f"\t{purpose_id}\t{state}\t{basis}\t", f"\t\\N\t{evidence}\t"
    common, hexes, size = one[0].isoformat(), keys.hex(), 2 * chain.KEY

    def copy_rows(places: Sequence[int]) -> bytes:
        if len(one) == 1 and proofs is None:
            shared = f"{middle}{common}{end}\t{block}\t"
            rows = [f"{head}{contact_ids[i]}{shared}{i}\t\\\\x{hexes[i * size : (i + 1) * size]}\n" for i in places]
        else:
            rows = [
                f"{head}{contact_ids[i]}{middle}{common if len(one) == 1 else one[i].isoformat()}{end}"
                f"{_escape(proofs[i]) if proofs else ''}\t{block}\t{i}\t\\\\x{hexes[i * size : (i + 1) * size]}\n"
                for i in places
            ]
        return "".join(rows).encode()

    return Sealed(block, len(contact_ids), copy_rows)


def _messages(
    workspace_id: int,
    contact_ids: Sequence[int],
    purpose_id: int,
    state: str,
    basis: str,
    since: Sequence[datetime],
    evidence_id: int | None,
    proofs: Sequence[str] | None,
) -> list[bytes]:
    seal = seals_of([evidence_id]).get(evidence_id)
    if len(since) == 1 and proofs is None:
        # What all lines share is written once; the pieces are cut out of one payload, so that this
        # cannot drift from chain.payload.
        mark = 9_007_199_254_740_991
        pattern = chain.payload(workspace_id, mark, purpose_id, state, basis, since[0], evidence_id, "", seal)
        head, _, tail = pattern.partition(b"\n%d\n" % mark)
        head, tail = head + b"\n", b"\n" + tail
        numbers = "\n".join(map(str, contact_ids)).encode().split(b"\n") if contact_ids else []
        return [head + number + tail for number in numbers]
    return [
        chain.payload(
            workspace_id,
            contact_id,
            purpose_id,
            state,
            basis,
            since[i] if len(since) > 1 else since[0],
            evidence_id,
            proofs[i] if proofs else "",
            seal,
        )
        for i, contact_id in enumerate(contact_ids)
    ]


def _escape(text: str) -> str:
    r"""Text of COPY: \\, tab and line ends."""
    if "\\" in text or "\t" in text or "\n" in text or "\r" in text:
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return text


# -- proof -------------------------------------------------------------------------------------


def head(workspace_id: int) -> tuple[int, bytes] | None:
    found = rows(
        "SELECT no, hash FROM consent_ledger_block WHERE workspace_id = %s ORDER BY no DESC LIMIT 1", [workspace_id]
    )
    return (found[0][0], bytes(found[0][1])) if found else None


def inclusion(workspace_id: int, block: int, leaf: int) -> chain.Inclusion:
    """Proof that a line stands in the chain, to hand over; `Inclusion.holds` checks it without us."""
    found = rows(
        "SELECT count, at, previous, hash, leaves FROM consent_ledger_block WHERE workspace_id = %s AND no = %s",
        [workspace_id, block],
    )
    if not found or not 0 <= leaf < found[0][0]:
        raise LookupError(f"The ledger has no line {leaf} in block {block}.")
    count, at, previous, digest, leaves = found[0]
    leaves = bytes(leaves)
    return chain.Inclusion(
        workspace_id,
        block,
        count,
        at,
        bytes(previous),
        bytes(digest),
        leaves[leaf * chain.LEAF : (leaf + 1) * chain.LEAF],
        leaf,
        chain.path(leaves, leaf),
    )


def forget(workspace_id: int, contact_id: int) -> int:
    """Erase what the lines of one person say, and their keys; the lines stay. Returns how many rows went."""
    return execute(
        "DELETE FROM consent_permission WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id]
    )
