"""Source → tree. ``{{ … }}`` prints, ``{% if | elseif | else | for | set %}`` choose, repeat and name.

A name may hold ``-``, so minus stands between blanks. A reference may carry a default behind one more colon, in quotes
or bare to the end of what it stands in; without one, a missing value is an error. Errors name the line, and say what
programs know them to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MAX_SOURCE = 1 << 20  # octets
MAX_DEPTH = 100
MAX_TAGS = 10_000
LONGEST_TAG = 20_000  # characters in which a quote that opened may close
NAMESPACES = frozenset({"var", "data", "mj", "segment", "segmentation"})
PERSONAL = frozenset({"data", "mj", "segment", "segmentation"})


class MtlError(ValueError):
    """A template that cannot be read, or not with these values. ``line`` from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Ref:
    """``default``: None when there is none. ``near``: the tag up to here, for errors."""

    space: str
    path: str
    default: Literal | None
    near: str
    line: int

    @property
    def name(self) -> str:
        return f"{self.space}:{self.path}" if self.space else self.path


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    arguments: tuple[Any, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Operation:
    sign: str
    left: Any
    right: Any = None


@dataclass(frozen=True, slots=True)
class Print:
    value: Any
    line: int
    personal: bool


@dataclass(slots=True)
class If:
    """Conditions with their bodies; one of None is what else there is."""

    branches: list[tuple[Any, list[Any]]]
    line: int


@dataclass(slots=True)
class For:
    name: str
    over: Ref
    line: int
    body: list[Any] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Set:
    name: str
    value: Any
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """``personal``: does it show anything that belongs to one recipient? ``made``: what `run` made of it, for HTML or
    not; it costs more than a message, so it is kept with the tree."""

    body: list[Any]
    personal: bool
    made: dict[bool, Any] = field(default_factory=dict, repr=False)


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?(?![\w-]))
    | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    | (?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z_0-9][\w-]*)*)
    | (?P<sign>===|==|!=|<>|<=|>=|[-+*/=<>(),:.])
    )""",
    re.VERBOSE,
)
_OPENING = re.compile(r"\{\{|\{%")
_SIMPLE = re.compile(
    r"\s*(?:\"((?:\\.|[^\"\\])*)\"|'((?:\\.|[^'\\])*)'|(-?\d+(?:\.\d+)?)(?![\w.])|(true|false)\b)", re.I
)
_BARE_ENDS = re.compile(r"[,)]")
_PATH = re.compile(r"\s*([\w-]+(?:\.[\w-]+)*)")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class _Tag(NamedTuple):
    kind: str
    body: str
    line: int


def parse(source: str) -> Template:
    """Raises MtlError."""
    if len(source) > MAX_SOURCE:
        raise MtlError("not valid template ## it is larger than 1 MiB", 1)
    return _Builder().build(source)


def _pieces(source: str) -> Iterator[str | _Tag]:
    position, line, tags = 0, 1, 0
    while (opening := _OPENING.search(source, position)) is not None:
        start = opening.start()
        if start > position:
            yield source[position:start]
        line += source.count("\n", position, start)
        kind, closing = opening.group(), "}}" if opening.group() == "{{" else "%}"
        end = _closed_at(source, start + 2, closing)
        if end < 0:
            raise MtlError(f"not valid template ## near ## {source[start:][-13:].strip()} ##", line)
        tags += 1
        if tags > MAX_TAGS:
            raise MtlError(f"not valid template ## more than {MAX_TAGS} tags", line)
        yield _Tag(kind, source[start + 2 : end], line)
        line += source.count("\n", start, end + 2)
        position = end + 2
    if position < len(source):
        yield source[position:]


def _closed_at(source: str, start: int, closing: str) -> int:
    """Where the tag ends: not inside double quotes, unless they never close."""
    end = first = source.find(closing, start)
    counted, odd = start, False
    while end >= 0:
        odd ^= bool(source.count('"', counted, end) % 2)
        if not odd:
            return end
        quote = source.find('"', end, start + LONGEST_TAG)
        if quote < 0:
            return first
        counted, end = end, source.find(closing, quote)
    return first


class _Builder:
    """Tags into a tree; knows which names hold something of one recipient."""

    def __init__(self) -> None:
        self._tainted: set[str] = set()
        self._personal = False

    def build(self, source: str) -> Template:
        root: list[Any] = []
        bodies: list[list[Any]] = [root]
        open_: list[If | For] = []
        for piece in _pieces(source):
            if isinstance(piece, str):
                bodies[-1].append(piece)
            elif piece.kind == "{{":
                value = _Reader(piece).whole()
                bodies[-1].append(Print(value, piece.line, self._touches(value)))
            else:
                self._statement(piece, bodies, open_)
                if len(open_) > MAX_DEPTH:
                    raise MtlError("not valid template ## too many blocks are open", piece.line)
        if open_:
            word = "endif" if isinstance(open_[-1], If) else "endfor"
            said = f"not valid template ## {word} is missing ## near ## {source[-13:].strip()} ##"
            raise MtlError(said, source.count("\n") + 1)
        return Template(root, self._personal)

    def _statement(self, tag: _Tag, bodies: list[list[Any]], open_: list[If | For]) -> None:
        word, _, rest = tag.body.strip().partition(" ")
        word = word.lower()
        inner = _Tag(tag.kind, rest, tag.line)
        if word == "if":
            branch = (_Reader(inner).whole(), [])  # type: tuple[Any, list[Any]]
            self._touches(branch[0])
            one = If([branch], tag.line)
            bodies[-1].append(one)
            open_.append(one)
            bodies.append(branch[1])
        elif word in ("elseif", "elsif", "elif", "else") and open_ and isinstance(open_[-1], If):
            if open_[-1].branches[-1][0] is None:
                raise self._misplaced(tag)
            condition = None if word == "else" and not rest.strip() else _Reader(inner).whole()
            self._touches(condition)
            open_[-1].branches.append((condition, []))
            bodies[-1] = open_[-1].branches[-1][1]
        elif word == "for":
            found = re.fullmatch(r"\s*([A-Za-z_][\w-]*)\s+in\s+(.+)", rest, re.DOTALL | re.I)
            over = _Reader(_Tag(tag.kind, found[2], tag.line)).whole() if found else None
            if found is None or not isinstance(over, Ref):
                raise self._expected("for NAME in LIST", tag)
            if self._touches(over):
                self._tainted.add(found[1])
            loop = For(found[1], over, tag.line)
            bodies[-1].append(loop)
            open_.append(loop)
            bodies.append(loop.body)
        elif word in ("endif", "endfor") and open_ and isinstance(open_[-1], If if word == "endif" else For):
            open_.pop()
            bodies.pop()
        elif word == "set":
            name, equals, value = rest.partition("=")
            if not equals or not re.fullmatch(r"\s*[A-Za-z_][\w-]*\s*", name):
                raise self._expected("set NAME = VALUE", tag)
            read = _Reader(_Tag(tag.kind, value, tag.line)).whole()
            if self._touches(read):
                self._tainted.add(name.strip())
            bodies[-1].append(Set(name.strip(), read, tag.line))
        else:
            raise self._misplaced(tag)

    def _expected(self, what: str, tag: _Tag) -> MtlError:
        said = f"expression parsing error ## {what} is expected ## near ## {{%{tag.body.rstrip()} ##"
        return MtlError(said, tag.line)

    def _misplaced(self, tag: _Tag) -> MtlError:
        return MtlError(f"not valid template ## near ## {{%{tag.body.rstrip()} ##", tag.line)

    def _touches(self, node: Any) -> bool:
        """Does it hold something of one recipient? Then it is escaped in HTML, and the message is hers alone."""
        found = False
        if isinstance(node, Ref):
            found = (
                node.space in PERSONAL and not node.path.startswith(("sender.", "template."))
                if node.space
                else node.path.partition(".")[0] in self._tainted
            )
        elif isinstance(node, Call):
            found = any(self._touches(one) for one in node.arguments) or node.name.startswith("has")
        elif isinstance(node, Operation):
            found = self._touches(node.left) | self._touches(node.right)
        self._personal = self._personal or found
        return found


_LEVELS: tuple[tuple[str, ...], ...] = (("xor",), ("or",), ("and",))
_OUTERMOST = len(_LEVELS) + 2  # depth of a value that stands in no parentheses
_COMPARES = frozenset({"=", "==", "===", "!=", "<>", "<", ">", "<=", ">="})


class _Reader:
    """One expression, by recursive descent; ``near`` of an error is the tag up to where it went wrong."""

    def __init__(self, tag: _Tag) -> None:
        self._source, self._line, self._kind = tag.body, tag.line, tag.kind
        self._at, self._depth = 0, 0

    def whole(self) -> Any:
        made = self._level(0)
        if self._source[self._at :].strip():
            raise self._error("unexpected text")
        return made

    def _error(self, why: str, end: int | None = None) -> MtlError:
        opening = "{{" if self._kind == "{{" else "{%"
        near = self._source[: self._at if end is None else end].strip()
        return MtlError(f"expression parsing error ## {why} ## near ## {opening}{near} ##", self._line)

    def _peek(self) -> tuple[str, str, int]:
        """Kind, text and end of the next token."""
        found = _TOKEN.match(self._source, self._at)
        if found is None or found.lastgroup is None:
            return "", "", self._at
        return found.lastgroup, found[found.lastgroup], found.end()

    def _take(self, *texts: str) -> str:
        kind, text, end = self._peek()
        if kind in ("sign", "name") and text.lower() in texts:
            self._at = end
            return text.lower()
        return ""

    def _level(self, place: int) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH * 4:
            raise self._error("too many parentheses")
        if place == len(_LEVELS):
            made = self._negation()
        else:
            made = self._level(place + 1)
            while sign := self._take(*_LEVELS[place]):
                made = Operation(sign, made, self._level(place + 1))
        self._depth -= 1
        return made

    def _negation(self) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH * 4:
            raise self._error("too many parentheses")
        made = Operation("not", self._negation()) if self._take("not") else self._comparison()
        self._depth -= 1
        return made

    def _comparison(self) -> Any:
        left = self._sum()
        if sign := self._take(*_COMPARES):
            return Operation(sign, left, self._sum())
        return left

    def _sum(self) -> Any:
        made = self._term()
        while sign := self._take("+", "-"):
            made = Operation(sign, made, self._term())
        return made

    def _term(self) -> Any:
        made = self._unary()
        while sign := self._take("*", "/", "div", "mod"):
            made = Operation(sign, made, self._unary())
        return made

    def _unary(self) -> Any:
        signs = 0
        while self._take("-"):
            signs += 1
            if signs > MAX_DEPTH:
                raise self._error("too many signs")
        made = self._primary()
        return Operation("neg", made) if signs % 2 else made

    def _primary(self) -> Any:
        kind, text, end = self._peek()
        if kind == "number":
            self._at = end
            return Literal(_number(text))
        if kind == "string":
            self._at = end
            return Literal(_unquoted(text))
        if kind == "sign" and text == "(":
            self._at = end
            made = self._level(0)
            if not self._take(")"):
                raise self._error("a parenthesis is not closed")
            return made
        if kind != "name":
            raise self._error("a value is expected")
        self._at = end
        if text.lower() in ("true", "false"):
            return Literal(text.lower() == "true")
        if self._source[self._at : self._at + 1] == ":" and text.lower() in NAMESPACES:
            return self._reference(text.lower())
        if self._peek()[1] == "(":
            return self._call(text)
        return Ref("", text, self._default(), self._near(), self._line)

    def _near(self) -> str:
        return ("{{" if self._kind == "{{" else "{%") + self._source[: self._at].strip()

    def _reference(self, space: str) -> Ref:
        found = _PATH.match(self._source, self._at + 1)
        if found is None:
            raise self._error("Access violation", self._at + 1)
        self._at = found.end()
        near = self._near()
        return Ref(space, found[1], self._default(), near, self._line)

    def _default(self) -> Literal | None:
        if self._source[self._at : self._at + 1] != ":":
            return None
        self._at += 1
        if not self._source[self._at :].strip():
            raise self._error("Access violation")
        simple = _SIMPLE.match(self._source, self._at)
        if simple is not None:
            self._at = simple.end()
            double, single, number, word = simple.groups()
            if number is not None:
                return Literal(_number(number))
            if word is not None:
                return Literal(word.lower() == "true")
            return Literal(_ESCAPE.sub(r"\1", double if double is not None else single))
        stop = _BARE_ENDS.search(self._source, self._at) if self._depth > _OUTERMOST else None
        end = stop.start() if stop else len(self._source)
        bare, self._at = self._source[self._at : end].strip(), end
        return Literal(bare)

    def _call(self, name: str) -> Call:
        self._take("(")
        arguments: list[Any] = []
        if not self._take(")"):
            while True:
                arguments.append(self._level(0))
                if self._take(")"):
                    break
                if not self._take(","):
                    raise self._error("a parenthesis is not closed")
        return Call(name.lower(), tuple(arguments), self._line)


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text[:300])


def _unquoted(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1])
