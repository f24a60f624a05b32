"""Domains looked at by the clock: records that vanish are told to the owners before mail is refused for them.

A record found missing closes the door only after a day: an hour of a mistaken zone file should stop nobody's mail,
and whoever is told has a day to mend it. A resolver that is silent says nothing (`outbound.records`).
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts.journal import note
from envol.outbound import domains
from envol.outbound.models import Domain
from envol.outbound.records import NEEDED, Resolver
from envol.outbound.telling import tell_owners

log = structlog.get_logger()
PATIENCE = timedelta(hours=24)
EVERY = timedelta(hours=6)
FAILING, YOUNG = timedelta(minutes=50), timedelta(days=7)
MOST = 200  # domains of one look


def look(resolver: Resolver | None = None) -> int:
    """Check what is due: failing and young domains every hour, the others four times a day; how many.

    Where nothing leaves the machine nobody is asked either.
    """
    if settings.ENVOL.route == "local":
        return 0
    now = timezone.now()
    often = Q(failing_at__isnull=False) | Q(passed_at=None, created_at__gt=now - YOUNG)
    due = Q(checked_at__lt=now - EVERY) | (often & Q(checked_at__lt=now - FAILING)) | Q(checked_at=None)
    found = list(Domain.objects.filter(due, trusted=False).select_related("workspace").order_by("checked_at")[:MOST])
    for domain in found:
        check(domain, resolver)
    return len(found)


def check(domain: Domain, resolver: Resolver | None = None) -> None:
    was_ready, was_failing = domain.passed_at is not None, domain.failing_at is not None
    domains.check(domain, resolver, patience=PATIENCE)
    missing = [f["name"] for f in domain.findings if f["level"] == NEEDED and not f["ok"]]
    if was_ready and missing and not was_failing:
        note(domain.workspace, "job", "domain.failing", domain, missing=len(missing))
        tell_owners(domain.workspace, "domain_failing", lambda: _gone(domain, missing))
        log.warning("records of a domain are missing", domain=domain.name, missing=missing)
    elif was_ready and domain.passed_at is None:
        tell_owners(domain.workspace, "domain_closed", lambda: _closed(domain, missing))
        log.warning("a domain may send no more", domain=domain.name, missing=missing)
    elif was_failing and not missing and was_ready:
        note(domain.workspace, "job", "domain.repaired", domain)


def _facts(domain: Domain, missing: list[str]) -> dict[str, object]:
    link = f"{settings.ENVOL.base_url}/settings/domains/{domain.pk}"
    return {"domain": domain.name, "records": "\n".join(f"  {name}" for name in missing), "link": link}


def _gone(domain: Domain, missing: list[str]) -> tuple[str, str]:
    facts = _facts(domain, missing)
    return (
        _("DNS records of %(domain)s are missing") % facts,
        _(
            "These records of %(domain)s are not found as they should be any more:\n\n%(records)s\n\n"
            "Mail still leaves for 24 hours. Put them back where the domain is managed; this page shows each one:\n\n"
            "%(link)s"
        )
        % facts,
    )


def _closed(domain: Domain, missing: list[str]) -> tuple[str, str]:
    facts = _facts(domain, missing)
    return (
        _("Mail from %(domain)s waits") % facts,
        _(
            "These records of %(domain)s have been missing for a day, so nothing leaves in its name now:\n\n"
            "%(records)s\n\nWhat waits leaves as soon as a check finds them again:\n\n%(link)s"
        )
        % facts,
    )
