"""The last calls of programs, for whoever looks for a mistake: when, which key, method, path, status, milliseconds.

No body, no query and no address is kept. A call costs an entry in memory; `flush` writes what gathered, every few
seconds, in one statement. Of a busy workspace it writes some of each stretch, refusals before others, so that neither
the table nor the page is flooded by what goes well. What a process had not written when it died is lost.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import NamedTuple

from envol import db_role
from envol.accounts.models import ApiKey
from envol.db import execute

EVERY = 2.0  # seconds between two writes
MOST_AT_ONCE = 100  # of one workspace and write
MOST_KEPT = 5000  # of one workspace
KEPT = "7 days"
_PERSON = re.compile(r"[^/]*(?:@|%40)[^/]*", re.IGNORECASE)


class Call(NamedTuple):
    workspace_id: int
    key_id: int
    at: datetime
    method: str
    path: str
    status: int
    ms: int


_waiting: deque[Call] = deque(maxlen=20_000)


def note(key: ApiKey, method: str, path: str, status: int, began: float) -> None:
    """``began``: by `time.monotonic`. An address that stands in the path is left out of it."""
    ms = int((time.monotonic() - began) * 1000)
    shown = _PERSON.sub("…", path)[:120].replace("\0", "")
    _waiting.append(Call(key.workspace_id, key.pk, datetime.now(UTC), method[:8], shown, status, ms))


def flush() -> int:
    """Write what gathered in this process; how many were written."""
    found: dict[int, list[Call]] = defaultdict(list)
    while _waiting:
        try:
            one = _waiting.popleft()
        except IndexError:  # another thread was faster
            break
        found[one.workspace_id].append(one)
    chosen: list[Call] = []
    for calls in found.values():
        calls.sort(key=lambda one: (one.status < 400, -one.at.timestamp()))
        chosen += calls[:MOST_AT_ONCE]
    if not chosen:
        return 0
    chosen.sort(key=lambda one: one.at)
    with db_role.as_owner():  # one statement for every workspace
        return execute(
            "INSERT INTO api_logged_call (workspace_id, key_id, at, method, path, status, ms)"
            " SELECT k.workspace_id, k.id, c.at, c.method, c.path, c.status, c.ms"
            " FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::text[], %s::int[], %s::int[])"
            " WITH ORDINALITY AS c (key_id, at, method, path, status, ms, no)"
            " JOIN accounts_api_key k ON k.id = c.key_id ORDER BY c.no",
            [list(column) for column in list(zip(*chosen, strict=True))[1:]],
        )


def forget() -> int:
    """Drop what is old, and of each workspace what is more than anybody reads."""
    old = execute(f"DELETE FROM api_logged_call WHERE at < now() - interval '{KEPT}'")
    return old + execute(
        "DELETE FROM api_logged_call c USING accounts_workspace w WHERE c.workspace_id = w.id AND c.id <="
        " (SELECT l.id FROM api_logged_call l WHERE l.workspace_id = w.id ORDER BY l.id DESC OFFSET %s LIMIT 1)",
        [MOST_KEPT],
    )
