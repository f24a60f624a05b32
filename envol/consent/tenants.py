"""Whoever runs Envol for others tells every one of them: of a breach, or of a processor that will change.

A host is the processor of the workspaces it keeps (GDPR art. 28): it tells controllers of a breach without undue delay
(art. 33(2)) and of a planned change of processors beforehand, so that they can object (art. 28(2)). Owners and whoever
looks after data protection are written to, each in her language; each workspace's journal keeps what was told to whom.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import JournalEntry, Member, Role, Workspace
from envol.db_role import as_owner
from envol.events.writing import request_mail

log = logging.getLogger(__name__)

BREACH, PROCESSOR = KINDS = ("breach", "processor")
DAYS = 30
"""A change of processors is told so long before, unless the contract says otherwise."""
MARGIN = 3
"""Days: a planned change is told so much earlier still, so that nights on which nothing runs cost nobody her delay."""
TOLD, PLANNED, CANCELLED, OBJECTED = "host.told", "host.planned", "host.cancelled", "host.objected"


class Refused(ValueError):
    """It cannot be told so; the sentence says what to do."""


class Notice(NamedTuple):
    """What one workspace was told. ``on``: the day from which a change of processors holds."""

    workspace: Workspace
    at: datetime
    kind: str
    subject: str
    text: str
    on: date | None
    people: int
    no: int = 0
    objected: str = ""  # in the words of the workspace


class Planned(NamedTuple):
    """A change of processors that is told by itself on ``tell_on``; ``missed``: that day went by."""

    no: int
    subject: str
    text: str
    on: date
    days: int
    missed: bool

    @property
    def tell_on(self) -> date:
        return self.on - timedelta(days=self.days + MARGIN)


def tell(
    kind: str,
    subject: str,
    text: str,
    *,
    on: date | None = None,
    days: int = DAYS,
    among: Sequence[Workspace] | None = None,
    today: date | None = None,
) -> list[Notice]:
    """Tell all workspaces, or these; each all or nothing. A workspace without anybody to tell is answered with nobody,
    and written down too: the host must reach it otherwise. Raises Refused."""
    subject, text = " ".join(subject.split())[:200], text.strip()[:8000]
    if kind not in KINDS:
        raise Refused("The kind is breach or processor.")
    if not subject or not text:
        raise Refused("Say what happened or will change, in a subject and a text.")
    earliest = (today or timezone.localdate()) + timedelta(days=days)
    if kind == PROCESSOR and (on is None or on < earliest):
        raise Refused(f"A change of processors is told {days} days before: name a day from {earliest} on.")
    found = among if among is not None else list(Workspace.objects.order_by("pk"))
    return [_tell(one, kind, subject, text, on if kind == PROCESSOR else None) for one in found]


def _tell(workspace: Workspace, kind: str, subject: str, text: str, on: date | None) -> Notice:
    them = Member.objects.filter(Q(role=Role.OWNER) | Q(dpo=True), workspace=workspace, user__is_active=True)
    base = settings.ENVOL.base_url.rstrip("/")
    with transaction.atomic():
        told = []
        for one in them.select_related("user").order_by("pk"):
            with translation.override(one.user.language):
                facts = {"title": workspace.title, "day": on.isoformat() if on else ""}
                if kind == BREACH:
                    head = _(
                        "Whoever runs Envol for %(title)s tells you of a breach of personal data. Your own clock of 72"
                        " hours runs from when you read this."
                    )
                    path = "/consent/breaches"
                else:
                    head = _(
                        "Whoever runs Envol for %(title)s will change who processes your data, from %(day)s on. You can"
                        " object before that day, by an answer to them."
                    )
                    path = "/consent/processors"
            request_mail(
                "notice", one.user.email, {"subject": subject, "text": f"{head % facts}\n\n{text}\n\n{base}{path}\n"},
                workspace_id=workspace.pk, language=one.user.language,
            )  # fmt: skip
            told.append(one.pk)
        made = note(
            workspace, "command", TOLD, kind=kind, subject=subject, text=text, on=on.isoformat() if on else "",
            members=told,
        )  # fmt: skip
    return _read(workspace, made)


def _read(workspace: Workspace, entry: JournalEntry) -> Notice:
    said = entry.facts
    on = date.fromisoformat(said["on"]) if said.get("on") else None
    objections = JournalEntry.objects.filter(workspace=workspace, action=OBJECTED, object_id=entry.pk).order_by("-pk")
    objected = next((one.facts["said"] for one in objections), "")
    people = len(said["members"])
    return Notice(workspace, entry.at, said["kind"], said["subject"], said["text"], on, people, entry.pk, objected)


def told(workspace: Workspace | None = None) -> list[Notice]:
    """What was told to this workspace, or to all, the newest first."""
    mine = JournalEntry.objects.filter(action=TOLD).select_related("workspace").order_by("-pk")
    if workspace is not None:
        mine = mine.filter(workspace=workspace)
    else:
        mine = mine.exclude(workspace=None)
    with as_owner():  # the host hears of all
        return [_read(one.workspace, one) for one in mine[:500] if one.workspace is not None]


# -- planned beforehand --------------------------------------------------------------------------


def earliest(days: int, today: date | None = None) -> date:
    """The first day from which a change can hold that is planned today and told so many days before."""
    return (today or timezone.localdate()) + timedelta(days=days + MARGIN)


def plan(
    subject: str,
    text: str,
    on: date,
    *,
    days: int = DAYS,
    today: date | None = None,
    member_id: int | None = None,
) -> Planned:
    """Write down a change of processors that holds from ``on``; `tell_due` tells it in time. Raises Refused."""
    subject, text = " ".join(subject.split())[:200], text.strip()[:8000]
    if not subject or not text:
        raise Refused(_("Say what will change, in a subject and a text."))
    if on < (first := earliest(days, today)):
        facts = {"days": days, "more": MARGIN, "day": first.isoformat()}
        raise Refused(
            _("It is told %(days)s days before, and %(more)s more to be sure: name a day from %(day)s on.") % facts
        )
    with as_owner():  # it belongs to no workspace
        made = note(
            None, "member" if member_id else "command", PLANNED, actor_id=member_id, subject=subject, text=text,
            on=on.isoformat(), days=days,
        )  # fmt: skip
    return _plan(made, today)


def _plan(entry: JournalEntry, today: date | None = None) -> Planned:
    said = entry.facts
    on = date.fromisoformat(said["on"])
    missed = on - timedelta(days=said["days"]) < (today or timezone.localdate())
    return Planned(entry.pk, said["subject"], said["text"], on, said["days"], missed)


def planned(today: date | None = None) -> list[Planned]:
    """What waits to be told, the next first."""
    of_host = JournalEntry.objects.filter(workspace=None)
    with as_owner():
        over = of_host.filter(action__in=[TOLD, CANCELLED]).values_list("object_id", flat=True)
        waits = list(of_host.filter(action=PLANNED).exclude(pk__in=[no for no in over if no]).order_by("pk"))
    return sorted((_plan(one, today) for one in waits), key=lambda one: one.tell_on)


def cancel(no: int, *, member_id: int | None = None) -> Planned:
    """It will not be told. Raises Refused."""
    found = next((one for one in planned() if one.no == no), None)
    if found is None:
        raise Refused(_("No change of this number waits to be told."))
    with as_owner():
        note(None, "member" if member_id else "command", CANCELLED, JournalEntry(pk=no), actor_id=member_id)
    return found


def tell_due(today: date | None = None) -> int:
    """Tell what is due; how many workspaces heard of something. What was missed is not told late: it is told again
    with a day that leaves people their delay, once the host names one."""
    heard = 0
    for one in planned(today):
        if one.missed:
            log.error(
                "a change of processors was not told in time: plan it anew with a later day", extra={"no": one.no}
            )
        elif one.tell_on <= (today or timezone.localdate()):
            with transaction.atomic():
                found = tell(PROCESSOR, one.subject, one.text, on=one.on, days=one.days, today=today)
                note(None, "job", TOLD, JournalEntry(pk=one.no), workspaces=len(found))
            heard += len(found)
    return heard


def object_to(workspace: Workspace, no: int, said: str, member_id: int) -> None:
    """The controller objects before the day (art. 28(2)): kept in its journal, shown to the host. Raises Refused."""
    said = " ".join(said.split())[:1000]
    found = next((one for one in told(workspace) if one.no == no), None)
    if found is None or found.on is None:
        raise Refused(_("There is nothing of this kind to object to."))
    if found.on <= timezone.localdate():
        raise Refused(_("The day is past: write to whoever runs Envol."))
    if found.objected:
        raise Refused(_("You objected to it already."))
    if not said:
        raise Refused(_("Say why: the host reads it."))
    note(workspace, "member", OBJECTED, JournalEntry(pk=no), actor_id=member_id, said=said)
