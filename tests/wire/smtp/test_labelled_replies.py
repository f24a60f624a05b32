"""How right replies are read, over replies the rules were not written from (`docs/operations.md`)."""

from __future__ import annotations

from tests.wire.smtp.labelled_replies import measure


def test_what_was_learnt_of_replies_is_not_forgotten() -> None:
    had = measure("first")
    assert had.replies >= 120
    assert had.actions >= 0.95 * had.replies, had.wrong
    assert had.classes >= 0.95 * had.replies, had.wrong
    assert had.suppressed == 0, "somebody alive would be written to no more"
