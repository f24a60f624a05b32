"""Named segments: saved in canonical form, and never removed from under what uses them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from envol.accounts import journal, undo
from envol.accounts.models import Member, Undo, Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.language import Problem, SegmentProblem, parse, to_json
from envol.audience.models import Segment
from envol.contacts import lists
from envol.contacts.models import List

DELETED, CREATED = "segment.deleted", "segment.created"
# Rooms that use segments say by whom they are used (a campaign…): workspace id, segment ids → names by segment.
_Users = Callable[[int, Sequence[int]], Mapping[int, list[str]]]
_users: list[_Users] = []


def register_use(names: _Users) -> None:
    """Called at start by a room whose things refer to segments."""
    _users.append(names)


def save(
    workspace: Workspace,
    name: str,
    tree: dict[str, Any] | None,
    *,
    segment: Segment | None = None,
    actor: str = "member",
    actor_id: int | None = None,
    fixed: List | None = None,
) -> Segment:
    """Make a segment, or give ``segment`` this name and tree. Raises :class:`SegmentProblem`.

    ``fixed`` is the list that was made for it alone: taking the new segment back takes it away too.
    """
    name = " ".join(name.split())[:200]
    if not name:
        raise SegmentProblem([Problem("", _("Give the segment a name."))])
    root = parse(tree, Catalogue(workspace), within=segment.pk if segment else None)
    with transaction.atomic():
        same = Segment.objects.filter(workspace=workspace, name=name)
        if segment:
            same = same.exclude(pk=segment.pk)
        if same.exists():
            raise SegmentProblem(
                [Problem("", _("There is already a segment called “%(name)s”; choose another name.") % {"name": name})]
            )
        if segment is None:
            segment = Segment.objects.create(workspace=workspace, name=name, tree=to_json(root))
            entry = journal.note(workspace, actor, "segment.created", segment, actor_id=actor_id)
            undo.offer(entry, CREATED, {"id": segment.pk, "list": fixed.pk if fixed else None})
        else:
            Segment.objects.filter(pk=segment.pk).update(name=name, tree=to_json(root), updated_at=Now())
            segment.refresh_from_db()
            journal.note(workspace, actor, "segment.changed", segment, actor_id=actor_id)
    return segment


def used_by(segment: Segment) -> list[str]:
    """Names of what refers to this segment: other segments first, then what other rooms registered."""
    return users_of([segment])[segment.pk]


def users_of(segments: Sequence[Segment]) -> dict[int, list[str]]:
    """:func:`used_by` for several segments of one workspace at once."""
    found: dict[int, list[str]] = {one.pk: [] for one in segments}
    if not segments:
        return found
    workspace_id = segments[0].workspace.id
    for other in Segment.objects.filter(workspace_id=workspace_id).order_by("name"):
        for pk, names in found.items():
            if pk != other.pk and _mentions(other.tree, "segment", pk):
                names.append(other.name)
    for users in _users:
        for pk, more in users(workspace_id, list(found)).items():
            found[pk] += more
    return found


def using_field(workspace: Workspace, key: str) -> list[Segment]:
    """Segments with a rule on this field: what deleting the field would break."""
    return [s for s in Segment.objects.filter(workspace=workspace).order_by("name") if _mentions(s.tree, key)]


def using_list(workspace: Workspace, list_id: int) -> list[Segment]:
    """Segments with a rule on this list: what removing the list would break."""
    return [
        s
        for s in Segment.objects.filter(workspace=workspace).order_by("name")
        if _mentions(s.tree, "list", list_id) or _joined(s.tree, list_id)
    ]


def _joined(node: Any, list_id: int) -> bool:
    if not isinstance(node, dict):
        return False
    value = node.get("value")
    if node.get("field") == "list" and isinstance(value, dict) and value.get("list") == list_id:
        return True
    return any(_joined(item, list_id) for item in node.get("rules", ()))


def _mentions(node: Any, field: str, value: Any = None) -> bool:
    if not isinstance(node, dict):
        return False
    if node.get("field") == field and (value is None or node.get("value") == value):
        return True
    return any(_mentions(item, field, value) for item in node.get("rules", ()))


def delete(segment: Segment, *, actor: str = "member", actor_id: int | None = None) -> Undo:
    """Remove a segment that nothing uses; else :class:`SegmentProblem` names what does."""
    users = used_by(segment)
    sentence = _("“%(name)s” is used by %(users)s; change those first.")
    if users:
        raise SegmentProblem([Problem("", sentence % {"name": segment.name, "users": ", ".join(users[:10])})])
    try:
        with transaction.atomic():
            entry = journal.note(segment.workspace, actor, "segment.deleted", segment, actor_id=actor_id)
            facts = {"id": segment.pk, "name": segment.name, "tree": segment.tree}
            segment.delete()
            return undo.offer(entry, DELETED, facts)
    except ProtectedError:
        raise SegmentProblem([Problem("", sentence % {"name": segment.name, "users": _("a campaign")})]) from None


def bring_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of a deletion: the same rule under the same name and address."""
    if Segment.objects.filter(workspace=workspace, name=facts["name"]).exists():
        raise undo.CannotUndo(_("There is a new segment called “%(name)s”; rename it first.") % {"name": facts["name"]})
    Segment.objects.create(pk=facts["id"], workspace=workspace, name=facts["name"], tree=facts["tree"])
    return _("The segment “%(name)s” is back.") % {"name": facts["name"]}


def undo_of(segment: Segment) -> Undo | None:
    """How the making of this segment is taken back, for the page that says it was made."""
    return Undo.objects.filter(workspace=segment.workspace, kind=CREATED, facts__id=segment.pk).order_by("-pk").first()


def take_away(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of making one: the segment goes, and the list that was made for it; people stay."""
    segment = Segment.objects.filter(workspace=workspace, pk=facts["id"]).first()
    if segment is None:
        raise undo.CannotUndo(_("This segment is gone already."))
    fixed = List.objects.filter(workspace=workspace, pk=facts["list"] or 0).first()
    try:
        delete(segment, actor_id=member.pk)
        if fixed is not None:
            lists.remove(fixed, actor_id=member.pk)
    except SegmentProblem as error:
        raise undo.CannotUndo(" ".join(problem.sentence for problem in error.problems)) from None
    except lists.ListProblem as error:
        raise undo.CannotUndo(str(error)) from None
    return _("The segment “%(name)s” is gone; its people stay.") % {"name": segment.name}
