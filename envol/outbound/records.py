"""The DNS records of a domain: what to publish, what is found, and how far the two agree.

Three levels. *needed*: without it no mail leaves as the domain. *wanted*: bounces and reports find their way home,
through ``bounces.`` the domain, which belongs to us alone; so the organisation's own mail servers change nothing.
*advice*: what protects the domain further. Resolvers fail now and then: what could not be asked is ``unknown``, and
keeps the answer of the check before.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

import dns.exception
import dns.resolver
import dns.reversename
from django.conf import settings

from envol.accounts.keys import unseal
from envol.net import Fetcher, NotFetched
from envol.outbound import own_policy
from envol.outbound.models import DkimKey, Domain
from envol.outbound.route import our_name
from envol.wire import bimi, bimi_certificate, dkim
from envol.wire.mta_sts import policy_id

SEALED_FOR = "dkim key"
RETURN_LABEL = "bounces"
NEEDED, WANTED, ADVICE = "needed", "wanted", "advice"


class Resolver(Protocol):
    """What is asked of a resolver: dnspython's, or one of a test that speaks to a server of its own."""

    def resolve(self, qname: str, rdtype: str) -> Iterable[Any]: ...


class Unknown(Exception):
    """The resolver gave no answer, which says nothing about the record."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record to publish. ``key`` names its part, ``judge`` says of the records found whether they do, and which
    text to show of them."""

    key: str
    record: str
    kind: str
    name: str
    expected: str
    level: str
    judge: Callable[[list[str], Resolver], tuple[bool, str]]

    def plain(self) -> dict[str, Any]:
        parts = ("key", "record", "kind", "name", "expected", "level")
        return {part: getattr(self, part) for part in parts}


def return_host(name: str) -> str:
    """Where mail about mail of a domain comes home."""
    return f"{RETURN_LABEL}.{name}"


def parent_of(host: str) -> str:
    """The domain that a return host, or the domain itself, belongs to."""
    return host.removeprefix(f"{RETURN_LABEL}.")


def with_parents(name: str) -> list[str]:
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(len(labels) - 1)]


# ---- what to publish


def expected_records(domain: Domain) -> list[dict[str, Any]]:
    """The records to publish: dictionaries of key, record, kind, name, expected, level."""
    return [one.plain() for one in _all(domain) if one.level != ADVICE]


def zone_of(domain: Domain) -> str:
    """The same records as lines of a zone file (RFC 1035 §5); long texts in strings of at most 255 bytes."""
    lines = []
    for one in _all(domain):
        if one.level == ADVICE:
            continue
        value = one.expected
        if one.kind == "TXT":
            value = " ".join(f'"{value[i : i + 255]}"' for i in range(0, len(value), 255))
        else:
            value += "."
        lines.append(f"{one.name}. 3600 IN {one.kind} {value}")
    return "\n".join(lines)


def _all(domain: Domain) -> list[Record]:
    name, home = domain.name, return_host(domain.name)
    found = [_key(domain, key) for key in _published(domain)]
    spf = f"v=spf1 {our_mechanism()} ~all"
    takes = bool(settings.ENVOL.inbound)
    reports = f"; rua=mailto:dmarc@{home}" if takes else ""
    found.append(Record("spf", "SPF", "TXT", name, spf, NEEDED, _spf))
    found.append(Record("dmarc", "DMARC", "TXT", f"_dmarc.{name}", f"v=DMARC1; p=none{reports}", NEEDED, _dmarc))
    if takes:
        us = our_name(settings.ENVOL)
        found += [
            Record("return_mx", "MX", "MX", home, f"10 {us}", WANTED, _ours),
            Record("return_spf", "SPF", "TXT", home, spf, WANTED, _spf),
            Record(
                "tls_rpt", "TLS-RPT", "TXT", f"_smtp._tls.{home}", f"v=TLSRPTv1; rua=mailto:tlsrpt@{home}", WANTED, _tls
            ),
        ]
        host = urlsplit(settings.ENVOL.base_url).hostname or us
        found += [
            Record("own_sts", "MTA-STS", "TXT", f"_mta-sts.{home}", own_policy.record(), ADVICE, _policy),
            Record("own_sts_host", "A", "A", f"{own_policy.HOST}{home}", host, ADVICE, _leads_to(host)),
        ]
    return found + _advice(name)


def _advice(name: str) -> list[Record]:
    us = our_name(settings.ENVOL)
    logo = f"v=BIMI1; l=https://{name}/logo.svg"
    found = [
        Record("mta_sts", "MTA-STS", "TXT", f"_mta-sts.{name}", "v=STSv1; id=1", ADVICE, _starts("v=STSv1")),
        Record("bimi", "BIMI", "TXT", f"default._bimi.{name}", logo, ADVICE, _bimi(name)),
    ]
    host = urlsplit(settings.ENVOL.base_url).hostname or ""
    if "." in host and not host.replace(".", "").isdigit():
        found.append(Record("tracking", "A", "A", host, "", ADVICE, _any))
    if settings.ENVOL.route == "direct":
        found.append(Record("reverse", "PTR", "A", us, us, ADVICE, _reverse))
    return found


def _published(domain: Domain) -> Sequence[DkimKey]:
    return list(DkimKey.objects.filter(domain=domain, state__in=["active", "next"]).order_by("state", "-algorithm"))


def our_mechanism() -> str:
    """What SPF calls the host that our mail leaves from; a relay may be named by its address (RFC 7208 §5.6)."""
    if settings.ENVOL.route == "smart_host" and settings.ENVOL.smart_host:
        host = settings.ENVOL.smart_host.rpartition(":")[0].strip("[]")
        try:
            return f"ip{ipaddress.ip_address(host).version}:{host}"
        except ValueError:
            return f"a:{host}"
    return f"a:{settings.ENVOL.helo_name}" if settings.ENVOL.helo_name else "a mx"


# ---- what is found


def findings(domain: Domain, resolver: Resolver) -> list[dict[str, Any]]:
    """Every record with what was found: `expected_records` and advice, each with found, ok, unknown."""
    before = {(one["record"], one["name"]): one for one in domain.findings}
    return [_look(one, resolver, before.get((one.record, one.name))) for one in _all(domain)]


def key_finding(domain: Domain, key: DkimKey, resolver: Resolver) -> dict[str, Any]:
    return _look(_key(domain, key), resolver, None)


def _look(one: Record, resolver: Resolver, before: dict[str, Any] | None) -> dict[str, Any]:
    answer = {**one.plain(), "unknown": False}
    try:
        if one.key == "dmarc":
            return {**answer, **_dmarc_found(one, resolver)}
        ok, shown = one.judge(lookup(resolver, one.name, one.kind), resolver)
    except Unknown:
        kept = before or {}
        return {**answer, "found": kept.get("found", ""), "ok": bool(kept.get("ok")), "unknown": True}
    return {**answer, "found": shown, "ok": ok}


def lookup(resolver: Resolver, name: str, kind: str) -> list[str]:
    """The records of a name as text, TXT strings joined; none where it does not exist. Raises Unknown."""
    try:
        answer = resolver.resolve(name, kind)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise Unknown(str(error)) from None
    if kind == "TXT":
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
    if kind == "MX":
        return [f"{record.preference} {str(record.exchange).rstrip('.').lower()}" for record in answer]
    return [str(getattr(record, "address", record)).rstrip(".") for record in answer]


# ---- how each is judged


def _key(domain: Domain, key: DkimKey) -> Record:
    def judge(found: list[str], resolver: Resolver) -> tuple[bool, str]:
        if len(found) != 1:
            return False, f"{len(found)} records; publish one" if found else ""
        try:
            private = dkim.load_private_key(unseal(key.private_sealed, SEALED_FOR))
            return dkim.parse_record(found[0]).publishes(private), found[0]
        except ValueError as error:
            return False, f"{found[0]} ({error})"

    # Keys that wait for their turn are shown and not required.
    level = NEEDED if key.state == "active" else WANTED
    return Record("dkim", "DKIM", "TXT", dkim.record_name(domain.name, key.selector), key.record, level, judge)


def _spf(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    """SPF (RFC 7208): exactly one record, and it names the host we send from."""
    found = [text for text in found if re.match(r"v=spf1(?: |$)", text, re.IGNORECASE)]
    if len(found) != 1:
        return False, f"{len(found)} records; RFC 7208 §3.2 allows one" if found else ""
    terms = [term.lower().lstrip("+") for term in found[0].split()[1:]]
    ok = any(term in terms for term in our_mechanism().split()) or _names_address(terms, resolver)
    # Somebody else's record may hold our host: what is included is theirs to keep right.
    return ok or any(term.startswith(("include:", "redirect=")) for term in terms), found[0]


def _names_address(terms: Sequence[str], resolver: Resolver) -> bool:
    networks = []
    for term in terms:
        if term.startswith(("ip4:", "ip6:")):
            try:
                networks.append(ipaddress.ip_network(term[4:], strict=False))
            except ValueError:
                continue
    kind, _, host = our_mechanism().partition(":")
    if not networks or not host:
        return False
    found = [host] if kind != "a" else [one for record in ("A", "AAAA") for one in lookup(resolver, host, record)]
    return any(address in network for address in map(ipaddress.ip_address, found) for network in networks)


def _dmarc(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    found = [text for text in found if re.match(r"v=DMARC1\s*(?:;|$)", text)]
    if len(found) != 1:
        return False, f"{len(found)} records; publish one" if found else ""
    return True, found[0]


def _dmarc_found(one: Record, resolver: Resolver) -> dict[str, Any]:
    """DMARC: the domain's own policy or that of a parent, found by walking up (RFC 9989)."""
    shown = ""
    for parent in with_parents(one.name.removeprefix("_dmarc.")):
        name = f"_dmarc.{parent}"
        ok, text = _dmarc(lookup(resolver, name, "TXT"), resolver)
        if ok:
            return {"name": name, "found": text, "ok": True}
        shown = shown or text
    return {"found": shown, "ok": False}


def _ours(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    us = our_name(settings.ENVOL).lower()
    return any(text.partition(" ")[2] == us for text in found), ", ".join(found)


def _tls(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    """RFC 8460 §3: one record, with an address for reports."""
    found = [text for text in found if re.match(r"v=TLSRPTv1\s*;", text)]
    return len(found) == 1 and "rua=" in found[0], ", ".join(found)


def _starts(version: str) -> Callable[[list[str], Resolver], tuple[bool, str]]:
    def judge(found: list[str], resolver: Resolver) -> tuple[bool, str]:
        found = [text for text in found if text.startswith(version)]
        return len(found) == 1, ", ".join(found)

    return judge


def _policy(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    """Ours, as it is now: an old id keeps senders at the old policy until that has run out."""
    return policy_id(found) == policy_id([own_policy.record()]), ", ".join(found)


def _leads_to(host: str) -> Callable[[list[str], Resolver], tuple[bool, str]]:
    def judge(found: list[str], resolver: Resolver) -> tuple[bool, str]:
        return bool(found) and set(found) <= set(lookup(resolver, host, "A")), ", ".join(found)

    return judge


LOGOS = Fetcher(seconds=5.0, most_bytes=bimi.MOST_BYTES + 1)
CERTIFICATES = Fetcher(seconds=5.0, most_bytes=bimi_certificate.MOST_OCTETS + 1)


def _bimi(domain: str) -> Callable[[list[str], Resolver], tuple[bool, str]]:
    """The logo is fetched and looked at, and DMARC must say more than none: providers are silent about either."""

    def judge(found: list[str], resolver: Resolver) -> tuple[bool, str]:
        found = [text for text in found if text.startswith("v=BIMI1")]
        shown = ", ".join(found)
        if len(found) != 1:
            return False, shown
        logo = bimi.logo_of(found[0])
        if logo is None:
            return False, f"{shown} (l= names no https address)"
        if not logo:
            return True, shown  # it declines
        faults, told = [], ""
        try:
            picture = LOGOS.get(logo, "image/svg+xml")
            faults = bimi.picture_faults(picture)
            more, told = _certificate(bimi.certificate_of(found[0]), domain, picture)
            faults += more
        except NotFetched as error:
            faults.append(str(error))
        policies = [lookup(resolver, f"_dmarc.{one}", "TXT") for one in with_parents(domain)]
        dmarc = next((text for texts in policies for text in texts if _dmarc(texts, resolver)[0]), "")
        if not re.search(r";\s*p=(?:quarantine|reject)\b", dmarc, re.IGNORECASE):
            faults.append("DMARC says neither quarantine nor reject")
        said = "; ".join(faults) or told
        return not faults, f"{shown} ({said})" if said else shown

    return judge


def _certificate(address: str | None, domain: str, picture: bytes) -> tuple[list[str], str]:
    """What is wrong with the certificate of a logo, and who vouches until when. Without one nothing is wrong, and few
    providers draw the logo. Raises NotFetched."""
    if address is None:
        return ["a= names no https address"], ""
    if not address:
        return [], ""
    looked = bimi_certificate.look(CERTIFICATES.get(address), domain, picture, datetime.now(UTC))
    until = f" until {looked.until:%Y-%m-%d}" if looked.until else ""
    return looked.faults, f"{looked.issuer} vouches{until}"


def _any(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    return bool(found), ", ".join(found)


def _reverse(found: list[str], resolver: Resolver) -> tuple[bool, str]:
    """The addresses of our name lead back to it (RFC 8601 §2.7.3, iprev): large receivers refuse mail otherwise."""
    us, named = our_name(settings.ENVOL).lower(), []
    for address in found:
        try:
            reverse = str(dns.reversename.from_address(address)).rstrip(".")
        except dns.exception.SyntaxError:
            continue
        named += [f"{address} → {name or '–'}" for name in lookup(resolver, reverse, "PTR") or [""]]
    return bool(named) and all(one.lower().endswith(f"→ {us}") for one in named), ", ".join(named)
