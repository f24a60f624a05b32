"""Which language and time zone a page speaks: the person's own, kept in her session and on her account."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone, translation

KNOWN = tuple(code for code, _ in settings.LANGUAGES)
_KEY = "language"


def remember(request: HttpRequest, code: str) -> None:
    """Speak ``code`` from now on: in this session, and after the next sign-in too."""
    if code not in KNOWN:
        raise ValueError(f"Envol speaks {' and '.join(KNOWN)}.")
    request.session[_KEY] = code
    user: Any = request.user
    if user.is_authenticated and user.language != code:
        user.language = code
        user.save(update_fields=["language"])


@receiver(user_logged_in)
def _speak_her_language(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    request.session[_KEY] = user.language if user.language in KNOWN else settings.LANGUAGE_CODE


def use_zone_of(user: Any) -> None:
    """Show times in this person's zone until the request ends."""
    try:
        timezone.activate(ZoneInfo(user.time_zone))
    except (KeyError, ValueError):
        timezone.deactivate()


class LanguageMiddleware(LocaleMiddleware):
    """Django's choice by cookie and Accept-Language, after the one kept in the session."""

    def process_request(self, request: HttpRequest) -> None:
        timezone.deactivate()  # threads are reused: nobody inherits the zone of the one before
        # A visitor without a session cookie costs no look-up, and public pages stay free of cookies.
        kept: Any = request.session.get(_KEY) if settings.SESSION_COOKIE_NAME in request.COOKIES else None
        if kept in KNOWN:
            translation.activate(kept)
            request.LANGUAGE_CODE = kept
        else:
            super().process_request(request)
