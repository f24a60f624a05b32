"""The submission relay: whose key it is, whom it may write as, and what of a submitted message is accepted.

The From field is read once (`envol.wire.message.submit`); the sender it names must be one of the workspace's domains,
and so must the reverse-path. What is accepted goes the way of every single message (`envol.outbound.accept`).
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from django.conf import settings
from django.db import connection, transaction

from envol import disk
from envol.accounts import api_keys
from envol.accounts.api_keys import Barred
from envol.accounts.models import ApiKey, Scope
from envol.accounts.workspaces import api_key_verifier, check_api_key, proved_api_key
from envol.contacts.models import Contact
from envol.outbound import accept, asides, control, habits, notices, rolls, rspamd, single
from envol.outbound.domains import may_send_from
from envol.wire.address import AddressError, normalise
from envol.wire.fraud import HOLD, REFUSE
from envol.wire.message.submit import read_submission
from envol.wire.scram import Verifier
from envol.wire.smtp.notify import Wish
from envol.wire.smtp.server import Envelope

_MOST_PEERS = 10_000


@dataclass(frozen=True, slots=True)
class Account:
    """Who is signed in: a key of a workspace."""

    key_id: int
    workspace_id: int
    senders: tuple[str, ...] = ()
    most_recipients: int | None = None


def sign_in(key: str, secret: str) -> Account | str | None:
    """The account of a key and its secret; None when they do not fit, a sentence when they do and may not come in."""
    return _account(check_api_key(key, secret))


def whose(key: str) -> tuple[int, int] | None:
    """(number, workspace) of a key, by its public half alone: for counting who failed. Asked for unknown keys too."""
    return ApiKey.objects.filter(public_id=key[:64].replace("\0", "")).values_list("pk", "workspace_id").first()


def verifier_of(key: str) -> Verifier:
    """Against what a proof of this key's secret is checked (SCRAM); for a key there is none, one that nothing fits."""
    return api_key_verifier(key)


def proved(key: str) -> Account | str | None:
    """As :func:`sign_in`, of somebody who has proved to know the secret."""
    return _account(proved_api_key(key))


def _account(row: ApiKey | None) -> Account | str | None:
    if row is None:
        return None
    said = api_keys.closed(row) or api_keys.lacks(row, Scope.SMTP)
    return said or Account(row.pk, row.workspace_id, tuple(row.senders), row.most_recipients)


def may_begin(account: Account, reverse_path: str) -> tuple[bool, str]:
    """May a transaction of this account begin with this reverse-path? With a sentence. The null path may."""
    if not reverse_path:
        return True, ""
    if not api_keys.may_write_as(account.senders, reverse_path, envelope=True):
        return False, _not_among(account, reverse_path)
    return may_send_from(account.workspace_id, reverse_path)


def _not_among(account: Account, address: str) -> str:
    return f"This key may not write as {address}; its senders are: {', '.join(account.senders)}"


def outgoing(
    account: Account, envelope: Envelope, raw: bytes, received: bytes, *, at_once: bool = False
) -> accept.Outgoing:
    """What is to be accepted of a submitted message.

    A recipient named twice is delivered to once. received: our trace field (RFC 5321 §4.4).
    Raises :class:`~envol.wire.message.submit.Unacceptable` or :class:`~envol.outbound.accept.Refused`; with `at_once`
    also :class:`~envol.outbound.control.TakesLong`.
    """
    raw, told, asked, urgency = asides.taken(raw)
    read = read_submission(raw)
    if not api_keys.may_write_as(account.senders, read.author.address):
        raise accept.Refused(_not_among(account, read.author.address))
    ok, sentence = may_send_from(account.workspace_id, read.author.address)
    if not ok:
        raise accept.Refused(sentence)
    to: dict[str, tuple[str, str]] = {}
    wishes: dict[str, Wish] = {}
    for recipient, wish in zip(envelope.recipients, envelope.wishes, strict=True):
        try:
            address = normalise(recipient)
        except AddressError as error:
            raise accept.Refused(str(error)) from None
        written = to.setdefault(address.key, ("", address.written))[1]
        wishes.setdefault(written, wish)
    sender = (read.author.name, read.author.address)
    message = received + read.raw
    verdict = control.examine_raw(
        account.workspace_id, sender, read.subject, message, key=account.key_id, at_once=at_once
    )
    made = accept.Outgoing(
        workspace_id=account.workspace_id,
        sender=sender,
        to=list(to.values()),
        subject=read.subject,
        raw=message,
        custom_id=told.pop("custom_id", ""),
        facts={"by": "smtp", "key": account.key_id, "message_id": read.message_id}
        | told
        | single.facts(read.raw, opens="opens" in asked, clicks="clicks" in asked, base_url=settings.ENVOL.base_url)
        | notices.facts(envelope.reverse_path, list(wishes), envelope.asked, list(wishes.values())),
        verdict=verdict,
        urgency=urgency,
    )
    return settled(account, made)


def settled(account: Account, made: accept.Outgoing) -> accept.Outgoing:
    """The same message, if it may go on. Raises :class:`~envol.outbound.accept.Refused`, and counts it."""
    if made.verdict is not None and made.verdict.action == REFUSE:
        habits.refused(account.key_id)
        raise accept.Refused(control.refusal(made.verdict))
    return made


def second_opinion(account: Account, made: accept.Outgoing) -> accept.Outgoing:
    """The same message with what Rspamd says of it too; in any thread, without the database."""
    assert made.verdict is not None and made.raw is not None
    recipients = [address for _, address in made.to]
    url, key = settings.ENVOL.rspamd, f"key-{account.key_id}"
    return replace(made, verdict=rspamd.asked(url, made.verdict, made.raw, made.sender[1], recipients, key))


def is_held(made: accept.Outgoing) -> bool:
    """Will somebody look at it before it leaves?"""
    return made.verdict is not None and made.verdict.action == HOLD


def keep(batch: list[accept.Outgoing]) -> list[int | Barred]:
    """Accept a batch durably: the number of each message in our log, or why its key may not send it now.

    Raises `disk.Full` or a database error: then nothing of the batch was kept.
    """
    disk.refuse_when_full()
    batch = _known(batch)
    barred: list[Barred | None] = [None] * len(batch)
    if api_keys.unlimited(one.facts["key"] for one in batch):
        numbers = iter(accept.accept_messages(batch))
    else:
        with transaction.atomic(durable=not connection.in_atomic_block):
            barred = api_keys.use([(one.facts["key"], len(one.to)) for one in batch])
            taken = [one for one, why in zip(batch, barred, strict=True) if why is None]
            numbers = iter(accept.accept_messages(taken))
    answer: list[int | Barred] = [why or next(numbers).message_id for why in barred]
    for one, why in zip(batch, barred, strict=True):
        size, key = len(one.raw or b""), str(one.facts["key"])
        rolls.count("key", key, "barred" if why else "accepted", workspace=one.workspace_id, octets=size)
        if why is None:
            rolls.count("sender", one.sender[1], "accepted", workspace=one.workspace_id, n=len(one.to), octets=size)
    rolls.flush_if_due()
    return answer


def _known(batch: list[accept.Outgoing]) -> list[accept.Outgoing]:
    """With the contacts of those messages that are to be measured: how far depends on what each of them allows."""
    wanted: dict[int, set[str]] = {}
    for one in batch:
        if single.MEASURED in one.facts:
            wanted.setdefault(one.workspace_id, set()).update(normalise(address).key for _, address in one.to)
    if not wanted:
        return batch
    found: dict[tuple[int, str], int] = {}
    for workspace_id, keys in wanted.items():
        people = Contact.objects.filter(workspace_id=workspace_id, email_key__in=keys)
        found |= {(workspace_id, key): pk for key, pk in people.values_list("email_key", "pk")}
    return [
        replace(one, contact_ids=[found.get((one.workspace_id, normalise(address).key)) for _, address in one.to])
        if single.MEASURED in one.facts
        else one
        for one in batch
    ]


@lru_cache(maxsize=16)
def trace_field(host: str, *, esmtp: bool, tls: bool, when: datetime) -> bytes:
    """The Received field of a submission; where it came from is nobody's business beyond us (GDPR art. 5(1)(c)).

    when: to the second; it is the same for all messages of one.
    """
    protocol = ("ESMTP" if esmtp else "SMTP") + ("S" if tls else "") + "A"  # RFC 3848
    return f"Received: by {host} with {protocol};\r\n {format_datetime(when)}\r\n".encode()


class Door:
    """Failed sign-ins by address: after `most` of them within `seconds` nobody from there is heard for as long."""

    def __init__(self, most: int = 10, seconds: float = 600.0) -> None:
        self._most, self._seconds = most, seconds
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def shut(self, peer: str) -> bool:
        count, since = self._failed.get(peer, (0, 0.0))
        return count >= self._most and time.monotonic() - since < self._seconds

    def failed(self, peer: str) -> int:
        """Count one more; how many there are now."""
        count, since = self._failed.pop(peer, (0, 0.0))
        if time.monotonic() - since >= self._seconds:
            count = 0
        self._failed[peer] = (count + 1, time.monotonic())
        if len(self._failed) > _MOST_PEERS:
            self._failed.popitem(last=False)
        return count + 1
