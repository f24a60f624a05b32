"""Gate: what asking everybody's permission adds to the expansion of a campaign, from "send it" to one row per person.

The whole road is run (`envol.campaigns.expand`): the people are chosen, asked, and queued, in batches that are durable
each. Once with its gates (the masks on the contact row, who is too young to have agreed alone, by the birth date among
twenty properties, and of every fifth, who is a customer, whether she bought what the campaign is about), once with
nothing asked. All may be written to, so that both write the same rows. The turns
alternate; what is compared is the processor time of this process and of its database backend, for other work on the
machine moves the time on the clock. ``reading`` in the notes is the one statement that chooses and asks, alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from bench import ground

GOAL = 1.10
BATCH = 20_000
PROPERTIES = 19  # beside the birth date
BOUGHT = "Livres anciens"


def run(json: bool = False, **options: Any) -> dict[str, Any]:
    """One line of the table."""
    return ground.in_child("bench.gate", options)


def measure(people: int = 300_000, rounds: int = 6, keep: str = "", **_: Any) -> dict[str, Any]:
    with ground.installation(keep=keep) as here:
        from envol.campaigns import choosing, expand
        from envol.consent import purposes
        from envol.consent.similar import Offer
        from envol.db import rows, value

        _people(here, people)
        place, newsletter = here.workspace.pk, purposes.get(here.workspace, "newsletter")
        version, backend = here.version(), value("SELECT pg_backend_pid()")

        def expanded() -> None:
            sending = here.empty_sending(version, "preparing", product_family=BOUGHT)
            done = expand.run(sending.pk, batch=BATCH)
            if done.queued != people:
                raise RuntimeError(f"{done.queued} of {people} people were queued")

        def read() -> None:
            after, seen = 0, 0
            refusal = choosing.refusal_sql(newsletter, [], (), Offer(BOUGHT)).replace("%", "%%")
            while batch := rows(
                f"SELECT c.id, c.email, {refusal} FROM contacts_contact c WHERE c.workspace_id = %s AND c.id > %s"
                " ORDER BY c.id LIMIT %s",
                [place, after, BATCH],
            ):
                after, seen = batch[-1][0], seen + len(batch)
            if seen != people:
                raise RuntimeError(f"{seen} of {people} people were read")

        def cost(work: Callable[[], None]) -> float:
            """Processor milliseconds of the two processes that take part."""
            begun = ground.processor(backend)
            work()
            return (ground.processor(backend) - begun) * 1000

        turns: dict[str, list[tuple[float, float]]] = {"expanded": [], "read": []}
        for number in range(rounds + 1):
            for name, work in (("expanded", expanded), ("read", read)):
                spent = {}
                # Who goes first changes: the ledger grows with each expansion.
                for asks in (number % 2 == 0, number % 2 == 1):
                    with nullcontext() if asks else _nothing_asked(choosing):
                        spent[asks] = cost(work)
                if number:  # the first turn of each only warms up
                    turns[name].append((spent[True], spent[False]))
        ours, reference = (statistics.median(column) for column in zip(*turns["expanded"], strict=True))
        reading = statistics.median(asked / unasked for asked, unasked in turns["read"])
        ratio = round(statistics.median(asked / unasked for asked, unasked in turns["expanded"]), 3)
        return {
            "bench": "gate",
            "ours": round(ours, 1),
            "reference": round(reference, 1),
            "unit": f"ms of processor, {people:,}",
            "ratio": ratio,
            "goal": GOAL,
            "met": ratio <= GOAL,
            "notes": f"median of {rounds} turns of the whole expansion; reading alone {reading:.2f} times",
        }


def _people(here: ground.Ground, people: int) -> None:
    from envol.consent import acts, purposes
    from envol.contacts import beyond, catalogue
    from envol.db import execute

    catalogue.declare(here.workspace, beyond.BORN, "date", "Date de naissance", "Date of birth")
    others = ", ".join(f"'p{n:02d}', {'n % 1000' if n % 2 else 'n::text'}" for n in range(PROPERTIES))
    execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, props, allowed) SELECT %s, a, a,"
        f" jsonb_build_object('{beyond.BORN}', (date '1940-01-01' + n %% 25000)::text, {others.replace('%', '%%')}), %s"
        " FROM (SELECT n, 'p' || n || '@lecteurs.example' AS a FROM generate_series(1, %s) n) x",
        [here.workspace.pk, 1 << purposes.get(here.workspace, "newsletter").bit, people],
    )
    sale = {"sale_ref": "F-1", "sale_date": "2026-02-01", "product_family": BOUGHT, "optout_offered": True}
    till, book = (acts.evidence(here.workspace, "document", name, document=b"signed", facts=facts)
                  for name, facts in (("caisse", sale), ("carnet", {})))  # fmt: skip
    execute(
        "INSERT INTO consent_permission (workspace_id, contact_id, purpose_id, state, basis, since, evidence_id, block,"
        " leaf, leaf_key) SELECT workspace_id, id, %(purpose)s, 'granted',"
        " CASE WHEN id %% 5 = 0 THEN 'customer' ELSE 'consent' END, now(),"
        " CASE WHEN id %% 5 = 0 THEN %(till)s ELSE %(book)s END, 1, row_number() OVER (), ''"
        " FROM contacts_contact WHERE workspace_id = %(place)s",
        {
            "place": here.workspace.pk, "till": till.pk, "book": book.pk,
            "purpose": purposes.get(here.workspace, "newsletter").pk,
        },
    )  # fmt: skip
    for table in ("contacts_contact", "consent_permission"):
        execute(f"VACUUM ANALYZE {table}")


@contextmanager
def _nothing_asked(choosing: Any) -> Iterator[None]:
    honest, choosing.refusal_sql = choosing.refusal_sql, lambda *_, **__: "NULL::text"
    try:
        yield
    finally:
        choosing.refusal_sql = honest
