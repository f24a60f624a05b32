"""Which changes of processors wait to be told to every workspace? For whoever runs Envol for others (art. 28(2))."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.consent import tenants
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.views.traffic import is_operator

TOLD = 50


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.OWNER)
def planned_changes(request: MemberRequest) -> HttpResponse:
    """What waits, when it is told by itself, who objected; and a form for one more change."""
    if not is_operator(request):
        return _not_hers(request)
    typed = {name: request.POST.get(name, "").replace("\0", "") for name in ("subject", "text", "on", "days")}
    problem = ""
    if request.method == "POST":
        try:
            made = tenants.plan(
                typed["subject"], typed["text"], _day(typed["on"]), days=_days(typed["days"]),
                member_id=request.member.pk,
            )  # fmt: skip
        except tenants.Refused as error:
            problem = str(error)
        else:
            said = _("Written down: every workspace is told on %(day)s.") % {"day": made.tell_on.isoformat()}
            return see(request, "planned_changes", said=said)
    facts: dict[str, Any] = {
        "waiting": tenants.planned(),
        "told": [one for one in tenants.told() if one.kind == tenants.PROCESSOR][:TOLD],
        "typed": typed,
        "days": typed["days"] or str(tenants.DAYS),
        "problem": problem,
        "earliest": tenants.earliest(tenants.DAYS),
    }
    return render(request, "consent/desk/planned.html", facts, status=422 if problem else 200)


def _not_hers(request: MemberRequest) -> HttpResponse:
    return refuse(request, "processors", said=_("Only the owners of the first workspace, who run Envol, plan changes."))


def _day(typed: str) -> date:
    try:
        return date.fromisoformat(typed)
    except ValueError:
        raise tenants.Refused(_("Name the day from which the change holds.")) from None


def _days(typed: str) -> int:
    if not typed:
        return tenants.DAYS
    if not (typed.isascii() and typed.isdigit() and len(typed) < 4 and 0 < int(typed) < 366):
        raise tenants.Refused(_("It is told 1 to 365 days before."))
    return int(typed)


@require_POST
@audience(Role.OWNER)
def cancel_change(request: MemberRequest, notice_no: int) -> HttpResponse:
    if not is_operator(request) or all(one.no != notice_no for one in tenants.planned()):
        raise Http404
    try:
        tenants.cancel(notice_no, member_id=request.member.pk)
    except tenants.Refused as error:
        return refuse(request, "planned_changes", said=str(error))
    return see(request, "planned_changes", said=_("Taken back: nobody will be told of it."))
