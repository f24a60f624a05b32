"""How right outgoing control is, over letters that its rules were not written from (`docs/outgoing-control.md`)."""

from __future__ import annotations

import time

import pytest

from envol.wire.fraud import ALLOW
from tests.wire.fraud_letters import letters, verdict, whole

MOST_HONEST_STOPPED = 0.02
MOST_FRAUD_THROUGH = 0.10
MOST_SCAMS_THROUGH = 1 / 3
"""Of whole messages that are mostly no phishing: advance fees, easy jobs, helpers on the telephone, false registers."""


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


def test_whole_messages_are_judged_as_they_come() -> None:
    found = {kind: [(subject, verdict(message)) for subject, message in whole(kind)] for kind in ("honest", "phishing")}
    assert {kind: len(some) for kind, some in found.items()} == {"honest": 80, "phishing": 80}
    stopped = [(subject, v.reasons) for subject, v in found["honest"] if v.action != ALLOW]
    assert len(stopped) <= MOST_HONEST_STOPPED * 80, stopped
    through = [(subject, v.reasons) for subject, v in found["phishing"] if v.action == ALLOW]
    assert len(through) <= MOST_SCAMS_THROUGH * 80, through


def test_a_verdict_is_quick() -> None:
    """Generous: other work shares the machine. `docs/outgoing-control.md` has the figure."""
    messages = [message for kind in ("honest", "phishing") for _, message in letters(kind)]
    begun = time.process_time()
    for message in messages:
        verdict(message)
    assert (time.process_time() - begun) / len(messages) < 0.02
