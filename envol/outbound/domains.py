"""Domains a workspace sends from: their keys, the records to publish, and whether mail may leave as them."""

from __future__ import annotations

import ipaddress
import re
import time
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import dns.exception
import dns.resolver
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.accounts.keys import seal, unseal
from envol.accounts.models import Workspace
from envol.outbound.models import DkimKey, Domain
from envol.wire import dkim
from envol.wire.address import AddressError, domain_of, normalise

_SEALED_FOR = "dkim key"
_CACHE_SECONDS = 30.0


class Resolver(Protocol):
    """What is asked of a resolver: dnspython's, or one of a test that speaks to a server of its own."""

    def resolve(self, qname: str, rdtype: str) -> Iterable[Any]: ...


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
    return [key.selector for key in coming if not _key_finding(domain, key, resolver or _resolver())["ok"]]


_signers: dict[tuple[int, str], tuple[float, list[dkim.Signer]]] = {}
_allowed: dict[tuple[int, str], tuple[float, bool, bool]] = {}


def _forget() -> None:
    _signers.clear()
    _allowed.clear()


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
    closest = next((parent for parent in _with_parents(name) if parent in by_domain), None)
    signers = [
        dkim.Signer(key.domain.name, key.selector, unseal(key.private_sealed, _SEALED_FOR), key.algorithm)
        for key in (by_domain[closest] if closest else ())
    ]
    _signers[workspace_id, name] = (time.monotonic(), signers)
    return signers


def _with_parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(len(labels) - 1)]


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


def expected_records(domain: Domain) -> list[dict[str, Any]]:
    """The TXT records to publish: dictionaries of record, name, expected."""
    records = [
        {"record": "DKIM", "name": dkim.record_name(domain.name, key.selector), "expected": key.record}
        for key in _published(domain)
    ]
    records.append({"record": "SPF", "name": domain.name, "expected": f"v=spf1 {_our_mechanism()} ~all"})
    records.append({"record": "DMARC", "name": f"_dmarc.{domain.name}", "expected": "v=DMARC1; p=none"})
    return records


def zone_of(domain: Domain) -> str:
    """The same records as lines of a zone file (RFC 1035 §5); long texts in strings of at most 255 bytes."""
    lines = []
    for record in expected_records(domain):
        text = record["expected"]
        parts = " ".join(f'"{text[i : i + 255]}"' for i in range(0, len(text), 255))
        lines.append(f"{record['name']}. 3600 IN TXT {parts}")
    return "\n".join(lines)


def _published(domain: Domain) -> Sequence[DkimKey]:
    return list(DkimKey.objects.filter(domain=domain, state__in=["active", "next"]).order_by("state", "-algorithm"))


def _our_mechanism() -> str:
    if settings.ENVOL.route == "smart_host" and settings.ENVOL.smart_host:
        return f"a:{settings.ENVOL.smart_host.rpartition(':')[0]}"
    return f"a:{settings.ENVOL.helo_name}" if settings.ENVOL.helo_name else "a mx"


def check(domain: Domain, resolver: Resolver | None = None) -> Domain:
    """Compare the records found in DNS with those expected, and keep what was found.

    Ready (`passed_at`) when SPF, DMARC and every active key are right; a later failure takes it back. Keys
    that wait for rotation are shown and not required.
    """
    asked = resolver or _resolver()
    findings = []
    needed = True
    for key in _published(domain):
        finding = _key_finding(domain, key, asked)
        findings.append(finding)
        needed = needed and (finding["ok"] or key.state != "active")
    for finding in (_spf_finding(domain, asked), _dmarc_finding(domain, asked)):
        findings.append(finding)
        needed = needed and finding["ok"]
    now = timezone.now()
    domain.findings, domain.checked_at = findings, now
    domain.passed_at = (domain.passed_at or now) if needed else None
    domain.save(update_fields=["findings", "checked_at", "passed_at"])
    _forget()
    return domain


def _resolver() -> Resolver:
    resolver = dns.resolver.Resolver()
    resolver.lifetime = 8.0
    return resolver


def _texts(resolver: Resolver, name: str) -> list[str]:
    """TXT records of a name, their strings joined; what cannot be found is no record."""
    try:
        answer = resolver.resolve(name, "TXT")
    except (dns.exception.DNSException, OSError):
        return []
    return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]


def _finding(record: str, name: str, expected: str, found: str, ok: bool) -> dict[str, Any]:
    return {"record": record, "name": name, "expected": expected, "found": found, "ok": ok}


def _key_finding(domain: Domain, key: DkimKey, resolver: Resolver) -> dict[str, Any]:
    name = dkim.record_name(domain.name, key.selector)
    found = _texts(resolver, name)
    ok = False
    shown = found[0] if found else ""
    if len(found) == 1:
        try:
            private = dkim.load_private_key(unseal(key.private_sealed, _SEALED_FOR))
            ok = dkim.parse_record(found[0]).publishes(private)
        except ValueError as error:
            shown = f"{found[0]} ({error})"
    elif found:
        shown = f"{len(found)} records; publish one"
    return _finding("DKIM", name, key.record, shown, ok)


def _spf_finding(domain: Domain, resolver: Resolver) -> dict[str, Any]:
    """SPF (RFC 7208): exactly one record, and it names the host we send from."""
    expected = f"v=spf1 {_our_mechanism()} ~all"
    found = [text for text in _texts(resolver, domain.name) if re.match(r"v=spf1(?: |$)", text, re.IGNORECASE)]
    if len(found) != 1:
        shown = "" if not found else f"{len(found)} records; RFC 7208 §3.2 allows one"
        return _finding("SPF", domain.name, expected, shown, False)
    terms = [term.lower().lstrip("+") for term in found[0].split()[1:]]
    ours = _our_mechanism().split()
    ok = any(term in terms for term in ours) or _names_address(terms, resolver)
    # Somebody else's record may hold our host: what is included is theirs to keep right.
    ok = ok or any(term.startswith(("include:", "redirect=")) for term in terms)
    return _finding("SPF", domain.name, expected, found[0], ok)


def _names_address(terms: Sequence[str], resolver: Resolver) -> bool:
    networks = []
    for term in terms:
        if term.startswith(("ip4:", "ip6:")):
            try:
                networks.append(ipaddress.ip_network(term[4:], strict=False))
            except ValueError:
                continue
    host = _our_mechanism().removeprefix("a:")
    if not networks or " " in host:
        return False
    for kind in ("A", "AAAA"):
        try:
            addresses = [ipaddress.ip_address(record.address) for record in resolver.resolve(host, kind)]
        except (dns.exception.DNSException, OSError):
            continue
        if any(address in network for address in addresses for network in networks):
            return True
    return False


def _dmarc_finding(domain: Domain, resolver: Resolver) -> dict[str, Any]:
    """DMARC: the domain's own policy or that of a parent, found by walking up (RFC 9989)."""
    expected = "v=DMARC1; p=none"
    for parent in _with_parents(domain.name):
        name = f"_dmarc.{parent}"
        found = [text for text in _texts(resolver, name) if re.match(r"v=DMARC1\s*(?:;|$)", text)]
        if len(found) == 1:
            return _finding("DMARC", name, expected, found[0], True)
    return _finding("DMARC", f"_dmarc.{domain.name}", expected, "", False)
