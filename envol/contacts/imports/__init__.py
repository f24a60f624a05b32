"""Files of people on their way in: receive → mapping → permission → dry run → run, undone for 7 days.

Files of orders take the same road without a permission: who bought is known already.

``receive``, mapping and permission are light and called by pages; ``dry_run``, ``run`` and ``undo`` belong
into the worker or a command: they load polars and DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from envol.contacts.imports.mapping import Column, propose, set_mapping
from envol.contacts.imports.orders import set_order_mapping
from envol.contacts.imports.origin import MOVED, OTHER, PEOPLE, PROGRAM, set_origin
from envol.contacts.imports.permission import set_permission
from envol.contacts.imports.problem import CAUSES, ImportProblem
from envol.contacts.imports.receive import receive, set_format, set_what
from envol.contacts.imports.refused import refused_csv
from envol.contacts.imports.undo import undo as undo_people
from envol.contacts.imports.undo import undo_orders
from envol.contacts.models import Import

__all__ = [
    "CAUSES", "MOVED", "OTHER", "PEOPLE", "PROGRAM", "Column", "ImportProblem", "dry_run", "propose", "receive",
    "refused_csv", "run", "set_format", "set_mapping", "set_order_mapping", "set_origin", "set_permission", "set_what",
    "undo",
]  # fmt: skip

Progress = Callable[[int, int | None, str], None]
"""``progress(done, total, step)``; raising `envol.accounts.jobs.Cancelled` stops the work in good order."""


def dry_run(imp: Import, progress: Progress | None = None) -> dict[str, Any]:
    """What `run` would do: see `dry_run` of `write` (people) and of `order_lines`."""
    from envol.contacts.imports import order_lines, write

    return order_lines.dry_run(imp, progress) if imp.what == "orders" else write.dry_run(imp, progress)


def run(imp: Import, progress: Progress | None = None) -> dict[str, Any]:
    """Write what the file says: see `run` of `write` (people) and of `order_lines`."""
    from envol.contacts.imports import order_lines, write

    return order_lines.run(imp, progress) if imp.what == "orders" else write.run(imp, progress)


def undo(imp: Import, progress: Progress | None = None) -> dict[str, Any]:
    """Take back what an import did, for seven days: see `envol.contacts.imports.undo`."""
    return undo_orders(imp) if imp.what == "orders" else undo_people(imp, progress)
