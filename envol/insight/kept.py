"""Reports of large sendings are kept while nothing happened to them: counting a million people takes seconds.

A report says when it was counted. It is kept as long as it is still true, and for a minute where something moves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django.core.cache import cache

from envol.accounts.models import Workspace
from envol.consent import ledger
from envol.db import is_large, rows
from envol.outbound.models import Send

SECONDS = 60.0
_KEPT = 86_400  # seconds after which a report that nobody asked for is forgotten
_MOVES = (
    "SELECT (SELECT row(count(*), sum(events), sum(people), sum(nameless))::text FROM events_counter"
    "         WHERE sending_id = ANY(%(ids)s)),"
    " (SELECT row(count(*), max(id))::text FROM outbound_tally WHERE sending_id = ANY(%(ids)s)),"
    " (SELECT row(count(*), sum(attempts))::text FROM outbound_retry WHERE sending_id = ANY(%(ids)s))"
)


def version(workspace: Workspace, sending_ids: Sequence[int]) -> tuple[Any, ...]:
    """What moves when a report does: reactions, outcomes, retries, and answers to who may be measured."""
    head = ledger.head(workspace.pk)
    return (head[0] if head else 0, *rows(_MOVES, {"ids": list(sending_ids)})[0])


def is_kept(workspace: Workspace, what: str, sending_ids: Sequence[int]) -> bool:
    """Is it there at once? Small ones always are."""
    return not is_large(Send._meta.db_table) or _found(workspace, what, sending_ids) is not None


def kept(workspace: Workspace, what: str, sending_ids: Sequence[int], make: Callable[[], Any]) -> Any:
    """``make()``, or what it gave when the same was asked before."""
    if not is_large(Send._meta.db_table):
        return make()
    if (found := _found(workspace, what, sending_ids)) is not None:
        return found[2]
    now, begun = version(workspace, sending_ids), time.time()
    made = make()
    cache.set(_key(workspace, what, sending_ids), (begun, now, made), _KEPT)
    return made


def _key(workspace: Workspace, what: str, sending_ids: Sequence[int]) -> str:
    return f"insight:{what}:{workspace.pk}:{workspace.opens_mode}:{workspace.clicks_mode}:" + ".".join(
        map(str, sorted(sending_ids))
    )


def _found(workspace: Workspace, what: str, sending_ids: Sequence[int]) -> tuple[float, Any, Any] | None:
    found: tuple[float, Any, Any] | None = cache.get(_key(workspace, what, sending_ids))
    if found is None:
        return None
    if time.time() - found[0] > SECONDS and found[1] != version(workspace, sending_ids):
        return None
    return found
