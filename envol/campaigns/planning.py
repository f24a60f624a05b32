"""Before the decision: what is usual here, when it would leave, how long it takes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.audience.days import Days
from envol.campaigns.checks import KINDS
from envol.campaigns.refusals import Refused
from envol.outbound import states
from envol.outbound.models import Sending

UNUSUAL = 10  # times the usual audience, above which the number must be typed
MANY = 1000
FAR = timedelta(days=366)
_LAST = 10
_TELLING = 50  # people, below which a sending says nothing about speed


@dataclass(frozen=True, slots=True)
class Usual:
    """People of a usual sending of this workspace, and its messages a second; None before the first."""

    people: int | None
    rate: float | None

    def must_type(self, allowed: int) -> bool:
        """Is this so much more than usual that the number has to be typed?"""
        return allowed > MANY if self.people is None else allowed > UNUSUAL * max(self.people, 1)

    def minutes(self, people: int) -> int | None:
        """How long it takes, when that is known."""
        return max(1, round(people / self.rate / 60)) if self.rate and people else None


def usual(workspace: Workspace) -> Usual:
    """Told by the last ten sendings that ended."""
    recent = Sending.objects.filter(workspace=workspace, kind__in=KINDS, ended_at__isnull=False)
    found = [s for s in recent.order_by("-id")[:_LAST] if s.started_at]
    told = states.totals([s.id for s in found])
    sizes = {id: totals["accepted"] for id, totals in told.items() if totals.get("accepted")}
    rates = [
        sizes[s.id] / max((s.ended_at - s.started_at).total_seconds(), 1.0)
        for s in found
        if s.started_at and s.ended_at and sizes.get(s.id, 0) >= _TELLING
    ]
    return Usual(
        int(statistics.median(sizes.values())) if sizes else None,
        statistics.median(rates) if rates else None,
    )


def moment(workspace: Workspace, day: str, hour: str, *, now: datetime | None = None) -> datetime:
    """The instant at which the workspace's clock shows this day (2027-03-01) and hour (14:05).

    Raises Refused with a sentence: not a day, passed, too far away, or an hour that the change to summer time
    leaves out. An hour that comes twice in the autumn means the first of the two.
    """
    try:
        wanted = datetime.combine(date.fromisoformat(day.strip()), time.fromisoformat(hour.strip()))
    except ValueError:
        raise Refused(_("Choose a day and an hour for the sending.")) from None
    now = now or timezone.now()
    zone = Days.of(now, workspace.time_zone).zone
    at = wanted.replace(tzinfo=zone)
    there = at.astimezone(UTC).astimezone(zone)
    if there.replace(tzinfo=None) != wanted:
        raise Refused(
            _("The clocks go forward that night and %(hour)s does not exist in %(zone)s: choose %(next)s or later.")
            % {"hour": f"{wanted:%H:%M}", "zone": zone.key, "next": f"{there:%H:%M}"}
        )
    if at <= now:
        raise Refused(
            _("%(hour)s on that day has passed: it is %(now)s in %(zone)s. Choose a later hour, or send at once.")
            % {"hour": f"{wanted:%H:%M}", "now": f"{now.astimezone(zone):%H:%M}", "zone": zone.key}
        )
    if at > now + FAR:
        raise Refused(_("That is more than a year away: check the year."))
    return at.astimezone(UTC)
