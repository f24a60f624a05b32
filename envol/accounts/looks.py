"""Who looked at whom: members who open people's pages are written down (GDPR art. 5(2), 32(1)).

One row for a member, a person and a day, so that looking often costs no more to keep than looking once; whoever looks
again within a minute only turns the page.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from envol.accounts.models import JournalEntry, Look, Member, Workspace
from envol.db import dicts, execute

DAYS = 365
TAKEN = ("export.taken", "contacts.exported", "campaign.people_exported", "analysis.exported")

# Not worth waiting for the disk: after a crash of the server the looks of its last instant are missing.
_NOTE = """
INSERT INTO accounts_look (workspace_id, member_id, contact_id, day, times, last_at)
SELECT %s, %s, %s, (now() AT TIME ZONE 'UTC')::date, 1, now() FROM set_config('synchronous_commit', 'off', true)
    ON CONFLICT (workspace_id, contact_id, day, member_id)
    DO UPDATE SET times = accounts_look.times + 1, last_at = excluded.last_at
     WHERE accounts_look.last_at < now() - interval '1 minute'
"""


def note(member: Member, contact_id: int) -> None:
    """``member`` sees this person now."""
    execute(_NOTE, [member.workspace.pk, member.pk, contact_id])


def found(workspace: Workspace, *, contact_id: int | None = None, member_id: int | None = None) -> QuerySet[Look]:
    rows = Look.objects.filter(workspace=workspace)
    if contact_id is not None:
        rows = rows.filter(contact_id=contact_id)
    return rows if member_id is None else rows.filter(member_id=member_id)


def taken(workspace: Workspace, most: int = 20) -> list[JournalEntry]:
    """Whose files of people were taken last, as the journal says it: many people at one glance."""
    return list(JournalEntry.objects.filter(workspace=workspace, action__in=TAKEN).order_by("-id")[:most])


def of_person(workspace_id: int, contact_id: int) -> list[dict[str, Any]]:
    """On which days her page was opened, for her own copy: not by whom, which says something of the members."""
    return dicts(
        "SELECT day::text, sum(times)::int AS times FROM accounts_look WHERE workspace_id = %s AND contact_id = %s"
        " GROUP BY day ORDER BY day",
        [workspace_id, contact_id],
    )


def forget(workspace_id: int, contact_id: int) -> int:
    """A person is erased: that she was looked at says something of her too."""
    return execute("DELETE FROM accounts_look WHERE workspace_id = %s AND contact_id = %s", [workspace_id, contact_id])


def sweep() -> int:
    """Drop what was kept long enough; how many rows."""
    return execute("DELETE FROM accounts_look WHERE day < (now() AT TIME ZONE 'UTC')::date - %s::int", [DAYS])
