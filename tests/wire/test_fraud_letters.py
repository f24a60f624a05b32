"""How right outgoing control is, over letters that its rules were not written from (`docs/outgoing-control.md`)."""

from __future__ import annotations

import time

import pytest

from envol.wire.fraud import ALLOW
from tests.wire.fraud_letters import letters, verdict

MOST_HONEST_STOPPED = 0.02
MOST_FRAUD_THROUGH = 0.10


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("honest", 100),
        ("honest_later", 25),
        ("honest_third", 30),
        ("honest_fourth", 30),
        ("honest_fifth", 60),
        ("honest_sixth", 60),
        ("honest_seventh", 60),
        ("honest_eighth", 40),
        ("honest_ninth", 60),
        ("honest_tenth", 50),
        ("honest_eleventh", 40),
    ],
)
def test_honest_letters_leave(kind: str, least: int) -> None:
    found = [(subject, verdict(message)) for subject, message in letters(kind)]
    stopped = [(subject, v.reasons) for subject, v in found if v.action != ALLOW]
    assert len(found) >= least
    assert len(stopped) <= MOST_HONEST_STOPPED * len(found), stopped


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("phishing", 100),
        ("phishing_later", 25),
        ("phishing_third", 30),
        ("phishing_fourth", 30),
        ("phishing_fifth", 30),
        ("phishing_sixth", 30),
        ("phishing_seventh", 30),
        ("phishing_eighth", 30),
        ("phishing_ninth", 50),
        ("phishing_tenth", 40),
        ("phishing_eleventh", 30),
    ],
)
def test_fraud_is_held_or_refused(kind: str, least: int) -> None:
    found = [(subject, verdict(message)) for subject, message in letters(kind)]
    through = [(subject, v.reasons) for subject, v in found if v.action == ALLOW]
    assert len(found) >= least
    assert len(through) <= MOST_FRAUD_THROUGH * len(found), through


def test_a_verdict_is_quick() -> None:
    """Generous: other work shares the machine. `docs/outgoing-control.md` has the figure."""
    messages = [message for kind in ("honest", "phishing") for _, message in letters(kind)]
    begun = time.process_time()
    for message in messages:
        verdict(message)
    assert (time.process_time() - begun) / len(messages) < 0.02
