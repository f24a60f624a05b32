"""Mail of Envol to its own members: from whom it comes."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import Q

from envol.accounts.models import Member, Workspace
from envol.outbound.models import Domain


class NoWorkspace(ValueError):
    """There is nobody to write in the name of."""


def workspace_for(address: str) -> Workspace:
    """The workspace in whose name a member is written to: her first one, else the installation's first."""
    member = (
        Member.objects.filter(user__email=address.strip().lower()).order_by("id").select_related("workspace").first()
    )
    found = member.workspace if member else Workspace.objects.order_by("id").first()
    if found is None:
        raise NoWorkspace("There is no workspace yet, so no mail can be sent: run `envol setup` first.")
    return found


def sender_of(workspace: Workspace) -> tuple[str, str]:
    """(name, address) of system mail: noreply at a domain that may send, else at our own public host."""
    ready = Domain.objects.filter(Q(trusted=True) | Q(passed_at__isnull=False), workspace=workspace)
    name = ready.order_by("id").values_list("name", flat=True).first()
    if name is None:
        host = urlsplit(settings.ENVOL.base_url).hostname or "localhost"
        name = host if "." in host and not host.replace(".", "").isdigit() else "localhost.localdomain"
    return workspace.title, f"noreply@{name}"
