"""List bombing: each limit at its boundary, by a clock that stands still."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from envol.accounts.models import Workspace
from envol.accounts.workspaces import create_workspace
from envol.collect import joining, limits
from envol.collect.models import Attempt, SignupRequest
from tests.collect.helpers import NOON, ask, mails, make_form

SECOND = timedelta(seconds=1)


def held(workspace: Workspace, form: object, address: str, now: datetime, client: str = "192.0.2.1") -> bool:
    """Whether it was held back; and only then no mail was asked for."""
    before = len(mails(workspace)), SignupRequest.objects.count()
    answer = ask(form, address, now=now, client=client)  # type: ignore[arg-type]
    grown = (len(mails(workspace)) - before[0], SignupRequest.objects.count() - before[1])
    assert grown == ((0, 0) if answer else (1, 1))
    return bool(answer)


def test_one_confirmation_an_address_a_day(workspace: Workspace) -> None:
    form = make_form(workspace)
    assert not held(workspace, form, "a@un.example", NOON)
    assert held(workspace, form, "A@un.example", NOON + limits.DAY - SECOND, "198.51.100.9"), "however it is written"
    assert not held(workspace, form, "a@un.example", NOON + limits.DAY)


def test_trying_again_does_not_push_the_limit_away(workspace: Workspace) -> None:
    form = make_form(workspace)
    held(workspace, form, "a@un.example", NOON)
    for hours in range(1, 24):
        assert held(workspace, form, "a@un.example", NOON + timedelta(hours=hours))
    assert not held(workspace, form, "a@un.example", NOON + limits.DAY)


def test_three_confirmations_an_address_a_week(workspace: Workspace) -> None:
    form = make_form(workspace)
    for day in range(3):
        assert not held(workspace, form, "a@un.example", NOON + timedelta(days=day))
    assert held(workspace, form, "a@un.example", NOON + limits.WEEK - SECOND)
    assert not held(workspace, form, "a@un.example", NOON + limits.WEEK)


def test_the_mailbox_is_the_same_in_every_workspace(workspace: Workspace) -> None:
    other = create_workspace("autre espace")
    assert not held(workspace, make_form(workspace), "a@un.example", NOON)
    assert held(other, make_form(other), "a@un.example", NOON + timedelta(hours=1))


def test_ten_confirmations_a_network_an_hour(workspace: Workspace) -> None:
    form = make_form(workspace)
    for n in range(10):
        assert not held(workspace, form, f"a{n}@un.example", NOON + n * SECOND)
    assert held(workspace, form, "b@un.example", NOON + limits.HOUR - SECOND)
    assert not held(workspace, form, "c@un.example", NOON + limits.HOUR - SECOND, "192.0.2.2"), "another network"
    assert not held(workspace, form, "b@un.example", NOON + limits.HOUR)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("nonsense", "", True),
    ],
)
def test_what_counts_as_one_network(one: str, other: str, same: bool) -> None:
    assert (limits.network_digest(one) == limits.network_digest(other)) == same


def test_the_brake_of_the_form(workspace: Workspace) -> None:
    form = make_form(workspace, per_hour=3)
    for n in range(3):
        assert not held(workspace, form, f"a{n}@un.example", NOON, f"198.51.100.{n}")
    assert held(workspace, form, "b@un.example", NOON + limits.HOUR - SECOND, "198.51.100.9")
    assert not held(workspace, make_form(workspace, "Autre"), "c@un.example", NOON, "198.51.100.9")
    assert not held(workspace, form, "b@un.example", NOON + limits.HOUR, "198.51.100.9")
    assert joining.figures([form.pk])[form.pk] == {"asked": 4, "confirmed": 0, "held": 1}


def test_counters_hold_no_address_and_go_after_a_week(workspace: Workspace) -> None:
    form = make_form(workspace)
    ask(form, "a@un.example")
    row = Attempt.objects.get(form_id=form.pk)
    assert len(row.address) == len(row.network) == 16 and b"a@un" not in bytes(row.address)
    joining.sweep(NOON + limits.WEEK - SECOND)
    assert Attempt.objects.filter(form_id=form.pk).exists()
    joining.sweep(NOON + limits.WEEK)
    assert not Attempt.objects.filter(form_id=form.pk).exists()


def test_two_at_once_get_one_mail(workspace: Workspace) -> None:
    """The second waits for the first, and then sees it."""
    import threading

    from django.db import connection

    form = make_form(workspace)
    answers: list[str] = []

    def try_it() -> None:
        try:
            answers.append(ask(form, "a@un.example"))
        finally:
            connection.close()

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["", "address", "address", "address"]
    assert len(mails(workspace)) == 1
