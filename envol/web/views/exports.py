"""People as a file: which columns, which kind, how far it is, and taking it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from babel.numbers import format_decimal
from django.conf import settings
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.text import slugify
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.jobs import cancel
from envol.accounts.journal import note
from envol.accounts.models import Job, Role
from envol.audience.models import Segment
from envol.consent.models import Partner, Purpose
from envol.contacts import catalogue, exports, filters, tasks
from envol.contacts import export_files as service
from envol.contacts.export_kinds import purpose_of
from envol.contacts.filters import Filter
from envol.contacts.models import Export, List
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of
from envol.web.people_filter import chips_of, query_of
from envol.web.templatetags.envol import label
from envol.web.views.bulk import meant

BUSY = ("waiting", "running")
AT_ONCE = 10_000
"""Up to so many people a CSV is also offered without a job."""
WHOLE = "-whole"
"""The answer to "what for?" that is none of the purposes; no key of a purpose begins so."""
PARTNER = "-partner-"
"""The same before the number of a partner who gets the file."""
FIXED = ("email", "language", "time_zone", "tags", "created_at")
ENDINGS = {"csv": "csv", "xlsx": "xlsx", "parquet": "parquet", "hashed": "csv"}


@require_safe
@audience(Role.EDITOR)
def export_list(request: MemberRequest) -> HttpResponse:
    page = page_of(request, Export.objects.filter(workspace=request.workspace))
    for one in page.rows:
        one.waits = service.file_of(one) is not None
    return render(request, "exports/list.html", {"page": page, "hours": service.KEPT // timedelta(hours=1)})


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def new_export(request: MemberRequest) -> HttpResponse:
    """Who is meant, which columns, which kind of file; the job follows."""
    given = request.POST if request.method == "POST" else request.GET
    chosen = meant(request, given)
    if chosen is None and (given.get("segment") or given.get("list")):  # from the page of a segment or a list
        whole = given.copy()
        whole["all"] = "1"
        chosen = meant(request, whole)
    if chosen is None:
        return refuse(request, "contacts", said=_("Tick people first, then choose what to do with them."))
    problem = ""
    if request.method == "POST":
        purpose = service.purposes_for(request.workspace).filter(key=given.get("purpose", "")).first()
        partner = _partner(request, given.get("purpose", ""))
        if purpose is not None and given.get("act") == "at_once":
            answer = see(request, "contacts_export")
            answer["Location"] += f"?{_same(chosen)}&{urlencode({'purpose': purpose.key})}"
            return answer
        try:
            made = service.prepare(
                request.workspace,
                chosen,
                given.get("kind", ""),
                given.getlist("column"),
                purpose=purpose,
                partner=partner,
                reason=given.get("reason", "") if partner or given.get("purpose") == WHOLE else "",
                name=_named(request, chosen),
                language=get_language() or "en",
                member_id=request.member.pk,
            )
        except service.ExportProblem as error:
            problem = str(error)
        else:
            people = filters.count(request.workspace, chosen)
            note(
                request.workspace, "member", "export.asked", made, actor_id=request.member.pk, kind=made.kind,
                people=people, purpose=made.purpose_id, reason=made.reason, partner=partner.name if partner else "",
            )  # fmt: skip
            if service.needs_approval(request.workspace, people, request.member.pk):
                service.ask(made, people, settings.ENVOL.base_url + reverse("web:export", args=[made.pk]))
            else:
                tasks.start_export(made)
            return see(request, "export", made.pk)
    facts = _facts(request, given, chosen) | {"problem": problem}
    return render(request, "exports/new.html", facts, status=422 if problem else 200)


def _partner(request: MemberRequest, what_for: str) -> Partner | None:
    number = what_for.removeprefix(PARTNER)
    if number == what_for or not (number.isascii() and number.isdigit() and len(number) < 18):
        return None
    return _partners(request).filter(pk=int(number)).first()


def _partners(request: MemberRequest) -> QuerySet[Partner]:
    """Who may get a file at all: whom the words of a purpose name now."""
    named = Partner.objects.filter(workspace=request.workspace, until_version=None)
    return named.select_related("purpose", "workspace").order_by("purpose__bit", "pk")


def _facts(request: MemberRequest, given: QueryDict, chosen: Filter) -> dict[str, Any]:
    workspace = request.workspace
    total = filters.count(workspace, chosen)
    purpose = service.ad_purpose(workspace)
    second = service.needs_approval(workspace, total, request.member.pk)
    agreed = len(service.people_of(workspace, chosen, "hashed")) if purpose else 0
    query = QueryDict(query_of(given).removeprefix("?"))
    return {
        "total": total,
        "chips": chips_of(workspace, chosen, query) if not chosen.ids else [],
        "ids": list(chosen.ids),
        "kept": list(query.items()),
        "kind": given.get("kind") or "csv",
        "groups": _columns(request, given),
        "purposes": list(service.purposes_for(workspace)),
        "what_for": given.get("purpose", ""),
        "whole": WHOLE,
        "partners": [(f"{PARTNER}{one.pk}", one) for one in _partners(request)],
        "reason": given.get("reason", ""),
        "purpose": purpose,
        "agreed": agreed,
        "left_out": total - agreed,
        "at_once": total <= AT_ONCE and not second,
        "second": second,
        "hours": service.KEPT // timedelta(hours=1),
    }


def _columns(request: MemberRequest, given: QueryDict) -> list[dict[str, Any]]:
    """Columns to tick, in groups; sensitive ones are never ticked beforehand."""
    workspace = request.workspace
    known = catalogue.of(workspace)
    purposes = {p.key: p for p in Purpose.objects.filter(workspace=workspace)}
    asked = set(given.getlist("column")) if given.get("kind") else None
    fixed = {
        "email": _("E-mail address"),
        "language": _("Language"),
        "time_zone": _("Time zone"),
        "tags": _("Tags"),
        "created_at": _("Known since"),
    }
    groups: dict[str, list[dict[str, Any]]] = {"person": [], "property": [], "permission": []}
    for name in exports.columns_of(workspace, sensitive=True):
        kind, _colon, key = name.partition(":")
        sensitive = kind == "property" and known[key].sensitive
        words = fixed.get(name) or label(known[key] if kind == "property" else purposes[key])
        groups[kind if key else "person"].append(
            {
                "name": name,
                "label": words,
                "sensitive": sensitive,
                "ticked": name in asked if asked is not None else kind != "permission" and not sensitive,
            }
        )
    titles = {"person": _("The person"), "property": _("Fields"), "permission": _("Permissions")}
    return [{"title": titles[name], "columns": found} for name, found in groups.items() if found]


def _named(request: MemberRequest, chosen: Filter) -> str:
    """What is exported, as the list of exports says it."""
    if chosen.segment_id is not None and (found := Segment.objects.filter(pk=chosen.segment_id).first()):
        return str(found.name)
    if chosen.list_id is not None and (listed := List.objects.filter(pk=chosen.list_id).first()):
        return listed.name
    if chosen.ids:
        return _("People chosen one by one")
    return _("A selection of contacts") if chosen.to_json() else _("All contacts")


def _one(request: MemberRequest, export_id: int) -> Export:
    found = Export.objects.filter(workspace=request.workspace, pk=export_id).first()
    if found is None:
        raise Http404
    return found


@require_safe
@audience(Role.EDITOR)
def export(request: MemberRequest, export_id: int) -> HttpResponse:
    """The page of one file; for htmx the region that moves."""
    found = _one(request, export_id)
    job = Job.objects.filter(workspace=request.workspace, pk=found.job_id).first() if found.job_id else None
    busy = job is not None and job.state in BUSY and found.state in ("waiting", "running")
    facts = {
        "export": found,
        "job": job,
        "busy": busy,
        "waits": service.file_of(found) is not None,
        "size": _size(found.size),
        "purpose": purpose_of(found),
        "partner": service.partner_of(found),
        "hours": service.KEPT // timedelta(hours=1),
        "again": _same(Filter.of(found.chosen)),
        "may_decide": found.state == "asked" and _may_decide(request, found),
    }
    partial = request.headers.get("HX-Request") == "true"
    answer = render(request, "exports/_job.html" if partial else "exports/one.html", facts)
    if partial and not busy:
        answer["HX-Refresh"] = "true"  # it ended: show the whole page with the file
    patch_vary_headers(answer, ["HX-Request"])
    answer["Cache-Control"] = "no-store"
    return answer


def _may_decide(request: MemberRequest, found: Export) -> bool:
    return service.approvers(request.workspace, found.member_id).filter(pk=request.member.pk).exists()


def _same(chosen: Filter) -> str:
    """These people as the query of an address."""
    query = QueryDict(mutable=True)
    named = {
        "q": chosen.text, "list": chosen.list_id, "segment": chosen.segment_id, "tag": chosen.tag,
        "permission": chosen.permission, "proof": chosen.proof, "blocked": "1" if chosen.blocked else "",
    }  # fmt: skip
    for key, text in named.items():
        if text:
            query[key] = str(text)
    if chosen.ids:
        query.setlist("id", [str(one) for one in chosen.ids])
    else:
        query["all"] = "1"
    return query.urlencode()


def _size(octets: int) -> str:
    locale = "fr_FR" if (get_language() or "en").startswith("fr") else "en_GB"
    if octets < 100_000:
        return _("%(n)s kB") % {"n": format_decimal(max(octets / 1000, 0.1), "#,##0.0", locale=locale)}
    return _("%(n)s MB") % {"n": format_decimal(octets / 1_000_000, "#,##0.0", locale=locale)}


@require_safe
@audience(Role.EDITOR)
def export_file(request: MemberRequest, export_id: int) -> HttpResponseBase:
    """The file itself; the journal keeps who took it."""
    found = _one(request, export_id)
    path = service.file_of(found)
    if path is None:
        return refuse(request, "export", found.pk, said=_("This file is no longer there: export again."))
    if request.method != "HEAD":
        note(
            request.workspace, "member", "export.taken", found, actor_id=request.member.pk, kind=found.kind,
            people=found.people,
        )  # fmt: skip
    day = timezone.localtime(found.created_at)
    name = f"{slugify(found.name)[:60] or 'export'}-{day:%Y-%m-%d}.{ENDINGS[found.kind]}"
    types = {
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "parquet": "application/vnd.apache.parquet",
    }
    content_type = types.get(found.kind, "text/csv; charset=utf-8")
    answer = FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type=content_type)
    answer["Cache-Control"] = "no-store"
    return answer


@require_POST
@audience(Role.EDITOR)
def export_act(request: MemberRequest, export_id: int) -> HttpResponse:
    """Stop the making of a file, or take it away."""
    found = _one(request, export_id)
    match request.POST.get("act"):
        case "cancel":
            if not found.job_id or not cancel(found.job_id):
                return refuse(request, "export", found.pk, said=_("Nothing is running any more."))
            return see(request, "export", found.pk, said=_("It stops after the people at hand."))
        case "agree" | "refuse" as act:
            try:
                service.decide(found, request.member, act == "agree")
            except service.ExportProblem as error:
                return refuse(request, "export", found.pk, said=str(error))
            if act == "agree":
                tasks.start_export(found)
                return see(request, "export", found.pk, said=_("You agreed: the file is being made."))
            return see(request, "export", found.pk, said=_("You refused: no file is made."))
        case "remove" if found.state == "done":
            service.remove(found, actor_id=request.member.pk)
            return see(request, "exports", said=_("The file is gone; its people stay."))
    return refuse(request, "export", found.pk, said=_("There is no such act; nothing was changed."))
