"""What a campaign brought: outcome, reactions, links, sites, time.

Clicks lead, because opens are seen only of those who agreed and mostly through proxies. People and events are
apart, machines are apart, and a rate stands beside the people it is a rate of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from envol.accounts.models import Workspace
from envol.contacts.people import mask_text
from envol.content.models import Version
from envol.db import dicts, rows, sql
from envol.events import counters
from envol.events.counters import COUNTED, Count
from envol.events.models import Kind
from envol.insight import people as people_of
from envol.insight.people import OUTCOMES, People
from envol.outbound.models import Excluded, Sending

HOURS = 72
SOON, FINE = 3 * 3600, 300  # seconds: within these, hours are told in steps of those
SMALL = 30
"""Below this number of people a percentage says more about chance than about the message."""


@dataclass(frozen=True, slots=True)
class Share:
    """``people`` of ``of``: both are counted among the same people."""

    people: int
    of: int

    @property
    def rate(self) -> float | None:
        """Between 0 and 1; None when there is nobody to compare with."""
        return self.people / self.of if self.of else None

    def sentence(self, language: str = "fr") -> str:
        """« 41 % des 1 234 personnes qui l’acceptent »; below 30 people the numbers alone."""
        if self.of < SMALL:
            if language == "en":
                return f"{self.people} of the {self.of} who agreed"
            return f"{self.people} des {self.of} qui l’acceptent"
        percent = f"{100 * self.people / self.of:.0f}"
        if language == "en":
            return f"{percent} % of the {self.of:,} who agreed"
        return f"{percent} % des {self.of:,} qui l’acceptent".replace(",", "\u202f")


@dataclass(frozen=True, slots=True)
class Reaction:
    """How often and by how many.

    ``events`` and ``people`` exclude machines; ``nameless`` are those of the events that were measured in sum,
    so no person stands behind them; ``agreed`` is the share of those who agreed to be measured.
    """

    events: int
    people: int
    nameless: int
    machine_events: int
    machine_people: int
    agreed: Share | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One link of one version."""

    version: int
    no: int
    url: str
    label: str
    people: int
    events: int
    nameless: int
    machine_events: int

    @property
    def figure(self) -> str:
        return f"link:{self.version}:{self.no}"


@dataclass(frozen=True, slots=True)
class Site:
    """Recipients at one destination site, by where they stand; then people who reacted."""

    site: str
    accepted: int
    delivered: int
    bounced: int
    expired: int
    cancelled: int
    suppressed: int
    deferred: int
    waiting: int
    opened: int = 0
    clicked: int = 0
    unsubscribed: int = 0
    complained: int = 0
    returned: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """Why some were not delivered; ``example`` is a reply as it was given, addresses masked: a report is kept."""

    state: str
    cause: str
    people: int
    example: str


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened in the n-th hour since the sending began, machines left out; ``clickers`` are people.

    ``step`` is its length in seconds: soon after the start an hour would be the whole picture.
    """

    hour: int
    delivered: int
    opened: int
    clicked: int
    unsubscribed: int
    clickers: int = 0
    step: int = 3600

    @property
    def figure(self) -> str:
        return f"clicked:part:{self.step}:{self.hour}"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about some sendings of one campaign, as of ``at``.

    ``outcome``: accepted = delivered + bounced + expired + cancelled + suppressed + deferred + waiting.
    ``returned``: people of those delivered whose mail came back later; their outcome stays what was said at first.
    ``frozen``: single events passed their retention, so the counters remain and open nobody.
    """

    workspace_id: int
    sendings: tuple[int, ...]
    at: datetime
    outcome: dict[str, int]
    clicked: Reaction
    opened: Reaction
    unsubscribed: Reaction
    complained: Reaction
    links: tuple[Link, ...]
    sites: tuple[Site, ...]
    causes: tuple[Cause, ...]
    excluded: dict[str, int]
    hours: tuple[Hour, ...]
    returned: int = 0
    frozen: bool = False
    measured: dict[str, str] = field(default_factory=dict)

    def people(self, figure: str) -> People:
        """The people behind a figure, see :func:`envol.insight.people.behind`."""
        return people_of.behind(self.sendings, figure)

    @property
    def balanced(self) -> bool:
        """Does everybody accepted stand somewhere, once?"""
        return self.outcome["accepted"] == sum(count for name, count in self.outcome.items() if name != "accepted")

    def as_dict(self) -> dict[str, Any]:
        """The whole as plain values for JSON; shares with their rate."""
        made = asdict(self)
        made["at"] = self.at.isoformat()
        made["balanced"] = self.balanced
        for name in ("clicked", "opened"):
            share: Share | None = getattr(self, name).agreed
            if share is not None:
                made[name]["agreed"]["rate"] = share.rate
        for row, link in zip(made["links"], self.links, strict=True):
            row["figure"] = link.figure
        return made


def report(workspace: Workspace, sending_ids: Iterable[int] | int | Any) -> Report:
    """The report of one sending, several, or a campaign (anything with an ``id`` whose sendings name it).

    Sendings of another workspace are left out; tests and letters sent again to one person never count.
    """
    sendings = _sendings(workspace, sending_ids)
    ids = sorted(sendings)
    params = {"sendings": ids}
    reactions = _sited(ids)
    sites = tuple(
        Site(**(row | {name: found.get(row["site"], 0) for name, found in reactions.items()}))
        for row in dicts(sql("outbound", "report_sites"), params)
    )
    outcome = {
        name: sum(getattr(site, name) for site in sites) for name in ("accepted", *OUTCOMES, "deferred", "waiting")
    }
    frozen = bool(counters.frozen(ids))
    counted, by_link = _reactions(sendings, frozen)
    agreed = _agreed(workspace, ids) if not frozen else {}
    return Report(
        workspace_id=workspace.id,
        sendings=tuple(ids),
        at=datetime.now(UTC),
        outcome=outcome,
        clicked=_reaction(counted, Kind.CLICKED, agreed.get("clicked")),
        opened=_reaction(counted, Kind.OPENED, agreed.get("opened")),
        unsubscribed=_reaction(counted, Kind.UNSUBSCRIBED),
        complained=_reaction(counted, Kind.COMPLAINED),
        links=_links(sendings, by_link),
        sites=sites,
        causes=tuple(
            Cause(state, cause, people, mask_text(reply))
            for state, cause, people, reply in rows(sql("outbound", "report_causes"), params)
        ),
        excluded=_excluded(ids),
        hours=_hours(sendings),
        returned=sum(site.returned for site in sites),
        frozen=frozen,
        measured={"opens": workspace.opens_mode, "clicks": workspace.clicks_mode},
    )


def _sendings(workspace: Workspace, wanted: Any) -> dict[int, Sending]:
    found = Sending.objects.filter(workspace=workspace)
    if isinstance(wanted, int):
        found = found.filter(id=wanted)
    elif isinstance(wanted, Sending):
        found = found.filter(id=wanted.id)
    elif hasattr(wanted, "pk"):
        found = found.filter(campaign_id=wanted.pk).exclude(kind__in=["test", "again"])
    else:
        found = found.filter(id__in=[getattr(one, "id", one) for one in wanted])
    return {sending.id: sending for sending in found}


_By = dict[tuple[int, bool], Count]
_ByLink = dict[tuple[int, int, bool], Count]


def _reactions(sendings: dict[int, Sending], frozen: bool) -> tuple[_By, _ByLink]:
    """Totals by (kind, machine), clicks by (version, link, machine)."""
    totals: dict[tuple[int, bool], list[int]] = defaultdict(lambda: [0, 0, 0])
    by_link: dict[tuple[int, int, bool], list[int]] = defaultdict(lambda: [0, 0, 0])
    if len(sendings) > 1 and not frozen:
        found = rows(
            sql("events", "report_reactions"),
            {
                "sendings": list(sendings),
                "versions": [sending.version_id or 0 for sending in sendings.values()],
                "kinds": [int(kind) for kind in COUNTED],
            },
        )
        for kind, version, link, machine, every_link, *count in found:
            if every_link:
                _add(totals[kind, machine], count)
            elif link and kind == Kind.CLICKED:
                _add(by_link[version, link, machine], count)
    else:
        for key, counted in counters.read(list(sendings)).items():
            if key.link == 0:
                _add(totals[key.kind, key.machine], counted)
            elif key.kind == Kind.CLICKED:
                _add(by_link[sendings[key.sending_id].version_id or 0, key.link, key.machine], counted)
    return (
        {key: Count(*value) for key, value in totals.items()},
        {key: Count(*value) for key, value in by_link.items()},
    )


def _add(into: list[int], more: Sequence[int]) -> None:
    for place, number in enumerate(more):
        into[place] += number


def _reaction(counted: _By, kind: Kind, agreed: Share | None = None) -> Reaction:
    human, machine = counted.get((kind, False), Count()), counted.get((kind, True), Count())
    return Reaction(human.events, human.people, human.nameless, machine.events, machine.people, agreed)


def _agreed(workspace: Workspace, ids: list[int]) -> dict[str, Share]:
    """Shares of those who agreed, where the workspace measures individually at all."""
    could_open, opened, could_click, clicked = rows(sql("insight", "agreed"), {"sendings": ids})[0]
    shares = {}
    if workspace.opens_mode == "individual":
        shares["opened"] = Share(opened, could_open)
    if workspace.clicks_mode == "individual":
        shares["clicked"] = Share(clicked, could_click)
    return shares


def _links(sendings: dict[int, Sending], by_link: _ByLink) -> tuple[Link, ...]:
    """Every link of the versions, most people first; also those nobody followed."""
    versions = Version.objects.filter(
        id__in={sending.version_id for sending in sendings.values() if sending.version_id}
    )
    found = []
    for version in versions:
        for link in version.links:
            human = by_link.get((version.pk, int(link["no"]), False), Count())
            machine = by_link.get((version.pk, int(link["no"]), True), Count())
            found.append(
                Link(
                    version.pk,
                    int(link["no"]),
                    str(link["url"]),
                    str(link.get("label") or ""),
                    human.people,
                    human.events,
                    human.nameless,
                    machine.events,
                )
            )
    return tuple(sorted(found, key=lambda link: (-link.people, -link.events, link.version, link.no)))


def _sited(ids: list[int]) -> dict[str, dict[str, int]]:
    """People by reaction and site."""
    names = {int(kind): name for name, kind in people_of.REACTIONS.items()}
    found: dict[str, dict[str, int]] = {name: {} for name in names.values()}
    for site, kind, people in rows(sql("insight", "site_reactions"), {"sendings": ids, "kinds": list(names)}):
        found[names[kind]][site] = people
    return found


def _excluded(ids: list[int]) -> dict[str, int]:
    from django.db.models import Count as Rows

    found = Excluded.objects.filter(sending_id__in=ids).values_list("reason").annotate(people=Rows("contact_id"))
    return dict(found.order_by("-people", "reason"))


def minutes(report: Report) -> tuple[Hour, ...]:
    """The first three hours of the same sendings in steps of five minutes."""
    sendings = Sending.objects.filter(workspace_id=report.workspace_id).in_bulk(report.sendings)
    return _hours(sendings, SOON // FINE, FINE)


def _hours(sendings: dict[int, Sending], steps: int = HOURS, step: int = 3600) -> tuple[Hour, ...]:
    """The first 72 hours of each sending laid over one another, up to the last hour in which something happened."""
    params = {
        "sendings": list(sendings),
        "starts": [sending.started_at or sending.created_at for sending in sendings.values()],
        "steps": steps,
        "step": step,
        "kinds": [int(Kind.OPENED), int(Kind.CLICKED), int(Kind.UNSUBSCRIBED)],
    }
    delivered: dict[int, int] = dict(rows(sql("outbound", "report_hours"), params))
    found = rows(sql("events", "report_hours"), params)
    reacted = {(hour, kind): count for hour, kind, count, _ in found}
    people = {hour: some for hour, kind, _, some in found if kind == Kind.CLICKED}
    last = max([*delivered, *(hour for hour, _ in reacted)], default=-1)
    return tuple(
        Hour(
            hour=hour,
            delivered=delivered.get(hour, 0),
            opened=reacted.get((hour, int(Kind.OPENED)), 0),
            clicked=reacted.get((hour, int(Kind.CLICKED)), 0),
            unsubscribed=reacted.get((hour, int(Kind.UNSUBSCRIBED)), 0),
            clickers=people.get(hour, 0),
            step=step,
        )
        for hour in range(last + 1)
    )
