"""Marketing that rests for one person, whatever she allows, while something is open between her and the organisation.

A complaint that nobody has answered yet, a parcel that is lost: to send offers meanwhile makes it worse. Who opens it
says why; contract mail goes on; closing it brings back what she had allowed, and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models.functions import Greatest, Now
from django.utils.translation import gettext as _

from envol.accounts import journal, undo
from envol.accounts.models import Member, Undo, Workspace
from envol.consent.models import Silence

OPENED, CLOSED = "consent.silenced", "consent.unsilenced"
LONGEST = 300

Projection = Callable[[int, Sequence[int]], None]
_projections: list[Projection] = []


def on_change(act: Projection) -> Projection:
    """Run ``act(workspace_id, contact_ids)`` in the transaction that silences these, or ends it."""
    _projections.append(act)
    return act


def _project(workspace_id: int, contact_id: int) -> None:
    for act in _projections:
        act(workspace_id, [contact_id])


def open(
    workspace_id: int, contact_id: int, reason: str, *, since: datetime | None = None, member_id: int | None = None
) -> tuple[Silence, Undo]:
    """Marketing rests from ``since`` (now), because of ``reason``. ValueError says what is missing."""
    reason = " ".join(reason.split())
    if not reason:
        raise ValueError(_("Say why marketing rests: which complaint, which parcel…"))
    if len(reason) > LONGEST or "\0" in reason:
        raise ValueError(_("A reason has at most %(n)s characters; shorten it.") % {"n": LONGEST})
    with transaction.atomic():
        if Silence.objects.select_for_update().filter(contact_id=contact_id, until=None).exists():
            raise ValueError(_("Marketing rests for this person already; close that first."))
        made = Silence.objects.create(
            workspace_id=workspace_id, contact_id=contact_id, reason=reason, since=since or Now(), opened_by=member_id
        )
        made.refresh_from_db()
        _project(workspace_id, contact_id)
        entry = journal.note(workspace_id, "member", "contact.silenced", actor_id=member_id, contact=contact_id)
        return made, undo.offer(entry, OPENED, {"id": made.pk})


def close(workspace_id: int, contact_id: int, *, member_id: int | None = None) -> Undo:
    """It is settled: she may get again what she allowed. ValueError when nothing is open."""
    with transaction.atomic():
        found = Silence.objects.select_for_update().filter(
            workspace_id=workspace_id, contact_id=contact_id, until=None
        ).first()  # fmt: skip
        if found is None:
            raise ValueError(_("Nothing is open any more; somebody closed it meanwhile."))
        Silence.objects.filter(pk=found.pk).update(until=Greatest(Now(), "since"), closed_by=member_id)
        _project(workspace_id, contact_id)
        entry = journal.note(workspace_id, "member", "contact.unsilenced", actor_id=member_id, contact=contact_id)
        return undo.offer(entry, CLOSED, {"id": found.pk})


def of(workspace_id: int, contact_id: int) -> list[Silence]:
    """All of one person, the latest first."""
    return list(Silence.objects.filter(workspace_id=workspace_id, contact_id=contact_id).order_by("-since", "-pk"))


def open_among(workspace_id: int, contact_ids: Sequence[int] | None = None) -> set[int]:
    """For whom marketing rests now; among these people, or all."""
    found = Silence.objects.filter(workspace_id=workspace_id, until=None)
    if contact_ids is not None:
        found = found.filter(contact_id__in=list(contact_ids))
    return set(found.values_list("contact_id", flat=True))


def take_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of opening: as if nothing had been said."""
    found = Silence.objects.filter(workspace_id=workspace.pk, pk=facts["id"], until=None).first()
    if found is None:
        raise undo.CannotUndo(_("It is closed already."))
    contact_id = found.contact_id
    found.delete()
    _project(workspace.pk, contact_id)
    return _("Marketing rests no more for this person.")


def open_again(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of closing."""
    found = Silence.objects.filter(workspace_id=workspace.pk, pk=facts["id"]).first()
    if found is None or open_among(workspace.pk, [found.contact_id]):
        raise undo.CannotUndo(_("Marketing rests for this person already, or the person is gone."))
    Silence.objects.filter(pk=found.pk).update(until=None, closed_by=None)
    _project(workspace.pk, found.contact_id)
    return _("Marketing rests again for this person.")


def register() -> None:
    undo.register(OPENED, take_back)
    undo.register(CLOSED, open_again)
