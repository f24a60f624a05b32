"""Who do I know? The table: search, filters, saved views, order, and what is ticked in it."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from envol.accounts.models import Role, Workspace
from envol.audience import counting, segments
from envol.audience.language import SegmentProblem
from envol.audience.models import Segment
from envol.consent.models import Purpose
from envol.contacts import filters, saved_views
from envol.contacts.models import Contact, List
from envol.web.answers import refuse, see, see_path
from envol.web.doors import MemberRequest, audience
from envol.web.masking import sees_addresses
from envol.web.people_filter import KEYS, chips_of, filter_of, query_of, tree_of

COUNTED = 10_000  # up to here the page counts while it is made; beyond, the figure follows by itself
PATIENCE = 0.025  # seconds that the page gives to counting
DENSITIES = ("airy", "dense")


def name_of(props: dict[str, Any]) -> str:
    """First and last name, or whatever this workspace calls a person by."""
    both = " ".join(str(props[key]) for key in ("first_name", "last_name") if props.get(key))
    return both or str(props.get("name") or " ".join(str(props[k]) for k in ("prenom", "nom") if props.get(k)) or "")


def _answer(person: Contact, purpose: Purpose | None) -> str:
    if person.suppressed or person.objected:
        return "objected"
    if purpose is None:
        return "unknown"
    if person.refused >> purpose.bit & 1:
        return "withdrawn"
    return "granted" if person.allowed >> purpose.bit & 1 else "unknown"


@require_safe
@audience(Role.VIEWER)
def contacts(request: MemberRequest) -> HttpResponse:
    """The table; for htmx only what a filter changes."""
    workspace: Workspace = request.workspace
    chosen = filter_of(request)
    sort = request.GET.get("sort", "-id")
    sort = sort if sort in filters.SORTS else "-id"
    after = request.GET.get("after", "")
    place = int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
    page = filters.page(workspace, chosen, sort=sort, after=place)
    purposes = list(Purpose.objects.filter(workspace=workspace).exclude(kind="measuring").order_by("bit"))
    marketing = [p for p in purposes if p.kind == "marketing"]
    newsletter = next((p for p in marketing if p.key == "newsletter"), marketing[0] if marketing else None)
    people: list[Any] = page.contacts
    for person in people:
        person.name = name_of(person.props)
        person.answer = _answer(person, newsletter)
    ordered = [("sort", sort if sort != "-id" else "")]
    whole = not place and page.next is None  # they all stand here: looking for them again would cost as much
    total: int | None = len(people)
    if not whole:
        # Where no script asks for the figure, its link does.
        begun = time.monotonic()
        told = _told(workspace, chosen, PATIENCE if "count" not in request.GET else counting.CEILING)
        if told is not None:
            total = told if "count" in request.GET else min(told, COUNTED + 1)
        elif "count" in request.GET:
            total = filters.count(workspace, chosen)
        else:
            left = PATIENCE - (time.monotonic() - begun)  # columns that were late had their share
            total = filters.count_within(workspace, chosen, COUNTED + 1, left)
    views = saved_views.seen_by(request.member)
    query = query_of(request.GET, ordered)
    facts: dict[str, Any] = {
        "people": people,
        "chips": chips_of(workspace, chosen, request.GET),
        "total": total,
        "counted": total is not None and (total <= COUNTED or "count" in request.GET),
        "counted_to": COUNTED,
        "query": query,
        "filtered": query_of(request.GET),
        "counting": query_of(request.GET, [*ordered, ("count", "1")]),
        "older": query_of(request.GET, [*ordered, ("after", page.next)]) if page.next else "",
        "first": (query or "?") if place else "",
        "sort": sort,
        "by_email": query_of(request.GET, [("sort", "-email" if sort == "email" else "email")]),
        "by_age": query_of(request.GET, [("sort", "id" if sort == "-id" else "")]) or "?",
        "tagged": any(person.tags for person in people),
        "narrowed": any(request.GET.get(key) for key in KEYS[1:]),
        "dense": request.COOKIES.get("density") == "dense",
        "newsletter": newsletter,
        "can_segment": tree_of(workspace, chosen) is not None,
        "views": views,
        "here": next((view for view in views if view.query == query), None),
    }
    if request.headers.get("HX-Request") == "true":
        answer = render(request, "contacts/_people.html", facts)
    else:
        facts |= {
            "lists": List.objects.filter(workspace=workspace).order_by("name")[:200],
            "segments": Segment.objects.filter(workspace=workspace).order_by("name")[:200],
            "purposes": purposes,
            "by_address": sees_addresses(request),
            "anybody": bool(people) or Contact.objects.filter(workspace_id=workspace.id).exists(),
        }
        answer = render(request, "contacts/list.html", facts)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def _told(workspace: Workspace, chosen: filters.Filter, seconds: float) -> int | None:
    """How many, by columns: where there are some, and the filter is one that a rule can say."""
    tree = tree_of(workspace, chosen)
    told = counting.told_by_columns(workspace, tree, seconds=seconds) if tree else None
    return sum(told.values()) if told is not None else None


@require_safe
@audience(Role.VIEWER)
def contacts_count(request: MemberRequest) -> HttpResponse:
    """The figure of a large table, which follows the page."""
    chosen = filter_of(request)
    told = _told(request.workspace, chosen, counting.CEILING)
    total = filters.count(request.workspace, chosen) if told is None else told
    return render(request, "contacts/_count.html", {"total": total})


@require_safe
@audience(Role.EDITOR)
def tags(request: MemberRequest) -> HttpResponse:
    """What to choose from while a tag is typed."""
    return render(request, "contacts/_tags.html", {"tags": filters.tags(request.workspace)})


@require_POST
@audience(Role.VIEWER)
def density(request: MemberRequest) -> HttpResponse:
    """Airy or dense rows, remembered on this device."""
    back = request.POST.get("next", "")
    answer = see_path(back if url_has_allowed_host_and_scheme(back, allowed_hosts=None) else "/contacts")
    wanted = request.POST.get("density", "")
    answer.set_cookie(
        "density",
        wanted if wanted in DENSITIES else "airy",
        max_age=365 * 86400,
        httponly=True,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )
    return answer


# -- views and segments ------------------------------------------------------------------------


def _filter_posted(request: MemberRequest) -> QueryDict:
    """The filter a form sends along, as the address had it."""
    given = QueryDict(request.POST.get("query", "").removeprefix("?")[:2000])
    filter_of(request, given)  # nothing that does not exist here
    return given


@require_POST
@audience(Role.VIEWER)
def save_view(request: MemberRequest) -> HttpResponse:
    given = _filter_posted(request)
    query = query_of(given, [("sort", given.get("sort", "") if given.get("sort") in filters.SORTS else "")])
    try:
        view = saved_views.save(
            request.member, request.POST.get("name", ""), query, shared=request.POST.get("shared") == "on"
        )
    except saved_views.ViewProblem as error:
        return _back(request, query, refused=str(error))
    return _back(request, view.query, said=_("The view “%(name)s” is kept.") % {"name": view.name})


@require_POST
@audience(Role.VIEWER)
def delete_view(request: MemberRequest, view_id: int) -> HttpResponse:
    view = saved_views.delete(request.member, view_id)
    if view is None:
        raise Http404
    return _back(request, view.query, said=_("The view “%(name)s” is gone; the people stay.") % {"name": view.name})


def _back(request: MemberRequest, query: str, *, said: str = "", refused: str = "") -> HttpResponse:
    answer = refuse(request, "contacts", said=refused) if refused else see(request, "contacts", said=said)
    answer["Location"] += query
    return answer


@require_POST
@audience(Role.EDITOR)
def save_as_segment(request: MemberRequest) -> HttpResponse:
    """The filter becomes the rule of a new segment, which opens to be looked at and refined."""
    given = _filter_posted(request)
    tree = tree_of(request.workspace, filter_of(request, given))
    if tree is None:
        return _back(request, query_of(given), refused=_("A segment cannot say this filter: take a chip away."))
    try:
        segment = segments.save(request.workspace, request.POST.get("name", ""), tree, actor_id=request.member.pk)
    except SegmentProblem as error:
        return _back(request, query_of(given), refused=" ".join(p.sentence for p in error.problems))
    said = _("The segment is saved: it follows its rule from now on.")
    return see(request, "segment", segment.pk, said=said, undo=segments.undo_of(segment))
