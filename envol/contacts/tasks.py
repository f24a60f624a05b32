"""Jobs of people: imports in the background, where the engine's libraries may be loaded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import structlog
from django.utils import timezone, translation
from procrastinate.contrib.django import app

from envol.accounts.jobs import Progress
from envol.accounts.journal import note
from envol.accounts.models import Job, Member, Workspace
from envol.contacts import bulk, export_files, imports, masks, sealing
from envol.contacts.models import BulkAct, Export, Import

log = structlog.get_logger()


def _speaking(asked: Import | BulkAct | Export) -> Any:
    """What a job says (why it failed, which lines it refused) is in the language of whoever started it."""
    member = Member.objects.filter(pk=asked.member_id).select_related("user").first() if asked.member_id else None
    return translation.override(member.user.language if member else asked.workspace.language)


def start(imp: Import, act: str) -> Job:
    """Put ``dry_run``, ``run`` or ``undo`` of an import into the queue; the job is what people watch and stop."""
    task = {"dry_run": dry_run_import, "run": run_import, "undo": undo_import}[act]
    job = Job.objects.create(workspace_id=imp.workspace_id, kind=f"import.{act}", object_id=imp.pk)
    imp.job_id = job.pk
    imp.save(update_fields=["job_id"])
    task.defer(import_id=imp.pk, job_id=job.pk)
    return job


@app.task(queue="imports", name="contacts.dry_run_import")
def dry_run_import(import_id: int, job_id: int) -> None:
    imp = Import.objects.get(pk=import_id)
    with _speaking(imp), Progress(job_id) as progress:
        progress.at(0, None, "reading", force=True)
        progress.result = imports.dry_run(imp, progress.at)


@app.task(queue="imports", name="contacts.run_import")
def run_import(import_id: int, job_id: int) -> None:
    """Run, or go on where a stopped worker left off."""
    imp = Import.objects.get(pk=import_id)
    with _speaking(imp), Progress(job_id) as progress:
        progress.at(0, None, "reading", force=True)
        if imp.state in ("done", "undone"):  # the worker died between the last commit and its answer
            progress.result = imp.counts
            return
        try:
            progress.result = imports.run(imp, progress.at)
        finally:
            progress.result = progress.result or imp.counts


@app.task(queue="imports", name="contacts.undo_import")
def undo_import(import_id: int, job_id: int) -> None:
    imp = Import.objects.get(pk=import_id)
    with _speaking(imp), Progress(job_id) as progress:
        progress.at(0, None, "undoing", force=True)
        progress.result = imp.counts["undone"] if imp.state == "undone" else imports.undo(imp)


@app.periodic(cron="* * * * *")
@app.task(queue="house", name="contacts.follow_search", queueing_lock="contacts.follow_search")
def follow_search(timestamp: int) -> None:
    """Every minute: whoever is new or renamed can be found by any part of a name; imports go first."""
    from envol.contacts import search

    lately = timezone.now() - timedelta(hours=2)  # a job that was torn off says for ever that it runs
    if not Job.objects.filter(kind="import.run", state="running", started_at__gt=lately).exists():
        search.follow()


# -- one act on many people --------------------------------------------------------------------


def start_bulk(act: BulkAct, *, undo: bool = False) -> Job | None:
    """Do an act now when it is small (the answer is None), else put it into the queue as a job to watch."""
    size = int(act.counts.get("changed", 0)) if undo else bulk.expected(act)
    if size <= bulk.AT_ONCE:
        bulk.undo(act) if undo else bulk.apply(act)
        return None
    kind = f"bulk.{'undo' if undo else act.act}"
    job = Job.objects.create(workspace_id=act.workspace.pk, kind=kind, object_id=act.pk, total=size)
    act.job_id = job.pk
    act.save(update_fields=["job_id"])
    (undo_bulk if undo else apply_bulk).defer(bulk_id=act.pk, job_id=job.pk)
    return job


@app.task(queue="imports", name="contacts.apply_bulk")
def apply_bulk(bulk_id: int, job_id: int) -> None:
    """Do it, or go on where a stopped worker left off."""
    act = BulkAct.objects.get(pk=bulk_id)
    with _speaking(act), Progress(job_id) as progress:
        progress.at(0, None, "reading", force=True)
        if act.state in ("done", "undone"):  # the worker died between the last commit and its answer
            progress.result = act.counts
            return
        try:
            bulk.apply(act, progress.at)
        finally:
            progress.result = act.counts


@app.task(queue="imports", name="contacts.undo_bulk")
def undo_bulk(bulk_id: int, job_id: int) -> None:
    act = BulkAct.objects.get(pk=bulk_id)
    with _speaking(act), Progress(job_id) as progress:
        progress.at(0, None, "undoing", force=True)
        progress.result = act.counts["undone"] if act.state == "undone" else bulk.undo(act, progress.at)


# -- people as a file --------------------------------------------------------------------------


def start_export(export: Export) -> Job:
    """Put the making of a file into the queue; the job is what people watch and stop."""
    job = Job.objects.create(workspace=export.workspace, kind="export", object_id=export.pk)
    Export.objects.filter(pk=export.pk).update(job_id=job.pk)
    make_export.defer(export_id=export.pk, job_id=job.pk)
    return job


@app.task(queue="imports", name="contacts.make_export")
def make_export(export_id: int, job_id: int) -> None:
    """Make the file; a stopped worker's is made anew."""
    export = Export.objects.select_related("workspace").get(pk=export_id)
    with _speaking(export), Progress(job_id) as progress:
        progress.at(0, None, "reading", force=True)
        if export.state in ("waiting", "running"):
            progress.result = export_files.write(export, progress.at)


@app.periodic(cron="23 * * * *")
@app.task(queue="house", name="contacts.sweep_exports", queueing_lock="contacts.sweep_exports")
def sweep_exports(timestamp: int) -> None:
    """Every hour: files that waited their time go, those that nobody took in as well."""
    from envol.contacts.imports import kept

    export_files.sweep()
    kept.sweep()


# -- sensitive values --------------------------------------------------------------------------


def start_sealing(workspace: Workspace, *, turn: bool = False) -> Job:
    """Seal or open what is kept, as its property now asks; ``turn``: all of it under a new key."""
    job = Job.objects.create(workspace=workspace, kind="sealing")
    seal_values.defer(workspace_id=workspace.pk, job_id=job.pk, turn=turn)
    return job


@app.task(queue="imports", name="contacts.seal_values", lock="contacts.seal_values")
def seal_values(workspace_id: int, job_id: int, turn: bool) -> None:
    """Taken up again after a kill it goes on: what is sealed already is left alone."""
    with Progress(job_id) as progress:
        workspace = Workspace.objects.get(pk=workspace_id)
        changed = sealing.turn(workspace, progress.at) if turn else sealing.follow(workspace_id, progress.at)
        progress.result = {"changed": changed}


@app.periodic(cron="40 3 * * *")
@app.task(queue="house", name="contacts.sweep_data_keys", queueing_lock="contacts.sweep_data_keys")
def sweep_data_keys(timestamp: int) -> None:
    sealing.sweep()


@app.periodic(cron="14 2 * * *")
@app.task(queue="house", name="contacts.compare_masks", queueing_lock="contacts.compare_masks")
def compare_masks(timestamp: int) -> None:
    """Every night: what each contact's row says of permissions is held against the ledger, and put right.

    Where it differs that is a bug of ours: owners read it in the journal.
    """
    for workspace in Workspace.objects.order_by("pk"):
        if wrong := masks.rebuild_masks(workspace):
            log.error("permissions on contacts differed from the ledger", workspace=workspace.pk, rows=wrong)
            note(workspace, "job", "masks.mended", rows=wrong)
