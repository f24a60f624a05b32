"""Leases: who may send to whom now.

A courier leases chunks (ranges of one sending) and deferred recipients, works on them outside any
transaction, and settles (:mod:`envol.outbound.settle`). A lease ends when it is released or when its time,
by the database's clock, runs out; then :func:`sweep` gives the work back and counts an attempt, because a
message may have left (RFC 1047): delivery is at least once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction

from envol import db
from envol.consent import gates, suppression
from envol.consent.models import Purpose
from envol.consent.similar import Offer
from envol.contacts import beyond
from envol.content.models import Version
from envol.outbound import arrays, limits, perishing, rolls
from envol.outbound.models import OWED, Sending
from envol.wire.address import AddressError, normalise

EVERY_PRIORITY = 32767
CONTRACT = "transactional"  # key of the purpose of single messages
LONGEST_BACKOFF = "4 hours 48 minutes"
"""4 hours and 20 % of jitter (wire.smtp.replies.retry_delay)."""


@dataclass(frozen=True, slots=True)
class SendingFacts:
    """What a courier must know of a sending."""

    id: int
    workspace_id: int
    kind: str
    version_id: int | None
    purpose_id: int | None
    sender: Mapping[str, Any]
    lifetime_seconds: int
    priority: int
    product_family: str = ""
    seller: str = ""

    @property
    def transactional(self) -> bool:
        """Single messages and tests need no marketing permission; suppression still holds."""
        return self.kind in ("transactional", "system", "test", "stored")


@dataclass(slots=True, eq=False)
class Row:
    """One recipient to be attempted. `chunk` is None for one that was deferred before; `attempts` counts this one.

    notify: what its sender wants to hear beyond failures (RFC 3461 §4.1).
    ended: its holder is done with it (settled, or given back), so nothing is asked of it any more.
    """

    sending: SendingFacts
    no: int
    chunk: int | None
    lease: Lease
    attempts: int
    contact_id: int | None
    message_id: int | None
    address: str
    site: str
    email_key: str | None = None
    language: str | None = None
    props: Mapping[str, Any] = field(default_factory=dict)
    allowed: int = 0
    refused: int = 0
    ended: bool = False
    notify: str = ""

    @property
    def key(self) -> tuple[int, int]:
        return self.sending.id, self.no


@dataclass(slots=True, eq=False)
class Lease:
    """Rows held together. `checked`: when permissions were last asked (monotonic seconds).

    lost: somebody else holds it now (the clock jumped, or we were frozen): nothing more of it is sent.
    """

    id: uuid.UUID
    retries: bool
    rows: list[Row] = field(default_factory=list)
    pending: int = 0
    checked: float = 0.0
    lost: bool = False


def lease(
    courier: str,
    slots: int,
    *,
    seconds: int,
    full: Iterable[str] = (),
    shut: Iterable[str] = (),
    spent: Iterable[str] = (),
    priority: int = EVERY_PRIORITY,
) -> list[Lease]:
    """Lease work for about `slots` messages: deferred recipients first (at most half), then chunks.

    full: sites that have no room now. shut: receivers where nothing may go now; spent: those where nothing but
    transactional mail may (warm-up). priority: nothing less urgent than this. Permissions, suppression and
    the state of the sending are asked here; whoever is refused is settled at once and is not in the answer.
    One durable transaction.
    """
    rolls.flush_if_due()
    asked = time.monotonic()
    given = {
        "courier": courier[:60],
        "seconds": seconds,
        "full": list(full),
        "shut": list(shut),
        "spent": list(spent),
        "over": limits.over(),
        "priority": priority,
    }
    with transaction.atomic(durable=True):
        # A chunk's few hundred rows are found through keys. While tables grow faster than they are analysed, the
        # planner would rather read all outcomes of the sending for each lease, and the couriers wait.
        db.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        again = Lease(uuid.uuid4(), True, checked=asked)
        retries = db.rows(
            db.sql("outbound", "lease_retries"),
            {**given, "lease": again.id, "slots": max(1, slots // 2)},
        )
        left = slots - len(retries)
        chunks = (
            db.rows(db.sql("outbound", "lease_chunks"), {**given, "lease": uuid.uuid4(), "slots": left})
            if left > 0
            else []
        )
        if not retries and not chunks:
            return []
        known = sendings({row[0] for row in retries} | {row[0] for row in chunks})
        refused: list[tuple[Row, str]] = []
        held: dict[tuple[int, uuid.UUID], list[tuple[Any, ...]]] = {}
        for chunk in chunks:
            held.setdefault((chunk[0], chunk[6]), []).append(chunk)
        of_chunks = {chunk[6]: Lease(chunk[6], False, checked=asked) for chunk in chunks}
        for (sending_id, lease_id), mine in held.items():
            columns = [[chunk[i] for chunk in mine] for i in (1, 4, 2, 3)]
            refused += _read(known[sending_id], of_chunks[lease_id], _CHUNK_ROWS, *columns)
        urgency = {chunk[1]: chunk[5] for chunk in chunks}
        if len(set(urgency.values())) > 1:  # rows were read sending by sending, in the order they came
            for one in of_chunks.values():
                one.rows.sort(key=lambda row: urgency[row.chunk or 0])
        for sending in known.values():
            due = [row for row in retries if row[0] == sending.id]
            if due:
                refused += _read(sending, again, _RETRY_ROWS, [row[1] for row in due], [row[2] for row in due])
        if refused:
            from envol.outbound.settle import refuse

            refuse(refused)
        made = [again, *of_chunks.values()]
        for one in made:
            one.pending = len(one.rows)
        leases = [one for one in made if one.rows]
        if empty := [one.id for one in made if not one.rows]:
            _end(empty)
    return leases


def sendings(ids: set[int]) -> dict[int, SendingFacts]:
    """What a courier must know of each of these."""
    names = [one.name for one in fields(SendingFacts)]
    return {row[0]: SendingFacts(*row) for row in Sending.objects.filter(id__in=ids).values_list(*names)}


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _properties(text: str) -> Mapping[str, Any]:
    try:
        return _decode(text)
    except msgspec.DecodeError:  # a number beyond what a float holds, which PostgreSQL can keep
        found: dict[str, Any] = json.loads(text)
        return found


# A sending that began since the tables were analysed is unknown to the planner, who takes it for one row and would look
# up the sending alone, filtering its million numbers for each recipient. So what is looked up stands where it cannot be
# joined otherwise: OFFSET 0 and a scalar subquery are only reached row by row, through the whole key.
_CHUNK_ROWS = """
  FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bigint[]) AS k (chunk, attempts, lo, hi)
 CROSS JOIN LATERAL (SELECT * FROM outbound_send s WHERE s.sending_id = %s AND s.no BETWEEN k.lo AND k.hi
                        AND s.chunk = k.chunk OFFSET 0) AS s
  LEFT JOIN contacts_contact c ON c.id = s.contact_id AND c.workspace_id = %s
 WHERE (SELECT true FROM outbound_outcome o WHERE o.sending_id = s.sending_id AND o.no = s.no) IS NULL
   AND (SELECT true FROM outbound_retry r WHERE r.sending_id = s.sending_id AND r.no = s.no) IS NULL
 ORDER BY s.no"""
_RETRY_ROWS = """
  FROM unnest(%s::bigint[], %s::int[]) AS k (no, attempts)
 CROSS JOIN LATERAL (SELECT * FROM outbound_send s WHERE s.sending_id = %s AND s.no = k.no OFFSET 0) AS s
  LEFT JOIN contacts_contact c ON c.id = s.contact_id AND c.workspace_id = %s
 ORDER BY s.no"""


def _read(sending: SendingFacts, into: Lease, tail: str, *arrays: Sequence[int]) -> list[tuple[Row, str]]:
    """Put the rows that may be sent into the lease; give back those refused, with the reason."""
    found = db.rows(
        "SELECT s.no, s.chunk, k.attempts, s.contact_id, s.message_id, s.address, s.site, c.id IS NULL,"
        f" c.email_key, c.language, c.props, c.allowed, c.refused, {_refusal(sending, _bit(sending))}" + tail,
        [*arrays, sending.id, sending.workspace_id],
    )
    refused: list[tuple[Row, str]] = []
    strangers: list[Row] = []
    first = len(into.rows)
    for no, chunk, attempts, contact_id, message_id, address, site, unknown, key, *person, reason in found:
        row = Row(
            sending, no, None if into.retries else chunk, into, attempts + 1, contact_id, message_id, address, site
        )
        if contact_id is None:
            strangers.append(row)
        elif unknown:
            refused.append((row, "erased"))
        elif reason is not None:
            refused.append((row, reason))
        else:
            row.email_key = key
            row.language, props, row.allowed, row.refused = person
            row.props = _properties(props) if props != "{}" else {}  # Django leaves JSON to us
            into.rows.append(row)
    if strangers:
        forbidden = _forbidden(sending, [row.address for row in strangers])
        for row in strangers:
            if row.address in forbidden:
                refused.append((row, forbidden[row.address]))
            else:
                into.rows.append(row)
    if late := perishing.over(into.rows[first:]):
        refused += [(row, perishing.TOO_LATE) for row in into.rows if row.key in late]
        into.rows = [row for row in into.rows if row.key not in late]
    return refused


def _bit(sending: SendingFacts) -> int | None:
    if sending.purpose_id == OWED:
        return None
    if sending.purpose_id is not None:
        return Purpose.objects.values_list("bit", flat=True).get(id=sending.purpose_id)
    return _contract_bit(sending.workspace_id) if sending.kind == "transactional" else None


def _contract_bit(workspace_id: int) -> int | None:
    """Single messages name no purpose; what they serve can be refused all the same."""
    return Purpose.objects.filter(workspace_id=workspace_id, key=CONTRACT).values_list("bit", flat=True).first()


def _refusal(sending: SendingFacts, bit: int | None) -> str:
    """The reason she is refused, in SQL over the contact `c`; NULL: she may be written to."""
    if sending.kind == "test" and bit is not None:
        # A colleague looks at it, who need not have agreed to anything; but nobody who said no gets it so.
        gate = beyond.behind(gates.refusal_sql("c", bit=bit), _beyond(sending))
        return f"nullif({gate}, '{gates.NO_PERMISSION}')"
    asked = None if sending.transactional and sending.kind != "transactional" else bit
    gate = gates.refusal_sql("c", bit=asked, transactional=sending.transactional)
    if sending.transactional or sending.purpose_id is None:
        return gate
    return beyond.behind(gate, _beyond(sending))


def _beyond(sending: SendingFacts) -> list[str]:
    """What its purpose asks of each beside her answer."""
    offer = Offer(sending.product_family, sending.seller)
    return beyond.tests("c", beyond.asked(sending.purpose_id or 0), lambda: _informs(sending), offer)


def _informs(sending: SendingFacts) -> list[int]:
    """Origins of data that this message names: whoever waits to be told of these may get it (GDPR art. 14(3)(b))."""
    found = Version.objects.filter(pk=sending.version_id or 0).values_list("informs", flat=True).first()
    return list(found or ())


def _forbidden(sending: SendingFacts, addresses: Sequence[str]) -> dict[str, str]:
    """Addresses of messages that name no contact and must get nothing, with the reason.

    She may be one of ours all the same, and have refused what contracts bring, or her data rest (GDPR art. 18). Mail of
    Envol to its own members is not asked.
    """
    if sending.kind not in ("transactional", "test"):
        return {}
    keys: dict[str, str] = {}
    for address in addresses:
        try:
            keys[normalise(address).key] = address
        except AddressError:
            continue
    found = suppression.lookup(sending.workspace_id, list(keys))
    told = {
        keys[key]: gates.SUPPRESSED if known.scope == "all" else gates.OBJECTED
        for key, known in found.items()
        if known.scope == "all" or sending.kind == "test"
    }
    bit = _contract_bit(sending.workspace_id) if sending.kind == "transactional" else None
    for key, closed in db.rows(
        "SELECT email_key, suppressed IS NOT FALSE FROM contacts_contact WHERE workspace_id = %s"
        " AND email_key = ANY(%s) AND (suppressed IS NOT FALSE OR (refused & %s) <> 0)",
        [sending.workspace_id, list(keys), 0 if bit is None else 1 << bit],
    ):
        told.setdefault(keys[key], gates.SUPPRESSED if closed else gates.WITHDRAWN)
    return told


RELEASE = "release"


def changed(leases: Iterable[Lease]) -> dict[tuple[int, int], tuple[str, str]]:
    """Who, of the rows held, must not be sent to any more: (sending, no) → (state, cause).

    State is an outcome (`suppressed`, `cancelled`, `expired`) or RELEASE: the sending is paused, or its workspace has
    used up what it may send; give the row back.
    Asked at least once a second for everything that waits in a courier, so that a withdrawal, a suppression
    or a stop holds back the very next MAIL FROM.
    """
    by_sending: dict[int, list[Row]] = {}
    for one in leases:
        last: SendingFacts | None = None
        for row in one.rows:
            if not row.ended:
                if row.sending is not last:
                    last = row.sending
                    held = by_sending.setdefault(last.id, [])
                held.append(row)
    if not by_sending:
        return {}
    found = db.rows(
        "SELECT s.id, s.state, p.bit FROM outbound_sending s LEFT JOIN consent_purpose p ON p.id = s.purpose_id"
        " OR (s.purpose_id IS NULL AND s.kind = 'transactional' AND p.workspace_id = s.workspace_id AND p.key = %s)"
        " WHERE s.id = ANY (%s)",
        [CONTRACT, list(by_sending)],
    )
    states = {sending_id: (state, bit) for sending_id, state, bit in found}
    over = limits.over()
    answer: dict[tuple[int, int], tuple[str, str]] = {}
    for sending_id, held in by_sending.items():
        state, bit = states.get(sending_id, ("stopped", None))
        facts = held[0].sending
        if state == "sending" and facts.priority >= 5 and facts.workspace_id in over:
            state = "over_limit"
        if state in ("stopped", "failed"):
            answer.update({row.key: ("cancelled", "stopped") for row in held})
        elif state != "sending":
            answer.update({row.key: (RELEASE, state) for row in held})
        else:
            answer.update(_refused_since(held, bit))
            answer.update(dict.fromkeys(perishing.over(held), ("expired", perishing.TOO_LATE)))
    return answer


def _refused_since(held: Sequence[Row], bit: int | None) -> dict[tuple[int, int], tuple[str, str]]:
    """Only who is refused now comes back from the database: as a rule nobody."""
    sending = held[0].sending
    reasons: dict[int, str] = {}
    if known := [row.contact_id for row in held if row.contact_id is not None]:
        reasons = dict(
            db.rows(
                "SELECT id, reason FROM (SELECT k.id, CASE WHEN c.id IS NULL THEN 'erased' ELSE"
                f" {_refusal(sending, bit)} END AS reason FROM unnest(%s::bigint[]) AS k (id)"
                " LEFT JOIN LATERAL (SELECT * FROM contacts_contact c WHERE c.id = k.id OFFSET 0) c ON true) AS asked"
                " WHERE reason IS NOT NULL",
                [arrays.numbers(known)],
            )
        )
    strangers = {row.address for row in held if row.contact_id is None}
    forbidden = _forbidden(sending, list(strangers)) if strangers else {}
    if not reasons and not forbidden:
        return {}
    answer: dict[tuple[int, int], tuple[str, str]] = {}
    for row in held:
        if row.contact_id is None:
            if row.address in forbidden:
                answer[row.key] = ("suppressed", forbidden[row.address])
        elif row.contact_id in reasons:
            answer[row.key] = ("suppressed", reasons[row.contact_id])
    return answer


def renew(leases: Iterable[Lease], *, seconds: int) -> set[uuid.UUID]:
    """Hold on for `seconds` more; the ids that are still ours. The others belong to somebody else: drop them."""
    ids = [one.id for one in leases]
    if not ids:
        return set()
    with transaction.atomic():
        kept = set()
        for table in ("outbound_chunk", "outbound_retry"):
            kept |= {
                row[0]
                for row in db.rows(
                    f"UPDATE {table} SET lease_until = now() + make_interval(secs => %s)"
                    " WHERE lease_id = ANY (%s) RETURNING lease_id",
                    [seconds, ids],
                )
            }
    return kept


def release(leases: Iterable[Lease]) -> None:
    """End leases: chunks without work left are done, the rest is free for anybody at once. Durable."""
    ids = [one.id for one in leases]
    if ids:
        with transaction.atomic():
            # As in `lease`: by keys, however old the statistics are.
            db.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
            _end(ids)


def abandon(courier: str) -> int:
    """End the leases of a courier that is known to be dead, as if their time had run out; how many."""
    with transaction.atomic():
        ids = [
            row[0]
            for table in ("outbound_chunk", "outbound_retry")
            for row in db.rows(
                f"UPDATE {table} SET lease_until = now() - interval '1 second'"
                " WHERE lease_id IS NOT NULL AND leased_by = %s RETURNING lease_id",
                [courier],
            )
        ]
        return _end(list(set(ids)), lost=True) if ids else 0


def _end(ids: Sequence[uuid.UUID], lost: bool = False) -> int:
    given = {"lost": lost, "leases": list(ids)}
    ended = db.execute(db.sql("outbound", "end_leases"), given)
    return ended + db.execute(db.sql("outbound", "end_retry_leases"), given)


def _pull_in() -> None:
    """A clock that jumped back must freeze nobody: nothing waits longer than the longest back-off, a lease no longer
    than twice its length (its holder, if alive, renews it long before), and what is on its way has begun."""
    db.execute(
        f"UPDATE outbound_retry SET due = now() + interval '4 hours' WHERE lease_id IS NULL"
        f" AND due > now() + interval '{LONGEST_BACKOFF}'"
    )
    db.execute(
        "UPDATE outbound_chunk SET due = now() WHERE NOT done AND lease_id IS NULL"
        f" AND due > now() + interval '{LONGEST_BACKOFF}'"
    )
    length = settings.ENVOL.lease_seconds
    for table in ("outbound_chunk", "outbound_retry"):
        db.execute(
            f"UPDATE {table} SET lease_until = now() + make_interval(secs => %(length)s) WHERE lease_id IS NOT NULL"
            " AND lease_until > now() + make_interval(secs => 2 * %(length)s)",
            {"length": length},
        )
    db.execute(
        "UPDATE outbound_sending SET not_before = now() WHERE state = 'sending'"
        f" AND not_before > now() + interval '{LONGEST_BACKOFF}'"
    )


def sweep() -> int:
    """Give back what lost its courier, cancel what was stopped, pull in what a clock threw too far, take up
    the mail that lower rooms asked for.

    Returns how many leases had ended. Cheap; asked every few seconds.
    """
    late = [
        row[0]
        for table in ("outbound_chunk", "outbound_retry")
        for row in db.rows(f"SELECT DISTINCT lease_id FROM {table} WHERE lease_id IS NOT NULL AND lease_until < now()")
    ]
    with transaction.atomic():
        ended = _end(late, lost=True) if late else 0
        _pull_in()
        db.execute("DELETE FROM outbound_trouble WHERE at < now() - interval '30 days'")
    from envol.outbound import habits, held, notices, requests, stored
    from envol.outbound.states import cancel, fold_tallies

    requests.take()
    notices.take()
    held.look_after()
    habits.look_after()
    stored.look_after()
    fold_tallies()

    for (sending_id,) in db.rows(
        "SELECT s.id FROM outbound_sending s WHERE s.state = 'stopped' AND ("
        " EXISTS (SELECT FROM outbound_chunk c WHERE c.sending_id = s.id AND NOT c.done AND c.lease_id IS NULL)"
        " OR EXISTS (SELECT FROM outbound_retry r WHERE r.sending_id = s.id AND r.lease_id IS NULL))"
    ):
        cancel(sending_id)
    return ended
