"""Decide, before anything is written, what an import will do: the dry run.

Lines are cleaned block by block and put down on the disk, sorted by address (`stage`; see
`envol.contacts.imports.staging`). Then one range of addresses after the other is decided (`parts`): the last line
of an address wins; the base and the suppression list say who is new, known or not to be written to. So a file
may be larger than memory, and the first people are written while later ones are still undecided. A run reads
the file again and asks the base again: hours may lie between, and nobody's address lies about in a staging file.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from queue import SimpleQueue
from typing import Any

import polars as pl
import psycopg
from django.db import connection
from django.utils import translation

from envol.consent import suppression
from envol.contacts.imports import kept
from envol.contacts.imports.clean import NOT_GRANTED, Cleaner
from envol.contacts.imports.mapping import properties_of
from envol.contacts.imports.permission import Grant, grant_of
from envol.contacts.imports.read import Block, Refused, blocks
from envol.contacts.imports.receive import copy_of, folder
from envol.contacts.imports.staging import Staging
from envol.contacts.models import Import, Source
from envol.db import sql

Tell = Callable[[int, int | None, str], None]
"""``tell(done, total, step)``; it may raise to stop the work."""

CLEANERS = 2
"""Threads that clean, and blocks in memory: polars lets go of the interpreter."""
PIECE = 20_000
"""Known people compared, and changed, in one transaction."""
_COLUMNS = [
    "no",
    "key",
    "written",
    "language",
    "time_zone",
    "props",
    "sources",
    "ids",
    "tags",
    "since",
    "proof",
    "mail",
]
_SEND = 5  # a base this many times larger than the file is asked for the file's keys only
_LISTED = 200_000  # a longer suppression list is asked for the file's addresses only


def silent(done: int, total: int | None, step: str) -> None:
    """Progress that nobody watches."""


def connect() -> psycopg.Connection[Any]:
    """A connection of the import's own, to the database Django uses."""
    known = connection.get_connection_params()
    params = {k: v for k, v in known.items() if k not in ("cursor_factory", "context", "prepare_threshold")}
    opened = psycopg.connect(**params, autocommit=True)
    opened.execute("SET work_mem = '64MB'")
    return opened


@dataclass
class Part:
    """The people of one range of addresses, each with the line that counts."""

    fresh: pl.DataFrame
    """New people in key order, with ``suppressed``, ``objected`` and ``grants``."""
    known: pl.DataFrame
    """Lines of people in the base, with their ``id`` and ``grants``."""
    lines: int


@dataclass
class Tally:
    """What the report says. A dry run counts what is decided, a run what is written."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    suppressed: int = 0
    erased: int = 0
    mailable: int = 0
    given: int = 0
    already: int = 0
    kept_refused: int = 0
    mail: Counter[int] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for one in fields(self):
            if one.name != "mail":
                setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))
        self.mail.update(other.mail)


class Plan:
    """The lines of one import on their way through. Use as a context manager."""

    def __init__(self, imp: Import) -> None:
        self.imp = imp
        self.grant: Grant | None = grant_of(imp)
        self.again = imp.state in ("running", "cancelled", "failed")
        self.tally = Tally()
        self.refused: Counter[str] = Counter()
        self.whole = 0  # refused lines; the others are imported without a value
        self._read: kept.Version = ()
        self._listed: dict[bytes, suppression.Suppressed] | None = None

    def __enter__(self) -> Plan:
        self.staging = Staging(folder())
        self._refusals = tempfile.TemporaryFile(dir=folder())
        return self

    def __exit__(self, *_: object) -> None:
        self.staging.close()
        self._refusals.close()

    # -- stage ---------------------------------------------------------------------------------

    def stage(self, tell: Tell) -> None:
        """Read and clean the whole file."""
        imp = self.imp
        source_id = _source(imp)
        path = copy_of(imp)
        self._read = kept.version(path)
        total = path.stat().st_size if imp.format["kind"] != "xlsx" else None
        cleaners: SimpleQueue[Cleaner] = SimpleQueue()
        for _ in range(CLEANERS):
            cleaners.put(Cleaner(imp, self.grant, source_id))

        language = translation.get_language() or "en"  # a thread begins in that of the installation

        def clean(block: Block) -> list[Refused]:
            cleaner = cleaners.get()
            try:
                with translation.override(language):
                    staged, refused = cleaner.clean(block.rows)
                self.staging.add(staged.select(_COLUMNS))
                return block.refused + refused
            finally:
                cleaners.put(cleaner)

        waiting: deque[tuple[Future[list[Refused]], int]] = deque()

        def take() -> None:
            done, octets = waiting.popleft()
            self.refuse(done.result())
            tell(octets, total, "reading")

        with ThreadPoolExecutor(CLEANERS, "clean") as pool:
            try:
                for block in blocks(path, imp.format):
                    while len(waiting) >= CLEANERS:
                        take()
                    waiting.append((pool.submit(clean, block), block.done))
                while waiting:
                    take()
            finally:
                pool.shutdown(cancel_futures=True)

    def refuse(self, found: Sequence[Refused]) -> None:
        """Keep what was refused, on the disk, until `store_refusals`."""
        if not found:
            return
        causes = Counter(one.cause for one in found)
        self.refused += causes
        self.whole += sum(n for cause, n in causes.items() if cause not in ("value", "identifier", "key"))
        frame = pl.DataFrame(found, schema=["no", "cause", "value", "row"], orient="row")
        self._refusals.write(copy_text(frame.insert_column(0, pl.lit(self.imp.id).alias("import"))))

    def store_refusals(self, pg: psycopg.Connection[Any]) -> None:
        """The refused lines, where the page and `refused_csv` find them."""
        self._refusals.seek(0)
        with pg.transaction(), pg.cursor() as cursor:
            kept.alone(cursor, self.imp)
            cursor.execute("DELETE FROM contacts_import_refusal WHERE import_id = %s", [self.imp.id])
            with cursor.copy("COPY contacts_import_refusal (import_id, line, cause, value, row) FROM STDIN") as copy:
                shutil.copyfileobj(self._refusals, copy, 1 << 17)
            kept.bury(cursor, self.imp, self._read)

    # -- decide --------------------------------------------------------------------------------

    def parts(self, pg: psycopg.Connection[Any]) -> Iterator[Part]:
        """Meet the base, one range of addresses after the other."""
        for lines in self.staging.parts():
            yield self._part(pg, lines)

    def _part(self, pg: psycopg.Connection[Any], lines: pl.DataFrame) -> Part:
        if self.grant:
            self.tally.mail.update(dict(lines["mail"].value_counts().iter_rows()))
        listed = self._suppressed(lines)
        self.tally.suppressed += listed.height
        self.tally.erased += int(listed["erased"].sum())
        some = lines.join(listed, on="key", how="left", maintain_order="left")
        marketing = self.grant is None or self.grant.marketing
        refuses = pl.col("suppressed").is_not_null() if marketing else pl.col("suppressed").fill_null(False)
        some = some.with_columns(
            pl.col("suppressed", "objected", "erased").fill_null(False), grants=(pl.col("mail") == 0) & ~refuses
        )
        some = some.join(self._known(pg, lines), on="key", how="left", maintain_order="left")
        new = some["id"].is_null()
        return Part(some.filter(new & ~some["erased"]).drop("id", "erased"), some.filter(~new), lines.height)

    def _known(self, pg: psycopg.Connection[Any], lines: pl.DataFrame) -> pl.DataFrame:
        """Keys and ids of those the base knows."""
        most = _SEND * (lines.height + 1000)
        within = "workspace_id = %s AND email_key BETWEEN %s AND %s"
        bounds = [self.imp.workspace_id, lines["key"][0], lines["key"][-1]]
        (base,) = pg.execute(
            f"SELECT count(*) FROM (SELECT FROM contacts_contact WHERE {within} LIMIT {most:d}) x", bounds
        ).fetchone() or (0,)
        if not base:
            return pl.DataFrame(schema={"key": pl.String, "id": pl.Int64})
        query, params = f"SELECT email_key, id FROM contacts_contact WHERE {within}", bounds
        with pg.cursor() as cursor:
            if base >= most:
                cursor.execute("DROP TABLE IF EXISTS import_key")
                cursor.execute('CREATE TEMP TABLE import_key (key text COLLATE "C")')
                with cursor.copy("COPY import_key FROM STDIN") as copy:
                    copy.write(copy_text(lines.select("key")))
                cursor.execute("ANALYZE import_key")
                query = (
                    "SELECT c.email_key, c.id FROM contacts_contact c JOIN import_key k ON c.email_key = k.key"
                    " WHERE c.workspace_id = %s"
                )
                params = bounds[:1]
            return read_copy(cursor, query, params, {"key": pl.String, "id": pl.Int64})

    def known_at(self, pg: psycopg.Connection[Any], lines: pl.DataFrame) -> pl.DataFrame:
        """These lines of new people, for those whom the base knows by now."""
        return lines.drop("id").join(self._known(pg, lines.sort("key")), on="key")

    def _suppressed(self, lines: pl.DataFrame) -> pl.DataFrame:
        """The addresses that are on the suppression list. No digest is made for an empty list."""
        workspace_id, keys = self.imp.workspace_id, []
        found: dict[str, suppression.Suppressed] = {}
        if self._listed is None and suppression.count(workspace_id) <= _LISTED:
            self._listed = suppression.digests(workspace_id)
        if self._listed is None:
            found = suppression.lookup(workspace_id, lines["key"].to_list())
        elif self._listed:
            keys = lines["key"].to_list()
            digests = suppression.digest_many(workspace_id, keys)
            found = {k: self._listed[d] for k, d in zip(keys, digests, strict=True) if d in self._listed}
        rows = [(key, one.scope == "all", one.objected, one.erased) for key, one in found.items()]
        schema = {"key": pl.String, "suppressed": pl.Boolean, "objected": pl.Boolean, "erased": pl.Boolean}
        return pl.DataFrame(rows, schema=schema, orient="row")

    # -- meet ----------------------------------------------------------------------------------

    def decide(self, pg: psycopg.Connection[Any], tell: Tell) -> None:
        """Count what a run would do, and write nothing."""
        done = 0
        for part in self.parts(pg):
            tell(done, self.staging.kept, "comparing")
            self.tally.add(self.count_new(part.fresh))
            for piece in part.known.iter_slices(PIECE):
                with pg.transaction():
                    found, _ = self.match(pg, piece)
                self.tally.add(found)
            done += part.lines

    def count_new(self, fresh: pl.DataFrame) -> Tally:
        given = 0
        if self.grant:
            given = int(fresh.select((pl.col("grants") & ~pl.col("suppressed")).sum()).item())
        return Tally(new=fresh.height, given=given, mailable=given)

    def match(self, pg: psycopg.Connection[Any], lines: pl.DataFrame) -> tuple[Tally, list[tuple[Any, ...]]]:
        """Compare known people with their lines: table ``import_match``, until the transaction ends.

        Answers how many do what, and to whom a permission is given: (contact, since, proof).
        """
        imp, grant = self.imp, self.grant
        pg.execute(sql("contacts", "import_line"))
        with pg.cursor() as cursor, cursor.copy("COPY import_line FROM STDIN") as copy:
            copy.write(copy_text(lines.select(_LINE)))
        pg.execute(
            sql("contacts", "import_match"),
            {
                "bit": 1 << grant.bit if grant else 0,
                "marketing": grant is None or grant.marketing,
                "workspace": imp.workspace_id,
                "import": imp.id,
                "again": self.again,
                **policy_params(imp),
            },
        )
        counted = (
            pg.execute(
                "SELECT count(*) FILTER (WHERE was = 'new'),"
                " count(*) FILTER (WHERE (changed OR grants OR was = 'updated') AND was IS DISTINCT FROM 'new'),"
                " count(*) FILTER (WHERE NOT changed AND NOT grants AND was IS NULL),"
                " count(*) FILTER (WHERE grants OR allowed), count(*) FILTER (WHERE allowed),"
                " count(*) FILTER (WHERE refused), count(*) FILTER (WHERE grants) FROM import_match"
            ).fetchone()
            or (0,) * 7
        )
        found = Tally(*counted[:3])
        if grant:
            found.mailable, found.already, found.kept_refused, found.given = counted[3:]
        if not counted[6]:
            return found, []
        query = "SELECT id, since, proof FROM import_match WHERE grants ORDER BY id"
        return found, pg.execute(query).fetchall()

    def counts(self) -> dict[str, Any]:
        tally = self.tally
        reasons = {NOT_GRANTED[mail]: n for mail, n in tally.mail.items() if mail} if self.grant else {}
        return {
            "lines": self.staging.lines + self.whole,
            "new": tally.new,
            "updated": tally.updated,
            "unchanged": tally.unchanged,
            "refused": dict(sorted(self.refused.items())),
            "repeated": self.staging.repeated,
            "suppressed": tally.suppressed,
            "erased": tally.erased,
            "mailable": tally.mailable,
            "permission": {
                "given": tally.given,
                "already": tally.already,
                "kept_refused": tally.kept_refused,
                **reasons,
            },
        }


_LINE = ["no", "id", "key", "language", "time_zone", "props", "sources", "tags", "ids", "grants", "since", "proof"]


def policy_params(imp: Import) -> dict[str, Any]:
    targets = set(imp.mapping.values())
    return {
        "policy": imp.policy,
        "mapped": properties_of(targets),
        "language": "language" in targets,
        "time_zone": "time_zone" in targets,
    }


def copy_text(frame: pl.DataFrame) -> bytes:
    """Rows in the text format of COPY: tabs, \\N for null, backslashes and line ends escaped."""
    texts = [name for name, kind in frame.schema.items() if kind == pl.String]
    slashed = [n for n in texts if frame[n].str.contains("\\", literal=True).any()]
    broken = [n for n in texts if frame[n].str.contains(r"[\t\r\n]").any()]
    if slashed:
        frame = frame.with_columns(pl.col(n).str.replace_all("\\", "\\\\", literal=True) for n in slashed)
    for sign, word in (("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
        if broken:
            frame = frame.with_columns(pl.col(n).str.replace_all(sign, word, literal=True) for n in broken)
    moments = [name for name, kind in frame.schema.items() if kind == pl.Datetime]
    if moments:
        frame = frame.with_columns(pl.col(n).dt.strftime("%Y-%m-%d %H:%M:%S%.6f+00") for n in moments)
    out = io.BytesIO()
    frame.write_csv(out, separator="\t", quote_style="never", null_value="\\N", include_header=False)
    return out.getvalue()


def read_copy(cursor: Any, query: str, params: Sequence[Any], schema: dict[str, Any]) -> pl.DataFrame:
    """A query's answer as a frame, by COPY: no object for each value."""
    text = io.BytesIO()
    with cursor.copy(f"COPY ({query}) TO STDOUT", params) as copy:
        for data in copy:
            text.write(data)
    if not text.tell():
        return pl.DataFrame(schema=schema)
    text.seek(0)
    frame = pl.read_csv(text, separator="\t", quote_char=None, has_header=False, schema=schema, null_values="\\N")
    slashed = [n for n, kind in schema.items() if kind == pl.String and frame[n].str.contains("\\", literal=True).any()]
    # An address may hold a backslash in quotation marks, and no other sign that COPY escapes.
    return frame.with_columns(pl.col(n).str.replace_all("\\\\", "\\", literal=True) for n in slashed)


def _source(imp: Import) -> int:
    """The one source row of this import."""
    if imp.source_id is None:
        actor = f"member {imp.member_id}" if imp.member_id else "command"
        row = Source.objects.create(
            workspace_id=imp.workspace_id, kind="import", label=imp.file_name[:200], actor=actor, import_id=imp.id
        )
        imp.source_id = row.id
        imp.save(update_fields=["source_id"])
    return imp.source_id
