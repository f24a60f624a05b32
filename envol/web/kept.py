"""What was typed is never lost to a session that ended: it is carried through the sign-in and offered again.

A form that arrives without a session is answered with the sign-in page, which carries the fields, signed. Once the
person has shown who she is they wait in her session, and ``/again`` asks whether to send them; so no stranger can
make us keep anything. A token that grew old because somebody signed in again in another window ends there too.
Files cannot be carried: the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import Resolver404, resolve, reverse
from django.utils.translation import gettext as _

FIELD = "kept"
_SALT = "envol.web.kept"
_OLDEST = 86400
_LARGEST = 2 << 20
_OURS = {"csrfmiddlewaretoken", "once", FIELD}
# What forms carry besides what a person typed.
_CARRIED = {
    "act", "card", "do", "holder", "mode", "model", "next", "page", "purpose", "revision", "seen", "segment", "take",
    "turn", "version", "was", "property", "type",
}  # fmt: skip


def typed(request: HttpRequest) -> dict[str, Any] | None:
    """The fields of a form of ours as they can be carried, or None when there is nothing worth it."""
    fields = [(name, values) for name, values in request.POST.lists() if name not in _OURS]
    if not any(value.strip() for name, values in fields for value in values if name not in _CARRIED):
        return None
    try:
        if resolve(request.path).namespace != "web":  # a password is not for carrying
            return None
    except Resolver404:
        return None
    files = [str(one.name) for _name, found in request.FILES.lists() for one in found]
    return {"path": request.get_full_path(), "back": back_of(request), "fields": fields, "files": files}


def back_of(request: HttpRequest) -> str:
    """The page a form was on, when it was one of ours."""
    parts = urlsplit(request.headers.get("Referer", ""))
    known = {urlsplit(settings.ENVOL.base_url).netloc, request.get_host()}
    if parts.netloc not in known or parts.path.startswith(settings.LOGIN_URL):
        return "/"
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def sign_in_first(request: HttpRequest) -> HttpResponseBase:
    """Who is not signed in is asked to, and finds afterwards what she asked for, or what she had typed."""
    if "HX-Request" in request.headers:
        # No part of a page becomes the sign-in page: it stays as it is, and an element says why nothing moves.
        return HttpResponse(status=204, headers={"HX-Trigger": "signed-out"})
    if request.method in ("GET", "HEAD"):
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={quote(request.get_full_path())}")
    found = typed(request) if request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate" else None
    blob = signing.dumps(found, salt=_SALT, compress=True) if found else ""
    if not found or len(blob) > _LARGEST:
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={quote(back_of(request))}")
    return _sign_in_page(request, blob)


def _sign_in_page(request: HttpRequest, blob: str) -> HttpResponseBase:
    from allauth.account.views import LoginView

    request.kept = blob  # type: ignore[attr-defined]
    request.method = "GET"
    request.GET = QueryDict(f"next={reverse('web:again')}")
    answer = LoginView.as_view()(request)
    answer.status_code = 403
    return answer


def take_over(request: HttpRequest) -> None:
    """The password was right: what the sign-in page carried waits in the session, through further steps too."""
    if not (blob := request.POST.get(FIELD, "")):
        return
    try:
        request.session[FIELD] = signing.loads(blob, salt=_SALT, max_age=_OLDEST)
    except signing.BadSignature:
        return


def forget(request: HttpRequest, path: str) -> None:
    """It was sent, and done."""
    found = request.session.get(FIELD)
    if found and found["path"] == path:
        del request.session[FIELD]


def page(request: HttpRequest, found: Mapping[str, Any], *, status: int = 200) -> HttpResponse:
    """What was typed, and a button that sends it where it was going."""
    shown = [
        value
        for name, values in found["fields"]
        if name not in _CARRIED
        for value in values
        if len(value.strip()) > 1 and not value.isdigit()
    ]
    facts = {"kept": found, "shown": shown, "files": found["files"], "waiting": status == 200}
    return render(request, "errors/again.html", facts, status=status)


def refused(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """Django's answer to a token that does not fit (CSRF_FAILURE_VIEW).

    Mostly it has grown old, by a sign-in in another window. Where the browser itself vouches that one of our pages
    sent the form, it comes back with a fresh token; from anywhere else it is refused.
    """
    if request.headers.get("Sec-Fetch-Site") == "same-origin":
        from envol.web.doors import member_of

        if request.headers.get("Sec-Fetch-Mode") != "navigate":
            return HttpResponse(status=403, headers={"X-Token": get_token(request)})
        found = typed(request)
        member = member_of(request)
        if found and member is None:
            return sign_in_first(request)
        if found:
            request.member, request.workspace = member, member.workspace  # type: ignore[attr-defined, union-attr]
            return page(request, found, status=403)
        if request.path.startswith(settings.LOGIN_URL):
            return HttpResponseRedirect(settings.LOGIN_URL)
    said = _(
        "This form is too old, or did not come from one of our pages."
        " Go back, open the page again, and send it once more."
    )
    return HttpResponse(said, status=403, content_type="text/plain; charset=utf-8")
