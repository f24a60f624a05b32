"""Decide, before anything is written, what an import will do: the dry run.

Lines are cleaned block by block into DuckDB tables (`stage`), whose memory is limited and which spill
into a closed directory: a file may be larger than memory. There, over all blocks, the last line of
an address wins; the base and the suppression list then say who is new, known or not to be written to
(`decide`). A run reads the file again and asks the base again: hours may lie between, and nobody's address
lies about in a staging file meanwhile.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import polars as pl
import psycopg
from django.db import connection

from envol.consent import suppression
from envol.contacts.imports.clean import NOT_GRANTED, Cleaner
from envol.contacts.imports.permission import Grant, grant_of
from envol.contacts.imports.read import Refused, blocks
from envol.contacts.imports.receive import copy_of, folder
from envol.contacts.models import Import, Source
from envol.db import sql, value

Tell = Callable[[int, int | None, str], None]
"""``tell(done, total, step)``; it may raise to stop the work."""

MEMORY_LIMIT = "1GB"
_LINE = (
    "no BIGINT, key VARCHAR, written VARCHAR, language VARCHAR, time_zone VARCHAR, props VARCHAR, sources VARCHAR,"
    " ids VARCHAR, tags VARCHAR, since TIMESTAMP, proof VARCHAR, mail TINYINT"
)
_COLUMNS = [part.split()[0] for part in _LINE.split(", ")]
_SEND = 5  # a base this many times larger than the file is asked for the file's keys only


def silent(done: int, total: int | None, step: str) -> None:
    """Progress that nobody watches."""


def connect() -> psycopg.Connection[Any]:
    """A connection of the import's own, to the database Django uses."""
    known = connection.get_connection_params()
    params = {k: v for k, v in known.items() if k not in ("cursor_factory", "context", "prepare_threshold")}
    opened = psycopg.connect(**params, autocommit=True)
    opened.execute("SET work_mem = '64MB'")
    return opened


class Plan:
    """The staging tables of one import, and what was decided from it. Use as a context manager."""

    def __init__(self, imp: Import) -> None:
        self.imp = imp
        self.grant: Grant | None = grant_of(imp)
        self.counts: dict[str, Any] = {}

    def __enter__(self) -> Plan:
        self._spill = tempfile.TemporaryDirectory(prefix=f"{self.imp.pk}-", suffix=".spill", dir=folder())
        self.db = duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": MEMORY_LIMIT,
                "threads": "2",
            },
        )
        # Nothing a file says can make the engine open another one.
        self.db.execute(f"SET temp_directory = '{self._spill.name.replace(chr(39), chr(39) * 2)}'")
        self.db.execute("SET enable_external_access = false")
        self.db.execute("SET lock_configuration = true")
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()
        self._spill.cleanup()

    # -- stage ---------------------------------------------------------------------------------

    def stage(self, tell: Tell) -> None:
        """Read and clean the whole file."""
        imp = self.imp
        source_id = _source(imp)
        self.db.execute(f"CREATE TABLE line ({_LINE})")
        self.db.execute("CREATE TABLE refusal (no BIGINT, cause VARCHAR, value VARCHAR, row VARCHAR)")
        path = copy_of(imp)
        total = path.stat().st_size if imp.format["kind"] != "xlsx" else None
        cleaner = Cleaner(imp, self.grant, source_id)
        for block in blocks(path, imp.format):
            staged, refused = cleaner.clean(block.rows)
            self._insert("line", staged.select(_COLUMNS))
            refused = block.refused + refused
            if refused:
                self._insert("refusal", pl.DataFrame(refused, schema=["no", "cause", "value", "row"], orient="row"))
            tell(block.done, total, "reading")

    def _insert(self, table: str, frame: pl.DataFrame) -> None:
        if frame.height:
            self.db.register("batch", frame.to_arrow())
            self.db.execute(f"INSERT INTO {table} SELECT * FROM batch")
            self.db.unregister("batch")

    def refuse(self, found: Sequence[Refused]) -> None:
        """Add refusals that only the run could find."""
        if found:
            frame = pl.DataFrame(found, schema=["no", "cause", "value", "row"], orient="row")
            self._insert("refusal", frame)

    def read(self, query: str, params: Sequence[Any] = (), rows: int = 100_000) -> Iterator[pl.DataFrame]:
        """A query's answer in pieces, on a cursor of its own; nothing is held but the piece."""
        for batch in self.db.cursor().sql(query, params=list(params)).to_arrow_reader(rows):
            yield pl.DataFrame(pl.from_arrow(batch))

    def one(self, query: str) -> Any:
        found = self.db.execute(query).fetchall()
        return found[0][0] if found else None

    # -- decide --------------------------------------------------------------------------------

    def decide(self, pg: psycopg.Connection[Any], tell: Tell) -> None:
        """Meet the base: tables ``fresh`` (in key order) here, ``import_line`` and ``import_match`` there."""
        self.part(pg, tell)
        self.meet(pg)
        self.counts = self.count(pg)

    def part(self, pg: psycopg.Connection[Any], tell: Tell) -> None:
        """Part new people (``fresh``) from those the base knows."""
        db = self.db
        tell(0, None, "comparing")
        db.execute(
            "CREATE OR REPLACE TABLE loser AS SELECT l.no FROM line l JOIN"
            " (SELECT key, max(no) AS last FROM line GROUP BY key HAVING count(*) > 1) d"
            " ON l.key = d.key AND l.no <> d.last"
        )
        self._fetch_known(pg)
        self._find_suppressed()
        grants = self._grants()
        db.execute(
            "CREATE OR REPLACE TABLE fresh AS"
            " SELECT l.* EXCLUDE (mail), l.mail, coalesce(s.whole, false) AS suppressed,"
            f" coalesce(s.objected, false) AS objected, {grants} AS grants"
            " FROM line l LEFT JOIN suppressed s ON s.key = l.key"
            " WHERE NOT coalesce(s.erased, false) AND l.no NOT IN (SELECT no FROM loser)"
            " AND NOT EXISTS (SELECT 1 FROM known k WHERE k.key = l.key) ORDER BY l.key"
        )

    def _grants(self) -> str:
        """SQL: does a line ``l``, with what suppresses it ``s``, give a permission?"""
        marketing = self.grant is None or self.grant.marketing
        return "l.mail = 0 AND NOT coalesce(s.whole, false)" + (" AND s.key IS NULL" if marketing else "")

    def meet(self, pg: psycopg.Connection[Any]) -> None:
        """Compare known people with their lines, on the server."""
        grants = self._grants()
        pg.execute("DROP TABLE IF EXISTS import_match")
        pg.execute("DROP TABLE IF EXISTS import_line")
        lines = self.read(
            f"SELECT l.no, l.key, l.language, l.time_zone, l.props, l.sources, l.tags, l.ids, {grants} AS grants,"
            " l.since, l.proof FROM line l JOIN known k ON k.key = l.key LEFT JOIN suppressed s ON s.key = l.key"
            " WHERE l.no NOT IN (SELECT no FROM loser)"
        )
        self.match(pg, lines)

    def match(self, pg: psycopg.Connection[Any], batches: Iterator[pl.DataFrame]) -> None:
        """Send lines of known people to the server and compare them there."""
        imp, grant = self.imp, self.grant
        pg.execute(sql("contacts", "import_line"))
        with pg.cursor() as cursor, cursor.copy("COPY import_line FROM STDIN") as copy:
            for batch in batches:
                copy.write(copy_text(batch))
        pg.execute("ANALYZE import_line (no, key)")
        pg.execute(
            sql("contacts", "import_match"),
            {
                "piece_rows": PIECE,
                "bit": 1 << grant.bit if grant else 0,
                "marketing": grant is None or grant.marketing,
                "workspace": imp.workspace_id,
                "import": imp.id,
                "again": imp.state in ("running", "cancelled", "failed"),
                **policy_params(imp),
            },
        )
        pg.execute("CREATE INDEX ON import_match (piece)")
        pg.execute("ANALYZE import_match (piece, no, id)")

    def _fetch_known(self, pg: psycopg.Connection[Any]) -> None:
        db, workspace_id = self.db, self.imp.workspace_id
        db.execute("CREATE OR REPLACE TABLE known (key VARCHAR)")
        base = value("SELECT count(*) FROM (SELECT FROM contacts_contact WHERE workspace_id = %s LIMIT %s) x",
                     [workspace_id, _SEND * (self.one("SELECT count(*) FROM line") + 1000)])  # fmt: skip
        lines = self.one("SELECT count(*) FROM line")
        if base < _SEND * (lines + 1000):
            query = "SELECT email_key FROM contacts_contact WHERE workspace_id = %s"
        else:
            with pg.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS import_key")
                cursor.execute('CREATE TEMP TABLE import_key (key text COLLATE "C")')
                with cursor.copy("COPY import_key FROM STDIN") as copy:
                    for batch in self.read("SELECT DISTINCT key FROM line"):
                        copy.write(copy_text(batch))
                cursor.execute("ANALYZE import_key")
            query = (
                "SELECT c.email_key FROM contacts_contact c JOIN import_key k ON c.email_key = k.key"
                " WHERE c.workspace_id = %s"
            )
        with pg.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT", [workspace_id]) as copy:
            for text in pieces(copy):
                self._insert("known", pl.DataFrame({"key": text.split("\n")[:-1]}, schema={"key": pl.String}))

    def _find_suppressed(self) -> None:
        """The file's addresses that are on the suppression list. No digest is made for an empty list."""
        db, workspace_id = self.db, self.imp.workspace_id
        db.execute("CREATE OR REPLACE TABLE suppressed (key VARCHAR, whole BOOLEAN, objected BOOLEAN, erased BOOLEAN)")
        listed = suppression.digests(workspace_id)
        if not listed:
            return
        for batch in self.read("SELECT DISTINCT key FROM line"):
            keys = batch["key"].to_list()
            hits = [
                (key, found.scope == "all", found.objected, found.erased)
                for key, digest in zip(keys, suppression.digest_many(workspace_id, keys), strict=True)
                if (found := listed.get(digest))
            ]
            self._insert("suppressed", pl.DataFrame(hits, schema=["key", "whole", "objected", "erased"], orient="row"))

    def count(self, pg: psycopg.Connection[Any]) -> dict[str, Any]:
        db = self.db
        refused = dict(db.execute("SELECT cause, count(*) FROM refusal GROUP BY 1 ORDER BY 1").fetchall())
        staged, lost = self.one("SELECT count(*) FROM line"), self.one("SELECT count(*) FROM loser")
        whole = self.one("SELECT count(*) FROM refusal WHERE cause NOT IN ('value', 'identifier', 'key')")
        new, new_mailable = db.execute(
            "SELECT count(*), count(*) FILTER (grants AND NOT suppressed) FROM fresh"
        ).fetchall()[0]
        known = (
            pg.execute(
                "SELECT count(*) FILTER (WHERE was = 'new'),"
                " count(*) FILTER (WHERE (changed OR grants OR was = 'updated') AND was IS DISTINCT FROM 'new'),"
                " count(*) FILTER (WHERE NOT changed AND NOT grants AND was IS NULL),"
                " count(*) FILTER (WHERE grants OR allowed), count(*) FILTER (WHERE allowed),"
                " count(*) FILTER (WHERE refused), count(*) FILTER (WHERE grants) FROM import_match"
            ).fetchone()
            or (0,) * 7
        )
        not_granted: dict[str, int] = {}
        if self.grant:
            some = db.execute(
                "SELECT mail, count(*) FROM line WHERE mail > 0 AND no NOT IN (SELECT no FROM loser) GROUP BY 1"
            )
            not_granted = {NOT_GRANTED[mail]: n for mail, n in some.fetchall()}
        return {
            "lines": staged + whole,
            "new": new + known[0],
            "updated": known[1],
            "unchanged": known[2],
            "refused": refused,
            "repeated": lost,
            "suppressed": self.one("SELECT count(*) FROM suppressed"),
            "erased": self.one("SELECT count(*) FROM suppressed WHERE erased"),
            "mailable": (new_mailable + known[3]) if self.grant else 0,
            "permission": {
                "given": new_mailable + known[6] if self.grant else 0,
                "already": known[4] if self.grant else 0,
                "kept_refused": known[5] if self.grant else 0,
                **not_granted,
            },
        }

    def store_refusals(self, pg: psycopg.Connection[Any]) -> None:
        """The refused lines, where the page and `refused_csv` find them."""
        with pg.transaction(), pg.cursor() as cursor:
            cursor.execute("DELETE FROM contacts_import_refusal WHERE import_id = %s", [self.imp.id])
            found = self.read(f"SELECT {self.imp.id:d}, no, cause, value, row FROM refusal ORDER BY no", rows=20_000)
            with cursor.copy("COPY contacts_import_refusal (import_id, line, cause, value, row) FROM STDIN") as copy:
                for batch in found:
                    copy.write(copy_text(batch))


PIECE = 20_000
"""Known people changed in one transaction."""


def policy_params(imp: Import) -> dict[str, Any]:
    targets = set(imp.mapping.values())
    return {
        "policy": imp.policy,
        "mapped": sorted(t.partition(":")[2] for t in targets if t.startswith("property:")),
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


def pieces(copy: Any) -> Iterator[str]:
    """COPY TO STDOUT in texts of whole lines, about a mebibyte each."""
    held: list[bytes] = []
    size = 0
    for data in copy:
        held.append(bytes(data))
        size += len(data)
        if size > 1 << 20 and held[-1].endswith(b"\n"):
            yield b"".join(held).decode()
            held, size = [], 0
    if held:
        yield b"".join(held).decode()


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
