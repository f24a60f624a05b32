"""What exactly will happen, and is it going well? The last look before sending, the acts, the live page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role
from envol.campaigns import actions, brake, checks, origins, planning, progress
from envol.campaigns.models import Campaign, State
from envol.outbound.models import Excluded
from envol.web import charts
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.figures import sites_of
from envol.web.templatetags.envol import rate
from envol.web.views.campaigns import AT_ONCE, facts_of, one

DONE_PAGES = {State.SENT: "report", State.STOPPED: "report"}


def _look(campaign: Campaign, seconds: float | None = None) -> dict[str, Any]:
    facts = facts_of(campaign, seconds)
    who = facts["who"]
    allowed = who.allowed if who else 0
    known = planning.usual(campaign.workspace)
    wait = checks.take_back_seconds(campaign)
    facts.update(
        left_out=sum(who.excluded.values()) if who else 0,
        reasons=list(who.excluded.items()) if who else [],
        minutes=known.minutes(allowed),
        typed=known.must_type(allowed),
        usual=known.people,
        take_back=wait,
        now=timezone.now(),
        leaves=timezone.now() + timedelta(seconds=wait),
        advice=[c for card in facts["cards"].values() for c in card if c["check"].level != checks.BLOCK],
        stops=[c for card in facts["cards"].values() for c in card if c["check"].level == checks.BLOCK],
    )
    return facts


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def send(request: MemberRequest, campaign_id: int) -> HttpResponse:
    campaign = one(request, campaign_id)
    if request.method != "POST":
        if campaign.state != State.DRAFT:
            return see(request, DONE_PAGES.get(State(campaign.state), "live"), campaign.pk)
        return render(request, "campaigns/send.html", _look(campaign, None if "whole" in request.GET else AT_ONCE))
    facts = _look(campaign)
    allowed = facts["who"].allowed if facts["who"] else 0
    problem = _hesitation(request, allowed, facts["typed"])
    at = None
    later = request.POST.get("when") == "later"
    if problem is None:
        try:
            if later:
                at = planning.moment(campaign.workspace, request.POST.get("day", ""), request.POST.get("hour", ""))
            actions.send(campaign, request.member, at=at)
        except actions.NotReady as error:
            problem = " ".join(c.sentence(get_language() or "en") for c in error.checks)
        except actions.Refused as error:
            problem = str(error)
        else:
            return see(request, "live", campaign.pk)
    given = {key: request.POST.get(key, "")[:40] for key in ("when", "day", "hour", "typed")}
    campaign.refresh_from_db()
    return render(request, "campaigns/send.html", {**facts, "problem": problem, "given": given}, status=422)


def _hesitation(request: MemberRequest, allowed: int, typed: bool) -> str | None:
    """Why we ask once more: more people than the page showed, or a number that was not typed."""
    seen = request.POST.get("people", "")
    if not (seen.isascii() and seen.isdigit()) or allowed > int(seen):
        return _("The audience grew since you looked: it has %(n)s people now. Look again, then send.") % {"n": allowed}
    if typed:
        answer = "".join(c for c in request.POST.get("typed", "") if c.isdigit())
        if answer != str(allowed):
            return _("This is far more than usual: type the number of people, %(n)s, to confirm.") % {"n": allowed}
    return None


_ACTS = {
    "pause": actions.pause,
    "resume": actions.resume,
    "stop": actions.stop,
    "confirm": actions.confirm,
    "take_back": actions.take_back,
    "remainder": actions.remainder,
    "resend": actions.resend,
    "duplicate": actions.duplicate,
    "inform": origins.add,
    "delete": actions.delete,
}


def _said(act: str) -> str:
    return {
        "pause": _("Paused: nothing more leaves until you resume."),
        "resume": _("Going on where it was paused."),
        "stop": _("Stopped: whoever was not sent to yet gets nothing."),
        "confirm": _("Confirmed: it starts now."),
        "take_back": _("Taken back: nothing has left, the campaign is a draft again."),
        "remainder": _("The remainder is on its way."),
        "resend": _("A new sending is on its way to those who did not click."),
        "duplicate": _("A copy is made."),
        "inform": _("The message now says where these people’s data came from; look at its end in the preview."),
        "delete": _("The draft is deleted."),
    }[act]


@require_POST
@audience(Role.EDITOR)
def act(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """One of the acts of a campaign; refused with a sentence when its state does not allow it."""
    campaign = one(request, campaign_id)
    name = request.POST.get("act", "")
    if name not in _ACTS:
        return refuse(request, "campaign", campaign.pk, said=_("There is no such act; nothing was changed."))
    try:
        made: Any = _ACTS[name](campaign, member=request.member)
    except actions.NotReady as error:
        sentence = " ".join(c.sentence(get_language() or "en") for c in error.checks)
        return refuse(request, "campaign", campaign.pk, said=sentence)
    except actions.Refused as error:
        return refuse(request, "campaign", campaign.pk, said=str(error))
    if name == "delete":
        return see(request, "campaigns", said=_said(name))
    if name == "duplicate":
        return see(request, "campaign", made.pk, said=_said(name))
    return see(request, "campaign" if name in ("take_back", "inform") else "live", campaign.pk, said=_said(name))


# ---- live

# Pieces of a bar of outcome: name, tone of the style sheet.
PIECES = (
    ("delivered", "ok"),
    ("deferred", "warn"),
    ("bounced", "bad"),
    ("expired", "bad"),
    ("cancelled", "calm"),
    ("suppressed", "calm"),
    ("waiting", "rest"),
)


def _live(campaign: Campaign) -> dict[str, Any]:
    found = progress.of(campaign)
    facts: dict[str, Any] = {"campaign": campaign, "p": found}
    if found is None:
        return facts
    sites = sites_of(found.sending)
    for site in sites:
        parts = [charts.Part(name, site[name], tone) for name, tone in PIECES]
        site["bar"] = charts.strip(parts)
    held = brake.present(campaign)
    facts.update(
        brake=brake.sentence(held) if held else "",
        sites=sites,
        excluded=Excluded.objects.filter(sending_id=found.sending.id).count(),
        take_back=campaign.state == State.SCHEDULED,
        wait=max(1, int((found.sending.not_before - found.sending.created_at).total_seconds())),
        minutes_to_start=max(1, round((found.seconds or 0) / 60)),
        countdown=found.seconds is not None and not found.late and not campaign.scheduled_at,
        left=found.waiting + found.counts["deferred"],
    )
    return facts


def _rhythm(found: progress.Progress) -> dict[str, Any]:
    """The last quarter of an hour as a drawing of the server, which a live one replaces where scripts run."""
    points = progress.rhythm(
        found.sending.id, found.sending.ended_at or timezone.now(), large=found.total > progress.LARGE
    )
    if len(points) < 2:
        return {}
    peak = max(value for _at, value in points)
    finding = _("At most %(rate)s messages a second in the last quarter of an hour.") % {"rate": rate(peak)}
    first = points[0][0]
    minutes: dict[int, list[float]] = {}
    for at, value in points:
        minutes.setdefault(at // 60 * 60, []).append(value)
    return {
        "points": ";".join(f"{at},{value:g}" for at, value in points),
        "rhythm_svg": charts.lines(
            "rhythm",
            [charts.Series(_("a second"), [value for _at, value in points], "one")],
            title=_("Messages delivered a second"),
            desc=finding,
            ticks=rate,
            labels=[f"{(at - first) // 60} min" if (at - first) % 60 == 0 else "" for at, _value in points],
        ),
        "rhythm_finding": finding,
        "rhythm_table": [(datetime.fromtimestamp(at, UTC), sum(v) / len(v)) for at, v in minutes.items()],
    }


@require_safe
@audience(Role.VIEWER)
def live(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The page; for a script the region that moves. ``?ask=stop`` asks what the dialog asks where scripts run."""
    campaign = one(request, campaign_id)
    facts = _live(campaign)
    if request.headers.get("HX-Request") == "true":
        answer = render(request, "campaigns/_live.html", facts)
    else:
        if facts["p"] is not None:
            facts |= _rhythm(facts["p"])
        facts["ask"] = request.GET.get("ask") == "stop"
        answer = render(request, "campaigns/live.html", facts)
    patch_vary_headers(answer, ["HX-Request"])
    answer["Cache-Control"] = "no-store"
    return answer
