"""Against list bombing: nobody's mailbox is filled through our forms, whoever asks and however often.

The limits hold over the whole installation, not per workspace: the mailbox is the same. Address and network are
kept as keyed digests alone, for a week, which is as long as the longest limit looks back.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv6Address, ip_address

from envol.accounts.keys import derive
from envol.collect.models import Attempt, SignupForm
from envol.db import execute, rows
from envol.db_role import as_owner

PER_ADDRESS_DAY, PER_ADDRESS_WEEK, PER_NETWORK_HOUR = 1, 3, 10
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@cache
def _key() -> bytes:
    return derive("sign-up limits")


def _digest(kind: str, value: str) -> bytes:
    return hmac.digest(_key(), f"{kind} {value}".encode(), hashlib.sha256)[:16]


def address_digest(email_key: str) -> bytes:
    return _digest("address", email_key)


def network_digest(client: str) -> bytes:
    """Of an address of IPv4, or of the /64 of one of IPv6, which is what one household has."""
    try:
        found = ip_address(client)
    except ValueError:
        return _digest("network", "unknown")
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is not None:
            return _digest("network", str(found.ipv4_mapped))
        return _digest("network", f"{int(found) >> 64:x}/64")
    return _digest("network", str(found))


def lock(address: bytes, network: bytes, form: SignupForm) -> None:
    """Let two requests that share a counter pass one after the other; always in the same order, so never crosswise."""
    keys = sorted(
        int.from_bytes(_digest("lock", part)[:8], "big", signed=True) for part in _names(address, network, form)
    )
    for key in keys:
        execute("SELECT pg_advisory_xact_lock(%s)", [key])


def _names(address: bytes, network: bytes, form: SignupForm) -> tuple[str, str, str]:
    return f"a{address.hex()}", f"n{network.hex()}", f"f{form.pk}"


def reached(address: bytes, network: bytes, form: SignupForm, now: datetime) -> str:
    """Which limit is reached (address, network, form), or "" when one more confirmation may leave.

    Only mails count: who is over a limit does not push its end away by trying again. Call it under `lock`.
    """
    with as_owner():  # a mailbox is protected from the forms of all workspaces together
        day, week, hour, all_of_form = rows(
            "SELECT (SELECT count(*) FROM collect_attempt WHERE mailed AND address = %(a)s AND at > %(day)s),"
            " (SELECT count(*) FROM collect_attempt WHERE mailed AND address = %(a)s AND at > %(week)s),"
            " (SELECT count(*) FROM collect_attempt WHERE mailed AND network = %(n)s AND at > %(hour)s),"
            " (SELECT count(*) FROM collect_attempt WHERE mailed AND form_id = %(f)s AND at > %(hour)s)",
            {"a": address, "n": network, "f": form.pk, "day": now - DAY, "week": now - WEEK, "hour": now - HOUR},
        )[0]
    if day >= PER_ADDRESS_DAY or week >= PER_ADDRESS_WEEK:
        return "address"
    if hour >= PER_NETWORK_HOUR:
        return "network"
    return "form" if all_of_form >= form.per_hour else ""


def note(address: bytes, network: bytes, form: SignupForm, now: datetime, *, mailed: bool) -> None:
    Attempt.objects.create(form_id=form.pk, address=address, network=network, mailed=mailed, at=now)


def sweep(now: datetime) -> int:
    """Forget what no limit looks at any more; how many."""
    return Attempt.objects.filter(at__lte=now - WEEK).delete()[0]
