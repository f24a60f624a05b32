"""A list from many people at once: what was found in a report becomes something to write to."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from envol.contacts.models import List, Source
from envol.db import rows
from envol.events import NewEvent, record
from envol.events.models import Kind

_BATCH = 5000


def join_all(list_: List, ids: Sequence[int], source: Source | None = None) -> int:
    """Put many people of the list's workspace on it; how many were not on it. Being on a list permits nothing."""
    joined = 0
    with transaction.atomic():
        for start in range(0, len(ids), _BATCH):
            new = rows(
                "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, source_id)"
                " SELECT workspace_id, %(list)s, id, %(source)s FROM contacts_contact"
                " WHERE workspace_id = %(workspace)s AND id = ANY(%(ids)s)"
                " ON CONFLICT (list_id, contact_id) WHERE until IS NULL DO NOTHING RETURNING contact_id",
                {
                    "list": list_.pk,
                    "source": source.pk if source else None,
                    "workspace": list_.workspace_id,
                    "ids": list(ids[start : start + _BATCH]),
                },
            )
            record([NewEvent(list_.workspace_id, Kind.LIST_JOINED, who, facts={"list": list_.pk}) for (who,) in new])
            joined += len(new)
    return joined
