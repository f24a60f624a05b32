"""Events that a workspace's own programs tell of: what they may be called, what may be told with them, writing them.

A name and its properties are made when they are first told, up to a number: whoever sends rubbish fills no catalogue.
What is written is an event like all others, so its time of keeping, erasure and export are theirs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts import undo
from envol.accounts.journal import note
from envol.accounts.models import Member, Undo, Workspace
from envol.db import execute, rows, sql
from envol.events.models import CustomEvent, Kind

MOST_NAMES = 200
MOST_PROPERTIES = 20
MOST_TEXT = 200
LABEL = 120
REMOVED = "events.custom_removed"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,39}")


class NewCustom(NamedTuple):
    """``given``: the id its program gave it, so that telling it twice is harmless; "" when it has none."""

    name: str
    contact_id: int
    at: datetime
    properties: Mapping[str, Any]
    given: str = ""


class Untold(ValueError):
    """An event that cannot be kept; the sentence says why and what to do."""


def storable(text: str) -> bool:
    """Whether the database can hold this text."""
    return "\0" not in text and not any(0xD800 <= ord(c) <= 0xDFFF for c in text)


def clean_name(name: object) -> str:
    """The name as it is kept. Raises :class:`Untold`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Untold(_("Name the event with small letters, digits and _, for example appointment_booked."))
    return name


def clean_properties(raw: object) -> dict[str, str | int | float | bool]:
    """What is told with an event; nulls are left out. Raises :class:`Untold`."""
    if raw is None:
        return {}
    if not isinstance(raw, dict) or len(raw) > MOST_PROPERTIES:
        raise Untold(_("Properties are one flat object of at most %(n)s values.") % {"n": MOST_PROPERTIES})
    made: dict[str, str | int | float | bool] = {}
    for key, value in raw.items():
        if not isinstance(key, str) or not _PROPERTY.fullmatch(key):
            raise Untold(_("Name a property with small letters, digits and _; not “%(name)s”.") % {"name": key[:40]})
        if value is None:
            continue
        if isinstance(value, str):
            if len(value) > MOST_TEXT or not storable(value):
                said = _("“%(name)s”: a text has at most %(n)s characters and no control character.")
                raise Untold(said % {"name": key, "n": MOST_TEXT})
        elif not isinstance(value, bool | int | float) or not abs(value) <= 1e15:
            raise Untold(_("“%(name)s” must be a text, a number, or true or false.") % {"name": key})
        made[key] = value
    return made


def type_of(value: str | float | bool) -> str:
    return "text" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "number"


@dataclass(slots=True)
class Book:
    """The custom events of one workspace while some are written; new names and properties enter it."""

    workspace_id: int
    known: dict[str, CustomEvent]
    changed: set[str]

    @classmethod
    def open(cls, workspace_id: int) -> Book:
        """Inside a transaction: one writer of a workspace's names at a time."""
        execute("SELECT pg_advisory_xact_lock(hashtext('events.custom'), %s)", [workspace_id])
        return cls(workspace_id, {one.key: one for one in CustomEvent.objects.filter(workspace_id=workspace_id)}, set())

    def enter(self, name: str, properties: Mapping[str, Any]) -> None:
        """Let this event in. Raises :class:`Untold` when it contradicts what was told before, or is one too many."""
        found = self.known.get(name)
        if found is not None and found.removed_at is not None:
            raise Untold(_("The event %(event)s was deleted; stop sending it.") % {"event": name})
        if found is None:
            if len(self.known) >= MOST_NAMES:
                raise Untold(_("There are %(n)s kinds of events already; use one of them.") % {"n": MOST_NAMES})
            found = CustomEvent(workspace_id=self.workspace_id, key=name, properties={})
            found.label_fr = found.label_en = name.replace("_", " ").capitalize()
        types = dict(found.properties)
        for key, value in properties.items():
            type_ = type_of(value)
            if types.setdefault(key, type_) != type_:
                said = _("“%(name)s” of the event %(event)s was a %(before)s until now; send it as one.")
                raise Untold(said % {"name": key, "event": name, "before": types[key]})
        if len(types) > MOST_PROPERTIES:
            said = _("The event %(event)s has %(n)s properties already; use one of them.")
            raise Untold(said % {"event": name, "n": MOST_PROPERTIES})
        if types != found.properties or found.pk is None:
            found.properties = types
            self.known[name] = found
            self.changed.add(name)

    def keep(self) -> None:
        for name in sorted(self.changed):
            self.known[name].save()
        self.changed.clear()


def write(workspace_id: int, book: Book, told: Sequence[NewCustom]) -> int:
    """Write events that the book let in; how many were new."""
    if not told:
        return 0
    book.keep()
    return execute(
        sql("events", "insert_custom"),
        {
            "workspace": workspace_id,
            "kind": int(Kind.CUSTOM),
            "at": [one.at for one in told],
            "contacts": [one.contact_id for one in told],
            "facts": [json.dumps({"event": one.name, "told": dict(one.properties)}) for one in told],
            "customs": [book.known[one.name].pk for one in told],
            "given": [_digest(one.given) if one.given else None for one in told],
        },
    )


def _digest(given: str) -> int:
    return int.from_bytes(hashlib.blake2b(given.encode(), digest_size=8).digest(), signed=True)


def rename(event: CustomEvent, label_fr: str, label_en: str, *, actor_id: int | None = None) -> None:
    """Call it something else on our pages; programs go on telling it by its name."""
    label_fr, label_en = " ".join(label_fr.split()), " ".join(label_en.split())
    if not 0 < len(label_fr) <= LABEL or not 0 < len(label_en) <= LABEL or "\0" in label_fr + label_en:
        raise ValueError(_("Give it a name of 1 to %(n)s characters in French and in English.") % {"n": LABEL})
    event.label_fr, event.label_en = label_fr, label_en
    event.save(update_fields=["label_fr", "label_en"])
    note(event.workspace, "member", "event.renamed", event, actor_id=actor_id, event=event.key)


def remove(event: CustomEvent, *, actor_id: int | None = None) -> Undo:
    """Hide it at once; its undo is open for a week, then it goes with everything that was told of it."""
    with transaction.atomic():
        CustomEvent.objects.filter(pk=event.pk).update(removed_at=Now())
        entry = note(event.workspace, "member", "event.removed", event, actor_id=actor_id, event=event.key)
        return undo.offer(entry, REMOVED, {"id": event.pk})


def bring_back(workspace: Workspace, facts: Mapping[str, Any], member: Member) -> str:
    """The undo of a removal."""
    if not CustomEvent.objects.filter(workspace=workspace, pk=facts["id"], removed_at__isnull=False).update(
        removed_at=None
    ):
        raise undo.CannotUndo(_("This event is gone for good, or back already."))
    return _("The event is back with everything that was told of it.")


def sweep(now: datetime | None = None) -> int:
    """Delete what was removed a week ago, with its events; how many kinds went."""
    old = CustomEvent.objects.filter(removed_at__lt=(now or timezone.now()) - undo.KEPT)
    for event in old:
        execute("DELETE FROM events_event WHERE custom = %s", [event.pk])
        event.delete()
    return len(old)


@dataclass(frozen=True, slots=True)
class Heard:
    """How often an event was told: in the last 30 days and since it is kept; people; the last time."""

    lately: int
    events: int
    people: int
    last: datetime | None


def heard(workspace: Workspace) -> dict[int, Heard]:
    """Of each custom event, by its id."""
    found = rows(
        "SELECT custom, count(*) FILTER (WHERE at >= now() - interval '30 days'), count(*),"
        " count(DISTINCT contact_id), max(at) FROM events_event WHERE workspace_id = %s AND custom IS NOT NULL"
        " GROUP BY custom",
        [workspace.pk],
    )
    return {custom: Heard(*facts) for custom, *facts in found}
