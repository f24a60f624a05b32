"""What people's silence may come from, as far as it shows: other topics than theirs, or one season of the year.

Counted each night, and never more than what was told by reading and buying; whoever objected to marketing has none
(GDPR art. 21(2)), and only clicks of people who agree to their measuring count.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.audience import topics
from envol.audience.catalogue import activity_sql
from envol.audience.days import Days
from envol.audience.reasons import OFF_TOPIC, SEASONAL
from envol.consent import purposes
from envol.events.models import Kind

RECEIVED_DAYS, CLICKED_DAYS, YEAR = 180, 365, 365
LEAST = 5
"""Messages with a topic from which their topics say something; one in ten may fit by chance."""
MONTHS = 3
"""A season: so many months in a row, in both of two years."""


def count(workspace: Workspace, now: datetime | None = None) -> int:
    """Write everybody's habits anew; how many there are."""
    days = Days.of(now or timezone.now(), workspace.time_zone)
    today, since = days.midnight(days.shifted(1)), days.midnight(days.shifted(-RECEIVED_DAYS))
    source = (
        activity_sql("delivered") or "SELECT 0 AS workspace_id, 0::bigint AS contact_id, now() AS at, 0 AS sending_id"
    )
    with transaction.atomic():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('audience.habits'), %s)", [workspace.pk])
        db.execute("SET LOCAL enable_nestloop = off")  # everybody is read anyway
        links = _links(workspace, source, days.midnight(days.shifted(-CLICKED_DAYS)))
        found = db.value(
            db.sql("audience", "habits").replace("/* delivered */", source),
            {
                "workspace": workspace.pk,
                "zone": days.zone.key,
                "received": since,
                "clicked_from": days.midnight(days.shifted(-CLICKED_DAYS)),
                "end": today,
                "clicked": int(Kind.CLICKED),
                "clicks": 1 << purposes.MEASURE_CLICKS,
                "sendings": [one[0] for one in links],
                "links": [one[1] for one in links],
                "topics": [one[2] for one in links],
                "least": LEAST,
                "year": days.today - timedelta(days=YEAR),
                "two_years": days.midnight(days.shifted(-2 * YEAR)),
                "months": MONTHS,
                "off_topic": OFF_TOPIC,
                "seasonal": SEASONAL,
            },
        )
    return int(found)


def _links(workspace: Workspace, delivered: str, since: datetime) -> list[tuple[int, int, int]]:
    """(sending, link, topic) of what was delivered lately."""
    articles = topics.Articles(workspace)
    if not articles.topics:
        return []
    query = f"SELECT DISTINCT d.sending_id FROM ({delivered}) d WHERE d.workspace_id = %s AND d.at >= %s"
    sendings = [row[0] for row in db.rows(query, [workspace.pk, since])]
    return [(sending, link, topic) for sending, link, url in topics.links_of(sendings) for topic in articles.of(url)[1]]


def of_person(workspace: Workspace, contact_id: int) -> list[str]:
    query = "SELECT habit FROM audience_habit WHERE workspace_id = %s AND contact_id = %s ORDER BY habit"
    return [row[0] for row in db.rows(query, [workspace.pk, contact_id])]
