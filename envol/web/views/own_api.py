"""The doors of our own API, and its description."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from envol.api.own import openapi as described
from envol.api.own import routes
from envol.api.own.ground import Answer, Wrong
from envol.web.doors import any_api_key, anybody


class Anything(StringConverter):
    """The rest of a path, whatever it holds: where a line feed stands in it, the answer is a problem and no page."""

    regex = r"[\s\S]+"


@csrf_exempt  # an API key is asked for, and no cookie counts
@any_api_key
def own_api(request: HttpRequest, path: str) -> HttpResponse:
    key = request.key  # type: ignore[attr-defined]
    query, once = request.META.get("QUERY_STRING", ""), request.headers.get("Idempotency-Key")
    try:
        body = request.body
    except RequestDataTooBig:
        return _said(Wrong("too-large", "Send less at once.").answer())
    return _said(routes.answer(request.method or "GET", path, query, body, key, once))


def _said(answer: Answer) -> HttpResponse:
    made = HttpResponse(answer.octets, status=answer.status, content_type=answer.kind)
    for name, value in answer.headers.items():
        made[name] = value
    if answer.status == 204:
        del made["Content-Type"]
    made["Cache-Control"] = "no-store"
    return made


@require_safe
@anybody
def openapi(request: HttpRequest) -> JsonResponse:
    """For generators of clients and for whoever draws it; nobody's data is in it."""
    answer = JsonResponse(described.document(settings.ENVOL.base_url), json_dumps_params={"ensure_ascii": False})
    answer["Access-Control-Allow-Origin"] = "*"
    return answer
