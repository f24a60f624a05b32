"""One's own rhythm: how long a silence says something, given how often somebody is written to and buys.

Whoever gets a letter a month is not inactive after ninety days. With the setting on, a person counts as active for
the longest of 90 days, twelve messages at the pace she gets them, and nine tenths of her own gaps between purchases;
cooling for twice that, inactive for four times. It is counted each night; whoever's rhythm is no longer than 90 days
has no row.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from envol import db
from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.audience.catalogue import activity_sql
from envol.audience.days import Days
from envol.audience.models import Rhythm

LEAST_DAYS = 90
SENDS = 12
FEWEST, MOST_SENDS = 1, 100
LONGEST = 730  # days: beyond it no pace is one
ORDER_DAYS = 4  # purchases from which gaps say something


def of(workspace: Workspace) -> Rhythm:
    """The setting; unsaved and off where nobody touched it."""
    return Rhythm.objects.filter(workspace=workspace).first() or Rhythm(workspace=workspace, on=False, sends=SENDS)


def decide(workspace: Workspace, on: bool, sends: int, *, actor_id: int | None = None) -> Rhythm:
    """Turn it on or off; counted at once, so that pages and rules agree."""
    assert FEWEST <= sends <= MOST_SENDS
    with transaction.atomic():
        made, _new = Rhythm.objects.update_or_create(workspace=workspace, defaults={"on": on, "sends": sends})
        note(workspace, "member", "rhythm.changed", actor_id=actor_id, on=on, sends=sends)
        count(workspace)
    return made


def count(workspace: Workspace) -> int:
    """Write everybody's rhythm anew; how many have one of their own."""
    setting = of(workspace)
    today = Days.of(timezone.now(), workspace.time_zone)
    with transaction.atomic():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('audience.rhythm'), %s)", [workspace.pk])
        if not setting.on:
            db.execute("DELETE FROM audience_rhythm WHERE workspace_id = %s", [workspace.pk])
            return 0
        source = activity_sql("delivered")
        if source is None:
            return 0
        db.execute("SET LOCAL enable_nestloop = off")  # everybody is read anyway
        query = db.sql("audience", "rhythm").replace("/* delivered */", source)
        found: Any = db.value(
            query,
            {
                "workspace": workspace.pk,
                "zone": today.zone.key,
                "sends": setting.sends,
                "least": LEAST_DAYS,
                "longest": LONGEST,
                "order_days": ORDER_DAYS,
                "today": today.today,
            },
        )
    return int(found)
