"""Each form that members send has one effect, however often its button is pressed.

``{% csrf_token %}`` puts a token into every form that is posted (``templatetags/envol.py``); the same token with the
same fields, by the same person to the same address, is the same sending. What scripts post by themselves (drafts,
figures, parts of a page) is no form somebody sends, and is left alone.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _

from envol.accounts import once
from envol.accounts.models import SentForm
from envol.web import kept
from envol.web.answers import see_path

FIELD = "once"
COOKIE = "sent"
"""Tells the page that comes next which form was done, so that it forgets the draft of it (elements/kept-forms.ts)."""
TWICE = timedelta(seconds=15)
_LONGEST = 200_000
_TOKEN = re.compile(r"[\w-]{8,64}", re.ASCII)


def token_of(request: HttpRequest) -> str:
    """One for all forms of a page: their addresses and fields tell them apart."""
    found: str = getattr(request, "_once", "")
    if not found:
        found = request._once = secrets.token_urlsafe(12)  # type: ignore[attr-defined]
    return found


@dataclass(frozen=True)
class _Sending:
    key: bytes
    token: str


class OnceMiddleware:
    """Innermost, so that what forged a form was refused before, and messages can still be said."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer: HttpResponseBase | None = None
        try:
            answer = self._next(request)
            return answer
        finally:
            sending: _Sending | None = getattr(request, "_sending", None)
            if sending is not None:
                _end(request, sending, answer)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], *more: object
    ) -> HttpResponseBase | None:
        if request.method != "POST" or getattr(view, "csrf_exempt", False) or "HX-Request" in request.headers:
            return None
        if request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
            return None
        token = request.POST.get(FIELD, "")
        if not _TOKEN.fullmatch(token) or not request.user.is_authenticated:
            return None
        key = _key(request, token)
        try:
            before = once.begin(key)
        except once.Busy:
            said = _("This is still being done. Look at the page again in a moment; it need not be sent again.")
            return HttpResponse(said, status=503, content_type="text/plain; charset=utf-8")
        if before is not None:
            return _again(request, before, token)
        request._sending = _Sending(key, token)  # type: ignore[attr-defined]
        return None


def _key(request: HttpRequest, token: str) -> bytes:
    fields = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
    files = sorted((name, str(one.name), one.size) for name, found in request.FILES.lists() for one in found)
    return hashlib.sha256(repr((request.user.pk, request.get_full_path(), token, fields, files)).encode()).digest()


def _end(request: HttpRequest, sending: _Sending, answer: HttpResponseBase | None) -> None:
    """A redirect or a page that is shown once was an act; anything else did nothing and may be tried again."""
    said = [
        (int(one.level), str(one.message))
        for one in getattr(getattr(request, "_messages", None), "_queued_messages", [])
    ]
    if answer is not None and answer.status_code in (302, 303):
        if any(level >= messages.ERROR for level, _words in said):
            once.nothing(sending.key)
            return
        once.done(sending.key, answer.headers["Location"], said)
    elif isinstance(answer, HttpResponse) and answer.status_code == 201 and len(answer.content) < _LONGEST:
        once.done(sending.key, "", [], once.sealed(sending.token, answer.content))
    else:
        once.nothing(sending.key)
        return
    kept.forget(request, request.get_full_path())
    assert answer is not None
    answer.set_cookie(COOKIE, sending.token, max_age=300, secure=settings.SESSION_COOKIE_SECURE, samesite="Lax")


def _again(request: HttpRequest, before: SentForm, token: str) -> HttpResponse:
    """The answer that the first sending got. Much later, it also says that nothing was done this time."""
    if before.shown is not None:
        return HttpResponse(once.opened(token, bytes(before.shown)), status=201)
    assert before.done_at is not None
    if timezone.now() - before.done_at < TWICE:
        waiting = {str(one.message) for one in getattr(messages.get_messages(request), "_loaded_messages", [])}
        for level, words in before.said:
            if words not in waiting:  # the browser may have taken the first answer's cookie, or not
                messages.add_message(request, level, words)
    else:
        at = f"{timezone.localtime(before.done_at):%H:%M}"
        messages.info(
            request,
            _("This form had been sent at %(time)s, and was done then. To do it again, use this page.") % {"time": at},
        )
    return see_path(before.location)
