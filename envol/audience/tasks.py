"""Jobs of the queue for the worker, by the clock: each runs once, however many workers there are."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone
from procrastinate.contrib.django import app

if TYPE_CHECKING:
    from envol.accounts.models import Job, Workspace

SCORES = "audience.scores"
INTERESTS = "audience.interests"

# Every process reads this file at start; what the jobs need is imported when they run.


@app.periodic(cron="* * * * *")
@app.task(queue="house", name="audience.columns", queueing_lock="audience.columns", lock="audience.columns")
def write_columns(timestamp: int) -> None:
    """Every minute: columns that are missing or have fallen behind are written anew."""
    from envol.audience.columns import upkeep

    upkeep.look_after()


@app.periodic(cron="*/10 * * * *")
@app.task(queue="house", name="audience.clickhouse", queueing_lock="audience.clickhouse", lock="audience.clickhouse")
def copy_into_clickhouse(timestamp: int) -> None:
    """Every ten minutes, where a ClickHouse is named: copies that are missing or behind, and the erased out of them."""
    from django.conf import settings

    if settings.ENVOL.clickhouse:
        from envol.audience.clickhouse import upkeep

        upkeep.look_after()


@app.periodic(cron="7 * * * *")
@app.task(queue="house", name="audience.nightly_scores", queueing_lock="audience.nightly_scores")
def nightly_scores(timestamp: int) -> None:
    """Once in each workspace's night, as soon as it is three o'clock there; a night that was missed is caught up."""
    from envol.accounts.models import Workspace
    from envol.audience import expected, scores
    from envol.audience.days import Days
    from envol.audience.models import Scoring
    from envol.contacts.models import Order

    known = dict(Scoring.objects.values_list("workspace_id", "reference"))
    for workspace in Workspace.objects.order_by("pk"):
        local = timezone.now().astimezone(Days.of(timezone.now(), workspace.time_zone).zone)
        done = known.get(workspace.pk)
        if local.hour < 3 or (done is not None and done >= local.date()):
            continue
        if done is not None or Order.objects.filter(workspace_id=workspace.pk).exists():
            scores.compute(workspace)
            expected.compute(workspace)


@app.periodic(cron="*/10 * * * *")
@app.task(queue="house", name="audience.follow", queueing_lock="audience.follow", lock="audience.follow")
def follow_segments(timestamp: int) -> None:
    """Every ten minutes: who entered and left the segments that are followed."""
    from envol.audience import following

    following.look_at_all()


@app.periodic(cron="37 * * * *")
@app.task(queue="house", name="audience.sizes", queueing_lock="audience.sizes")
def keep_sizes(timestamp: int) -> None:
    """Once in each workspace's day: how many people every segment holds."""
    from envol.audience import following

    following.keep_sizes()


def start_scores(workspace: Workspace) -> Job:
    """Compute scores now; the job is what people watch. One that waits or runs already is that job."""
    from envol.accounts.models import Job

    mine = Job.objects.filter(workspace=workspace, kind=SCORES, state__in=["waiting", "running"])
    found = mine.filter(created_at__gt=timezone.now() - timedelta(hours=1)).order_by("-pk").first()
    if found is None:
        found = Job.objects.create(workspace=workspace, kind=SCORES, total=4)
        compute_scores.defer(workspace_id=workspace.pk, job_id=found.pk)
    return found


@app.task(queue="imports", name="audience.scores")
def compute_scores(workspace_id: int, job_id: int) -> None:
    from envol.accounts.jobs import Progress
    from envol.accounts.models import Workspace
    from envol.audience import expected, scores

    with Progress(job_id) as progress:
        progress.at(0, 4, "scores", force=True)
        workspace = Workspace.objects.get(pk=workspace_id)
        made = scores.compute(workspace, tell=progress.at)
        expected.compute(workspace)
        progress.result = {"buyers": made.buyers if made else 0}


@app.periodic(cron="17 * * * *")
@app.task(queue="house", name="audience.nightly_interests", queueing_lock="audience.nightly_interests")
def nightly_interests(timestamp: int) -> None:
    """Once in each workspace's night, where there are topics; a night that was missed is caught up."""
    from django.conf import settings

    from envol.accounts.models import Workspace
    from envol.audience import interests, reasons, topics
    from envol.audience.days import Days
    from envol.audience.models import Inference

    topics.sweep()
    for room in (interests, reasons):
        room.sweep(settings.ENVOL.event_months)
    known = dict(Inference.objects.values_list("workspace_id", "reference"))
    for workspace in Workspace.objects.filter(topics__removed_at=None, topics__isnull=False).distinct().order_by("pk"):
        local = timezone.now().astimezone(Days.of(timezone.now(), workspace.time_zone).zone)
        done = known.get(workspace.pk)
        if local.hour >= 3 and (done is None or done < local.date()):
            interests.infer(workspace)


def start_interests(workspace: Workspace) -> Job:
    """Infer interests now; the job is what people watch. One that waits or runs already is that job."""
    from envol.accounts.models import Job

    mine = Job.objects.filter(workspace=workspace, kind=INTERESTS, state__in=["waiting", "running"])
    found = mine.filter(created_at__gt=timezone.now() - timedelta(hours=1)).order_by("-pk").first()
    if found is None:
        found = Job.objects.create(workspace=workspace, kind=INTERESTS, total=3)
        infer_interests.defer(workspace_id=workspace.pk, job_id=found.pk)
    return found


@app.task(queue="imports", name="audience.interests")
def infer_interests(workspace_id: int, job_id: int) -> None:
    from envol.accounts.jobs import Progress
    from envol.accounts.models import Workspace
    from envol.audience import interests

    with Progress(job_id) as progress:
        progress.at(0, 3, "reading", force=True)
        made = interests.infer(Workspace.objects.get(pk=workspace_id), tell=progress.at)
        progress.result = {"people": made.people, "gained": made.gained, "lost": made.lost}


@app.periodic(cron="37 2 * * *")
@app.task(queue="house", name="audience.nightly_rhythm", queueing_lock="audience.nightly_rhythm")
def nightly_rhythm(timestamp: int) -> None:
    """Everybody's habits anew, and their own rhythm where stages follow it."""
    from envol.accounts.models import Workspace
    from envol.audience import habits, rhythm

    for workspace in Workspace.objects.order_by("pk"):
        habits.count(workspace)
    for workspace in Workspace.objects.filter(rhythm__on=True).order_by("pk"):
        rhythm.count(workspace)
