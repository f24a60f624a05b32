"""One rendering: what the message may show, how that is looked at and printed, and what it cost so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from envol.content.mtl.grammar import MtlError

MISSING = object()
MAX_STEPS = 100_000
MAX_OUTPUT = 2 << 20  # characters
TOO_LARGE = "the message would be larger than 2 MiB"
TOO_LONG = "the template works too long: shorten its loops"
_LONG = (str, list, tuple, Mapping)


@dataclass(frozen=True, slots=True)
class Values:
    """What a message may show. ``own``: properties of the recipient, names in small letters. ``mj``: what the platform
    knows, by path (``contact.email``). ``since``: opened or clicked within so many days? ``within``: is she in the
    segment of this name or number; None where there is none."""

    var: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    mj: Mapping[str, Any] = field(default_factory=dict)
    since: Callable[[str, int], bool] | None = None
    within: Callable[[str], bool | None] | None = None


class Run:
    """One rendering: the values, the names that loops and ``set`` give, what was written, and what it cost."""

    __slots__ = ("mj", "names", "out", "own", "since", "size", "steps", "var", "within", "write")

    def __init__(self, values: Values) -> None:
        self.var, self.own, self.mj, self.since = values.var, values.own, values.mj, values.since
        self.within = values.within
        self.names: dict[str, Any] = {}
        self.steps, self.size = 0, 0
        self.out: list[str] = []
        self.write = self.out.append

    def grow(self, by: int, line: int) -> None:
        self.size += by
        if self.size > MAX_OUTPUT:
            raise MtlError(TOO_LARGE, line)

    def weigh(self, *values: Any) -> None:
        """Long texts cost as many steps as work."""
        for one in values:
            if one.__class__ is str or (
                one.__class__ is not float and one.__class__ is not int and isinstance(one, _LONG)
            ):
                self.steps += len(one) >> 6


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


def listed(found: Any, name: str, line: int) -> Sequence[Any]:
    """What a loop goes over: a list, or the values of an object."""
    if isinstance(found, list | tuple):
        return found
    if isinstance(found, Mapping):
        return tuple(found.values())
    raise MtlError(f'"{name}" is not an array value', line)
