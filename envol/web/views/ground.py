"""What every page leans on: finding anything, taking an act back, the theme, the styleguide."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from envol.accounts import undo as undos
from envol.accounts.models import Role, Undo, Workspace
from envol.audience.models import Segment
from envol.audience.segments import CREATED
from envol.campaigns.models import Campaign
from envol.contacts import filters
from envol.contacts.filters import Filter
from envol.web import kept
from envol.web.answers import see_path
from envol.web.doors import MemberRequest, anybody, audience
from envol.web.masking import sees_addresses, shown
from envol.web.navigation import MORE, RAIL, open_to
from envol.web.views.contacts import name_of

EACH = 6  # of a kind: the palette is for going, not for reading
THEMES = ("light", "dark")


@require_safe
@audience(Role.VIEWER)
def search(request: MemberRequest) -> HttpResponse:
    """Pages, campaigns, segments and people by any part of their names; alone for the palette."""
    words = " ".join(request.GET.get("q", "").split())[:100]
    facts = {"words": words, "groups": _found(request, words)}
    palette = request.headers.get("HX-Request") == "true" or request.GET.get("part") == "found"
    return render(request, "_found.html" if palette else "search.html", facts)


def _found(request: MemberRequest, words: str) -> list[dict[str, Any]]:
    workspace: Workspace = request.workspace
    places = [
        {"href": place.href, "label": place.label, "icon": place.icon}
        for place in open_to(request, RAIL + MORE)
        if words.lower() in str(place.label).lower()
    ]
    groups = [{"label": _("Pages"), "items": places}]
    if words:
        campaigns = Campaign.objects.filter(workspace=workspace, name__icontains=words).order_by("-id")[:EACH]
        segments = Segment.objects.filter(workspace=workspace, name__icontains=words).order_by("name")[:EACH]
        chosen = Filter(text=words, names_only=not sees_addresses(request))
        people = filters.page(workspace, chosen, limit=EACH).contacts
        groups += [
            {
                "label": _("Campaigns"),
                "items": [
                    {"href": reverse("web:campaign", args=[c.pk]), "label": c.name, "icon": "letter"} for c in campaigns
                ],
            },
            {
                "label": _("Segments"),
                "items": [
                    {"href": reverse("web:segment", args=[s.pk]), "label": s.name, "icon": "filter"} for s in segments
                ],
            },
            {
                "label": _("People"),
                "items": [
                    {
                        "href": reverse("web:contact", args=[p.id]),
                        "label": shown(request, name_of(p.props) or p.email),
                        "note": shown(request, p.email) if name_of(p.props) else "",
                        "icon": "people",
                    }
                    for p in people
                ],
            },
        ]
    return [group for group in groups if group["items"]]


def _back(request: HttpRequest) -> str:
    wanted = request.POST.get("next", "/")
    return wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else "/"


@require_POST
@audience(Role.EDITOR)
def undo(request: MemberRequest, undo_id: int) -> HttpResponse:
    """Take one act back; the page it was offered on says what happened."""
    try:
        said = undos.take_back(request.workspace, undo_id, request.member)
    except Undo.DoesNotExist:
        raise Http404 from None
    except undos.CannotUndo as error:
        messages.error(request, str(error))
    else:
        messages.success(request, said or _("Taken back: everything is as it was before."))
        if Undo.objects.filter(workspace=request.workspace, pk=undo_id, kind=CREATED).exists():
            return see_path(reverse("web:segments"))  # the page it was offered on is gone with what was made
    return see_path(_back(request))


@require_http_methods(["GET", "HEAD", "POST"])
@audience(Role.VIEWER)
def again(request: MemberRequest) -> HttpResponse:
    """What somebody was typing when her session ended: to be sent after all, or thrown away."""
    found = request.session.get(kept.FIELD)
    if request.method == "POST":
        request.session.pop(kept.FIELD, None)
        back = request.POST.get("back", "/")
        safe = url_has_allowed_host_and_scheme(back, allowed_hosts=None)
        return see_path(back if safe else "/")
    return kept.page(request, found) if found else see_path("/")


@require_POST
@anybody
def theme(request: HttpRequest) -> HttpResponse:
    """Light or dark whatever the device says; anything else follows the device again."""
    answer = HttpResponseRedirect(_back(request))
    answer.status_code = 303
    wanted = request.POST.get("theme", "")
    if wanted in THEMES:
        answer.set_cookie(
            "theme", wanted, max_age=365 * 86400, httponly=True, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax"
        )
    else:
        answer.delete_cookie("theme", samesite="Lax")
    return answer


@require_safe
@audience(Role.VIEWER)
def styleguide(request: MemberRequest) -> HttpResponse:
    """Every component with its line of use; for developers, so only where ``debug`` is on."""
    if not settings.ENVOL.debug:
        raise Http404
    chips = [{"sentence": "City is Nantes", "without": "?"}, {"sentence": "Agreed to “Newsletter”", "without": "?"}]
    words = ("draft", "scheduled", "preparing", "sending", "paused", "sent", "stopped", "failed")
    return render(request, "styleguide.html", {"chips": chips, "states": words})
