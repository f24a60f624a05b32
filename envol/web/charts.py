"""Charts as SVG made on the server: the same drawing for page, print and mail.

Sizes are attributes, never styles: the policy of the page allows no style. Axes begin at zero. Every series differs
by dash or pattern as well as by colour; the same figures stand in a table beside the chart, where each can be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

WIDTH = 720


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a stacked bar; ``tone`` is a class of the style sheet (ok, bad, warn, calm, run, rest)."""

    label: str
    value: int
    tone: str
    href: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line; a value that is None is a gap."""

    label: str
    values: Sequence[float | None]
    kind: str  # class of the line: one, two (dashed), three (dotted)


_OVER = {"bad": "hatch", "warn": "dots", "calm": "grid"}
_PATTERNS = {
    "hatch": '<rect width="2" height="6" class="gap"/>',
    "dots": '<circle cx="3" cy="3" r="1.2" class="gap"/>',
    "grid": '<path d="M0 3h6M3 0v6" class="gapline"/>',
}


def _f(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _join(pieces: Iterable[str]) -> SafeString:
    return format_html_join("", "{}", ((piece,) for piece in pieces))


def _patterns(name: str) -> SafeString:
    made = (
        format_html(
            '<pattern id="{}-{}" width="6" height="6" patternUnits="userSpaceOnUse"{}>{}</pattern>',
            name,
            kind,
            mark_safe(' patternTransform="rotate(45)"') if kind == "hatch" else "",
            mark_safe(drawn),  # noqa: S308 - our own drawings
        )
        for kind, drawn in _PATTERNS.items()
    )
    return format_html("<defs>{}</defs>", _join(made))


def _drawing(kind: str, name: str, height: float, title: str, desc: str, *body: str, width: int = WIDTH) -> SafeString:
    """The SVG around a chart; ``name`` keeps its ids apart from those of other charts of the page."""
    return format_html(
        '<svg class="{0}" viewBox="0 0 {1} {2}" role="img" aria-labelledby="{3}-t {3}-d">'
        '<title id="{3}-t">{4}</title><desc id="{3}-d">{5}</desc>{6}</svg>',
        kind,
        width,
        _f(height),
        name,
        title,
        desc,
        _join(body),
    )


def _pieces(name: str, parts: Sequence[Part], width: float, height: float) -> list[SafeString]:
    """Pieces of a bar; one under two units is drawn two wide, so that it is seen."""
    total = sum(part.value for part in parts)
    if not total:
        return []
    widths = [max(part.value / total * width, 2.0) if part.value else 0.0 for part in parts]
    scale = width / sum(widths)
    made, x = [], 0.0
    for part, raw in zip(parts, widths, strict=True):
        if not raw:
            continue
        wide = raw * scale
        place = format_html('x="{}" y="0" width="{}" height="{}"', _f(x), _f(wide), _f(height))
        made.append(format_html('<rect class="piece {}" {}/>', part.tone, place))
        if name and part.tone in _OVER:
            made.append(format_html('<rect fill="url(#{}-{})" {}/>', name, _OVER[part.tone], place))
        x += wide
    return made


def stacked(name: str, parts: Sequence[Part], *, title: str, desc: str) -> SafeString:
    """One horizontal bar from 0 to the sum."""
    pieces = _pieces(name, parts, WIDTH, 36)
    return _drawing("stacked", name, 36, title, desc, _patterns(name), *pieces) if pieces else mark_safe("")


def strip(parts: Sequence[Part]) -> SafeString:
    """A small stacked bar in a row of a table, decoration beside its figures; all strips have the same scale."""
    return format_html(
        '<svg class="strip" viewBox="0 0 120 10" preserveAspectRatio="none" aria-hidden="true">{}</svg>',
        _join(_pieces("", parts, 120, 10)),
    )


def columns(
    name: str, days: Sequence[Sequence[int]], tones: Sequence[str], most: int, *, title: str, desc: str
) -> SafeString:
    """Small stacked columns, one a day, from zero to ``most``: several such charts have one scale.

    A piece under one unit is drawn one high, so that it is seen.
    """
    if not most or not days:
        return mark_safe("")
    width, height = 320, 90
    step = width / len(days)
    drawn: list[str] = [
        _patterns(name),
        format_html('<line class="grid" x1="0" x2="{0}" y1="{1}" y2="{1}"/>', width, height),
    ]
    for n, day in enumerate(days):
        y = float(height)
        for value, tone in zip(day, tones, strict=True):
            if not value:
                continue
            tall = max(value / most * (height - 4), 1.0)
            y -= tall
            place = format_html(
                'x="{}" y="{}" width="{}" height="{}"', _f(n * step + 1), _f(y), _f(max(step - 2, 1)), _f(tall)
            )
            drawn.append(format_html('<rect class="piece {}" {}/>', tone, place))
            if tone in _OVER:
                drawn.append(format_html('<rect fill="url(#{}-{})" {}/>', name, _OVER[tone], place))
    return _drawing("columns", name, height + 1, title, desc, *drawn, width=width)


def bar(value: int, most: int) -> SafeString:
    """A bar of a table row, decoration beside its figure; starts at zero."""
    width = 100 * value / most if most else 0
    return format_html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="ground" width="100" height="8"/><rect class="piece run" width="{}" height="8"/></svg>',
        _f(max(width, 0.5)) if value else 0,
    )


def funnel(
    name: str, steps: Sequence[tuple[str, int]], *, title: str, desc: str, number: Callable[[int], str]
) -> SafeString:
    """Aligned bars from the first step to the last, all from zero on the scale of the first."""
    most = max((value for _, value in steps), default=0)
    if not most:
        return mark_safe("")
    row, width_, left = 34, 480, 124
    # A figure stands behind its bar: a million needs more room than a thousand.
    room = width_ - left - max(66, 14 + 8 * max(len(number(value)) for _, value in steps))
    drawn = []
    for i, (label, value) in enumerate(steps):
        y = i * row
        width = max(room * value / most, 2 if value else 0)
        drawn.append(
            format_html(
                '<rect class="piece {}" x="{}" y="{}" width="{}" height="22" rx="2"/>'
                '<text x="{}" y="{}" text-anchor="end">{}</text><text class="strong" x="{}" y="{}">{}</text>',
                f"step{min(i, 3)}",
                left,
                y,
                _f(width),
                left - 8,
                y + 16,
                label,
                _f(left + 8 + width),
                y + 16,
                number(value),
            )
        )
    return _drawing("funnel", name, row * len(steps) - 10, title, desc, *drawn, width=width_)


def lines(
    name: str,
    series: Sequence[Series],
    *,
    title: str,
    desc: str,
    ticks: Callable[[float], str],
    labels: Sequence[str],
    window: tuple[float, float, str] | None = None,
    open_from: float | None = None,
) -> SafeString:
    """Lines from zero, labelled at their ends.

    ``labels`` stand under the points (an empty one under none); ``window`` is a stretch to mark, with its word;
    from ``open_from`` on the period is not over and is hatched.
    """
    count = max((len(one.values) for one in series), default=0)
    most = max((value for one in series for value in one.values if value is not None), default=0)
    if count < 1 or most <= 0:
        return mark_safe("")
    left, top, width, height = 46, 18, WIDTH - 156, 190
    top_value = round_up(most)

    def x(index: float) -> float:
        return left + width * max(0.0, min(index / max(count - 1, 1), 1.0))

    def y(value: float) -> float:
        return top + height - height * value / top_value

    drawn: list[str] = [_patterns(name)]
    if window:
        begin, end = x(window[0]), max(x(window[1]), x(window[0]) + 2)
        drawn.append(
            format_html(
                '<rect class="window" x="{}" y="{}" width="{}" height="{}"/><text x="{}" y="{}">{}</text>',
                _f(begin), top, _f(end - begin), height, _f(begin), top - 6, window[2],
            )
        )  # fmt: skip
    drawn += [
        format_html(
            '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text x="{}" y="{}" text-anchor="end">{}</text>',
            left, left + width, _f(y(v)), _f(y(v)), left - 6, _f(y(v) + 4), ticks(v),
        )
        for v in (0, top_value / 2, top_value)
    ]  # fmt: skip
    named = [i for i, label in enumerate(labels[:count]) if label]
    step = max(1, -(-len(named) // 9))
    drawn += [
        format_html('<text x="{}" y="{}" text-anchor="middle">{}</text>', _f(x(i)), top + height + 18, labels[i])
        for i in named[::step]
    ]
    if open_from is not None and x(open_from) < left + width:
        drawn.append(
            format_html(
                '<rect class="unfinished" fill="url(#{}-hatch)" x="{}" y="{}" width="{}" height="{}"/>',
                name, _f(x(open_from)), top, _f(left + width - x(open_from)), height,
            )
        )  # fmt: skip
    for one in series:
        drawn += [_stretch(one.kind, [(x(i), y(v)) for i, v in part]) for part in _stretches(one.values)]
    drawn += _end_labels(series, x, y, left + width + 8, top + height)
    return _drawing("lines", name, top + height + 26, title, desc, *drawn)


def _stretches(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The values between the gaps."""
    made: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(values):
        if value is None:
            made.append([])
        else:
            made[-1].append((i, value))
    return [part for part in made if part]


def _stretch(kind: str, points: list[tuple[float, float]]) -> SafeString:
    if len(points) == 1:
        return format_html('<circle class="dot {}" cx="{}" cy="{}" r="4"/>', kind, _f(points[0][0]), _f(points[0][1]))
    drawn = " ".join(f"{_f(px)},{_f(py)}" for px, py in points)
    return format_html('<polyline class="line {}" points="{}"/>', kind, drawn)


def _end_labels(
    series: Sequence[Series], x: Callable[[float], float], y: Callable[[float], float], at: float, bottom: float
) -> list[SafeString]:
    """The name of each line where it ends; names that would lie over one another are moved apart."""
    ends = []
    for one in series:
        known = [(i, v) for i, v in enumerate(one.values) if v is not None]
        if known:
            ends.append((y(known[-1][1]), one))
    made, last = [], bottom + 20
    for height, one in sorted(ends, key=lambda end: -end[0]):
        last = min(height, last - 16)
        made.append(
            format_html('<text class="name {}" x="{}" y="{}">{}</text>', one.kind, _f(at), _f(last + 4), one.label)
        )
    return made


def band(
    name: str,
    own: float,
    low: float,
    median: float,
    high: float,
    *,
    title: str,
    desc: str,
    percent: Callable[[float], str],
) -> SafeString:
    """A dot on the band of the middle half, with the median as a line; from zero."""
    most = max(own, high, median, 1e-9) * 1.15
    left, width = 10, WIDTH - 70

    def x(value: float) -> float:
        return left + width * value / most

    drawn = (
        format_html('<line class="grid" x1="{}" x2="{}" y1="30" y2="30"/>', left, left + width),
        format_html(
            '<rect class="usual" x="{}" y="20" width="{}" height="20" rx="3"/>',
            _f(x(low)),
            _f(max(x(high) - x(low), 3)),
        ),
        format_html('<line class="median" x1="{0}" x2="{0}" y1="16" y2="44"/>', _f(x(median))),
        format_html('<circle class="dot own" cx="{}" cy="30" r="8"/>', _f(x(own))),
        format_html('<text x="{}" y="58" text-anchor="middle">{}</text>', _f(x(median)), percent(median)),
        format_html('<text class="strong" x="{}" y="12" text-anchor="middle">{}</text>', _f(x(own)), percent(own)),
    )
    return _drawing("band", name, 62, title, desc, *drawn)


def round_up(value: float) -> float:
    """The next number of the form 1, 2, 4, 6, 10 × a power of ten: half of it is short to write."""
    power = 1.0
    while power >= value:
        power /= 10
    while True:
        for step in (1, 2, 4, 6, 10):
            if step * power >= value:
                return step * power
        power *= 10


@dataclass(frozen=True, slots=True)
class Span:
    """A value and the bounds it surely lies between."""

    label: str
    value: float
    low: float
    high: float
    kind: str  # class of the line: one, two


def intervals(
    name: str, spans: Sequence[Span], *, title: str, desc: str, percent: Callable[[float], str]
) -> SafeString:
    """Intervals below one another on one axis from zero: where they lie apart, so do the values."""
    left, width_, row = 96, 480, 40
    room = width_ - left - 64
    most = round_up(max(max(span.high for span in spans), 1e-6))

    def x(value: float) -> float:
        return left + room * value / most

    bottom = row * len(spans)
    drawn = [
        format_html(
            '<line class="grid" x1="{0}" x2="{0}" y1="4" y2="{1}"/>'
            '<text x="{0}" y="{2}" text-anchor="middle">{3}</text>',
            _f(x(v)), bottom, bottom + 18, percent(v),
        )
        for v in (0.0, most / 2, most)
    ]  # fmt: skip
    for i, span in enumerate(spans):
        y = row * i + row / 2
        drawn.append(
            format_html(
                '<text class="strong" x="{}" y="{}" text-anchor="end">{}</text>'
                '<path class="span {}" d="M{low} {y}H{high}M{low} {up}V{down}M{high} {up}V{down}"/>'
                '<circle class="mark {}" cx="{}" cy="{y}" r="6"/>',
                left - 10, _f(y + 5), span.label, span.kind, span.kind, _f(x(span.value)),
                y=_f(y), low=_f(x(span.low)), high=_f(x(span.high)), up=_f(y - 6), down=_f(y + 6),
            )
        )  # fmt: skip
    return _drawing("intervals", name, bottom + 24, title, desc, *drawn, width=width_)


def matrix(
    name: str,
    labels: Sequence[str],
    shares: Sequence[Sequence[float | None]],
    *,
    title: str,
    desc: str,
    percent: Callable[[float], str],
) -> SafeString:
    """Each against each, darker where more is shared; numbers over the columns stand for the names of the rows."""
    side, left, top = 44, 210, 24
    drawn: list[str] = []
    for a, label in enumerate(labels):
        y, short = top + a * side, label if len(label) <= 26 else label[:25] + "…"
        drawn.append(
            format_html(
                '<text x="{}" y="{}" text-anchor="end">{} · {}</text>'
                '<text x="{}" y="{}" text-anchor="middle">{}</text>',
                left - 8, _f(y + side / 2 + 5), short, a + 1, _f(left + a * side + side / 2), top - 8, a + 1,
            )
        )  # fmt: skip
        for b, share in enumerate(shares[a]):
            step = "own" if a == b else f"h{-int(-(share or 0) * 8 // 1)}"
            x = left + b * side
            drawn.append(
                format_html(
                    '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="3"/>',
                    step, x + 1, y + 1, side - 2, side - 2,
                )
            )  # fmt: skip
            if a != b and share is not None:
                drawn.append(
                    format_html(
                        '<text class="in {}" x="{}" y="{}" text-anchor="middle">{}</text>',
                        step, _f(x + side / 2), _f(y + side / 2 + 4), percent(share),
                    )
                )  # fmt: skip
    wide = left + side * len(labels) + 4
    return _drawing("matrix", name, top + side * len(labels) + 4, title, desc, *drawn, width=wide)
