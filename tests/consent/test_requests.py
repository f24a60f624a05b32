"""Requests about data: proved by the mailbox alone, within a calendar month, carried out or refused with reasons."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member
from envol.consent import access, acts, desk, gates, ledger, purposes, recipients, requests, restriction
from envol.consent.models import Erasure, RightsRequest, RightsStep
from envol.contacts import people
from envol.contacts.masks import rebuild_masks
from envol.contacts.models import Contact
from envol.db import value
from envol.events.models import MailRequest

ZOE = "zoe@lecteurs.example"


@pytest.fixture
def zoe(workspace: Workspace) -> Contact:
    person = people.upsert(workspace, ZOE, {"first_name": "=Zoé"}, source=people.source(workspace, "form", "Salon"))
    for key in ("newsletter", "measure_opens"):
        people.grant(
            person, purposes.get(workspace, key), proof_of=acts.evidence(workspace, "line", "salon"), proof="1"
        )
    return person


def secret_to(address: str) -> str:
    mail = MailRequest.objects.filter(recipient=address, kind="rights").latest("pk")
    found = re.search(r"/r/([\w-]{43})", mail.facts["text"])
    assert found
    return found[1]


def asked(workspace: Workspace, kind: str, address: str = ZOE, **more: object) -> RightsRequest:
    return requests.receive(workspace, kind, address, channel="page", **more)  # type: ignore[arg-type]


def proved(workspace: Workspace, kind: str, address: str = ZOE) -> RightsRequest:
    asked(workspace, kind, address)
    found = requests.by_secret(secret_to(address))
    assert found is not None and found.state == "unproven"
    return requests.prove(found)


@pytest.mark.parametrize(
    ("received", "months", "expected"),
    [
        ("2026-01-31T12:00", 1, "2026-02-28"), ("2028-01-30T12:00", 1, "2028-02-29"),
        ("2026-12-15T12:00", 1, "2027-01-15"),
        ("2026-11-30T12:00", 3, "2027-02-28"), ("2026-03-31T23:30", 1, "2026-05-01"),
    ],
)  # fmt: skip
def test_a_month_is_a_calendar_month_where_the_organisation_lives(received: str, months: int, expected: str) -> None:
    found = requests.due(datetime.fromisoformat(received).replace(tzinfo=UTC), months, "Europe/Paris")
    assert found.astimezone(UTC) > datetime.fromisoformat(expected).replace(tzinfo=UTC) + timedelta(hours=20)
    assert found.date().isoformat() == expected


def test_only_the_mailbox_proves_who_asks(workspace: Workspace, zoe: Contact) -> None:
    """A look-alike address is answered about itself: nothing is kept there."""
    found = proved(workspace, "access", "z0e@lecteurs.example")
    assert (found.state, found.answer, requests.person_of(found)) == ("answered", "nothing kept", None)
    mine = proved(workspace, "access")
    person = requests.person_of(mine)
    assert mine.state == "answered" and person is not None and person.contact_id == zoe.pk
    assert requests.by_secret("A" * 43) is None
    secret = secret_to(ZOE)
    assert requests.by_secret(secret, datetime.now(UTC) + timedelta(days=8)) is None, "a link is not for ever"


def test_a_person_looks_at_what_was_chosen_and_answers(workspace: Workspace, zoe: Contact) -> None:
    """Art. 22(3): whoever asks for a human being gets one, and an answer in words."""
    mine = proved(workspace, "review")
    assert mine.state == "open" and mine.proved_by == "link", "the link proves who asks, and decides nothing"
    with pytest.raises(requests.Refusal, match="what you decided"):
        requests.carry_out(mine, actor_id=1)
    requests.carry_out(mine, actor_id=1, answer="Your tier follows your orders of the year; it is gold again.")
    mine.refresh_from_db()
    assert (mine.state, mine.answer[:9]) == ("answered", "Your tier")
    assert requests.person_of(mine) is not None, "nobody is erased or silenced by it"


def test_nobody_floods_a_mailbox_through_us(workspace: Workspace, zoe: Contact) -> None:
    for _ in range(5):
        asked(workspace, "access")
    assert MailRequest.objects.filter(recipient=ZOE, kind="rights", workspace_id=workspace.pk).count() == 2
    assert RightsRequest.objects.filter(workspace_id=workspace.pk).count() == 5, "and yet each is in the register"


def test_the_pack_holds_all_and_the_portable_one_nothing_inferred(workspace: Workspace, zoe: Contact) -> None:
    with zipfile.ZipFile(io.BytesIO(access.packed(workspace, zoe.pk, "fr"))) as file:
        names = set(file.namelist())
        told = json.loads(file.read("data.json"))
        assert {"data.json", "schema.json", "index.html", "contacts-contact.csv", "consent-permissions.csv"} <= names
        assert "'=Zoé" in file.read("contacts-properties.csv").decode("utf-8-sig")
        assert ZOE in file.read("index.html").decode()
    assert set(access.SCHEMA["required"]) <= set(told) and told["rooms"]["contacts"]["contact"]["email"] == ZOE
    assert any(one["table"] == "contacts_contact" for one in told["kept"])
    portable = access.data(workspace, zoe.pk, portable=True)
    assert "kept" not in portable and "tiers" not in portable["rooms"]["audience"]


def test_an_erasure_by_link_leaves_the_register_without_her(workspace: Workspace, zoe: Contact) -> None:
    address = f"zoe.{workspace.name}@lecteurs.example"
    people.change_address(zoe, address)
    asked(workspace, "rectification", address, words="My name is Zoë")
    done = proved(workspace, "erasure", address)
    assert done.state == "answered" and not Contact.objects.filter(pk=zoe.pk).exists()
    erasure = Erasure.objects.get(pk=done.erasure_id)
    assert erasure.gone["contacts_contact"] == 1
    for row in RightsRequest.objects.filter(workspace_id=workspace.pk):
        assert (row.address, row.words, row.contact_id) == ("", "", None)
    for table in ("consent_request", "consent_request_step", "events_mail_request"):
        assert not value(f'SELECT 1 FROM "{table}" t WHERE strpos(t::text, %s) > 0 LIMIT 1', [address]), table


def state(person: Contact) -> tuple[bool, int, bool]:
    person.refresh_from_db()
    return person.suppressed, person.allowed, bool(person.refused & 1)


def test_restricted_data_are_kept_and_not_used(workspace: Workspace, zoe: Contact) -> None:
    newsletter = purposes.get(workspace, "newsletter")
    order = purposes.get(workspace, "transactional")
    before = state(zoe)
    since = datetime.now(UTC)
    proved(workspace, "restriction")
    assert state(zoe) == (True, 0, True) and zoe.props["first_name"] == "=Zoé"
    for purpose in (newsletter, order):
        assert gates.may_send(workspace.pk, zoe.pk, ZOE, purpose.pk).reason == gates.RESTRICTED
        transactional = purpose.kind == "transactional"
        refusal = gates.refusal_sql("c", purpose.bit, transactional=transactional)
        assert value(f"SELECT {refusal} FROM contacts_contact c WHERE id = %s", [zoe.pk]) is not None
    assert gates.may_send(workspace.pk, zoe.pk, ZOE, newsletter.pk, now=since).allowed, "before, it was not"
    tracking = gates.tracking_level(workspace, zoe.allowed, zoe.refused, "FR")
    assert (tracking.opens, tracking.clicks) == ("none", "none")
    ledger.project(workspace.pk, [zoe.pk])
    assert rebuild_masks(workspace) == 0 and state(zoe) == (True, 0, True), "no later change opens it"
    assert restriction.end(workspace.pk, zoe.pk) and state(zoe) == before
    assert gates.may_send(workspace.pk, zoe.pk, ZOE, newsletter.pk).allowed


def test_an_objection_counts_at_once(workspace: Workspace, zoe: Contact) -> None:
    proved(workspace, "objection")
    newsletter = purposes.get(workspace, "newsletter")
    assert not gates.may_send(workspace.pk, zoe.pk, ZOE, newsletter.pk).allowed


def test_the_desk_answers_extends_and_refuses_with_reasons(workspace: Workspace, zoe: Contact) -> None:
    now = datetime(2026, 1, 31, 9, tzinfo=UTC)
    one = requests.receive(workspace, "rectification", ZOE, channel="member", words="Zoë", actor_id=1, now=now)
    with pytest.raises(requests.Refusal, match="who asks"):
        requests.carry_out(one, 1, "done")
    with pytest.raises(requests.Refusal, match="how you know"):
        requests.prove(one, " ", 1)
    one = requests.prove(one, "called back", 1)
    with pytest.raises(requests.Refusal, match="what was corrected"):
        requests.carry_out(one, 1)
    with pytest.raises(requests.Refusal, match="month is over"):
        requests.extend(one, "many files", 1, now=one.due_at + timedelta(seconds=1))
    requests.extend(one, "many files", 1, now=now + timedelta(days=20))
    assert one.due_at.date().isoformat() == "2026-04-30"
    with pytest.raises(requests.Refusal, match="once"):
        requests.extend(one, "again", 1, now=now)
    with pytest.raises(requests.Refusal, match="reasons"):
        requests.refuse(one, "", 1)
    requests.refuse(one, "The name is that of the contract.", 1)
    assert (one.state, one.answer) == ("refused", "The name is that of the contract.")
    steps = list(RightsStep.objects.filter(request=one).order_by("pk").values_list("what", flat=True))
    assert steps == ["received", "asked", "proved", "extended", "told", "refused", "told"]
    # The first link is long over when the desk answers; the news brings one that opens the answer.
    read = requests.by_secret(secret_to(ZOE))
    assert read is not None and read.pk == one.pk
    assert "Réponse" in MailRequest.objects.filter(recipient=ZOE, kind="rights").latest("pk").facts["subject"]


def test_owners_are_told_of_what_waits_once_a_level(workspace: Workspace, zoe: Contact) -> None:
    owner = User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 20, name="O", language="fr")
    add_member(workspace, owner, Role.OWNER)
    received = datetime(2020, 1, 10, 9, tzinfo=UTC)
    one = requests.receive(workspace, "access", ZOE, channel="page", now=received)

    def told(days: int) -> int:
        requests.warn(received + timedelta(days=days))
        return MailRequest.objects.filter(recipient=owner.email).count()

    assert [told(days) for days in (14, 15, 16, 25, 31, 33, 60)] == [0, 1, 1, 2, 2, 3, 3]
    assert f"/consent/requests/{one.pk}" in MailRequest.objects.filter(recipient=owner.email).latest("pk").facts["text"]


def test_whoever_was_given_the_data_is_told_and_an_erasure_names_nobody(workspace: Workspace, zoe: Contact) -> None:
    member = add_member(workspace, User.objects.create_user(f"{workspace.name}@equipe.example", "x" * 20), Role.EDITOR)
    for name, kind, contact in (
        ("Machines", "hosting", "a@hote.example"), ("Pub", "ads", "DPO <dpo@pub.example>"), ("Papier", "other", ""),
    ):  # fmt: skip
        desk.save_processor(workspace, {"name": name, "kind": kind, "country": "FR", "contact": contact})
    mine = asked(workspace, "rectification", words="My name is Zoë")
    mine = requests.prove(mine, "called back", member.pk)
    requests.carry_out(mine, member.pk, "first_name is now Zoë")
    pub = recipients.open_of(mine)
    assert [(d.recipient.name, d.mail) for d in pub] == [("Papier", ""), ("Pub", "dpo@pub.example")]
    assert ZOE in pub[1].text and "first_name is now Zoë" in pub[1].text
    assert recipients.waiting(workspace.pk) == [(mine.pk, 2)]
    assert recipients.tell(mine, pub[1].step.pk, "", member.pk) == "Pub"
    mail = MailRequest.objects.get(workspace_id=workspace.pk, kind="recipient")
    assert mail.recipient == "dpo@pub.example" and ZOE in mail.facts["text"]
    with pytest.raises(recipients.Refusal):
        recipients.tell(mine, pub[1].step.pk, "", member.pk)
    with pytest.raises(recipients.Refusal):  # it has no address
        recipients.tell(mine, pub[0].step.pk, " ", member.pk)
    MailRequest.objects.filter(pk=mail.pk).delete()  # as 30 days later

    gone = proved(workspace, "erasure")
    owed = recipients.open_of(gone)
    assert recipients.waiting(workspace.pk) == [(gone.pk, 2)], "what was owed before is part of it now"
    digest = hashlib.sha256(ZOE.encode()).hexdigest()
    assert all(digest in d.text and ZOE not in d.text for d in owed)
    for duty in owed:
        recipients.tell(gone, duty.step.pk, "by letter, 3 May", member.pk)
    assert recipients.waiting(workspace.pk) == []
    kept = list(RightsStep.objects.filter(request__workspace_id=workspace.pk).values_list("said", flat=True))
    assert not any(digest in said or ZOE in said for said in kept), "told: the mark goes"
    assert value("SELECT count(*) FROM consent_request WHERE workspace_id = %s", [workspace.pk]) == 2
