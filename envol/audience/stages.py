"""How alive somebody's interest is: new, active, cooling, inactive, dormant, never active, not known yet.

Each stage is a tree of ordinary rules, so every engine answers it and every answer can be explained. The signal is
what a person did: a click, an order, or an open of somebody who agreed to be measured; machines are not people. Each
person is in exactly one stage.
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


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"match": "all", "rules": list(rules)}


def _none(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"match": "none", "rules": list(rules)}


def _signal(days: int | None) -> dict[str, Any]:
    """Did something in the last ``days`` days, or ever."""
    where = {"where": {"within_days": days}} if days is not None else {}
    clicked = {"field": "mail.clicked", "op": "at_least", "value": 1, **where}
    opened = {"field": "mail.opened", "op": "at_least", "value": 1, **where}
    ordered = {"field": "orders.count", "op": "gte", "value": 1, **where}
    return {"match": "any", "rules": [clicked, opened, ordered]}


_NEW = {"field": "created", "op": "in_last", "value": NEW_DAYS}
_NEVER = (
    {"field": "created", "op": "more_than_ago", "value": NEVER_AFTER_DAYS},
    {"field": "mail.delivered", "op": "at_least", "value": NEVER_AFTER_MAILS},
)


def _tree(stage: str) -> dict[str, Any]:
    match stage:
        case "new":
            return _all(_NEW)
        case "active":
            return _all(_none(_NEW), _signal(ACTIVE_DAYS))
        case "cooling":
            return _all(_none(_NEW, _signal(ACTIVE_DAYS)), _signal(COOLING_DAYS))
        case "inactive":
            return _all(_none(_NEW, _signal(COOLING_DAYS)), _signal(INACTIVE_DAYS))
        case "dormant":
            return _all(_none(_NEW, _signal(INACTIVE_DAYS)), _signal(None))
        case "never":
            return _all(_none(_NEW, _signal(None)), *_NEVER)
    return _all(_none(_NEW, _signal(None), _all(*_NEVER)))


def meant(chosen: list[str]) -> dict[str, Any]:
    """The tree of "is in one of these stages"."""
    return {"v": 1, "match": "any", "rules": [_tree(stage) for stage in chosen]}
