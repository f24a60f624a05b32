"""What a key may do: scopes, senders, rates, pausing."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from envol import db
from envol.accounts import api_keys
from envol.accounts.api_keys import Barred, Limits
from envol.accounts.models import ApiKey, JournalEntry, KeyUse, Scope, Workspace
from envol.accounts.workspaces import check_api_key, create_api_key


def made(workspace: Workspace, **limits: object) -> ApiKey:
    new = create_api_key(workspace, "la boutique", Limits(**limits))  # type: ignore[arg-type]
    found = check_api_key(new.key, new.secret)
    assert found is not None
    return found


def test_a_key_without_limits_may_what_keys_always_could(workspace: Workspace) -> None:
    key = made(workspace)
    assert api_keys.closed(key) == "" and all(api_keys.lacks(key, scope) == "" for scope in Scope)
    assert api_keys.use([(key.pk, 1000)] * 3) == [None] * 3
    assert not KeyUse.objects.filter(key=key).exists(), "what has no rate costs no counting"
    columns = "workspace_id, public_id, secret_sha256, secret_end, name, created_at"
    db.execute(
        f"INSERT INTO accounts_api_key ({columns}) VALUES (%s, %s, '', '', 'of the version before', now())",
        [workspace.id, f"old{workspace.pk}"],
    )
    old = ApiKey.objects.get(public_id=f"old{workspace.pk}")
    assert all(api_keys.lacks(old, scope) == "" for scope in ("smtp", "read", "events", "orders"))  # type: ignore[arg-type]


def test_a_scope_that_was_not_given_is_missing(workspace: Workspace) -> None:
    key = made(workspace, scopes=["events"])
    assert "orders is not among them" in api_keys.lacks(key, Scope.ORDERS) and not api_keys.lacks(key, Scope.EVENTS)
    with pytest.raises(ValueError, match="There is no scope 'everything'; there are: smtp"):
        made(workspace, scopes=["everything"])


@pytest.mark.parametrize(
    ("senders", "address", "of_header", "of_envelope"),
    [
        ([], "zoe@anywhere.example", True, True),
        (["Boutique.example"], "Zoe@boutique.example", True, True),
        (["boutique.example"], "zoe@mail.boutique.example", False, False),
        (["orders@boutique.example"], "Orders@BOUTIQUE.example", True, True),
        (["orders@boutique.example"], "zoe@boutique.example", False, True),
        (["orders@boutique.example"], "orders@other.example", False, False),
        (["boutique.example"], "zoe@notboutique.example", False, False),
    ],
)
def test_a_key_writes_as_its_senders(
    workspace: Workspace, senders: list[str], address: str, of_header: bool, of_envelope: bool
) -> None:
    key = made(workspace, senders=senders)
    assert api_keys.may_write_as(key.senders, address) is of_header
    assert api_keys.may_write_as(key.senders, address, envelope=True) is of_envelope


def test_what_is_no_limit_is_refused_with_a_sentence(workspace: Workspace) -> None:
    for wrong, said in (
        ({"senders": ["not a domain"]}, "neither a domain nor an address"),
        ({"per_hour": 0}, "above 0"),
        ({"senders": [f"d{n}.example" for n in range(51)]}, "at most 50"),
    ):
        with pytest.raises(ValueError, match=said):
            made(workspace, **wrong)
    assert not workspace.api_keys.exists()


def test_copies_are_counted_and_a_rate_is_never_passed(workspace: Workspace) -> None:
    key = made(workspace, per_hour=10, per_day=12)
    first, second, third = api_keys.use([(key.pk, 6), (key.pk, 5), (key.pk, 4)])
    assert first is None and third is None, "what fits behind something that does not is taken"
    assert second == Barred("This key may send 10 messages an hour; try again later.", lasting=False)
    assert api_keys.sent_lately([key.pk]) == {key.pk: (10, 10)}
    db.execute("UPDATE accounts_key_use SET since = now() - interval '64 minutes' WHERE key_id = %s", [key.pk])
    assert api_keys.use([(key.pk, 1)])[0] is not None, "the stretch of five minutes counts whole"
    db.execute("UPDATE accounts_key_use SET since = since - interval '10 minutes'")
    assert api_keys.use([(key.pk, 2)]) == [None]
    assert api_keys.use([(key.pk, 1)]) == [Barred("This key may send 12 messages a day; try again later.", False)]
    assert api_keys.use([(key.pk, 11)])[0].lasting, "this many would never go"  # type: ignore[union-attr]
    db.execute("UPDATE accounts_key_use SET since = since - interval '26 hours'")
    assert api_keys.forget_uses() == 2 and api_keys.use([(key.pk, 10)]) == [None]


@pytest.mark.usefixtures("empty_database")
def test_two_processes_keep_one_rate(workspace: Workspace) -> None:
    """Eight at once, each with its own connection, as so many relays."""
    key = made(workspace, per_hour=20)
    taken: list[int] = []

    def relay() -> None:
        for _ in range(5):
            with transaction.atomic():
                taken.extend(answer is None for answer in api_keys.use([(key.pk, 1), (key.pk, 1)]))
        connection.close()

    threads = [threading.Thread(target=relay) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 80 and sum(taken) == 20


def test_a_pause_says_why_and_ends(workspace: Workspace) -> None:
    key = made(workspace)
    assert api_keys.pause(key, "looks  stolen") and not api_keys.pause(key, "again")
    key.refresh_from_db()
    assert api_keys.closed(key) == "This key is paused: looks stolen."
    assert api_keys.use([(key.pk, 1)]) == [Barred("This key is paused: looks stolen.", lasting=True)]
    assert api_keys.resume(key) and not api_keys.resume(key)
    key.refresh_from_db()
    assert api_keys.closed(key) == "" and api_keys.use([(key.pk, 1)]) == [None]
    said = (
        JournalEntry.objects.filter(workspace=workspace, object_id=key.pk)
        .order_by("id")
        .values_list("action", flat=True)
    )
    assert list(said) == ["api_key.created", "api_key.paused", "api_key.resumed"]


def test_a_key_ends_when_it_was_said_to(workspace: Workspace) -> None:
    assert "expired" in api_keys.closed(made(workspace, expires_at=timezone.now() - timedelta(seconds=1)))
    assert api_keys.closed(made(workspace, expires_at=timezone.now() + timedelta(hours=1))) == ""


def test_the_quick_look_at_keys_sees_what_the_long_one_sees(workspace: Workspace) -> None:
    for number, change in enumerate(
        (
            {},
            {"revoked_at": "2020-01-01T00:00:00Z"},
            {"paused_at": "2020-01-01T00:00:00Z"},
            {"expires_at": "2020-01-01T00:00:00Z"},
            {"expires_at": "2999-01-01T00:00:00Z"},
            {"scopes": ["read"]},
            {"per_hour": 5},
            {"per_day": 5},
        )
    ):
        key = ApiKey.objects.get(public_id=create_api_key(workspace, f"boutique {number}").key)
        ApiKey.objects.filter(pk=key.pk).update(**change)
        free = api_keys.use([(key.pk, 1000)]) == [None]
        assert api_keys.unlimited([key.pk, key.pk]) is free, change
        assert not api_keys.unlimited([key.pk, key.pk + 1]), "one of them is nobody's"
