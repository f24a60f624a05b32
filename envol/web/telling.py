"""What programs tell by API key: a list in, what was kept, known and refused out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.utils.translation import override

MOST = 5000  # of one request


def tell(request: HttpRequest, one: str, keep: Callable[[Any, list[Any]], Any]) -> JsonResponse:
    """``{"orders": [ … ]}``, a list, or one ``order``: 200 with what was kept, known and refused.

    one: the word for what is told. keep: workspace, list → ``added``, ``known`` and ``refused`` (place, why).
    400 for what is no such list, 422 when nothing of it could be kept.
    """
    try:
        raw = json.loads(request.body)
    except (ValueError, RecursionError, RequestDataTooBig):
        return JsonResponse({"error": f'Send JSON: one {one}, or {{"{one}s": [ … ]}}.'}, status=400)
    given = raw.get(f"{one}s", [raw]) if isinstance(raw, dict) else raw
    if not isinstance(given, list) or len(given) > MOST:
        return JsonResponse({"error": f"Send a list of at most {MOST} {one}s."}, status=400)
    with override("en"):
        told = keep(request.workspace, given)  # type: ignore[attr-defined]
    refused = [{one: place, "why": why} for place, why in told.refused]
    status = 422 if refused and not (told.added or told.known) else 200
    return JsonResponse({"added": told.added, "known": told.known, "refused": refused}, status=status)
