"""Files of people on their way in: receive → mapping → permission → dry run → run, undone for 7 days.

``receive``, mapping and permission are light and called by pages; ``dry_run``, ``run`` and ``undo`` belong
into the worker or a command: they load polars and DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envol.contacts.imports.mapping import Column, propose, set_mapping
from envol.contacts.imports.permission import set_permission
from envol.contacts.imports.problem import CAUSES, ImportProblem
from envol.contacts.imports.receive import receive, set_format
from envol.contacts.imports.refused import refused_csv
from envol.contacts.imports.undo import undo
from envol.contacts.models import Import

__all__ = [
    "CAUSES", "Column", "ImportProblem", "dry_run", "propose", "receive", "refused_csv", "run", "set_format",
    "set_mapping", "set_permission", "undo",
]  # fmt: skip

Progress = Callable[[int, int | None, str], None]
"""``progress(done, total, step)``; raising `envol.accounts.jobs.Cancelled` stops the work in good order."""


def dry_run(imp: Import, progress: Progress | None = None) -> dict[str, Any]:
    """What `run` would do: see `envol.contacts.imports.write.dry_run`."""
    from envol.contacts.imports import write

    return write.dry_run(imp, progress)


def run(imp: Import, progress: Progress | None = None) -> dict[str, Any]:
    """Write what the file says: see `envol.contacts.imports.write.run`."""
    from envol.contacts.imports import write

    return write.run(imp, progress)
