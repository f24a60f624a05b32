"""Work of consent outside requests: the whole ledger verified, what ends by itself ended, each chain noted nightly."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import gettext
from procrastinate.contrib.django import app

from envol.accounts import jobs
from envol.accounts.jobs import Cancelled, Progress
from envol.accounts.journal import note
from envol.accounts.models import Job, Workspace
from envol.consent import anchor, breaches, evidence_pack, ledger, overview, policies
from envol.consent.models import Breach, Origin, PolicyVersion
from envol.events.writing import request_mail

VERIFY = "consent.verify"
SHOWN = 20
"""Problems that the result keeps; the command line lists them all."""


def start_verify(workspace: Workspace, actor_id: int) -> Job:
    """Verify the ledger in the background; the job that is under way, when there is one."""

    def begin(job: Job) -> None:
        note(workspace, "member", "ledger.verified", actor_id=actor_id, job=job.pk)
        verify.defer(workspace_id=workspace.id, job_id=job.pk)

    return jobs.once(workspace, VERIFY, begin)


def last_verify(workspace: Workspace) -> Job | None:
    return jobs.last(workspace, VERIFY)


@app.task(queue="house", name="consent.verify")
def verify(workspace_id: int, job_id: int) -> None:
    """The work reads in one long transaction, in a thread of its own, so that what it tells is seen meanwhile."""
    known = _noted(workspace_id, job_id)
    seen = {"lines": 0}
    stop = False

    def tell(lines: int) -> None:
        seen["lines"] = lines
        if stop:
            raise Cancelled

    def work() -> ledger.Report:
        try:
            return ledger.verify(workspace_id, known=known, tell=tell)
        finally:
            connection.close()

    with Progress(job_id) as progress, ThreadPoolExecutor(1) as pool:
        progress.at(0, overview.lines(workspace_id), "reading", force=True)
        task = pool.submit(work)
        try:
            while not task.done():
                wait([task], timeout=0.5)
                progress.at(seen["lines"])
        except Cancelled:
            stop = True
            raise
        report = task.result()
        progress.at(report.lines, report.lines, force=True)
        progress.result = _result(report)


def _noted(workspace_id: int, job_id: int) -> tuple[int, bytes] | None:
    """The head that an earlier verification found in order: blocks cut off the end are missed by it."""
    before = (
        Job.objects.filter(workspace_id=workspace_id, kind=VERIFY, state="done", id__lt=job_id, result__ok=True)
        .order_by("-id")
        .first()
    )
    head = before.result.get("head") if before else None
    return (int(head[0]), bytes.fromhex(head[1])) if head else None


def _result(report: ledger.Report) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "blocks": report.blocks,
        "lines": report.lines,
        "readable": report.readable,
        "head": list(report.head) if report.head else None,
        "problems": [problem._asdict() for problem in report.problems[:SHOWN]],
        "found": len(report.problems),
    }


@app.periodic(cron="11 * * * *")
@app.task(queue="house", name="consent.expire", queueing_lock="consent.expire")
def expire(timestamp: int) -> None:
    """Every hour: suppressions that a member wrote for a time end."""
    from envol.consent import suppression

    suppression.expire()


@app.periodic(cron="25 3 * * *")
@app.task(queue="house", name="consent.anchor", queueing_lock="consent.anchor")
def note_anchors(timestamp: int) -> None:
    """Every night: where each chain stands, to the file beside the data, and by mail where a setting says to whom."""
    made = anchor.write()
    recipient = settings.ENVOL.anchor_to
    if made and recipient:
        text = gettext(
            "Where the ledgers of permissions stood. Keep this message: with it, envol consent verify --anchor FILE"
            " shows a ledger that was cut or written anew."
        )
        lines = "".join(one.line().decode() for one in made)
        request_mail(
            "ledger_anchor",
            recipient,
            {"subject": gettext("Where the ledger stood"), "text": f"{text}\n\n{lines}"},
            workspace_id=made[0].workspace_id,
            language=settings.LANGUAGE_CODE,
        )


TELL = "consent.tell"


def start_telling(breach: Breach, subject: str, text: str, actor_id: int) -> Job:
    """Tell the people concerned by a breach in the background; the job that is under way, when there is one."""

    def begin(job: Job) -> None:
        breaches.add(
            breach, "told", {"subject": subject, "text": text, "people": breaches.count(breach)}, member_id=actor_id
        )
        tell.defer(breach_id=breach.pk, job_id=job.pk)

    return jobs.once(breach.workspace, TELL, begin, breach.pk)


def last_telling(breach: Breach) -> Job | None:
    return jobs.last(breach.workspace, TELL, breach.pk)


@app.task(queue="house", name="consent.tell")
def tell(breach_id: int, job_id: int) -> None:
    """Taken up again after a kill, it goes on behind the last person who was told."""
    breach = Breach.objects.select_related("workspace").get(pk=breach_id)
    said = breaches.state(breach).last("told")
    assert said is not None
    with Progress(job_id) as progress:
        total = breaches.count(breach) or 0
        for done in breaches.tell(breach, said.said["subject"], said.said["text"], language=breach.workspace.language):
            progress.at(done, total, force=True)
        progress.result = {"people": breaches.told_so_far(breach), "drill": breach.drill}


@app.periodic(cron="*/10 * * * *")
@app.task(queue="house", name="consent.breaches", queueing_lock="consent.breaches")
def look_for_breaches(timestamp: int) -> None:
    """Every ten minutes: what looks like a breach becomes a draft, and clocks that run remind owners."""
    breaches.watch()
    breaches.remind()


@app.periodic(cron="4-59/10 * * * *")
@app.task(queue="house", name="consent.certify", queueing_lock="consent.certify")
def certify(timestamp: int) -> None:
    """Every ten minutes: the erased who are in no copy any more get their certificate."""
    from envol.consent import erasures

    erasures.certify()


@app.periodic(cron="31 * * * *")
@app.task(queue="house", name="consent.warn", queueing_lock="consent.warn")
def warn(timestamp: int) -> None:
    """Every hour: owners are told of requests about data that wait, and of foreign authorities that do."""
    from envol.consent import demands, requests

    requests.warn()
    demands.warn()


EVIDENCE = "consent.evidence"


def start_evidence(workspace: Workspace, language: str, actor_id: int) -> Job:
    """Make the evidence pack in the background; the job that is under way, when there is one."""

    def begin(job: Job) -> None:
        note(workspace, "member", "evidence.made", actor_id=actor_id, job=job.pk)
        make_evidence.defer(workspace_id=workspace.id, job_id=job.pk, language=language)

    return jobs.once(workspace, EVIDENCE, begin)


def last_evidence(workspace: Workspace) -> Job | None:
    return jobs.last(workspace, EVIDENCE)


@app.task(queue="house", name="consent.evidence")
def make_evidence(workspace_id: int, job_id: int, language: str) -> None:
    with Progress(job_id) as progress:
        path = evidence_pack.write(Workspace.objects.get(id=workspace_id), language, progress.at)
        progress.result = {"file": path.name}


PREVIEW = "consent.retention"


def start_preview(workspace: Workspace, actor_id: int) -> Job:
    """Count in the background what retention would delete; the job under way, when there is one."""

    def begin(job: Job) -> None:
        note(workspace, "member", "retention.previewed", actor_id=actor_id, job=job.pk)
        preview_retention.defer(workspace_id=workspace.pk, job_id=job.pk)

    return jobs.once(workspace, PREVIEW, begin)


def last_preview(workspace: Workspace) -> Job | None:
    return jobs.last(workspace, PREVIEW)


@app.task(queue="house", name="consent.preview_retention")
def preview_retention(workspace_id: int, job_id: int) -> None:
    """The dry run: what would go tonight."""
    from envol.consent import retention

    with Progress(job_id) as progress:
        progress.result = retention.preview(workspace_id)


@app.periodic(cron="52 1 * * *")
@app.task(queue="house", name="consent.retention", queueing_lock="consent.retention", lock="consent.retention")
def retain(timestamp: int) -> None:
    """Every night: what was kept long enough goes."""
    from envol.consent import retention

    for workspace_id in Workspace.objects.order_by("pk").values_list("pk", flat=True):
        retention.run(workspace_id)


@app.periodic(cron="38 1 * * *")
@app.task(queue="house", name="consent.lapse", queueing_lock="consent.lapse", lock="consent.lapse")
def lapse_permissions(timestamp: int) -> None:
    """Every night: permissions past the term of their purpose end; owners hear of terms that end soon."""
    from envol.consent import lapse, reminders

    for workspace in Workspace.objects.order_by("pk"):
        lapse.end(workspace.pk)
        reminders.permissions(workspace)
        reminders.origins(workspace)


@app.periodic(cron="20 8 * * *")
@app.task(queue="house", name="consent.planned", queueing_lock="consent.planned", lock="consent.planned")
def tell_planned(timestamp: int) -> None:
    """Every morning: a change of processors that is due is told to every workspace."""
    from envol.consent import tenants

    tenants.tell_due()


INFORMING = "consent.informing"


def start_informing(origin: Origin, subject: str, text: str, actor_id: int) -> Job:
    """Tell people where their data came from, in the background; the job that is under way, when there is one."""

    def begin(job: Job) -> None:
        note(origin.workspace, "member", "origin.told", origin, actor_id=actor_id)
        tell_origin.defer(origin_id=origin.pk, job_id=job.pk, subject=subject, text=text)

    return jobs.once(origin.workspace, INFORMING, begin, origin.pk)


def last_informing(origin: Origin) -> Job | None:
    return jobs.last(origin.workspace, INFORMING, origin.pk)


@app.task(queue="house", name="consent.informing")
def tell_origin(origin_id: int, job_id: int, subject: str, text: str) -> None:
    from envol.consent import informing

    origin = Origin.objects.select_related("workspace").get(pk=origin_id)
    with Progress(job_id) as progress:
        total = informing.standing(origin).waiting
        for done in informing.tell(origin, text, subject):
            progress.at(done, total, force=True)


POLICY = "consent.policy"


def start_policy(version: PolicyVersion, subject: str, text: str, actor_id: int) -> Job:
    """Tell people of a new version in the background; the job that is under way, when there is one."""

    def begin(job: Job) -> None:
        note(version.workspace, "member", "policy.told", version, actor_id=actor_id, kind=version.kind)
        tell_policy.defer(version_id=version.pk, job_id=job.pk, subject=subject, text=text)

    return jobs.once(version.workspace, POLICY, begin, version.pk)


def last_policy(version: PolicyVersion) -> Job | None:
    return jobs.last(version.workspace, POLICY, version.pk)


@app.task(queue="house", name="consent.policy")
def tell_policy(version_id: int, job_id: int, subject: str, text: str) -> None:
    version = PolicyVersion.objects.select_related("workspace").get(pk=version_id)
    with Progress(job_id) as progress:
        total = policies.to_tell(version)
        for done in policies.tell(version, subject, text):
            progress.at(done, total, force=True)
