"""How alive somebody's interest is: new, active, cooling, inactive, dormant, never active, not known yet.

Each stage is a tree of ordinary rules, so every engine answers it and every answer can be explained. The signal is
what a person did: a click, an order, a reply, or an open of somebody who agreed to be measured; machines are not
people. Each person is in exactly one stage. Stages of purchase (``FUNNEL``) are made in the same way.
"""

from __future__ import annotations

from typing import Any

NEW_DAYS, ACTIVE_DAYS, COOLING_DAYS, INACTIVE_DAYS = 30, 90, 180, 365
NEVER_AFTER_DAYS, NEVER_AFTER_MAILS = 60, 8

LABELS = {
    "new": ("nouveau", "new"),
    "active": ("actif", "active"),
    "cooling": ("tiède", "cooling"),
    "inactive": ("inactif", "inactive"),
    "dormant": ("dormant", "dormant"),
    "never": ("jamais actif", "never active"),
    "open": ("pas encore connu", "not known yet"),
}
"""Stage → French and English; in French they agree with « stade »."""
READING_DAYS, BUYING_DAYS = 90, 365
FUNNEL = {
    "discovery": ("découverte", "discovery"),
    "interest": ("intérêt", "interest"),
    "first": ("premier achat", "first purchase"),
    "repeat": ("achats répétés", "repeat purchases"),
    "past": ("plus d’achat depuis un an", "no purchase for a year"),
}
"""The way from the first letter to the second order and out again: each person is in exactly one of these, too."""


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"match": "all", "rules": list(rules)}


def _none(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"match": "none", "rules": list(rules)}


def _signal(days: int | None, rhythms: int = 0) -> dict[str, Any]:
    """Did something in the last ``days`` days, or ever; or within so many times one's own rhythm."""
    if rhythms:
        own = {"field": "activity.rhythm", "op": "within", "value": rhythms}
        return {"match": "any", "rules": [*_signal(days)["rules"], own]}
    where = {"where": {"within_days": days}} if days is not None else {}
    clicked = {"field": "mail.clicked", "op": "at_least", "value": 1, **where}
    opened = {"field": "mail.opened", "op": "at_least", "value": 1, **where}
    ordered = {"field": "orders.count", "op": "gte", "value": 1, **where}
    replied = {"field": "mail.replied", "op": "at_least", "value": 1, **where}
    return {"match": "any", "rules": [clicked, opened, ordered, replied]}


_NEW = {"field": "created", "op": "in_last", "value": NEW_DAYS}
_NEVER = (
    {"field": "created", "op": "more_than_ago", "value": NEVER_AFTER_DAYS},
    {"field": "mail.delivered", "op": "at_least", "value": NEVER_AFTER_MAILS},
)


def _funnel(stage: str) -> dict[str, Any]:
    """Somebody who never ordered shows interest by a click or a reply; whoever ordered is told by orders alone."""
    lately = {"within_days": READING_DAYS}
    acted = [
        {"field": field, "op": "at_least", "value": 1, "where": lately} for field in ("mail.clicked", "mail.replied")
    ]
    ordered = {"field": "orders.count", "op": "gte", "value": 1}
    buying = {**ordered, "where": {"within_days": BUYING_DAYS}}
    twice = {**ordered, "value": 2}
    match stage:
        case "discovery":
            return _none(ordered, *acted)
        case "interest":
            return _all(_none(ordered), {"match": "any", "rules": acted})
        case "first":
            return _all(buying, _none(twice))
        case "repeat":
            return _all(buying, twice)
    return _all(ordered, _none(buying))


def _tree(stage: str, own: bool) -> dict[str, Any]:
    if stage in FUNNEL:
        return _funnel(stage)
    active, cooling, inactive = (
        _signal(days, times if own else 0) for days, times in ((ACTIVE_DAYS, 1), (COOLING_DAYS, 2), (INACTIVE_DAYS, 4))
    )
    match stage:
        case "new":
            return _all(_NEW)
        case "active":
            return _all(_none(_NEW), active)
        case "cooling":
            return _all(_none(_NEW, active), cooling)
        case "inactive":
            return _all(_none(_NEW, cooling), inactive)
        case "dormant":
            return _all(_none(_NEW, inactive), _signal(None))
        case "never":
            return _all(_none(_NEW, _signal(None)), *_NEVER)
    return _all(_none(_NEW, _signal(None), _all(*_NEVER)))


def meant(chosen: list[str], own: bool = False) -> dict[str, Any]:
    """The tree of "is in one of these stages"; ``own``: measured by each person's own rhythm."""
    return {"v": 1, "match": "any", "rules": [_tree(stage, own) for stage in chosen]}
