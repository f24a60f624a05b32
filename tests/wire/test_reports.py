"""Reports of DMARC (RFC 9990, RFC 7489) and TLS (RFC 8460): read in both schemas, safe against who writes them."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envol.wire import dmarc_report, tls_report
from envol.wire.unpack import Unpackable, unpack


def record(source: str = "192.0.2.10", count: int = 5, dkim: str = "pass", spf: str = "fail", more: str = "") -> str:
    return f"""<record><row><source_ip>{source}</source_ip><count>{count}</count><policy_evaluated>
<disposition>none</disposition><dkim>{dkim}</dkim><spf>{spf}</spf>{more}</policy_evaluated></row>
<identifiers><header_from>boutique.example</header_from></identifiers>
<auth_results><dkim><domain>other.example</domain><result>fail</result></dkim><dkim><domain>Boutique.example</domain>
<result>pass</result><selector>envol1r</selector></dkim><spf><domain>bounces.boutique.example</domain>
<result>pass</result></spf></auth_results></record>"""


def report(*records: str, begin: int = 1_790_000_000, head: str = "<feedback>") -> bytes:
    return f"""<?xml version="1.0" encoding="UTF-8"?>{head}<version>1.0</version><report_metadata>
<org_name>google.com</org_name><email>noreply@google.com</email><report_id>1788</report_id>
<date_range><begin>{begin}</begin><end>{begin + 86399}</end></date_range></report_metadata>
<policy_published><domain>boutique.example</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>none</sp><pct>100</pct>
</policy_published>{"".join(records)}</feedback>""".encode()


@pytest.mark.parametrize("head", ["<feedback>", '<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">'])
def test_a_report_of_either_schema_is_read(head: str) -> None:
    reason = "<reason><type>forwarded</type></reason>"
    found = dmarc_report.read(report(record(), record("2001:db8::1", 2, "fail", "fail", reason), head=head))
    assert (found.organisation, found.domain, found.policy, found.messages) == (
        "google.com",
        "boutique.example",
        "reject",
        7,
    )
    first, second = found.rows
    assert first.passed and first.dkim and not first.spf
    assert first.dkim_domain == "boutique.example", "of several signatures the one that passed"
    assert not second.passed and second.reason == "forwarded"


LAUGHS = (
    '<!DOCTYPE f [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{("&" + chr(97 + i) + ";") * 10}">' for i in range(8))
    + "]>"
)


@pytest.mark.parametrize(
    "xml",
    [
        report().replace(b"<feedback>", LAUGHS.encode() + b"<feedback>", 1).replace(b"1788", b"&i;"),
        report().replace(b"<feedback>", b'<!DOCTYPE f SYSTEM "http://127.0.0.1/x.dtd"><feedback>', 1),
        report().replace(b"<feedback>", b'<!DOCTYPE f [<!ENTITY x SYSTEM "file:///etc/passwd">]><feedback>', 1),
        b"<feedback>" * 1000,
        report(record(more=f"<x>{'y' * 5000}</x>")),
        report(begin=-1),
        report(begin=2**40),
        report().replace(b"boutique.example", b""),
        b"<html><body>Bonjour</body></html>",
        b"\x00\x01",
        b"",
    ],
    ids=["laughs", "dtd", "file", "deep", "long", "negative", "future", "no domain", "html", "binary", "empty"],
)
def test_hostile_xml_is_refused_with_a_sentence(xml: bytes) -> None:
    with pytest.raises(dmarc_report.NoReport, match=r"\."):
        dmarc_report.read(xml)


def test_counts_that_cannot_be_add_nothing() -> None:
    rows = [record(count=n) for n in (-5, 0, 10**30)]  # type: ignore[arg-type]
    assert dmarc_report.read(report(*rows)).messages == 0


@given(st.binary(max_size=400))
def test_whatever_comes_is_answered(junk: bytes) -> None:
    good = report(record())
    for data in (junk, good[:200] + junk + good[200:], good[: len(junk)]):
        for read in (dmarc_report.read, tls_report.read):
            try:
                read(data)
            except (dmarc_report.NoReport, tls_report.NoReport):
                pass
    try:
        unpack(junk)
        unpack(b"PK\x03\x04" + junk)
        unpack(b"\x1f\x8b" + junk)
    except Unpackable:
        pass


# ---- compressed


def zipped(*files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, file in enumerate(files):
            archive.writestr(f"{number}.xml", file)
    return out.getvalue()


def test_reports_come_as_gzip_zip_or_plain() -> None:
    assert unpack(gzip.compress(b"<a/>")) == unpack(zipped(b"<a/>")) == unpack(b"<a/>") == [b"<a/>"]


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"0" * 30_000_000),
        zipped(b"0" * 30_000_000),
        zipped(*[b"0" * 3_000_000] * 9),
        zipped(*[b"x"] * 11),
        gzip.compress(b"x" * 100)[:20],
        b"x" * 21_000_000,
    ],
    ids=["gzip bomb", "zip bomb", "many large", "many", "cut", "large"],
)
def test_bombs_are_not_unpacked(data: bytes) -> None:
    with pytest.raises(Unpackable):
        unpack(data)


# ---- TLS


def tls(**changes: object) -> bytes:
    policy = {
        "policy": {"policy-type": "sts", "policy-domain": "boutique.example", "mx-host": ["mx.boutique.example"]},
        "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
        "failure-details": [
            {"result-type": "certificate-expired", "receiving-mx-hostname": "mx1.x", "failed-session-count": 100},
            {"result-type": "starttls-not-supported", "receiving-mx-hostname": "mx2.x", "failed-session-count": 200},
        ],
    }
    given = {
        "organization-name": "Company-X",
        "date-range": {"start-datetime": "2026-04-01T00:00:00Z", "end-datetime": "2026-04-01T23:59:59Z"},
        "report-id": "5065427c-23d3",
        "policies": [policy],
    }
    return json.dumps({**given, **changes}).encode()


def test_a_tls_report_is_read() -> None:
    found = tls_report.read(tls())
    (policy,) = found.policies
    assert (policy.domain, policy.kind, policy.succeeded, policy.failed) == ("boutique.example", "sts", 5326, 303)
    assert [(one.result, one.n) for one in policy.failures] == [
        ("certificate-expired", 100),
        ("starttls-not-supported", 200),
    ]


@pytest.mark.parametrize(
    "document",
    [b"[]", b"{}", b"[" * 100_000, tls(**{"report-id": 5}), tls(**{"date-range": "x"}), b"\xff"],
)
def test_what_is_no_tls_report_is_refused(document: bytes) -> None:
    with pytest.raises(tls_report.NoReport):
        tls_report.read(document)


@pytest.mark.parametrize("policies", [5, [5], [{"policy": []}], [{"policy": {"policy-domain": "x.y"}, "summary": 5}]])
def test_broken_policies_count_nothing(policies: object) -> None:
    assert sum(p.succeeded + p.failed for p in tls_report.read(tls(policies=policies)).policies) == 0
