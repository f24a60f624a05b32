"""What do we keep, why, and who answers for it? The data map, the records of art. 30, the controller."""

from __future__ import annotations

import csv
from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role
from envol.consent import data_map, desk, record
from envol.consent.paper import Paper
from envol.web.answers import see
from envol.web.desk_forms import DeskForm
from envol.web.doors import MemberRequest, audience, may

WRITES = Role.EDITOR
"""Who may write at the desk; everybody else of the organisation reads."""

WAYS = {
    "form": (gettext_lazy("sign-up form"), "signup"),
    "import": (gettext_lazy("file of people"), "import"),
    "key": (gettext_lazy("program with an API key"), "key"),
    "undeclared": (gettext_lazy("people of unknown origin, brought by"), "key"),
    "property": (gettext_lazy("field"), "field"),
    "smart_host": (gettext_lazy("relay"), ""),
    "webhook": (gettext_lazy("webhook"), "webhook"),
    "rspamd": (gettext_lazy("filter"), ""),
    "columns": (gettext_lazy("database of copies"), ""),
}
# Pages of some ways belong to those who may change them.
_PAGE_OF = {
    "signup": Role.EDITOR,
    "import": Role.EDITOR,
    "key": Role.OWNER,
    "webhook": Role.OWNER,
    "field": Role.EDITOR,
}
_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}


def may_write(request: MemberRequest) -> bool:
    return may(request, WRITES)


@require_safe
@audience(Role.VIEWER)
def map_page(request: MemberRequest) -> HttpResponse:
    """Tables, fields, ways in and out; what changed since somebody last read this page."""
    found = data_map.draw(request.workspace)
    rank = _RANK.get(Role(request.member.role), 0)
    ways: list[dict[str, Any]] = []
    for flow in found.flows:
        words, route = WAYS.get(flow.kind, (flow.kind, ""))
        opens = route and flow.ref is not None and rank >= _RANK[_PAGE_OF[route]]
        ways.append({"flow": flow, "words": words, "route": f"web:{route}" if opens else ""})
    facts = {
        "map": found,
        "tables": sorted(found.personal, key=lambda one: (one.room, one.name)),
        "ways": [one for one in ways if one["flow"].kind != "property"],
        "fields": [one for one in ways if one["flow"].kind == "property"],
        "may_write": may_write(request),
    }
    return render(request, "consent/desk/map.html", facts)


@require_POST
@audience(WRITES)
def confirm_map(request: MemberRequest) -> HttpResponse:
    data_map.confirm(request.workspace, request.member.pk)
    return see(request, "data_map", said=_("Noted: what changes from now on is shown here as new."))


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def controller(request: MemberRequest) -> HttpResponse:
    """Who is responsible: what records, notices and notifications say of this organisation."""
    found = desk.of(request.workspace)
    if request.method == "POST" and not may_write(request):
        return render(request, "errors/forbidden.html", {"least": WRITES}, status=403)
    begin = {} if found.legal_name else {"legal_name": request.workspace.title}
    form = DeskForm(request.POST if request.method == "POST" else None, instance=found, initial=begin)
    if request.method == "POST" and form.is_valid():
        desk.save(request.workspace, form.cleaned_data, member_id=request.member.pk)
        return see(request, "record", said=_("Saved. The record and the notices name it so from now on."))
    facts = {"form": form, "may_write": may_write(request), "head": record.head(request.workspace)}
    return render(request, "consent/desk/controller.html", facts, status=form.status)


@require_safe
@audience(Role.VIEWER)
def record_page(request: MemberRequest) -> HttpResponse:
    facts = {
        "head": record.head(request.workspace),
        "activities": record.activities(request.workspace),
        "served": record.served(request.workspace),
        "columns": record.COLUMNS,
        "served_columns": record.PROCESSOR_COLUMNS,
        "named": bool(desk.of(request.workspace).legal_name),
        "may_write": may_write(request),
    }
    return render(request, "consent/desk/record.html", facts)


def _lines(request: MemberRequest) -> tuple[str, Any, list[Any]]:
    """Which record is meant: the processor's, or the controller's."""
    if request.GET.get("part") == "processor":
        title = _("Record of processing activities, as processor (GDPR art. 30(2))")
        return title, record.PROCESSOR_COLUMNS, list(record.served(request.workspace))
    title = _("Record of processing activities, as controller (GDPR art. 30(1))")
    return title, record.COLUMNS, list(record.activities(request.workspace))


def safe_cell(text: str) -> str:
    """A spreadsheet takes nothing of it for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


@require_safe
@audience(Role.EDITOR)
def record_csv(request: MemberRequest) -> HttpResponse:
    title, columns, lines = _lines(request)
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = 'attachment; filename="record.csv"'
    answer.write("\ufeff")
    out = csv.writer(answer, delimiter=";")
    out.writerow([title])
    out.writerows([one.label, safe_cell(one.text)] for one in record.head(request.workspace))
    out.writerow([])
    out.writerow([str(one) for one in columns])
    out.writerows([safe_cell(cell) for cell in line] for line in lines)
    return answer


@require_safe
@audience(Role.EDITOR)
def record_pdf(request: MemberRequest) -> HttpResponse:
    title, columns, lines = _lines(request)
    paper = Paper(title, wide=True, language=record.language())
    paper.paragraph(_("As of %(day)s") % {"day": date_format(timezone.localdate(), "DATE_FORMAT")})
    paper.facts([(one.label, one.text) for one in record.head(request.workspace)])
    paper.heading(_("Activities"))
    paper.table([str(one) for one in columns], lines)
    answer = HttpResponse(paper.write(), content_type="application/pdf")
    answer["Content-Disposition"] = 'attachment; filename="record.pdf"'
    return answer
