"""The doors for programs written for Mailjet's API, beside the send API which the edge answers by itself."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt

from envol.api.rest import doors
from envol.api.rest.ground import Answer, Wrong
from envol.web.doors import any_api_key


class DialectPath(StringConverter):
    """The paths of the dialect, which its clients write in any case, and some behind a doubled slash."""

    regex = r"/?(?i:v3/rest|v3/data|v4/contacts|v4/rest/contacts)(?:/[\s\S]*)?"


@csrf_exempt  # an API key is asked for, and no cookie counts
@any_api_key
def dialect(request: HttpRequest, path: str) -> HttpResponse:
    key = request.key  # type: ignore[attr-defined]
    if key is not None and doors.is_file(path):
        return _said(doors.data(request.method or "GET", path, iter(lambda: request.read(1 << 20), b""), key))
    try:
        body = request.body
    except RequestDataTooBig:
        return _said(Wrong(413, "The call is larger than what is read at once.").answer())
    if key is None:
        return _said(doors.unknown_key())
    return _said(doors.answer(request.method or "GET", path, request.META.get("QUERY_STRING", ""), body, key))


def _said(answer: Answer) -> HttpResponse:
    made = HttpResponse(answer.octets(), status=answer.status, content_type=answer.kind)
    for name, value in answer.headers.items():
        made[name] = value
    if answer.status == 304:
        made.reason_phrase = "Content not changed"
    return made
