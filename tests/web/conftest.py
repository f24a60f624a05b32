from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from django.test import Client

if TYPE_CHECKING:  # models cannot be imported before pytest has set Django up
    from tests.web.shop import Shop


@pytest.fixture(scope="session")
def _open() -> dict[str, Shop]:
    """The shops that are open, by the name of their owner."""
    return {}


def _of(name: str, shops: dict[str, Shop], opened: Callable[[], Shop]) -> Shop:
    """That of before, or a new one where a test of another room has emptied the database in between."""
    from envol.accounts.models import Workspace

    there = shops.get(name)
    if there is None or not Workspace.objects.filter(pk=there.workspace.pk, name=there.workspace.name).exists():
        shops[name] = opened()
    return shops[name]


@pytest.fixture(scope="module")
def shop(_open: dict[str, Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Alice's bookshop, one for all files. Tests that change it make their own."""
    from tests.web.shop import open_shop

    return _of("alice", _open, lambda: open_shop(folder=tmp_path_factory.mktemp("alice")))


@pytest.fixture(scope="module")
def other_shop(_open: dict[str, Shop], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Bob's: another workspace of the same installation."""
    from tests.web.shop import open_shop

    return _of("bob", _open, lambda: open_shop("Disques de Bob", readers=30, folder=tmp_path_factory.mktemp("bob")))


@pytest.fixture
def as_member(shop: Shop) -> Callable[..., Client]:
    """A client signed in as owner, editor or viewer."""

    def sign_in(role: str, of: Shop | None = None, **more: object) -> Client:
        client = Client(HTTP_HOST="localhost", **more)
        client.force_login((of or shop).members[role].user, "allauth.account.auth_backends.AuthenticationBackend")
        return client

    return sign_in
