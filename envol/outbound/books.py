"""The books are looked over every hour, and every night as a whole: a fault is found by us, not by a customer."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.consent import ledger
from envol.events import counters
from envol.outbound import states
from envol.outbound.models import Look, Sending

log = structlog.get_logger()
KEEP = timedelta(days=90)
MOST_KEPT = 50  # sentences of one look


def look(*, whole: bool = False) -> Look:
    """Look for what must never be, keep what was found, and say it in the log when something is wrong.

    whole: the whole ledger of sendings, the counters of those of the last month against their events, and the chain
    of consents of each workspace.
    """
    began = time.monotonic()
    findings = states.invariants(recent=not whole)
    heads: dict[str, str] = {}
    if whole:
        findings += [*_wrong_counters(), *_broken_chains(heads)]
    seconds = round(time.monotonic() - began, 3)
    made = Look.objects.create(whole=whole, seconds=seconds, findings=findings[:MOST_KEPT])
    Look.objects.filter(at__lt=timezone.now() - KEEP).delete()
    if findings:
        log.error("the books are wrong", findings=findings, whole=whole)
    else:
        # The heads in a log kept elsewhere show a chain that was cut later.
        log.info("the books are right", whole=whole, seconds=seconds, **({"ledger_heads": heads} if heads else {}))
    return made


def last() -> Look | None:
    """The latest look, or the latest that found something within a day: that one is not yet looked into."""
    wrong = Look.objects.filter(at__gt=timezone.now() - timedelta(days=1)).exclude(findings=[]).order_by("-at").first()
    return wrong or Look.objects.order_by("-at").first()


def _wrong_counters() -> list[str]:
    young = Sending.objects.filter(created_at__gt=timezone.now() - timedelta(days=31), campaign_id__isnull=False)
    return [
        f"The counters of sending {sending_id} do not say what its events say; `rebuild` would mend them."
        for sending_id in young.order_by("id").values_list("id", flat=True)
        if not counters.is_right(sending_id)
    ]


def _broken_chains(heads: dict[str, str]) -> list[str]:
    found = []
    for workspace_id, name in Workspace.objects.order_by("id").values_list("id", "name"):
        report = ledger.verify(workspace_id, most=1)
        if report.head:
            heads[name] = f"{report.head[0]}:{report.head[1]}"
        if not report.ok:
            first = report.problems[0]
            found.append(f"The ledger of consents of {name} was altered: in block {first.block} {first.what}.")
    return found
