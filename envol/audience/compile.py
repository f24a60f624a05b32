"""From a parsed tree to PostgreSQL, built as a syntax tree by sqlglot.

Nothing a person typed becomes SQL: fixed snippets of this file are parsed once, and every typed
value, even a property's key, is a bound parameter. Each rule is two-valued (never NULL), so that
"none of" is the exact opposite of "any of". A value of the wrong type in a document counts as no
value and cannot make the query fail.

Rules over other tables are uncorrelated sub-selects of contact ids (PostgreSQL hashes them once),
not one look-up per person.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlglot import exp

from envol.audience import buying, caring, happening, loyalty, quiet, territory
from envol.audience.catalogue import Catalogue, activity_source
from envol.audience.columns.shape import EVENT_KINDS
from envol.audience.days import Days
from envol.audience.language import Group, Rule
from envol.audience.models import SegmentPerson
from envol.audience.operators import number_holds
from envol.audience.snippets import in_postgres as _t
from envol.audience.snippets import parsed
from envol.consent import gates
from envol.consent.models import Permission, Purpose, Silence
from envol.contacts.models import Contact, Membership, Order, OrderLine
from envol.events.models import Event

Node = exp.Expr

ALIAS = "c"
_PLACE_PARTS = {"called": "label", "country_in": "country", "postcode_begins": "postcode"}
NEGATIVE = {
    "is_not": "is",
    "not_in": "in",
    "not_contains": "contains",
    "has_none": "has_any",
    "not_on": "on",
    "may_not_write": "may_write",
    "unknown": "known",
    "not_open": "open",
    "not_of_category": "of_category",
    "not_of_product": "of_product",
    "nothing": "anything",
    "beyond": "within",
}
_COMPARISONS = {"is": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def _and(*parts: Node | None) -> Node:
    return exp.and_(*[p for p in parts if p is not None], copy=False)


@dataclass
class Compiler:
    """One use compiles one tree. ``only`` narrows every sub-select to these contacts (to explain, to estimate)."""

    catalogue: Catalogue
    days: Days
    only: list[int] | None = None
    params: dict[str, Any] = field(default_factory=dict)

    # --- places for values

    def bind(self, value: Any, type_: str) -> Node:
        name = f"s{len(self.params)}"
        self.params[name] = value
        return exp.cast(exp.Placeholder(this=name), type_, dialect="postgres")

    def column(self, name: str) -> Node:
        return exp.column(name, ALIAS)

    def among(self, ids: list[int]) -> Node:
        """The contact row is one of these."""
        return _t(f"{ALIAS}.id = ANY(:ids)", ids=self.bind(ids, "bigint[]"))

    # --- the tree

    def condition(self, node: Group | Rule) -> Node:
        """A condition on the contact row ``c``: true or false, never NULL."""
        if isinstance(node, Rule):
            return self.rule(node)
        parts = [exp.paren(self.condition(item), copy=False) for item in node.rules]
        if not parts:
            made: Node = exp.true()
        elif node.match == "all":
            made = exp.and_(*parts, copy=False)
        else:
            made = exp.or_(*parts, copy=False)
            if node.match == "none":
                made = exp.not_(exp.paren(made, copy=False), copy=False)
        if node.people is None:
            return made
        held, kept = self.hands(node.people, False), self.hands(node.people, True)
        return _t(
            "(:made AND NOT :held) OR :kept",
            made=exp.paren(made, copy=False),
            held=exp.paren(held, copy=False),
            kept=exp.paren(kept, copy=False),
        )

    def hands(self, segment_id: int, inside: bool) -> Node:
        """Whom members put into a segment, or left out of it, by hand."""
        who = exp.select("h.contact_id").from_(exp.to_table(SegmentPerson._meta.db_table).as_("h"), copy=False)
        segment = _t("h.segment_id = :s", s=self.bind(segment_id, "bigint"))
        return self.people(
            who.where(*self.about("h"), segment, _t("h.inside" if inside else "NOT h.inside"), copy=False)
        )

    def rule(self, rule: Rule) -> Node:
        if rule.field.kind == "activity":
            return self.activity(rule)
        if rule.field.kind.startswith("order_"):
            return self.orders(rule)
        if rule.field.kind == "happening":
            return happening.counted(self, rule)
        positive = NEGATIVE.get(rule.op)
        if positive:
            twin = Rule(rule.path, rule.field, positive, rule.value, rule.where, rule.inner)
            return exp.not_(exp.paren(self.rule(twin), copy=False), copy=False)
        test = getattr(self, f"of_{rule.field.kind}")(rule)
        return _t("COALESCE(:test, FALSE)", test=test)

    # --- the contact row

    def json(self, rule: Rule, kind: str) -> Node:
        """The property's JSON value, NULL unless it has this JSON type."""
        value = _t(
            "JSONB_EXTRACT_PATH(:props, :key)", props=self.column("props"), key=self.bind(rule.field.inner, "text")
        )
        return _t(f"CASE WHEN JSONB_TYPEOF(:v) = '{kind}' THEN :v END", v=value)

    def string(self, rule: Rule) -> Node:
        if not rule.field.key.startswith("prop."):
            return self.column(rule.field.inner)
        return _t(":v #>> '{}'", v=self.json(rule, "string"))

    def of_text(self, rule: Rule) -> Node:
        v = self.string(rule)
        match rule.op:
            case "known":
                return _t(":v IS NOT NULL", v=v)
            case "is":
                return _t("LOWER(:v) = LOWER(:p)", v=v, p=self.bind(rule.value, "text"))
            case "in":
                return self.one_of(v, rule.value)
            case "contains":
                return _t("STRPOS(LOWER(:v), LOWER(:p)) > 0", v=v, p=self.bind(rule.value, "text"))
            case "begins":
                return _t("STARTS_WITH(LOWER(:v), LOWER(:p))", v=v, p=self.bind(rule.value, "text"))
        raise AssertionError(rule.op)

    def one_of(self, v: Node, texts: list[str]) -> Node:
        """Equal to one of ``texts``, upper and lower case alike."""
        return _t(
            "LOWER(:v) = ANY(ARRAY(SELECT LOWER(x.t) FROM UNNEST(:p) AS x(t)))", v=v, p=self.bind(texts, "text[]")
        )

    def of_choice(self, rule: Rule) -> Node:
        v = self.string(rule)
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        wanted = [rule.value] if rule.op == "is" else rule.value
        return _t(":v = ANY(:p)", v=v, p=self.bind(wanted, "text[]"))

    def of_boolean(self, rule: Rule) -> Node:
        v = self.json(rule, "boolean")
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        return _t(":v #>> '{}' = :p", v=v, p=self.bind("true" if rule.value else "false", "text"))

    def of_number(self, rule: Rule) -> Node:
        v = _t("CAST(:v #>> '{}' AS numeric)", v=self.json(rule, "number"))
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        return self.compare(v, rule.op, rule.value)

    of_money = of_number

    def compare(self, v: Node, op: str, value: Any, times: Node | None = None) -> Node:
        """``v op value``; with ``times``, ``v op value × times`` (an average without a division)."""

        def side(number: Any) -> Node:
            bound = self.bind(number, "numeric")
            return _t(":p * :times", p=bound, times=times.copy()) if times is not None else bound

        if op == "between":
            return _t(":v >= :low AND :v <= :high", v=v, low=side(value[0]), high=side(value[1]))
        return _t(f":v {_COMPARISONS[op]} :p", v=v, p=side(value))

    def of_date(self, rule: Rule) -> Node:
        # Compared as text: the canonical form sorts as its days do, and a broken one cannot fail.
        v = _t(
            r"""CASE WHEN :s ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN CAST(:s AS text) COLLATE "C" END""",
            s=self.string(rule),
        )
        match rule.op:
            case "known":
                return _t(":v IS NOT NULL", v=v)
            case "anniversary" | "anniversary_between":
                return self.year_day(_t("SUBSTR(:v, 6, 5)", v=v), rule)
        first, end = self.days.bounds(rule.op, rule.value)
        return _and(
            _t(":v >= :p", v=v, p=self.bind(first.isoformat(), "text")) if first else None,
            _t(":v < :p", v=v, p=self.bind(end.isoformat(), "text")) if end else None,
            _t(":v IS NOT NULL", v=v),
        )

    def year_day(self, v: Node, rule: Rule) -> Node:
        """``v`` is MM-DD: near today's, or in a range that may pass New Year."""
        if rule.op == "anniversary":
            return _t(":v = ANY(:p)", v=v, p=self.bind(self.days.anniversaries(rule.value), "text[]"))
        low, high = (self.bind(day, "text") for day in rule.value)
        both = "AND" if rule.value[0] <= rule.value[1] else "OR"
        return _t(f""":v COLLATE "C" >= :low {both} :v COLLATE "C" <= :high""", v=v, low=low, high=high)

    def of_instant(self, rule: Rule) -> Node:
        return self.moment(self.column(rule.field.inner), rule)

    def moment(self, v: Node, rule: Rule) -> Node:
        """A timestamp compared by days of the workspace's zone, as bounds an index can use."""
        match rule.op:
            case "known":
                return _t(":v IS NOT NULL", v=v)
            case "anniversary" | "anniversary_between":
                local = _t("TO_CHAR(:v AT TIME ZONE :zone, 'MM-DD')", v=v, zone=self.bind(self.days.zone.key, "text"))
                return self.year_day(local, rule)
        return self.span(v, *self.days.bounds(rule.op, rule.value))

    def span(self, v: Node, first: date | None, end: date | None) -> Node:
        return _and(
            _t(":v >= :p", v=v, p=self.bind(self.days.midnight(first), "timestamptz")) if first else None,
            _t(":v < :p", v=v, p=self.bind(self.days.midnight(end), "timestamptz")) if end else None,
            None if first or end else _t(":v IS NOT NULL", v=v),
        )

    def of_list(self, rule: Rule) -> Node:
        v = self.json(rule, "array")
        if rule.op == "known":
            return _t("JSONB_ARRAY_LENGTH(:v) > 0", v=v)
        name = "JSONB_EXISTS_ANY" if rule.op == "has_any" else "JSONB_EXISTS_ALL"
        return _t(f"{name}(:v, :p)", v=v, p=self.bind(rule.value, "text[]"))

    def of_tags(self, rule: Rule) -> Node:
        name = "JSONB_EXISTS_ANY" if rule.op == "has_any" else "JSONB_EXISTS_ALL"
        return _t(f"{name}(:v, :p)", v=self.column("tags"), p=self.bind(rule.value, "text[]"))

    def of_place(self, rule: Rule) -> Node:
        v = self.json(rule, "object")
        if rule.op in territory.OPS:
            return territory.reference(self, rule, v)
        if rule.op == "known":
            return _t(":v IS NOT NULL", v=v)
        if rule.op in _PLACE_PARTS:
            word = _t(
                "CASE WHEN JSONB_TYPEOF(JSONB_EXTRACT_PATH(:v, :k)) = 'string'"
                " THEN JSONB_EXTRACT_PATH_TEXT(:v, :k) END",
                v=v,
                k=exp.Literal.string(_PLACE_PARTS[rule.op]),
            )
            if rule.op == "called":
                return _t(":w = ANY(:p)", w=word, p=self.bind(rule.value, "text[]"))
            if rule.op == "country_in":
                return _t("UPPER(:w) = ANY(:p)", w=word, p=self.bind(rule.value, "text[]"))
            return _t(
                "EXISTS(SELECT 1 FROM UNNEST(:p) AS x(t) WHERE STARTS_WITH(UPPER(:w), UPPER(x.t)))",
                w=word,
                p=self.bind(rule.value, "text[]"),
            )
        lat, lon = self.degrees(v, "lat", 90), self.degrees(v, "lon", 180)
        return _t(
            f":lat IS NOT NULL AND :lon IS NOT NULL AND {territory.HAVERSINE} <= :km",
            lat=lat,
            lon=lon,
            lat0=self.bind(rule.value["lat"], "double precision"),
            lon0=self.bind(rule.value["lon"], "double precision"),
            km=self.bind(rule.value["km"], "double precision"),
        )

    def degrees(self, v: Node, key: str, most: int) -> Node:
        """A coordinate as double precision; NULL when absent, no number or off the globe."""
        part = _t("JSONB_EXTRACT_PATH(:v, :k)", v=v, k=exp.Literal.string(key))
        number = _t("CASE WHEN JSONB_TYPEOF(:j) = 'number' THEN CAST(:j #>> '{}' AS numeric) END", j=part)
        return _t(
            f"CASE WHEN :n >= -{most} AND :n <= {most} THEN CAST(:n AS double precision) END",
            n=number,
        )

    def of_permission(self, rule: Rule) -> Node:
        purpose = self.catalogue.purposes[rule.value]
        if self.days.limit is not None:
            return self.answered(purpose)
        refusal = gates.refusal_sql(ALIAS, bit=purpose.bit, transactional=purpose.kind == "transactional")
        return _t(":refusal IS NULL", refusal=exp.paren(parsed(refusal), copy=False))

    def answered(self, purpose: Purpose) -> Node:
        """What she had answered when the day ended; who is blocked today is left out."""
        given = purpose.kind != "transactional"
        who = exp.select("p.contact_id").from_(exp.to_table(Permission._meta.db_table).as_("p"), copy=False)
        states = ["granted"] if given else ["withdrawn", "refused", "objected"]
        who = who.where(
            *self.about("p"),
            _t("p.purpose_id = :p", p=self.bind(purpose.pk, "bigint")),
            _t("p.state = ANY(:p)", p=self.bind(states, "text[]")),
            self.stood("p"),
            copy=False,
        )
        told = self.people(who) if given else exp.not_(self.people(who), copy=False)
        blocked = _t("NOT :s AND NOT ((:o OR :q) AND :m)", s=self.column("suppressed"), o=self.column("objected"),
                     q=self.column("silenced"), m=exp.true() if given else exp.false())  # fmt: skip
        return _and(told, blocked)

    def stood(self, alias: str) -> Node:
        """An interval that is open, now or when the day asked about ended."""
        if self.days.limit is None:
            return _t(f"{alias}.until IS NULL")
        limit = self.bind(self.days.limit, "timestamptz")
        return _t(f"{alias}.since < :l AND ({alias}.until IS NULL OR {alias}.until >= :l)", l=limit)

    def happened(self, at: Node) -> list[Node]:
        """Nothing of after the day asked about."""
        return [_t(":at < :l", at=at, l=self.bind(self.days.limit, "timestamptz"))] if self.days.limit else []

    def of_mark(self, rule: Rule) -> Node:
        if self.days.limit is None:
            return self.column("silenced")
        open_then = exp.select("q.contact_id").from_(exp.to_table(Silence._meta.db_table).as_("q"), copy=False)
        return self.people(open_then.where(*self.about("q"), self.stood("q"), copy=False))

    def of_reading(self, rule: Rule) -> Node:
        return loyalty.reading(self, rule)

    def of_measured(self, rule: Rule) -> Node:
        if rule.op == "unasked":
            return self.unanswered("measure_opens" if rule.value == "opens" else "measure_clicks")
        return self.agreed("measure_opens" if rule.value == "opens" else "measure_clicks")

    def agreed(self, purpose: str) -> Node:
        mask = self.bind(self.catalogue.bit(purpose), "bigint")
        return _t("(:allowed & :mask) <> 0", allowed=self.column("allowed"), mask=mask)

    def profiled(self) -> Node:
        """May what is worked out of her reading and buying be asked for? `gates.PROFILE_SQL`, over these columns."""
        return parsed(gates.PROFILE_SQL.format(ALIAS))

    def unanswered(self, purpose: str) -> Node:
        """Neither agreed nor refused: who may be asked."""
        mask = self.bind(self.catalogue.bit(purpose), "bigint")
        snippet = "(:allowed & :mask) = 0 AND (:refused & :mask) = 0"
        return _t(snippet, allowed=self.column("allowed"), refused=self.column("refused"), mask=mask)

    def of_permitted(self, rule: Rule) -> Node:
        """When the permission that is in force (then) was given."""
        purpose = self.catalogue.purposes[rule.field.inner]
        who = exp.select("p.contact_id").from_(exp.to_table(Permission._meta.db_table).as_("p"), copy=False)
        given = [
            *self.about("p"),
            _t("p.purpose_id = :p", p=self.bind(purpose.pk, "bigint")),
            _t("p.state = 'granted'"),
            self.stood("p"),
        ]
        if rule.op != "known":
            given.append(self.moment(exp.column("since", "p"), rule))
        return self.people(who.where(*given, copy=False))

    def of_proved(self, rule: Rule) -> Node:
        """How far the proof goes of the permission that is in force (then)."""
        purpose = self.catalogue.purposes[rule.field.inner]
        who = exp.select("p.contact_id").from_(exp.to_table(Permission._meta.db_table).as_("p"), copy=False)
        strength = "(SELECT e.strength FROM consent_evidence AS e WHERE e.id = p.evidence_id)"
        given = [
            *self.about("p"),
            _t("p.purpose_id = :p", p=self.bind(purpose.pk, "bigint")),
            _t("p.state = 'granted'"),
            self.stood("p"),
            _t(f"COALESCE({strength}, 'none') = ANY(:s)", s=self.bind(rule.value, "text[]")),
        ]
        return self.people(who.where(*given, copy=False))

    def of_segment(self, rule: Rule) -> Node:
        assert rule.inner is not None
        return exp.paren(self.condition(rule.inner), copy=False)

    of_stage = of_reason = of_segment

    def of_score(self, rule: Rule) -> Node:
        return buying.score(self, rule)

    def of_expected(self, rule: Rule) -> Node:
        return buying.expected(self, rule)

    def of_standing(self, rule: Rule) -> Node:
        return buying.standing(self, rule)

    def of_just_bought(self, rule: Rule) -> Node:
        return buying.just_bought(self, rule)

    def of_answered(self, rule: Rule) -> Node:
        return quiet.answered(self, rule)

    def of_habit(self, rule: Rule) -> Node:
        return quiet.habit(self, rule)

    def of_rhythm(self, rule: Rule) -> Node:
        return quiet.within(self, rule)

    def of_interest(self, rule: Rule) -> Node:
        return caring.interest(self, rule)

    def of_random(self, rule: Rule) -> Node:
        # The first 32 bits of a digest of seed and id: the same people each time, others for another seed.
        threshold = int(rule.value["percent"] * 2**32 / 100)
        return _t(
            "('x' || SUBSTR(MD5(:seed || ':' || CAST(:id AS text)), 1, 8))::bit(32)::bigint < :p",
            seed=self.bind(rule.value["seed"], "text"),
            id=self.column("id"),
            p=self.bind(threshold, "bigint"),
        )

    # --- other tables: sets of contact ids

    def people(self, select: exp.Select) -> Node:
        return exp.In(this=self.column("id"), query=exp.Subquery(this=select))

    def about(self, alias: str) -> list[Node]:
        """Rows of this workspace, and of a few contacts when only those are asked about."""
        made = [_t(f"{alias}.workspace_id = :w", w=self.bind(self.catalogue.workspace.id, "int"))]
        if self.only is not None:
            made.append(_t(f"{alias}.contact_id = ANY(:ids)", ids=self.bind(self.only, "bigint[]")))
        return made

    def of_on_list(self, rule: Rule) -> Node:
        stay = exp.select("m.contact_id").from_(exp.to_table(Membership._meta.db_table).as_("m"), copy=False)
        chosen = rule.value["list"] if isinstance(rule.value, dict) else rule.value
        where = [*self.about("m"), _t("m.list_id = :l", l=self.bind(chosen, "bigint"))]
        if rule.op == "ever_on":
            where += self.happened(exp.column("since", "m"))
        else:
            where.append(self.stood("m"))
        if rule.op == "joined_in_last":
            where.append(self.span(exp.column("since", "m"), *self.days.bounds("in_last", rule.value["days"])))
        if rule.op == "founder":
            where.append(loyalty.early(self, chosen))
        if rule.op == "anniversary":
            spans = self.days.years_since(rule.value["years"], rule.value["days"])
            days = [self.span(exp.column("since", "m"), *span) for span in spans]
            where.append(exp.paren(exp.or_(exp.false(), *days, copy=False), copy=False))
        return self.people(stay.where(*where, copy=False))

    def orders(self, rule: Rule) -> Node:
        lines = "category" in rule.where or "product" in rule.where
        orders = exp.select("o.contact_id").from_(exp.to_table(Order._meta.db_table).as_("o"), copy=False)
        at = exp.column("at", "o")
        where = [*self.about("o"), *self.happened(at)]
        if "within_days" in rule.where:
            where.append(self.span(at, *self.days.bounds("in_last", rule.where["within_days"])))
        if "after" in rule.where:
            where.append(self.span(at, *self.days.bounds("after", rule.where["after"])))
        if "before" in rule.where:
            where.append(self.span(at, *self.days.bounds("before", rule.where["before"])))
        if "currency" in rule.where:
            where.append(_t("o.currency = :p", p=self.bind(rule.where["currency"], "text")))
        if lines:
            orders = orders.join(
                exp.to_table(OrderLine._meta.db_table).as_("l"), on=_t("l.order_id = o.id"), join_type="inner"
            )
            for name in ("category", "product"):
                if name in rule.where:
                    where.append(self.one_of(exp.column(name, "l"), rule.where[name]))
        amount = exp.Sum(this=exp.column("amount", "l" if lines else "o"))
        count = parsed("COUNT(DISTINCT o.id)" if lines else "COUNT(*)")
        orders = orders.where(*where, copy=False).group_by("o.contact_id", copy=False)
        positive = NEGATIVE.get(rule.op, rule.op)
        if positive == "known":
            having: Node = exp.true()
        elif rule.field.inner == "count":
            having = self.compare(count, positive, rule.value)
        elif rule.field.inner == "sum":
            having = self.compare(amount, positive, rule.value)
        elif rule.field.inner == "coded":
            coded = parsed("COUNT(DISTINCT CASE WHEN o.code <> '' THEN o.id END) * 100")
            having = self.compare(coded, positive, rule.value, times=count)
        elif rule.field.inner == "average":
            having = self.compare(amount, positive, rule.value, times=count)
        else:
            edge = exp.Min(this=at) if rule.field.inner == "min" else exp.Max(this=at)
            having = self.moment(edge, Rule(rule.path, rule.field, positive, rule.value))
        # Whoever has no order at all stands in no group: put them where the rule says 0 (or nothing) belongs.
        empty_inside = rule.field.inner in {"count", "sum"} and number_holds(positive, 0, rule.value)
        if empty_inside:
            having = exp.not_(exp.paren(having, copy=False), copy=False)
        inside = self.people(orders.having(having, copy=False))
        negated = empty_inside != (rule.op in NEGATIVE)
        return exp.not_(inside, copy=False) if negated else inside

    def activity(self, rule: Rule) -> Node:
        source = activity_source(rule.field.inner)
        seen = exp.select("a.contact_id")
        if source is None:
            kind = EVENT_KINDS[rule.field.inner]
            seen = seen.from_(exp.to_table(Event._meta.db_table).as_("a"), copy=False)
            where = [_t("a.kind = :k", k=self.bind(int(kind), "smallint")), _t("a.machine IS NULL")]
        else:
            assert isinstance(source, exp.Query)
            seen = seen.from_(source.subquery("a", copy=False), copy=False)
            where = []
        where += [*self.about("a"), _t("a.contact_id IS NOT NULL"), *self.happened(exp.column("at", "a"))]
        if "within_days" in rule.where:
            where.append(self.span(exp.column("at", "a"), *self.days.bounds("in_last", rule.where["within_days"])))
        if "sending" in rule.where:
            where.append(_t("a.sending_id = :p", p=self.bind(rule.where["sending"], "bigint")))
        seen = seen.where(*where, copy=False)
        times = 1 if rule.op == "never" else rule.value
        if times > 1:
            seen = seen.group_by("a.contact_id", copy=False).having(
                _t("COUNT(*) >= :n", n=self.bind(times, "bigint")), copy=False
            )
        found = self.people(seen)
        if rule.op != "at_least":
            found = exp.not_(found, copy=False)
        if rule.field.inner == "opened":
            # Opens are spoken of only among people who agreed to be measured.
            return _and(exp.paren(self.agreed("measure_opens"), copy=False), found)
        return found


def contacts(compiler: Compiler, *columns: Node) -> exp.Select:
    """``SELECT columns`` (``id`` when none) from the workspace's contacts."""
    chosen = columns or (exp.column("id", ALIAS),)
    return (
        exp.select(*chosen)
        .from_(exp.to_table(Contact._meta.db_table).as_(ALIAS), copy=False)
        .where(
            _t(f"{ALIAS}.workspace_id = :w", w=compiler.bind(compiler.catalogue.workspace.id, "int")),
            *compiler.happened(exp.column("created_at", ALIAS)),
            copy=False,
        )
    )


def to_sql(query: Node) -> str:
    """The statement for psycopg: named places ``%(s0)s``, no other percent sign."""
    text = query.sql(dialect="postgres", copy=False)  # made for this statement alone
    assert "%" not in text.replace("%(s", ""), "a percent sign outside a parameter"
    return text
