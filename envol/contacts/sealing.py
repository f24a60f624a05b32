"""Values of sensitive properties are kept sealed, each by itself (GDPR art. 9, 32(1)(a)).

What lies in ``props`` is ``{"sealed": "<number of the key>.<base64>"}``: AES-256-GCM under a data key of the workspace,
which is itself sealed under the installation's key. So a copy of the database without the secret tells nothing of
them, and no rule, search or columnar copy can ask for them. `catalogue.canonical` seals what comes in; whoever may see
a value opens it here.

A data key is turned by `turn`: a new one seals from then on, what the old ones sealed follows, and an old one is
destroyed when nothing can bring it back: undoing acts and imports reaches seven days back.
"""

from __future__ import annotations

import json
import os
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import transaction
from django.utils import timezone

from envol.accounts.keys import seal, unseal
from envol.accounts.models import Workspace
from envol.contacts.models import DataKey, Property
from envol.contacts.search import NAMES
from envol.db import execute, rows

SEALED = "sealed"
KEPT = timedelta(days=8)  # an old key, once a newer one is there
_FRESH = 5.0  # seconds that a process goes on with the newest key it knows
_BATCH = 1_000

Tell = Callable[[int, int | None, str], None]

_newest: dict[int, tuple[float, int]] = {}


def is_sealed(value: Any) -> bool:
    return isinstance(value, dict) and SEALED in value


def seals(property: Property) -> bool:
    """Are values of this property kept sealed? Names are not: they are what people are found by."""
    return property.sensitive and property.key not in NAMES


def sealed(workspace_id: int, value: Any) -> dict[str, str]:
    """``value`` (canonical) as it is kept."""
    number = _number(workspace_id)
    nonce = os.urandom(12)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    octets = nonce + AESGCM(_key(number)).encrypt(nonce, text, _bound(workspace_id))
    return {SEALED: f"{number}.{b64encode(octets).decode()}"}


def opened(workspace_id: int, value: Any) -> Any:
    """The value that was sealed; any other as it is. None where it cannot be opened: its key is gone, or not ours."""
    if not is_sealed(value):
        return value
    number, _, text = str(value[SEALED]).partition(".")
    try:
        octets = b64decode(text, validate=True)
        return json.loads(AESGCM(_key(int(number))).decrypt(octets[:12], octets[12:], _bound(workspace_id)))
    except (ValueError, InvalidTag, DataKey.DoesNotExist):
        return None


def all_opened(workspace_id: int, props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: opened(workspace_id, value) for key, value in props.items()}


def _bound(workspace_id: int) -> bytes:
    return f"workspace {workspace_id}".encode()


def _number(workspace_id: int) -> int:
    """The key that seals now; the first one is made when it is needed."""
    known = _newest.get(workspace_id)
    if known is None or time.monotonic() - known[0] >= _FRESH:
        found = DataKey.objects.filter(workspace_id=workspace_id).order_by("-pk").values_list("pk", flat=True).first()
        known = (time.monotonic(), found or _make(workspace_id))
        _newest[workspace_id] = known
    return known[1]


def _make(workspace_id: int) -> int:
    made = DataKey.objects.create(
        workspace_id=workspace_id, wrapped=seal(AESGCM.generate_key(256), f"data key {workspace_id}")
    )
    _newest[workspace_id] = (time.monotonic(), made.pk)
    return made.pk


@lru_cache(maxsize=1024)
def _key(number: int) -> bytes:
    row = DataKey.objects.get(pk=number)
    return unseal(row.wrapped, f"data key {row.workspace_id}")


# -- what was kept before ----------------------------------------------------------------------


def turn(workspace: Workspace, tell: Tell | None = None) -> int:
    """A new data key, and everything sealed anew under it; how many values."""
    _make(workspace.pk)
    return follow(workspace.pk, tell)


def follow(workspace_id: int, tell: Tell | None = None) -> int:
    """Bring every value to what its property asks for now: sealed under the newest key, or open; how many changed."""
    done = 0
    for one in Property.objects.filter(workspace_id=workspace_id).order_by("id"):
        for table in ("contacts_contact", "contacts_property_history"):
            done += _follow(one, table, tell, done)
    return done


_HELD = {
    "contacts_contact": (
        "SELECT id, props -> %(key)s FROM contacts_contact WHERE workspace_id = %(w)s AND id > %(after)s"
        " AND props ? %(key)s AND {} ORDER BY id LIMIT %(most)s FOR UPDATE",
        "UPDATE contacts_contact c SET props = c.props || jsonb_build_object(%(key)s::text, g.value::jsonb)"
        " FROM unnest(%(ids)s::bigint[], %(values)s::text[]) AS g (id, value) WHERE c.id = g.id",
        "props -> %(key)s",
    ),
    "contacts_property_history": (
        "SELECT id, value FROM contacts_property_history WHERE workspace_id = %(w)s AND key = %(key)s"
        " AND id > %(after)s AND {} ORDER BY id LIMIT %(most)s FOR UPDATE",
        "UPDATE contacts_property_history h SET value = g.value::jsonb"
        " FROM unnest(%(ids)s::bigint[], %(values)s::text[]) AS g (id, value) WHERE h.id = g.id",
        "value",
    ),
}


def _follow(one: Property, table: str, tell: Tell | None, before: int) -> int:
    select, update, place = _HELD[table]
    is_open = f"NOT coalesce(jsonb_typeof({place}) = 'object' AND {place} ? '{SEALED}', false)"
    old = f"split_part({place} ->> '{SEALED}', '.', 1) IS DISTINCT FROM %(number)s"
    wrong = f"({is_open} OR {old})" if seals(one) else f"NOT ({is_open})"
    given: dict[str, Any] = {"w": one.workspace_id, "key": one.key, "most": _BATCH, "after": 0, "number": ""}
    done = 0
    while True:
        with transaction.atomic():
            if seals(one):
                given["number"] = str(_number(one.workspace_id))
            found = rows(select.format(f"{place} <> 'null' AND {wrong}"), given)
            values = [opened(one.workspace_id, json.loads(value)) for _, value in found]
            kept = [
                (row_id, sealed(one.workspace_id, value) if seals(one) else value)
                for (row_id, _), value in zip(found, values, strict=True)
                if value is not None  # what nobody can open any more stays as it is
            ]
            if kept:
                texts = [json.dumps(value, ensure_ascii=False) for _, value in kept]
                execute(update, {**given, "ids": [row_id for row_id, _ in kept], "values": texts})
        done += len(kept)
        if tell is not None:
            tell(before + done, None, "sealing")
        if len(found) < _BATCH:
            return done
        given["after"] = found[-1][0]


def sweep() -> int:
    """Each night: what old keys sealed follows the newest, and keys that nothing can need any more are destroyed."""
    gone = 0
    keyed = DataKey.objects.values_list("workspace_id", flat=True)
    for workspace_id in keyed.union(Property.objects.filter(sensitive=True).values_list("workspace_id", flat=True)):
        follow(workspace_id)
        newest = DataKey.objects.filter(workspace_id=workspace_id).order_by("-pk").first()
        if newest is not None and newest.made_at < timezone.now() - KEPT:
            gone += DataKey.objects.filter(workspace_id=workspace_id, pk__lt=newest.pk).delete()[0]
    return gone
