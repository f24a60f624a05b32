"""On the ground of which answer a message was sent: the line of the ledger in force as it was queued (GDPR art. 7(1)).

The number is written with the message and never again, so that it still names the answer of that day when later ones
took over. Single messages have none: a contract needs no permission.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from envol import db
from envol.outbound import mail_log


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
    return of_each(workspace_id, [(sending_id, no)]).get((sending_id, no))


def of_each(workspace_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Ground]:
    """The grounds of messages by (sending, number), where they have one."""
    found = db.rows(
        f"SELECT s.sending_id, s.no, {COLUMNS} FROM unnest(%s::bigint[], %s::bigint[]) AS k (sending, no)"
        " JOIN outbound_send s ON s.sending_id = k.sending AND s.no = k.no"
        f" JOIN outbound_sending x ON x.id = s.sending_id {FROM}"
        " WHERE x.workspace_id = %s AND s.permission_id IS NOT NULL",
        [*_columns(keys), workspace_id],
    )
    return {(sending_id, no): Ground(*ground) for sending_id, no, *ground in found}


class SentOn(NamedTuple):
    """A message that left on the ground of an answer. ``kind`` as of `envol.outbound.models.Sending`."""

    sending_id: int
    no: int
    kind: str
    at: datetime


MOST = 1000


def sent_on(workspace_id: int, permission_id: int, address: str) -> list[SentOn]:
    """What was queued to a person on the ground of this answer of hers, newest first, at most `MOST`.

    ``address``: hers now; by it posts to mailing lists are found, campaigns by herself.
    """
    keys = mail_log.keys_of_address(workspace_id, address)
    found = db.rows(
        "SELECT s.sending_id, s.no, x.kind, s.created_at FROM unnest(%s::bigint[], %s::bigint[]) AS k (sending, no)"
        " JOIN outbound_send s ON s.sending_id = k.sending AND s.no = k.no"
        " JOIN outbound_sending x ON x.id = s.sending_id WHERE x.workspace_id = %s AND s.permission_id = %s"
        " ORDER BY s.created_at DESC, s.sending_id DESC LIMIT %s",
        [*_columns(keys), workspace_id, permission_id, MOST],
    )
    return [SentOn(*row) for row in found]


def _columns(keys: Sequence[tuple[int, int]]) -> list[list[int]]:
    return [[sending_id for sending_id, _ in keys], [no for _, no in keys]]
