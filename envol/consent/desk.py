"""Keeping what the organisation says of itself, and its register of processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent import transfers
from envol.consent.models import Desk, Processor


def of(workspace: Workspace) -> Desk:
    """What is known of the organisation; empty lines while nobody wrote any."""
    return Desk.objects.filter(workspace=workspace).first() or Desk(workspace=workspace)


def save(workspace: Workspace, written: Mapping[str, Any], *, member_id: int | None = None) -> Desk:
    with transaction.atomic():
        made, _new = Desk.objects.update_or_create(workspace=workspace, defaults={**written, "updated_at": Now()})
        note(workspace, "member", "desk.changed", actor_id=member_id, fields=sorted(written))
    return made


def save_processor(
    workspace: Workspace, written: Mapping[str, Any], one: Processor | None = None, *, member_id: int | None = None
) -> Processor:
    """Add a recipient, or keep what was changed of one."""
    with transaction.atomic():
        if one is None:
            made = Processor.objects.create(workspace=workspace, **written)
        else:
            Processor.objects.filter(pk=one.pk, workspace=workspace).update(**written)
            made = Processor.objects.get(pk=one.pk)
        note(
            workspace, "member", "processor.added" if one is None else "processor.changed", made, actor_id=member_id,
            country=made.country, tool=made.tool, verdict=transfers.judge(made).colour,
        )  # fmt: skip
    return made


def end_processor(one: Processor, *, member_id: int | None = None) -> None:
    """It gets no more data; the register keeps it, because records speak of the past as well."""
    with transaction.atomic():
        today = one.workspace.today()
        on = max(today, one.since) if one.since else today
        Processor.objects.filter(pk=one.pk, ended_on=None).update(ended_on=on)
        note(one.workspace, "member", "processor.ended", one, actor_id=member_id)
