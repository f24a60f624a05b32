"""Ask one question of the columnar copy: a child for each, held to time, one at a time for a workspace."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from envol import db
from envol.accounts.models import Workspace
from envol.audience.analysis import views
from envol.audience.catalogue import Catalogue
from envol.audience.columns import shape, store
from envol.contacts.models import Property
from envol.events import tasks as events

SECONDS = 15
PAGE = 50
MOST_ROWS = 100_000  # of a file
_KILLED_AFTER = 10  # seconds beyond its time


class Refused(Exception):
    """No answer: ``code`` says why, ``what`` names what it was about."""

    def __init__(self, code: str, what: str = "") -> None:
        self.code, self.what = code, what
        super().__init__(f"{code}: {what}" if what else code)


@dataclass(frozen=True, slots=True)
class Answer:
    """``made_at``: when the copy was made that answered, in seconds of the clock."""

    columns: list[str]
    rows: list[list[Any]]
    more: bool
    seconds: float
    made_at: float


def properties_of(workspace: Workspace, manifest: store.Manifest | None = None) -> list[tuple[str, str]]:
    """Properties that the copy holds as the catalogue now tells them; sensitive ones never."""
    held = manifest.columns["contacts"] if manifest else None
    return [
        (prop.key, prop.type)
        for prop in Property.objects.filter(workspace=workspace, sensitive=False).order_by("id")
        if held is None or all(held.get(c.name) == c.told for c in shape.property_columns(prop))
    ]


def copy_of(workspace: Workspace) -> store.Manifest | None:
    """The copy that would answer, None when there is none that may be read."""
    found = store.current(store.folder(settings.ENVOL.data, workspace.pk))
    if found is None or set(found.months) - {name for _, name in events.months()}:
        return None
    return found


def ask(workspace: Workspace, sql: str, *, masked: bool, first: int = 0, count: int = PAGE) -> Answer:
    """``count`` rows of the answer, from ``first``. ``masked`` hides addresses. Raises :class:`Refused`."""
    manifest = copy_of(workspace)
    if manifest is None:
        raise Refused("no_copy")
    place = store.folder(settings.ENVOL.data, workspace.pk) / manifest.version
    catalogue = Catalogue(workspace)
    copy = views.Copy(
        files={name: [str(place / file) for file in manifest.files[name]] for name in shape.tables(catalogue)
               if name in manifest.files},
        properties=properties_of(workspace, manifest),
        masked=masked,
        gone=[
            int(row[0])
            for row in db.rows(
                "SELECT contact_id FROM contacts_gone WHERE workspace_id = %s AND what = 'contact' AND stamp >= %s",
                [workspace.pk, manifest.watermark],
            )
        ],
        lists={str(no): name for no, name in catalogue.lists.items()},
        sendings={str(no): name for no, name in catalogue.sendings.items()},
    )  # fmt: skip
    types = {
        table.name: ", ".join(f'"{column.name}" {column.type}' for column in table.columns)
        for table in shape.tables(catalogue).values()
    }
    question = {
        "sql": sql,
        "copy": views.told(copy),
        "types": types,
        "first": first,
        "count": count,
        "seconds": SECONDS,
    }
    with _turn(workspace), tempfile.TemporaryFile() as out, tempfile.TemporaryDirectory(prefix="envol-sql-") as home:
        _run(question, out, home)
        out.seek(0)
        lines = (json.loads(line) for line in out)
        head = next(lines, {"refused": "memory"})
        if "columns" not in head:
            raise Refused(head["refused"], head.get("what", ""))
        rows: list[list[Any]] = []
        for line in lines:
            if isinstance(line, list):
                rows.append(line)
            elif "refused" in line:
                raise Refused(line["refused"], line.get("what", ""))
            else:
                return Answer(
                    [str(one) for one in head["columns"]], rows, line["more"], line["seconds"], manifest.made_at
                )
    raise Refused("memory")  # it ended before its last line


def _run(question: dict[str, Any], out: Any, home: str) -> None:
    # No setting, no secret and no address of a database: the child can tell nobody what it does not know.
    env = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": home}
    command = [sys.executable, "-I", "-m", "envol.audience.analysis"]
    try:
        subprocess.run(
            command,
            input=json.dumps(question).encode(),
            stdout=out,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=env,
            timeout=SECONDS + _KILLED_AFTER,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Refused("slow") from None


@contextmanager
def _turn(workspace: Workspace) -> Iterator[None]:
    """One question of a workspace at a time."""
    path = store.folder(settings.ENVOL.data, workspace.pk) / "analysis.lock"
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused("busy") from None
        yield
