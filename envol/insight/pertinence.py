"""Was a segmentation pertinent? A segment against the others who got the same message.

Only people count, and only those of whom it is known: clicks of who agreed to be measured by name, leaving and
complaints of everybody, orders where the house keeps them. Membership is that of the moment the sending began, so
that a click on this very message makes nobody a member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.days import Days
from envol.audience.engine import Moved, Tree, Whose, moved
from envol.audience.overlap import Overlap, masks_sql, overlap
from envol.contacts.models import Order
from envol.db import execute, rows, sql
from envol.events import counters
from envol.insight.trial import TOO_SMALL, Group, Ratio, chance, holm, ratio, verdict
from envol.outbound.models import Sending

CLICKED, BOUGHT, LEFT, COMPLAINED = "clicked", "bought", "unsubscribed", "complained"
HARM = (LEFT, COMPLAINED)
DAYS_TO_BUY = 7
MONTH = 30  # days over which people who come and go are counted
CAMPAIGNS = 6  # the last ones over which a segment is followed
MANY = 5  # segments beyond which a chance finding is to be expected


@dataclass(frozen=True, slots=True)
class Comparison:
    """One reaction of a segment and of the rest. ``chance`` is corrected for the number of segments looked at."""

    metric: str
    inside: Group
    outside: Group
    ratio: Ratio | None
    chance: float
    verdict: str

    @property
    def harm(self) -> bool:
        return self.metric in HARM


@dataclass(frozen=True, slots=True)
class Judged:
    """One segment. ``base`` its people among all when the sending began, ``delivered`` those who got the message."""

    tests: tuple[Comparison, ...]
    base: int
    delivered: int
    moved: Moved

    @property
    def lead(self) -> Comparison | None:
        """What the verdict on the whole rests on: clicks, else orders."""
        return next((test for test in self.tests if not test.harm), None)

    @property
    def verdict(self) -> str:
        return self.lead.verdict if self.lead else TOO_SMALL

    @property
    def churn(self) -> float | None:
        """The share of who was in it a month ago and is not any more."""
        return self.moved.left / self.moved.then if self.moved.then else None


@dataclass(frozen=True, slots=True)
class Pertinence:
    """``unmeasured`` got the message and did not agree to named clicks; ``erased`` are people nothing is known of.

    ``clicks`` says why clicks are not compared ("": they are; "mode": not measured by name here; "kept": past their
    retention). ``buying``: "" when orders are compared, "none" when there are none; ``until`` when some may yet come.
    """

    since: datetime
    segments: tuple[Judged, ...]
    base: int
    delivered: int
    unmeasured: int
    erased: int
    clicks: str = ""
    buying: str = ""
    until: datetime | None = None
    among: Overlap = field(default_factory=lambda: Overlap({}))  # of those who got it


def pertinence(whose: Whose, sending_ids: Sequence[int], trees: Sequence[Tree]) -> Pertinence:
    """Raises ``SegmentProblem`` for a rule that cannot be read any more."""
    catalogue = Catalogue.of(whose)
    workspace = catalogue.workspace
    sendings = list(Sending.objects.filter(workspace=workspace, id__in=list(sending_ids)))
    since = min(one.started_at or one.created_at for one in sendings)
    then = Days.until(since, workspace.time_zone)
    found = _people(workspace, [one.id for one in sendings], *masks_sql(catalogue, trees, now=then))
    base = overlap(catalogue, trees, now=then)
    clicks = "mode" if workspace.clicks_mode != "individual" else ""
    if not clicks and counters.frozen([one.id for one in sendings]):
        clicks = "kept"
    ended = max(one.ended_at or timezone.now() for one in sendings) + timedelta(days=DAYS_TO_BUY)
    buying = "" if Order.objects.filter(workspace_id=workspace.id).exists() else "none"
    metrics = [name for name, without in ((CLICKED, clicks), (BOUGHT, buying), (LEFT, ""), (COMPLAINED, ""))
               if not without]  # fmt: skip
    groups = {name: [_groups(found, name, n) for n in range(len(trees))] for name in metrics}
    chances = {name: holm([chance(*pair) for pair in groups[name]]) for name in metrics}
    month_ago = Days.of(timezone.now(), workspace.time_zone).shifted(-MONTH)
    judged = []
    for n, tree in enumerate(trees):
        tests = []
        for name in metrics:
            inside, outside = groups[name][n]
            by_chance = chances[name][n]
            said = verdict(inside, outside, harm=name in HARM, by_chance=by_chance)
            tests.append(Comparison(name, inside, outside, ratio(inside, outside), by_chance, said))
        delivered = sum(row.delivered for row in found if row.mask >> n & 1)
        judged.append(Judged(tuple(tests), base.size(n), delivered, moved(catalogue, tree, month_ago)))
    known = [row for row in found if not row.erased]
    among: dict[int, int] = {}
    for row in known:
        among[row.mask] = among.get(row.mask, 0) + row.delivered
    return Pertinence(
        since=since,
        segments=tuple(judged),
        base=base.people,
        delivered=sum(row.delivered for row in found),
        unmeasured=sum(row.delivered for row in known if not row.measured),
        erased=sum(row.delivered for row in found if row.erased),
        clicks=clicks,
        buying=buying,
        until=ended if ended > timezone.now() else None,
        among=Overlap(among),
    )


@dataclass(frozen=True, slots=True)
class Once:
    """The same segment on the message of one campaign, as it was when that one began to leave."""

    campaign_id: int
    since: datetime
    test: Comparison


def over_campaigns(whose: Whose, tree: Tree, most: int = CAMPAIGNS) -> list[Once]:
    """Clicks on the last campaigns, oldest first: does the segment differ time and again, or did it once?

    Campaigns whose clicks are not known by name are left out. Raises ``SegmentProblem``.
    """
    catalogue = Catalogue.of(whose)
    workspace = catalogue.workspace
    if workspace.clicks_mode != "individual":
        return []
    of: dict[int, list[Sending]] = {}
    for sending in Sending.objects.filter(
        workspace=workspace, kind="campaign", campaign_id__isnull=False, started_at__isnull=False
    ).order_by("-started_at", "-id"):
        if len(of) == most and sending.campaign_id not in of:
            break
        of.setdefault(sending.campaign_id or 0, []).append(sending)
    told = []
    for campaign_id, sendings in of.items():
        ids = [one.id for one in sendings]
        if counters.frozen(ids):
            continue
        since = min(one.started_at or one.created_at for one in sendings)
        asked = masks_sql(catalogue, [tree], now=Days.until(since, workspace.time_zone))
        inside, outside = _groups(_people(workspace, ids, *asked), CLICKED, 0)
        by_chance = chance(inside, outside)
        said = verdict(inside, outside, harm=False, by_chance=by_chance)
        told.append(
            Once(campaign_id, since, Comparison(CLICKED, inside, outside, ratio(inside, outside), by_chance, said))
        )
    return sorted(told, key=lambda one: one.since)


@dataclass(frozen=True, slots=True)
class _Row:
    """People alike in all that is asked: where they are, whether clicks of theirs are known, and what they did."""

    mask: int
    measured: bool
    erased: bool
    delivered: int
    clicked: int
    bought: int
    unsubscribed: int
    complained: int


def _people(workspace: Workspace, sendings: list[int], masks: str, params: dict[str, object]) -> list[_Row]:
    query = f"WITH membership AS MATERIALIZED ({masks}), {sql('insight', 'pertinence')}"
    facts = {**params, "sendings": sendings, "workspace": workspace.id, "days": DAYS_TO_BUY}
    with transaction.atomic():
        # Everybody is read once: a planner that takes a fresh sending for a small one must not look people up by turns.
        execute("SET LOCAL enable_nestloop = off")
        found = [_Row(*row) for row in rows(query, facts)]
        execute("SET LOCAL enable_nestloop TO DEFAULT")
    return found


def _groups(found: Sequence[_Row], metric: str, n: int) -> tuple[Group, Group]:
    """Who is in the n-th segment and who is not, of those whose reaction would be known."""
    known = [row for row in found if not row.erased and (row.measured or metric != CLICKED)]
    inside = [row for row in known if row.mask >> n & 1]
    outside = [row for row in known if not row.mask >> n & 1]

    def group(some: Sequence[_Row]) -> Group:
        return Group(sum(getattr(row, metric) for row in some), sum(row.delivered for row in some))

    return group(inside), group(outside)
