"""As whom this thread speaks to the database: the second lock of pages and API.

Pages act as ``envol_page``, which row-level security holds to one workspace (`envol.db_rls`): a query that forgets its
workspace finds nothing there, and nothing of another. Sign-in tells the user (`enter` with ``user``), the guard of a
route the workspace. What must see more has a name of its own:

* `as_owner`: a block of a room that looks somebody up before her workspace is known, or that writes by COPY, which
  row-level security does not allow;
* `stay_owner`: a thread of the http process that gathers for everybody;
* everything outside the http process (couriers, workers, commands) is the owner from the start.

tests/run/test_row_lock.py lists the files that use the first two.

A session's standing is kept beside its connection, so that saying the same again costs nothing. A request costs two
small statements: nobody's at its beginning, in place of the one that asks whether the session is alive, and its
workspace when the guard knows it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import DatabaseError, connection
from django.db.backends.signals import connection_created
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

PAGE = "envol_page"


class Standing(NamedTuple):
    """The role ("none": the owner), the user who is signed in, and the workspace; 0 for nobody and none."""

    role: str
    user: int = 0
    workspace: int = 0


OWNER = Standing("none")
NOBODY = Standing(PAGE)


def _first() -> Standing:
    """What a new session is by itself: the http process opens its own as the page role (run/django_settings.py)."""
    return NOBODY if os.environ.get("ENVOL_DB_ROLE") == PAGE else OWNER


def standing() -> Standing:
    """How this thread stands."""
    found: Standing | None = getattr(connection, "envol_standing", None)
    return found or _first()


def _stand(wanted: Standing) -> None:
    if wanted == standing():
        return
    connection.envol_standing = wanted  # type: ignore[attr-defined]
    if connection.connection is None:
        return  # whoever opens it says it then
    _say(wanted)


def _say(wanted: Standing) -> None:
    user, workspace = wanted.user or "", wanted.workspace or ""
    said = (
        f"SELECT set_config('role', '{wanted.role}', false), set_config('envol.user', '{user}', false),"
        f" set_config('envol.workspace', '{workspace}', false)"
    )
    with connection.wrap_database_errors:
        raw = connection.connection
        if not raw.autocommit and raw.pgconn.transaction_status == TransactionStatus.IDLE:
            raw.execute("SELECT")  # inside the transaction that is to begin, so that its end takes this back
        result = raw.pgconn.exec_(said.encode())
        if result.status != ExecStatus.TUPLES_OK:
            raise error_from_result(result)


def _opened(*, connection: Any, **_: Any) -> None:
    """A connection was lost and found again: the new session stands as the old one did."""
    wanted = getattr(connection, "envol_standing", None)
    if wanted is not None and wanted != _first():
        _say(wanted)


connection_created.connect(_opened, dispatch_uid="envol standing")


def _failed() -> bool:
    """Is a transaction broken? It takes nothing but its end, which also takes back what was said in it."""
    raw = connection.connection
    return raw is not None and raw.pgconn.transaction_status == TransactionStatus.INERROR


@contextmanager
def standing_as(wanted: Standing) -> Iterator[None]:
    """Stand so for a while, and as before afterwards, also after an error."""
    before = standing()
    _stand(wanted)
    try:
        yield
    finally:
        if _failed():
            connection.envol_standing = before  # type: ignore[attr-defined]
        else:
            _stand(before)


@contextmanager
def of_request() -> Iterator[None]:
    """What runs for one request: nobody's until `enter`, whatever the one before it in this thread was.

    In the http process a thread's sessions serve nothing else, so what they are is said once: at the beginning, where
    it also tells whether the session is still alive. Elsewhere (tests, commands) the session is given back as it was.
    """
    if _first() != NOBODY:
        with standing_as(NOBODY):
            yield
        return
    if standing() != NOBODY:
        try:
            _stand(NOBODY)
        except DatabaseError:
            connection.close()  # found dead: the first query opens another, which is nobody's by itself
        else:
            connection.health_check_done = True  # type: ignore[attr-defined]
    yield


def enter(workspace: int, *, user: int | None = None) -> None:
    """From here to the end of the request this workspace's rows can be seen, and ``user``'s memberships.

    Of a session that is the owner's (a command, a worker) nothing changes.
    """
    now = standing()
    if now.role == PAGE:
        _stand(Standing(PAGE, now.user if user is None else user, workspace))


@contextmanager
def as_owner() -> Iterator[None]:
    """Row-level security does not bind this block. Name the workspace in each of its statements."""
    with standing_as(OWNER):
        yield


def stay_owner() -> None:
    """This thread gathers for every workspace: for as long as it lives row-level security does not bind it."""
    _stand(OWNER)
