"""Reports come in by the inbound MX, are kept once, and are shown to the domain's own workspace."""

from __future__ import annotations

import base64
import gzip
import time
from collections.abc import Iterator
from typing import Any

import pytest

from envol.outbound import domain_reports, domains
from envol.outbound.models import Domain, DomainReport
from tests.edge.test_inbound import Running
from tests.wire.test_reports import record, report, tls, zipped

pytestmark = pytest.mark.usefixtures("empty_database")


@pytest.fixture
def inbound() -> Iterator[Running]:
    running = Running()
    yield running
    running.stop()


@pytest.fixture
def domain(workspace: Any) -> Domain:
    return domains.add(workspace, "boutique.example", trusted=True)


def mail(content: bytes, kind: str) -> str:
    coded = base64.encodebytes(content).decode()
    return (
        "From: noreply-dmarc@google.example\nSubject: Report domain: boutique.example\nMIME-Version: 1.0\n"
        f"Content-Type: {kind}\nContent-Transfer-Encoding: base64\n"
        f'Content-Disposition: attachment; filename="x"\n\n{coded}\n'
    )


YESTERDAY = int(time.time()) // 86400 * 86400 - 86400


def test_a_dmarc_report_is_kept_once_and_added_up(inbound: Running, domain: Domain) -> None:
    xml = report(record(count=90), record("203.0.113.66", 10, "fail", "fail"), begin=YESTERDAY)
    for packed, kind in ((gzip.compress(xml), "application/gzip"), (zipped(xml), "application/zip")):
        assert inbound.send("dmarc@bounces.boutique.example", mail(packed, kind))[0] == 250
    assert DomainReport.objects.count() == 1, "sent twice, it counts once"
    assert domain_reports.total([domain.pk], "dmarc")[domain.pk] == (90, 10)
    stranger, ours = domain_reports.by_source(domain, "dmarc")
    assert (stranger["source"], stranger["n"], stranger["passed"]) == ("203.0.113.66", 10, 0), "who fails stands first"
    assert (ours["source"], ours["dkim"], ours["signer"]) == ("192.0.2.10", 90, "boutique.example")
    days = domain_reports.by_day(domain, "dmarc")
    assert len(days) == 30 and [(d["passed"], d["failed"]) for d in days if d["passed"]] == [(90, 10)]
    assert domain_reports.by_reporter(domain, "dmarc")[0]["organisation"] == "google.com"


def test_a_tls_report_is_kept(inbound: Running, domain: Domain) -> None:
    assert (
        inbound.send("tlsrpt@bounces.boutique.example", mail(gzip.compress(tls()), "application/tlsrpt+gzip"))[0] == 250
    )
    assert DomainReport.objects.get().kind == "tls"
    found = domain_reports.total([domain.pk], "tls", days=10_000)[domain.pk]
    assert found == (5326, 303), "failures that nobody explained count too"


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(b"0" * 30_000_000),
        b"\x1f\x8bjunk",
        gzip.compress(report(begin=YESTERDAY).replace(b"<feedback>", b"<!DOCTYPE x><feedback>", 1)),
        gzip.compress(report(record(), begin=YESTERDAY).replace(b"boutique.example", b"ailleurs.example")),
    ],
    ids=["bomb", "junk", "document type", "another domain"],
)
def test_hostile_and_foreign_reports_are_taken_and_change_nothing(
    inbound: Running, domain: Domain, content: bytes
) -> None:
    assert inbound.send("dmarc@bounces.boutique.example", mail(content, "application/gzip"))[0] == 250
    assert not DomainReport.objects.exists()


def test_a_flood_of_reports_is_bounded(inbound: Running, domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_reports, "MOST_A_DAY", 2)
    for n in range(4):
        xml = report(record(), begin=YESTERDAY).replace(b"1788", str(n).encode())
        inbound.send("dmarc@bounces.boutique.example", mail(xml, "text/xml"))
    assert DomainReport.objects.count() == 2
