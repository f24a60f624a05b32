"""What outgoing control holds back: kept in the queue, looked at by a person, let go or refused.

A held message has a sending of its own in the state ``held`` (see :class:`~envol.outbound.models.Held`). Deciding is
one transaction with its line in the journal, made once: whoever comes second is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envol import db
from envol.accounts import undo
from envol.accounts.journal import note
from envol.accounts.models import JournalEntry, Member, Role, Undo, Workspace
from envol.events.writing import request_mail
from envol.outbound.models import Held, Message, Sending, SendingState
from envol.outbound.states import cancel, finished
from envol.wire.fraud import Verdict

KEPT = timedelta(days=7)
"""Undecided for so long, it is cancelled: nobody waits for it any more."""


UNDO = "held.released"
PAGE = "/mail/held"  # where people decide


class Decided(ValueError):
    """Somebody, or time, was faster; the sentence says what was decided."""


def hold(
    sending_id: int, workspace_id: int, verdict: Verdict, *, message_id: int | None = None, key_id: int | None = None
) -> None:
    """Write down why this sending waits, in the transaction that makes it."""
    Held.objects.create(
        sending_id=sending_id,
        workspace_id=workspace_id,
        message_id=message_id,
        key_id=key_id,
        points=verdict.points,
        reasons=[[reason.rule, reason.points, reason.what] for reason in verdict.reasons],
        until=db.value("SELECT now() + %s", [KEPT]),
    )


def waiting(workspace: Workspace | None = None) -> QuerySet[Held]:
    """What waits for a decision, newest first; of all workspaces for the operator."""
    rows = Held.objects.filter(decided_at=None, sending__state=SendingState.HELD).order_by("-at", "-sending_id")
    return rows.filter(workspace=workspace) if workspace else rows


def decided(workspace: Workspace) -> QuerySet[Held]:
    """What was decided, latest first."""
    return Held.objects.filter(workspace=workspace, decided_at__isnull=False).order_by("-decided_at", "-sending_id")


@dataclass(frozen=True, slots=True)
class Looked:
    """What a person sees of it: who writes, to how many, about what."""

    held: Held
    sender: str
    subject: str
    to: list[str]
    people: int


def look(rows: list[Held]) -> list[Looked]:
    """The same rows with what they are about, in two questions."""
    messages = Message.objects.in_bulk([row.message_id for row in rows if row.message_id])
    sendings = Sending.objects.in_bulk([row.pk for row in rows])
    counts = dict(
        db.rows(
            "SELECT sending_id, count(*) FROM outbound_send WHERE sending_id = ANY (%s) GROUP BY 1",
            [[row.pk for row in rows]],
        )
    )
    found = []
    for row in rows:
        message, sending = messages.get(row.message_id or 0), sendings[row.pk]
        header = message.header if message else {}
        name, address = header.get("from") or (sending.sender.get("name", ""), sending.sender.get("address", ""))
        found.append(
            Looked(
                row,
                f"{name} <{address}>" if name else address,
                str(header.get("subject") or sending.sender.get("campaign_name", "")),
                [box[1] for box in header.get("to", [])],
                counts.get(row.pk, 0),
            )
        )
    return found


# ---- deciding


def release(row: Held, member: Member | None = None, *, wait: int = 0) -> Undo | None:
    """Let it go, in `wait` seconds: until then a member's act can be taken back. Raises :class:`Decided`."""
    offered = None
    with _decide(row, "released", member) as sending:
        campaign = sending.campaign_id is not None
        Sending.objects.filter(id=sending.pk).update(
            state=SendingState.SCHEDULED if campaign else SendingState.SENDING,
            not_before=db.value(
                "SELECT greatest(%s, now() + make_interval(secs => %s))",
                [sending.not_before if campaign else None, wait],
            ),
            **({} if campaign else {"started_at": Now()}),
        )
        entry = _note(row, "held.released", member)
        if wait and member:
            offered = undo.offer(entry, UNDO, {"sending": row.pk}, keep=timedelta(seconds=wait))
    return offered


def take_back(row: Held) -> None:
    """Hold it again: nothing of it has left. Raises :class:`Decided` when something has, or might have."""
    with transaction.atomic():
        row = Held.objects.select_for_update().get(pk=row.pk)
        moving = Sending.objects.select_for_update().filter(
            id=row.pk, state__in=[SendingState.SENDING, SendingState.SCHEDULED], not_before__gt=Now()
        )
        if row.decision != "released" or not moving.exists():
            raise Decided(_("It is on its way already and cannot be taken back."))
        Sending.objects.filter(id=row.pk).update(state=SendingState.HELD, started_at=None)
        Held.objects.filter(pk=row.pk).update(decision="", decided_at=None, decided_by=None)


def _undo_release(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    row = Held.objects.filter(workspace=workspace, pk=facts["sending"]).first()
    if row is None:
        raise undo.CannotUndo(_("It does not wait any more."))
    try:
        take_back(row)
    except Decided as error:
        raise undo.CannotUndo(str(error)) from None
    return _("It is held again.")


undo.register(UNDO, _undo_release)


def refuse(row: Held, member: Member | None = None) -> None:
    """Nothing of it leaves, for good. Raises :class:`Decided`."""
    with _decide(row, "refused", member) as sending:
        _end(sending, "held_refused")
        _note(row, "held.refused", member)


def _end(sending: Sending, cause: str) -> None:
    Sending.objects.filter(id=sending.pk).update(state=SendingState.STOPPED, ended_at=Now())
    cancel(sending.pk, cause)


@contextmanager
def _decide(row: Held, decision: str, member: Member | None) -> Iterator[Sending]:
    """The transaction of a decision: the row locked, still undecided, and marked."""
    with transaction.atomic():
        row = Held.objects.select_for_update().get(pk=row.pk)
        sending = Sending.objects.select_for_update().get(id=row.pk)
        if row.decided_at is not None or sending.state != SendingState.HELD:
            raise Decided(said_of(row))
        Held.objects.filter(pk=row.pk).update(
            decision=decision, decided_at=Now(), decided_by=member.pk if member else None
        )
        yield sending


def said_of(row: Held) -> str:
    """What was decided, as a sentence."""
    return {
        "released": _("It was let go already."),
        "refused": _("It was refused already."),
        "expired": _("Nobody decided in time, so it was cancelled."),
    }.get(row.decision, _("It does not wait any more."))


def _note(row: Held, action: str, member: Member | None) -> JournalEntry:
    actor = "member" if member else "command"
    sending = Sending(id=row.pk)
    return note(
        row.workspace_id, actor, action, sending, actor_id=member.pk if member else None, message=row.message_id
    )


def ended_campaigns() -> list[Sending]:
    """Sendings of campaigns that were refused, or cancelled undecided, within the last hour."""
    ended = Held.objects.filter(decision__in=["refused", "expired"], decided_at__gt=Now() - timedelta(hours=1))
    return [row.sending for row in ended.filter(sending__campaign_id__isnull=False).select_related("sending")]


# ---- telling

TOLD_EVERY = timedelta(hours=1)


def tell() -> int:
    """Write to the owners of workspaces where something waits that they were not told of, at most once an hour each;
    how many mails. Without a word of what is held: it may be the mail of somebody who has a key of theirs."""
    news = (
        Held.objects.filter(decided_at=None, told_at=None, sending__state=SendingState.HELD)
        .values_list("workspace_id", flat=True)
        .distinct()
    )
    told = 0
    for workspace_id in list(news[:200]):
        with transaction.atomic():
            workspace = Workspace.objects.select_for_update().get(pk=workspace_id)
            lately = Held.objects.filter(workspace=workspace, told_at__gt=Now() - TOLD_EVERY)
            if lately.exists():
                continue
            told += _tell(workspace)
            waiting(workspace).filter(told_at=None).update(told_at=Now())
    return told


def _tell(workspace: Workspace) -> int:
    count = waiting(workspace).count()
    owners = Member.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True).select_related("user")
    link = f"{settings.ENVOL.base_url}{PAGE}"
    for member in owners:
        with translation.override(member.user.language):
            subject = ngettext("%(n)s sending waits for your look", "%(n)s sendings wait for your look", count) % {
                "n": count
            }
            text = _(
                "What was handed in to %(workspace)s looks like fraud, so it was held back and nothing of it"
                " has left.\n\n"
                "Look at it, and let it go or refuse it:\n%(link)s\n\n"
                "What nobody decides on within %(days)s days is cancelled.\n"
            ) % {"workspace": workspace.title, "link": link, "days": KEPT.days}
        request_mail(
            "held",
            member.user.email,
            {"subject": subject, "text": text},
            workspace_id=workspace.pk,
            language=member.user.language,
        )
    return len(owners)


# ---- by the clock


def look_after() -> int:
    """Tell owners of what waits, cancel what nobody decided on in time, end what was let go and has left; how many
    sendings. Called by the sweep."""
    tell()
    touched = 0
    for row in list(waiting().filter(until__lte=Now())[:1000]):
        try:
            with _decide(row, "expired", None) as sending:
                _end(sending, "held_expired")
                note(row.workspace_id, "job", "held.expired", sending, message=row.message_id)
            touched += 1
        except Decided:
            continue
    on_their_way = Held.objects.filter(
        decision="released",
        message_id__isnull=False,
        sending__state=SendingState.SENDING,
        sending__not_before__lte=Now(),
    )
    for sending_id in list(on_their_way.values_list("pk", flat=True)[:1000]):
        if finished(sending_id):
            touched += Sending.objects.filter(id=sending_id, state=SendingState.SENDING).update(
                state=SendingState.SENT, ended_at=Now()
            )
    return touched
