"""Every road by which a message can come to leave, taken as its user takes it: a member's act, a program's session, a
worker's job. Each prepares one message for each of a few people and tells to whose addresses one was queued."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from envol import db, events
from envol.accounts.models import Job
from envol.api.moving import asking as asking_once
from envol.api.moving import move
from envol.api.moving.found import Found
from envol.audience.language import EVERYBODY
from envol.campaigns import actions, asking, expand, tick
from envol.campaigns.models import Campaign
from envol.campaigns.refusals import Refused
from envol.consent import breaches, policies
from envol.contacts import imports
from envol.contacts.models import List, Membership
from envol.contacts.orders import NewOrder, add_bulk
from envol.outbound import accept, mailing, requests, resend
from envol.outbound.mail_log import Entry
from envol.outbound.models import Domain, MailingList, Post, Sending
from envol.wire.bounce.judged import Explanation

if TYPE_CHECKING:
    from tests.consent.test_nothing_leaves import Person, World

SENDER = ("Zoé", "zoe@boutique.example")
FROM = {"from_name": SENDER[0], "from_address": SENDER[1]}
BASE = "http://localhost:8025"
STRANGERS = ("api", "relay", "relay, measured", "opt-in", "single again")
"""Roads whose messages are for an address and need no permission; she may be one of ours all the same."""
DUTIES = ("breach", "policy")
"""Roads whose messages are for somebody we know, and need none either."""
CONTRACT = (*STRANGERS, *DUTIES)
ROADS = ("campaign", "list", "again", "test", "asking", "asked once", *CONTRACT)
LATE = (*CONTRACT, "list")
"""Roads that ask their gates when they are leased, not when something is queued."""


def prepare(world: World, road: str, everybody: Sequence[Person]) -> set[str]:
    """Take a message for each of them onto a road; to whose addresses it was queued."""
    place, before = world.workspace.pk, _queued(everybody)
    match road:
        case "campaign":
            expand.run(_sending(world, state="preparing", audience=EVERYBODY, kind="campaign").pk)
        case "list":
            _post(world, everybody)
        case "api":
            for one in everybody:
                _call(world, one.address)
        case "relay" | "relay, measured":
            _submit(world, everybody, measured=road != "relay")
        case "opt-in":
            for one in everybody:
                events.request_mail("confirmation", one.address, {"url": f"{BASE}/x"}, workspace_id=place)
            requests.take()
        case "again":
            old = _sending(world, state="done", kind="campaign")
            for one in everybody:
                _unless_refused(lambda one=one: resend.resend(place, _delivered(old.pk, one), actor="command"))
        case "single again":
            for one in everybody:
                sent = accept.accept_messages([_single(place, one)])[0]
                sending, no = sent.recipients[0]
                db.execute("DELETE FROM outbound_send WHERE sending_id = %s AND no = %s", [sending, no])
                entry = _delivered(sending, one, kind="transactional", no=no, message_id=sent.message_id)
                _unless_refused(lambda entry=entry: resend.resend(place, entry, actor="command"))
        case "test":
            for one in everybody:
                _unless_refused(lambda one=one: actions.send_test(world.shop.campaign, one.address))
        case "asking":
            _unless_refused(lambda: _send(asking.for_measuring(world.workspace, base_url=BASE, **FROM)))
        case "asked once":
            _ask_once(world, everybody)
        case "breach":
            breach = breaches.begin(world.workspace, "Fichier égaré", timezone.now(), scope="everybody")
            list(breaches.tell(breach, "À propos de vos données", "Bonjour"))
            requests.take(10_000)
        case "policy":
            texts = {language: secrets.token_hex(8) for language in ("fr", "en")}
            list(policies.tell(policies.publish(world.workspace, "terms", texts), "Ce qui change", "Bonjour"))
            requests.take(10_000)
    return {address for _sending, _no, address in _queued(everybody) - before}


def _queued(everybody: Sequence[Person]) -> set[tuple[int, int, str]]:
    mine = [one.address for one in everybody]
    return set(db.rows("SELECT sending_id, no, address FROM outbound_send WHERE address = ANY(%s)", [mine]))


def _unless_refused(act: Callable[[], Any]) -> None:
    try:
        act()
    except (Refused, accept.Refused):
        pass  # what was refused queued nothing, which is looked at afterwards


def _sending(world: World, **more: Any) -> Sending:
    template = world.shop.campaign.template
    version = template.versions.first() if template else None
    return Sending.objects.create(
        workspace=world.workspace,
        purpose_id=world.shop.newsletter.pk,
        version_id=version.pk if version else None,
        sender={"name": SENDER[0], "address": SENDER[1]},
        campaign_id=world.shop.campaign.pk,
        product_family=world.shop.campaign.product_family,
        **more,
    )


def _send(campaign: Campaign) -> None:
    """As a member sends it, the clock begins it and a worker prepares it."""
    sending = actions.send(campaign, take_back=0)
    tick.run()
    expand.run(sending.pk)


def _single(place: int, one: Person) -> accept.Outgoing:
    return accept.Outgoing(place, SENDER, [("", one.address)], subject="Commande", text="Partie")


def _call(world: World, address: str) -> None:
    """``POST /v3.1/send``, signed in by the key."""
    letter: dict[str, Any] = {"From": {"Email": SENDER[1]}, "To": [{"Email": address}]}
    letter |= {"Subject": "Commande", "TextPart": "Partie"}
    login = base64.b64encode(f"{world.key.key}:{world.key.secret}".encode()).decode()
    body = json.dumps({"Messages": [letter]}).encode()
    status, _heads, said = world.http.get("/v3.1/send", "POST", body=body, Authorization=f"Basic {login}")
    assert status == 200, said


def _delivered(sending_id: int, one: Person, **more: Any) -> Entry:
    fields: dict[str, Any] = dict.fromkeys(Entry.__dataclass_fields__)
    fields |= {"sending_id": sending_id, "no": one.contact_id, "kind": "campaign", "contact_id": one.contact_id}
    fields |= {"address": one.address, "state": "delivered"}
    if more:
        fields |= {"contact_id": None, **more}
    return Entry(**fields)


def _post(world: World, everybody: Sequence[Person]) -> None:
    """A moderator writes to the mailing list that they are on; her message came signed."""
    one = MailingList.objects.filter(workspace=world.workspace).first()
    if one is None:
        people = List.objects.create(workspace=world.workspace, name="Club")
        domain = Domain.objects.get(workspace=world.workspace)
        one = mailing.create(world.workspace, domain, "club", people, world.shop.newsletter, title="Club")
    author = f"{secrets.token_hex(4)}@equipe.example"
    mailing.moderate(one, [author])
    for person in everybody:
        if person.here:
            Membership.objects.create(
                workspace_id=world.workspace.pk, list_id=one.list_id, contact_id=person.contact_id
            )
    raw = f"From: {author}\r\nTo: club@boutique.example\r\nSubject: Samedi\r\n\r\nBonjour\r\n".encode()
    assert mailing.take(one, raw, Explanation("not_bounce", ""), True) == "post"
    mailing.distribute(Post.objects.filter(author=author).get().pk)


def _submit(world: World, everybody: Sequence[Person], *, measured: bool) -> None:
    """By SMTP, signed in and in TLS; one message for each."""
    with world.relay.client() as client:
        client.login(world.key.key, world.key.secret)
        for one in everybody:
            letter = EmailMessage()
            letter["From"], letter["To"], letter["Subject"] = SENDER[1], one.address, "Votre commande"
            if measured:
                letter["X-Mailjet-TrackOpen"] = "1"
            letter.set_content("Elle est partie.")
            letter.add_alternative("<p>Elle est partie.</p>", subtype="html")
            assert client.send_message(letter) == {}, "a relay takes it, and asks before it leaves"


def _ask_once(world: World, everybody: Sequence[Person]) -> None:
    """They came from another system without a proof, have bought, and a member declares that they may be asked."""
    found = Found("Brevo")
    now = datetime.now(UTC)
    orders = []
    for one in everybody:
        if one.here:
            came = found.person(one.address)
            assert came is not None
            came.values["Prénom"] = secrets.token_hex(4)
            orders.append(NewOrder(secrets.token_hex(6), now - timedelta(days=9), 2000, contact_id=one.contact_id))
    if not orders:
        return
    made = move.plan(world.workspace, found, purpose="newsletter", member_id=world.member.pk)
    imports.set_origin(made.imp, imports.PEOPLE)
    job = Job.objects.get(pk=move.carry_out(world.workspace, found, made)["move"])
    add_bulk(world.workspace, orders)
    sale = {"product_family": "livres", "optout_offered": True}
    for one in everybody:
        one.asked_once = one.asked_once or (one.here and not one.answer and not one.lists and not one.silenced)
    _unless_refused(
        lambda: _send(
            asking_once.ask(world.workspace, job, "customer", sale, member=world.member, base_url=BASE, **FROM)
        )
    )
