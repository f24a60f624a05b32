"""Dumps of databases: listmonk's (PostgreSQL) and Mautic's (MySQL), as their own tools write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from envol.api.moving.found import Found, Letter, Person

Rows = Iterator[tuple[str, dict[str, str | None]]]
"""Name of a table without its schema, and a row by column."""

_COPY = re.compile(r"COPY (?:\w+\.)?\"?(\w+)\"? \(([^)]*)\) FROM stdin;")
_INSERT = re.compile(r"INSERT INTO [`\"]?(?:\w+\.)?[`\"]?(\w+)[`\"]?\s*(?:\(([^)]*)\))?\s*VALUES\s*", re.IGNORECASE)
_CREATE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?[`\"]?(\w+)[`\"]? \(", re.IGNORECASE)
_COLUMN = re.compile(r"\s+[`\"](\w+)[`\"] ")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "Z": "\x1a"}


def rows(text: str) -> Rows:
    """Of ``pg_dump`` (COPY or INSERT) and ``mysqldump``, table by table."""
    columns: dict[str, list[str]] = {}
    lines = iter(text.splitlines())
    for line in lines:
        if copy := _COPY.match(line):
            names = [name.strip(' "') for name in copy[2].split(",")]
            for row in lines:
                if row == "\\.":
                    break
                yield copy[1], dict(zip(names, map(_copied, row.split("\t")), strict=False))
        elif made := _CREATE.match(line):
            columns[made[1]] = []
            for inner in lines:
                if inner.startswith(")"):
                    break
                if column := _COLUMN.match(inner):
                    columns[made[1]].append(column[1])
        elif insert := _INSERT.match(line):
            named = [name.strip(' `"') for name in insert[2].split(",")] if insert[2] else columns.get(insert[1], [])
            statement = line[insert.end() :]
            while not statement.rstrip().endswith(";"):  # a value with a line break in it, or one row a line
                more = next(lines, None)
                if more is None:
                    break
                statement += "\n" + more
            for values in _tuples(statement):
                yield insert[1], dict(zip(named, values, strict=False))


def _copied(field: str) -> str | None:
    if field == "\\N":
        return None
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), field)


def _tuples(statement: str) -> Iterator[list[str | None]]:
    """``(1,'a''b',NULL),(…);``: values one after the other, whatever stands inside the quotes."""
    token = re.compile(r"\s*(?:'((?:[^'\\]|\\.|'')*)'|([^,()']+)|(\()|(\))|(,))", re.DOTALL)
    values: list[str | None] = []
    place = 0
    while match := token.match(statement, place):
        place = match.end()
        if match[3]:
            values = []
        elif match[4]:
            yield values
        elif match[1] is not None:
            plain = match[1].replace("''", "'")
            values.append(re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), plain, flags=re.DOTALL))
        elif match[2] is not None and match[2].strip() not in ("", ";"):
            word = match[2].strip()
            values.append(None if word.upper() == "NULL" else word)


def is_listmonk(text: str) -> bool:
    return "subscriber_lists" in text and "subscribers" in text


def is_mautic(text: str) -> bool:
    return "lead_donotcontact" in text or "lead_lists_leads" in text


def listmonk(text: str) -> Found:
    found, people, lists = Found("listmonk"), {}, {}
    stays: list[dict[str, str | None]] = []
    for table, row in rows(text):
        if table == "subscribers" and (person := found.person(row.get("email") or "")):
            people[row.get("id")] = person
            subscriber(person, row)
        elif table == "lists":
            lists[row.get("id")] = found.list_named(row.get("name") or "")
        elif table == "subscriber_lists":
            stays.append(row)
        elif table == "templates" and row.get("body"):
            found.letters.append(Letter(row.get("name") or "", row["body"] or "", "", row.get("id") or ""))
    for row in stays:
        person, joined = people.get(row.get("subscriber_id")), lists.get(row.get("list_id"))
        if person is None or joined is None or row.get("status") == "unconfirmed":
            continue  # she never confirmed: she is on nothing
        if row.get("status") == "unsubscribed":
            person.left.add(joined)
            continue
        person.on.add(joined)
        if row.get("status") == "confirmed":  # double opt-in: the confirmation is dated, and nothing else is kept
            person.since = person.since or (row.get("updated_at") or "")[:19]
            person.proof = person.proof or f"listmonk: confirmed, {joined}"
    return found


def subscriber(person: Person, row: Mapping[str, str | None]) -> None:
    """A line of listmonk's people, of its database or of its export."""
    if name := row.get("name"):
        person.values["full_name"] = name
    try:
        attributes = json.loads(row.get("attribs") or row.get("attributes") or "{}")
    except ValueError:
        attributes = {}
    for key, value in attributes.items() if isinstance(attributes, dict) else ():
        if isinstance(value, str | int | float | bool):
            person.values[str(key)[:50]] = str(value).lower() if isinstance(value, bool) else str(value)
    if row.get("status") in ("blocklisted", "disabled"):
        person.refuse("unsubscribed" if row["status"] == "blocklisted" else "excluded")


_CAUSES = {"1": "unsubscribed", "2": "hard_bounce", "3": "excluded"}
_HOUSE = frozenset(
    (
        "id", "owner_id", "stage_id", "points", "last_active", "internal", "social_cache", "date_added",
        "date_modified", "date_identified", "preferred_profile_image", "is_published", "created_by",
        "created_by_user", "modified_by", "modified_by_user", "checked_out", "checked_out_by", "checked_out_by_user",
        "generated_email_domain", "attribution", "attribution_date",
    )
)  # fmt: skip


def mautic(text: str) -> Found:
    """Tables may have a prefix; columns of ``leads`` are the properties."""
    found, people, lists = Found("Mautic"), {}, {}
    stays: list[dict[str, str | None]] = []
    silent: list[dict[str, str | None]] = []
    for name, row in rows(text):
        table = re.sub(r"^.*?(leads|lead_lists_leads|lead_lists|lead_donotcontact|emails)$", r"\1", name)
        if table == "leads" and (person := found.person(row.get("email") or "")):
            people[row.get("id")] = person
            lead(person, row)
        elif table == "lead_lists":
            lists[row.get("id")] = found.list_named(row.get("name") or "")
        elif table == "lead_lists_leads" and row.get("manually_removed") in ("0", None):
            stays.append(row)
        elif table == "lead_donotcontact" and row.get("channel", "email") == "email":
            silent.append(row)
        elif table == "emails" and row.get("custom_html"):
            found.letters.append(Letter(row.get("name") or "", row["custom_html"] or "", "", row.get("id") or ""))
    for row in stays:
        if (person := people.get(row.get("lead_id"))) and (named := lists.get(row.get("leadlist_id"))):
            person.on.add(named)
    for row in silent:
        if person := people.get(row.get("lead_id")):
            person.refuse(_CAUSES.get(row.get("reason") or "", "excluded"))
    return found


def lead(person: Person, row: Mapping[str, str | None]) -> None:
    """A line of Mautic's people, of its database or of its export."""
    for column, value in row.items():
        if value and column not in _HOUSE and column not in ("email", "preferred_locale", "timezone"):
            person.values[column] = value
    person.language, person.time_zone = (row.get("preferred_locale") or "")[:2], row.get("timezone") or ""
