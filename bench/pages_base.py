"""What bench pages stands on: an organisation with a million people who came by a file, and a year of campaigns.

Everything is found again by its name, so a kept installation (`--keep DIRECTORY`) is made once.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any, NamedTuple

from bench import ground

HEADER = "E-mail;Prénom;Nom;Ville;Genre;Points"
PROPERTIES = {"first_name": "text", "last_name": "text", "town": "text", "genre": "text", "points": "number"}
RARE = "Quilleboeuf"  # the last name of one person in the middle of the base
CAMPAIGNS = 60
EACH = 1000  # people of each of those; the two large ones went to everybody


class Base(NamedTuple):
    """The rows that addresses of pages name."""

    user: Any
    segment: Any
    draft: Any
    sent: Any
    sending: Any
    contact: Any


def rule(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": [{"field": field, "op": op, "value": value}]}


def of(here: ground.Ground, people: int, seed: int) -> Base:
    """The base of this installation, made when it is not there yet."""
    from envol.accounts.models import User
    from envol.audience.models import Segment
    from envol.campaigns.models import Campaign
    from envol.contacts.models import Contact

    made = here.data / "pages.made"
    facts = f"{people} people, seed {seed}"
    if not made.exists():
        if User.objects.exists():
            raise RuntimeError(f"{here.data} holds a base that was not finished: keep another directory.")
        _make(here, people, seed)
        made.write_text(facts)
    elif made.read_text() != facts:
        raise RuntimeError(f"{here.data} holds {made.read_text()}: ask for those, or keep another directory.")
    one = {c.name: c for c in Campaign.objects.filter(name__in=["Brouillon", "Envoyée", "En cours"])}
    return Base(
        User.objects.get(email="zoe@librairie.example"),
        Segment.objects.get(name="À Brest"),
        one["Brouillon"],
        one["Envoyée"],
        one["En cours"],
        Contact.objects.get(workspace_id=here.workspace.id, email_key=address(people // 2)),
    )


def address(n: int) -> str:
    return f"lecteur{n:07d}@boite{n % 8}.example"


def _make(here: ground.Ground, people: int, seed: int) -> None:
    from envol.accounts.models import Role, User
    from envol.accounts.workspaces import add_member
    from envol.audience import segments
    from envol.campaigns import actions
    from envol.contacts import catalogue
    from envol.db import execute, rows

    for key, kind in PROPERTIES.items():
        catalogue.declare(here.workspace, key, kind, key, key)
    ground.say(f"pages: importing {people:,} people")
    _import(here, people, seed)
    # One in three lets us measure her, a few want nothing more, a few never answered.
    execute(
        "UPDATE contacts_contact SET suppressed = id %% 97 = 0, objected = id %% 89 = 0,"
        " allowed = CASE WHEN id %% 41 = 0 THEN 0 ELSE allowed | CASE WHEN id %% 3 = 0 THEN 3 ELSE 0 END END"
        " WHERE workspace_id = %s AND (id %% 97 = 0 OR id %% 89 = 0 OR id %% 41 = 0 OR id %% 3 = 0)",
        [here.workspace.id],
    )
    user = User.objects.create_user("zoe@librairie.example", "un mot de passe assez long", language="en")
    member = add_member(here.workspace, user, Role.OWNER)
    version = here.version()
    brest = segments.save(here.workspace, "À Brest", rule("prop.town", "is", "Brest"))
    for number in range(30):
        segments.save(here.workspace, f"Points {number}", rule("prop.points", "gte", 50 * number))
    choices = {"template": version.template, "member": member}
    few = rows("SELECT id, email FROM contacts_contact ORDER BY id LIMIT %s", [EACH])
    for number in range(CAMPAIGNS):
        made = actions.create(here.workspace, f"Lettre {number}", segment=brest, **choices)
        _sent(here, version, made, few, days=7 * (CAMPAIGNS - number))
    actions.create(here.workspace, "Brouillon", segment=brest, **choices)
    for name, state in (("Envoyée", "sent"), ("En cours", "sending")):
        ground.say(f"pages: a campaign to {people:,} people")
        made = actions.create(here.workspace, name, **choices)
        _sent(here, version, made, None, days=3 if state == "sent" else 0, state=state)
    _finish(here)


def _finish(here: ground.Ground) -> None:
    from envol.campaigns.models import Campaign
    from envol.db import execute

    Campaign.objects.filter(name="Brouillon").update(
        purpose_id=_newsletter(here).pk, from_name="Zoé", from_address=ground.SENDER
    )
    execute("VACUUM ANALYZE")


def _newsletter(here: ground.Ground) -> Any:
    from envol.consent.purposes import get

    return get(here.workspace, "newsletter")


def _import(here: ground.Ground, people: int, seed: int) -> None:
    """By the road of every file: permissions with their ledger, sources, a list."""
    from envol.contacts import imports
    from envol.contacts.models import List

    chance = random.Random(seed)
    path = here.data / "people.csv"
    with open(path, "w", encoding="utf-8", newline="") as out:
        out.write(HEADER + "\r\n")
        for n in range(people):
            name = RARE if n == people // 2 else f"Nom{chance.randrange(40_000)}"
            cells = (
                address(n), chance.choice(ground.FIRST_NAMES), name, chance.choice(ground.CITIES),
                chance.choice(ground.GENRES), str(chance.randrange(2000)),
            )  # fmt: skip
            out.write(";".join(cells) + "\r\n")
    imp = imports.receive(here.workspace, path, path.name)
    kept = List.objects.create(workspace=here.workspace, name="La lettre")
    columns = ["email", *(f"property:{key}" for key in PROPERTIES)]
    imports.set_mapping(imp, dict(zip(HEADER.split(";"), columns, strict=True)), list_id=kept.pk)
    evidence = {"kind": "document", "name": "registre.txt", "content": b"registre"}
    facts = {"purpose": "newsletter", "basis": "consent", "source": "bulletins", "text_version": 1}
    imports.set_permission(imp, {**facts, "date": "2024-03-01", "evidence": evidence})
    imports.set_origin(imp, imports.PEOPLE)
    imports.run(imp)
    path.unlink()


def _sent(
    here: ground.Ground,
    version: Any,
    campaign: Any,
    batch: list[tuple[int, str]] | None,
    *,
    days: int,
    state: str = "sent",
) -> None:
    """A sending of this campaign to these people (or all), with outcomes and reactions; half of it when it runs."""
    from django.utils import timezone

    from envol import db
    from envol.outbound import accept

    begun = timezone.now() - timedelta(days=days, minutes=30)
    purpose = _newsletter(here)
    type(campaign).objects.filter(pk=campaign.pk).update(
        state=state, purpose_id=purpose.pk, from_name="Zoé", from_address=ground.SENDER, updated_at=begun
    )
    if batch is None:
        sending = here.sending(version, state="paused")
    else:
        sending = here.empty_sending(version)
        with db.durable():
            accept.expand_batch(sending, batch)
    ended = begun + timedelta(minutes=20) if state == "sent" else None
    type(sending).objects.filter(pk=sending.pk).update(
        campaign_id=campaign.pk, state=state, created_at=begun, started_at=begun, not_before=begun, ended_at=ended
    )
    part = "true" if state == "sent" else "s.no % 2 = 0"
    facts = {"sending": sending.pk, "begun": begun, "workspace": here.workspace.id}
    low, high = db.rows("SELECT min(no), max(no) FROM outbound_send WHERE sending_id = %s", [sending.pk])[0]
    for lo in range(low, high + 1, 20_000):
        with db.durable():
            db.execute(
                "INSERT INTO outbound_outcome (sending_id, no, state, at, attempts, cause, code, reply)"
                " SELECT s.sending_id, s.no, CASE WHEN s.no % 70 = 0 THEN 'bounced' ELSE 'delivered' END,"
                " %(begun)s + s.no % 1200 * interval '1 second', 1,"
                " CASE WHEN s.no % 70 = 0 THEN 'unknown_user' ELSE '' END, 250, '250 2.0.0 queued'"
                " FROM outbound_send s WHERE s.sending_id = %(sending)s AND s.no >= %(lo)s AND s.no < %(lo)s + 20000"
                f" AND {part}".replace(" % ", " %% "),
                {**facts, "lo": lo},
            )
    db.execute("ANALYZE outbound_send, outbound_outcome")
    _react(here, sending, facts)


def _react(here: ground.Ground, sending: Any, facts: dict[str, Any]) -> None:
    """Opens, clicks and departures of those who let us measure them."""
    from envol import db
    from envol.events import counters

    for kind, each, late in ((5, 6, 7200), (6, 25, 9000), (7, 400, 12_000)):
        db.execute(
            "INSERT INTO events_event (at, workspace_id, kind, contact_id, sending_id, link)"
            " SELECT o.at + (s.no * 7919 % %(late)s) * (s.no % 13) * interval '1 second' / 6, %(workspace)s, %(kind)s,"
            " s.contact_id, s.sending_id, CASE WHEN %(kind)s = 6 THEN 1 + s.no % 5 END"
            " FROM outbound_send s JOIN outbound_outcome o ON o.sending_id = s.sending_id AND o.no = s.no"
            " JOIN contacts_contact c ON c.id = s.contact_id"
            " WHERE s.sending_id = %(sending)s AND o.state = 'delivered' AND c.allowed & 3 <> 0"
            " AND s.no % %(each)s = 0".replace(" % ", " %% "),
            {**facts, "kind": kind, "each": max(1, each // 3), "late": late},
        )
    db.execute("UPDATE outbound_chunk SET done = true WHERE sending_id = %s", [sending.pk])
    counters.rebuild(sending.pk)
