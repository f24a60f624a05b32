"""What exactly will happen, and is it going well? The last look before sending, the acts, the live page."""

from __future__ import annotations

import statistics
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role
from envol.campaigns import actions, checks
from envol.campaigns.models import Campaign, State
from envol.outbound import states
from envol.outbound.models import Excluded, Outcome, Send, Sending
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.figures import sendings_of, sites_of
from envol.web.views.campaigns import facts_of, one

UNUSUAL = 10  # times the usual audience, above which the number must be typed
MANY = 1000
DONE = ("delivered", "bounced", "expired", "cancelled", "suppressed")
ENDED = (State.SENT, State.STOPPED, State.FAILED)


def _usual(campaign: Campaign) -> tuple[int | None, float | None]:
    """People of a usual sending of this workspace, and its messages a second; None before the first."""
    recent = list(
        Sending.objects.filter(workspace=campaign.workspace, kind__in=checks.KINDS, ended_at__isnull=False).order_by(
            "-id"
        )[:10]
    )
    sizes = dict(
        Send.objects.filter(sending_id__in=[s.id for s in recent]).values_list("sending_id").annotate(n=Count("no"))
    )
    rates = [
        sizes[s.id] / max((s.ended_at - s.started_at).total_seconds(), 1.0)
        for s in recent
        if s.started_at and s.ended_at and sizes.get(s.id, 0) >= 50
    ]
    return (
        int(statistics.median(sizes.values())) if sizes else None,
        statistics.median(rates) if rates else None,
    )


def must_type(allowed: int, usual: int | None) -> bool:
    """Is this so much more than usual that the number has to be typed?"""
    return allowed > MANY if usual is None else allowed > UNUSUAL * max(usual, 1)


def _look(campaign: Campaign) -> dict[str, Any]:
    facts = facts_of(campaign)
    who = facts["who"]
    usual, rate = _usual(campaign)
    allowed = who.allowed if who else 0
    facts.update(
        left_out=sum(who.excluded.values()) if who else 0,
        minutes=max(1, round(allowed / rate / 60)) if rate and allowed else None,
        typed=must_type(allowed, usual),
        usual=usual,
        take_back=checks.take_back_seconds(campaign),
        zone=campaign.workspace.time_zone,
        now=timezone.now(),
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
            return see(request, "live" if campaign.state not in ENDED else "report", campaign.pk)
        return render(request, "campaigns/send.html", _look(campaign))
    facts = _look(campaign)
    allowed = facts["who"].allowed if facts["who"] else 0
    problem = _hesitation(request, allowed, facts["typed"])
    at = None
    if problem is None and request.POST.get("when") == "later":
        at = _moment(request.POST.get("at", ""), campaign.workspace.time_zone)
        if at is None:
            problem = _("Choose a day and hour for the sending.")
    if problem is None:
        try:
            actions.send(campaign, request.member, at=at)
        except actions.NotReady as error:
            problem = " ".join(c.sentence(get_language() or "en") for c in error.checks)
        except actions.Refused as error:
            problem = str(error)
        else:
            return see(request, "live", campaign.pk)
    return render(request, "campaigns/send.html", {**facts, "problem": problem}, status=422)


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


def _moment(text: str, zone: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    except ValueError:
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
    return see(request, "campaign" if name == "take_back" else "live", campaign.pk, said=_said(name))


# ---- live


def _live(campaign: Campaign) -> dict[str, Any]:
    sendings = sendings_of(campaign)
    sending = sendings[0] if sendings else None
    facts: dict[str, Any] = {"campaign": campaign, "sending": sending, "ended": campaign.state in ENDED}
    if sending is None:
        return facts
    now = timezone.now()
    counts = states.counts(sending.id)
    done = sum(counts[state] for state in DONE)
    recent = Outcome.objects.filter(sending_id=sending.id, state="delivered", at__gte=now - timedelta(seconds=15))
    running = campaign.state in (State.SENDING, State.PREPARING)
    rate = recent.count() / 15 if running else 0.0
    if not running and sending.started_at and sending.ended_at:
        rate = done / max((sending.ended_at - sending.started_at).total_seconds(), 1.0)
    left = counts["accepted"] - done
    seconds = int((sending.not_before - now).total_seconds()) + 1
    facts.update(
        counts=counts,
        done=done,
        waiting=left - counts["deferred"],
        rate=rate,
        minutes=round(left / rate / 60) if running and rate and left else None,
        excluded=Excluded.objects.filter(sending_id=sending.id).count(),
        sites=sites_of(sending),
        seconds=seconds if campaign.state == State.SCHEDULED and 0 < seconds <= 3600 else None,
        late=checks.late(sending, now),
        take_back=campaign.state == State.SCHEDULED,
    )
    return facts


@require_safe
@audience(Role.VIEWER)
def live(request: MemberRequest, campaign_id: int) -> HttpResponse:
    """The page; for htmx the region that moves, which asks again every two seconds until it ended."""
    campaign = one(request, campaign_id)
    partial = request.headers.get("HX-Request") == "true"
    answer = render(request, "campaigns/_live.html" if partial else "campaigns/live.html", _live(campaign))
    patch_vary_headers(answer, ["HX-Request"])
    answer["Cache-Control"] = "no-store"
    return answer
