"""Better than usual? A campaign beside the workspace's own earlier ones, never beside those of others.

What a campaign's first recipients did is compared, resends apart: a second letter to those who did not click would
make every campaign look alike. Ended sendings hardly change, so their results are kept in memory for a while.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.core.cache import cache
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.db import rows, sql
from envol.events.counters import Key, read
from envol.events.models import Kind
from envol.insight.report import SMALL, Share
from envol.outbound.models import Sending

ENOUGH = 4  # earlier campaigns, below which a median says nothing
MOST = 20  # the last ones: what was usual three years ago is not
_SETTLED = timedelta(days=7)
_FRESH, _KEPT = 300, 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Result:
    """People of a campaign's first sending and of its remainders."""

    accepted: int
    delivered: int
    bounced: int
    clicked: int
    unsubscribed: int

    def share(self, metric: str) -> Share:
        if metric == "bounced":
            return Share(self.bounced, self.accepted)
        return Share(getattr(self, metric), self.delivered)


@dataclass(frozen=True, slots=True)
class Usual:
    """One rate of this campaign, and the median and middle half of the earlier ones (rates between 0 and 1)."""

    metric: str  # clicked, bounced, unsubscribed
    own: Share
    low: float
    median: float
    high: float
    campaigns: int

    @property
    def standing(self) -> str:
        """Where it stands: "above", "below" or "within" the middle half."""
        rate = self.own.rate or 0.0
        return "above" if rate > self.high else "below" if rate < self.low else "within"


def usual(workspace: Workspace, campaign_id: int) -> tuple[Usual, ...]:
    """The comparisons there can be; none before four earlier campaigns, or for a campaign of few people."""
    sendings = Sending.objects.filter(workspace=workspace, kind="campaign", started_at__isnull=False)
    own = list(sendings.filter(campaign_id=campaign_id).order_by("id"))
    if not own:
        return ()
    earlier = sendings.filter(started_at__lt=own[0].started_at, ended_at__isnull=False).exclude(campaign_id=campaign_id)
    by_campaign: dict[int, list[Sending]] = defaultdict(list)
    for sending in earlier.order_by("-started_at")[: 2 * MOST]:
        by_campaign[sending.campaign_id or 0].append(sending)
    known = _results([*own, *(one for some in by_campaign.values() for one in some)])
    mine = _together(own, known)
    others = [_together(some, known) for some in list(by_campaign.values())[:MOST]]
    others = [other for other in others if other.delivered >= SMALL]
    if len(others) < ENOUGH or mine.delivered < SMALL:
        return ()
    made = []
    for metric in ("clicked", "bounced", "unsubscribed"):
        rates = sorted(other.share(metric).rate or 0.0 for other in others)
        low, median, high = statistics.quantiles(rates, n=4, method="inclusive")
        made.append(Usual(metric, mine.share(metric), low, median, high, len(others)))
    return tuple(made)


def _together(sendings: Sequence[Sending], known: dict[int, Result]) -> Result:
    """A remainder goes to whoever was not sent the first: nobody is counted twice by adding them up."""
    found = [known[one.id] for one in sendings]
    return Result(
        sum(one.accepted for one in found),
        sum(one.delivered for one in found),
        sum(one.bounced for one in found),
        sum(one.clicked for one in found),
        sum(one.unsubscribed for one in found),
    )


def _results(sendings: Sequence[Sending]) -> dict[int, Result]:
    known: dict[int, Result] = {}
    for key, found in cache.get_many([f"insight.result.{one.id}" for one in sendings]).items():
        known[int(key.rpartition(".")[2])] = Result(*found)
    missing = [one for one in sendings if one.id not in known]
    if not missing:
        return known
    ids = [one.id for one in missing]
    counted = read(ids)
    settled = timezone.now() - _SETTLED
    ended = {one.id: one.ended_at is not None and one.ended_at < settled for one in missing}
    for sending_id, accepted, delivered, bounced in rows(sql("outbound", "results"), {"sendings": ids}):
        people = [
            counted[key].people if (key := Key(sending_id, kind, 0, False)) in counted else 0
            for kind in (Kind.CLICKED, Kind.UNSUBSCRIBED)
        ]
        result = known[sending_id] = Result(accepted, delivered, bounced, *people)
        facts = (result.accepted, result.delivered, result.bounced, result.clicked, result.unsubscribed)
        cache.set(f"insight.result.{sending_id}", facts, _KEPT if ended[sending_id] else _FRESH)
    return known
