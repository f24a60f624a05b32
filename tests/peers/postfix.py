"""A private Postfix: own configuration, queue and ports on loopback, started and ended by us.

One instance, three listeners that differ in what they do with STARTTLS:

    tls      offers it, with a self-made certificate
    clear    does not offer it
    broken   offers it, and then speaks only protocols that nobody should speak any more (RFC 8996)

What is accepted ends in a Maildir.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import socketserver
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POSTFIX = shutil.which("postfix", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
DOMAIN = "boite.example"

MAIN = """\
compatibility_level = 3.6
queue_directory = {base}/queue
data_directory = {base}/data
maillog_file = {base}/log/postfix.log
maillog_file_prefixes = {base}
myhostname = mx.boite.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
biff = no
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {base}/mail
virtual_mailbox_maps = static:inbox/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
default_transport = error:nothing leaves this host
smtpd_recipient_restrictions = reject_unauth_destination
smtpd_tls_security_level = may
smtpd_tls_cert_file = {base}/cert.pem
smtpd_tls_key_file = {base}/key.pem
smtpd_tls_loglevel = 1
"""

MASTER = """\
{tls} inet n - n - - smtpd -o syslog_name=postfix/tls
{clear} inet n - n - - smtpd -o syslog_name=postfix/clear -o smtpd_tls_security_level=none
{broken} inet n - n - - smtpd -o syslog_name=postfix/broken -o smtpd_tls_protocols=!TLSv1.2,!TLSv1.3
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """The running instance: `ports` by name of the listener; its log and the mail that arrived."""

    def __init__(self, base: Path, ports: dict[str, int]) -> None:
        self.base, self.ports = base, ports

    @property
    def log(self) -> str:
        file = self.base / "log" / "postfix.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def lines(self, listener: str, words: str) -> list[str]:
        return [line for line in self.log.splitlines() if f"postfix/{listener}/" in line and words in line]

    def mailbox(self) -> list[bytes]:
        """Messages delivered so far, with LF at the end of lines, as a Maildir keeps them."""
        return [file.read_bytes() for file in sorted((self.base / "mail" / "inbox" / "new").glob("*"))]


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@contextmanager
def running(base: Path, more: str = "", services: str = "") -> Iterator[Postfix]:
    """Postfix in this directory, which its own account must be able to enter. Needs root, as Postfix does.

    more: lines of main.cf; services: of master.cf."""
    assert POSTFIX is not None
    nobody = pwd.getpwnam("nobody")
    ports = dict(zip(("tls", "clear", "broken"), _free_ports(3), strict=True))
    config = base / "config"
    for folder in (config, base / "queue", base / "log", base / "data", base / "mail"):
        folder.mkdir(parents=True, exist_ok=True)
    shutil.chown(base / "data", "postfix")
    os.chown(base / "mail", nobody.pw_uid, nobody.pw_gid)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.boite.example",
         "-keyout", base / "key.pem", "-out", base / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (config / "main.cf").write_text(MAIN.format(base=base, domain=DOMAIN, uid=nobody.pw_uid, gid=nobody.pw_gid) + more)
    listeners = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    (config / "master.cf").write_text(MASTER.format(**listeners) + services)
    process = subprocess.Popen(
        [POSTFIX, "-c", str(config), "start-fg"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    found = Postfix(base, ports)
    try:
        _wait(found, process)
        yield found
    finally:
        # The master ends its own children; what we started is the shell that waits for it.
        master = int((base / "queue" / "pid" / "master.pid").read_text())
        os.kill(master, signal.SIGTERM)
        process.wait(10)


class Greylist(socketserver.ThreadingTCPServer):
    """A policy service (Postfix's SMTPD_POLICY_README): each recipient is deferred the first time. asked: how often."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Policy)
        self.asked: Counter[str] = Counter()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Policy(socketserver.StreamRequestHandler):
    server: Greylist

    def handle(self) -> None:
        about: dict[str, str] = {}
        for line in self.rfile:
            name, _, value = line.decode().rstrip("\n").partition("=")
            if name:
                about[name] = value
                continue
            self.server.asked[about["recipient"]] += 1
            first = self.server.asked[about["recipient"]] == 1
            self.wfile.write(b"action=450 4.7.1 Greylisted, come back\n\n" if first else b"action=DUNNO\n\n")
            about = {}


@contextmanager
def greylisting() -> Iterator[Greylist]:
    with Greylist() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(10)


def _wait(postfix: Postfix, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    for port in postfix.ports.values():
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None or time.monotonic() > end:
                said = process.stdout.read().decode(errors="replace") if process.poll() is not None else ""
                raise RuntimeError(f"Postfix did not start: {said} {postfix.log[-2000:]}")
            time.sleep(0.05)
