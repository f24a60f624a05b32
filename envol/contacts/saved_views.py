"""Saved views of the people's table: a filter under a name, one's own or the whole workspace's."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from envol.accounts.models import Member, Role
from envol.contacts.models import SavedView


class ViewProblem(ValueError):
    """A view that cannot be kept so; the sentence says what to do."""


def seen_by(member: Member) -> list[SavedView]:
    """Her own and the shared ones, by name."""
    mine = Q(member_id=member.pk) | Q(shared=True)
    return list(SavedView.objects.filter(mine, workspace_id=member.workspace.pk).order_by("name", "id")[:100])


def save(member: Member, name: str, query: str, *, shared: bool = False) -> SavedView:
    """Keep a view; under a name she has already it replaces her own."""
    name = " ".join(name.split())
    if not 0 < len(name) <= 80:
        raise ViewProblem(_("Give the view a name of at most 80 characters."))
    if len(query) > 1000:
        raise ViewProblem(_("This filter is too long to be kept; make a segment of it."))
    if shared and member.role == Role.VIEWER:
        raise ViewProblem(_("Only editors and owners share views with everybody."))
    try:
        with transaction.atomic():
            return SavedView.objects.update_or_create(
                workspace_id=member.workspace.pk,
                member_id=member.pk,
                name=name,
                defaults={"query": query, "shared": shared},
            )[0]
    except IntegrityError:  # two tabs at once
        raise ViewProblem(_("There is already a view of this name.")) from None


def delete(member: Member, view_id: int) -> SavedView | None:
    """Remove her own view, or as an owner a shared one; None when there is no such view for her."""
    found = SavedView.objects.filter(workspace_id=member.workspace.pk, pk=view_id)
    mine = Q(member_id=member.pk)
    if member.role == Role.OWNER:
        mine |= Q(shared=True)
    one = found.filter(mine).first()
    if one is not None:
        SavedView.objects.filter(pk=one.pk).delete()
    return one
