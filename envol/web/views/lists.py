"""Lists: how many people are on each, who comes and goes; making, renaming, removing and bringing back."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from envol.accounts.models import Role
from envol.collect.models import SignupForm
from envol.contacts import lists as service
from envol.contacts.models import List
from envol.web.answers import refuse, see
from envol.web.doors import MemberRequest, audience
from envol.web.meanwhile import moved, sentence

AT_ONCE = 0.06  # seconds that the page waits for its figures


@require_http_methods(["GET", "HEAD"])
@audience(Role.VIEWER)
def lists(request: MemberRequest) -> HttpResponse:
    return _page(request, seconds=None if "whole" in request.GET else AT_ONCE)


def _page(request: MemberRequest, *, status: int = 200, seconds: float | None = None, **more: Any) -> HttpResponse:
    """The lists; on a large base their figures may follow the page."""
    counted = (
        service.overview(request.workspace) if seconds is None else service.overview_within(request.workspace, seconds)
    )
    if counted is None:
        return render(request, "contacts/lists.html", {"later": True})
    forms = dict(SignupForm.objects.filter(workspace=request.workspace).values_list("list_id", "active"))
    lines = [
        {"line": line, "list": line.list, "form": line.list.pk in forms, "open": forms.get(line.list.pk)}
        for line in counted
    ]
    return render(request, "contacts/lists.html", {"lines": lines, "name": "", "problem": "", **more}, status=status)


def _one(request: MemberRequest, list_id: int) -> List:
    found = List.objects.filter(workspace=request.workspace, pk=list_id).first()
    if found is None:
        raise Http404
    return found


@require_POST
@audience(Role.EDITOR)
def new_list(request: MemberRequest) -> HttpResponse:
    name = request.POST.get("name", "")
    try:
        made = service.create(request.workspace, name, actor_id=request.member.pk)
    except service.ListProblem as error:
        return _page(request, status=422, name=name, problem=str(error))
    return see(request, "lists", said=_("The list “%(name)s” is made; nobody is on it yet.") % {"name": made.name})


@require_POST
@audience(Role.EDITOR)
def change_list(request: MemberRequest, list_id: int) -> HttpResponse:
    """Rename or remove; people stay whatever happens to a list."""
    one = _one(request, list_id)
    act, name = request.POST.get("act", ""), request.POST.get("name", "")
    try:
        if act == "rename" and name != one.name and moved(request, one.name):
            return _page(request, status=409, changing=one.pk, changed=name, change_problem=sentence(one.name))
        if act == "rename":
            service.rename(one, name, actor_id=request.member.pk)
            return see(request, "lists", said=_("The list is now called “%(name)s”.") % {"name": one.name})
        if act == "remove":
            undo = service.remove(one, actor_id=request.member.pk)
            return see(
                request,
                "lists",
                said=_("The list “%(name)s” is gone; its people stay.") % {"name": one.name},
                undo=undo,
            )
    except service.ListProblem as error:
        return _page(request, status=422, changing=one.pk, changed=name, change_problem=str(error))
    return refuse(request, "lists", said=_("There is no such act; nothing was changed."))
