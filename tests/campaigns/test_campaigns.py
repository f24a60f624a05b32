from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from envol import db, disk
from envol.accounts import jobs
from envol.accounts.models import Job, JournalEntry, Workspace
from envol.accounts.workspaces import create_workspace
from envol.audience import engine, segments
from envol.audience.language import SegmentProblem
from envol.campaigns import actions, checks, drafts, expand, tick
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Conflict, Refused
from envol.consent import silence
from envol.contacts.models import Property
from envol.content import templates
from envol.outbound import accept, lease, making, states
from envol.outbound.models import Excluded, Send, Sending
from tests.campaigns.shop import Shop, codes, deliver, open_shop, settings_with, start


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


# ---- preparing


@pytest.mark.usefixtures("empty_database")  # a lease takes a hundred rows, whosever they are
def test_letters_and_tests_say_the_name_the_campaign_had_when_it_was_sent(workspace: Workspace) -> None:
    shop = open_shop(workspace, subject="{{ campaign.name }} : bonjour")
    shop.person("lea@lecteurs.example")
    shop.segment()
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, name="Rentree d'automne")
    tried = actions.send_test(shop.campaign, "moi@boutique.example")
    sent = start(shop)
    Campaign.objects.filter(id=shop.campaign.pk).update(name="Autre chose")
    assert _subjects(tried.id, sent.id) == {
        tried.id: "[Test] Rentree d'automne : bonjour",
        sent.id: "Rentree d'automne : bonjour",
    }


@pytest.mark.usefixtures("empty_database")  # a lease takes a hundred rows, whosever they are
def test_marketing_rests_for_whoever_has_an_open_complaint(shop: Shop) -> None:
    """Not chosen while it is open, and held back when it is opened after the courier took her letter."""
    before, after, third = (shop.person(f"{name}@lecteurs.example") for name in ("a", "b", "c"))
    shop.segment()
    silence.open(shop.workspace.pk, before, "colis perdu")
    assert actions.summary(shop.campaign).excluded == {"silenced": 1}
    sending = start(shop)
    assert set(Send.objects.filter(sending_id=sending.id).values_list("contact_id", flat=True)) == {after, third}
    leases = lease.lease("courier", 100, seconds=60)
    assert lease.changed(leases) == {}
    silence.open(shop.workspace.pk, after, "facture fausse")
    assert list(lease.changed(leases).values()) == [("suppressed", "silenced")]


def _subjects(*sendings: int) -> dict[int, str]:
    """The subject each waiting letter of these sendings has when a courier makes it."""
    leases = lease.lease("courier", 100, seconds=60)
    makers, problems = making.Makers("http://localhost:8025").prepare(leases)
    assert not problems
    letters = {
        row.sending.id: makers[row.key](row).data for one in leases for row in one.rows if row.sending.id in sendings
    }
    return {key: str(message_from_bytes(data, policy=policy.default)["Subject"]) for key, data in letters.items()}


def test_two_people_cannot_save_over_one_another(shop: Shop) -> None:
    seen = shop.campaign.revision
    drafts.edit(shop.campaign, seen, name="Hers")
    with pytest.raises(Conflict, match="changed this campaign since you opened it"):
        drafts.edit(shop.campaign, seen, name="His")
    assert Campaign.objects.get(pk=shop.campaign.pk).name == "Hers"


def test_a_campaign_takes_nothing_of_another_workspace(shop: Shop) -> None:
    other = create_workspace(shop.workspace.name + "-b")
    theirs = segments.save(other, "Theirs", None)
    with pytest.raises(Refused, match="choose one that exists"):
        drafts.edit(shop.campaign, shop.campaign.revision, segment=theirs)
    with pytest.raises(Refused):
        drafts.edit(shop.campaign, shop.campaign.revision, from_address="not an address")


def test_a_segment_used_by_a_campaign_is_not_deleted(shop: Shop) -> None:
    shop.segment()
    assert shop.campaign.segment is not None
    with pytest.raises(SegmentProblem, match="Lettre d'automne"):
        segments.delete(shop.campaign.segment)


# ---- the road


@pytest.mark.usefixtures("empty_database")
def test_a_campaign_goes_from_draft_to_sent(shop: Shop) -> None:
    people = shop.people(30)
    left_out = shop.person("n@lecteurs.example", allowed=False)
    sending = actions.send(shop.campaign, take_back=0)
    assert shop.campaign.state == sending.state == "scheduled"
    tick.run()
    shop.campaign.refresh_from_db()
    assert shop.campaign.state == "preparing"
    done = expand.run(sending.id, batch=7)
    assert (done.looked_at, done.queued, done.complete) == (31, 30, True)
    shop.campaign.refresh_from_db()
    assert shop.campaign.state == "sending"
    assert set(Send.objects.filter(sending_id=sending.id).values_list("contact_id", flat=True)) == set(people)
    assert list(Excluded.objects.filter(sending_id=sending.id).values_list("contact_id", "reason")) == [
        (left_out, "no_permission")
    ]
    job = Job.objects.get(id=sending.job_id)
    assert (job.state, job.done, job.total) == ("done", 31, 31)
    tick.run()
    shop.campaign.refresh_from_db()
    assert shop.campaign.state == "sending", "nobody was reached yet"
    deliver(sending)
    tick.run()
    shop.campaign.refresh_from_db()
    sending.refresh_from_db()
    assert shop.campaign.state == sending.state == "sent" and sending.ended_at
    acts = JournalEntry.objects.filter(workspace=shop.workspace, object_kind="campaign").order_by("id")
    assert list(acts.values_list("action", flat=True)) == ["campaign.created", "campaign.sent"]
    assert states.invariants() == []


def test_the_worker_is_asked_to_expand_what_fell_due(shop: Shop) -> None:
    shop.people(1)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    tick.run()
    asked = db.rows(
        "SELECT args->>'sending_id' FROM procrastinate_jobs WHERE task_name = 'campaigns.expand'"
        " AND args->>'sending_id' = %s",
        [str(sending.id)],
    )
    assert len(asked) == 1


def test_until_the_seconds_have_passed_it_can_be_taken_back(shop: Shop) -> None:
    shop.people(2)
    sending = actions.send(shop.campaign, take_back=60)
    tick.run()
    sending.refresh_from_db()
    assert sending.state == "scheduled"
    actions.take_back(shop.campaign)
    assert shop.campaign.state == "draft"
    db.execute("UPDATE outbound_sending SET not_before = now() WHERE id = %s", [sending.id])
    tick.run()
    expand.run(sending.id)
    assert not Send.objects.filter(sending_id=sending.id).exists()
    assert drafts.edit(shop.campaign, shop.campaign.revision, name="Mended").name == "Mended"


def test_how_long_it_can_be_taken_back_is_asked_in_order(shop: Shop) -> None:
    Workspace.objects.filter(id=shop.workspace.id).update(take_back_seconds=45)
    shop.campaign.refresh_from_db()
    assert checks.take_back_seconds(shop.campaign) == 45
    assert checks.take_back_seconds(shop.campaign, 5) == 5
    with override_settings(ENVOL=settings_with(take_back=0)):
        assert checks.take_back_seconds(shop.campaign) == 0


def test_after_it_started_it_is_stopped_not_taken_back(shop: Shop) -> None:
    shop.people(2)
    start(shop)
    with pytest.raises(Refused, match="being sent and cannot be taken back. Pause or stop it"):
        actions.take_back(shop.campaign)


def test_who_was_meant_is_frozen_when_it_is_decided(shop: Shop) -> None:
    a, b = shop.person("a@lecteurs.example"), shop.person("b@lecteurs.example")
    inner = segments.save(
        shop.workspace, "Inner", {"match": "all", "rules": [{"field": "email", "op": "begins", "value": "a@"}]}
    )
    shop.segment({"field": "segment", "op": "in", "value": inner.pk})
    sending = actions.send(shop.campaign, take_back=0)
    segments.save(
        shop.workspace,
        "Inner",
        {"match": "all", "rules": [{"field": "email", "op": "begins", "value": "b@"}]},
        segment=inner,
    )
    tick.run()
    expand.run(sending.id)
    assert list(Send.objects.filter(sending_id=sending.id).values_list("no", flat=True)) == [a] != [b]


def test_a_withdrawal_between_decision_and_expansion_is_honoured(shop: Shop) -> None:
    a, b = shop.people(2)
    sending = actions.send(shop.campaign, take_back=0)
    db.execute("UPDATE contacts_contact SET allowed = 0, refused = %s WHERE id = %s", [1 << shop.newsletter.bit, a])
    tick.run()
    expand.run(sending.id)
    assert list(Send.objects.filter(sending_id=sending.id).values_list("no", flat=True)) == [b]
    assert Excluded.objects.get(sending_id=sending.id).reason == "withdrawn"


# ---- crashes


class Crash(Exception):
    pass


@pytest.mark.usefixtures("empty_database")
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("at", [1, 2, 4])
def test_nobody_is_missed_and_nobody_is_queued_twice_whenever_it_dies(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, where: str, at: int
) -> None:
    """``before`` and ``after``: on either side of the rows of a batch, inside its transaction."""
    people = shop.people(100)
    refused = [shop.person(f"n{n}@lecteurs.example", allowed=False) for n in range(5)]
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    calls = 0
    honest = accept.expand_batch

    def dying(*args: Any, **more: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == at and where == "before":
            raise Crash
        queued = honest(*args, **more)
        if calls == at:
            raise Crash
        return queued

    monkeypatch.setattr(accept, "expand_batch", dying)
    with pytest.raises(Crash):
        expand.run(sending.id, batch=20)
    sending.refresh_from_db()
    assert sending.state == "preparing" and sending.expanded_at is None
    assert Send.objects.filter(sending_id=sending.id).count() == (at - 1) * 20
    done = expand.run(sending.id, batch=20)
    assert done.complete
    rows = list(Send.objects.filter(sending_id=sending.id).order_by("no").values_list("no", flat=True))
    assert rows == people
    assert set(Excluded.objects.filter(sending_id=sending.id).values_list("contact_id", flat=True)) == set(refused)
    assert db.value("SELECT sum(size) FROM outbound_chunk WHERE sending_id = %s", [sending.id]) == 100
    assert states.invariants() == []


def test_a_crash_between_batches_goes_on_at_the_cursor(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    people = shop.people(50)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    honest = expand._batch
    calls = 0

    def between(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Crash
        return honest(*args)

    monkeypatch.setattr(expand, "_batch", between)
    with pytest.raises(Crash):
        expand.run(sending.id, batch=10)
    sending.refresh_from_db()
    assert sending.expand_cursor == people[19]
    done = expand.run(sending.id, batch=10)
    assert (done.looked_at, done.queued) == (50, 30)
    assert Send.objects.filter(sending_id=sending.id).count() == 50


def test_an_expansion_run_twice_queues_nobody_again(shop: Shop) -> None:
    shop.people(10)
    sending = start(shop)
    db.execute(
        "UPDATE outbound_sending SET state = 'preparing', expanded_at = NULL, expand_cursor = 0 WHERE id = %s",
        [sending.id],
    )
    again = expand.run(sending.id)
    assert (again.looked_at, again.queued) == (10, 0)
    assert Send.objects.filter(sending_id=sending.id).count() == 10


# ---- pause, stop, again


def test_a_full_disk_holds_an_expansion_and_room_lets_it_go_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        shop.person(f"p{i}@lecteurs.example")
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()

    def full() -> None:
        raise disk.Full("Only 3 MiB are free.")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "refuse_when_full", full)
        assert not expand.run(sending.id).complete
    sending.refresh_from_db()
    assert sending.state == "preparing"
    job = Job.objects.get(id=sending.job_id)
    assert (job.state, job.error) == ("waiting", "Only 3 MiB are free.")
    assert expand.run(sending.id).complete
    assert states.counts(sending.id)["queued"] == 5


def test_a_pause_while_preparing_holds_and_resume_goes_on(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    people = shop.people(30)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    honest = expand._batch
    calls = 0

    def pausing(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            actions.pause(shop.campaign)
        return honest(*args)

    monkeypatch.setattr(expand, "_batch", pausing)
    assert not expand.run(sending.id, batch=10).complete
    assert Send.objects.filter(sending_id=sending.id).count() == 10
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "paused"
    assert Job.objects.get(id=sending.job_id).state == "waiting"
    actions.resume(shop.campaign)
    assert shop.campaign.state == "preparing"
    monkeypatch.undo()
    assert expand.run(sending.id, batch=10).complete
    assert Send.objects.filter(sending_id=sending.id).count() == len(people)
    actions.pause(Campaign.objects.get(pk=shop.campaign.pk))
    assert actions.resume(shop.campaign).state == "sending"


def test_stop_ends_everybody_who_was_not_reached_and_the_remainder_is_a_new_sending(shop: Shop) -> None:
    people = shop.people(10)
    first = start(shop)
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, reply, code)"
        " SELECT sending_id, no, 'delivered', 1, '250 ok', 250 FROM outbound_send WHERE sending_id = %s AND no <= %s",
        [first.id, people[3]],
    )
    actions.stop(shop.campaign)
    assert shop.campaign.state == "stopped"
    assert states.counts(first.id) | {"accepted": 10, "delivered": 4, "cancelled": 6} == states.counts(first.id)
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "stopped"

    newcomer = shop.person("new@lecteurs.example")
    second = actions.remainder(shop.campaign, take_back=0)
    assert second.id != first.id
    tick.run()
    expand.run(second.id)
    got = set(Send.objects.filter(sending_id=second.id).values_list("no", flat=True))
    assert got == {*people[4:], newcomer}
    assert states.counts(first.id)["cancelled"] == 6, "the first sending stays what it was"
    deliver(second)
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "sent"


def test_a_resend_reaches_those_who_received_it_and_did_not_click(shop: Shop) -> None:
    people = shop.people(4)
    first = start(shop)
    deliver(first)
    db.execute("UPDATE outbound_outcome SET state = 'bounced' WHERE sending_id = %s AND no = %s", [first.id, people[0]])
    for person, machine in ((people[1], None), (people[2], "scanner")):
        db.execute(
            "INSERT INTO events_event (at, workspace_id, kind, contact_id, sending_id, machine)"
            " VALUES (now(), %s, 6, %s, %s, %s)",
            [shop.workspace.id, person, first.id, machine],
        )
    tick.run()
    shop.campaign.refresh_from_db()
    second = actions.resend(shop.campaign, take_back=0)
    assert second.kind == "resend"
    tick.run()
    expand.run(second.id)
    assert set(Send.objects.filter(sending_id=second.id).values_list("no", flat=True)) == set(people[2:])


def test_an_audience_may_speak_of_what_was_sent_and_delivered(shop: Shop) -> None:
    people = shop.people(4)
    sending = start(shop)
    db.execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, reply, code) SELECT sending_id, no,"
        " CASE WHEN no = %s THEN 'cancelled' WHEN no = %s THEN 'bounced' ELSE 'delivered' END, 1, '250 ok', 250"
        " FROM outbound_send WHERE sending_id = %s",
        [people[0], people[1], sending.id],
    )
    test = actions.send_test(shop.campaign, "p1@site1.example")
    deliver(test)

    def chosen(field: str, op: str, **where: int) -> set[int]:
        rule = {"field": field, "op": op, "value": None if op == "never" else 1, "where": where}
        query, params = engine.ids_sql(shop.workspace, {"match": "all", "rules": [rule]})
        return {row[0] for row in db.rows(query, params)}

    assert chosen("mail.sent", "at_least", sending=sending.id) == set(people[1:])
    assert chosen("mail.delivered", "at_least", within_days=1) == set(people[2:])
    assert chosen("mail.delivered", "never") == set(people[:2])


def test_taking_a_remainder_back_leaves_the_campaign_as_it_was(shop: Shop) -> None:
    shop.people(3)
    start(shop)
    actions.stop(shop.campaign)
    actions.remainder(shop.campaign, take_back=60)
    assert actions.take_back(shop.campaign).state == "stopped"


def test_cancelling_the_job_stops_the_campaign(shop: Shop) -> None:
    shop.people(3)
    sending = actions.send(shop.campaign, take_back=0)
    tick.run()
    assert sending.job_id and jobs.cancel(sending.job_id)
    assert not expand.run(sending.id).complete
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "stopped"
    assert Job.objects.get(id=sending.job_id).state == "cancelled"
    assert not Send.objects.filter(sending_id=sending.id).exists()


def test_an_audience_that_cannot_be_read_any_more_fails_with_its_sentence(shop: Shop) -> None:
    home = {
        "workspace": shop.workspace, "key": "home_town", "label_fr": "Ville", "label_en": "City", "type": "text",
        "purposes": 1 << shop.newsletter.bit,
    }  # fmt: skip
    Property.objects.create(**home)
    shop.person("a@lecteurs.example", props={"home_town": "Nantes"})
    shop.segment({"field": "prop.home_town", "op": "is", "value": "Nantes"})
    sending = actions.send(shop.campaign, take_back=0)
    Property.objects.filter(workspace=shop.workspace, key="home_town").delete()
    tick.run()
    expand.run(sending.id)
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "failed"
    assert "prop.home_town" in Job.objects.get(id=sending.job_id).error
    Property.objects.create(**home)
    actions.resume(shop.campaign)
    assert expand.run(sending.id).queued == 1


# ---- time


def test_a_scheduled_campaign_starts_at_its_moment(shop: Shop) -> None:
    shop.people(1)
    soon = timezone.now() + timedelta(hours=3)
    sending = actions.schedule(shop.campaign, soon)
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "scheduled"
    assert shop.campaign.scheduled_at == soon == sending.not_before
    db.execute("UPDATE outbound_sending SET not_before = now() - interval '5 minutes' WHERE id = %s", [sending.id])
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "preparing"


def test_a_moment_without_a_zone_is_the_workspace_s_time(shop: Shop) -> None:
    shop.people(1)
    sending = actions.schedule(shop.campaign, datetime(2990, 7, 1, 9, 30))
    assert sending.not_before == datetime(2990, 7, 1, 7, 30, tzinfo=UTC)  # Paris, in summer


def test_a_moment_that_has_passed_is_refused(shop: Shop) -> None:
    shop.people(1)
    with pytest.raises(Refused, match="choose one in the future"):
        actions.schedule(shop.campaign, timezone.now() - timedelta(hours=1))


def test_what_fell_due_while_nothing_ran_asks_before_it_is_sent(shop: Shop) -> None:
    shop.people(1)
    sending = actions.schedule(shop.campaign, timezone.now() + timedelta(hours=1))
    with pytest.raises(Refused, match="starts by itself"):
        actions.confirm(shop.campaign)
    db.execute("UPDATE outbound_sending SET not_before = now() - interval '2 hours' WHERE id = %s", [sending.id])
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "scheduled"
    assert codes(shop.campaign) == {"late"}
    actions.confirm(shop.campaign)
    assert codes(shop.campaign) == set()
    tick.run()
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "preparing"


# ---- states


ALLOWED = {
    "draft": {"send"},
    "scheduled": {"take_back", "stop"},
    "preparing": {"pause", "stop"},
    "sending": {"pause", "stop"},
    "paused": {"resume", "stop"},
    "sent": {"remainder", "resend"},
    "stopped": {"remainder", "resend"},
    "failed": {"resume", "stop"},
}


@pytest.mark.parametrize("state", list(ALLOWED))
def test_an_act_that_the_state_does_not_allow_is_refused_and_changes_nothing(shop: Shop, state: str) -> None:
    shop.people(1)
    sending = actions.send(shop.campaign, take_back=60)
    db.execute(
        "UPDATE outbound_sending SET state = %s WHERE id = %s", ["stopped" if state == "draft" else state, sending.id]
    )
    Campaign.objects.filter(pk=shop.campaign.pk).update(state=state)
    entries = JournalEntry.objects.filter(workspace=shop.workspace).count()
    for act in ("send", "take_back", "pause", "resume", "stop", "remainder", "resend"):
        if act in ALLOWED[state]:
            continue
        with pytest.raises(Refused, match=r"^This campaign is .+\. \w.+\.$"):
            getattr(actions, act)(shop.campaign)
        assert Campaign.objects.get(pk=shop.campaign.pk).state == state
    assert JournalEntry.objects.filter(workspace=shop.workspace).count() == entries
    assert Sending.objects.filter(campaign_id=shop.campaign.pk).count() == 1


# ---- tests


def test_a_test_message_goes_to_one_address_and_leaves_the_campaign_a_draft(shop: Shop) -> None:
    sending = actions.send_test(shop.campaign, "moi@boutique.example")
    assert (sending.kind, sending.state) == ("test", "sending")
    (row,) = Send.objects.filter(sending_id=sending.id)
    assert (row.address, row.contact_id) == ("moi@boutique.example", None)
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "draft"
    deliver(sending)
    tick.run()
    sending.refresh_from_db()
    assert sending.state == "sent"
    assert Campaign.objects.get(pk=shop.campaign.pk).state == "draft"
    contact = shop.person("a@lecteurs.example")
    again = actions.send_test(shop.campaign, "A@lecteurs.example")
    assert Send.objects.get(sending_id=again.id).contact_id == contact
    with pytest.raises(Refused):
        actions.send_test(shop.campaign, "nowhere")
    bare = drafts.create(shop.workspace, "Bare")
    with pytest.raises(actions.NotReady):
        actions.send_test(bare, "moi@boutique.example")


def test_a_test_message_with_a_hole_in_it_is_refused(shop: Shop) -> None:
    facts = {"label_fr": "Ville", "label_en": "City", "type": "text", "purposes": 1 << shop.newsletter.bit}
    Property.objects.create(workspace=shop.workspace, key="home_town", **facts)
    version = templates.save(shop.workspace, "Ville", "html", "<body><p>{{ contact.home_town }}</p></body>", "Ici")
    shop.campaign = drafts.edit(shop.campaign, shop.campaign.revision, template=version.template)
    with pytest.raises(Refused, match=r"no value to show for contact\.home_town; give it a fallback"):
        actions.send_test(shop.campaign, "moi@boutique.example")
    shop.person("a@lecteurs.example", props={"home_town": "Nantes"})
    assert actions.send_test(shop.campaign, "a@lecteurs.example").kind == "test"
