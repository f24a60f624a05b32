"""Rules about where people live: in a department or region of France, near the nearest of our shops.

Departments are told by postcodes, so every engine can answer; shops are few and known, so their distances are written
into the question. What a place lacks (a postcode, coordinates) puts it outside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from envol.audience.language import Rule
from envol.audience.snippets import filled as _t
from envol.contacts import places

if TYPE_CHECKING:
    from envol.audience.catalogue import Catalogue
    from envol.audience.columns.compile import LeafCompiler
    from envol.audience.compile import Compiler

Node = exp.Expr
OPS = frozenset({"department_in", "region_in", "near_shop", "nearest_shop"})
HAVERSINE = (
    f"2 * {places.EARTH_KM} * ASIN(SQRT(LEAST(1, POWER(SIN(RADIANS((:lat) - (:lat0)) / 2), 2)"
    " + COS(RADIANS(:lat0)) * COS(RADIANS(:lat)) * POWER(SIN(RADIANS((:lon) - (:lon0)) / 2), 2))))"
)


def _zone(rule: Rule) -> places.Zone:
    return places.zone(rule.value) if rule.op == "department_in" else places.zone_of_regions(rule.value)


def _home(catalogue: Catalogue) -> str:
    """The country of a place that names none."""
    return "FR" if catalogue.workspace.time_zone in places.FRENCH_ZONES else ""


def reference(compiler: Compiler, rule: Rule, v: Node) -> Node:
    """In PostgreSQL; ``v`` is the place as a JSON object."""
    if rule.op in ("near_shop", "nearest_shop"):
        lat, lon = compiler.degrees(v, "lat", 90), compiler.degrees(v, "lon", 180)
        return _shops(compiler.catalogue, rule, lat, lon, lambda n: compiler.bind(n, "double precision"), "postgres")
    zone = _zone(rule)
    text = "CASE WHEN JSONB_TYPEOF(JSONB_EXTRACT_PATH(:v, :k)) = 'string' THEN JSONB_EXTRACT_PATH_TEXT(:v, :k) END"
    return _t(
        "postgres",
        "COALESCE(UPPER(:country), :home) = ANY(:french) AND LENGTH(:code) = 5 AND (:code = ANY(:plus) OR"
        " EXISTS(SELECT 1 FROM UNNEST(:begin) AS x(t) WHERE STARTS_WITH(:code, x.t)) AND NOT :code = ANY(:minus))",
        country=_t("postgres", text, v=v, k=exp.Literal.string("country")),
        code=_t("postgres", text, v=v, k=exp.Literal.string("postcode")),
        home=compiler.bind(_home(compiler.catalogue), "text"),
        french=compiler.bind(list(places.FRENCH), "text[]"),
        begin=compiler.bind(zone.beginnings, "text[]"),
        plus=compiler.bind(zone.plus, "text[]"),
        minus=compiler.bind(zone.minus, "text[]"),
    )


def columns(compiler: LeafCompiler, rule: Rule) -> Node:
    """In DuckDB, over the columns of the place."""
    name = f"p_{rule.field.inner}"
    if rule.op in ("near_shop", "nearest_shop"):
        lat, lon = compiler.column(f"{name}$lat"), compiler.column(f"{name}$lon")

        def bind(number: float) -> Node:
            return compiler.bind(float(number), "double")

        told = _shops(compiler.catalogue, rule, lat, lon, bind, "duckdb")
        if rule.op == "nearest_shop":
            return told
        bands = [band(lat, shop.lat, rule.value, bind) for shop in compiler.catalogue.shops.values()]
        return exp.and_(exp.paren(exp.or_(*bands, copy=False), copy=False), told, copy=False)
    zone = _zone(rule)
    code = compiler.column(f"{name}$postcode")
    begins = [
        _t("duckdb", "starts_with(:v, :p)", v=code.copy(), p=compiler.bind(one, "varchar")) for one in zone.beginnings
    ]
    return _t(
        "duckdb",
        "list_contains(:french, COALESCE(:country, :home)) AND length(:code) = 5"
        " AND (list_contains(:plus, :code) OR :begins AND NOT list_contains(:minus, :code))",
        country=compiler.column(f"{name}$country"),
        code=code,
        home=compiler.bind(_home(compiler.catalogue), "varchar"),
        french=compiler.bind(list(places.FRENCH), "varchar[]"),
        begins=exp.paren(exp.or_(*begins, copy=False), copy=False) if begins else exp.false(),
        plus=compiler.bind(zone.plus, "varchar[]"),
        minus=compiler.bind(zone.minus, "varchar[]"),
    )


def band(lat: Node, lat0: float, km: float, bind: Callable[[float], Node]) -> Node:
    """The latitudes that can be so near: two comparisons, which files are read by, before many sines."""
    reach = math.degrees(float(km) / places.EARTH_KM) + 1e-6  # a tenth of a metre more than any rounding
    low, high = bind(float(lat0) - reach), bind(float(lat0) + reach)
    return _t("duckdb", ":lat >= :low AND :lat <= :high", lat=lat.copy(), low=low, high=high)


def _shops(catalogue: Catalogue, rule: Rule, lat: Node, lon: Node, bind: Callable[[float], Node], dialect: str) -> Node:
    def nearest(spots: Sequence[places.Point]) -> Node:
        far = [
            _t(dialect, HAVERSINE, lat=lat.copy(), lon=lon.copy(), lat0=bind(spot[0]), lon0=bind(spot[1]))
            for spot in spots
        ]
        return far[0] if len(far) == 1 else exp.Least(this=far[0], expressions=far[1:])

    # LEAST passes over NULL: without coordinates every distance would be half the globe.
    known = _t(dialect, ":lat IS NOT NULL AND :lon IS NOT NULL", lat=lat.copy(), lon=lon.copy())
    spots = {pk: (shop.lat, shop.lon) for pk, shop in catalogue.shops.items()}
    if rule.op == "near_shop":
        return exp.and_(known, exp.LTE(this=nearest(list(spots.values())), expression=bind(rule.value)), copy=False)
    ours = [spots[pk] for pk in rule.value]
    others = [spot for pk, spot in spots.items() if pk not in rule.value]
    if not others:
        return known
    return exp.and_(known, exp.LTE(this=nearest(ours), expression=nearest(others)), copy=False)  # as near: of both
