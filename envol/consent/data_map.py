"""The data map: which personal data lie where, why, from where, how long, and who gets them.

Drawn from the schema as it is and from what each room says of its tables; from the properties, forms, keys, imports and
routes of a workspace, as the rooms above tell them; and from the register of processors. What nobody describes, and
what is new since a member last read the map, is shown as drift (GDPR art. 5(2), 30).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.models import ApiKey, Workspace
from envol.consent import registry
from envol.consent.models import MapReading
from envol.db import rows


class Flow(NamedTuple):
    """One way in or out, or one thing that is kept: a form, a file, a key, a property, a route."""

    kind: str  # form, import, key, undeclared (a key that brought people of unknown origin), property, route
    name: str
    what: str = ""
    host: str = ""
    ref: int | None = None  # its number, for whoever has a page for it
    purposes: int = 0  # mask
    sensitive: bool = False


_flows: list[Callable[[Workspace], Iterable[Flow]]] = []


def register_flows(told: Callable[[Workspace], Iterable[Flow]]) -> None:
    """Called once by a room at start that has ways in or out of its own."""
    _flows.append(told)


def flows(workspace: Workspace) -> list[Flow]:
    keys = ApiKey.objects.filter(workspace=workspace, revoked_at=None).order_by("name")
    found = [Flow("key", one.name, ", ".join(one.scopes), ref=one.pk) for one in keys]
    return [*found, *(flow for told in _flows for flow in told(workspace))]


# Columns that say who somebody is, or lead to her.
_PERSON = re.compile(
    r"contact_id|contact|user_id|email|email_key|address|addresses|recipient|ip|author|phone|first_name|last_name"
    r"|envelope_from|envelope_to|person_id"
)


def schema() -> dict[str, list[str]]:
    """Every table of ours with its columns, from the database itself; partitions are one table."""
    found: dict[str, list[str]] = {}
    for table, column in rows(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace"
        " AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum"
    ):
        found.setdefault(table, []).append(column)
    return found


class Table(NamedTuple):
    """What is kept in one table: in words, column by column, and for how long."""

    room: str
    name: str
    content: str
    personal: bool
    retention: str
    columns: list[str]


@dataclass
class Map:
    tables: list[Table]
    flows: list[Flow]
    undescribed: list[Table]  # with a column that leads to a person, and no room speaks of it
    silent: list[str]  # tables no room speaks of, without such a column
    missing: list[str]  # described, and not there
    reading: MapReading | None = None
    new_columns: dict[str, list[str]] = field(default_factory=dict)
    gone_columns: dict[str, list[str]] = field(default_factory=dict)
    new_flows: list[str] = field(default_factory=list)

    @property
    def personal(self) -> list[Table]:
        return [one for one in self.tables if one.personal]

    @property
    def drifts(self) -> bool:
        """Does the map need somebody's look?"""
        return bool(self.undescribed or self.missing or self.new_columns or self.gone_columns or self.new_flows)


def draw(workspace: Workspace) -> Map:
    """The map as it is now, and how it differs from the one that was last read."""
    there = schema()
    described = {data.table: (room, data) for room, all_ in registry.data_map().items() for data in all_}
    tables = [
        Table(room, name, _(data.content), data.personal, _(data.retention), there[name])
        for name, (room, data) in described.items()
        if name in there
    ]
    others = {name: columns for name, columns in there.items() if name not in described}
    undescribed = [
        Table("", name, "", True, "", columns) for name, columns in others.items() if any(map(is_personal, columns))
    ]
    known = {one.name for one in undescribed}
    found = Map(
        tables,
        flows(workspace),
        undescribed,
        [name for name in others if name not in known],
        sorted(name for name in described if name not in there),
        MapReading.objects.filter(workspace=workspace).order_by("-id").first(),
    )
    if found.reading is not None:
        _compare(found, found.reading)
    return found


def is_personal(column: str) -> bool:
    return bool(_PERSON.fullmatch(column))


def _columns(found: Map) -> dict[str, list[str]]:
    return {one.name: one.columns for one in (*found.personal, *found.undescribed)}


def _name(flow: Flow) -> str:
    return f"{flow.kind} {flow.name}"


def _compare(found: Map, reading: MapReading) -> None:
    before, now = reading.columns, _columns(found)
    for table, columns in now.items():
        if new := [one for one in columns if one not in before.get(table, [])]:
            found.new_columns[table] = new
    for table, columns in before.items():
        if gone := [one for one in columns if one not in now.get(table, [])]:
            found.gone_columns[table] = gone
    read = set(reading.flows)
    found.new_flows = [_name(flow) for flow in found.flows if _name(flow) not in read]


def confirm(workspace: Workspace, member_id: int | None = None) -> MapReading:
    """A member has read the map and says that it is right: drift is told from here on."""
    found = draw(workspace)
    reading = MapReading.objects.create(
        workspace=workspace,
        member_id=member_id,
        columns=_columns(found),
        flows=[_name(flow) for flow in found.flows],
    )
    note(workspace, "member", "map.confirmed", reading, actor_id=member_id, tables=len(reading.columns))
    return reading


def as_values(found: Map) -> dict[str, Any]:
    """The map for programs and for the evidence pack."""
    return {
        "tables": [one._asdict() for one in found.tables],
        "undescribed": [one.name for one in found.undescribed],
        "ways": [flow._asdict() for flow in found.flows],
        "read_at": found.reading.at.isoformat() if found.reading else None,
        "new_columns": found.new_columns,
        "gone_columns": found.gone_columns,
    }
