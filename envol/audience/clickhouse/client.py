"""The one place that speaks to ClickHouse, through clickhouse-connect (the optional extra ``clickhouse``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

UNKNOWN_TABLE = 60
SECONDS = 30  # that one question may take
SETTINGS: dict[str, Any] = {
    "max_execution_time": SECONDS,
    "precise_float_parsing": 1,  # a bound 0.1 is the nearest double, as everywhere else
    "join_use_nulls": 1,
    "max_query_size": 16 << 20,  # ids of those who changed since stand in the query
    "max_ast_elements": 1_000_000,
    "max_expanded_ast_elements": 2_000_000,
    "distributed_product_mode": "local",  # what is asked of other tables is on the same shard
    "distributed_foreground_insert": 1,
}


class Missing(Exception):
    """There is no ClickHouse to ask; the text says what to do."""


class NoTable(Exception):
    """What was asked for was never made, or is gone."""


class Client:
    """``address``: clickhouse://USER:PASSWORD@HOST:PORT/DATABASE, clickhouses:// with TLS, or chdb://memory.

    The last is ClickHouse's engine inside this process, for trials and tests (the extra ``chdb``).
    """

    def __init__(self, address: str) -> None:
        try:
            import clickhouse_connect
        except ImportError:
            raise Missing("Install the extra first: pip install 'envol[clickhouse]'.") from None
        more: dict[str, Any] = {"dsn": address}
        if not address.startswith("chdb://"):
            # Values are bound in the body: a list of a thousand words is longer than an address may be.
            more |= {"form_encode_query_params": True, "autogenerate_session_id": False}
            more["secure"] = address.startswith("clickhouses://")
        try:
            self._client = clickhouse_connect.get_client(**more)
        except ImportError:
            raise Missing("Install the extra first: pip install 'envol[chdb]'.") from None

    def command(self, statement: str) -> None:
        self._client.command(statement)

    def rows(self, query: str, params: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            found = self._client.query(query, parameters=params or None, settings=SETTINGS)
        except Exception as error:
            if getattr(error, "code", None) == UNKNOWN_TABLE:
                raise NoTable(str(error)[:300]) from None
            raise
        return [tuple(row) for row in found.result_rows]

    def insert(self, table: str, rows: pa.Table) -> None:
        self._client.insert_arrow(table, rows)

    def close(self) -> None:
        self._client.close()
