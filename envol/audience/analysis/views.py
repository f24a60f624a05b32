"""The views an analyst sees: the columns of one workspace under names that say what they are.

``person`` is the number of a person within this copy and joins all views; ``people.id`` is her number everywhere. Times
are UTC, amounts cents, a day is a date. Who is erased since the copy was made is in none of them. Only strings of ours
become SQL here; names of properties are quoted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

KINDS = {5: "opened", 6: "clicked", 8: "unsubscribed"}
_AT = "make_timestamp({})"
_DAY = "CAST(try_strptime(CAST({} AS VARCHAR), '%Y%m%d') AS DATE)"
_MASKED = "left({0}, 1) || '•••' || substring({0}, strpos({0}, '@'))"
_PLACE = ("called", "country", "postcode", "lat", "lon")
FIXED = ("person", "id", "email", "language", "created", "tags", "suppressed", "objected")


@dataclass
class Copy:
    """What the child is told: files by table, the properties it holds (key, type), who is gone, names by number."""

    files: dict[str, list[str]]
    properties: list[tuple[str, str]]
    masked: bool
    gone: list[int] = field(default_factory=list)
    lists: dict[str, str] = field(default_factory=dict)
    sendings: dict[str, str] = field(default_factory=dict)


def columns(properties: list[tuple[str, str]]) -> dict[str, list[str]]:
    """View → its columns, in their order."""
    own = [name for key, kind in properties for name in _names(key, kind)]
    return {
        "people": [*FIXED, *own],
        "memberships": ["person", "list", "list_name", "since", "until"],
        "orders": ["person", "order_no", "moment", "cents", "currency"],
        "order_lines": ["person", "order_no", "moment", "currency", "product", "category", "cents"],
        "events": ["person", "kind", "moment", "sending", "sending_name"],
    }


def _names(key: str, kind: str) -> list[str]:
    name = f"prop_{key}" if key in FIXED else key
    return [name if part == "called" else f"{name}_{part}" for part in _PLACE] if kind == "place" else [name]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _property(key: str, kind: str) -> list[str]:
    names = _names(key, kind)
    if kind == "place":
        return [f"{_quoted(f'p_{key}${part}')} AS {_quoted(name)}" for part, name in zip(_PLACE, names, strict=True)]
    column = _quoted(f"p_{key}")
    if kind == "date":
        column = _DAY.format(column)
    elif kind == "money":
        column = f"CAST({column} AS BIGINT)"
    return [f"{column} AS {_quoted(names[0])}"]


def statements(copy: Copy, types: dict[str, str]) -> list[str]:
    """SQL that makes the views. ``types`` says what an empty table would hold: table → columns with their types."""
    made = []
    for table, files in copy.files.items():
        if files:
            listed = ", ".join(_text(file) for file in files)
            made.append(f"CREATE VIEW raw_{table} AS SELECT * FROM read_parquet([{listed}])")
        else:
            made.append(f"CREATE TABLE raw_{table} (pos INTEGER, {types[table]})")
    made.append("CREATE TABLE raw_gone (pos INTEGER)")
    if copy.gone:
        some = ", ".join(str(int(one)) for one in copy.gone)
        made.append(f"INSERT INTO raw_gone SELECT pos FROM raw_contacts WHERE id IN ({some})")
    for name, known in (("lists", copy.lists), ("sendings", copy.sendings)):
        made.append(f"CREATE TABLE raw_{name} (no BIGINT, name VARCHAR)")
        if known:
            rows = ", ".join(f"({int(no)}, {_text(word)})" for no, word in known.items())
            made.append(f"INSERT INTO raw_{name} VALUES {rows}")
    here = "pos NOT IN (SELECT pos FROM raw_gone)" if copy.gone else "true"
    email = _MASKED.format("email") if copy.masked else "email"
    own = ", ".join(one for key, kind in copy.properties for one in _property(key, kind))
    at, since, left = (_AT.format(f'"{name}"') for name in ("at", "since", "until"))  # AT is a word of DuckDB's own
    kinds = " ".join(f"WHEN {number} THEN '{word}'" for number, word in KINDS.items())
    made += [
        f"CREATE VIEW people AS SELECT pos AS person, id, {email} AS email, language,"
        f" {_AT.format('created_at')} AS created, tags, suppressed, objected{', ' + own if own else ''}"
        f" FROM raw_contacts WHERE {here}",
        f"CREATE VIEW memberships AS SELECT pos AS person, list, n.name AS list_name, {since} AS since,"
        f" {left} AS until FROM raw_memberships LEFT JOIN raw_lists n ON n.no = list WHERE {here}",
        f"CREATE VIEW orders AS SELECT pos AS person, no AS order_no, {at} AS moment, amount AS cents, currency"
        f" FROM raw_orders WHERE {here}",
        f"CREATE VIEW order_lines AS SELECT pos AS person, no AS order_no, {at} AS moment, currency, product,"
        f" category, amount AS cents FROM raw_lines WHERE {here}",
        f"CREATE VIEW events AS SELECT pos AS person, CASE kind {kinds} END AS kind, {at} AS moment, sending,"
        f" n.name AS sending_name FROM raw_events LEFT JOIN raw_sendings n ON n.no = sending WHERE {here}",
    ]
    return made


def told(copy: Copy) -> dict[str, Any]:
    return {
        "files": copy.files, "properties": copy.properties, "masked": copy.masked, "gone": copy.gone,
        "lists": copy.lists, "sendings": copy.sendings,
    }  # fmt: skip
