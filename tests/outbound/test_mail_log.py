"""The message log: found by address, id and words; sent again only where every gate says yes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from envol import db
from envol.accounts.models import JournalEntry, Workspace
from envol.accounts.workspaces import create_workspace
from envol.consent import suppression
from envol.contacts.models import Contact
from envol.content import links
from envol.outbound import domains, lease, mail_log, resend, settle, states
from envol.outbound.accept import Outgoing, Refused, accept_messages
from envol.outbound.mail_log import Query
from envol.outbound.models import Sending
from envol.outbound.settle import DEFERRED, Result
from tests.outbound.helpers import queued

pytestmark = pytest.mark.usefixtures("empty_database")
SENDER = ("La Librairie", "commandes@librairie.example")


def receipt(workspace: Workspace, number: int, to: str = "", **more: object) -> Outgoing:
    return Outgoing(
        workspace.pk, SENDER, [("", to or f"client{number}@lecteurs.example")], f"Commande {number}", "Merci", **more
    )


@pytest.fixture
def shop(workspace: Workspace) -> Workspace:
    domains.add(workspace, "librairie.example", trusted=True)
    return workspace


def subjects(workspace: Workspace, **query: object) -> list[str]:
    return [one.subject for one in mail_log.search(workspace.pk, Query(**query)).entries]  # type: ignore[arg-type]


def take() -> list[lease.Row]:
    return [row for one in lease.lease("test", 10_000, seconds=900) for row in one.rows]


def test_the_newest_come_first_and_pages_follow_one_another(shop: Workspace) -> None:
    accept_messages([receipt(shop, n) for n in range(120)])
    accept_messages([receipt(shop, 900, code=True)])  # another stream, mixed in by time
    first = mail_log.search(shop.pk, Query())
    second = mail_log.search(shop.pk, Query(), first.next)
    third = mail_log.search(shop.pk, Query(), second.next)
    found = [one.subject for page in (first, second, third) for one in page.entries]
    assert found == ["Commande 900", *(f"Commande {n}" for n in reversed(range(120)))]
    assert third.next == ""
    with pytest.raises(mail_log.BadCursor):
        mail_log.search(shop.pk, Query(), "x.1.2")


def test_a_message_is_found_by_address_number_id_and_subject(shop: Workspace) -> None:
    made = accept_messages(
        [receipt(shop, n, facts={"by": "smtp", "key": 7, "message_id": f"<m{n}@caisse.example>"}) for n in range(3)]
    )
    sending_id, no = made[1].recipients[0]
    for words in (
        "Client1@Lecteurs.example",
        str(made[1].message_id),
        f"#{made[1].message_id}",
        f"{sending_id}/{no}",
        f"<{links.message_id(sending_id, no, 'librairie.example')}>",
        links.return_path(sending_id, no, "librairie.example"),
        "<m1@caisse.example>",
        "m1@caisse.example",
        "mmande 1",
    ):
        assert subjects(shop, words=words) == ["Commande 1"], words
    assert subjects(shop, words="100%") == []  # a sign of its own, no pattern
    assert subjects(shop, key_id=7, words="commande 2") == ["Commande 2"]
    assert subjects(shop, key_id=8) == []


def test_another_workspace_finds_nothing_by_any_id(shop: Workspace) -> None:
    made = accept_messages([receipt(shop, 1, facts={"message_id": "<m@caisse.example>"})])[0]
    other = create_workspace("other", title="Disques")
    sending_id, no = made.recipients[0]
    for words in ("", "client1@lecteurs.example", str(made.message_id), f"{sending_id}/{no}", "<m@caisse.example>"):
        assert subjects(other, words=words) == []
    assert mail_log.entry(other.pk, sending_id, no) is None


def test_states_and_periods(shop: Workspace) -> None:
    accept_messages([receipt(shop, n) for n in range(4)])
    rows = sorted(take(), key=lambda row: row.no)
    settle.settle(
        [
            Result(rows[0], "delivered", "", 250, "2.0.0", "OK", "mx.lecteurs.example", "TLSv1.3"),
            Result(rows[1], DEFERRED, "greylisted", 451, "4.7.1", f"Later, {rows[1].address}"),
            Result(rows[2], "bounced", "unknown_user", 550, "5.1.1", "No", "mx.lecteurs.example", suppress=True),
        ]
    )
    assert subjects(shop, state="delivered") == ["Commande 0"]
    assert subjects(shop, state="deferred") == ["Commande 1"]
    assert subjects(shop, state="bounced") == ["Commande 2"]
    assert subjects(shop, state="leased") == ["Commande 3"]
    db.execute("UPDATE outbound_send SET created_at = now() - interval '3 days' WHERE no = %s", [rows[0].no])
    db.execute("UPDATE outbound_send SET created_at = now() - interval '2 days' WHERE no = %s", [rows[1].no])
    day = timedelta(days=1)
    now = timezone.now()
    assert subjects(shop, since=now - 2.5 * day, until=now - day) == ["Commande 1"]
    assert subjects(shop, until=now - day) == ["Commande 1", "Commande 0"]
    assert subjects(shop, since=now - day) == ["Commande 3", "Commande 2"]


def test_the_history_tells_each_attempt_and_what_came_back_later(shop: Workspace) -> None:
    made = accept_messages([receipt(shop, 1)])[0].recipients[0]
    settle.settle([Result(take()[0], DEFERRED, "greylisted", 451, "4.7.1", "Later")])
    db.execute("UPDATE outbound_retry SET due = now()")
    settle.settle([Result(take()[0], "delivered", "", 250, "2.0.0", "OK", "mx.example", "TLSv1.3")])
    one = mail_log.entry(shop.pk, *made)
    assert one is not None and (one.state, one.host, one.attempts, one.due) == ("delivered", "mx.example", 2, None)
    assert [(step["what"], step["attempt"]) for step in mail_log.history(one)] == [
        ("accepted", 0),
        ("deferred", 1),
        ("delivered", 2),
    ]


def test_a_reader_of_a_campaign_is_found_by_her_address(shop: Workspace) -> None:
    queued(shop, 3)
    person = Contact.objects.filter(workspace_id=shop.pk).order_by("id")[1]
    assert subjects(shop) == []  # not listed: they are as many as there are readers
    found = mail_log.search(shop.pk, Query(words=person.email)).entries
    assert [(one.no, one.kind, one.state) for one in found] == [(person.pk, "campaign", "queued")]


def end(key: tuple[int, int]) -> None:
    settle.settle([Result(row, "delivered", "", 250, None, "OK") for row in take() if row.key == key])


def test_a_message_is_sent_again_as_a_new_one_and_journalled(shop: Workspace) -> None:
    key = accept_messages([receipt(shop, 1, custom_id="c-1", headers=[("X-Order", "1")])])[0].recipients[0]
    one = mail_log.entry(shop.pk, *key)
    assert one is not None
    with pytest.raises(Refused, match="still on its way"):
        resend.resend(shop.pk, one, actor="command")
    end(key)
    one = mail_log.entry(shop.pk, *key)
    assert one is not None
    again = resend.resend(shop.pk, one, actor="command")
    copy = mail_log.entry(shop.pk, *again)
    assert again != key and copy is not None
    assert (copy.subject, copy.address, copy.custom_id, copy.state) == ("Commande 1", one.address, "c-1", "queued")
    assert db.value("SELECT header->'extra' FROM outbound_message ORDER BY id DESC LIMIT 1") == '[["X-Order", "1"]]'
    assert JournalEntry.objects.get(action="mail.resent").facts["of"] == f"{key[0]}/{key[1]}"
    assert states.invariants() == []


def test_nothing_is_sent_again_to_who_must_get_nothing(shop: Workspace) -> None:
    key = accept_messages([receipt(shop, 1)])[0].recipients[0]
    end(key)
    suppression.add(shop.pk, "client1@lecteurs.example", "all", "hard_bounce", "outcome 1/1")
    one = mail_log.entry(shop.pk, *key)
    assert one is not None
    with pytest.raises(Refused, match="Nothing leaves for this address"):
        resend.resend(shop.pk, one, actor="command")
    db.execute("UPDATE outbound_message SET text = '', raw = NULL")
    with pytest.raises(Refused, match="words of this message are gone"):
        resend.resend(shop.pk, one, actor="command")


def test_a_letter_of_a_campaign_is_sent_again_to_one_person_who_still_agrees(shop: Workspace) -> None:
    from envol.consent import ledger
    from envol.consent.purposes import get

    queued(shop, 2)
    key = sorted(row.key for row in take())[0]
    db.execute("UPDATE outbound_chunk SET lease_id = NULL, lease_until = NULL, leased_by = NULL")
    end(key)
    one = mail_log.entry(shop.pk, *key)
    assert one is not None
    with pytest.raises(Refused, match="No permission is recorded"):
        resend.resend(shop.pk, one, actor="command")
    purpose = get(shop, "newsletter")
    ledger.append(shop.pk, [ledger.Line(key[1], purpose.pk, "granted", "consent", timezone.now())])
    sending_id, no = resend.resend(shop.pk, one, actor="command")
    made = Sending.objects.get(id=sending_id)
    assert (made.kind, made.version_id, no) == ("again", 1, key[1])
    assert [row.address for row in take() if row.sending.id == sending_id] == [one.address]
    assert states.invariants() == []
