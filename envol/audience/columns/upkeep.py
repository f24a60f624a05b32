"""When the slabs of a workspace are written anew: by the clock, in a child that ends.

A base is copied once it has ``columns_from`` people; again when a few percent of its rows changed, when a property
came or changed its type, every night, and half an hour after somebody was erased: until then she is masked in every
answer, and an hour after her erasure she is in no slab, not in those either that somebody was still reading.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import DatabaseError, transaction
from django.utils import timezone

from envol import db
from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue, activity_sql, finished_sendings
from envol.audience.columns import shape, store
from envol.contacts import gone
from envol.events import tasks as events

SHARE = 0.03  # of the rows: beyond it the delta costs more than a new version does once
FEW = 5_000  # changed rows that are never worth a new version
ERASED = 30 * 60.0  # seconds from an erasure on after which the version that may hold the person is replaced
OLD = 24 * 3600.0
GONE = "somebody is gone"
TIMEOUT = 3600

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class State:
    """What there is of a workspace: people, the version that is read, rows changed since, and why to write anew."""

    people: int
    manifest: store.Manifest | None
    changed: int
    why: str


def state(workspace: Workspace) -> State:
    """Does this workspace need new slabs? Reads index ranges, not the base."""
    least = settings.ENVOL.columns_from
    home = store.folder(settings.ENVOL.data, workspace.pk)
    manifest = store.current(home)
    people = int(
        db.value(
            "SELECT count(*) FROM (SELECT FROM contacts_contact WHERE workspace_id = %s LIMIT %s) x",
            [workspace.pk, max(least, 1)],
        )
    )
    if people < least:
        return State(people, manifest, 0, "")
    if manifest is None:
        return State(people, None, 0, "there are none")
    tables = shape.tables(Catalogue(workspace))
    if {t.name: {c.name: c.told for c in t.columns} for t in tables.values()} != manifest.columns:
        return State(people, manifest, 0, "the properties changed")
    if set(manifest.months) - {name for _, name in events.months()}:
        return State(people, manifest, 0, "a month of events was dropped")
    most = max(FEW, int(SHARE * sum(manifest.rows.values())))
    changed = 0
    for table in tables.values():
        if table.stamp and table.name != "lines":
            query = f"SELECT FROM {table.source} WHERE {table.rows} AND {table.written_since(manifest.watermark)}"
            changed += int(db.value(f"SELECT count(*) FROM ({query} LIMIT {most + 1}) x"))
    scored, unsent = _beyond(workspace.pk, manifest, most)
    age = time.time() - manifest.made_at
    erased = db.value(
        "SELECT min(at) FROM contacts_gone WHERE workspace_id = %s AND what = 'contact' AND stamp >= %s",
        [workspace.pk, manifest.watermark],
    )
    why = ""
    if changed > most:
        why = "many rows changed"
    elif scored:
        why = "scores were computed anew"
    elif unsent:
        why = "a sending is finished"
    elif erased and (timezone.now() - erased).total_seconds() > ERASED:
        why = GONE
    elif age > OLD:
        why = "a day went by"
    return State(manifest.people, manifest, changed, why)


def _beyond(workspace_id: int, manifest: store.Manifest, most: int) -> tuple[bool, bool]:
    """Were scores computed since; did sendings of many messages finish since?"""
    computed = db.value(shape.COMPUTED, [workspace_id]) or ""
    asked = finished_sendings()
    if asked is None:
        return computed != manifest.scored, False
    ended = [one for one, done in db.rows(asked, {"workspace": workspace_id, "known": manifest.finished}) if done]
    if not ended:
        return computed != manifest.scored, False
    query = f"SELECT FROM ({activity_sql('sent')}) a WHERE a.sending_id = ANY(%s) LIMIT {min(most, FEW) + 1}"
    sent = int(db.value(f"SELECT count(*) FROM ({query}) x", [ended]))
    return computed != manifest.scored, sent > min(most, FEW)


def look_after() -> list[int]:
    """Write what is missing or behind, one workspace after the other; their ids. Slabs of no workspace go."""
    gone.forget()
    made = []
    found_all = [(workspace, state(workspace)) for workspace in Workspace.objects.order_by("pk")]
    known = {str(workspace.pk) for workspace, _ in found_all}
    for workspace, _ in found_all:
        store.sweep(store.folder(settings.ENVOL.data, workspace.pk))
    # Those with somebody in them who is gone do not wait for the large ones of others.
    for workspace, found in sorted(found_all, key=lambda one: one[1].why != GONE):
        if found.why:
            log.info("columns are written", workspace=workspace.pk, why=found.why)
            write(workspace)
            made.append(workspace.pk)
        elif found.people < settings.ENVOL.columns_from:  # also what an earlier program wrote and nobody reads
            shutil.rmtree(store.folder(settings.ENVOL.data, workspace.pk), ignore_errors=True)
    home = settings.ENVOL.data / "columns"
    for place in home.iterdir() if home.exists() else ():
        if place.is_dir() and place.name.isdigit() and place.name not in known:
            shutil.rmtree(place, ignore_errors=True)
    return made


def _summarize() -> None:
    """Let the indexes of stamps know the last pages of each table: vacuum leaves them out, and looks read them."""
    try:
        with transaction.atomic():
            db.execute("SET LOCAL lock_timeout = '2s'")
            db.rows(
                "SELECT brin_summarize_new_values(i.oid) FROM pg_class i JOIN pg_am a ON a.oid = i.relam"
                " WHERE a.amname = 'brin' AND i.relkind = 'i' AND i.relname LIKE '%stamp%'"
                " AND i.relnamespace = current_schema()::regnamespace"
            )
    except DatabaseError as error:  # somebody else owns the tables, or holds one: looks only take longer
        log.info("stamps were not summarized", error=str(error)[:200])


def write(workspace: Workspace) -> store.Manifest:
    """New slabs of one workspace, by a child process. Raises RuntimeError with what it said."""
    _summarize()
    command = [sys.executable, "-m", "envol.audience.columns", str(workspace.pk)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=os.environ, check=False)
    manifest = store.current(store.folder(settings.ENVOL.data, workspace.pk))
    if done.returncode or manifest is None:
        raise RuntimeError(f"The columns of workspace {workspace.pk} were not written: {done.stderr[-500:]}")
    return manifest
