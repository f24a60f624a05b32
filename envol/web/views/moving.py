"""Moving in: what stands in another service, what of it comes here, and the way back."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.jobs import cancel
from envol.accounts.models import Job, Role
from envol.api.moving import asking, jobs
from envol.api.moving.move import KIND
from envol.campaigns.refusals import Refused
from envol.consent.models import Purpose
from envol.consent.purposes import ASKED_ONCE
from envol.contacts import imports
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.views.campaigns import sender_before

BUSY = ("waiting", "running")
GROUNDS = {"customer": gettext_lazy("Existing customers"), "business": gettext_lazy("Business addresses")}
REFUSALS = {
    "excluded": gettext_lazy("left out of campaigns there"),
    "unsubscribed": gettext_lazy("unsubscribed there"),
    "hard_bounce": gettext_lazy("mailbox does not exist"),
    "complaint": gettext_lazy("complained there"),
}


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def moves(request: MemberRequest) -> HttpResponse:
    """Where one comes from; nothing is written before the figures were seen."""
    problem, given = "", request.POST
    if request.method == "POST":
        files = [(str(one.name), one.chunks()) for one in request.FILES.getlist("files") if one.name]
        account = {name: given.get(name, "").strip() for name in ("key", "secret", "address")}
        if not files and not (account["key"] and account["secret"]):
            problem = _("Choose the files of the other service, or give the key and the secret of its account.")
        elif account["secret"] and not files and not account["address"].startswith("https://"):
            problem = _("The address of the other service begins with https://.")
        else:
            facts = {"purpose": given.get("purpose", ""), "member": request.member.pk, **({} if files else account)}
            try:
                job = jobs.begin(request.workspace, facts, files)
            except ImportProblem as error:
                problem = str(error)
            else:
                return see(request, "move", job.pk)
    page = page_of(request, Job.objects.filter(workspace=request.workspace, kind=KIND))
    for row in page.rows:
        row.shown = _state(row)
    purposes = Purpose.objects.filter(workspace=request.workspace, kind="marketing").exclude(key=ASKED_ONCE)
    facts = {"page": page, "problem": problem, "given": given, "purposes": purposes.order_by("bit")}
    return render(request, "imports/moves.html", facts, status=422 if problem else 200)


def _one(request: MemberRequest, move_id: int) -> Job:
    found = Job.objects.filter(workspace=request.workspace, kind=KIND, pk=move_id).first()
    if found is None:
        raise Http404
    return found


def _state(job: Job) -> str:
    """A word of the statuses: what was done with it so far."""
    if job.state != "done":
        return job.state
    return {"tried": "checked", "moved": "done", "undone": "undone"}.get(job.result.get("state", ""), "done")


@require_safe
@audience(Role.OWNER)
def move(request: MemberRequest, move_id: int) -> HttpResponse:
    return _page(request, _one(request, move_id))


def _page(request: MemberRequest, job: Job, given: dict[str, str] | None = None, problem: str = "") -> HttpResponse:
    report: dict[str, Any] = job.result.get("report") or {}
    facts = {
        "job": job,
        "busy": job.state in BUSY,
        "shown": _state(job),
        "report": report,
        "refused": [(REFUSALS.get(why, why), n) for why, n in report.get("refusals", {}).items()],
        "properties": [(name, report["properties"][name]) for name in report.get("new_properties", [])],
        "values_refused": sum((report.get("counts", {}).get("refused") or {}).values()),
        "import_id": job.result.get("import"),
        "templates": (job.result.get("done") or {}).get("templates", {}),
        "given": given or {},
        "problem": problem,
        "asked": [(GROUNDS[one["ground"]], one["people"], one["campaign"]) for one in job.result.get("asked", ())],
    }
    if job.result.get("state") == "tried":
        tried = Import.objects.filter(workspace=request.workspace, pk=facts["import_id"] or 0).only("origin").first()
        facts["origin"] = tried.origin if tried else {}
    if facts["shown"] == "done" and report.get("not_evidenced"):
        facts["standing"] = asking.standing(request.workspace, job)
    partial = request.headers.get("HX-Request") == "true"
    template = "imports/_move.html" if partial else "imports/move.html"
    answer = render(request, template, facts, status=422 if problem else 200)
    if partial and not facts["busy"]:
        answer["HX-Refresh"] = "true"
    patch_vary_headers(answer, ["HX-Request"])
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
@audience(Role.OWNER)
def act_on_move(request: MemberRequest, move_id: int) -> HttpResponse:
    """Move in, drop what was tried, take back what was moved, stop what runs."""
    job, act = _one(request, move_id), request.POST.get("act", "")
    if act == "cancel":
        if not cancel(job.pk):
            return refuse(request, "move", job.pk, said=_("Nothing is running any more."))
        return see(request, "move", job.pk, said=_("It stops after the lines at hand."))
    if job.state in BUSY:
        return refuse(request, "move", job.pk, said=_("Something is running already; wait until it ends."))
    now = job.result.get("state", "")
    if act == "run" and now == "tried" and job.state != "cancelled":
        try:
            _say_origin(request, job)
        except ImportProblem as error:
            return _page(request, job, request.POST.dict(), str(error))
        jobs.start(job, "run")
        return see(request, "move", job.pk)
    if act == "drop" and now != "moved":
        jobs.drop(job)
        return see(request, "moves", said=_("Nothing was taken in, and what came is gone."))
    if act == "undo" and now == "moved":
        jobs.start(job, "undo")
        return see(request, "move", job.pk)
    if act == "ask" and now == "moved":
        return _ask(request, job)
    return refuse(request, "move", job.pk, said=_("There is no such act; nothing was changed."))


def _say_origin(request: MemberRequest, job: Job) -> None:
    """Who gave these people's data to this organisation (GDPR art. 14). Raises ImportProblem."""
    imp = Import.objects.filter(workspace=request.workspace, pk=job.result.get("import", 0)).first()
    if imp is None:
        raise ImportProblem(_("What was tried is gone: begin again with the same files."))
    by = request.POST.get("given_by", "")
    by = by if by in (imports.PEOPLE, imports.OTHER) else ""
    if imp.state not in ("cancelled", "failed") or by:  # taken up again it was said before
        imports.set_origin(imp, by, request.POST.get("origin", ""), request.POST.get("received_on", ""))


def _ask(request: MemberRequest, job: Job) -> HttpResponse:
    """The campaign that asks those whom the law lets us write to once; nothing leaves before somebody sends it."""
    given = request.POST.dict()
    facts = {**given, "optout_offered": "optout_offered" in given}
    try:
        made = asking.ask(
            request.workspace, job, given.get("ground", ""), facts, member=request.member,
            base_url=settings.ENVOL.base_url, **sender_before(request.workspace),
        )  # fmt: skip
    except Refused as error:
        return _page(request, job, given, str(error))
    said = _("The campaign is ready to be read. Nothing leaves before you say so.")
    return see(request, "campaign", made.pk, said=said)
