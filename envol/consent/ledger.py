"""The consent ledger: append, seal in bulk, verify, prove.

A block seals the lines of one commit, or of one part of an import. Lines never change; what a line says is the
``consent_permission`` row it opened, tied to it by a commitment (see `envol.consent.chain`). An erased
row leaves its line unreadable and the chain whole; an altered one is found by `verify`.

The present answer of a person for a purpose is the row whose interval is open. An answer that
arrives late (its ``since`` lies before a newer one) takes its place in the history and changes
nothing in the present.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext_noop

from envol.consent import chain
from envol.consent.models import Basis
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


class Problem(NamedTuple):
    """Something in the ledger that is not as it was written.

    ``leaf`` is -1 for a whole block; block 0 is no block: there ``leaf`` is the number of an evidence.
    """

    block: int
    leaf: int
    what: str


@dataclass
class Report:
    blocks: int = 0
    lines: int = 0
    readable: int = 0
    """Lines whose payload is still there and is the one they commit to; the others were erased."""
    problems: list[Problem] = field(default_factory=list)
    head: tuple[int, str] | None = None
    """Number and hash of the last block: note it elsewhere, and a cut tail cannot hide."""

    @property
    def ok(self) -> bool:
        return not self.problems


def head(workspace_id: int) -> tuple[int, bytes] | None:
    found = rows(
        "SELECT no, hash FROM consent_ledger_block WHERE workspace_id = %s ORDER BY no DESC LIMIT 1", [workspace_id]
    )
    return (found[0][0], bytes(found[0][1])) if found else None


def verify(
    workspace_id: int,
    *,
    known: tuple[int, bytes] | None = None,
    most: int = 100,
    tell: Callable[[int], None] | None = None,
) -> Report:
    """Recompute everything: each row against its line, each block against its leaves and the one before.

    Finds an altered row, line or block, a missing or exchanged block, a row without a line, two rows on
    one line, an interval that does not end where the next begins. ``known`` is a head noted
    earlier (`head`): blocks cut off the end are found with it, or by the rows that still name them.
    Stops noting after ``most`` problems. A missing row is no problem: erasure (GDPR art. 17) takes it.
    ``tell`` hears how many lines were looked at; what it raises ends the work.
    """
    report = Report()
    note = _Notes(report.problems, most)
    heads: dict[int, bytes] = {}
    # In one transaction: the cursors of the server live as long as it does.
    with transaction.atomic():
        previous, no = chain.START, 0
        lines = payloads(workspace_id)
        row = next(lines, None)
        for no, at, count, leaves, root, before, digest in blocks(workspace_id):
            report.blocks += 1
            if tell is not None:
                tell(report.lines)
            report.lines += count
            if no != report.blocks:
                note(no, -1, gettext_noop("a block is missing before it"))
                report.blocks = no
            if before != previous:
                note(no, -1, gettext_noop("it does not follow the block before it"))
            if len(leaves) != count * chain.LEAF or chain.root(leaves) != root:
                note(no, -1, gettext_noop("its lines are not those it was sealed with"))
            if chain.block_hash(workspace_id, no, count, at, before, root) != digest:
                note(no, -1, gettext_noop("its number, time, count or root was altered"))
            seen = -1
            while row is not None and row[0] <= no:
                block, leaf, key, message = row
                if block == no and 0 <= leaf < count:
                    stored = leaves[leaf * chain.LEAF : (leaf + 1) * chain.LEAF]
                    if leaf == seen:
                        note(no, leaf, gettext_noop("two rows claim this line"))
                    elif chain.leaf(key, message) != stored:
                        note(no, leaf, gettext_noop("the row says something else than was recorded"))
                    else:
                        report.readable += 1
                    seen = leaf
                    if tell is not None and leaf % 4096 == 4095:
                        tell(report.lines - count + leaf + 1)
                else:
                    note(block, leaf, gettext_noop("a row has no line in the ledger"))
                row = next(lines, None)
            previous, heads[no] = digest, digest
            if known and known[0] != no:
                del heads[no]
        report.head = (no, previous.hex()) if no else None
        for block, leaf in rows(
            "SELECT p.block, p.leaf FROM consent_permission p WHERE p.workspace_id = %(w)s AND p.block >"
            " (SELECT coalesce(max(no), 0) FROM consent_ledger_block WHERE workspace_id = %(w)s) LIMIT %(most)s",
            {"w": workspace_id, "most": most},
        ):
            note(block, leaf, gettext_noop("a row names a block that is not there"))
        for block, leaf in rows(
            "SELECT block, leaf FROM (SELECT block, leaf, until, lead(since) OVER"
            " (PARTITION BY contact_id, purpose_id ORDER BY since, block, leaf) AS next"
            " FROM consent_permission WHERE workspace_id = %s) p WHERE until IS DISTINCT FROM next LIMIT %s",
            [workspace_id, most],
        ):
            note(block, leaf, gettext_noop("its interval does not end where the next answer begins"))
        for number in _altered_evidence(workspace_id):
            note(0, number, gettext_noop("an evidence, its words or its document are not those that were sealed"))
    if known and heads.get(known[0]) != known[1]:
        note(known[0], -1, gettext_noop("it is not the block that was noted earlier"))
    return report


@dataclass
class _Notes:
    problems: list[Problem]
    most: int

    def __call__(self, block: int, leaf: int, what: str) -> None:
        if len(self.problems) < self.most:
            self.problems.append(Problem(block, leaf, what))


def _stream(query: str, params: Sequence[Any], at_once: int) -> Iterator[tuple[Any, ...]]:
    """Rows by a cursor of the server: memory does not grow with the table."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(query, params)
        while found := cursor.fetchmany(at_once):
            yield from found


def blocks(workspace_id: int) -> Iterator[tuple[int, datetime, int, bytes, bytes, bytes, bytes]]:
    for no, at, count, *octets in _stream(
        "SELECT no, at, count, leaves, root, previous, hash FROM consent_ledger_block"
        " WHERE workspace_id = %s ORDER BY no",
        [workspace_id],
        1,
    ):
        leaves, root, before, digest = (bytes(value) for value in octets)
        yield no, at, count, leaves, root, before, digest


def payloads(workspace_id: int) -> Iterator[tuple[int, int, bytes, bytes]]:
    for block, leaf, key, *line in _stream(
        "SELECT p.block, p.leaf, p.leaf_key, p.contact_id, p.purpose_id, p.state, p.basis, p.since, p.evidence_id,"
        " p.proof, e.seal FROM consent_permission p LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
        " WHERE p.workspace_id = %s AND p.block <="
        " (SELECT coalesce(max(no), 0) FROM consent_ledger_block WHERE workspace_id = %s) ORDER BY p.block, p.leaf",
        [workspace_id, workspace_id],
        2000,
    ):
        yield block, leaf, bytes(key), chain.payload(workspace_id, *line)


def _altered_evidence(workspace_id: int) -> Iterator[int]:
    """Numbers of the evidence whose words, document or circumstances are not what their digests say."""
    for number, seal, text_right, document_right, *said in rows(
        "SELECT e.id, e.seal, t.text IS NULL OR sha256(convert_to(t.text, 'UTF8')) = t.sha256,"
        " e.document IS NULL OR sha256(e.document) = e.document_sha256, e.workspace_id, e.strength, e.source,"
        " t.sha256, e.statement, e.member_id, e.document_name, e.document_sha256, e.facts::text"
        " FROM consent_evidence e LEFT JOIN consent_purpose_text t ON t.id = e.text_id"
        " WHERE e.workspace_id = %s ORDER BY e.id",
        [workspace_id],
    ):
        if not text_right or not document_right:
            yield number
            continue
        said[3], said[7] = (bytes(one) if one else None for one in (said[3], said[7]))
        said[8] = json.loads(said[8])
        if seal is not None and chain.evidence_seal(chain.evidence_octets(*said)) != seal:
            yield number


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
