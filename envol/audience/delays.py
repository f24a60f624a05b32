"""After how many days people buy of a category again: until then nobody offers it to who just bought it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envol import db
from envol.accounts import journal
from envol.accounts.models import Workspace
from envol.audience.models import RepurchaseDelay, Scoring

DELAY = 30  # days where nobody said otherwise
MOST = 3650
ENOUGH = 20  # people who bought again, below which a median says nothing


@dataclass(frozen=True, slots=True)
class Delay:
    """``days`` that hold; ``own``: set for this category. ``again``: the median of the ``people`` who bought again."""

    category: str
    days: int
    own: bool
    buyers: int
    again: int | None
    people: int


def default(workspace: Workspace) -> int:
    found = RepurchaseDelay.objects.filter(workspace=workspace, category="").values_list("days", flat=True).first()
    return DELAY if found is None else found


def set_days(workspace: Workspace, category: str, days: int | None, *, actor_id: int | None = None) -> None:
    """Give a category ("": all without their own) its delay; None: what holds for all again."""
    key = category.strip().lower()
    if days is None:
        RepurchaseDelay.objects.filter(workspace=workspace, category=key).delete()
    else:
        assert 0 <= days <= MOST
        RepurchaseDelay.objects.update_or_create(workspace=workspace, category=key, defaults={"days": days})
    journal.note(workspace, "member", "delay.changed", actor_id=actor_id, category=key, days=days)


def gaps(workspace: Workspace, limit: int = 200) -> list[list[Any]]:
    """[category, buyers, median days until the same was bought again, people who did], most bought first."""
    return [
        [row["category"], row["buyers"], None if row["gap"] is None else round(row["gap"]), row["people"]]
        for row in db.dicts(db.sql("audience", "repurchase"), {"workspace": workspace.pk, "limit": limit})
    ]


def table(workspace: Workspace) -> list[Delay]:
    """The categories of the orders as of the last computation, and those that were given a delay."""
    scoring = Scoring.objects.filter(workspace=workspace).first()
    kept = {one.category: one.days for one in RepurchaseDelay.objects.filter(workspace=workspace).exclude(category="")}
    usual = default(workspace)
    made = []
    for key, buyers, gap, people in scoring.figures.get("repurchase", ()) if scoring else ():
        again = gap if people >= ENOUGH else None
        own = key in kept
        made.append(Delay(key, kept.pop(key, usual), own, buyers, again, people))
    return made + [Delay(key, days, True, 0, None, 0) for key, days in sorted(kept.items())]
