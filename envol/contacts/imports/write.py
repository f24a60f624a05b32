"""Run an import: two connections, whole chunks, one set-based change of the known people.

A chunk's people, their permissions and their places on the list arrive in one transaction, so the
masks on a contact row never say more than its permission rows. Permissions are sealed in the ledger before
their rows arrive (`consent.ledger.seal_rows`): a cancelled or killed import leaves lines without rows, which
give nothing. Taken up again, it meets its own people as known ones and does what is left.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import psycopg
from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext

from envol.accounts.jobs import Cancelled
from envol.accounts.journal import note
from envol.consent import ledger
from envol.contacts.imports import plan as planning
from envol.contacts.imports.plan import PIECE, Plan, Tell, connect, copy_text, policy_params, silent
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.imports.read import Refused
from envol.contacts.imports.receive import copy_of, refuse_when_full
from envol.contacts.models import Import, List
from envol.db import sql, value

CHUNK = 50_000
"""New people written in one transaction."""
PART = 1_000_000
"""New people whose permissions are sealed in one block, and prepared in memory at once."""
_ROW = "id, workspace_id, email, email_key, language, time_zone, props, sources, tags, allowed, suppressed, objected"
_LOCK = "hashtext('envol contacts import')"


@contextmanager
def _alone(pg: psycopg.Connection[Any], workspace_id: int) -> Any:
    """One import at a time in a workspace: plans of two at once would not know of each other."""
    (free,) = pg.execute(f"SELECT pg_try_advisory_lock({_LOCK}, %s)", [workspace_id]).fetchone() or (False,)
    if not free:
        raise ImportProblem(gettext("Another import of this workspace is running: wait until it ends."))
    try:
        yield
    finally:
        if not pg.closed:
            pg.execute(f"SELECT pg_advisory_unlock({_LOCK}, %s)", [workspace_id])


def dry_run(imp: Import, progress: Tell | None = None) -> dict[str, Any]:
    """What `run` would do now: lines, new, updated, unchanged, refused by cause, repeated, suppressed, mailable.

    Writes nothing about anybody; the refused lines can be downloaded. Raises ImportProblem.
    """
    _ready(imp)
    tell = progress or silent
    with Plan(imp) as plan, closing(connect()) as pg:
        plan.stage(tell)
        plan.decide(pg, tell)
        plan.store_refusals(pg)
        imp.counts, imp.state = plan.counts, "checked"
    imp.save(update_fields=["counts", "state"])
    return imp.counts


def _ready(imp: Import) -> None:
    if imp.state in ("done", "undone"):
        raise ImportProblem(gettext("This import has ended: start another with the same file."))
    if "email" not in imp.mapping.values():
        raise ImportProblem(gettext("No column is the e-mail address: choose which one is."))
    copy_of(imp)


def run(imp: Import, progress: Tell | None = None) -> dict[str, Any]:
    """Write what the file says, and answer what was done (the counts of `dry_run`).

    When ``progress`` raises (somebody cancelled), whole chunks stand, the counts say what was done, and a
    later run does the rest. Sends nothing to anybody. Never inside a transaction.
    """
    _ready(imp)
    if connection.in_atomic_block:
        raise RuntimeError("an import commits by itself and cannot run inside a transaction")
    refuse_when_full()
    tell = progress or silent
    with Plan(imp) as plan, closing(connect()) as pg, _alone(pg, imp.workspace_id):
        if imp.list_id and not List.objects.filter(id=imp.list_id, workspace_id=imp.workspace_id).exists():
            raise ImportProblem(gettext("The list of this import is gone: choose another."))
        writer = None
        try:
            plan.stage(tell)
            plan.part(pg, tell)
            Import.objects.filter(id=imp.id).update(state="running", ended_at=None)
            writer = _Writer(imp, plan, pg, tell)
            writer.write()
            imp.state = "done"
        except BaseException as error:
            imp.state = "cancelled" if isinstance(error, Cancelled | KeyboardInterrupt) else "failed"
            raise
        finally:
            imp.counts = writer.counts() if writer else imp.counts
            if not pg.closed:
                plan.store_refusals(pg)
            Import.objects.filter(id=imp.id).update(state=imp.state, counts=imp.counts, ended_at=Now())
            known = {k: imp.counts[k] for k in ("lines", "new", "updated", "unchanged") if k in imp.counts}
            note(imp.workspace_id, "job", f"import.{imp.state}", imp, **known)
    imp.refresh_from_db()
    copy_of(imp).unlink(missing_ok=True)
    return imp.counts


@dataclass
class _Chunk:
    frame: pl.DataFrame
    permissions: Callable[[], bytes] | None
    """Rows for `ledger.COPY_ROWS`, made when they are needed."""


@dataclass
class _Work:
    """What both connections take from, and what they tell."""

    waiting: queue.Queue[Callable[[psycopg.Connection[Any]], None] | None] = field(
        default_factory=lambda: queue.Queue(maxsize=3)
    )
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: BaseException | None = None


class _Writer:
    def __init__(self, imp: Import, plan: Plan, pg: psycopg.Connection[Any], tell: Tell) -> None:
        self.imp, self.plan, self.pg, self.tell = imp, plan, pg, tell
        self.grant = plan.grant
        self.work = _Work()
        self.done = 0
        self.created = self.given = 0
        self.changed_pieces: set[int] = set()
        self.late: list[pl.DataFrame] = []  # somebody else added these people meanwhile
        self.refused: list[Refused] = []
        self.granted_known = 0
        self.fresh = int(plan.one("SELECT count(*) FROM fresh"))
        self.known = int(plan.one("SELECT count(*) FROM known"))
        self.total = self.fresh + self.known
        self.met = False

    def counts(self) -> dict[str, Any]:
        """As the dry run counts; new, updated and given are what has been written."""
        if self.pg.closed or not self.met:
            return {"new": self.created, "updated": 0, "left": self.total - self.done}
        counts = self.plan.count(self.pg)
        counts["new"] = counts["new"] - self.fresh + self.created
        given = self.created and self.given
        counts["permission"] = counts["permission"] | {"given": given + self.granted_known}
        if self.done < self.total:
            counts["left"] = self.total - self.done
            pieces = sorted(self.changed_pieces)
            (updated,) = self.pg.execute(
                "SELECT count(*) FROM import_match WHERE (changed OR grants OR was = 'updated')"
                " AND was IS DISTINCT FROM 'new' AND piece = ANY(%s)",
                [pieces],
            ).fetchone() or (0,)
            counts["updated"] = updated
        return counts

    def write(self) -> None:
        """Known people on the first connection, new ones on the second; who is done first helps."""
        with closing(connect()) as second, closing(connect()) as third:
            threads = [threading.Thread(target=self._take, args=(c,), daemon=True) for c in (second, third)]
            for thread in threads:
                thread.start()
            known = threading.Thread(target=self._known, daemon=True)
            known.start()
            try:
                self._fresh()
                self._step()
            except BaseException as error:
                self.work.failed = self.work.failed or error
                raise
            finally:
                for _ in threads:
                    self._put(None, force=True)
                for thread in [*threads, known]:
                    while thread.is_alive():
                        thread.join(0.2)
            if self.work.failed:
                raise self.work.failed
        if self.late:
            self._late()
        self._grant_known()
        self.plan.refuse(self.refused)
        self._step()

    # -- both connections ----------------------------------------------------------------------

    def _take(self, pg: psycopg.Connection[Any]) -> None:
        while (act := self.work.waiting.get()) is not None:
            if self.work.failed:
                continue
            try:
                act(pg)
            except BaseException as error:
                self.work.failed = self.work.failed or error

    def _put(self, act: Callable[[psycopg.Connection[Any]], None] | None, *, force: bool = False) -> None:
        while True:
            if self.work.failed and not force:
                raise self.work.failed
            try:
                self.work.waiting.put(act, timeout=0.2)
                return
            except queue.Full:
                self._step() if not force else None

    def _step(self) -> None:
        if not self.work.failed:
            self.tell(self.done, self.total, "writing")

    # -- new people ----------------------------------------------------------------------------

    def _fresh(self) -> None:
        for start in range(0, self.fresh, PART):
            stop = min(start + PART, self.fresh)
            ids = self._reserve(stop - start)
            sealed, before = self._seal(start, stop, ids)
            found = self.plan.read(
                "SELECT key, written, language, time_zone, props, sources, tags, ids, suppressed, objected, grants, no,"
                f" since, proof FROM fresh WHERE rowid >= {start:d} AND rowid < {stop:d} ORDER BY rowid",
                rows=CHUNK,
            )
            place = 0
            for frame in found:
                frame = frame.with_columns(ids[place : place + frame.height].alias("id"))
                rows = (
                    (int(before[place]), int(before[place + frame.height])) if sealed is not None else None
                )  # among the sealed lines
                place += frame.height
                self._put(lambda pg, f=frame, r=rows, s=sealed: self._chunk(pg, f, s, r))  # type: ignore[misc]
                self._step()

    def _reserve(self, count: int) -> pl.Series:
        """Ids from the table's own sequence, in order; others may take some in between."""
        sequence = value("SELECT pg_get_serial_sequence('contacts_contact', 'id')")  # its name once, not per row
        query = f"SELECT nextval('{sequence}') FROM generate_series(1, {count:d})"
        found: list[str] = []
        with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
            for text in planning.pieces(copy):
                found.extend(text.split("\n")[:-1])
        return pl.Series(found, dtype=pl.String).cast(pl.Int64)

    def _seal(self, start: int, stop: int, ids: pl.Series) -> tuple[ledger.Sealed | None, pl.Series]:
        """Seal the permissions of a part; the second answer counts them before each place."""
        grant = self.grant
        if grant is None:
            return None, pl.Series([0])
        frame = pl.concat(
            self.plan.read(
                f"SELECT grants, since, proof FROM fresh WHERE rowid >= {start:d} AND rowid < {stop:d} ORDER BY rowid"
            )
        )
        gives = frame["grants"]
        before = pl.concat([pl.Series([0], dtype=pl.Int64), gives.cast(pl.Int64).cum_sum()])
        if not gives.any():
            return None, before
        some = frame.filter(gives)
        since = (
            grant.since if some["since"].n_unique() == 1 and grant.since else some["since"].dt.replace_time_zone("UTC")
        )
        proofs = some["proof"].to_list() if (some["proof"] != "").any() else None
        sealed = ledger.seal_rows(
            self.imp.workspace_id,
            ids.filter(gives).to_list(),
            purpose_id=grant.purpose_id,
            basis=grant.basis,
            since=since.to_list() if isinstance(since, pl.Series) else since,
            evidence_id=grant.evidence_id,
            proofs=proofs,
        )
        return sealed, before

    def _chunk(
        self,
        pg: psycopg.Connection[Any],
        frame: pl.DataFrame,
        sealed: ledger.Sealed | None,
        rows: tuple[int, int] | None,
    ) -> None:
        bit = 1 << self.grant.bit if self.grant else 0
        permissions = sealed.copy_rows(*rows) if sealed is not None and rows and rows[1] > rows[0] else b""
        refused: list[Refused] = []
        while True:
            people = frame.select(
                "id",
                pl.lit(self.imp.workspace_id).alias("w"),
                "written",
                "key",
                "language",
                "time_zone",
                "props",
                "sources",
                "tags",
                pl.when("grants").then(bit).otherwise(0).alias("allowed"),
                "suppressed",
                "objected",
            )
            try:
                with pg.transaction(), pg.cursor() as cursor:
                    cursor.executemany(
                        "INSERT INTO contacts_import_change (import_id, contact_id, created, before)"
                        " VALUES (%s, %s, true, jsonb_build_object('last', %s::bigint))",
                        [(self.imp.id, first, last) for first, last in _ranges(frame["id"])],
                    )
                    with cursor.copy(f"COPY contacts_contact ({_ROW}) FROM STDIN") as copy:
                        copy.write(copy_text(people))
                    if self.imp.list_id:
                        with cursor.copy(
                            "COPY contacts_membership (workspace_id, list_id, contact_id, source_id) FROM STDIN"
                        ) as copy:
                            copy.write(
                                copy_text(
                                    frame.select(
                                        pl.lit(self.imp.workspace_id).alias("w"),
                                        pl.lit(self.imp.list_id).alias("l"),
                                        "id",
                                        pl.lit(self.imp.source_id).alias("s"),
                                    )
                                )
                            )
                    refused = self._identifiers(cursor, frame.select("id", "no", "ids"))
                    if permissions:
                        with cursor.copy(ledger.COPY_ROWS) as copy:
                            copy.write(permissions)
                break
            except psycopg.errors.UniqueViolation:
                (taken,) = pg.execute(
                    "SELECT array_agg(email_key) FROM contacts_contact WHERE workspace_id = %s AND email_key = ANY(%s)",
                    [self.imp.workspace_id, frame["key"].to_list()],
                ).fetchone() or (None,)
                if not taken:
                    raise
                # These people came by another door meanwhile: they are known now.
                lost = frame["key"].is_in(pl.Series(taken, dtype=pl.String).implode())
                if permissions:
                    lines = permissions.splitlines(keepends=True)
                    stays = frame.filter("grants")["key"].is_in(pl.Series(taken, dtype=pl.String).implode())
                    permissions = b"".join(line for line, out in zip(lines, stays, strict=True) if not out)
                with self.work.lock:
                    self.late.append(frame.filter(lost))
                frame = frame.filter(~lost)
        with self.work.lock:
            self.done += frame.height
            self.created += frame.height
            self.given += int(frame["grants"].sum() or 0)
            self.refused.extend(refused)

    def _identifiers(self, cursor: psycopg.Cursor[Any], frame: pl.DataFrame) -> list[Refused]:
        """Give identifiers to people (id, no, ids); who wears another's is listed."""
        some = frame.filter(pl.col("ids") != "{}")
        if not some.height:
            return []
        cursor.execute("CREATE TEMP TABLE import_ids (contact_id bigint, ids jsonb) ON COMMIT DROP")
        with cursor.copy("COPY import_ids FROM STDIN") as copy:
            copy.write(copy_text(some.select("id", "ids")))
        cursor.execute(sql("contacts", "import_identifiers"), {"workspace": self.imp.workspace_id})
        taken = cursor.fetchall()
        if not taken:
            return []
        numbers = dict(some.select("id", "no").iter_rows())
        return [Refused(numbers[i], "identifier", f"{kind}: {text}", "") for i, kind, text in taken]

    # -- known people --------------------------------------------------------------------------

    def _known(self) -> None:
        try:
            # Here, and not before: comparing goes on while the permissions of new people are sealed.
            self.plan.meet(self.pg)
            self.met = True
            for piece in range(self._pieces()):
                if self.work.failed:
                    return
                self._piece(piece)
        except BaseException as error:
            self.work.failed = self.work.failed or error

    def _pieces(self) -> int:
        (pieces,) = self.pg.execute("SELECT coalesce(max(piece) + 1, 0) FROM import_match").fetchone() or (0,)
        return int(pieces)

    def _piece(self, piece: int) -> None:
        params = {
            "piece": piece,
            "import": self.imp.id,
            "workspace": self.imp.workspace_id,
            "source": self.imp.source_id,
            "list": self.imp.list_id,
            **policy_params(self.imp),
        }
        with self.pg.transaction(), self.pg.cursor() as cursor:
            cursor.execute(sql("contacts", "import_update"), params)
            if self.imp.list_id:
                cursor.execute(sql("contacts", "import_join"), params)
            cursor.execute(
                "SELECT m.id, m.no, n.ids::text FROM import_match m JOIN import_line n USING (no)"
                " WHERE m.piece = %s AND n.ids <> '{}'",
                [piece],
            )
            ids = cursor.fetchall()
            refused = []
            if ids:
                refused = self._identifiers(cursor, pl.DataFrame(ids, schema=["id", "no", "ids"], orient="row"))
            (size,) = cursor.execute("SELECT count(*) FROM import_match WHERE piece = %s", [piece]).fetchone() or (0,)
        with self.work.lock:
            self.changed_pieces.add(piece)
            self.done += size
            self.refused.extend(refused)

    def _grant_known(self) -> None:
        """Ledger lines for known people who had no answer yet. Who refused is not among them."""
        grant = self.grant
        if grant is None:
            return
        found = self.pg.execute(
            "SELECT m.id, n.since, n.proof FROM import_match m JOIN import_line n USING (no)"
            " WHERE m.grants ORDER BY m.id"
        ).fetchall()
        for start in range(0, len(found), PIECE):
            lines = [
                ledger.Line(i, grant.purpose_id, "granted", grant.basis, since, grant.evidence_id, proof)
                for i, since, proof in found[start : start + PIECE]
            ]
            ledger.append(self.imp.workspace_id, lines)
            self.granted_known += len(lines)
            self._step()

    def _late(self) -> None:
        """People who were new when the plan was made and known when their chunk came."""
        late = pl.concat(self.late).select(
            "no", "key", "language", "time_zone", "props", "sources", "tags", "ids", "grants", "since", "proof"
        )
        # What the first match still has to give is given before its table goes.
        self._grant_known()
        self.pg.execute("DROP TABLE import_match")
        self.pg.execute("DROP TABLE import_line")
        self.plan.match(self.pg, iter([late]))
        for piece in range(self._pieces()):
            self._piece(piece)


def _ranges(ids: pl.Series) -> list[tuple[int, int]]:
    """Unbroken runs of ascending ids: one in a quiet base, a few when others were writing."""
    if not len(ids):
        return []
    breaks = (ids.diff() != 1).fill_null(True).arg_true().to_list()
    return [(int(ids[first]), int(ids[last - 1])) for first, last in zip(breaks, [*breaks[1:], len(ids)], strict=True)]
