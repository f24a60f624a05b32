"""Outgoing control in the queue: refused, held, let go, refused by a person, expired; and the books stay right."""

from __future__ import annotations

from typing import Any

import pytest

from envol import db
from envol.accounts.models import JournalEntry, Workspace
from envol.outbound import control, domains, habits, held, lease, states
from envol.outbound.accept import Outgoing, Refused, accept_messages, stream
from envol.outbound.models import Held, Sending

pytestmark = pytest.mark.usefixtures("empty_database")

PHISHING = (
    '<p>Votre compte est suspendu. Confirmez votre identité sous 24 heures : <a href="https://autre.example/">ici</a>'
)


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    domains.add(workspace, "boutique.example", trusted=True)
    return workspace


@pytest.fixture(autouse=True)
def _fresh() -> None:
    control._forget()
    habits._forget()


def letter(shop: Workspace, html: str = "<p>Votre commande est partie.", **more: Any) -> Outgoing:
    given: dict[str, Any] = {"subject": "Votre commande", "html": html, **more}
    return Outgoing(shop.id, ("La Boutique", "zoe@boutique.example"), [("", "luc@lecteurs.example")], **given)


def test_what_is_held_waits_and_nothing_else_does(shop: Workspace) -> None:
    honest, suspect = accept_messages([letter(shop), letter(shop, PHISHING)])
    assert (honest.held, suspect.held) == (False, True)
    leased = lease.lease("courier", 50, seconds=60)
    assert [row.message_id for one in leased for row in one.rows] == [honest.message_id]
    row = held.waiting(shop).get()
    assert row.message_id == suspect.message_id
    counted = states.counts(row.pk)
    assert (counted["held"], counted["queued"], counted["accepted"]) == (1, 0, 1)
    assert {one["state"] for one in states.waiting(shop.id)} == {"held", "leased"}
    assert states.invariants() == []


def test_a_refusal_says_why_and_leaves_no_trace(shop: Workspace) -> None:
    with pytest.raises(Refused, match=r"looks like fraud.*password") as refusal:
        accept_messages([letter(shop, '<form><input type="password"></form>')])
    assert str(refusal.value).isascii()
    assert db.value("SELECT count(*) FROM outbound_send") == 0


def test_let_go_it_leaves_as_any_other(shop: Workspace) -> None:
    accept_messages([letter(shop, PHISHING)])
    row = held.waiting(shop).get()
    held.release(row)
    (one,) = lease.lease("courier", 50, seconds=60)
    assert [r.address for r in one.rows] == ["luc@lecteurs.example"]
    assert not held.waiting(shop).exists()
    with pytest.raises(held.Decided, match="let go already"):
        held.refuse(row)
    assert stream(shop.id, "transactional").sending_id != row.pk, "it carries its own message and no other"
    assert JournalEntry.objects.filter(action="held.released").exists()
    from envol.outbound.settle import Result, settle

    settle([Result(r, "delivered", code=250, reply="OK") for r in one.rows])
    lease.release([one])
    lease.sweep()
    assert Sending.objects.get(id=row.pk).state == "sent"
    assert states.invariants() == []


def test_let_go_for_a_moment_it_can_be_held_again(shop: Workspace) -> None:
    accept_messages([letter(shop, PHISHING)])
    row = held.waiting(shop).get()
    held.release(row, wait=60)
    assert lease.lease("courier", 50, seconds=60) == []
    held.take_back(row)
    assert held.waiting(shop).get().pk == row.pk
    held.release(row)
    with pytest.raises(held.Decided, match="on its way"):
        held.take_back(row)


def test_refused_nobody_gets_it(shop: Workspace) -> None:
    accept_messages([letter(shop, PHISHING)])
    row = held.waiting(shop).get()
    held.refuse(row)
    assert db.rows("SELECT state, cause FROM outbound_outcome") == [("cancelled", "held_refused")]
    assert lease.lease("courier", 50, seconds=60) == []
    assert states.invariants() == []


def test_undecided_for_a_week_it_is_cancelled(shop: Workspace) -> None:
    accept_messages([letter(shop, PHISHING)])
    lease.sweep()
    assert held.waiting(shop).exists()
    Held.objects.update(until="2020-01-01T00:00:00Z")
    lease.sweep()
    assert Held.objects.get().decision == "expired"
    assert db.rows("SELECT state, cause FROM outbound_outcome") == [("cancelled", "held_expired")]
    assert JournalEntry.objects.get(action="held.expired").actor_kind == "job"


def test_a_blocked_host_stops_what_links_to_it(shop: Workspace) -> None:
    linking = letter(shop, '<a href="https://cdn.mauvais.example/x">Voir</a>')
    accept_messages([linking])
    assert control.block([control.host_in("0.0.0.0 mauvais.example # malware")], "list") == 1
    with pytest.raises(Refused, match=r"blocked host: mauvais\.example"):
        accept_messages([linking])
    assert control.block(["autre.example"], "list", replace=True) == 1, "what the list does not name any more is off"
    accept_messages([linking])
    with pytest.raises(ValueError, match="not the name of a host"):
        control.host_in("# nothing")


def test_mail_of_our_own_is_not_asked(shop: Workspace) -> None:
    accept_messages([letter(shop, PHISHING, kind="system")])
    assert not Held.objects.exists()
