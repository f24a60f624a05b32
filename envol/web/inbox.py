"""The captured mail of the ``local`` route, as pages and as JSON.

Open to owners and API keys and to nobody else, because password mails land here too.
"""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.outbound.models import Captured
from envol.web.doors import api_key_or, audience
from envol.web.safety import PREVIEW_POLICY
from envol.wire.message import read

PAGE = 200
_PIXEL = re.compile(r"https?://[^\s\"'<>]*/o/[A-Za-z0-9_-]{20,}")


def as_dict(row: Captured) -> dict[str, Any]:
    raw = bytes(row.raw)
    message = read(raw)
    return {
        "id": row.id,
        "received_at": row.received_at.isoformat(),
        "envelope_from": row.envelope_from,
        "envelope_to": row.envelope_to,
        "subject": message.subject,
        "headers": [list(pair) for pair in message.headers],
        "text": message.text,
        "html": message.html,
        "raw": raw.decode("utf-8", "replace"),
    }


@require_safe
@api_key_or(Role.OWNER)
def inbox_json(request: HttpRequest) -> JsonResponse:
    """Newest last; ``?after=ID`` gives what came later, ``?limit=N`` up to 1,000, ``next`` the following address."""
    try:
        after = int(request.GET.get("after", 0))
        limit = min(max(int(request.GET.get("limit", PAGE)), 1), 1000)
    except ValueError:
        return JsonResponse({"error": "after and limit are whole numbers."}, status=400)
    rows = Captured.objects.filter(workspace_id=request.workspace.id)  # type: ignore[attr-defined]
    if "after" in request.GET:
        page = list(rows.filter(id__gt=after).order_by("id")[:limit])
    else:
        page = list(reversed(rows.order_by("-id")[:limit]))
    following = f"/inbox.json?after={page[-1].id}&limit={limit}" if len(page) == limit else None
    return JsonResponse({"messages": [as_dict(row) for row in page], "next": following})


def _rows(request: HttpRequest) -> Any:
    return Captured.objects.filter(workspace_id=request.workspace.id)  # type: ignore[attr-defined]


@require_safe
@audience(Role.OWNER)
def inbox(request: HttpRequest) -> HttpResponse:
    """Newest first, 50 a page; ``?before=ID`` goes back, ``?q=`` looks in subject and recipient."""
    rows = _rows(request).order_by("-id")
    query = request.GET.get("q", "").strip()
    if query:
        rows = rows.filter(subject__icontains=query) | rows.filter(envelope_to__icontains=query)
    if (before := request.GET.get("before", "")).isdigit():
        rows = rows.filter(id__lt=int(before))
    page = list(rows.defer("raw")[:51])
    return render(
        request,
        "inbox/list.html",
        {
            "messages_": page[:50],
            "older": page[49].id if len(page) > 50 else None,
            "query": query,
            "local": settings.ENVOL.route == "local",
        },
    )


def _one(request: HttpRequest, message_id: int) -> Captured:
    row = _rows(request).filter(id=message_id).first()
    if row is None:
        raise Http404
    return row


@require_safe
@audience(Role.OWNER)
def message(request: HttpRequest, message_id: int) -> HttpResponse:
    row = _one(request, message_id)
    return render(request, "inbox/message.html", {"row": row, "message": read(bytes(row.raw))})


@require_safe
@xframe_options_exempt
@audience(Role.OWNER)
def html(request: HttpRequest, message_id: int) -> HttpResponse:
    """The message's HTML alone, for a frame without scripts; no picture is fetched from elsewhere.

    An owner who looks is not the reader: the pixel is taken out, and links open nothing (they would
    need a new window, which the frame's sandbox refuses), so nothing is counted.
    """
    found = read(bytes(_one(request, message_id).raw)).html or ""
    answer = HttpResponse('<base target="_blank">' + _PIXEL.sub("data:,", found))
    answer["Content-Security-Policy"] = PREVIEW_POLICY
    return answer
