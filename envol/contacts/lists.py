"""Lists: making, renaming, removing and bringing back; how many people come and go."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from envol.accounts import undo as undos
from envol.accounts.journal import note
from envol.accounts.models import Undo, Workspace
from envol.contacts.models import List, Membership
from envol.db import TooSlow, is_large, rows, within

RECENT_DAYS = 30
UNDO = "contacts.list_removed"

# Rooms above say by whom a list is used (segments…): workspace, list id → names.
_users: list[Callable[[Workspace, int], list[str]]] = []


class ListProblem(ValueError):
    """A list that cannot be named or removed so; the sentence says what to do."""


class Line(NamedTuple):
    """``joined`` and ``left`` within the last thirty days; ``last`` is when somebody last came."""

    list: List
    now: int
    joined: int
    left: int
    last: datetime | None


def register_use(names: Callable[[Workspace, int], list[str]]) -> None:
    """Called at start by a room whose things refer to lists."""
    _users.append(names)


def used_by(one: List) -> list[str]:
    return [name for names in _users for name in names(one.workspace, one.pk)]


def overview_within(workspace: Workspace, seconds: float) -> list[Line] | None:
    """Every list with its figures; None where reading the stays of a large base takes longer."""
    if not is_large(Membership._meta.db_table):
        return overview(workspace)
    try:
        with within(seconds):
            return overview(workspace)
    except TooSlow:
        return None


def overview(workspace: Workspace, only: int | None = None) -> list[Line]:
    """Every list (or one) with its figures as they are now, by name."""
    known = List.objects.filter(workspace=workspace).order_by("name")
    if only is not None:
        known = known.filter(pk=only)
    lists = {one.pk: one for one in known}
    found = rows(
        "SELECT list_id, count(*) FILTER (WHERE until IS NULL),"
        " count(*) FILTER (WHERE since > now() - make_interval(days => %(days)s)),"
        " count(*) FILTER (WHERE until > now() - make_interval(days => %(days)s)), max(since)"
        " FROM contacts_membership WHERE workspace_id = %(w)s AND list_id = ANY(%(lists)s) GROUP BY list_id",
        {"w": workspace.id, "days": RECENT_DAYS, "lists": list(lists)},
    )
    figures = {row[0]: row[1:] for row in found}
    return [Line(one, *figures.get(pk, (0, 0, 0, None))) for pk, one in lists.items()]


def create(workspace: Workspace, name: str, *, by: str = "member", actor_id: int | None = None) -> List:
    with _once(name):
        made = List.objects.create(workspace=workspace, name=_named(name))
        note(workspace, by, "list.created", made, actor_id=actor_id)
    return made


def rename(one: List, name: str, *, by: str = "member", actor_id: int | None = None) -> None:
    with _once(name):
        one.name = _named(name)
        one.save(update_fields=["name"])
        note(one.workspace, by, "list.renamed", one, actor_id=actor_id)


def remove(one: List, *, by: str = "member", actor_id: int | None = None) -> Undo:
    """The list goes, its people stay. Refused while something is built on it: that would silently mean nobody."""
    if users := used_by(one):
        raise ListProblem(
            _("“%(name)s” is used by %(users)s; change those first.")
            % {"name": one.name, "users": ", ".join(users[:10])}
        )
    with transaction.atomic():
        List.objects.filter(pk=one.pk).update(removed_at=Now())
        entry = note(one.workspace, by, "list.removed", one, actor_id=actor_id)
        return undos.offer(entry, UNDO, {"list": one.pk})


def restore(workspace: Workspace, list_id: int, *, actor_id: int | None = None) -> List:
    """Bring a removed list back, with everybody who was on it."""
    one = List.every.filter(workspace=workspace, pk=list_id).first()
    if one is None:
        raise ListProblem(_("This list does not exist in the workspace."))
    with _once(one.name):
        List.every.filter(pk=one.pk).update(removed_at=None)
        note(workspace, "member", "list.restored", one, actor_id=actor_id)
    one.refresh_from_db()
    return one


def _named(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= 200:
        raise ListProblem(_("Give the list a name of at most 200 characters."))
    return name


class _once:
    """A name that another list bears is a refusal, not an error of the database."""

    def __init__(self, name: str) -> None:
        self.name = " ".join(name.split())
        self.block = transaction.atomic()

    def __enter__(self) -> None:
        self.block.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.block.__exit__(kind, error, trace)  # type: ignore[arg-type]
        if isinstance(error, IntegrityError):
            raise ListProblem(
                _("There is already a list called “%(name)s”; choose another name.") % {"name": self.name}
            ) from None
