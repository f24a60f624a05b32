"""What a sender wants to hear of a message: the parameters of MAIL and RCPT by which it asks (RFC 3461).

Read strictly, kept as they were written, so that what is passed on is what came.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_ENVID = 100
"""Characters as written (RFC 3461 §4.4)."""
MAX_ORCPT = 500
"""Of the whole parameter (RFC 3461 §4.2)."""

_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?")
_WISHES = ("SUCCESS", "FAILURE", "DELAY")


class Wish(NamedTuple):
    """Of one recipient. notify: NEVER, or some of SUCCESS, FAILURE, DELAY joined by commas; empty when nothing was
    said. orcpt: ``type;xtext`` as written, or empty."""

    notify: str = ""
    orcpt: str = ""

    def parameters(self) -> str:
        """As they stand behind RCPT TO."""
        return (f" NOTIFY={self.notify}" if self.notify else "") + (f" ORCPT={self.orcpt}" if self.orcpt else "")


NO_WISH = Wish()


class Asked(NamedTuple):
    """Of the whole message. ret: FULL, HDRS or empty. envid: xtext as written, or empty."""

    ret: str = ""
    envid: str = ""

    def parameters(self) -> str:
        """As they stand behind MAIL FROM."""
        return (f" RET={self.ret}" if self.ret else "") + (f" ENVID={self.envid}" if self.envid else "")


NOTHING_ASKED = Asked()


def read_xtext(text: str) -> str | None:
    """Decode xtext (RFC 3461 §4); None when it is none, or holds what is not printable ASCII."""
    if not _XTEXT.fullmatch(text):
        return None
    decoded = re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)
    return decoded if decoded.isascii() and decoded.isprintable() else None


def read_ret(value: str) -> str | None:
    """FULL or HDRS; None for anything else."""
    return value.upper() if value.upper() in ("FULL", "HDRS") else None


def read_envid(value: str) -> str | None:
    """The identifier as written; None when it is not one."""
    return value if 0 < len(value) <= MAX_ENVID and read_xtext(value) is not None else None


def read_notify(value: str) -> str | None:
    """NEVER alone, or each of the others at most once, in upper case; None for anything else."""
    words = value.upper().split(",")
    if words == ["NEVER"]:
        return "NEVER"
    if len(set(words)) != len(words) or not set(words) <= set(_WISHES):
        return None
    return ",".join(words)


def read_orcpt(value: str) -> str | None:
    """``type;address`` as written; None when it is not one."""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not address or len(value) > MAX_ORCPT or not _ADDRESS_TYPE.fullmatch(kind):
        return None
    return value if read_xtext(address) is not None else None


__all__ = [
    "NOTHING_ASKED",
    "NO_WISH",
    "Asked",
    "Wish",
    "read_envid",
    "read_notify",
    "read_orcpt",
    "read_ret",
    "read_xtext",
]
