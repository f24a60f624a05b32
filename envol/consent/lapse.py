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
from django.db.models import Q
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


# What a former system said counts from the day on which it was taken over: its own dates may be years old.
_TAKEN_OVER = (
    "consent_permission p JOIN consent_evidence e ON e.id = p.evidence_id AND e.strength = 'legacy'"
    " WHERE p.workspace_id = %(w)s AND p.purpose_id = %(purpose)s AND p.until IS NULL AND p.state = 'granted'"
    " AND p.basis = 'consent' AND e.created_at < %(before)s"
)


class Ages(NamedTuple):
    """How many permissions are past their term, and how many will be within `SOON` (these too)."""

    over: int = 0
    soon: int = 0


def change(purpose: Purpose, months: int | None, member_id: int | None = None, *, legacy: bool = False) -> None:
    """Set the term, or take it away (None); ``legacy``: that of what was taken over from a former system. ValueError
    says what may be written."""
    if months is not None and not 0 < months <= LONGEST:
        raise ValueError(_("A term is 1 to %(n)s months.") % {"n": LONGEST})
    if purpose.kind == "transactional":
        raise ValueError(_("What a contract needs has no term: no permission is asked for it."))
    term, begins = ("legacy_months", "legacy_from") if legacy else ("months", "lapses_from")
    before = getattr(purpose, term)
    if months == before:
        return
    later = before is not None and months is not None and months > before
    kept = getattr(purpose, begins) if later else purpose.workspace.today() + AHEAD
    with transaction.atomic():
        setattr(purpose, term, months)
        setattr(purpose, begins, kept if months is not None else None)
        purpose.save(update_fields=[term, begins])
        note(
            purpose.workspace, "member" if member_id else "command", "purpose.term", purpose, actor_id=member_id,
            key=purpose.key, months=months, legacy=legacy,
        )  # fmt: skip


def ends(purpose: Purpose, since: datetime) -> datetime | None:
    """When a permission of this purpose that was given then ends; None where there is no term."""
    return _end_of(since, purpose.months, purpose.lapses_from)


def ends_by(purpose: Purpose, since: datetime, taken_over: datetime | None) -> datetime | None:
    """The same of one that may have been ``taken_over`` from a former system on a day: the earlier of both terms."""
    found = [ends(purpose, since)]
    if taken_over is not None:
        found.append(_end_of(taken_over, purpose.legacy_months, purpose.legacy_from))
    return min((one for one in found if one is not None), default=None)


def _end_of(since: datetime, months: int | None, begins: date | None) -> datetime | None:
    if months is None:
        return None
    year, month = divmod(since.month - 1 + months, 12)
    try:
        moment = since.replace(year=since.year + year, month=month + 1)
    except ValueError:  # there is no such day: the last of that month ends (Regulation 1182/71 art. 3(2)(c))
        year, month = divmod(since.month + months, 12)
        moment = datetime(since.year + year, month + 1, 1, tzinfo=since.tzinfo)
    return max(moment, datetime.combine(begins, datetime.min.time(), UTC)) if begins is not None else moment


def ages(purpose: Purpose, now: datetime | None = None, *, legacy: bool = False) -> Ages:
    months, given = (purpose.legacy_months, _TAKEN_OVER) if legacy else (purpose.months, _GIVEN)
    if months is None:
        return Ages()
    now = now or datetime.now(UTC)
    counted = [
        int(value(f"SELECT count(*) FROM {given}", _about(purpose, retention.before(moment, months))) or 0)
        for moment in (now, now + SOON)
    ]
    return Ages(*counted)


def taken_over(purpose: Purpose) -> int:
    """How many present permissions rest on what a former system said."""
    return int(value(f"SELECT count(*) FROM {_TAKEN_OVER}", _about(purpose, datetime.now(UTC) + AHEAD)) or 0)


def end(workspace_id: int, now: datetime | None = None) -> dict[str, int]:
    """End what is past its term; how many by purpose. Each step is whole, so it may be stopped anywhere."""
    now, done = now or datetime.now(UTC), {}
    zone = Workspace.objects.values_list("time_zone", flat=True).get(pk=workspace_id)
    today = _day(now, zone)
    termed = Q(months__isnull=False) | Q(legacy_months__isnull=False)
    for purpose in Purpose.objects.filter(termed, workspace_id=workspace_id).order_by("bit"):
        many = 0
        for given, months, begins in (
            (_GIVEN, purpose.months, purpose.lapses_from), (_TAKEN_OVER, purpose.legacy_months, purpose.legacy_from),
        ):  # fmt: skip
            if months is None or (begins is not None and begins > today):
                continue
            while step := _step(purpose, given, months, now):
                many += step
        if many:
            done[purpose.key] = many
            note(workspace_id, "job", "purpose.lapsed", purpose, key=purpose.key, people=many)
    return done


def _day(now: datetime, zone: str) -> date:
    return now.astimezone(ZoneInfo(zone)).date()


def _step(purpose: Purpose, given: str, months: int, now: datetime) -> int:
    before = retention.before(now, months)
    with transaction.atomic():
        ledger.lock(purpose.workspace_id)  # nobody renews between reading and ending
        found = rows(f"SELECT p.contact_id FROM {given} ORDER BY p.contact_id LIMIT {BATCH}", _about(purpose, before))
        lines = [
            ledger.Line(contact, purpose.pk, STATE, "consent", now, None, f"term of {months} months")
            for (contact,) in found
        ]
        if lines:
            ledger.append(purpose.workspace_id, lines, at=now)
    return len(lines)


def _about(purpose: Purpose, before: datetime) -> dict[str, object]:
    return {"w": purpose.workspace_id, "purpose": purpose.pk, "before": before}
