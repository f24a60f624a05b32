"""Accepting: from here on we owe an answer for each recipient.

When a function of this module returns, its transaction is on disk: only then may a `250` or a `200` be said
(RFC 5321 §6.1). Message, ledger rows and chunks are written in that one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from psycopg.types.json import Jsonb

from envol import db, disk
from envol.events.models import Kind
from envol.outbound import control, egress, habits, held
from envol.outbound.domains import may_send_from
from envol.outbound.models import Sending, SendingState
from envol.outbound.sites import site_of
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.fraud import HOLD, REFUSE, Verdict

CHUNK_ROWS = 500
SMALL_SITE = 100
"""Sites with fewer rows in a batch share chunks: a chunk's lease reads the whole range it lies in."""

HEADER = frozenset({"from", "to", "subject", "reply_to", "extra", "custom_id"})
"""What a message's stored header says of the message; the rest are facts of whoever handed it in."""

CODE_LIFETIME = 15 * 60
TRANSACTIONAL_LIFETIME = 4 * 24 * 3600
TRANSACTIONAL_PRIORITY = 2


class Refused(ValueError):
    """Not accepted, nothing was written; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One single message.

    kind: `transactional` (a workspace writes to its customer) or `system` (Envol writes to a member).
    sender, to: (name, address). Each recipient gets a copy of its own, addressed to everybody in `to`.
    headers: extra header fields. raw: a whole message to be relayed as it came, instead of subject and texts.
    contact_ids: beside `to`; known contacts are asked for by their permissions, the others by suppression alone.
    code: a sign-in code or the like: goes first, and is worth nothing after 15 minutes.
    verdict: of outgoing control, where whoever hands it in has asked already; else it is asked at acceptance.
    """

    workspace_id: int
    sender: tuple[str, str]
    to: Sequence[tuple[str, str]]
    subject: str = ""
    text: str = ""
    html: str = ""
    kind: str = "transactional"
    reply_to: Sequence[tuple[str, str]] = ()
    headers: Sequence[tuple[str, str]] = ()
    raw: bytes | None = None
    custom_id: str = ""
    contact_ids: Sequence[int | None] = ()
    code: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """`message_id`: of outbound.Message; `recipients`: (sending_id, no) in the order of `to`; `held`: somebody looks
    at it before it leaves."""

    message_id: int
    recipients: tuple[tuple[int, int], ...]
    held: bool = False


def accept_messages(batch: Sequence[Outgoing]) -> list[Accepted]:
    """Accept single messages, all or none, durably. Raises :class:`Refused`, :class:`~envol.disk.Full`, or a database
    error: never a promise.

    Two statements and one commit whatever the size of the batch, and a few more for each message that is held. Inside a
    transaction of the caller's the promise begins when that one commits.
    """
    for message in batch:
        _check(message)
    if not batch:
        return []
    verdicts = [_verdict(message) for message in batch]
    if any(message.kind != "system" for message in batch):  # a password's mail is small, and is asked for in need
        disk.refuse_when_full()
    with transaction.atomic(durable=not connection.in_atomic_block):
        known = {key: stream(*key) for key in {(m.workspace_id, m.kind, m.code) for m in batch}}
        streams = [
            Stream(_sending_held(m).id, TRANSACTIONAL_PRIORITY)
            if verdict and verdict.action == HOLD
            else known[m.workspace_id, m.kind, m.code]
            for m, verdict in zip(batch, verdicts, strict=True)
        ]
        recipients = sum(len(m.to) for m in batch)
        message_ids = _reserve("outbound_message_id_seq", len(batch))
        numbers = iter(_reserve("outbound_send_no", recipients))
        _store_bodies(batch, streams, message_ids)
        accepted: list[Accepted] = []
        by_stream: dict[Stream, list[tuple[int, int | None, int, str]]] = {}
        for message, verdict, to_stream, message_id in zip(batch, verdicts, streams, message_ids, strict=True):
            keys = []
            rows = by_stream.setdefault(to_stream, [])
            contacts = list(message.contact_ids) or [None] * len(message.to)
            for (_, address), contact in zip(message.to, contacts, strict=True):
                no = next(numbers)
                rows.append((no, contact, message_id, address))
                keys.append((to_stream.sending_id, no))
            waits = verdict is not None and verdict.action == HOLD
            if verdict is not None and waits:
                held.hold(
                    to_stream.sending_id,
                    message.workspace_id,
                    verdict,
                    message_id=message_id,
                    key_id=message.facts.get("key"),
                )
            accepted.append(Accepted(message_id, tuple(keys), waits))
        for to_stream, rows in by_stream.items():
            _expand(to_stream.sending_id, to_stream.priority, None, rows)
        habits.note(
            (message.facts["key"], verdict.language, [domain_of(address) for _, address in message.to], one.held)
            for message, verdict, one in zip(batch, verdicts, accepted, strict=True)
            if verdict is not None and message.facts.get("key")
        )
    return accepted


def accept_post(sending_id: int, priority: int, message: Outgoing, people: Sequence[tuple[int, str]]) -> int:
    """Queue one message of a mailing list for many (contact id, address), in the caller's transaction; how many.

    Raises :class:`Refused`: nothing was written. A post that outgoing control holds is refused too, for it has its own
    moderators: they are told instead.
    """
    _check(message)
    verdict = _verdict(message)
    if verdict is not None and verdict.action == HOLD:
        raise Refused(control.refusal(verdict))
    if not people:
        return 0
    disk.refuse_when_full()
    carrier = Stream(sending_id, priority)
    (message_id,) = _reserve("outbound_message_id_seq", 1)
    numbers = _reserve("outbound_send_no", len(people))
    _store_bodies([message], [carrier], [message_id])
    rows = [(no, contact, message_id, address) for no, (contact, address) in zip(numbers, people, strict=True)]
    return _expand(sending_id, priority, None, rows)


def _check(message: Outgoing) -> None:
    if message.kind not in ("transactional", "system"):
        raise Refused(f"A single message is transactional or system, not {message.kind!r}.")
    if not message.to:
        raise Refused("A message needs at least one recipient.")
    if message.contact_ids and len(message.contact_ids) != len(message.to):
        raise Refused("contact_ids stand beside the recipients: give one, or None, for each.")
    for _, address in message.to:
        try:
            normalise(address)
        except AddressError as error:
            raise Refused(str(error)) from None
    if message.raw is None and not (message.text or message.html):
        raise Refused("A message needs a text or an HTML part; write at least one.")
    if message.kind == "transactional":
        ok, sentence = may_send_from(message.workspace_id, message.sender[1])
        if not ok:
            raise Refused(sentence)


def _verdict(message: Outgoing) -> Verdict | None:
    """What outgoing control says; Envol's own mail to its members is not asked. Raises :class:`Refused`."""
    if message.kind == "system":
        return None
    verdict = message.verdict or control.examine(message)
    if verdict.action == REFUSE:
        raise Refused(control.refusal(verdict))
    return verdict


def _sending_held(message: Outgoing) -> Sending:
    return Sending.objects.create(
        workspace_id=message.workspace_id,
        kind=message.kind,
        state=SendingState.HELD,
        priority=TRANSACTIONAL_PRIORITY,
        lifetime_seconds=TRANSACTIONAL_LIFETIME,
    )


@dataclass(frozen=True, slots=True)
class Stream:
    sending_id: int
    priority: int


_streams: dict[tuple[int, str, bool], Stream] = {}


def stream(workspace_id: int, kind: str, code: bool = False) -> Stream:
    """The everlasting sending that carries a workspace's single messages of one kind; made at first use."""
    key = (workspace_id, kind, code)
    found = _streams.get(key)
    if (
        found is not None
        and Sending.objects.filter(id=found.sending_id, workspace_id=workspace_id, kind=kind, campaign_id=None).exists()
    ):
        return found
    priority = 0 if code else TRANSACTIONAL_PRIORITY
    with transaction.atomic():
        # Two processes may meet here: the lock lets one make the row and the other find it.
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"outbound stream {key}"])
        row = Sending.objects.filter(
            workspace_id=workspace_id,
            kind=kind,
            campaign_id=None,
            priority=priority,
            state=SendingState.SENDING,
            held=None,  # one that was held and let go carries its own message and no other
        ).first() or Sending.objects.create(
            workspace_id=workspace_id,
            kind=kind,
            state=SendingState.SENDING,
            priority=priority,
            lifetime_seconds=CODE_LIFETIME if code else TRANSACTIONAL_LIFETIME,
        )
    _streams[key] = Stream(row.id, priority)
    return _streams[key]


def _reserve(sequence: str, count: int) -> list[int]:
    return [n for (n,) in db.rows(f"SELECT nextval('{sequence}') FROM generate_series(1, %s)", [count])]


def _store_bodies(batch: Sequence[Outgoing], streams: Sequence[Stream], ids: Sequence[int]) -> None:
    columns = "(id, workspace_id, sending_id, header, text, html, raw)"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY outbound_message {columns} FROM STDIN") as copy,
    ):
        for message, to_stream, message_id in zip(batch, streams, ids, strict=True):
            header = {
                "from": list(message.sender),
                "to": [list(box) for box in message.to],
                "subject": message.subject,
                "reply_to": [list(box) for box in message.reply_to],
                "extra": [list(pair) for pair in message.headers],
                "custom_id": message.custom_id,
                **message.facts,
            }
            copy.write_row(
                (
                    message_id,
                    message.workspace_id,
                    to_stream.sending_id,
                    Jsonb(header),
                    message.text,
                    message.html,
                    message.raw,
                )
            )


def expand_batch(sending: Sending, people: Iterable[tuple[int, str]], *, due: datetime | None = None) -> int:
    """Queue contacts of a campaign: (contact id, address) → how many were new.

    Idempotent: the row (sending, contact) is unique, somebody queued before is skipped. Call it in the
    transaction that advances `sending.expand_cursor`; a few thousand people at a time is a good batch.
    `due`: not before (database's clock); by default at once, as soon as the sending's state is `sending`.
    """
    rows = [(contact, contact, None, address) for contact, address in people]
    tiers = _tiers([row[0] for row in rows]) if warms_up() and sending.priority >= 5 else {}
    return _expand(sending.id, sending.priority, due, rows, tiers)


def warms_up() -> bool:
    """Does any source address of this installation warm up?"""
    return settings.ENVOL.route == "direct" and any(one.warm for one in egress.parse(settings.ENVOL.sources))


LAST_TIER = 3


def _tiers(contacts: Sequence[int]) -> dict[int, int]:
    """Whose mail a new address should carry first: 0 for who reacted lately, up to `LAST_TIER`."""
    found = db.rows(
        db.sql("outbound", "engaged"),
        {"ids": list(contacts), "kinds": [int(Kind.OPENED), int(Kind.CLICKED), int(Kind.REPLIED)]},
    )
    tiers = dict.fromkeys(contacts, LAST_TIER)
    tiers.update(found)
    return tiers


def accept_into(sending: Sending, batch: Sequence[Outgoing], site: str) -> None:
    """Queue raw messages of a sending of their own that all go to one host. In the caller's transaction."""
    into = Stream(sending.id, sending.priority)
    message_ids = _reserve("outbound_message_id_seq", len(batch))
    numbers = iter(_reserve("outbound_send_no", sum(len(message.to) for message in batch)))
    _store_bodies(batch, [into] * len(batch), message_ids)
    rows = [
        (next(numbers), None, message_id, address)
        for message, message_id in zip(batch, message_ids, strict=True)
        for _, address in message.to
    ]
    _expand(into.sending_id, into.priority, None, rows, site=site)


def accept_address(sending: Sending, address: str) -> None:
    """Queue one address that is no contact (a test message of a campaign's version)."""
    no = _reserve("outbound_send_no", 1)[0]
    _expand(sending.id, sending.priority, None, [(no, None, None, address)])


def _expand(
    sending_id: int,
    priority: int,
    due: datetime | None,
    rows: Sequence[tuple[int, int | None, int | None, str]],
    tiers: Mapping[int, int] = MappingProxyType({}),
    site: str = "",
) -> int:
    """site: where all of them go, whatever their domain."""
    if not rows:
        return 0
    rows = sorted(rows, key=lambda row: row[0])
    sites = [site or site_of(row[3]) for row in rows]
    of_rows = [tiers.get(row[0], LAST_TIER) for row in rows]
    return int(
        db.value(
            db.sql("outbound", "expand"),
            {
                "sending": sending_id,
                "priority": priority,
                "due": due,
                "no": [row[0] for row in rows],
                "contact": [row[1] for row in rows],
                "message": [row[2] for row in rows],
                "address": [row[3] for row in rows],
                "site": sites,
                "part": plan_chunks(sites, of_rows),
                "early": [LAST_TIER - tier for tier in of_rows],
            },
        )
        or 0
    )


def plan_chunks(sites: Sequence[str], tiers: Sequence[int] = ()) -> list[int]:
    """Which chunk (0, 1, …) each row goes to: at most CHUNK_ROWS together, one site a chunk where it has
    at least SMALL_SITE rows, the small sites mixed. Rows of several tiers never share a chunk."""
    counts: dict[str, int] = {}
    for site in sites:
        counts[site] = counts.get(site, 0) + 1
    open_chunk: dict[tuple[str, int], tuple[int, int]] = {}
    plan: list[int] = []
    used = 0
    for site, tier in zip(sites, tiers or [0] * len(sites), strict=True):
        key = (site if counts[site] >= SMALL_SITE else "*"), tier
        number, filled = open_chunk.get(key, (-1, CHUNK_ROWS))
        if filled >= CHUNK_ROWS:
            number, filled = used, 0
            used += 1
        open_chunk[key] = (number, filled + 1)
        plan.append(number)
    return plan
