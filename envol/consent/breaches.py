"""Breaches of personal data: the clock, what must be notified, who is told, and the register (GDPR art. 33, 34).

The clock runs from the moment somebody is aware, over weekends too (Regulation 1182/71 counts them); how many hours it
has is a setting of the organisation. What a line says is never changed: who learns more adds a line (art. 33(4)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from envol import events
from envol.accounts.journal import note
from envol.accounts.models import Member, Role, Workspace
from envol.consent import data_map, desk, playbooks
from envol.consent.models import Breach, BreachLine
from envol.db import TooSlow, execute, rows, value, within

ALERTS = (24, 48, 66)
"""Hours after awareness at which owners are reminded, of 72; shares of whatever the organisation has set."""
_OF = 72
PARTS = ("nature", "categories", "persons", "records", "consequences", "measures", "contact")
"""The content of a notification, in the order of art. 33(3)."""


class Person(NamedTuple):
    contact_id: int
    email: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data a breach may concern: how many, and who, from an id of the room that knows it."""

    count: Callable[[Workspace, int | None], int]
    people: Callable[[Workspace, int | None, int], list[Person]]  # ids above the third, in order, some thousands


_scopes: dict[str, Scope] = {}
_watches: list[Callable[[int, datetime], Iterable[Suspicion]]] = []


class Suspicion(NamedTuple):
    """Something that looks like a breach; ``cause`` is the same for the same thing seen again."""

    watch: str
    cause: str
    facts: Mapping[str, Any]
    scope: str = ""
    ref: int | None = None


def register_scope(name: str, scope: Scope) -> None:
    _scopes[name] = scope


def register_watch(look: Callable[[int, datetime], Iterable[Suspicion]]) -> None:
    """``look`` gets a workspace id and since when; it answers what it saw."""
    _watches.append(look)


class Refused(ValueError):
    """Not now, or not so; the sentence says why."""


# -- the clock and the state --------------------------------------------------------------------


@dataclass
class State:
    """What follows from the lines of a breach."""

    breach: Breach
    lines: list[BreachLine]
    hours: int

    def last(self, kind: str) -> BreachLine | None:
        return next((line for line in reversed(self.lines) if line.kind == kind), None)

    @property
    def name(self) -> str:
        """suspected, open, dismissed or closed."""
        for kind in ("closed", "dismissed"):
            if self.last(kind):
                return kind
        return "open" if self.last("aware") else "suspected"

    @property
    def aware_at(self) -> datetime | None:
        line = self.last("aware")
        return datetime.fromisoformat(line.said["at"]) if line else None

    @property
    def due(self) -> datetime | None:
        return self.aware_at + timedelta(hours=self.hours) if self.aware_at else None

    @property
    def notified_at(self) -> datetime | None:
        line = self.last("notified")
        return datetime.fromisoformat(line.said["at"]) if line else None

    @property
    def must_notify(self) -> bool:
        """Unless somebody decided, with reasons, that a risk is unlikely (art. 33(1))."""
        line = self.last("authority")
        return line is None or bool(line.said.get("notify"))

    @property
    def runs(self) -> bool:
        return self.name == "open" and self.must_notify and self.notified_at is None

    @property
    def late(self) -> bool:
        return self.due is not None and self.must_notify and (self.notified_at or timezone.now()) > self.due

    @property
    def facts(self) -> dict[str, Any]:
        line = self.last("facts")
        return dict(line.said) if line else {}


def state(breach: Breach) -> State:
    lines = list(BreachLine.objects.filter(breach=breach).order_by("id"))
    return State(breach, lines, desk.of(breach.workspace).breach_hours)


def add(breach: Breach, kind: str, said: Mapping[str, Any], *, member_id: int | None = None) -> BreachLine:
    """Add one line to the register."""
    with transaction.atomic():
        made = BreachLine.objects.create(breach=breach, kind=kind, said=dict(said), member_id=member_id)
        actor = "member" if member_id else "job"
        note(breach.workspace, actor, f"breach.{kind}", breach, actor_id=member_id, drill=breach.drill)
    return made


def begin(
    workspace: Workspace,
    title: str,
    aware_at: datetime,
    *,
    drill: bool = False,
    scope: str = "",
    ref: int | None = None,
    playbook: str = "",
    member_id: int | None = None,
) -> Breach:
    """Somebody is aware of a breach: the clock runs, and what can be counted is filled in. Raises Refused.

    ``playbook``: the key of one of `playbooks.PLAYBOOKS`, whose words are a first draft in the language of the moment.
    """
    if aware_at > timezone.now() + timedelta(minutes=1):
        raise Refused(_("Nobody can be aware of it before it is so: write a moment that has passed."))
    with transaction.atomic():
        breach = Breach.objects.create(workspace=workspace, title=title[:200], drill=drill, scope=scope, ref=ref)
        add(breach, "aware", {"at": aware_at.isoformat()}, member_id=member_id)
        add(breach, "facts", prefilled(breach, playbooks.of(playbook)), member_id=member_id)
    return breach


def become_aware(breach: Breach, *, member_id: int | None = None) -> None:
    """A suspicion proves true: the clock begins now."""
    if state(breach).name != "suspected":
        raise Refused(_("This is no open suspicion any more."))
    with transaction.atomic():
        add(breach, "aware", {"at": timezone.now().isoformat()}, member_id=member_id)
        add(breach, "facts", prefilled(breach, playbooks.of_watch(breach.origin)), member_id=member_id)


def dismiss(breach: Breach, why: str, *, member_id: int | None = None) -> None:
    if state(breach).name != "suspected":
        raise Refused(_("This is no open suspicion any more."))
    if not why.strip():
        raise Refused(_("Say why it is no breach: the register keeps it."))
    add(breach, "dismissed", {"why": why.strip()[:2000]}, member_id=member_id)


def close(breach: Breach, remedy: str, *, member_id: int | None = None) -> None:
    """The end: facts, decisions and remedy stand in the register. Raises Refused with what is missing."""
    now = state(breach)
    if now.name != "open":
        raise Refused(_("It is closed already."))
    if now.runs:
        raise Refused(_("Notify the authority first, or decide with a reason that this is not needed."))
    if now.last("persons") is None:
        raise Refused(_("Decide first whether the people concerned must be told (art. 34)."))
    if not remedy.strip():
        raise Refused(_("Say what was done so that it does not happen again."))
    add(breach, "closed", {"remedy": remedy.strip()[:4000]}, member_id=member_id)


# -- what a notification says -------------------------------------------------------------------


def count(breach: Breach) -> int | None:
    """How many people it may concern, where that can be counted."""
    scope = _scopes.get(breach.scope)
    return scope.count(breach.workspace, breach.ref) if scope else None


def prefilled(breach: Breach, kind: playbooks.Playbook | None = None) -> dict[str, Any]:
    """The content of art. 33(3) as far as the database knows it: people, records, categories, the contact; and what
    usually is to say of a breach of this ``kind``."""
    found = desk.of(breach.workspace)
    persons = count(breach)
    tables = _tables(breach.workspace) if breach.scope == "everybody" else {}
    fields = [flow.name for flow in data_map.flows(breach.workspace) if flow.kind == "property"]
    return {
        "playbook": kind.key if kind else "",
        "nature": str(kind.nature) if kind else "",
        "categories": ", ".join([_("e-mail address"), *fields]) if breach.scope else "",
        "persons": persons,
        "records": sum(tables.values()) or persons,
        "tables": tables,
        "consequences": str(kind.consequences) if kind else "",
        "measures": str(kind.measures) if kind else "",
        "contact": ", ".join(p for p in (found.dpo_name, found.dpo_contact) if p) or found.contact,
    }


def _tables(workspace: Workspace) -> dict[str, int]:
    """Rows of this organisation in each table that says whose they are."""
    found: dict[str, int] = {}
    try:
        with within(5):
            for table in data_map.draw(workspace).personal:
                if {"workspace_id", "contact_id"} <= set(table.columns) or table.name == "contacts_contact":
                    many = value(f"SELECT count(*) FROM {table.name} WHERE workspace_id = %s", [workspace.pk])
                    if many:
                        found[table.name] = int(many)
    except TooSlow:
        pass
    return found


def people_of(workspace: Workspace, scope: str, ref: int | None, after: int) -> list[Person]:
    """The next some thousands of people of a scope, above this contact's number."""
    return _scopes[scope].people(workspace, ref, after)


def told_so_far(breach: Breach) -> int:
    return int(value("SELECT count(*) FROM consent_breach_told WHERE breach_id = %s", [breach.pk]) or 0)


def tell(breach: Breach, subject: str, text: str, *, language: str = "fr") -> Iterator[int]:
    """Write to everybody concerned, some thousands at a time; each step answers how many were asked for so far.

    A service message on the road of every single one: no marketing refusal holds it back and nothing of it is measured.
    In a drill nobody is written to. Taken up again, it goes on behind the last who was told.
    """
    if breach.drill:
        return
    scope = _scopes.get(breach.scope)
    if scope is None:
        raise Refused(_("Say first whose data it concerns."))
    last = int(value("SELECT max(contact_id) FROM consent_breach_told WHERE breach_id = %s", [breach.pk]) or 0)
    done = told_so_far(breach)
    while people := scope.people(breach.workspace, breach.ref, last):
        with transaction.atomic():
            for person in people:
                events.request_mail(
                    "breach", person.email, {"subject": subject, "text": text, "ref": breach.pk},
                    workspace_id=breach.workspace.pk, contact_id=person.contact_id,
                    language=person.language or language,
                )  # fmt: skip
            execute(
                "INSERT INTO consent_breach_told (breach_id, contact_id) SELECT %s, unnest(%s::bigint[])"
                " ON CONFLICT DO NOTHING",
                [breach.pk, [person.contact_id for person in people]],
            )
        last = people[-1].contact_id
        done += len(people)
        yield done


# -- suspicion and reminders --------------------------------------------------------------------

MASS = 5
"""Files of people one member may take in a day before somebody asks why."""
_TAKEN = ("contacts.exported", "export.taken", "campaign.people_exported", "suppression.exported", "analysis.exported")


def _journal(workspace_id: int, since: datetime) -> Iterator[Suspicion]:
    """What the journal shows by itself: many files taken, a key that was paused as stolen, a sending cut short."""
    for actor, day, many in rows(
        "SELECT actor_id, (at AT TIME ZONE 'UTC')::date, count(*) FROM accounts_journal WHERE workspace_id = %s"
        " AND at > %s AND action = ANY(%s) GROUP BY 1, 2 HAVING count(*) > %s",
        [workspace_id, since, list(_TAKEN), MASS],
    ):
        yield Suspicion("exports", f"exports {actor} {day}", {"member": actor, "files": many}, "everybody")
    for entry, key in rows(
        "SELECT id, object_id FROM accounts_journal WHERE workspace_id = %s AND at > %s AND action = 'api_key.paused'"
        " AND actor_kind <> 'member'",
        [workspace_id, since],
    ):
        yield Suspicion("key", f"key {entry}", {"key": key})


def suspect(workspace: Workspace, seen: Suspicion) -> Breach | None:
    """Open a draft for what a watch saw; None when it was opened before."""
    with translation.override(workspace.language):
        titles = {
            "exports": _("Many files of people were taken in one day"),
            "key": _("A key was used as it never was"),
            "stopped": _("A sending was stopped after it had begun: perhaps the wrong people"),
            "others": _("A message carries the address of another person"),
        }
        title = titles.get(seen.watch, seen.watch)
    try:
        with transaction.atomic():
            breach = Breach.objects.create(
                workspace=workspace, title=title, origin=seen.watch, cause=seen.cause[:120], scope=seen.scope,
                ref=seen.ref,
            )  # fmt: skip
            add(breach, "suspected", seen.facts)
    except IntegrityError:
        return None
    return breach


def watch(since: datetime | None = None) -> int:
    """Look at every workspace for what looks like a breach; how many drafts were opened."""
    since = since or timezone.now() - timedelta(hours=25)
    made = 0
    for workspace in Workspace.objects.order_by("id"):
        for look in (_journal, *_watches):
            for seen in look(workspace.pk, since):
                breach = suspect(workspace, seen)
                if breach is not None:
                    made += 1
                    _remind(breach, _("Envol suspects a breach"), _("Look at it and say whether it is one:"))
    return made


def remind(now: datetime | None = None) -> int:
    """Tell owners how long the clock has run, at a third, two thirds and most of its hours; how many reminders."""
    now, made = now or timezone.now(), 0
    open_ones = (
        Breach.objects.filter(lines__kind="aware")
        .exclude(lines__kind__in=["closed", "notified"])
        .distinct()
        .order_by("id")
    )
    for breach in open_ones.select_related("workspace"):
        found = state(breach)
        if not found.runs or found.aware_at is None:
            continue
        done = {line.said.get("hours") for line in found.lines if line.kind == "alert"}
        for hours in ALERTS:
            at = found.aware_at + timedelta(hours=found.hours * hours / _OF)
            if hours in done or now < at:
                continue
            add(breach, "alert", {"hours": hours})
            made += 1
            if hours != max(h for h in ALERTS if now >= found.aware_at + timedelta(hours=found.hours * h / _OF)):
                continue  # noted; the latest of them is the one that is mailed
            with translation.override(breach.workspace.language):
                left = max(0, int((found.aware_at + timedelta(hours=found.hours) - now).total_seconds() // 3600))
                said = _("%(hours)s hours are left to notify the authority. Go on here:") % {"hours": left}
                _remind(breach, _("Breach: the clock runs"), said)
    return made


def _remind(breach: Breach, subject: str, text: str) -> None:
    from django.conf import settings

    where = f"{settings.ENVOL.base_url}/consent/breaches/{breach.pk}"
    drill = f"[{_('drill')}] " if breach.drill else ""
    for member in Member.objects.filter(workspace=breach.workspace, role=Role.OWNER).select_related("user"):
        said = {"subject": f"{drill}{subject} – {breach.title}", "text": f"{text}\n\n{where}\n"}
        events.request_mail(
            "breach_alert", member.user.email, said,
            workspace_id=breach.workspace.pk, language=member.user.language,
        )  # fmt: skip
