"""The columnar tables of one workspace, and the PostgreSQL expressions that tell each column.

One typed column for each property, several for a place. Texts that rules compare without regard to
case are stored in lower (or upper) case as PostgreSQL itself makes it, so no other engine's idea of
case matters. Sensitive properties are never copied. Money, sums and moments are integers: cents, and
microseconds since 1970 (UTC); a day is the number YYYYMMDD, which sorts as days do.

::

    contacts     pos, id, email, language, created, allowed, refused, suppressed, objected, silenced, tags,
                 p_<key>…
    memberships  pos, list, since, until
    orders       pos, no, at, amount, currency
    totals       pos, n, amount, first, last     (all orders of a person in one row; slabs only)
    lines        pos, no, at, currency, coded, product, category, amount, kept
    events       pos, kind, at, sending          (human ones of people: machines are apart)
    happenings   pos, no, custom, at, name, words, number, thousandths, truth
                 (events that programs told: a row for each, named "", and one for each property told with it)
    interests    pos, topic, origin, since, until, reads, last_on
    scores       pos, r, f, m, named
    tiers        pos, tier, since, until
    sent, delivered   pos, at, sending           (of sendings whose rows change no more)

``pos`` is the dense position of a contact in this version of the slabs.
"""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql as quoted

from envol.audience.catalogue import FROM_EVENTS, Catalogue, activity_sql
from envol.contacts.models import Property
from envol.events.models import Kind

EVENT_KINDS = {
    "opened": Kind.OPENED,
    "clicked": Kind.CLICKED,
    "replied": Kind.REPLIED,
    "unsubscribed": Kind.UNSUBSCRIBED,
}
assert set(EVENT_KINDS) == set(FROM_EVENTS)
OF_MAIL = ("sent", "delivered")
OF_BUYERS = ("scores", "tiers")
BY_MONTH = ("events", "happenings")

TOTALS = {
    "n": "COUNT(*)",
    "amount": "SUM(amount)::BIGINT",
    "first": 'MIN("at")',
    "last": 'MAX("at")',
}
"""What ``totals`` tells of each person's rows of ``orders``, in DuckDB's words."""

_TOLD = (
    "events_event e CROSS JOIN LATERAL (SELECT '' AS name, NULL::jsonb AS value UNION ALL SELECT k.key, k.value FROM"
    " jsonb_each(CASE WHEN jsonb_typeof(e.facts -> 'told') = 'object' THEN e.facts -> 'told' END) AS k) AS t"
)
_MOST = "1e307"  # beyond it no double, and no value that the catalogue would take
THOUSANDTHS = "CASE WHEN abs({}::numeric) <= 1e15 THEN round({}::numeric * 1000)::bigint END"
"""What sums and averages of a told number are made of: whole thousandths, so that every engine adds up alike."""
MICROS = "(extract(epoch FROM {}) * 1000000)::bigint"
SPAN = "SELECT min(e.at), max(e.at) FROM events_event e WHERE e.workspace_id = %s AND e.contact_id IS NOT NULL"
"""The first and the last event of a workspace's people."""
COMPUTED = f"SELECT {MICROS.format('computed_at')}::text FROM audience_scoring WHERE workspace_id = %s"
"""Which computation the scores are of, in the same words for every session."""


@dataclass(frozen=True, slots=True)
class Column:
    """``told``: the expression over PostgreSQL's row; ``type`` in DuckDB's words."""

    name: str
    type: str
    told: str


@dataclass(frozen=True, slots=True)
class Table:
    """One columnar table: ``source`` is what follows FROM in PostgreSQL, ``person`` whose row it is there.

    ``stamp`` is the transaction that wrote the row, ``order`` how slabs are sorted, ``rows`` which rows they are. Of a
    table without a stamp the manifest says what it holds: scores of one computation, messages of finished sendings.
    """

    name: str
    columns: tuple[Column, ...]
    source: str
    rows: str
    person: str
    stamp: str
    order: str

    def select(self, where: str = "true", more: str = "") -> str:
        """A SELECT of ``contact``, every column and what ``more`` adds. Both are SQL of ours."""
        told = ", ".join(f'{column.told} AS "{column.name}"' for column in self.columns)
        return f"SELECT {self.person} AS contact, {told}{more} FROM {self.source} WHERE {self.rows} AND {where}"

    def written_since(self, transaction: int) -> str:
        """Rows that this transaction or a later one wrote."""
        mark = f"'{transaction}'::xid8" if self.name == "contacts" else f"{transaction:d}"
        return f"{self.stamp} >= {mark}"


def property_columns(prop: Property) -> list[Column]:
    """None for a sensitive property. A value of the wrong JSON type counts as no value, as in the reference."""
    if prop.sensitive:
        return []
    key = quoted.Literal(prop.key).as_string(None)
    name, value = f"p_{prop.key}", f"c.props -> {key}"

    def typed(json_type: str, told: str) -> str:
        return f"CASE WHEN jsonb_typeof({value}) = '{json_type}' THEN {told} END"

    text = f"c.props ->> {key}"
    match prop.type:
        case "text":
            return [Column(name, "VARCHAR", typed("string", f"lower({text})"))]
        case "choice":
            return [Column(name, "VARCHAR", typed("string", text))]
        case "number" | "money":
            return [
                Column(
                    name,
                    "DOUBLE",
                    typed("number", f"CASE WHEN abs(({text})::numeric) < {_MOST} THEN ({text})::float8 END"),
                )
            ]
        case "boolean":
            return [Column(name, "BOOLEAN", typed("boolean", f"({text})::boolean"))]
        case "date":
            digits = f"CASE WHEN {text} ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}$' THEN replace({text}, '-', '')::int END"
            return [Column(name, "INTEGER", typed("string", digits))]
        case "list":
            texts = (
                f"ARRAY(SELECT CASE WHEN jsonb_typeof(e.v) = 'string' THEN e.v #>> '{{}}' END"
                f" FROM jsonb_array_elements({value}) WITH ORDINALITY AS e(v, n) ORDER BY e.n)"
            )
            return [Column(name, "VARCHAR[]", typed("array", texts))]
        case "place":
            return _place(name, value)
    raise AssertionError(prop.type)


def _told(json_type: str, how: str) -> str:
    """A property told with an event, where it has this JSON type."""
    value = how.format(*["(t.value #>> '{}')"] * 2)
    return f"CASE WHEN jsonb_typeof(t.value) = '{json_type}' THEN {value} END"


def _place(name: str, value: str) -> list[Column]:
    def part(key: str, json_type: str, told: str) -> str:
        return (
            f"CASE WHEN jsonb_typeof({value}) = 'object' AND jsonb_typeof({value} -> '{key}') = '{json_type}'"
            f" THEN {told.format(f'({value} ->> {chr(39)}{key}{chr(39)})')} END"
        )

    def degrees(key: str, most: int) -> str:
        number = part(key, "number", "{}::numeric")
        return f"CASE WHEN abs({number}) <= {most} THEN ({number})::float8 END"

    return [
        Column(name, "BOOLEAN", f"CASE WHEN jsonb_typeof({value}) = 'object' THEN true END"),
        Column(f"{name}$called", "VARCHAR", part("label", "string", "{}")),
        Column(f"{name}$country", "VARCHAR", part("country", "string", "upper({})")),
        Column(f"{name}$postcode", "VARCHAR", part("postcode", "string", "upper({})")),
        Column(f"{name}$lat", "DOUBLE", degrees("lat", 90)),
        Column(f"{name}$lon", "DOUBLE", degrees("lon", 180)),
    ]


def tables(catalogue: Catalogue) -> dict[str, Table]:
    """Every table of this workspace, contacts first."""
    workspace = int(catalogue.workspace.pk)
    props = [c for p in Property.objects.filter(workspace_id=workspace).order_by("id") for c in property_columns(p)]
    contact = (
        Column("id", "BIGINT", "c.id"),
        Column("email", "VARCHAR", "lower(c.email)"),
        Column("language", "VARCHAR", "lower(c.language)"),
        Column("created_at", "BIGINT", MICROS.format("c.created_at")),
        Column("allowed", "BIGINT", "c.allowed"),
        Column("refused", "BIGINT", "c.refused"),
        Column("suppressed", "BOOLEAN", "c.suppressed"),
        Column("objected", "BOOLEAN", "c.objected"),
        Column("silenced", "BOOLEAN", "c.silenced"),
        Column("tags", "VARCHAR[]", "ARRAY(SELECT jsonb_array_elements_text(c.tags))"),
        *props,
    )
    membership = (
        Column("list", "BIGINT", "m.list_id"),
        Column("since", "BIGINT", MICROS.format("m.since")),
        Column("until", "BIGINT", MICROS.format("m.until")),
    )
    order = (
        Column("no", "BIGINT", "o.id"),
        Column("at", "BIGINT", MICROS.format("o.at")),
        Column("amount", "BIGINT", "o.amount"),
        Column("currency", "VARCHAR", "o.currency::text"),
        Column("coded", "BOOLEAN", "o.code <> ''"),
    )
    line = (
        *order[:2],
        *order[3:],  # currency, coded
        Column("product", "VARCHAR", "lower(l.product)"),
        Column("category", "VARCHAR", "lower(l.category)"),
        Column("amount", "BIGINT", "l.amount"),
        # What went back takes away from what was bought; a line without a price goes the way of its order.
        Column(
            "kept",
            "BIGINT",
            "CASE WHEN l.amount < 0 OR l.quantity < 0 OR (l.amount = 0 AND o.amount < 0)"
            " THEN -abs(l.quantity::bigint) ELSE l.quantity END",
        ),
    )
    event = (
        Column("kind", "SMALLINT", "e.kind"),
        Column("at", "BIGINT", MICROS.format("e.at")),
        Column("sending", "BIGINT", "e.sending_id"),
    )
    day = "to_char({}, 'YYYYMMDD')::int"
    score = (*(Column(n, "SMALLINT", f"s.{n}") for n in "rfm"), Column("named", "VARCHAR", "s.named"))
    tier = (
        Column("tier", "VARCHAR", "t.tier"),
        Column("since", "INTEGER", day.format("t.since")),
        Column("until", "INTEGER", day.format("t.until")),
    )
    happening = (
        Column("no", "BIGINT", "e.id"),
        Column("custom", "INTEGER", "e.custom"),
        Column("at", "BIGINT", MICROS.format("e.at")),
        Column("name", "VARCHAR", "t.name"),
        Column("words", "VARCHAR", _told("string", "lower({})")),
        Column("number", "DOUBLE", _told("number", f"CASE WHEN abs({{}}::numeric) < {_MOST} THEN {{}}::float8 END")),
        Column("thousandths", "BIGINT", _told("number", THOUSANDTHS)),
        Column("truth", "BOOLEAN", _told("boolean", "{}::boolean")),
    )
    interest = (
        Column("topic", "BIGINT", "i.topic_id"),
        Column("origin", "VARCHAR", "i.origin::text"),
        Column("since", "BIGINT", MICROS.format("i.since")),
        Column("until", "BIGINT", MICROS.format("i.until")),
        Column("reads", "INTEGER", "i.reads"),
        Column("last_on", "INTEGER", "i.last_on - DATE '1970-01-01'"),
    )
    mail = (Column("at", "BIGINT", MICROS.format("a.at")), Column("sending", "BIGINT", "a.sending_id"))
    kinds = ", ".join(str(int(kind)) for kind in EVENT_KINDS.values())

    def table(name: str, columns: tuple[Column, ...], source: str, order: str, more: str = "") -> Table:
        alias = "a" if name in OF_MAIL else source.split()[1]
        person, stamp = ("id", "updated_stamp") if name == "contacts" else ("contact_id", "stamp")
        rows = f"{alias}.workspace_id = {workspace}{more}"
        stamped = "" if name in (*OF_MAIL, *OF_BUYERS) else f"{alias}.{stamp}"
        return Table(name, columns, source, rows, f"{alias}.{person}", stamped, order)

    lines = "contacts_order o JOIN contacts_order_line l ON l.order_id = o.id"
    someone = " AND e.contact_id IS NOT NULL"
    human = f" AND e.kind IN ({kinds}) AND e.machine IS NULL{someone}"
    found = (
        table("contacts", contact, "contacts_contact c", "c.id"),
        table("memberships", membership, "contacts_membership m", "m.list_id, m.contact_id"),
        table("orders", order, "contacts_order o", "o.contact_id, o.at"),
        table("lines", line, lines, "o.contact_id, o.at"),
        table("events", event, "events_event e", "e.at", human),
        table("happenings", happening, _TOLD, "e.custom, t.name, e.contact_id", " AND e.custom IS NOT NULL" + someone),
        table("interests", interest, "audience_interest i", "i.contact_id"),
        table("scores", score, "audience_score s", "s.contact_id"),
        table("tiers", tier, "audience_tier t", "t.contact_id, t.since"),
        *(
            table(kind, mail, f"({told}) a", "a.sending_id, a.contact_id")
            for kind in OF_MAIL
            if (told := activity_sql(kind)) is not None
        ),
    )
    return {t.name: t for t in found}
