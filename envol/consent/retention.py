"""How long people's data are kept, and what goes when the time is over (GDPR art. 5(1)(e)).

The terms and where they come from are data (``data/retention.json``); an organisation may shorten each as it likes and
lengthen it with a reason. Every night what is over goes, in small steps that can be stopped and taken up anywhere;
`preview` says beforehand what that would be. A hold keeps one person's data while there is a dispute.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent.models_rights import Hold, RetentionRule, RightsRequest

LONGEST = 360
BATCH = 200
MOST = 10_000
"""What a preview counts up to, and what one night deletes of one category and workspace at most."""

HOLD_SQL = (
    "EXISTS (SELECT FROM consent_hold h WHERE h.workspace_id = {0}.workspace_id AND h.contact_id = {0}.id"
    " AND h.until IS NULL)"
)
"""Is this row of contacts held?"""

Find = Callable[[int, datetime, int], Sequence[int]]
Delete = Callable[[int, Sequence[int]], int]
_ways: dict[str, tuple[Find, Delete]] = {}


class Term(NamedTuple):
    """One category as it is kept here."""

    key: str
    months: int
    default: int
    source: str
    counted_from: str
    reason: str


def register(category: str, find: Find, delete: Delete) -> None:
    """``find(workspace_id, before, most)`` gives ids of what is over, ``delete`` takes them away."""
    _ways[category] = (find, delete)


@cache
def defaults() -> list[dict[str, Any]]:
    file = Path(__file__).parent / "data" / "retention.json"
    found: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))["categories"]
    return found


def terms(workspace_id: int) -> list[Term]:
    own = {rule.category: rule for rule in RetentionRule.objects.filter(workspace_id=workspace_id)}
    made = []
    for one in defaults():
        rule = own.get(one["key"])
        months = rule.months if rule else one["months"]
        reason = rule.reason if rule else ""
        made.append(Term(one["key"], months, one["months"], one["source"], one["from"], reason))
    return made


def change(workspace: Workspace, category: str, months: int, reason: str, member_id: int) -> None:
    """Shorter needs no reason, longer than the default does. ValueError says what is missing."""
    found = next((one for one in defaults() if one["key"] == category), None)
    if found is None or not 0 < months <= LONGEST:
        raise ValueError(_("A term is 1 to %(n)s months.") % {"n": LONGEST})
    reason = " ".join(reason.split())[:300]
    if months > found["months"] and not reason:
        raise ValueError(_("Say why it has to be longer than usual: somebody will ask."))
    with transaction.atomic():
        RetentionRule.objects.update_or_create(
            workspace_id=workspace.pk,
            category=category,
            defaults={"months": months, "reason": reason, "member_id": member_id, "at": datetime.now(UTC)},
        )
        note(workspace, "member", "retention.changed", actor_id=member_id, category=category, months=months)


def before(now: datetime, months: int) -> datetime:
    """What began before this moment is over: a calendar term. Where its last month has no such day, it ends with that
    month (Regulation 1182/71 art. 3(2)(c))."""
    year, month = divmod(now.month - 1 - months, 12)
    year, month = now.year + year, month + 1
    for day in (now.day, 30, 29, 28):
        try:
            return now.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def preview(workspace_id: int, now: datetime | None = None) -> dict[str, int]:
    """How many of each category would go now; `MOST` and one more stands for more."""
    now = now or datetime.now(UTC)
    return {
        one.key: len(_ways[one.key][0](workspace_id, before(now, one.months), MOST + 1))
        for one in terms(workspace_id)
        if one.key in _ways
    }


def run(workspace_id: int, now: datetime | None = None) -> dict[str, int]:
    """Take away what is over; how many of each. Each step is whole, so it may be stopped anywhere."""
    now, gone = now or datetime.now(UTC), {}
    for one in terms(workspace_id):
        if one.key not in _ways:
            continue
        find, delete = _ways[one.key]
        done = 0
        while done < MOST and (ids := find(workspace_id, before(now, one.months), BATCH)):
            step = delete(workspace_id, ids)
            done += step
            if not step:
                break
        if done:
            gone[one.key] = done
            note(workspace_id, "job", "retention.deleted", category=one.key, rows=done)
    return gone


def hold(workspace: Workspace, contact_id: int, reason: str, member_id: int) -> Hold:
    reason = " ".join(reason.split())[:300]
    if not reason:
        raise ValueError(_("Say which dispute: a hold without a reason cannot be justified."))
    with transaction.atomic():
        made, _new = Hold.objects.get_or_create(
            workspace_id=workspace.pk, contact_id=contact_id, until=None,
            defaults={"reason": reason, "member_id": member_id},
        )  # fmt: skip
        note(workspace, "member", "hold.set", actor_id=member_id, contact=contact_id)
    return made


def release(workspace: Workspace, hold_id: int, member_id: int) -> bool:
    with transaction.atomic():
        done = Hold.objects.filter(workspace_id=workspace.pk, pk=hold_id, until=None).update(until=datetime.now(UTC))
        if done:
            note(workspace, "member", "hold.released", actor_id=member_id, hold=hold_id)
    return bool(done)


def held(workspace_id: int, contact_id: int) -> bool:
    return Hold.objects.filter(workspace_id=workspace_id, contact_id=contact_id, until=None).exists()


def _over(workspace_id: int, moment: datetime, most: int) -> Sequence[int]:
    mine = RightsRequest.objects.filter(workspace_id=workspace_id, ended_at__lt=moment)
    return list(mine.order_by("pk").values_list("pk", flat=True)[:most])


def _forget(workspace_id: int, ids: Sequence[int]) -> int:
    found = RightsRequest.objects.filter(workspace_id=workspace_id, pk__in=ids)
    n = found.count()
    found.delete()
    return n


register("requests", _over, _forget)
