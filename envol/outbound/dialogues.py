"""The full dialogue of each attempt, kept for a set time (`dialogue_days`) and without the person's address.

A courier writes outcomes in batches; the dialogues of a batch are one compressed row written by the same statement. It
is found again by the moment of that transaction, so nothing is indexed for each message.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings

from envol import db
from envol.db_role import as_owner
from envol.wire.smtp.transcript import without_address, written

if TYPE_CHECKING:
    from envol.outbound.settle import Result

LEVEL = 1
"""Of compression: the next levels gain a tenth and cost twice as much."""
MOST_PACK = 8 << 20


def pack(results: Sequence[Result]) -> bytes | None:
    """The dialogues of a batch as kept; None when there is nothing to keep."""
    if not settings.ENVOL.dialogue_days:
        return None
    openings: dict[str, int] = {}
    lines: list[list[Any]] = []
    for result in results:
        if result.dialogue is None:
            continue
        opening, talk = result.dialogue
        row = result.row
        said = without_address(written(talk), row.address)
        lines.append([row.sending.id, row.no, openings.setdefault(opening, len(openings)), said])
    if not lines:
        return None
    return zlib.compress(json.dumps([list(openings), lines], ensure_ascii=False).encode("utf-8", "replace"), LEVEL)


def hexadecimal(packed: bytes | None) -> str | None:
    """As PostgreSQL reads a bytea that is given as text."""
    return None if packed is None else "\\x" + packed.hex()


def found(sending_id: int, no: int, moments: Iterable[datetime]) -> dict[datetime, str]:
    """What was said to one recipient, by the moment at which that attempt was written down."""
    answer: dict[datetime, str] = {}
    wanted = list(moments)
    if not wanted:
        return answer
    with as_owner():  # a pack holds what several workspaces sent at that moment
        packs = db.rows("SELECT at, pack FROM outbound_dialogue WHERE at = ANY(%s)", [wanted])
    for at, packed in packs:
        openings, lines = json.loads(zlib.decompressobj().decompress(bytes(packed), MOST_PACK))
        for its_sending, its_no, opening, said in lines:
            if (its_sending, its_no) == (sending_id, no):
                answer[at] = "\n".join(part for part in (openings[opening].rstrip("\n"), said) if part)
    return answer


def sweep() -> int:
    """Drop what was kept long enough; how many batches."""
    return db.execute(
        "DELETE FROM outbound_dialogue WHERE at < now() - make_interval(days => %s)", [settings.ENVOL.dialogue_days]
    )
