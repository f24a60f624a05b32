"""What changed since the slabs were written, kept in the engine's memory and topped up before each answer.

People whose row, lists, orders, interests or own events changed have their rows fetched whole and take the place of
what the slabs say of them; reactions to mail are only ever added. Each look reads PostgreSQL in one snapshot and
remembers its ``pg_snapshot_xmin``: whatever a later commit brings has a stamp at or above it. So an answer never misses
what was committed before it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envol.audience.columns import shape
from envol.audience.columns.build import sendings
from envol.audience.columns.store import Manifest

if TYPE_CHECKING:
    import duckdb
    import psycopg

Array = np.ndarray[Any, Any]
Row = tuple[int, str]
OF_PEOPLE = ("contacts", "memberships", "orders", "happenings", "interests")
_GONE = {"memberships": "membership", "orders": "order", "interests": "interest"}
"""What ``contacts_gone`` calls deleted rows; told events are deleted by kind, which no rule names any more then."""
_ORDERS = ("orders", "lines")
_MANY = 5000  # ids of one statement
_AS_JSON = "SELECT x.contact, row_to_json(x)::text FROM ({}) x"
FEW_WAITING, MOST_WAITING = 100, 1000
"""People whose rows are kept as they came, unread: reading all columns of forty rows takes longer than many a question,
and a question names two. Of more than a few they are read between two questions, of more than the most before one."""
_NEWER = 1 << 30  # added to a position, it says that the row is one that waits
MOST_MAIL = 50_000
"""Messages beyond the slabs that are fetched: with more of them PostgreSQL is quicker, until new slabs hold them."""


class _Written:
    """The answer to `Delta.written`."""

    def __init__(self, horizon: str, scored: str | None, reactions: int, *rows: int) -> None:
        self.horizon, self.scored, self.reactions, self.rows = int(horizon), scored or "", reactions, rows

    @property
    def anything(self) -> bool:
        return bool(self.reactions or any(self.rows))


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
        self.listed: dict[str, Array] = {}
        self.gone: set[int] = set()
        self.fixed = self.passing = 0
        self.scored = ""  # when the scores of now were computed
        self.mail: dict[int, tuple[bool, int, int]] = {}  # sending beyond the slabs → finished; rows sent, delivered
        self.waiting: dict[int, str] = {}  # position → her row as JSON, newer than what `d_contacts` may say of her
        self.laid: set[int] = set()  # of these, who has a row in `w_contacts`
        self.unlaid: set[int] = set()  # and whose row there is missing or older
        for name, table in tables.items():
            typed = ", ".join(f'"{c.name}" {c.type}' for c in table.columns)
            db.execute(f"CREATE TABLE d_{name} (pos INTEGER, {typed})")
        self.written = self._written()
        contacts = tables["contacts"]
        told = contacts.select().replace("%", "%%").replace(contacts.rows, self._since("contacts"))
        self.fresh = _AS_JSON.format(told)
        db.execute("CREATE TABLE w_contacts (pos INTEGER, told VARCHAR)")
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

    def positions(self, contacts: Sequence[int]) -> list[int]:
        """Of each, in their order."""
        wanted = np.array(contacts, np.int64)
        places = np.searchsorted(self.ids, wanted)
        known = np.zeros(len(wanted), np.bool_)
        inside = places < len(self.ids)
        known[inside] = self.ids[places[inside]] == wanted[inside]
        return [
            place if there else self.position(contact)
            for contact, place, there in zip(contacts, places.tolist(), known.tolist(), strict=True)
        ]

    def places(self, name: str) -> Array:
        """``dirty`` as an array."""
        found = self.listed.get(name)
        if found is None:
            dirty = self.dirty[name]
            found = self.listed[name] = np.fromiter(dirty, np.int64, len(dirty))
        return found

    @property
    def every_id(self) -> Array:
        """Ids by position, those of newcomers last."""
        if not self.added:
            return self.ids
        return np.concatenate([self.ids, np.fromiter(self.added, np.int64, len(self.added))])

    def look(self, pg: psycopg.Connection[Any]) -> None:
        """Fetch what was committed since the last look. ``pg`` is in autocommit.

        All of it is read at one moment, which is the horizon of the next look; mostly there is nothing.
        """
        with pg.pipeline(), pg.transaction():
            pg.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            told = self._asked(pg)
            # Asked in the same trip, as mostly it is these that changed: nobody takes a tenth of a millisecond.
            people = pg.execute(self.fresh, {"seen": self.seen}, prepare=True)
            found = _Written(*told.fetchall()[0])
            if found.anything or self.passing:
                changed = self._people(pg, people, dict(zip(("gone", *OF_PEOPLE), found.rows, strict=True)))
                if found.reactions or self.passing:
                    changed |= self._events(pg, found.horizon)
                self.version += changed
        self.scored, self.seen = found.scored, found.horizon

    def _asked(self, pg: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
        # Planning "what was written since" over all tables and months takes longer than answering it, so the plan is
        # kept. Stamps are newer than any statistics: only the index knows that there are few. A kept plan expects many
        # and would start helpers, which takes longer than the answer.
        pg.execute("SET LOCAL enable_seqscan = off")
        pg.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        pg.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        return pg.execute(self.written, {"w": self.workspace, "seen": self.seen}, prepare=True)

    def _written(self) -> str:
        """A query of the horizon, when scores were computed, and how many rows of each kind were written since.

        Counted, not "is there any": for one row PostgreSQL might walk along an index that knows nothing of stamps.
        """

        def count(source: str, where: str) -> str:
            return f"(SELECT count(*) FROM {source} WHERE {where})"

        events, told = self.tables["events"], self.tables["happenings"]
        source = told.source.partition(" CROSS JOIN ")[0]  # the events themselves, not what was told with them
        counts = [count("contacts_gone g", f"{self._of_us('g')} AND g.stamp >= %(seen)s::bigint")]
        for name in OF_PEOPLE:
            counts.append("e.told" if name == "happenings" else count(self.tables[name].source, self._since(name)))
        return (
            f"SELECT pg_snapshot_xmin(pg_current_snapshot())::text, ({shape.COMPUTED.replace('%s', '%(w)s')}),"
            f" e.reactions, {', '.join(counts)} FROM (SELECT count(*) FILTER (WHERE {events.rows}) AS reactions,"
            f" count(*) FILTER (WHERE {told.rows}) AS told FROM {source}"
            f" WHERE {self._of_us('e')} AND {events.stamp} >= %(seen)s::bigint) e"
        )

    def _of_us(self, alias: str) -> str:
        """Rows of this workspace, said so that no index of workspaces is preferred to that of stamps."""
        return self.workspace_rows.replace("c.", f"{alias}.", 1).replace(" =", " + 0 =", 1)

    def _since(self, name: str) -> str:
        """Rows of a table that were written since the last look, with the parameter ``seen``."""
        table = self.tables[name]
        alias, type_ = table.stamp.partition(".")[0], "text::xid8" if name == "contacts" else "bigint"
        rows = table.rows.replace(self.workspace_rows.replace("c.", f"{alias}.", 1), self._of_us(alias), 1)
        return f"{rows} AND {table.stamp} >= %(seen)s::{type_}"

    def _people(self, pg: psycopg.Connection[Any], people: Iterable[Row], written: dict[str, int]) -> bool:
        gone: dict[str, set[int]] = {what: set() for what in ("contact", *_GONE.values())}
        query = f"SELECT g.what, g.contact_id FROM contacts_gone g WHERE {self._of_us('g')} AND g.stamp >= {self.seen}"
        for what, contact in pg.execute(query) if written["gone"] else ():
            gone.setdefault(what, set()).add(contact)
        changed = bool(written["contacts"]) and self._keep("contacts", list(people), set())
        for contact in gone["contact"]:
            place = self.position(contact)
            changed |= place not in self.gone
            self.gone.add(place)
        for name in OF_PEOPLE[1:]:
            touched = set(gone.get(_GONE.get(name, ""), set()))
            table = self.tables[name]
            if written[name]:
                changed_rows = f"{table.rows} AND {table.written_since(self.seen)}"
                found = pg.execute(f"SELECT DISTINCT {table.person} FROM {table.source} WHERE {changed_rows}")
                touched |= {row[0] for row in found}
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
        return list(pg.execute(_AS_JSON.format(self.tables[name].select(where))))

    def of_people(self, query: str, ask: Callable[[str], dict[str, Array]]) -> dict[str, Array]:
        """What ``ask`` finds by a query over ``d_contacts``, whose answer has a column ``pos``, with the rows that
        wait in it."""
        if not self.waiting:
            return ask(query)
        self._lay()
        columns = [column for column in self.tables["contacts"].columns if column.name in query]
        known = ", ".join(["pos", *(f'"{column.name}"' for column in columns)])
        newer = ", ".join([f"pos + {_NEWER}", *map(_read, columns)])
        both = f"(SELECT {known} FROM d_contacts UNION ALL SELECT {newer} FROM w_contacts)"
        found = ask(query.replace(" FROM d_contacts", f" FROM {both}", 1))
        places = found["pos"]
        late = places >= _NEWER
        true = late | ~np.isin(places, np.fromiter(self.waiting, places.dtype, len(self.waiting)))
        places[late] -= _NEWER
        return {name: some[true] for name, some in found.items()}

    def _dirty(self, name: str, places: set[int]) -> set[int]:
        """Remember them; those that are not new."""
        known = self.dirty[name]
        new = places - known
        known |= new
        if (listed := self.listed.get(name)) is not None:
            self.listed[name] = np.concatenate([listed, np.fromiter(new, np.int64, len(new))])
        return places - new

    def _lay(self) -> None:
        """Put the rows that came into their table, where somebody asks for them at all."""
        if not self.unlaid:
            return
        if again := list(self.unlaid & self.laid):
            self.db.execute("DELETE FROM w_contacts WHERE pos IN (SELECT unnest($1::INTEGER[]))", [again])
        places = list(self.unlaid)
        self.db.execute(
            "INSERT INTO w_contacts SELECT unnest($1::INTEGER[]), unnest($2::VARCHAR[])",
            [places, [self.waiting[place] for place in places]],
        )
        self.laid |= self.unlaid
        self.unlaid.clear()

    def read_waiting(self) -> None:
        """Read the rows that wait into their columns."""
        if not self.waiting:
            return
        places = list(self.waiting)
        ids = self.every_id[places].tolist()
        self.db.execute("BEGIN")
        try:
            self.db.execute("DELETE FROM d_contacts WHERE pos IN (SELECT unnest($1::INTEGER[]))", [places])
            self._insert("contacts", list(zip(ids, self.waiting.values(), strict=True)))
            self.db.execute("DELETE FROM w_contacts")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        self.waiting.clear()
        self.unlaid.clear()
        self.laid.clear()

    def _keep(self, name: str, rows: list[Row], touched: set[int]) -> bool:
        """These rows are all that is true of these people now."""
        people = touched | {contact for contact, _ in rows}
        if not people:
            return False
        if name == "contacts":
            if len(self.waiting) + len(rows) <= MOST_WAITING:
                newer = dict(zip(self.positions([who for who, _ in rows]), (text for _, text in rows), strict=True))
                self.waiting |= newer
                self.unlaid |= newer.keys()
                self._dirty(name, set(newer))
                return True
            self.read_waiting()
        places = set(self.positions(list(people)))
        if name != "lines":
            old = self._dirty(name, places)
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
            places = self.positions([contact for contact, _ in rows])
            for place, (_, text) in zip(places, rows, strict=True):
                out.write(f'{{"pos":{place},{text.partition(",")[2]}\n')
        types = ", ".join(["'pos': 'INTEGER'", *(f"'{c.name}': '{c.type}'" for c in table.columns)])
        self.db.execute(
            f"INSERT INTO d_{name} BY NAME SELECT * FROM read_json('{path}', format = 'newline_delimited',"
            f" columns = {{{types}}})"
        )
        path.unlink()


def _read(column: shape.Column) -> str:
    """A column of a row that waits as JSON."""
    place = f"""'$."{column.name}"'"""
    if column.type.endswith("[]"):
        return f"""from_json(told -> {place}, '["{column.type.removesuffix("[]")}"]') AS "{column.name}\""""
    return f'CAST(told ->> {place} AS {column.type}) AS "{column.name}"'
