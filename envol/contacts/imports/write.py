"""Run an import: two connections, whole chunks of new people, whole pieces of known ones.

A chunk's people, their permissions and their places on the list arrive in one transaction, so the
masks on a contact row never say more than its permission rows. Permissions are sealed in the ledger before
their rows arrive (`consent.ledger.seal_rows`): a cancelled or killed import leaves lines without rows, which
give nothing. Taken up again, it meets its own people as known ones and does what is left.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg
from django.db import connection
from django.db.models.functions import Now
from django.utils.translation import gettext

from envol.accounts.jobs import Cancelled
from envol.accounts.journal import note
from envol.consent import ledger
from envol.contacts.imports import kept, origin
from envol.contacts.imports.plan import (
    PIECE,
    Part,
    Plan,
    Tally,
    Tell,
    connect,
    copy_text,
    policy_params,
    read_copy,
    silent,
)
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.imports.read import Refused
from envol.contacts.imports.receive import copy_of, forget_file, refuse_when_full
from envol.contacts.models import Import, List
from envol.db import sql, value

CHUNK = 25_000
"""New people written in one transaction."""
SENT = 10_000
"""Rows handed to COPY at once: the server stores them while the next are made."""
_ROW = (
    "id, workspace_id, email, email_key, language, time_zone, props, sources, tags, allowed, suppressed, objected,"
    " source_id"
)
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
        imp.counts, imp.state = plan.counts(), "checked"
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
    origin.must_be_said(imp)
    refuse_when_full()
    tell, begun = progress or silent, datetime.now(UTC)
    with Plan(imp) as plan, closing(connect()) as pg, _alone(pg, imp.workspace_id):
        if imp.list_id and not List.objects.filter(id=imp.list_id, workspace_id=imp.workspace_id).exists():
            raise ImportProblem(gettext("The list of this import is gone: choose another."))
        writer = None
        try:
            plan.stage(tell)
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
            origin.begin(imp)
            kept.erase_again(imp, begun)
    imp.refresh_from_db()
    forget_file(imp)
    return imp.counts


@dataclass
class _Work:
    """What both connections take from, and what they tell."""

    waiting: queue.Queue[Callable[[psycopg.Connection[Any]], None] | None] = field(
        default_factory=lambda: queue.Queue(maxsize=1)
    )
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: BaseException | None = None


class _Writer:
    def __init__(self, imp: Import, plan: Plan, pg: psycopg.Connection[Any], tell: Tell) -> None:
        self.imp, self.plan, self.pg, self.tell = imp, plan, pg, tell
        self.grant = plan.grant
        self.work = _Work()
        self.done, self.ended = 0, False
        self.late: list[pl.DataFrame] = []  # somebody else added these people meanwhile
        self.granted: list[tuple[Any, ...]] = []  # known people whose permission is not in the ledger yet

    def counts(self) -> dict[str, Any]:
        """As the dry run counts, but what has been written; how many lines are left when it was stopped."""
        counts = self.plan.counts()
        if not self.ended:
            counts["left"] = max(0, self.plan.staging.kept - self.done)
        return counts

    def write(self) -> None:
        """One part after the other is decided and sealed here; two connections write what is ready."""
        with closing(connect()) as first, closing(connect()) as second:
            threads = [threading.Thread(target=self._take, args=(c,), daemon=True) for c in (first, second)]
            for thread in threads:
                thread.start()
            try:
                self._step()
                for part in self.plan.parts(self.pg):
                    self._part(part)
                    self._grant_known(PIECE)
            except BaseException as error:
                self.work.failed = self.work.failed or error
                raise
            finally:
                for _ in threads:
                    self._put(None, force=True)
                for thread in threads:
                    while thread.is_alive():
                        thread.join(0.2)
            if self.work.failed:
                raise self.work.failed
        if self.late:
            late = pl.concat(self.late)
            for piece in self.plan.known_at(self.pg, late).iter_slices(PIECE):
                self._known(self.pg, piece)
        self._grant_known()
        self.ended = True
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
            kept = self.plan.staging.kept
            self.tell(kept if self.ended else self.done, kept, "writing")

    # -- new people ----------------------------------------------------------------------------

    def _part(self, part: Part) -> None:
        # First those whose writing needs nothing of the ledger: sealing goes on meanwhile.
        for piece in part.known.iter_slices(PIECE):
            self._put(lambda pg, p=piece: self._known(pg, p))  # type: ignore[misc]
        fresh = part.fresh
        if fresh.height:
            fresh = fresh.with_columns(self._reserve(fresh.height))
            sealed = self._seal(fresh.select("id", "grants", "since", "proof").filter("grants")) if self.grant else None
            place = 0  # among the sealed lines
            for frame in fresh.iter_slices(CHUNK):
                stop = place + int(frame["grants"].sum())
                self._put(lambda pg, f=frame, r=(place, stop): self._chunk(pg, f, sealed, r))  # type: ignore[misc]
                place = stop
                self._step()
        with self.work.lock:  # repeated, erased
            self.done += part.lines - part.fresh.height - part.known.height
        self._step()

    def _reserve(self, count: int) -> pl.Series:
        """Ids from the table's own sequence, in order; others may take some in between."""
        sequence = value("SELECT pg_get_serial_sequence('contacts_contact', 'id')")  # its name once, not per row
        query = f"SELECT nextval('{sequence}') FROM generate_series(1, {count:d})"
        with connection.cursor() as cursor:
            return read_copy(cursor, query, (), {"id": pl.Int64})["id"]

    def _seal(self, some: pl.DataFrame) -> ledger.Sealed | None:
        """Seal the permissions of a part in one block."""
        grant = self.grant
        if grant is None or not some.height:
            return None
        since = (
            grant.since if some["since"].n_unique() == 1 and grant.since else some["since"].dt.replace_time_zone("UTC")
        )
        proofs = some["proof"].to_list() if (some["proof"] != "").any() else None
        return ledger.seal_rows(
            self.imp.workspace_id,
            some["id"].to_list(),
            purpose_id=grant.purpose_id,
            basis=grant.basis,
            since=since.to_list() if isinstance(since, pl.Series) else since,
            evidence_id=grant.evidence_id,
            proofs=proofs,
        )

    def _chunk(
        self,
        pg: psycopg.Connection[Any],
        frame: pl.DataFrame,
        sealed: ledger.Sealed | None,
        rows: tuple[int, int],
    ) -> None:
        """Write some new people; ``rows`` are their places among the sealed lines."""
        imp = self.imp
        lines: Sequence[int] = range(*rows)
        while True:
            people = frame.select(
                "id",
                pl.lit(imp.workspace_id).alias("w"),
                "written",
                "key",
                "language",
                "time_zone",
                "props",
                "sources",
                "tags",
                pl.when("grants").then(1 << self.grant.bit if self.grant else 0).otherwise(0).alias("allowed"),
                "suppressed",
                "objected",
                pl.lit(imp.source_id).alias("source_id"),
            )
            try:
                with pg.transaction(), pg.cursor() as cursor:
                    cursor.executemany(
                        "INSERT INTO contacts_import_change (import_id, contact_id, created, before)"
                        " VALUES (%s, %s, true, jsonb_build_object('last', %s::bigint))",
                        [(imp.id, first, last) for first, last in _ranges(frame["id"])],
                    )
                    with cursor.copy(f"COPY contacts_contact ({_ROW}) FROM STDIN") as copy:
                        _send(copy, people)
                    if imp.list_id:
                        places = frame.select(
                            pl.lit(imp.workspace_id).alias("w"),
                            pl.lit(imp.list_id).alias("l"),
                            "id",
                            pl.lit(imp.source_id).alias("s"),
                        )
                        with cursor.copy(
                            "COPY contacts_membership (workspace_id, list_id, contact_id, source_id) FROM STDIN"
                        ) as copy:
                            _send(copy, places)
                    refused = self._identifiers(cursor, frame.select("id", "no", "ids"))
                    if sealed is not None and lines:
                        with cursor.copy(ledger.COPY_ROWS) as copy:
                            for start in range(0, len(lines), SENT):
                                copy.write(sealed.copy_rows(lines[start : start + SENT]))
                break
            except psycopg.errors.UniqueViolation:
                (taken,) = pg.execute(
                    "SELECT array_agg(email_key) FROM contacts_contact WHERE workspace_id = %s AND email_key = ANY(%s)",
                    [imp.workspace_id, frame["key"].to_list()],
                ).fetchone() or (None,)
                if not taken:
                    raise
                # These people came by another door meanwhile: they are known now.
                known = pl.Series(taken, dtype=pl.String).implode()
                if sealed is not None:
                    stays = ~frame.filter("grants")["key"].is_in(known)
                    lines = [line for line, stay in zip(lines, stays, strict=True) if stay]
                lost = frame["key"].is_in(known)
                with self.work.lock:
                    self.late.append(frame.filter(lost))
                frame = frame.filter(~lost)
        with self.work.lock:
            self.done += frame.height
            self.plan.tally.add(self.plan.count_new(frame))
            self.plan.refuse(refused)

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

    def _known(self, pg: psycopg.Connection[Any], lines: pl.DataFrame) -> None:
        """Compare one piece of the known people with their lines, and change whom they change."""
        params = {
            "import": self.imp.id,
            "workspace": self.imp.workspace_id,
            "source": self.imp.source_id,
            "list": self.imp.list_id,
            **policy_params(self.imp),
        }
        with pg.transaction(), pg.cursor() as cursor:
            found, granted = self.plan.match(pg, lines)
            if found.updated or found.new:
                cursor.execute(sql("contacts", "import_update"), params)
            if self.imp.list_id:
                cursor.execute(sql("contacts", "import_join"), params)
            refused = self._identifiers(cursor, lines.select("id", "no", "ids"))
        # Given once they are in the ledger.
        found.given = 0
        with self.work.lock:
            self.done += lines.height
            self.plan.tally.add(found)
            self.plan.refuse(refused)
            self.granted.extend(granted)

    def _grant_known(self, least: int = 1) -> None:
        """Ledger lines for known people who had no answer yet. Who refused is not among them."""
        grant = self.grant
        with self.work.lock:
            if grant is None or len(self.granted) < least:
                return
            found, self.granted = self.granted, []
        for start in range(0, len(found), PIECE):
            lines = [
                ledger.Line(i, grant.purpose_id, "granted", grant.basis, since, grant.evidence_id, proof)
                for i, since, proof in found[start : start + PIECE]
            ]
            ledger.append(self.imp.workspace_id, lines)
            self.plan.tally.add(Tally(given=len(lines)))
            self._step()


def _send(copy: psycopg.Copy, frame: pl.DataFrame) -> None:
    for some in frame.iter_slices(SENT):
        copy.write(copy_text(some))


def _ranges(ids: pl.Series) -> list[tuple[int, int]]:
    """Unbroken runs of ascending ids: one in a quiet base, a few when others were writing."""
    if not len(ids):
        return []
    breaks = (ids.diff() != 1).fill_null(True).arg_true().to_list()
    return [(int(ids[first]), int(ids[last - 1])) for first, last in zip(breaks, [*breaks[1:], len(ids)], strict=True)]
