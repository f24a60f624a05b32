"""A figure of a report kept as a segment: as a rule where the segment language can say it, else as a fixed list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from envol.accounts.models import Member, Workspace
from envol.audience import engine, segments
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.contacts import filling, people
from envol.contacts.models import List
from envol.insight.people import behind

MOST = 200_000  # people of a fixed list; more are better described by a rule

# What the language says about a sending: figure → field.
_SAID = {
    "clicked": "mail.clicked",
    "opened": "mail.opened",
    "unsubscribed": "mail.unsubscribed",
    "delivered": "mail.delivered",
    "accepted": "mail.sent",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """``fixed`` is the list behind the segment where no rule could say who was meant: nobody joins it by herself."""

    segment: Segment
    people: int
    fixed: List | None = None


class TooMany(ValueError):
    """More people than a fixed list takes; the sentence says what to do."""


def rule_for(sending_ids: Sequence[int], figure: str) -> dict[str, Any] | None:
    """The figure in the segment language, or None when it cannot say it."""
    field = _SAID.get(figure)
    if field is None or not sending_ids:
        return None
    rules = [{"field": field, "op": "at_least", "value": 1, "where": {"sending": int(id)}} for id in sending_ids]
    return {"v": 1, "match": "any", "rules": rules}


def keep(workspace: Workspace, sending_ids: Sequence[int], figure: str, name: str, member: Member) -> Kept:
    """Make the segment. A rule is taken only if it means exactly the people of the figure now.

    Raises ValueError for a figure there is not, :class:`TooMany`, SegmentProblem.
    """
    found = behind(sending_ids, figure)
    count, _erased = found.counted()
    name = _free(workspace, name)
    tree = rule_for(sending_ids, figure)
    if tree is not None and _count(workspace, tree) == count:
        return Kept(segments.save(workspace, name, tree, actor_id=member.pk), count)
    if count > MOST:
        raise TooMany(
            _("A fixed list takes at most %(most)s people, and these are %(n)s. Describe them by a segment instead.")
            % {"most": MOST, "n": count}
        )
    with transaction.atomic():
        fixed = List.objects.create(workspace=workspace, name=name)
        source = people.source(workspace, "member", _("Report"), actor=f"member {member.pk}")
        filling.join_all(fixed, found.ids(), source)
        tree = {"v": 1, "match": "all", "rules": [{"field": "list", "op": "on", "value": fixed.pk}]}
        return Kept(segments.save(workspace, name, tree, actor_id=member.pk, fixed=fixed), count, fixed)


def _count(workspace: Workspace, tree: dict[str, Any]) -> int | None:
    """None where the language does not know what the rule speaks of: it offers no resends, for one."""
    try:
        return engine.count(workspace, tree)
    except SegmentProblem:
        return None


def _free(workspace: Workspace, name: str) -> str:
    """The name, or the next one like it that neither a segment nor a list has."""
    name = " ".join(name.split())[:180] or _("From a report")
    taken = set(Segment.objects.filter(workspace=workspace, name__startswith=name).values_list("name", flat=True))
    taken |= set(List.objects.filter(workspace=workspace, name__startswith=name).values_list("name", flat=True))
    if name not in taken:
        return name
    return next(wanted for n in range(2, len(taken) + 3) if (wanted := f"{name} ({n})") not in taken)


__all__ = ["Kept", "SegmentProblem", "TooMany", "keep", "rule_for"]
