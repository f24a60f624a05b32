"""What is kept long enough goes by itself, at the limit and not before; a dispute holds it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from envol.accounts.models import JournalEntry, Workspace
from envol.consent import acts, desk, ledger, purposes, registry, requests, retention, suppression, tasks
from envol.consent.models import Erasure, Evidence, RightsRequest
from envol.contacts import people
from envol.contacts.models import Contact
from envol.contacts.orders import NewOrder, add_bulk
from envol.db import execute, rows, value
from envol.events import NewEvent, record
from envol.events import tasks as events
from envol.events.models import Kind
from envol.outbound import accept, domains

BORN = datetime(2023, 5, 31, 10, tzinfo=UTC)
LIMIT = datetime(2026, 5, 31, 10, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def add(workspace: Workspace, name: str) -> Contact:
    source = people.source(workspace, "form", "Salon")
    person = people.upsert(workspace, f"{name}@lecteurs.example", source=source)
    Contact.objects.filter(pk=person.pk).update(created_at=BORN)
    return person


def there(workspace: Workspace) -> set[str]:
    found = Contact.objects.filter(workspace_id=workspace.pk).values_list("email", flat=True)
    return {email.partition("@")[0] for email in found}


@pytest.mark.parametrize(
    ("now", "months", "expected"),
    [((2026, 5, 31), 3, (2026, 2, 28)), ((2028, 3, 31), 1, (2028, 2, 29)), ((2026, 1, 15), 36, (2023, 1, 15))],
)
def test_a_term_is_counted_by_the_calendar(
    now: tuple[int, int, int], months: int, expected: tuple[int, int, int]
) -> None:
    assert retention.before(datetime(*now, 10, tzinfo=UTC), months) == datetime(*expected, 10, tzinfo=UTC)


def test_prospects_go_at_the_limit_and_not_before(workspace: Workspace) -> None:
    add(workspace, "silent")
    clicked, opened, machine = add(workspace, "clicked"), add(workspace, "opened"), add(workspace, "machine")
    lately = LIMIT - timedelta(days=30)
    record(
        [
            NewEvent(workspace.pk, Kind.CLICKED, clicked.pk, 7000 + workspace.pk, at=lately),
            NewEvent(workspace.pk, Kind.OPENED, opened.pk, 7000 + workspace.pk, at=lately),
            NewEvent(workspace.pk, Kind.CLICKED, machine.pk, 7000 + workspace.pk, at=lately, machine="scanner"),
        ]
    )
    buyer = add(workspace, "buyer")
    add_bulk(workspace, [NewOrder(f"{workspace.name}-1", lately, 1999, contact_id=buyer.pk)])
    disputed = add(workspace, "disputed")
    held = retention.hold(workspace, disputed.pk, "unpaid invoice 12", 1)
    everybody = there(workspace)

    assert retention.run(workspace.pk, LIMIT) == {} and there(workspace) == everybody
    assert retention.preview(workspace.pk, LIMIT + INSTANT)["prospects"] == 3
    assert there(workspace) == everybody, "a preview deletes nothing"
    assert retention.run(workspace.pk, LIMIT + INSTANT) == {"prospects": 3}
    assert there(workspace) == {"clicked", "buyer", "disputed"}, "an open is no act of the person"
    assert Erasure.objects.filter(workspace_id=workspace.pk, cause="end of the retention period").count() == 3
    assert retention.release(workspace, held.pk, 1)
    assert retention.run(workspace.pk, LIMIT + INSTANT) == {"prospects": 1}
    later = retention.before(lately, -36)
    assert retention.run(workspace.pk, later) == {}
    assert retention.run(workspace.pk, later + INSTANT) == {"prospects": 1, "customers": 1}


def test_an_act_is_remembered_when_its_month_is_dropped(workspace: Workspace) -> None:
    zoe = add(workspace, "zoe")
    value("SELECT events_make_partitions(%s, 1)", [date(2024, 6, 1)])
    acted = datetime(2024, 6, 15, 10, tzinfo=UTC)
    record([NewEvent(workspace.pk, Kind.CLICKED, zoe.pk, 7000 + workspace.pk, at=acted)])
    assert "events_event_2024_06" in events.drop_old(date(2026, 5, 1), 13)
    assert retention.run(workspace.pk, LIMIT + INSTANT) == {}
    told = registry.export_person(workspace.pk, zoe.pk)["rooms"]["events"]
    assert told["last_act_before"] == acted.isoformat()
    people.erase(zoe, cause="request 1")
    assert not value("SELECT count(*) FROM events_last_act WHERE contact_id = %s", [zoe.pk])


def test_shorter_is_free_and_longer_needs_a_reason(workspace: Workspace) -> None:
    zoe = add(workspace, "zoe")
    with pytest.raises(ValueError, match="longer"):
        retention.change(workspace, "prospects", 48, " ", 1)
    with pytest.raises(ValueError, match="1 to 360"):
        retention.change(workspace, "nothing", 12, "", 1)
    retention.change(workspace, "prospects", 12, "", 1)
    assert JournalEntry.objects.filter(workspace=workspace, action="retention.changed").count() == 1
    retention.change(workspace, "prospects", 48, "guarantee of four years", 1)
    assert next(one.months for one in retention.terms(workspace.pk) if one.key == "prospects") == 48
    assert retention.run(workspace.pk, LIMIT + INSTANT) == {} and Contact.objects.filter(pk=zoe.pk).exists()


def test_a_hold_keeps_an_erasure_for_the_desk(workspace: Workspace) -> None:
    zoe = add(workspace, "zoe")
    retention.hold(workspace, zoe.pk, "unpaid invoice 12", 1)
    one = requests.prove(requests.receive(workspace, "erasure", zoe.email, channel="page"))
    assert one.state == "open" and Contact.objects.filter(pk=zoe.pk).exists()
    with pytest.raises(requests.Refusal, match="hold"):
        requests.carry_out(one, 1)


def test_requests_go_after_their_time_and_the_dry_run_is_a_job(workspace: Workspace) -> None:
    one = requests.receive(workspace, "access", "nobody@lecteurs.example", channel="page")
    RightsRequest.objects.filter(pk=one.pk).update(ended_at=BORN, state="answered")
    job = tasks.start_preview(workspace, 1)
    assert tasks.start_preview(workspace, 1).pk == job.pk
    tasks.preview_retention(workspace.pk, job.pk)
    job.refresh_from_db()
    assert job.state == "done" and set(job.result) == {one["key"] for one in retention.defaults()}
    over = retention.before(BORN, -60)
    assert retention.run(workspace.pk, over) == {}
    assert retention.run(workspace.pk, over + INSTANT)["requests"] == 1


def test_words_of_messages_go_once_everybody_has_an_outcome(workspace: Workspace) -> None:
    """And proofs that no answer names, refusals that ended, recipients of long ago: each at its own limit."""
    now = datetime.now(UTC)
    domains.add(workspace, "boutique.example", trusted=True)
    made = []
    for n in range(2):
        to = [("", f"m{n}@lecteurs.example")]
        made += accept.accept_messages(
            [accept.Outgoing(workspace.pk, ("", "zoe@boutique.example"), to, subject=f"Secret {n}", text="Votre code")]
        )
    first, _second = (one.recipients[0] for one in made)
    outcome = (
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, code, reply) VALUES (%s, %s, %s, 1, 250, 'OK')"
    )
    execute(outcome, [*first, "delivered"])
    paper = acts.evidence(workspace, "document", "carnet", document=b"signed")
    kept = acts.evidence(workspace, "line", "salon")
    zoe = people.upsert(workspace, "zoe@lecteurs.example", {}, source=people.source(workspace, "form", "Salon"))
    people.grant(zoe, purposes.get(workspace, "newsletter"), proof_of=kept, proof="1")
    suppression.add(workspace.pk, "old@lecteurs.example", "all", "by_hand", "a letter")
    suppression.lift(workspace.pk, "old@lecteurs.example", "all", "it works again")
    ended = desk.save_processor(workspace, {"name": "Pub", "country": "FR"})
    desk.end_processor(ended)

    before = {"evidence": 1, "refusals": 1, "processors": 1, "messages": 1}

    def over(at: datetime) -> dict[str, int]:
        return {key: n for key, n in retention.preview(workspace.pk, at).items() if key in before and n}

    assert over(now) == {} and over(now + timedelta(days=32)) == {"messages": 1}
    assert over(now + timedelta(days=5 * 366 + 2)) == before
    assert retention.run(workspace.pk, now + timedelta(days=32)) == {"messages": 1}
    texts = rows(
        "SELECT text, header->>'subject' FROM outbound_message WHERE workspace_id = %s ORDER BY id", [workspace.pk]
    )
    assert texts == [("", None), ("Votre code", "Secret 1")], "what waits keeps its words"
    for one in ("evidence", "refusals", "processors"):
        find, delete = retention._ways[one]
        assert delete(workspace.pk, find(workspace.pk, now + timedelta(days=2), 10)) == 1, one
    assert list(workspace.processors.all()) == [] and not Evidence.objects.filter(pk=paper.pk).exists()
    assert Evidence.objects.filter(pk=kept.pk).exists() and ledger.verify(workspace.pk).ok
