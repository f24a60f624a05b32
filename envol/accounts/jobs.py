"""Long work that people can watch, leave and stop.

The work itself is a Procrastinate task; this row is what people see. Progress is written on a
connection of its own transaction, at most twice a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from envol.accounts.models import Job, Workspace


class Cancelled(Exception):
    """Somebody asked that this job stop; everything written so far is in order."""


def last(workspace: Workspace, kind: str, object_id: int | None = None) -> Job | None:
    """The newest job of a kind, about one thing or about the workspace."""
    return Job.objects.filter(workspace=workspace, kind=kind, object_id=object_id).order_by("-id").first()


def once(workspace: Workspace, kind: str, begin: Callable[[Job], None], object_id: int | None = None) -> Job:
    """The job that is under way, or a new one, which ``begin`` notes and defers in the same transaction.

    Two people who ask at the same moment get the same job: the workspace's row is held until one of them has it.
    """
    with transaction.atomic():
        Workspace.objects.select_for_update().only("id").get(id=workspace.pk)
        going = last(workspace, kind, object_id)
        if going is not None and going.state in ("waiting", "running"):
            return going
        job = Job.objects.create(workspace=workspace, kind=kind, object_id=object_id)
        begin(job)
    return job


class Progress:
    """``with Progress(job_id) as p: p.at(done, total, step)`` keeps the row true until the end.

    Leaving the block without error ends the job as done, with :class:`Cancelled` as cancelled, and
    with anything else as failed (the sentence of the error is kept, and the error goes on).
    """

    def __init__(self, job_id: int, every: float = 0.5) -> None:
        self._id = job_id
        self._every = every
        self._next = 0.0
        self.result: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        Job.objects.filter(id=self._id).update(state="running", started_at=Now(), ended_at=None, error="")
        return self

    def at(self, done: int, total: int | None = None, step: str = "", *, force: bool = False) -> None:
        """Say how far the work is; raises :class:`Cancelled` when somebody asked to stop."""
        now = time.monotonic()
        if now < self._next and not force:
            return
        self._next = now + self._every
        change: dict[str, Any] = {"done": done}
        if total is not None:
            change["total"] = total
        if step:
            change["step"] = step
        jobs = Job.objects.filter(id=self._id)
        jobs.update(**change)
        if jobs.values_list("cancel_requested", flat=True).first():
            raise Cancelled

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        state = "done" if error is None else "cancelled" if isinstance(error, Cancelled) else "failed"
        sentence = "" if state != "failed" else str(error) or type(error).__name__
        Job.objects.filter(id=self._id).update(state=state, error=sentence, result=self.result, ended_at=Now())
        return isinstance(error, Cancelled)


def cancel(job_id: int) -> bool:
    """Ask a waiting or running job to stop; False when it has ended already."""
    return bool(Job.objects.filter(id=job_id, state__in=["waiting", "running"]).update(cancel_requested=True))


def figures(workspace_id: int, job_id: int) -> dict[str, Any] | None:
    """How far a job is, as plain values; None when this workspace has no such job."""
    job = Job.objects.filter(workspace_id=workspace_id, id=job_id).first()
    if job is None:
        return None
    return {"state": job.state, "done": job.done, "total": job.total, "step": job.step}
