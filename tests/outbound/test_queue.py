"""What the queue promises between accepting and the last outcome."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import DataError, connection, transaction

from envol import db
from envol.consent import suppression
from envol.events.writing import request_mail
from envol.outbound import accept, enter, lease, requests, settle, states
from envol.outbound.accept import Outgoing, Refused
from envol.outbound.settle import DEFERRED, Result
from tests.outbound.helpers import people, queued, sending

pytestmark = pytest.mark.usefixtures("empty_database")


def take(slots: int = 10_000, courier: str = "test", seconds: int = 900, **more):  # noqa: ANN003, ANN201
    return lease.lease(courier, slots, seconds=seconds, **more)


def delivered(row: lease.Row) -> Result:
    return Result(row, "delivered", "", 250, "2.0.0", "OK, queued", "mx.example", "TLSv1.3")


def rows_of(leases: list[lease.Lease]) -> list[lease.Row]:
    return [row for one in leases for row in one.rows]


def test_everybody_accepted_is_leased_once_and_delivered_once(workspace) -> None:
    one = queued(workspace, 1200)
    leases = take()
    rows = rows_of(leases)
    assert len({row.key for row in rows}) == 1200
    assert take(courier="other") == []
    assert states.counts(one.id)["leased"] == 1200
    assert settle.settle([delivered(row) for row in rows]) == []
    lease.release(leases)
    assert states.counts(one.id)["delivered"] == 1200
    assert states.finished(one.id)
    assert states.invariants() == []


def test_expanding_a_batch_twice_queues_nobody_twice(workspace) -> None:
    one = sending(workspace)
    batch = people(workspace, 700)
    assert accept.expand_batch(one, batch) == 700
    assert accept.expand_batch(one, batch + people(workspace, 5)) == 5
    assert len(rows_of(take())) == 705
    assert states.invariants() == []


def test_couriers_that_lease_at_the_same_time_never_share_a_row(workspace) -> None:
    queued(workspace, 3000)
    found: list[tuple[int, int]] = []

    def courier(name: str) -> None:
        while leases := take(200, name):
            found.extend(row.key for row in rows_of(leases))
        connection.close()

    threads = [threading.Thread(target=courier, args=(f"c{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3000
    assert set(Counter(found).values()) == {1}


def test_a_lost_lease_cannot_settle(workspace) -> None:
    one = queued(workspace, 10)
    first = take()
    db.execute("UPDATE outbound_chunk SET lease_until = now() - interval '1 second'")
    assert lease.sweep() == 1
    second = take(courier="other")
    assert {row.attempts for row in rows_of(second)} == {2}  # the lost attempt is counted
    lost = settle.settle([delivered(row) for row in rows_of(first)])
    assert len(lost) == 10
    assert states.counts(one.id)["delivered"] == 0
    assert settle.settle([delivered(row) for row in rows_of(second)]) == []
    assert lease.renew(first, seconds=900) == set()
    lease.release(first)  # ends nothing of the other's
    assert states.counts(one.id)["delivered"] == 10
    lease.release(second)
    assert states.invariants() == []


def test_a_delivery_is_kept_with_the_words_of_the_host(workspace) -> None:
    queued(workspace, 4)
    rows = rows_of(take())
    said = ['2.0.0 "OK" \\ {queued}, NULL', "Ok: l'ete\0 100 % %s", f"<{rows[2].address.upper()}> saved", "x" * 2000]
    results = [
        Result(row, "delivered", "", 250, None, words, "mx.example") for row, words in zip(rows, said, strict=True)
    ]
    results[0].enhanced, results[0].tls = "2.0.0", "TLSv1.3"
    assert settle.settle([*results, results[0]]) == []  # one of them told twice
    assert settle.settle(results[:1]) == results[:1]  # and once more: it is there already
    assert db.rows("SELECT reply, enhanced, tls, code, attempts, host FROM outbound_outcome ORDER BY no") == [
        ('2.0.0 "OK" \\ {queued}, NULL', "2.0.0", "TLSv1.3", 250, 1, "mx.example"),
        ("Ok: l'ete  100 % %s", None, "", 250, 1, "mx.example"),
        ("<<recipient>> saved", None, "", 250, 1, "mx.example"),
        ("x" * 1000, None, "", 250, 1, "mx.example"),
    ]


def test_first_and_second_tries_are_settled_together(workspace) -> None:
    one = queued(workspace, 2)
    first = rows_of(take())
    settle.settle([Result(first[0], DEFERRED, "greylisted", 451, None, "later")])
    db.execute("UPDATE outbound_retry SET due = now()")
    second = rows_of(take())
    assert settle.settle([delivered(first[1]), delivered(second[0])]) == []
    assert states.counts(one.id)["delivered"] == 2
    assert db.value("SELECT count(*) FROM outbound_retry") == 0


def test_a_deferral_written_again_does_not_wake_whoever_has_ended(workspace) -> None:
    one = queued(workspace, 2)
    first = rows_of(take())
    later = Result(first[0], DEFERRED, "in_doubt", reply="cut")
    settle.settle([later])
    db.execute("UPDATE outbound_retry SET due = now()")
    settle.settle([delivered(row) for row in rows_of(take())])
    assert settle.settle([later]) == [later], "its lease is still held, and it has ended since"
    assert db.value("SELECT count(*) FROM outbound_retry") == 0 and states.counts(one.id)["delivered"] == 1
    assert states.invariants() == []


def test_a_lease_can_be_held_on_to(workspace) -> None:
    queued(workspace, 3)
    mine = take(seconds=1)
    assert lease.renew(mine, seconds=900) == {mine[0].id}
    assert db.value(
        "SELECT min(lease_until) > now() + interval '10 minutes' FROM outbound_chunk WHERE lease_id IS NOT NULL"
    )


def test_what_was_settled_before_a_loss_is_not_sent_again(workspace) -> None:
    queued(workspace, 10)
    rows = rows_of(take())
    settle.settle([delivered(row) for row in rows[:4]] + [Result(rows[4], DEFERRED, "greylisted", 451, None, "later")])
    db.execute("UPDATE outbound_chunk SET lease_until = now() - interval '1 second'")
    lease.sweep()
    again = rows_of(take())
    assert {row.no for row in again} == {row.no for row in rows[5:]}


@pytest.mark.parametrize("state", ["paused", "scheduled", "preparing", "stopped"])
def test_only_a_sending_on_its_way_is_leased(workspace, state: str) -> None:
    one = queued(workspace, 5)
    one.state = state
    one.save()
    assert take() == []


def test_pausing_gives_back_and_resuming_goes_on(workspace) -> None:
    one = queued(workspace, 5)
    leases = take()
    one.state = "paused"
    one.save()
    found = lease.changed(leases)
    assert {state for state, _ in found.values()} == {lease.RELEASE}
    lease.release(leases)
    assert take() == []
    one.state = "sending"
    one.save()
    assert len(rows_of(take())) == 5


def test_stopping_cancels_what_nobody_holds_and_what_somebody_holds(workspace) -> None:
    one = queued(workspace, 1000)
    leases = take(100)
    held = rows_of(leases)
    settle.settle([Result(held[0], DEFERRED, "greylisted", 451, "4.7.1", "later")])
    one.state = "stopped"
    one.save()
    found = lease.changed(leases)
    assert set(found.values()) == {("cancelled", "stopped")}
    settle.settle([Result(row, "cancelled", "stopped") for row in held[1:]])
    lease.release(leases)
    lease.sweep()
    assert states.counts(one.id)["cancelled"] == 1000
    assert states.finished(one.id)
    assert states.invariants() == []


def test_a_sending_on_its_way_cannot_be_cancelled(workspace) -> None:
    with pytest.raises(ValueError, match="stop it"):
        states.cancel(queued(workspace, 1).id)


def test_permission_is_asked_again_at_the_lease(workspace) -> None:
    one = queued(workspace, 4)
    ids = [row[0] for row in db.rows("SELECT id FROM contacts_contact ORDER BY id")]
    db.execute("UPDATE contacts_contact SET suppressed = true WHERE id = %s", [ids[0]])
    db.execute("UPDATE contacts_contact SET allowed = 0, refused = 4 WHERE id = %s", [ids[1]])
    db.execute("DELETE FROM contacts_contact WHERE id = %s", [ids[2]])
    assert [row.contact_id for row in rows_of(take())] == [ids[3]]
    causes = db.rows("SELECT no, state, cause FROM outbound_outcome WHERE sending_id = %s ORDER BY no", [one.id])
    assert causes == [
        (ids[0], "suppressed", "suppressed"),
        (ids[1], "suppressed", "withdrawn"),
        (ids[2], "suppressed", "erased"),
    ]
    assert states.invariants() == []


def test_a_withdrawal_after_the_lease_is_seen_before_mail_from(workspace) -> None:
    queued(workspace, 3)
    leases = take()
    row = rows_of(leases)[1]
    assert lease.changed(leases) == {}
    db.execute("UPDATE contacts_contact SET refused = 4, allowed = 0 WHERE id = %s", [row.contact_id])
    assert lease.changed(leases) == {row.key: ("suppressed", "withdrawn")}


def test_every_reason_to_hold_back_is_told_and_only_of_those_still_held(workspace) -> None:
    queued(workspace, 5)
    leases = take()
    rows = rows_of(leases)
    contacts = [row.contact_id for row in rows]
    db.execute("UPDATE contacts_contact SET refused = 4, allowed = 0 WHERE id = ANY (%s)", [contacts[:2]])
    db.execute("UPDATE contacts_contact SET suppressed = true WHERE id = %s", [contacts[2]])
    db.execute("DELETE FROM contacts_contact WHERE id = %s", [contacts[3]])
    rows[0].ended = True  # settled a moment ago: nothing can be held back any more
    assert lease.changed(leases) == {
        rows[1].key: ("suppressed", "withdrawn"),
        rows[2].key: ("suppressed", "suppressed"),
        rows[3].key: ("suppressed", "erased"),
    }


def test_a_chunk_whose_people_are_all_refused_is_done(workspace) -> None:
    one = queued(workspace, 3)
    db.execute("UPDATE contacts_contact SET suppressed = true")
    assert take() == []
    assert states.finished(one.id)
    assert states.counts(one.id)["suppressed"] == 3


def test_urgent_work_goes_first_and_full_sites_wait(workspace) -> None:
    queued(workspace, 600, domain="slow.example")
    urgent = queued(workspace, 1, domain="quick.example", priority=0)
    assert {row.sending.id for row in rows_of(take(1))} == {urgent.id}
    assert take(full=["slow.example"]) == []
    assert take(priority=2) == []
    assert len(rows_of(take(10))) == 500  # a chunk is taken whole


def test_a_deferred_recipient_comes_back_when_due_and_not_before(workspace) -> None:
    one = queued(workspace, 2)
    leases = take()
    rows = rows_of(leases)
    settle.settle([Result(row, DEFERRED, "greylisted", 451, "4.7.1", f"<{row.address}> greylisted") for row in rows])
    lease.release(leases)
    assert states.counts(one.id)["deferred"] == 2
    assert take() == []
    seconds = db.value("SELECT extract(epoch FROM min(due) - now()) FROM outbound_retry")
    assert 40 < seconds < 75  # one minute, and 20 % of chance
    db.execute("UPDATE outbound_retry SET due = now()")
    again = take()
    assert [(row.attempts, row.chunk) for row in rows_of(again)] == [(2, None), (2, None)]
    assert states.counts(one.id)["leased"] == 2
    settle.settle([delivered(row) for row in rows_of(again)])
    assert states.counts(one.id)["delivered"] == 2
    assert [step["state"] for step in states.history(one.id, rows[0].no)] == ["accepted", "deferred", "delivered"]
    assert rows[0].address not in str(states.history(one.id, rows[0].no))
    assert states.invariants() == []


def test_a_lost_retry_is_due_again_and_counted(workspace) -> None:
    queued(workspace, 1)
    leases = take()
    settle.settle([Result(rows_of(leases)[0], DEFERRED, "greylisted", 451, None, "later")])
    lease.release(leases)
    db.execute("UPDATE outbound_retry SET due = now()")
    mine = take()
    db.execute("UPDATE outbound_retry SET lease_until = now() - interval '1 second'")
    assert lease.sweep() == 1
    assert settle.settle([delivered(rows_of(mine)[0])]) != []
    assert rows_of(take())[0].attempts == 3


def test_a_message_expires_only_after_its_lifetime_and_enough_attempts(workspace) -> None:
    one = queued(workspace, 1)
    leases = take()
    settle.settle([Result(rows_of(leases)[0], DEFERRED, "later", 451, None, "later")])
    lease.release(leases)
    # The clock jumps two days ahead: the lifetime is over, but nothing was tried in it.
    db.execute("UPDATE outbound_retry SET due = now(), first_at = now() - interval '3 days'")
    settle.settle([Result(rows_of(take())[0], DEFERRED, "later", 451, None, "later")])
    assert states.counts(one.id)["deferred"] == 1
    db.execute("UPDATE outbound_retry SET due = now(), attempts = 7")
    settle.settle([Result(rows_of(take())[0], DEFERRED, "later", 451, None, "still later")])
    assert states.counts(one.id)["expired"] == 1
    assert states.invariants() == []


def code(workspace, made_minutes_ago: int) -> tuple[int, int]:  # noqa: ANN001
    """A code that was accepted so long ago."""
    letter = Outgoing(workspace.id, ("Shop", "shop@librairie.example"), [("", "c@un.example")], "Code", "1", code=True)
    (accepted,) = accept.accept_messages([letter])
    (key,) = accepted.recipients
    db.execute(
        "UPDATE outbound_send SET created_at = now() - make_interval(mins => %s) WHERE sending_id = %s AND no = %s",
        [made_minutes_ago, *key],
    )
    return key


def ended(key: tuple[int, int]) -> tuple[str, str] | None:
    found = db.rows("SELECT state, cause FROM outbound_outcome WHERE sending_id = %s AND no = %s", list(key))
    return found[0] if found else None


def test_a_codes_minutes_count_from_when_it_was_made_and_not_from_the_first_attempt(workspace) -> None:
    """No attempt was made in time: the couriers were down, the disk was full, or the receiver put us off."""
    late, early = code(workspace, 16), code(workspace, 14)
    ordinary = accept.accept_messages(
        [Outgoing(workspace.id, ("S", "shop@librairie.example"), [("", "d@un.example")], "Hi", "x")]
    )[0].recipients[0]
    db.execute("UPDATE outbound_send SET created_at = now() - interval '3 days' WHERE no = %s", [ordinary[1]])
    leases = take()
    assert {row.key for row in rows_of(leases)} == {early, ordinary}
    assert ended(late) == ("expired", "too_late")

    assert lease.changed(leases) == {}
    db.execute("UPDATE outbound_send SET created_at = now() - interval '16 minutes' WHERE no = %s", [early[1]])
    assert lease.changed(leases) == {early: ("expired", "too_late")}, "also while a courier has it"
    settle.settle([Result(row, DEFERRED, "greylisted", 451, None, "later") for row in rows_of(leases)])
    lease.release(leases)
    db.execute("UPDATE outbound_retry SET due = now()")
    assert [row.key for row in rows_of(take())] == [ordinary], "put off once, it is not tried again"
    assert ended(early) == ("expired", "too_late") and ended(ordinary) is None
    assert states.invariants() == []


def test_a_code_that_waited_before_it_was_accepted_is_as_old_as_its_request(workspace) -> None:
    request_mail("code", "zoe@equipe.example", {"code": "314159"}, workspace_id=workspace.id)
    request_mail("code", "max@equipe.example", {"code": "271828"}, workspace_id=workspace.id)
    db.execute(
        "UPDATE events_mail_request SET created_at = now() - interval '16 minutes' WHERE recipient LIKE 'zoe%%'"
        " AND workspace_id = %s",
        [workspace.id],
    )
    assert requests.take() == 2
    assert [row.address for row in rows_of(take())] == ["max@equipe.example"]


def test_a_jump_back_of_the_clock_freezes_nobody(workspace) -> None:
    queued(workspace, 1)
    leases = take()
    settle.settle([Result(rows_of(leases)[0], DEFERRED, "later", 451, None, "later")])
    lease.release(leases)
    db.execute("UPDATE outbound_retry SET due = now() + interval '2 days'")
    lease.sweep()
    assert db.value("SELECT due < now() + interval '5 hours' FROM outbound_retry")


def test_a_jump_back_of_the_clock_freezes_neither_new_work_nor_lost_leases(workspace) -> None:
    waits, held = queued(workspace, 1), queued(workspace, 1)
    db.execute("UPDATE outbound_chunk SET due = now() + interval '1 day' WHERE sending_id = %s", [waits.id])
    db.execute("UPDATE outbound_sending SET not_before = now() + interval '1 day' WHERE id = %s", [waits.id])
    leases = take()
    assert [row.sending.id for row in rows_of(leases)] == [held.id]
    db.execute("UPDATE outbound_chunk SET lease_until = now() + interval '1 day' WHERE lease_id IS NOT NULL")
    lease.sweep()
    assert [row.sending.id for row in rows_of(take())] == [waits.id]
    assert db.value("SELECT max(lease_until) <= now() + interval '15 minutes' FROM outbound_chunk")
    assert lease.renew(leases, seconds=900), "whoever holds it and lives holds it still"


def test_a_lease_of_ordinary_length_is_left_alone(workspace) -> None:
    queued(workspace, 1)
    take()
    before = db.value("SELECT lease_until FROM outbound_chunk")
    lease.sweep()
    assert db.value("SELECT lease_until FROM outbound_chunk") == before


def test_attempts_needed_before_expiry_follow_the_lifetime() -> None:
    assert settle.least_attempts(4 * 24 * 3600) == 8
    assert settle.least_attempts(15 * 60) == 3
    assert settle.least_attempts(1) == 2


def test_a_hard_bounce_suppresses_with_its_cause(workspace) -> None:
    queued(workspace, 2)
    rows = rows_of(take())
    settle.settle(
        [
            Result(rows[0], "bounced", "unknown_user", 550, "5.1.1", "No such user", suppress=True),
            Result(rows[1], "bounced", "content_refused", 550, "5.7.1", "Looks like spam"),
        ]
    )
    found = suppression.lookup(workspace.id, [row.email_key for row in rows])
    assert set(found) == {rows[0].email_key}
    assert found[rows[0].email_key].scope == "all"
    assert db.value("SELECT cause FROM consent_suppression") == f"outcome {rows[0].sending.id}/{rows[0].no}"


def test_a_disabled_mailbox_is_believed_the_second_time_in_a_week(workspace) -> None:
    person = people(workspace, 1)
    for expected in (0, 1):
        accept.expand_batch(sending(workspace), person)
        settle.settle(
            [Result(rows_of(take())[0], "bounced", "mailbox_disabled", 550, "5.2.1", "disabled", suppress=True)]
        )
        assert db.value("SELECT count(*) FROM consent_suppression") == expected


def test_a_full_mailbox_is_given_up_after_five_days_of_thirty(workspace) -> None:
    person = people(workspace, 1)
    for day in range(5):
        assert db.value("SELECT count(*) FROM consent_suppression") == 0
        accept.expand_batch(sending(workspace), person)
        settle.settle([Result(rows_of(take())[0], "bounced", "mailbox_full", 552, "5.2.2", "full")])
        db.execute("UPDATE outbound_trouble SET at = at - interval '3 days'")
        assert db.value("SELECT count(*) FROM outbound_trouble") == day + 1
    assert db.value("SELECT count(*) FROM consent_suppression") == 1


def test_a_single_message_is_durable_addressed_and_in_order(workspace) -> None:
    accepted = accept.accept_messages(
        [
            Outgoing(
                workspace.id,
                ("Shop", "shop@librairie.example"),
                [("", "a@un.example"), ("", "b@deux.example")],
                "Hi",
                "x",
            ),
            Outgoing(workspace.id, ("Shop", "shop@librairie.example"), [("", "c@un.example")], "Code", "1", code=True),
        ]
    )
    assert [len(a.recipients) for a in accepted] == [2, 1]
    rows = rows_of(take())
    assert [row.address for row in rows if row.key == accepted[0].recipients[1]] == ["b@deux.example"]
    assert {row.sending.priority for row in rows if row.message_id == accepted[1].message_id} == {0}
    assert states.invariants() == []


def test_urgent_single_messages_leave_first_and_the_others_in_their_order(workspace) -> None:
    def letter(name: str, urgency: int = 2) -> Outgoing:
        return Outgoing(
            workspace.id, ("", "s@librairie.example"), [("", f"{name}@un.example")], "x", "x", urgency=urgency
        )

    accept.accept_messages([letter("low", 0), letter("first"), letter("urgent", 3), letter("second")])
    accept.accept_messages([letter("ahead", 1)])
    accept.accept_messages([letter("urgent.too", 3)])
    campaign = queued(workspace, 1)
    (one,) = rows_of(take(1))
    assert one.address == "urgent@un.example"
    rows = rows_of(take())
    assert [row.address.partition("@")[0] for row in rows[:5]] == ["urgent.too", "first", "second", "ahead", "low"]
    assert [row.sending.id for row in rows[5:]] == [campaign.id]
    assert len({row.sending.id for row in [one, *rows[:5]]}) == 1, "of one sending, whose road they go"
    assert states.invariants() == []


def test_a_suppressed_stranger_gets_no_single_message(workspace) -> None:
    suppression.add(workspace.id, "a@un.example", "all", "hard_bounce", "test")
    accept.accept_messages([Outgoing(workspace.id, ("S", "s@librairie.example"), [("", "a@un.example")], "Hi", "x")])
    assert take() == []
    assert db.value("SELECT state || ' ' || cause FROM outbound_outcome") == "suppressed suppressed"


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ({"to": []}, "at least one recipient"),
        ({"to": [("", "nowhere")]}, "no @"),
        ({"text": ""}, "text or an HTML"),
        ({"kind": "campaign"}, "transactional or system"),
    ],
)
def test_what_is_refused_leaves_no_trace(workspace, message: dict, sentence: str) -> None:
    facts = {"to": [("", "a@un.example")], "text": "x", **message}
    good = Outgoing(workspace.id, ("S", "s@librairie.example"), [("", "b@un.example")], "Hi", "x")
    with pytest.raises(Refused, match=sentence):
        accept.accept_messages([good, Outgoing(workspace.id, ("S", "s@librairie.example"), **facts)])
    assert db.value("SELECT count(*) FROM outbound_send") == 0
    assert db.value("SELECT count(*) FROM outbound_message") == 0


def test_a_failed_commit_promises_nothing(workspace) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        accept.accept_messages(
            [Outgoing(workspace.id, ("S", "s@librairie.example"), [("", "b@un.example")], "Hi", "x")]
        )
        raise ZeroDivisionError
    assert db.value("SELECT count(*) FROM outbound_send") == 0


def test_the_invariants_notice_what_is_wrong(workspace) -> None:
    queued(workspace, 3)
    db.execute("UPDATE outbound_chunk SET done = true")
    assert any("neither waiting nor ended" in sentence for sentence in states.invariants())
    db.execute(
        "UPDATE outbound_chunk SET done = false, lease_id = gen_random_uuid(), lease_until = now() - interval '2 min'"
    )
    assert any("not given back" in sentence for sentence in states.invariants())


def test_the_queue_is_shown_by_site_and_reply(workspace) -> None:
    queued(workspace, 3, domain="un.example")
    leases = take()
    row = rows_of(leases)[0]
    settle.settle([Result(row, DEFERRED, "greylisted", 451, "4.7.1", "Greylisted")])
    lease.release(leases)
    found = {(w["site"], w["state"], w["count"], w["reply"]) for w in states.waiting(workspace.id)}
    assert found == {("un.example", "queued", 2, ""), ("un.example", "deferred", 1, "451 4.7.1 Greylisted")}


def test_a_large_queue_is_counted_by_chunks_and_shown_by_pages(workspace, monkeypatch) -> None:
    queued(workspace, 4, domain="un.example")
    queued(workspace, 3, domain="deux.example")
    lease.lease("c", 4, seconds=900)
    shown = [(one["site"], one["count"]) for one in states.waiting(workspace.id)]
    assert sorted(shown) == [("deux.example", 3), ("un.example", 4)]
    assert states.waiting(workspace.id, most=1, skip=1) == states.waiting(workspace.id)[1:2]
    assert [one["site"] for one in states.waiting(workspace.id, site="deux.example")] == ["deux.example"]
    monkeypatch.setattr(states, "COUNTED", 2)
    large = states.waiting(workspace.id)
    assert sum(one["count"] for one in large) == 7 and {one["state"] for one in large} == {"leased", "queued"}


def test_small_sendings_are_counted_person_by_person_beside_a_large_one(workspace, monkeypatch) -> None:
    """However many sendings wait: together no more than so many people are looked at one by one."""
    queued(workspace, 2, domain="petit.example")
    leases = take()
    settle.settle([delivered(rows_of(leases)[0])])
    lease.release(leases)
    queued(workspace, 9, domain="grand.example")

    def shown(exact: int) -> dict[str, int]:
        monkeypatch.setattr(states, "COUNTED", exact)
        return {one["site"]: one["count"] for one in states.waiting(workspace.id)}

    assert shown(11) == {"petit.example": 1, "grand.example": 9}
    assert shown(10) == {"petit.example": 1, "grand.example": 9}, "the small one is still looked at"
    assert shown(1) == {"petit.example": 2, "grand.example": 9}, "a chunk counts whole until it is done"


def test_small_sites_share_chunks_and_large_ones_have_their_own() -> None:
    sites = ["big.example"] * 1100 + [f"s{i}.example" for i in range(700)]
    plan = enter.plan_chunks(sites)
    chunks = Counter(plan)
    assert max(chunks.values()) <= enter.CHUNK_ROWS
    assert len(set(plan[:1100])) == 3 and not set(plan[:1100]) & set(plan[1100:])


def test_single_messages_survive_a_stream_that_went_away(workspace) -> None:
    """Known by heart, and not there any more: nothing is written for it, and another is made."""
    letter = Outgoing(workspace.id, ("", "zoe@librairie.example"), [("", "luc@un.example")], "Bonjour", "À vous.")
    db.execute("INSERT INTO outbound_domain (workspace_id, name, trusted, findings) VALUES (%s, %s, true, '[]')",
               [workspace.id, "librairie.example"])  # fmt: skip
    first = accept.accept_messages([letter])[0].recipients[0]
    db.execute("UPDATE outbound_sending SET state = 'stopped' WHERE id = %s", [first[0]])
    second = accept.accept_messages([letter, letter])
    assert {key[0] for one in second for key in one.recipients} != {first[0]}
    assert db.value("SELECT count(*) FROM outbound_message") == 3
    assert states.invariants() == []


def test_bodies_that_are_too_much_for_one_statement_are_kept_all_or_none(workspace, monkeypatch) -> None:
    monkeypatch.setattr(enter, "MOST_OCTETS", 1000)
    db.execute("INSERT INTO outbound_domain (workspace_id, name, trusted, findings) VALUES (%s, %s, true, '[]')",
               [workspace.id, "librairie.example"])  # fmt: skip

    def letters(*texts: str) -> list[Outgoing]:
        return [Outgoing(workspace.id, ("", "a@librairie.example"), [("", "b@un.example")], "x", one) for one in texts]

    kept = accept.accept_messages(letters("1" * 700, "2" * 700, "3" * 200))
    assert [db.value("SELECT left(text, 1) FROM outbound_message WHERE id = %s", [one.message_id]) for one in kept] == [
        "1", "2", "3",
    ]  # fmt: skip
    with pytest.raises(DataError):
        accept.accept_messages(letters("4" * 700, "5\0" * 700))
    assert db.value("SELECT count(*) FROM outbound_message") == 3
    assert states.invariants() == []
