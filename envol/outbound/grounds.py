"""On the ground of which answer a message was sent: the line of the ledger in force as it was queued (GDPR art. 7(1)).

The number is written with the message and never again, so that it still names the answer of that day when later ones
took over. Single messages have none: a contract needs no permission.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from envol import db


class Ground(NamedTuple):
    """``permission_id``: of `envol.consent.models.Permission`. The rest is None where the person was erased since."""

    permission_id: int
    block: int | None
    leaf: int | None
    basis: str | None
    since: datetime | None
    source: str | None

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return self._asdict() | {"since": self.since.isoformat() if self.since else None}


COLUMNS = "s.permission_id, p.block, p.leaf, p.basis, p.since, coalesce(e.source, nullif(p.proof, ''))"
FROM = (
    "LEFT JOIN consent_permission p ON p.workspace_id = x.workspace_id AND p.contact_id = s.contact_id"
    " AND p.id = s.permission_id LEFT JOIN consent_evidence e ON e.id = p.evidence_id"
)
"""To stand behind outbound_send ``s`` and outbound_sending ``x``."""


def of(workspace_id: int, sending_id: int, no: int) -> Ground | None:
    """The ground of one message; None where it has none, or is not this workspace's."""
    found = db.rows(
        f"SELECT {COLUMNS} FROM outbound_send s JOIN outbound_sending x ON x.id = s.sending_id {FROM}"
        " WHERE x.workspace_id = %s AND s.sending_id = %s AND s.no = %s AND s.permission_id IS NOT NULL",
        [workspace_id, sending_id, no],
    )
    return Ground(*found[0]) if found else None
