"""Work that calls of the API hand on: many people at once."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction
from django.utils import translation
from procrastinate.contrib.django import app

from envol.accounts.jobs import Progress
from envol.accounts.models import Job
from envol.api import calls, once
from envol.api.models import Batch
from envol.api.own import answers

AT_ONCE = 100
"""People that are taken in while the caller waits: what shops send after an order, or plugins page by page."""


def start(batch: Batch) -> None:
    """Now, where it takes a moment; else as a job of a worker."""
    from envol.api.rest import batches

    if len(batch.body["contacts"]) <= AT_ONCE:
        with Progress(batch.job.pk) as progress:
            progress.result = batches.work(batch, progress.at)
        return
    transaction.on_commit(lambda: take_in.defer(job_id=batch.job.pk))


@app.task(queue="imports", name="api.take_in")
def take_in(job_id: int) -> None:
    """Also again, from the beginning, when a worker died: taking in twice is taking in once."""
    from envol.api.rest import batches

    batch = Batch.objects.filter(job_id=job_id).select_related("key__workspace", "job").first()
    if batch is None:
        return
    with translation.override("en"), Progress(job_id) as progress:
        progress.result = batches.work(batch, progress.at)


def start_csv(job: Job) -> None:
    """By a worker: the importer commits by itself, and loads what no page may load."""
    transaction.on_commit(lambda: take_in_csv.defer(job_id=job.pk))


@app.task(queue="imports", name="api.take_in_csv")
def take_in_csv(job_id: int) -> None:
    """Taken up again where a worker died. What is wrong with the file is told with the job."""
    from envol.api import csv_work
    from envol.contacts.imports import ImportProblem

    job = Job.objects.get(pk=job_id)
    with suppress(ImportProblem), translation.override("en"), Progress(job_id) as progress:
        csv_work.work(job, progress)


@app.task(queue="imports", name="api.copy_list")
def copy_list(job_id: int) -> None:
    from envol.api.rest import list_copies

    job = Job.objects.select_related("workspace").get(pk=job_id)
    with translation.override("en"), Progress(job_id) as progress:
        list_copies.work(job, progress)


@app.periodic(cron="20 4 * * *")
@app.task(queue="house", name="api.forget_batches", queueing_lock="api.forget_batches")
def forget_batches(timestamp: int) -> None:
    """What a batch or a file held, and who got what once, is not kept longer than it is needed."""
    from envol.api import csv_work
    from envol.api.moving import jobs

    ended = Job.objects.filter(kind="api.contacts", state__in=("done", "failed", "cancelled"))
    Batch.objects.filter(job__in=ended).delete()
    csv_work.forget()
    once.forget()
    jobs.sweep()


@app.task(queue="imports", name="api.move_on")
def move_on(job_id: int, act: str) -> None:
    """A move from another service: read and try it, carry it out, or take it back."""
    from envol.api.moving import jobs

    with translation.override(Job.objects.values_list("workspace__language", flat=True).get(pk=job_id)):
        jobs.work(job_id, act)


@app.periodic(cron="40 * * * *")
@app.task(queue="house", name="api.forget_calls", queueing_lock="api.forget_calls")
def forget_calls(timestamp: int) -> None:
    """Kept answers for a day, logged calls for a week."""
    answers.forget()
    calls.forget()


@app.periodic(cron="50 * * * *")
@app.task(queue="house", name="api.end_asking", queueing_lock="api.end_asking")
def end_asking(timestamp: int) -> None:
    """Whoever was asked once for an agreement that nobody can prove may not be written to any more."""
    from envol.api.moving import asking

    asking.end()
