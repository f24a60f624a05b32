"""What the copy looks like in ClickHouse: tables for each version of it, and one that says which version is read.

::

    envol_copy                                   one row for each copy that is whole; the latest of a workspace is read
    w<workspace>_<version>_contacts, …           the tables of `columns.shape`, with ``contact`` instead of ``pos``

On a cluster every table lies on all shards by the same hash of the person, so that whatever a rule asks of other tables
is answered where the person lies: no shard ever needs the rows of another. ``…_local`` holds them, replicated; the
name without it spreads over the shards.
"""

from __future__ import annotations

from envol.audience.clickhouse.compile import type_of
from envol.audience.columns import shape

FORMAT = 2
COPIES = "envol_copy"
_COPY = (
    "workspace Int64, version String, watermark UInt64, people Int64, columns String, months Array(String),"
    " scored String, finished Array(Int64), made_at Float64, format Int16"
)
# What people are asked for together lies together: one person's rows, or one kind of event in order of time.
_ORDER = {
    "memberships": "(list, contact)",
    "events": "(kind, at, contact)",
    "happenings": "(custom, name, contact)",
    **dict.fromkeys(shape.OF_MAIL, "(sending, contact)"),
}
_SORTED = {
    "events": {"kind", "at"},
    "happenings": {"custom", "name", "at"},
    "memberships": {"list"},
    **{name: {"sending"} for name in shape.OF_MAIL},
}  # sorting columns are never absent
_MONTH = "toYYYYMM(fromUnixTimestamp64Micro(at))"
SHARD = "cityHash64(contact)"


def name(workspace_id: int, version: str, table: str) -> str:
    return f"w{workspace_id}_{version}_{table}"


def names(workspace_id: int, version: str, tables: dict[str, shape.Table]) -> dict[str, str]:
    return {table: name(workspace_id, version, table) for table in tables}


def create(table: shape.Table, called: str, cluster: str = "") -> list[str]:
    """The statements that make one table."""
    always = _SORTED.get(table.name, set()) | {"id"}
    columns = ["contact Int64 CODEC(Delta, ZSTD(1))"]
    for column in table.columns:
        codec = " CODEC(Delta, ZSTD(1))" if column.name in ("at", "id") else ""
        columns.append(f'"{column.name}" {type_of(column.type, absent=column.name not in always)}{codec}')
    if table.name == "events":  # what one sending brings about lies together in time
        columns.append("INDEX of_sending sending TYPE minmax GRANULARITY 1")
    split = f" PARTITION BY {_MONTH}" if table.name in shape.BY_MONTH else ""
    order = _ORDER.get(table.name, "contact")
    return _made(called, ", ".join(columns), f"{split} ORDER BY {order}", cluster)


def create_copies(cluster: str = "") -> list[str]:
    return _made(COPIES, _COPY, " ORDER BY (workspace, made_at)", cluster, shard="workspace", again=True)


def _made(called: str, columns: str, rest: str, cluster: str, shard: str = SHARD, again: bool = False) -> list[str]:
    unless = "IF NOT EXISTS " if again else ""
    if not cluster:
        return [f"CREATE TABLE {unless}{called} ({columns}) ENGINE = MergeTree{rest}"]
    on = f"{unless}{called}_local ON CLUSTER '{cluster}'"
    over = f"Distributed('{cluster}', currentDatabase(), '{called}_local', {shard})"
    return [
        f"CREATE TABLE {on} ({columns}) ENGINE = ReplicatedMergeTree{rest}",
        f"CREATE TABLE {unless}{called} ON CLUSTER '{cluster}' AS {called}_local ENGINE = {over}",
    ]


def drop(called: str, cluster: str = "") -> list[str]:
    if not cluster:
        return [f"DROP TABLE IF EXISTS {called} SYNC"]
    return [f"DROP TABLE IF EXISTS {one} ON CLUSTER '{cluster}' SYNC" for one in (called, f"{called}_local")]


def clear(called: str, cluster: str = "", where: str = "1 = 1") -> str:
    """Take the rows out of which ``where``, SQL of ours, holds."""
    over = f"{called}_local ON CLUSTER '{cluster}'" if cluster else called
    return f"ALTER TABLE {over} DELETE WHERE {where} SETTINGS mutations_sync = 2"


def forget(called: str, people: list[int], cluster: str = "") -> str:
    """Take all rows of these people out of the files themselves, not only out of answers."""
    some = ", ".join(str(int(one)) for one in people)
    where = f"{called}_local ON CLUSTER '{cluster}'" if cluster else called
    return f"ALTER TABLE {where} DELETE WHERE contact IN ({some}) SETTINGS mutations_sync = 2"
