"""Who may enter which route. A route that does not say so stops the start of Envol.

``@audience(Role.EDITOR)`` lets in members of a workspace with at least that role, ``@anybody`` lets
in the world, ``@api_key_or(Role.OWNER, Scope.READ)`` also takes a key with this scope by HTTP Basic (RFC 7617).
A member's workspace is the one in her session; a foreign id finds nothing there (404).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from django.core.checks import Error, register
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.urls import URLPattern, URLResolver, get_resolver

from envol import db_role
from envol.accounts import api_keys
from envol.accounts.models import ApiKey, Member, Role, Scope, User, Workspace
from envol.api import calls, sign_ins
from envol.web.kept import sign_in_first
from envol.web.language import use_zone_of

View = Callable[..., HttpResponseBase]


class MemberRequest(HttpRequest):
    """What a view behind `audience` gets: who asks, and the workspace she works in."""

    member: Member
    workspace: Workspace
    user: User


_RANK = {Role.VIEWER: 0, Role.EDITOR: 1, Role.OWNER: 2}

# What a data-protection officer keeps or reads besides what any viewer sees: whatever begins so.
_DESK = ("/consent", "/settings/journal", "/settings/looks")

# allauth's own routes, by name: who may enter is decided there, and this table says that we know.
ALLAUTH = {
    "account_login": "anybody",
    "account_logout": "anybody",
    "account_reauthenticate": "signed in",
    "account_reset_password": "anybody",
    "account_reset_password_done": "anybody",
    "account_reset_password_from_key": "anybody",
    "account_reset_password_from_key_done": "anybody",
    "account_change_password": "signed in",
    "account_set_password": "signed in",
    "account_email": "signed in",
    "account_email_verification_sent": "anybody",
    "account_confirm_email": "anybody",
    "account_inactive": "anybody",
    "account_confirm_login_code": "anybody",
    "account_signup": "nobody: sign-up is closed, members are invited",
    "mfa_authenticate": "anybody",
    "mfa_trust": "anybody",
    "mfa_index": "signed in",
    "mfa_activate_totp": "signed in",
    "mfa_deactivate_totp": "signed in",
    "mfa_view_recovery_codes": "signed in",
    "mfa_generate_recovery_codes": "signed in",
    "mfa_download_recovery_codes": "signed in",
    "mfa_list_webauthn": "signed in",
    "mfa_add_webauthn": "signed in",
    "mfa_remove_webauthn": "signed in",
    "mfa_edit_webauthn": "signed in",
    "mfa_reauthenticate": "signed in",
    "mfa_reauthenticate_webauthn": "signed in",
    "mfa_login_webauthn": "anybody",
    "mfa_signup_webauthn": "nobody: sign-up is closed, members are invited",
}


def member_of(request: HttpRequest) -> Member | None:
    """The signed-in person's membership of the workspace she works in, or None."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    memberships = Member.objects.select_related("workspace", "user").filter(user=user)
    chosen = request.session.get("workspace")
    # Her memberships can be seen by her number alone. That she may see the workspace of her session, one of them says:
    # without it nothing was read there but this.
    db_role.enter(int(chosen or 0), user=user.pk)
    found = memberships.filter(workspace_id=chosen).first() if chosen else None
    if found is None:
        found = memberships.order_by("id").first()
        if found is not None:
            request.session["workspace"] = found.workspace.pk  # the next request enters it at once
        db_role.enter(found.workspace.pk if found else 0)
    return found


def may_enter(member: Member, least: Role, path: str) -> bool:
    """Does her role suffice for a route that asks for ``least``?"""
    return _RANK[Role(member.role)] >= _RANK[least] or (member.dpo and path.startswith(_DESK))


def may(request: HttpRequest, least: Role) -> bool:
    """May whoever asks do here what asks for ``least``?"""
    return may_enter(request.member, least, request.path)  # type: ignore[attr-defined]


def _enter(request: HttpRequest, member: Member) -> None:
    request.member = member  # type: ignore[attr-defined]
    request.workspace = member.workspace  # type: ignore[attr-defined]
    use_zone_of(member.user)


def _refused(request: HttpRequest, least: Role) -> HttpResponse:
    return render(request, "errors/forbidden.html", {"least": least}, status=403)


def _marked(view: Any, who: str) -> View:
    view.envol_audience = who
    return view


def audience(least: Role) -> Callable[[View], View]:
    """Members of the workspace with at least this role; others are asked to sign in, or told why not."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            member = member_of(request)
            if member is None:
                return sign_in_first(request)
            _enter(request, member)
            if not may_enter(member, least, request.path):
                return _refused(request, least)
            return view(request, *args, **kwargs)

        return _marked(guarded, f"members, at least {least}")

    return decorate


def anybody(view: View) -> View:
    """No sign-in: public pages, links in mail, health."""
    return _marked(view, "anybody")


def _key_of(request: HttpRequest) -> ApiKey | None:
    """The API key in ``Authorization: Basic``."""
    return sign_ins.key_of(request.headers.get("Authorization", ""))


def _logged(request: HttpRequest, view: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """What `view` answers; a call of a known key stands in the log of calls, however it ended."""
    began, status = time.monotonic(), 500
    try:
        answer = view()
        status = answer.status_code
        return answer
    finally:
        if key := getattr(request, "key", None):
            calls.note(key, request.method or "", request.path, status, began)


def _enter_by_key(request: HttpRequest, scope: Scope) -> JsonResponse | None:
    """Let the API key in ``Authorization: Basic`` in, or say why not: 401 who it is not, 403 what it may not."""
    row = _key_of(request)
    if row is None:
        sentence = "Give an API key and its secret by HTTP Basic: what came does not open anything."
        answer = JsonResponse({"error": sentence}, status=401)
        answer["WWW-Authenticate"] = 'Basic realm="Envol", charset="UTF-8"'
        return answer
    request.key = row  # type: ignore[attr-defined]
    if said := api_keys.closed(row) or api_keys.lacks(row, scope):
        return JsonResponse({"error": said}, status=403)
    request.workspace = row.workspace  # type: ignore[attr-defined]
    db_role.enter(row.workspace.pk)
    request.member = None  # type: ignore[attr-defined]
    return None


def api_key_or(least: Role, scope: Scope) -> Callable[[View], View]:
    """An API key of the workspace that may do this, or a member with at least this role."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if "Authorization" in request.headers:
                return _logged(request, lambda: _enter_by_key(request, scope) or view(request, *args, **kwargs))
            member = member_of(request)
            if member is None:
                return JsonResponse({"error": "Sign in, or give an API key by HTTP Basic."}, status=401)
            if not may_enter(member, least, request.path):
                return JsonResponse({"error": f"This needs the role {least.label}."}, status=403)
            _enter(request, member)
            return view(request, *args, **kwargs)

        return _marked(guarded, f"an API key, or members, at least {least}")

    return decorate


def api_key(scope: Scope) -> Callable[[View], View]:
    """An API key of the workspace that may do this and nothing else: no cookie enters, so no other site can make a
    browser post here."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            return _logged(request, lambda: _enter_by_key(request, scope) or view(request, *args, **kwargs))

        return _marked(guarded, "an API key")

    return decorate


def any_api_key(view: View) -> View:
    """Whoever has an API key, whatever it may do; ``request.key`` is None for nobody's. The view asks for the rest."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.key = key = _key_of(request)  # type: ignore[attr-defined]
        request.workspace = key.workspace if key else None  # type: ignore[attr-defined]
        db_role.enter(key.workspace.pk if key else 0)
        request.member = None  # type: ignore[attr-defined]
        return _logged(request, lambda: view(request, *args, **kwargs))

    return _marked(guarded, "an API key")


def routes(patterns: Iterable[URLPattern | URLResolver] | None = None, prefix: str = "") -> list[tuple[str, str, str]]:
    """Every route: (path, name, who may enter); an empty last part means that it does not say."""
    found: list[tuple[str, str, str]] = []
    for item in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(item.pattern)
        if isinstance(item, URLResolver):
            found += routes(item.url_patterns, path)
        else:
            name = item.name or ""
            found.append((path, name, getattr(item.callback, "envol_audience", "") or ALLAUTH.get(name, "")))
    return found


@register()
def every_route_says_who(app_configs: Any, **kwargs: Any) -> list[Error]:
    return [
        Error(
            f"The route /{path} ({name or 'no name'}) does not say who may enter.",
            id="envol.E001",
            hint="Mark its view with @audience(Role.…), @anybody or @api_key_or(Role.…, Scope.…).",
        )
        for path, name, who in routes()
        if not who
    ]
