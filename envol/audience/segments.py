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
from envol.audience import hands
from envol.audience.catalogue import Catalogue
from envol.audience.language import Problem, SegmentProblem, parse, to_json
from envol.audience.models import Segment, SegmentVersion
from envol.contacts import lists
from envol.contacts.models import List

DELETED, CREATED, CHANGED = "segment.deleted", "segment.created", "segment.changed"
VERSIONS = 50  # earlier ones that are kept of a segment
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
    restored: bool = False,
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
            before = _replace(segment, name, to_json(root), actor_id if actor == "member" else None)
            action = "segment.restored" if restored else "segment.changed"
            entry = journal.note(workspace, actor, action, segment, actor_id=actor_id)
            if before is not None:
                facts = {"id": segment.pk, "version": before.pk, "after": segment.updated_at.isoformat()}
                undo.offer(entry, CHANGED, facts)
    return segment


def _replace(segment: Segment, name: str, tree: dict[str, Any], member_id: int | None) -> SegmentVersion | None:
    """Give it this name and tree; what it was is kept as a version, the answer. None when nothing changes."""
    old = Segment.objects.select_for_update().get(pk=segment.pk)
    kept = None
    if (old.name, old.tree) != (name, tree):
        kept = SegmentVersion.objects.create(
            segment=old, name=old.name, tree=old.tree, written_at=old.updated_at, replaced_by_id=member_id
        )
        beyond = SegmentVersion.objects.filter(segment=old).order_by("-pk").values_list("pk", flat=True)[VERSIONS:]
        SegmentVersion.objects.filter(pk__in=list(beyond)).delete()
    Segment.objects.filter(pk=segment.pk).update(name=name, tree=tree, updated_at=Now())
    segment.refresh_from_db()
    return kept


def restore(version: SegmentVersion, *, actor_id: int | None = None) -> Segment:
    """Let the segment say again what it said; its name stays. Raises :class:`SegmentProblem`."""
    segment = version.segment
    return save(segment.workspace, segment.name, version.tree, segment=segment, actor_id=actor_id, restored=True)


def put_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of a change: the name and the rule before it."""
    segment = Segment.objects.filter(workspace=workspace, pk=facts["id"]).first()
    version = SegmentVersion.objects.filter(segment=segment, pk=facts["version"]).first() if segment else None
    if segment is None or version is None:
        raise undo.CannotUndo(_("This segment is gone already."))
    if segment.updated_at.isoformat() != facts["after"]:
        raise undo.CannotUndo(_("The segment was changed again since; its page has the earlier versions."))
    if Segment.objects.filter(workspace=workspace, name=version.name).exclude(pk=segment.pk).exists():
        raise undo.CannotUndo(_("There is a new segment called “%(name)s”; rename it first.") % {"name": version.name})
    try:
        parse(version.tree, Catalogue(workspace), within=segment.pk)
    except SegmentProblem as error:
        raise undo.CannotUndo(" ".join(problem.sentence for problem in error.problems)) from None
    _replace(segment, version.name, version.tree, member.pk)
    return _("The segment “%(name)s” is as it was before.") % {"name": version.name}


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
            facts = {"id": segment.pk, "name": segment.name, "tree": segment.tree, "versions": _written(segment)}
            facts["people"] = hands.written(segment)
            segment.delete()
            return undo.offer(entry, DELETED, facts)
    except ProtectedError:
        raise SegmentProblem([Problem("", sentence % {"name": segment.name, "users": _("a campaign")})]) from None


def _written(segment: Segment) -> list[dict[str, Any]]:
    """Its earlier versions as plain values, oldest first."""
    kept = segment.versions.order_by("pk").values("name", "tree", "written_at", "replaced_at", "replaced_by_id")
    return [
        {**one, "written_at": one["written_at"].isoformat(), "replaced_at": one["replaced_at"].isoformat()}
        for one in kept
    ]


def bring_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of a deletion: the same rule under the same name and address."""
    if Segment.objects.filter(workspace=workspace, name=facts["name"]).exists():
        raise undo.CannotUndo(_("There is a new segment called “%(name)s”; rename it first.") % {"name": facts["name"]})
    segment = Segment.objects.create(pk=facts["id"], workspace=workspace, name=facts["name"], tree=facts["tree"])
    members = set(Member.objects.filter(workspace=workspace).values_list("pk", flat=True))
    for one in facts.get("versions", ()):
        by = one["replaced_by_id"]
        SegmentVersion.objects.create(segment=segment, **(one | {"replaced_by_id": by if by in members else None}))
    hands.bring_back(segment, facts.get("people", []))
    return _("The segment “%(name)s” is back.") % {"name": facts["name"]}


def undo_of(segment: Segment) -> Undo | None:
    """How the last making or change of this segment is taken back, for the page that says it was done."""
    acts = Undo.objects.filter(workspace=segment.workspace, kind__in=[CREATED, CHANGED], facts__id=segment.pk)
    found = acts.order_by("-pk").first()
    if found is None:
        return None
    after = segment.created_at.isoformat() if found.kind == CREATED else found.facts["after"]
    return found if after == segment.updated_at.isoformat() else None


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
