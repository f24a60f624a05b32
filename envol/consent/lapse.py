"""How long a permission lasts before the person must be asked again (GDPR art. 5(1)(e), 7).

No law sets the term; an organisation may, for each purpose. What is past it ends by itself every night as one line of
the ledger; whoever lapsed may agree again like anybody who was never asked. A term never ends anything in its first
thirty days, so that people can be asked before; their preference page then offers to keep the permission.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.consent import ledger, retention
from envol.consent.models import Purpose
from envol.db import rows, value

LONGEST = 120
AHEAD = timedelta(days=30)
SOON = timedelta(days=60)
"""Within this time of its end a permission may be renewed, and is worth asking about."""
BATCH = 5_000
STATE = "lapsed"

_GIVEN = (
    "consent_permission p WHERE p.workspace_id = %(w)s AND p.purpose_id = %(purpose)s AND p.until IS NULL"
    " AND p.state = 'granted' AND p.basis = 'consent' AND p.since < %(before)s"
)


class Ages(NamedTuple):
    """How many permissions are past their term, and how many will be within `SOON` (these too)."""

    over: int = 0
    soon: int = 0


def change(purpose: Purpose, months: int | None, member_id: int | None = None) -> None:
    """Set the term, or take it away (None). ValueError says what may be written."""
    if months is not None and not 0 < months <= LONGEST:
        raise ValueError(_("A term is 1 to %(n)s months.") % {"n": LONGEST})
    if purpose.kind == "transactional":
        raise ValueError(_("What a contract needs has no term: no permission is asked for it."))
    if months == purpose.months:
        return
    later = purpose.months is not None and months is not None and months > purpose.months
    kept = purpose.lapses_from if later else timezone.localdate() + AHEAD
    with transaction.atomic():
        purpose.months, purpose.lapses_from = months, kept if months is not None else None
        purpose.save(update_fields=["months", "lapses_from"])
        note(
            purpose.workspace, "member" if member_id else "command", "purpose.term", purpose, actor_id=member_id,
            key=purpose.key, months=months,
        )  # fmt: skip


def ends(purpose: Purpose, since: datetime) -> datetime | None:
    """When a permission of this purpose that was given then ends; None where there is no term."""
    if purpose.months is None:
        return None
    year, month = divmod(since.month - 1 + purpose.months, 12)
    year, month = since.year + year, month + 1
    for day in (since.day, 30, 29, 28):
        try:
            moment = since.replace(year=year, month=month, day=day)
            break
        except ValueError:
            continue
    if purpose.lapses_from is not None:
        moment = max(moment, datetime.combine(purpose.lapses_from, datetime.min.time(), UTC))
    return moment


def ages(purpose: Purpose, now: datetime | None = None) -> Ages:
    if purpose.months is None:
        return Ages()
    now = now or datetime.now(UTC)
    counted = [
        int(value(f"SELECT count(*) FROM {_GIVEN}", _about(purpose, retention.before(moment, purpose.months))) or 0)
        for moment in (now, now + SOON)
    ]
    return Ages(*counted)


def end(workspace_id: int, now: datetime | None = None) -> dict[str, int]:
    """End what is past its term; how many by purpose. Each step is whole, so it may be stopped anywhere."""
    now, done = now or datetime.now(UTC), {}
    zone = Workspace.objects.values_list("time_zone", flat=True).get(pk=workspace_id)
    today = _day(now, zone)
    for purpose in Purpose.objects.filter(workspace_id=workspace_id, months__isnull=False).order_by("bit"):
        assert purpose.months is not None
        if purpose.lapses_from is not None and purpose.lapses_from > today:
            continue
        before, many = retention.before(now, purpose.months), 0
        while step := _step(purpose, before, now):
            many += step
        if many:
            done[purpose.key] = many
            note(workspace_id, "job", "purpose.lapsed", purpose, key=purpose.key, people=many)
    return done


def _day(now: datetime, zone: str) -> date:
    return now.astimezone(ZoneInfo(zone)).date()


def _step(purpose: Purpose, before: datetime, now: datetime) -> int:
    with transaction.atomic():
        ledger.lock(purpose.workspace_id)  # nobody renews between reading and ending
        found = rows(f"SELECT p.contact_id FROM {_GIVEN} ORDER BY p.contact_id LIMIT {BATCH}", _about(purpose, before))
        lines = [
            ledger.Line(contact, purpose.pk, STATE, "consent", now, None, f"term of {purpose.months} months")
            for (contact,) in found
        ]
        if lines:
            ledger.append(purpose.workspace_id, lines, at=now)
    return len(lines)


def _about(purpose: Purpose, before: datetime) -> dict[str, object]:
    return {"w": purpose.workspace_id, "purpose": purpose.pk, "before": before}
