"""To whom may data be passed on, who was given to whom, and what do partners have to be told?"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Role
from envol.consent import partners as service
from envol.consent import transfers
from envol.consent.models import Partner, Processor, Purpose
from envol.consent.record import country
from envol.contacts import export_files
from envol.contacts.filters import Filter
from envol.db import TooSlow, within
from envol.web.answers import refuse, see
from envol.web.desk_forms import countries
from envol.web.doors import MemberRequest, audience
from envol.web.templatetags.envol import label
from envol.web.views.desk import WRITES, may_write
from envol.web.views.processors import COLOURS

PATIENCE = 0.5
"""Seconds that the page waits for a figure."""


def facts_of(purpose: Purpose) -> dict[str, Any]:
    """The part of a purpose's page about partners."""
    if purpose.kind != "marketing":
        return {}
    found, figures = service.named(purpose), service.standing(purpose.workspace_id)
    return {
        "passing": True,
        "partners": [_line(one, figures.get(one.pk)) for one in found],
        "former": [
            _line(one, figures.get(one.pk))
            for one in Partner.objects.filter(purpose=purpose).exclude(until_version=None).order_by("-pk")[:50]
        ],
        "countries": countries(),
    }


def _line(one: Partner, figures: service.Standing | None) -> dict[str, Any]:
    entry = Processor.objects.filter(workspace=one.workspace, pk=one.processor_id).defer("dpa").first()
    verdict = transfers.judge(entry) if entry and entry.ended_on is None else None
    return {
        "one": one,
        "country": country(one.country),
        "entry": entry,
        "verdict": verdict,
        "words": COLOURS[verdict.colour] if verdict else "",
        "figures": figures or service.Standing(0, 0, 0, None),
    }


@require_POST
@audience(WRITES)
def add_partner(request: MemberRequest, purpose_id: int) -> HttpResponse:
    purpose = Purpose.objects.select_related("workspace").filter(workspace=request.workspace, pk=purpose_id).first()
    if purpose is None:
        raise Http404
    given = {key: request.POST.get(key, "").replace("\0", "") for key in ("name", "site", "country", "contact")}
    try:
        made = service.add(
            purpose, given["name"], given["site"], given["country"], given["contact"], member_id=request.member.pk
        )
    except service.Refusal as error:
        return refuse(request, "purpose", purpose.pk, said=str(error))
    said = _("Version %(n)s names %(name)s. It covers people who agree from now on.")
    facts = {"n": made.since_version, "name": made.name}
    return see(request, "purpose", purpose.pk, said=said % facts, anchor="partners")


def _one(request: MemberRequest, partner_id: int) -> Partner:
    mine = Partner.objects.select_related("purpose", "workspace")
    found = mine.filter(workspace=request.workspace, pk=partner_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def partner(request: MemberRequest, partner_id: int) -> HttpResponse:
    """One partner: whom its name covers, who was given to it, what it has to be told; and the acts."""
    one, wrong, how = _one(request, partner_id), {}, ""
    if request.method == "POST":
        if not may_write(request):
            return render(request, "errors/forbidden.html", {"least": WRITES}, status=403)
        act, how = request.POST.get("act", ""), request.POST.get("how", "")
        try:
            return see(request, "partner", one.pk, said=_act(request, one, act, how))
        except service.Refusal as error:
            wrong[act] = str(error)
    facts = {
        **_line(one, service.standing(request.workspace.pk).get(one.pk)),
        "label": label(one.purpose),
        "covered": _covered(one),
        "barred": service.barred(one),
        "mail": service.mail_of(one),
        "tellings": [
            {"at": entry.at, "people": entry.facts["people"], "how": entry.facts["how"] or _("by mail")}
            for entry in service.tellings(one)
        ],
        "most": service.MOST_MARKS,
        "may_write": may_write(request),
        "wrong": wrong,
        "how": how,
    }
    return render(request, "consent/partner.html", facts, status=422 if wrong else 200)


def _covered(one: Partner) -> int | None:
    """How many people a file for this partner would hold now; None where counting takes longer than a page may."""
    try:
        with within(PATIENCE):
            return len(export_files.people_of(one.workspace, Filter(), "csv", one.purpose, one))
    except TooSlow:
        return None


def _act(request: MemberRequest, one: Partner, act: str, how: str) -> str:
    me = request.member.pk
    match act:
        case "drop":
            service.drop(one, member_id=me)
            return _("The words name it no more. What it was given stays here until it was told.")
        case "mail":
            return _("Told of %(n)s people, by mail.") % {"n": service.tell(one, "", me)}
        case "otherwise":
            if not how.strip():
                raise service.Refusal(_("Say how it was told: by letter, by its portal, on which day."))
            return _("Noted: told of %(n)s people.") % {"n": service.tell(one, how, me)}
    raise service.Refusal(_("Choose one of the acts."))


@require_safe
@audience(WRITES)
def partner_list(request: MemberRequest, partner_id: int) -> HttpResponse:
    """Whose data this partner must use no more, as it knows them: one SHA-256 a line."""
    one = _one(request, partner_id)
    found = service.marks(one)
    if request.method != "HEAD":
        note(request.workspace, "member", "partner.list", one, actor_id=request.member.pk, people=len(found))
    answer = HttpResponse("email_sha256\r\n" + "".join(f"{mark}\r\n" for mark in found), content_type="text/csv")
    answer["Content-Disposition"] = f'attachment; filename="partner-{one.pk}.csv"'
    answer["Cache-Control"] = "no-store"
    return answer
