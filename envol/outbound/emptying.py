"""After its term, who got which message becomes a number (GDPR art. 5(1)(e)): reports keep their totals.

What is emptied is a chunk of a sending, as a whole, once everybody of it has an outcome: recipients, outcomes, headers
of single messages. The tally stays, and `outbound_emptied` says how much of it has no rows any more, so that the books
can be checked as before. Links in old campaigns still lead to the person: their numbers are those of contacts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import transaction

from envol import db
from envol.consent import retention
from envol.db import execute, rows, value

AT_ONCE = 20_000
"""Recipients of one transaction."""

_OVER = (
    "SELECT c.no FROM outbound_chunk c JOIN outbound_sending x ON x.id = c.sending_id"
    " WHERE x.workspace_id = %(w)s AND c.done AND c.due < %(before)s"
    " AND NOT EXISTS (SELECT FROM outbound_retry r WHERE r.sending_id = c.sending_id AND r.no BETWEEN c.lo AND c.hi)"
    " AND NOT EXISTS (SELECT FROM outbound_send s WHERE s.sending_id = c.sending_id AND s.no BETWEEN c.lo AND c.hi"
    "  AND s.chunk = c.no AND s.created_at >= %(before)s)"
    " ORDER BY c.no LIMIT %(most)s"
)


def _find(workspace_id: int, before: datetime, most: int) -> Sequence[int]:
    """Chunks whose people were all written to before that, and none of whom waits for another try."""
    return [row[0] for row in rows(_OVER, {"w": workspace_id, "before": before, "most": most})]


def _groups(workspace_id: int, chunks: Sequence[int]) -> Iterator[list[int]]:
    group: list[int] = []
    people = 0
    for no, size in rows(
        "SELECT c.no, c.size FROM outbound_chunk c JOIN outbound_sending x ON x.id = c.sending_id"
        " WHERE x.workspace_id = %s AND c.no = ANY(%s) ORDER BY c.no",
        [workspace_id, list(chunks)],
    ):
        if group and people + size > AT_ONCE:
            yield group
            group, people = [], 0
        group.append(no)
        people += size
    if group:
        yield group


def _empty(workspace_id: int, chunks: Sequence[int]) -> int:
    done = 0
    for group in _groups(workspace_id, chunks):
        with transaction.atomic():
            execute("SET LOCAL envol.emptying = 'on'")
            _people, messages = rows(db.sql("outbound", "empty"), {"workspace": workspace_id, "chunks": group})[0]
            if messages:
                execute(
                    "DELETE FROM outbound_message m WHERE m.id = ANY(%s) AND NOT EXISTS (SELECT FROM outbound_send s"
                    " WHERE s.sending_id = m.sending_id AND s.message_id = m.id)",
                    [messages],
                )
        done += len(group)
    return done


def emptied(campaign_id: int) -> bool:
    """Is some of what this campaign was sent to no longer known person by person?"""
    asked = (
        "SELECT EXISTS (SELECT FROM outbound_emptied e JOIN outbound_sending x ON x.id = e.sending_id"
        " WHERE x.campaign_id = %s)"
    )
    return bool(value(asked, [campaign_id]))


def register() -> None:
    retention.register("metadata", _find, _empty)
