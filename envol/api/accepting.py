"""Calls of the send API, a batch at a time: whose key it is, what may leave, one transaction, then the answers."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from envol import disk
from envol.accounts import api_keys
from envol.accounts.api_keys import Barred
from envol.accounts.models import ApiKey, Scope
from envol.accounts.workspaces import check_api_key
from envol.api import send_v31
from envol.api.send_v31 import Letter, Problem, Refused
from envol.contacts.models import Contact
from envol.outbound import accept, control
from envol.outbound.domains import may_send_from
from envol.wire.address import domain_of, normalise
from envol.wire.fraud import REFUSE
from envol.wire.message import headers
from envol.wire.message.compose import compose

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """authorization: the header as it came. body: the whole call."""

    authorization: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


@dataclass(slots=True)
class _Call:
    """A call on its way; `outgoing` has an entry for each letter that may leave, by its place."""

    call: send_v31.Call
    key: ApiKey
    entries: list[dict[str, object] | None]
    outgoing: dict[int, accept.Outgoing] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def fail(self, place: int, *problems: Problem) -> None:
        self.entries[place] = send_v31.failure(problems)
        self.problems += problems


def serve(batch: Sequence[Request]) -> list[Answer]:
    """The answers, once everything that they promise is on disk."""
    keys: dict[str, ApiKey | Refused] = {}
    calls: list[_Call | Answer] = []
    for request in batch:
        try:
            key = keys.get(request.authorization) or _key(request.authorization)
            keys[request.authorization] = key
            if isinstance(key, Refused):
                raise key
            call = send_v31.read(request.body)
            calls.append(_prepared(_Call(call, key, [None] * len(call.letters))))
        except Refused as refusal:
            calls.append(_told(refusal.status, refusal.body))
    waiting = [one for one in calls if isinstance(one, _Call)]
    try:
        _keep(waiting)
    except disk.Full as full:
        return [one if isinstance(one, Answer) else _told(503, send_v31.refused(503, str(full)).body) for one in calls]
    return [one if isinstance(one, Answer) else _answer(one) for one in calls]


def _key(authorization: str) -> ApiKey | Refused:
    scheme, _, value = authorization.partition(" ")
    try:
        public, _, secret = base64.b64decode(value.strip(), validate=True).decode("ascii").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        public = secret = ""
    row = check_api_key(public, secret) if scheme.lower() == "basic" else None
    if row is None:
        return send_v31.refused(401, send_v31.AUTH, "mj-0015")
    if row.paused_at is not None:
        return send_v31.refused(401, send_v31.SUSPENDED, "mj-0001")
    if said := api_keys.closed(row) or api_keys.lacks(row, Scope.SMTP):
        return send_v31.refused(403, said, "mj-0015")
    return row


def _prepared(one: _Call) -> _Call:
    """Say of each letter whether it may leave, and make what would."""
    for place, letter in enumerate(one.call.letters):
        if not isinstance(letter, Letter):
            one.fail(place, *letter)
            continue
        address = letter.sender.address
        allowed = api_keys.may_write_as(one.key.senders, address) and may_send_from(one.key.workspace_id, address)[0]
        if not allowed:
            message = f'"{address}" is not an authorized sender email address for your account.'
            one.fail(place, Problem("send-0008", 403, message, ("From",)))
            continue
        most = one.key.most_recipients
        people = [*letter.to, *letter.cc, *letter.bcc]
        if most is not None and len(people) > most:
            message = f"This key may name {most} recipients at a time."
            one.fail(place, Problem("send-0015", 400, message, ("To", "CC", "Bcc")))
            continue
        try:
            made = _outgoing(one.key, letter)
        except ValueError as error:
            one.fail(place, Problem("mj-0005", 400, str(error)))
            continue
        verdict = control.examine(made)
        if verdict.action == REFUSE:
            one.fail(place, Problem("mj-0005", 403, control.refusal(verdict), ("HTMLPart", "TextPart")))
            continue
        one.outgoing[place] = replace(made, verdict=verdict)
    return one


def _outgoing(key: ApiKey, letter: Letter) -> accept.Outgoing:
    """The letter as the bytes that leave; blind copies stand in the envelope alone."""
    message_id = f"{uuid.uuid4()}@{domain_of(letter.sender.address)}"
    made = compose(
        sender=letter.sender,
        to=letter.to,
        cc=letter.cc,
        reply_to=letter.reply_to,
        subject=letter.subject,
        text=letter.text,
        html=letter.html,
        message_id=message_id,
        date=timezone.now(),
        extra=letter.extra,
        attachments=letter.attachments,
    )
    made.headers.extend(headers.field_line(name, value) for name, value in letter.given)
    facts = {"by": "api", "key": key.pk, "message_id": f"<{message_id}>"}
    if letter.payload:
        facts["event_payload"] = letter.payload
    if letter.campaign:
        facts["campaign"] = letter.campaign
    return accept.Outgoing(
        workspace_id=key.workspace_id,
        sender=(letter.sender.name, letter.sender.address),
        to=[(one.name, one.address) for one in (*letter.to, *letter.cc, *letter.bcc)],
        subject=letter.subject,
        raw=made.to_bytes(),
        custom_id=letter.custom_id,
        facts=facts,
    )


def _keep(calls: Sequence[_Call]) -> None:
    """Accept what may leave, all of it in one transaction, and write the entries of the answers."""
    wanted = [(one, place) for one in calls for place in sorted(one.outgoing) if not one.call.sandbox]
    for one in calls:
        if one.call.sandbox:
            for place, made in one.outgoing.items():
                one.entries[place] = _success(one, place, [(email, 0, "") for _, email in made.to])
    if not wanted:
        return
    disk.refuse_when_full()
    with transaction.atomic(durable=not connection.in_atomic_block):
        barred = api_keys.use([(one.key.pk, len(one.outgoing[place].to)) for one, place in wanted])
        going = [(one, place) for (one, place), why in zip(wanted, barred, strict=True) if why is None]
        for (one, place), why in zip(wanted, barred, strict=True):
            if isinstance(why, Barred):
                one.fail(place, Problem("mj-0015", 403 if why.lasting else 429, why.sentence))
        messages = _known_people([one.outgoing[place] for one, place in going])
        accepted = accept.accept_messages(messages)
    for (one, place), message, kept in zip(going, messages, accepted, strict=True):
        told = [
            (email, number, _uuid(message.workspace_id, number))
            for (_, email), (_, number) in zip(message.to, kept.recipients, strict=True)
        ]
        one.entries[place] = _success(one, place, told)


def _known_people(messages: list[accept.Outgoing]) -> list[accept.Outgoing]:
    """With the numbers of those recipients who are contacts: their suppression and their timeline know of it."""
    by_workspace: dict[int, set[str]] = {}
    for message in messages:
        by_workspace.setdefault(message.workspace_id, set()).update(normalise(email).key for _, email in message.to)
    known = {
        (workspace_id, key): pk
        for workspace_id, wanted in by_workspace.items()
        for key, pk in Contact.objects.filter(workspace_id=workspace_id, email_key__in=wanted).values_list(
            "email_key", "pk"
        )
    }
    return [
        replace(one, contact_ids=[known.get((one.workspace_id, normalise(email).key)) for _, email in one.to])
        for one in messages
    ]


def _success(one: _Call, place: int, told: send_v31.Told) -> dict[str, object]:
    letter = one.call.letters[place]
    assert isinstance(letter, Letter)
    return send_v31.success(letter, told, settings.ENVOL.base_url)


def _uuid(workspace_id: int, number: int) -> str:
    """The same for the same copy, always, and telling nothing of how many there are."""
    digest = blake2b(f"{workspace_id}/{number}".encode(), key=settings.SECRET_KEY.encode()[:64], digest_size=16)
    return str(uuid.UUID(bytes=digest.digest(), version=4))


def _answer(one: _Call) -> Answer:
    body: dict[str, object] = {"Messages": one.entries}
    status = send_v31.status_of(one.problems)
    if one.problems and any(entry and entry["Status"] == "success" for entry in one.entries):
        status = 400  # some were sent: not an answer about the call
    elif one.problems:  # nothing was: clients show what stands at the root
        body |= one.problems[0].told()
    return _told(status, body)


def _told(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
