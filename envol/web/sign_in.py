"""Sign-in is allauth's; sign-up is closed, because members are invited by an owner."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone, translation

from envol.accounts.models import User
from envol.accounts.sessions import BROWSER, SINCE
from envol.web import kept


class Adapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_login(self, request: HttpRequest, user: Any, **more: Any) -> Any:
        answer = super().pre_login(request, user, **more)
        if answer is None:
            kept.take_over(request)
        return answer

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the language of the account, whichever the browser that asked speaks."""
        user = context.get("user") or User.objects.filter(email=email.strip().lower()).first()
        language = user.language if user is not None else translation.get_language() or settings.LANGUAGE_CODE
        with translation.override(language):
            super().send_mail(template_prefix, email, context)

    def get_email_confirmation_url(self, request: HttpRequest, emailconfirmation: object) -> str:
        return str(super().get_email_confirmation_url(request, emailconfirmation))

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Public addresses come from the settings, never from the Host header."""
        from django.urls import reverse

        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.ENVOL.base_url + path.replace("UID-KEY", key)


@receiver(user_logged_in)
def _remember_device(sender: Any, request: HttpRequest, user: Any, **kwargs: Any) -> None:
    """What lets her tell her sessions apart on the page of her account."""
    request.session[SINCE] = timezone.now().isoformat()
    request.session[BROWSER] = browser_of(request.headers.get("User-Agent", ""))


_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrom": "Chrome", "Safari": "Safari"}
_SYSTEMS = {"Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS"}


def browser_of(agent: str) -> str:
    """“Firefox, Linux”; empty for what names itself like none that people use. In order: most claim to be Safari."""
    name = next((name for mark, name in _BROWSERS.items() if mark in agent), "")
    system = next((name for mark, name in (_SYSTEMS | {"Linux": "Linux"}).items() if mark in agent), "")
    return ", ".join(part for part in (name, system) if part)
