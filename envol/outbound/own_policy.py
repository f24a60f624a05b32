"""Our own MTA-STS policy (RFC 8461): for ``bounces.`` a domain, whose only MX we are.

It is served under ``mta-sts.bounces.`` the domain: its owner points that name at us, and whoever ends TLS in front of
us holds a certificate for it. Without a certificate of our own for SMTP senders are asked to try only (mode testing):
with one that signs itself, mode enforce would keep bounces away.
"""

from __future__ import annotations

import hashlib

from django.conf import settings

from envol.outbound.route import our_name

PATH = "/.well-known/mta-sts.txt"
HOST = "mta-sts."
AGE = 7 * 86_400
"""Weeks are usual (§3.2); a week is what a mistake may cost."""


def text() -> str:
    """The policy; one for all domains, since our hosts are."""
    known = settings.ENVOL.smtp_cert or settings.ENVOL.tls_cert
    mode = "enforce" if known else "testing"
    return f"version: STSv1\r\nmode: {mode}\r\nmx: {our_name(settings.ENVOL)}\r\nmax_age: {AGE}\r\n"


def record() -> str:
    """What says in DNS that there is a policy, and by another id that it changed (§3.1)."""
    return f"v=STSv1; id={hashlib.sha256(text().encode()).hexdigest()[:20]}"


def for_host(host: str, label: str) -> str | None:
    """The policy as this host serves it; None where it serves none. label: of the domains that bounces come home to."""
    name = host.partition(":")[0].lower()
    return text() if settings.ENVOL.inbound and name.startswith(f"{HOST}{label}.") else None
