"""Do providers accept me? What each receiver did with our mail, the state of our domains, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from envol.accounts.models import Workspace
from envol.outbound import blocklists, domain_reports, reputation
from envol.outbound.blocklists import Listing
from envol.outbound.domain_reports import Total
from envol.outbound.models import Domain
from envol.outbound.reputation import ENOUGH, LEVELS, THRESHOLDS, Figures, Word

NEARLY_ALL = 0.98
"""Aligned share of reported mail from which a stricter DMARC policy costs nothing of ours."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One receiver: its figures, how each is to be taken, its days, and what it said."""

    name: str
    figures: Figures
    levels: dict[str, str]
    days: Sequence[tuple[int, int, int]]
    words: Sequence[Word]

    @property
    def level(self) -> str:
        return max(self.levels.values(), key=LEVELS.index)


@dataclass(frozen=True, slots=True)
class DomainState:
    domain: Domain
    ready: bool
    reported: Total | None
    policy: str  # of DMARC; empty: none found

    @property
    def aligned(self) -> float | None:
        return self.reported.passed / self.reported.all if self.reported and self.reported.all else None


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do. ``code`` names it, ``about`` says where, ``level`` how urgent it is."""

    code: str
    level: str
    about: str = ""
    domain_id: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Standing:
    days: int
    providers: Sequence[Provider]
    whole: Figures
    domains: Sequence[DomainState]
    listings: Sequence[Listing]
    steps: Sequence[Step]


def standing(workspace: Workspace, days: int = 7) -> Standing:
    since = timezone.now() - timedelta(days=days)
    ids = reputation.sendings_since(workspace.pk, since)
    providers = _providers(ids, since, days)
    domains = _domains(workspace)
    listings = blocklists.of_workspace(workspace)
    return Standing(
        days,
        providers,
        reputation.together(one.figures for one in providers),
        domains,
        listings,
        _steps(providers, domains, listings),
    )


def _providers(ids: Sequence[int], since: datetime, days: int) -> list[Provider]:
    if not ids:
        return []
    by_day = reputation.by_day(ids, days)
    found = []
    for name, figures in reputation.of_sendings(ids, since).items():
        if not (figures.tried or figures.complained):
            continue
        levels = {one: reputation.level(one, figures) for one in THRESHOLDS}
        troubled = figures.bounced or figures.expired or figures.deferred
        words = reputation.words(ids, since, name) if troubled else []
        found.append(Provider(name, figures, levels, by_day.get(name, [(0, 0, 0)] * days), words))
    return sorted(found, key=lambda one: (one.name == reputation.OTHERS, -one.figures.tried))


def _domains(workspace: Workspace) -> list[DomainState]:
    rows = list(Domain.objects.filter(workspace=workspace).order_by("name"))
    reported = domain_reports.total([row.pk for row in rows], domain_reports.DMARC)
    found = []
    for row in rows:
        record = next((f["found"] for f in row.findings if f["record"] == "DMARC" and f["ok"]), "")
        tags = {key.strip(): value.strip() for key, _, value in (tag.partition("=") for tag in record.split(";"))}
        policy = tags.get("p", "none").lower() if record else ""
        found.append(DomainState(row, bool(row.trusted or row.passed_at), reported.get(row.pk), policy))
    return found


def _steps(providers: Sequence[Provider], domains: Sequence[DomainState], listings: Sequence[Listing]) -> list[Step]:
    """What to do, the most urgent first."""
    found = [Step("listed", "stop", one.subject, facts={"zone": one.zone}) for one in listings if one.listed_at]
    leaves = settings.ENVOL.route != "local"
    for one in domains:
        name, pk = one.domain.name, one.domain.pk
        if one.domain.failing_at and not one.domain.trusted:
            found.append(Step("records_gone" if one.ready else "not_ready", "stop", name, pk))
        elif not one.ready and leaves:
            found.append(Step("not_ready", "stop", name, pk))
        if settings.ENVOL.inbound and one.ready and not one.domain.returns_at and one.domain.checked_at:
            found.append(Step("no_return", "warn", name, pk))
        if one.reported is None or one.reported.all < ENOUGH or one.aligned is None:
            continue
        if one.aligned < NEARLY_ALL:
            found.append(Step("unaligned", "warn", name, pk, {"share": one.aligned}))
        elif one.policy == "none":
            found.append(Step("stricter", "watch", name, pk))
    for provider in providers:
        for code, level in provider.levels.items():
            if level in ("watch", "warn", "stop"):
                share = getattr(provider.figures, code) / provider.figures.tried
                found.append(Step(code, level, provider.name, facts={"share": share}))
    return sorted(found, key=lambda step: -LEVELS.index(step.level))
