"""Who gets nothing more, known by keyed digest alone, so that a refusal outlives the person's erasure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext

from envol.accounts.journal import note
from envol.accounts.workspaces import address_digest, digest_key
from envol.db import execute, rows, value

SCOPES = ("all", "marketing")
ERASED = "erased"
"""Reason of a person who had her data erased: she is not to be taken in again by others."""

Projection = Callable[[int, Sequence[str]], None]
_projections: list[Projection] = []
_known_by: list[Callable[[int], Iterable[str]]] = []


class Suppressed(NamedTuple):
    """The strictest of what is known: scope ``all`` covers ``marketing``.

    ``erased``: she had her data erased, others may not take her in again; ``objected``: the scope
    ``marketing`` stands, whether or not ``all`` does too.
    """

    scope: str
    reason: str
    erased: bool = False
    objected: bool = False


def on_change(act: Projection) -> Projection:
    """Run ``act(workspace_id, email_keys)`` in the transaction that changes what these may get."""
    _projections.append(act)
    return act


def known_by(find: Callable[[int], Iterable[str]]) -> None:
    """``find(workspace_id)`` gives the normalised addresses of people who are here and on the list.

    The list holds digests: when one of its lines ends by itself, this is how the person behind it is recognised.
    """
    _known_by.append(find)


def digest_many(workspace_id: int, email_keys: Iterable[str]) -> list[bytes]:
    """`address_digest` of many normalised addresses, at about 1 µs each: the pads are hashed once."""
    key = digest_key(workspace_id).ljust(64, b"\0")  # RFC 2104; the key is 32 octets
    inner = hashlib.sha256(bytes(x ^ 0x36 for x in key)).copy
    outer = hashlib.sha256(bytes(x ^ 0x5C for x in key)).copy
    digests = []
    for email_key in email_keys:
        first, second = inner(), outer()
        first.update(email_key.encode())
        second.update(first.digest())
        digests.append(second.digest())
    return digests


def add(
    workspace_id: int,
    email_key: str,
    scope: str,
    reason: str,
    cause: str,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
) -> bool:
    """Suppress one address; True when it was not in this scope before.

    ``reason`` is a word (hard_bounce, complaint, objection, erased…), ``cause`` the event that led here
    ("outcome 12/3456"), never the address. The first reason is kept, except that an erasure takes over.
    """
    return add_many(workspace_id, [email_key], scope, reason, cause, at=at, until=until) > 0


def add_erased(workspace_id: int, digest: bytes, cause: str, at: datetime) -> bool:
    """The refusal that an erasure leaves, where nothing but the digest is known any more: a restore."""
    return bool(
        execute(
            "INSERT INTO consent_suppression (workspace_id, digest, scope, reason, cause, at)"
            " VALUES (%s, %s, 'marketing', %s, %s, %s) ON CONFLICT DO NOTHING",
            [workspace_id, digest, ERASED, cause[:120], at],
        )
    )


def add_many(
    workspace_id: int,
    email_keys: Sequence[str],
    scope: str,
    reason: str,
    cause: str,
    *,
    at: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """`add` for many; how many were new. ``until``: it ends by itself; whatever comes for longer takes its place."""
    if scope not in SCOPES:
        raise ValueError(f"Suppression is for {' or '.join(SCOPES)}; not {scope!r}.")
    if not cause or "@" in cause:
        raise ValueError("Say which event caused the suppression, without the address.")
    email_keys = sorted(set(email_keys))  # always in one order: two calls cannot block each other
    if not email_keys:
        return 0
    with transaction.atomic():
        new = rows(
            "INSERT INTO consent_suppression AS s (workspace_id, digest, scope, reason, cause, at, until)"
            " SELECT %(w)s, d, %(scope)s, %(reason)s, %(cause)s, coalesce(%(at)s, now()), %(until)s"
            " FROM unnest(%(digests)s::bytea[]) d"
            " ON CONFLICT (workspace_id, digest, scope) DO UPDATE SET reason = excluded.reason,"
            " cause = left(excluded.cause || '; before: ' || s.reason, 120), until = excluded.until"
            " WHERE (excluded.reason = 'erased' AND s.reason <> 'erased')"
            " OR (s.until IS NOT NULL AND coalesce(excluded.until, 'infinity') > s.until)"
            " RETURNING xmax = 0",
            {
                "w": workspace_id,
                "scope": scope,
                "reason": reason[:30],
                "cause": cause[:120],
                "at": at,
                "until": until,
                "digests": digest_many(workspace_id, email_keys),
            },
        )
        for act in _projections:
            act(workspace_id, email_keys)
    return sum(1 for (fresh,) in new if fresh)


def lift(
    workspace_id: int, email_key: str, scope: str, cause: str, *, actor: str = "person", actor_id: int | None = None
) -> bool:
    """Take an address out of a scope: the person's own act, or a member's with a cause. Journaled."""
    if not cause or "@" in cause:
        raise ValueError(gettext("Say why the suppression is lifted, without the address."))
    with transaction.atomic():
        gone = execute(
            "DELETE FROM consent_suppression WHERE workspace_id = %s AND digest = %s AND scope = %s",
            [workspace_id, address_digest(workspace_id, email_key), scope],
        )
        if gone:
            note(workspace_id, actor, "suppression.lifted", actor_id=actor_id, scope=scope, cause=cause)
            for act in _projections:
                act(workspace_id, [email_key])
    return bool(gone)


HERS = frozenset({"complaint", "objection", "unsubscribed", ERASED})
"""Reasons that are acts of the person: nobody but she takes them back (GDPR art. 21(3))."""


class Entry(NamedTuple):
    """One line of the list: since when, why, and the event that led here."""

    scope: str
    reason: str
    cause: str
    at: datetime
    until: datetime | None = None
    digest: bytes = b""

    @property
    def hers(self) -> bool:
        """Decided by the person, or (scope marketing) nobody else's to decide: a member may not lift it."""
        return self.scope != "all" or self.reason in HERS


def entries(workspace_id: int, email_key: str) -> list[Entry]:
    """What the list says of one normalised address, found by its digest."""
    return [
        Entry(*row)
        for row in rows(
            "SELECT scope, reason, cause, at, until FROM consent_suppression WHERE workspace_id = %s AND digest = %s"
            " ORDER BY at",
            [workspace_id, address_digest(workspace_id, email_key)],
        )
    ]


def newest(
    workspace_id: int, most: int, *, scope: str = "", reason: str = "", before: tuple[datetime, bytes] | None = None
) -> list[Entry]:
    """The list, newest first, beginning below ``before`` (moment and digest of the last one seen)."""
    conditions = ["workspace_id = %(w)s"]
    given: dict[str, Any] = {"w": workspace_id, "scope": scope, "reason": reason, "most": most}
    if scope:
        conditions.append("scope = %(scope)s")
    if reason:
        conditions.append("reason = %(reason)s")
    if before is not None:
        conditions.append("(at, digest) < (%(at)s, %(digest)s)")
        given |= {"at": before[0], "digest": before[1]}
    return [
        Entry(row[0], row[1], row[2], row[3], row[4], bytes(row[5]))
        for row in rows(
            "SELECT scope, reason, cause, at, until, digest FROM consent_suppression"
            f" WHERE {' AND '.join(conditions)} ORDER BY at DESC, digest DESC LIMIT %(most)s",
            given,
        )
    ]


def expire() -> int:
    """Take away what ended by itself; how many lines. Asked every hour. Journaled once for each workspace."""
    gone = 0
    # Civil limitation is five years (Code civil art. 2224): until then the past must be told.
    execute("DELETE FROM consent_suppression_past WHERE ended < now() - interval '5 years'")
    for (workspace_id,) in rows("SELECT DISTINCT workspace_id FROM consent_suppression WHERE until <= now()"):
        with transaction.atomic():
            ended = rows(
                "DELETE FROM consent_suppression WHERE workspace_id = %s AND until <= now() RETURNING digest",
                [workspace_id],
            )
            wanted = {bytes(digest) for (digest,) in ended}
            if not wanted:
                continue
            keys = list(dict.fromkeys(key for find in _known_by for key in find(workspace_id)))
            people = [key for key, one in zip(keys, digest_many(workspace_id, keys), strict=True) if one in wanted]
            note(workspace_id, "job", "suppression.expired", addresses=len(wanted))
            for act in _projections:
                act(workspace_id, people)
            gone += len(ended)
    return gone


def lift_for(workspace_id: int, email_key: str, scope: str, why: str, *, actor_id: int) -> bool:
    """A member takes back a suppression that is no act of the person: a mailbox that works again. Journaled.

    PermissionError for what is hers. False when there was none.
    """
    found = next((entry for entry in entries(workspace_id, email_key) if entry.scope == scope), None)
    if found is None:
        return False
    if found.hers:
        raise PermissionError(gettext("Only the person herself can take this back."))
    return lift(workspace_id, email_key, scope, why, actor="member", actor_id=actor_id)


def reasons(workspace_id: int) -> list[tuple[str, str, int]]:
    """How many addresses by scope and reason, most first."""
    return [
        (scope, reason, count)
        for scope, reason, count in rows(
            "SELECT scope, reason, count(*) FROM consent_suppression WHERE workspace_id = %s"
            " GROUP BY scope, reason ORDER BY count(*) DESC, scope, reason",
            [workspace_id],
        )
    ]


def _strictest(found: Iterable[tuple[bytes, str, str]]) -> dict[bytes, Suppressed]:
    result: dict[bytes, Suppressed] = {}
    for digest, scope, reason in found:
        digest = bytes(digest)
        one = Suppressed(scope, reason, reason == ERASED, scope == "marketing")
        before = result.get(digest)
        if before is not None:
            strict = one if scope == "all" else before
            one = strict._replace(erased=one.erased or before.erased, objected=one.objected or before.objected)
        result[digest] = one
    return result


def lookup(workspace_id: int, email_keys: Iterable[str]) -> dict[str, Suppressed]:
    """Those of the normalised addresses that are suppressed, with scope and reason; the others are absent."""
    keys = list(dict.fromkeys(email_keys))
    digests = digest_many(workspace_id, keys)
    found = _strictest(
        rows(
            "SELECT digest, scope, reason FROM consent_suppression WHERE workspace_id = %s AND digest = ANY(%s)",
            [workspace_id, digests],
        )
        if keys
        else ()
    )
    return {key: found[digest] for key, digest in zip(keys, digests, strict=True) if digest in found}


def digests(workspace_id: int) -> dict[bytes, Suppressed]:
    """The whole list of a workspace, for an import: compare with `digest_many`."""
    return _strictest(
        rows("SELECT digest, scope, reason FROM consent_suppression WHERE workspace_id = %s", [workspace_id])
    )


def count(workspace_id: int) -> int:
    return int(value("SELECT count(DISTINCT digest) FROM consent_suppression WHERE workspace_id = %s", [workspace_id]))
