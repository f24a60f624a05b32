"""Fields by which a program tells the relay something about its message: read, kept with it, and taken out.

``X-MJ-…`` and ``X-Mailjet-…``, as programs written for that relay send them. They are between the program and us: none
leaves, known or not.
"""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from typing import NamedTuple

from envol.wire.message.headers import UNKEPT

_ANY = re.compile(rb"\nx-m(?:j|ailjet)-|\Ax-m(?:j|ailjet)-", re.IGNORECASE)
_FIELD = re.compile(
    rb"^(x-mj-[\w-]+|x-mailjet-[\w-]+)[ \t]*:((?:.|\r?\n(?=[ \t]))*)\r?\n", re.IGNORECASE | re.MULTILINE
)
_KEPT = {"x-mj-customid": "custom_id", "x-mj-eventpayload": "event_payload", "x-mailjet-campaign": "campaign"}
_ASKED = {"x-mailjet-trackopen": "opens", "x-mailjet-trackclick": "clicks"}
_YES = frozenset({"true", "yes", "y", "1"})
LONGEST = 10_000
LONGEST_CAMPAIGN = 255


class Aside(NamedTuple):
    """asked: what of this message is to be measured, of opens and clicks. urgency: as `accept.Outgoing` has it."""

    raw: bytes
    facts: dict[str, str]
    asked: frozenset[str] = frozenset()
    urgency: int = 2


def taken(raw: bytes) -> Aside:
    """The message without these fields, and what they say of it. What is to be filled in goes by `api.by_smtp`."""
    head, rest = _head(raw)
    if _ANY.search(head) is None:
        return Aside(raw, {})
    facts: dict[str, str] = {}
    asked, urgency = set(), 2
    for name, value in ((found[1].decode("ascii").lower(), _text(found[2])) for found in _FIELD.finditer(head)):
        if name in _ASKED and yes(value):
            asked.add(_ASKED[name])
        if name == "x-mailjet-prio" and value in ("0", "1", "2", "3"):
            urgency = int(value)
        if name in _KEPT and value:
            facts.setdefault(_KEPT[name], value[:LONGEST_CAMPAIGN] if name == "x-mailjet-campaign" else value)
    return Aside(_FIELD.sub(b"", head) + rest, facts, frozenset(asked), urgency)


def fields(raw: bytes) -> dict[str, str]:
    """All of these fields by their names in small letters, each as it stands first."""
    head, _ = _head(raw)
    if _ANY.search(head) is None:
        return {}
    found: dict[str, str] = {}
    for one in _FIELD.finditer(head):
        found.setdefault(one[1].decode("ascii").lower(), _text(one[2]))
    return found


def yes(value: str | None) -> bool:
    return value is not None and value.lower() in _YES


def _head(raw: bytes) -> tuple[bytes, bytes]:
    end = raw.find(b"\r\n\r\n")
    return (raw[: end + 2], raw[end + 2 :]) if end >= 0 else (raw, b"")


def _text(raw: bytes) -> str:
    unfolded = re.sub(rb"\r?\n(?=[ \t])", b"", raw).strip().decode("utf-8", "replace")[:LONGEST]
    try:
        found = str(make_header(decode_header(unfolded)))
    except (ValueError, LookupError):
        found = unfolded
    return UNKEPT.sub("", found)
