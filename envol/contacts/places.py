"""Where a postcode lies, and in which department: a table made when Envol is built, asked without any network.

A place is known to its postcode's middle and never closer. Postcodes and INSEE codes are many to many: a postcode is
said to lie in the department where most of its people live. ``ui/places.py`` makes the table and names its sources.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from envol.letters import ascii_of

DATA = Path(__file__).with_name("data")
EARTH_KM = 6371.0088  # mean radius
Point = tuple[float, float]
# Zones whose clocks belong to France: there an address without a country is one of France.
FRENCH_ZONES = frozenset(
    {"Europe/Paris", "America/Guadeloupe", "America/Martinique", "America/Cayenne", "Indian/Reunion", "Indian/Mayotte"}
)
FRENCH = ("FR", "GP", "MQ", "GF", "RE", "YT")  # ISO has the regions overseas apart as well
_CLEAR, _LARGE = 10, 15_000  # a name means the largest place so called when it is so much larger than the next


def plain(name: str) -> str:
    """One spelling of a place's name: without accents, signs and article, and "saint" whole."""
    words = "".join(c if c.isalnum() else " " for c in ascii_of(name).lower()).split()
    long = {"st": "saint", "ste": "sainte"}
    words = [long.get(word, word) for word in words]
    while len(words) > 1 and words[0] in ("l", "le", "la", "les"):
        words = words[1:]
    return " ".join(words)


def km(a: Point, b: Point) -> float:
    """How far apart, as the crow flies (haversine on a sphere: right to 0.5 %, more than a postcode deserves)."""
    half = math.sin(math.radians(a[0] - b[0]) / 2) ** 2
    half += math.cos(math.radians(a[0])) * math.cos(math.radians(b[0])) * math.sin(math.radians(a[1] - b[1]) / 2) ** 2
    return 2 * EARTH_KM * math.asin(math.sqrt(min(1.0, half)))


@cache
def _table(name: str) -> Any:
    try:
        with gzip.open(DATA / f"{name}.json.gz") as file:
            return json.load(file)
    except FileNotFoundError:  # not built: places simply stay without a point
        return {}


def _postcodes() -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = _table("postcodes").get("postcodes", {})
    return found


def squeezed(postcode: str) -> str:
    """As the table has it: "69 001" and "F-69001" are 69001."""
    text = "".join(postcode.split()).upper()
    return text.removeprefix("FR-").removeprefix("F-")


def middle(postcode: str) -> Point | None:
    """The middle of the people of a French postcode."""
    row = _postcodes().get(squeezed(postcode), ())
    return (row[1], row[2]) if len(row) == 3 else None


def department_of(postcode: str) -> str:
    """The code of the department of a French postcode ("69", "2A", "974"), or nothing."""
    postcode = squeezed(postcode)
    row = _postcodes().get(postcode)
    if row:
        return str(row[0])
    if len(postcode) != 5 or not postcode.isdigit():
        return ""
    return next((code for code in departments() if postcode.startswith(_beginnings(code))), "")


def departments() -> Mapping[str, tuple[str, str]]:
    """Code → name and region."""
    found: Mapping[str, tuple[str, str]] = _table("postcodes").get("departments", {})
    return found


def regions() -> Mapping[str, str]:
    found: Mapping[str, str] = _table("postcodes").get("regions", {})
    return found


def department(code: str) -> str:
    """Its name, or nothing."""
    return departments().get(code, ("", ""))[0]


def region(code: str) -> str:
    return regions().get(code, "")


def region_of(department_code: str) -> str:
    """The code of the region of a department, or nothing."""
    return departments().get(department_code, ("", ""))[1]


def find_department(text: str) -> str:
    """The code of a department written by code or name; nothing when there is none."""
    code = text.strip().upper().zfill(2)
    wanted = plain(text)
    return code if code in departments() else next((c for c, (n, _) in departments().items() if plain(n) == wanted), "")


def find_region(text: str) -> str:
    wanted = plain(text)
    return (
        text.strip() if text.strip() in regions() else next((c for c, n in regions().items() if plain(n) == wanted), "")
    )


@cache
def _countries() -> dict[str, str]:
    from babel import Locale

    names = (Locale(language).territories.items() for language in ("en", "fr"))
    return {plain(name): code for some in names for code, name in some if len(code) == 2 and code.isalpha()}


def country(text: str) -> str:
    """The two letters of a country written by its name in French or English; else the text itself."""
    return text.strip() if len(text.strip()) == 2 else _countries().get(plain(text), text.strip())


def postcode_of(name: str) -> str:
    """A postcode of the largest commune of this name, or nothing."""
    return next((one.postcodes[0] for one in _by_name().get(plain(name), [])), "")


class Zone(NamedTuple):
    """Postcodes of some departments: all with these beginnings but ``minus``, and ``plus``. So special codes of firms
    (CEDEX), which no table lists, belong to their department too.
    """

    beginnings: list[str]
    plus: list[str]
    minus: list[str]


def _beginnings(code: str) -> tuple[str, ...]:
    return {"2A": ("200", "201"), "2B": ("202", "206")}.get(code, (code,))


def zone(codes: Iterable[str]) -> Zone:
    wanted = set(codes)
    beginnings = tuple(sorted(start for code in wanted for start in _beginnings(code)))
    table = _postcodes()
    return Zone(
        list(beginnings),
        [p for p, row in table.items() if row[0] in wanted and not p.startswith(beginnings)],
        [p for p, row in table.items() if row[0] not in wanted and p.startswith(beginnings)],
    )


def zone_of_regions(codes: Iterable[str]) -> Zone:
    wanted = set(codes)
    return zone(code for code, (_, its) in departments().items() if its in wanted)


# -- communes ------------------------------------------------------------------------------------


class Commune(NamedTuple):
    """One commune, or an arrondissement of Paris, Lyon or Marseille; ``code`` is INSEE's."""

    code: str
    name: str
    postcodes: list[str]
    people: int
    point: Point | None


@cache
def _communes() -> list[Commune]:
    return [
        Commune(row[0], row[1], row[2], row[3], (row[4], row[5]) if len(row) == 6 else None)
        for row in _table("communes")
    ]


@cache
def _by_postcode() -> dict[str, list[Commune]]:
    found: dict[str, list[Commune]] = {}
    for one in _communes():
        for postcode in one.postcodes:
            found.setdefault(postcode, []).append(one)
    return found


@cache
def _by_name() -> dict[str, list[Commune]]:
    found: dict[str, list[Commune]] = {}
    for one in sorted(_communes(), key=lambda commune: -commune.people):
        found.setdefault(plain(one.name), []).append(one)
    return found


def communes_of(postcode: str) -> list[Commune]:
    """Every commune that a postcode serves."""
    return _by_postcode().get(squeezed(postcode), [])


def postcodes_of(code: str) -> list[str]:
    """Every postcode of a commune, by its INSEE code."""
    return next((one.postcodes for one in _communes() if one.code == code), [])


def town(name: str, country: str) -> Point | None:
    """Where the place of this name lies, when it is clear which one is meant."""
    if country in FRENCH:
        called = _by_name().get(plain(name), [])
        if not called or called[0].point is None:
            return None
        alone = len(called) == 1
        large = called[0].people >= _LARGE and (alone or called[0].people >= _CLEAR * called[1].people)
        return called[0].point if alone or large else None
    row = _table("towns").get(country, {}).get(plain(name))
    if row is None or (len(row) == 4 and row[2] < _CLEAR * row[3]):
        return None
    return row[0], row[1]


def largest(text: str) -> Point | None:
    """Where somebody means when she writes a French postcode, or the name of a commune: the largest so called."""
    called = _by_name().get(plain(text), [])
    return middle(text) or (called[0].point if called else None)


def filled(place: dict[str, Any], home: str) -> dict[str, Any]:
    """The place with its coordinates, where country, postcode or name tell them; given ones stay as they are.

    ``home``: the country of a place that names none, or nothing.
    """
    country = place.get("country", home)
    if "lat" in place or not country:
        return place
    found = middle(place["postcode"]) if country in FRENCH and "postcode" in place else None
    if found is None and "label" in place and ("postcode" not in place or country not in FRENCH):
        found = town(place["label"], country)
    return place if found is None else place | {"lat": round(found[0], 5), "lon": round(found[1], 5)}
