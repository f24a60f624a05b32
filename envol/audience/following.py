"""Who enters a segment and who leaves it, for segments that are followed; and how large each was, day by day.

A look compares who is in it now with who was at the last look. Whoever entered or left is written down in batches, each
one transaction with the table of those inside, so that a killed job repeats nothing and misses nobody. When the rule
itself changes nobody has moved: the new people are taken as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from envol import db
from envol.accounts import journal
from envol.accounts.models import Workspace
from envol.audience import counting
from envol.audience.catalogue import Catalogue
from envol.audience.columns import ask
from envol.audience.days import Days
from envol.audience.engine import postgres
from envol.audience.language import Group, SegmentProblem, parse, to_json
from envol.audience.models import Follow, Segment, Size
from envol.contacts.timeline import Entry

MOST = 20
"""Followed segments of a workspace."""
BATCH = 5_000
PAGE = 40_000  # ids of one answer of columns
KEPT = timedelta(days=400)
COUNTED = 200
"""Segments of a workspace whose size is kept day by day: those made first."""
SECONDS = 60.0
_LOCK = "hashtext('envol audience following')"

log = structlog.get_logger()


class TooMany(ValueError):
    """No more segments can be followed; the sentence says what to do."""


def start(segment: Segment, *, actor_id: int | None = None) -> Follow:
    """From now on it is written down who enters and leaves; who is in it already has not entered. Raises TooMany."""
    with transaction.atomic():
        Workspace.objects.select_for_update().only("pk").get(pk=segment.workspace.pk)
        others = Follow.objects.filter(segment__workspace=segment.workspace).exclude(segment=segment)
        if others.count() >= MOST:
            raise TooMany(_("%(n)s segments are followed, no more can be: stop following another first.") % {"n": MOST})
        follow, made = Follow.objects.get_or_create(segment=segment)
        if made:
            journal.note(segment.workspace, "member", "segment.followed", segment, actor_id=actor_id)
    return follow


def stop(segment: Segment, *, actor_id: int | None = None) -> None:
    """No more is written down; what was stays."""
    with transaction.atomic():
        if Follow.objects.filter(segment=segment).delete()[0]:
            db.execute("DELETE FROM audience_member WHERE segment_id = %s", [segment.pk])
            journal.note(segment.workspace, "member", "segment.unfollowed", segment, actor_id=actor_id)


class Moves(NamedTuple):
    entered: int
    left: int


def look(follow: Follow) -> Moves:
    """Write down who entered and left since the last look; at the first one, and after a change of the rule, nobody.

    Raises ``SegmentProblem``, :class:`envol.db.TooSlow`.
    """
    segment = follow.segment
    catalogue = Catalogue(segment.workspace)
    root = parse(segment.whole, catalogue)
    rule = _digest(root)
    now = set(_people(catalogue, segment.whole))
    before = {row[0] for row in db.rows("SELECT contact_id FROM audience_member WHERE segment_id = %s", [segment.pk])}
    silent = follow.rule != rule
    if silent and follow.rule:
        # Until everybody is written anew it says so: a killed job begins the same way again.
        Follow.objects.filter(pk=follow.pk).update(rule="", begun_at=None)
    workspace_id = segment.workspace.pk
    entered = left = 0
    for some in _batches(now - before):
        entered += _write(workspace_id, segment.pk, some, entered=True, silent=silent)
    for some in _batches(before - now):
        left += _write(workspace_id, segment.pk, some, entered=False, silent=silent)
    begun = {"rule": rule, "begun_at": Now()} if silent else {}
    Follow.objects.filter(pk=follow.pk).update(looked_at=Now(), problem="", **begun)
    return Moves(0, 0) if silent else Moves(entered, left)


def _digest(root: Group) -> str:
    """What the rule says, inner segments written out. Who is put in or out by hand does move."""
    said = to_json(root, freeze=True)
    said.pop("people", None)
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _batches(people: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(people)
    for start_ in range(0, len(ordered), BATCH):
        yield ordered[start_ : start_ + BATCH]


def _write(workspace_id: int, segment_id: int, people: list[int], *, entered: bool, silent: bool) -> int:
    """One batch: who is inside and, unless ``silent``, the move of each whose place really changed."""
    with transaction.atomic():
        # An erasure is before this batch or after it, never between its two tables.
        db.execute(f"SELECT pg_advisory_xact_lock({_LOCK}, %s)", [workspace_id])
        if entered:
            changed = db.rows(
                "INSERT INTO audience_member (workspace_id, segment_id, contact_id)"
                " SELECT %s, %s, c.id FROM contacts_contact c WHERE c.workspace_id = %s AND c.id = ANY(%s)"
                " ON CONFLICT DO NOTHING RETURNING contact_id",
                [workspace_id, segment_id, workspace_id, people],
            )
        else:
            changed = db.rows(
                "DELETE FROM audience_member WHERE segment_id = %s AND contact_id = ANY(%s) RETURNING contact_id",
                [segment_id, people],
            )
        if silent or not changed:
            return 0
        return db.execute(
            "INSERT INTO audience_move (workspace_id, segment_id, contact_id, entered)"
            " SELECT %s, %s, c.id, %s FROM contacts_contact c WHERE c.workspace_id = %s AND c.id = ANY(%s)"
            " ORDER BY c.id",
            [workspace_id, segment_id, entered, workspace_id, [row[0] for row in changed]],
        )


def _people(catalogue: Catalogue, tree: dict[str, Any]) -> list[int]:
    """Everybody in it now: from columns page by page, else from PostgreSQL."""
    found: list[int] = []
    try:
        while True:
            question = {"ask": "ids", "tree": tree, "after": found[-1] if found else None, "limit": PAGE}
            ids = ask.ask(settings.ENVOL.data, catalogue.workspace.pk, question, SECONDS)["ids"]
            found += ids
            if len(ids) < PAGE:
                return found
    except (ask.Silent, ask.Overtaken):
        pass
    with db.within(SECONDS):
        return [row[0] for row in db.rows(*postgres.ids_sql(catalogue, tree))]


def look_at_all() -> int:
    """Every followed segment of the installation; how many moves. One that cannot be told says why on its page."""
    db.execute("DELETE FROM audience_move WHERE at < now() - %s", [KEPT])
    moves = 0
    for follow in Follow.objects.select_related("segment__workspace").order_by("looked_at", "pk"):
        try:
            found = look(follow)
            moves += found.entered + found.left
        except SegmentProblem as error:
            Follow.objects.filter(pk=follow.pk).update(problem=str(error))
        except db.TooSlow:
            log.warning("a followed segment takes too long", segment=follow.pk)
            Follow.objects.filter(pk=follow.pk).update(looked_at=Now())
    return moves


# -- what pages show ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Move:
    contact_id: int
    at: datetime
    entered: bool


def of_days(segment: Segment, days: int = 7) -> Moves:
    """People who entered, and who left, in the last days; who did both counts in both, once."""
    found = dict(
        db.rows(
            "SELECT entered, count(DISTINCT contact_id) FROM audience_move"
            " WHERE segment_id = %s AND at > now() - %s GROUP BY 1",
            [segment.pk, timedelta(days=days)],
        )
    )
    return Moves(found.get(True, 0), found.get(False, 0))


def newest(segment: Segment, most: int = 10) -> list[Move]:
    found = db.rows(
        "SELECT contact_id, at, entered FROM audience_move WHERE segment_id = %s ORDER BY at DESC, id DESC LIMIT %s",
        [segment.pk, most],
    )
    return [Move(*row) for row in found]


def since(workspace_id: int, after: int, most: int = 1000) -> list[tuple[int, int, int, datetime, bool]]:
    """Moves beyond the one numbered ``after``, oldest first: (number, segment, contact, at, entered)."""
    return db.rows(
        "SELECT id, segment_id, contact_id, at, entered FROM audience_move WHERE workspace_id = %s AND id > %s"
        " ORDER BY id LIMIT %s",
        [workspace_id, after, most],
    )


def on_timeline(workspace_id: int, contact_id: int, most: int) -> list[Entry]:
    """The moves of one person, newest first."""
    return [
        Entry(at, "segment_entered" if entered else "segment_left", {"segment": name})
        for at, entered, name in db.rows(
            "SELECT m.at, m.entered, s.name FROM audience_move m JOIN audience_segment s ON s.id = m.segment_id"
            " WHERE m.workspace_id = %s AND m.contact_id = %s ORDER BY m.at DESC LIMIT %s",
            [workspace_id, contact_id, most],
        )
    ]


# -- size, day by day --------------------------------------------------------------------------


def keep_sizes() -> int:
    """How many people each segment holds today, once a day where the workspace is; how many were counted."""
    kept = 0
    for workspace in Workspace.objects.order_by("pk"):
        today = Days.of(timezone.now(), workspace.time_zone).today
        segments = list(Segment.objects.filter(workspace=workspace).order_by("pk")[:COUNTED])
        done = set(Size.objects.filter(segment__in=segments, day=today).values_list("segment_id", flat=True))
        catalogue = Catalogue(workspace)
        for segment in segments:
            if segment.pk not in done and (people := _counted(catalogue, segment)) is not None:
                Size.objects.get_or_create(segment=segment, day=today, defaults={"people": people})
                kept += 1
    return kept


def _counted(catalogue: Catalogue, segment: Segment) -> int | None:
    try:
        told = counting.told_by_columns(catalogue, segment.whole)
        if told is not None:
            return sum(told.values())
        with db.within(SECONDS):
            return postgres.count(catalogue, segment.whole)
    except (SegmentProblem, db.TooSlow):
        return None


def sizes(segment: Segment, days: int = 90) -> Sequence[tuple[date, int]]:
    """The last days that were counted, oldest first."""
    kept = Size.objects.filter(segment=segment).order_by("-day").values_list("day", "people")[:days]
    return list(reversed(kept))
