"""Small helpers around the one database connection: named SQL files, and rows as dictionaries.

Beside :mod:`envol.wire` and :mod:`envol.net`: anyone may import it, it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled, error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult


@cache
def sql(room: str, name: str) -> str:
    """The text of ``envol/<room>/sql/<name>.sql``."""
    package = import_module(f"envol.{room}")
    assert package.__file__
    return (Path(package.__file__).parent / "sql" / f"{name}.sql").read_text("utf-8")


def execute(query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> int:
    """Run one statement; the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return int(cursor.rowcount)


def rows(query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return cursor.fetchall()


def dicts(query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def value(query: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
    """First column of the first row, or None when there is none."""
    found = rows(query, params)
    return found[0][0] if found else None


@contextmanager
def durable() -> Iterator[None]:
    """A transaction whose commit is on disk when the block ends; never nested in another."""
    with transaction.atomic(durable=True):
        yield


class TooSlow(Exception):
    """What was asked for took longer than it was given."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Reading that is given up after so long: each statement of the block; then :class:`TooSlow`.

    Without any time left nothing is asked at all.
    """
    if seconds <= 0:
        raise TooSlow
    try:
        with transaction.atomic():
            execute(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")
            yield
            execute("SET LOCAL statement_timeout TO DEFAULT")
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        raise TooSlow from None


def is_large(table: str, many: int = 50_000) -> bool:
    """Has a table about so many rows that counting them is worth a thought? By the statistics, without reading it."""
    return bool(value("SELECT reltuples > %s FROM pg_class WHERE oid = %s::regclass", [many, table]))


_prepared: WeakKeyDictionary[Any, set[bytes]] = WeakKeyDictionary()
"""Names that each connection knows. Kept with the connection and not with the statement: two threads that meet at its
first use may make it twice, and the second would be told that its name exists."""


class Prepared:
    """A statement that runs many times a second: parsed and planned once for each connection.

    Django's cursor writes the values into the text, so PostgreSQL parses and plans it each time, and the cursor itself
    costs more than the statement. Left to itself PostgreSQL would plan the parsed ones anew each time, too: it believes
    that to know how long an array is saves more than that costs. Values are text (``$1``, ``$2``…, cast in the
    statement), or octets in PostgreSQL's binary form, and the answer is text.
    Raises the database errors of Django.
    """

    def __init__(self, query: str) -> None:
        self._query = query.encode()
        self._name = b"envol_" + sha256(self._query).hexdigest()[:16].encode()

    def __call__(self, *values: str | bytes | None) -> PGresult:
        connection.ensure_connection()
        with connection.wrap_database_errors:
            raw = connection.connection
            if not raw.autocommit and raw.pgconn.transaction_status == TransactionStatus.IDLE:
                raw.execute("SELECT")  # the driver begins its transaction with the first statement it sees
            known = _prepared.setdefault(raw, set())
            if self._name not in known:
                _good(raw.pgconn.exec_(b"SET plan_cache_mode = force_generic_plan"))
                _good(raw.pgconn.prepare(self._name, self._query))
                known.add(self._name)
            forms = [int(isinstance(value, bytes)) for value in values]
            octets = [value.encode() if isinstance(value, str) else value for value in values]
            return _good(raw.pgconn.exec_prepared(self._name, octets, forms))


def _good(result: PGresult) -> PGresult:
    if result.status not in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
        raise error_from_result(result)
    return result
