"""Reports on encrypted delivery (RFC 8460 §4): which sessions a domain's mail came by, and which failed, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

MAX_FAILURES = 10_000
_MAX_COUNT = 2**40


class NoReport(ValueError):
    """Not a report that can be read; the sentence says why."""


class Failure(NamedTuple):
    """Sessions that failed alike. result: a word of RFC 8460 §4.3, such as certificate-expired."""

    result: str
    n: int
    host: str


@dataclass(slots=True)
class Policy:
    """What was found of one domain: kind is sts, tlsa or no-policy-found."""

    domain: str
    kind: str
    succeeded: int
    failed: int
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """begin, end: seconds since 1970, of the time reported on."""

    organisation: str
    report_id: str
    begin: int
    end: int
    policies: list[Policy]


def read(document: bytes) -> Report:
    """Read one report (RFC 8259 JSON). Raises NoReport for anything else."""
    try:
        given = json.loads(document)
    except (ValueError, RecursionError):
        raise NoReport("It is no JSON.") from None
    if not isinstance(given, dict):
        raise NoReport("It is no TLS report.")
    report_id = _text(given.get("report-id"), 200)
    span = given.get("date-range")
    begin, end = (_moment(_of(span, name)) for name in ("start-datetime", "end-datetime"))
    if not report_id or not begin or not begin <= end or end - begin > 40 * 86400:
        raise NoReport("It has no id or no time: it is no TLS report.")
    organisation = _text(given.get("organization-name"), 120) or "?"
    return Report(organisation, report_id, begin, end, list(_policies(given.get("policies"))))


def _policies(given: Any) -> Iterator[Policy]:
    left = MAX_FAILURES
    for one in given[:100] if isinstance(given, list) else ():
        policy, summary = _of(one, "policy"), _of(one, "summary")
        domain = _text(_of(policy, "policy-domain"), 253).lower().rstrip(".")
        if not domain:
            continue
        details = _of(one, "failure-details")
        failures = []
        for detail in details[:left] if isinstance(details, list) else ():
            count = _count(_of(detail, "failed-session-count")) or _count(_of(detail, "failure-session-count"))
            if count:
                host = _text(_of(detail, "receiving-mx-hostname"), 253)
                failures.append(Failure(_text(_of(detail, "result-type"), 60) or "unknown", count, host))
        left -= len(failures)
        succeeded = _count(_of(summary, "total-successful-session-count"))
        failed = _count(_of(summary, "total-failure-session-count"))
        yield Policy(domain, _text(_of(policy, "policy-type"), 20), succeeded, failed, failures)


def _of(given: Any, name: str) -> Any:
    return given.get(name) if isinstance(given, Mapping) else None


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value if c.isprintable())[:most].strip()


def _count(value: Any) -> int:
    return min(value, _MAX_COUNT) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _moment(value: Any) -> int:
    try:
        found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return int(found.timestamp()) if found.tzinfo else 0
    except (ValueError, OverflowError):
        return 0
