"""Who has gone quiet, and why? Stages with their people, reasons answered and told, and the rhythm stages follow."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Role, Workspace
from envol.audience import counting, engine, reasons, rhythm, stages
from envol.audience.catalogue import Catalogue
from envol.contacts.models import Contact, Order
from envol.contacts.people import mask_text
from envol.db import TooSlow, is_large, within
from envol.web.answers import see
from envol.web.charts import bar
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses
from envol.web.purchases import opened, word


@require_safe
@audience(Role.VIEWER)
def inactivity(request: MemberRequest) -> HttpResponse:
    """On a large base the figures follow the page."""
    if "whole" not in request.GET and is_large(Contact._meta.db_table):
        return render(request, "audience/inactivity.html", {"later": True, **_setting(request)})
    try:
        with within(counting.CEILING):
            return _page(request)
    except TooSlow:
        return render(request, "audience/inactivity.html", {"slow": True, **_setting(request)})


def _setting(request: MemberRequest, typed: str | None = None, wrong: str = "") -> dict[str, Any]:
    kept = rhythm.of(request.workspace)
    return {"rhythm": kept, "sends": str(kept.sends) if typed is None else typed, "wrong": wrong}


def _page(request: MemberRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    workspace: Workspace = request.workspace
    catalogue, language = Catalogue(workspace), get_language() or "en"
    editor = request.member.role != Role.VIEWER

    def count(rule: dict[str, Any]) -> int:
        tree = {"v": 1, "match": "all", "rules": [rule]}
        told = counting.told_by_columns(catalogue, tree)
        return sum(told.values()) if told is not None else engine.count(catalogue, tree)

    def line(name: str, rule: dict[str, Any]) -> dict[str, Any]:
        people = count(rule)
        return {"name": name, "people": people, "href": opened(name, rule) if editor and people else ""}

    def stages_of(caption: str, field: str, labels: dict[str, tuple[str, str]]) -> dict[str, Any]:
        found = [line(word(labels, key, language), {"field": field, "op": "in", "value": [key]}) for key in labels]
        most = max((one["people"] for one in found), default=0)
        return {"caption": caption, "rows": [{**one, "bar": bar(one["people"], most)} for one in found]}

    staged = [stages_of(_("Stages of activity"), "activity.stage", stages.LABELS)]
    if Order.objects.filter(workspace_id=workspace.pk).exists():
        staged.append(stages_of(_("Stages of purchase"), "orders.stage", stages.FUNNEL))
    answered = reasons.counts(workspace)
    told: list[dict[str, Any]] = []
    for key in reasons.LABELS:
        name = word(reasons.LABELS, key, language)
        said = {"field": "inactivity.answer", "op": "in", "value": [key]}
        shown = {"field": "inactivity.reason", "op": "in", "value": [key], "where": {"origin": "inferred"}}
        n = answered.get(key, 0)
        told.append(
            {
                "name": name,
                "answered": {"people": n, "href": opened(name, said) if editor and n else ""},
                "detected": line(name, shown) if key in reasons.DETECTED else None,
            }
        )
    most_told = max((one["answered"]["people"] for one in told), default=0)
    sees = sees_addresses(request)
    facts: dict[str, Any] = {
        "staged": staged,
        "reasons": [{**one, "bar": bar(one["answered"]["people"], most_told)} for one in told],
        "answers": sum(answered.values()),
        "words": [(text if sees else mask_text(text), at) for text, at in reasons.words(workspace)],
        **_setting(request),
    }
    return render(request, "audience/inactivity.html", facts | more, status=status)


@require_POST
@audience(Role.EDITOR)
def change_rhythm(request: MemberRequest) -> HttpResponse:
    """Whether stages follow each person's own rhythm, and how many messages make one."""
    typed = request.POST.get("sends", "").strip()
    good = typed.isascii() and typed.isdigit() and len(typed) < 4 and rhythm.FEWEST <= int(typed) <= rhythm.MOST_SENDS
    if not good:
        said = _("Write a whole number between %(low)s and %(high)s.")
        wrong = said % {"low": rhythm.FEWEST, "high": rhythm.MOST_SENDS}
        return _page(request, status=422, **_setting(request, typed, wrong))
    on = request.POST.get("on") == "on"
    rhythm.decide(request.workspace, on, int(typed), actor_id=request.member.pk)
    said = (
        _("Saved: stages follow each person's own rhythm from now on, counted anew each night.")
        if on
        else _("Saved: stages count the same days for everybody.")
    )
    return see(request, "inactivity", said=said)
