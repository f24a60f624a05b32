"""What is kept of files: copies that wait to be taken in, refused lines, changes to undo. When it goes, and who goes.

An erasure (GDPR art. 17) empties the records that name the person from the copy of a file which is not taken in yet.
The lines stay, empty, so that the numbers of all others stay true; readers pass them over.
"""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from envol.consent import registry, suppression
from envol.consent.models import Erasure
from envol.contacts.imports import formats
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.imports.receive import samples_of
from envol.contacts.imports.undo import DAYS
from envol.contacts.models import Import
from envol.db import execute, rows

KEPT = timedelta(days=30)
"""A file that nobody took in, and the lines that were refused (art. 5(1)(e))."""
_BLOCK = 1 << 20  # characters looked through at once
_JOIN = 200  # lines that one quoted cell may run over, as `envol.contacts.imports.read` takes them

_MARGIN = timedelta(minutes=10)  # an erasure may have begun this long before it was seen

Named = Callable[[str], bool]
"""Does this text, in small letters, name the person?"""
Version = tuple[int, ...]
"""Which file it was that lay there: an erasure puts another in its place."""


class _NoTable(Exception):
    """A line longer than any of a table."""


def forget(workspace_id: int, words: Sequence[str], named: Named) -> int:
    """Take a person out of the files that wait; in how many she was. ``words``: what she may be called by.

    Within the erasure's transaction: should that fail, her lines are gone from a file that can be sent in again.
    """
    found = 0
    waiting = Import.objects.filter(workspace_id=workspace_id).exclude(state__in=("done", "undone")).exclude(path="")
    # Locked, so that a reading which ends meanwhile writes its refused lines before or after (`alone`).
    for imp in waiting.select_for_update().order_by("pk"):
        copy = Path(settings.ENVOL.data) / imp.path
        if not copy.is_file():
            shown = [[one for one in column if not named(one.lower())] for column in imp.format.get("samples", [])]
            if shown != imp.format.get("samples", []):
                imp.format["samples"] = shown
                imp.save(update_fields=["format"])
        elif take_out(copy, imp.format, words, named):
            found += 1
            _show_anew(imp, copy)
    return found


def _show_anew(imp: Import, copy: Path) -> None:
    """The three values of each column are of other people now, or of nobody."""
    imp.format.pop("samples", None)
    try:
        if copy.is_file():
            _, sample = formats.read_as(copy, imp.format)
            imp.format["samples"] = [samples_of(sample, i) for i in range(len(imp.format["columns"]))]
    except (ImportProblem, UnicodeError):  # nobody is left in it
        copy.unlink(missing_ok=True)
    imp.save(update_fields=["format"])


def take_out(copy: Path, form: dict[str, Any], words: Sequence[str], named: Named) -> bool:
    """Empty the records that name her; was there one? A file that cannot be written again as it was goes whole.

    ``form``: as `envol.contacts.imports.formats.detect` finds it.
    """
    try:
        if form["kind"] == "xlsx":
            if not _in_workbook(copy, named):
                return False
            copy.unlink()
            return True
        return _may_name(copy, form, words) and _rewrite(copy, form, named)
    except (OSError, ValueError, LookupError, _NoTable):
        copy.unlink(missing_ok=True)
        return True


def _in_workbook(copy: Path, named: Named) -> bool:
    for name in formats.sheet_names(copy):
        _, rows = formats.sheet_rows(copy, name)
        if any(named("\t".join(row).lower()) for row in rows):
            return True
    return False


def _may_name(copy: Path, form: dict[str, Any], words: Sequence[str]) -> bool:
    """Is any of her words in it? Most files are passed over here, a hundred million characters in a second."""
    # JSON may write a letter by its number.
    if form["kind"] == "jsonl" and not all(word.isascii() for word in words):
        return True
    longest = max(map(len, words), default=0)
    with open(copy, encoding=form["encoding"], errors=_errors(form), newline="") as file:
        before = ""
        while block := file.read(_BLOCK):
            text = before + block.lower()
            if any(word in text for word in words):
                return True
            before = text[-longest:]
    return False


def _errors(form: dict[str, Any]) -> str:
    """Octets that are no character of the encoding come back as they were."""
    return "strict" if form["encoding"].startswith(("utf-16", "utf-32")) else "surrogateescape"


def _rewrite(copy: Path, form: dict[str, Any], named: Named) -> bool:
    new, found = copy.with_name(f"{secrets.token_hex(12)}.new"), False
    newline = "" if form.get("newline") == "\r" else "\n"
    coded = {"encoding": form["encoding"], "errors": _errors(form)}
    try:
        with (
            open(copy, newline=newline, **coded) as file,
            open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", newline="", **coded) as out,
        ):
            for lines in _records(file) if form["kind"] == "csv" else ([line] for line in file):
                text = "".join(lines)
                if named((_unescaped(text) if form["kind"] == "jsonl" else text).lower()):
                    found = True
                    lines = ["".join(sign for sign in line if sign in "\r\n") for line in lines]
                out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
        if found:
            # Who reads it now goes on in the old one, which is gone when it ends.
            os.replace(new, copy)
    finally:
        new.unlink(missing_ok=True)
    return found


def _unescaped(line: str) -> str:
    """A line of JSON with what its cells say beside it."""
    if "\\" not in line:
        return line
    try:
        return line + "\t" + "\t".join(formats.cell_text(cell) for cell in formats.read_object(line.strip()).values())
    except ValueError:
        return line


def _records(file: io.TextIOBase) -> Iterator[list[str]]:
    """Lines that belong together: a quotation mark that is open joins the next ones, unless nothing closes it."""
    waiting: list[str] = []
    for line in file:
        if len(line) > formats.LINE_LIMIT:
            raise _NoTable
        waiting.append(line)
        while waiting and (size := _closed(waiting) or (len(waiting) >= _JOIN)):
            yield waiting[:size]
            del waiting[:size]
    while waiting:
        size = _closed(waiting) or 1
        yield waiting[:size]
        del waiting[:size]


def _closed(lines: Sequence[str]) -> int:
    """After how many lines no quotation mark is open; 0: never."""
    marks = 0
    for i, line in enumerate(lines, 1):
        marks += line.count('"')
        if marks % 2 == 0:
            return i
    return 0


# -- an erasure while a file is read -------------------------------------------------------------


def version(copy: Path) -> Version:
    found = copy.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def alone(cursor: Any, imp: Import) -> None:
    """Until the transaction ends no erasure looks at this import: it was before, or comes after."""
    cursor.execute("SELECT FROM contacts_import WHERE id = %s FOR UPDATE", [imp.pk])


def bury(cursor: Any, imp: Import, read: Version) -> None:
    """Refused lines of records that were emptied since the file was ``read`` go as well."""
    copy = Path(settings.ENVOL.data) / imp.path
    try:
        if version(copy) == read:
            return
        newline = "" if imp.format.get("newline") == "\r" else "\n"
        with open(copy, encoding=imp.format["encoding"], errors=_errors(imp.format), newline=newline) as file:
            empty = [number for number, line in enumerate(file, 1) if not line.strip()]
    except (OSError, UnicodeError, KeyError):  # it went whole
        cursor.execute("DELETE FROM contacts_import_refusal WHERE import_id = %s", [imp.pk])
        return
    cursor.execute("DELETE FROM contacts_import_refusal WHERE import_id = %s AND line = ANY(%s)", [imp.pk, empty])


def erase_again(imp: Import, begun: datetime) -> int:
    """Whoever was erased while an import ran, and came back by it, goes again; how many."""
    lately = Erasure.objects.filter(workspace_id=imp.workspace_id, at__gte=begun - _MARGIN)
    digests = {bytes(one) for one in lately.values_list("digest", flat=True)}
    if not digests:
        return 0
    found, last = [], 0
    while some := rows(
        "SELECT c.id, c.email_key, c.created_at FROM contacts_contact c WHERE c.workspace_id = %s AND c.id > %s"
        " AND EXISTS (SELECT FROM contacts_import_change i WHERE i.import_id = %s AND i.created"
        "  AND c.id BETWEEN i.contact_id AND (i.before ->> 'last')::bigint) ORDER BY c.id LIMIT 20000",
        [imp.workspace_id, last, imp.pk],
    ):
        last = some[-1][0]
        keys = suppression.digest_many(imp.workspace_id, [key for _, key, _ in some])
        found += [one for one, digest in zip(some, keys, strict=True) if digest in digests]
    for contact_id, key, born in found:
        registry.erase_person(
            imp.workspace_id, contact_id, key, cause="erased while a file was read", actor="job", born=born
        )
    return len(found)


# -- by the clock ----------------------------------------------------------------------------------


def sweep(now: datetime | None = None) -> int:
    """What was kept its time goes: files nobody took in, refused lines, what there was to undo; how many files."""
    now = now or datetime.now(UTC)
    old = Import.objects.exclude(state__in=("running", "done", "undone")).filter(created_at__lt=now - KEPT)
    files = 0
    for imp in old.exclude(path=""):
        with transaction.atomic():
            mine = old.filter(pk=imp.pk).exclude(path="").select_for_update().first()
            if mine is None:
                continue
            (Path(settings.ENVOL.data) / mine.path).unlink(missing_ok=True)
            mine.format.pop("samples", None)
            mine.path = ""
            mine.save(update_fields=["format", "path"])
            files += 1
    execute(
        "DELETE FROM contacts_import_refusal r USING contacts_import i"
        " WHERE i.id = r.import_id AND coalesce(i.ended_at, i.created_at) < %s AND i.state <> 'running'",
        [now - KEPT],
    )
    execute(
        "DELETE FROM contacts_import_change c USING contacts_import i"
        " WHERE i.id = c.import_id AND i.state IN ('done', 'undone') AND i.ended_at < %s",
        [now - timedelta(days=DAYS)],
    )
    return files
