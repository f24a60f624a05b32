"""Data that are kept and not used (GDPR art. 18): nothing is sent to the person, and nothing is measured.

A restriction closes the projections on her row, so every path that asks a gate refuses without knowing of it; ending
it brings back what she had allowed, no more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from django.db import transaction

from envol.accounts import journal
from envol.consent.models_rights import Restriction

OPEN_SQL = (
    "EXISTS (SELECT FROM consent_restriction x WHERE x.workspace_id = {0}.workspace_id AND x.contact_id = {0}.id"
    " AND x.until IS NULL)"
)
"""Is this row of contacts restricted now?"""

Projection = Callable[[int, Sequence[int]], None]
_projections: list[Projection] = []


def on_change(act: Projection) -> Projection:
    """Run ``act(workspace_id, contact_ids)`` in the transaction that restricts these, or ends it."""
    _projections.append(act)
    return act


def begin(
    workspace_id: int, contact_id: int, reason: str, *, actor: str = "person", actor_id: int | None = None
) -> bool:
    """From now on nothing is done with her data but keeping them; False when that was so already."""
    with transaction.atomic():
        _row, made = Restriction.objects.get_or_create(
            workspace_id=workspace_id, contact_id=contact_id, until=None, defaults={"reason": reason[:300]}
        )
        if made:
            _change(workspace_id, contact_id, "contact.restricted", actor, actor_id)
    return made


def end(workspace_id: int, contact_id: int, *, actor: str = "member", actor_id: int | None = None) -> bool:
    """The data may be used again as before; she must be told first (art. 18(3))."""
    with transaction.atomic():
        found = Restriction.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None)
        ended = bool(found.update(until=datetime.now(UTC)))
        if ended:
            _change(workspace_id, contact_id, "contact.unrestricted", actor, actor_id)
    return ended


def now(workspace_id: int, contact_id: int) -> Restriction | None:
    return Restriction.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None).first()


def _change(workspace_id: int, contact_id: int, action: str, actor: str, actor_id: int | None) -> None:
    for act in _projections:
        act(workspace_id, [contact_id])
    journal.note(workspace_id, actor, action, actor_id=actor_id, contact=contact_id)
