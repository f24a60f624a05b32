"""Ledger: a ledger of so many lines verified whole, against hashing the same octets once.

The lines are sealed in blocks as imports seal them, and their rows copied. The reference reads the same rows and leaves
and runs SHA-256 over their octets once, without tree, chain or comparison: what no verification can avoid. The goal is
the ratio at which a million lines take 15 s on this machine.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

from bench import ground

BLOCK = 100_000
GOAL = 15.0


def run(json: bool = False, **options: Any) -> dict[str, Any]:
    """One line of the table."""
    return ground.in_child("bench.ledger", options)


def measure(lines: int = 1_000_000, keep: str = "", **_: Any) -> dict[str, Any]:
    with ground.installation(keep=keep) as here:
        from django.db import connection, transaction

        from envol.consent import acts, ledger, purposes
        from envol.db import execute, value

        place, newsletter = here.workspace.pk, purposes.get(here.workspace, "newsletter")
        proof = acts.evidence(here.workspace, "document", "registre", document=b"registre")
        since = datetime(2024, 3, 1, tzinfo=UTC)
        for first in range(1, lines + 1, BLOCK):
            people = list(range(first, min(first + BLOCK, lines + 1)))
            sealed = ledger.seal_rows(
                place, people, purpose_id=newsletter.pk, basis="consent", since=since, evidence_id=proof.pk
            )
            with connection.cursor() as cursor, cursor.copy(ledger.COPY_ROWS) as copying:
                copying.write(sealed.copy_rows(range(len(people))))
        execute("ANALYZE")
        backend = value("SELECT pg_backend_pid()")
        begun, spent = time.perf_counter(), ground.processor(backend)
        report = ledger.verify(place)
        ours, spent = time.perf_counter() - begun, ground.processor(backend) - spent
        if not report.ok or report.readable != lines:
            raise RuntimeError(f"the ledger does not verify: {report.problems[:1]}")
        begun, digest = time.perf_counter(), hashlib.sha256()
        with transaction.atomic():
            for block in ledger.blocks(place):
                digest.update(block[3])
            for _block, _leaf, key, message in ledger.payloads(place):
                digest.update(key)
                digest.update(message)
        reference = time.perf_counter() - begun
        return {
            "bench": "ledger",
            "ours": round(ours * 1000, 1),
            "reference": round(reference * 1000, 1),
            "unit": f"ms, {lines:,} lines",
            "ratio": round(ours / reference, 2),
            "goal": round(GOAL * lines / 1_000_000 / reference, 2),
            "met": ours * 1_000_000 / lines <= GOAL,
            "notes": f"{report.blocks} blocks, {spent:.1f} s of processor; reference: the same rows hashed once",
        }
