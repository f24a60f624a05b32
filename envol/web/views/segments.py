"""Who exactly? Segments as a sentence, a count, a sample; written as JSON until the builder comes."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts.models import Role, Workspace
from envol.audience import engine
from envol.audience import segments as service
from envol.audience.catalogue import Catalogue, fields
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.audience.operators import OPERATORS
from envol.contacts.models import Contact
from envol.web.answers import refuse, see
from envol.web.audiences import count_of, sentence_of
from envol.web.doors import MemberRequest, audience
from envol.web.views.contacts import name_of

SAMPLE = 10
EXAMPLE = {"v": 1, "match": "all", "rules": [{"field": "orders.count", "op": "gte", "value": 2}]}


@require_safe
@audience(Role.VIEWER)
def segments(request: MemberRequest) -> HttpResponse:
    workspace: Workspace = request.workspace
    catalogue = Catalogue(workspace)
    found = [
        {"segment": s, "sentence": sentence_of(catalogue, s.tree), "count": count_of(catalogue, s.tree)}
        for s in Segment.objects.filter(workspace=workspace).order_by("name")[:100]
    ]
    total = Contact.objects.filter(workspace_id=workspace.id).count()
    return render(request, "segments/list.html", {"found": found, "total": total})


def _one(request: MemberRequest, segment_id: int) -> Segment:
    found = Segment.objects.filter(workspace=request.workspace, id=segment_id).first()
    if found is None:
        raise Http404
    return found


def _page(request: MemberRequest, segment: Segment | None, **more: Any) -> dict[str, Any]:
    workspace: Workspace = request.workspace
    tree = segment.tree if segment else EXAMPLE
    language = get_language() or "en"
    known = [
        {"field": f, "label": f.label(language), "operators": sorted(OPERATORS.get(f.kind, ()))}
        for f in fields(workspace)
    ]
    facts: dict[str, Any] = {
        "segment": segment,
        "name": segment.name if segment else "",
        "tree": json.dumps(tree, ensure_ascii=False, indent=2),
        "known": known,
        "problems": [],
    }
    return {**facts, **more}


@require_safe
@audience(Role.VIEWER)
def segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    workspace: Workspace = request.workspace
    found = _one(request, segment_id)
    catalogue = Catalogue(workspace)
    people: list[Any] = []
    count = count_of(catalogue, found.tree)
    if count is not None:
        ids = engine.sample(catalogue, found.tree, SAMPLE)
        people = list(Contact.objects.filter(workspace_id=workspace.id, id__in=ids).order_by("id"))
        for person in people:
            person.name = name_of(person.props)
    facts = _page(request, found)
    facts.update(
        sentence=sentence_of(catalogue, found.tree),
        count=count,
        total=Contact.objects.filter(workspace_id=workspace.id).count(),
        people=people,
        used_by=service.used_by(found),
    )
    return render(request, "segments/one.html", facts)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def new_segment(request: MemberRequest) -> HttpResponse:
    return _save(request, None)


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.EDITOR)
def edit_segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    return _save(request, _one(request, segment_id))


def _save(request: MemberRequest, segment: Segment | None) -> HttpResponse:
    if request.method != "POST":
        return render(request, "segments/edit.html", _page(request, segment))
    name, written = request.POST.get("name", ""), request.POST.get("tree", "")
    sentences: list[str]
    try:
        saved = service.save(
            request.workspace,
            name,
            json.loads(written),
            segment=segment,
            actor_id=request.member.pk,
        )
    except json.JSONDecodeError as error:
        sentences = [
            _("The rule is no JSON: line %(line)s, column %(column)s.") % {"line": error.lineno, "column": error.colno}
        ]
    except SegmentProblem as error:
        sentences = [f"{p.path}: {p.sentence}" if p.path else p.sentence for p in error.problems]
    except RecursionError:
        sentences = [_("The rule is nested too deeply; use at most four levels of groups.")]
    else:
        return see(request, "segment", saved.pk, said=_("The segment is saved."))
    return render(
        request, "segments/edit.html", _page(request, segment, name=name, tree=written, problems=sentences), status=422
    )


@require_POST
@audience(Role.EDITOR)
def delete_segment(request: MemberRequest, segment_id: int) -> HttpResponse:
    found = _one(request, segment_id)
    try:
        service.delete(found, actor_id=request.member.pk)
    except SegmentProblem as error:
        return refuse(request, "segment", segment_id, said=" ".join(p.sentence for p in error.problems))
    return see(request, "segments", said=_("The segment is gone; its people stay."))
