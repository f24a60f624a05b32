"""After a move: asking for a consent that nobody can prove, on a ground that the law gives, once, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from envol.accounts.models import Job, Member, Role, User
from envol.accounts.workspaces import add_member
from envol.api.moving import asking, move
from envol.api.moving.found import Found
from envol.campaigns import actions, expand, tick
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Refused
from envol.consent import acts, gates, purposes
from envol.consent.models import Evidence, Permission
from envol.contacts import catalogue, imports, people
from envol.contacts.models import Contact
from envol.contacts.orders import NewOrder, add_bulk
from envol.content import links
from envol.outbound.models import Domain, Send, Sending
from tests.campaigns.shop import deliver

BASE = "http://localhost:8025"
NOW = datetime.now(UTC)
SALE = {"product_family": "livres", "optout_offered": True}


def address(name: str) -> str:
    return name if "@" in name else f"{name}@lecteurs.example"


def who(workspace: Any, name: str) -> Contact:
    found = people.find(workspace, address(name))
    assert found is not None
    return found


def allowed(workspace: Any, name: str) -> set[str]:
    """The purposes of marketing for which she may be written to."""
    one = who(workspace, name)
    mine = purposes.Purpose.objects.filter(workspace=workspace, kind="marketing")
    return {p.key for p in mine if gates.may_send(workspace.pk, one.pk, one.email_key, p.pk, offer=None).allowed}


@pytest.fixture
def owner(workspace: Any) -> Member:
    Domain.objects.create(workspace=workspace, name="boutique.example", trusted=True)
    user = User.objects.create_user(f"zoe{workspace.pk}@equipe.example", "x", language="en")
    return add_member(workspace, user, Role.OWNER)


@pytest.fixture
def moved(workspace: Any, owner: Member) -> Job:
    """anna bought lately, ben long ago, eve brought it back; cleo works, dan does and has a mailbox of everybody; fay
    said no before, gil left the list, hal has a proof."""
    catalogue.declare(workspace, "job_role", "text", "Fonction", "Role", purposes=1 << 5)
    fay = people.upsert(workspace, address("fay"), {}, source=people.source(workspace, "form", "Salon"))
    acts.withdraw(workspace.pk, fay.pk, [purposes.get(workspace, "newsletter")])
    found = Found("Brevo")
    for name in ("anna", "ben", "cleo", "dan@gmail.com", "eve", "fay", "gil", "hal"):
        one = found.person(address(name))
        assert one is not None
        one.values["Prénom"] = name
        if name in ("anna", "cleo", "dan@gmail.com"):
            one.values["Fonction"] = "Libraire"
        if name == "gil":
            one.left.add(found.list_named("Lettre"))
        if name == "hal":
            one.since, one.proof = "2024-03-05", "confirmed"
    made = move.plan(workspace, found, purpose="newsletter", member_id=owner.pk)
    imports.set_origin(made.imp, imports.PEOPLE)
    done = move.carry_out(workspace, found, made)
    add_bulk(
        workspace,
        [
            NewOrder("R-1", NOW - timedelta(days=900), 2000, contact_id=who(workspace, "anna").pk),
            NewOrder("R-2", NOW - timedelta(days=90), 2000, contact_id=who(workspace, "anna").pk),
            NewOrder("R-3", NOW - timedelta(days=1500), 2000, contact_id=who(workspace, "ben").pk),
            NewOrder("R-4", NOW - timedelta(days=9), 2000, contact_id=who(workspace, "gil").pk),
            NewOrder("R-5", NOW - timedelta(days=9), -2000, contact_id=who(workspace, "eve").pk),
        ],
    )
    return Job.objects.get(pk=done["move"])


def ask(job: Job, owner: Member, ground: str, facts: dict[str, Any]) -> Campaign:
    sender = {"from_name": "Zoé", "from_address": "zoe@boutique.example"}
    return asking.ask(job.workspace, job, ground, facts, member=owner, base_url=BASE, **sender)


def sent(campaign: Campaign) -> Sending:
    sending = actions.send(campaign, take_back=0)
    tick.run()
    expand.run(sending.id)
    return sending


def test_only_those_whom_the_law_lets_us_ask_are_asked_and_nothing_more_reaches_them(
    workspace: Any, moved: Job, owner: Member
) -> None:
    assert asking.standing(workspace, moved)[:4] == (1, 1, 3, 36), "anna; cleo; ben, dan and eve"
    for facts in ({**SALE, "optout_offered": False}, {**SALE, "product_family": " "}):
        with pytest.raises(Refused):
            ask(moved, owner, "customer", facts)
    with pytest.raises(Refused):
        ask(moved, owner, "business", {"relation_note": ""})
    with pytest.raises(Refused):
        ask(moved, owner, "consent", SALE)
    assert not purposes.Purpose.objects.filter(workspace=workspace, key="asked_once").exists(), "nothing was declared"

    made = ask(moved, owner, "customer", {**SALE, "entity_id": "Papeterie Zoé"})
    assert (made.product_family, made.seller) == ("livres", "Papeterie Zoé"), "or nobody of these would get it"
    assert made.unmeasured and actions.summary(made).allowed == 1
    assert allowed(workspace, "anna") == {"asked_once"}, "the newsletter may still not be sent to her"
    assert allowed(workspace, "hal") == {"newsletter"}
    assert not any(allowed(workspace, name) for name in ("ben", "cleo", "dan@gmail.com", "eve", "fay", "gil"))
    line = Permission.objects.get(contact_id=who(workspace, "anna").pk, purpose_id=made.purpose.pk, until=None)  # type: ignore[union-attr]
    proof = Evidence.objects.get(pk=line.evidence_id)
    assert line.basis == "customer" and line.proof.startswith("R-2, ")
    assert (proof.strength, proof.member_id) == ("statement", owner.pk) and "livres" in proof.statement
    with pytest.raises(Refused, match="nobody"):
        ask(moved, owner, "customer", SALE)
    moved.refresh_from_db()
    assert [one["people"] for one in moved.result["asked"]] == [1]
    ask(moved, owner, "business", {"relation_note": "un catalogue pour libraires"})
    assert allowed(workspace, "cleo") == {"asked_once"} and not allowed(workspace, "dan@gmail.com")
    assert asking.standing(workspace, moved)[:3] == (0, 0, 3)


def test_she_agrees_on_her_page_and_whoever_is_silent_is_not_written_to_again(
    workspace: Any, moved: Job, owner: Member
) -> None:
    people.upsert(workspace, address("ben"), {}, source=people.source(workspace, "form", "Salon"))
    add_bulk(workspace, [NewOrder("R-9", NOW - timedelta(days=3), 900, contact_id=who(workspace, "ben").pk)])
    campaign = ask(moved, owner, "customer", SALE)
    blocked = {one.code for one in actions.check(campaign) if one.level == "block"}
    assert not blocked & {"asks_only", "asked_already", "nobody", "no_purpose"}
    measured = actions.edit(campaign, campaign.revision, unmeasured=False)
    assert "asks_only" in {one.code for one in actions.check(measured)}
    campaign = actions.edit(measured, measured.revision, unmeasured=True)

    sending = sent(campaign)
    anna, ben = who(workspace, "anna"), who(workspace, "ben")
    assert set(Send.objects.filter(sending_id=sending.pk).values_list("contact_id", flat=True)) == {anna.pk, ben.pk}
    assert asking.end() == 0, "while it is under way"
    deliver(sending)
    tick.run()
    sending.refresh_from_db()
    assert sending.state == "sent"

    client, page = Client(HTTP_HOST="localhost"), f"/p/{links.person_token(workspace.pk, anna.pk)}?l=en"
    shown = client.get(page).content.decode()
    assert "asked once" in shown
    newsletter = purposes.get(workspace, "newsletter")
    every = ",".join(str(p.pk) for p in purposes.Purpose.objects.filter(workspace=workspace, kind="marketing"))
    client.post(page, {"act": "save", "shown": every, f"purpose_{newsletter.pk}": "1"})
    assert allowed(workspace, "anna") == {"newsletter"}
    assert asking.end() == 1 and asking.end() == 0
    assert allowed(workspace, "anna") == {"newsletter"} and allowed(workspace, "ben") == set()
    row = Permission.objects.get(contact_id=ben.pk, purpose_id=campaign.purpose.pk, until=None)  # type: ignore[union-attr]
    assert (row.state, row.basis) == ("lapsed", "customer")
    hidden = f"/p/{links.person_token(workspace.pk, ben.pk)}?l=en"
    assert "asked once" not in client.get(hidden).content.decode()
    campaign.refresh_from_db()
    assert "asked_already" in {one.code for one in actions.check(campaign)}
    with pytest.raises(Refused, match="nobody"):
        ask(moved, owner, "customer", SALE)


def test_a_ground_that_nobody_used_ends_and_goes_with_its_move(workspace: Any, moved: Job, owner: Member) -> None:
    ask(moved, owner, "customer", SALE)
    ask(moved, owner, "business", {"relation_note": "un catalogue"})
    assert asking.end(NOW + timedelta(days=asking.DAYS - 1)) == 0 and allowed(workspace, "anna")
    move.undo(workspace, moved.pk)
    assert allowed(workspace, "anna") == set() == allowed(workspace, "cleo")
    with pytest.raises(Refused):
        ask(moved, owner, "customer", SALE)


def test_the_page_says_whom_one_may_ask_and_whom_not(workspace: Any, moved: Job, owner: Member) -> None:
    client = Client(HTTP_HOST="localhost")
    client.force_login(owner.user, "allauth.account.auth_backends.AuthenticationBackend")
    path = f"/imports/moving/{moved.pk}"
    page = client.get(path).content.decode()
    assert "Make the campaign for 1 customer ready" in page and "Make the campaign for 1 business contact ready" in page
    assert "Flybe and Honda" in page and "“Role”" in page and 'href="/forms"' in page
    wrong = client.post(f"{path}/act", {"act": "ask", "ground": "customer", "product_family": "livres"})
    assert wrong.status_code == 422 and "a refusal must have been offered" in wrong.content.decode()
    assert 'value="livres"' in wrong.content.decode()
    good = client.post(f"{path}/act", {"act": "ask", "ground": "customer", "product_family": "livres",
                                       "optout_offered": "on"})  # fmt: skip
    made = Campaign.objects.get(workspace=workspace)
    assert good.status_code == 303 and good["Location"].endswith(f"/campaigns/{made.pk}")
    page = client.get(path).content.decode()
    assert "the campaign for 1 person" in page and f'href="/campaigns/{made.pk}"' in page
