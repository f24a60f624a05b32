"""What waits, why, and till when; tried at once or cancelled by hand. Read from what is due, never from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from django.db import transaction

from envol import db
from envol.accounts.journal import note
from envol.outbound.mail_log import Entry

BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class Deferred:
    """People of one site whom one answer keeps waiting. leased: how many of them are being tried at this moment."""

    site: str
    cause: str
    code: int | None
    enhanced: str
    reply: str
    people: int
    leased: int
    attempts: int
    oldest: datetime
    next_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """People of one sending who were not tried yet."""

    sending_id: int
    kind: str
    campaign_id: int | None
    state: str
    people: int
    leased: int
    due: datetime


STATES = ("queued", "leased", "deferred")
BANDS = (("5m", 300), ("1h", 3600), ("6h", 6 * 3600), ("1d", 24 * 3600))
"""Ages up to so many seconds; what waits longer is in the last band."""


@dataclass(frozen=True, slots=True)
class Age:
    """People who wait in one state. oldest: seconds since the first of them was due (deferred: was first tried).
    later: those who are not due yet; bands: the others by age, as `BANDS` and one more."""

    people: int = 0
    oldest: float = 0.0
    later: int = 0
    bands: tuple[int, ...] = (0,) * (len(BANDS) + 1)


def ages(workspace_id: int | None = None) -> dict[str, Age]:
    """By state, of one workspace or of all. By chunks and retries, which are few: a chunk counts whole until it is
    done."""
    edges = [0, *(seconds for _name, seconds in BANDS)]
    between = [f"age > {low} AND age <= {high}" for low, high in pairwise(edges)]
    between.append(f"age > {edges[-1]}")
    bands = ", ".join(f"coalesce(sum(n) FILTER (WHERE {test}), 0)::bigint" for test in between)
    mine = "" if workspace_id is None else " AND x.workspace_id = %(workspace)s"
    found = db.rows(
        "WITH waits AS (SELECT CASE WHEN c.lease_id IS NULL THEN 'queued' ELSE 'leased' END AS state, c.size AS n,"
        " extract(epoch FROM now() - greatest(c.due, x.not_before))::float8 AS age"
        " FROM outbound_chunk c JOIN outbound_sending x ON x.id = c.sending_id"
        f" WHERE NOT c.done AND x.state = 'sending'{mine}"
        " UNION ALL SELECT 'deferred', 1, greatest(extract(epoch FROM now() - r.first_at), 0.001)::float8"
        f" FROM outbound_retry r JOIN outbound_sending x ON x.id = r.sending_id WHERE true{mine})"
        " SELECT state, sum(n)::bigint, round(greatest(max(age), 0)::numeric, 1)::float8,"
        f" coalesce(sum(n) FILTER (WHERE age <= 0), 0)::bigint, {bands} FROM waits GROUP BY 1",
        {"workspace": workspace_id},
    )
    known = {state: Age(n, oldest, later, tuple(rest)) for state, n, oldest, later, *rest in found}
    return {state: known.get(state, Age()) for state in STATES}


def deferred(workspace_id: int, most: int = 200) -> list[Deferred]:
    """By site and answer, most people first."""
    return [
        Deferred(*row)
        for row in db.rows(
            "SELECT r.site, r.cause, r.code, coalesce(r.enhanced, ''), min(r.reply), count(*),"
            " count(r.lease_id), max(r.attempts), min(r.first_at), min(r.due) FROM outbound_retry r"
            " JOIN outbound_sending x ON x.id = r.sending_id WHERE x.workspace_id = %s"
            " GROUP BY 1, 2, 3, 4 ORDER BY 6 DESC, 1, 2 LIMIT %s",
            [workspace_id, most],
        )
    ]


def waiting(workspace_id: int) -> list[Waiting]:
    """By sending, the soonest first; a chunk counts whole until it is done."""
    return [
        Waiting(*row)
        for row in db.rows(
            "SELECT x.id, x.kind, x.campaign_id, x.state, sum(c.size)::bigint,"
            " coalesce(sum(c.size) FILTER (WHERE c.lease_id IS NOT NULL), 0)::bigint,"
            " min(greatest(c.due, x.not_before))"
            " FROM outbound_chunk c JOIN outbound_sending x ON x.id = c.sending_id"
            " WHERE NOT c.done AND x.workspace_id = %s GROUP BY 1 ORDER BY 7 LIMIT 200",
            [workspace_id],
        )
    ]


_THESE = (
    "sending_id IN (SELECT id FROM outbound_sending WHERE workspace_id = %(workspace)s) AND lease_id IS NULL"
    " AND site = %(site)s AND cause = %(cause)s"
)


def try_now(workspace_id: int, site: str, cause: str, *, actor: str, actor_id: int | None = None) -> int:
    """Whom this answer of this site keeps waiting is due at once; how many. Journaled."""
    with transaction.atomic():
        moved = db.execute(
            f"UPDATE outbound_retry SET due = now() WHERE {_THESE} AND due > now()",
            {"workspace": workspace_id, "site": site, "cause": cause},
        )
        note(workspace_id, actor, "queue.tried", actor_id=actor_id, site=site, cause=cause, people=moved)
    return moved


def cancel(workspace_id: int, site: str, cause: str, *, actor: str, actor_id: int | None = None) -> int:
    """Whom this answer of this site keeps waiting gets nothing more of it; how many. Final, journaled."""
    with transaction.atomic():
        gone = _cancel(_THESE, {"workspace": workspace_id, "site": site, "cause": cause})
        note(workspace_id, actor, "queue.cancelled", actor_id=actor_id, site=site, cause=cause, people=gone)
    return gone


def try_one_now(workspace_id: int, one: Entry, *, actor: str, actor_id: int | None = None) -> bool:
    """One deferred message is due at once. False: it does not wait any more."""
    with transaction.atomic():
        moved = db.execute(
            "UPDATE outbound_retry SET due = now() WHERE sending_id = %s AND no = %s AND lease_id IS NULL",
            [one.sending_id, one.no],
        )
        if moved:
            note(workspace_id, actor, "queue.tried", actor_id=actor_id, message=f"{one.sending_id}/{one.no}")
    return bool(moved)


def cancel_one(workspace_id: int, one: Entry, *, actor: str, actor_id: int | None = None) -> bool:
    """One message that waits, tried or not, ends here. False: it is in a courier's hands, or over."""
    given = {"sending": one.sending_id, "no": one.no, "cause": BY_HAND}
    with transaction.atomic():
        gone = _cancel("sending_id = %(sending)s AND no = %(no)s AND lease_id IS NULL", given) or db.execute(
            # Its chunk is locked, so that no courier takes it meanwhile; the chunk ends with its other rows.
            "WITH free AS (SELECT c.sending_id, c.no FROM outbound_chunk c JOIN outbound_send s"
            "  ON s.sending_id = c.sending_id AND s.chunk = c.no WHERE s.sending_id = %(sending)s AND s.no = %(no)s"
            "  AND NOT c.done AND c.lease_id IS NULL FOR UPDATE OF c SKIP LOCKED)"
            " INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause)"
            " SELECT %(sending)s, %(no)s, 'cancelled', 0, %(cause)s FROM free WHERE NOT EXISTS (SELECT FROM"
            " outbound_retry r WHERE r.sending_id = %(sending)s AND r.no = %(no)s) ON CONFLICT DO NOTHING",
            given,
        )
        if gone:
            note(workspace_id, actor, "queue.cancelled", actor_id=actor_id, message=f"{one.sending_id}/{one.no}")
    return bool(gone)


def _cancel(which: str, given: dict[str, object]) -> int:
    return db.execute(
        f"WITH gone AS (DELETE FROM outbound_retry WHERE {which}"
        " RETURNING sending_id, no, attempts, code, enhanced, reply)"
        " INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, enhanced, reply)"
        " SELECT sending_id, no, 'cancelled', attempts, %(by_hand)s, code, enhanced, reply FROM gone",
        {**given, "by_hand": BY_HAND},
    )
