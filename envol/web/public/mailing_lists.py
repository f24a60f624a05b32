"""How somebody takes the mailing lists she is on: each message, or one a day. On her own page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from envol.outbound import archive, digests
from envol.web.public.choices import Visitor


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    title: str
    daily: bool
    archive: str  # the path of what was written to it, or nothing


def rows(who: Visitor) -> list[Row]:
    """The mailing lists that she is on."""
    if who.contact is None:
        return []
    found = digests.lists_of(who.workspace.id, who.contact.id)
    token = who.preferences.rpartition("/")[2]
    return [
        Row(f"list_{one.pk}", one.title, daily, f"/l/{token}/{one.pk}" if one.archive != archive.NONE else "")
        for one, daily in found
    ]


def choose(who: Visitor, form: Mapping[str, str]) -> bool:
    """Make it so; lists that were not on the form stay as they are."""
    if who.contact is None:
        return False
    changed = False
    for one, _daily in digests.lists_of(who.workspace.id, who.contact.id):
        if (how := form.get(f"list_{one.pk}")) in ("each", "daily"):
            changed |= digests.choose(one, who.contact.id, daily=how == "daily")
    return changed
