"""Each message names the answer on the ground of which it left, whatever the person answered since."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from django.test import Client

from envol import db
from envol.accounts.models import Role, User, Workspace
from envol.accounts.workspaces import add_member, create_workspace
from envol.campaigns import actions
from envol.consent import acts, gates, registry
from envol.contacts import people
from envol.contacts.models import Contact, List, Membership
from envol.outbound import accept, grounds, mail_log, mailing, resend
from envol.outbound.accept import Outgoing
from envol.outbound.models import Domain, Post
from envol.wire.bounce.judged import Explanation
from tests.api.test_own import Own
from tests.campaigns.shop import Shop, deliver, open_shop, start


@pytest.fixture
def shop(workspace: Workspace) -> Shop:
    return open_shop(workspace)


@pytest.fixture
def elsewhere() -> Workspace:
    return create_workspace(f"w{secrets.token_hex(4)}", title="Autre")


def reader(shop: Shop) -> Contact:
    address = f"{secrets.token_hex(5)}@lecteurs.example"
    one = people.upsert(shop.workspace, address, {}, source=people.source(shop.workspace, "form", "Salon"))
    agree(shop, one, "carnet du salon")
    return one


def agree(shop: Shop, one: Contact, source: str) -> None:
    proof = acts.evidence(shop.workspace, "document", source, document=b"signed")
    people.grant(one, shop.newsletter, proof_of=proof)


def line(shop: Shop, one: Contact) -> int | None:
    return gates.may_send(shop.workspace.pk, one.pk, one.email_key, shop.newsletter.pk).permission_id


def ground(shop: Shop, sending_id: int, no: int) -> grounds.Ground:
    found = grounds.of(shop.workspace.pk, sending_id, no)
    assert found is not None
    return found


def signed_in(shop: Shop) -> Client:
    user = User.objects.create_user(f"{secrets.token_hex(4)}@equipe.example", "x", language="en")
    add_member(shop.workspace, user, Role.OWNER)
    client = Client(HTTP_HOST="localhost")
    client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    return client


def test_a_message_keeps_the_line_by_which_it_was_allowed(shop: Shop) -> None:
    one, other = reader(shop), reader(shop)
    first = line(shop, one)
    sending = start(shop)
    mine = ground(shop, sending.pk, one.pk)
    assert (mine.permission_id, mine.basis, mine.source) == (first, "consent", "carnet du salon")
    assert ground(shop, sending.pk, other.pk).permission_id == line(shop, other) != first
    agree(shop, one, "boutique")
    assert line(shop, one) != first == ground(shop, sending.pk, one.pk).permission_id, "of that day"
    assert ground(shop, sending.pk, one.pk).source == "carnet du salon"
    deliver(sending)
    entry = mail_log.entry(shop.workspace.pk, sending.pk, one.pk)
    assert entry is not None
    again, no = resend.resend(shop.workspace.pk, entry, actor="command")
    assert ground(shop, again, no).permission_id == line(shop, one), "sent again on the ground of today"
    tested = actions.send_test(shop.campaign, one.email)
    assert ground(shop, tested.pk, one.pk).permission_id == line(shop, one)
    exported = people.export(one)["rooms"]["outbound"]["messages"]
    assert {row["permission"] for row in exported if row["sending_id"] == sending.pk} == {first}
    assert grounds.of(shop.workspace.pk + 1, sending.pk, one.pk) is None, "another workspace's"


def test_a_contract_has_no_ground_and_neither_has_a_stranger(shop: Shop) -> None:
    one = reader(shop)
    letter = Outgoing(shop.workspace.pk, ("Zoé", "zoe@boutique.example"), [("", one.email)], "Commande", "Partie",
                      contact_ids=[one.pk])  # fmt: skip
    ((single, no),) = accept.accept_messages([letter])[0].recipients
    assert grounds.of(shop.workspace.pk, single, no) is None
    tested = actions.send_test(shop.campaign, "collegue@equipe.example")
    (queued,) = db.rows("SELECT contact_id, permission_id FROM outbound_send WHERE sending_id = %s", [tested.pk])
    assert queued == (None, None)


def test_the_page_says_the_ground_and_leads_to_its_proof(shop: Shop) -> None:
    one = reader(shop)
    sending = start(shop)
    client = signed_in(shop)
    where = f"/mail/{sending.pk}/{one.pk}"

    def page() -> Any:
        answer = client.get(where)
        assert answer.status_code == 200
        return answer.content.decode()

    mine = ground(shop, sending.pk, one.pk)
    said = page()
    assert "On the ground of" in said and f"line {mine.leaf} of block {mine.block}" in said
    proof = f"/consent/proof/{mine.permission_id}"
    assert f'href="{proof}"' in said and client.get(proof).status_code == 200
    registry.erase_person(shop.workspace.pk, one.pk, one.email_key, cause="her request")
    said = page()
    assert f"answer {mine.permission_id}, which was erased with the person" in said and proof not in said


def test_a_post_to_a_mailing_list_keeps_it_too(shop: Shop) -> None:
    one, silent = reader(shop), reader(shop)
    acts.withdraw(shop.workspace.pk, silent.pk, [shop.newsletter])
    club = List.objects.create(workspace=shop.workspace, name="Club")
    domain = Domain.objects.get(workspace=shop.workspace)
    made = mailing.create(shop.workspace, domain, "club", club, shop.newsletter, title="Club")
    author = f"{secrets.token_hex(4)}@equipe.example"
    mailing.moderate(made, [author])
    for person in (one, silent):
        Membership.objects.create(workspace_id=shop.workspace.pk, list_id=club.pk, contact_id=person.pk)
    raw = f"From: {author}\r\nTo: club@boutique.example\r\nSubject: Samedi\r\n\r\nBonjour\r\n".encode()
    assert mailing.take(made, raw, Explanation("not_bounce", ""), True) == "post"
    mailing.distribute(Post.objects.get(author=author).pk)
    kept = dict(db.rows("SELECT contact_id, permission_id FROM outbound_send WHERE sending_id = %s", [made.sending_id]))
    assert kept[one.pk] == line(shop, one) is not None and not kept.get(silent.pk), "a refusal is no ground"
    (sent,) = grounds.sent_on(shop.workspace.pk, kept[one.pk], one.email)
    assert sent.sending_id == made.sending_id, "its proof names the post"
    status, told = Own(shop.workspace)("GET", f"/contacts/{one.pk}/messages")
    assert status == 200 and [(row["kind"], row["id"]) for row in told["items"]] == [("list", sent.no)]
    assert told["items"][0]["ground"]["id"] == kept[one.pk]
    assert "post to a mailing list" in signed_in(shop).get(f"/mail/{sent.sending_id}/{sent.no}").content.decode()
    found = mail_log.search(shop.workspace.pk, mail_log.Query(words=one.email)).entries
    assert [(entry.kind, entry.subject) for entry in found] == [("list", "[Club] Samedi")], (
        "the log finds it by her address"
    )


def test_a_program_reads_of_each_message_on_which_ground_it_left(shop: Shop, elsewhere: Workspace) -> None:
    program, one = Own(shop.workspace), reader(shop)
    letter = {"from": {"email": "zoe@boutique.example"}, "to": [{"email": one.email}], "subject": "Commande",
              "text": "Partie", "reference": "C-17"}  # fmt: skip
    number = program("POST", "/messages", letter)[1]["recipients"][0]["id"]
    status, single = program("GET", f"/messages/{number}")
    assert status == 200 and (single["id"], single["email"], single["reference"]) == (number, one.email, "C-17")
    assert (single["kind"], single["state"], single["contact"]) == ("transactional", "queued", one.pk)
    assert single["ground"] is None, "a contract needs none"
    sending = start(shop)
    status, sent = program("GET", f"/sendings/{sending.pk}/messages/{one.pk}")
    assert status == 200 and (sent["campaign"], sent["email"]) == (shop.campaign.pk, one.email)
    mine = ground(shop, sending.pk, one.pk)
    assert mine.since is not None and sent["ground"].pop("since") == mine.since.isoformat().replace("+00:00", "Z")
    assert sent["ground"] == {
        "id": mine.permission_id, "block": mine.block, "leaf": mine.leaf, "basis": "consent", "source": mine.source,
    }  # fmt: skip
    listed, cursor = [], ""
    while cursor is not None:
        status, page = program("GET", f"/contacts/{one.pk}/messages?limit=1&cursor={cursor}")
        assert status == 200 and len(page["items"]) == 1
        listed, cursor = [*listed, *page["items"]], page["next"]
    assert [(row["sending"], row["id"]) for row in listed] == [(sending.pk, one.pk), (single["sending"], number)]

    foreign = Own(elsewhere)
    for path in (f"/messages/{number}", f"/sendings/{sending.pk}/messages/{one.pk}", f"/contacts/{one.pk}/messages"):
        status, problem = foreign("GET", path)
        assert status == 404 and problem["type"].endswith("#problem-not-found"), path
        assert Own(shop.workspace, "smtp")("GET", path)[0] == 403, path
    assert program("GET", f"/contacts/{one.pk}/messages?cursor=x")[0] == 422
    registry.erase_person(shop.workspace.pk, one.pk, one.email_key, cause="her request")
    _, sent = program("GET", f"/sendings/{sending.pk}/messages/{one.pk}")
    assert sent["email"] is None and (sent["ground"]["id"], sent["ground"]["block"]) == (mine.permission_id, None)


def test_a_proof_names_what_was_sent_on_its_ground(shop: Shop) -> None:
    one = reader(shop)
    sending, first = start(shop), line(shop, one)
    agree(shop, one, "boutique")
    second = line(shop, one)
    again = actions.send_test(shop.campaign, one.email)
    client = signed_in(shop)
    for answer, sent in ((first, sending), (second, again)):
        (told,) = client.get(f"/consent/proof/{answer}?format=json").json()["messages"]
        assert (told["sending"], told["no"]) == (sent.pk, one.pk)
        page = client.get(f"/consent/proof/{answer}").content.decode()
        assert f'href="/mail/{sent.pk}/{one.pk}"' in page
    assert "No message, as far as is kept." in client.get(f"/consent/proof/{line(shop, reader(shop))}").content.decode()
