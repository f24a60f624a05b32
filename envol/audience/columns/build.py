"""Write the slabs of one workspace: immutable Parquet files, swapped in as a whole.

``python -m envol.audience.columns WORKSPACE`` is the child that a job starts and that ends: pyarrow and
ADBC take 140 MB. Two connections read one snapshot of PostgreSQL; contacts are written in ranges of id, events by
month. Nothing is visible before ``current`` names the new version, and a build that dies leaves nothing that
anybody reads.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue, finished_sendings
from envol.audience.columns import shape
from envol.audience.columns.store import Manifest, folder, point
from envol.events import tasks as events

if TYPE_CHECKING:
    import numpy as np
    import psycopg
    import pyarrow as pa

STREAMS = 2
RANGE = 250_000  # people of one file
GROUP = 122_880  # rows of a row group
_ONE_MONTH = timedelta(days=32)  # from a first day into the next month

Tell = Callable[[int, int], None]


def build(workspace: Workspace, data: Path, url: str, tell: Tell | None = None) -> Manifest:
    """A new version from PostgreSQL at ``url`` (libpq), in place when this returns."""
    began = time.perf_counter()
    home = folder(data, workspace.pk)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    version = f"{int(time.time()):x}-{secrets.token_hex(4)}"
    place = home / f"{version}.new"
    place.mkdir(mode=0o700)
    # Before the snapshot: a month that is dropped meanwhile makes the new slabs old, never the other way round.
    kept_months = [name for _, name in events.months()]
    try:
        made = _Build(workspace.pk, shape.tables(Catalogue(workspace)), place, url, tell or (lambda done, total: None))
        watermark = made.run()
        manifest = Manifest(
            version=version,
            watermark=watermark,
            people=made.people,
            columns={t.name: {c.name: c.told for c in t.columns} for t in made.tables.values()}
            | ({"totals": shape.TOTALS} if "totals" in made.files else {}),
            rows=made.rows,
            files=made.files,
            months=kept_months,
            scored=made.scored,
            finished=made.finished,
            seconds=round(time.perf_counter() - began, 3),
        )
        (place / "manifest.json").write_text(json.dumps(asdict(manifest)))
        place.rename(home / version)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    point(home, version)
    return manifest


class _Build:
    def __init__(self, workspace: int, tables: dict[str, shape.Table], place: Path, url: str, tell: Tell) -> None:
        self.workspace = workspace
        self.tables, self.place, self.url, self.tell = tables, place, url, tell
        self.people = self.done = 0
        self.rows = dict.fromkeys(tables, 0)
        self.files: dict[str, list[str]] = {name: [] for name in tables}

    def run(self) -> int:
        import numpy as np
        import psycopg

        with psycopg.connect(self.url) as pg:
            pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = pg.execute("SELECT pg_export_snapshot(), pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
            assert row is not None
            self.snapshot, watermark = row[0], int(row[1])
            self.watermark = watermark
            contacts = self.tables["contacts"]
            with reading(self.url, self.snapshot) as read:
                batches = list(read(f"SELECT c.id FROM {contacts.source} WHERE {contacts.rows} ORDER BY 1"))
            self.ids: np.ndarray[Any, Any] = (
                np.concatenate([b.column(0).to_numpy() for b in batches]) if batches else np.empty(0, np.int64)
            )
            self.people = len(self.ids)
            self.scored = computed(pg, self.workspace)
            self.finished = sorted(one for one, ended in sendings(pg, self.workspace, []) if ended)
            months = pg.execute(shape.SPAN, [self.workspace]).fetchone()
            self.work(self._pieces(months or (None, None)))
        self.total()
        return watermark

    def total(self) -> None:
        """All orders of each person in one row: a rule about all of them reads this and not every order."""
        if not self.files["orders"]:
            return
        import duckdb

        made = self.place / "totals.parquet"
        told = ", ".join(f"{how} AS {name}" for name, how in shape.TOTALS.items())
        orders = self.place / self.files["orders"][0]
        config: dict[str, Any] = {
            "threads": str(STREAMS),
            "memory_limit": "512MB",
            "temp_directory": str(self.place / "spill"),
        }
        with closing(duckdb.connect(":memory:", config=config)) as db:
            try:
                db.execute(
                    f"COPY (SELECT pos, {told} FROM read_parquet('{orders}') GROUP BY pos ORDER BY pos)"
                    f" TO '{made}' (FORMAT parquet, COMPRESSION zstd)"
                )
            except duckdb.ConversionException:  # a sum beyond 64 bits: rules read every order then
                made.unlink(missing_ok=True)
                return
        os.chmod(made, 0o600)
        self.files["totals"] = [made.name]

    def _pieces(self, span: tuple[Any, Any]) -> list[tuple[str, str, str]]:
        """(table, file, condition) of every file to write, the largest first."""
        found = []
        for n, start in enumerate(range(0, self.people, RANGE)):
            low, high = self.ids[start], self.ids[min(start + RANGE, self.people) - 1]
            found.append(("contacts", f"contacts-{n:04d}.parquet", f"c.id BETWEEN {low} AND {high}"))
        for name in ("lines", "orders", "memberships", "interests", *shape.OF_BUYERS):
            found.append((name, f"{name}.parquet", "true"))
        listed = ",".join(map(str, self.finished))
        for name in shape.OF_MAIL:
            if name in self.tables:
                found.append((name, f"{name}.parquet", f"a.sending_id = ANY('{{{listed}}}'::bigint[])"))
        first, last = span
        while first is not None and first <= last:
            month = first.strftime("%Y-%m-01")
            first = (first.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + _ONE_MONTH).replace(day=1)
            condition = f"e.at >= '{month} UTC' AND e.at < '{first:%Y-%m-01} UTC'"
            # Reactions add up: what the delta will bring must not be here too.
            found.append(("events", f"events-{month[:7]}.parquet", f"{condition} AND e.stamp < {self.watermark}"))
            found.append(("happenings", f"happenings-{month[:7]}.parquet", condition))
        return found

    def work(self, pieces: list[tuple[str, str, str]]) -> None:
        total = len(pieces)
        with ThreadPoolExecutor(STREAMS) as pool:
            for name, file, count in pool.map(lambda piece: self.write(*piece), pieces):
                self.done += 1
                if count:
                    self.rows[name] += count
                    self.files[name].append(file)
                self.tell(self.done, total)

    def write(self, name: str, file: str, condition: str) -> tuple[str, str, int]:
        """One file; its name and rows."""
        import pyarrow.parquet as pq

        table = self.tables[name]
        query = f"{table.select(condition)} ORDER BY {table.order}"
        writer = None
        count = 0
        with reading(self.url, self.snapshot) as read:
            for batch in read(query):
                placed = self.placed(batch)
                if not placed.num_rows:
                    continue
                if writer is None:
                    writer = pq.ParquetWriter(self.place / file, placed.schema, **encoding(placed.schema.names))
                writer.write_table(placed, row_group_size=GROUP)
                count += placed.num_rows
        if writer is not None:
            writer.close()
            os.chmod(self.place / file, 0o600)
        return name, file, count

    def placed(self, batch: pa.RecordBatch) -> pa.Table:
        """The batch with ``pos`` instead of ``contact``; rows of people who are gone are left out."""
        import numpy as np
        import pyarrow as pa

        contact = batch.column("contact").to_numpy(zero_copy_only=False)
        pos = np.searchsorted(self.ids, contact).astype(np.int32)
        known = pos < self.people
        known[known] = self.ids[pos[known]] == contact[known]
        made = pa.Table.from_batches([batch]).remove_column(0).add_column(0, "pos", pa.array(pos))
        return made if known.all() else made.filter(pa.array(known))


def encoding(columns: list[str]) -> dict[str, Any]:
    """How a slab is written. ``pos``, which every answer reads, lies there as it is: unpacking took half the time."""
    others = [name for name in columns if name != "pos"]
    return {
        "compression": {"pos": "NONE", **dict.fromkeys(others, "zstd")},
        "compression_level": dict.fromkeys(others, 1),
        "use_dictionary": others,
    }


@contextmanager
def reading(url: str, snapshot: str) -> Iterator[Callable[[str], Any]]:
    """A function query → record batches, on a connection of its own in the given snapshot."""
    from adbc_driver_postgresql import dbapi

    with closing(dbapi.connect(url, autocommit=True)) as opened, closing(opened.cursor()) as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
        cursor.execute("SET LOCAL work_mem = '64MB'")

        def read(query: str) -> Any:
            cursor.execute(query)
            return cursor.fetch_record_batch()

        yield read


def computed(pg: psycopg.Connection[Any], workspace: int) -> str:
    """When the workspace's scores were computed; "" when nobody is scored. All of them change at once, then."""
    row = pg.execute(shape.COMPUTED, [workspace]).fetchone()
    return row[0] if row else ""


def sendings(pg: psycopg.Connection[Any], workspace: int, known: list[int]) -> list[tuple[int, bool]]:
    """Sendings that are not among ``known``, and whether their rows change no more."""
    asked = finished_sendings()
    return pg.execute(asked, {"workspace": workspace, "known": known}).fetchall() if asked else []


def address() -> str:
    """Django's database as a libpq connection string."""
    from django.db import connection
    from psycopg.conninfo import make_conninfo

    wanted = ("host", "port", "dbname", "user", "password", "sslmode", "sslrootcert", "options")
    known = connection.get_connection_params()
    return make_conninfo(**{key: known[key] for key in wanted if known.get(key)})
