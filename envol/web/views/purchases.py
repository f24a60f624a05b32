"""Who buys, how often, for how much? Scores as a map, tiers with what they give, delays before the same is offered."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.jobs import cancel
from envol.accounts.models import Job, Role, Workspace
from envol.audience import delays, scores, tasks, tiers
from envol.audience.models import Expectation, Privilege, Scoring
from envol.audience.standings import TIERS
from envol.contacts.models import Order
from envol.web import purchases
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience

BUSY = ("waiting", "running")
FEW_BUYERS = 100  # below it fifths say little
LONGEST_TEXT, LONGEST_CODE, LONGEST_EARLY = 500, 60, 60


def _language() -> str:
    return get_language() or "en"


def _edits(request: HttpRequest) -> bool:
    return bool(request.member.role != Role.VIEWER)  # type: ignore[attr-defined]


def _job(workspace: Workspace) -> Job | None:
    return Job.objects.filter(workspace=workspace, kind=tasks.SCORES).order_by("-pk").first()


@require_safe
@audience(Role.VIEWER)
def rfm(request: MemberRequest) -> HttpResponse:
    """The map, the names, the months. For htmx, while scores are made: how far that is."""
    workspace: Workspace = request.workspace
    job = _job(workspace)
    busy = job is not None and job.state in BUSY
    if request.headers.get("HX-Request") == "true":
        answer = render(request, "purchases/_job.html", {"job": job, "busy": busy})
        if not busy:
            answer["HX-Refresh"] = "true"
        answer["Cache-Control"] = "no-store"
        patch_vary_headers(answer, ["HX-Request"])
        return answer
    scoring = scores.of(workspace)
    facts: dict[str, Any] = {"scoring": scoring, "job": job, "busy": busy}
    if scoring is None:
        facts["orders"] = Order.objects.filter(workspace_id=workspace.pk).exists()
    elif scoring.buyers:
        facts["expectation"] = Expectation.objects.filter(workspace=workspace).first()
        page = purchases.Page(workspace, scoring, _language(), _edits(request))
        facts |= {
            "page": page,
            "few": page.people < FEW_BUYERS,
            "revenue": page.cash(page.amount),
            "later": range(1, purchases.MONTHS + 1),
        }
    answer = render(request, "purchases/rfm.html", facts)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


@require_POST
@audience(Role.EDITOR)
def compute_scores(request: MemberRequest) -> HttpResponse:
    """Begin a computation, or stop the one that runs."""
    workspace: Workspace = request.workspace
    if request.POST.get("act") == "cancel":
        job = _job(workspace)
        if job is None or not cancel(job.pk):
            return refuse(request, "rfm", said=_("Nothing is running any more."))
        return see(request, "rfm", said=_("It stops at the next step; the scores stay as they were."))
    if not Order.objects.filter(workspace_id=workspace.pk).exists() and not Scoring.objects.filter(workspace=workspace):
        return refuse(request, "rfm", said=_("Nobody has bought anything yet; scores are made from orders."))
    tasks.start_scores(workspace)
    return see(request, "rfm")


# -- tiers -------------------------------------------------------------------------------------


@require_safe
@audience(Role.VIEWER)
def tiers_page(request: MemberRequest) -> HttpResponse:
    return render(request, "purchases/tiers.html", _tiers(request, {}, {}))


def _tiers(
    request: MemberRequest, typed: dict[str, dict[str, str]], wrong: dict[str, dict[str, str]]
) -> dict[str, Any]:
    workspace: Workspace = request.workspace
    scoring = scores.of(workspace)
    given = tiers.privileges(workspace)
    held = {one.tier: one for one in tiers.kept_standings(scoring)} if scoring else {}
    total = sum(one.people for one in held.values())
    revenue = sum(one.amount for one in held.values())
    language = _language()
    rows = []
    for key in TIERS:
        one = held.get(key)
        name = purchases.tier_word(key, language)
        kept = {"text": given[key].text, "code": given[key].code, "early_days": str(given[key].early_days or "")}
        opened = one is not None and one.people and _edits(request)
        rows.append(
            {
                "key": key,
                "name": name,
                "href": purchases.opened(name, {"field": "tier", "op": "is", "value": key}) if opened else "",
                "people": one.people if one else 0,
                "share": purchases.share_of(one.people, total, language) if one else "–",
                "part": purchases.share_of(one.amount, revenue, language) if one else "–",
                "from": purchases.cash(one.threshold, scoring.currency, language)
                if one and scoring and one.threshold is not None
                else "",
                "given": typed.get(key, kept),
                "wrong": wrong.get(key, {}),
            }
        )
    facts: dict[str, Any] = {"scoring": scoring, "rows": rows, "wrong": bool(wrong)}
    if scoring and scoring.reviewed_on:
        facts["made"] = purchases.day(scoring.reviewed_on, language)
        facts["review"] = purchases.day(tiers.next_review(scoring.reviewed_on), language)
    return facts


@require_POST
@audience(Role.EDITOR)
def change_tiers(request: MemberRequest) -> HttpResponse:
    """What each tier gives, all on one form."""
    posted = request.POST
    typed = {
        key: {part: posted.get(f"{part}.{key}", "").strip() for part in ("text", "code", "early_days")} for key in TIERS
    }
    wrong: dict[str, dict[str, str]] = {}
    for key, parts in typed.items():
        for part, most in (("text", LONGEST_TEXT), ("code", LONGEST_CODE)):
            if len(parts[part]) > most:
                said = _("Write at most %(n)s characters.") % {"n": most}
                wrong.setdefault(key, {})[part] = said
            elif "\0" in parts[part]:
                wrong.setdefault(key, {})[part] = _("This text holds a character that cannot be stored; type it again.")
        if _whole(parts["early_days"] or "0", LONGEST_EARLY) is None:
            said = _("Write a number of days between %(low)s and %(high)s.") % {"low": 0, "high": LONGEST_EARLY}
            wrong.setdefault(key, {})["early_days"] = said
    if wrong:
        return render(request, "purchases/tiers.html", _tiers(request, typed, wrong), status=422)
    before = tiers.privileges(request.workspace)
    for key, parts in typed.items():
        early = _whole(parts["early_days"] or "0", LONGEST_EARLY) or 0
        if _same(before[key], parts, early):
            continue
        tiers.give(
            request.workspace,
            key,
            text=parts["text"],
            code=parts["code"],
            early_days=early,
            actor_id=request.member.pk,
        )
    return see(request, "tiers", said=_("What the tiers give is saved."))


def _same(kept: Privilege, parts: dict[str, str], early: int) -> bool:
    return (kept.text, kept.code, kept.early_days) == (parts["text"], parts["code"], early)


def _whole(text: str, most: int) -> int | None:
    ok = text.isascii() and text.isdigit() and len(text) < 6
    return int(text) if ok and int(text) <= most else None


# -- delays ------------------------------------------------------------------------------------


@require_safe
@audience(Role.VIEWER)
def delays_page(request: MemberRequest) -> HttpResponse:
    return render(request, "purchases/delays.html", _delays(request, {}, {}))


def _delays(request: MemberRequest, typed: dict[str, str], wrong: dict[str, str]) -> dict[str, Any]:
    workspace: Workspace = request.workspace
    rows = []
    for n, one in enumerate(delays.table(workspace)):
        rule = {"field": "orders.just_bought", "op": "of_category", "value": [one.category]}
        rows.append(
            {
                "n": n,
                "delay": one,
                "value": typed.get(one.category, str(one.days) if one.own else ""),
                "wrong": wrong.get(one.category, ""),
                "href": purchases.opened(_("Has just bought: %(what)s") % {"what": one.category}, rule)
                if _edits(request) and one.buyers
                else "",
            }
        )
    usual = delays.default(workspace)
    return {"rows": rows, "usual": typed.get("", str(usual)), "default": usual, "usual_wrong": wrong.get("", "")}


@require_POST
@audience(Role.EDITOR)
def change_delays(request: MemberRequest) -> HttpResponse:
    """The delay of each category that the form names; an empty field takes a category's own away."""
    posted = request.POST
    typed = {"": posted.get("usual", "").strip()}
    for category, days in zip(posted.getlist("category")[:500], posted.getlist("days")[:500], strict=False):
        if category and len(category) <= 100 and "\0" not in category:
            typed[category.lower()] = days.strip()
    said = _("Write a number of days between %(low)s and %(high)s.") % {"low": 0, "high": delays.MOST}
    wrong = {key: said for key, days in typed.items() if (days or not key) and _whole(days, delays.MOST) is None}
    if wrong:
        return render(request, "purchases/delays.html", _delays(request, typed, wrong), status=422)
    workspace: Workspace = request.workspace
    kept = {one.category: one.days for one in delays.table(workspace) if one.own}
    kept[""] = delays.default(workspace)
    for key, days in typed.items():
        wanted = _whole(days, delays.MOST) if days else None
        if wanted != kept.get(key):
            delays.set_days(workspace, key, wanted, actor_id=request.member.pk)
    return see(request, "delays", said=_("The delays are saved; rules follow them at once."))
