"""What changed since the slabs were written, kept in the engine's memory and topped up before each answer.

People whose row, lists, orders, interests or own events changed have their rows fetched whole and take the place of
what the slabs say of them; reactions to mail are only ever added. Each look reads PostgreSQL in one snapshot and
remembers its ``pg_snapshot_xmin``: whatever a later commit brings has a stamp at or above it. So an answer never misses
what was committed before it was asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envol.audience.columns import shape
from envol.audience.columns.build import computed, sendings
from envol.audience.columns.store import Manifest
from envol.events.models import CustomEvent

if TYPE_CHECKING:
    import duckdb
    import psycopg

Array = np.ndarray[Any, Any]
Row = tuple[int, str]
_TOLD = f"SELECT 1 FROM {CustomEvent._meta.db_table} WHERE workspace_id = %s LIMIT 1"
OF_PEOPLE = ("contacts", "memberships", "orders", "happenings", "interests")
_GONE = {"memberships": "membership", "orders": "order", "interests": "interest"}
"""What ``contacts_gone`` calls deleted rows; told events are deleted by kind, which no rule names any more then."""
_ORDERS = ("orders", "lines")
_MANY = 5000  # ids of one statement
MOST_MAIL = 50_000
"""Messages beyond the slabs that are fetched: with more of them PostgreSQL is quicker, until new slabs hold them."""


class Delta:
    """``dirty[table]``: positions whose rows are in ``d_<table>``; ``gone``: positions of people who are no more.

    ``version`` rises with each look that found something.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        tables: dict[str, shape.Table],
        ids: Array,
        manifest: Manifest,
        workspace: int,
        scratch: Path,
    ) -> None:
        self.manifest, self.workspace = manifest, workspace
        self.db, self.tables, self.ids, self.scratch = db, tables, ids, scratch
        self.workspace_rows = tables["contacts"].rows
        self.seen = manifest.watermark
        self.version = 0
        self.rows = 0
        self.added: dict[int, int] = {}  # id → position beyond the slabs
        self.dirty: dict[str, set[int]] = {name: set() for name in OF_PEOPLE}
        self.gone: set[int] = set()
        self.fixed = self.passing = 0
        self.scored = ""  # when the scores of now were computed
        self.mail: dict[int, tuple[bool, int, int]] = {}  # sending beyond the slabs → finished; rows sent, delivered
        for name, table in tables.items():
            typed = ", ".join(f'"{c.name}" {c.type}' for c in table.columns)
            db.execute(f"CREATE TABLE d_{name} (pos INTEGER, {typed})")
        db.execute("CREATE TABLE d_passing AS SELECT * FROM d_events")
        db.execute("CREATE VIEW d_every_event AS SELECT * FROM d_events UNION ALL SELECT * FROM d_passing")

    @property
    def size(self) -> int:
        """Rows that are not in the slabs yet."""
        return sum(len(found) for found in self.dirty.values()) + len(self.gone) + self.fixed

    def position(self, contact: int) -> int:
        place = int(np.searchsorted(self.ids, contact))
        if place < len(self.ids) and self.ids[place] == contact:
            return place
        return self.added.setdefault(contact, len(self.ids) + len(self.added))

    @property
    def every_id(self) -> Array:
        """Ids by position, those of newcomers last."""
        return np.concatenate([self.ids, np.fromiter(self.added, np.int64, len(self.added))])

    def look(self, pg: psycopg.Connection[Any]) -> None:
        """Fetch what was committed since the last look. ``pg`` is in autocommit."""
        with pg.transaction():
            pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # Statistics know nothing of stamps that are newer than they are; the index does.
            pg.execute("SET LOCAL enable_seqscan = off")
            found = pg.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text").fetchone()
            assert found is not None
            horizon = int(found[0])
            self.scored = computed(pg, self.workspace)
            changed = self._people(pg)
            changed |= self._events(pg, horizon)
        self.seen = horizon
        self.version += changed

    def _people(self, pg: psycopg.Connection[Any]) -> bool:
        gone: dict[str, set[int]] = {what: set() for what in ("contact", *_GONE.values())}
        workspace = self.workspace_rows.replace("c.", "g.", 1)
        query = f"SELECT g.what, g.contact_id FROM contacts_gone g WHERE {workspace} AND g.stamp >= {self.seen}"
        for what, contact in pg.execute(query):
            gone.setdefault(what, set()).add(contact)
        contacts = self.tables["contacts"]
        fresh = self._fetch(pg, "contacts", contacts.written_since(self.seen))
        changed = self._keep("contacts", fresh, set())
        for contact in gone["contact"]:
            place = self.position(contact)
            changed |= place not in self.gone
            self.gone.add(place)
        for name in OF_PEOPLE[1:]:
            table = self.tables[name]
            if name == "happenings" and not pg.execute(_TOLD, [self.workspace]).fetchone():
                continue  # looking through every month costs more than knowing that there is nothing to look for
            changed_rows = f"{table.rows} AND {table.written_since(self.seen)}"
            found = pg.execute(f"SELECT DISTINCT {table.person} FROM {table.source} WHERE {changed_rows}")
            touched = {row[0] for row in found} | gone.get(_GONE.get(name, ""), set())
            if not touched:
                continue
            changed = True
            listed = sorted(touched)
            for each in _ORDERS if name == "orders" else (name,):
                table = self.tables[each]
                rows: list[Row] = []
                for start in range(0, len(listed), _MANY):
                    some = ",".join(map(str, listed[start : start + _MANY]))
                    rows += self._fetch(pg, each, f"{table.person} = ANY('{{{some}}}'::bigint[])")
                self._keep(each, rows, touched)
        return changed

    def _events(self, pg: psycopg.Connection[Any], horizon: int) -> bool:
        table = self.tables["events"]
        since = table.written_since(self.seen)
        late = f", ({table.written_since(horizon)}) AS late"
        query = f"SELECT x.contact, row_to_json(x)::text, x.late FROM ({table.select(since, late)}) x"
        rows = list(pg.execute(query))
        finished, passing = ([(who, text) for who, text, late in rows if late is wanted] for wanted in (False, True))
        self._insert("events", finished)
        self.fixed += len(finished)
        changed = bool(finished or passing or self.passing)
        if passing or self.passing:
            self.db.execute("DELETE FROM d_passing")
            self._insert("passing", passing)
            self.passing = len(passing)
        return changed

    def look_at_mail(self, pg: psycopg.Connection[Any]) -> bool:
        """Fetch the messages of sendings that are not in the slabs; False when they are too many to.

        Those of a finished sending are fetched once; of one under way they are counted, and fetched anew when their
        numbers changed. A message is written once and its outcome too, so equal numbers are equal rows.
        """
        with pg.transaction():
            pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            done = [*self.manifest.finished, *(one for one, (finished, _, _) in self.mail.items() if finished)]
            for sending, finished in sendings(pg, self.workspace, done):
                where = f"a.sending_id = {sending:d}"
                counted = pg.execute(
                    "SELECT "
                    + ", ".join(
                        f"(SELECT count(*) FROM (SELECT FROM {self.tables[kind].source}"
                        f" WHERE {self.tables[kind].rows} AND {where} LIMIT {MOST_MAIL + 1}) x)"
                        for kind in shape.OF_MAIL
                    )
                ).fetchone()
                assert counted is not None
                others = sum(max(sent, taken) for one, (_, sent, taken) in self.mail.items() if one != sending)
                if max(counted) + others > MOST_MAIL:
                    return False
                if self.mail.get(sending, (False, 0, 0))[1:] != counted:
                    whole = True
                    for kind in shape.OF_MAIL:
                        rows = self._fetch(pg, kind, where)
                        known = [row for row in rows if self.knows(row[0])]
                        whole &= len(known) == len(rows) or not self._came(pg, rows)
                        self.db.execute(f"DELETE FROM d_{kind} WHERE sending = {sending:d}")
                        self._insert(kind, known)
                    self.version += 1
                    if not whole:
                        self.mail[sending] = (False, -1, -1)
                        continue
                self.mail[sending] = (finished, *counted)
        return True

    def knows(self, contact: int) -> bool:
        """Has this person a place? Who came after the last look has none yet, who was erased has none any more."""
        place = int(np.searchsorted(self.ids, contact))
        return (place < len(self.ids) and self.ids[place] == contact) or contact in self.added

    def _came(self, pg: psycopg.Connection[Any], rows: list[Row]) -> bool:
        """Is somebody without a place here by now? Her messages are fetched once she has one."""
        strangers = [contact for contact, _ in rows if not self.knows(contact)]
        query = (
            f"SELECT EXISTS (SELECT FROM contacts_contact c WHERE {self.workspace_rows} AND c.id = ANY(%s::bigint[]))"
        )
        found = pg.execute(query, [strangers]).fetchone()
        return bool(found and found[0])

    def _fetch(self, pg: psycopg.Connection[Any], name: str, where: str) -> list[Row]:
        """Each row's contact, and the row as the text of a JSON object (whose first member is the contact)."""
        query = f"SELECT x.contact, row_to_json(x)::text FROM ({self.tables[name].select(where)}) x"
        return list(pg.execute(query))

    def _keep(self, name: str, rows: list[Row], touched: set[int]) -> bool:
        """These rows are all that is true of these people now."""
        people = touched | {contact for contact, _ in rows}
        if not people:
            return False
        places = {self.position(contact) for contact in people}
        if name != "lines":
            known = self.dirty[name]
            old = known & places
            known |= places
        else:
            old = places
        if old:
            self.db.execute(f"DELETE FROM d_{name} WHERE pos IN (SELECT unnest($1::INTEGER[]))", [sorted(old)])
        self._insert(name, rows)
        return True

    def _insert(self, name: str, rows: list[Row]) -> None:
        if not rows:
            return
        table = self.tables["events" if name == "passing" else name]
        path = self.scratch / "delta.json"
        with open(path, "w", encoding="utf-8") as out:
            out.writelines(f'{{"pos":{self.position(contact)},{text.partition(",")[2]}\n' for contact, text in rows)
        types = ", ".join(["'pos': 'INTEGER'", *(f"'{c.name}': '{c.type}'" for c in table.columns)])
        self.db.execute(
            f"INSERT INTO d_{name} BY NAME SELECT * FROM read_json('{path}', format = 'newline_delimited',"
            f" columns = {{{types}}})"
        )
        path.unlink()
