"""Calls of the send API, a batch at a time: whose key it is, what may leave, one transaction, then the answers."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from envol import db_role, disk
from envol.accounts import api_keys
from envol.accounts.api_keys import Barred
from envol.accounts.models import ApiKey, Scope
from envol.api import calls as log_of_calls
from envol.api import declared, filling, once, send_v3, send_v31, sign_ins
from envol.api.send_v31 import Letter, Problem, Refused
from envol.api.uuids import message_uuid
from envol.contacts import strangers
from envol.outbound import accept, control, rolls, rspamd, single
from envol.outbound.domains import may_send_from
from envol.wire.address import domain_of, normalise
from envol.wire.fraud import REFUSE, Reason, Verdict
from envol.wire.message import headers
from envol.wire.message.compose import compose
from envol.wire.message.headers import Mailbox
from envol.wire.message.parts import Attachment

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """authorization: the header as it came. body: the whole call. older: is it the call of version 3?"""

    authorization: str
    body: bytes
    older: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


@dataclass(slots=True)
class _Call:
    """A call on its way; `outgoing` has the messages of each letter that may leave, by its place: one for all of its
    recipients, or one for each in their order. late: an unvalidated sender or a template in error is told by the
    message's fate, not here."""

    call: send_v31.Call
    key: ApiKey
    entries: list[dict[str, Any] | None]
    older: bool = False
    late: bool = False
    outgoing: dict[int, list[accept.Outgoing]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def fail(self, place: int, *problems: Problem) -> None:
        self.entries[place] = send_v31.failure(problems)
        self.problems += problems


def serve(batch: Sequence[Request]) -> list[Answer]:
    """The answers, once everything that they promise is on disk."""
    db_role.stay_owner()
    began = time.monotonic()
    keys: dict[str, ApiKey | Refused] = {}
    calls: list[_Call | Answer] = []
    for request in batch:
        try:
            key = keys.get(request.authorization) or _key(request.authorization)
            keys[request.authorization] = key
            if isinstance(key, Refused):
                raise key
            call = send_v3.read(request.body) if request.older else send_v31.read(request.body)
            late = key.workspace.late_refusal and not call.at_once
            one = _prepared(_Call(call, key, [None] * len(call.letters), request.older, late))
            if one.older and one.problems:
                raise send_v3.told(one.problems)
            calls.append(one)
        except Refused as refusal:
            calls.append(_told(refusal.status, refusal.body))
    waiting = [one for one in calls if isinstance(one, _Call)]
    _ask_elsewhere(waiting)
    try:
        _keep(waiting)
    except disk.Full as full:
        said = _told(503, send_v31.refused(503, str(full)).body)
        answers = [one if isinstance(one, Answer) else said for one in calls]
    else:
        answers = [one if isinstance(one, Answer) else _answer(one) for one in calls]
    for request, made in zip(batch, answers, strict=True):
        whose = keys.get(request.authorization)
        if isinstance(whose, ApiKey):
            log_of_calls.note(whose, "POST", "/v3/send" if request.older else "/v3.1/send", made.status, began)
    return answers


def accept_letters(
    key: ApiKey, letters: Sequence[Letter], *, facts: Mapping[str, Any] = MappingProxyType({}), trace: bytes = b""
) -> list[dict[str, Any]]:
    """The entries of letters that another door read, in their order, once what they promise is on disk.

    facts: more of what is kept with each message; trace: a header field that stands before it. Raises `disk.Full`.
    """
    one = _prepared(_Call(send_v31.Call(list(letters)), key, [None] * len(letters)))
    if facts or trace:
        for place, some in one.outgoing.items():
            one.outgoing[place] = [
                replace(each, raw=trace + (each.raw or b""), facts={**each.facts, **facts}) for each in some
            ]
    _ask_elsewhere([one])
    _keep([one])
    return [entry or {} for entry in one.entries]


def _key(authorization: str) -> ApiKey | Refused:
    row = sign_ins.key_of(authorization)
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
        made = _messages(one, letter)
        if isinstance(made, Problem):
            one.fail(place, made)
        else:
            one.outgoing[place] = made
    return one


def _messages(call: _Call, letter: Letter) -> list[accept.Outgoing] | Problem:
    key = call.key
    full = filling.with_template(key, letter)
    if isinstance(full, Problem):
        return full
    assert full.sender is not None  # the letter's own, or its template's
    address = full.sender.address
    allowed = api_keys.may_write_as(key.senders, address)
    validated = allowed and may_send_from(key.workspace_id, address)[0]
    if not allowed or not (validated or call.late):
        message = f'"{address}" is not an authorized sender email address for your account.'
        return Problem("send-0008", 403, message, ("From",))
    most = key.most_recipients
    if most is not None and len(full.people) > most:
        return Problem("send-0015", 400, f"This key may name {most} recipients at a time.", ("To", "CC", "Bcc"))
    found: list[accept.Outgoing] = []
    refused = "" if validated else accept.NOT_VALIDATED
    try:
        try:
            filled = list(filling.letters(key, full, meet=validated and not call.call.sandbox))
        except filling.Failed as failed:
            if full.report_to is not None and validated and not call.call.sandbox:
                _report(key, full, failed)
            if not (full.deliver or call.late):
                return failed.problem
            filled = [(full.people, full)]  # as it was written
            if not full.deliver:
                refused = refused or accept.TEMPLATE_ERROR
        for people, one in filled:
            made = _outgoing(key, one, people)
            verdict = control.examine(made)
            if verdict.action == REFUSE:
                return _refusal(verdict)
            found.append(replace(made, verdict=verdict, refused=refused))
    except ValueError as error:
        # What was wrong as it was written is named already: this is of what values made of it.
        said = str(error)
        return Problem("mj-0005", 400, said, ("Subject",) if said.startswith("Subject") else ("TextPart", "HTMLPart"))
    return found


def _refusal(verdict: Verdict) -> Problem:
    return Problem("mj-0005", 403, control.refusal(verdict), ("HTMLPart", "TextPart"))


def _ask_elsewhere(calls: Sequence[_Call]) -> None:
    """What Rspamd says of what is to leave, where there is one: of each letter once, as its first recipients get it."""
    if not settings.ENVOL.rspamd:
        return
    places = [(one, place) for one in calls if not one.call.sandbox for place in sorted(one.outgoing)]
    questions = []
    for one, place in places:
        first = one.outgoing[place][0]
        recipients = [address for made in one.outgoing[place] for _, address in made.to]
        assert first.verdict is not None and first.raw is not None
        questions.append(rspamd.Question(first.verdict, first.raw, first.sender[1], recipients, f"key-{one.key.pk}"))
    for (one, place), question, verdict in zip(
        places, questions, rspamd.asked_about_all(settings.ENVOL.rspamd, questions), strict=True
    ):
        if verdict.action == REFUSE:
            del one.outgoing[place]
            one.fail(place, _refusal(verdict))
        elif verdict is not question.verdict:
            added = [reason for reason in verdict.reasons if reason not in question.verdict.reasons]
            one.outgoing[place] = [_with_reasons(made, added) for made in one.outgoing[place]]


def _with_reasons(made: accept.Outgoing, added: Sequence[Reason]) -> accept.Outgoing:
    assert made.verdict is not None
    return replace(made, verdict=made.verdict.and_also(added))


def _report(key: ApiKey, letter: Letter, failed: filling.Failed) -> None:
    """Tell whom the program names what is wrong with its template, with the source as it came."""
    assert letter.sender is not None and letter.report_to is not None
    about = f'Error while evaluating Mailjet Templating language for message "{letter.subject}"'[:255]
    source = getattr(letter, failed.part) or ""
    told = Letter(
        letter.sender,
        [letter.report_to],
        subject=" ".join(about.split()),
        text=f"{failed.problem.message}\n",
        attachments=[Attachment(f"{failed.part}.txt", source.encode("utf-8", "replace"), "text/plain")],
    )
    accept.accept_messages([_outgoing(key, told, told.to)])


def _outgoing(key: ApiKey, letter: Letter, people: Sequence[Mailbox]) -> accept.Outgoing:
    """The letter as the bytes that leave to these of its recipients; blind copies stand in the envelope alone."""
    assert letter.sender is not None
    message_id = letter.message_id or f"{uuid.uuid4()}@{domain_of(letter.sender.address)}"
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
    facts: dict[str, Any] = {"by": "api", "key": key.pk, "message_id": f"<{message_id}>"}
    if files := sum(one.content_id is None for one in letter.attachments):
        facts["attachments"] = files
    if letter.payload:
        facts["event_payload"] = letter.payload
    if letter.campaign:
        facts["campaign"] = letter.campaign
    raw = made.to_bytes()
    if letter.html:
        opens, clicks = single.wanted(key.workspace, letter.opens, letter.clicks)
        facts |= single.facts(raw, opens=opens, clicks=clicks, base_url=settings.ENVOL.base_url)
    return accept.Outgoing(
        workspace_id=key.workspace_id,
        sender=(letter.sender.name, letter.sender.address),
        to=[(one.name, one.address) for one in people],
        subject=letter.subject,
        raw=raw,
        custom_id=letter.custom_id,
        facts=facts,
        urgency=letter.priority,
    )


def _keep(calls: Sequence[_Call]) -> None:
    """Accept what may leave, all of it in one transaction, and write the entries of the answers."""
    wanted = [(one, place) for one in calls for place in sorted(one.outgoing) if not one.call.sandbox]
    for one in calls:
        if one.call.sandbox:
            for place, made in one.outgoing.items():
                one.entries[place] = _success(one, place, [(email, 0, "") for each in made for _, email in each.to])
    if not wanted:
        return
    disk.refuse_when_full()
    with transaction.atomic(durable=not connection.in_atomic_block):
        copies = [sum(len(each.to) for each in one.outgoing[place]) for one, place in wanted]
        barred = api_keys.use([(one.key.pk, n) for (one, _), n in zip(wanted, copies, strict=True)])
        going = [(one, place) for (one, place), why in zip(wanted, barred, strict=True) if why is None]
        for (one, place), why in zip(wanted, barred, strict=True):
            if isinstance(why, Barred):
                one.fail(place, Problem("mj-0015", 403 if why.lasting else 429, why.sentence))
        going = [
            (one, place) for one, place in going if not (one.older and one.problems)
        ]  # all of an older call, or none
        known = _people([(one.key, each) for one, place in going for each in one.outgoing[place]])
        left = [_left(one, place, known) for one, place in going]
        messages = [each for some in left for each in some]
        kept = accept.accept_messages(messages)
    numbers: dict[tuple[int, str], int] = {}
    for message, copy in zip(messages, kept, strict=True):
        for (_, email), (_, number) in zip(message.to, copy.recipients, strict=True):
            numbers[id(message), email] = number
    for (one, place), some in zip(going, left, strict=True):
        given = {email: (numbers[id(each), email], each.workspace_id) for each in some for _, email in each.to}
        told = []
        for each in one.outgoing[place]:
            for _, email in each.to:
                number, workspace_id = given[email]
                told.append((email, number, message_uuid(workspace_id, number)))
        one.entries[place] = _success(one, place, told)
    _count(wanted)


def _count(places: Sequence[tuple[_Call, int]]) -> None:
    """For the report on traffic: what each program handed in, and who is said to write."""
    for one, place in places:
        entry, key, made = one.entries[place], one.key, one.outgoing[place]
        if entry is None:
            continue  # of an older call, which fails as a whole
        octets = sum(len(each.raw or b"") for each in made)
        taken = entry["Status"] == "success"
        rolls.count("key", str(key.pk), "accepted" if taken else "barred", workspace=key.workspace_id, octets=octets)
        if taken:
            n = sum(len(each.to) for each in made)
            sender = made[0].sender[1]
            rolls.count("sender", sender, "accepted", workspace=key.workspace_id, n=n, octets=octets)
    rolls.flush_if_due()


def _left(one: _Call, place: int, known: Mapping[tuple[int, str], int]) -> list[accept.Outgoing]:
    """The messages of a letter with the numbers of their contacts; to those who had something of its campaign none
    leaves."""
    letter, found = one.call.letters[place], one.outgoing[place]
    assert isinstance(letter, Letter)
    numbers = {email: known.get((each.workspace_id, normalise(email).key)) for each in found for _, email in each.to}
    again: set[str] = set()
    if letter.once and not found[0].refused:  # what never leaves takes nobody's turn
        new = once.first_time(one.key.workspace_id, letter.campaign, [n for n in numbers.values() if n is not None])
        again = {email for email, number in numbers.items() if number is not None and number not in new}
    made = []
    for each in found:
        first = [pair for pair in each.to if pair[1] not in again]
        for to, why in ((first, each.refused), ([p for p in each.to if p[1] in again], accept.DUPLICATE)):
            if to:
                made.append(replace(each, to=to, contact_ids=[numbers[email] for _, email in to], refused=why))
    return made


def _people(messages: Sequence[tuple[ApiKey, accept.Outgoing]]) -> dict[tuple[int, str], int]:
    """The contacts these go to, by workspace and address: their suppression and their timeline know of it.

    Whoever is none becomes one, with no permission to anything; only whoever was erased does not come back.
    """
    by_workspace: dict[int, dict[str, str]] = {}
    givers: dict[int, dict[str, strangers.Giver]] = {}
    programs = {key.pk: declared.Giver(key) for key, _ in messages}
    for key, message in messages:
        to = {normalise(email).key: email for _, email in message.to}
        by_workspace.setdefault(message.workspace_id, {}).update(to)
        givers.setdefault(message.workspace_id, {}).update(dict.fromkeys(to, programs[key.pk]))
    return {
        (workspace_id, address): pk
        for workspace_id, wanted in by_workspace.items()
        for address, pk in strangers.meet(workspace_id, wanted, givers[workspace_id]).items()
    }


def _success(one: _Call, place: int, told: send_v31.Told) -> dict[str, object]:
    letter = one.call.letters[place]
    assert isinstance(letter, Letter)
    return send_v31.success(letter, told, settings.ENVOL.base_url)


def _answer(one: _Call) -> Answer:
    if one.older:  # all or nothing
        if one.problems:
            refusal = send_v3.told(one.problems)
            return _told(refusal.status, refusal.body)
        return _told(200, send_v3.answered([entry for entry in one.entries if entry is not None]))
    body: dict[str, object] = {"Messages": one.entries}
    status = send_v31.status_of(one.problems)
    if one.problems and any(entry and entry["Status"] == "success" for entry in one.entries):
        status = 400  # some were sent: not an answer about the call
    elif one.problems:  # nothing was: clients show what stands at the root
        body |= one.problems[0].told()
    return _told(status, body)


def _told(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
