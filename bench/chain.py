"""Signed delivery from end to end: a campaign from its people to the last outcome, against Postfix and OpenDKIM.

The chain is what many build: smtp-source hands letters of the same size to Postfix, OpenDKIM signs them with RSA-2048
as a milter, Postfix delivers them to the same smtp-sink. Ours renders each letter for its reader besides. Both are
timed from the first person to the last delivery, in turns.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import ground
from bench.relay import load
from bench.send import delivered_per_second, sink

GOAL = 7.0

RELAYING = """\
smtpd_milters = inet:127.0.0.1:{milter}
milter_default_action = tempfail
smtpd_recipient_restrictions = permit_mynetworks, reject
virtual_mailbox_domains =
default_transport = smtp
relayhost = [127.0.0.1]:{sink}
"""
SERVICES = "smtp unix - - n - - smtp\n"
SIGNING = """\
Domain {domain}
Selector bench
KeyFile {key}
Mode s
Canonicalization relaxed/relaxed
Socket inet:{port}@127.0.0.1
InternalHosts 127.0.0.1
Syslog no
RequireSafeKeys no
"""


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.chain", options)


def measure(messages: int = 10_000, rounds: int = 3, sessions: int = 10, size: int = 7000, **_: Any) -> dict[str, Any]:
    from tests.peers import postfix as peers

    if peers.POSTFIX is None or shutil.which("opendkim", path="/usr/sbin") is None or os.geteuid() != 0:
        raise RuntimeError("Postfix or OpenDKIM is missing, or this is not root: apt-get install postfix opendkim.")
    base = Path(tempfile.mkdtemp(prefix="envol-chain-", dir=os.environ.get("ENVOL_BENCH_DIR")))
    base.chmod(0o755)
    letter = base / "letter"
    text = ("Bonjour à vous.\n" * 700)[:size]
    letter.write_text(f"From: {ground.SENDER}\nTo: luc@boite.example\nSubject: Novembre\n\n{text}", "utf-8")
    port, cores = ground.free_port(), len(os.sched_getaffinity(0))
    settings = {"route": "smart_host", "smart_host": f"127.0.0.1:{port}", "couriers": cores}
    ours: list[float] = []
    reference: list[float] = []
    try:
        with sink(port), signer(base) as milter, ground.installation(**settings) as here:
            from envol.outbound.models import DkimKey

            DkimKey.objects.filter(algorithm="ed25519-sha256").update(state="retired")  # the chain signs once, too
            here.people(messages)
            version = here.version()
            couriers = [here.courier(n + 1).start() for n in range(cores)]
            try:
                with peers.running(base, RELAYING.format(milter=milter, sink=port), SERVICES) as postfix:
                    for number in range(rounds):
                        reference.append(chain(postfix, messages // 4, sessions, letter))
                        began = time.perf_counter()
                        sending = here.sending(version)
                        prepared = time.perf_counter() - began
                        took = prepared + messages / delivered_per_second(here, sending, messages)
                        ours.append(messages / took)
                        ground.say(f"round {number + 1}: {ours[-1]:,.0f} messages/s, the chain {reference[-1]:,.0f}")
            finally:
                for process in couriers:
                    process.stop()
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return ground.compared(
        "chain",
        ours,
        reference,
        GOAL,
        f"{rounds} rounds of {messages:,} messages of {size:,} bytes, RSA-2048, {cores} couriers",
    )


def chain(postfix: Any, messages: int, sessions: int, letter: Path) -> float:
    """Messages a second through the chain, until its queue is empty and all of them have left."""
    sent = postfix.log.count("status=sent")
    began = time.perf_counter()
    load(postfix.ports["clear"], messages, sessions, letter)
    queues = [postfix.base / "queue" / name for name in ("maildrop", "incoming", "active", "deferred")]
    while any(files for queue in queues for _, _, files in os.walk(queue)):
        time.sleep(0.05)
        if time.perf_counter() - began > 600:
            raise RuntimeError(f"The chain is stuck: {postfix.log[-600:]}")
    took = time.perf_counter() - began
    if postfix.log.count("status=sent") - sent < messages:
        raise RuntimeError(f"Not everything left the chain: {postfix.log[-600:]}")
    # Its own trace takes 300 octets; a signature of RSA-2048 more than 400 further ones.
    if min(int(found) for found in re.findall(r" size=(\d+), nrcpt", postfix.log)) < letter.stat().st_size + 500:
        raise RuntimeError("OpenDKIM did not sign.")
    return messages / took


@contextmanager
def signer(base: Path) -> Iterator[int]:
    """OpenDKIM as a milter; its port."""
    key, config, port = base / "bench.private", base / "opendkim.conf", ground.free_port()
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    config.write_text(SIGNING.format(domain=ground.DOMAIN, key=key, port=port))
    process = subprocess.Popen(["/usr/sbin/opendkim", "-f", "-x", config], stderr=subprocess.DEVNULL)
    try:
        ground.wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()
