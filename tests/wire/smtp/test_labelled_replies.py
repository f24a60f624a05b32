"""How right replies are read, over replies the rules were not written from (`docs/operations.md`)."""

from __future__ import annotations

import pytest

from envol.wire.smtp.replies import classify
from tests.wire.smtp.labelled_replies import measure


@pytest.mark.parametrize(("name", "least"), [("first", 120), ("second", 120), ("third", 60), ("fourth", 149)])
def test_what_was_learnt_of_replies_is_not_forgotten(name: str, least: int) -> None:
    had = measure(name)
    assert had.replies >= least
    assert had.actions >= 0.95 * had.replies, had.wrong
    assert had.classes >= 0.95 * had.replies, had.wrong
    assert had.suppressed == 0, "somebody alive would be written to no more"


def test_a_receiver_by_the_name_that_people_have_for_it() -> None:
    said = (550, None, "Unfortunately, messages from [192.0.2.1] weren't sent: S3150")
    assert classify(*said, "outlook") == classify(*said, "microsoft")
    assert classify(*said, "outlook").cause == "ip_listed"
