"""A program's file of people, taken in by the importer that members use (`envol.contacts.imports`).

What is the program's own stands around it: columns become properties of the dialect's names, permission is what a
member declared for the key, and the method says what everybody in the file then is to the list.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from envol.accounts.jobs import Cancelled, Progress
from envol.accounts.models import ApiKey, Job
from envol.api import declared
from envol.api.models import CsvData
from envol.api.rest import names
from envol.api.rest.people import EXCLUDED
from envol.api.rest.values import Invalid
from envol.consent import suppression
from envol.consent.models import Basis
from envol.contacts import catalogue, forgotten_words, imports, subscriptions
from envol.contacts.imports import formats, kept
from envol.contacts.imports.receive import copy_of, folder, refuse_when_full
from envol.contacts.models import Import, List, PropertyType, Source
from envol.wire.address import AddressError, normalise

KIND = "api.csv"
METHODS = ("addforce", "addnoforce", "remove", "unsub", "excludemarketing", "includemarketing")
GLOBAL = METHODS[4:]
_ADDS = METHODS[:2]
_PIECE = 5_000
_PARTS = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d", "hh": "%H", "nn": "%M", "ss": "%S"}


def keep(key: ApiKey, list_id: int | None, pieces: Iterable[bytes]) -> CsvData:
    """Put the file down, readable by nobody else. Raises ImportProblem when there is no room."""
    refuse_when_full()
    name = f"csv-{secrets.token_hex(12)}"
    with open(os.open(folder() / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        for piece in pieces:
            out.write(piece)
    return CsvData.objects.create(workspace=key.workspace, key=key, list_id=list_id, path=f"imports/{name}")


def place(data: CsvData) -> Path:
    return Path(settings.ENVOL.data) / data.path


def drop(data: CsvData) -> None:
    place(data).unlink(missing_ok=True)
    data.delete()


def forget(hours: int = 24) -> None:
    """What nobody asked to be taken in, or what a killed worker left, goes after a day."""
    for one in CsvData.objects.filter(at__lt=datetime.now(UTC) - timedelta(hours=hours)):
        drop(one)


def forget_person(workspace_id: int, contact_id: int) -> int:
    """Empty her records in files that wait to be taken in (GDPR art. 17); of how many. Whoever reads one now goes on in
    the old one, and the import takes out whom it brought back (`envol.contacts.imports.kept.erase_again`)."""
    found = 0
    words, named = forgotten_words.of_records(workspace_id, contact_id)
    for one in CsvData.objects.filter(workspace_id=workspace_id).order_by("pk"):
        path = place(one)
        try:
            found += kept.take_out(path, formats.detect(path, path.name)[0], words, named)
        except FileNotFoundError:
            continue
        except imports.ImportProblem:  # who is in it cannot be read, and nobody will take it in
            path.unlink(missing_ok=True)
            found += 1
        if not path.exists():
            one.delete()
    return found


def format_of(words: str) -> str:
    """``dd/mm/yyyy hh:nn`` as Python writes it. Raises Invalid."""
    parts = re.split(r"(yyyy|yy|mm|dd|hh|nn|ss|[-/. :T])", words.lower().replace("t", "T"))
    if any(part and part not in _PARTS and not re.fullmatch(r"[-/. :T]", part) for part in parts):
        made_of = "DateTimeFormat is made of yyyy, yy, mm, dd, hh, nn and ss"
        raise Invalid(f"MJ08 Property ImportOptions is invalid: {made_of}")
    return "".join(_PARTS.get(part, part) for part in parts)


# ---- the work


def work(job: Job, progress: Progress) -> None:
    """Take the file in; what is known of it stands in ``progress.result``, whatever happens.

    Raises ImportProblem; Cancelled where more was refused than the program allows.
    """
    facts = progress.result = dict(job.result)
    data = CsvData.objects.select_related("key__workspace").filter(pk=job.object_id or 0).first()
    if data is None:  # the worker died between the last commit and its answer
        return
    key, method = data.key, facts["Method"]
    one = List.objects.filter(workspace=data.workspace, pk=facts["ContactsListID"]).first()
    try:
        if one is None and method not in GLOBAL:
            raise imports.ImportProblem("The list is gone.")
        with tempfile.NamedTemporaryFile("wb", dir=folder(), suffix=".csv") as file:
            path = Path(file.name)
            _prepare(key, place(data), path, facts["options"])
            imp = Import.objects.filter(workspace=data.workspace, pk=facts.get("import", 0)).first()
            if imp is None:
                imp = _received(key, path, one if method in _ADDS else None, facts)
                facts["import"] = imp.pk
                # A worker that dies from here on is followed by one that goes on.
                Job.objects.filter(pk=job.pk).update(result=facts)
            if facts["ErrTreshold"] > 0 and imp.state == "mapped":
                facts |= _told(imports.dry_run(imp, progress.at), 0)
                if facts["errors"] > facts["ErrTreshold"]:
                    raise Cancelled
            if imp.state != "done":
                imports.run(imp, progress.at)
                imp.refresh_from_db()
            facts |= _told(imp.counts, imp.counts["lines"])
            for keys in _pieces(_keys(path, imp)):
                _act(key, one, keys, method, imp)
        drop(data)
    except (imports.ImportProblem, Cancelled):
        drop(data)  # nobody takes it up again
        _drop_copy(Import.objects.filter(workspace=data.workspace, pk=facts.get("import", 0)).first())
        raise
    finally:
        progress.result = facts


def _wrong(counts: dict[str, Any]) -> int:
    return sum(counts.get("refused", {}).values())


def _told(counts: dict[str, Any], done: int) -> dict[str, Any]:
    return {"count": counts["lines"], "current": done, "errors": _wrong(counts)}


def _received(key: ApiKey, path: Path, one: List | None, facts: dict[str, Any]) -> Import:
    """The import of this file, with its mapping and permission stated."""
    imp = imports.receive(key.workspace, path, f"csvimport {facts['DataID']}.csv")
    if imp.format["kind"] == "csv" and not imp.format["header"]:
        imports.set_format(imp, header=True)
    try:
        imports.set_mapping(imp, _mapping(key, imp.format["columns"]), one.pk if one else None)
    except imports.ImportProblem:
        _drop_copy(imp)
        imp.delete()
        raise
    declaration = declared.of(key)
    source = Source.objects.create(
        workspace_id=key.workspace_id, kind="import", label=key.name[:200], actor=f"key {key.pk}", import_id=imp.pk
    )
    imp.source_id = source.pk
    if declaration and one is not None:
        imp.permission = {
            "purpose": declaration.purpose.key,
            "basis": Basis.CONSENT,
            "source": declaration.evidence.source,
            "date": datetime.now(UTC).isoformat(),
            "text_version": None,
            "strength": declaration.evidence.strength,
            "conditions": {},
            "evidence_id": declaration.evidence.pk,
        }
    imp.save(update_fields=["source_id", "permission"])
    given_by = declaration.evidence.facts.get(declared.GIVEN_BY, "") if declaration else ""
    if given_by:
        today = key.workspace.today().isoformat()
        imports.set_origin(imp, imports.OTHER, given_by, today)
    elif declaration:
        imports.set_origin(imp, imports.PEOPLE)
    else:
        imports.set_origin(imp, imports.PROGRAM, key.name)
    return imp


def _drop_copy(imp: Import | None) -> None:
    if imp is not None:
        with contextlib.suppress(imports.ImportProblem):
            copy_of(imp).unlink()


def _mapping(key: ApiKey, columns: Iterable[str]) -> dict[str, str]:
    """A column of an unknown name becomes a property; one that programs do not see is left out."""
    found: dict[str, str] = {}
    for name in columns:
        own = names.key_of(name)
        if name.strip().lower() == "email":
            target = "email"
        elif name.strip().lower() == "name":
            names.full_name(key)
            target = f"property:{names.FULL_NAME}"
        else:
            if own not in catalogue.of(key.workspace):
                try:
                    names.declare(key, name, "str")
                except Invalid:
                    continue
            target = f"property:{own}" if own in names.known(key.workspace) else "skip"
        if target not in found.values():
            found[name] = target
    return found


def _prepare(key: ApiKey, source: Path, target: Path, options: dict[str, Any]) -> None:
    """The file with its header, and with dates as the importer reads them."""
    fields, written = options.get("fields", []), options.get("format", "")
    if not fields and not written:
        shutil.copyfile(source, target)
        return
    with open(source, encoding="utf-8-sig", errors="replace", newline="") as given:
        first = given.readline()
        given.seek(0)
        separator = max(",;\t|", key=first.count)
        rows = csv.reader((line.replace("\0", "") for line in given), delimiter=separator)
        head = fields or next(rows, [])
        there = names.known(key.workspace)
        dates = [
            n
            for n, name in enumerate(head)
            if (prop := there.get(names.key_of(str(name)))) and prop.type == PropertyType.DATE
        ]
        with open(target, "w", encoding="utf-8", newline="") as out:
            write = csv.writer(out, delimiter=separator).writerow
            write(head)
            for row in rows:
                for n in dates if written else ():
                    if n < len(row) and row[n].strip():
                        row[n] = _day(row[n].strip(), written)
                write(row)


def _day(cell: str, written: str) -> str:
    try:
        return datetime.strptime(cell, written).replace(tzinfo=UTC).date().isoformat()
    except ValueError:
        return f"? {cell}"  # what is not so is no date at all: read another way it might be a wrong one


def _keys(path: Path, imp: Import) -> Iterator[str]:
    """The addresses of the file, as people are known by them."""
    from envol.contacts.imports.read import blocks

    place = [imp.mapping.get(name) for name in imp.format["columns"]].index("email")
    for block in blocks(path, imp.format):
        for raw in block.rows[f"c{place}"].to_list():
            try:
                yield normalise(raw or "").key
            except AddressError:
                continue


def _pieces(keys: Iterator[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    for key in keys:
        piece.append(key)
        if len(piece) == _PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _act(key: ApiKey, one: List | None, keys: list[str], method: str, imp: Import) -> None:
    cause = f"API key {key.pk}"
    assert imp.source_id is not None
    if method == "excludemarketing":
        suppression.add_many(key.workspace_id, keys, "marketing", EXCLUDED, cause)
    elif method == "includemarketing":
        for one_key, found in suppression.lookup(key.workspace_id, keys).items():
            if found.reason == EXCLUDED:
                suppression.lift(key.workspace_id, one_key, "marketing", cause, actor="key", actor_id=key.pk)
    elif one is not None and method == "addforce":
        subscriptions.rejoin_many(one, keys, imp.source_id)
    elif one is not None and method == "unsub":
        subscriptions.unsubscribe_many(one, keys, imp.source_id)
    elif one is not None and method == "remove":
        subscriptions.take_off_many(one, keys)


def begin(data: CsvData, facts: dict[str, Any]) -> Job:
    from envol.api import tasks  # the queue: only where something is put into it

    job = Job.objects.create(workspace=data.workspace, kind=KIND, object_id=data.pk, result=facts)
    tasks.start_csv(job)
    return job
