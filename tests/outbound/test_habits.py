"""A stolen key works like an honest one, only otherwise: what is strange, and what pauses it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from envol import db
from envol.accounts.models import ApiKey, JournalEntry, Workspace
from envol.accounts.workspaces import create_api_key
from envol.events.models import MailRequest
from envol.outbound import control, domains, habits, lease, relay
from envol.outbound.accept import Outgoing, Refused, accept_messages
from envol.outbound.habits import Lately, Rule, strange
from envol.outbound.settle import Result, settle
from envol.wire.smtp.notify import Wish
from envol.wire.smtp.server import Envelope

NOON = datetime(2026, 11, 26, 12)


def rule(**more: Any) -> Rule:
    facts: dict[str, Any] = {
        "days": 20,
        "messages": 4000,
        "busiest": 40,
        "hours": Counter(dict.fromkeys(range(8, 18), 400)),
        "languages": Counter(fr=3900, en=100),
        "endings": Counter(fr=3000, com=1000),
    }
    return Rule(**{**facts, **more})


def names(now: Lately, known: Rule | None = None, at: datetime = NOON) -> dict[str, float]:
    return {reason.rule: reason.points for reason in strange(known or rule(), now, at)}


def test_an_hour_as_every_other_is_not_strange() -> None:
    usual = Lately(messages=60, languages=Counter(fr=50, en=10), endings=Counter(fr=40, com=20), copies_of_day=300)
    assert names(usual) == {}
    assert names(Lately(messages=350, languages=Counter(fr=350), endings=Counter(fr=350))) == {}, "a good day"


def test_much_more_elsewhere_in_another_language_at_night() -> None:
    theft = Lately(messages=2500, languages=Counter(de=2400), endings=Counter(de=2300, fr=100), copies_of_day=2500)
    found = names(theft, at=NOON.replace(hour=3))
    assert found == {"habit_volume": 3, "habit_language": 2, "habit_ending": 2, "habit_rhythm": 1}
    assert sum(found.values()) >= habits.PAUSE_FROM


def test_a_key_without_habits_cannot_change_them() -> None:
    busy = Lately(messages=5000, languages=Counter(de=5000), endings=Counter(de=5000), copies_of_day=5000)
    assert names(busy, Rule(days=1, messages=5000, busiest=10)) == {}


@pytest.mark.parametrize(
    ("now", "points"),
    [
        (Lately(messages=2, refused=5), 5.0),
        (Lately(messages=20, held=10), 5.0),
        (Lately(messages=400, held=10, refused=4), 0),
        (Lately(messages=100, copies_of_day=100, unknown_of_day=25), 3.0),
        (Lately(messages=100, copies_of_day=100, unknown_of_day=45), 5.0),
        (Lately(messages=9, copies_of_day=9, unknown_of_day=9), 0),
    ],
)
def test_what_needs_no_history(now: Lately, points: float) -> None:
    assert sum(names(now, Rule()).values()) == points


# ---- with keys and messages


@pytest.fixture
def key(empty_database: None, workspace: Workspace) -> ApiKey:
    domains.add(workspace, "boutique.example", trusted=True)
    control._forget()
    habits._forget()
    made = create_api_key(workspace, "la boutique")
    return ApiKey.objects.get(public_id=made.key)


def look() -> int:
    habits._forget()
    habits._looked = float("-inf")
    return habits.look_after()


def handed_in(
    key: ApiKey, count: int, html: str = "<p>Votre commande est partie, nous vous remercions pour votre confiance."
) -> Any:
    return accept_messages(
        [
            Outgoing(
                key.workspace_id,
                ("La Boutique", "zoe@boutique.example"),
                [("", f"p{n}@lecteurs.example")],
                "Votre commande",
                html=html,
                facts={"by": "api", "key": key.pk},
            )
            for n in range(count)
        ]
    )


def test_a_batch_is_counted_once_and_without_an_address(key: ApiKey) -> None:
    handed_in(key, 30)
    counted = {(what, name): n for what, name, n in db.rows("SELECT what, name, n FROM outbound_habit")}
    assert counted == {("messages", ""): 30, ("copies", ""): 30, ("ending", "example"): 30, ("language", "fr"): 30}
    assert look() == 0


def test_fraud_after_fraud_pauses_the_key_and_tells_the_owners(key: ApiKey) -> None:
    account = relay.Account(key.pk, key.workspace_id)
    envelope = Envelope("zoe@boutique.example", ("luc@lecteurs.example",), "shop.example", True, wishes=(Wish(),))
    raw = b"From: zoe@boutique.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<input type=password>"
    for _ in range(5):
        with pytest.raises(Refused):
            relay.outgoing(account, envelope, raw, b"")
    assert look() == 1
    key.refresh_from_db()
    assert key.paused_at is not None
    assert "volée" in key.paused_reason
    assert JournalEntry.objects.get(action="api_key.paused").actor_kind == "job"
    assert look() == 0, "once"


def test_owners_are_told_why(key: ApiKey, workspace: Workspace) -> None:
    from envol.accounts.models import Role, User
    from envol.accounts.workspaces import add_member

    owner = User.objects.create_user("zoe@equipe.example", "a long pass phrase", language="en")
    add_member(workspace, owner, Role.OWNER)
    habits._add(Counter({(key.pk, "refused", ""): 9}))
    assert look() == 1
    mail = MailRequest.objects.get(kind="key_paused")
    assert mail.recipient == "zoe@equipe.example"
    assert "9 messages of this hour were held or refused as fraud" in mail.facts["text"]
    assert f"/settings/keys/{key.pk}" in mail.facts["text"]


def test_people_who_are_not_there_are_counted_when_their_mail_is_settled(key: ApiKey) -> None:
    handed_in(key, 25)
    leases = lease.lease("courier", 50, seconds=60)
    rows = [row for one in leases for row in one.rows]
    settle([Result(row, "bounced", "user_unknown", 550, "5.1.1", "no such user", suppress=True) for row in rows])
    assert db.value("SELECT sum(n) FROM outbound_habit WHERE what = 'unknown'") == 25
    assert look() == 1, "all of them"


def test_strange_use_makes_suspicion_graver_and_honest_mail_stays_honest(key: ApiKey) -> None:
    hint = '<p>Tout est là : <a href="https://bit.ly/3xYz">voir</a>'
    assert [one.held for one in handed_in(key, 1, hint)] == [False]
    habits._add(Counter({(key.pk, "unknown", ""): 30, (key.pk, "copies", ""): 100}))
    habits._forget()
    assert [one.held for one in handed_in(key, 1, hint)] == [True]
    assert [one.held for one in handed_in(key, 1)] == [False]


def test_equal_counts_are_folded_when_their_hour_is_over(key: ApiKey) -> None:
    for _ in range(3):
        handed_in(key, 2)
    db.execute("UPDATE outbound_habit SET hour = hour - interval '2 hours'")
    look()
    assert db.value("SELECT n FROM outbound_habit WHERE what = 'messages'") == 6
    assert db.value("SELECT count(*) FROM outbound_habit WHERE what = 'messages'") == 1
