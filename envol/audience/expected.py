"""How many purchases are still to be expected of a buyer: the BG/NBD model (Fader, Hardie and Lee, 2005).

People buy at their own pace, and after any purchase some never come back. Four parameters of the whole base, found by
maximum likelihood, and three facts of a person (repeat purchases, when the last one was, since when she is known) give
how many she will make and whether she still is a customer. Only where there is enough of a history; elsewhere recency,
frequency and amount say more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from envol import db
from envol.accounts.models import Workspace
from envol.audience.models import Expectation, Scoring
from envol.consent.gates import PROFILE_SQL

LEAST_BUYERS, LEAST_DAYS = 1000, 365
AHEAD = 90  # days that are looked ahead
FITTED_ON = 20_000  # buyers drawn for the parameters, of a larger base
WEEK = 7.0
_BATCH = 20_000

Facts = tuple[int, float, float]
"""Repeat purchases, weeks from the first to the last, weeks from the first to now."""


@dataclass(frozen=True, slots=True)
class Model:
    """``r`` and ``alpha``: how often people buy; ``a`` and ``b``: how likely they are to stop after a purchase."""

    r: float
    alpha: float
    a: float
    b: float

    def alive(self, x: int, last: float, age: float) -> float:
        """How likely it is that she still is a customer. Whoever bought once has had no chance to stop."""
        if x == 0:
            return 1.0
        gone = self.a / (self.b + x - 1) * ((self.alpha + age) / (self.alpha + last)) ** (self.r + x)
        return 1 / (1 + gone)

    def expected(self, x: int, last: float, age: float, weeks: float) -> float:
        """Purchases in the next ``weeks``."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        if abs(a - 1) < 1e-6 or abs(a + b + x - 1) < 1e-6:
            a += 1e-5  # the formula has a hole there, and the same value on both sides of it
        z = weeks / (alpha + age + weeks)
        shrink = ((alpha + age) / (alpha + age + weeks)) ** (r + x)
        whole = (a + b + x - 1) / (a - 1) * (1 - shrink * _hyper(r + x, b + x, a + b + x - 1, z))
        return max(whole * self.alive(x, last, age), 0.0)


def _hyper(a: float, b: float, c: float, z: float) -> float:
    """Gauss's hypergeometric function by its series; 0 ≤ z < 1."""
    term = total = 1.0
    for n in range(10_000):
        term *= (a + n) * (b + n) / (c + n) * z / (n + 1)
        total += term
        if term < 1e-12 * total:
            break
    return total


def log_likelihood(model: Model, facts: Mapping[Facts, int]) -> float:
    """Of these facts, each so many times."""
    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    of_x: dict[int, float] = {}
    base = r * math.log(alpha) - math.lgamma(r) + math.lgamma(a + b) - math.lgamma(b)
    total = 0.0
    for (x, last, age), n in facts.items():
        if x not in of_x:
            of_x[x] = base + math.lgamma(r + x) + math.lgamma(b + x) - math.lgamma(a + b + x)
        there = -(r + x) * math.log(alpha + age)
        if x:
            gone = math.log(a / (b + x - 1)) - (r + x) * math.log(alpha + last)
            top = max(there, gone)
            there = top + math.log(math.exp(there - top) + math.exp(gone - top))
        total += n * (of_x[x] + there)
    return total


def fit(facts: Mapping[Facts, int]) -> Model:
    """The parameters under which these facts are likeliest."""

    def loss(point: Sequence[float]) -> float:
        if any(abs(value) > 12 for value in point):
            return math.inf
        return -log_likelihood(Model(*(math.exp(value) for value in point)), facts)

    return Model(*(math.exp(value) for value in _least(loss, [0.0, 0.0, 0.0, 0.0])))


def _least(loss: Callable[[Sequence[float]], float], start: list[float]) -> list[float]:
    """The point of least loss, by a simplex that crawls downhill (Nelder and Mead, 1965)."""
    size = len(start)
    points = [start] + [[v + (0.5 if i == j else 0.0) for j, v in enumerate(start)] for i in range(size)]
    found = [(loss(point), point) for point in points]
    for _ in range(2000):
        found.sort(key=lambda one: one[0])
        if found[-1][0] - found[0][0] < 1e-9 * (1 + abs(found[0][0])):
            break
        middle = [sum(point[i] for _, point in found[:-1]) / size for i in range(size)]
        worst = found[-1][1]

        def along(step: float, middle: list[float] = middle, worst: list[float] = worst) -> tuple[float, list[float]]:
            point = [m + step * (m - w) for m, w in zip(middle, worst, strict=True)]
            return loss(point), point

        mirrored = along(1.0)
        if mirrored[0] < found[0][0]:
            further = along(2.0)
            found[-1] = min(further, mirrored, key=lambda one: one[0])
        elif mirrored[0] < found[-2][0]:
            found[-1] = mirrored
        else:
            nearer = along(0.5 if mirrored[0] < found[-1][0] else -0.5)
            if nearer[0] < min(mirrored[0], found[-1][0]):
                found[-1] = nearer
            else:
                best = found[0][1]
                shrunk = [[(b + v) / 2 for b, v in zip(best, point, strict=True)] for _, point in found[1:]]
                found[1:] = [(loss(point), point) for point in shrunk]
    return min(found, key=lambda one: one[0])[1]


# -- of a workspace ----------------------------------------------------------------------------


def compute(workspace: Workspace) -> Expectation | None:
    """Fit the model to the last scores' buyers and write what is expected of each; None where there is too little."""
    scoring = Scoring.objects.filter(workspace=workspace).first()
    found = _facts(workspace, scoring) if scoring and scoring.buyers >= LEAST_BUYERS else []
    days = max((round(age * WEEK) for _, (_, _, age) in found), default=0)
    repeated = sum(1 for _, (x, _, _) in found if x)
    with transaction.atomic():
        db.execute("SELECT pg_advisory_xact_lock(hashtext('audience.expected'), %s)", [workspace.pk])
        if scoring is None or len(found) < LEAST_BUYERS or days < LEAST_DAYS or not repeated:
            db.execute("DELETE FROM audience_expected WHERE workspace_id = %s", [workspace.pk])
            Expectation.objects.filter(workspace=workspace).delete()
            return None
        step = max(1, len(found) // FITTED_ON)
        model = fit(Counter(facts for _, facts in found[::step]))
        db.execute("DELETE FROM audience_expected WHERE workspace_id = %s", [workspace.pk])
        total = _write(workspace, model, found)
        made, _new = Expectation.objects.update_or_create(
            workspace=workspace,
            defaults={
                "reference": scoring.reference,
                "buyers": len(found),
                "expected": round(total),
                "parameters": [round(value, 6) for value in (model.r, model.alpha, model.a, model.b)],
            },
        )
    return made


def _facts(workspace: Workspace, scoring: Scoring) -> list[tuple[int, Facts]]:
    """Each buyer's facts by days of purchases, as scores count them, in an order that favours nobody."""
    rows = db.rows(
        "SELECT s.contact_id, s.frequency - 1, s.last_day - f.first, %(reference)s - f.first FROM audience_score s"
        " JOIN (SELECT o.contact_id, min((o.at AT TIME ZONE %(zone)s)::date) AS first FROM contacts_order o"
        " WHERE o.workspace_id = %(w)s AND o.currency = %(currency)s AND o.amount >= 0 GROUP BY 1) f"
        " ON f.contact_id = s.contact_id WHERE s.workspace_id = %(w)s AND f.first <= s.last_day"
        " ORDER BY md5(s.contact_id::text)",
        {
            "w": workspace.pk,
            "reference": scoring.reference,
            "currency": scoring.currency,
            "zone": workspace.time_zone,
        },
    )
    return [(contact, (x, last / WEEK, age / WEEK)) for contact, x, last, age in rows]


def _write(workspace: Workspace, model: Model, found: Sequence[tuple[int, Facts]]) -> float:
    known: dict[Facts, tuple[float, int]] = {}
    total = 0.0
    for start in range(0, len(found), _BATCH):
        batch = found[start : start + _BATCH]
        told = []
        for _, facts in batch:
            if facts not in known:
                x, last, age = facts
                ahead = round(model.expected(x, last, age, AHEAD / WEEK), 3)
                known[facts] = ahead, round(100 * model.alive(x, last, age))
            told.append(known[facts])
        total += sum(ahead for ahead, _ in told)
        db.execute(
            "INSERT INTO audience_expected (workspace_id, contact_id, purchases, alive)"
            " SELECT %s, * FROM unnest(%s::bigint[], %s::numeric[], %s::smallint[])",
            [workspace.pk, _column(batch), [ahead for ahead, _ in told], [alive for _, alive in told]],
        )
    return total


def _column(batch: Iterable[tuple[int, Any]]) -> list[int]:
    return [contact for contact, _ in batch]


def of_person(workspace: Workspace, contact_id: int) -> tuple[float, int] | None:
    """Expected purchases of the next 90 days, and in percent whether she still is a customer."""
    found = db.rows(
        "SELECT e.purchases, e.alive FROM audience_expected e"
        " JOIN contacts_contact c ON c.id = e.contact_id AND c.workspace_id = e.workspace_id"
        f" AND {PROFILE_SQL.format('c')}"
        " WHERE e.workspace_id = %s AND e.contact_id = %s",
        [workspace.pk, contact_id],
    )
    return (float(found[0][0]), int(found[0][1])) if found else None
