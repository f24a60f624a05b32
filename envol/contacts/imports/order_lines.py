"""What a file of orders would do, and doing it.

Lines are read block by block into a table of this session, where PostgreSQL makes orders of them and says who bought;
so a file may be larger than memory. A line that cannot be used keeps its whole order out: half an order would be a
wrong sum. Orders are written by `envol.contacts.orders.add_bulk`, each once by its number, so that a stopped or
killed import is simply run again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
from django.db.models.functions import Now
from django.utils.translation import gettext

from envol.accounts.jobs import Cancelled
from envol.accounts.journal import note
from envol.consent import suppression
from envol.contacts.imports import kept
from envol.contacts.imports import order_values as values
from envol.contacts.imports.dates import read_moment
from envol.contacts.imports.orders import AMOUNTS, BUYERS
from envol.contacts.imports.plan import Tell, connect, silent
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.imports.read import Refused, blocks
from envol.contacts.imports.receive import copy_of, forget_file, refuse_when_full
from envol.contacts.models import Import
from envol.contacts.orders import NewLine, NewOrder, add_bulk
from envol.db import sql
from envol.wire.address import AddressError

BATCH = 5_000
"""Orders written in one transaction."""
_MOST = 10**15
_LOOKED_UP = 20_000  # addresses of strangers looked up at once
_PLACE = "\ue000"  # no text of a file: where the number of the order goes
_TABLE = (
    'CREATE TEMP TABLE order_line (no bigint, order_id text COLLATE "C", email text COLLATE "C", kind text, ident text,'
    " at timestamptz, amount bigint, currency text, code text, product text, category text, quantity int,"
    " line_amount bigint, bad boolean, raw text)"
)


class _Line(NamedTuple):
    """A line of an order as staged; None where it says nothing. ``bad``: it keeps its order out."""

    no: int
    order_id: str
    email: str | None = None
    kind: str | None = None
    ident: str | None = None
    at: datetime | None = None
    amount: int | None = None
    currency: str | None = None
    code: str | None = None
    product: str | None = None
    category: str = ""
    quantity: int = 1
    line_amount: int | None = None
    bad: bool = False
    raw: str = ""


class _Wrong(ValueError):
    """A value that cannot be used, named by its column."""


class Reader:
    """From rows of the file to staged lines."""

    def __init__(self, imp: Import) -> None:
        self.place = {target: i for i, target in enumerate(imp.mapping.get(n, "skip") for n in imp.format["columns"])}
        self.place.pop("skip", None)
        self.names = imp.format["columns"]
        self.of_buyer = next((t for t in BUYERS[1:] if t in self.place), "")
        try:
            zone = imp.workspace.zone
        except (ZoneInfoNotFoundError, ValueError):
            zone = ZoneInfo("UTC")
        self.latest = datetime.now(UTC) + timedelta(days=1)
        self.readers: dict[str, Callable[[str], Any]] = {
            "order": values.number,
            "email": lru_cache(65536)(values.address),
            "date": lru_cache(65536)(lambda text: self.moment(text, zone)),
            "currency": lru_cache(1024)(values.currency),
            "code": lru_cache(1024)(lambda text: values.name(text, 60)),
            "product": lru_cache(65536)(lambda text: values.name(text, 200)),
            "category": lru_cache(65536)(lambda text: values.name(text, 100)),
            "quantity": lru_cache(1024)(values.quantity),
            "lines": values.lines_of,
            **dict.fromkeys(("amount", "line", "unit"), lru_cache(65536)(values.cents)),
            **dict.fromkeys(BUYERS[1:], lambda text: values.name(text, 200)),
        }

    def moment(self, text: str, zone: ZoneInfo) -> datetime:
        found = read_moment(text, zone)
        if found > self.latest:
            raise ValueError(gettext("“%(text)s” lies in the future: correct the date.") % {"text": text[:40]})
        return found

    def read(self, no: int, raw: str, cells: Sequence[str | None]) -> tuple[list[_Line], Refused | None]:
        """The lines of one row, and why it is refused, if it is."""
        try:
            order_id = self.value("order", cells)
            if order_id is None:
                raise _Wrong(gettext("the number of the order is missing."))
        except _Wrong as wrong:
            return [], Refused(no, "order", str(wrong), raw)
        try:
            return self.lines(no, raw, order_id, cells), None
        except _Wrong as wrong:
            return [_Line(no, order_id, bad=True)], Refused(no, "order", str(wrong), raw)

    def value(self, target: str, cells: Sequence[str | None]) -> Any:
        i = self.place.get(target)
        text = (cells[i] or "").strip() if i is not None else ""
        if not text:
            return None
        try:
            return self.readers[target](text)
        except AddressError as error:
            why = error.told(gettext)
        except ValueError as error:
            why = str(error)
        assert i is not None
        raise _Wrong(f"{self.names[i]}: {text[:100]} – {why}")

    def lines(self, no: int, raw: str, order_id: str, cells: Sequence[str | None]) -> list[_Line]:
        get = partial(self.value, cells=cells)
        ident = get(self.of_buyer) if self.of_buyer else None
        kind = self.of_buyer.partition(":")[2] if ident else None
        head = _Line(
            no, order_id, get("email"), kind, ident, get("date"), get("amount"), get("currency"), get("code"), raw=raw
        )
        if listed := get("lines"):
            known = all(line.amount is not None for line in listed)
            return [
                head._replace(
                    product=one.product, category=one.category, quantity=one.quantity,
                    line_amount=one.amount if known else None,
                )
                for one in listed
            ]  # fmt: skip
        product, quantity = get("product"), get("quantity")
        amount, unit = get("line"), get("unit")
        if amount is None and unit is not None:
            amount = unit * (1 if quantity is None else quantity)
        if product is None and (amount is not None or get("category")) and "product" in self.place:
            raise _Wrong(gettext("a line has an amount or a category and no product."))
        if amount is not None and abs(amount) >= _MOST:
            raise _Wrong(gettext("this amount is too large."))
        return [
            head._replace(
                product=product, category=get("category") or "", quantity=1 if quantity is None else quantity,
                line_amount=amount,
            )
        ]  # fmt: skip


# -- stage, decide -----------------------------------------------------------------------------


class Orders:
    """The orders of one file, in tables of the session ``pg``."""

    def __init__(self, imp: Import, pg: psycopg.Connection[Any]) -> None:
        self.imp, self.pg = imp, pg
        self.rows = 0
        self._read: kept.Version = ()
        self.refused: Counter[str] = Counter()

    def stage(self, tell: Tell) -> None:
        """Read the whole file; refused lines go where the page and `refused_csv` find them."""
        imp, reader = self.imp, Reader(self.imp)
        path = copy_of(imp)
        self._read = kept.version(path)
        total = path.stat().st_size if imp.format["kind"] != "xlsx" else None
        self.pg.execute("DELETE FROM contacts_import_refusal WHERE import_id = %s", [imp.pk])
        self.pg.execute(_TABLE)
        for block in blocks(path, imp.format):
            lines: list[_Line] = []
            # A key that is among no column is no reason to lose an order; the others lose it.
            refused = list(block.refused)
            for no, raw, *cells in block.rows.iter_rows():
                found, wrong = reader.read(no, raw, cells)
                lines += found
                if wrong is not None:
                    refused.append(wrong)
            self.rows += block.rows.height + sum(one.cause != "key" for one in block.refused)
            with self.pg.transaction(), self.pg.cursor() as cursor:
                with cursor.copy("COPY order_line FROM STDIN") as copy:
                    for line in lines:
                        copy.write_row(line)
                self._refuse(cursor, refused)
            tell(block.done, total, "reading")

    def _refuse(self, cursor: psycopg.Cursor[Any], refused: list[Refused]) -> None:
        self.refused.update(one.cause for one in refused)
        with cursor.copy("COPY contacts_import_refusal (import_id, line, cause, value, row) FROM STDIN") as copy:
            for one in refused:
                copy.write_row((self.imp.pk, *one))

    def decide(self) -> None:
        """Make orders of the lines, say who bought, and write down why some stay out."""
        imp, pg = self.imp, self.pg
        with pg.transaction(), pg.cursor() as cursor:
            kept.alone(cursor, imp)
            for statement in sql("contacts", "import_orders").split(";\n"):
                if statement.strip():
                    cursor.execute(
                        statement, {"workspace": imp.workspace_id, "import": imp.pk, "currency": imp.currency or "EUR"}
                    )
            self._forget_erased(cursor)
            for cause, lacks, said in _reasons():
                # The sentence is written where the rows are: of a file of strangers every line is refused.
                cursor.execute(
                    "INSERT INTO contacts_import_refusal (import_id, line, cause, value, row)"
                    " SELECT DISTINCT ON (l.no) %s, l.no, h.cause, replace(%s, %s, h.order_id), l.raw FROM order_head h"
                    " JOIN order_line l ON l.order_id = h.order_id"
                    " WHERE h.cause = %s AND h.lacks = %s AND NOT l.bad ORDER BY l.no",
                    [imp.pk, said % {"order": _PLACE}, _PLACE, cause, lacks],
                )
                self.refused[cause] += cursor.rowcount
            self.refused = +self.refused
            kept.bury(cursor, imp, self._read)

    def _forget_erased(self, cursor: psycopg.Cursor[Any]) -> None:
        """Who was erased is no buyer that somebody should import again: her lines are dropped, and counted."""
        last = ""
        while True:
            found = cursor.execute(
                "SELECT DISTINCT email FROM order_head WHERE cause = 'nobody' AND email > %s ORDER BY 1 LIMIT %s",
                [last, _LOOKED_UP],
            )
            keys = [row[0] for row in found]
            if not keys:
                return
            last = keys[-1]
            erased = [key for key, one in suppression.lookup(self.imp.workspace_id, keys).items() if one.erased]
            cursor.execute(
                "UPDATE order_head SET cause = 'erased' WHERE cause = 'nobody' AND email = ANY(%s::text[])", [erased]
            )

    def counts(self) -> dict[str, Any]:
        """What a run brings: by number of orders, except ``lines`` and ``refused``."""
        new = "cause IS NULL AND known IS DISTINCT FROM 'known'"
        row = self.pg.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {new}), count(*) FILTER (WHERE known = 'known'),"
            f" count(DISTINCT contact_id) FILTER (WHERE {new}), count(*) FILTER (WHERE cause = 'nobody'),"
            f" count(*) FILTER (WHERE cause = 'erased'), min(at) FILTER (WHERE {new}), max(at) FILTER (WHERE {new}),"
            f" count(*) FILTER (WHERE {new} AND known = 'mine') FROM order_head"
        ).fetchone()
        assert row is not None
        orders, added, known, people, nobody, erased, first, last, mine = row
        amounts = self.pg.execute(
            f"SELECT currency, sum(amount)::bigint FROM order_head WHERE {new} GROUP BY 1 ORDER BY 2 DESC, 1"
        ).fetchall()
        return {
            "lines": self.rows,
            "orders": orders,
            "new": added,
            "known": known,
            "people": people,
            "nobody": nobody,
            "erased": erased,
            "amounts": dict(amounts),
            "first": first.isoformat() if first else None,
            "last": last.isoformat() if last else None,
            "refused": dict(sorted(self.refused.items())),
            "written": mine,
        }

    def batches(self) -> Iterator[list[NewOrder]]:
        """Orders that are not here yet, in the order of the file."""
        most = self.pg.execute("SELECT coalesce(max(g), 0) FROM order_head").fetchone()
        assert most is not None
        for low in range(0, most[0], BATCH):
            heads = self.pg.execute(
                "SELECT h.order_id, h.at, h.amount::bigint, h.currency, h.code, h.contact_id, h.products,"
                " CASE WHEN h.products > 0 THEN (SELECT json_agg(json_build_array(l.product, l.category, l.quantity,"
                " l.line_amount) ORDER BY l.no) FROM order_line l"
                " WHERE l.order_id = h.order_id AND l.product IS NOT NULL) END"
                " FROM order_head h WHERE h.g > %s AND h.g <= %s AND h.cause IS NULL AND h.known IS NULL ORDER BY h.g",
                [low, low + BATCH],
            )
            yield [
                NewOrder(
                    order_id, at, amount, currency, contact_id=contact, lines=_priced(lines or [], amount), code=code
                )
                for order_id, at, amount, currency, code, contact, _products, lines in heads
            ]


def _reasons() -> list[tuple[str, str, str]]:
    """Cause and what is lacking, as `import_orders.sql` names them, and the sentence."""
    differs = gettext("Order %(order)s: its lines differ in: %(what)s.")
    lacks = gettext("Order %(order)s: this is missing: %(what)s.")
    words = {
        "buyer": gettext("the buyer"), "date": gettext("the date"), "amount": gettext("the amount"),
        "currency": gettext("the currency"),
    }  # fmt: skip
    return [
        ("order_part", "", "%(order)s"),
        ("nobody", "", "%(order)s"),
        *(("order_differs", key, differs.replace("%(what)s", word)) for key, word in words.items()),
        *(("order_lacks", key, lacks.replace("%(what)s", word)) for key, word in words.items()),
    ]


def _priced(lines: list[list[Any]], total: int) -> list[NewLine]:
    """A line alone that says no amount is worth its order; among several nobody can tell."""
    alone = len(lines) == 1
    return [
        NewLine(product, category, quantity, (total if alone else 0) if amount is None else amount)
        for product, category, quantity, amount in lines
    ]


# -- dry run, run ------------------------------------------------------------------------------


def _ready(imp: Import) -> None:
    if imp.state in ("done", "undone"):
        raise ImportProblem(gettext("This import has ended: start another with the same file."))
    if not {"order", "date"} <= set(imp.mapping.values()) or not set(imp.mapping.values()) & set(AMOUNTS):
        raise ImportProblem(gettext("Say first which column is what."))
    copy_of(imp)


def dry_run(imp: Import, progress: Tell | None = None) -> dict[str, Any]:
    """What `run` would do now, see `Orders.counts`. Writes no order. Raises ImportProblem."""
    _ready(imp)
    with closing(connect()) as pg:
        orders = Orders(imp, pg)
        orders.stage(progress or silent)
        orders.decide()
        imp.counts, imp.state = orders.counts(), "checked"
    imp.save(update_fields=["counts", "state"])
    return imp.counts


def run(imp: Import, progress: Tell | None = None) -> dict[str, Any]:
    """Write the orders; the counts of `dry_run`, with ``written`` how many are here and ``left`` how many are not.

    When ``progress`` raises, whole batches stand, and a later run does the rest.
    """
    _ready(imp)
    refuse_when_full()
    tell = progress or silent
    with closing(connect()) as pg:
        orders = Orders(imp, pg)
        orders.stage(tell)
        orders.decide()
        counts = orders.counts()
        written, wanted = counts["written"], counts["new"]
        Import.objects.filter(pk=imp.pk).update(state="running", ended_at=None)
        try:
            tell(written, wanted, "writing")
            for batch in orders.batches():
                # Known by now: somebody else brought it while this file was read.
                written += add_bulk(imp.workspace_id, batch, import_id=imp.pk).added
                tell(written, wanted, "writing")
            imp.state = "done"
        except BaseException as error:
            imp.state = "cancelled" if isinstance(error, Cancelled | KeyboardInterrupt) else "failed"
            raise
        finally:
            left = 0 if imp.state == "done" else wanted - written
            imp.counts = counts | {"written": written, "left": left}
            Import.objects.filter(pk=imp.pk).update(state=imp.state, counts=imp.counts, ended_at=Now())
            note(imp.workspace_id, "job", f"import.{imp.state}", imp, orders=written, lines=orders.rows)
    imp.refresh_from_db()
    forget_file(imp)
    return imp.counts
