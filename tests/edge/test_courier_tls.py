"""Hosts must prove who they are where their domain asks for it (MTA-STS, DANE): real TLS, HTTPS and name server."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings

from envol import db
from envol.edge.courier import Courier
from envol.net import Fetcher
from envol.outbound import domains, states, tls
from envol.outbound.models import Message
from tests.edge import certs
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401
from tests.edge.test_courier_direct import direct, loopback, resolving, to_sink  # noqa: F401
from tests.edge.test_net import ROOT, http, https
from tests.outbound.helpers import queued
from tests.outbound.test_domains import Zone, name_server

pytestmark = pytest.mark.usefixtures("empty_database", "direct")

TRUSTED = certs.make("mx", ROOT, names=["mx.hote.example"])
STRANGER = certs.make("mx", names=["mx.hote.example"])


def policy(mode: str = "enforce", mx: str = "mx.hote.example") -> bytes:
    return http(f"version: STSv1\nmode: {mode}\nmx: {mx}\nmax_age: 86400\n".encode())


@contextlib.contextmanager
def publishing(answer: bytes | None) -> Iterator[Fetcher]:
    """The HTTPS host of the policy of un.example; None: nobody answers there."""
    if answer is None:
        yield Fetcher(seconds=1, allow_private=True, port=9, resolve=lambda host, port: ["127.0.0.1"])
    else:
        with https(answer) as fetcher:
            yield fetcher


@contextlib.asynccontextmanager
async def delivering(
    sink: Sink, answer: bytes | None = None, *, zone: Zone | None = None, signed: bool = False
) -> AsyncIterator[Courier]:
    found = loopback("un.example") | (zone or {})
    if answer is not None:
        found["_mta-sts.un.example", "TXT"] = ['"v=STSv1; id=1;"']
    with publishing(answer) as fetcher, resolving(found, signed=signed) as resolver:
        more = {"resolver": resolver, "fetcher": fetcher, "trust": certs.trusting(ROOT)}
        async with couriers(sink, route=to_sink(sink), **more) as (courier,):
            yield courier


def tlsa(made: certs.Made, usage: int = 3) -> Zone:
    return {("_25._tcp.mx.hote.example", "TLSA"): [f"{usage} 1 1 {hashlib.sha256(made.public).hexdigest()}"]}


def counted() -> list[tuple[Any, ...]]:
    return db.rows(
        "SELECT policy_type, result, sum(n) > 0 FROM outbound_tls_count WHERE domain = 'un.example'"
        " GROUP BY 1, 2 ORDER BY 2"
    )


IN_CLEAR, NOT_ASKED = ("no-policy-found", "starttls-not-supported"), ("no-policy-found", "")
CASES = [
    # what the host shows, what the domain publishes, what becomes of the mail, what is counted
    ("proved", TRUSTED, policy(), {}, "delivered", [("sts", "")]),
    ("unproved", STRANGER, policy(), {}, "deferred", [("sts", "certificate-not-trusted")]),
    ("no TLS", None, policy(), {}, "deferred", [("sts", "starttls-not-supported")]),
    ("another host", TRUSTED, policy(mx="*.autre.example"), {}, "deferred", [("sts", "validation-failure")]),
    (
        "testing",
        STRANGER,
        policy("testing"),
        {},
        "delivered",
        [NOT_ASKED, ("sts", "certificate-not-trusted")],
    ),
    ("none", STRANGER, policy("none"), {}, "delivered", [NOT_ASKED]),
    (
        "bad policy",
        STRANGER,
        http(b"mode: enforce"),
        {},
        "delivered",
        [NOT_ASKED, ("sts", "sts-policy-invalid")],
    ),
    ("nothing asked", STRANGER, None, {}, "delivered", [NOT_ASKED]),
    ("in clear", None, None, {}, "delivered", [IN_CLEAR]),
    ("key promised", STRANGER, None, tlsa(STRANGER), "delivered", [("tlsa", "")]),
    ("another key", TRUSTED, None, tlsa(STRANGER), "deferred", [("tlsa", "validation-failure")]),
    ("promised, no TLS", None, None, tlsa(STRANGER), "deferred", [("tlsa", "starttls-not-supported")]),
    ("DANE before MTA-STS", STRANGER, policy(), tlsa(STRANGER), "delivered", [("tlsa", "")]),
    ("anchor", TRUSTED, None, tlsa(ROOT, 2), "delivered", [("tlsa", "")]),
    (
        "nothing usable: TLS, with anybody",
        STRANGER,
        None,
        {("_25._tcp.mx.hote.example", "TLSA"): ["1 1 1 " + "00" * 32]},
        "delivered",
        [("tlsa", "")],
    ),
    (
        "taken away",
        TRUSTED,
        None,
        {("_25._tcp.mx.hote.example", "TLSA"): ["SERVFAIL"]},
        "deferred",
        [("tlsa", "dnssec-invalid")],
    ),
]


NAMES = [case[0] for case in CASES]


@pytest.mark.parametrize(("shown", "answer", "zone", "state", "counts"), [c[1:] for c in CASES], ids=NAMES)
def test_what_a_domain_asks_is_kept(workspace, version, shown, answer, zone, state, counts) -> None:  # noqa: F811
    one = queued(workspace, 3, domain="un.example", version_id=version)
    context = certs.serving(shown, ROOT) if shown is not None else None

    async def work() -> None:
        async with Sink(starttls=context) as sink, delivering(sink, answer, zone=zone, signed=bool(zone)):
            await until(lambda: states.counts(one.id)[state] == 3)
            assert len(sink.accepted) == (3 if state == "delivered" else 0)
            if state == "deferred":
                assert not any(line.startswith("MAIL") for line in sink.commands)  # never in clear, never to a stranger

    run(work())
    assert [(kind, result) for kind, result, _ in counted()] == counts
    if state == "deferred":
        assert db.rows("SELECT DISTINCT cause FROM outbound_retry") == [("tls_policy",)]
        assert db.value("SELECT count(*) FROM consent_suppression") == 0


def test_tlsa_records_without_dnssec_promise_nothing(workspace, version) -> None:  # noqa: F811
    one = queued(workspace, 2, domain="un.example", version_id=version)

    async def work() -> None:
        async with Sink(starttls=certs.serving(TRUSTED)) as sink, delivering(sink, zone=tlsa(STRANGER)):
            await until(lambda: states.counts(one.id)["delivered"] == 2)

    run(work())


def test_a_policy_outlives_a_restart_and_the_loss_of_its_host(workspace, version) -> None:  # noqa: F811
    """An attacker who takes the record or the HTTPS host away must not take the protection away."""
    first = queued(workspace, 1, domain="un.example", version_id=version)

    async def known() -> None:
        async with Sink(starttls=certs.serving(TRUSTED)) as sink, delivering(sink, policy()):
            await until(lambda: states.counts(first.id)["delivered"] == 1)

    run(known())
    second = queued(workspace, 1, domain="un.example", version_id=version)

    async def taken_away() -> None:
        async with Sink(starttls=certs.serving(STRANGER)) as sink, delivering(sink):
            await until(lambda: states.counts(second.id)["deferred"] == 1)

    run(taken_away())
    db.execute("UPDATE outbound_sts SET until = now() - interval '1 second'")
    db.execute("UPDATE outbound_retry SET due = now()")
    run_until = states.counts

    async def over() -> None:
        async with Sink(starttls=certs.serving(STRANGER)) as sink, delivering(sink):
            await until(lambda: run_until(second.id)["delivered"] == 1)

    run(over())


def test_a_report_says_how_sessions_went_and_leaves_even_without_tls(workspace, version, monkeypatch) -> None:  # noqa: F811
    one = queued(workspace, 3, domain="un.example", version_id=version)

    async def work() -> None:
        async with Sink(starttls=certs.serving(STRANGER)) as sink, delivering(sink, policy()):
            await until(lambda: states.counts(one.id)["deferred"] == 3)

    run(work())
    today = datetime.now(UTC).date()
    monkeypatch.setattr(
        settings, "ENVOL", dataclasses.replace(settings.ENVOL, tls_reports_from="tls@librairie.example")
    )
    zone: Zone = {("_smtp._tls.un.example", "TXT"): ['"v=TLSRPTv1; rua=mailto:tls@un.example,https://un.example/r"']}
    with name_server(zone) as resolver:
        assert tls.send_reports(today, resolver) == 1
        assert tls.send_reports(today, resolver) == 0  # once
    raw = bytes(Message.objects.get().raw)
    message = message_from_bytes(raw)
    assert message.get_content_type() == "multipart/report" and message.get_param("report-type") == "tlsrpt"
    assert message["TLS-Report-Domain"] == "un.example" and message["To"] == "tls@un.example"
    part = message.get_payload()[1]
    assert part.get_content_type() == "application/tlsrpt+gzip"
    report = json.loads(gzip.decompress(part.get_payload(decode=True)))
    (found,) = report["policies"]
    assert found["policy"]["policy-type"] == "sts" and "mode: enforce" in found["policy"]["policy-string"]
    assert found["policy"]["mx-host"] == ["mx.hote.example"]
    assert found["summary"]["total-failure-session-count"] == found["failure-details"][0]["failed-session-count"] > 0
    assert found["failure-details"][0]["result-type"] == "certificate-not-trusted"
    assert report["date-range"]["start-datetime"] == f"{today}T00:00:00Z"

    # The report itself goes to the very host that cannot prove itself (RFC 8460 §3), signed.
    async def leave() -> None:
        async with Sink(starttls=certs.serving(STRANGER)) as sink, delivering(sink, policy()):
            await until(lambda: len(sink.accepted) == 1)
            assert sink.accepted[0][0] == "tls@un.example" and b"DKIM-Signature" in sink.accepted[0][1]

    run(leave())


def test_domains_that_ask_for_no_report_get_none_and_are_asked_once(workspace) -> None:
    domains.add(workspace, "librairie.example", trusted=True)
    from envol.wire.tls_counts import Count

    tls.add({("un.example", Count("no-policy-found")): 5, ("deux.example", Count("no-policy-found")): 1})
    today = datetime.now(UTC).date()
    asked: list[str] = []

    class Nothing:
        def resolve(self, qname: str, rdtype: str) -> Any:
            import dns.resolver

            asked.append(qname)
            raise dns.resolver.NXDOMAIN

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, tls_reports_from="t@librairie.example"))
        assert tls.send_reports(today, Nothing()) == 0
        assert tls.send_reports(today, Nothing()) == 0
    assert asked == ["_smtp._tls.un.example", "_smtp._tls.deux.example"]
    assert Message.objects.count() == 0


def test_the_chain_a_host_shows_is_seen_whole() -> None:
    from envol.edge.courier_connection import chain_of

    class New:
        def get_unverified_chain(self) -> list[bytes]:
            return [b"leaf", b"root"]

    assert chain_of(New()) == [b"leaf", b"root"]
    leaf_only = SimpleNamespace(getpeercert=lambda der: b"leaf")
    assert chain_of(leaf_only) == [b"leaf"]
