"""What people care for: what they said, what their reading and buying shows, and what they want no more of.

Said beats shown. What is shown is gained by the five-article rule, fades with a half-life of sixty days and is lost
when it is weak; saying "not interested" keeps it away for a year. People see all of it on their own page, with why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from envol import db
from envol.accounts import undo
from envol.accounts.journal import note
from envol.accounts.models import Member, Undo, Workspace
from envol.audience import topics
from envol.audience.days import Days
from envol.audience.models import Inference, Topic
from envol.consent import purposes
from envol.consent.gates import PROFILE_SQL
from envol.contacts import masks
from envol.contacts.models import Property
from envol.events.models import Kind

Tell = Callable[[int, int | None, str], None]

LEAST = 5  # different articles or products
WINDOW = 90  # days
HALF_LIFE = 60.0  # days
WEAK = 0.2
REFUSED_DAYS = 365
ASK_AGAIN = 730  # days after which what somebody said is worth asking again
AGE = 18
WRITTEN = "contact.interest"
SOURCES = ("page", "form", "member", "import")

WEIGHT = f"(1 - exp(-i.reads / 5.0)) * power(2, -greatest(CAST(:day AS date) - i.last_on, 0) / {HALF_LIFE})"
"""The weight of an inferred interest on a day, over rows ``i``; what was declared weighs 1."""


def weight(reads: int, days: int) -> float:
    """Of ``reads`` different articles, the last one ``days`` days ago."""
    return (1 - math.exp(-reads / 5)) * 2 ** (-max(days, 0) / HALF_LIFE)


@dataclass(frozen=True, slots=True)
class Interest:
    """``origin``: declared, inferred, refused. ``weight`` today; ``reads`` of ``of_reads`` articles, when inferred."""

    topic: Topic
    origin: str
    source: str
    since: datetime
    weight: float
    reads: int | None = None
    of_reads: int | None = None
    last_on: date | None = None

    @property
    def old(self) -> bool:
        """Said so long ago that it is worth asking again."""
        return self.origin == "declared" and timezone.now() - self.since > timedelta(days=ASK_AGAIN)


def of_person(workspace: Workspace, contact_id: int) -> list[Interest]:
    """Open ones, declared first, then by weight; those inferred of somebody who objected are not shown to anybody."""
    known = {topic.pk: topic for topic in topics.of(workspace)}
    today = Days.of(timezone.now(), workspace.time_zone).today
    found = []
    for row in db.dicts(
        "SELECT i.topic_id, i.origin, i.source, i.since, i.reads, i.of_reads, i.last_on FROM audience_interest i"
        " JOIN contacts_contact c ON c.id = i.contact_id AND c.workspace_id = i.workspace_id"
        " WHERE i.workspace_id = %s AND i.contact_id = %s AND i.until IS NULL"
        f" AND (i.origin <> 'inferred' OR {PROFILE_SQL.format('c')})",
        [workspace.pk, contact_id],
    ):
        topic = known.get(row.pop("topic_id"))
        if topic is None:
            continue
        strength = weight(row["reads"], (today - row["last_on"]).days) if row["origin"] == "inferred" else 1.0
        found.append(Interest(topic, weight=strength, **row))
    order = ("declared", "inferred", "refused")
    return sorted(found, key=lambda one: (order.index(one.origin), -one.weight, one.topic.label_fr))


def say(workspace: Workspace, contact_id: int, topic: Topic, answer: str, source: str) -> bool:
    """What she says on a topic: "declared", "refused", or "" for nothing; whether that changes anything."""
    assert answer in ("declared", "refused", "") and source in SOURCES
    with transaction.atomic():
        _lock(workspace)
        present = db.rows(
            "SELECT origin FROM audience_interest WHERE topic_id = %s AND contact_id = %s AND until IS NULL FOR UPDATE",
            [topic.pk, contact_id],
        )
        before = present[0][0] if present else ""
        if before == answer or (before == "inferred" and answer == ""):
            return False
        db.execute(
            "UPDATE audience_interest SET until = greatest(now(), since)"
            " WHERE topic_id = %s AND contact_id = %s AND until IS NULL",
            [topic.pk, contact_id],
        )
        if answer:
            db.execute(
                "INSERT INTO audience_interest (workspace_id, contact_id, topic_id, origin, source)"
                " SELECT c.workspace_id, c.id, %s, %s, %s FROM contacts_contact c"
                " WHERE c.workspace_id = %s AND c.id = %s",
                [topic.pk, answer, source, workspace.pk, contact_id],
            )
    return True


def written_down(
    workspace: Workspace, contact_id: int, topic: Topic, answer: str, *, actor_id: int | None
) -> Undo | None:
    """What a member was told by her; None when it was so already."""
    with transaction.atomic():
        before = present(workspace, contact_id, topic)
        if not say(workspace, contact_id, topic, answer, "member"):
            return None
        entry = note(
            workspace, "member", "contact.interest", actor_id=actor_id, contact=contact_id, topic=topic.key, said=answer
        )
        facts = {"contact": contact_id, "topic": topic.pk, "before": before, "after": answer}
        return undo.offer(entry, WRITTEN, facts)


def unwrite(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of :func:`written_down`: the stay that was open before it is open again."""
    topic = Topic.objects.filter(workspace=workspace, pk=facts["topic"], removed_at=None).first()
    if topic is None:
        raise undo.CannotUndo(_("This topic is gone for good, or back already."))
    if present(workspace, facts["contact"], topic) != facts["after"]:
        raise undo.CannotUndo(_("The person or somebody else changed it since."))
    who = [topic.pk, facts["contact"]]
    if facts["after"]:
        db.execute("DELETE FROM audience_interest WHERE topic_id = %s AND contact_id = %s AND until IS NULL", who)
    if facts["before"]:
        db.execute(
            "UPDATE audience_interest SET until = NULL WHERE id = (SELECT id FROM audience_interest"
            " WHERE topic_id = %s AND contact_id = %s AND origin = %s ORDER BY until DESC, id DESC LIMIT 1)",
            [*who, facts["before"]],
        )
    return _("It is as it was before.")


def present(workspace: Workspace, contact_id: int, topic: Topic) -> str:
    """declared, inferred, refused or ""."""
    found = db.rows(
        "SELECT origin FROM audience_interest WHERE workspace_id = %s AND topic_id = %s AND contact_id = %s"
        " AND until IS NULL",
        [workspace.pk, topic.pk, contact_id],
    )
    return found[0][0] if found else ""


def _lock(workspace: Workspace) -> None:
    db.execute("SELECT pg_advisory_xact_lock(hashtext('audience.interests'), %s)", [workspace.pk])


# -- inference ---------------------------------------------------------------------------------


def infer(workspace: Workspace, now: datetime | None = None, tell: Tell | None = None) -> Inference:
    """Gain, fade and lose what reading and buying shows; once a night, or when somebody asks."""
    tell = tell or (lambda done, total, step: None)
    now = now or timezone.now()
    days = Days.of(now, workspace.time_zone)
    today = days.today
    with transaction.atomic():
        _lock(workspace)
        tell(1, 3, "reading")
        masks.project_ages(workspace.pk)
        shown = _shown(workspace, days)
        minors = {row[0] for row in shown if row[5]}
        shown = [row for row in shown if not row[5]]
        tell(2, 3, "interests")
        db.execute(
            "UPDATE audience_interest SET until = since + make_interval(days => %(days)s) WHERE workspace_id = %(w)s"
            " AND origin = 'refused' AND until IS NULL AND since < %(now)s - make_interval(days => %(days)s)",
            {"w": workspace.pk, "now": now, "days": REFUSED_DAYS},
        )
        _said(workspace, now)
        gained = _gain(workspace, shown, now)
        lost = _lose(workspace, shown, sorted(minors), today, now)
        people = int(
            db.value(
                "SELECT count(DISTINCT contact_id) FROM audience_interest"
                " WHERE workspace_id = %s AND origin = 'inferred' AND until IS NULL",
                [workspace.pk],
            )
        )
        made, _new = Inference.objects.update_or_create(
            workspace=workspace,
            defaults={
                "computed_at": Now(),
                "reference": today,
                "people": people,
                "gained": gained,
                "lost": lost,
                "minors": len(minors),
            },
        )
        tell(3, 3, "interests")
    made.refresh_from_db()
    return made


def _shown(workspace: Workspace, days: Days) -> list[tuple[Any, ...]]:
    """(contact, topic, articles, of how many, last day, whether she is a minor) of whoever passes the rule."""
    start, end = days.midnight(days.shifted(-WINDOW)), days.midnight(days.shifted(1))
    sendings = [
        row[0]
        for row in db.rows(
            "SELECT DISTINCT sending_id FROM events_event WHERE workspace_id = %s AND kind = %s"
            " AND at >= %s AND at < %s AND sending_id IS NOT NULL AND contact_id IS NOT NULL",
            [workspace.pk, int(Kind.CLICKED), start, end],
        )
    ]
    articles = topics.Articles(workspace)
    of_links: list[tuple[int, int, int, str]] = []
    for sending, link, url in topics.links_of(sendings):
        article, found = articles.of(url)
        of_links += [(sending, link, topic, article) for topic in found]
    categories = [(one, topic.pk) for topic in articles.topics for one in topic.categories]
    if not of_links and not categories:
        return []
    return db.rows(
        db.sql("audience", "interests_infer"),
        {
            "workspace": workspace.pk,
            "zone": days.zone.key,
            "from": start,
            "end": end,
            "clicked": int(Kind.CLICKED),
            "clicks": 1 << purposes.MEASURE_CLICKS,
            "least": LEAST,
            "sendings": [row[0] for row in of_links],
            "links": [row[1] for row in of_links],
            "topics": [row[2] for row in of_links],
            "articles": [row[3] for row in of_links],
            "categories": [row[0] for row in categories],
            "category_topics": [row[1] for row in categories],
            "births": _births(workspace),
            "of_age": days.years_ago(AGE).isoformat(),
        },
    )


def _births(workspace: Workspace) -> list[str]:
    """Keys of the properties that hold a date of birth."""
    dates = Property.objects.filter(workspace=workspace, type="date").values_list("key", flat=True)
    return [key for key in dates if "birth" in key or "naissance" in key or key in ("born", "ne_le", "nee_le")]


# Whoever has spoken on the topic since the value is there, either way, is left as she said.
_NEWLY_SAID = (
    "INSERT INTO audience_interest (workspace_id, contact_id, topic_id, origin, source, since)"
    " SELECT %(workspace)s, h.contact_id, h.topic_id, 'declared', h.source, h.since FROM holds h"
    " WHERE NOT EXISTS (SELECT FROM audience_interest i WHERE i.topic_id = h.topic_id AND i.contact_id = h.contact_id"
    " AND i.origin <> 'inferred' AND (i.until IS NULL OR i.until >= h.since))"
)
_NO_LONGER_SAID = (
    "UPDATE audience_interest i SET until = greatest(%(now)s, i.since)"
    " WHERE i.workspace_id = %(workspace)s AND i.until IS NULL AND (i.source LIKE 'field %%' AND NOT EXISTS"
    " (SELECT FROM holds h WHERE h.topic_id = i.topic_id AND h.contact_id = i.contact_id)"
    " OR i.origin = 'inferred' AND EXISTS"
    " (SELECT FROM holds h WHERE h.topic_id = i.topic_id AND h.contact_id = i.contact_id))"
)


def _said(workspace: Workspace, now: datetime) -> None:
    """Who chose a value that says it, in a form, a file or through a member, declared the interest."""
    kept = Property.objects.filter(workspace=workspace, type__in=["choice", "list"], sensitive=False, inferred=False)
    keys = set(kept.values_list("key", flat=True))
    said = [(t.pk, key, value) for t in topics.of(workspace) for key, value in t.said_by if key in keys]
    asked = {
        "workspace": workspace.pk,
        "now": now,
        "topics": [one[0] for one in said],
        "keys": [one[1] for one in said],
        "values": [one[2] for one in said],
    }
    holds = db.sql("audience", "interests_holds")
    for act in (_NO_LONGER_SAID, _NEWLY_SAID):
        db.execute(holds + act, asked)


def _gain(workspace: Workspace, shown: Iterable[tuple[Any, ...]], now: datetime) -> int:
    """Open what is new, refresh what stands; where she spoke herself, nothing."""
    found = list(shown)
    return db.execute(
        "WITH shown AS (SELECT * FROM unnest(%(contacts)s::bigint[], %(topics)s::bigint[], %(reads)s::int[],"
        " %(of)s::int[], %(last)s::date[]) AS s(contact_id, topic_id, reads, of_reads, last_on)),"
        " kept AS (UPDATE audience_interest i SET reads = s.reads, of_reads = s.of_reads, last_on = s.last_on"
        " FROM shown s WHERE i.topic_id = s.topic_id AND i.contact_id = s.contact_id AND i.until IS NULL"
        " AND i.origin = 'inferred')"
        " INSERT INTO audience_interest (workspace_id, contact_id, topic_id, origin, reads, of_reads, last_on, since)"
        " SELECT %(w)s, contact_id, topic_id, 'inferred', reads, of_reads, last_on, %(now)s FROM shown"
        " ON CONFLICT (topic_id, contact_id) WHERE until IS NULL DO NOTHING",
        {
            "w": workspace.pk,
            "now": now,
            "contacts": [row[0] for row in found],
            "topics": [row[1] for row in found],
            "reads": [row[2] for row in found],
            "of": [row[3] for row in found],
            "last": [row[4] for row in found],
        },
    )


def _lose(workspace: Workspace, shown: Iterable[tuple[Any, ...]], minors: list[int], today: date, now: datetime) -> int:
    """Close what faded; at once what is a minor's, of who objected, or of clicks that are no longer agreed to."""
    fresh = [(row[0], row[1]) for row in shown]
    weighed = WEIGHT.replace(":day", "%(today)s")
    return db.execute(
        "UPDATE audience_interest i SET until = greatest(%(now)s, i.since) FROM contacts_contact c"
        " WHERE i.workspace_id = %(w)s AND i.origin = 'inferred' AND i.until IS NULL AND c.id = i.contact_id"
        f" AND ({weighed} < {WEAK} OR NOT {PROFILE_SQL.format('c')} OR i.contact_id = ANY(%(minors)s)"
        " OR EXISTS (SELECT FROM unnest(%(births)s::text[]) AS b(key) WHERE c.props ->> b.key > %(of_age)s)"
        " OR ((c.allowed & %(clicks)s) = 0 AND NOT EXISTS (SELECT FROM unnest(%(contacts)s::bigint[],"
        " %(topics)s::bigint[]) AS f(contact_id, topic_id) WHERE f.contact_id = i.contact_id"
        " AND f.topic_id = i.topic_id)))",
        {
            "w": workspace.pk,
            "now": now,
            "today": today,
            "minors": minors,
            "births": _births(workspace),
            "of_age": Days.of(now, workspace.time_zone).years_ago(AGE).isoformat(),
            "clicks": 1 << purposes.MEASURE_CLICKS,
            "contacts": [row[0] for row in fresh],
            "topics": [row[1] for row in fresh],
        },
    )


# -- figures -----------------------------------------------------------------------------------


def counts(workspace: Workspace) -> dict[int, dict[str, int]]:
    """People by topic and origin, those who objected left out of what is inferred."""
    found: dict[int, dict[str, int]] = {}
    for topic, origin, n in db.rows(
        "SELECT i.topic_id, i.origin, count(*) FROM audience_interest i"
        " JOIN contacts_contact c ON c.id = i.contact_id AND c.workspace_id = i.workspace_id"
        f" WHERE i.workspace_id = %s AND i.until IS NULL AND (i.origin <> 'inferred' OR {PROFILE_SQL.format('c')})"
        " GROUP BY 1, 2",
        [workspace.pk],
    ):
        found.setdefault(topic, {})[origin] = n
    return found


def sweep(months: int) -> int:
    """Forget what ended longer ago than events are kept, and what was said by people whose import was undone."""
    return db.execute(
        "DELETE FROM audience_interest i WHERE i.until < now() - make_interval(months => %s)"
        " OR NOT EXISTS (SELECT FROM contacts_contact c WHERE c.id = i.contact_id)",
        [months],
    )
