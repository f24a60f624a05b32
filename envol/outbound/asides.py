"""Fields by which a program tells the relay something about its message: read, kept with it, and taken out.

``X-MJ-…`` and ``X-Mailjet-…``, as programs written for that relay send them. They are between the program and us: none
leaves, known or not.
"""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from typing import NamedTuple

_ANY = re.compile(rb"\nx-m(?:j|ailjet)-|\Ax-m(?:j|ailjet)-", re.IGNORECASE)
_FIELD = re.compile(
    rb"^(x-mj-[\w-]+|x-mailjet-[\w-]+)[ \t]*:((?:.|\r?\n(?=[ \t]))*)\r?\n", re.IGNORECASE | re.MULTILINE
)
_KEPT = {"x-mj-customid": "custom_id", "x-mj-eventpayload": "event_payload", "x-mailjet-campaign": "campaign"}
_ASKED = {"x-mailjet-trackopen": "opens", "x-mailjet-trackclick": "clicks"}
_REFUSED = {"x-mj-templateid": "X-MJ-TemplateID", "x-mj-templatelanguage": "X-MJ-TemplateLanguage"}
_YES = frozenset({"true", "yes", "y", "1"})
LONGEST = 10_000


class Refused(ValueError):
    """Something is asked for that the relay does not do; the sentence says what to do."""


class Aside(NamedTuple):
    """asked: what of this message is to be measured, of opens and clicks."""

    raw: bytes
    facts: dict[str, str]
    asked: frozenset[str] = frozenset()


def taken(raw: bytes) -> Aside:
    """The message without these fields, and what they say. Raises Refused."""
    end = raw.find(b"\r\n\r\n")
    head, rest = (raw[: end + 2], raw[end + 2 :]) if end >= 0 else (raw, b"")
    if _ANY.search(head) is None:
        return Aside(raw, {})
    facts: dict[str, str] = {}
    asked = set()
    for name, value in ((found[1].decode("ascii").lower(), _text(found[2])) for found in _FIELD.finditer(head)):
        if name in _REFUSED and value and value.lower() not in ("0", "false"):
            raise Refused(f"{_REFUSED[name]} is read by the send API only: hand this message in there.")
        if name == "x-mailjet-deduplicatecampaign" and value.lower() in _YES:
            raise Refused("X-Mailjet-DeduplicateCampaign is not available here: leave it out.")
        if name in _ASKED and value.lower() in _YES:
            asked.add(_ASKED[name])
        if name in _KEPT and value:
            facts.setdefault(_KEPT[name], value)
    return Aside(_FIELD.sub(b"", head) + rest, facts, frozenset(asked))


def _text(raw: bytes) -> str:
    unfolded = re.sub(rb"\r?\n(?=[ \t])", b"", raw).strip().decode("utf-8", "replace")[:LONGEST]
    try:
        return str(make_header(decode_header(unfolded)))
    except (ValueError, LookupError):
        return unfolded
