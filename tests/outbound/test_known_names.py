"""Outgoing control knows under which names an organisation writes: they need not be in its domain."""

from __future__ import annotations

import pytest

from envol.accounts.models import Workspace
from envol.outbound import control
from envol.wire.fraud import ALLOW, HOLD, Letter, judge
from envol.wire.fraud.shape import is_known

ASKS = (
    "Confirm your account now. Please verify your password and your card within 24 hours or access is blocked: "
    "https://boutique.example/confirm"
)


@pytest.mark.parametrize(
    ("name", "known", "holds"),
    [
        ("Registre des Lecteurs", "Registre des lecteurs", True),
        ("Zoé – Registre des Lecteurs", "Registre des lecteurs", True),
        ("Régistre des LECTEURS", "registre des lecteurs", True),
        ("Registre", "Registre des lecteurs", False),
        ("Banque Postale", "Registre des lecteurs", False),
        ("Service client", "Service client", False),
        ("", "Registre", False),
        ("Registre", "", False),
    ],
)
def test_a_known_name_is_said_whole_and_is_no_office(name: str, known: str, holds: bool) -> None:
    assert is_known(name, [known]) is holds


def test_under_its_own_name_nobody_is_a_stranger_and_under_another_one_is() -> None:
    def asked(name: str, known: str) -> str:
        return judge(Letter(name, "noreply@boutique.example", "Account", ASKS, known=frozenset({known}))).action

    assert asked("Registre Central", "Maison Dupré") == HOLD
    assert asked("Registre Central", "Registre Central") == ALLOW


@pytest.mark.usefixtures("empty_database")
def test_the_title_of_a_workspace_is_its_name(workspace: Workspace) -> None:
    control._names.clear()
    Workspace.objects.filter(pk=workspace.pk).update(title="Registre Central")
    assert "Registre Central" in control.names_of(workspace.pk)
    assert control.names_of(0) == frozenset()
