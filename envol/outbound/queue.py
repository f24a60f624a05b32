"""What waits, why, and till when; tried at once or cancelled by hand. Read from what is due, never from the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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
