"""Contacts as rows of a file, streamed: memory does not grow with the number of people."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from envol.accounts.models import Workspace
from envol.consent import gates
from envol.consent.models import Purpose
from envol.contacts import catalogue, sealing
from envol.contacts.models import Property
from envol.contacts.people import masked
from envol.db import rows

_BATCH = 2000
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
# A spreadsheet may drop these before it looks at the first character.
_IGNORED = " \u00a0\u2007\u202f\u3000\"'\u2018\u2019\u201c\u201d\ufeff\u200b\u200e\u200f"
_DANGEROUS = frozenset("=+-@\t\r\n|")

_FIXED = ("email", "language", "time_zone", "tags", "created_at")


def safe(cell: str) -> str:
    """A cell no spreadsheet takes for a formula: a leading ' where it could, plain numbers excepted.

    Looks behind quotes and spaces, and at full-width forms (＝ ＋ － ＠) as what they stand for.
    """
    if not cell or _NUMBER.fullmatch(cell):
        return cell
    rest = cell.lstrip(_IGNORED)
    if cell[0] in "\t\r\n" or (rest and unicodedata.normalize("NFKC", rest[0])[:1] in _DANGEROUS):
        return "'" + cell
    return cell


def columns_of(workspace: Workspace, *, sensitive: bool = False) -> list[str]:
    """All columns an export may have: fixed ones, ``property:key``, ``permission:key``."""
    kept = [key for key, one in catalogue.of(workspace).items() if sensitive or not one.sensitive]
    purposes = Purpose.objects.filter(workspace=workspace).order_by("bit").values_list("key", flat=True)
    return [*_FIXED, *(f"property:{key}" for key in kept), *(f"permission:{key}" for key in purposes)]


def csv_rows(
    workspace: Workspace,
    ids: tuple[str, Sequence[Any] | Mapping[str, Any]] | None = None,
    *,
    columns: Sequence[str] | None = None,
    language: str = "fr",
    delimiter: str = ",",
    bom: bool = False,
    mask: bool = False,
    purpose: Purpose | None = None,
) -> Iterator[str]:
    """Lines of a CSV file (RFC 4180), the header first; about 2,000 people a piece.

    ``ids``: a SELECT of contact ids with its parameters (a segment, a selection), None for everybody.
    ``mask`` hides addresses, for members who may not see them whole. ``bom``: for spreadsheets
    that take a file without one for Latin-1. Sensitive properties only when named in ``columns``. ``purpose``: what the
    file is for; values that a person did not allow to be used so stay empty.
    """
    columns = list(columns or columns_of(workspace))
    if len(delimiter) != 1 or delimiter in "\"'\r\n":
        raise ValueError("The separator is one character, such as a comma, a semicolon or a tab.")
    properties = catalogue.of(workspace)
    purposes = {p.key: p for p in Purpose.objects.filter(workspace=workspace)}
    makers = [
        gated(maker(name, properties, purposes, mask), _property(name, properties), purpose, "") for name in columns
    ]
    titles = [title(name, properties, purposes, language) for name in columns]
    # The selection is made when the first line is asked for; 8 bytes a person, then rows by id.
    buffer = io.StringIO()
    write = csv.writer(buffer, delimiter=delimiter, lineterminator="\r\n").writerow

    def taken() -> str:
        text = buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        return text

    def lines() -> Iterator[str]:
        write([safe(one) for one in titles])
        yield ("\ufeff" if bom else "") + taken()
        query, params = ids or ("SELECT id FROM contacts_contact WHERE workspace_id = %s", [workspace.id])
        for some in persons(workspace, array("q", sorted(row[0] for row in rows(query, params)))):
            for person in some:
                write([safe(make(person)) for make in makers])
            if text := taken():
                yield text

    return lines()


def persons(workspace: Workspace, chosen: array[int]) -> Iterator[list[dict[str, Any]]]:
    """What exports know of these people (``chosen`` is sorted), 2,000 at a time; who is gone is left out."""
    for start in range(0, len(chosen), _BATCH):
        found = []
        for row in rows(
            "SELECT email, language, time_zone, tags, created_at, props, allowed, refused, email_key"
            " FROM contacts_contact WHERE workspace_id = %s AND id = ANY(%s) ORDER BY id",
            [workspace.id, list(chosen[start : start + _BATCH])],
        ):
            person = dict(zip((*_FIXED, "props", "allowed", "refused", "key"), row, strict=True))
            person["props"], person["tags"] = json.loads(person["props"]), json.loads(person["tags"])
            found.append(person)
        yield found


def title(name: str, properties: Mapping[str, Property], purposes: Mapping[str, Purpose], language: str) -> str:
    kind, _, key = name.partition(":")
    known: Any = properties.get(key) if kind == "property" else purposes.get(key)
    if not key or known is None:
        return name
    return str(known.label_fr if language.startswith("fr") else known.label_en)


def maker(
    name: str, properties: Mapping[str, Property], purposes: Mapping[str, Purpose], mask: bool = False
) -> Callable[[dict[str, Any]], str]:
    """What makes the text of one column of what `persons` tells; ValueError when there is no such column."""
    kind, _, key = name.partition(":")
    if name == "email":
        return (lambda person: masked(person["email"])) if mask else (lambda person: person["email"])
    if name == "tags":
        return lambda person: ";".join(person["tags"])
    if name == "created_at":
        return lambda person: person["created_at"].isoformat(timespec="seconds")
    if name in _FIXED:
        return lambda person: person[name] or ""
    if kind == "property" and key in properties:
        shown, workspace_id = _shown(properties[key].type), properties[key].workspace_id
        if sealing.seals(properties[key]):
            return lambda person: _text(sealing.opened(workspace_id, person["props"].get(key)), shown)
        return lambda person: _text(person["props"].get(key), shown)
    if kind == "permission" and key in purposes:
        bit = 1 << purposes[key].bit
        return lambda person: "granted" if person["allowed"] & bit else "withdrawn" if person["refused"] & bit else ""
    raise ValueError(f"There is no column {name!r} to export.")


def _property(name: str, properties: Mapping[str, Property]) -> Property | None:
    kind, _, key = name.partition(":")
    return properties.get(key) if kind == "property" else None


def gated(
    make: Callable[[dict[str, Any]], Any], property: Property | None, purpose: Purpose | None, nothing: Any
) -> Callable[[dict[str, Any]], Any]:
    """The same column with `gates.may_use` before each cell, as a message would ask it; as it was without a purpose."""
    if purpose is None or property is None or not property.personal:
        return make
    serves, contract = property.purposes, 1 << purpose.bit if purpose.kind == "transactional" else 0

    def made(person: dict[str, Any]) -> Any:
        return make(person) if gates.may_use(person["allowed"], serves, transactional=contract) else nothing

    return made


def _text(value: Any, shown: Callable[[Any], str]) -> str:
    return "" if value is None else shown(value)


def _shown(type: str) -> Callable[[Any], str]:
    match type:
        case "list":
            return lambda value: ";".join(value)
        case "place":
            return lambda value: str(value.get("label") or value.get("postcode") or value.get("country") or "")
        case "money":
            return lambda value: f"{'-' if value < 0 else ''}{abs(value) // 100}.{abs(value) % 100:02}"
        case "boolean":
            return lambda value: "yes" if value else "no"
        case _:
            return str
