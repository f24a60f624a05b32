"""What changed between two versions of a rule, in sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from envol.audience.catalogue import Catalogue
from envol.audience.language import Rule, SegmentProblem, parse, to_json, walk
from envol.audience.sentences import clause


@dataclass(frozen=True, slots=True)
class Change:
    """``kind``: added, removed, changed (a rule); match (all, any or none of the first group: ``before`` and ``after``
    are these words); grouping; unreadable (one of the two, ``after`` says why).
    """

    kind: str
    before: str = ""
    after: str = ""


def changes(before: dict[str, Any], after: dict[str, Any], catalogue: Catalogue, language: str) -> list[Change]:
    if before == after:
        return []
    try:
        old, new = parse(before, catalogue), parse(after, catalogue)
    except SegmentProblem as error:
        return [Change("unreadable", after=str(error))]
    found: list[Change] = []
    if old.match != new.match:
        found.append(Change("match", old.match, new.match))
    gone, come = _only(list(walk(old)), list(walk(new))), _only(list(walk(new)), list(walk(old)))
    for rule in gone:
        twin = next((other for other in come if other.field.key == rule.field.key), None)
        if twin is None:
            found.append(Change("removed", before=clause(rule, language)))
        else:
            come.remove(twin)
            found.append(Change("changed", clause(rule, language), clause(twin, language)))
    found += [Change("added", after=clause(rule, language)) for rule in come]
    return found or [Change("grouping")]


def _only(these: list[Rule], those: list[Rule]) -> list[Rule]:
    """Rules of these that those do not have, as often as they have more of them."""
    left = Counter(_key(rule) for rule in those)
    return list(_more(these, left))


def _more(these: list[Rule], left: Counter[str]) -> Iterator[Rule]:
    for rule in these:
        if left[_key(rule)]:
            left[_key(rule)] -= 1
        else:
            yield rule


def _key(rule: Rule) -> str:
    return json.dumps(to_json(rule), sort_keys=True)
