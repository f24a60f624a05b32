"""The shop before its letter: workspace, catalogue, people, permissions, orders, segments, template, campaign."""

from __future__ import annotations

import importlib.resources
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from envol.accounts.models import Member, Workspace
from envol.accounts.workspaces import create_api_key
from envol.campaigns import drafts
from envol.campaigns.models import Campaign
from envol.contacts import places
from envol.contacts.models import Contact, List
from envol.run.demo.people import Person, Purchase, history, invent, write_csv

TITLE_SLUG = "Librairie Envol"
NAME = "librairie-envol"
TITLE = "Librairie-disquaire L’Envol"
OWNER = "zoe@boutique.envol-demo.example"
DOMAIN = "boutique.envol-demo.example"
CAMPAIGN = "La lettre de novembre"
SEGMENT = "Clients de l’année et porteurs de la carte"
# The rule of the campaign, in the language and, for the check, in `in_segment` below.
TREE = {
    "v": 1,
    "match": "any",
    "rules": [
        {"field": "orders.count", "op": "gte", "value": 1, "where": {"within_days": 365}},
        {"field": "prop.carte", "op": "is", "value": True},
    ],
}
OTHER_SEGMENTS = {
    "Amateurs de jazz et de classique": {
        "v": 1,
        "match": "all",
        "rules": [{"field": "prop.genre", "op": "in", "value": ["jazz", "classique"]}],
    },
    "Fidèles : cinq commandes ou plus": {
        "v": 1,
        "match": "all",
        "rules": [{"field": "orders.count", "op": "gte", "value": 5}],
    },
    "À moins de 30 km de Nantes": {
        "v": 1,
        "match": "all",
        "rules": [
            {
                "field": "prop.city",
                "op": "near",
                "value": {"lat": 47.2172, "lon": -1.5534, "km": 30, "label": "Nantes"},
            },
        ],
    },
}

Bar = Callable[[str], Callable[..., None]]  # title → (done, total, step)


@dataclass(slots=True)
class Shop:
    """What the demonstration knows by itself, without asking the database."""

    workspace: Workspace
    people: dict[str, Person]  # by address
    purchases: list[Purchase]
    today: date
    key: str
    secret: str

    def in_segment(self, person: Person, bought: set[str]) -> bool:
        return person.card or person.customer in bought

    def bought_within(self, days: int) -> set[str]:
        first = self.today - timedelta(days=days)  # the window begins at midnight of that day
        return {p.customer for p in self.purchases if p.on >= first}


def invented(limit: int, today: date) -> tuple[list[Person], list[Purchase]]:
    """People and their orders; the same for the same day."""
    purchases = list(history(today - timedelta(days=1)))
    customers = sorted({p.customer for p in purchases})
    if limit:
        customers = customers[:limit]
        kept = set(customers)
        purchases = [p for p in purchases if p.customer in kept]
    return invent(customers, today), purchases


def declare(workspace: Workspace) -> None:
    from envol.consent import purposes
    from envol.contacts import catalogue
    from envol.run.demo.people import GENRES

    mask = purposes.mask(workspace, "newsletter", "offers", "personalisation")
    catalogue.declare(workspace, "genre", "choice", "Genre préféré", "Favourite genre", choices=GENRES, purposes=mask)
    catalogue.declare(workspace, "carte", "boolean", "Carte de fidélité", "Loyalty card", purposes=mask)
    workspace.postal_address = "12 quai de l’Exemple, 44000 Nantes"
    workspace.take_back_seconds = 60
    workspace.save()


MAPPING = {
    "N° client": "identifier:customer",
    "E-mail": "email",
    "Prénom": "property:first_name",
    "Nom": "property:last_name",
    "Né(e) le": "property:birth_date",
    "Ville": "property:city",
    "Genre préféré": "property:genre",
    "Carte": "property:carte",
    "Accord le": "permission_date",
    "Preuve": "permission_proof",
}
JSON_MAPPING = {
    "customer": "identifier:customer",
    "email": "email",
    "first_name": "property:first_name",
    "last_name": "property:last_name",
    "birth_date": "property:birth_date",
    "city": "property:city",
    "genre": "property:genre",
    "card": "property:carte",
    "agreed": "permission_date",
    "proof": "permission_proof",
}


SHOPS = (
    ("Nantes Graslin", "44000", "Nantes"),
    ("Lyon Bellecour", "69002", "Lyon"),
    ("Paris Bastille", "75011", "Paris"),
)


def write_files(folder: Path, people: list[Person]) -> tuple[Path, Path]:
    """What the shop brings: the till's export for one half, the web shop's for the other."""
    folder.mkdir(parents=True, exist_ok=True)
    till, web = folder / "caisse.csv", folder / "boutique-en-ligne.jsonl"
    half = [p for i, p in enumerate(people) if i % 2 == 0]
    write_csv(till, half)
    with open(web, "w", encoding="utf-8") as out:
        for i, p in enumerate(people):
            if i % 2:
                place = {"label": p.city, "country": "FR", "lat": p.latitude, "lon": p.longitude}
                if postcode := places.postcode_of(p.city):
                    place["postcode"] = postcode
                line: dict[str, Any] = {
                    "customer": p.customer, "email": p.email, "first_name": p.first_name, "last_name": p.last_name,
                    "birth_date": p.birth_date, "city": place, "genre": p.genre, "card": p.card,
                    "agreed": p.newsletter, "proof": p.proof,
                }  # fmt: skip
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
    return till, web


def bring_people(shop: Shop, folder: Path, bar: Bar) -> dict[str, int]:
    """Import both files through the ordinary road: mapping, permission with a proof per line, run."""
    from envol.contacts import imports

    member = Member.objects.get(workspace=shop.workspace, role="owner")
    customers = List.objects.get_or_create(workspace=shop.workspace, name="Clients")[0]
    total: dict[str, int] = {}
    for file, mapping in zip(write_files(folder, list(shop.people.values())), (MAPPING, JSON_MAPPING), strict=True):
        imp = imports.receive(shop.workspace, file, file.name, member_id=member.pk)
        imports.set_mapping(imp, mapping, list_id=customers.pk)
        imports.set_permission(
            imp,
            {
                "purpose": "newsletter",
                "basis": "consent",
                "source": "bulletin d’adhésion signé",
                "text_version": 1,
                "evidence": {"kind": "line"},
            },
        )
        imports.set_origin(imp, imports.PEOPLE)
        counts = imports.run(imp, progress=bar(f"Importing {file.name}"))
        for name in ("new", "updated", "unchanged", "mailable", "suppressed"):
            total[name] = total.get(name, 0) + int(counts.get(name, 0))
    return total


def open_signup(shop: Shop) -> None:
    """A sign-up form for those who come by themselves; nobody has asked yet."""
    from envol.collect import signup

    letter = List.objects.get_or_create(workspace=shop.workspace, name="La lettre")[0]
    signup.switch(signup.create(shop.workspace, letter, "first_name"), True)


def bring_answers(shop: Shop) -> dict[str, int]:
    """Withdrawals since, and the two measuring consents of a stated share: both are lines of the ledger."""
    from envol.consent import acts, ledger, purposes
    from envol.consent.ledger import Line

    ids = dict(Contact.objects.filter(workspace_id=shop.workspace.id).values_list("email_key", "id"))
    newsletter = purposes.get(shop.workspace, "newsletter")
    opens, clicks = (purposes.get(shop.workspace, key) for key in ("measure_opens", "measure_clicks"))
    text = purposes.text(opens)
    proof = acts.evidence(shop.workspace, "line", "page de préférences", text=text)
    yesterday = datetime.combine(shop.today - timedelta(days=1), time(12), UTC)
    withdrawn: list[Line] = []
    measured: list[Line] = []
    for person in shop.people.values():
        contact = ids.get(person.email.lower())
        if contact is None:
            continue
        if person.withdrawn:
            withdrawn.append(Line(contact, newsletter.pk, "withdrawn", "consent", yesterday))
        if person.measured:
            for purpose in (opens, clicks):
                measured.append(
                    Line(contact, purpose.pk, "granted", "consent", yesterday, proof.pk, "case cochée par la personne")
                )
    for lines in (withdrawn, measured):
        if lines:
            ledger.append(shop.workspace.id, lines)
    return {"withdrawn": len(withdrawn), "measured": len(measured) // 2}


def bring_orders(shop: Shop, bar: Bar) -> int:
    """All real orders, by the address of their invented buyer."""
    from envol.audience import scores
    from envol.contacts.orders import NewLine, NewOrder, add_bulk

    by_customer = {p.customer: p for p in shop.people.values()}
    move = bar("Orders")
    total = len(shop.purchases)

    def orders() -> Iterator[NewOrder]:
        for i, p in enumerate(shop.purchases):
            person = by_customer[p.customer]
            category = person.genre or ("rock" if p.cents % 2 else "roman")
            at = datetime.combine(p.on, time(10 + p.cents % 9, p.cents % 60), UTC)
            line = NewLine("disques et livres", category, p.discs, p.cents)
            yield NewOrder(p.number, at, p.cents, "EUR", address=person.email, lines=[line])
            if i % 1000 == 0:
                move(i, total)

    added = add_bulk(shop.workspace, orders())
    move(total, total)
    if added.refused:
        raise RuntimeError(f"{len(added.refused)} orders were refused, the first: {added.refused[0][1]}")
    scores.compute(shop.workspace)
    return added.added


def prepare_campaign(shop: Shop) -> Campaign:
    """Segments, the letter, and a draft that is ready to be sent."""
    from envol.audience import segments, shops
    from envol.consent import purposes
    from envol.content import templates
    from envol.outbound import domains

    domains.add(shop.workspace, DOMAIN, trusted=True)
    for name, postcode, town in SHOPS:
        shops.save(shop.workspace, {"name": name, "postcode": postcode, "town": town, "country": "FR"})
    chosen = segments.save(shop.workspace, SEGMENT, TREE)
    for name, tree in OTHER_SEGMENTS.items():
        segments.save(shop.workspace, name, tree)
    source = importlib.resources.files("envol.run.demo").joinpath("letter.mjml").read_text("utf-8")
    version = templates.save(
        shop.workspace,
        "Lettre mensuelle",
        "mjml",
        source,
        "{{ contact.first_name }}, votre lettre de novembre",
        preheader="Trois romans, deux disques, et un livre que personne n’attendait.",
        fallbacks={"contact.first_name": "chère lectrice, cher lecteur"},
        utm={"source": "envol", "medium": "email", "campaign": "lettre-novembre"},
    )
    return drafts.create(
        shop.workspace,
        CAMPAIGN,
        purpose=purposes.get(shop.workspace, "newsletter"),
        segment=chosen,
        template=version.template,
        from_name=TITLE,
        from_address=f"lettre@{DOMAIN}",
        reply_to=OWNER,
    )


def key_of(workspace: Workspace, data: Path) -> tuple[str, str]:
    """The demonstration's API key; kept 0600 in its data directory, as a shop's own programs would keep theirs."""
    file = data / "demo-key.json"
    if file.exists():
        facts = json.loads(file.read_text())
        return facts["key"], facts["secret"]
    new = create_api_key(workspace, "demonstration")
    file.touch(mode=0o600)
    file.write_text(json.dumps({"key": new.key, "secret": new.secret}))
    return new.key, new.secret


def password_of(data: Path) -> str:
    file = data / "demo-password"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text("-".join(secrets.choice(_WORDS) for _ in range(5)))
    return file.read_text()


_WORDS = [
    "aile", "brise", "cime", "dune", "envol", "fleuve", "givre", "herbe", "jardin", "lune", "merle", "nuage", "olive",
    "plume", "rive", "sable", "tilleul", "vent", "zeste",
]  # fmt: skip
