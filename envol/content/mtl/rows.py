"""Values printed one after the other, with the texts around them, as one function.

Most of a message is such rows, and their number of shapes is small: the kinds of their values, one letter each, in
capitals where the value is escaped. The code of a shape is made once. Nothing of a template is in it: paths, texts and
defaults are arguments.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

MISSING = object()
ROW = 8
"""Values in one row, at most."""
SMALL = 64
"""Characters that a printed value may have without being weighed one by one: steps bound their number."""


def dig(values: Mapping[str, Any], path: str, words: tuple[str, ...]) -> Any:
    found: Any = values
    if path in values:  # a name that holds a dot itself
        return values[path]
    for word in words:
        if (found.__class__ is dict and word in found) or (isinstance(found, Mapping) and word in found):
            found = found[word]
        elif isinstance(found, list | tuple) and word.isdecimal() and int(word[:9]) < len(found):
            found = found[int(word)]
        else:
            return MISSING
    return found


def printed(value: Any) -> str:
    if value.__class__ is int:
        return str(value)
    if value.__class__ is float:
        return "%.15g" % value  # noqa: UP031 -- half of what format() takes
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return format(value, ".15g")
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return ", ".join(map(printed, value))
    if isinstance(value, Mapping):
        return ", ".join(map(printed, value.values()))
    return "" if value is None else str(value)


# Of each kind: what the row must know beside text and line, and how the value is looked up. v, d: one word of the
# caller's or of the recipient's. n, b: a name of a loop or of `set`, and one word below it. o: whatever else.
_LOOK = {
    "v": (("path", "absent"), "x = run.var.get(path{i})\nif x is None: x = absent{i}()"),
    "d": (("path", "absent"), "x = run.own.get(path{i})\nif x is None: x = absent{i}()"),
    "n": (("path", "absent"), "x = run.names.get(path{i})\nif x is None: x = absent{i}()"),
    "b": (
        ("first", "second", "path", "words", "absent"),
        "x = run.names.get(first{i})\n"
        "x = x.get(second{i}) if x.__class__ is dict else dig(run.names, path{i}, words{i})\n"
        "if x is None or x is MISSING: x = absent{i}()",
    ),
    "o": (("look",), "x = look{i}(run)"),
}
_PRINT = 'if x.__class__ is float: x = "%.15g" % x\nelif x.__class__ is not str: x = printed(x)'
_WEIGH = f"if len(x) > {SMALL}: run.grow(len(x), line{{i}})\nx{{i}} = x"


@lru_cache(maxsize=4096)
def row_of(shape: str) -> Callable[..., Callable[[Any], None]]:
    """What makes a row of this shape: of each value its text before, its line, and what its kind must know; at last
    the text behind all of them."""
    names: list[str] = []
    code: list[str] = []
    for i, kind in enumerate(shape):
        known, look = _LOOK[kind.lower()]
        names += (f"{name}{i}" for name in ("before", "line", *known))
        pieces = (look, _PRINT, "x = escape(x)", _WEIGH) if kind.isupper() else (look, _PRINT, _WEIGH)
        code += (piece.replace("{i}", str(i)) for piece in pieces)
    written = "".join(f"{{before{i}}}{{x{i}}}" for i in range(len(shape)))
    code.append(f'run.write(f"{written}{{after}}")')
    lines = "".join(f"\n        {line}" for piece in code for line in piece.split("\n"))
    source = f"def make({', '.join(names)}, after):\n    def act(run):{lines}\n    return act\n"
    room: dict[str, Any] = {"dig": dig, "printed": printed, "escape": html.escape, "MISSING": MISSING}
    exec(source, room)  # noqa: S102 -- made of the pieces above and of numbers alone
    return room["make"]
