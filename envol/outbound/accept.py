"""Accepting: from here on we owe an answer for each recipient.

When a function of this module returns, its transaction is on disk: only then may a `250` or a `200` be said
(RFC 5321 §6.1). Message, ledger rows and chunks are written in that one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from envol import db, disk
from envol.events.models import Kind
from envol.outbound import control, egress, groupings, habits, held
from envol.outbound.domains import may_send_from
from envol.outbound.enter import Counted, Entry, Gone, Stream, enter, plan_chunks
from envol.outbound.models import OWED, Sending, SendingState
from envol.outbound.perishing import CODE_LIFETIME
from envol.outbound.sites import site_of
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.fraud import HOLD, REFUSE, Verdict

HEADER = frozenset({"from", "to", "subject", "reply_to", "extra", "custom_id"})
"""What a message's stored header says of the message; the rest are facts of whoever handed it in."""

TRANSACTIONAL_LIFETIME = 4 * 24 * 3600
TRANSACTIONAL_PRIORITY = 2
NORMAL = 2
"""The urgency of a message of which nothing is said."""


NOT_VALIDATED, DUPLICATE, TEMPLATE_ERROR = "sender_not_validated", "duplicate_in_campaign", "template_error"
"""The causes of what was accepted and refused in the same breath: its sender is no domain of the workspace's, whoever
gets it had something of its program's campaign, its template cannot be filled in."""


class Refused(ValueError):
    """Not accepted, nothing was written; the sentence says what to do."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One single message.

    kind: `transactional` (a workspace writes to its customer) or `system` (Envol writes to a member).
    sender, to: (name, address). Each recipient gets a copy of its own, addressed to everybody in `to`.
    headers: extra header fields. raw: a whole message to be relayed as it came, instead of subject and texts.
    contact_ids: beside `to`; known contacts are asked for by their permissions, the others by suppression alone.
    code: a sign-in code or the like: goes first, and not at all later than 15 minutes after it was made (`perishing`).
    verdict: of outgoing control, where whoever hands it in has asked already; else it is asked at acceptance.
    urgency: 3 leaves before the workspace's other single messages that wait, 1 and 0 after them; campaigns come later.
        4 is for Envol itself: with the codes.
    owed: the law wants her to get it, so no refusal of other mail holds it back; a full stop and a restriction do.
    refused: why it never leaves: it has its number and its copies, and all of them ended when it was accepted.
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
    refused: str = ""
    urgency: int = NORMAL
    owed: bool = False


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

    One statement, which is its own commit, whatever the size of the batch; one before it where a program counts
    messages under a word of its own; a few more, and a transaction, where something is held. Inside a transaction of
    the caller's the promise begins when that one commits.
    """
    if any(message.refused for message in batch):
        return _some_refused(batch)
    for message in batch:
        _check(message)
    if not batch:
        return []
    verdicts = [_verdict(message) for message in batch]
    if any(message.kind != "system" for message in batch):  # a password's mail is small, and is asked for in need
        disk.refuse_when_full()
    counted = habits.counted(
        (message.facts["key"], verdict.language, [domain_of(address) for _, address in message.to], _waits(verdict))
        for message, verdict in zip(batch, verdicts, strict=True)
        if verdict is not None and message.facts.get("key")
    )
    if not any(map(_waits, verdicts)):
        return _accepted(batch, [None] * len(batch), counted)
    with transaction.atomic(durable=not connection.in_atomic_block):
        made = [_sending_held(m) if _waits(verdict) else None for m, verdict in zip(batch, verdicts, strict=True)]
        accepted = _accepted(batch, made, counted)
        for message, verdict, sending, one in zip(batch, verdicts, made, accepted, strict=True):
            if sending is not None and verdict is not None:
                held.hold(
                    sending.id,
                    message.workspace_id,
                    verdict,
                    message_id=one.message_id,
                    key_id=message.facts.get("key"),
                )
    return accepted


def _some_refused(batch: Sequence[Outgoing]) -> list[Accepted]:
    """Those that never leave are entered by themselves, in chunks of their own, and ended before anybody sees them."""
    refused = [message for message in batch if message.refused]
    for message in refused:
        _check(message)
    disk.refuse_when_full()
    with transaction.atomic(durable=not connection.in_atomic_block):
        others = iter(accept_messages([message for message in batch if not message.refused]))
        ended = _accepted(refused, [None] * len(refused), {})
        by_cause: dict[str, list[tuple[int, int]]] = {}
        for message, one in zip(refused, ended, strict=True):
            by_cause.setdefault(message.refused, []).extend(one.recipients)
        for cause, copies in by_cause.items():
            keys = {"sendings": [sending_id for sending_id, _ in copies], "numbers": [no for _, no in copies]}
            db.execute(db.sql("outbound", "refuse"), {**keys, "cause": cause})
        these = iter(ended)
        return [next(these if message.refused else others) for message in batch]


def _accepted(batch: Sequence[Outgoing], made: Sequence[Sending | None], counted: Counted) -> list[Accepted]:
    """made: the sendings of those that are held; the others go with the streams of their workspaces."""
    words = [
        (one.workspace_id, one.facts["campaign"], one.sender[1], one.sender[0])
        for one in batch
        if one.facts.get("campaign")
    ]
    if words:
        groupings.meet(words)
    try:
        numbers = enter([*map(_entry, batch, made)], counted)
    except Gone:  # a workspace was deleted and made anew since we looked
        _streams.clear()
        numbers = enter([*map(_entry, batch, made)], counted)
    accepted = []
    for message, sending, (message_id, copies) in zip(batch, made, numbers, strict=True):
        sending_id = sending.id if sending else _by_heart(message).sending_id
        accepted.append(Accepted(message_id, tuple((sending_id, no) for no in copies), sending is not None))
    return accepted


def _entry(message: Outgoing, sending: Sending | None) -> Entry:
    carrier = Stream(sending.id, sending.priority) if sending else _by_heart(message)
    if message.urgency != NORMAL and not message.code:
        # Between codes (0) and campaigns (5); its sending, and so its place on the road, stays as it is.
        carrier = replace(carrier, priority=TRANSACTIONAL_PRIORITY + NORMAL - message.urgency)
    contacts = message.contact_ids or [None] * len(message.to)
    return Entry(message, carrier, [(one, address) for one, (_, address) in zip(contacts, message.to, strict=True)])


def _waits(verdict: Verdict | None) -> bool:
    return verdict is not None and verdict.action == HOLD


def accept_post(
    sending_id: int, priority: int, message: Outgoing, people: Sequence[tuple[int, str]], purpose_id: int
) -> int:
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
    enter([Entry(message, Stream(sending_id, priority), people)], {}, purpose_id=purpose_id)
    return len(people)


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
    if message.kind == "transactional" and not message.refused:
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


_streams: dict[tuple[int, str, bool, bool], Stream] = {}


def stream(workspace_id: int, kind: str, code: bool = False, owed: bool = False) -> Stream:
    """The everlasting sending that carries a workspace's single messages of one kind; made at first use."""
    key = (workspace_id, kind, code, owed)
    purpose = OWED if owed else None
    priority = 0 if code else TRANSACTIONAL_PRIORITY
    with transaction.atomic():
        # Two processes may meet here: the lock lets one make the row and the other find it.
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"outbound stream {key}"])
        row = Sending.objects.filter(
            workspace_id=workspace_id,
            kind=kind,
            campaign_id=None,
            purpose_id=purpose,
            priority=priority,
            state=SendingState.SENDING,
            held=None,  # one that was held and let go carries its own message and no other
        ).first() or Sending.objects.create(
            workspace_id=workspace_id,
            kind=kind,
            purpose_id=purpose,
            state=SendingState.SENDING,
            priority=priority,
            lifetime_seconds=CODE_LIFETIME if code else TRANSACTIONAL_LIFETIME,
        )
    _streams[key] = Stream(row.id, priority, kind)
    return _streams[key]


def _by_heart(message: Outgoing) -> Stream:
    """The stream of a message without a question; `enter` looks whether it is there still."""
    key = (message.workspace_id, message.kind, message.code, message.owed)
    return _streams.get(key) or stream(*key)


def _reserve(sequence: str, count: int) -> list[int]:
    return [n for (n,) in db.rows(f"SELECT nextval('{sequence}') FROM generate_series(1, %s)", [count])]


def expand_batch(sending: Sending, people: Iterable[tuple[int, str]], *, due: datetime | None = None) -> int:
    """Queue contacts of a campaign: (contact id, address) → how many were new.

    Idempotent: the row (sending, contact) is unique, somebody queued before is skipped. Call it in the
    transaction that advances `sending.expand_cursor`; a few thousand people at a time is a good batch.
    `due`: not before (database's clock); by default at once, as soon as the sending's state is `sending`.
    """
    rows = [(contact, contact, None, address) for contact, address in people]
    tiers = _tiers([row[0] for row in rows]) if warms_up() and sending.priority >= 5 else {}
    return _expand(sending, due, rows, tiers)


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
    people = ([(None, address) for _, address in message.to] for message in batch)
    enter([Entry(message, into, to) for message, to in zip(batch, people, strict=True)], {}, site=site)


def accept_address(sending: Sending, address: str) -> None:
    """Queue one address that is no contact (a test message of a campaign's version)."""
    no = _reserve("outbound_send_no", 1)[0]
    _expand(sending, None, [(no, None, None, address)])


def _expand(
    sending: Sending,
    due: datetime | None,
    rows: Sequence[tuple[int, int | None, int | None, str]],
    tiers: Mapping[int, int] = MappingProxyType({}),
) -> int:
    if not rows:
        return 0
    rows = sorted(rows, key=lambda row: row[0])
    sites = [site_of(row[3]) for row in rows]
    of_rows = [tiers.get(row[0], LAST_TIER) for row in rows]
    return int(
        db.value(
            db.sql("outbound", "expand"),
            {
                "sending": sending.id,
                "purpose": sending.purpose_id,
                "priority": sending.priority,
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
