"""Mail to those who answer for a workspace: something stopped, and wants a person."""

from __future__ import annotations

from collections.abc import Callable

from django.utils import translation

from envol.accounts.models import Member, Role, Workspace
from envol.events.writing import request_mail


def tell_owners(workspace: Workspace, kind: str, words: Callable[[], tuple[str, str]]) -> int:
    """Ask that each owner be written to in her language; ``words`` gives subject and text, said in it. How many."""
    owners = Member.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True).select_related("user")
    for owner in owners:
        with translation.override(owner.user.language):
            subject, text = words()
        request_mail(
            kind,
            owner.user.email,
            {"subject": subject, "text": text},
            workspace_id=workspace.pk,
            language=owner.user.language,
        )
    return len(owners)
