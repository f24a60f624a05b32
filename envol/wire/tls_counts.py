"""TLS reports of our own (RFC 8460): counts of a day in, JSON out; and where it goes. Pure."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import unquote

MEDIA_TYPE = "application/tlsrpt+gzip"
RESULTS = frozenset(
    {
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
        "tlsa-invalid",
        "dnssec-invalid",
        "dane-required",
        "sts-policy-fetch-error",
        "sts-policy-invalid",
        "sts-webpki-invalid",
    }
)
"""RFC 8460 §4.3; what failed otherwise is a validation-failure."""


@dataclass(frozen=True, slots=True)
class Count:
    """Sessions of one day to one domain with one outcome. result: "" for those that went well."""

    policy_type: str  # tlsa, sts, no-policy-found
    policy: tuple[str, ...] = ()  # its lines, as published
    mx: tuple[str, ...] = ()
    result: str = ""
    host: str = ""
    address: str = ""
    source: str = ""
    reason: str = ""
    n: int = 1


def destinations(records: Iterable[str]) -> list[str]:
    """mailto addresses of the one ``v=TLSRPTv1`` record (RFC 8460 §3); reports by https are not sent."""
    found = [text for text in records if re.match(r"v=TLSRPTv1\s*;", text)]
    if len(found) != 1:
        return []
    for field in found[0].split(";")[1:]:
        name, _, value = field.partition("=")
        if name.strip() == "rua":
            uris = [uri.strip() for uri in value.split(",")]
            return [unquote(uri[7:].partition("?")[0]) for uri in uris if uri.lower().startswith("mailto:")]
    return []


def make(domain: str, day: date, counts: Sequence[Count], *, organisation: str, contact: str, report_id: str) -> bytes:
    """The report of one domain and day as gzip (RFC 8460 §4.4, §5.3)."""
    start = datetime.combine(day, time())
    end = start + timedelta(days=1) - timedelta(seconds=1)
    policies: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[Count]] = {}
    for one in counts:
        policies.setdefault((one.policy_type, one.policy, one.mx), []).append(one)
    report = {
        "organization-name": organisation,
        "date-range": {"start-datetime": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end-datetime": f"{end:%Y-%m-%dT%H:%M:%SZ}"},
        "contact-info": contact,
        "report-id": report_id,
        "policies": [_policy(domain, *key, found) for key, found in policies.items()],
    }
    return gzip.compress(json.dumps(report, ensure_ascii=True).encode(), mtime=0)


def _policy(
    domain: str, kind: str, policy: tuple[str, ...], mx: tuple[str, ...], counts: Sequence[Count]
) -> dict[str, Any]:
    about: dict[str, Any] = {"policy-type": kind, "policy-domain": domain}
    if policy:
        about["policy-string"] = list(policy)
    if mx:
        about["mx-host"] = list(mx)
    failed = [one for one in counts if one.result]
    details = []
    for one in failed:
        detail: dict[str, Any] = {
            "result-type": one.result if one.result in RESULTS else "validation-failure",
            "failed-session-count": one.n,
        }
        if one.source:
            detail["sending-mta-ip"] = one.source
        if one.host:
            detail["receiving-mx-hostname"] = one.host
        if one.address:
            detail["receiving-ip"] = one.address
        if one.reason:
            detail["failure-reason-code"] = one.reason
        details.append(detail)
    found: dict[str, Any] = {
        "policy": about,
        "summary": {
            "total-successful-session-count": sum(one.n for one in counts if not one.result),
            "total-failure-session-count": sum(one.n for one in failed),
        },
    }
    if details:
        found["failure-details"] = details
    return found


def filename(submitter: str, domain: str, day: date, unique: str) -> str:
    """RFC 8460 §5.1."""
    start = int(datetime.combine(day, time()).replace(tzinfo=None).timestamp())
    return f"{submitter}!{domain}!{start}!{start + 86399}!{unique}.json.gz"
