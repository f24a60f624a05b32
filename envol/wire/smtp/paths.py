"""Paths as clients write them behind MAIL FROM: and RCPT TO: (RFC 5321 §4.1.2), and those no relay should follow."""

from __future__ import annotations

import re

PATH = re.compile(r" ?<([^<>\x00-\x20]*)>(?: +(.*))?", re.DOTALL)
"""A path in angle brackets, and the parameters behind it."""
DOMAIN = re.compile(r"[^\W_](?:[\w-]*\w)?(?:\.[^\W_](?:[\w-]*\w)?)*")

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_DOT_STRING = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_NUMERIC = re.compile(r"[0-9.]+")


def is_mailbox(path: str) -> bool:
    """Is this a Mailbox of RFC 5321 §4.1.2: a dot-string or quoted string, @, a domain or a literal?"""
    local, at, domain = path.rpartition("@")
    if not at or not local or len(local.encode()) > 64 or len(domain.encode()) > 255:
        return False
    quoted = len(local) >= 2 and local[0] == local[-1] == '"' and local.isprintable()
    if not quoted and not _DOT_STRING.fullmatch(local):
        return False
    literal = domain.startswith("[") and domain.endswith("]")
    return literal or DOMAIN.fullmatch(domain) is not None


def wrong_recipient(path: str, *, strict: bool) -> str | None:
    """Why the protocol refuses this recipient whoever asks, or None. strict: see `ServerOptions.strict_recipients`."""
    if path.upper() == "POSTMASTER":
        return None  # RFC 5321 §4.5.1
    if path.startswith("@"):
        return "Source routes are not accepted"
    if not strict:
        return None if is_mailbox(path) else "The recipient is not an address of the form name@domain"
    local, _, domain = path.rpartition("@")
    if '"' in local:
        return "Quoted local parts are not accepted"
    if domain.startswith("[") or _NUMERIC.fullmatch(domain):
        return "Address literals are not accepted; write a domain name"
    if "%" in local or "!" in local or "@" in local:
        return "Routes inside an address are not accepted"
    if not is_mailbox(path):
        return "The recipient is not an address of the form name@domain"
    if "." not in domain:
        return "The domain of a recipient has at least one dot"
    return None
