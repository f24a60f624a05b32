"""What every page carries: a strict content policy, and a second lock against forged requests."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def with_style_nonce(nonce: str) -> str:
    """The policy of a page whose editor writes style sheets, each with this nonce."""
    return POLICY.replace("style-src 'self'", f"style-src 'self' 'nonce-{nonce}'")


# A message shown inside a page: no script at all, its own inline styles, pictures from us alone.
PREVIEW_POLICY = (
    "default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'self'; sandbox"
)
UPLOADS = ("/imports", "/media", "/campaigns")  # where a body may be large
_SAFE = {"GET", "HEAD", "OPTIONS", "TRACE"}


_SMALL = 2 << 20
"""What a long form weighs at most. So much may be read of anybody, that what she typed survives her session."""


def _large(request: HttpRequest) -> bool:
    given = request.headers.get("Content-Length", "")
    return request.path.startswith(UPLOADS) and not (given.isdigit() and int(given) <= _SMALL)


class SafetyMiddleware:
    """Adds the policy unless the view set its own; refuses unsafe requests that another site started."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in _SAFE and self._foreign(request):
            said = _("This request came from another site and was refused.")
            return HttpResponse(said, status=403, content_type="text/plain; charset=utf-8")
        if request.method == "POST" and _large(request) and not request.user.is_authenticated:
            # Before anybody reads the form: a stranger's gigabytes never reach the disk.
            back = next(path for path in UPLOADS if request.path.startswith(path))
            return HttpResponseRedirect(f"{settings.LOGIN_URL}?next={back}")
        answer = self._next(request)
        answer.headers.setdefault("Content-Security-Policy", POLICY)
        answer.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        return answer

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponseBase], *more: object
    ) -> HttpResponse | None:
        """U+0000 in a field has no meaning in any language, and PostgreSQL keeps none: refused before a view sees it.

        Doors that ask for no token read their own odd bodies (RFC 8058 §3.2) and are left to do so.
        """
        if request.path.lstrip("/").lower().startswith(("api/v1/", "v3/", "v4/")):
            return None  # a door of programs refuses it by itself, in the form its callers read
        forms = [request.GET]
        if request.method == "POST" and not getattr(view, "csrf_exempt", False):
            forms.append(request.POST)
        for form in forms:
            for name, values in form.lists():
                if "\0" in name or any("\0" in str(value) for value in values):
                    sentence = _("The field “%(name)s” holds a character that no text has (U+0000). Write it again.")
                    return HttpResponse(
                        sentence % {"name": name.replace("\0", "")[:60]},
                        status=400,
                        content_type="text/plain; charset=utf-8",
                    )
        return None

    def _foreign(self, request: HttpRequest) -> bool:
        # One-click unsubscribe comes from mail providers (RFC 8058 §3.2), a pasted sign-up form from any site: neither
        # looks at a session.
        if request.path.startswith(("/u/", "/s/")):
            return False
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}:
            return True
        origin = request.headers.get("Origin")
        if origin in (None, ""):
            return False
        parts = urlsplit(settings.ENVOL.base_url)
        allowed = {f"{parts.scheme}://{parts.netloc}"}
        if parts.hostname == "localhost":
            allowed.add(f"{parts.scheme}://127.0.0.1:{parts.port}")
        return origin not in allowed
