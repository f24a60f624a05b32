"""Domains a workspace sends from: their keys, the records to publish, and whether mail may leave as them."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import dns.resolver
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.keys import seal, unseal
from envol.accounts.models import Workspace
from envol.db_role import as_owner
from envol.outbound import records
from envol.outbound.models import DkimKey, Domain
from envol.outbound.records import SEALED_FOR as _SEALED_FOR
from envol.outbound.records import Resolver as Resolver
from envol.outbound.records import expected_records as expected_records
from envol.outbound.records import return_host, with_parents
from envol.outbound.records import zone_of as zone_of
from envol.wire import dkim
from envol.wire.address import AddressError, domain_of, normalise

_CACHE_SECONDS = 30.0
REPLIES = "replies"


# ---- declaring


def add(workspace: Workspace, name: str, *, trusted: bool = False) -> Domain:
    """Declare a domain and make its keys (RSA-2048 and Ed25519); declared again, only `trusted` can be added.

    trusted: the operator vouches, no DNS check is asked (tests, smart hosts that sign themselves).
    Raises ValueError with a sentence for what is no domain.
    """
    name = _clean(name)
    with transaction.atomic():
        domain, made = Domain.objects.get_or_create(workspace=workspace, name=name, defaults={"trusted": trusted})
        if made:
            _make_keys(domain, "active")
            note(workspace, "command", "domain.added", domain)
        elif trusted and not domain.trusted:
            trust(domain)
    _forget()
    return domain


def trust(domain: Domain) -> None:
    """The operator vouches for this domain."""
    domain.trusted = True
    domain.save(update_fields=["trusted"])
    note(domain.workspace, "command", "domain.trusted", domain)
    _forget()


def of(workspace: Workspace, name: str = "") -> list[Domain]:
    """The declared domains in order of name; the one of that name when given."""
    found = Domain.objects.filter(workspace=workspace).order_by("name")
    return list(found.filter(name=name.strip().lower()) if name else found)


def _clean(name: str) -> str:
    try:
        return normalise(f"postmaster@{name.strip().rstrip('.')}").domain
    except AddressError as error:
        raise ValueError(error.told(_)) from None


# ---- keys


def _make_keys(domain: Domain, state: str) -> None:
    used = DkimKey.objects.filter(domain=domain).values_list("selector", flat=True)
    number = 1 + max((int(found[1]) for s in used if (found := re.match(r"envol(\d+)", s))), default=0)
    for letter, key in (("r", dkim.generate_rsa()), ("e", dkim.generate_ed25519())):
        selector = f"envol{number}{letter}"
        DkimKey.objects.create(
            domain=domain,
            selector=selector,
            algorithm=dkim.Signer(domain.name, selector, key).algorithm,
            private_sealed=seal(dkim.dump_private_key(key), _SEALED_FOR),
            record=dkim.record_text(key),
            state=state,
        )


def prepare_rotation(domain: Domain) -> list[DkimKey]:
    """Make the next pair of keys, to be published beside the present one; the pair that waits already if any."""
    with transaction.atomic():
        Domain.objects.select_for_update().get(pk=domain.pk)
        if not DkimKey.objects.filter(domain=domain, state="next").exists():
            _make_keys(domain, "next")
            note(domain.workspace, "command", "domain.keys_made", domain)
    return list(DkimKey.objects.filter(domain=domain, state="next").order_by("selector"))


def finish_rotation(domain: Domain, resolver: Resolver | None = None) -> None:
    """Sign with the next keys from now on. Raises ValueError while their records cannot be found in DNS.

    Leave the old records published for a week: mail signed with them is still on its way.
    """
    coming = list(DkimKey.objects.filter(domain=domain, state="next"))
    if not coming:
        raise ValueError(_("%(domain)s has no next keys: prepare the rotation first.") % {"domain": domain.name})
    if not domain.trusted:
        missing = unpublished(domain, resolver)
        if missing:
            said = _("Publish the records of %(names)s first: receivers could not verify them.")
            raise ValueError(said % {"names": ", ".join(missing)})
    with transaction.atomic():
        DkimKey.objects.filter(domain=domain, state="active").update(state="retired", retired_at=timezone.now())
        DkimKey.objects.filter(domain=domain, state="next").update(state="active")
        note(domain.workspace, "command", "domain.keys_rotated", domain)
    _forget()


def unpublished(domain: Domain, resolver: Resolver | None = None) -> list[str]:
    """Selectors of next keys whose records are not in DNS."""
    coming = DkimKey.objects.filter(domain=domain, state="next").order_by("selector")
    return [key.selector for key in coming if not records.key_finding(domain, key, resolver or own_resolver())["ok"]]


_signers: dict[tuple[int, str], tuple[float, list[dkim.Signer]]] = {}
_allowed: dict[tuple[int, str], tuple[float, bool, bool]] = {}
_homes: dict[tuple[int, str], tuple[float, str, bool]] = {}


def _forget() -> None:
    _signers.clear()
    _allowed.clear()
    _homes.clear()


def signers_for(workspace_id: int, address: str) -> list[dkim.Signer]:
    """The signers of the address's domain, RSA first; of its closest declared parent when it is none itself
    (relaxed alignment, RFC 9989); empty when nothing is declared. Known for half a minute."""
    name = domain_of(address)
    known = _signers.get((workspace_id, name))
    if known is not None and time.monotonic() - known[0] < _CACHE_SECONDS:
        return known[1]
    keys = DkimKey.objects.filter(domain__workspace_id=workspace_id, state="active").select_related("domain")
    by_domain: dict[str, list[DkimKey]] = {}
    for key in keys.order_by("-algorithm"):
        by_domain.setdefault(key.domain.name, []).append(key)
    closest = next((parent for parent in with_parents(name) if parent in by_domain), None)
    signers = [
        dkim.Signer(key.domain.name, key.selector, unseal(key.private_sealed, _SEALED_FOR), key.algorithm)
        for key in (by_domain[closest] if closest else ())
    ]
    _signers[workspace_id, name] = (time.monotonic(), signers)
    return signers


def may_send_from(workspace_id: int, address: str) -> tuple[bool, str]:
    """May mail leave as this address? With a sentence that says why, or what to do.

    Route `local` leaves the machine by no way, so any domain will do; the others need one that is checked or
    trusted. A subdomain needs its own declaration: its SPF is its own.
    """
    name = domain_of(address)
    if not name:
        return False, f"{address!r} has no domain to send from: write name@domain."
    known = _allowed.get((workspace_id, name))
    if known is None or time.monotonic() - known[0] >= _CACHE_SECONDS:
        row = Domain.objects.filter(workspace_id=workspace_id, name=name).first()
        known = (time.monotonic(), row is not None, row is not None and bool(row.trusted or row.passed_at))
        _allowed[workspace_id, name] = known
    _, declared, ready = known
    if ready:
        return True, f"{name} is checked or trusted."
    if settings.ENVOL.route == "local":
        return True, f"{name} is not checked; the route is local, so nothing leaves this machine."
    if declared:
        return False, f"{name} is not ready: publish its records, then run `envol domain check {name}`."
    return False, f"{name} is not declared: run `envol domain add {name}`, publish its records, and check it."


# ---- records


def check(domain: Domain, resolver: Resolver | None = None, *, patience: timedelta = timedelta()) -> Domain:
    """Compare the records found in DNS with those expected, and keep what was found.

    Ready (`passed_at`) when SPF, DMARC and every active key are right; a later failure takes it back, after
    ``patience``: a check by the clock first tells, since records are also lost by mistake for an hour.
    """
    findings = records.findings(domain, resolver or own_resolver())
    needed = all(one["ok"] for one in findings if one["level"] == records.NEEDED)
    home = {one["key"]: one["ok"] for one in findings}
    now = timezone.now()
    domain.findings, domain.checked_at = findings, now
    since = domain.failing_at or now
    domain.failing_at = None if needed else since
    if needed:
        domain.passed_at = domain.passed_at or now
    elif now - since >= patience:
        domain.passed_at = None
    returns = bool(home.get("return_mx") and home.get("return_spf"))
    domain.returns_at = (domain.returns_at or now) if returns else None
    domain.save(update_fields=["findings", "checked_at", "passed_at", "failing_at", "returns_at"])
    _forget()
    return domain


def own_resolver() -> Resolver:
    """The one of the setting, else the system's."""
    resolver = dns.resolver.Resolver(configure=not settings.ENVOL.resolver)
    if settings.ENVOL.resolver:
        resolver.nameservers = [settings.ENVOL.resolver]
    resolver.lifetime = 8.0
    return resolver


def return_domain(workspace_id: int, address: str) -> str:
    """Where bounces of mail from this address come home: ``bounces.`` its closest declared domain, once its records
    are found (aligned with the sender, RFC 9989 relaxed mode); else empty. Known for half a minute."""
    return _home(workspace_id, address)[0]


def replies_address(workspace_id: int, address: str) -> str:
    """Where answers to mail from this address are taken and passed on; empty where they go to the sender herself."""
    host, taken = _home(workspace_id, address)
    return f"{REPLIES}@{host}" if host and taken else ""


def _home(workspace_id: int, address: str) -> tuple[str, bool]:
    name = domain_of(address)
    known = _homes.get((workspace_id, name))
    if known is None or time.monotonic() - known[0] >= _CACHE_SECONDS:
        ready = Domain.objects.filter(workspace_id=workspace_id, name__in=with_parents(name), returns_at__isnull=False)
        closest = max(ready, key=lambda one: len(one.name), default=None) if settings.ENVOL.inbound else None
        known = (time.monotonic(), *((return_host(closest.name), bool(closest.replies_to)) if closest else ("", False)))
        _homes[workspace_id, name] = known
    return known[1], known[2]


def pass_replies_on(domain: Domain, address: str, *, actor_id: int | None = None) -> None:
    """Replies to mail of this domain are taken here and go on to ``address``; empty: they go to the sender herself.

    Raises ValueError with a sentence for an address that cannot be, or that would lead back to us.
    """
    address = address.strip()
    if address:
        try:
            address = normalise(address).written
        except AddressError as error:
            raise ValueError(error.told(_)) from None
        with as_owner():  # whoever declared it here, its return host is ours
            ours = Domain.objects.filter(name=records.parent_of(domain_of(address))).exists()
        if ours and domain_of(address).startswith(f"{records.RETURN_LABEL}."):
            raise ValueError(_("This address leads back here: name a mailbox that somebody reads."))
    domain.replies_to = address
    domain.save(update_fields=["replies_to"])
    note(domain.workspace, "member", "domain.replies", domain, actor_id=actor_id, on=bool(address))
    _forget()


def at_host(host: str) -> Domain | None:
    """The domain whose mail comes in at this host: its own name, or its return host; a checked one first."""
    names = {host.lower(), records.parent_of(host.lower())}
    found = Domain.objects.filter(name__in=names).select_related("workspace")
    return found.order_by(F("passed_at").asc(nulls_last=True), "id").first()
