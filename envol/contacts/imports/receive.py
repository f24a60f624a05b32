"""Take a file in: keep a copy, find out what it is, propose a mapping."""

from __future__ import annotations

import codecs
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext

from envol import disk
from envol.accounts.journal import note
from envol.accounts.models import Workspace
from envol.contacts.imports import formats
from envol.contacts.imports.mapping import must_be_open
from envol.contacts.imports.orders import proposed
from envol.contacts.imports.problem import ImportProblem
from envol.contacts.models import Import

SAMPLES = 3


def folder() -> Path:
    """Where copies of imported files lie, readable by nobody else."""
    path = Path(settings.ENVOL.data) / "imports"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def refuse_when_full() -> None:
    """ImportProblem, with the sentence, when there is no room for a file of people."""
    try:
        disk.refuse_when_full()
    except disk.Full as full:
        raise ImportProblem(str(full)) from None


def copy_of(imp: Import) -> Path:
    """The kept copy; ImportProblem once the import has ended and the copy is gone."""
    path = Path(settings.ENVOL.data) / imp.path
    if not imp.path or not path.is_file():
        raise ImportProblem(gettext("The file of this import is no longer kept: import it again."))
    return path


def receive(
    workspace: Workspace, path: Path, file_name: str, member_id: int | None = None, what: str = "people"
) -> Import:
    """Copy a file of people (or of orders) into the data directory and prepare its import.

    Kind (CSV, XLSX, JSON Lines), encoding, separator and header are detected; ``imp.format`` holds
    them with the columns' names and three values of each. The mapping is proposed and can be changed
    (`set_mapping`). Raises ImportProblem when the file cannot be read; nothing is kept then.
    """
    refuse_when_full()
    name = secrets.token_hex(12)
    copy = folder() / name
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as source, open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            while block := source.read(1 << 20):
                digest.update(block)
                out.write(block)
        form, sample = formats.detect(copy, file_name)
        form["samples"] = [samples_of(sample, i) for i in range(len(form["columns"]))]
        imp = Import(
            workspace=workspace,
            what=what,
            file_name=Path(file_name).name[:255],
            file_sha256=digest.digest(),
            path=f"imports/{name}",
            format=form,
            member_id=member_id,
        )
        imp.mapping = {column.name: column.target for column in proposed(imp, sample)}
        imp.save()
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    actor = ("member", member_id) if member_id else ("command", None)
    action = "import.orders_received" if what == "orders" else "import.received"
    note(workspace, actor[0], action, imp, actor_id=actor[1], kind=form["kind"])
    return imp


def forget_file(imp: Import) -> None:
    """It was taken in: the file goes, and the values shown of its columns. An erasure may have been faster."""
    if imp.path:
        (Path(settings.ENVOL.data) / imp.path).unlink(missing_ok=True)
    imp.format.pop("samples", None)
    imp.save(update_fields=["format"])


def set_what(imp: Import, what: str) -> Import:
    """The file holds people, or orders: the columns are proposed anew. Raises ImportProblem."""
    must_be_open(imp)
    _, sample = formats.read_as(copy_of(imp), imp.format)
    imp.what = what
    imp.mapping = {column.name: column.target for column in proposed(imp, sample)}
    imp.state, imp.counts = "uploaded", {}
    imp.save(update_fields=["what", "mapping", "state", "counts"])
    return imp


def samples_of(sample: list[list[str]], i: int) -> list[str]:
    """Up to three values of column ``i`` among the first rows."""
    found: dict[str, None] = {}
    for row in sample:
        if i < len(row) and (value := row[i].strip()):
            found[value[:100]] = None
            if len(found) == SAMPLES:
                break
    return list(found)


def set_format(imp: Import, **changes: Any) -> Import:
    """Correct what was detected (``encoding``, ``separator``, ``header``, ``sheet``) and read the first rows anew.

    Columns, their three values and the proposed mapping follow; the steps after it are to be taken again.
    Raises ImportProblem, and changes nothing, when the file cannot be read so.
    """
    allowed = {"csv": ("encoding", "separator", "header"), "jsonl": ("encoding",)}.get(
        imp.format["kind"], ("sheet", "header")
    )
    if wrong := changes.keys() - set(allowed):
        raise ImportProblem(
            gettext("%(names)s cannot be set here; these can: %(allowed)s.")
            % {"names": ", ".join(sorted(wrong))[:100], "allowed": ", ".join(allowed)}
        )
    if imp.state in ("running", "done", "undone"):
        raise ImportProblem(gettext("This import has ended: start another with the same file."))
    try:
        codecs.lookup(changes.get("encoding", "utf-8"))
    except LookupError:
        raise ImportProblem(
            gettext("There is no encoding called “%(name)s”.") % {"name": changes["encoding"][:40]}
        ) from None
    if "separator" in changes and (len(changes["separator"]) != 1 or changes["separator"] in '"\r\n\0'):
        raise ImportProblem(gettext("One character stands between the columns: choose a semicolon, comma or tab."))
    if "sheet" in changes and changes["sheet"] not in imp.format.get("sheets", [imp.format["sheet"]]):
        raise ImportProblem(gettext("The workbook has no sheet of this name: choose one of its sheets."))
    try:
        form, sample = formats.read_as(copy_of(imp), imp.format | changes)
    except UnicodeError:
        raise ImportProblem(gettext("The file cannot be read in this encoding: choose another.")) from None
    form["samples"] = [samples_of(sample, i) for i in range(len(form["columns"]))]
    imp.format = form
    imp.mapping = {column.name: column.target for column in proposed(imp, sample)}
    imp.state, imp.counts = "uploaded", {}
    imp.save(update_fields=["format", "mapping", "state", "counts"])
    return imp
