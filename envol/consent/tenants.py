"""Whoever runs Envol for others tells every one of them: of a breach, or of a processor that will change.

A host is the processor of the workspaces it keeps (GDPR art. 28): it tells controllers of a breach without undue delay
(art. 33(2)) and of a planned change of processors beforehand, so that they can object (art. 28(2)). Owners and whoever
looks after data protection are written to, each in her language; each workspace's journal keeps what was told to whom.
"""

from __future__ import annotations

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
from envol.events.writing import request_mail

BREACH, PROCESSOR = KINDS = ("breach", "processor")
DAYS = 30
"""A change of processors is told so long before, unless the contract says otherwise."""
TOLD = "host.told"


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
    return Notice(workspace, entry.at, said["kind"], said["subject"], said["text"], on, len(said["members"]))


def told(workspace: Workspace | None = None) -> list[Notice]:
    """What was told to this workspace, or to all, the newest first."""
    mine = JournalEntry.objects.filter(action=TOLD).select_related("workspace").order_by("-pk")
    if workspace is not None:
        mine = mine.filter(workspace=workspace)
    return [_read(one.workspace, one) for one in mine[:500] if one.workspace is not None]
