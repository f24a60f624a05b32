"""Who is behind a session cookie, for programs that have no Django request.

The answer is the one that the pages' own middleware would give: session not expired, user active, password not
changed since (its hash is part of the session), still a member of the workspace she works in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.models import Session
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.dateparse import parse_datetime

from envol.accounts.models import Member, User

SINCE, BROWSER = "since", "browser"  # kept in a session at sign-in


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


@dataclass(frozen=True, slots=True)
class Open:
    """One session of a user: since when, by which browser (as she may recognise it), and whether it is this one."""

    key: str
    since: datetime | None
    browser: str
    here: bool


def open_for(user: User, here: str | None) -> list[Open]:
    """Her sessions that still open something, the newest first, this one before all."""
    found = []
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        data = session.get_decoded()
        if _user_id(data) == user.pk and _still_hers(data, user):
            since = parse_datetime(str(data.get(SINCE, "")))
            found.append(Open(session.session_key, since, str(data.get(BROWSER, "")), session.session_key == here))
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda one: (one.here, one.since or oldest), reverse=True)


def end_others(user: User, here: str | None) -> int:
    """Sign her out everywhere but here; how many sessions ended."""
    others = [one.key for one in open_for(user, here) if not one.here]
    return Session.objects.filter(session_key__in=others).delete()[0]


def _user_id(data: dict[str, Any]) -> int | None:
    try:
        return int(data[SESSION_KEY])
    except (KeyError, TypeError, ValueError):
        return None


def _still_hers(data: dict[str, Any], user: User) -> bool:
    known = data.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
    return known and constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
