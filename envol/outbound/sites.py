"""Destination sites: what is throttled together, and who stands behind a host.

A site is the recipient's domain in lower case. Which receiver runs it is learnt from the MX host when mail is
sent (:func:`provider_of`), because the words of a reply mean different things at different receivers.
"""

from __future__ import annotations

from functools import lru_cache

from envol.wire.address import domain_of

NOWHERE = "invalid"
"""Site of an address without a domain; RFC 2606 §2 promises that it never resolves."""

# Suffix of an MX host → our name of the receiver, a key of wire.smtp.reply_rules.
_PROVIDERS = (
    (".google.com", "google"),
    (".googlemail.com", "google"),
    (".protection.outlook.com", "microsoft"),
    (".mx.microsoft", "microsoft"),
    (".hotmail.com", "microsoft"),
    (".yahoodns.net", "yahoo"),
    (".icloud.com", "icloud"),
    (".orange.fr", "orange"),
    (".wanadoo.fr", "orange"),
    (".laposte.net", "laposte"),
    (".sfr.fr", "sfr"),
    (".free.fr", "free"),
    (".gmx.net", "gmx"),
    (".web.de", "gmx"),
)


def site_of(address: str) -> str:
    """The destination site of an address."""
    return domain_of(address) or NOWHERE


@lru_cache(maxsize=4096)
def provider_of(mx_host: str) -> str | None:
    """The receiver that runs an MX host, or None when we know nothing special about it."""
    host = "." + mx_host.lower().rstrip(".")
    return next((name for suffix, name in _PROVIDERS if host.endswith(suffix)), None)


@lru_cache(maxsize=4096)
def limits_of(provider: str | None) -> tuple[int, int]:
    """(connections, messages per connection) that a receiver takes from one source, as far as it says so."""
    return {
        "google": (5, 50),
        "microsoft": (5, 50),
        "yahoo": (5, 20),
        "icloud": (10, 5),
        "orange": (2, 100),
        "laposte": (2, 100),
        "sfr": (2, 100),
        "free": (2, 100),
    }.get(provider or "", (10, 100))
