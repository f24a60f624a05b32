"""People whom members put into a segment, or leave out of it, whatever its rule says.

For the few that no rule can name: the press, the mayor, a supplier. They are kept beside the rule and not in it, so
that a rule can be copied and its people cannot; permissions hold for them as for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envol.accounts import journal, undo
from envol.accounts.models import Member, Undo
from envol.accounts.models import Workspace as Workspace
from envol.audience.models import Segment, SegmentPerson
from envol.contacts.models import Contact

KIND = "segment.by_hand"
MOST = 1000
"""A segment of more people than these has a rule that nobody wrote down: a tag or a list says it better."""


class HandProblem(ValueError):
    """What cannot be done by hand; the sentence says what to do."""


def of(segment: Segment) -> list[SegmentPerson]:
    """Everybody who was chosen by hand, the latest first."""
    return list(segment.people.order_by("-at", "-pk"))


def held(workspace: Workspace, contact_id: int) -> dict[int, bool]:
    """Into which segments (True) or out of which (False) a person was put, by the segment's id."""
    found = SegmentPerson.objects.filter(workspace_id=workspace.pk, contact_id=contact_id)
    return dict(found.values_list("segment_id", "inside"))


def put(segment: Segment, contact_id: int, inside: bool | None, *, actor_id: int | None = None) -> Undo | None:
    """In (True), out (False), or as the rule says (None). None when it was so already. Raises :class:`HandProblem`."""
    with transaction.atomic():
        here = Segment.objects.select_for_update().get(pk=segment.pk)
        if not Contact.objects.filter(workspace_id=here.workspace.pk, pk=contact_id).exists():
            raise HandProblem(_("This person is not among the contacts any more."))
        before = here.people.filter(contact_id=contact_id).values_list("inside", flat=True).first()
        if before == inside:
            return None
        if before is None and here.people.count() >= MOST:
            raise HandProblem(
                _("%(n)s people were chosen by hand for this segment already: use a tag or a list, and a rule on it.")
                % {"n": MOST}
            )
        _set(here, contact_id, inside, actor_id)
        segment.by_hand = here.by_hand
        entry = journal.note(here.workspace, "member", KIND, here, actor_id=actor_id, contact=contact_id, inside=inside)
        return undo.offer(entry, KIND, {"id": here.pk, "contact": contact_id, "before": before, "after": inside})


def _set(segment: Segment, contact_id: int, inside: bool | None, member_id: int | None) -> None:
    if inside is None:
        segment.people.filter(contact_id=contact_id).delete()
    else:
        facts = {"inside": inside, "workspace_id": segment.workspace.pk, "member_id": member_id}
        SegmentPerson.objects.update_or_create(segment=segment, contact_id=contact_id, defaults=facts)
    segment.by_hand = segment.people.exists()
    Segment.objects.filter(pk=segment.pk).update(by_hand=segment.by_hand)


def take_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    segment = Segment.objects.select_for_update().filter(workspace=workspace, pk=facts["id"]).first()
    if segment is None:
        raise undo.CannotUndo(_("This segment is gone already."))
    now = segment.people.filter(contact_id=facts["contact"]).values_list("inside", flat=True).first()
    if now != facts["after"]:
        raise undo.CannotUndo(_("This was changed again since."))
    if not Contact.objects.filter(workspace_id=workspace.pk, pk=facts["contact"]).exists():
        raise undo.CannotUndo(_("This person is not among the contacts any more."))
    _set(segment, facts["contact"], facts["before"], member.pk)
    return _("The segment “%(name)s” is as it was before.") % {"name": segment.name}


def written(segment: Segment) -> list[list[Any]]:
    """As plain values, to bring them back with a segment that was deleted."""
    return [list(row) for row in segment.people.values_list("contact_id", "inside")]


def bring_back(segment: Segment, rows: list[list[Any]]) -> None:
    """Those of ``rows`` who are still here."""
    ids = [contact for contact, _ in rows]
    here = set(Contact.objects.filter(workspace_id=segment.workspace.pk, pk__in=ids).values_list("pk", flat=True))
    for contact_id, inside in rows:
        if contact_id in here:
            _set(segment, contact_id, inside, None)


def register() -> None:
    undo.register(KIND, take_back)
