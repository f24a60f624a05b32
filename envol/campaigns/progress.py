"""Is it going well? How far a campaign's last sending is: for its page, and for whoever listens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from envol import db
from envol.accounts.models import Job
from envol.campaigns.checks import KINDS, late, latest_sending
from envol.campaigns.models import Campaign, State
from envol.outbound import states
from envol.outbound.models import Sending, SendingState

ENDED = (State.SENT, State.STOPPED, State.FAILED)
RUNNING = (State.SCHEDULED, State.PREPARING, State.SENDING, State.PAUSED)
WINDOW = timedelta(minutes=15)
LARGE = 50_000  # people, above which the rhythm is told by minutes and not by steps of ten seconds
COUNTDOWN = 3600  # from here on a start is told in seconds


@dataclass(frozen=True, slots=True)
class Progress:
    """``rate`` is messages a second: now while it runs, over the whole sending once it ended."""

    sending: Sending
    state: str
    counts: dict[str, int]
    done: int
    waiting: int  # never tried yet
    rate: float
    minutes: int | None
    seconds: int | None  # until it starts, when that is soon
    late: bool
    obstacle: states.Obstacle | None

    @property
    def total(self) -> int:
        return self.counts["accepted"]

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def quarter(self) -> int:
        """0 to 4: what is announced to whoever listens to the page."""
        return 4 * self.done // self.total if self.total and self.state != State.PREPARING else 0


def of(campaign: Campaign, now: datetime | None = None) -> Progress | None:
    """The progress of the last sending; None when there was none."""
    sending = latest_sending(campaign)
    if sending is None:
        return None
    now = now or timezone.now()
    counts = states.counts(sending.id)
    done = sum(counts[state] for state in states.FINAL)
    left = counts["accepted"] - done
    running = campaign.state in (State.SENDING, State.PREPARING)
    rate = states.pace(sending.id, sending.started_at or now, now) if running else 0.0
    if not running and sending.started_at and sending.ended_at:
        rate = done / max((sending.ended_at - sending.started_at).total_seconds(), 1.0)
    seconds = int((sending.not_before - now).total_seconds()) + 1
    return Progress(
        sending=sending,
        state=campaign.state,
        counts=counts,
        done=done,
        waiting=left - counts["deferred"],
        rate=rate,
        minutes=max(1, round(left / rate / 60)) if running and rate and left else None,
        seconds=seconds
        if campaign.state == State.SCHEDULED and sending.state != SendingState.HELD and 0 < seconds <= COUNTDOWN
        else None,
        late=campaign.state == State.SCHEDULED and late(sending, now),
        obstacle=states.obstacle(sending.id) if running and counts["deferred"] else None,
    )


def figures(workspace_id: int, campaign_id: int) -> dict[str, Any] | None:
    """Progress as plain values; None when this workspace has no such campaign."""
    campaign = Campaign.objects.filter(workspace_id=workspace_id, pk=campaign_id).first()
    if campaign is None:
        return None
    found = of(campaign)
    if found is None:
        return {"state": campaign.state}
    return {
        "state": found.state,
        "sending": found.sending.id,
        "starts": int(found.sending.not_before.timestamp()),
        "total": found.total,
        "done": found.done,
        "rate": round(found.rate, 1),
        **{name: found.counts[name] for name in ("delivered", "bounced", "deferred")},
    }


def bustle(workspace_id: int) -> dict[str, Any]:
    """What moves in a workspace: what runs, and what ended a short while ago. Cheap: every open page asks."""
    recently = timezone.now() - WINDOW
    campaigns = Campaign.objects.filter(workspace_id=workspace_id, state__in=RUNNING).order_by("-pk")
    jobs = Job.objects.filter(workspace_id=workspace_id, kind__startswith="import.")
    running_jobs = jobs.filter(state__in=["waiting", "running"]).order_by("-id")
    return {
        "campaigns": [list(row) for row in campaigns.values_list("pk", "state")[:20]],
        "imports": list(running_jobs.values_list("object_id", flat=True)[:20]),
        "ended": [f"campaign.{s.campaign_id}.{s.id}" for s in ended_since(workspace_id, recently)]
        + [f"import.{job.object_id}.{job.pk}" for job in imports_since(workspace_id, recently)],
    }


def ended_since(workspace_id: int, moment: datetime) -> list[Sending]:
    """Sendings of campaigns that were sent, stopped or failed since, the last one first."""
    found = Sending.objects.filter(workspace_id=workspace_id, kind__in=KINDS, ended_at__gte=moment)
    # Taken back before it began is no news: somebody sat in front of it.
    return list(found.filter(state__in=ENDED, started_at__isnull=False).order_by("-ended_at")[:20])


def imports_since(workspace_id: int, moment: datetime) -> list[Job]:
    """Imports that ended since, the last one first."""
    found = Job.objects.filter(workspace_id=workspace_id, kind__startswith="import.", ended_at__gte=moment)
    return list(found.order_by("-ended_at")[:20])


def rhythm(
    sending_id: int, until: datetime, *, window: timedelta = WINDOW, large: bool = False
) -> list[tuple[int, float]]:
    """Deliveries a second over the window before ``until``: (seconds since 1970, rate) for each step.

    Steps before the first delivery are left out; one without any delivery is a true zero. A ``large`` sending is told
    by minutes, because its outcomes are too many to be read one by one.
    """
    step = 60 if large else 10
    last = int(until.timestamp()) // step * step
    found: dict[int, int] = dict(
        db.rows(
            db.sql("outbound", "live_rate_large" if large else "live_rate"),
            {"sending": sending_id, "since": until - window, "step": step},
        )
    )
    found = {at: count for at, count in found.items() if at < last}  # the last step is still being filled
    if not found:
        return []
    return [(at, found.get(at, 0) / step) for at in range(min(found), last, step)]
