"""Messages that are kept for the page /inbox: found again, judged as a receiver would, thrown away."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, QuerySet

from envol.accounts.journal import note
from envol.accounts.models import Member, Workspace
from envol.outbound.models import Captured, DkimKey
from envol.wire.dkim_verify import Verdict, verify


def of(workspace: Workspace, words: str = "", kind: str = "") -> QuerySet[Captured]:
    """The messages of a workspace, those of one kind, those with these words in subject, sender or recipients."""
    found = Captured.objects.filter(workspace_id=workspace.id)
    if kind:
        found = found.filter(kind=kind)
    if words:
        said = Q(subject__icontains=words) | Q(envelope_to__icontains=words) | Q(envelope_from__icontains=words)
        found = found.filter(said)
    return found


def kinds(workspace: Workspace) -> dict[str, int]:
    """How many messages there are of each kind."""
    counted = Captured.objects.filter(workspace_id=workspace.id).order_by().values_list("kind").annotate(n=Count("id"))
    return dict(counted)


def verdicts(row: Captured) -> list[Verdict]:
    """On each DKIM signature, by the records we ask to publish: what DNS says at this moment is another question."""
    keys = DkimKey.objects.filter(domain__workspace_id=row.workspace_id or 0)
    records = {
        (domain, selector): record
        for domain, selector, record in keys.values_list("domain__name", "selector", "record")
    }

    def find(domain: str, selector: str) -> str | None:
        return records.get((domain, selector))

    return verify(bytes(row.raw), find, int(row.received_at.timestamp()))


def neighbours(row: Captured) -> tuple[int | None, int | None]:
    """The message before and the one after in the list: newer, older."""
    rows: Any = Captured.objects.filter(workspace_id=row.workspace_id, kind=row.kind)
    newer = rows.filter(id__gt=row.id).order_by("id").values_list("id", flat=True).first()
    older = rows.filter(id__lt=row.id).order_by("-id").values_list("id", flat=True).first()
    return newer, older


def throw_away(workspace: Workspace, up_to: int, member: Member, kind: str) -> int:
    """Delete every message of a kind up to this id, so that one which arrived since the question stays; how many."""
    gone, _ = of(workspace, kind=kind).filter(id__lte=up_to).delete()
    note(workspace, "member", "inbox.emptied", None, actor_id=member.pk, messages=gone)
    return gone
