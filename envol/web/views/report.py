"""What did it bring? Clicks lead, people and events apart, machines apart, every figure opens its people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html
from django.utils.translation import ngettext
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.campaigns.models import Campaign
from envol.content import preview as previews
from envol.content.models import Version
from envol.content.problems import RenderProblem
from envol.insight import kept
from envol.outbound.models import Sending
from envol.web.doors import MemberRequest, audience
from envol.web.figures import chosen_sendings
from envol.web.masking import shown
from envol.web.reporting import Reading
from envol.web.safety import PREVIEW_POLICY
from envol.web.tables import line
from envol.web.templatetags.envol import number
from envol.web.views.campaigns import one


def _now(campaign: Campaign, sendings: Sequence[Sending]) -> kept.Figures:
    """As things are now, however long that takes."""
    return kept.figures(campaign.workspace, [sending.id for sending in sendings])


def _at_hand(campaign: Campaign, sendings: Sequence[Sending]) -> kept.Found | None:
    return kept.at_hand(campaign.workspace, [sending.id for sending in sendings])


@require_safe
@audience(Role.VIEWER)
def report(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """``?sending=`` reads one sending alone (a resend); else the first one and its remainders, who are one audience."""
    campaign = one(request, campaign_id)
    sendings, only = chosen_sendings(campaign, request.GET.get("sending", ""))
    if not sendings:
        return render(request, "campaigns/report.html", {"campaign": campaign, "report": None})
    # Counting a million takes seconds: what was counted before stands there at once, and what is new follows it.
    found = kept.Found(_now(campaign, sendings), False) if "whole" in request.GET else _at_hand(campaign, sendings)
    later = ""
    if found is None or found.moved:
        given = request.GET.copy()
        given["whole"] = "1"
        later = "?" + given.urlencode()
    if found is None:
        return render(request, "campaigns/report.html", {"campaign": campaign, "later": later})
    reading = Reading(campaign, sendings, only, found.made)
    facts: dict[str, Any] = {
        "campaign": campaign,
        "later": later,
        "report": reading.report,
        "r": reading,
        "choices": reading.choices(),
        "outcome": reading.outcome(),
        "funnel": reading.funnel(),
        "when": reading.when(cumulative=request.GET.get("view") == "cumulative"),
        "links": reading.links(),
        "heat": reading.heat(),
        "usual": reading.usual(),
        "sites": reading.sites(),
        "causes": reading.causes(),
        "left_out": reading.left_out(),
    }
    return render(request, "campaigns/report.html", facts)


@require_safe
@audience(Role.VIEWER)
def report_csv(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """One table of the report (``?table=links``), or all of them below one another."""
    campaign = one(request, campaign_id)
    sendings, only = chosen_sendings(campaign, request.GET.get("sending", ""))
    if not sendings:
        raise Http404
    reading = Reading(campaign, sendings, only, _now(campaign, sendings))
    wanted = request.GET.get("table", "")
    tables = [table for table in reading.tables() if table.key == wanted or not wanted]
    if not tables:
        raise Http404
    parts = ["\ufeff"]
    for table in tables:
        if not wanted:
            parts.append(line([table.caption]))
        parts += table.lines(lambda cell: shown(request, cell))
        if not wanted:
            parts.append("\r\n")
    answer = HttpResponse("".join(parts), content_type="text/csv; charset=utf-8")
    name = f"campaign-{campaign.pk}-{wanted or 'report'}.csv"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_safe
@xframe_options_exempt
@audience(Role.VIEWER)
def click_map(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The message as an unknown person reads it, with the people behind each link written beside it. No script."""
    campaign = one(request, campaign_id)
    sendings, _only = chosen_sendings(campaign, request.GET.get("sending", ""))
    if not sendings:
        raise Http404
    # It stands on the page of the report, and says what that says.
    found = _at_hand(campaign, sendings)
    links = (found.made if found else _now(campaign, sendings)).report.links
    versions = {sending.version_id or 0 for sending in sendings}
    version = Version.objects.filter(pk__in=versions).order_by("-pk").first()
    if version is None:
        raise Http404
    marks = {link.no: _mark(link.people) for link in links if link.version == version.pk}
    sender = {"name": campaign.from_name, "address": campaign.from_address or "preview@localhost.invalid"}
    try:
        read = previews.preview(
            previews.marked(version, marks),
            sender=sender,
            base_url=settings.ENVOL.base_url,
            campaign_name=campaign.name,
        )
        body = '<base target="_blank">' + (read.html or "")
    except RenderProblem as error:
        body = format_html("<!doctype html><p>{}</p>", str(error))
    answer = HttpResponse(body)
    answer["Content-Security-Policy"] = PREVIEW_POLICY
    return answer


def _mark(people: int) -> str:
    style = (
        "display:inline-block;margin:0 4px;padding:1px 7px;border-radius:9px;font:600 12px/1.5 system-ui,sans-serif;"
        "text-decoration:none;white-space:nowrap;border:1px solid #fff;color:#fff;background:"
    )
    said = ngettext("%(n)s person", "%(n)s people", people) % {"n": number(people)}
    return format_html('<span style="{}">{}</span>', style + ("#b3460b" if people else "#5d6b78"), said)
