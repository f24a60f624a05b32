"""Every route of our own API, in the order in which it is read about."""

from __future__ import annotations

from envol.accounts.models import ApiKey
from envol.api.own import groups, mail, people, permissions, telling
from envol.api.own.ground import Answer, serve

ROUTES = (*people.ROUTES, *permissions.ROUTES, *groups.ROUTES, *telling.ROUTES, *mail.ROUTES)


def answer(method: str, path: str, query: str, body: bytes, key: ApiKey | None, once: str | None) -> Answer:
    """``path``: what follows ``/api/v1``."""
    return serve(ROUTES, method, path, query, body, key, once)
