"""Who gets people's data, where, and is that lawful? The register of processors with its verdicts."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role
from envol.consent import data_map, desk, partners, tenants, transfers
from envol.consent.models import Processor
from envol.consent.record import country
from envol.web.answers import refuse, see
from envol.web.desk_forms import ProcessorForm
from envol.web.doors import MemberRequest, audience, may
from envol.web.views.desk import WAYS, WRITES, may_write
from envol.web.views.traffic import is_operator

COLOURS = {
    "green": gettext_lazy("lawful"),
    "amber": gettext_lazy("lawful, with something to do"),
    "red": gettext_lazy("not lawful: it must not begin, or must stop"),
}
_OUT = ("smart_host", "rspamd", "columns", "webhook")


def _line(one: Processor) -> dict[str, Any]:
    verdict = transfers.judge(one)
    return {
        "one": one,
        "role": transfers.ROLES.get(one.role, one.role),
        "kind": transfers.KINDS.get(one.kind, one.kind),
        "country": country(one.country),
        "verdict": verdict,
        "words": COLOURS[verdict.colour],
    }


@require_safe
@audience(Role.VIEWER)
def processors(request: MemberRequest) -> HttpResponse:
    """The register, the ways out of this installation, and the table of decisions behind the verdicts."""
    workspace = request.workspace
    ended = Processor.objects.filter(workspace=workspace).exclude(ended_on=None).defer("dpa").order_by("-ended_on")
    ways = []
    for flow in data_map.flows(workspace):
        if flow.kind in _OUT:
            verdict = transfers.may_lead_to(workspace, flow.kind, flow.host)
            ways.append(
                {"flow": flow, "words": WAYS[flow.kind][0], "verdict": verdict, "said": COLOURS[verdict.colour]}
            )
    facts = {
        "lines": [_line(one) for one in transfers.known(workspace)],
        "ended": list(ended[:100]),
        "told": tenants.told(workspace)[:20],
        "hosts": is_operator(request),
        "today": timezone.localdate(),
        "may_object": may(request, Role.OWNER),
        "ways": ways,
        "may_write": may_write(request),
    }
    return render(request, "consent/desk/processors.html", facts)


@require_POST
@audience(Role.OWNER)
def object_to_change(request: MemberRequest, notice_no: int) -> HttpResponse:
    if all(one.no != notice_no for one in tenants.told(request.workspace)):
        raise Http404
    try:
        tenants.object_to(request.workspace, notice_no, request.POST.get("said", ""), request.member.pk)
    except tenants.Refused as error:
        return refuse(request, "processors", said=str(error))
    return see(request, "processors", said=_("Kept. Whoever runs Envol reads it, with your words."), anchor="told")


@require_safe
@audience(Role.VIEWER)
def decisions(request: MemberRequest) -> HttpResponse:
    """The dated table: which countries and tools count, since when, until when."""
    table, today = transfers.table(), timezone.localdate()
    facts = {
        "as_of": date.fromisoformat(table["as_of"]),
        "eea": ", ".join(sorted(country(code) for code in table["eea"])),
        "adequate": sorted(
            (
                {
                    **one,
                    **_days(one),
                    "name": country(one["country"]),
                    "holds": transfers.adequate(one["country"], today) is not None,
                }
                for one in table["adequate"]
            ),
            key=lambda one: one["name"],
        ),
        "frameworks": [
            {**one, **_days(one), "name": transfers.TOOLS[one["key"]], "holds": transfers.in_force(one, today)}
            for one in table["frameworks"]
        ],
    }
    return render(request, "consent/desk/decisions.html", facts)


def _days(one: dict[str, Any]) -> dict[str, date | None]:
    """Since when and until when, as days that a page writes in the reader's way."""
    return {key: date.fromisoformat(one[key]) if one.get(key) else None for key in ("since", "until")}


@require_http_methods(["GET", "HEAD", "POST"])
@audience(WRITES)
def new_processor(request: MemberRequest) -> HttpResponse:
    begin = {"country": "FR", "name": request.GET.get("name", "")[:200], "host": request.GET.get("host", "")[:253]}
    if request.GET.get("kind", "") in transfers.KINDS:
        begin["kind"] = request.GET["kind"]
    form = ProcessorForm(*_sent(request), initial=begin)
    if request.method == "POST" and form.is_valid():
        made = desk.save_processor(request.workspace, form.written(), member_id=request.member.pk)
        return see(request, "processor", made.pk, said=_("Added. Read the verdict below."))
    return render(request, "consent/desk/processor.html", {"form": form, "may_write": True}, status=form.status)


def _sent(request: MemberRequest) -> tuple[Any, Any]:
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


def _one(request: MemberRequest, processor_id: int) -> Processor:
    found = Processor.objects.filter(workspace=request.workspace, pk=processor_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def processor(request: MemberRequest, processor_id: int) -> HttpResponse:
    """One recipient: the verdict on it with the ways out, its lines to change, the end of it."""
    one = _one(request, processor_id)
    if request.method == "POST" and not may_write(request):
        return render(request, "errors/forbidden.html", {"least": WRITES}, status=403)
    form = ProcessorForm(*_sent(request), instance=one)
    if request.method == "POST" and form.is_valid():
        desk.save_processor(request.workspace, form.written(), one, member_id=request.member.pk)
        return see(request, "processor", one.pk, said=_("Saved, and judged again."))
    kept = Processor.objects.get(pk=one.pk)  # the form has written on the other one
    facts = {"form": form, "may_write": may_write(request), **_line(kept)}
    return render(request, "consent/desk/processor.html", facts, status=form.status)


@require_POST
@audience(WRITES)
def end_processor(request: MemberRequest, processor_id: int) -> HttpResponse:
    one = _one(request, processor_id)
    if one.ended_on is not None:
        return refuse(request, "processor", one.pk, said=_("It had ended already."))
    desk.end_processor(one, member_id=request.member.pk)
    partners.drop_behind(one, member_id=request.member.pk)
    said = _("It is noted as ended. Ask for a written confirmation that the data were deleted (art. 28(3)(g)).")
    return see(request, "processors", said=said)


@require_safe
@audience(WRITES)
def contract(request: MemberRequest, processor_id: int) -> HttpResponse:
    one = _one(request, processor_id)
    if one.dpa is None:
        return refuse(request, "processor", one.pk, said=_("No contract was brought as a file."))
    answer = HttpResponse(bytes(one.dpa), content_type="application/pdf")
    answer["Content-Disposition"] = f'attachment; filename="contract-{one.pk}.pdf"'
    return answer
