"""What becomes of somebody's data when she has died: as she wrote it down, on proof, and nobody writes to her."""

from __future__ import annotations

import pytest
from django.test import Client

from envol.accounts.models import Workspace
from envol.consent import access, desk, directives, gates, purposes, recipients, registry, requests, restriction
from envol.consent.models import Directive, Erasure, RightsRequest
from envol.contacts.models import Contact
from envol.content import links
from envol.events.models import MailRequest
from tests.consent.test_requests import ZOE
from tests.consent.test_requests import zoe as zoe  # a fixture


def received(workspace: Workspace, address: str = ZOE) -> RightsRequest:
    words = "Maître Legrand, étude du port"
    return requests.receive(workspace, requests.DEATH, address, channel="member", words=words, actor_id=1)


def test_she_writes_it_down_on_her_own_page_and_hears_of_it(workspace: Workspace, zoe: Contact) -> None:
    client, page = Client(HTTP_HOST="localhost"), f"/p/{links.person_token(workspace.pk, zoe.pk)}?l=fr"
    assert "Après mon décès" in client.get(page).content.decode()
    lacking = client.post(page, {"act": "after", "wish": "hand", "person": " "}).content.decode()
    assert "comment joindre cette personne." in lacking and '<option value="hand" selected>' in lacking
    assert not Directive.objects.filter(workspace_id=workspace.pk).exists()
    said = client.post(page, {"act": "after", "wish": "hand", "person": "Paul, 01 02"}).content.decode()
    assert "C’est noté" in said and 'value="Paul, 01 02"' in said
    mail = MailRequest.objects.get(recipient=ZOE, kind="rights", workspace_id=workspace.pk)
    assert "Paul, 01 02" in mail.facts["text"], "a message may have been passed on: she hears of it"
    assert "Nothing" in client.post(page.replace("fr", "en"), {"act": "after", "wish": "burn"}).content.decode()
    client.post(page, {"act": "after", "wish": "erase"})
    assert directives.of(workspace.pk, zoe.pk).wish == "erase"  # type: ignore[union-attr]
    kept = registry.export_person(workspace.pk, zoe.pk)["rooms"]["consent"]["after_death"]
    assert [(one["wish"], one["person"], one["until"] is None) for one in kept] == [
        ("hand", "Paul, 01 02", False), ("erase", "", True),
    ]  # fmt: skip
    assert access.packed(workspace, zoe.pk, "fr")
    registry.erase_person(workspace.pk, zoe.pk, zoe.email_key, cause="x")
    assert not Directive.objects.filter(workspace_id=workspace.pk).exists()


@pytest.mark.parametrize("channel", ["page", "preferences", "api"])
def test_only_the_desk_takes_a_death_down(workspace: Workspace, zoe: Contact, channel: str) -> None:
    with pytest.raises(requests.Refusal, match="Choose"):
        requests.receive(workspace, requests.DEATH, ZOE, channel=channel, words="x")
    with pytest.raises(requests.Refusal, match="who tells you"):
        requests.receive(workspace, requests.DEATH, ZOE, channel="member", words=" ", actor_id=1)


@pytest.mark.parametrize("wish", ["", *directives.WISHES])
def test_on_proof_nothing_leaves_any_more_and_her_wish_is_done(workspace: Workspace, zoe: Contact, wish: str) -> None:
    directives.say(workspace.pk, zoe.pk, wish, "Paul, 01 02")
    desk.save_processor(
        workspace, {"name": "Annonces", "kind": "ads", "country": "FR", "contact": "a@annonces.example"}
    )
    one, newsletter = received(workspace), purposes.get(workspace, "newsletter")
    assert gates.may_send(workspace.pk, zoe.pk, zoe.email_key, newsletter.pk).allowed, "not proved yet"
    with pytest.raises(requests.Refusal, match="ask whoever told you"):
        requests.ask(one, workspace)
    one = requests.prove(one, "acte de décès du 3 mai", 1)
    assert not gates.may_send(workspace.pk, zoe.pk, zoe.email_key, newsletter.pk).allowed
    if wish == directives.HAND:
        with pytest.raises(requests.Refusal, match="handed over"):
            requests.carry_out(one, 1, " ")
    requests.carry_out(one, 1, "remis à Paul le 4 mai")
    one.refresh_from_db()
    assert one.state == "answered" and not MailRequest.objects.filter(recipient=ZOE, workspace_id=workspace.pk).exists()
    (duty,) = recipients.open_of(one)
    assert "died" in duty.text or "décédée" in duty.text
    if wish == directives.ERASE:
        assert not Contact.objects.filter(pk=zoe.pk).exists() and Erasure.objects.filter(pk=one.erasure_id).exists()
        assert ZOE not in duty.text and "SHA-256" in duty.text
    else:
        assert restriction.now(workspace.pk, zoe.pk) is not None and one.answer == "remis à Paul le 4 mai"
        assert ZOE in duty.text
