"""What bench audience stands on: a base of skewed towns, twenty properties, lists, orders and two years of events.

Made inside PostgreSQL from a seeded hash of each number, so the same seed gives the same base; a kept installation
(``--keep DIRECTORY``) is made once. Beside our tables stand two others with the same people: the shape that keeps
properties in one JSONB column with indexes on nothing inside (``rival_json``), and typed columns (``rival_typed``).
"""

from __future__ import annotations

from bench import ground

PROPERTIES = {
    "town": "text", "genre": "text", "points": "number", "basket": "money", "born": "date", "card": "boolean",
    "home": "place", "likes": "list", "mood": "choice",
    **{f"extra{n:02d}": ("text", "number")[n % 2] for n in range(11)},
}  # fmt: skip
LISTS = 8
CAMPAIGNS = 104  # one a week for two years
MEASURED = 30  # per cent of people who agreed to be measured
OPENS, CLICKS = 60, 6  # of each of those, over two years
_HASH = "(hashint8extended(n * 64 + {salt}, {seed}) & 2147483647)"


def of(here: ground.Ground, people: int, seed: int) -> None:
    made = here.data / "audience.made"
    facts = f"{people} people, seed {seed}"
    if not made.exists():
        _make(here, people, seed)
        made.write_text(facts)
    elif made.read_text() != facts:
        raise RuntimeError(f"{here.data} holds {made.read_text()}: ask for those, or keep another directory.")


def _make(here: ground.Ground, people: int, seed: int) -> None:
    from envol.contacts import catalogue
    from envol.contacts.models import List
    from envol.db import execute, value
    from envol.outbound.models import Sending

    space = here.workspace
    for key, kind in PROPERTIES.items():
        catalogue.declare(space, key, kind, key, key, ["calm", "glad", "busy"] if kind == "choice" else [])
    lists = [List.objects.create(workspace=space, name=f"Liste {n}").pk for n in range(LISTS)]
    sendings = [Sending.objects.create(workspace=space, kind="campaign", state="sent").pk for _ in range(CAMPAIGNS)]

    def h(salt: int) -> str:
        return _HASH.format(salt=salt, seed=seed)

    def twice(fragment: str) -> str:
        """A fragment for a statement with parameters."""
        return fragment.replace("%", "%%")

    def pick(salt: int, words: tuple[str, ...] | list[int], skewed: bool = False) -> str:
        place = f"{h(salt)} % {len(words)}"
        if skewed:  # the first a third, the next a sixth, and so on
            place = f"least(floor(-ln(({h(salt)} % 1000000 + 1) / 1000001.0) * 2.5)::int, {len(words) - 1})"
        listed = ",".join(f"'{w}'" if isinstance(w, str) else str(w) for w in words)
        return f"(ARRAY[{listed}])[1 + {place}]"

    ground.say(f"audience: {people:,} people")
    extra = ", ".join(
        f"'extra{n:02d}', {f'{h(20 + n)} % 1000' if n % 2 else pick(20 + n, ground.FIRST_NAMES)}" for n in range(11)
    )
    props = f"""jsonb_build_object('town', {pick(1, ground.CITIES, skewed=True)}, 'genre', {pick(2, ground.GENRES)},
        'points', {h(3)} % 2000, 'basket', {h(4)} % 30000,
        'born', (date '1940-01-01' + ({h(5)} % 25000)::int)::text, 'card', {h(6)} % 3 = 0,
        'home', jsonb_build_object('label', {pick(1, ground.CITIES, skewed=True)}, 'country', 'FR',
            'postcode', lpad(({h(7)} % 95000)::text, 5, '0'),
            'lat', 43 + ({h(8)} % 8000) / 1000.0, 'lon', -4 + ({h(9)} % 12000) / 1000.0),
        'likes', jsonb_build_array({pick(10, ground.GENRES)}), 'mood', {pick(11, ("calm", "glad", "busy"))}, {extra})"""
    execute(
        "INSERT INTO contacts_contact (workspace_id, email, email_key, language, props, tags, allowed, suppressed,"
        " created_at) SELECT %(w)s, a, a, 'fr', p, CASE WHEN n %% 9 = 0 THEN '[\"vip\"]'::jsonb ELSE '[]' END,"
        f" 4 | CASE WHEN {h(12)} %% 100 < {MEASURED} THEN 3 ELSE 0 END, n %% 97 = 0,"
        f" now() - make_interval(secs => {h(13)} %% 63072000)"
        " FROM (SELECT n, 'lecteur' || lpad(n::text, 8, '0') || '@boite' || n %% 97 || '.example' AS a,"
        f" {twice(props)} AS p FROM generate_series(1, %(people)s::bigint) n) made",
        {"w": space.pk, "people": people},
    )
    first = int(value("SELECT min(id) FROM contacts_contact WHERE workspace_id = %s", [space.pk])) - 1
    ground.say("audience: lists and orders")
    execute(
        "INSERT INTO contacts_membership (workspace_id, list_id, contact_id, since)"
        f" SELECT %(w)s, {twice(pick(14, lists))}, p + %(first)s, now() - make_interval(secs => {h(15)} %% 63072000)"
        " FROM (SELECT n, (n + 3) / 4 AS p FROM generate_series(1, 4 * %(people)s::bigint) n) made"
        " ON CONFLICT DO NOTHING",
        {"w": space.pk, "first": first, "people": people},
    )
    execute(
        "INSERT INTO contacts_order (workspace_id, contact_id, external_id, at, amount, currency)"
        f" SELECT %(w)s, p + %(first)s, n::text, now() - make_interval(secs => {h(16)} %% 63072000),"
        f" 500 + {h(17)} %% 9500, 'EUR'"
        " FROM (SELECT n, (n + 2) / 3 AS p FROM generate_series(1, 3 * %(people)s::bigint) n) made",
        {"w": space.pk, "first": first, "people": people},
    )
    execute(
        "INSERT INTO contacts_order_line (order_id, product, category, quantity, amount)"
        " SELECT id, 'produit ' || id %% 500, 'rayon ' || id %% 12, 1, amount FROM contacts_order"
        " WHERE workspace_id = %s",
        [space.pk],
    )
    ground.say(f"audience: {people * MEASURED // 100 * (OPENS + CLICKS):,} events")
    value("SELECT events_make_partitions((current_date - interval '25 months')::date, 27)")
    execute("CREATE TEMP TABLE measured AS SELECT id, row_number() OVER () AS p FROM contacts_contact"
            " WHERE workspace_id = %s AND allowed & 3 = 3", [space.pk])  # fmt: skip
    execute("CREATE UNIQUE INDEX ON measured (p)")
    each = int(value("SELECT count(*) FROM measured"))
    for kind, count, salt in ((5, OPENS, 18), (6, CLICKS, 19)):
        execute(
            "INSERT INTO events_event (at, workspace_id, kind, contact_id, sending_id, link)"
            f" SELECT now() - make_interval(days => 7 * (k + 1), secs => {h(salt)} %% 172800), %(w)s, %(kind)s, m.id,"
            " (%(sendings)s::bigint[])[1 + k], 1"
            f" FROM (SELECT n, n / %(count)s + 1 AS p, ({h(salt + 20)} %% {CAMPAIGNS})::int AS k"
            "  FROM generate_series(0, %(each)s::bigint * %(count)s - 1) n) made JOIN measured m USING (p)",
            {"w": space.pk, "kind": kind, "count": count, "each": each, "sendings": list(reversed(sendings))},
        )
    ground.say("audience: the rivals")
    for statement in (
        "CREATE TABLE rival_json AS SELECT id, email_key AS email, props AS attribs, created_at, suppressed"
        " FROM contacts_contact",
        "CREATE UNIQUE INDEX ON rival_json (id)",
        "CREATE TABLE rival_typed AS SELECT id, email_key AS email, props ->> 'town' AS town,"
        " (props ->> 'points')::int AS points, (props #>> '{home,lat}')::float8 AS lat,"
        " (props #>> '{home,lon}')::float8 AS lon, suppressed, allowed FROM contacts_contact",
        "CREATE UNIQUE INDEX ON rival_typed (id)",
        "VACUUM ANALYZE",
    ):
        execute(statement)
