"""A move watched on a page: files or an account are read and tried by a worker; then somebody says yes, or no.

What was found waits beside the files of imports, readable by nobody else, until the move is done or dropped; a secret
of the former service lies there sealed and goes as soon as its account was read.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from django.utils import timezone

from envol.accounts import keys
from envol.accounts.jobs import Progress
from envol.accounts.models import Job, Workspace
from envol.api.moving import mailjet, move, read
from envol.api.moving.found import Found
from envol.contacts.imports.kept import KEPT
from envol.contacts.imports.receive import folder, refuse_when_full
from envol.contacts.models import Import
from envol.net import NotFetched


def _folder(job_id: int) -> Path:
    return folder() / f"move-{job_id}"


def begin(workspace: Workspace, facts: dict[str, Any], files: Iterable[tuple[str, Iterable[bytes]]] = ()) -> Job:
    """Keep what came and let a worker read it. ``facts``: purpose, member; of an account also address, key, secret.

    Raises ImportProblem when there is no room.
    """
    refuse_when_full()
    public = {name: facts[name] for name in ("purpose", "member") if name in facts}
    job = Job.objects.create(workspace=workspace, kind=move.KIND, step="reading", result=public)
    there = _folder(job.pk)
    there.mkdir(mode=0o700)
    for n, (name, pieces) in enumerate(files):
        with open(there / f"{n:03}-{Path(name).name[-80:]}", "xb") as out:
            for piece in pieces:
                out.write(piece)
    if facts.get("secret"):
        account = msgspec.json.encode({name: facts[name] for name in ("address", "key", "secret")})
        (there / "account").write_bytes(keys.seal(account, f"move {job.pk}"))
    start(job, "plan")
    return job


def start(job: Job, act: str) -> None:
    """``plan``, ``run`` or ``undo``, by a worker."""
    from envol.api.tasks import move_on  # the queue: only where something is put into it

    Job.objects.filter(pk=job.pk).update(state="waiting", ended_at=None, cancel_requested=False, done=0, total=None)
    move_on.defer(job_id=job.pk, act=act)


def work(job_id: int, act: str) -> None:
    {"plan": plan, "run": carry_out, "undo": undo}[act](job_id)


def plan(job_id: int) -> None:
    """Read and try. A failure is told on the page by its sentence."""
    job = Job.objects.select_related("workspace").get(pk=job_id)
    there = _folder(job_id)
    with Progress(job_id) as progress:
        progress.result = dict(job.result)
        found = _found(there) or _read(job, there)
        _keep(there, found)
        made = move.plan(
            job.workspace, found, purpose=job.result.get("purpose", ""), member_id=job.result.get("member"),
            tell=progress.at,
        )  # fmt: skip
        progress.result |= {"report": made.report, "import": made.imp.pk, "state": "tried"}
    Job.objects.filter(pk=job_id).update(object_id=made.imp.pk)


def _found(there: Path) -> Found | None:
    place = there / "found"
    return msgspec.json.decode(place.read_bytes(), type=Found) if place.is_file() else None


def _keep(there: Path, found: Found) -> None:
    """What was found, whole or not at all; the files that it was read from are needed no more."""
    new = there / "found.new"
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(msgspec.json.encode(found))
        out.flush()
        os.fsync(out.fileno())
    new.replace(there / "found")
    shutil.rmtree(there / "files", ignore_errors=True)


def forget(workspace_id: int, names: set[str]) -> int:
    """Take somebody out of what waits to be moved in (GDPR art. 17); in how many moves she was. ``names``: her address
    in small letters, as she writes it and as it is compared.

    Files that could not be read go whole: who is in them is not known.
    """
    gone = 0
    for job in Job.objects.filter(workspace_id=workspace_id, kind=move.KIND):
        there = _folder(job.pk)
        if not there.is_dir():
            continue
        found = _found(there)
        if found is not None:
            if names & found.people.keys():
                for name in names:
                    found.people.pop(name, None)
                _keep(there, found)
                gone += 1
        elif job.state in ("failed", "cancelled"):
            shutil.rmtree(there, ignore_errors=True)
    return gone


def sweep(now: datetime | None = None) -> int:
    """A move that nobody carried out is dropped after as long as a file that nobody took in; how many."""
    old = Job.objects.filter(kind=move.KIND, created_at__lt=(now or timezone.now()) - KEPT)
    waiting = [job for job in old.exclude(state__in=("waiting", "running")) if _folder(job.pk).is_dir()]
    for job in waiting:
        drop(job)
    return len(waiting)


def _read(job: Job, there: Path) -> Found:
    account = there / "account"
    if account.is_file():
        given = msgspec.json.decode(keys.unseal(account.read_bytes(), f"move {job.pk}"))
        account.unlink()
        try:
            return mailjet.read(mailjet.asking(given["address"], given["key"], given["secret"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise NotFetched("What answered there is not Mailjet’s API: look at the address.") from None
    # Names as they came: a file of an archive says by its name what it holds.
    named = there / "files"
    named.mkdir(exist_ok=True)
    paths = []
    for path in sorted(there.glob("[0-9][0-9][0-9]-*")):
        paths.append(named / path.name[4:])
        path.rename(paths[-1])
    return read.read(paths or sorted(named.iterdir()))


def carry_out(job_id: int) -> None:
    job = Job.objects.select_related("workspace").get(pk=job_id)
    found = _found(_folder(job_id))
    assert found is not None
    imp = Import.objects.get(workspace=job.workspace, pk=job.result["import"])
    report = job.result["report"]
    with Progress(job_id) as progress:
        progress.result = dict(job.result)
        made = move.Plan(imp, report["properties"], report["new_properties"], report)
        progress.result |= {"done": move.carry_out(job.workspace, found, made, progress.at, job=job), "state": "moved"}
    shutil.rmtree(_folder(job_id), ignore_errors=True)


def undo(job_id: int) -> None:
    job = Job.objects.select_related("workspace").get(pk=job_id)
    with Progress(job_id) as progress:
        progress.result = dict(job.result)
        progress.result |= {"left": move.undo(job.workspace, job_id, progress.at), "state": "undone"}


def drop(job: Job) -> None:
    """Nothing is taken in; what came goes."""
    imp = Import.objects.filter(workspace=job.workspace, pk=job.result.get("import", 0)).first()
    if imp is not None:
        move.discard(imp)
    shutil.rmtree(_folder(job.pk), ignore_errors=True)
    Job.objects.filter(pk=job.pk).update(state="cancelled", ended_at=timezone.now())
