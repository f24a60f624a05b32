"""The captured mail of the ``local`` route, as JSON. Open to owners and keys: password mails land here."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from envol.accounts.models import Role
from envol.outbound.models import Captured
from envol.web.doors import api_key_or
from envol.wire.message import read

PAGE = 200


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
