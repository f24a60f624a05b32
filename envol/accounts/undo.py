"""Taking an act back: preferred to asking "are you sure".

A room registers how one kind of act is taken back, at start. Who does such an act offers its undo: the page
shows a button for a moment, the journal keeps it while it still works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from envol.accounts import journal
from envol.accounts.models import JournalEntry, Member, Undo, Workspace

KEPT = timedelta(days=7)

Back = Callable[[Workspace, Mapping[str, Any], Member], str | None]
"""Takes the act back with the facts that were kept. Runs inside the transaction that marks the undo as used.
Answers a sentence for the person, or None. Raises :class:`CannotUndo` when the world has moved on."""

_known: dict[str, Back] = {}


class CannotUndo(ValueError):
    """The act cannot be taken back any more; the sentence says why, and nothing was changed."""


def register(kind: str, back: Back) -> None:
    """Say how acts of ``kind`` ("contacts.tagged") are taken back. Called at start, once a kind."""
    if _known.get(kind, back) is not back:
        raise ValueError(f"The undo of {kind!r} is registered twice.")
    _known[kind] = back


def offer(entry: JournalEntry, kind: str, facts: Mapping[str, Any], *, keep: timedelta = KEPT) -> Undo:
    """Let the act that ``entry`` wrote down be taken back until ``keep`` has passed.

    Call it in the transaction of the act itself, so that neither exists without the other. ``facts`` is JSON
    that the registered function understands, and holds no address.
    """
    if kind not in _known:
        raise ValueError(f"Nobody registered how {kind!r} is taken back.")
    assert entry.workspace is not None
    return Undo.objects.create(
        workspace=entry.workspace, entry=entry, kind=kind, facts=dict(facts), until=timezone.now() + keep
    )


def take_back(workspace: Workspace, undo_id: int, member: Member) -> str | None:
    """Take an act back, once. The sentence to show, if its room has one.

    Raises :class:`CannotUndo` when it was taken back already, is too old or no longer possible, and
    ``Undo.DoesNotExist`` when there is none in this workspace.
    """
    from django.utils.translation import gettext as _

    with transaction.atomic():
        found = Undo.objects.select_for_update().select_related("entry").get(workspace=workspace, pk=undo_id)
        if found.used_at is not None:
            raise CannotUndo(_("This was taken back already."))
        if found.until < timezone.now():
            raise CannotUndo(_("This is too long ago to be taken back."))
        said = _known[found.kind](workspace, found.facts, member)
        Undo.objects.filter(pk=found.pk).update(used_at=Now())
        journal.note(workspace, "member", f"{found.entry.action}.undone", actor_id=member.pk, entry=found.entry.pk)
    return said


def open_for(entries: list[int]) -> dict[int, Undo]:
    """Which of these journal entries can still be taken back, by the entry's id."""
    rows = Undo.objects.filter(entry_id__in=entries, used_at__isnull=True, until__gt=timezone.now())
    return {row.entry_id: row for row in rows}
