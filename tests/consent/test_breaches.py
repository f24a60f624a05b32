"""Breaches: the clock, what stands in the register for ever, who is told, what is suspected."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from envol.accounts.journal import note
from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.campaigns import watching
from envol.consent import acts, breaches, desk, purposes, registry, restriction, suppression
from envol.consent.models import Breach, BreachLine
from envol.contacts import people
from envol.db import execute, rows, value
from envol.events.models import MailRequest
from envol.outbound import lease
from envol.outbound.accept import Outgoing, accept_messages
from envol.outbound.models import OWED, Domain
from envol.outbound.requests import outcomes
from envol.outbound.requests import take as accept_requests


def owner(workspace: Workspace) -> None:
    add_member(workspace, User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 12), Role.OWNER)


def test_the_clock_reminds_at_a_third_two_thirds_and_the_end_and_stops_when_notified(workspace: Workspace) -> None:
    owner(workspace)
    begun = timezone.now() - timedelta(hours=23)
    breach = breaches.begin(workspace, "Fichier égaré", begun)
    mine = MailRequest.objects.filter(workspace_id=workspace.pk, kind="breach_alert")
    alerts = BreachLine.objects.filter(breach=breach, kind="alert")
    for hours, lines, mails in ((23.9, 0, 0), (24, 1, 1), (47.9, 1, 1), (48, 2, 2), (66, 3, 3), (90, 3, 3)):
        breaches.remind(begun + timedelta(hours=hours))
        assert (alerts.count(), mine.count()) == (lines, mails), hours
    state = breaches.state(breach)
    assert state.runs and state.due == begun + timedelta(hours=72)
    late = breaches.begin(workspace, "Su trop tard", begun)
    breaches.remind(begun + timedelta(hours=67))
    assert BreachLine.objects.filter(breach=late, kind="alert").count() == 3 and mine.count() == 4, "one mail for three"
    breaches.add(late, "notified", {"at": (begun + timedelta(hours=73)).isoformat()})
    assert not breaches.state(late).runs and breaches.state(late).late


def test_the_hours_are_a_setting(workspace: Workspace) -> None:
    desk.save(workspace, {"breach_hours": 96})
    begun = timezone.now() - timedelta(hours=1)
    breach = breaches.begin(workspace, "X", begun)
    assert breaches.state(breach).due == begun + timedelta(hours=96)
    owner(workspace)
    breaches.remind(begun + timedelta(hours=31))
    assert breaches.state(breach).last("alert") is None
    breaches.remind(begun + timedelta(hours=32))
    assert breaches.state(breach).last("alert") is not None


def test_the_register_is_never_changed(workspace: Workspace) -> None:
    breach = breaches.begin(workspace, "X", timezone.now())
    for act in (
        lambda: BreachLine.objects.filter(breach=breach).update(said={}),
        lambda: BreachLine.objects.filter(breach=breach).delete(),
        lambda: Breach.objects.filter(pk=breach.pk).update(title="Rien"),
    ):
        with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
            act()


def test_it_closes_only_when_everything_was_decided(workspace: Workspace) -> None:
    breach = breaches.begin(workspace, "X", timezone.now())
    with pytest.raises(breaches.Refused, match="Notify the authority first"):
        breaches.close(breach, "trained")
    breaches.add(breach, "authority", {"notify": False, "why": "The file was encrypted."})
    with pytest.raises(breaches.Refused, match="people concerned"):
        breaches.close(breach, "trained")
    breaches.add(breach, "persons", {"tell": False, "why": "unreadable"})
    with pytest.raises(breaches.Refused, match="does not happen again"):
        breaches.close(breach, " ")
    breaches.close(breach, "trained")
    assert breaches.state(breach).name == "closed"


def test_everybody_concerned_is_told_once_whatever_they_refused(workspace: Workspace) -> None:
    source = people.source(workspace, "member", "Carnet")
    found = [people.upsert(workspace, f"p{n}@lecteurs.example", {}, source=source) for n in range(5)]
    acts.withdraw(workspace.pk, found[0].pk, [purposes.get(workspace, "newsletter")], state="objected")
    breach = breaches.begin(workspace, "X", timezone.now(), scope="everybody")
    facts = breaches.state(breach).facts
    assert facts["persons"] == 5 and facts["tables"]["contacts_contact"] == 5
    assert list(breaches.tell(breach, "À propos de vos données", "Bonjour"))[-1] == 5
    assert list(breaches.tell(breach, "À propos de vos données", "Bonjour")) == [], "told once"
    asked = MailRequest.objects.filter(workspace_id=workspace.pk, kind="breach")
    assert sorted(asked.values_list("recipient", flat=True)) == sorted(one.email for one in found)
    # Its own report: what receivers answered, of these messages alone.
    Domain.objects.create(workspace=workspace, name="boutique.example", trusted=True)
    accept_requests()
    told = outcomes(workspace.pk, "breach", breach.pk, breach.created_at)
    assert told == {"waiting": 5}
    (sending, no), *_ = rows("SELECT sending_id, no FROM outbound_send WHERE contact_id = %s", [found[0].pk])
    execute(
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, code, reply)"
        " VALUES (%s, %s, 'delivered', 1, 250, 'OK')",
        [sending, no],
    )
    assert outcomes(workspace.pk, "breach", breach.pk, breach.created_at) == {"waiting": 4, "delivered": 1}
    assert outcomes(workspace.pk, "breach", breach.pk + 1, breach.created_at) == {}
    told = registry.export_person(workspace.pk, found[0].pk)["rooms"]["consent"]["breaches_told"]
    assert [one["title"] for one in told] == ["X"]
    people.erase(found[0], cause="asked")
    assert value("SELECT count(*) FROM consent_breach_told WHERE breach_id = %s", [breach.pk]) == 4


def test_who_refused_contract_mail_is_warned_all_the_same(empty_database: None, workspace: Workspace) -> None:
    """GDPR art. 34: a refusal of other mail is none of this; a full stop and a restriction still hold it back."""
    source = people.source(workspace, "member", "Carnet")
    refusing, stopped, resting = (people.upsert(workspace, f"{n}@lecteurs.example", {}, source=source) for n in "abc")
    for one in (refusing, stopped, resting):
        acts.withdraw(workspace.pk, one.pk, [purposes.get(workspace, "transactional")], state="refused")
    suppression.add(workspace.pk, stopped.email_key, "all", "manual", "by hand")
    restriction.begin(workspace.pk, resting.pk, "by letter")
    Domain.objects.create(workspace=workspace, name="boutique.example", trusted=True)
    breach = breaches.begin(workspace, "X", timezone.now(), scope="everybody")
    list(breaches.tell(breach, "À propos de vos données", "Bonjour"))
    accept_requests()
    assert {row.address for one in lease.lease("c", 100, seconds=60) for row in one.rows} == {refusing.email}
    order = Outgoing(workspace.pk, ("Zoé", "zoe@boutique.example"), [("", refusing.email)], "Votre commande", "Merci")
    accept_messages([order, replace(order, owed=True, contact_ids=[refusing.pk])])
    (again,) = [row for one in lease.lease("d", 100, seconds=60) for row in one.rows]
    assert again.sending.purpose_id == OWED, "what is no duty is held back still"


def test_in_a_drill_nobody_is_written_to(workspace: Workspace) -> None:
    people.upsert(workspace, "p@lecteurs.example", {}, source=people.source(workspace, "member", "Carnet"))
    breach = breaches.begin(workspace, "X", timezone.now(), drill=True, scope="everybody")
    assert list(breaches.tell(breach, "S", "T")) == []
    assert not MailRequest.objects.filter(workspace_id=workspace.pk, kind="breach").exists()


def test_what_looks_like_a_breach_opens_one_draft(workspace: Workspace) -> None:
    owner(workspace)
    for _n in range(breaches.MASS):
        note(workspace, "member", "export.taken", actor_id=7)
    breaches.watch()
    mine = Breach.objects.filter(workspace=workspace)
    assert not mine.exists(), "as many as are allowed"
    note(workspace, "member", "export.taken", actor_id=7)
    note(workspace, "job", "api_key.paused")
    note(workspace, "member", "api_key.paused", actor_id=7)
    breaches.watch()
    breaches.watch()
    assert sorted(mine.values_list("origin", flat=True)) == ["exports", "key"]
    assert MailRequest.objects.filter(workspace_id=workspace.pk, kind="breach_alert").count() == 2
    first = mine.get(origin="exports")
    assert breaches.state(first).name == "suspected" and breaches.state(first).due is None
    breaches.become_aware(first)
    assert breaches.state(first).runs
    assert breaches.state(first).facts["playbook"] == "file", "its first steps are shown"
    breaches.dismiss(mine.get(origin="key"), "A test of ours")
    with pytest.raises(breaches.Refused):
        breaches.become_aware(mine.get(origin="key"))


def test_the_address_of_a_contact_in_a_message_is_seen(workspace: Workspace) -> None:
    people.upsert(workspace, "zoe@lecteurs.example", {}, source=people.source(workspace, "member", "Carnet"))
    assert watching.others_in(workspace.pk, "Écrivez à Zoe@Lecteurs.example ou contact@boutique.example") == 1
    assert watching.others_in(workspace.pk, "contact@boutique.example") == 0


def test_the_people_of_a_sending_are_those_it_went_to(workspace: Workspace) -> None:
    from envol.outbound.models import Sending

    one = people.upsert(workspace, "p@lecteurs.example", {}, source=people.source(workspace, "member", "Carnet"))
    sending = Sending.objects.create(workspace=workspace, kind="campaign", state="sent")
    execute(
        "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk) VALUES (%s, 1, %s, %s, 'x', 1)",
        [sending.pk, one.pk, one.email],
    )
    breach = breaches.begin(workspace, "X", timezone.now(), scope="sending", ref=sending.pk)
    assert breaches.state(breach).facts["persons"] == 1
    assert list(breaches.tell(breach, "S", "T")) == [1]
    elsewhere = breaches.Breach(workspace=workspace, scope="sending", ref=sending.pk + 1)
    assert breaches.count(elsewhere) == 0
