"""Bring a copy up to date in place: who changed since its watermark is taken out and put in again.

Safe without a second copy, because every reader leaves those people out anyway until the new watermark stands: they
have stamps at or above the old one. Whoever began to read before it began is told to ask PostgreSQL instead. A refresh
that dies leaves the old watermark, and the next one does all of it again.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from envol.accounts.models import Workspace
from envol.audience.catalogue import Catalogue
from envol.audience.clickhouse import engine, tables
from envol.audience.clickhouse.client import Client
from envol.audience.clickhouse.load import Copy, current, filled, note, pieces
from envol.audience.columns import shape
from envol.audience.columns.build import computed, reading, sendings
from envol.events import tasks as events

MOST = 500_000
"""Changed people beyond whom a whole new copy costs less."""
_MANY = 5_000  # ids of one statement


def refresh(workspace: Workspace, client: Client, url: str, cluster: str = "") -> Copy | None:
    """The copy as of now; None when only a whole new one will do."""
    import psycopg

    before = current(client, workspace.pk)
    made = shape.tables(Catalogue(workspace))
    kept_months = [name for _, name in events.months()]
    if before is None or before.columns != {t.name: {c.name: c.told for c in t.columns} for t in made.values()}:
        return None
    if set(before.months) - set(kept_months):
        return None
    called = tables.names(workspace.pk, before.version, made)
    with psycopg.connect(url) as pg:
        pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = pg.execute("SELECT pg_export_snapshot(), pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
        assert row is not None
        snapshot, watermark = row[0], int(row[1])
        changed = engine.changed_since(pg, made, before.watermark, most=MOST)
        if len(changed) > MOST:
            return None
        scored = computed(pg, workspace.pk)
        ended = sorted(one for one, done in sendings(pg, workspace.pk, before.finished) if done)
        gone = sorted(
            row[0]
            for row in pg.execute(
                "SELECT DISTINCT g.contact_id FROM contacts_gone g WHERE g.workspace_id = %s AND g.what = 'contact'"
                " AND g.stamp >= %s",
                [workspace.pk, before.watermark],
            )
        )
        here = sorted(set(changed) - set(gone))
        # From here on whoever reads has seen every change that this snapshot has; whoever read before is warned.
        note(client, before, at=time.time(), marks_only=True)

        def take_out(name: str, people: list[int]) -> None:
            for start in range(0, len(people), _MANY):
                client.command(tables.forget(called[name], people[start : start + _MANY], cluster))

        def put_in(name: str, condition: str) -> None:
            with reading(url, snapshot) as read:
                for batch in read(made[name].select(condition)):
                    if batch.num_rows:
                        client.insert(called[name], filled(batch))

        for name, table in made.items():
            take_out(name, changed if table.stamp else gone)
            if table.stamp:
                for start in range(0, len(here), _MANY):
                    some = ",".join(map(str, here[start : start + _MANY]))
                    put_in(name, f"{table.person} = ANY('{{{some}}}'::bigint[])")
        for name in (one for one in shape.OF_MAIL if one in made):
            for sending in ended:
                client.command(tables.clear(called[name], cluster, f"sending = {sending:d}"))
                put_in(name, f"a.sending_id = {sending:d}")
        if scored != before.scored:
            for name in shape.OF_BUYERS:
                client.command(tables.clear(called[name], cluster))
            for name, condition in pieces(pg, workspace.pk, made, []):
                if name in shape.OF_BUYERS:
                    put_in(name, condition)
        people: Any = client.rows(f"SELECT count() FROM {called['contacts']}")[0][0]
    after = replace(
        before,
        watermark=watermark,
        people=int(people),
        months=kept_months,
        scored=scored,
        finished=sorted({*before.finished, *ended}),
        made_at=time.time(),
    )
    note(client, after, at=after.made_at)
    older = f"workspace = {workspace.pk:d} AND made_at < {before.made_at!r}"
    client.command(tables.clear(tables.COPIES, cluster, older))
    return after
