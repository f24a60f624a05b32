"""Copy one workspace into ClickHouse: from one snapshot of PostgreSQL, in ranges of people and months of events.

Nothing is read before the row in ``envol_copy`` says that the copy is whole; a load that dies leaves tables that the
next one takes away. The copy before stays until then for those who still read it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.clickhouse import tables
from envol.audience.clickhouse.client import Client, NoTable
from envol.audience.columns import shape
from envol.audience.columns.build import computed, reading, sendings
from envol.contacts.gone import OLDEST_COPY
from envol.events import tasks as events

if TYPE_CHECKING:
    import pyarrow as pa

RANGE = 250_000  # ids of one piece
_ONE_MONTH = timedelta(days=32)

Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Copy:
    """A whole copy: ``watermark``, rows written by that transaction or a later one may be missing from it.

    ``scored``: which computation its scores are of; ``finished``: the sendings whose messages it holds.
    """

    workspace_id: int
    version: str
    watermark: int
    people: int
    columns: dict[str, dict[str, str]]
    months: list[str]
    scored: str
    finished: list[int]
    made_at: float


def current(client: Client, workspace_id: int) -> Copy | None:
    """The copy to read; None when there is none, or it is too old to know who is gone."""
    try:
        found = client.rows(
            "SELECT version, watermark, people, columns, months, scored, finished, made_at FROM " + tables.COPIES
            + " WHERE workspace = {w:Int64} AND format = {f:Int16} ORDER BY made_at DESC LIMIT 1",
            {"w": workspace_id, "f": tables.FORMAT},
        )  # fmt: skip
    except NoTable:
        return None
    if not found or time.time() - found[0][7] > OLDEST_COPY.total_seconds():
        return None
    version, watermark, people, columns, months, scored, finished, made_at = found[0]
    told = json.loads(columns)
    return Copy(workspace_id, version, int(watermark), int(people), told, list(months), scored, list(finished), made_at)


def prepare(client: Client, cluster: str = "") -> None:
    """The table that says which copies are whole."""
    for statement in tables.create_copies(cluster):
        client.command(statement)


def load(workspace: Workspace, client: Client, url: str, tell: Tell | None = None, cluster: str = "") -> Copy:
    """A new copy from PostgreSQL at ``url`` (libpq), read from when this returns."""
    import psycopg

    prepare(client, cluster)
    before = current(client, workspace.pk)
    version = f"{int(time.time()):x}{secrets.token_hex(4)}"
    # Before the snapshot: a month that is dropped meanwhile makes the copy old, never the other way round.
    kept_months = [name for _, name in events.months()]
    made = shape.tables(Catalogue(workspace))
    called = tables.names(workspace.pk, version, made)
    try:
        for table in made.values():
            for statement in tables.create(table, called[table.name], cluster):
                client.command(statement)
        with psycopg.connect(url) as pg:
            pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = pg.execute("SELECT pg_export_snapshot(), pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
            assert row is not None
            snapshot, watermark = row[0], int(row[1])
            scored = computed(pg, workspace.pk)
            finished = sorted(one for one, ended in sendings(pg, workspace.pk, []) if ended)
            people = 0
            everything = pieces(pg, workspace.pk, made, finished)
            for done, (name, condition) in enumerate(everything):
                with reading(url, snapshot) as read:
                    for batch in read(made[name].select(condition)):
                        if batch.num_rows:
                            client.insert(called[name], filled(batch))
                            people += batch.num_rows if name == "contacts" else 0
                if tell:
                    tell(done + 1, len(everything))
        columns = {t.name: {c.name: c.told for c in t.columns} for t in made.values()}
        copy = Copy(workspace.pk, version, watermark, people, columns, kept_months, scored, finished, time.time())
        note(client, copy, at=copy.made_at)
    except BaseException:
        for one in called.values():
            for statement in tables.drop(one, cluster):
                with suppress(Exception):  # the error that matters is on its way
                    client.command(statement)
        raise
    _tidy(client, workspace.pk, {version, before.version if before else version}, cluster)
    return copy


def pieces(pg: Any, workspace: int, made: dict[str, shape.Table], finished: list[int]) -> list[tuple[str, str]]:
    """(table, condition) of every piece; together they are everything."""
    found = []
    contacts = made["contacts"]
    low, high = pg.execute(f"SELECT min(c.id), max(c.id) FROM {contacts.source} WHERE {contacts.rows}").fetchone()
    for start in range(low or 0, (high or -1) + 1, RANGE):
        for name, table in made.items():
            if name not in (*shape.BY_MONTH, *shape.OF_MAIL):
                found.append((name, f"{table.person} BETWEEN {start} AND {start + RANGE - 1}"))
    found += [(name, f"a.sending_id = {sending:d}") for sending in finished for name in shape.OF_MAIL if name in made]
    first, last = pg.execute(shape.SPAN, [workspace]).fetchone()
    while first is not None and first <= last:
        month = first.strftime("%Y-%m-01")
        first = (first.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + _ONE_MONTH).replace(day=1)
        found += [(name, f"e.at >= '{month} UTC' AND e.at < '{first:%Y-%m-01} UTC'") for name in shape.BY_MONTH]
    return found


def filled(batch: pa.RecordBatch) -> pa.Table:
    """A list that is absent is an empty one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches([batch])
    for n, kind in enumerate(table.schema.types):
        if pa.types.is_list(kind) and table.column(n).null_count:
            filled = pc.coalesce(table.column(n), pa.scalar([], kind))
            table = table.set_column(n, table.schema.names[n], filled)
    return table


def note(client: Client, copy: Copy, *, at: float, marks_only: bool = False) -> None:
    """Readers see this copy from now on; ``marks_only``: only that something of it begins to change."""
    client.insert(tables.COPIES, _row(copy, at, -tables.FORMAT if marks_only else tables.FORMAT))


def moved(client: Client, workspace_id: int) -> float:
    """When a copy of this workspace last began or ended to change."""
    query = f"SELECT max(made_at) FROM {tables.COPIES} WHERE workspace = {{w:Int64}}"
    return float(client.rows(query, {"w": workspace_id})[0][0])


def _row(copy: Copy, at: float, format_: int) -> pa.Table:
    import pyarrow as pa

    return pa.table(
        {
            "workspace": pa.array([copy.workspace_id], pa.int64()),
            "version": [copy.version],
            "watermark": pa.array([copy.watermark], pa.uint64()),
            "people": pa.array([copy.people], pa.int64()),
            "columns": [json.dumps(copy.columns)],
            "months": pa.array([copy.months], pa.list_(pa.string())),
            "scored": [copy.scored],
            "finished": pa.array([copy.finished], pa.list_(pa.int64())),
            "made_at": pa.array([at], pa.float64()),
            "format": pa.array([format_], pa.int16()),
        }
    )


def _tidy(client: Client, workspace_id: int, keep: set[str], cluster: str) -> None:
    """Tables of other versions go."""
    query = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {p:String})"
    for (called,) in client.rows(query, {"p": f"w{workspace_id}_"}):
        if called.split("_")[1] not in keep and not called.endswith("_local"):
            for statement in tables.drop(called, cluster):
                client.command(statement)


def held(client: Client, copy: Copy, people: list[int]) -> list[int]:
    """Those of these people of whom the copy still holds rows."""
    if not people:
        return []
    some = ", ".join(str(int(one)) for one in people)
    looks = " UNION DISTINCT ".join(
        f"SELECT contact FROM {tables.name(copy.workspace_id, copy.version, table)} WHERE contact IN ({some})"
        for table in copy.columns
    )
    return sorted(int(row[0]) for row in client.rows(looks))


def forget(client: Client, copy: Copy, people: list[int], cluster: str = "") -> None:
    """Erased people leave the files of the copy; until then every answer leaves them out."""
    for table in copy.columns:
        client.command(tables.forget(tables.name(copy.workspace_id, copy.version, table), people, cluster))
