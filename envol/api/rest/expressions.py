"""The dialect's language of segments: text to a tree of plain nodes, and back to one canonical text.

::

    any        = all { "or" all }
    all        = one { "and" one }
    one        = "not" one | "(" any ")" | operand [ sign operand ]
    operand    = NUMBER | TEXT | "true" | "false" | NAME [ "(" [ operand { "," operand } ] ")" ]
    sign       = "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">="

Names and words in any case; a text stands in double (or single) quotes. What a name or a function means is not known
here: see `envol.api.rest.filters`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

MOST, DEEP = 20_000, 60
_SIGNS = {"==": "=", "<>": "!="}
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?![\w.-]))
      | (?P<word>[A-Za-z0-9_][\w-]*)
      | (?P<sign>==|!=|<>|<=|>=|[=<>(),])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class NotRead(ValueError):
    """Where and why an expression cannot be read."""


@dataclass(frozen=True, slots=True)
class Name:
    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """A text, a number or a boolean."""

    it: Any


@dataclass(frozen=True, slots=True)
class Function:
    """``name`` in small letters."""

    name: str
    given: tuple[Operand, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    left: Operand
    sign: str
    right: Operand


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Node


Operand = Name | Value | Function
Node = Every | Some | Not | Compared | Operand


# ---- reading


def read(text: str) -> Node:
    """Raises NotRead with the column."""
    if len(text) > MOST:
        raise NotRead(f"it is longer than {MOST} characters")
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise NotRead(f'"{text[at]}" at column {at + 1} means nothing here')
            if found.lastgroup != "space":
                self.tokens.append((str(found.lastgroup), found.group(), at + 1))
            at = found.end()
        self.tokens.append(("end", "", len(text) + 1))
        self.place = self.deep = 0

    def peek(self) -> tuple[str, str, int]:
        return self.tokens[self.place]

    def accept(self, word: str) -> bool:
        kind, text, _ = self.peek()
        if kind in ("word", "sign") and text.lower() == word:
            self.place += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            self.wrong(f'"{word}" is expected')

    def wrong(self, why: str) -> Any:
        kind, text, at = self.peek()
        raise NotRead(f"{why} at column {at}, not {json.dumps(text[:40]) if kind != 'end' else 'the end'}")

    def whole(self) -> Node:
        made = self.any()
        if self.peek()[0] != "end":
            self.wrong('"AND" or "OR" is expected')
        return made

    def any(self) -> Node:
        parts = [self.all()]
        while self.accept("or"):
            parts.append(self.all())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def all(self) -> Node:
        parts = [self.one()]
        while self.accept("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def one(self) -> Node:
        self.deep += 1
        if self.deep > DEEP:
            self.wrong("it is nested too deeply")
        try:
            if self.accept("not"):
                return Not(self.one())
            if self.accept("("):
                made = self.any()
                self.expect(")")
                return made
            left = self.operand()
            kind, sign, _ = self.peek()
            if kind == "sign" and sign not in "(),":
                self.place += 1
                return Compared(left, _SIGNS.get(sign, sign), self.operand())
            return left
        finally:
            self.deep -= 1

    def operand(self) -> Operand:
        self.deep += 1
        if self.deep > DEEP:
            self.wrong("it is nested too deeply")
        try:
            return self._operand()
        finally:
            self.deep -= 1

    def _operand(self) -> Operand:
        kind, text, _ = self.peek()
        if kind not in ("text", "number", "word") or text.lower() in ("and", "or", "not"):
            self.wrong("a property, a function or a value is expected")
        self.place += 1
        if kind == "text":
            return Value(re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL))
        if kind == "number":
            return Value(float(text) if "." in text else int(text))
        if self.accept("("):
            given: list[Operand] = []
            if not self.accept(")"):
                given.append(self.operand())
                while self.accept(","):
                    given.append(self.operand())
                self.expect(")")
            return Function(text.lower(), tuple(given))
        return Value(text.lower() == "true") if text.lower() in ("true", "false") else Name(text)


# ---- writing

_WRITTEN = {
    "isprovided": "IsProvided",
    "isbetweennumbers": "IsBetweenNumbers",
    "startswith": "StartsWith",
    "contains": "Contains",
    "todate": "ToDate",
    "datetimenow": "DateTimeNow",
    "formatdatetime": "FormatDateTime",
    "between": "Between",
    "isinnextdays": "IsInNextDays",
    "isinpreviousdays": "IsInPreviousDays",
    "insegment": "InSegment",
}


def write(node: Node) -> str:
    """One text for each tree, every part in its own parentheses."""
    if isinstance(node, Every | Some):
        return (" AND " if isinstance(node, Every) else " OR ").join(f"({write(part)})" for part in node.parts)
    if isinstance(node, Not):
        return f"not ({write(node.part)})"
    if isinstance(node, Compared):
        return f"{_operand(node.left)}{node.sign}{_operand(node.right)}"
    return _operand(node)


def _operand(one: Operand) -> str:
    if isinstance(one, Name):
        return one.text
    if isinstance(one, Function):
        return f"{_WRITTEN.get(one.name, one.name)}({','.join(map(_operand, one.given))})"
    if isinstance(one.it, bool):
        return "true" if one.it else "false"
    if isinstance(one.it, str):
        return '"' + one.it.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return format(one.it, "f").rstrip("0").rstrip(".") if isinstance(one.it, float) else str(one.it)
