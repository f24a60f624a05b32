"""Do receivers accept us? How sendings fared at each of them, and where the numbers say stop.

Shares are of people who were tried. Under a hundred people, or for a handful of cases, a share says more about chance
than about a receiver: then there are counts, and no verdict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import NamedTuple

from envol import db
from envol.events.models import Kind
from envol.outbound.sites import OTHERS, receivers
from envol.wire.smtp.reply_rules import CLASS_OF

HARD_CLASSES = ("user_unknown", "host_unknown", "mailbox_disabled")
BLOCKED_CLASSES = ("blocked", "auth", "spam")
_HARD = [cause for cause, kind in CLASS_OF.items() if kind in HARD_CLASSES] + ["hard_bounce"]
_BLOCKED = [cause for cause, kind in CLASS_OF.items() if kind in BLOCKED_CLASSES]

# Domains of mailboxes for everybody, for sites whose hosts no courier has met yet.
_CONSUMER = (
    (re.compile(r"(?:gmail|googlemail)\.com"), "google"),
    (re.compile(r"(?:hotmail|outlook|live|msn)\.[a-z]{2,3}(?:\.[a-z]{2})?"), "microsoft"),
    (re.compile(r"(?:yahoo|ymail|rocketmail|aol)\.[a-z]{2,3}(?:\.[a-z]{2})?"), "yahoo"),
    (re.compile(r"(?:orange|wanadoo|voila)\.fr"), "orange"),
    (re.compile(r"(?:laposte)\.net"), "laposte"),
    (re.compile(r"(?:sfr|neuf|cegetel|club-internet|numericable)\.(?:fr|com)"), "sfr"),
    (re.compile(r"(?:free|aliceadsl|libertysurf)\.fr"), "free"),
    (re.compile(r"(?:gmx|web)\.(?:de|net|com|fr|at|ch)"), "gmx"),
    (re.compile(r"(?:icloud|me|mac)\.com"), "icloud"),
)

ENOUGH = 100
"""People tried, from which a share is judged."""


@dataclass(slots=True)
class Figures:
    """People, of those who were tried. hard: mailbox or domain is not there; blocked: refused for what we are."""

    delivered: int = 0
    bounced: int = 0
    hard: int = 0
    blocked: int = 0
    expired: int = 0
    deferred: int = 0
    complained: int = 0

    @property
    def tried(self) -> int:
        """Those who have ended; who was deferred and still waits is among neither, or among `deferred` alone."""
        return max(self.delivered + self.bounced + self.expired, self.deferred)

    def add(self, other: Figures) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def less(self, other: Mapping[str, int]) -> Figures:
        return Figures(**{f.name: max(getattr(self, f.name) - int(other.get(f.name, 0)), 0) for f in fields(self)})

    def plain(self) -> dict[str, int]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


class Threshold(NamedTuple):
    """Shares of the people tried from which a figure is to be watched, warns, or stops; at least `least` cases."""

    watch: float
    warn: float
    stop: float
    least: int


THRESHOLDS: dict[str, Threshold] = {
    "hard": Threshold(0.005, 0.02, 0.05, 5),
    # 0.10 and 0.30 % are those of Gmail and Yahoo; Orange came down to the same.
    "complained": Threshold(0.0005, 0.001, 0.003, 3),
    # A receiver that makes us wait stops nothing: couriers slow down by themselves.
    "deferred": Threshold(0.03, 0.10, math.inf, 10),
    "blocked": Threshold(0.005, 0.02, 0.05, 5),
}
LEVELS = ("few", "good", "watch", "warn", "stop")
BRAKES = ("hard", "complained")
"""Figures that pause a campaign by themselves at the last threshold."""


def level(name: str, figures: Figures) -> str:
    """How a figure is to be taken: one of `LEVELS`."""
    limits, count = THRESHOLDS[name], getattr(figures, name)
    if figures.tried < ENOUGH:
        return "few"
    share = count / figures.tried
    if count < limits.least or share < limits.watch:
        return "good"
    return "stop" if share >= limits.stop else "warn" if share >= limits.warn else "watch"


def worst(figures: Figures) -> str:
    return max((level(name, figures) for name in THRESHOLDS), key=LEVELS.index)


def receiver_of_site(site: str, group: str) -> str:
    """The receiver behind a site: as couriers learnt it, else by its name; `OTHERS` for all the small ones."""
    if group in receivers():
        return group
    return next((name for names, name in _CONSUMER if names.fullmatch(site)), OTHERS)


def of_sendings(ids: Sequence[int], since: datetime | None = None) -> dict[str, Figures]:
    """By receiver: how these sendings fared, altogether or since a moment."""
    found: dict[str, Figures] = {}
    for site, group, *counts in db.rows(
        db.sql("outbound", "reputation"),
        {
            "sendings": list(ids),
            "since": since,
            "hard": _HARD,
            "blocked": _BLOCKED,
            "hard_classes": list(HARD_CLASSES),
            "kinds": [int(Kind.DEFERRED), int(Kind.BOUNCED), int(Kind.COMPLAINED)],
            "bounced": int(Kind.BOUNCED),
            "deferred": int(Kind.DEFERRED),
            "complained": int(Kind.COMPLAINED),
        },
    ):
        found.setdefault(receiver_of_site(site, group), Figures()).add(Figures(*counts))
    return found


def together(found: Iterable[Figures]) -> Figures:
    whole = Figures()
    for one in found:
        whole.add(one)
    return whole


def sendings_since(workspace_id: int, since: datetime) -> list[int]:
    """Sendings of a workspace of which something may have happened since; tests and mail to members left out."""
    return [
        row
        for (row,) in db.rows(
            "SELECT id FROM outbound_sending WHERE workspace_id = %s AND kind NOT IN ('test', 'system')"
            " AND (ended_at IS NULL OR ended_at > %s - interval '7 days')",
            [workspace_id, since],
        )
    ]


def by_day(ids: Sequence[int], days: int) -> dict[str, list[tuple[int, int, int]]]:
    """By receiver, for each day of the period, oldest first: delivered, bounced or expired, deferred."""
    found: dict[str, list[list[int]]] = {}
    for site, group, ago, kind, n in db.rows(
        "SELECT x.site, coalesce(g.grp, ''), x.ago, x.state, x.n FROM ("
        " SELECT site, current_date - minute::date AS ago, CASE WHEN state = 'delivered' THEN 0 ELSE 1 END AS state,"
        "  sum(n)::bigint AS n FROM outbound_tally WHERE sending_id = ANY(%(ids)s)"
        "  AND state IN ('delivered', 'bounced', 'expired') AND minute >= current_date - %(days)s + 1 GROUP BY 1, 2, 3"
        " UNION ALL SELECT coalesce(facts ->> 'site', ''), current_date - at::date, 2,"
        "  count(DISTINCT (sending_id, facts ->> 'no')) FROM events_event WHERE sending_id = ANY(%(ids)s)"
        "  AND kind = %(deferred)s AND at >= current_date - %(days)s + 1 GROUP BY 1, 2"
        ") x LEFT JOIN outbound_site g ON g.site = x.site",
        {"ids": list(ids), "days": days, "deferred": int(Kind.DEFERRED)},
    ):
        if 0 <= ago < days:
            rows = found.setdefault(receiver_of_site(site, group), [[0, 0, 0] for _ in range(days)])
            rows[days - 1 - ago][kind] += n
    return {name: [(a, b, c) for a, b, c in rows] for name, rows in found.items()}


class Word(NamedTuple):
    """What a receiver said, most often first."""

    cause: str
    people: int
    example: str


def words(ids: Sequence[int], since: datetime, receiver: str, most: int = 5) -> list[Word]:
    """Why mail did not arrive, or had to wait, at a receiver."""
    added: dict[str, tuple[int, str]] = {}
    for site, group, cause, n, example in db.rows(
        "SELECT s.site, coalesce(min(g.grp), ''), o.cause, count(*), min(o.reply) FROM outbound_outcome o"
        " JOIN outbound_send s ON s.sending_id = o.sending_id AND s.no = o.no"
        " LEFT JOIN outbound_site g ON g.site = s.site"
        " WHERE o.sending_id = ANY(%(ids)s) AND o.state IN ('bounced', 'expired') AND o.at >= %(since)s GROUP BY 1, 3"
        " UNION ALL SELECT coalesce(e.facts ->> 'site', ''), coalesce(min(g.grp), ''), e.facts ->> 'cause',"
        "  count(DISTINCT (e.sending_id, e.facts ->> 'no')), min(e.facts ->> 'reply') FROM events_event e"
        "  LEFT JOIN outbound_site g ON g.site = e.facts ->> 'site'"
        "  WHERE e.sending_id = ANY(%(ids)s) AND e.kind = %(deferred)s AND e.at >= %(since)s GROUP BY 1, 3",
        {"ids": list(ids), "since": since, "deferred": int(Kind.DEFERRED)},
    ):
        if receiver_of_site(site, group) == receiver:
            before, said = added.get(cause or "", (0, ""))
            added[cause or ""] = (before + n, said or example or "")
    ordered = sorted(added.items(), key=lambda one: -one[1][0])
    return [Word(cause, n, said) for cause, (n, said) in ordered[:most]]
