"""Who sends in my name, and does mail to us come encrypted? What receivers report of a domain."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.outbound import domain_reports, records
from envol.outbound.models import Domain
from envol.web import charts
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import number, percent, short_day
from envol.web.views.settings import domain_of

PERIODS = (7, 30, 90)
ENOUGH = 100  # messages, under which nothing is advised
NEARLY_ALL = 0.98


@require_safe
@audience(Role.EDITOR)
def reports(request: MemberRequest, domain_id: int) -> HttpResponse:
    one = domain_of(request, domain_id)
    wanted = request.GET.get("days", "")
    days = int(wanted) if wanted in {str(p) for p in PERIODS} else 30
    facts = {
        "domain": one,
        "days": days,
        "periods": PERIODS,
        "takes": bool(settings.ENVOL.inbound),
        "home": records.return_host(one.name),
        "dmarc": _part(one, domain_reports.DMARC, days),
        "tls": _part(one, domain_reports.TLS, days),
    }
    return render(request, "settings/domain_reports.html", facts)


def _part(one: Domain, kind: str, days: int) -> dict[str, Any]:
    found = domain_reports.total([one.pk], kind, days).get(one.pk)
    if found is None or not found.all:
        return {}
    by_day = domain_reports.by_day(one, kind, days)
    finding = _finding(kind, found)
    known = [d for d in by_day if d["passed"] is not None or d["failed"] is not None]
    series = [
        charts.Series(label, [d[key] or 0 if d in known else None for d in by_day], kind_of_line)
        for label, key, kind_of_line in ((_("right"), "passed", "one"), (_("wrong"), "failed", "two"))
    ]
    return {
        "total": found,
        "finding": finding,
        "svg": charts.lines(
            f"reported-{kind}",
            series,
            title=_("Messages by day") if kind == domain_reports.DMARC else _("Sessions by day"),
            desc=finding,
            ticks=lambda value: number(round(value)),
            labels=[short_day(d["day"]) for d in by_day],
        ),
        "days": known,
        "sources": _sources(one, kind, days),
        "reporters": domain_reports.by_reporter(one, kind, days),
        "advice": _advice(one, kind, found),
    }


def _sources(one: Domain, kind: str, days: int) -> list[dict[str, Any]]:
    rows = domain_reports.by_source(one, kind, days)
    words = {
        "none": _("nothing"),
        "quarantine": _("put into spam"),
        "reject": _("refused"),
        "forwarded": _("excused: forwarded"),
        "mailing_list": _("excused: mailing list"),
        "local_policy": _("excused by the receiver"),
        "trusted_forwarder": _("excused: forwarded"),
    }
    for row in rows:
        row["failed"] = row["n"] - row["passed"]
        row["said"] = ", ".join(words.get(word, word) for word in (row["results"] or "").split(", ") if word)
    return rows


def _finding(kind: str, found: domain_reports.Total) -> str:
    facts = {"share": percent(found.passed, found.all), "n": number(found.all)}
    if kind == domain_reports.DMARC:
        return _("%(share)s of %(n)s messages in your name were signed or sent as they should.") % facts
    return _("%(share)s of %(n)s sessions were encrypted as they should.") % facts


def _advice(one: Domain, kind: str, found: domain_reports.Total) -> str:
    """What to do next, in plain words."""
    if kind == domain_reports.TLS:
        if not found.failed:
            return _("Nothing to do: every session was encrypted.")
        return _(
            "Look at the reasons below: an expired certificate or a host without STARTTLS is mended at the mail server."
        )
    if found.all < ENOUGH:
        return _("Too few messages to advise anything yet.")
    record = next((f["found"] for f in one.findings if f.get("key") == "dmarc"), "").replace(" ", "").lower()
    strict = next((p for p in ("reject", "quarantine") if f"p={p}" in record), "none")
    if found.passed < NEARLY_ALL * found.all:
        return _(
            "Look at the senders below that fail. If they are yours, sign their mail or hand it in here; if they are"
            " not, a stricter policy will stop them once your own mail is right."
        )
    return {
        "none": _("Nearly everything is right: you can change p=none to p=quarantine in the DMARC record."),
        "quarantine": _(
            "Nearly everything is right: after some weeks like this you can change p=quarantine to p=reject."
        ),
        "reject": _("Nothing to do: the policy is the strictest, and your mail passes it."),
    }[strict]
