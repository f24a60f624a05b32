"""MTA-STS (RFC 8461): what a domain says of the hosts that take its mail. Pure: texts in, policies out."""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST_AGE = 31_557_600
MOST_BYTES = 65_536
"""A policy is a few lines; RFC 8461 §3.3 lets us stop reading."""

_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_HOST = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class PolicyError(ValueError):
    """Not a policy; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Policy:
    """mode: enforce, testing or none. mx: patterns of host names. text: as it was published, for reports."""

    mode: str
    mx: tuple[str, ...]
    max_age: int
    text: str = ""

    def matches(self, host: str) -> bool:
        """Is this MX host one of those named? A wildcard stands for exactly one left-most label (RFC 8461 §4.1)."""
        host = host.lower().rstrip(".")
        _, _, parent = host.partition(".")
        return any(host == one or (one.startswith("*.") and parent == one[2:]) for one in self.mx)


def policy_id(records: list[str]) -> str | None:
    """The id of the one valid TXT record at ``_mta-sts``; None when there is none, or more than one (§3.1)."""
    found = [text for text in records if re.match(r"v=STSv1\s*;", text)]
    if len(found) != 1:
        return None
    for field in found[0].split(";")[1:]:
        name, _, value = field.partition("=")
        if name.strip() == "id":
            value = value.strip()
            return value if _ID.fullmatch(value) else None
    return None


def parse(raw: bytes) -> Policy:
    """A policy's text (RFC 8461 §3.2). Raises PolicyError. Unknown fields are left out, as they must be."""
    if len(raw) > MOST_BYTES:
        raise PolicyError("The policy is too long.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyError("The policy is not UTF-8 text.") from None
    fields: dict[str, str] = {}
    mx: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            raise PolicyError(f"A line of the policy is no field: {line[:60]!r}.")
        if name == "mx":
            if not _HOST.fullmatch(value.lower()):
                raise PolicyError(f"mx names no host: {value[:60]!r}.")
            mx.append(value.lower())
        else:
            fields.setdefault(name, value)  # of a field given twice the first counts
    if fields.get("version") != "STSv1":
        raise PolicyError("The policy's version is not STSv1.")
    mode = fields.get("mode", "")
    if mode not in ("enforce", "testing", "none"):
        raise PolicyError("The policy's mode is none of enforce, testing, none.")
    age = fields.get("max_age", "")
    if not re.fullmatch(r"[0-9]{1,10}", age):
        raise PolicyError("The policy has no max_age.")
    if not mx and mode != "none":
        raise PolicyError("The policy names no mx.")
    return Policy(mode, tuple(mx), min(MOST_AGE, int(age)), text)
