"""From "send it" to one ledger row per person: in batches, each of them durable, resumable after ``kill -9``.

A batch reads the next people after the sending's cursor, writes who is left out and why, queues the
others and moves the cursor, in one transaction. So a crash loses at most the batch in hand, and the
unique row (sending, contact) refuses to queue anybody twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db.models.functions import Now
from django.utils import timezone

from envol import db, disk
from envol.accounts.jobs import Cancelled, Progress
from envol.accounts.models import Job
from envol.audience import engine
from envol.audience.catalogue import Catalogue
from envol.audience.language import EVERYBODY, SegmentProblem
from envol.campaigns import actions, choosing
from envol.campaigns.models import Campaign, State
from envol.consent.models import Purpose
from envol.content.models import Version
from envol.events.models import Kind
from envol.outbound import accept
from envol.outbound.models import Sending, SendingState

log = structlog.get_logger()
BATCH = 20_000


@dataclass(frozen=True, slots=True)
class Expanded:
    """``looked_at`` people chosen by the audience, ``queued`` of them; ``complete``: nobody is left to look at."""

    looked_at: int
    queued: int
    complete: bool


def run(sending_id: int, batch: int = BATCH) -> Expanded:
    """Expand a sending from where it stands until it is complete, paused or stopped.

    Safe to call again at any time and by two processes at once. A problem that trying again cannot
    solve (the audience cannot be read any more) makes the sending ``failed``, with the sentence on
    its job; any other error goes to the caller and the sending waits to be taken up again.
    """
    sending = Sending.objects.get(id=sending_id)
    if sending.state != SendingState.PREPARING:
        return Expanded(0, 0, sending.expanded_at is not None)
    if sending.job_id is None:
        sending.job_id = Job.objects.create(workspace=sending.workspace, kind="campaign", object_id=sending_id).pk
        Sending.objects.filter(id=sending_id).update(job_id=sending.job_id)
    progress = Progress(sending.job_id)
    done: Expanded | None = None
    try:
        with progress:
            found = _all(sending, batch, progress)
            if not found.complete and _state(sending_id) == SendingState.STOPPED:
                raise Cancelled
            done = found
    except SegmentProblem:
        Sending.objects.filter(id=sending_id, state=SendingState.PREPARING).update(
            state=SendingState.FAILED, ended_at=Now()
        )
        actions.refresh(sending_id)
        return Expanded(0, 0, False)
    except disk.Full as full:  # what is queued leaves; the clock asks again until there is room
        log.warning("a sending waits for room on the disk", sending=sending_id, why=str(full))
        Job.objects.filter(id=sending.job_id).update(state="waiting", ended_at=None)
        return Expanded(0, 0, False)
    if done is None:  # somebody cancelled the job: that is a stop
        campaign = Campaign.objects.filter(pk=sending.campaign_id or 0).first()
        if campaign is not None and campaign.state != State.STOPPED:
            actions.stop(campaign)
        return Expanded(0, 0, False)
    if not done.complete and _state(sending_id) == SendingState.PAUSED:
        Job.objects.filter(id=sending.job_id).update(state="waiting", ended_at=None)
    return done


def _state(sending_id: int) -> str:
    return str(Sending.objects.values_list("state", flat=True).get(id=sending_id))


def _all(sending: Sending, batch: int, progress: Progress) -> Expanded:
    catalogue = Catalogue(sending.workspace)
    # One moment for all batches, also of a later run: "today" must not change half way.
    now = sending.started_at or timezone.now()
    total = engine.count(catalogue, sending.audience, now=now)
    done = queued = 0
    if sending.expand_cursor:
        done = db.value(
            "SELECT (SELECT count(*) FROM outbound_send WHERE sending_id = %(id)s)"
            " + (SELECT count(*) FROM outbound_excluded WHERE sending_id = %(id)s)",
            {"id": sending.id},
        )
    while True:
        progress.at(min(done, total), total, "expand")
        disk.refuse_when_full()
        step = _batch(sending, catalogue, now, batch)
        if step is None:  # paused or stopped meanwhile, or completed by another runner
            return Expanded(done, queued, _state(sending.id) == SendingState.SENDING)
        looked_at, new = step
        done += looked_at
        queued += new
        if looked_at < batch:
            break
    progress.result = {"queued": queued, "looked_at": done}
    progress.at(total, total, "expand", force=True)
    actions.refresh(sending.id)
    return Expanded(done, queued, True)


def _batch(sending: Sending, catalogue: Catalogue, now: datetime, size: int) -> tuple[int, int] | None:
    """The next ``size`` people: how many were looked at, how many queued. None when it is not to go on."""
    with db.durable():
        # The lock keeps a second runner, pause and stop waiting until this batch is whole.
        here = Sending.objects.select_for_update().get(id=sending.id)
        if here.state != SendingState.PREPARING or here.expanded_at is not None:
            return None
        people = _next(here, catalogue, now, size)
        queued = accept.expand_batch(here, [(id, address) for id, address, allowed in people if allowed])
        changes: dict[str, Any] = {"expand_cursor": people[-1][0]} if people else {}
        if len(people) < size:
            changes |= {"expanded_at": Now(), "state": SendingState.SENDING}
        Sending.objects.filter(id=here.id).update(**changes)
    return len(people), queued


def _next(sending: Sending, catalogue: Catalogue, now: datetime, size: int) -> list[tuple[int, str, bool]]:
    query, params = engine.ids_sql(catalogue, sending.audience, now=now, after=sending.expand_cursor, limit=size)
    purpose = Purpose.objects.get(pk=sending.purpose_id or 0)
    unserved = choosing.unserved(catalogue, sending.audience or EVERYBODY, purpose)
    version = Version.objects.filter(pk=sending.version_id or 0).only("informs").first()
    informs = version.informs if version else ()
    refusal = choosing.refusal_sql(purpose, unserved, informs, sending.offer, among="chosen")
    rest = db.sql("campaigns", "unclicked" if sending.kind == "resend" else "unsent")
    statement = (
        db.sql("campaigns", "expand").replace("{audience}", query).replace("{refusal}", refusal).replace("{rest}", rest)
    )
    given = {
        **params,
        "workspace": sending.workspace.id,
        "sending": sending.id,
        "campaign": sending.campaign_id,
        "clicked": int(Kind.CLICKED),
    }
    return [(id, address, allowed) for id, address, allowed in db.rows(statement, given)]
