"""Orders that the organisation's own programs tell of, by API key."""

from __future__ import annotations

import json

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.utils.translation import override
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from envol.contacts import telling_orders as service
from envol.web.doors import api_key

MOST = 5000  # orders of one request


@csrf_exempt  # an API key is asked for, and no cookie counts
@require_POST
@api_key
def tell_orders(request: HttpRequest) -> JsonResponse:
    """``{"orders": [ … ]}`` or one order; 200 with what was kept, what was known and what was refused and why."""
    try:
        raw = json.loads(request.body)
    except (ValueError, RecursionError, RequestDataTooBig):
        return JsonResponse({"error": 'Send JSON: one order, or {"orders": [ … ]}.'}, status=400)
    told = raw.get("orders", [raw]) if isinstance(raw, dict) else raw
    if not isinstance(told, list) or len(told) > MOST:
        return JsonResponse({"error": f"Send a list of at most {MOST} orders."}, status=400)
    with override("en"):
        kept = service.tell(request.workspace, told)  # type: ignore[attr-defined]
    refused = [{"order": place, "why": why} for place, why in kept.refused]
    status = 422 if refused and not (kept.added or kept.known) else 200
    return JsonResponse({"added": kept.added, "known": kept.known, "refused": refused}, status=status)
