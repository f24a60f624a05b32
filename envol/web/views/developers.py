"""How do I plug in? Samples to copy, with the reader's own key; the API read as a page; the last calls of programs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from envol.accounts.models import ApiKey, Role
from envol.api import calls
from envol.api.models import LoggedCall
from envol.api.own import openapi
from envol.api.own.ground import PROBLEMS
from envol.api.own.routes import ROUTES
from envol.web import samples
from envol.web.doors import MemberRequest, audience
from envol.web.paging import page_of

SHOWN = 15  # calls beneath the samples; a page of them is one click away
_ROOMS = {
    "contacts": _("Contacts"),
    "properties": _("Properties"),
    "lists": _("Lists"),
    "purposes": _("Purposes"),
    "consent": _("Consent"),
    "segments": _("Segments"),
    "orders": _("Orders"),
    "events": _("Events"),
    "messages": _("Messages"),
    "campaigns": _("Campaigns"),
    "forms": _("Sign-up forms"),
}


@require_safe
@audience(Role.EDITOR)
def developers(request: MemberRequest) -> HttpResponse:
    """The page; for htmx the log alone, which asks again as long as somebody looks."""
    if request.headers.get("HX-Request") == "true" and request.GET.get("part") == "calls":
        answer = render(request, "settings/_calls.html", _calls(request))
        patch_vary_headers(answer, ["HX-Request"])
        return answer
    keys = list(ApiKey.objects.filter(workspace=request.workspace, revoked_at=None).order_by("-id")[:50])
    wanted = request.GET.get("key", "")
    key = next((one for one in keys if str(one.pk) == wanted), keys[0] if keys else None)
    language = request.GET.get("in", "")
    language = language if language in samples.LANGUAGES else "curl"
    public = key.public_id if key else "KEY"
    facts = {
        "keys": keys,
        "key": key,
        "language": language,
        "languages": samples.LANGUAGES.items(),
        "samples": samples.written(language, settings.ENVOL.base_url, public),
        "base": settings.ENVOL.base_url,
        "smtp": [(host, port) for host, port, _tls in settings.ENVOL.submission_listeners],
        **_calls(request),
    }
    return render(request, "settings/developers.html", facts)


def _calls(request: HttpRequest) -> dict[str, Any]:
    calls.flush()  # what this process holds; others write theirs every two seconds
    workspace = request.workspace  # type: ignore[attr-defined]
    rows = LoggedCall.objects.filter(workspace=workspace).select_related("key")
    refused = request.GET.get("refused") == "1"
    page = page_of(request, rows.filter(status__gte=400) if refused else rows)
    alone = "before" in request.GET or "all" in request.GET
    more = not alone and len(page.rows) > SHOWN
    if more:
        page = replace(page, rows=page.rows[:SHOWN])
    for row in page.rows:
        row.went = "done" if row.status < 400 else "refused" if row.status < 500 else "failed"
    return {"page": page, "refused": refused, "more": more, "live": not alone}


@require_safe
@audience(Role.EDITOR)
def api_read(request: MemberRequest) -> HttpResponse:
    """The same description as /api/openapi.json, for people."""
    document = openapi.document(settings.ENVOL.base_url)
    rooms: dict[str, list[dict[str, Any]]] = {}
    for route in ROUTES:
        operation = document["paths"][f"/api/v1{route.path}"][route.method.lower()]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        good = operation["responses"][str(route.status)].get("content", {}).get("application/json", {}).get("schema")
        rooms.setdefault(route.tag, []).append(
            {
                "method": route.method,
                "path": f"/api/v1{route.path}",
                "name": route.name,
                "says": route.says,
                "scope": route.scope.value,
                "query": [one for one in operation["parameters"] if one["in"] == "query"],
                "body": openapi.lines(document, body) if body else [],
                "gives": openapi.lines(document, good) if good else [],
                "status": route.status,
            }
        )
    facts = {
        "rooms": [{"key": key, "label": _ROOMS.get(key, key), "routes": routes} for key, routes in rooms.items()],
        "problems": [{"key": key, "status": status, "title": title} for key, (status, title) in PROBLEMS.items()],
        "base": settings.ENVOL.base_url,
    }
    return render(request, "settings/api.html", facts)
