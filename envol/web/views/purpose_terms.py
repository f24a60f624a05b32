"""How long does a permission last, whose ends soon, and who may be asked? The part of a purpose's page about time."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from envol.accounts.models import Role
from envol.audience import engine
from envol.campaigns import asking
from envol.campaigns.refusals import Refused
from envol.consent import lapse
from envol.consent.models import Purpose
from envol.db import TooSlow, within
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.views.campaigns import sender_before

PATIENCE = 0.5
"""Seconds that the page waits for its figures: on a large base it comes without them, and the act counts anyhow."""


def facts_of(purpose: Purpose) -> dict[str, Any]:
    """What the page shows of time: the term, how many permissions end when, how many people were never asked."""
    told: dict[str, Any] = {"termed": purpose.kind != "transactional", "months": purpose.months}
    try:
        with within(PATIENCE):
            if purpose.months is not None:
                told |= {"ages": lapse.ages(purpose), "begins": _begins(purpose)}
            if purpose.kind == "marketing":
                told |= {"taken_over": lapse.taken_over(purpose), "legacy_months": purpose.legacy_months}
                told |= {"legacy_ages": lapse.ages(purpose, legacy=True), "legacy_from": purpose.legacy_from}
            if purpose.kind == "measuring":
                first = _written_for(purpose)
                told["unasked"] = (
                    engine.count(purpose.workspace, asking.people_to_measure(first)) if first is not None else 0
                )
    except TooSlow:
        told["slow"] = True
    return told


def _begins(purpose: Purpose) -> Any:
    """The day from which the term counts, while it lies ahead."""
    day = purpose.lapses_from
    return day if day is not None and day > purpose.workspace.today() else None


def _written_for(purpose: Purpose) -> Purpose | None:
    return Purpose.objects.filter(workspace=purpose.workspace, key="newsletter").first()


def _one(request: MemberRequest, purpose_id: int) -> Purpose:
    found = Purpose.objects.select_related("workspace").filter(workspace=request.workspace, pk=purpose_id).first()
    if found is None:
        raise Http404
    return found


@require_POST
@audience(Role.OWNER)
def purpose_term(request: MemberRequest, purpose_id: int) -> HttpResponse:
    found, typed = _one(request, purpose_id), request.POST.get("months", "").strip()
    legacy = request.POST.get("which") == "legacy"
    number = int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 5 else 0
    try:
        lapse.change(found, None if not typed else number, request.member.pk, legacy=legacy)
    except ValueError as error:
        return refuse(request, "purpose", found.pk, said=str(error))
    if (found.legacy_months if legacy else found.months) is None:
        return see(request, "purpose", found.pk, said=_("A permission lasts until the person says no."), anchor="term")
    said = _("Saved. Nothing ends before %(day)s: ask people until then.") % {
        "day": found.legacy_from if legacy else found.lapses_from
    }
    return see(request, "purpose", found.pk, said=said, anchor="term")


@require_POST
@audience(Role.EDITOR)
def ask_again(request: MemberRequest, purpose_id: int) -> HttpResponse:
    """A campaign made ready, unmeasured; nothing leaves before somebody sends it."""
    found = _one(request, purpose_id)
    more = {"base_url": settings.ENVOL.base_url, "member": request.member, **sender_before(request.workspace)}
    try:
        if found.kind == "measuring":
            made = asking.for_measuring(request.workspace, **{**more, "purpose": _written_for(found)})
        else:
            made = asking.for_keeping(found, legacy=request.POST.get("which") == "legacy", **more)
    except Refused as error:
        return refuse(request, "purpose", found.pk, said=str(error))
    return see(
        request, "campaign", made.pk, said=_("The campaign is ready to be read. Nothing leaves before you say so.")
    )
