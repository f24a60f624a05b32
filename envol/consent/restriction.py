"""Data that are kept and not used (GDPR art. 18): nothing is sent to the person, and nothing is measured or scored.

A restriction closes the projections on her row, so every path that asks a gate refuses without knowing of it; ending
it brings back what she had allowed, no more. One of profiling alone (art. 21(1) and (2)) leaves her the messages she
chose: nothing is worked out of her reading and buying any more. And she may say how often she wants to hear at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from django.db import transaction

from envol.accounts import journal
from envol.consent.models_rights import Restriction

OPEN_SQL = (
    "EXISTS (SELECT FROM consent_restriction x WHERE x.workspace_id = {0}.workspace_id AND x.contact_id = {0}.id"
    " AND x.scope = 'all' AND x.until IS NULL)"
)
"""Is this row of contacts restricted now?"""
UNPROFILED_SQL = OPEN_SQL.replace("x.scope = 'all'", "x.scope IN ('all', 'profiling')")
"""Must nothing be worked out of this person now?"""
ALL, PROFILING = "all", "profiling"
FREQUENCIES = {"weekly": 7, "monthly": 30}
"""At most one campaign in so many days, by the scope that says it."""

Projection = Callable[[int, Sequence[int]], None]
_projections: list[Projection] = []


def on_change(act: Projection) -> Projection:
    """Run ``act(workspace_id, contact_ids)`` in the transaction that restricts these, or ends it."""
    _projections.append(act)
    return act


def begin(
    workspace_id: int,
    contact_id: int,
    reason: str,
    *,
    scope: str = ALL,
    actor: str = "person",
    actor_id: int | None = None,
) -> bool:
    """From now on nothing is done with her data but keeping them (or no profiling); False when that was so already."""
    with transaction.atomic():
        _row, made = Restriction.objects.get_or_create(
            workspace_id=workspace_id, contact_id=contact_id, scope=scope, until=None,
            defaults={"reason": reason[:300]},
        )  # fmt: skip
        if made:
            _change(workspace_id, contact_id, _BEGUN[scope], actor, actor_id)
    return made


def end(
    workspace_id: int, contact_id: int, *, scope: str = ALL, actor: str = "member", actor_id: int | None = None
) -> bool:
    """The data may be used again as before; of a whole restriction she must be told first (art. 18(3))."""
    with transaction.atomic():
        mine = Restriction.objects.filter(workspace_id=workspace_id, contact_id=contact_id, scope=scope, until=None)
        ended = bool(mine.update(until=datetime.now(UTC)))
        if ended:
            _change(workspace_id, contact_id, _ENDED[scope], actor, actor_id)
    return ended


def now(workspace_id: int, contact_id: int, scope: str = ALL) -> Restriction | None:
    return Restriction.objects.filter(workspace_id=workspace_id, contact_id=contact_id, scope=scope, until=None).first()


def frequency(workspace_id: int, contact_id: int) -> str:
    """How often she wants to hear at most, a key of `FREQUENCIES`; empty while she did not say."""
    found = Restriction.objects.filter(
        workspace_id=workspace_id, contact_id=contact_id, scope__in=FREQUENCIES, until=None
    ).first()
    return found.scope if found is not None else ""


def set_frequency(workspace_id: int, contact_id: int, wanted: str, reason: str) -> bool:
    """At most so often from now on (empty: as often as there is something); whether that is a change."""
    before = frequency(workspace_id, contact_id)
    if wanted == before or (wanted and wanted not in FREQUENCIES):
        return False
    with transaction.atomic():
        if before:
            end(workspace_id, contact_id, scope=before, actor="person")
        if wanted:
            begin(workspace_id, contact_id, reason, scope=wanted)
    return True


_BEGUN = {ALL: "contact.restricted", PROFILING: "contact.unprofiled"} | dict.fromkeys(FREQUENCIES, "contact.seldom")
_ENDED = {ALL: "contact.unrestricted", PROFILING: "contact.profiled"} | dict.fromkeys(FREQUENCIES, "contact.usual")


def _change(workspace_id: int, contact_id: int, action: str, actor: str, actor_id: int | None) -> None:
    for act in _projections:
        act(workspace_id, [contact_id])
    journal.note(workspace_id, actor, action, actor_id=actor_id, contact=contact_id)
