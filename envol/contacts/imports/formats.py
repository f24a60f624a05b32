"""Find out what a file is: kind, encoding, separator, header, and a few first rows.

No columnar library here: pages call this while a person waits, in a process that must stay small.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from envol.contacts.imports.problem import ImportProblem
from envol.wire.address import AddressError, normalise

LINE_LIMIT = 1 << 20
"""Octets (characters for a joined record) of one line."""
MAX_COLUMNS = 500
XLSX_LIMIT = 768 << 20
"""Octets of a workbook once decompressed; a full sheet of a million people stays well below."""
JSON_DEPTH, JSON_KEYS = 64, 10_000

_SAMPLE = 1 << 20
_SAMPLE_ROWS = 1000
_SEPARATORS = ";,\t|"

ENCODINGS: dict[str, Any] = {
    "utf-8": "UTF-8",
    "cp1252": gettext_lazy("Windows (Western Europe)"),
    "iso8859-15": "ISO 8859-15 (Latin 9)",
    "mac-roman": "Macintosh",
    "cp1250": gettext_lazy("Windows (Central Europe)"),
    "cp850": gettext_lazy("DOS (Western Europe)"),
    "utf-16": "UTF-16",
}
"""What a person may choose when the detection was wrong, by Python's name."""


def detect(path: Path, file_name: str) -> tuple[dict[str, Any], list[list[str]]]:
    """The format (as `Import.format` keeps it, columns included) and up to 1,000 first rows.

    Raises ImportProblem for what cannot be read: an archive, an old workbook, an empty file.
    """
    with open(path, "rb") as file:
        head = file.read(_SAMPLE)
    if not head.strip():
        raise ImportProblem(gettext("The file is empty: choose another."))
    if head.startswith(b"PK"):
        return _xlsx(path)
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise ImportProblem(gettext("This is a workbook of an old kind (.xls): save it as .xlsx or CSV."))
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")):
        raise ImportProblem(gettext("The file is compressed: extract it first."))
    if head.startswith(b"%PDF"):
        raise ImportProblem(gettext("A PDF holds no table: export the people as CSV or XLSX."))
    encoding = detect_encoding(path, head)
    text = _decode_sample(head, encoding, whole=len(head) < _SAMPLE)
    newline = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = text.replace("\r\n", "\n").replace("\r", "\n" if newline == "\r" else "\r")
    if lines.lstrip().startswith("{"):
        return _json_lines(lines, encoding, newline)
    return _csv(lines, encoding, newline)


def read_as(path: Path, form: dict[str, Any]) -> tuple[dict[str, Any], list[list[str]]]:
    """As `detect`, with encoding, separator, header and sheet as ``form`` says them instead of as they are found.

    Raises ImportProblem where nothing can be read that way.
    """
    if form["kind"] == "xlsx":
        return _xlsx(path, form["sheet"], form["header"])
    with open(path, "rb") as file:
        head = file.read(_SAMPLE)
    encoding = form["encoding"]
    if encoding == "utf-8" and head.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    text = _decode_sample(head, encoding, whole=len(head) < _SAMPLE)
    newline = "\r" if "\r" in text and "\n" not in text else "\n"
    lines = text.replace("\r\n", "\n").replace("\r", "\n" if newline == "\r" else "\r")
    if form["kind"] == "jsonl":
        return _json_lines(lines, encoding, newline)
    return _csv(lines, encoding, newline, form["separator"], form["header"])


def detect_encoding(path: Path, head: bytes) -> str:
    """By mark, then by trying: UTF-8 where most of what is beyond ASCII is UTF-8, else what Windows wrote."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if head.startswith(mark):
            return name
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) > len(head) // 8 and max(even, odd) > 4 * min(even, odd):
        return "utf-16-be" if even > odd else "utf-16-le"
    good = bad = 0
    beyond: set[int] = set()
    with open(path, "rb") as file:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while block := file.read(1 << 22):
            if block.isascii():
                continue
            text = decoder.decode(block)
            wrong = text.count("\ufffd") - block.count(b"\xef\xbf\xbd")
            bad += wrong
            good += sum(1 for c in text if c > "\x7f") - wrong if len(text) < 1 << 20 or not wrong else 0
            if wrong:
                beyond.update(b for b in set(block) if b > 0x7F)
                good += sum(1 for c in text[: 1 << 20] if c > "\x7f" and c != "\ufffd") if len(text) >= 1 << 20 else 0
            if good + bad > 200_000:
                break
    if bad <= good:
        return "utf-8"
    if not beyond & {0x81, 0x8D, 0x8F, 0x90, 0x9D}:
        return "cp1252"
    from charset_normalizer import from_bytes

    guess = from_bytes(head).best()
    return guess.encoding if guess else "latin-1"


def _decode_sample(head: bytes, encoding: str, *, whole: bool) -> str:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    text = decoder.decode(head, final=whole)
    if whole:
        return text
    cut = max(text.rfind("\n"), text.rfind("\r"))
    return text[: cut + 1] if cut > 0 else text


def _csv(
    text: str, encoding: str, newline: str, only: str = "", has_header: bool | None = None
) -> tuple[dict[str, Any], list[list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), 2 * LINE_LIMIT))
    text = text.lstrip("\ufeff").replace("\0", "")
    skip = 0
    if text[:5].lower() == "sep=" + text[4:5]:  # the hint that a spreadsheet writes for itself
        skip, text = 1, text.partition("\n")[2]
    best: tuple[float, int, str, list[list[str]]] | None = None
    for separator in only or _SEPARATORS:
        found: list[list[str]] = []
        try:
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
                if row:
                    found.append(row)
                if len(found) >= _SAMPLE_ROWS:
                    break
        except csv.Error:
            continue
        if not found:
            continue
        width = len(found[0])
        same = sum(len(row) == width for row in found) / len(found)
        score = (same if width > 1 else 0.3, min(width, 20), separator, found)
        if best is None or score[:2] > best[:2]:
            best = score
    if best is None:
        raise ImportProblem(gettext("No line could be read: check that the file is a table in text form."))
    separator, sample = best[2], best[3]
    width = len(sample[0])
    if width > MAX_COLUMNS:
        raise ImportProblem(
            gettext("The file has %(n)s columns; at most %(most)s are read: remove some.")
            % {"n": width, "most": MAX_COLUMNS}
        )
    header = _is_header(sample) if has_header is None else has_header
    form: dict[str, Any] = {"kind": "csv", "encoding": encoding, "separator": separator, "newline": newline}
    form |= {"header": header, "skip": skip, "columns": column_names(sample[0] if header else [""] * width)}
    return form, [row for row in sample[header:] if len(row) == width]


def _is_header(sample: list[list[str]]) -> bool:
    return not any(is_address(cell) for cell in sample[0])


def is_address(text: str) -> bool:
    try:
        normalise(text)
    except AddressError:
        return False
    return True


def column_names(cells: list[str]) -> list[str]:
    """Names for all columns, each once: nameless ones by their place, repeated ones with a number."""
    names: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = " ".join(cell.split())[:100] or f"Column {place}"
        base, n = name, 1
        while name in names:
            n += 1
            name = f"{base} ({n})"
        names.append(name)
    return names


# -- JSON Lines --------------------------------------------------------------------------------


def read_object(line: str) -> dict[str, Any]:
    """One line of JSON Lines within limits; ValueError with a sentence.

    Refuses what PostgreSQL or another reader would choke on: more than 64 levels, more than 10,000
    keys, NaN, integers beyond 64 bits, U+0000, lone surrogates.
    """
    depth = most = 0
    if line.count("{") + line.count("[") > JSON_DEPTH:  # the exact count only where it can matter
        inside = escaped = False
        for c in line:
            if inside:
                inside, escaped = escaped or c != '"', not escaped and c == "\\"
            elif c == '"':
                inside = True
            elif c in "{[":
                depth += 1
                most = max(most, depth)
            elif c in "}]":
                depth -= 1
        if most > JSON_DEPTH:
            raise ValueError(gettext("It is nested more than %(n)s levels deep.") % {"n": JSON_DEPTH})
    try:
        value = json.loads(line, parse_constant=_no_constant, parse_int=_integer, parse_float=_float)
    except json.JSONDecodeError as error:
        raise ValueError(gettext("It is no JSON from character %(n)s on.") % {"n": error.colno}) from None
    if not isinstance(value, dict):
        raise ValueError(gettext("Each line must be an object between { and }."))
    if line.count(":") > JSON_KEYS and _keys(value) > JSON_KEYS:
        raise ValueError(gettext("It has more than %(n)s keys.") % {"n": JSON_KEYS})
    if "\\u" in line:
        whole = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in whole:
            raise ValueError(gettext("It holds the character U+0000."))
        try:
            whole.encode()
        except UnicodeEncodeError:
            raise ValueError(gettext("It holds half of a surrogate pair.")) from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(gettext("%(name)s is not a number of JSON.") % {"name": name})


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= (number := int(text)) < 2**63:
        raise ValueError(gettext("It holds an integer of more than 64 bits."))
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(gettext("It holds a number too large for a computer."))
    return number


def _keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_keys, value.values()))
    return sum(map(_keys, value)) if isinstance(value, list) else 0


def cell_text(value: Any) -> str:
    """A value of JSON or of a workbook as the text a CSV would hold."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer() and abs(value) < 2**53:
            return str(int(value))
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case list() if all(isinstance(v, str | int | float) for v in value) and not any(
            ";" in v for v in value if isinstance(v, str)
        ):
            return ";".join(cell_text(v) for v in value)
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _json_lines(text: str, encoding: str, newline: str) -> tuple[dict[str, Any], list[list[str]]]:
    columns: dict[str, None] = {}
    objects = []
    for line in text.lstrip("\ufeff").split("\n")[:_SAMPLE_ROWS]:
        try:
            objects.append(read_object(line))
        except ValueError:
            continue
        columns |= dict.fromkeys(objects[-1])
    if not objects:
        raise ImportProblem(gettext("No line is an object of JSON: write one object on each line."))
    if len(columns) > MAX_COLUMNS:
        raise ImportProblem(
            gettext("The file has %(n)s columns; at most %(most)s are read: remove some.")
            % {"n": len(columns), "most": MAX_COLUMNS}
        )
    form = {"kind": "jsonl", "encoding": encoding, "newline": newline, "header": False, "columns": list(columns)}
    return form, [[cell_text(o.get(c)) for c in columns] for o in objects]


# -- XLSX --------------------------------------------------------------------------------------


def check_workbook(path: Path) -> None:
    """Inflate every member once and count: what the archive says of itself can lie."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "xl/workbook.xml" not in names and "xl/workbook.bin" not in names:
                raise ImportProblem(gettext("This archive is not a workbook: choose a CSV, XLSX or JSON Lines file."))
            if len(names) > 5000:
                raise ImportProblem(gettext("The workbook has too many parts: save the sheet of people alone."))
            total = 0
            for member in archive.infolist():
                with archive.open(member) as part:
                    while block := part.read(1 << 20):
                        total += len(block)
                        if total > XLSX_LIMIT:
                            raise ImportProblem(
                                gettext("The workbook is larger than %(n)s MiB once decompressed: save it as CSV.")
                                % {"n": XLSX_LIMIT >> 20}
                            )
    except ImportProblem:
        raise
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError, zipfile.zlib.error):  # type: ignore[attr-defined]
        raise ImportProblem(gettext("The workbook is damaged or locked by a password: save it again.")) from None


def sheet_rows(path: Path, sheet: str | None = None) -> tuple[str, Iterator[list[str]]]:
    """The first sheet that holds anything (or the named one) and its rows as text."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        book = CalamineWorkbook.from_path(str(path))
        for name in [sheet] if sheet else book.sheet_names:
            found = book.get_sheet_by_name(name)
            if found.height:
                return name, ([cell_text(cell) for cell in row] for row in found.iter_rows())
    except (CalamineError, ValueError, OSError) as error:
        raise ImportProblem(
            gettext("The workbook cannot be read (%(error)s): save it again as .xlsx.") % {"error": error}
        ) from None
    raise ImportProblem(gettext("The workbook is empty: choose another file."))


def sheet_names(path: Path) -> list[str]:
    """The sheets of a workbook that was read before."""
    from python_calamine import CalamineWorkbook

    return list(CalamineWorkbook.from_path(str(path)).sheet_names)


def _xlsx(
    path: Path, only: str | None = None, has_header: bool | None = None
) -> tuple[dict[str, Any], list[list[str]]]:
    check_workbook(path)
    sheet, found = sheet_rows(path, only)
    sample = []
    for row in found:
        if any(row):
            sample.append(row)
        if len(sample) >= _SAMPLE_ROWS:
            break
    if not sample:
        raise ImportProblem(gettext("The workbook is empty: choose another file."))
    header = _is_header(sample) if has_header is None else has_header
    names = column_names(sample[0] if header else [""] * len(sample[0]))
    form = {"kind": "xlsx", "sheet": sheet, "sheets": sheet_names(path), "header": header, "columns": names}
    return form, sample[header:]
