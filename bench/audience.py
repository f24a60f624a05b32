"""Ten questions about an audience: from columns, against the shapes that others keep their people in.

Sizes by ``--people``; the base is `bench.audience_base` (seeded). Slabs are written (rows a second told), then 20,000
changes make the delta. Each question is asked ``--requests`` times after its first, and the 95th percentile is held
against its goal; the others are asked in the same run: our own PostgreSQL engine, typed PostgreSQL columns, and one
JSONB column asked as listmonk does (EXPLAIN, COUNT and a page of fifty). The ratio is the worst of goal to measured.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bench import ground
from bench.audience_base import CAMPAIGNS

GOAL = 1.0
CHANGES = 20_000
TWENTY = 20.0
BESIDE = 1.2
TURNS = 5
SLABS = 300_000  # rows a second: 150,000 for each of two streams
MEMORY = 512
FIVEFOLD = 5.5


def run(**options: Any) -> dict[str, Any]:
    """``--larger 5`` tells besides how many times as long the questions take of columns five times as long."""
    return ground.in_child("bench.audience", options)


def _all(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"v": 1, "match": "all", "rules": list(rules)}


def _rule(field: str, op: str, value: Any, **where: Any) -> dict[str, Any]:
    made = {"field": field, "op": op, "value": value}
    return {**made, "where": where} if where else made


def questions(lists: list[int], sendings: list[int], saved: list[int]) -> dict[str, tuple[dict[str, Any], float]]:
    """Name → (tree, milliseconds it may take)."""
    last = sendings[-5:]
    town = _rule("prop.town", "is", "Brest")
    near = {"lat": 47.22, "lon": -1.55, "km": 25}
    return {
        "one town": (_all(town), 100),
        "town and a range": (_all(town, _rule("prop.points", "between", [500, 900])), 100),
        "joined a list lately": (_all(_rule("list", "joined_in_last", {"list": lists[0], "days": 30})), 100),
        "opened one of five, clicked none": (
            _all(
                {"match": "any", "rules": [_rule("mail.opened", "at_least", 1, sending=s) for s in last]},
                {"match": "none", "rules": [_rule("mail.clicked", "at_least", 1, sending=s) for s in last]},
            ),
            150,
        ),
        "recent, frequent, dear": (
            _all(
                _rule("orders.last", "in_last", 120),
                _rule("orders.count", "gte", 3),
                _rule("orders.sum", "gte", 20_000),
            ),
            100,
        ),
        "within 25 km": (_all(_rule("prop.home", "near", near)), 100),
        "whom we may write to": (_all(town, _rule("permission", "may_write", "newsletter")), 100),
        "six saved segments": (
            {"v": 1, "match": "any", "rules": [_rule("segment", "in", s) for s in saved]},
            600,
        ),
    }  # fmt: skip


JSONB = {
    "one town": "attribs ->> 'town' = 'Brest'",
    "town and a range": "attribs ->> 'town' = 'Brest' AND (attribs ->> 'points')::int BETWEEN 500 AND 900",
    "within 25 km": "2 * 6371 * asin(sqrt(least(1,"
    " power(sin(radians((attribs #>> '{home,lat}')::float8 - 47.22) / 2), 2)"
    " + cos(radians(47.22)) * cos(radians((attribs #>> '{home,lat}')::float8))"
    " * power(sin(radians((attribs #>> '{home,lon}')::float8 + 1.55) / 2), 2)))) <= 25",
}
TYPED = {
    "one town": "town = 'Brest'",
    "town and a range": "town = 'Brest' AND points BETWEEN 500 AND 900",
    "within 25 km": "2 * 6371 * asin(sqrt(least(1, power(sin(radians(lat - 47.22) / 2), 2)"
    " + cos(radians(47.22)) * cos(radians(lat)) * power(sin(radians(lon + 1.55) / 2), 2)))) <= 25",
}


@dataclass
class Line:
    """One line of the table; milliseconds, 95th percentile. ``cold``: nothing of the answer was kept."""

    question: str
    goal: float
    cold: float
    kept: float | None = None
    others: dict[str, float] = field(default_factory=dict)
    people: int = 0

    @property
    def met(self) -> bool:
        return self.cold <= self.goal

    def __str__(self) -> str:
        kept = "" if self.kept is None else f"{self.kept:.1f}"
        rest = ", ".join(f"{name} {took:.0f}" for name, took in self.others.items())
        return (
            f"{self.question:<38}{self.cold:>7.1f}{kept:>7}{self.goal:>6.0f}  {'yes' if self.met else 'NO':<4} {rest}"
        )


def measure(people: int = 1_000_000, requests: int = 20, seed: int = 1, keep: str = "", **more: Any) -> dict[str, Any]:
    """``--stages 1`` tells where the time of each question goes."""
    with ground.installation(keep=keep) as here:
        import psycopg

        from bench import audience_base
        from envol.audience.catalogue import Catalogue
        from envol.audience.columns import upkeep
        from envol.audience.columns.build import address
        from envol.audience.columns.engine import Columns

        audience_base.of(here, people, seed)
        space = here.workspace
        manifest = upkeep.write(space)
        rate = sum(manifest.rows.values()) / manifest.seconds
        rows = f"{sum(manifest.rows.values()):,} rows in {manifest.seconds:.1f} s, {rate:,.0f} rows/s"
        ground.say(f"audience: {rows}; {_peak(children=True):.0f} MB at most")
        columns = Columns(space, here.data)
        _change(random.Random(seed), space.pk)
        catalogue = Catalogue(space)
        asked = _asked(space)
        with psycopg.connect(address(), autocommit=True) as pg:
            with columns.question(pg):
                pass  # the first look fetches the changes
            bench = _Bench(columns, pg, catalogue, requests)
            lines = [bench.line(name, tree, goal) for name, (tree, goal) in asked.items()]
            lines += bench.later(asked["six saved segments"][0])
            tree = asked["whom we may write to"][0]
            lines.append(Line("a batch of 1,000", 100, _p95(lambda: bench.batch(tree), requests)))
            if more.get("stages"):
                _stages(bench, asked)
            slower = _beside(bench, asked, space.pk)
            rss = _peak()
            longer = _longer(bench, asked, here.data, int(more["larger"])) if more.get("larger") else None
        columns.close()
    worst = min(line.goal / line.cold for line in lines)
    ratios = [line.others["JSONB"] / line.cold for line in lines if "JSONB" in line.others]
    geometric = statistics.geometric_mean(ratios)
    limits = [
        ("times the JSONB shape, geometric mean", geometric, geometric >= TWENTY, f"{TWENTY:.0f} at least"),
        ("times as long beside 1,000 updates/s", slower, slower <= BESIDE, f"{BESIDE} at most"),
        ("rows/s of slabs, both cores", rate, rate >= SLABS, f"{SLABS:,} at least"),
        ("MB of the process that answers", rss, rss <= MEMORY, f"{MEMORY} at most"),
    ]
    if longer is not None:
        most = FIVEFOLD / 5 * int(more["larger"])
        limits.append((f"times as long of {more['larger']} times as many", longer, longer <= most, f"{most} at most"))
    ground.say(f"{'':<38}{'cold':>7}{'kept':>7}{'goal':>6}  met  beside")
    for line in lines:
        ground.say(str(line))
    for name, found, met, goal in limits:
        ground.say(f"{name:<38}{found:>14,.2f}{'':>6}  {'yes' if met else 'NO':<4} {goal}")
    contacts = manifest.rows["contacts"]
    told = "; ".join(
        f"{line.question} {line.cold:.0f}{'' if line.kept is None else f'/{line.kept:.1f}'} ms" for line in lines
    )
    return {
        "bench": "audience",
        "ours": round(worst, 2),
        "reference": 1.0,
        "unit": "of the budgets",
        "ratio": round(worst, 2),
        "goal": GOAL,
        "met": worst >= GOAL and all(met for _, _, met, _ in limits),
        "notes": f"{contacts:,} people, {manifest.rows['events']:,} events, delta {CHANGES:,}, cold/kept: {told};"
        f" {slower:.2f} times as long with 1,000 updates/s beside it (goal {BESIDE}); {geometric:.0f} times the JSONB"
        f" shape (geometric mean, goal {TWENTY:.0f}); slabs {rate:,.0f} rows/s on both cores; {rss:.0f} MB at most"
        + ("" if longer is None else f"; of {more['larger']} times as many people {longer:.2f} times as long"),
    }


def _asked(space: Any) -> dict[str, tuple[dict[str, Any], float]]:
    from envol.audience import segments
    from envol.audience.models import Segment
    from envol.contacts.models import List
    from envol.outbound.models import Sending

    if not Segment.objects.filter(workspace=space).exists():
        for n, place in enumerate(ground.CITIES[:6]):
            tree = _all(_rule("prop.town", "is", place), _rule("prop.points", "gte", 100 * n))
            segments.save(space, f"Segment {n}", tree)

    def ids(of: Any) -> list[int]:
        return list(of.objects.filter(workspace=space).order_by("pk").values_list("pk", flat=True))

    return questions(ids(List), ids(Sending)[:CAMPAIGNS], ids(Segment)[:6])


class _Bench:
    """Questions to open columns."""

    def __init__(self, columns: Any, pg: Any, catalogue: Any, requests: int) -> None:
        self.columns, self.pg, self.catalogue, self.requests = columns, pg, catalogue, requests
        self.turn = itertools.count()

    def forget(self) -> None:
        self.columns.slabs.clear()
        self.columns.answers.clear()

    def count(self, tree: dict[str, Any], now: Any = None) -> int:
        with self.columns.question(self.pg) as question:
            return int(question.count(self.catalogue, tree, now))

    def settled(self, act: Callable[[], Any]) -> float:
        """As `_p95`; between two questions is done what their process does once it has answered."""
        return _p95(act, self.requests, self.columns.settle)

    def cold(self, tree: dict[str, Any], now: Any = None) -> None:
        self.forget()
        self.count(tree, now)

    def line(self, name: str, tree: dict[str, Any], goal: float) -> Line:
        """Columns cold and kept, and what others take, who must find as many people."""
        from envol import db
        from envol.audience import engine

        made = Line(name, goal, _p95(lambda: self.cold(tree), self.requests))
        made.kept = _p95(lambda: self.count(tree), self.requests)
        made.people = self.count(tree)
        made.others["our PostgreSQL"] = _p95(lambda: engine.count(self.catalogue, tree), 2)
        if engine.count(self.catalogue, tree) != made.people:
            raise RuntimeError(f"{name}: columns count {made.people} people, PostgreSQL another number.")
        if name in JSONB:
            typed = f"SELECT count(*) FROM rival_typed WHERE {TYPED[name]}"
            made.others["typed columns"] = _p95(lambda: db.value(typed), 3)
            made.others["JSONB"] = _p95(lambda: _as_listmonk(db, "rival_json", JSONB[name]), 3)
        ground.say(f"audience: {made}; {made.people:,} people")
        return made

    def later(self, tree: dict[str, Any]) -> list[Line]:
        """The saved segments with one rule that changes while the rest is kept, now and as they were 90 days ago."""
        then = (datetime.now(UTC) - timedelta(days=90)).date()

        def changed(now: Any = None) -> None:
            self.count(_all(tree, _rule("prop.points", "gte", next(self.turn))), now)

        acts: list[tuple[str, Callable[[], None], float]] = [
            ("six saved and one rule changed", changed, 100),
            ("as of 90 days ago", lambda: self.cold(tree, then), 600),
            ("as of 90 days ago, one rule changed", lambda: changed(then), 100),
        ]
        return [Line(name, goal, _p95(act, self.requests)) for name, act, goal in acts]

    def batch(self, tree: dict[str, Any]) -> None:
        with self.columns.question(self.pg) as question:
            middle = int(self.columns.ids[len(self.columns.ids) // 2])
            assert len(question.ids(self.catalogue, tree, after=middle, limit=1000)) <= 1000


def _longer(bench: _Bench, asked: Any, data: Path, times: int) -> float:
    """How many times as long cold questions take of columns so many times as long, geometric mean.

    The slabs are written again that often, each copy of the people under positions and ids of its own, so nothing else
    differs; what has changed since is the same few people. A base in PostgreSQL so large would take 55 GB at 5,000,000.
    """
    from bench.audience_larger import enlarged
    from envol.accounts.models import Workspace
    from envol.audience.columns.engine import Columns

    with enlarged(bench.columns, data, times) as place:
        large = _Bench(
            Columns(Workspace.objects.get(pk=bench.columns.workspace_id), place), bench.pg, bench.catalogue, 0
        )
        ratios = []
        try:
            for name, (tree, _) in asked.items():
                few, many = bench.count(tree), large.count(tree)
                if abs(many / times - few) > CHANGES:
                    raise RuntimeError(f"{name}: {few} people, and {many} of {times} times as many.")
                small, long = (_p95(partial(one.cold, tree), bench.requests) for one in (bench, large))
                ratios.append(long / small)
                ground.say(
                    f"audience: {name} {small:.1f} ms, of {times} times as many {long:.1f}, {long / small:.2f} times"
                )
        finally:
            large.columns.close()
        ground.say(f"audience: {_peak():.0f} MB at most with both open")
    return statistics.geometric_mean(ratios)


def _p95(act: Callable[[], Any], times: int, between: Callable[[], Any] = lambda: None) -> float:
    """Milliseconds below which 95 of 100 stay."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        found.append((time.perf_counter() - began) * 1000)
        between()
    return sorted(found)[max(0, math.ceil(0.95 * len(found)) - 1)]


_UPDATES = """
import random, sys, time
import psycopg
address, workspace, low, high, seed = sys.argv[1], *map(int, sys.argv[2:])
chance = random.Random(seed)
with psycopg.connect(address, autocommit=True) as pg:
    print("begun", flush=True)
    began, done = time.monotonic(), 0
    while True:
        some = sorted(chance.sample(range(low, high + 1), 20))
        pg.execute("UPDATE contacts_contact SET props = props || jsonb_build_object('points', id %% 2000 + 1)"
                   " WHERE workspace_id = %s AND id = ANY(%s)", [workspace, some])
        done += 20
        time.sleep(max(0.0, began + done / 1000 - time.monotonic()))
"""


def _beside(bench: _Bench, asked: Any, workspace: int) -> float:
    """How many times as long cold questions take while 1,000 people a second are changed, at the median of them.

    Alone and beside by turns, several of each question, because a shared machine changes its speed meanwhile.
    """
    from envol.audience.columns.build import address

    names = [name for name in asked if name != "six saved segments"] * TURNS
    ids = bench.columns.ids
    command = [sys.executable, "-c", _UPDATES, address(), str(workspace), str(int(ids[0])), str(int(ids[-1]))]
    ratios: dict[str, list[float]] = {}
    for n, name in enumerate(names):
        ask = partial(bench.cold, asked[name][0])
        alone = bench.settled(ask)
        with subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) as other:
            try:
                assert other.stdout is not None and other.stdout.readline() == "begun\n"
                beside = bench.settled(ask)
            finally:
                other.kill()
        with bench.columns.question(bench.pg):
            pass  # what was changed last
        bench.columns.settle()
        ground.say(f"audience: {name} alone {alone:.1f} ms, beside 1,000 updates a second {beside:.1f}")
        ratios.setdefault(name, []).append(beside / alone)
    return statistics.median(map(statistics.median, ratios.values()))


def _stages(bench: _Bench, asked: Any) -> None:
    from bench.audience_stages import told

    for name, (tree, _) in asked.items():
        for how, act in (("cold", bench.cold), ("kept", bench.count)):
            ground.say(f"audience: {name}, {how}: {told(partial(act, tree), bench.requests)}")


def _as_listmonk(db: Any, table: str, where: str) -> None:
    db.rows(f"EXPLAIN SELECT * FROM {table} WHERE {where}")
    db.value(f"SELECT count(*) FROM {table} WHERE {where}")
    db.rows(f"SELECT * FROM {table} WHERE {where} ORDER BY id DESC LIMIT 50")


def _change(chance: random.Random, workspace_id: int) -> None:
    from envol import db

    low, high = db.rows("SELECT min(id), max(id) FROM contacts_contact WHERE workspace_id = %s", [workspace_id])[0]
    chosen = sorted(chance.sample(range(low, high + 1), min(CHANGES, high - low)))
    db.execute(
        "UPDATE contacts_contact SET props = props || jsonb_build_object('points', id %% 2000) WHERE id = ANY(%s)",
        [chosen],
    )


def _peak(children: bool = False) -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF).ru_maxrss / 1024
