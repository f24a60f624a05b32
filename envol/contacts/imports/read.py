"""Read a file block by block into text columns; a bad line never takes its neighbours with it.

Lines without quotation marks, and those where every cell stands in them, are cut in columns by
polars; the few others one by one by the csv module. An opened quotation mark that nothing closes
costs its own line, not the rest of the file.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from django.utils.translation import gettext

from envol.contacts.imports.formats import LINE_LIMIT, cell_text, check_workbook, read_object, sheet_rows

BLOCK = 2 << 20
"""Octets read at once: what an import holds of its file in memory."""
_ROWS = 50_000
_JOIN = 200  # lines that one quoted cell may run over


class Refused(NamedTuple):
    line: int
    cause: str
    value: str
    row: str


@dataclass
class Block:
    """Some lines: ``rows`` has ``no`` (line in the file, from 1), ``raw`` and ``c0`` … ``cN``, all text."""

    rows: pl.DataFrame
    refused: list[Refused] = field(default_factory=list)
    done: int = 0
    """Octets (rows for a workbook) read so far."""


def blocks(path: Path, form: dict[str, Any]) -> Iterator[Block]:
    """All lines of the file after its header."""
    width = len(form["columns"])
    match form["kind"]:
        case "csv":
            return _csv(path, form, width)
        case "jsonl":
            return _jsonl(path, form)
        case _:
            return _xlsx(path, form, width)


def _frame(numbers: list[int], raws: list[str], cells: list[list[str]], width: int) -> pl.DataFrame:
    data: dict[str, Any] = {"no": pl.Series(numbers, dtype=pl.Int64), "raw": pl.Series(raws, dtype=pl.String)}
    columns = list(zip(*cells, strict=True)) if cells else [()] * width
    data |= {f"c{i}": pl.Series(columns[i], dtype=pl.String) for i in range(width)}
    return pl.DataFrame(data)


class _Lines(NamedTuple):
    first: int  # number of the first line
    lines: list[str]
    refused: list[Refused]
    done: int
    last: bool


def _lines(path: Path, encoding: str, newline: str) -> Iterator[_Lines]:
    """Whole lines, block by block. A refused line is "" in its place, so that numbers stay true."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if "utf-8" in encoding else "replace")
    rest, number, done, long = "", 1, 0, False
    with open(path, "rb") as file:
        while True:
            data = file.read(BLOCK)
            done += len(data)
            text = decoder.decode(data, final=not data)
            if newline == "\r":
                text = text.replace("\r", "\n")
            refused: list[Refused] = []
            if long:  # inside a line that is too long: drop it up to its end
                cut = text.find("\n")
                if cut < 0 and data:
                    continue
                text, long = text[cut + 1 :] if cut >= 0 else "", False
                number += 1
            text = rest + text
            if not data:
                rest = ""
            else:
                cut = text.rfind("\n") + 1
                text, rest = text[:cut], text[cut:]
            if len(rest) > LINE_LIMIT:
                refused.append(Refused(number + text.count("\n"), "too_long", "", _printable(rest[:1000])))
                rest, long = "", True
            lines = text.split("\n")
            if text.endswith("\n") or not text:
                lines.pop()
            _refuse_bad_characters(text, lines, number, refused)
            yield _Lines(number, lines, refused, done, not data)
            number += len(lines)
            if not data:
                return


def _refuse_bad_characters(text: str, lines: list[str], first: int, refused: list[Refused]) -> None:
    dirty = "\0" in text or "\ufffd" in text
    if not dirty:
        try:
            dirty = not text.isascii() and not text.encode()
        except UnicodeEncodeError:
            dirty = True
    if dirty:
        for i, line in enumerate(lines):
            if "\0" in line:
                cause = "nul"
            elif "\ufffd" in line or any("\ud800" <= c <= "\udfff" for c in line):
                cause = "encoding"
            else:
                continue
            refused.append(Refused(first + i, cause, "", _printable(line[:LINE_LIMIT])))
            lines[i] = ""
    if len(text) > LINE_LIMIT:
        for i, line in enumerate(lines):
            if len(line) > LINE_LIMIT:
                refused.append(Refused(first + i, "too_long", "", _printable(line[:1000])))
                lines[i] = ""


def _instead(found: int, wanted: int) -> str:
    return gettext("%(found)s instead of %(wanted)s") % {"found": found, "wanted": wanted}


def _printable(text: str) -> str:
    """Text that PostgreSQL can keep: what is no character is shown as U+FFFD, U+0000 as its picture."""
    return text.replace("\0", "\u2400").encode("utf-8", "replace").decode() if text else ""


# -- CSV ---------------------------------------------------------------------------------------


def _csv(path: Path, form: dict[str, Any], width: int) -> Iterator[Block]:
    csv.field_size_limit(max(csv.field_size_limit(), 2 * LINE_LIMIT))
    carried: list[str] = []  # the beginning of a record whose end lies in the next block
    to_skip = int(form.get("skip", 0))
    header = bool(form["header"])
    for part in _lines(path, form["encoding"], form.get("newline", "\n")):
        first, lines = part.first - len(carried), carried + part.lines
        if first == 1 and lines:
            if lines[0].startswith("\ufeff"):
                lines[0] = lines[0][1:]
            for _ in range(min(to_skip, len(lines))):
                lines[_] = ""
        block, carried, header = _cut(first, lines, form["separator"], width, header, last=part.last)
        block.refused.extend(part.refused)
        block.done = part.done
        yield block


def _cut(
    first: int, lines: list[str], separator: str, width: int, header: bool, *, last: bool
) -> tuple[Block, list[str], bool]:
    """One block of lines into columns; also the lines to carry over, and whether the header is still to come."""
    refused: list[Refused] = []
    frame = (
        pl.DataFrame({"raw": pl.Series(lines, dtype=pl.String)})
        .with_columns(pl.col("raw").str.strip_suffix("\r"))
        .with_row_index("no", offset=first)
        .with_columns(pl.col("no").cast(pl.Int64))
        .filter(pl.col("raw") != "")
    )
    if header and frame.height:
        head = frame.item(0, "no") - first
        fields, after = _record(lines, head, separator, last=True)
        frame = frame.filter(pl.col("no") >= first + (after if fields is not None else head + 1))
        header = False
        lines = lines[:]
        for i in range(head, after if fields is not None else head + 1):
            lines[i] = ""
    quoted = pl.col("raw").str.contains('"', literal=True)
    mark = "\\" + separator if separator in "|" else separator
    wholly = pl.col("raw").str.contains(f'^"[^"]*"(?:{mark}"[^"]*")*$')
    frame = frame.with_columns(
        kind=pl.when(~quoted).then(0).when(wholly).then(1).otherwise(2).cast(pl.Int8),
    )
    numbers: list[int] = []
    raws: list[str] = []
    cells: list[list[str]] = []
    consumed: list[int] = []
    carried: list[str] = []
    cut = None
    taken = -1
    for no in frame.filter(pl.col("kind") == 2)["no"].to_list():
        i = no - first
        if i <= taken:
            continue
        fields, after = _record(lines, i, separator, last=last)
        if fields is None and after < 0:  # open at the end of the block
            carried, cut = lines[i:], no
            break
        if fields is None:
            refused.append(Refused(no, "quote", "", lines[i]))
            consumed.append(no)
            continue
        taken = after - 1
        consumed.extend(range(no, first + after))
        while len(fields) > width and not fields[-1]:
            fields.pop()
        raw = "\n".join(lines[i:after])
        if len(fields) == width:
            numbers.append(no)
            raws.append(raw)
            cells.append(fields)
        else:
            refused.append(Refused(no, "columns", _instead(len(fields), width), raw))
    if cut is not None:
        frame = frame.filter(pl.col("no") < cut)
    if consumed:
        frame = frame.filter(~pl.col("no").is_in(consumed))
    parts = []
    for kind, between in ((0, separator), (1, f'"{separator}"')):
        some = frame.filter(pl.col("kind") == kind).drop("kind")
        if not some.height:
            continue
        body = pl.col("raw") if kind == 0 else pl.col("raw").str.strip_prefix('"').str.strip_suffix('"')
        # Empty cells too many at the end of a line are a spreadsheet's habit, not a fault.
        some = some.with_columns(count=body.str.count_matches(between, literal=True) + 1)
        wrong = some.filter(pl.col("count") != width)
        if wrong.height:
            some = some.filter(pl.col("count") == width)
            for no, raw, count in wrong.iter_rows():
                fields = (raw if kind == 0 else raw[1:-1]).split(between)
                while len(fields) > width and not fields[-1]:
                    fields.pop()
                if len(fields) == width:
                    numbers.append(no)
                    raws.append(raw)
                    cells.append(fields)
                else:
                    refused.append(Refused(no, "columns", _instead(count, width), raw))
        split = some.select("no", "raw", body.str.split_exact(between, width - 1).alias("cells")).unnest("cells")
        parts.append(split.rename({f"field_{i}": f"c{i}" for i in range(width)}))
    if numbers or not parts:
        parts.append(_frame(numbers, raws, cells, width))
    return Block(pl.concat(parts) if len(parts) > 1 else parts[0], refused), carried, header


def _record(lines: list[str], i: int, separator: str, *, last: bool) -> tuple[list[str] | None, int]:
    """The record that begins at line ``i`` and the index after it.

    (None, i+1) when its quotation marks make no sense; (None, -1) when its end may lie beyond.
    """
    pieces, size, after = [lines[i].removesuffix("\r")], len(lines[i]), i + 1
    while True:
        text = "\n".join(pieces)
        try:
            return next(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)), after
        except csv.Error as error:
            if "end of data" not in str(error):
                return None, i + 1
        except StopIteration:
            return None, i + 1
        # Only a line with another quotation mark can close the record.
        while after < min(i + _JOIN, len(lines)) and size <= LINE_LIMIT:
            pieces.append(lines[after].removesuffix("\r"))
            size += len(pieces[-1])
            after += 1
            if '"' in pieces[-1]:
                break
        else:
            break
    open_at_end = not last and len(lines) - i < _JOIN and size <= LINE_LIMIT
    return None, -1 if open_at_end else i + 1


# -- JSON Lines and workbooks ------------------------------------------------------------------


def _jsonl(path: Path, form: dict[str, Any]) -> Iterator[Block]:
    columns = form["columns"]
    known = set(columns)
    for part in _lines(path, form["encoding"], form.get("newline", "\n")):
        numbers, raws, cells, refused = [], [], [], part.refused
        for no, raw in enumerate(part.lines, part.first):
            line = raw.strip().removeprefix("\ufeff")
            if not line:
                continue
            try:
                found = read_object(line)
            except ValueError as error:
                refused.append(Refused(no, "json", str(error), raw))
                continue
            for key in found.keys() - known:
                refused.append(Refused(no, "key", key[:100], raw))
            numbers.append(no)
            raws.append(raw)
            cells.append([cell_text(found.get(name)) for name in columns])
        yield Block(_frame(numbers, raws, cells, len(columns)), refused, part.done)


def _xlsx(path: Path, form: dict[str, Any], width: int) -> Iterator[Block]:
    check_workbook(path)
    _, rows = sheet_rows(path, form["sheet"])
    header = bool(form["header"])
    numbers, raws, cells, refused = [], [], [], []
    no = 0
    for no, row in enumerate(rows, 1):
        if not any(row):
            continue
        if header:
            header = False
            continue
        raw = "\t".join(row)
        if "\0" in raw or len(raw) > LINE_LIMIT:
            refused.append(Refused(no, "nul" if "\0" in raw else "too_long", "", _printable(raw[:LINE_LIMIT])))
            continue
        while len(row) > width and not row[-1]:
            row.pop()
        if len(row) > width:
            refused.append(Refused(no, "columns", _instead(len(row), width), raw))
            continue
        numbers.append(no)
        raws.append(raw)
        cells.append(row + [""] * (width - len(row)))
        if len(numbers) >= _ROWS:
            yield Block(_frame(numbers, raws, cells, width), refused, no)
            numbers, raws, cells, refused = [], [], [], []
    yield Block(_frame(numbers, raws, cells, width), refused, no)
