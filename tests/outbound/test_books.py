"""The books: what must never be is found by the hourly look, kept, and told by `envol check`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from envol import db
from envol.consent import ledger, suppression
from envol.consent.purposes import get
from envol.events import counters, privacy
from envol.events.models import Kind
from envol.events.writing import NewEvent, record
from envol.outbound import accept, books, lease, settle, states, tasks
from envol.outbound.accept import Outgoing
from envol.outbound.models import Look
from envol.outbound.settle import DEFERRED, Result
from envol.run import doctor
from tests.outbound.helpers import people, queued

pytestmark = pytest.mark.usefixtures("empty_database")


def line(workspace) -> dict[str, object]:
    return next(item for item in doctor.check(settings.ENVOL, workspace) if item["code"] == "books")


def test_right_books_are_said_to_be_right(workspace) -> None:
    assert "not been looked over" in str(line(workspace)["sentence"])
    queued(workspace, 5)
    for whole in (False, True):
        assert books.look(whole=whole).findings == []
    assert line(workspace)["ok"]
    assert "were right" in str(line(workspace)["sentence"])


def test_a_fault_is_found_within_the_hour_and_stays_told_for_a_day(workspace) -> None:
    one = queued(workspace, 3)
    db.execute("DELETE FROM outbound_chunk WHERE sending_id = %s", [one.id])
    tasks.look(0)
    assert "neither waiting nor ended: 3" in Look.objects.get().findings[0]
    db.execute("DELETE FROM outbound_send WHERE sending_id = %s", [one.id])
    assert books.look().findings == []
    found = line(workspace)
    assert not found["ok"] and "neither waiting nor ended" in str(found["sentence"])


def test_the_hourly_look_leaves_old_sendings_to_the_night(workspace) -> None:
    one = queued(workspace, 3)
    db.execute("DELETE FROM outbound_chunk WHERE sending_id = %s", [one.id])
    db.execute("UPDATE outbound_sending SET ended_at = now() - interval '3 days' WHERE id = %s", [one.id])
    assert books.look().findings == []
    assert books.look(whole=True).findings != []


def test_the_hourly_look_narrows_every_table_that_a_rule_reads() -> None:
    """Else a rule compares some sendings with all, and finds what is not wrong."""
    read = {table for _, query in states._INVARIANTS for table in re.findall(r"\boutbound_\w+", query)}
    assert read - {"outbound_sending"} <= set(states._OF_SENDINGS)


def test_an_old_sending_that_is_right_stays_right_by_the_hour(workspace) -> None:
    one = queued(workspace, 3)
    leases = lease.lease("c", 100, seconds=900)
    done = [Result(row, "delivered", "", 250, None, "250 ok", "mx.example") for lot in leases for row in lot.rows]
    settle.settle(done)
    lease.release(leases)
    db.execute("UPDATE outbound_sending SET ended_at = now() - interval '3 days' WHERE id = %s", [one.id])
    queued(workspace, 2)
    assert books.look().findings == []
    assert books.look(whole=True).findings == []


def test_each_new_rule_finds_what_it_looks_for(workspace) -> None:
    one = queued(workspace, 3)
    leases = lease.lease("c", 100, seconds=900)
    settle.settle([Result(row, DEFERRED, "later", 451, None, "later") for lot in leases for row in lot.rows])
    lease.release(leases)
    assert states.invariants() == [] == states.invariants(recent=True)
    contact = db.value("SELECT min(contact_id) FROM outbound_send")

    def found(*statements: str) -> str:
        with transaction.atomic():
            for statement in statements:
                db.execute(statement)
            said = states.invariants(recent=True)
            assert said == states.invariants()
            transaction.set_rollback(True)
        return " ".join(said)

    assert "a gate had left them out" in found(
        f"INSERT INTO outbound_excluded VALUES ({one.id}, {contact}, 'objected')"
    )
    assert "beyond whom" in found(f"UPDATE outbound_sending SET expanded_at = now() WHERE id = {one.id}")
    assert "no event tells why" in found("DELETE FROM events_event")
    assert "never accepted" in found(
        "INSERT INTO events_event (workspace_id, sending_id, kind, at, facts)"
        f""" VALUES ({workspace.id}, {one.id}, 3, now(), '{{"no": 987654321}}')"""
    )


def test_a_suppression_names_the_refusal_that_led_to_it(workspace) -> None:
    one = queued(workspace, 2)
    leases = lease.lease("c", 100, seconds=900)
    gone, stays = (row for lot in leases for row in lot.rows)
    settle.settle([Result(gone, "bounced", "user_unknown", 550, "5.1.1", "no such user", suppress=True)])
    settle.settle([Result(stays, "delivered", "", 250, None, "250 ok", "mx.example")])
    lease.release(leases)
    assert books.look().findings == [] == books.look(whole=True).findings
    suppression.add(workspace.id, "alive@lecteurs.example", "all", "user_unknown", f"outcome {one.id}/{stays.no}")
    for whole in (False, True):
        (said,) = books.look(whole=whole).findings
        assert "neither an outcome nor an event tells: 1" in said and f"{one.id}/{stays.no}" in said
    # A bounce that came later as a letter is an event, and a delivered copy beside it is right.
    record([NewEvent(workspace.id, Kind.BOUNCED, stays.contact_id, one.id, facts={"no": stays.no})])
    assert books.look().findings == []


def test_a_message_that_waits_keeps_its_words(workspace) -> None:
    accept.accept_messages([Outgoing(workspace.id, ("S", "s@librairie.example"), [("", "b@un.example")], "Hi", "x")])
    assert books.look().findings == []
    db.execute("UPDATE outbound_message SET text = ''")
    assert "lost its words: 1" in books.look().findings[0]
    db.execute("UPDATE outbound_sending SET state = 'stopped'")
    states.cancel(db.value("SELECT id FROM outbound_sending"))
    assert books.look().findings == [], "what has ended may be forgotten"


def test_the_night_also_reads_the_chain_of_consents(workspace) -> None:
    (contact, _), *_ = people(workspace, 1)
    ledger.append(
        workspace.id, [ledger.Line(contact, get(workspace, "newsletter").id, "refused", "consent", timezone.now())]
    )
    assert books.look(whole=True).findings == []
    db.execute("UPDATE consent_permission SET state = 'granted'")
    assert "was altered: in block 1" in books.look(whole=True).findings[0]
    assert books.look().findings == []


def test_the_night_compares_counters_with_their_events(workspace) -> None:
    one = queued(workspace, 2, campaign_id=7)
    contact = db.value("SELECT min(contact_id) FROM outbound_send")
    hit = {"workspace": workspace.id, "sending": one.id, "contact": contact, "kind": int(Kind.CLICKED)}
    db.execute(
        "INSERT INTO events_event (workspace_id, sending_id, contact_id, kind, link, at)"
        " VALUES (%(workspace)s, %(sending)s, %(contact)s, %(kind)s, 1, now())",
        hit,
    )
    assert "do not say what its events say" in books.look(whole=True).findings[0]
    counters.rebuild(one.id)
    before = counters.read([one.id])
    assert books.look(whole=True).findings == []
    assert counters.read([one.id]) == before != {}, "looking changes nothing"
    privacy.erase(workspace.id, contact)
    assert books.look(whole=True).findings == [], "she is counted still, and named no more"


def test_the_manual_lists_each_thing_that_must_never_be() -> None:
    manual = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text("utf-8")
    table = manual.partition("| never | why it would matter |")[2].partition("\n\n")[0]
    assert len(table.strip().splitlines()) - 1 == len(states._INVARIANTS)
