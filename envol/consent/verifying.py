"""The ledger recomputed: each row against its line, each block against its leaves and the one before."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from django.db import connection, transaction
from django.utils.translation import gettext_noop

from envol.consent import chain
from envol.db import rows, sql

AT_ONCE = 4096
"""Rows fetched, hashed and compared together."""

Row = tuple[int, int, bytes, bytes]
"""Block, leaf, key, payload."""


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
        found = _batches(workspace_id)
        batch = next(found, [])
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
            while batch and batch[0][0] <= no:
                mine = bisect_right(batch, no, key=lambda row: row[0])
                seen = _lines(batch[:mine], no, count, leaves, seen, report, note)
                if tell is not None:
                    tell(report.lines - count + seen + 1)
                batch = batch[mine:] or next(found, [])
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


def _lines(these: list[Row], no: int, count: int, leaves: bytes, seen: int, report: Report, note: _Notes) -> int:
    """Compare rows, in their order, with the lines of block ``no``; ``seen`` is the last line before, and is returned.

    All leaves of a batch are made and compared at once. Only where something differs is each row looked at by itself.
    """
    keys, places = b"".join([row[2] for row in these]), [row[1] for row in these]
    if (
        these[0][0] == no
        and seen < places[0]
        and places[-1] < count
        and all(a < b for a, b in pairwise(places))
        and len(keys) == chain.KEY * len(these)
    ):
        if places[-1] - places[0] == len(places) - 1:
            stored = leaves[places[0] * chain.LEAF : (places[-1] + 1) * chain.LEAF]
        else:  # some were erased
            stored = b"".join([leaves[place * chain.LEAF : (place + 1) * chain.LEAF] for place in places])
        if chain.leaves(keys, [row[3] for row in these]) == stored:
            report.readable += len(these)
            return places[-1]
    for block, leaf, key, message in these:
        if block != no or not 0 <= leaf < count:
            note(block, leaf, gettext_noop("a row has no line in the ledger"))
            continue
        if leaf == seen:
            note(no, leaf, gettext_noop("two rows claim this line"))
        elif chain.leaf(key, message) != leaves[leaf * chain.LEAF : (leaf + 1) * chain.LEAF]:
            note(no, leaf, gettext_noop("the row says something else than was recorded"))
        else:
            report.readable += 1
        seen = leaf
    return seen


@dataclass
class _Notes:
    problems: list[Problem]
    most: int

    def __call__(self, block: int, leaf: int, what: str) -> None:
        if len(self.problems) < self.most:
            self.problems.append(Problem(block, leaf, what))


def blocks(workspace_id: int) -> Iterator[tuple[int, datetime, int, bytes, bytes, bytes, bytes]]:
    """Number, time, count, leaves, root, hash before and hash of each block, in order; one in memory at a time."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            "SELECT no, at, count, leaves, root, previous, hash FROM consent_ledger_block"
            " WHERE workspace_id = %s ORDER BY no",
            [workspace_id],
        )
        while found := cursor.fetchmany(1):
            no, at, count, *octets = found[0]
            leaves, root, before, digest = (bytes(value) for value in octets)
            yield no, at, count, leaves, root, before, digest


def payloads(workspace_id: int) -> Iterator[Row]:
    """Every row that a block is there for, in the order of the lines. In a transaction; memory stays flat."""
    for batch in _batches(workspace_id):
        yield from batch


def _batches(workspace_id: int) -> Iterator[list[Row]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql("consent", "payloads"), {"workspace": workspace_id})
        while found := cursor.fetchmany(AT_ONCE):
            yield found


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
