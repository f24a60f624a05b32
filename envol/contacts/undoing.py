"""How the acts of this room are taken back from a message or the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from envol.accounts import undo
from envol.accounts.models import Member, Workspace
from envol.accounts.undo import CannotUndo
from envol.contacts import bulk, fields, lists
from envol.contacts.models import BulkAct


def _bulk(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    from envol.contacts import tasks  # the queue: only where something is taken back

    act = BulkAct.objects.filter(workspace=workspace, pk=facts["bulk"]).first()
    if act is None:
        raise CannotUndo(
            _("This act can no longer be undone: that was possible for %(days)s days.") % {"days": bulk.DAYS}
        )
    try:
        if tasks.start_bulk(act, undo=True) is not None:
            return _("It is being taken back; that takes a moment.")
    except bulk.BulkProblem as error:
        raise CannotUndo(str(error)) from None
    return taken_back(act.counts["undone"])


def _figure(n: int) -> str:
    return number_format(n, force_grouping=True).replace("\xa0", "\u202f")


def taken_back(result: Mapping[str, int]) -> str:
    """What undoing an act on people did, as a sentence."""
    said = ngettext("Taken back for %(n)s person.", "Taken back for %(n)s people.", result["restored"]) % {
        "n": _figure(result["restored"])
    }
    if kept := result["kept"]:
        said += " " + ngettext(
            "%(n)s was changed since and stays as it is.", "%(n)s were changed since and stay as they are.", kept
        ) % {"n": _figure(kept)}
    return said


def _list(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    try:
        one = lists.restore(workspace, facts["list"], actor_id=member.pk)
    except lists.ListProblem as error:
        raise CannotUndo(str(error)) from None
    return _("The list “%(name)s” is back, with its people.") % {"name": one.name}


def _property(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    try:
        fields.restore(workspace, dict(facts), actor_id=member.pk)
    except ValueError as error:
        raise CannotUndo(str(error)) from None
    return _("The property is back in the catalogue.")


def register() -> None:
    undo.register(bulk.UNDO, _bulk)
    undo.register(lists.UNDO, _list)
    undo.register(fields.UNDO, _property)
