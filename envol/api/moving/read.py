"""Files that other services give away: which one it is, and everything in it.

Exports in CSV of Mailjet, Brevo, Mailchimp (each file of its archive is one state), listmonk and Mautic; dumps of the
last two. A file is known by its first line, whatever its name; its separator and encoding are found out.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from envol.api.moving import dumps
from envol.api.moving.found import Found, Person
from envol.contacts.imports.mapping import plain

MOST = 2 << 30  # octets of a file, unpacked: it is read as a whole
_YES = frozenset({"1", "true", "yes", "y", "oui", "x", "unsubscribed", "blocklisted", "blacklisted"})


class Unknown(ValueError):
    """No service writes such a file, or none that is known here; the sentence says what to do."""


def read(paths: list[Path]) -> Found:
    """Everything of these files, which belong together. Raises :class:`Unknown`."""
    found: Found | None = None
    for path in paths:
        for name, octets in _parts(path):
            one = _read(name, octets)
            if found is not None and found.origin != one.origin:
                raise Unknown(f"{name} is of {one.origin}, the file before of {found.origin}: bring them one by one.")
            found = one if found is None else _joined(found, one)
    if found is None:
        raise Unknown("There is no file to read.")
    return found


def _parts(path: Path) -> list[tuple[str, bytes]]:
    if not zipfile.is_zipfile(path):
        if path.stat().st_size > MOST:
            raise Unknown(f"{path.name} is larger than 2 GiB: export one list at a time.")
        return [(path.name, path.read_bytes())]
    with zipfile.ZipFile(path) as archive:
        inside = [one for one in archive.infolist() if one.filename.lower().endswith((".csv", ".sql"))]
        if sum(one.file_size for one in inside) > MOST:
            raise Unknown(f"{path.name} holds more than 2 GiB: export one list at a time.")
        return [(one.filename.rpartition("/")[2], archive.read(one)) for one in inside]


def _text(octets: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16" if octets[:2] in (b"\xff\xfe", b"\xfe\xff") else "cp1252"):
        try:
            return octets.decode(encoding)
        except UnicodeDecodeError:
            continue
    return octets.decode("latin-1")


def _read(name: str, octets: bytes) -> Found:
    text = _text(octets)
    if "INSERT INTO" in text or "FROM stdin;" in text:
        if dumps.is_mautic(text):
            return dumps.mautic(text)
        if dumps.is_listmonk(text):
            return dumps.listmonk(text)
        raise Unknown(f"{name} is a dump of a database, and neither listmonk’s nor Mautic’s.")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    lines = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    heads = {plain(head): head for head in lines.fieldnames or [] if head}
    for origin, signs, take in _KNOWN:
        if signs <= heads.keys():
            found = Found(origin)
            for line in lines:
                take(
                    found,
                    {plain(k): (v or "").strip() for k, v in line.items() if k and isinstance(v, str)},
                    name,
                    heads,
                )
            return found
    raise Unknown(f"{name} is of no service that is known here: import it as a file of people, column by column.")


def _joined(found: Found, more: Found) -> Found:
    """Two files of one service: the stricter answer counts, a list is added to the others."""
    for key, one in more.people.items():
        known = found.people.setdefault(key, one)
        if known is one:
            continue
        known.values |= {name: value for name, value in one.values.items() if value}
        known.on |= one.on
        known.left |= one.left
        known.tags |= one.tags
        known.since, known.proof = known.since or one.since, known.proof or one.proof
        if one.refusal:
            known.refuse(one.refusal)
    for name in more.lists:
        found.list_named(name)
    found.letters += more.letters
    found.notes = list(dict.fromkeys([*found.notes, *more.notes]))
    return found


Line = Mapping[str, str]


def _values(person: Person, line: Line, heads: Mapping[str, str], house: frozenset[str]) -> None:
    person.values |= {
        heads[name]: value for name, value in line.items() if value and name in heads and name not in house
    }


_MAILCHIMP = frozenset(
    (
        "email address", "member rating", "optin time", "optin ip", "confirm time", "confirm ip", "latitude",
        "longitude", "gmtoff", "dstoff", "timezone", "cc", "region", "last changed", "leid", "euid", "tags",
        "unsub time", "unsub campaign title", "unsub campaign id", "unsub reason", "unsub reason other", "clean time",
        "clean campaign title", "clean campaign id", "notes",
    )
)  # fmt: skip


def _mailchimp(found: Found, line: Line, name: str, heads: Mapping[str, str]) -> None:
    person = found.person(line["email address"])
    if person is None:
        return
    _values(person, line, heads, _MAILCHIMP)
    person.tags |= {tag.strip().strip('"') for tag in line.get("tags", "").split(",") if tag.strip()}
    person.time_zone = line.get("timezone", "")
    if name.startswith("cleaned") or line.get("clean time"):
        person.refuse("hard_bounce")
    elif name.startswith("unsubscribed") or line.get("unsub time"):
        person.refuse("complaint" if "abuse" in line.get("unsub reason", "").lower() else "unsubscribed")
    elif name.startswith("nonsubscribed"):
        person.refuse("excluded")  # known by a shop, never subscribed
    elif line.get("confirm time"):
        person.since = line["confirm time"]
        person.proof = f"Mailchimp: confirmed, IP {line.get('confirm ip') or 'not kept'}"


_BREVO = frozenset(
    (
        "contact id", "email", "email blacklist", "email blocklisted", "blacklisted", "blocklisted", "sms blacklist",
        "sms blocklisted", "added time", "modified time", "double opt in", "opt in", "hardbounce", "hard bounce",
        "list ids", "lists",
    )
)  # fmt: skip
_BLOCKED = ("email blacklist", "email blocklisted", "blacklisted", "blocklisted")


def _brevo(found: Found, line: Line, name: str, heads: Mapping[str, str]) -> None:
    person = found.person(line["email"])
    if person is None:
        return
    _values(person, line, heads, _BREVO)
    if any(line.get(key, "").lower() in _YES for key in ("hardbounce", "hard bounce")):
        person.refuse("hard_bounce")
    if any(line.get(key, "").lower() in _YES for key in _BLOCKED):
        person.refuse("unsubscribed")
    if line.get("double opt in", "").lower() in _YES:
        person.since, person.proof = line.get("added time", ""), "Brevo: double opt-in"


_MAILJET = frozenset(
    (
        "email", "name", "unsub", "unsubscribed", "is unsubscribed", "is excluded from campaigns", "excluded",
        "created at", "contact id", "id", "subscribed at", "unsubscribed at", "bounced", "hard bounced", "spam", "list",
        "list name",
    )
)  # fmt: skip


def _mailjet(found: Found, line: Line, name: str, heads: Mapping[str, str]) -> None:
    person = found.person(line["email"])
    if person is None:
        return
    _values(person, line, heads, _MAILJET)
    if line.get("name"):
        person.values["full_name"] = line["name"]
    named = line.get("list") or line.get("list name")
    gone = any(line.get(key, "").lower() in _YES for key in ("unsub", "unsubscribed", "is unsubscribed"))
    if named:
        (person.left if gone else person.on).add(found.list_named(named))
    elif gone:
        person.refuse("unsubscribed")
    for key, why in (("is excluded from campaigns", "excluded"), ("excluded", "excluded"), ("bounced", "hard_bounce"),
                     ("hard bounced", "hard_bounce"), ("spam", "complaint")):  # fmt: skip
        if line.get(key, "").lower() in _YES:
            person.refuse(why)


def _listmonk(found: Found, line: Line, name: str, heads: Mapping[str, str]) -> None:
    if person := found.person(line["email"]):
        dumps.subscriber(person, line)
        for part in filter(None, (one.strip() for one in line.get("lists", "").split(","))):
            person.on.add(found.list_named(part))


def _mautic(found: Found, line: Line, name: str, heads: Mapping[str, str]) -> None:
    if person := found.person(line["email"]):
        dumps.lead(person, {k.replace(" ", "_"): v for k, v in line.items()})


Take = Callable[[Found, Line, str, Mapping[str, str]], None]
# origin, heads that tell it, how a line is read; the surest first.
_KNOWN: tuple[tuple[str, frozenset[str], Take], ...] = (
    ("Mailchimp", frozenset({"email address", "leid", "euid"}), _mailchimp),
    ("listmonk", frozenset({"uuid", "email", "status", "attributes"}), _listmonk),
    ("Brevo", frozenset({"contact id", "email", "added time"}), _brevo),
    ("Brevo", frozenset({"email", "email blacklist"}), _brevo),
    ("Brevo", frozenset({"email", "email blocklisted"}), _brevo),
    ("Mautic", frozenset({"email", "firstname", "lastname", "date identified"}), _mautic),
    ("Mautic", frozenset({"email", "firstname", "lastname", "last active"}), _mautic),
    ("Mailjet", frozenset({"email", "unsub"}), _mailjet),
    ("Mailjet", frozenset({"email", "unsubscribed"}), _mailjet),
    ("Mailjet", frozenset({"email", "is unsubscribed"}), _mailjet),
    ("Mailjet", frozenset({"email", "is excluded from campaigns"}), _mailjet),
)
