"""Charts as SVG made on the server. Sizes are attributes, never styles: the policy of the page allows no style.

Every series differs by pattern as well as colour; the same figures stand in a table beside the chart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

WIDTH = 720


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a stacked bar; ``tone`` is a class of the style sheet (ok, bad, warn, calm, run)."""

    label: str
    value: int
    tone: str
    href: str = ""


_PATTERNS = mark_safe(
    '<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="2" height="6" class="gap"/></pattern>'
    '<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse"><circle cx="3" cy="3" r="1.2" class="gap"/>'
    "</pattern></defs>"
)
_OVER = {"bad": "hatch", "warn": "dots"}


def _f(number: float) -> str:
    return f"{number:.2f}"


def stacked(parts: Sequence[Part], title: str) -> SafeString:
    """One horizontal bar from 0 to the sum; pieces under two pixels are drawn two wide, so that they are seen."""
    total = sum(part.value for part in parts)
    if not total:
        return mark_safe("")
    widths = [max(part.value / total * WIDTH, 2.0) if part.value else 0.0 for part in parts]
    scale = WIDTH / sum(widths)
    pieces, x = [], 0.0
    for part, width in zip(parts, widths, strict=True):
        if not width:
            continue
        width *= scale
        pieces.append(
            format_html('<rect class="piece {}" x="{}" y="0" width="{}" height="36"/>', part.tone, _f(x), _f(width))
        )
        if part.tone in _OVER:
            pieces.append(
                format_html(
                    '<rect fill="url(#{})" x="{}" y="0" width="{}" height="36"/>', _OVER[part.tone], _f(x), _f(width)
                )
            )
        x += width
    return format_html(
        '<svg class="stacked" viewBox="0 0 {} 36" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg>',
        WIDTH,
        title,
        _PATTERNS,
        format_html_join("", "{}", ((piece,) for piece in pieces)),
    )


def bar(value: int, most: int) -> SafeString:
    """A bar of a table row, decoration beside its figure; starts at zero."""
    width = 100 * value / most if most else 0
    return format_html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="ground" width="100" height="8"/><rect class="piece run" width="{}" height="8"/></svg>',
        _f(max(width, 0.5)) if value else 0,
    )


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    values: Sequence[int]
    kind: str  # class of the line: one, two (dashed)


def lines(series: Sequence[Series], title: str, *, unit: str = "h", ticks: Sequence[str] = ()) -> SafeString:
    """Lines over hours, from zero; labelled directly at their highest point's end."""
    count = max((len(one.values) for one in series), default=0)
    most = max((max(one.values, default=0) for one in series), default=0)
    if count < 1 or most < 1:
        return mark_safe("")
    left, top, width, height = 44, 12, WIDTH - 60, 190
    top_value = _round_up(most)

    def x(index: int) -> float:
        return left + (width * index / max(count - 1, 1))

    def y(value: float) -> float:
        return top + height - height * value / top_value

    grid = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (left, left + width, _f(y(v)), _f(y(v)), left - 6, _f(y(v) + 4), tick)
            for v, tick in zip(
                (0, top_value / 2, top_value), ticks or ("0", str(top_value // 2), str(top_value)), strict=True
            )
        ),
    )
    step = next(s for s in (1, 2, 3, 6, 12, 24) if count / s <= 8 or s == 24)
    hours = format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle">{} {}</text>',
        ((_f(x(i)), top + height + 18, i, unit) for i in range(0, count, step)),
    )
    drawn = []
    for one in series:
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(one.values))
        if len(one.values) == 1:
            drawn.append(
                format_html('<circle class="dot {}" cx="{}" cy="{}" r="4"/>', one.kind, _f(x(0)), _f(y(one.values[0])))
            )
        drawn.append(format_html('<polyline class="line {}" points="{}"/>', one.kind, points))
    return format_html(
        '<svg class="lines" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        WIDTH,
        top + height + 26,
        title,
        grid,
        hours,
        format_html_join("", "{}", ((one,) for one in drawn)),
    )


def _round_up(value: int) -> int:
    """The next number of the form 2, 4, 10 × a power of ten: half of it is whole too."""
    power = 1
    while True:
        for step in (2, 4, 6, 10):
            if step * power >= value:
                return step * power
        power *= 10


def top_of(values: Sequence[Sequence[int]]) -> int:
    return _round_up(max((max(one, default=0) for one in values), default=0) or 1)
