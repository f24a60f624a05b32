"""How right returned mail is read, over letters the rules were not written from (`docs/operations.md`)."""

from __future__ import annotations

import pytest

from tests.wire.returned_letters import measure


@pytest.mark.parametrize(
    ("half", "bounces", "others"),
    [
        ("first", 90, 30),
        ("second", 85, 30),
        ("third", 30, 12),
        ("fourth", 100, 49),
        ("fifth", 60, 12),
        ("sixth", 120, 15),
        ("seventh", 96, 10),
        ("eighth", 40, 39),
        ("mixed", 200, 0),
    ],
)
def test_what_was_learnt_is_not_forgotten(half: str, bounces: int, others: int) -> None:
    had = measure(half)
    assert had.bounces >= bounces and had.others >= others
    assert had.found >= 0.95 * had.bounces, had.wrong
    assert had.classed >= 0.92 * had.bounces, had.wrong
    assert had.suppressed == 0, "somebody alive would be written to no more"
    assert had.taken == 0, had.wrong
