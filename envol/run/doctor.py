"""``envol check``: what would stop mail from leaving."""

from __future__ import annotations

import shutil
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from envol.accounts.models import Workspace
from envol.outbound import egress
from envol.run.config import Config


def _is_ours(address: str) -> bool:
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def ways_out(config: Config) -> list[tuple[str, str]]:
    """(kind, host) of whatever gets people's data by the settings; by default nothing does."""
    found = []
    if config.route == "smart_host" and config.smart_host:
        found.append(("smart_host", config.smart_host.rpartition(":")[0].strip("[]")))
    if config.rspamd:
        found.append(("rspamd", urlsplit(config.rspamd).hostname or ""))
    if config.clickhouse and not config.clickhouse.startswith("chdb:"):
        found.append(("columns", urlsplit(config.clickhouse).hostname or ""))
    return found


class RowLock(NamedTuple):
    ok: bool
    sentence: str


def row_lock() -> RowLock:
    """Can pages be held to their workspace by the database itself (`envol.db_rls`)?"""
    from envol import db_rls

    if lacking := db_rls.lacking():
        return RowLock(False, lacking)
    if not db_rls.is_applied():
        return RowLock(False, "Row-level security is not up to date: `envol up` brings it so when it starts.")
    return RowLock(True, "Pages see the rows of their own workspace alone (row-level security).")


def check(config: Config, workspace: Workspace) -> list[dict[str, Any]]:
    """One line per question: ``{"ok", "code", "sentence"}``."""
    from envol import db, disk
    from envol.consent import transfers
    from envol.outbound import books
    from envol.outbound.models import DkimKey, Domain
    from envol.run.embedded_left import left_behind

    found: list[dict[str, Any]] = []

    def line(ok: bool, code: str, good: str, bad: str) -> None:
        found.append({"ok": ok, "code": code, "sentence": good if ok else bad})

    short = disk.shortage()
    free = shutil.disk_usage(config.data).free
    line(short is None, "disk", f"{free // 1024**3} GiB are free.", short or "")
    held = row_lock()
    line(held.ok, "row_lock", held.sentence, held.sentence)
    domains = list(Domain.objects.filter(workspace=workspace))
    ready = [d.name for d in domains if d.trusted or d.passed_at]
    if config.route == "local":
        line(True, "route", "The route is local: everything is captured at /inbox, nothing leaves this machine.", "")
    else:
        line(
            bool(ready),
            "domain",
            f"May send as: {', '.join(ready)}.",
            "No domain is checked or trusted: envol domain add D, publish its records, envol domain check.",
        )
        base = urlsplit(config.base_url)
        reachable = base.scheme == "https" and base.hostname != "localhost"
        wanted = f"links lead to {config.base_url}; set public_url to the https address that people reach."
        line(
            reachable or (config.route == "smart_host" and base.hostname == "localhost"),
            "public_url",
            f"Links lead to {config.base_url}." if reachable else f"For a trial only, {wanted}",
            f"Campaigns do not leave: {wanted}",
        )
    if config.route == "direct":
        helo = config.helo_name or socket.getfqdn()
        line(
            "." in helo.strip(".") and not helo.endswith(".localdomain"),
            "helo_name",
            f"Other hosts hear our name as {helo}; its address must lead back to it (A, AAAA, PTR).",
            f"Other hosts would hear our name as {helo!r}, which is no full name: set helo_name.",
        )
        for source in egress.parse(config.sources):
            line(
                source.local is None or _is_ours(source.address),
                "sources",
                f"Mail may leave from {source.address}{f', as {source.helo}' if source.helo else ''}.",
                f"{source.address} is named in sources and is no address of this machine: mail from it would wait.",
            )
    if config.route == "smart_host":
        line(
            bool(config.smart_host),
            "smart_host",
            f"The relay is {config.smart_host}.",
            'The route is smart_host and no relay is named: set smart_host = "HOST:PORT" in envol.toml.',
        )
    for kind, host in ways_out(config):
        verdict = transfers.may_lead_to(workspace, kind, host)
        line(
            verdict.colour != transfers.RED,
            "transfer",
            f"{host}: {verdict.why}",
            f"People's data must not go to {host}: {verdict.why} {' '.join(verdict.ways[:1])}",
        )
    line(
        bool(workspace.postal_address.strip()),
        "postal_address",
        "The sender's postal address is known.",
        "Every commercial mail names its sender: write the postal address in Settings.",
    )
    late = db.value(
        "SELECT count(*) FROM outbound_chunk c JOIN outbound_sending s ON s.id = c.sending_id WHERE s.workspace_id = %s"
        " AND NOT c.done AND s.state = 'sending' AND c.due < now() - interval '10 minutes' AND c.lease_id IS NULL",
        [workspace.id],
    )
    line(
        not late,
        "couriers",
        "No work is late.",
        f"{late} chunks of mail wait for more than 10 minutes: is a courier running? `envol up` starts them.",
    )
    waiting = DkimKey.objects.filter(domain__workspace=workspace, state="next", seen_at=None)
    names = sorted(set(waiting.values_list("domain__name", flat=True)))
    if names:
        said = f"New DKIM keys of {', '.join(names)} wait to be published: envol domain check shows their records."
        line(True, "keys", said, "")
    if left := left_behind():
        named = "; ".join(f"{one.path} ({one.octets >> 20} MiB, of {one.data})" for one in left[:5])
        more = f", and {len(left) - 5} more" if len(left) > 5 else ""
        line(
            True,
            "left_databases",
            f"Databases of data directories that are gone: {named}{more}. Unless the directory was moved or its disk is"
            " not mounted, nothing uses them: remove them with rm -r.",
            "",
        )
    look = books.last()
    wrong = look.findings if look else []
    line(
        not wrong,
        "books",
        f"The books were right when last looked over, {look.at:%Y-%m-%d %H:%M} UTC."
        if look
        else "The books have not been looked over yet; a worker does it every hour.",
        f"The books are wrong: {' '.join(wrong[:3])} Stop sending, keep the log, and tell the makers.",
    )
    return found
