"""Values printed one after the other, with the texts around them, as one function; and a loop around such a row.

Most of a message is such rows, and their number of shapes is small: the kinds of their values, one letter each, in
capitals where the value is escaped. The code of a shape is made once. Nothing of a template is in it: paths, texts and
defaults are arguments.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from envol.content.mtl.grammar import MtlError
from envol.content.mtl.state import MAX_STEPS, MISSING, TOO_LONG, dig, listed, printed

ROW = 8
"""Values in one row, at most."""
SMALL = 64
"""Characters that a printed value may have without being weighed one by one: steps bound their number."""


# Of each kind: what the row must know beside text and line, and how the value is looked up. v, d: one word of the
# caller's or of the recipient's. w: two words of the caller's. n, b: a name of a loop or of `set`, and one word below
# it. i, j: what the loop around the row is at, and one word below it. o: whatever else.
_BELOW = (
    "x = x.get(second{i}) if x.__class__ is dict else dig(run.names, path{i}, words{i})\n"
    "if x is None or x is MISSING: x = absent{i}()"
)
_LOOK = {
    "v": (("path", "absent"), "x = run.var.get(path{i})\nif x is None: x = absent{i}()"),
    "d": (("path", "absent"), "x = run.own.get(path{i})\nif x is None: x = absent{i}()"),
    "n": (("path", "absent"), "x = run.names.get(path{i})\nif x is None: x = absent{i}()"),
    "i": (("path", "absent"), "x = item\nif x is None: x = absent{i}()"),
    "w": (
        ("first", "second", "path", "words", "absent"),
        "v = run.var\nx = v.get(first{i})\n"
        "x = x.get(second{i}) if x.__class__ is dict and path{i} not in v else dig(v, path{i}, words{i})\n"
        "if x is None or x is MISSING: x = absent{i}()",
    ),
    "b": (("first", "second", "path", "words", "absent"), "x = run.names.get(first{i})\n" + _BELOW),
    "j": (("first", "second", "path", "words", "absent"), "x = item\n" + _BELOW),
    "o": (("look",), "x = look{i}(run)"),
}
_PRINT = (
    'if x.__class__ is float: x = "%.15g" % x\nelif x.__class__ is int: x = str(x)\n'
    "elif x.__class__ is not str: x = printed(x)"
)
_WEIGH = f"if len(x) > {SMALL}: run.grow(len(x), line{{i}})\nx{{i}} = x"

_ROW = """
def make({names}after):
    def act(run):
        {row}
    return act
"""
_LOOP = """
def make(name, over, over_name, line, cost, size, {names}after):
    def act(run):
        items = listed(over(run), over_name, line)
        run.steps += cost * len(items)
        if run.steps > MAX_STEPS: raise MtlError(TOO_LONG, 1)
        run.grow(size * len(items), 1)
        names = run.names
        before = names.get(name, MISSING)
        for item in items:
            names[name] = item
            {row}
        if before is MISSING: names.pop(name, None)
        else: names[name] = before
    return act
"""

Make = Callable[..., Callable[[Any], None]]


@lru_cache(maxsize=4096)
def row_of(shape: str) -> Make:
    """What makes a row of this shape: of each value its text before, its line, and what its kind must know; at last
    the text behind all of them."""
    return _made(_ROW, shape)


@lru_cache(maxsize=4096)
def loop_of(shape: str) -> Make:
    """What makes a loop whose body is one row: the loop's name, how to look up what it goes over and what that is
    called, its line, the steps and characters that a turn costs whatever it prints; then as for the row.

    What it costs is known before it begins: whatever works too long fails before its first turn."""
    return _made(_LOOP, shape)


def _made(frame: str, shape: str) -> Make:
    names: list[str] = []
    code: list[str] = []
    for i, kind in enumerate(shape):
        known, look = _LOOK[kind.lower()]
        names += (f"{name}{i}" for name in ("before", "line", *known))
        pieces = (look, _PRINT, "x = escape(x)", _WEIGH) if kind.isupper() else (look, _PRINT, _WEIGH)
        code += (piece.replace("{i}", str(i)) for piece in pieces)
    written = "".join(f"{{before{i}}}{{x{i}}}" for i in range(len(shape)))
    code.append(f'run.write(f"{written}{{after}}")')
    margin = next(line for line in frame.split("\n") if "{row}" in line).partition("{")[0]
    row = f"\n{margin}".join(line for piece in code for line in piece.split("\n"))
    source = frame.replace("{names}", "".join(f"{name}, " for name in names)).replace("{row}", row)
    room: dict[str, Any] = {**_KNOWN}
    exec(source, room)  # noqa: S102 -- made of the pieces above and of numbers alone
    return room["make"]


_KNOWN = {
    "dig": dig,
    "printed": printed,
    "escape": html.escape,
    "listed": listed,
    "MISSING": MISSING,
    "MAX_STEPS": MAX_STEPS,
    "TOO_LONG": TOO_LONG,
    "MtlError": MtlError,
}
