"""DKIM keys follow one another by themselves; the organisation only publishes the records it is shown.

A pair of keys that is five months old gets a successor (M3AAWG: at least every six months). The successor's records
stand among those to publish; once they have been found in DNS for two days without a gap, so that no cache still
holds their absence, it signs. The old records stay published for a week, for the mail that is still on its way;
then the private key is destroyed and the record may be emptied (``p=``, RFC 6376 §3.6.1).
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.utils import timezone

from envol.outbound import domains
from envol.outbound.domains import Resolver
from envol.outbound.models import DkimKey, Domain

log = structlog.get_logger()
OLD = timedelta(days=150)
SEEN_LONG_ENOUGH = timedelta(hours=48)
STILL_ON_ITS_WAY = timedelta(days=7)


def look_after(resolver: Resolver | None = None) -> None:
    """Do for every domain what is due now; cheap when nothing is. Trusted domains rotate by command alone:
    nobody may have published anything for them."""
    now = timezone.now()
    aged = DkimKey.objects.filter(state="active", created_at__lt=now - OLD).values("domain_id")
    coming = DkimKey.objects.filter(state="next").values("domain_id")
    for domain in Domain.objects.filter(trusted=False, passed_at__isnull=False, pk__in=aged).exclude(pk__in=coming):
        domains.prepare_rotation(domain)
        log.info("next DKIM keys wait to be published", domain=domain.name)
    for domain in Domain.objects.filter(trusted=False, keys__state="next").distinct():
        _promote(domain, resolver)
    gone = DkimKey.objects.filter(state="retired", retired_at__lt=now - STILL_ON_ITS_WAY).exclude(private_sealed=b"")
    if destroyed := gone.update(private_sealed=b""):
        log.info("retired DKIM keys were destroyed", count=destroyed)


def _promote(domain: Domain, resolver: Resolver | None) -> None:
    now = timezone.now()
    coming = DkimKey.objects.filter(domain=domain, state="next")
    missing = domains.unpublished(domain, resolver)
    coming.filter(selector__in=missing).update(seen_at=None)
    coming.filter(seen_at=None).exclude(selector__in=missing).update(seen_at=now)
    if missing or coming.filter(seen_at__gt=now - SEEN_LONG_ENOUGH).exists():
        return
    try:
        domains.finish_rotation(domain, resolver)
    except ValueError as error:  # gone from DNS since a moment ago
        log.warning("next DKIM keys cannot take over yet", domain=domain.name, why=str(error))
    else:
        log.info("next DKIM keys sign from now on", domain=domain.name)
