"""Where do we stand, what is weighed, and the pack that shows it: six steps, assessments, evidence."""

from __future__ import annotations

from typing import Any

from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role
from envol.consent import assessments as service
from envol.consent import consultation, evidence_pack, reuse, six_steps, tasks
from envol.consent.models import Purpose
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import label
from envol.web.views.desk import WRITES, may_write
from envol.web.views.reuse import OUTCOMES as REUSED

OUTCOMES = {
    "needed": gettext_lazy("an impact assessment is due"),
    "not_needed": gettext_lazy("no impact assessment is due"),
    "done": gettext_lazy("the impact assessment is made"),
    "consult": gettext_lazy("a high risk stays: ask the authority first"),
    "holds": gettext_lazy("the interest outweighs"),
    "does_not_hold": gettext_lazy("the interest does not outweigh: ask for consent"),
}
_MOST = 4000


@require_safe
@audience(Role.VIEWER)
def steps(request: MemberRequest) -> HttpResponse:
    found = six_steps.steps(request.workspace)
    job = tasks.last_evidence(request.workspace)
    name = job.result.get("file", "") if job else ""
    facts = {
        "steps": found,
        "done": sum(1 for one in found if one.done),
        "job": job,
        "busy": job is not None and job.state in ("waiting", "running"),
        "waits": bool(name) and evidence_pack.file_of(request.workspace, name) is not None,
        "days": evidence_pack.KEPT.days,
        "may_write": may_write(request),
    }
    return render(request, "consent/desk/steps.html", facts)


@require_POST
@audience(WRITES)
def make_evidence(request: MemberRequest) -> HttpResponse:
    tasks.start_evidence(request.workspace, get_language() or "fr", request.member.pk)
    return see(request, "six_steps", anchor="pack")


@require_safe
@audience(WRITES)
def take_evidence(request: MemberRequest) -> HttpResponseBase:
    job = tasks.last_evidence(request.workspace)
    path = evidence_pack.file_of(request.workspace, job.result.get("file", "")) if job else None
    if path is None:
        return refuse(request, "six_steps", said=_("There is no pack any more: make a new one."))
    note(request.workspace, "member", "evidence.taken", actor_id=request.member.pk)
    return FileResponse(path.open("rb"), as_attachment=True, filename="evidence.zip", content_type="application/zip")


@require_safe
@audience(Role.VIEWER)
def assessments(request: MemberRequest) -> HttpResponse:
    newest = service.newest(request.workspace)
    known = {one.key: one for one in Purpose.objects.filter(workspace=request.workspace)}
    lines = []
    for purpose in Purpose.objects.filter(workspace=request.workspace).order_by("bit"):
        screened, weighed = newest.get((purpose.pk, service.DPIA)), newest.get((purpose.pk, service.LIA))
        lines.append(
            {
                "purpose": purpose,
                "label": label(purpose),
                "screened": screened,
                "screened_words": OUTCOMES[screened.outcome] if screened else "",
                "weighed": weighed,
                "weighed_words": OUTCOMES[weighed.outcome] if weighed else "",
                "reused": (reused := newest.get((purpose.pk, reuse.KIND))),
                "reused_words": REUSED[reused.outcome][0] if reused else "",
                "reused_from": known.get(reused.answers.get("from", "")) if reused else None,
            }
        )
    return render(request, "consent/desk/assessments.html", {"lines": lines, "may_write": may_write(request)})


@require_http_methods(["GET", "HEAD", "POST"])
@audience(WRITES)
def assessment(request: MemberRequest, purpose_id: int) -> HttpResponse:
    """One purpose: the nine criteria, the impact assessment when it is due, the balance of an interest."""
    purpose = Purpose.objects.filter(workspace=request.workspace, pk=purpose_id).first()
    if purpose is None:
        raise Http404
    newest = service.newest(request.workspace)
    screened, weighed = newest.get((purpose.pk, service.DPIA)), newest.get((purpose.pk, service.LIA))
    wrong: dict[str, str] = {}
    typed: dict[str, Any] = {**(screened.answers if screened else {}), **(weighed.answers if weighed else {})}
    if request.method == "POST":
        for key in (*service.PARTS, "why", "summary"):
            typed[key] = request.POST.get(key, "").replace("\r\n", "\n").replace("\0", "")[:_MOST]
        act = request.POST.get("act", "")
        member_id = request.member.pk
        if act == "screen":
            met = {name: name in request.POST.getlist("met") for name in service.CRITERIA}
            service.screen(request.workspace, purpose, met, typed["why"], member_id=member_id)
            return see(request, "assessment", purpose.pk, said=_("Kept. Earlier answers stay beside it."))
        if act == "done" and not typed["summary"].strip():
            wrong["summary"] = _("Say what was found and which measures follow.")
        elif act == "done":
            high = request.POST.get("high") == "yes"
            service.done(request.workspace, purpose, typed["summary"], high=high, member_id=member_id)
            return see(request, "assessment", purpose.pk, said=_("Kept. Earlier answers stay beside it."))
        elif act == "weigh":
            wrong = {key: _("Write it: the balance must be shown.") for key in service.PARTS if not typed[key].strip()}
            if not wrong:
                holds = request.POST.get("holds") == "yes"
                service.weigh(request.workspace, purpose, typed, holds, member_id=member_id)
                return see(request, "assessment", purpose.pk, said=_("Kept. Earlier answers stay beside it."))
        else:
            wrong["act"] = _("Choose one of the steps below.")
    proposed = service.proposed(request.workspace, purpose)
    answered = screened.answers if screened else dict.fromkeys(proposed, True)
    high = purpose.pk in service.must_consult(request.workspace)
    facts = {
        "purpose": purpose,
        "label": label(purpose),
        "high": high,
        "asked": consultation.content(request.workspace, purpose, label(purpose)) if high else [],
        "criteria": [
            {"name": name, "words": words, "met": bool(answered.get(name)), "seen": proposed.get(name, "")}
            for name, words in service.CRITERIA.items()
        ],
        "parts": [
            {"name": name, "words": words, "text": typed.get(name, ""), "wrong": wrong.get(name, "")}
            for name, words in service.PARTS.items()
        ],
        "typed": typed,
        "wrong": wrong,
        "screened": screened,
        "screened_words": OUTCOMES[screened.outcome] if screened else "",
        "weighed": weighed,
        "weighed_words": OUTCOMES[weighed.outcome] if weighed else "",
        "holds": weighed is None or weighed.outcome == "holds",
    }
    return render(request, "consent/desk/assessment.html", facts, status=422 if wrong else 200)
