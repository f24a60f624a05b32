"""DNSSEC and DANE (RFC 7672) by Debian's unbound, which proves what it says: a signed zone of our own, a trust anchor.

The other tests hand out the AD bit; here it is earned, and lost when a record is not what was signed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.asyncresolver
import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from envol import db
from envol.edge.courier_mx import Mx, Unknown, own_resolver
from envol.outbound import states
from tests.edge import certs
from tests.edge.sink import Sink
from tests.edge.test_courier import couriers, run, until, version  # noqa: F401
from tests.edge.test_courier_direct import direct, to_sink  # noqa: F401
from tests.outbound.helpers import queued

UNBOUND = shutil.which("unbound", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
ORIGIN = dns.name.from_text("signe.example.")
SHOWN = certs.make("prouve.signe.example", names=["prouve.signe.example"])
"""What the receiver shows: it signed itself, so that nothing but the zone vouches for it."""
OTHER = certs.make("autre.example")
ZONE = """
$ORIGIN signe.example.
$TTL 300
@ SOA ns.signe.example. admin.signe.example. 1 3600 600 86400 300
@ NS ns
ns A 127.0.0.1
@ MX 10 mx
mx A 127.0.0.9
_25._tcp.mx TLSA 3 1 1 8cb0fc6c527506a053f4f14c8464bebbd6dede2738d11468dd953d7d6a3021f1
faux MX 10 menti
menti A 127.0.0.8
livre MX 10 prouve
prouve A 127.0.0.1
_25._tcp.prouve TLSA 3 1 1 {shown}
trompe MX 10 autrecle
autrecle A 127.0.0.1
_25._tcp.autrecle TLSA 3 1 1 {other}
echange MX 10 vole
vole A 127.0.0.1
_25._tcp.vole TLSA 3 1 1 {other}
"""
CONFIG = """
server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: ""
  verbosity: 0
  module-config: "validator iterator"
  do-not-query-localhost: no
  root-hints: ""
  local-zone: "example." nodefault
  trust-anchor: "{anchor}"
  domain-insecure: "clair.example"
stub-zone:
  name: "signe.example"
  stub-addr: 127.0.0.1@{authority}
stub-zone:
  name: "clair.example"
  stub-addr: 127.0.0.1@{authority}
remote-control:
  control-enable: no
"""

pytestmark = [pytest.mark.peers, pytest.mark.skipif(UNBOUND is None, reason="needs the package unbound")]


def _records(name: str) -> str:
    shown, other = (hashlib.sha256(made.public).hexdigest() for made in (SHOWN, OTHER))
    return ZONE.format(shown=shown, other=other).replace("signe", name)


def signed() -> tuple[dns.zone.Zone, str]:
    """The zone with its signatures, two of them over an address and a key that are exchanged afterwards; and the trust
    anchor."""
    zone = dns.zone.from_text(_records("signe"), ORIGIN, relativize=False)
    private = ec.generate_private_key(ec.SECP256R1())
    key = dns.dnssec.make_dnskey(private.public_key(), dns.dnssec.Algorithm.ECDSAP256SHA256, flags=257)
    now = datetime.now(UTC)
    with zone.writer() as writer:
        dns.dnssec.sign_zone(
            zone, writer, keys=[(private, key)], add_dnskey=True, inception=now - timedelta(days=1), lifetime=10 * 86400
        )
    lie = zone.find_rdataset("menti.signe.example.", "A")
    lie.clear()
    lie.add(dns.rdata.from_text("IN", "A", "127.0.0.7"))
    stolen = zone.find_rdataset("_25._tcp.vole.signe.example.", "TLSA")
    stolen.clear()  # an attacker's key, which the receiver would show
    stolen.add(dns.rdata.from_text("IN", "TLSA", f"3 1 1 {hashlib.sha256(SHOWN.public).hexdigest()}"))
    anchor = dns.dnssec.make_ds(ORIGIN, key, "SHA256")
    return zone, f"signe.example. DS {anchor}"


@contextlib.contextmanager
def authority(zone: dns.zone.Zone) -> Iterator[int]:
    """A name server that answers from the zone with signatures, and knows clair.example, which nobody signed."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    clear = dns.zone.from_text(_records("clair"), "clair.example.", relativize=False)

    def add(section: list[dns.rrset.RRset], found: dns.zone.Zone, name: dns.name.Name, kind: str) -> bool:
        node = found.get_node(name)
        if node is None:
            return False
        wanted = dns.rdatatype.from_text(kind)
        for one in node.rdatasets:
            if one.rdtype == wanted or (one.rdtype == dns.rdatatype.RRSIG and one.covers == wanted):
                rrset = dns.rrset.RRset(name, one.rdclass, one.rdtype, one.covers)
                rrset.update(one)
                section.append(rrset)
        return node.get_rdataset(dns.rdataclass.IN, wanted) is not None

    def answer(query: dns.message.Message) -> dns.message.Message:
        said = dns.message.make_response(query)
        said.flags |= dns.flags.AA
        name, kind = query.question[0].name, dns.rdatatype.to_text(query.question[0].rdtype)
        found = zone if name.is_subdomain(ORIGIN) else clear
        if add(said.answer, found, name, kind):
            return said
        add(said.authority, found, found.origin, "SOA")
        if found.get_node(name) is not None:
            add(said.authority, found, name, "NSEC")
            return said
        if not any(one.is_subdomain(name) for one in found.nodes):  # else a name with nothing but names below it
            said.set_rcode(dns.rcode.NXDOMAIN)
        before = max((one for one in found.nodes if one < name), default=found.origin)
        add(said.authority, found, before, "NSEC")
        add(said.authority, found, found.origin, "NSEC")
        return said

    def serve() -> None:
        while True:
            wire, peer = server.recvfrom(4096)
            if not wire:
                return
            server.sendto(answer(dns.message.from_wire(wire)).to_wire(max_size=65535), peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
            stop.sendto(b"", server.getsockname())
        thread.join(5)
        server.close()


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    assert UNBOUND is not None
    folder: Path = tmp_path_factory.mktemp("unbound")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    zone, anchor = signed()
    with authority(zone) as there:
        config = folder / "unbound.conf"
        config.write_text(CONFIG.format(port=free, authority=there, folder=folder, anchor=anchor))
        process = subprocess.Popen([UNBOUND, "-d", "-c", str(config)], stderr=subprocess.PIPE)
        try:
            _wait(free, process)
            yield free
        finally:
            process.terminate()
            process.wait(20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it answers at all."""
    query = dns.message.make_query("signe.example", "SOA").to_wire()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(process.stderr.read().decode())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.5)
            asking.connect(("127.0.0.1", port))
            with contextlib.suppress(OSError):
                asking.send(query)
                asking.recv(4096)
                return
    raise RuntimeError("unbound does not answer.")


def resolver(port: int) -> dns.asyncresolver.Resolver:
    found = own_resolver("127.0.0.1")
    found.port = port
    return found


def test_what_is_signed_is_vouched_for_and_its_tlsa_records_are_heard(port: int) -> None:
    async def ask() -> None:
        asked = resolver(port)
        (host,) = await Mx(asked, allow_private=True).hosts("signe.example")
        assert (host.name, host.address, host.secure) == ("mx.signe.example", "127.0.0.9", True)
        answer = await asked.resolve("_25._tcp.mx.signe.example", "TLSA")
        assert answer.response.flags & dns.flags.AD and [record.usage for record in answer] == [3]

    asyncio.run(ask())


def test_what_nobody_signed_is_not(port: int) -> None:
    (host,) = asyncio.run(Mx(resolver(port), allow_private=True).hosts("clair.example"))
    assert (host.name, host.secure) == ("mx.clair.example", False)


def test_an_address_that_was_exchanged_on_the_way_is_nobodys(port: int) -> None:
    """Bogus is no answer (RFC 4035 §5.5): the mail waits, and goes nowhere."""
    with pytest.raises(Unknown):
        asyncio.run(Mx(resolver(port), allow_private=True).hosts("faux.signe.example"))


DELIVERIES = [
    # whose mail, what becomes of it, what is counted (RFC 8460 §4.3), and the reason that is kept
    ("livre.signe.example", "delivered", ("tlsa", ""), ""),
    ("trompe.signe.example", "deferred", ("tlsa", "validation-failure"), "TLSA"),
    ("echange.signe.example", "deferred", ("tlsa", "dnssec-invalid"), "TLSA"),
    # The same records, which nobody signed, promise nothing: TLS, with whoever answers (RFC 7672 §2.2.1).
    ("trompe.clair.example", "delivered", ("no-policy-found", ""), ""),
]


@pytest.mark.usefixtures("empty_database", "direct")
@pytest.mark.parametrize(("domain", "state", "counted", "reason"), DELIVERIES, ids=[one[0] for one in DELIVERIES])
def test_a_whole_delivery(port: int, workspace, version, domain, state, counted, reason) -> None:  # noqa: ANN001, F811
    """From the queue by unbound's proof to a receiver with TLS, or nowhere."""
    one = queued(workspace, 3, domain=domain, version_id=version)

    async def work() -> None:
        async with Sink(starttls=certs.serving(SHOWN)) as sink:
            async with couriers(sink, route=to_sink(sink), resolver=resolver(port)):
                await until(lambda: states.counts(one.id)[state] == 3)
            assert len(sink.accepted) == (3 if state == "delivered" else 0)
            if state == "delivered":
                assert sink.tls_sessions > 0
            else:
                assert not any(line.startswith("MAIL") for line in sink.commands), "said to a stranger"

    run(work())
    assert db.rows(
        "SELECT DISTINCT policy_type, result FROM outbound_tls_count WHERE domain = %s AND n > 0", [domain]
    ) == [counted]
    if state == "deferred":
        ((cause, reply),) = db.rows("SELECT DISTINCT cause, reply FROM outbound_retry WHERE sending_id = %s", [one.id])
        assert cause == "tls_policy" and reason in reply
        assert db.value("SELECT count(*) FROM consent_suppression WHERE workspace_id = %s", [workspace.id]) == 0
