"""Domains: keys that verify, records that are found or not (a real name server on loopback), the closed door."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from django.conf import settings

from envol import db
from envol.outbound import domains, rotation
from envol.outbound.models import DkimKey
from envol.wire import dkim

Zone = dict[tuple[str, str], list[str]]


@contextlib.contextmanager
def name_server(zone: Zone, *, signed: bool = False) -> Iterator[dns.resolver.Resolver]:
    """A name server over UDP. A name with no record of any kind does not exist; SERVFAIL by the record 'SERVFAIL',
    no answer at all by 'SILENT'.

    signed: it answers as a resolver that has checked DNSSEC for each name (the AD bit).
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                wire, peer = server.recvfrom(4096)
            except OSError:
                return
            if not wire:
                return
            query = dns.message.from_wire(wire)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.AA | dns.flags.RA | (dns.flags.AD if signed else 0)
            question = query.question[0]
            name, kind = str(question.name).rstrip(".").lower(), dns.rdatatype.to_text(question.rdtype)
            found = zone.get((name, kind))
            if found == ["SILENT"]:
                continue
            if found == ["SERVFAIL"]:
                answer.set_rcode(dns.rcode.SERVFAIL)
            elif found:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
            elif not any(known == name for known, _ in zone):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            server.sendto(answer.to_wire(max_size=65535), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = server.getsockname()[1]
    resolver.lifetime = 3
    try:
        yield resolver
    finally:
        stop = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stop.sendto(b"", server.getsockname())
        stop.close()
        thread.join(5)
        server.close()


def txt(text: str) -> str:
    return " ".join(f'"{part}"' for part in dkim.txt_strings(text))


def zone_of(domain: domains.Domain) -> Zone:
    records = domains.expected_records(domain)
    return {
        (r["name"], r["kind"]): [txt(r["expected"]) if r["kind"] == "TXT" else f"{r['expected']}."] for r in records
    }


def takes_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """As an installation whose inbound listens."""
    config = dataclasses.replace(settings.ENVOL, inbound="127.0.0.1:0", helo_name="mx.envol.example")
    monkeypatch.setattr(settings, "ENVOL", config)


def on_route(monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, route=route))


def test_a_new_domain_has_two_keys_that_sign_and_are_sealed(workspace) -> None:
    domain = domains.add(workspace, "Librairie.EXAMPLE.")
    assert domain.name == "librairie.example"
    signers = domains.signers_for(workspace.id, "lettre@librairie.example")
    assert [s.algorithm for s in signers] == ["rsa-sha256", "ed25519-sha256"]
    assert all(b"PRIVATE" not in bytes(key.private_sealed) for key in DkimKey.objects.filter(domain=domain))
    assert domains.add(workspace, "librairie.example").pk == domain.pk
    assert DkimKey.objects.filter(domain=domain).count() == 2


def test_a_subdomain_is_signed_by_its_parent(workspace) -> None:
    domains.add(workspace, "librairie.example")
    assert {s.domain for s in domains.signers_for(workspace.id, "a@news.librairie.example")} == {"librairie.example"}
    assert domains.signers_for(workspace.id, "a@autre.example") == []


def test_another_workspace_has_nothing_of_it(workspace) -> None:
    domains.add(workspace, "librairie.example", trusted=True)
    assert domains.signers_for(workspace.id + 1, "a@librairie.example") == []


@pytest.mark.parametrize("name", ["localhost", "a b.example", "-x.example", "127.0.0.1", ""])
def test_what_is_no_domain_is_refused_with_a_sentence(workspace, name: str) -> None:
    with pytest.raises(ValueError, match=r"\."):
        domains.add(workspace, name)


def test_a_domain_is_ready_when_its_records_are_found(workspace) -> None:
    domain = domains.add(workspace, "librairie.example")
    with name_server(zone_of(domain)) as resolver:
        checked = domains.check(domain, resolver)
    assert checked.passed_at is not None
    assert [f["ok"] for f in checked.findings if f["level"] == "needed"] == [True] * 4


@pytest.mark.parametrize("missing", range(4))
def test_each_missing_record_is_named_and_closes_the_door(workspace, missing: int) -> None:
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain)
    gone = list(zone)[missing]
    zone[gone] = []
    with name_server({key: value for key, value in zone.items() if value}) as resolver:
        checked = domains.check(domain, resolver)
    assert checked.passed_at is None
    assert [f["name"] for f in checked.findings if not f["ok"] and f["level"] == "needed"] == [gone[0]]


def test_two_spf_records_are_none(workspace) -> None:
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain)
    zone["librairie.example", "TXT"] = ['"v=spf1 a mx ~all"', '"v=spf1 -all"']
    with name_server(zone) as resolver:
        assert domains.check(domain, resolver).passed_at is None


@pytest.mark.parametrize(
    ("relay", "published", "ready"),
    [
        ("192.0.2.7:25", "ip4:192.0.2.7", True),
        ("192.0.2.7:25", "ip4:192.0.2.0/24", True),
        ("192.0.2.7:25", "a:192.0.2.7", False),  # an address is no name (RFC 7208 §5.3)
        ("[2001:db8::7]:25", "ip6:2001:db8::7", True),
        ("[2001:db8::7]:25", "ip4:192.0.2.7", False),
        ("relay.example:25", "a:relay.example", True),
    ],
)
def test_a_relay_named_by_its_address_is_an_address_in_spf(workspace, monkeypatch, relay, published, ready) -> None:
    monkeypatch.setattr(
        settings, "ENVOL", dataclasses.replace(settings.ENVOL, route="smart_host", smart_host=relay, helo_name="")
    )
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain) | {("librairie.example", "TXT"): [f'"v=spf1 {published} ~all"']}
    with name_server(zone) as resolver:
        checked = domains.check(domain, resolver)
    assert (checked.passed_at is not None) is ready
    if not ready:
        wanted = next(one["expected"] for one in checked.findings if one["expected"].startswith("v=spf1"))
        assert wanted == f"v=spf1 ip{'6' if '[' in relay else '4'}:{relay.rpartition(':')[0].strip('[]')} ~all"


def test_dmarc_of_the_parent_counts(workspace) -> None:
    domain = domains.add(workspace, "news.librairie.example")
    zone = zone_of(domain)
    del zone["_dmarc.news.librairie.example", "TXT"]
    zone["_dmarc.librairie.example", "TXT"] = ['"v=DMARC1; p=reject"']
    with name_server(zone) as resolver:
        assert domains.check(domain, resolver).passed_at is not None


def test_a_door_that_was_open_closes_again(workspace, monkeypatch) -> None:
    on_route(monkeypatch, "direct")
    domain = domains.add(workspace, "librairie.example")
    with name_server(zone_of(domain)) as resolver:
        domains.check(domain, resolver)
    assert domains.may_send_from(workspace.id, "a@librairie.example")[0]
    with name_server({}) as resolver:
        domains.check(domain, resolver)
    assert not domains.may_send_from(workspace.id, "a@librairie.example")[0]


@pytest.mark.parametrize("route", ["direct", "smart_host"])
def test_nothing_leaves_the_machine_as_an_undeclared_or_unchecked_domain(workspace, monkeypatch, route) -> None:
    on_route(monkeypatch, route)
    ok, sentence = domains.may_send_from(workspace.id, "a@librairie.example")
    assert not ok and "envol domain add librairie.example" in sentence
    domain = domains.add(workspace, "librairie.example")
    ok, sentence = domains.may_send_from(workspace.id, "a@librairie.example")
    assert not ok and "envol domain check librairie.example" in sentence
    assert not domains.may_send_from(workspace.id, "a@sub.librairie.example")[0]
    domains.trust(domain)
    assert domains.may_send_from(workspace.id, "a@librairie.example")[0]


def test_the_local_route_takes_any_domain_and_says_so(workspace) -> None:
    ok, sentence = domains.may_send_from(workspace.id, "a@librairie.example")
    assert ok and "local" in sentence


def test_keys_rotate_only_when_the_next_ones_are_published(workspace) -> None:
    domain = domains.add(workspace, "librairie.example")
    before = domains.signers_for(workspace.id, "a@librairie.example")
    coming = domains.prepare_rotation(domain)
    assert [key.pk for key in domains.prepare_rotation(domain)] == [key.pk for key in coming]
    with name_server({}) as resolver, pytest.raises(ValueError, match="Publish"):
        domains.finish_rotation(domain, resolver)
    with name_server(zone_of(domain)) as resolver:
        domains.finish_rotation(domain, resolver)
    after = domains.signers_for(workspace.id, "a@librairie.example")
    assert {s.selector for s in before} == {"envol1r", "envol1e"}
    assert {s.selector for s in after} == {"envol2r", "envol2e"}


def _age(domain, **ago: str) -> None:
    for column, interval in ago.items():
        db.execute(
            f"UPDATE outbound_dkim_key SET {column} = {column} - %s::interval WHERE domain_id = %s",
            [interval, domain.pk],
        )


def test_keys_follow_one_another_by_themselves(workspace) -> None:
    domain = domains.add(workspace, "librairie.example")
    first = zone_of(domain)
    with name_server(first) as resolver:
        domains.check(domain, resolver)
        rotation.look_after(resolver)
        assert not DkimKey.objects.filter(state="next").exists(), "keys of today are young"
        _age(domain, created_at="151 days")
        rotation.look_after(resolver)
        rotation.look_after(resolver)
        assert DkimKey.objects.filter(state="next").count() == 2
    both = zone_of(domain)
    assert len(both) > len(first), "the next keys are among the records to publish"
    with name_server(both) as resolver:
        rotation.look_after(resolver)
        assert _selectors(workspace) == {"envol1r", "envol1e"}, "seen just now: caches may not know them yet"
        _age(domain, seen_at="47 hours")
        rotation.look_after(resolver)
        assert _selectors(workspace) == {"envol1r", "envol1e"}
    with name_server(first) as resolver:  # somebody takes them away again: the two days begin anew
        rotation.look_after(resolver)
    with name_server(both) as resolver:
        rotation.look_after(resolver)
        _age(domain, seen_at="49 hours")
        rotation.look_after(resolver)
        assert _selectors(workspace) == {"envol2r", "envol2e"}
        old = DkimKey.objects.filter(state="retired")
        assert all(key.private_sealed for key in old), "kept while their mail is on its way"
        _age(domain, retired_at="8 days")
        rotation.look_after(resolver)
        kept = {key.selector: bytes(key.private_sealed) for key in old.all()}
        assert kept == {"envol1r": b"", "envol1e": b""}
        assert not DkimKey.objects.filter(state="next").exists(), "the new ones are young"


def _selectors(workspace) -> set[str]:
    return {signer.selector for signer in domains.signers_for(workspace.id, "a@librairie.example")}


def test_nothing_rotates_where_nobody_publishes(workspace) -> None:
    trusted = domains.add(workspace, "relais.example", trusted=True)
    unchecked = domains.add(workspace, "neuf.example")
    for domain in (trusted, unchecked):
        _age(domain, created_at="400 days")
    with name_server({}) as resolver:
        rotation.look_after(resolver)
    assert not DkimKey.objects.filter(state="next").exists()


def test_bounces_come_home_once_their_records_are_found(workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    takes_mail(monkeypatch)
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain)
    assert zone["bounces.librairie.example", "MX"] == ["10 mx.envol.example."]
    lacking = {key: value for key, value in zone.items() if key != ("bounces.librairie.example", "MX")}
    with name_server(lacking) as resolver:
        checked = domains.check(domain, resolver)
    assert checked.passed_at and not checked.returns_at, "mail may leave, but bounces do not come here yet"
    assert domains.return_domain(workspace.id, "lettre@librairie.example") == ""
    with name_server(zone) as resolver:
        domains.check(domain, resolver)
    for address in ("lettre@librairie.example", "lettre@news.librairie.example"):
        assert domains.return_domain(workspace.id, address) == "bounces.librairie.example"
    assert domains.return_domain(workspace.id + 1, "lettre@librairie.example") == ""
    assert domains.replies_address(workspace.id, "lettre@librairie.example") == "", "nobody said where they go on to"
    domains.pass_replies_on(domain, "zoe@ailleurs.example")
    assert domains.replies_address(workspace.id, "lettre@librairie.example") == "replies@bounces.librairie.example"
    with pytest.raises(ValueError, match="leads back"):
        domains.pass_replies_on(domain, "replies@bounces.librairie.example")


def test_a_silent_resolver_says_nothing_about_a_record(workspace) -> None:
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain)
    with name_server(zone) as resolver:
        domains.check(domain, resolver)
    with name_server({key: ["SERVFAIL"] for key in zone}) as resolver:
        checked = domains.check(domain, resolver)
    assert checked.passed_at is not None
    assert all(f["unknown"] and f["ok"] for f in checked.findings if f["level"] == "needed")


def test_our_own_policy_is_published_served_and_checked(workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8461: we are the MX of `bounces.` the domain, so its policy is ours to serve."""
    from envol.outbound import own_policy
    from envol.wire import mta_sts

    assert own_policy.for_host("mta-sts.bounces.librairie.example", "bounces") is None, "nothing comes in"
    takes_mail(monkeypatch)
    served = own_policy.for_host("MTA-STS.bounces.librairie.example:443", "bounces")
    assert own_policy.for_host("mta-sts.librairie.example", "bounces") is None
    policy = mta_sts.parse((served or "").encode())
    assert (policy.mode, policy.mx) == ("testing", ("mx.envol.example",)), "a certificate that signs itself"
    old = own_policy.record()
    monkeypatch.setattr(settings, "ENVOL", dataclasses.replace(settings.ENVOL, smtp_cert="c.pem"))
    assert mta_sts.parse(own_policy.text().encode()).mode == "enforce" and own_policy.record() != old
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain)
    home = "bounces.librairie.example"
    zone[f"_mta-sts.{home}", "TXT"] = [txt(old)]

    def found() -> dict[str, bool]:
        with name_server(zone) as resolver:
            return {one["key"]: one["ok"] for one in domains.check(domain, resolver).findings}

    assert found()["own_sts"] is False, "an old id keeps senders at the old policy"
    zone[f"_mta-sts.{home}", "TXT"] = [txt(own_policy.record())]
    assert found()["own_sts"] is True


def test_a_logo_is_fetched_and_looked_at(workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from envol.outbound import records
    from tests.wire import test_bimi_certificate
    from tests.wire.test_bimi import GOOD

    pictures = {"https://librairie.example/logo.svg": GOOD.encode()}
    fetch = type("Fetch", (), {"get": lambda self, url, kind="": pictures[url]})()
    monkeypatch.setattr(records, "LOGOS", fetch)
    monkeypatch.setattr(records, "CERTIFICATES", fetch)
    domain = domains.add(workspace, "librairie.example")
    zone = zone_of(domain)
    zone["default._bimi.librairie.example", "TXT"] = ['"v=BIMI1; l=https://librairie.example/logo.svg"']

    def found() -> tuple[bool, str]:
        with name_server(zone) as resolver:
            one = next(f for f in domains.check(domain, resolver).findings if f["key"] == "bimi")
        return one["ok"], one["found"]

    assert found()[0] is False and "DMARC says neither" in found()[1]
    zone["_dmarc.librairie.example", "TXT"] = ['"v=DMARC1; p=quarantine"']
    assert found() == (True, "v=BIMI1; l=https://librairie.example/logo.svg")
    zone["default._bimi.librairie.example", "TXT"] = [
        '"v=BIMI1; l=https://librairie.example/logo.svg; a=https://librairie.example/marque.pem"'
    ]
    pictures["https://librairie.example/marque.pem"] = test_bimi_certificate.made(days=(-1, 9000))
    assert found()[0] and "Marques & Logos vouches until" in found()[1]
    pictures["https://librairie.example/marque.pem"] = test_bimi_certificate.made(names=("autre.example",))
    assert found()[0] is False and "not for librairie.example" in found()[1]
    pictures["https://librairie.example/logo.svg"] = GOOD.replace("64 64", "64 9").encode()
    assert "not square" in found()[1]
