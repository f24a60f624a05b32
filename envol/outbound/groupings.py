"""Single messages that their program counts together under a word of its own (a receipt, a reminder): which words a
workspace has used, and what became of the messages of each.

Figures are counted from the messages themselves, so they last as long as it is kept who got which message. What was
counted in sum names no message, and is in no figure of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from envol import db
from envol.events.models import Kind
from envol.outbound.states import LEDGER, STATE_OF

REACTIONS = (Kind.OPENED, Kind.CLICKED, Kind.COMPLAINED, Kind.UNSUBSCRIBED)
OUTCOMES = ("accepted", "delivered", "bounced", "expired", "cancelled", "suppressed", "deferred", "waiting")

_COPIES = f"""SELECT m.header->>'campaign' AS name, s.sending_id, s.no, s.contact_id, {STATE_OF} AS state
  {LEDGER} JOIN outbound_message m ON m.id = s.message_id AND m.sending_id = s.sending_id
 WHERE m.workspace_id = %(workspace)s AND m.header ? 'campaign' AND m.header->>'campaign' = ANY(%(names)s)"""


OF_EVENT = """EXISTS (SELECT FROM outbound_send s JOIN outbound_message m ON m.id = s.message_id
  WHERE s.sending_id = events_event.sending_id AND s.no = (events_event.facts->>'no')::bigint
    AND m.header->>'campaign' = %s)"""
"""Of a row of `events_event`: is it of a message under this word?"""


class Reaction(NamedTuple):
    people: int = 0
    events: int = 0


def _nothing() -> dict[str, int]:
    return dict.fromkeys(OUTCOMES, 0)


@dataclass(slots=True)
class Figures:
    """As a report has them: accepted is the sum of the others; people of a reaction are copies."""

    outcome: dict[str, int] = field(default_factory=_nothing)
    opened: Reaction = Reaction()
    clicked: Reaction = Reaction()
    complained: Reaction = Reaction()
    unsubscribed: Reaction = Reaction()


def meet(used: Iterable[tuple[int, str, str, str]]) -> None:
    """These words are used from now on: (workspace, word, address and name of the sender). One statement, which writes
    nothing where all are known."""
    rows = list({(row[0], row[1]): row for row in used}.values())
    db.execute(
        "INSERT INTO outbound_grouping (workspace_id, name, from_address, from_name)"
        " SELECT n.* FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[]) AS n (workspace_id, name, a, f)"
        " WHERE NOT EXISTS (SELECT FROM outbound_grouping g"
        "  WHERE g.workspace_id = n.workspace_id AND g.name = n.name) ON CONFLICT DO NOTHING",
        [list(column) for column in zip(*rows, strict=True)],
    )


def of_messages(workspace_id: int, message_ids: Sequence[int]) -> dict[int, int]:
    """Message → the number of its word, for those that have one."""
    return dict(
        db.rows(
            "SELECT m.id, g.id FROM outbound_message m"
            " JOIN outbound_grouping g ON g.workspace_id = m.workspace_id AND g.name = m.header->>'campaign'"
            " WHERE m.workspace_id = %s AND m.id = ANY(%s) AND m.header ? 'campaign'",
            [workspace_id, list(message_ids)],
        )
    )


def of_copies(workspace_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """(sending, number) of a single message → the number of its word, for those that have one."""
    if not keys:
        return {}
    found = db.rows(
        "SELECT s.sending_id, s.no, g.id FROM unnest(%s::bigint[], %s::bigint[]) AS w (sending_id, no)"
        " JOIN outbound_send s ON s.sending_id = w.sending_id AND s.no = w.no"
        " JOIN outbound_message m ON m.id = s.message_id AND m.header ? 'campaign'"
        " JOIN outbound_grouping g ON g.workspace_id = m.workspace_id AND g.name = m.header->>'campaign'"
        " WHERE m.workspace_id = %s",
        [[sending for sending, _ in keys], [no for _, no in keys], workspace_id],
    )
    return {(sending, no): number for sending, no, number in found}


def numbers(workspace_id: int, names: Iterable[str]) -> dict[str, int]:
    return dict(
        db.rows(
            "SELECT name, id FROM outbound_grouping WHERE workspace_id = %s AND name = ANY(%s)",
            [workspace_id, sorted(set(names))],
        )
    )


def figures(workspace_id: int, names: Sequence[str]) -> Mapping[str, Figures]:
    """What became of the messages of each; reactions of who agreed to be measured, machines left out."""
    made = {name: Figures() for name in names}
    given = {"workspace": workspace_id, "names": list(names), "kinds": [int(kind) for kind in REACTIONS]}
    for name, state, count in db.rows(
        f"WITH copy AS ({_COPIES}) SELECT name, state, count(*) FROM copy GROUP BY name, state", given
    ):
        outcome = made[name].outcome
        outcome["accepted"] += count
        outcome[state if state in outcome else "waiting"] += count
    for name, kind, people, events in db.rows(
        f"WITH copy AS MATERIALIZED ({_COPIES}) SELECT c.name, e.kind, count(DISTINCT c.no), count(*) FROM copy c"
        " JOIN events_event e ON e.sending_id = c.sending_id AND e.kind = ANY(%(kinds)s)"
        "  AND e.contact_id = c.contact_id AND (e.facts->>'no')::bigint = c.no AND e.machine IS NULL"
        " GROUP BY c.name, e.kind",
        given,
    ):
        setattr(made[name], Kind(kind).label, Reaction(people, events))
    return made
