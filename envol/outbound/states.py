"""Where everybody of a sending stands, and whether the books are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from envol import db
from envol.events.models import Kind

STATES = ("queued", "held", "leased", "deferred", "delivered", "bounced", "expired", "cancelled", "suppressed")

FINAL = ("delivered", "bounced", "expired", "cancelled", "suppressed")

STATE_OF = """CASE WHEN o.state IS NOT NULL THEN o.state
                   WHEN r.no IS NOT NULL THEN CASE WHEN r.lease_id IS NULL THEN 'deferred' ELSE 'leased' END
                   WHEN c.lease_id IS NOT NULL THEN 'leased'
                   WHEN c.done IS FALSE THEN
                       CASE WHEN (SELECT y.state FROM outbound_sending y WHERE y.id = s.sending_id) = 'held'
                            THEN 'held' ELSE 'queued' END
                   ELSE 'lost' END"""
LEDGER = """FROM outbound_send s
  LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no
  LEFT JOIN outbound_retry r ON r.sending_id = s.sending_id AND r.no = s.no
  LEFT JOIN outbound_chunk c ON c.sending_id = s.sending_id AND c.no = s.chunk"""
"""The state of a recipient follows from the rows it has; `lost` is impossible and looked for."""


def counts(sending_id: int) -> dict[str, int]:
    """People of a sending by state; `accepted` is their sum.

    The tally tells who was accepted and who ended; only those in a courier's hands and those who wait for another try
    are counted one by one. Everybody else is queued.
    """
    found = dict(
        db.rows(
            "SELECT state, sum(n)::bigint FROM outbound_tally WHERE sending_id = %(id)s GROUP BY state"
            " UNION ALL SELECT CASE WHEN lease_id IS NULL THEN 'deferred' ELSE 'retrying' END, count(*)"
            " FROM outbound_retry WHERE sending_id = %(id)s GROUP BY 1"
            # By the key, as couriers lease them (see lease.py).
            " UNION ALL SELECT 'leased', count(*) FROM outbound_chunk c CROSS JOIN LATERAL ("
            "   SELECT * FROM outbound_send s WHERE s.sending_id = c.sending_id AND s.no BETWEEN c.lo AND c.hi"
            "   AND s.chunk = c.no OFFSET 0) AS s"
            " WHERE c.sending_id = %(id)s AND c.lease_id IS NOT NULL"
            " AND (SELECT true FROM outbound_outcome o WHERE o.sending_id = s.sending_id AND o.no = s.no) IS NULL"
            " AND (SELECT true FROM outbound_retry r WHERE r.sending_id = s.sending_id AND r.no = s.no) IS NULL"
            " UNION ALL SELECT 'waits for review', count(*) FROM outbound_sending"
            " WHERE id = %(id)s AND state = 'held'",
            {"id": sending_id},
        )
    )
    answer = {"accepted": int(found.get("accepted", 0)), **{state: int(found.get(state, 0)) for state in STATES}}
    answer["leased"] += int(found.get("retrying", 0))
    rest = answer["accepted"] - sum(answer[state] for state in (*FINAL, "deferred", "leased"))
    answer["held" if found.get("waits for review") else "queued"] = rest
    return answer


def ended(sending_id: int, state: str) -> tuple[int, int]:
    """(recipients of a sending that ended in a state and are kept one by one, those of them who were erased).

    By the tally and an index of the erased (`envol.outbound.privacy.ERASED`): a million are not read to be counted.
    """
    (found,) = db.rows(
        "SELECT (SELECT coalesce(sum(n), 0)::bigint FROM outbound_tally"
        "         WHERE sending_id = %(id)s AND state = %(state)s)"
        "     - (SELECT coalesce(sum(n), 0)::bigint FROM outbound_emptied"
        "         WHERE sending_id = %(id)s AND state = %(state)s),"
        "       (SELECT count(*) FROM outbound_send s"
        "         WHERE s.sending_id = %(id)s AND s.address = 'erased@invalid' AND (SELECT o.state"
        "           FROM outbound_outcome o WHERE o.sending_id = s.sending_id AND o.no = s.no) = %(state)s)",
        {"id": sending_id, "state": state},
    )
    return int(found[0]), int(found[1])


def totals(sending_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Of many sendings: `accepted`, and those who ended, by state; by the tally alone."""
    found: dict[int, dict[str, int]] = {}
    for sending_id, state, n in db.rows(
        "SELECT sending_id, state, sum(n)::bigint FROM outbound_tally WHERE sending_id = ANY(%s) GROUP BY 1, 2",
        [list(sending_ids)],
    ):
        found.setdefault(sending_id, {})[state] = n
    return found


def fold_tallies(most: int = 1000, *, within: timedelta = timedelta(hours=1)) -> None:
    """Fold the tally of sendings that have more than ``most`` rows of it, when half of them say the same.

    Of those that run or ended so lately; a night folds again what ended while no worker ran.
    """
    db.execute(db.sql("outbound", "fold_tallies"), {"most": most, "within": within})


def finished(sending_id: int) -> bool:
    """Has everybody of this sending an outcome? (Ask only once it is expanded.)"""
    return not db.value(
        "SELECT EXISTS (SELECT FROM outbound_chunk WHERE sending_id = %(id)s AND NOT done)"
        " OR EXISTS (SELECT FROM outbound_retry WHERE sending_id = %(id)s)",
        {"id": sending_id},
    )


def pace(sending_id: int, since: datetime, now: datetime) -> float:
    """Deliveries a second in this minute and the one before, of a sending that began at ``since``.

    By the tally, which knows minutes: whoever listens to a sending of a million must not count it twice a second.
    """
    begin = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    count = db.value(
        "SELECT sum(n)::bigint FROM outbound_tally WHERE sending_id = %s AND state = 'delivered' AND minute >= %s",
        [sending_id, begin],
    )
    return int(count or 0) / max((now - max(begin, since)).total_seconds(), 1.0)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why people of a sending wait for another try: the most frequent cause, and the soonest next try of all."""

    people: int
    site: str
    cause: str
    reply: str
    next_at: datetime


def obstacle(sending_id: int) -> Obstacle | None:
    """What holds up most of the deferred people; None when nobody is."""
    found = db.rows(
        "SELECT count(*), site, cause, concat_ws(' ', min(code), min(enhanced), nullif(min(reply), '')),"
        " min(min(due)) OVER () FROM outbound_retry WHERE sending_id = %s GROUP BY site, cause"
        " ORDER BY 1 DESC, 2 LIMIT 1",
        [sending_id],
    )
    return Obstacle(*found[0]) if found else None


COUNTED = 20_000
"""So many people, of the smallest sendings, are counted one by one; of others, chunks: a million would take seconds."""


def waiting(workspace_id: int, *, site: str = "", most: int = 200, skip: int = 0) -> list[dict[str, Any]]:
    """The queue by site, state and last reply: dictionaries of site, state, count, due, reply; most first.

    site: this one alone. skip, most: which page of it.
    """
    given = {"workspace": workspace_id, "site": site, "most": most, "skip": skip, "exact": COUNTED}
    return db.dicts(db.sql("outbound", "waiting"), given)


def history(sending_id: int, no: int) -> list[dict[str, Any]]:
    """What happened to one recipient, oldest first: accepted, deferred attempts, the end."""
    return db.dicts(
        "SELECT created_at AS at, 'accepted' AS state, 0 AS attempt, NULL::int AS code, '' AS reply"
        "  FROM outbound_send WHERE sending_id = %(id)s AND no = %(no)s"
        " UNION ALL SELECT at, 'deferred', (facts->>'attempt')::int, (facts->>'code')::int, facts->>'reply'"
        "  FROM events_event WHERE sending_id = %(id)s AND kind = 3 AND (facts->>'no')::bigint = %(no)s"
        " UNION ALL SELECT at, state, attempts, code, reply FROM outbound_outcome"
        "  WHERE sending_id = %(id)s AND no = %(no)s ORDER BY at, attempt",
        {"id": sending_id, "no": no},
    )


def cancel(sending_id: int, cause: str = "stopped") -> int:
    """End everybody of a stopped sending who is not in a courier's hands; how many.

    Those leased are cancelled by their courier within a second. Refuses (ValueError) a sending still on its way.
    """
    state = db.value("SELECT state FROM outbound_sending WHERE id = %s", [sending_id])
    if state not in ("stopped", "failed"):
        raise ValueError(f"Sending {sending_id} is {state}: stop it before its people are cancelled.")
    with transaction.atomic():
        return int(db.value(db.sql("outbound", "cancel"), {"sending": sending_id, "cause": cause}) or 0)


def invariants(*, recent: bool = False) -> list[str]:
    """Sentences about what must never be; empty when all holds.

    Reads the whole ledger, or, with `recent`, only sendings that run or ended within two days: for every hour.
    """
    found: list[str] = []
    for sentence, query in _INVARIANTS:
        count, example = db.rows(_RECENT + query if recent else query)[0]
        if count:
            found.append(f"{sentence}: {count}, for example {example}.")
    return found


_OF_SENDINGS = (
    "outbound_send",
    "outbound_chunk",
    "outbound_retry",
    "outbound_outcome",
    "outbound_excluded",
    "outbound_message",
    "outbound_tally",
    "outbound_emptied",
)
_LOOKED_AT = "SELECT id FROM outbound_sending WHERE ended_at IS NULL OR ended_at > now() - interval '2 days'"
_RECENT = f"WITH looked_at AS ({_LOOKED_AT}), "
_RECENT += ", ".join(
    # Within the query the name means these rows only; within its own definition it still means the table.
    f"{table} AS NOT MATERIALIZED (SELECT * FROM {table} WHERE sending_id IN (SELECT id FROM looked_at))"
    for table in _OF_SENDINGS
)
_RECENT += " "


def _never(sentence: str, what: str, query: str) -> tuple[str, str]:
    return sentence, f"SELECT count(*), min({what}) {query}"


_CAUSES = """SELECT split_part(said, '/', 1)::bigint AS sending_id, split_part(said, '/', 2)::bigint AS no
  FROM (SELECT substring(cause FROM '^outcome ([0-9]{1,18}/[0-9]{1,18})$') AS said FROM consent_suppression) x
 WHERE said IS NOT NULL"""
"""What `settle.judge` writes as the cause of a suppression: the recipient whose refusal it was."""

_INVARIANTS = (
    _never(
        "Recipients that are neither waiting nor ended",
        "s.sending_id || '/' || s.no",
        f"{LEDGER} WHERE {STATE_OF} = 'lost'",
    ),
    _never(
        "Final recipients that still wait for another try",
        "o.sending_id || '/' || o.no",
        "FROM outbound_outcome o JOIN outbound_retry r USING (sending_id, no)",
    ),
    _never(
        "Outcomes and retries of people who were never accepted",
        "x.sending_id || '/' || x.no",
        "FROM (SELECT sending_id, no FROM outbound_outcome UNION ALL SELECT sending_id, no FROM outbound_retry) x"
        " WHERE NOT EXISTS (SELECT FROM outbound_send s WHERE s.sending_id = x.sending_id AND s.no = x.no)",
    ),
    _never(
        "Delivered without the words of the receiver",
        "sending_id || '/' || no",
        "FROM outbound_outcome WHERE state = 'delivered' AND (reply = '' OR code IS NULL)",
    ),
    _never(
        "Leases that ended more than a minute ago and were not given back",
        "sending_id || '/' || no",
        "FROM (SELECT sending_id, no, lease_until FROM outbound_chunk UNION ALL"
        " SELECT sending_id, no, lease_until FROM outbound_retry) l WHERE lease_until < now() - interval '1 minute'",
    ),
    _never(
        "Ledger rows with nothing to say (no message, no version)",
        "s.sending_id || '/' || s.no",
        "FROM outbound_send s JOIN outbound_sending x ON x.id = s.sending_id"
        " LEFT JOIN outbound_message m ON m.id = s.message_id"
        " WHERE CASE WHEN s.message_id IS NULL THEN x.version_id IS NULL ELSE m.id IS NULL END",
    ),
    _never(
        "Messages without recipients",
        "m.id::text",
        "FROM outbound_message m WHERE NOT EXISTS"
        " (SELECT FROM outbound_send s WHERE s.sending_id = m.sending_id AND s.message_id = m.id)",
    ),
    _never(
        "Recipients on their way whose message has lost its words",
        "s.sending_id || '/' || s.no",
        "FROM outbound_message m JOIN outbound_send s ON s.sending_id = m.sending_id AND s.message_id = m.id"
        " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no"
        " WHERE o.no IS NULL AND m.raw IS NULL AND m.text = '' AND m.html = ''"
        " AND s.address <> 'erased@invalid'",  # ends at its next lease
    ),
    _never(
        "Tallies that do not say what the outcomes say",
        "sending_id::text",
        "FROM (SELECT sending_id, state, sum(n) AS n FROM outbound_tally GROUP BY 1, 2) t FULL JOIN"
        " (SELECT sending_id, state, sum(n) AS n FROM ("
        "   SELECT sending_id, state, count(*) AS n FROM outbound_outcome GROUP BY 1, 2"
        "   UNION ALL SELECT sending_id, 'accepted', count(*) FROM outbound_send GROUP BY 1"
        "   UNION ALL SELECT sending_id, state, n FROM outbound_emptied) every"
        "  GROUP BY 1, 2) x USING (sending_id, state)"
        " WHERE coalesce(t.n, 0) <> coalesce(x.n, 0)",
    ),
    _never(
        "Chunks whose size is not the number of their rows",
        "c.sending_id || '/' || c.no",
        "FROM outbound_chunk c WHERE c.size <> (SELECT count(*) FROM outbound_send s"
        " WHERE s.sending_id = c.sending_id AND s.no BETWEEN c.lo AND c.hi AND s.chunk = c.no)",
    ),
    _never(
        "People who were queued although a gate had left them out",
        "s.sending_id || '/' || s.no",
        "FROM outbound_send s JOIN outbound_excluded e ON e.sending_id = s.sending_id AND e.contact_id = s.contact_id",
    ),
    _never(
        "People of a campaign who were queued beyond whom its audience had chosen",
        "s.sending_id || '/' || s.no",
        "FROM outbound_send s JOIN outbound_sending x ON x.id = s.sending_id"
        " WHERE x.kind IN ('campaign', 'resend') AND x.expanded_at IS NOT NULL AND s.no > x.expand_cursor",
    ),
    _never(
        "Recipients that wait for another try, and no event tells why",
        "r.sending_id || '/' || r.no",
        "FROM outbound_retry r LEFT JOIN (SELECT sending_id, (facts->>'no')::bigint AS no FROM events_event"
        f" WHERE kind = {int(Kind.DEFERRED)} AND sending_id IN (SELECT sending_id FROM outbound_retry)) e"
        " ON e.sending_id = r.sending_id AND e.no = r.no WHERE e.no IS NULL",
    ),
    _never(
        "Events of tries for people who were never accepted",
        "e.sending_id || '/' || (e.facts->>'no')",
        f"FROM events_event e WHERE e.kind = {int(Kind.DEFERRED)} AND NOT EXISTS (SELECT FROM outbound_send s"
        " WHERE s.sending_id = e.sending_id AND s.no = (e.facts->>'no')::bigint)"
        # Of a sending that was emptied at its term nobody knows any more who was accepted.
        " AND e.sending_id IN (SELECT sending_id FROM outbound_tally EXCEPT SELECT sending_id FROM outbound_emptied)",
    ),
    _never(
        "Addresses suppressed for a refusal that neither an outcome nor an event tells",
        "s.sending_id || '/' || s.no",
        f"FROM ({_CAUSES}) c JOIN outbound_send s ON s.sending_id = c.sending_id AND s.no = c.no"
        " LEFT JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no"
        " WHERE coalesce(o.state, 'delivered') = 'delivered' AND NOT EXISTS (SELECT FROM events_event e"
        f" WHERE e.sending_id = s.sending_id AND e.kind IN ({int(Kind.BOUNCED)}, {int(Kind.DEFERRED)})"
        " AND e.facts->>'no' = s.no::text)",
    ),
)
