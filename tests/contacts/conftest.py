from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

# Django is not set up yet when this file is read: models are imported where they are used.
if TYPE_CHECKING:
    from envol.accounts.models import Workspace
    from envol.contacts.models import Contact, Source


@pytest.fixture
def page(workspace: Workspace) -> Source:
    from envol.contacts import people

    return people.source(workspace, "member", "Fiche contact")


@pytest.fixture
def add(workspace: Workspace, page: Source) -> Callable[..., Contact]:
    """``add("zoe", first_name="Zoé")``: a person at lecteurs.example."""
    from envol.contacts import people

    def act(name: str, **props: object) -> Contact:
        return people.upsert(workspace, f"{name}@lecteurs.example", props, source=page)

    return act


@pytest.fixture
def zoe(add: Callable[..., Contact]) -> Contact:
    return add("zoe", first_name="Zoé", last_name="Martin")
