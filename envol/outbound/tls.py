"""TLS towards receivers: policies kept (RFC 8461), sessions counted, reports about them sent (RFC 8460)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Protocol

import dns.exception
import dns.resolver
import structlog
from django.conf import settings
from django.db import transaction

from envol import db
from envol.outbound.accept import Outgoing, accept_messages
from envol.outbound.models import Domain
from envol.outbound.route import our_name
from envol.wire import tls_counts
from envol.wire.address import AddressError, domain_of, normalise
from envol.wire.tls_counts import Count

log = structlog.get_logger()
MOST_REPORTS = 2000
"""Reports of one day: the domains with the most sessions."""
MOST_FAILURES = 200
"""Kinds of failure told in one report."""


class Texts(Protocol):
    def resolve(self, qname: str, rdtype: str) -> dns.resolver.Answer: ...


def known_policy(domain: str) -> tuple[str, str, float] | None:
    """(id, text, seconds for which it still holds) of a policy that was fetched before."""
    found = db.rows(
        "SELECT policy_id, body, extract(epoch FROM until - now())::float8 FROM outbound_sts"
        " WHERE domain = %s AND until > now()",
        [domain],
    )
    return found[0] if found else None


def keep_policy(domain: str, policy_id: str, body: str, seconds: float) -> None:
    db.execute(
        "INSERT INTO outbound_sts (domain, policy_id, body, until)"
        " VALUES (%s, %s, %s, now() + make_interval(secs => %s)) ON CONFLICT (domain) DO UPDATE"
        " SET policy_id = excluded.policy_id, body = excluded.body, until = excluded.until",
        [domain, policy_id, body, seconds],
    )


def add(counts: Mapping[tuple[str, Count], int]) -> None:
    """Add sessions to today's counts, many at once."""
    if not counts:
        return
    columns: list[list[object]] = [[] for _ in range(10)]
    for (domain, one), n in sorted(counts.items(), key=lambda pair: (pair[0][0], str(pair[0][1]))):
        # Arrays of several lengths do not stand in one array: they travel as text.
        row = (
            domain, one.policy_type, "\n".join(one.policy), "\n".join(one.mx),
            one.result, one.host, one.address, one.source, one.reason[:200], n,
        )  # fmt: skip
        for column, value in zip(columns, row, strict=True):
            column.append(value)
    db.execute(
        "INSERT INTO outbound_tls_count"
        " SELECT (now() AT TIME ZONE 'UTC')::date, d, t, string_to_array(p, E'\\n'), string_to_array(m, E'\\n'),"
        " r, h, a, s, e, n FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],"
        " %s::text[], %s::text[], %s::text[], %s::int[]) AS g (d, t, p, m, r, h, a, s, e, n)"
        " ON CONFLICT (day, domain, policy_type, policy, mx, result, host, address, source, reason)"
        " DO UPDATE SET n = outbound_tls_count.n + excluded.n",
        columns,
    )


def counts_of(domain: str, day: date) -> list[Count]:
    """The day's sessions to a domain; failures beyond `MOST_FAILURES` kinds are told as one."""
    rows = [
        Count(kind, tuple(policy), tuple(mx), result, host, address, source, reason, n)
        for kind, policy, mx, result, host, address, source, reason, n in db.rows(
            "SELECT policy_type, policy, mx, result, host, address, source, reason, n FROM outbound_tls_count"
            " WHERE domain = %s AND day = %s ORDER BY n DESC",
            [domain, day],
        )
    ]
    return rows[:MOST_FAILURES] + [
        Count(one.policy_type, one.policy, one.mx, one.result, n=one.n) for one in rows[MOST_FAILURES:]
    ]


def send_reports(day: date | None = None, resolver: Texts | None = None) -> int:
    """Send the reports of a day (yesterday) to the domains that ask for them; how many.

    Safe to repeat: a domain whose report was accepted, or that asks for none, is not asked again.
    """
    sender = settings.ENVOL.tls_reports_from
    day = day or datetime.now(UTC).date() - timedelta(days=1)
    db.execute("DELETE FROM outbound_tls_count WHERE day < %s", [day - timedelta(days=7)])
    db.execute("DELETE FROM outbound_tls_reported WHERE day < %s", [day - timedelta(days=30)])
    domain = Domain.objects.filter(name=domain_of(sender)).order_by("id").first() if sender else None
    if domain is None:
        if sender:
            log.warning("no TLS reports: add the domain of tls_reports_from first", setting=domain_of(sender))
        return 0
    if resolver is None:
        own = dns.resolver.Resolver()
        own.lifetime = 8.0
        resolver = own
    waiting = [
        row[0]
        for row in db.rows(
            "SELECT c.domain FROM outbound_tls_count c WHERE c.day = %s AND NOT EXISTS (SELECT FROM"
            " outbound_tls_reported r WHERE r.day = c.day AND r.domain = c.domain)"
            " GROUP BY 1 ORDER BY sum(c.n) DESC LIMIT %s",
            [day, MOST_REPORTS],
        )
    ]
    sent = 0
    for name in waiting:
        to = _asks(resolver, name)
        if to is None:
            continue  # nobody could tell now: the next hour asks again
        with transaction.atomic():
            if to:
                accept_messages([_message(domain.workspace_id, sender, to, name, day)])
                sent += 1
            db.execute(
                "INSERT INTO outbound_tls_reported VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", [day, name, bool(to)]
            )
    return sent


def _asks(resolver: Texts, domain: str) -> list[str] | None:
    """Where a domain wants its reports; None: its name servers do not answer."""
    try:
        answer = resolver.resolve(f"_smtp._tls.{domain}", "TXT")
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError):
        return None
    found = []
    for address in tls_counts.destinations([b"".join(record.strings).decode("utf-8", "replace") for record in answer]):
        try:
            found.append(normalise(address).written)
        except AddressError:
            continue
    return found[:2]


def _message(workspace_id: int, sender: str, to: list[str], domain: str, day: date) -> Outgoing:
    """RFC 8460 §5.3: multipart/report with a word for people and the JSON, signed with the sender's DKIM key."""
    unique = secrets.token_hex(8)
    us = our_name(settings.ENVOL)
    report_id = f"{day:%Y-%m-%d}.{unique}@{us}"
    body = tls_counts.make(
        domain,
        day,
        counts_of(domain, day),
        organisation=domain_of(sender) or us,
        contact=sender,
        report_id=report_id,
    )
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Subject"] = f"Report Domain: {domain} Submitter: {us} Report-ID: <{report_id}>"
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{report_id}>"
    message["TLS-Report-Domain"] = domain
    message["TLS-Report-Submitter"] = us
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"TLS sessions from {us} to {domain} on {day:%Y-%m-%d}, as RFC 8460 asks for them.\n")
    message.add_attachment(
        body,
        maintype="application",
        subtype="tlsrpt+gzip",
        filename=tls_counts.filename(us, domain, day, unique),
    )
    message.set_type("multipart/report")
    message.set_param("report-type", "tlsrpt")
    # A report about broken TLS must not wait for TLS (RFC 8460 §4, RFC 8689 §5): the courier reads this field.
    message["TLS-Required"] = "No"
    return Outgoing(
        workspace_id,
        ("", sender),
        [("", address) for address in to],
        subject=str(message["Subject"]),
        kind="system",
        raw=message.as_bytes(),
    )
