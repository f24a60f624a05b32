"""A bookshop with everything a page can show: people, permissions, orders, segments, campaigns in every state."""

from __future__ import annotations

import io
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from django.db import connection
from django.utils import translation
from PIL import Image

from envol.accounts import journal, undo
from envol.accounts.models import Job, Member, Role, Undo, User, Workspace
from envol.accounts.workspaces import add_member, create_api_key, create_workspace
from envol.api.hooks import endpoints
from envol.audience import scores, segments, shops, topics
from envol.audience.models import Shop as Outlet
from envol.campaigns import actions
from envol.campaigns.models import Campaign
from envol.collect import signup
from envol.consent import breaches, demands, desk, informing, partners, purposes, requests
from envol.consent.models import Erasure, Permission, RightsRequest
from envol.contacts import bulk, catalogue, export_files, happenings, imports, orders, people, saved_views
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, List, Membership
from envol.content import media, templates
from envol.content.models import Media
from envol.db import execute
from envol.events import NewEvent, outbox, record
from envol.events.models import Kind
from envol.outbound import accept, domains, mailing, rolls, stored
from envol.outbound.models import Captured, Domain, Held, Post, Sending, StoredDomain
from envol.wire.address import normalise
from envol.wire.bounce import explain

PASSWORD = "un mot de passe assez long"
SITES = ("lecteurs.example", "poste.example", "courriel.example")
NAMES = ("Zoé Martin", "Ahmed Benali", "Léa Dubois", "Noé Petit", "Inès Moreau", "Paul Girard", "Rose Leroy")
HTML = """<html><body><h1>Lettre d'automne</h1><p>Bonjour {{ contact.first_name | default("vous") }},</p>
<p><a href="https://boutique.example/nouveautes">Nouveautés</a> et
<a href="https://boutique.example/agenda">Agenda</a></p></body></html>"""


@dataclass
class Shop:
    workspace: Workspace
    members: dict[str, Member]
    people: list[Contact]
    list: List
    segment: Any
    domain: Domain
    draft: Campaign
    sent: Campaign
    sending: Sending
    imp: Any
    key: Any
    captured: Captured
    undo: Undo
    bulk: Any = None
    view: Any = None
    picture: Media | None = None
    export: Any = None
    outlet: Outlet | None = None
    addresses: set[str] = field(default_factory=set)
    _known: tuple[str | None, dict[str, int]] | None = None

    @property
    def known(self) -> dict[str, int]:
        """`ids`, asked once in a test: for whoever wants the addresses of all routes."""
        now = os.environ.get("PYTEST_CURRENT_TEST")
        if self._known is None or self._known[0] != now:
            self._known = now, self.ids()
        return self._known[1]

    def ids(self) -> dict[str, int]:
        """An id of this workspace for each parameter that a route may have."""
        return {
            "contact_id": self.people[0].pk,
            "segment_id": self.segment.pk,
            "segment_version_id": self.segment.versions.latest("pk").pk,
            "import_id": self.imp.pk,
            "move_id": Job.objects.get(workspace=self.workspace, kind="move").pk,
            "campaign_id": self.sent.pk,
            "message_id": self.captured.pk,
            "no": 1,
            "sending_id": self.sending.pk,
            "recipient_no": self.people[0].pk,
            "domain_id": self.domain.pk,
            "member_id": self.members["viewer"].pk,
            "key_id": self.key.pk,
            "undo_id": self.undo.pk,
            "bulk_id": self.bulk.pk,
            "view_id": self.view.pk,
            "list_id": self.list.pk,
            "purpose_id": purposes.get(self.workspace, "newsletter").pk,
            "permission_id": Permission.objects.filter(workspace_id=self.workspace.pk).latest("id").pk,
            "property_id": self.workspace.properties.get(key="birth_date").pk,
            "media_id": self.picture.pk,
            "topic_id": self.workspace.topics.get(key="novels").pk,
            "event_id": self.workspace.custom_events.get(key="visit").pk,
            "export_id": self.export.pk,
            "shop_id": self.outlet.pk,
            "request_id": RightsRequest.objects.filter(workspace_id=self.workspace.pk).earliest("pk").pk,
            "erasure_id": Erasure.objects.filter(workspace_id=self.workspace.pk).earliest("pk").pk,
            "held_id": Held.objects.get(workspace=self.workspace).pk,
            "mailing_id": self.workspace.mailing_lists.get().pk,
            "breach_id": self.workspace.breaches.get(drill=True).pk,
            "demand_id": self.workspace.demands.get().pk,
            "processor_id": self.workspace.processors.get().pk,
            "stored_id": self.workspace.stored_domains.get().pk,
            "notice_no": 1_000_000_007,
            "partner_id": self.workspace.partners.get().pk,
            "origin_id": self.workspace.origins.get().pk,
            "endpoint_id": self.workspace.endpoints.earliest("pk").pk,
            "post_id": Post.objects.get(mailing_list__workspace=self.workspace).pk,
        }


def member(workspace: Workspace, role: Role, name: str, language: str = "en", dpo: bool = False) -> Member:
    email = f"{name}.{secrets.token_hex(3)}@equipe.example"
    user = User.objects.create_user(email, PASSWORD, name=name.capitalize(), language=language)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return add_member(workspace, user, role, dpo)


def open_shop(
    title: str = "Librairie des Deux Rives", readers: int = 60, folder: Path | None = None, *, furnished: bool = True
) -> Shop:
    """``furnished``: with something on every page there is; without, with people, campaigns and what they need.

    Half of the second that a shop takes is furniture, and a test that has a shop of its own seldom looks at it.
    """
    workspace = create_workspace(f"w{secrets.token_hex(4)}", title=title)
    Workspace.objects.filter(pk=workspace.pk).update(postal_address="3 rue des Livres, 44000 Nantes")
    workspace.refresh_from_db()
    members = {
        "owner": member(workspace, Role.OWNER, "zoe"),
        "editor": member(workspace, Role.EDITOR, "ahmed"),
        "viewer": member(workspace, Role.VIEWER, "ines"),
        "dpo": member(workspace, Role.VIEWER, "maud", dpo=True),
    }
    source = people.source(workspace, "member", "Carnet de la boutique")
    club = List.objects.create(workspace=workspace, name="Abonnés FR")
    newsletter = purposes.get(workspace, "newsletter")
    found = _readers(workspace, readers, source, club)
    _grant(found[: readers * 4 // 5], newsletter)
    for key in ("measure_opens", "measure_clicks"):
        _grant(found[: readers // 2], purposes.get(workspace, key))
    orders.add_bulk(workspace, _orders(found[:20]))
    scores.compute(workspace)
    people.add_note(found[0], f"A rappelé depuis {found[1].email}.", members["owner"].user.pk)
    signup.switch(signup.create(workspace, club, "first_name"), True)
    segment = segments.save(workspace, "Fidèles", {"v": 1, "match": "all", "rules": []})
    segment = segments.save(
        workspace,
        "Fidèles",
        {"v": 1, "match": "all", "rules": [{"field": "list", "op": "on", "value": club.pk}]},
        segment=segment,
    )
    domain = domains.add(workspace, "boutique.example", trusted=True)
    version = templates.save(workspace, "Lettre", "html", HTML, "Les livres de l'automne", preheader="Et l'agenda")
    sender: dict[str, Any] = {"purpose": newsletter, "from_name": "Zoé", "from_address": "zoe@boutique.example"}
    sent = actions.create(workspace, "Lettre d'automne", template=version.template, segment=segment, **sender)
    draft = actions.create(workspace, "Lettre d'hiver", template=version.template, **sender)
    sending = _sent(sent, version, found, newsletter)
    file = (folder or Path("/nonexistent")) / "people.csv"
    imp = None
    if folder:
        file.write_text("email;prénom;ville\nluc@lecteurs.example;Luc;Brest\npas une adresse;X;Y\n", "utf-8")
        imp = imports.receive(workspace, file, "gens.csv", members["owner"].pk)
    create_api_key(workspace, "La caisse")
    topics.create(workspace, topics.Written("Romans", "Novels", ["roman"], ["/nouveautes"]))
    happenings.tell(workspace, [{"event": "visit", "contact": found[0].pk, "properties": {"shop": "Nantes"}}])
    captured = Captured.objects.create(
        workspace_id=workspace.pk,
        envelope_from="zoe@boutique.example",
        envelope_to=[found[0].email],
        subject="Les livres de l'automne",
        raw=b"Subject: Les livres\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain\r\n\r\nBonjour\r\n"
        b"--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nPDF\r\n"
        b"--b--\r\n",
    )
    now = Contact.objects.in_bulk([one.pk for one in found])
    found = [now[one.pk] for one in found]
    key = workspace.api_keys.first()
    made = Shop(
        workspace, members, found, club, segment, domain, draft, sent, sending, imp,
        key, captured, _undoable(workspace, members["owner"]), addresses={one.email for one in found},
    )  # fmt: skip
    if furnished:
        _furnish(made, source)
        now = Contact.objects.in_bulk([one.pk for one in found])
        made.people = [now[one.pk] for one in found]
    return made


def _furnish(shop: Shop, source: Any) -> None:
    """What stands on the pages beside people and campaigns."""
    workspace, members, found = shop.workspace, shop.members, shop.people
    shop.bulk = bulk.prepare(
        workspace, "tag", {"tag": "fidèle"}, Filter(ids=(found[0].pk,)), member_id=members["owner"].pk
    )
    bulk.apply(shop.bulk)
    shop.view = saved_views.save(members["owner"], "De Nantes", "?q=nantes", shared=True)
    shop.export = export_files.prepare(
        workspace, Filter(), "csv", ["email"], reason="Sauvegarde", name="Tous", member_id=members["owner"].pk
    )
    export_files.write(shop.export)
    with translation.override("fr"):  # of those who keep the register
        breaches.begin(workspace, "Fichier égaré", datetime.now(UTC), drill=True, scope="everybody", playbook="file")
        today = workspace.today()
        demands.receive(workspace, "District Court", "US", "Adresses et ouvertures", today, answer_by=today)
    desk.save_processor(
        workspace, {"name": "Hébergeur du Ponant", "kind": "hosting", "country": "FR", "dpa_on": date(2026, 1, 5)}
    )
    gone = people.upsert(workspace, f"partie.{secrets.token_hex(3)}@lecteurs.example", source=source)
    people.erase(gone, cause="letter 7", actor_id=members["owner"].pk)
    requests.receive(workspace, "rectification", found[1].email, channel="member", words="Je m'appelle Zoë.")
    entry = workspace.processors.get()
    partners.add(purposes.get(workspace, "offers"), entry.name, "partner.example", entry.country)
    informing.begin(workspace, "Salon du livre", date(2026, 1, 31), ("SELECT %(id)s::bigint", {"id": found[-1].pk}))
    _receipts(workspace, workspace.api_keys.first())
    _held(workspace, workspace.api_keys.first())
    _circle(workspace, shop.domain, shop.list, purposes.get(workspace, "newsletter"), found[0])
    _waiting(workspace)
    shop.picture, shop.outlet = _picture(workspace), _outlet(workspace)


def _readers(workspace: Workspace, count: int, source: Any, club: List) -> list[Contact]:
    """People of the club, as `people.upsert` would take them in, in a dozen statements."""
    written = []
    for n in range(count):
        first, last = NAMES[n % len(NAMES)].split()
        name = f"{first.lower()}.{last.lower()}{n}".replace("é", "e").replace("è", "e")
        values = {"first_name": first, "last_name": last, "city": {"label": "Nantes", "country": "FR"}}
        written.append((f"{name}.{secrets.token_hex(2)}@{SITES[n % 3]}", values))
    known = catalogue.of(workspace)
    found = Contact.objects.bulk_create(
        Contact(
            workspace_id=workspace.pk,
            email=address,
            email_key=normalise(address).key,
            language="fr",
            props=catalogue.clean(known, values),
            sources=dict.fromkeys(values, source.pk),
        )
        for address, values in written
    )
    Membership.objects.bulk_create(
        Membership(workspace_id=workspace.pk, list_id=club.pk, contact_id=one.pk, source_id=source.pk) for one in found
    )
    record([NewEvent(workspace.pk, Kind.LIST_JOINED, one.pk, facts={"list": club.pk}) for one in found])
    return found


def _receipts(workspace: Workspace, key: Any) -> None:
    """Single messages handed in by the till: delivered, put off, refused, waiting."""
    made = accept.accept_messages(
        [
            accept.Outgoing(
                workspace.pk,
                ("La caisse", "caisse@boutique.example"),
                [("", f"client{n}@{SITES[n % 3]}")],
                f"Votre commande {1000 + n}",
                "Merci de votre achat.",
                facts={"by": "smtp", "key": key.pk},
            )
            for n in range(4)
        ]
    )
    (first, second, third, _waits) = (one.recipients[0] for one in made)
    outcome = (
        "INSERT INTO outbound_outcome (sending_id, no, state, attempts, cause, code, enhanced, reply, host, tls)"
        " VALUES (%s, %s, %s, 1, %s, %s, %s, %s, 'mx.lecteurs.example', 'TLSv1.3')"
    )
    execute(outcome, [*first, "delivered", "", 250, "2.0.0", "OK, queued as 4F1A"])
    execute(outcome, [*third, "bounced", "unknown_user", 550, "5.1.1", "<recipient>: no such user here"])
    execute(
        "INSERT INTO outbound_retry (sending_id, no, site, priority, due, attempts, first_at, cause, code, enhanced,"
        " reply) VALUES (%s, %s, %s, 2, now() + interval '5 minutes', 1, now(), 'greylisted', 451, '4.7.1',"
        " 'Greylisted, come back in five minutes')",
        [*second, SITES[1]],
    )
    traffic = (
        ("google", SITES[0], "delivered", 1840),
        ("orange", SITES[1], "delivered", 912),
        ("orange", SITES[1], "deferred", 61),
        ("other", SITES[2], "bounced", 7),
    )
    for provider, site, state, n in traffic:
        rolls.count("out", provider, state, workspace=workspace.pk, n=n, octets=n * 7100)
        rolls.count("domain", site, state, workspace=workspace.pk, n=n, octets=n * 7100)
    rolls.count("rejected", SITES[2], "unknown_user", workspace=workspace.pk, n=7)
    rolls.count("key", str(key.pk), "accepted", workspace=workspace.pk, n=4, octets=9000)
    rolls.count("sender", "caisse@boutique.example", "accepted", workspace=workspace.pk, n=4)
    rolls.flush()
    facts = {"no": second[1], "code": 451, "enhanced": "4.7.1", "cause": "greylisted", "attempt": 1}
    record([NewEvent(workspace.pk, Kind.DEFERRED, None, second[0], facts={**facts, "reply": "Greylisted"})])


def _waiting(workspace: Workspace) -> None:
    """The branch office's own server is switched off at night; one message waits for it."""
    told, _secret = endpoints.declare(
        workspace, "https://programme.example/annonces", form="standard", kinds=[Kind.DELIVERED, Kind.BOUNCED]
    )
    outbox.put(told, Kind.DELIVERED, {"test": {"type": "message.delivered"}})
    row = Sending.objects.create(workspace=workspace, kind="stored", state="paused", priority=2)
    name = f"agence{workspace.pk}.example"
    counts = {"new": 3, "updated": 1, "refused": {}}
    report = {"origin": "Mailjet", "people": 4, "counts": counts, "evidenced": 1, "not_evidenced": 2, "purpose": "",
              "refusals": {"unsubscribed": 1}, "lists": {"Lettre": 3}, "properties": {"Shoe": "shoe"},
              "new_properties": ["Shoe"], "templates": ["Bienvenue"], "notes": []}  # fmt: skip
    Job.objects.create(workspace=workspace, kind="move", state="done", result={"state": "tried", "report": report})
    one = StoredDomain.objects.create(
        workspace=workspace, name=name, host=f"mail.{name}", recipients=["zoe", "luc"], sending_id=row.pk
    )
    letter = b"From: ami@ailleurs.example\r\nSubject: Bonjour\r\n\r\nA demain.\r\n"
    stored.keep([stored.Incoming("ami@ailleurs.example", {f"zoe@{name}": one.pk}, letter)])


def _held(workspace: Workspace, key: Any) -> None:
    """Somebody else has the key of the till, and asks a customer for her card."""
    accept.accept_messages(
        [
            accept.Outgoing(
                workspace.pk,
                ("La caisse", "caisse@boutique.example"),
                [("", f"client9@{SITES[0]}")],
                "Votre compte est suspendu",
                html='<h1>Votre compte est suspendu</h1><img src="https://ailleurs.example/p.gif">'
                "<p>Confirmez votre identité sous 24 heures "
                '<a href="https://ailleurs.example/">ici</a></p>',
                facts={"by": "api", "key": key.pk},
            )
        ]
    )


def _circle(workspace: Workspace, domain: Domain, people_: List, purpose: Any, author: Contact) -> None:
    """A mailing list with a message that waits for its moderator."""
    one = mailing.create(
        workspace, domain, f"club{workspace.pk}", people_, purpose, title="Club lecture", discussion=True
    )
    mailing.moderate(one, ["moderation@equipe.example"])
    head = f"From: {author.props['first_name']} <{author.email}>\r\nSubject: Samedi\r\n"
    raw = f"{head}Message-ID: <1@lecteurs.example>\r\n\r\nÀ samedi, salle 2.\r\n".encode()
    assert mailing.take(one, raw, explain(raw), proven=False) == "post held"


def _outlet(workspace: Workspace) -> Outlet:
    typed = {"name": "Nantes Graslin", "postcode": "44000", "town": "Nantes", "country": "FR", "opening": "10 h à 19 h"}
    return shops.save(workspace, typed)[0]


def _picture(workspace: Workspace) -> Media:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((800, 400)).save(out, "PNG")
    return media.receive(workspace, out, "vitrine.png", alt="La vitrine en automne")


def _undoable(workspace: Workspace, owner: Member) -> Undo:
    """An act of the journal that its registered room refuses to take back: the world has moved on."""
    kind = f"shop.{secrets.token_hex(8)}"  # ids come again where a test empties the database

    def moved_on(*args: Any) -> None:
        raise undo.CannotUndo("Somebody changed it since.")

    undo.register(kind, moved_on)
    entry = journal.note(workspace, "member", "shop.opened", actor_id=owner.pk)
    return undo.offer(entry, kind, {})


def _grant(found: list[Contact], purpose: Any) -> None:
    from envol.consent import ledger

    at = datetime.now(UTC) - timedelta(days=20)
    ledger.append(purpose.workspace_id, [ledger.Line(one.pk, purpose.pk, "granted", "consent", at) for one in found])


def _orders(found: list[Contact]) -> list[orders.NewOrder]:
    now = datetime.now(UTC)
    return [
        orders.NewOrder(
            f"{secrets.token_hex(4)}-{n}", now - timedelta(days=10 * n + 1), 1250 + 310 * n, contact_id=one.pk
        )
        for n, one in enumerate(found)
    ]


def _sent(campaign: Campaign, version: Any, found: list[Contact], newsletter: Any) -> Sending:
    """A sending that ended two days ago, with outcomes and reactions."""
    start = datetime.now(UTC) - timedelta(days=2)
    sending = Sending.objects.create(
        workspace=campaign.workspace, kind="campaign", campaign_id=campaign.pk, version_id=version.pk,
        purpose_id=newsletter.pk, state="sent", started_at=start, expanded_at=start,
        ended_at=start + timedelta(minutes=2), expand_cursor=found[-1].pk,
    )  # fmt: skip
    allowed = found[: len(found) * 4 // 5]
    sends, outcomes = [], []
    for n, one in enumerate(allowed):
        sends.append([sending.pk, one.pk, one.pk, one.email, one.email.partition("@")[2]])
        gone = n % 12 == 5
        said = ["bounced", "hard_bounce", 550, f"no mailbox here for {one.email}"]
        said = said if gone else ["delivered", "", 250, "2.0.0 taken"]
        outcomes.append([sending.pk, one.pk, start + timedelta(seconds=n), *said])
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO outbound_send (sending_id, no, contact_id, address, site, chunk)"
            " VALUES (%s, %s, %s, %s, %s, 1)",
            sends,
        )
        cursor.executemany(
            "INSERT INTO outbound_outcome (sending_id, no, at, attempts, state, cause, code, reply)"
            " VALUES (%s, %s, %s, 1, %s, %s, %s, %s)",
            outcomes,
        )
        cursor.executemany(
            "INSERT INTO outbound_excluded VALUES (%s, %s, 'no_permission')",
            [[sending.pk, one.pk] for one in found[len(allowed) :]],
        )
    workspace_id = campaign.workspace.pk
    record(
        [
            *(
                NewEvent(
                    workspace_id,
                    Kind.CLICKED,
                    one.pk,
                    sending.pk,
                    1 + n % 2,
                    at=start + timedelta(hours=1 + n * n % 40),
                )
                for n, one in enumerate(allowed[:14])
            ),
            *(
                NewEvent(workspace_id, Kind.OPENED, one.pk, sending.pk, at=start + timedelta(hours=n % 24))
                for n, one in enumerate(allowed[:22])
            ),
            NewEvent(workspace_id, Kind.CLICKED, allowed[20].pk, sending.pk, 1, "scanner", at=start),
            NewEvent(workspace_id, Kind.CLICKED, None, sending.pk, 1, at=start + timedelta(hours=3)),
            NewEvent(workspace_id, Kind.UNSUBSCRIBED, allowed[3].pk, sending.pk, at=start + timedelta(hours=5)),
        ]
    )
    Campaign.objects.filter(pk=campaign.pk).update(state="sent")
    campaign.refresh_from_db()
    return sending
