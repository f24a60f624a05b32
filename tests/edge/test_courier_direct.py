"""The direct route: whom DNS names, in which order, and never into our own network. A real name server answers."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator

import dns.asyncresolver
import pytest
from django.conf import settings

from envol import db
from envol.edge.courier_mx import Mx, NoMail, Unknown
from envol.outbound import states
from envol.outbound.route import Route
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401
from tests.outbound.helpers import queued
from tests.outbound.test_domains import Zone, name_server

pytestmark = pytest.mark.usefixtures("empty_database")


@contextlib.contextmanager
def resolving(zone: Zone, *, signed: bool = False) -> Iterator[dns.asyncresolver.Resolver]:
    with name_server(zone, signed=signed) as known:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port, resolver.lifetime = known.nameservers, known.port, 2
        yield resolver


def hosts(zone: Zone, domain: str, **more: bool) -> list[tuple[str, str]]:
    with resolving(zone) as resolver:
        return [(h.name, h.address) for h in asyncio.run(Mx(resolver, **more).hosts(domain))]


def public(count: int) -> Zone:
    zone: Zone = {("un.example", "MX"): [f"{10 * i} mx{i}.un.example." for i in range(count)]}
    for i in range(count):
        zone[f"mx{i}.un.example", "A"] = [f"93.184.216.{i + 1}"]
    return zone


def test_hosts_come_by_preference_five_at_most() -> None:
    assert [name for name, _ in hosts(public(7), "un.example")] == [f"mx{i}.un.example" for i in range(5)]


def test_without_mx_the_domain_itself_is_the_host() -> None:
    assert hosts({("un.example", "A"): ["93.184.216.34"]}, "un.example") == [("un.example", "93.184.216.34")]


@pytest.mark.parametrize(
    ("zone", "code"),
    [
        ({}, 550),
        ({("un.example", "MX"): ["0 ."]}, 556),
        ({("un.example", "MX"): ["10 gone.un.example."]}, 550),
    ],
)
def test_what_will_never_take_mail_is_permanent(zone: Zone, code: int) -> None:
    with pytest.raises(NoMail) as caught:
        hosts(zone, "un.example")
    assert caught.value.code == code


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.1.1", "100.64.0.1"])
def test_no_name_leads_into_our_own_network(address: str) -> None:
    zone: Zone = {("un.example", "MX"): ["10 mx.un.example."], ("mx.un.example", "A"): [address]}
    with pytest.raises(NoMail, match="not public"):
        hosts(zone, "un.example")
    assert hosts(zone, "un.example", allow_private=True)


def test_a_name_server_in_trouble_is_temporary() -> None:
    with pytest.raises(Unknown):
        hosts({("un.example", "MX"): ["SERVFAIL"]}, "un.example")


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, route="direct"))


def to_sink(sink: Sink) -> Route:
    return Route("direct", helo="out.librairie.example", allow_private=True, mx_port=sink.port)


def loopback(*domains: str) -> Zone:
    zone: Zone = {("mx.hote.example", "A"): ["127.0.0.1"]}
    for domain in domains:
        zone[domain, "MX"] = ["10 mx.hote.example."]
    return zone


def test_each_domain_goes_to_its_own_host_and_dead_ones_bounce(workspace, version, direct) -> None:  # noqa: ANN001, F811
    one = queued(workspace, 12, domain="un.example", version_id=version)
    gone = queued(workspace, 3, domain="gone.example", version_id=version)

    async def work() -> None:
        with resolving(loopback("un.example")) as resolver:
            async with Sink() as sink, couriers(sink, route=to_sink(sink), resolver=resolver):
                await until(lambda: states.finished(one.id) and states.finished(gone.id))
                assert len(sink.accepted) == 12

    run(work())
    assert db.rows("SELECT DISTINCT host FROM outbound_outcome WHERE state = 'delivered'") == [("mx.hote.example",)]
    assert states.counts(gone.id)["bounced"] == 3
    assert db.value("SELECT count(*) FROM consent_suppression") == 3
    assert states.invariants() == []


def test_the_next_host_is_tried_when_the_first_is_away(workspace, version, direct) -> None:  # noqa: ANN001, F811
    one = queued(workspace, 2, domain="un.example", version_id=version)
    zone: Zone = {
        ("un.example", "MX"): ["10 dead.hote.example.", "20 mx.hote.example."],
        ("dead.hote.example", "A"): ["127.0.0.9"],
        ("mx.hote.example", "A"): ["127.0.0.1"],
    }

    async def work() -> None:
        with resolving(zone) as resolver:
            async with Sink() as sink, couriers(sink, route=to_sink(sink), resolver=resolver):
                await until(lambda: states.finished(one.id))
                assert len(sink.accepted) == 2

    run(work())
    assert states.counts(one.id)["delivered"] == 2


def test_a_host_that_is_away_defers_everybody_of_its_site_and_suppresses_nobody(workspace, version, direct) -> None:  # noqa: ANN001, F811
    one = queued(workspace, 40, domain="un.example", version_id=version)

    async def work() -> None:
        with resolving(loopback("un.example")) as resolver:
            sink = Sink()
            async with sink:
                route = to_sink(sink)
            async with couriers(sink, route=route, resolver=resolver):
                await until(lambda: states.counts(one.id)["deferred"] == 40)

    run(work())
    assert db.rows("SELECT DISTINCT cause FROM outbound_retry") == [("unreachable",)]
    assert db.value("SELECT count(*) FROM consent_suppression") == 0


def test_a_receiver_that_finds_us_too_fast_gets_fewer_connections(workspace, version, direct) -> None:  # noqa: ANN001, F811
    one = queued(workspace, 30, domain="un.example", version_id=version)

    def busy(talk, verb):  # noqa: ANN001, ANN202
        return "451 4.7.1 Too many messages, slow down" if verb == "MAIL" and talk.number == 1 else None

    async def work() -> None:
        with resolving(loopback("un.example")) as resolver:
            async with Sink(busy) as sink, couriers(sink, route=to_sink(sink), resolver=resolver) as (courier,):
                await until(lambda: states.counts(one.id)["deferred"] >= 1)
                await asyncio.sleep(0.3)
                assert [share.limit <= 5 for share in courier.shares] == [True]

    run(work())


def test_an_undeclared_domain_leaves_nothing_and_says_why(workspace, version, direct) -> None:  # noqa: ANN001, F811
    one = queued(
        workspace, 2, domain="un.example", version_id=version, sender={"name": "X", "address": "x@autre.example"}
    )

    async def work() -> None:
        with resolving(loopback("un.example")) as resolver:
            async with Sink() as sink, couriers(sink, route=to_sink(sink), resolver=resolver):
                await until(lambda: states.counts(one.id)["deferred"] == 2)
                assert sink.sessions == 0

    run(work())
    assert "envol domain add autre.example" in states.waiting(workspace.id)[0]["reply"]
