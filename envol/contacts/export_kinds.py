"""The kinds of files that people leave as: CSV, a workbook, Parquet, digests; each written as it goes, never whole."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from envol.consent.models import Purpose
from envol.contacts import catalogue, exports
from envol.contacts.exports import csv_rows, persons
from envol.contacts.models import Export

TELL = 2_000
"""People between two words on how far it is."""

Tell = Callable[[int, int | None, str], None]


def purpose_of(export: Export) -> Purpose | None:
    return Purpose.objects.get(workspace=export.workspace, pk=export.purpose_id) if export.purpose_id else None


def _batches(export: Export, chosen: array[int], tell: Tell) -> Iterator[list[dict[str, Any]]]:
    done = 0
    for some in persons(export.workspace, chosen):
        yield some
        done += TELL
        tell(min(done, len(chosen)), len(chosen), "writing")


def _csv(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    pieces = csv_rows(
        export.workspace,
        ("SELECT unnest(%s::bigint[])", [list(chosen)]),
        columns=export.columns,
        language=export.language,
        delimiter=";" if export.language == "fr" else ",",  # what spreadsheets of that language expect
        bom=True,
        purpose=purpose_of(export),
    )
    with open(place, "w", encoding="utf-8", newline="") as out:
        for n, piece in enumerate(pieces):
            out.write(piece)
            tell(min(n * TELL, len(chosen)), len(chosen), "writing")


def _hashed(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    with open(place, "w", encoding="ascii", newline="") as out:
        out.write("email_sha256\r\n")
        for some in _batches(export, chosen, tell):
            out.writelines(hashlib.sha256(person["key"].encode()).hexdigest() + "\r\n" for person in some)


def _columns(export: Export) -> list[tuple[str, str, Callable[[dict[str, Any]], Any]]]:
    """Title, type (text, number, money, boolean, date, moment, list) and maker of each column."""
    properties = catalogue.of(export.workspace)
    purposes = {p.key: p for p in Purpose.objects.filter(workspace=export.workspace)}
    purpose = purpose_of(export)
    found: list[tuple[str, str, Callable[[dict[str, Any]], Any]]] = []
    for name in export.columns:
        title = exports.title(name, properties, purposes, export.language)
        _kind, _colon, key = name.partition(":")
        if name == "created_at":
            found.append((title, "moment", lambda person: person["created_at"]))
        elif name == "tags":
            found.append((title, "list", lambda person: person["tags"]))
        elif name.startswith("property:") and key in properties:
            type_ = properties[key].type
            kept = type_ if type_ in ("number", "money", "boolean", "date", "list") else "text"
            made = _typed(name, key, kept, properties)
            found.append((title, kept, exports.gated(made, properties[key], purpose, None)))
        else:
            found.append((title, "text", exports.maker(name, properties, purposes)))
    return found


def _typed(name: str, key: str, kept: str, properties: Any) -> Callable[[dict[str, Any]], Any]:
    shown = exports.maker(name, properties, {})

    def made(person: dict[str, Any]) -> Any:
        value = person["props"].get(key)
        if value is None:
            return None
        if kept == "date":
            try:
                return date.fromisoformat(value)
            except (TypeError, ValueError):
                return None
        if kept in ("number", "money"):
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if kept == "boolean":
            return value if isinstance(value, bool) else None
        return value if kept == "list" else shown(person) or None

    return made


def _xlsx(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    import xlsxwriter

    # Texts are written as texts: no cell is a formula or a link, whatever it says.
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "tmpdir": str(place.parent),
    }
    with xlsxwriter.Workbook(str(place), options) as book:
        sheet = book.add_worksheet()
        formats = {
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "moment": book.add_format({"num_format": "yyyy-mm-dd hh:mm"}),
            "money": book.add_format({"num_format": "#,##0.00"}),
        }
        columns = _columns(export)
        head = book.add_format({"bold": True})
        for at, (title, type_, _make) in enumerate(columns):
            sheet.set_column(at, at, 30 if type_ == "text" else 16)
            sheet.write_string(0, at, title, head)
        sheet.freeze_panes(1, 0)
        line = 0
        for some in _batches(export, chosen, tell):
            for person in some:
                line += 1
                for at, (_title, type_, make) in enumerate(columns):
                    value = make(person)
                    if value is None or value == "":
                        continue
                    match type_:
                        case "number":
                            sheet.write_number(line, at, value)
                        case "money":
                            sheet.write_number(line, at, value / 100, formats["money"])
                        case "boolean":
                            sheet.write_boolean(line, at, value)
                        case "date" if value.year >= 1900:
                            sheet.write_datetime(line, at, datetime.combine(value, time()), formats["date"])
                        case "moment":
                            utc = value.astimezone(UTC).replace(tzinfo=None)
                            sheet.write_datetime(line, at, utc, formats["moment"])
                        case "list":
                            sheet.write_string(line, at, ";".join(map(str, value)))
                        case _:
                            sheet.write_string(line, at, str(value))
        sheet.autofilter(0, 0, max(line, 1), len(columns) - 1)


def _parquet(export: Export, chosen: array[int], place: Path, tell: Tell) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {
        "text": pa.string(), "number": pa.float64(), "money": pa.decimal128(18, 2), "boolean": pa.bool_(),
        "date": pa.date32(), "moment": pa.timestamp("us", tz="UTC"), "list": pa.list_(pa.string()),
    }  # fmt: skip
    columns = _columns(export)
    names: list[str] = []
    for at, (title, _type, _make) in enumerate(columns):
        names.append(title if title not in names else export.columns[at])
    schema = pa.schema([(name, types[type_]) for name, (_title, type_, _make) in zip(names, columns, strict=True)])
    with pq.ParquetWriter(str(place), schema, compression="zstd") as out:
        for some in _batches(export, chosen, tell):
            arrays = [
                pa.array([_arrow(make(person), type_) for person in some], types[type_])
                for _title, type_, make in columns
            ]
            out.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _arrow(value: Any, type_: str) -> Any:
    from decimal import Decimal

    if value is None:
        return None
    if type_ == "money":
        return Decimal(int(value)).scaleb(-2)
    return [str(one) for one in value] if type_ == "list" else value


WRITERS = {"csv": _csv, "xlsx": _xlsx, "parquet": _parquet, "hashed": _hashed}
