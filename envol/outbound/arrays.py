"""Arrays as PostgreSQL writes them, to be cast in the statement: ``%s::bigint[]``.

A list given to the driver is walked element by element, with a dumper chosen for each; for the statements a courier
runs for every few messages that was dearer than the statement itself.
"""

from __future__ import annotations

from collections.abc import Iterable


def numbers(values: Iterable[int | None]) -> str:
    """Whole numbers; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Texts without U+0000, which PostgreSQL has not; None is NULL."""
    quoted: dict[str | None, str] = {None: "NULL"}  # the same few words as a rule
    return (
        "{" + ",".join([quoted.get(value) or quoted.setdefault(value, _quoted(value or "")) for value in values]) + "}"
    )


def _quoted(value: str) -> str:
    # Within double quotes these two are the only characters that mean something.
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
