"""Who is behind a session cookie, for programs that have no Django request.

The answer is the one that the pages' own middleware would give: session not expired, user active, password not
changed since (its hash is part of the session), still a member of the workspace she works in.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from envol.accounts.models import Member, User


def members_behind(keys: Collection[str]) -> dict[str, Member]:
    """Session key → the member who is signed in; a key that opens nothing is left out. Three queries in all."""
    found = Session.objects.filter(session_key__in=list(keys), expire_date__gt=timezone.now())
    opened = {session.session_key: session.get_decoded() for session in found}
    wanted = {key: _user_id(data) for key, data in opened.items()}
    users = User.objects.filter(is_active=True).in_bulk([user for user in wanted.values() if user is not None])
    memberships: dict[int, list[Member]] = {}
    for member in Member.objects.select_related("workspace", "user").filter(user__in=users).order_by("id"):
        memberships.setdefault(member.user.pk, []).append(member)
    answer = {}
    for key, data in opened.items():
        user = users.get(wanted[key] or 0)
        if user is None or not _still_hers(data, user):
            continue
        theirs = memberships.get(user.pk, [])
        chosen = [member for member in theirs if member.workspace.pk == data.get("workspace")]
        if theirs:
            answer[key] = (chosen or theirs)[0]
    return answer


def _user_id(data: dict[str, Any]) -> int | None:
    try:
        return int(data[SESSION_KEY])
    except (KeyError, TypeError, ValueError):
        return None


def _still_hers(data: dict[str, Any], user: User) -> bool:
    known = data.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    return known and constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
