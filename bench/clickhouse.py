"""The questions of bench audience, asked of ClickHouse: what a base beyond one machine costs (docs/scale.md).

ClickHouse runs inside this process (chdb-core) over tables as `audience.clickhouse.tables` makes them. It fills
them itself with people like those of `bench.audience_base`: 4 memberships, 3 orders, and 60 opens and 6 clicks for each
of the 30 % who agreed to be measured. The figures that count are bytes a row and seconds a row (`docs/scale.md`);
PostgreSQL holds only names of fields, lists and sendings here. ``--people`` sizes it; ``--times`` says how often each
question is asked.
"""

from __future__ import annotations

import math
import tempfile
import time
from typing import Any

from bench import ground
from bench.audience import questions
from bench.audience_base import CAMPAIGNS, CLICKS, LISTS, MEASURED, OPENS, PROPERTIES

GOAL = 1.0


def run(**options: Any) -> dict[str, Any]:
    return ground.in_child("bench.clickhouse", options)


def measure(people: int = 1_000_000, times: int = 7, **_: Any) -> dict[str, Any]:
    with ground.installation() as here, tempfile.TemporaryDirectory(prefix="envol-bench-") as home:
        from datetime import timedelta

        from django.utils import timezone
        from sqlglot import exp

        from envol.audience import segments
        from envol.audience.catalogue import Catalogue
        from envol.audience.clickhouse import tables
        from envol.audience.clickhouse.client import Client
        from envol.audience.clickhouse.compile import TreeCompiler
        from envol.audience.columns import shape
        from envol.audience.days import Days
        from envol.audience.language import parse
        from envol.consent import purposes
        from envol.contacts import catalogue as properties
        from envol.contacts.models import List
        from envol.outbound.models import Sending

        space = here.workspace
        for key, kind in PROPERTIES.items():
            properties.declare(space, key, kind, key, key, ["calm", "glad", "busy"] if kind == "choice" else [])
        lists = [List.objects.create(workspace=space, name=f"Liste {n}").pk for n in range(LISTS)]
        sendings = [Sending.objects.create(workspace=space, kind="campaign", state="sent").pk for _ in range(CAMPAIGNS)]
        saved = []
        for n, place in enumerate(ground.CITIES[:6]):
            rules = [
                {"field": "prop.town", "op": "is", "value": place},
                {"field": "prop.points", "op": "gte", "value": 100 * n},
            ]
            saved.append(segments.save(space, f"Segment {n}", {"v": 1, "match": "all", "rules": rules}).pk)
        catalogue = Catalogue(space)
        client = Client(f"chdb://{home}/clickhouse")
        made = shape.tables(catalogue)
        names = tables.names(space.pk, "bench", made)
        for table in made.values():
            for statement in tables.create(table, names[table.name]):
                client.command(statement)
        began = time.perf_counter()
        for table, rows in _rows(people, lists, sendings, 1 << purposes.get(space, "newsletter").bit).items():
            client.command(f"INSERT INTO {names[table]} {rows}")
            client.command(f"OPTIMIZE TABLE {names[table]} FINAL")
        ground.say(f"clickhouse: filled in {time.perf_counter() - began:.0f} s")
        sizes = {}
        for table in ("contacts", "memberships", "orders", "lines", "events"):
            rows, octets = client.rows(
                "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts WHERE active AND table = {t:String}",
                {"t": names[table]},
            )[0]
            sizes[table] = (int(rows), int(octets))
            ground.say(f"clickhouse: {table}: {rows:,} rows, {octets / rows:.1f} octets each on the disk")
        told = {t.name: {c.name: c.told for c in t.columns} for t in made.values()}
        asked: dict[str, tuple[Any, float, Any]] = {
            name: (tree, budget, timezone.now()) for name, (tree, budget) in questions(lists, sendings, saved).items()
        }
        day = timezone.localdate() - timedelta(days=90)
        joined = {"field": "list", "op": "on", "value": lists[0]}
        asked["on a list 90 days ago"] = ({"v": 1, "match": "all", "rules": [joined]}, 100, day)
        asked["a batch of 1,000"] = (asked["whom we may write to"][0], 100, timezone.now())
        worst, words = math.inf, []
        for name, (tree, budget, now) in asked.items():
            compiler = TreeCompiler(
                catalogue,
                Days.of(now, "Europe/Paris"),
                told,
                told,
                names,
                lambda texts, how: [t.lower() for t in texts],
            )
            columns: list[exp.Expr] = [exp.column("id")] if name.startswith("a batch") else [exp.Count(this=exp.Star())]
            select = exp.select(*columns).from_(exp.to_table(names["contacts"]).as_("c"))
            select = select.where(compiler.condition(parse(tree, catalogue)))
            if name.startswith("a batch"):
                select = select.where(f"id > {people // 2}").order_by("id").limit(1000)
            if compiler.days.limit is not None:
                select = select.where(compiler.came())
            query = select.sql(dialect="clickhouse")
            used = {key: value for key, value in compiler.params.items() if f"{{{key}:" in query}
            found = []
            for _ in range(times + 1):
                start = time.perf_counter()
                rows = client.rows(query, used)
                found.append((time.perf_counter() - start) * 1000)
            best, middle = min(found), sorted(found)[len(found) // 2]
            ground.say(f"clickhouse: {name}: {best:.0f} ms at best, {middle:.0f} median; {rows[0][0] if rows else 0:,}")
            words.append(f"{name} {best:.0f}/{middle:.0f}")
            worst = min(worst, budget / middle)
        client.close()
    octets = "; ".join(f"{table} {octets / rows:.1f} octets a row" for table, (rows, octets) in sizes.items())
    return {
        "bench": "clickhouse",
        "ours": round(worst, 2),
        "reference": 1.0,
        "unit": "of the budgets",
        "ratio": round(worst, 2),
        "goal": GOAL,
        "met": worst >= GOAL,
        "notes": f"{people:,} people, {sizes['events'][0]:,} events, ms at best/median: {'; '.join(words)}; {octets}",
    }


def _rows(people: int, lists: list[int], sendings: list[int], newsletter: int) -> dict[str, str]:
    """Table → the SELECT that fills it."""
    now = "toInt64(toUnixTimestamp(now())) * 1000000"
    two_years = 63_072_000

    def h(salt: int) -> str:
        return f"cityHash64(n, {salt})"

    def pick(salt: int, words: tuple[str, ...] | list[int]) -> str:
        listed = ", ".join(f"'{w.lower()}'" if isinstance(w, str) else str(w) for w in words)
        return f"[{listed}][1 + {h(salt)} % {len(words)}]"

    def skewed(salt: int) -> str:
        towns = ", ".join(f"'{town.lower()}'" for town in ground.CITIES)
        place = f"least(floor(-log(({h(salt)} % 1000000 + 1) / 1000001.0) * 2.5), {len(ground.CITIES) - 1})"
        return f"[{towns}][1 + toInt32({place})]"

    def ago(salt: int) -> str:
        return f"{now} - toInt64({h(salt)} % {two_years}) * 1000000"

    extra = ", ".join(
        f'toFloat64({h(20 + n)} % 1000) AS "p_extra{n:02d}"' if n % 2
        else f'{pick(20 + n, ground.FIRST_NAMES)} AS "p_extra{n:02d}"'
        for n in range(11)
    )  # fmt: skip
    contacts = (
        "contact, id, email, language, created_at, allowed, refused, suppressed, objected, silenced, tags, p_town,"
        " p_genre,"
        ' p_points, p_basket, p_born, p_card, p_home, "p_home$called", "p_home$country", "p_home$postcode",'
        ' "p_home$lat",'
        ' "p_home$lon", p_mood, ' + ", ".join(f"p_extra{n:02d}" for n in range(11))
    )
    agreed = f"{h(12)} % 100 < {MEASURED}"
    events = " UNION ALL ".join(
        f"SELECT n, {kind}, {now} - toInt64(7 * (k + 1) * 86400 + {h(salt)} % 172800) * 1000000,"
        f" [{', '.join(map(str, reversed(sendings)))}][1 + k]"
        f" FROM (SELECT number + 1 AS n, arrayJoin(range({count})) AS j,"
        f" cityHash64(n, j, {salt}) % {CAMPAIGNS} AS k FROM numbers({people})) WHERE {agreed}"
        for kind, count, salt in ((5, OPENS, 18), (6, CLICKS, 19))
    )
    line = "no, at, 'EUR', concat('produit ', toString(no % 500)), concat('rayon ', toString(no % 12)), amount"
    orders = (
        f"SELECT n AS contact, n * 4 + j AS no, {now} - toInt64(cityHash64(n, j, 31) % {two_years}) * 1000000 AS at,"
        " toInt64(500 + cityHash64(n, j, 37) % 9500) AS amount"
        f" FROM (SELECT number + 1 AS n, arrayJoin(range(3)) AS j FROM numbers({people}))"
    )
    return {
        "contacts": f"({contacts}) SELECT n, n, concat('lecteur', toString(n), '@boite', toString(n % 97), '.example'),"
        " 'fr',"
        f" {ago(13)}, {newsletter}, 0, n % 97 = 0, false, false, if(n % 9 = 0, ['vip'], []), {skewed(1)},"
        f" {pick(2, ground.GENRES)}, toFloat64({h(3)} % 2000), toFloat64({h(4)} % 30000),"
        f" toInt32(19400101 + {h(5)} % 68 * 10000), {h(6)} % 3 = 0, true, {skewed(1)}, 'FR',"
        f" leftPad(toString({h(7)} % 95000), 5, '0'), 43 + ({h(8)} % 8000) / 1000.0, -5 + ({h(9)} % 12000) / 1000.0,"
        f" {pick(11, ('calm', 'glad', 'busy'))}, {extra} FROM (SELECT number + 1 AS n FROM numbers({people}))",
        "memberships": f"(contact, list, since) SELECT n, [{', '.join(map(str, lists))}][1 + cityHash64(n, j, 14)"
        f" % {LISTS}],"
        f" {now} - toInt64(cityHash64(n, j, 41) % {two_years}) * 1000000"
        f" FROM (SELECT number + 1 AS n, arrayJoin(range(4)) AS j FROM numbers({people}))",
        "orders": f"(contact, no, at, amount, currency) SELECT contact, no, at, amount, 'EUR' FROM ({orders})",
        "lines": f"(contact, no, at, currency, product, category, amount) SELECT contact, {line} FROM ({orders})",
        "events": f"(contact, kind, at, sending) {events}",
    }  # fmt: skip
