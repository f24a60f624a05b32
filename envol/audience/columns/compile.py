"""From one rule to a question over the columnar tables.

Fixed snippets in DuckDB's dialect, parsed by sqlglot; every typed value is a bound parameter (``$s0``), so nothing
a person typed becomes SQL. A rule becomes a :class:`Leaf`: a condition on the contact's own columns, or a SELECT
of positions (with how often, for activity). What a column cannot tell exactly as PostgreSQL does, raises
:class:`Unanswerable`: PostgreSQL is asked for that rule then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from envol.audience import territory
from envol.audience.catalogue import Catalogue
from envol.audience.columns import behaviour
from envol.audience.columns.shape import EVENT_KINDS
from envol.audience.compile import NEGATIVE
from envol.audience.days import Days
from envol.audience.delays import DELAY
from envol.audience.language import Rule
from envol.audience.models import RepurchaseDelay
from envol.audience.operators import number_holds
from envol.audience.snippets import in_duckdb as _t
from envol.audience.snippets import parsed
from envol.consent.purposes import UNPROFILED

if TYPE_CHECKING:
    import psycopg

Node = exp.Expr
Lower = Callable[[list[str], str], list[str]]
"""Texts in lower (``"lower"``) or upper case, as the database of the columns makes it."""

_PLACE_PARTS = {"called": "called", "country_in": "country", "postcode_begins": "postcode"}
_SCORES = {"r": "r", "f": "f", "m": "m", "fm": "(f + m) / 2.0"}
_TIERED = "SELECT s.pos FROM scores AS s"
_COMPARISONS = {"is": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


LEFT = {
    "expected": "what is expected is computed and asked for seldom",
    "answered": "answers are few rows, and given at any time",
    "permitted": "answers are dated by the ledger",
    "proved": "proofs are kept beside the ledger",
    "rhythm": "each person's own window",
    "habit": "habits are few rows, counted each night",
}
"""Kinds of fields that are asked of PostgreSQL, and why."""


class Unanswerable(Exception):
    """Columns do not tell this rule; the text says why."""


@dataclass(frozen=True)
class Leaf:
    """One rule, ready to be asked of ``source``.

    ``kind``: "row" (``query`` is a condition on contacts), "set" (a SELECT of ``pos``), "count" (a SELECT of ``pos``
    and ``n``, which adds up), "ever" (a SELECT of ``pos``, any number of rows a person). ``negated``: whoever is not
    found is in. ``least``: of a count, how many it takes. ``short``: a question that finds the same people in the
    slabs by reading less; the delta is asked ``query``. ``among``: of an "ever", the only values of columns that a row
    which counts can have; with them several are asked together.
    """

    source: str
    kind: str
    query: Node
    params: dict[str, Any]
    negated: bool = False
    least: int = 1
    short: Node | None = None
    among: dict[str, int] = field(default_factory=dict)

    @cached_property
    def sql(self) -> str:
        return self.query.sql(dialect="duckdb")

    @cached_property
    def key(self) -> str:
        """What the answer depends on, slabs apart; the same for every number of times."""
        return f"{self.source}|{self.kind}|{self.sql}|{json.dumps(self.params, sort_keys=True, default=str)}"


def cased(pg: psycopg.Connection[Any], texts: list[str], how: str) -> list[str]:
    """Texts in lower or upper case as PostgreSQL makes it, which also made the columns."""
    if all(text.isascii() for text in texts):
        return [text.lower() if how == "lower" else text.upper() for text in texts]
    function = "lower" if how == "lower" else "upper"
    row = pg.execute(
        f"SELECT array(SELECT {function}(t) FROM unnest(%s::text[]) WITH ORDINALITY AS x(t, n) ORDER BY n)", [texts]
    ).fetchone()
    return list(row[0]) if row else []


def micros(moment: datetime) -> int:
    return (moment - _EPOCH) // (_EPOCH.resolution)


@dataclass
class LeafCompiler:
    """One use compiles one rule; ``available`` are the columns this version of the slabs has, by table."""

    catalogue: Catalogue
    days: Days
    available: dict[str, dict[str, str]]
    expected: dict[str, dict[str, str]]
    case: Lower
    params: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, type_: str) -> Node:
        name = f"s{len(self.params)}"
        self.params[name] = value
        return exp.cast(exp.Parameter(this=exp.Var(this=name)), type_, dialect="duckdb")

    def column(self, name: str, table: str = "contacts") -> Node:
        """A column that these slabs hold as the catalogue now tells it."""
        if self.available.get(table, {}).get(name) != self.expected.get(table, {}).get(name, ""):
            raise Unanswerable(f"no column {name}")
        return exp.column(exp.to_identifier(name, quoted=True))

    def leaf(self, rule: Rule) -> Leaf:
        kind = rule.field.kind
        if kind == "activity":
            return self.activity(rule)
        if kind == "on_list":
            return self.on_list(rule)
        if kind == "just_bought":
            return self.of_just_bought(rule)
        if kind.startswith("order_"):
            return self.orders(rule)
        if kind == "happening":
            query, others = behaviour.happened(self, rule)
            return Leaf("happenings", "set", query, self.params, negated=others)
        if kind in LEFT:
            raise Unanswerable(LEFT[kind])
        positive = NEGATIVE.get(rule.op)
        twin = Rule(rule.path, rule.field, positive, rule.value, rule.where, rule.inner) if positive else rule
        test = getattr(self, f"of_{kind}", None)
        if test is None:
            raise Unanswerable(kind)
        return Leaf("contacts", "row", _t("COALESCE(:t, FALSE)", t=test(twin)), self.params, negated=bool(positive))

    # --- the contact's own columns

    def own(self, rule: Rule) -> Node:
        key = rule.field.key
        return self.column(f"p_{rule.field.inner}" if key.startswith("prop.") else rule.field.inner)

    def texts(self, values: Sequence[str], how: str = "lower") -> Node:
        return self.bind(self.case(list(values), how), "varchar[]")

    def of_text(self, rule: Rule) -> Node:
        v = self.own(rule)
        match rule.op:
            case "known":
                return _t(":v IS NOT NULL", v=v)
            case "is":
                return _t(":v = :p", v=v, p=self.bind(self.case([rule.value], "lower")[0], "varchar"))
            case "in":
                return _t("list_contains(:p, :v)", v=v, p=self.texts(rule.value))
            case "contains":
                return _t("contains(:v, :p)", v=v, p=self.bind(self.case([rule.value], "lower")[0], "varchar"))
            case "begins":
                return _t("starts_with(:v, :p)", v=v, p=self.bind(self.case([rule.value], "lower")[0], "varchar"))
        raise AssertionError(rule.op)

    def of_choice(self, rule: Rule) -> Node:
        v = self.own(rule)
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        wanted = [rule.value] if rule.op == "is" else rule.value
        return _t("list_contains(:p, :v)", v=v, p=self.bind(wanted, "varchar[]"))

    def of_boolean(self, rule: Rule) -> Node:
        v = self.own(rule)
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        return _t(":v = :p", v=v, p=self.bind(rule.value, "boolean"))

    def of_number(self, rule: Rule) -> Node:
        v = self.own(rule)
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        return self.compare(v, rule.op, rule.value, "double")

    of_money = of_number

    def compare(self, v: Node, op: str, value: Any, type_: str, times: Node | None = None) -> Node:
        def side(number: Any) -> Node:
            bound = self.bind(number, type_)
            return _t(":p * :times", p=bound, times=times.copy()) if times is not None else bound

        if op == "between":
            return _t(":v >= :low AND :v <= :high", v=v, low=side(value[0]), high=side(value[1]))
        return _t(f":v {_COMPARISONS[op]} :p", v=v, p=side(value))

    def of_date(self, rule: Rule) -> Node:
        v = self.own(rule)
        match rule.op:
            case "known":
                return _t(":v IS NOT NULL", v=v)
            case "anniversary":
                wanted = [int(day.replace("-", "")) for day in self.days.anniversaries(rule.value)]
                return _t("list_contains(:p, :v % 10000)", v=v, p=self.bind(wanted, "integer[]"))
            case "anniversary_between":
                low, high = (int(day.replace("-", "")) for day in rule.value)
                both = "AND" if low <= high else "OR"
                snippet = f"(:v % 10000) >= :low {both} (:v % 10000) <= :high"
                return _t(snippet, v=v, low=self.bind(low, "integer"), high=self.bind(high, "integer"))
        first, end = self.days.bounds(rule.op, rule.value)
        parts = [_t(":v IS NOT NULL", v=v)]
        if first:
            parts.append(_t(":v >= :p", v=v, p=self.bind(_day(first), "integer")))
        if end:
            parts.append(_t(":v < :p", v=v, p=self.bind(_day(end), "integer")))
        return exp.and_(*parts, copy=False)

    def of_instant(self, rule: Rule) -> Node:
        return self.moment(self.own(rule), rule)

    def moment(self, v: Node, rule: Rule) -> Node:
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        if rule.op.startswith("anniversary"):
            raise Unanswerable("the day of a moment depends on the zone")
        return self.span(v, *self.days.bounds(rule.op, rule.value))

    def span(self, v: Node, first: date | None, end: date | None) -> Node:
        parts = []
        if first:
            parts.append(_t(":v >= :p", v=v, p=self.bind(micros(self.days.midnight(first)), "bigint")))
        if end:
            parts.append(_t(":v < :p", v=v, p=self.bind(micros(self.days.midnight(end)), "bigint")))
        return exp.and_(*parts, copy=False) if parts else _t(":v IS NOT NULL", v=v)

    def of_list(self, rule: Rule) -> Node:
        v = self.own(rule)
        if rule.op == "known":
            return _t("len(:v) > 0", v=v)
        name = "list_has_any" if rule.op == "has_any" else "list_has_all"
        return _t(f"{name}(:v, :p)", v=v, p=self.bind(rule.value, "varchar[]"))

    def of_tags(self, rule: Rule) -> Node:
        name = "list_has_any" if rule.op == "has_any" else "list_has_all"
        return _t(f"{name}(:v, :p)", v=self.column("tags"), p=self.bind(rule.value, "varchar[]"))

    def of_place(self, rule: Rule) -> Node:
        if rule.op in territory.OPS:
            return territory.columns(self, rule)
        name = f"p_{rule.field.inner}"
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=self.column(name))
        if rule.op in _PLACE_PARTS:
            v = self.column(f"{name}${_PLACE_PARTS[rule.op]}")
            if rule.op == "called":
                return _t("list_contains(:p, :v)", v=v, p=self.bind(rule.value, "varchar[]"))
            if rule.op == "country_in":
                return _t("list_contains(:p, :v)", v=v, p=self.bind(rule.value, "varchar[]"))
            begins = [
                _t("starts_with(:v, :p)", v=v.copy(), p=self.bind(begin, "varchar"))
                for begin in self.case(rule.value, "upper")
            ]
            return exp.paren(exp.or_(*begins, copy=False))
        near = {key: self.bind(float(rule.value[key]), "double") for key in ("lat", "lon", "km")}
        lat, lon = self.column(f"{name}$lat"), self.column(f"{name}$lon")
        return _t(
            f":band AND :lon IS NOT NULL AND {territory.HAVERSINE} <= :km",
            band=territory.band(lat, rule.value["lat"], rule.value["km"], lambda n: self.bind(n, "double")),
            lat=lat, lon=lon, lat0=near["lat"], lon0=near["lon"], km=near["km"],
        )  # fmt: skip

    def of_mark(self, rule: Rule) -> Node:
        if self.days.limit is not None:
            raise Unanswerable("when complaints were open is not among the columns")
        return self.column("silenced")

    def of_measured(self, rule: Rule) -> Node:
        if rule.op == "unasked":
            return self.unanswered("measure_opens" if rule.value == "opens" else "measure_clicks")
        return self.agreed("measure_opens" if rule.value == "opens" else "measure_clicks")

    def agreed(self, purpose: str) -> Node:
        mask = self.bind(self.catalogue.bit(purpose), "bigint")
        return _t("(:allowed & :mask) <> 0", allowed=self.column("allowed"), mask=mask)

    def unprofiled(self) -> Node:
        """She objected to marketing or to profiling, or the use of her data is restricted (`gates.PROFILE_SQL`)."""
        mask = self.bind(1 << UNPROFILED, "bigint")
        snippet = "(COALESCE(:objected, FALSE) OR (:refused & :mask) <> 0)"
        return _t(snippet, objected=self.column("objected"), refused=self.column("refused"), mask=mask)

    def unanswered(self, purpose: str) -> Node:
        """Neither agreed nor refused: who may be asked."""
        mask = self.bind(self.catalogue.bit(purpose), "bigint")
        snippet = "(:allowed & :mask) = 0 AND (:refused & :mask) = 0"
        return _t(snippet, allowed=self.column("allowed"), refused=self.column("refused"), mask=mask)

    def came(self) -> Node:
        """Who was here when the day asked about ended."""
        assert self.days.limit is not None
        limit = self.bind(micros(self.days.limit), "bigint")
        return _t("COALESCE(:at < :l, FALSE)", at=self.column("created_at"), l=limit)

    def of_random(self, rule: Rule) -> Node:
        # Eight hexadecimal digits sort as the number they write.
        threshold = int(rule.value["percent"] * 2**32 / 100)
        if threshold >= 2**32:
            return exp.true()
        return _t(
            "substr(md5(:seed || ':' || CAST(:id AS VARCHAR)), 1, 8) < :p",
            seed=self.bind(rule.value["seed"], "varchar"),
            id=self.column("id"),
            p=self.bind(f"{threshold:08x}", "varchar"),
        )

    # --- other tables

    def select(self, table: str, where: list[Node], *columns: str) -> exp.Select:
        found = parsed(f"SELECT {', '.join(columns or ('pos',))} FROM {table}", "duckdb")
        assert isinstance(found, exp.Select)
        return found.where(*where, copy=False) if where else found

    def on_list(self, rule: Rule) -> Leaf:
        if rule.op == "founder":
            raise Unanswerable("who was first depends on everybody who ever joined")
        chosen = rule.value["list"] if isinstance(rule.value, dict) else rule.value
        where = [_t("list = :l", l=self.bind(chosen, "bigint"))]
        if self.days.limit is not None:
            where.append(_t("since < :l", l=self.bind(micros(self.days.limit), "bigint")))
        if rule.op != "ever_on":
            where.append(self.stood())
        if rule.op == "joined_in_last":
            where.append(self.span(exp.column("since"), *self.days.bounds("in_last", rule.value["days"])))
        if rule.op == "anniversary":
            spans = self.days.years_since(rule.value["years"], rule.value["days"])
            where.append(exp.paren(exp.or_(exp.false(), *[self.span(exp.column("since"), *span) for span in spans])))
        query = self.select("memberships", where)
        return Leaf("memberships", "set", query, self.params, negated=rule.op == "not_on")

    def stood(self) -> Node:
        """An interval that is open, now or when the day asked about ended."""
        if self.days.limit is None:
            return _t("until IS NULL")
        return _t("(until IS NULL OR until >= :l)", l=self.bind(micros(self.days.limit), "bigint"))

    def happened(self, at: str = "at") -> list[Node]:
        """Nothing of after the day asked about."""
        return [_t(f"{at} < :l", l=self.bind(micros(self.days.limit), "bigint"))] if self.days.limit else []

    def orders(self, rule: Rule) -> Leaf:
        where = self.happened()
        lines = "category" in rule.where or "product" in rule.where
        at = exp.column("at")
        if "within_days" in rule.where:
            where.append(self.span(at, *self.days.bounds("in_last", rule.where["within_days"])))
        for edge in ("after", "before"):
            if edge in rule.where:
                where.append(self.span(at, *self.days.bounds(edge, rule.where[edge])))
        if "currency" in rule.where:
            where.append(_t("currency = :p", p=self.bind(rule.where["currency"], "varchar")))
        for name in ("category", "product"):
            if name in rule.where:
                where.append(_t(f"list_contains(:p, {name})", p=self.texts(rule.where[name])))
        positive = NEGATIVE.get(rule.op, rule.op)
        # Whoever has no order at all stands in no group: put them where the rule says 0 (or nothing) belongs.
        empty_inside = rule.field.inner in {"count", "sum"} and number_holds(positive, 0, rule.value)
        table = "lines" if lines else "orders"

        def having(count: str, amount: str, first: str, last: str) -> Node:
            found = self.of_orders(
                rule, positive, table, *(parsed(told, "duckdb") for told in (count, amount, first, last))
            )
            return exp.not_(exp.paren(found)) if empty_inside else found

        each = having("COUNT(DISTINCT no)" if lines else "COUNT(*)", "SUM(amount)", "MIN(at)", "MAX(at)")
        query = self.select(table, where).group_by(exp.column("pos"), copy=False).having(each, copy=False)
        short = None
        if not where and rule.field.inner != "coded" and "totals" in self.available:
            short = self.select("totals", [having("n", "amount", "first", "last")])
        return Leaf(table, "set", query, self.params, negated=empty_inside != (rule.op in NEGATIVE), short=short)

    def of_orders(self, rule: Rule, op: str, table: str, count: Node, amount: Node, first: Node, last: Node) -> Node:
        """What must hold of a person's orders, by these expressions over them."""
        match rule.field.inner:
            case _ if op == "known":
                return exp.true()
            case "count":
                return self.compare(count, op, rule.value, "bigint")
            case "sum":
                return self.compare(amount, op, rule.value, "bigint")
            case "coded":
                coded = _t("COUNT(DISTINCT CASE WHEN :c THEN no END) * 100", c=self.column("coded", table))
                return self.compare(coded, op, rule.value, "double", times=count)
            case "average":
                return self.compare(amount, op, rule.value, "bigint", times=count)
            case inner:
                return self.moment(first if inner == "min" else last, Rule(rule.path, rule.field, op, rule.value))

    def of_just_bought(self, rule: Rule) -> Leaf:
        """Bought, and kept, something that is not yet bought again: each category has its own delay."""
        days = self.days
        own = dict(
            RepurchaseDelay.objects.filter(workspace=self.catalogue.workspace)
            .order_by("category")
            .values_list("category", "days")
        )
        usual = own.pop("", DELAY)
        begins = {name: micros(days.midnight(days.shifted(-n))) for name, n in {**own, "": usual}.items()}
        since = self.bind(begins.pop(""), "bigint")
        if begins:
            since = exp.Case(
                ifs=[
                    exp.If(this=_t("category = :own", own=self.bind(name, "varchar")), true=self.bind(begin, "bigint"))
                    for name, begin in begins.items()
                ],
                default=since,
            )
        end = self.bind(micros(days.midnight(days.today + timedelta(days=1))), "bigint")
        where = [_t("at < :end", end=end), _t("at >= :since", since=since)]
        positive = NEGATIVE.get(rule.op, rule.op)
        what = "product" if positive == "of_product" else "category"
        if positive != "anything":
            where.append(_t(f"list_contains(:p, {what})", p=self.texts(rule.value)))
        query = self.select("lines", where).group_by(exp.column("pos"), exp.column(what), copy=False)
        query = query.having(_t("SUM(:kept) > 0", kept=self.column("kept", "lines")), copy=False)
        return Leaf("lines", "set", query, self.params, negated=positive != rule.op)

    def buyers(self, rule: Rule) -> Leaf:
        """Scores and tiers of buyers, those who objected among them."""
        p = None
        if rule.field.kind == "standing" and rule.op != "known":
            p = self.bind([rule.value] if rule.op == "is" else rule.value, "varchar[]")
        if rule.field.inner == "tier":
            query = parsed(_TIERED, "duckdb")
            assert isinstance(query, exp.Select)
            stay = _t("t.until IS NULL")
            if self.days.limit is not None:
                day = self.bind(_day(self.days.today), "integer")
                stay = _t("t.since <= :d AND (t.until IS NULL OR t.until > :d)", d=day)
            query = query.join(exp.to_table("tiers").as_("t"), on=exp.and_(_t("t.pos = s.pos"), stay), join_type="left")
            if p is not None:
                query = query.where(_t("list_contains(:p, COALESCE(t.tier, 'standard'))", p=p))
            return Leaf("scores", "set", query, self.params)
        if rule.field.kind == "standing":
            where = [] if p is None else [_t("list_contains(:p, named)", p=p)]
        else:
            value = exp.paren(parsed(_SCORES[rule.field.inner], "duckdb"))
            where = [] if rule.op == "known" else [self.compare(value, rule.op, rule.value, "double")]
        return Leaf("scores", "set", self.select("scores", where), self.params)

    def interests(self, rule: Rule, origin: str) -> Leaf:
        """A positive rule about interests, those of who objected among them."""
        return Leaf("interests", "set", behaviour.interested(self, rule, origin), self.params)

    def activity(self, rule: Rule) -> Leaf:
        kind = EVENT_KINDS.get(rule.field.inner)
        where = (
            self.happened() if kind is None else [_t("kind = :k", k=self.bind(int(kind), "smallint")), *self.happened()]
        )
        if "within_days" in rule.where:
            where.append(self.span(exp.column("at"), *self.days.bounds("in_last", rule.where["within_days"])))
        if "sending" in rule.where:
            where.append(_t("sending = :p", p=self.bind(rule.where["sending"], "bigint")))
        table = rule.field.inner if kind is None else "events"
        times = 1 if rule.op == "never" else rule.value
        negated = rule.op != "at_least"
        if "sending" in rule.where and times == 1:  # few rows: grouping them would cost more than reading them
            among = {} if kind is None else {"kind": int(kind), "sending": rule.where["sending"]}
            return Leaf(table, "ever", self.select(table, where), self.params, negated=negated, among=among)
        query = self.select(table, where, "pos", "COUNT(*) AS n").group_by(exp.column("pos"), copy=False)
        return Leaf(table, "count", query, self.params, negated=negated, least=times)


def _day(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day
