"""Which properties exist, are they used? The catalogue: fill, use, flags, purposes; add, change, merge, delete."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.journal import note
from envol.accounts.models import Job, Role, Workspace
from envol.campaigns.models import Campaign
from envol.consent.models import Purpose
from envol.contacts import bulk, catalogue, tasks
from envol.contacts import fields as service
from envol.contacts.filters import Filter
from envol.contacts.models import Property, PropertyType
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.meanwhile import moved, sentence
from envol.web.templatetags.envol import label
from envol.web.views.bulk import done_sentence


def _uses(workspace: Workspace, uses: list[service.Use]) -> list[dict[str, str]]:
    """What uses a property, with the page where it can be changed."""
    kinds = {"segment": _("segment"), "template": _("message"), "form": _("sign-up form")}
    routes = {"segment": "segment", "form": "signup"}
    templates = [use.pk for use in uses if use.kind == "template"]
    campaigns = dict(
        Campaign.objects.filter(workspace=workspace, template_id__in=templates).values_list("template_id", "id")
    )
    found = []
    for use in uses:
        href = ""
        if use.kind == "template" and use.pk in campaigns:
            href = reverse("web:campaign", args=[campaigns[use.pk]])
        elif use.kind in routes:
            href = reverse(f"web:{routes[use.kind]}", args=[use.pk])
        found.append({"kind": str(kinds.get(use.kind, use.kind)), "name": use.name, "href": href})
    return found


@require_safe
@audience(Role.VIEWER)
def fields(request: MemberRequest) -> HttpResponse:
    return _page(request)


def _page(request: MemberRequest, *, status: int = 200, **more: Any) -> HttpResponse:
    workspace: Workspace = request.workspace
    total, estimated, lines = service.overview(workspace)
    words = " ".join(request.GET.get("q", "").lower().split())
    purposes = list(Purpose.objects.filter(workspace=workspace).order_by("bit"))
    shown = [
        {
            "property": line.property,
            "filled": line.filled,
            "share": round(100 * line.filled / total) if total else 0,
            "uses": _uses(workspace, line.uses),
            "serves": [p for p in purposes if line.property.purposes >> p.bit & 1],
        }
        for line in lines
        if words in f"{line.property.key} {line.property.label_fr} {line.property.label_en}".lower()
    ]
    facts = {
        "lines": shown,
        "total": total,
        "about": "≈ " if estimated else "",
        "words": request.GET.get("q", ""),
        "types": PropertyType.values,
        "purposes": purposes,
        "proposed": _proposed(workspace),
        "given": {},
        "problem": "",
        "sealed": any(line.property.sensitive for line in lines),
        "sealing": Job.objects.filter(workspace=workspace, kind="sealing").order_by("-pk").first(),
    }
    return render(request, "contacts/fields.html", facts | more, status=status)


def _proposed(workspace: Workspace) -> list[dict[str, Any]]:
    """The proposals by group, in the order of the groups."""
    titles = {
        "usual": _("What others often keep"),
        "person": _("The person"),
        "household": _("The household"),
        "business": _("The profession"),
    }
    offered = service.proposed(workspace)
    groups = [{"title": titles[group], "fields": [o for o in offered if o.group == group]} for group in service.GROUPS]
    return [group for group in groups if group["fields"]]


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))


@require_POST
@audience(Role.EDITOR)
def new_field(request: MemberRequest) -> HttpResponse:
    posted = request.POST
    try:
        if "proposal" in posted:
            made = service.adopt(request.workspace, posted["proposal"], actor_id=request.member.pk)
            return see(request, "field", made.pk, said=_("“%(name)s” is in the catalogue.") % {"name": label(made)})
        made = service.add(
            request.workspace,
            posted.get("type", ""),
            posted.get("label_fr", ""),
            posted.get("label_en", ""),
            choices=_lines(posted.get("choices", "")),
            purposes=_purposes(request),
            sensitive=posted.get("sensitive") == "on",
            personal=posted.get("impersonal") != "on",
            actor_id=request.member.pk,
        )
    except service.FieldProblem as error:
        given = {key: posted.get(key, "") for key in posted} | {"purposes": posted.getlist("purpose")}
        return _page(request, status=422, given=given, problem=str(error))
    return see(request, "field", made.pk, said=_("“%(name)s” is in the catalogue.") % {"name": label(made)})


def _purposes(request: MemberRequest) -> list[str]:
    known = set(Purpose.objects.filter(workspace=request.workspace).values_list("key", flat=True))
    return [key for key in request.POST.getlist("purpose") if key in known]


def _one(request: MemberRequest, property_id: int) -> Property:
    found = Property.objects.filter(workspace=request.workspace, pk=property_id).first()
    if found is None:
        raise Http404
    return found


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def field(request: MemberRequest, property_id: int) -> HttpResponse:
    """One property: its names, choices, purposes and flags; merging and deleting, each after what it does."""
    one = _one(request, property_id)
    if request.method != "POST":
        return _field(request, one)
    posted = request.POST
    if moved(request, one.label_fr, one.label_en, one.purposes, one.choices, one.sensitive, one.personal):
        given = {key: posted.get(key, "") for key in posted} | {"purposes": posted.getlist("purpose")}
        return _field(request, one, status=409, given=given, problem=sentence(f"{one.label_fr} / {one.label_en}"))
    try:
        changed = service.change(
            one,
            label_fr=posted.get("label_fr", ""),
            label_en=posted.get("label_en", ""),
            choices=_lines(posted["choices"]) if one.type in ("choice", "list") and "choices" in posted else None,
            purposes=_purposes(request),
            personal=posted.get("impersonal") != "on",
            sensitive=posted.get("sensitive") == "on",
            actor_id=request.member.pk,
        )
    except service.FieldProblem as error:
        given = {key: posted.get(key, "") for key in posted} | {"purposes": posted.getlist("purpose")}
        wizard = _wizard(one, error) if isinstance(error, service.Weighed) else ""
        return _field(request, one, status=422, given=given, problem=str(error), wizard=wizard)
    if changed.sensitive != one.sensitive:
        tasks.start_sealing(request.workspace)
        said = _("The property is changed; its values are being sealed.")
        opens = _("The property is changed; its values are being opened.")
        return see(request, "field", one.pk, said=said if changed.sensitive else opens)
    return see(request, "field", one.pk, said=_("The property is changed."))


def _wizard(one: Property, asked: service.Weighed | bulk.Unweighed) -> str:
    """Where the five factors are answered for this property and that purpose."""
    return f"{reverse('web:reuse', args=[asked.source.pk])}?{urlencode({'field': one.pk, 'target': asked.target.pk})}"


@require_POST
@audience(Role.OWNER)
def turn_key(request: MemberRequest) -> HttpResponse:
    """Sensitive values get a new key; the old one is destroyed when nothing can need it any more."""
    job = tasks.start_sealing(request.workspace, turn=True)
    note(request.workspace, "member", "data_key.turned", job, actor_id=request.member.pk)
    return see(request, "fields", said=_("A new key seals from now on; what older keys sealed follows by itself."))


def _field(request: MemberRequest, one: Property, *, status: int = 200, **more: Any) -> HttpResponse:
    workspace: Workspace = request.workspace
    loss = service.loss(one)
    others = [
        p
        for p in catalogue.of(workspace).values()
        if p.pk != one.pk and p.type == one.type and (p.sensitive or not one.sensitive)
    ]
    into = request.GET.get("into") or request.POST.get("into", "")
    figures, merge_problem, merge_wizard = None, "", ""
    if into:
        try:
            figures = bulk.merge_figures(workspace, one.key, into)
        except bulk.BulkProblem as error:
            merge_problem = str(error)
            merge_wizard = _wizard(one, error) if isinstance(error, bulk.Unweighed) else ""
    purposes = list(Purpose.objects.filter(workspace=workspace).order_by("bit"))
    facts = {
        "property": one,
        "choices": "\n".join(choice["value"] for choice in one.choices),
        "loss": loss,
        "uses": _uses(workspace, loss.uses),
        "purposes": purposes,
        "serving": [p.key for p in purposes if one.purposes >> p.bit & 1],
        "first": next((p for p in purposes if one.purposes >> p.bit & 1), None) if loss.filled else None,
        "others": sorted(others, key=label),
        "into": next((p for p in others if p.key == into), None),
        "figures": figures,
        "merge_problem": merge_problem,
        "merge_wizard": merge_wizard,
        "given": {},
        "problem": "",
        "wizard": "",
    }
    return render(request, "contacts/field.html", facts | more, status=status)


@require_POST
@audience(Role.EDITOR)
def field_act(request: MemberRequest, property_id: int) -> HttpResponse:
    """Merge into another, empty, or delete: each by the room's own rules, each with a way back."""
    one = _one(request, property_id)
    workspace: Workspace = request.workspace
    act = request.POST.get("act", "")
    try:
        if act == "merge":
            if uses := service.loss(one).uses:
                raise service.FieldProblem(
                    _("“%(name)s” is used by %(users)s; change those first.")
                    % {"name": label(one), "users": ", ".join(use.name for use in uses[:10])}
                )
            argument: dict[str, Any] = {"from": one.key, "into": request.POST.get("into", "")}
            made = bulk.prepare(workspace, "merge", argument, Filter(), member_id=request.member.pk)
        elif act == "empty":
            argument = {"property": one.key, "value": None}
            made = bulk.prepare(workspace, "set", argument, Filter(), member_id=request.member.pk)
        elif act == "locate":
            made = bulk.prepare(
                workspace,
                "locate",
                {"property": one.key},
                Filter(),
                member_id=request.member.pk,
                source=_("Table of places: the middle of the postcode or town"),
            )
        elif act == "delete":
            undo = service.delete(one, actor_id=request.member.pk)
            return see(request, "fields", said=_("“%(name)s” left the catalogue.") % {"name": label(one)}, undo=undo)
        else:
            return refuse(request, "field", one.pk, said=_("There is no such act; nothing was changed."))
    except bulk.Unweighed:
        return _field(request, one, status=422)
    except (bulk.BulkProblem, service.FieldProblem) as error:
        return refuse(request, "field", one.pk, said=str(error))
    said = "" if tasks.start_bulk(made) is not None else done_sentence(made)
    if not said:
        return see(request, "bulk_act", made.pk)
    if act == "merge":
        return see(request, "fields", said=said, undo=bulk.undo_of(made))
    return see(request, "field", one.pk, said=said, undo=bulk.undo_of(made))
