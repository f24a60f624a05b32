"""How do I start? The one-time link that `envol up` prints while an installation has nobody."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from envol.accounts import first
from envol.web.answers import see
from envol.web.doors import anybody
from envol.web.forms import FirstForm

_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@anybody
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """Owner and organisation on one page; then her domain. A used link and a wrong one look alike."""
    if not first.is_token(token) or not first.is_fresh():
        raise Http404
    zone = "Europe/Paris"
    form = FirstForm(request.POST or None, initial={"language": (get_language() or "fr")[:2], "time_zone": zone})
    if request.method == "POST" and form.is_valid():
        try:
            member = first.found(token, **form.cleaned_data)
        except first.TooLate:
            raise Http404 from None
        except first.Unusable as error:
            form.add_error(error.field, str(error))
        else:
            login(request, member.user, backend=_BACKEND)
            return see(request, "domains", said=_("Your organisation is ready. Next: the domain you send from."))
    return render(request, "setup.html", {"form": form}, status=422 if request.method == "POST" else 200)
