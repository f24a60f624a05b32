"""The figures of a chart as a table, once for the page and once for CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from envol.contacts.exports import safe
from envol.web.templatetags.envol import number


@dataclass(frozen=True, slots=True)
class Cell:
    """``raw`` goes into CSV, ``text`` onto the page; ``href`` opens the people behind it."""

    raw: Any
    text: str
    href: str = ""
    is_number: bool = False
    bar: str = ""


def figure(value: int, href: str = "") -> Cell:
    """A number of people or events; nobody stands behind a nought."""
    return Cell(value, number(value), href if value else "", True)


def words(text: str, href: str = "", bar: str = "") -> Cell:
    return Cell(text, text, href, False, bar)


@dataclass(slots=True)
class Table:
    """``key`` names it in the address of its CSV. The first cell of a row is its head."""

    key: str
    caption: str
    head: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """Each head, and whether numbers stand under it."""
        first = self.rows[0] if self.rows else []
        return [(head, i < len(first) and first[i].is_number) for i, head in enumerate(self.head)]

    def lines(self, shown: Callable[[str], str]) -> Iterator[str]:
        """The table as CSV, texts as this reader may see them."""
        yield line(self.head)
        for row in self.rows:
            yield line([shown(cell.raw) if isinstance(cell.raw, str) else cell.raw for cell in row])


def line(cells: Sequence[Any]) -> str:
    """One line of CSV; cells that a spreadsheet would run are made harmless."""
    out = io.StringIO()
    csv.writer(out).writerow([safe(str(cell)) if isinstance(cell, str) else cell for cell in cells])
    return out.getvalue()
