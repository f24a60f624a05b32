"""Reports that receivers send about a domain: read, kept as counts, added up for pages.

They come to ``dmarc@`` and ``tlsrpt@`` the return host. Anybody can write one, so they change nothing: they are shown
to people, with the name of who says it. Bounded by number a day, and kept 13 months.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import structlog
from django.utils import timezone

from envol import db
from envol.outbound.models import Domain, DomainReport, DomainReportRow
from envol.wire import dmarc_report, tls_report
from envol.wire.message.read import read as read_message
from envol.wire.unpack import Unpackable, unpack

log = structlog.get_logger()
DMARC, TLS = "dmarc", "tls"
LOCAL_PARTS = {"dmarc": DMARC, "tlsrpt": TLS}
MOST_A_DAY = 500  # reports about one domain
MOST_ROWS = 2000  # of one report: the largest
KEPT = timedelta(days=400)


class Read(NamedTuple):
    """One report as it is kept; ``about`` the domain it speaks of."""

    kind: str
    about: str
    organisation: str
    report_id: str
    begin: int
    end: int
    policy: str
    rows: list[tuple[str, int, bool, bool | None, bool | None, str, str]]


def read(kind: str, raw: bytes) -> list[Read]:
    """The reports in a message; parts that are none are passed over. Never raises."""
    found: list[Read] = []
    for part in read_message(raw).attachments[:10]:
        try:
            documents = unpack(part.content)
        except Unpackable as error:
            log.info("a report could not be unpacked", kind=kind, why=str(error))
            continue
        for document in documents:
            try:
                found += [_dmarc(document)] if kind == DMARC else _tls(document)
            except (dmarc_report.NoReport, tls_report.NoReport) as error:
                log.info("a report could not be read", kind=kind, why=str(error))
    return found


def _dmarc(document: bytes) -> Read:
    given = dmarc_report.read(document)
    added: Counter[tuple[str, bool, bool | None, bool | None, str, str]] = Counter()
    for row in given.rows:
        # Forwarders and lists that a receiver excused are no failure of ours.
        result = row.reason if row.reason and row.disposition == "none" and not row.passed else row.disposition
        added[row.source, row.passed, row.dkim, row.spf, result, row.dkim_domain or row.spf_domain] += row.n
    rows = [(key[0], n, *key[1:]) for key, n in added.most_common(MOST_ROWS)]
    head = (given.organisation, given.report_id, given.begin, given.end, given.policy)
    return Read(DMARC, given.domain, *head, rows)


def _tls(document: bytes) -> list[Read]:
    given = tls_report.read(document)
    found = []
    for policy in given.policies:
        rows: list[tuple[str, int, bool, bool | None, bool | None, str, str]] = []
        if policy.succeeded:
            rows.append(("", policy.succeeded, True, None, None, "", ""))
        explained = 0
        for failure in sorted(policy.failures, key=lambda one: -one.n)[:MOST_ROWS]:
            rows.append((failure.host, failure.n, False, None, None, failure.result, ""))
            explained += failure.n
        if policy.failed > explained:
            rows.append(("", policy.failed - explained, False, None, None, "unknown", ""))
        head = (given.organisation, f"{given.report_id} {policy.kind}", given.begin, given.end, policy.kind)
        found.append(Read(TLS, policy.domain, *head, rows))
    return found


def keep(domain: Domain, reports: Sequence[Read]) -> str:
    """Keep what speaks of this domain or a name below it; the same report again is nothing new."""
    kept = 0
    for one in reports:
        if one.about != domain.name and not one.about.endswith(f".{domain.name}"):
            continue
        today = DomainReport.objects.filter(domain=domain, received_at__gt=timezone.now() - timedelta(days=1))
        if today.count() >= MOST_A_DAY:
            log.warning("too many reports in a day; the rest is not kept", domain=domain.name)
            break
        row, made = DomainReport.objects.get_or_create(
            domain=domain,
            kind=one.kind,
            organisation=_clean(one.organisation),
            report_id=_clean(one.report_id)[:200],
            defaults={
                "begins_at": datetime.fromtimestamp(one.begin, UTC),
                "ends_at": datetime.fromtimestamp(one.end, UTC),
                "policy": one.policy,
            },
        )
        if not made:
            continue
        kept += 1
        DomainReportRow.objects.bulk_create(
            DomainReportRow(report=row, source=_clean(source), n=n, passed=passed, dkim=dkim, spf=spf,
                            result=_clean(result), signer=_clean(signer))
            for source, n, passed, dkim, spf, result, signer in one.rows
        )  # fmt: skip
    return f"report kept ({kept})" if kept else "report"


def _clean(text: str) -> str:
    return "".join(c for c in text if c.isprintable())


def forget_old() -> int:
    gone, _ = DomainReport.objects.filter(ends_at__lt=timezone.now() - KEPT).delete()
    return gone


# ---- added up


class Total(NamedTuple):
    passed: int
    failed: int

    @property
    def all(self) -> int:
        return self.passed + self.failed


def total(domain_ids: Sequence[int], kind: str, days: int = 30) -> dict[int, Total]:
    """By domain: messages (or sessions) that passed and failed."""
    rows = db.rows(
        "SELECT r.domain_id, coalesce(sum(x.n) FILTER (WHERE x.passed), 0)::bigint,"
        " coalesce(sum(x.n) FILTER (WHERE NOT x.passed), 0)::bigint"
        " FROM outbound_domain_report r JOIN outbound_domain_report_row x ON x.report_id = r.id"
        " WHERE r.domain_id = ANY(%s) AND r.kind = %s AND r.begins_at > now() - make_interval(days => %s) GROUP BY 1",
        [list(domain_ids), kind, days],
    )
    return {domain_id: Total(passed, failed) for domain_id, passed, failed in rows}


def by_day(domain: Domain, kind: str, days: int = 30) -> list[dict[str, Any]]:
    """Each day of the period: day, passed, failed; days that nobody reported on have None."""
    return db.dicts(
        "SELECT d.day::date AS day, sum(x.n) FILTER (WHERE x.passed)::bigint AS passed,"
        " sum(x.n) FILTER (WHERE NOT x.passed)::bigint AS failed"
        " FROM generate_series(current_date - %(days)s + 1, current_date, '1 day') d(day)"
        " LEFT JOIN outbound_domain_report r ON r.domain_id = %(domain)s AND r.kind = %(kind)s"
        "   AND (r.begins_at AT TIME ZONE 'UTC')::date = d.day"
        " LEFT JOIN outbound_domain_report_row x ON x.report_id = r.id GROUP BY 1 ORDER BY 1",
        {"days": days, "domain": domain.pk, "kind": kind},
    )


def by_source(domain: Domain, kind: str, days: int = 30, most: int = 50) -> list[dict[str, Any]]:
    """The machines that sent in the domain's name (or our hosts, for TLS): most first, failing ones before others."""
    return db.dicts(
        "SELECT x.source, sum(x.n)::bigint AS n, coalesce(sum(x.n) FILTER (WHERE x.passed), 0)::bigint AS passed,"
        " coalesce(sum(x.n) FILTER (WHERE x.dkim), 0)::bigint AS dkim,"
        " coalesce(sum(x.n) FILTER (WHERE x.spf), 0)::bigint AS spf,"
        " string_agg(DISTINCT nullif(x.result, ''), ', ') FILTER (WHERE NOT x.passed) AS results,"
        " coalesce(max(nullif(x.signer, '')), '') AS signer"
        " FROM outbound_domain_report r JOIN outbound_domain_report_row x ON x.report_id = r.id"
        " WHERE r.domain_id = %s AND r.kind = %s AND r.begins_at > now() - make_interval(days => %s)"
        " GROUP BY 1 ORDER BY sum(x.n) FILTER (WHERE NOT x.passed) DESC NULLS LAST, 2 DESC LIMIT %s",
        [domain.pk, kind, days, most],
    )


def by_reporter(domain: Domain, kind: str, days: int = 30) -> list[dict[str, Any]]:
    return db.dicts(
        "SELECT r.organisation, count(DISTINCT r.id) AS reports, coalesce(sum(x.n), 0)::bigint AS n,"
        " coalesce(sum(x.n) FILTER (WHERE x.passed), 0)::bigint AS passed, max(r.ends_at) AS latest"
        " FROM outbound_domain_report r LEFT JOIN outbound_domain_report_row x ON x.report_id = r.id"
        " WHERE r.domain_id = %s AND r.kind = %s AND r.begins_at > now() - make_interval(days => %s)"
        " GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT 50",
        [domain.pk, kind, days],
    )
