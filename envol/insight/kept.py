"""Reports of large sendings are kept: counting a million people takes seconds.

They lie in the database, where every process finds them. The worker counts what somebody will want to see before she
asks (:func:`look_after`), so that a page finds it there; where things moved since, the page shows what there is, says
when it was counted, and the newer figures follow it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from django.db import transaction
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.consent import ledger
from envol.db import execute, is_large, rows
from envol.insight.heat import Heat, heat
from envol.insight.models import Counted
from envol.insight.report import Report, report
from envol.outbound.models import Send

log = structlog.get_logger()
SECONDS = 60.0
"""So long what was counted counts as true of now, whatever moved."""
SHARE = 20
"""Counting again takes no more than one part in so many of the time: what took seven seconds stands for 140."""
FRESH, WATCHED = timedelta(days=3), timedelta(days=7)
"""A sending is looked after so long after its end, and after somebody looked at it."""
_MOVES = (
    "SELECT (SELECT row(count(*), sum(events), sum(people), sum(nameless))::text FROM events_counter"
    "         WHERE sending_id = ANY(%(ids)s)),"
    " (SELECT row(count(*), max(id))::text FROM outbound_tally WHERE sending_id = ANY(%(ids)s)),"
    " (SELECT row(count(*), sum(attempts))::text FROM outbound_retry WHERE sending_id = ANY(%(ids)s))"
)
# The first sending and its remainders of each campaign, as its report counts them together; resends stand alone.
_LATELY = """
SELECT s.workspace_id, array_agg(s.id ORDER BY s.id) FROM outbound_sending s
 WHERE s.kind = 'campaign' AND s.started_at IS NOT NULL
 GROUP BY s.workspace_id, s.campaign_id HAVING max(coalesce(s.ended_at, s.started_at)) > %(since)s
 ORDER BY max(coalesce(s.ended_at, s.started_at)) DESC
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the page of a report shows of its sendings."""

    report: Report
    heat: Heat


@dataclass(frozen=True, slots=True)
class Found:
    """What was counted before; ``moved``: things are no longer as they were then."""

    made: Figures
    moved: bool


def figures(workspace: Workspace, sending_ids: Sequence[int]) -> Figures:
    """As things are now: counted, or kept where nothing moved since."""
    if not is_large(Send._meta.db_table):
        return _count(workspace, sending_ids)
    key = _key(workspace, sending_ids)
    with transaction.atomic():
        # Who asks while another counts the same waits for it, instead of reading a million rows beside it.
        execute("SELECT pg_advisory_xact_lock(hashtext('envol report'), hashtext(%s))", [f"{workspace.pk} {key}"])
        found = _found(workspace, sending_ids)
        if found is not None and not found.moved:
            return found.made
        now, began = version(workspace, sending_ids), time.monotonic()
        made = _count(workspace, sending_ids)
        facts: dict[str, Any] = {"version": now, "body": msgspec.json.encode(made).decode()}
        facts |= {"took": time.monotonic() - began, "counted_at": timezone.now()}
        Counted.objects.update_or_create(workspace=workspace, key=key, defaults=facts)
    return made


def _count(workspace: Workspace, sending_ids: Sequence[int]) -> Figures:
    return Figures(report(workspace, sending_ids), heat(workspace, sending_ids))


def at_hand(workspace: Workspace, sending_ids: Sequence[int]) -> Found | None:
    """The figures that a page can show at once; None where they must be counted and that takes long."""
    if not is_large(Send._meta.db_table):
        return Found(_count(workspace, sending_ids), False)
    lately = timezone.now() - timedelta(hours=1)
    key = _key(workspace, sending_ids)
    Counted.objects.filter(workspace=workspace, key=key, read_at__lt=lately).update(read_at=timezone.now())
    return _found(workspace, sending_ids)


def look_after() -> int:
    """Count what moved of the sendings that are new or looked at, one at most; how many were counted.

    Called once a minute by the worker. Nothing is done on a small base; what was never counted comes at once, what
    moved waits until all together take no more than a twentieth of the time.
    """
    if not is_large(Send._meta.db_table):
        return 0
    now = timezone.now()
    Counted.objects.filter(read_at__lt=now - WATCHED, counted_at__lt=now - FRESH).delete()
    due = _never_counted(now) or _moved()
    if due is None:
        return 0
    began = time.monotonic()
    figures(*due)
    log.info("report counted", workspace=due[0].pk, seconds=round(time.monotonic() - began, 1))
    return 1


def _never_counted(now: datetime) -> tuple[Workspace, list[int]] | None:
    there = set(Counted.objects.values_list("workspace_id", "key"))
    lately = rows(_LATELY, {"since": now - FRESH})
    workspaces = Workspace.objects.in_bulk({workspace_id for workspace_id, _ids in lately})
    for workspace_id, ids in lately:
        if (workspace_id, _key(workspaces[workspace_id], ids)) not in there:
            return workspaces[workspace_id], ids
    return None


def _moved() -> tuple[Workspace, list[int]] | None:
    """The one that was counted longest ago."""
    last = Counted.objects.order_by("-counted_at").first()
    if last is None or _young(last):
        return None
    for one in Counted.objects.select_related("workspace").order_by("counted_at"):
        ids = [int(number) for number in one.key.rpartition(":")[2].split(".")]
        if one.key == _key(one.workspace, ids) and not _young(one) and one.version != version(one.workspace, ids):
            return one.workspace, ids
    return None


def version(workspace: Workspace, sending_ids: Sequence[int]) -> str:
    """What moves when a report does: reactions, outcomes, retries, and answers to who may be measured."""
    head = ledger.head(workspace.pk)
    return json.dumps([head[0] if head else 0, *rows(_MOVES, {"ids": list(sending_ids)})[0]])


def _key(workspace: Workspace, sending_ids: Sequence[int]) -> str:
    sendings = ".".join(map(str, sorted(sending_ids)))
    return f"{workspace.opens_mode}:{workspace.clicks_mode}:{workspace.time_zone}:{sendings}"


def _found(workspace: Workspace, sending_ids: Sequence[int]) -> Found | None:
    there = Counted.objects.filter(workspace=workspace, key=_key(workspace, sending_ids)).first()
    if there is None:
        return None
    try:
        made = msgspec.json.decode(there.body, type=Figures)
    except msgspec.ValidationError:
        return None  # of another version of Envol: counted anew
    return Found(made, not _young(there) and there.version != version(workspace, sending_ids))


def _young(there: Counted) -> bool:
    return (timezone.now() - there.counted_at).total_seconds() < max(SECONDS, SHARE * there.took)
