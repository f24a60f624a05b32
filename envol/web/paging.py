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


def page_of(request: HttpRequest, rows: QuerySet[Any], *, field: str = "id") -> Page:
    """Rows by falling ``field``, beginning below ``?before=``."""
    before = request.GET.get("before", "")
    if before.isascii() and before.isdigit() and len(before) < 19:
        rows = rows.filter(**{f"{field}__lt": int(before)})
    else:
        before = ""
    found = list(rows.order_by(f"-{field}")[: PAGE + 1])
    kept = [(key, value) for key, value in request.GET.items() if key != "before" and value]
    older = ""
    if len(found) > PAGE:
        older = "?" + urlencode([*kept, ("before", getattr(found[PAGE - 1], field))])
    return Page(found[:PAGE], older, ("?" + urlencode(kept)) if before else "")
