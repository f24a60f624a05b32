"""Keyset paging: 50 rows a page, newest first, stable while rows arrive, the same cost on page 1,000."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.http import HttpRequest

PAGE = 50


@dataclass(frozen=True, slots=True)
class Page:
    """``rows`` to show; ``older`` and ``first`` are addresses of this page with the same filters, or empty."""

    rows: list[Any]
    older: str
    first: str


def before_of(request: HttpRequest) -> int | None:
    """Where the page begins: below this key."""
    before = request.GET.get("before", "")
    return int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None


def page_of(request: HttpRequest, rows: QuerySet[Any], *, field: str = "id") -> Page:
    """Rows by falling ``field``, beginning below ``?before=``."""
    before = before_of(request)
    if before is not None:
        rows = rows.filter(**{f"{field}__lt": before})
    found = list(rows.order_by(f"-{field}")[: PAGE + 1])
    return made_of(request, found[:PAGE], getattr(found[PAGE - 1], field) if len(found) > PAGE else None)


def made_of(request: HttpRequest, rows: list[Any], last: int | None) -> Page:
    """A page of these rows; ``last`` is the key of its last one when more follow."""
    kept = [(key, value) for key, value in request.GET.items() if key != "before" and value]
    older = "?" + urlencode([*kept, ("before", last)]) if last is not None else ""
    return Page(rows, older, ("?" + urlencode(kept)) if before_of(request) is not None else "")
