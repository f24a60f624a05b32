"""What the consent page counts: answers by purpose, proofs by text and by strength, and one proof in full.

Present answers are the rows whose interval is open. Each figure is one pass over them or less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from envol.consent import chain, ledger
from envol.consent.models import Evidence, Permission, Purpose, PurposeText
from envol.db import dicts, rows

_KEPT_SECONDS, _SLOW_SECONDS = 60.0, 0.05
_kept: dict[tuple[str, int], tuple[int, float, Any]] = {}


def _kept_while_true(what: str, workspace_id: int, count: Callable[[], Any]) -> Any:
    """Count again only what is quick to count, or what a new block of the ledger has changed.

    Every new answer is a block, so a figure kept for the same head is exact; an erasure makes none and is seen
    within a minute.
    """
    head = ledger.head(workspace_id)
    no, begun = head[0] if head else 0, time.monotonic()
    found = _kept.get((what, workspace_id))
    if found is not None and found[0] == no and begun - found[1] < _KEPT_SECONDS:
        return found[2]
    counted = count()
    if time.monotonic() - begun > _SLOW_SECONDS:
        if len(_kept) > 1000:
            _kept.clear()
        _kept[what, workspace_id] = (no, begun, counted)
    return counted


def answers(workspace_id: int) -> dict[int, dict[str, int]]:
    """How many people answer what at present, by purpose and state."""
    found: dict[int, dict[str, int]] = {}
    for (purpose, state, _strength), count in _present(workspace_id).items():
        states = found.setdefault(purpose, {})
        states[state] = states.get(state, 0) + count
    return found


@dataclass(frozen=True, slots=True)
class Proved:
    """Permissions whose proof goes equally far, and the people who gave them (one may have given several)."""

    permissions: int = 0
    people: int = 0


def strengths(workspace_id: int) -> dict[str, Proved]:
    """Present permissions by how far their proof goes: line, document, statement, none (transactional ones apart)."""
    marketing = set(
        Purpose.objects.filter(workspace_id=workspace_id).exclude(kind="transactional").values_list("pk", flat=True)
    )
    each: dict[str, list[int]] = {strength: [] for strength in STRENGTHS}
    for (purpose, state, strength), count in _present(workspace_id).items():
        if state == "granted" and purpose in marketing:
            each[strength].append(count)
    # Nobody answers twice for one purpose: only where several purposes share a strength must people be told apart.
    return {
        strength: Proved(sum(counts), sum(counts) if len(counts) < 2 else _people(workspace_id, strength))
        for strength, counts in each.items()
    }


STRENGTHS = ("line", "document", "statement", "legacy", "none")
ANSWERS = {"granted": ("granted",), "refused": ledger.REFUSALS, "requested": ("requested",), "lapsed": ("lapsed",)}
"""What people said, by the states that say it."""


def answered_sql(alias: str, purpose: Purpose, answer: str) -> str:
    """SQL over a contact alias: is this (a key of ANSWERS) the present answer to a purpose?"""
    states = ", ".join(f"'{state}'" for state in ANSWERS[answer])
    return (
        f"EXISTS (SELECT FROM consent_permission p WHERE p.contact_id = {alias}.id AND p.workspace_id ="
        f" {alias}.workspace_id AND p.purpose_id = {int(purpose.pk)} AND p.until IS NULL AND p.state IN ({states}))"
    )


_OF_STRENGTH = (
    "consent_permission p JOIN consent_purpose u ON u.id = p.purpose_id AND u.kind <> 'transactional'"
    " LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
    " WHERE p.until IS NULL AND p.state = 'granted' AND coalesce(e.strength, 'none') ="
)


_MARKETED = (
    "consent_permission p JOIN consent_purpose u ON u.id = p.purpose_id AND u.kind <> 'transactional'"
    " WHERE p.until IS NULL AND p.state = 'granted'"
)


def proved_sql(alias: str, strength: str) -> str:
    """SQL over a contact alias: does one of her permissions have a proof of this strength?"""
    if strength not in STRENGTHS:
        raise ValueError(f"A strength is {', '.join(STRENGTHS)}; not {strength[:20]!r}.")
    if strength == "none":
        # Few people, scattered: an index knows those with no evidence at all, and evidence that proves nothing is rare
        # enough to be asked for first.
        return (
            f"{alias}.id IN (SELECT p.contact_id FROM {_MARKETED} AND p.evidence_id IS NULL"
            f" UNION ALL SELECT p.contact_id FROM {_MARKETED} AND EXISTS (SELECT FROM consent_evidence"
            " WHERE strength = 'none') AND p.evidence_id IN (SELECT id FROM consent_evidence WHERE strength = 'none'))"
        )
    return (
        f"EXISTS (SELECT FROM {_OF_STRENGTH} '{strength}' AND p.contact_id = {alias}.id"
        f" AND p.workspace_id = {alias}.workspace_id)"
    )


def _people(workspace_id: int, strength: str) -> int:
    query = f"SELECT count(DISTINCT p.contact_id) FROM {_OF_STRENGTH} %s AND p.workspace_id = %s"
    found: int = _kept_while_true(
        f"people {strength}", workspace_id, lambda: int(rows(query, [strength, workspace_id])[0][0])
    )
    return found


def _present(workspace_id: int) -> dict[tuple[int, str, str], int]:
    """Present answers by purpose, state and strength of their proof: one pass for all that is said of them."""
    kept: dict[tuple[int, str, str], int] = _kept_while_true("answers", workspace_id, lambda: _count(workspace_id))
    return kept


def _count(workspace_id: int) -> dict[tuple[int, str, str], int]:
    return {
        (purpose, state, strength): count
        for purpose, state, strength, count in rows(
            "SELECT p.purpose_id, p.state, coalesce(e.strength, 'none'), sum(p.n)::bigint"
            " FROM (SELECT evidence_id, purpose_id, state, count(*) AS n FROM consent_permission"
            "   WHERE workspace_id = %s AND until IS NULL GROUP BY evidence_id, purpose_id, state) p"
            " LEFT JOIN consent_evidence e ON e.id = p.evidence_id GROUP BY 1, 2, 3",
            [workspace_id],
        )
    }


def citations(purpose: Purpose) -> dict[int, int]:
    """How many answers, past ones too, point at each text of a purpose."""
    found: dict[int, int] = _kept_while_true(
        f"citations {purpose.pk}", purpose.workspace_id, lambda: _citations(purpose)
    )
    return found


def _citations(purpose: Purpose) -> dict[int, int]:
    return dict(
        rows(
            "SELECT e.text_id, sum(p.n)::bigint FROM (SELECT evidence_id, count(*) AS n FROM consent_permission"
            "   WHERE workspace_id = %s AND purpose_id = %s AND evidence_id IS NOT NULL GROUP BY evidence_id) p"
            " JOIN consent_evidence e ON e.id = p.evidence_id AND e.text_id IS NOT NULL GROUP BY e.text_id",
            [purpose.workspace_id, purpose.pk],
        )
    )


def texts(purpose: Purpose) -> list[PurposeText]:
    """Every version in every language, newest first."""
    return list(PurposeText.objects.filter(purpose=purpose).order_by("-version", "language"))


_NEAR = 20_000
_LATEST = (
    "SELECT p.id, p.contact_id, p.state, p.since, p.until, p.block, p.leaf, e.strength, e.source"
    " FROM {rows} p LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
    " WHERE p.workspace_id = %(w)s AND p.purpose_id = %(purpose)s AND (p.block, p.leaf) < (%(block)s, %(leaf)s)"
    " ORDER BY p.block DESC, p.leaf DESC LIMIT %(most)s"
)
_AT_THE_END = (
    "(SELECT * FROM consent_permission WHERE workspace_id = %(w)s AND (block, leaf) < (%(block)s, %(leaf)s)"
    " ORDER BY block DESC, leaf DESC LIMIT %(near)s)"
)


def latest(purpose: Purpose, most: int, before: tuple[int, int] | None = None) -> list[dict[str, Any]]:
    """The newest answers for a purpose in the order of the ledger; ``before``: block and leaf to go on from.

    Looked for near the end of the ledger first: what is asked about now was mostly answered lately.
    """
    block, leaf = before or (2**62, 0)
    wanted = {"w": purpose.workspace_id, "purpose": purpose.pk, "block": block, "leaf": leaf, "most": most}
    near = dicts(_LATEST.format(rows=_AT_THE_END), {**wanted, "near": _NEAR})
    return near if len(near) >= most else dicts(_LATEST.format(rows="consent_permission"), wanted)


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything that shows one answer: what was said, to which words, and that nothing was changed since."""

    permission: Permission
    purpose: Purpose
    evidence: Evidence | None
    text: PurposeText | None
    recorded_at: datetime
    inclusion: chain.Inclusion
    payload: str
    key: bytes
    sealed: bool
    """The row is the one its line commits to, and the line stands in the chain."""


def proof(workspace_id: int, permission_id: int) -> Proof | None:
    """The proof of one answer; None when there is none here (or it was erased with the person)."""
    row = Permission.objects.filter(workspace_id=workspace_id, id=permission_id).first()
    if row is None:
        return None
    purpose = Purpose.objects.get(pk=row.purpose_id, workspace_id=workspace_id)
    evidence = (
        Evidence.objects.select_related("text").filter(pk=row.evidence_id, workspace_id=workspace_id).first()
        if row.evidence_id
        else None
    )
    inclusion = ledger.inclusion(workspace_id, row.block, row.leaf)
    message = chain.payload(
        workspace_id,
        row.contact_id,
        row.purpose_id,
        row.state,
        row.basis,
        row.since,
        row.evidence_id,
        row.proof,
        ledger.seals_of([row.evidence_id]).get(row.evidence_id),
    )
    key = bytes(row.leaf_key)
    sealed = chain.leaf(key, message) == inclusion.leaf and inclusion.holds()
    return Proof(
        row,
        purpose,
        evidence,
        evidence.text if evidence else None,
        inclusion.at,
        inclusion,
        message.decode(),
        key,
        sealed,
    )


def as_json(found: Proof) -> dict[str, Any]:
    """The proof to hand over: enough to check it with `envol.consent.chain` alone, or by hand."""
    inclusion = found.inclusion
    return {
        "version": 1,
        "payload": found.payload,
        "key": found.key.hex(),
        "leaf": inclusion.leaf.hex(),
        "block": {
            "workspace": inclusion.workspace_id,
            "no": inclusion.block,
            "lines": inclusion.lines,
            "at": inclusion.at.isoformat(),
            "previous": inclusion.previous.hex(),
            "hash": inclusion.hash.hex(),
        },
        "place": inclusion.place,
        "steps": [{"left": left, "hash": other.hex()} for left, other in inclusion.steps],
        "text": found.text.text if found.text else None,
        "text_sha256": bytes(found.text.sha256).hex() if found.text else None,
    }


def lines(workspace_id: int) -> int:
    """How many lines the ledger holds."""
    return int(
        rows("SELECT coalesce(sum(count), 0) FROM consent_ledger_block WHERE workspace_id = %s", [workspace_id])[0][0]
    )
