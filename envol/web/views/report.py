"""What did it bring? Clicks lead, people and events apart, machines apart, every figure opens its people."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.campaigns.models import Campaign
from envol.insight.report import SMALL, Report, Share
from envol.insight.report import report as make
from envol.web.charts import Part, Series, bar, lines, stacked, top_of
from envol.web.doors import MemberRequest, audience
from envol.web.figures import sendings_of
from envol.web.templatetags.envol import number, percent
from envol.web.views.campaigns import one

TONES = {
    "delivered": "ok",
    "deferred": "warn",
    "waiting": "calm",
    "bounced": "bad",
    "expired": "bad",
    "cancelled": "calm",
    "suppressed": "calm",
}


def _outcome(campaign: Campaign, found: Report) -> tuple[list[Part], str]:
    """The pieces of the bar, and the finding as a sentence."""
    words = {
        "delivered": _("delivered"),
        "bounced": _("bounced"),
        "expired": _("given up"),
        "deferred": _("tried again later"),
        "waiting": _("waiting"),
        "cancelled": _("cancelled by stopping"),
        "suppressed": _("refused just before"),
    }
    base = reverse("web:people", args=[campaign.pk])
    parts = [
        Part(word, found.outcome.get(name, 0), TONES[name], f"{base}?show={name}")
        for name, word in words.items()
        if found.outcome.get(name, 0) or name in ("delivered", "bounced")
    ]
    finding = _("%(share)s of %(all)s messages were delivered.") % {
        "share": percent(found.outcome["delivered"], found.outcome["accepted"]),
        "all": number(found.outcome["accepted"]),
    }
    return parts, finding


def _share(share: Share | None) -> str:
    """« 41 % of the 3,204 who agreed », never over the whole audience; few people: counts only."""
    if share is None:
        return ""
    if share.of < SMALL:
        return _("%(n)s of the %(of)s who agreed") % {"n": number(share.people), "of": number(share.of)}
    return _("%(rate)s of the %(of)s who agreed") % {"rate": percent(share.people, share.of), "of": number(share.of)}


def _when(found: Report) -> dict[str, Any]:
    hours = found.hours[:72]
    clicked = [hour.clicked for hour in hours]
    opened = [hour.opened for hour in hours]
    ticks_top = top_of([clicked, opened])
    ticks = ("0", number(ticks_top // 2), number(ticks_top))
    series = [Series(_("clicks"), clicked, "one"), Series(_("opens"), opened, "two")]
    peak = max(range(len(hours)), key=lambda i: clicked[i]) if any(clicked) else None
    finding = (
        _("Most clicks came in hour %(hour)s after the start.") % {"hour": hours[peak].hour + 1}
        if peak is not None
        else _("Nobody has clicked yet.")
    )
    return {
        "svg": lines(series, finding, ticks=ticks) if any(clicked) or any(opened) else "",
        "finding": finding,
        "hours": hours,
    }


@require_safe
@audience(Role.VIEWER)
def report(request: MemberRequest, campaign_id: int) -> HttpResponse:
    campaign = one(request, campaign_id)
    sendings = sendings_of(campaign)
    if not sendings:
        return render(request, "campaigns/report.html", {"campaign": campaign, "report": None})
    found = make(campaign.workspace, sendings)
    parts, finding = _outcome(campaign, found)
    base = reverse("web:people", args=[campaign.pk])
    most = max((link.people or link.events for link in found.links), default=0)
    links = [
        {
            "link": link,
            "href": f"{base}?show={quote(link.figure)}" if link.people else "",
            "bar": bar(link.people or link.events, most),
        }
        for link in found.links
    ]
    facts = {
        "campaign": campaign,
        "report": found,
        "sendings": sendings,
        "parts": parts,
        "bar": stacked(parts, finding),
        "finding": finding,
        "clicked_share": _share(found.clicked.agreed),
        "opened_share": _share(found.opened.agreed),
        "links": links,
        "when": _when(found),
        "excluded": sum(found.excluded.values()),
        "language": get_language() or "en",
    }
    return render(request, "campaigns/report.html", facts)
