"""Gate: what asking `may_send` of everybody adds to preparing a campaign, in one statement over the contact rows.

The people of a campaign are chosen and their addresses read, in batches by id as the expansion does it; once with the
gate (`refusal_sql` over the masks) and once without. Both are repeated in turn, the medians compared.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

from bench import ground

GOAL = 1.10
BATCH = 20_000


def run(json: bool = False, **options: Any) -> dict[str, Any]:
    """One line of the table."""
    return ground.in_child("bench.gate", options)


def measure(people: int = 1_000_000, rounds: int = 5, keep: str = "", **_: Any) -> dict[str, Any]:
    with ground.installation(keep=keep) as here:
        from envol.consent import gates, purposes
        from envol.db import execute, rows

        place, newsletter = here.workspace.pk, purposes.get(here.workspace, "newsletter")
        execute(
            "INSERT INTO contacts_contact (workspace_id, email, email_key, allowed, refused) SELECT %s, a, a,"
            " CASE WHEN n %% 4 > 0 THEN %s ELSE 0 END, CASE WHEN n %% 20 = 0 THEN %s ELSE 0 END"
            " FROM (SELECT n, 'p' || n || '@lecteurs.example' AS a FROM generate_series(1, %s) n) x",
            [place, 1 << newsletter.bit, 1 << newsletter.bit, people],
        )
        execute("VACUUM ANALYZE contacts_contact")

        def prepared(refusal: str) -> float:
            begun, after, seen = time.perf_counter(), 0, 0
            while batch := rows(
                f"SELECT c.id, c.email, {refusal} FROM contacts_contact c WHERE c.workspace_id = %s AND c.id > %s"
                " ORDER BY c.id LIMIT %s",
                [place, after, BATCH],
            ):
                after, seen = batch[-1][0], seen + len(batch)
            if seen != people:
                raise RuntimeError(f"{seen} of {people} people were read")
            return time.perf_counter() - begun

        gate = gates.refusal_sql("c", bit=newsletter.bit)
        prepared(gate)
        turns = [(prepared(gate), prepared("NULL::text")) for _ in range(rounds)]
        ours, reference = (statistics.median(column) for column in zip(*turns, strict=True))
        ratio = round(ours / reference, 3)
        return {
            "bench": "gate",
            "ours": round(ours * 1000, 1),
            "reference": round(reference * 1000, 1),
            "unit": f"ms, {people:,}",
            "ratio": ratio,
            "goal": GOAL,
            "met": ratio <= GOAL,
            "notes": f"median of {rounds} turns; choosing and reading alone, without writing the queue",
        }
