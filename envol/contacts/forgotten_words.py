"""Her address and name where nobody kept them for her: lines of files, samples of columns, filters of members.

None of these names a contact, so an erasure (GDPR art. 17) looks for what she is called.
"""

from __future__ import annotations

import re

from envol.contacts import sealing
from envol.contacts.models import Contact, Identifier
from envol.db import execute

_SHORT = 4
"""A word of fewer letters stands in too many lines to be hers."""
_NOBODY = "…"
"""What a filter looks for once it named somebody who is gone: it finds nobody."""


def refusals(workspace_id: int, contact_id: int) -> int:
    """Refused lines of files that hold her address, a number of hers or her whole name; how many went."""
    return sum(
        execute(
            "DELETE FROM contacts_import_refusal r USING contacts_import i WHERE i.id = r.import_id"
            " AND i.workspace_id = %s AND NOT EXISTS (SELECT FROM unnest(%s::text[]) AS word"
            " WHERE lower(r.value || ' ' || r.row) !~ word)",
            [workspace_id, together],
        )
        for together in _said(workspace_id, contact_id)
    )


def forget(workspace_id: int, contact_id: int) -> None:
    """Samples of files that were taken in, views, and what filters of acts and files looked for."""
    execute(
        "UPDATE contacts_import SET format = format - 'samples' WHERE workspace_id = %s"
        " AND state IN ('done', 'undone') AND format ? 'samples'",
        [workspace_id],
    )
    for together in _said(workspace_id, contact_id):
        hers = "NOT EXISTS (SELECT FROM unnest(%s::text[]) AS word WHERE lower({}) !~ word)"
        for table in ("contacts_bulk_act", "contacts_export"):
            where = hers.format("chosen ->> 'text'")
            execute(
                f"UPDATE {table} SET chosen = jsonb_set(chosen, '{{text}}', to_jsonb(%s::text))"
                f" WHERE workspace_id = %s AND chosen ? 'text' AND {where}",
                [_NOBODY, workspace_id, together],
            )
        where = hers.format("replace(replace(query, '%%40', '@'), '+', ' ')")
        execute(f"DELETE FROM contacts_saved_view WHERE workspace_id = %s AND {where}", [workspace_id, together])


def _said(workspace_id: int, contact_id: int) -> list[list[str]]:
    """Patterns that name her when all are found, in small letters. A name is a whole word: she is not in Suzanne."""
    found = (
        Contact.objects.filter(workspace_id=workspace_id, pk=contact_id).values("email", "email_key", "props").first()
    )
    if found is None:
        return []
    numbers = Identifier.objects.filter(workspace_id=workspace_id, contact_id=contact_id).values_list(
        "value", flat=True
    )
    name = [str(sealing.opened(workspace_id, found["props"].get(key)) or "") for key in ("first_name", "last_name")]
    said = [[_plain(one)] for one in (found["email_key"], found["email"], *numbers) if len(one) >= _SHORT]
    if all(name) and sum(map(len, name)) >= _SHORT:
        said.append([rf"(^|[^[:alnum:]]){_plain(word)}($|[^[:alnum:]])" for word in name])
    return [list(one) for one in dict.fromkeys(map(tuple, said))]


def _plain(word: str) -> str:
    """As a regular expression of PostgreSQL, every sign for itself."""
    return re.sub(r"([^\w\s])", r"\\\1", word.strip().lower())
