"""Settling: what became of each recipient, written once, by the holder of its lease alone.

Outcomes may be lost by a crash of the whole database within a fraction of a second (`synchronous_commit` is
off for this transaction and no other): the courier keeps what it settled last and settles it again after a
database error, and ending a lease is durable again, which flushes all before it. So a loss needs the database
and the courier to die together, and repeats messages (at least once), never forgets them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, lru_cache

from django.db import transaction
from psycopg.types.json import Jsonb

from envol import db
from envol.accounts.workspaces import address_digest
from envol.consent import suppression
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound import arrays, dialogues, habits, notices, rolls
from envol.outbound.lease import Row
from envol.outbound.perishing import TOO_LATE
from envol.outbound.sites import provider_of
from envol.wire.address import AddressError, normalise
from envol.wire.smtp.replies import retry_delay
from envol.wire.smtp.transcript import Said

MOST_REPLY = 1000  # characters kept of a reply
MOST_ATTEMPTS = 32000  # counted: the column is a smallint

DEFERRED = "deferred"
FINAL = frozenset({"delivered", "bounced", "expired", "cancelled", "suppressed"})

FULL_DAYS, FULL_WINDOW = 5, timedelta(days=30)
"""A mailbox found full on five days of thirty is nobody's any more."""
DISABLED_TIMES, DISABLED_WINDOW = 2, timedelta(days=7)
"""A disabled mailbox may come back: only the second refusal within a week is believed (RFC 3463 x.2.1)."""


@dataclass(slots=True, eq=False)
class Result:
    """How one attempt ended.

    state: `deferred` or a final one. reply: the words of the other side, or ours when nobody spoke.
    suppress: the mailbox is not there (a hard bounce); a cut connection or a 421 never says so.
    hold: deferred by ourselves (warm-up, a pause the receiver asked for): seconds to wait; no attempt was made.
    dialogue: how the session began, and what was said of this message.
    told_on: the next host was told that its sender wants to hear of a success, and will say so itself.
    octets: of the message, as it left.
    """

    row: Row
    state: str
    cause: str = ""
    code: int | None = None
    enhanced: str | None = None
    reply: str = ""
    host: str = ""
    tls: str = ""
    suppress: bool = False
    hold: float | None = None
    dialogue: tuple[str, Sequence[Said]] | None = None
    told_on: bool = False
    octets: int = 0

    @property
    def words(self) -> str:
        """The reply as kept: without the person's address, which many hosts repeat in it."""
        text = self.reply.replace("\0", " ")
        if "@" in text:
            text = re.sub(re.escape(self.row.address), "<recipient>", text, flags=re.IGNORECASE)
        return text[:MOST_REPLY]


def settle(results: Sequence[Result]) -> list[Result]:
    """Write a batch in one transaction; gives back those whose lease was lost, for which nothing was done.

    A deferred recipient waits by `retry_delay`, or expires: its lifetime is over and it was tried
    :func:`least_attempts` times. Written again, an outcome that is there already counts as lost.
    Raises database errors: then nothing was written, keep the results and try again.
    """
    if not results:
        return []
    # Off only for outcomes: what is lost is sent again. Never for what was promised.
    if all(result.state == "delivered" and not result.row.notify for result in results):
        # One statement is one transaction and one round trip.
        short = all(result.row.chunk is not None for result in results)
        lost = _write_delivered(results, "off") if short else _write(results, "off")
    else:
        with transaction.atomic():
            lost = _write(results, "off")
    _count(results, {id(result) for result in lost})
    return lost


def _count(results: Sequence[Result], lost: set[int]) -> None:
    """For the reports on traffic, once it is written."""
    for result in results:
        if id(result) in lost or result.hold is not None:
            continue
        workspace, site = result.row.sending.workspace_id, result.row.site
        provider = provider_of(result.host) or provider_of(site) or "other"
        rolls.count("out", provider, result.state, workspace=workspace, octets=result.octets)
        rolls.count("domain", site, result.state, workspace=workspace, octets=result.octets)
        if result.state in ("bounced", "expired"):
            rolls.count("rejected", site, result.cause, workspace=workspace)
    rolls.flush_if_due()


def refuse(refused: Iterable[tuple[Row, str]]) -> None:
    """Settle rows a gate refused, or whose time is over, in the caller's transaction that leases them."""
    _write([Result(row, "expired" if reason == TOO_LATE else "suppressed", cause=reason) for row, reason in refused])


def _write(results: Sequence[Result], commit: str | None = None) -> list[Result]:
    written = {
        (sending_id, no): state
        for sending_id, no, state in db.rows(
            db.sql("outbound", "settle"),
            {
                "commit": commit,
                "pack": dialogues.pack(results),
                "results": Jsonb([_facts(result) for result in results]),
                "leases": list({result.row.lease.id for result in results if result.row.chunk is not None}),
            },
        )
    }
    ours = [result for result in results if result.row.key in written]
    deferred = [result for result in ours if result.state == DEFERRED]
    if deferred:
        _record_deferrals(deferred)
    for result in ours:
        # Of its own mailboxes a customer's server speaks to whoever wrote; to us they are nobody's.
        if (result.suppress or result.cause == "mailbox_full") and result.row.sending.kind != "stored":
            _judge_address(result)
    habits.unknown([result.row.message_id for result in ours if result.suppress and result.row.message_id is not None])
    notices.note([(result, written[result.row.key]) for result in ours])
    return [result for result in results if result.row.key not in written]


def _write_delivered(results: Sequence[Result], commit: str | None) -> list[Result]:
    rows = [result.row for result in results]
    found = _delivered()(
        commit,
        arrays.texts([str(lease.id) for lease in {row.lease for row in rows}]),
        arrays.numbers([row.sending.id for row in rows]),
        arrays.numbers([row.no for row in rows]),
        arrays.numbers([row.chunk for row in rows]),
        arrays.numbers([min(row.attempts, MOST_ATTEMPTS) for row in rows]),
        arrays.numbers([result.code for result in results]),
        arrays.texts([result.enhanced for result in results]),
        arrays.texts([result.words for result in results]),
        arrays.texts([result.host[:255] for result in results]),
        arrays.texts([result.tls for result in results]),
        dialogues.hexadecimal(dialogues.pack(results)),
    )
    if found.ntuples == len(results):
        return []
    written = {(int(found.get_value(i, 0) or 0), int(found.get_value(i, 1) or 0)) for i in range(found.ntuples)}
    return [result for result in results if result.row.key not in written]


@cache
def _delivered() -> db.Prepared:
    return db.Prepared(db.sql("outbound", "settle_delivered"))


def _facts(result: Result) -> Mapping[str, object]:
    row = result.row
    attempts = min(row.attempts, MOST_ATTEMPTS)
    held = result.hold is not None
    if held:
        attempts = max(1, attempts - 1)
    return {
        "sending_id": row.sending.id,
        "no": row.no,
        "chunk": row.chunk,
        "lease_id": str(row.lease.id),
        "state": result.state,
        "cause": result.cause,
        "code": result.code,
        "enhanced": result.enhanced,
        "reply": result.words,
        "host": result.host[:255],
        "tls": result.tls,
        "attempts": attempts,
        "site": row.site,
        "priority": row.sending.priority,
        "delay": retry_delay(attempts, random.uniform(-1, 1)).total_seconds()  # noqa: S311
        if result.hold is None
        else result.hold,
        "held": held,
        "lifetime": row.sending.lifetime_seconds,
        "least": least_attempts(row.sending.lifetime_seconds),
    }


@lru_cache
def least_attempts(lifetime_seconds: int) -> int:
    """Attempts that must have been made before a message may expire.

    A clock that jumps forward must not expire anything. The delays between attempts are waited by the
    process, so counting attempts counts time: eight of them take more than four hours. A short lifetime asks
    as many as fit into it, two at least.
    """
    waited, attempts = 0.0, 1
    while attempts < 8:
        waited += retry_delay(attempts, 1.0).total_seconds()
        if waited > lifetime_seconds:
            break
        attempts += 1
    return max(2, attempts)


def _record_deferrals(deferred: Sequence[Result]) -> None:
    """An attempt that ended without an end is an event; outcomes are events of their own."""
    record(
        NewEvent(
            result.row.sending.workspace_id,
            Kind.DEFERRED,
            result.row.contact_id,
            result.row.sending.id,
            facts={
                "no": result.row.no,
                "code": result.code,
                "enhanced": result.enhanced,
                "cause": result.cause,
                "reply": result.words,
                "site": result.row.site,
                "attempt": result.row.attempts,
            },
        )
        for result in deferred
    )


def _judge_address(result: Result) -> None:
    """Does this refusal end the address, or only this message?"""
    row = result.row
    key = row.email_key
    if key is None:
        try:
            key = normalise(row.address).key
        except AddressError:
            return
    judge(row.sending.workspace_id, key, result.cause, row.sending.id, row.no)


def judge(workspace_id: int, key: str, cause: str, sending_id: int, no: int) -> bool:
    """What a refusal with this cause, heard in a session or in returned mail, means for an address.

    key: of the address. A full or disabled mailbox is believed by repetition alone. True: nothing more goes there.
    """
    if cause in ("mailbox_full", "mailbox_disabled"):
        full = cause == "mailbox_full"
        found = db.value(
            "WITH now_too AS (INSERT INTO outbound_trouble (workspace_id, digest, cause, sending_id, no)"
            " VALUES (%(workspace)s, %(digest)s, %(cause)s, %(sending)s, %(no)s) ON CONFLICT DO NOTHING"
            " RETURNING at, sending_id, no)"
            " SELECT count(DISTINCT CASE WHEN %(full)s THEN at::date::text ELSE sending_id || '/' || no END)"
            " FROM (SELECT at, sending_id, no FROM outbound_trouble WHERE workspace_id = %(workspace)s"
            " AND digest = %(digest)s AND cause = %(cause)s AND at > now() - %(window)s"
            " UNION ALL SELECT * FROM now_too) AS t",
            {
                "workspace": workspace_id,
                "digest": address_digest(workspace_id, key),
                "cause": cause,
                "sending": sending_id,
                "no": no,
                "full": full,
                "window": FULL_WINDOW if full else DISABLED_WINDOW,
            },
        )
        if found < (FULL_DAYS if full else DISABLED_TIMES):
            return False
    suppression.add(workspace_id, key, "all", cause or "hard_bounce", f"outcome {sending_id}/{no}")
    return True
