"""The watch over public blocklists, by DNS (RFC 5782), for lists the operator names in the setting `blocklists`.

Which lists matter, and what their use costs, is for the operator to decide: without the setting nobody is asked. A list
that answers with an error code (127.255.255.x) or not at all has said nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple

import dns.reversename
import structlog
from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.models import Workspace
from envol.db_role import as_owner
from envol.outbound import domains, egress
from envol.outbound.models import Domain, Listed
from envol.outbound.records import Resolver, Unknown, lookup
from envol.outbound.route import our_name
from envol.outbound.telling import tell_owners

log = structlog.get_logger()
DOMAIN = "domain:"


class Listing(NamedTuple):
    """A domain or an address of ours on a list; ``listed_at`` None: not listed when last looked at."""

    zone: str
    subject: str
    listed_at: object
    looked_at: object
    reason: str


def zones(text: str) -> tuple[list[str], list[str]]:
    """(lists of addresses, lists of domains) of the setting, as ``zen.example, domain:dbl.example``."""
    named = [part.lower().rstrip(".") for part in text.replace(",", " ").split()]
    of_domains = [part.removeprefix(DOMAIN) for part in named if part.startswith(DOMAIN)]
    return [part for part in named if not part.startswith(DOMAIN)], of_domains


def look(resolver: Resolver | None = None) -> int:
    """Ask every list about every address and domain of ours; how many are listed. Owners are told of news."""
    of_addresses, of_domains = zones(settings.ENVOL.blocklists)
    if not (of_addresses or of_domains):
        Listed.objects.all().delete()
        return 0
    asked = resolver or domains.own_resolver()
    began = timezone.now()
    for zone in of_addresses:
        for address in _addresses(asked):
            _ask(asked, zone, address, _reversed(address), None)
    for zone in of_domains:
        for domain in Domain.objects.select_related("workspace"):
            _ask(asked, zone, domain.name, domain.name, domain.workspace)
    Listed.objects.filter(looked_at__lt=began).exclude(zone__in=[*of_addresses, *of_domains]).delete()
    return Listed.objects.filter(listed_at__isnull=False).count()


def _addresses(resolver: Resolver) -> Iterator[str]:
    """Where we send from: the sources of the setting, else the addresses of our name."""
    named = [one.address for one in egress.parse(settings.ENVOL.sources)]
    if not named:
        for kind in ("A", "AAAA"):
            try:
                named += lookup(resolver, our_name(settings.ENVOL), kind)
            except Unknown:
                continue
    for address in dict.fromkeys(named):
        try:
            if ipaddress.ip_address(address).is_global:
                yield address
        except ValueError:
            continue


def _reversed(address: str) -> str:
    """RFC 5782 §2.1 and §2.4: octets, or nibbles, in reverse order."""
    name = str(dns.reversename.from_address(address)).rstrip(".")
    return name.removesuffix(".in-addr.arpa").removesuffix(".ip6.arpa")


def _ask(resolver: Resolver, zone: str, subject: str, question: str, workspace: Workspace | None) -> None:
    try:
        answers = lookup(resolver, f"{question}.{zone}", "A")
        if any(not answer.startswith("127.") or answer.startswith("127.255.255.") for answer in answers):
            raise Unknown(f"{zone} answers {answers[0]}")
        reason = " ".join(lookup(resolver, f"{question}.{zone}", "TXT"))[:300] if answers else ""
    except Unknown as error:
        log.info("a blocklist did not answer", zone=zone, why=str(error)[:200])
        return
    row, _made = Listed.objects.get_or_create(zone=zone, subject=subject)
    news = bool(answers) and row.listed_at is None
    row.listed_at = (row.listed_at or timezone.now()) if answers else None
    row.reason = reason
    row.save(update_fields=["listed_at", "reason"])
    Listed.objects.filter(pk=row.pk).update(looked_at=Now())
    if not news:
        return
    log.warning("we are on a blocklist", zone=zone, subject=subject)
    if workspace is not None:
        tell_owners(workspace, "listed", lambda: _words(zone, subject, reason))


def _words(zone: str, subject: str, reason: str) -> tuple[str, str]:
    facts = {"subject": subject, "zone": zone, "reason": reason or "–", "base": settings.ENVOL.base_url}
    return (
        _("%(subject)s is on a blocklist") % facts,
        _(
            "%(subject)s is on the list %(zone)s, which mail servers ask before they accept a message.\n\n"
            "It says: %(reason)s\n\nFind out what was sent, stop it, then ask the list to take it off. What else we"
            " know:\n\n%(base)s/deliverability"
        )
        % facts,
    )


def of_workspace(workspace: Workspace) -> list[Listing]:
    """What is known of the addresses we send from and of this workspace's domains."""
    names = set(Domain.objects.filter(workspace=workspace).values_list("name", flat=True))
    with as_owner():  # the table of lists says of no row whose it is: others' domains are told apart by name
        foreign = set(Domain.objects.exclude(workspace=workspace).values_list("name", flat=True)) - names
    rows = Listed.objects.exclude(subject__in=foreign).exclude(looked_at=None).order_by("-listed_at", "subject", "zone")
    return [Listing(row.zone, row.subject, row.listed_at, row.looked_at, row.reason) for row in rows]
