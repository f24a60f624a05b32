"""Which foreign authority wants data, on what ground, and what was answered? The register of art. 48."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Member
from envol.consent import demands as service
from envol.consent.models import Demand
from envol.web.answers import see
from envol.web.demand_forms import AnswerForm, DecisionForm, NewDemandForm, country_name
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.views.desk import WRITES


@require_http_methods(["GET", "HEAD", "POST"])
@audience(WRITES)
def demands(request: MemberRequest) -> HttpResponse:
    """The register, the newest first, and a form to write one down."""
    form = NewDemandForm(request.POST or None, initial={"received_on": request.workspace.today()})
    if request.method == "POST" and form.is_valid():
        try:
            made = service.receive(request.workspace, member_id=request.member.pk, **form.cleaned_data)
        except service.Refused as refused:
            form.add_error(None, str(refused))
        else:
            return see(request, "demand", made.pk, said=_("It is written down. Decide before anything is answered."))
    page = page_of(request, Demand.objects.select_related("workspace").filter(workspace=request.workspace))
    page.rows[:] = [{"one": one, "country": country_name(one.country), "state": _state(one)} for one in page.rows]
    status = 422 if form.is_bound else 200
    return render(request, "consent/desk/demands.html", {"page": page, "form": form}, status=status)


def _state(one: Demand) -> str:
    if service.is_late(one):
        return "late"
    return "answered" if one.answered_on else one.decision or "open"


def _one(request: MemberRequest, demand_id: int) -> Demand:
    found = Demand.objects.select_related("workspace").filter(workspace=request.workspace, pk=demand_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD"])
@audience(WRITES)
def demand(request: MemberRequest, demand_id: int) -> HttpResponse:
    return _page(request, _one(request, demand_id))


def _page(request: MemberRequest, one: Demand, form: Any = None) -> HttpResponse:
    if form is None:
        form = AnswerForm(initial={"on": request.workspace.today()}) if one.decision else DecisionForm()
    by = Member.objects.filter(pk=one.decided_by).select_related("user").first() if one.decided_by else None
    facts = {"one": one, "country": country_name(one.country), "state": _state(one), "by": by.user if by else None}
    status = 422 if form.is_bound else 200
    return render(request, "consent/desk/demand.html", facts | {"form": form}, status=status)


@require_POST
@audience(WRITES)
def demand_step(request: MemberRequest, demand_id: int) -> HttpResponse:
    """Decide, then answer."""
    one = _one(request, demand_id)
    decides = request.POST.get("act") == "decide"
    form: Any = DecisionForm(request.POST) if decides else AnswerForm(request.POST)
    if not form.is_valid():
        return _page(request, one, form)
    given = form.cleaned_data
    try:
        if decides:
            service.decide(one, given["decision"], given["why"], request.member.pk, agreement=given["agreement"])
        else:
            service.answer(one, given["said"], given["on"], request.member.pk)
    except service.Refused as refused:
        form.add_error(None, str(refused))
        return _page(request, one, form)
    said = _("Decided. Write down what the authority is answered.") if decides else _("Written down.")
    return see(request, "demand", one.pk, said=said)
