"""When a copy in ClickHouse is made, and brought up to date: by the clock, in a child that ends.

Unlike the columns of one machine (`columns.upkeep`) it is not written anew for what changed: changed people take the
place of what was said of them (`refresh`), and the erased are taken out, among a hundred million rows that stay.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psycopg
import structlog
from django.conf import settings

from envol import db
from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.clickhouse import engine, load
from envol.audience.clickhouse.client import Client
from envol.audience.columns import shape, store
from envol.audience.columns.build import address, computed, sendings
from envol.events import tasks as events

OLD = 24 * 3600.0
FEW = 5_000  # changed people whom PostgreSQL is asked about without notice
WHOLE = frozenset({"there is none", "the properties changed", "a month of events was dropped"})
"""Reasons for which bringing up to date does not do."""
TIMEOUT = 6 * 3600

log = structlog.get_logger()


def client() -> Client:
    """The ClickHouse of the settings. Raises `client.Missing` or what clickhouse-connect says of the server."""
    return Client(settings.ENVOL.clickhouse)


def why(client: Client, workspace: Workspace) -> str:
    """Why its copy has to be made (`WHOLE`) or brought up to date, or nothing."""
    copy = load.current(client, workspace.pk)
    if copy is None:
        return "there is none"
    tables = shape.tables(Catalogue(workspace))
    if {t.name: {c.name: c.told for c in t.columns} for t in tables.values()} != copy.columns:
        return "the properties changed"
    if set(copy.months) - {name for _, name in events.months()}:
        return "a month of events was dropped"
    if time.time() - copy.made_at > OLD:
        return "a day went by"
    with psycopg.connect(address(), autocommit=True) as pg:
        if computed(pg, workspace.pk) != copy.scored:
            return "scores were computed"
        if len(engine.changed_since(pg, tables, copy.watermark)) > min(FEW, engine.MOST):
            return "many people changed"
        late = [one for one, ended in sendings(pg, workspace.pk, copy.finished) if ended]
        if late and len(engine.written_to_since(pg, tables, workspace.pk, copy.finished)) > min(FEW, engine.MOST):
            return "many messages were sent"
    return ""


def look_after() -> list[int]:
    """Make what is missing, bring up to date what is behind, take the erased out of the others; whom."""
    made = []
    with_clickhouse = client()
    try:
        load.prepare(with_clickhouse, settings.ENVOL.clickhouse_cluster)
        for workspace in Workspace.objects.order_by("pk"):
            people = "SELECT count(*) FROM (SELECT FROM contacts_contact WHERE workspace_id = %s LIMIT %s) x"
            least = settings.ENVOL.columns_from
            if int(db.value(people, [workspace.pk, least])) < least:
                continue
            reason = why(with_clickhouse, workspace)
            if reason:
                log.info("a copy is made in ClickHouse", workspace=workspace.pk, why=reason)
                write(workspace, whole=reason in WHOLE)
                made.append(workspace.pk)
            else:
                forget_erased(with_clickhouse, workspace)
    finally:
        with_clickhouse.close()
    return made


def may_hold(workspace_id: int, stamp: int) -> bool:
    """Does the copy still hold people who were erased, if it is from before that transaction?"""
    with_clickhouse = client()
    try:
        copy = load.current(with_clickhouse, workspace_id)
        if copy is None or copy.watermark > stamp:
            return False
        return bool(load.held(with_clickhouse, copy, _gone(workspace_id, copy.watermark)))
    finally:
        with_clickhouse.close()


def _gone(workspace_id: int, watermark: int) -> list[int]:
    return [
        int(row[0])
        for row in db.rows(
            "SELECT contact_id FROM contacts_gone WHERE workspace_id = %s AND what = 'contact' AND stamp >= %s",
            [workspace_id, watermark],
        )
    ]


def forget_erased(client: Client, workspace: Workspace) -> int:
    """Erased people leave the files of the copy; how many."""
    copy = load.current(client, workspace.pk)
    if copy is None:
        return 0
    gone = _gone(workspace.pk, copy.watermark)
    held = load.held(client, copy, gone)
    if held:
        load.forget(client, copy, held, settings.ENVOL.clickhouse_cluster)
    return len(held)


def write(workspace: Workspace, *, whole: bool = True) -> None:
    """A new copy of one workspace, or what changed put into it, by a child process. Raises RuntimeError with what it
    said."""
    command = [sys.executable, "-m", "envol.audience.clickhouse", str(workspace.pk), *([] if whole else ["changed"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=os.environ, check=False)
    if done.returncode:
        raise RuntimeError(f"Workspace {workspace.pk} was not copied into ClickHouse: {done.stderr[-500:]}")


def note(workspace_id: int) -> None:
    """From now on questions about this workspace may go to ClickHouse."""
    home = store.folder(settings.ENVOL.data, workspace_id)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / store.DISTRIBUTED).touch(mode=0o600)
