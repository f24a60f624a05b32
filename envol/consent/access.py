"""What a person is handed: her data as JSON (with its schema), as CSV and as a page to read, in one file."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any

from envol.accounts.models import Workspace
from envol.consent import registry

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Data kept about one person",
    "type": "object",
    "required": ["version", "organisation", "made_at", "rooms"],
    "properties": {
        "version": {"const": 1},
        "organisation": {"type": "string"},
        "made_at": {"type": "string", "format": "date-time"},
        "rooms": {
            "type": "object",
            "description": "By part of the software: contacts (who she is), consent (what she allowed), events (what"
            " she did), audience (what is inferred of her, with the logic), outbound (what was sent), collect.",
            "additionalProperties": {"type": "object"},
        },
        "kept": {
            "type": "array",
            "description": "Which tables keep personal data, what, and for how long.",
            "items": {"type": "object", "required": ["table", "content", "retention"]},
        },
    },
}
_INFERRED = (
    "purchases", "tiers", "expected_purchases", "rhythm", "segments", "segments_by_hand", "habits", "logic",
    "logic_of_interests", "logic_of_habits",
)  # fmt: skip


def data(workspace: Workspace, contact_id: int, *, portable: bool = False) -> dict[str, Any]:
    """All of it (art. 15), or (``portable``) what she gave and did, without what was inferred (art. 20)."""
    rooms = registry.export_person(workspace.pk, contact_id)["rooms"]
    if portable:
        told = {key: value for key, value in rooms.get("audience", {}).items() if key not in _INFERRED}
        if "interests" in told:
            told["interests"] = [one for one in told["interests"] if one.get("origin") != "inferred"]
        rooms = {**rooms, "audience": told, "contacts": _given(rooms.get("contacts", {}))}
    made: dict[str, Any] = {
        "version": 1,
        "organisation": workspace.title,
        "made_at": datetime.now(UTC).isoformat(),
        "rooms": rooms,
    }
    if not portable:
        made["kept"] = [
            {"table": one.table, "content": one.content, "retention": one.retention}
            for room in registry.data_map().values()
            for one in room
            if one.personal
        ]
    return made


def _given(contact: dict[str, Any]) -> dict[str, Any]:
    """Without fields that were guessed, nor what they were before."""
    guessed = {one["property"] for one in contact.get("properties", ()) if one.get("inferred")}
    left: dict[str, Any] = {
        part: [one for one in contact.get(part, ()) if one["property"] not in guessed]
        for part in ("properties", "earlier_values")
        if part in contact
    }
    return {**contact, **left}


def packed(workspace: Workspace, contact_id: int, language: str, *, portable: bool = False) -> bytes:
    """The file itself."""
    told = data(workspace, contact_id, portable=portable)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("data.json", json.dumps(told, ensure_ascii=False, indent=1, default=str))
        file.writestr("schema.json", json.dumps(SCHEMA, indent=1))
        for name, rows in tables(told["rooms"]):
            file.writestr(f"{name}.csv", _csv(rows))
        file.writestr("index.html", _page(workspace, told, language))
    return out.getvalue()


def tables(rooms: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """What is a list of things, as rows under a name of its own; single things as one row."""
    for room, parts in rooms.items():
        for part, found in parts.items():
            rows = found if isinstance(found, list) else [found] if isinstance(found, dict) else []
            rows = [row for row in rows if isinstance(row, dict)]
            if rows:
                yield f"{room}-{part}", rows


def _csv(rows: list[dict[str, Any]]) -> str:
    heads = list(dict.fromkeys(key for row in rows for key in row))
    out = io.StringIO()
    write = csv.writer(out)
    write.writerow(heads)
    for row in rows:
        write.writerow([_cell(row.get(head)) for head in heads])
    return "\ufeff" + out.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # A spreadsheet would run it.
    return "'" + text if text.lstrip(" \"'")[:1] in ("=", "+", "-", "@", "\t", "\r") and not _number(text) else text


def _number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()


def _page(workspace: Workspace, told: dict[str, Any], language: str) -> str:
    title = "Mes données" if language == "fr" else "My data"
    lead = "Ce que {} conserve sur moi." if language == "fr" else "What {} keeps about me."
    parts = [
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><title>{title}</title>'
        "<style>body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:"
        "collapse;width:100%}td,th{border:1px solid #ccc;padding:.3rem .5rem;text-align:left;vertical-align:top;"
        f"overflow-wrap:anywhere}}</style><h1>{title}</h1><p>{escape(lead.format(workspace.title))}"
    ]
    listed = list(tables(told["rooms"])) + ([("kept", told["kept"])] if told.get("kept") else [])
    for name, rows in listed:
        heads = list(dict.fromkeys(key for row in rows for key in row))
        head = "".join(f"<th>{escape(one.replace('_', ' '))}" for one in heads)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(row.get(one)).lstrip(chr(39)))}" for one in heads) for row in rows
        )
        parts.append(f"<h2>{escape(name.replace('-', ': ').replace('_', ' '))}</h2><table><tr>{head}{body}</table>")
    return "".join(parts)
