"""Tree and values → text: the tree becomes functions once, and they run for each message.

Steps, depth and size are limited; values are only looked at, never called.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from envol.content.mtl.grammar import (
    Call,
    For,
    If,
    Literal,
    MtlError,
    Operation,
    Print,
    Ref,
    Set,
    Template,
    parse,
)
from envol.content.mtl.rows import MISSING, ROW, dig, printed, row_of

MAX_STEPS = 100_000
MAX_OUTPUT = 2 << 20  # characters


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


Act = Callable[["_Run"], None]
Look = Callable[["_Run"], Any]


def render(template: Template | str, values: Values, *, is_html: bool = False) -> str:
    """Raises MtlError. What belongs to a recipient is escaped in HTML; what the caller passes is the caller's."""
    tree = parse(template) if isinstance(template, str) else template
    act = tree.made.get(is_html)
    if act is None:
        act = tree.made[is_html] = _body(tree.body, is_html)
    run = _Run(values)
    try:
        act(run)
    except RecursionError:
        raise MtlError("the values are nested too deeply", 1) from None
    text = "".join(run.out)
    if len(text) > MAX_OUTPUT:
        raise MtlError(_TOO_LARGE, 1)
    return text


_LONG = (str, list, tuple, Mapping)
_TOO_LARGE = "the message would be larger than 2 MiB"
_TOO_LONG = "the template works too long: shorten its loops"


class _Run:
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
            raise MtlError(_TOO_LARGE, line)

    def weigh(self, *values: Any) -> None:
        """Long texts cost as many steps as work."""
        for one in values:
            if one.__class__ is str or (
                one.__class__ is not float and one.__class__ is not int and isinstance(one, _LONG)
            ):
                self.steps += len(one) >> 6


# ---- statements
#
# The tree is walked once and becomes functions that know what they do: nothing is looked up by kind while a message is
# made. What a body costs, apart from the bodies inside it, is counted then too, and added each time it runs.


def _body(nodes: list[Any], is_html: bool) -> Act:
    acts: list[Act] = []
    cost, size, before = 1, 0, ""
    row: list[tuple[str, Print, bool]] = []

    def close() -> None:
        nonlocal before
        if row:
            acts.append(_prints(row, before))
            row.clear()
        elif before:
            acts.append(_literal(before))
        before = ""

    for node in nodes:
        cost += 1
        if isinstance(node, str):
            before += node
            size += len(node)
        elif isinstance(node, Print):
            cost += _cost(node.value)
            escapes = is_html and node.personal and not _escaped(node.value)
            row.append((before, node, escapes))
            before = ""
            if len(row) == ROW:
                close()
        else:
            close()
            if isinstance(node, If):
                cost += sum(_cost(condition) for condition, _ in node.branches if condition is not None)
                acts.append(_if(node, is_html))
            elif isinstance(node, Set):
                cost += _cost(node.value)
                acts.append(_set(node))
            elif isinstance(node, For):
                acts.append(_for(node, is_html))
    close()
    steps = tuple(acts)

    def act(run: _Run) -> None:
        run.steps += cost
        if run.steps > MAX_STEPS:
            raise MtlError(_TOO_LONG, 1)
        if size:
            run.size += size
            if run.size > MAX_OUTPUT:
                raise MtlError(_TOO_LARGE, 1)
        for step in steps:
            step(run)

    return act


def _cost(node: Any) -> int:
    if isinstance(node, Call):
        return 1 + sum(map(_cost, node.arguments))
    if isinstance(node, Operation):
        return 1 + _cost(node.left) + (_cost(node.right) if node.right is not None else 0)
    return 0


def _literal(text: str) -> Act:
    def act(run: _Run) -> None:
        run.write(text)

    return act


def _prints(row: Sequence[tuple[str, Print, bool]], after: str) -> Act:
    """Values one after the other, each with the text that stands before it, and what stands behind the last."""
    shape: list[str] = []
    given: list[Any] = []
    for before, node, escapes in row:
        kind, known = _place(node.value)
        shape.append(kind.upper() if escapes else kind)
        given += (before, node.line, *known)
    return row_of("".join(shape))(*given, after)


def _place(node: Any) -> tuple[str, tuple[Any, ...]]:
    """The kind of a value that a row looks up itself, and what it must know for that (see `rows`)."""
    if isinstance(node, Ref):
        words = tuple(node.path.split("."))
        if node.space == "var" and len(words) == 1:
            return "v", (node.path, _absent(node))
        if node.space == "data":
            return "d", (node.path.lower(), _absent(node))
        if node.space == "" and len(words) == 1:
            return "n", (node.path, _absent(node))
        if node.space == "" and len(words) == 2:
            return "b", (*words, node.path, words, _absent(node))
    return "o", (_value(node),)


def _if(node: If, is_html: bool) -> Act:
    branches = tuple(
        (None if condition is None else _value(condition), _body(inner, is_html)) for condition, inner in node.branches
    )

    def act(run: _Run) -> None:
        for condition, inner in branches:
            if condition is None or truth(condition(run)):
                inner(run)
                return

    return act


def _set(node: Set) -> Act:
    name, value = node.name, _value(node.value)

    def act(run: _Run) -> None:
        run.names[name] = value(run)

    return act


def _for(node: For, is_html: bool) -> Act:
    name, line, over_name = node.name, node.line, node.over.name
    over, body = _value(node.over), _body(node.body, is_html)

    def act(run: _Run) -> None:
        found = over(run)
        items: Iterable[Any]
        if isinstance(found, list | tuple):
            items = found
        elif isinstance(found, Mapping):
            items = found.values()
        else:
            raise MtlError(f'"{over_name}" is not an array value', line)
        names = run.names
        before = names.get(name, MISSING)
        for item in items:
            names[name] = item
            body(run)
        if before is MISSING:
            names.pop(name, None)
        else:
            names[name] = before

    return act


# ---- values


def _value(node: Any) -> Look:
    if isinstance(node, Literal):
        value = node.value
        return lambda run: value
    if isinstance(node, Ref):
        return _ref(node)
    if isinstance(node, Call):
        return _call(node)
    assert isinstance(node, Operation)
    return _operation(node)


def _ref(ref: Ref) -> Look:
    """What most templates are made of, so each form is one function: a value of one word or two of the caller's or of
    a loop, one of the recipient's, and whatever lies deeper."""
    path = ref.path
    words = tuple(path.split("."))
    absent = _absent(ref)

    def of_caller(run: _Run) -> Any:
        found = run.var.get(path)
        return absent() if found is None else found

    def below_caller(run: _Run) -> Any:
        found = dig(run.var, path, words)
        return absent() if found is None or found is MISSING else found

    def of_name(run: _Run) -> Any:
        found = run.names.get(path)
        return absent() if found is None else found

    first, second = words[0], words[-1]

    def below_name(run: _Run) -> Any:
        found = run.names.get(first)
        if found.__class__ is dict:
            found = found.get(second)
        else:
            found = dig(run.names, path, words)
        return absent() if found is None or found is MISSING else found

    def deep_below_name(run: _Run) -> Any:
        found = dig(run.names, path, words)
        return absent() if found is None or found is MISSING else found

    small = path.lower()

    def of_recipient(run: _Run) -> Any:
        found = run.own.get(small)
        return absent() if found is None else found

    def of_platform(run: _Run) -> Any:
        found = run.mj.get(small)
        return absent() if found is None else found

    def of_segment(run: _Run) -> Any:
        found = None if run.within is None else run.within(path)
        return absent() if found is None else found

    match ref.space:
        case "segment" | "segmentation":
            return of_segment
        case "var":
            return of_caller if len(words) == 1 else below_caller
        case "data":
            return of_recipient
        case "mj":
            return of_platform
        case "":
            return of_name if len(words) == 1 else below_name if len(words) == 2 else deep_below_name
    return lambda run: absent()


def _absent(ref: Ref) -> Callable[[], Any]:
    """What stands where nothing is: the default, or the error."""
    said, line = f"expression parsing error ## Unknown identifier: {ref.name} ## near ## {ref.near} ##", ref.line
    default = MISSING if ref.default is None else ref.default.value

    def absent() -> Any:
        if default is MISSING:
            raise MtlError(said, line)
        return default

    return absent


def _call(call: Call) -> Look:
    name, line = call.name, call.line
    arguments = tuple(map(_value, call.arguments))
    known = _FUNCTIONS.get(name)
    function = known[1] if known is not None and len(arguments) in known[0] else None
    reaction = name.removeprefix("has").removesuffix("since")
    asks = name in ("hasopenedsince", "hasclickedsince") and len(arguments) == 1

    def act(run: _Run) -> Any:
        given = [one(run) for one in arguments]
        run.weigh(*given)
        try:
            if function is not None:
                return function(*given)
            if asks and run.since:
                return run.since(reaction, int(_number(given[0])))
        except (ValueError, ArithmeticError):
            raise MtlError(f"expression parsing error ## {name} cannot use this value", line) from None
        raise MtlError(f"expression parsing error ## Unknown function: {name}", line)

    return act


def _operation(node: Operation) -> Look:
    sign, left = node.sign, _value(node.left)
    if sign == "not":
        return lambda run: not truth(left(run))
    if sign == "neg":
        return lambda run: _reckoned("-", 0, left(run))
    right = _value(node.right)
    if sign == "and":
        return lambda run: truth(left(run)) and truth(right(run))
    if sign == "or":
        return lambda run: truth(left(run)) or truth(right(run))
    work = _REST.get(sign) or (
        (lambda a, b: _reckoned(sign, a, b)) if sign in _RECKONS else lambda a, b: _compared(sign, a, b)
    )

    def act(run: _Run) -> Any:
        a, b = left(run), right(run)
        if a.__class__ is not int or b.__class__ is not int:
            run.weigh(a, b)
        return work(a, b)

    return act


_RECKONS = frozenset({"+", "-", "*", "/", "div", "mod"})
_REST: dict[str, Callable[[Any, Any], Any]] = {"xor": lambda a, b: truth(a) != truth(b)}


def _reckoned(sign: str, left: Any, right: Any) -> Any:
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        try:
            return _number(left) + _number(right)
        except ValueError:
            text = printed(left) + printed(right)
            if len(text) > MAX_OUTPUT:
                raise MtlError("the message would be larger than 2 MiB", 1) from None
            return text
    made: int | float
    try:
        a, b = _number(left), _number(right)
        if sign == "+":
            made = a + b
        elif sign == "-":
            made = a - b
        elif sign == "*":
            made = a * b
        elif sign == "/":
            made = a / b
        else:
            made = int(a / b) if sign == "div" else math.fmod(a, b)
        if isinstance(made, int) and abs(made) >= 1 << 256:
            made = float(made)
        return int(made) if sign == "mod" and float(made).is_integer() else made
    except (ArithmeticError, ValueError) as error:
        said = "Division by zero" if isinstance(error, ZeroDivisionError) else "a number is expected"
        raise MtlError(f"expression parsing error ## {said}", 1) from None


def _escaped(node: Any) -> bool:
    return isinstance(node, Call) and node.name in ("escape", "urlencode")


def truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    if isinstance(value, str):
        return value != "" and value.lower() != "false"
    return bool(value)


def _number(value: Any) -> int | float:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and len(value) < 300:
        words = value.strip()
        return int(words) if words.removeprefix("-").isdecimal() else float(words)
    raise ValueError(type(value).__name__)  # whoever compares takes it for an answer


_NO_NUMBER = frozenset("abcdefghjklmopqrstuvwxyzABCDEFGHJKLMOPQRSTUVWXYZ")
"""No number begins so; ``inf`` and ``nan`` are some."""


def _compared(sign: str, left: Any, right: Any) -> bool:
    a: Any
    b: Any
    if left.__class__ is str is right.__class__ and left[:1] in _NO_NUMBER:
        a, b = left, right
    else:
        try:
            a, b = _number(left), _number(right)
        except ValueError:
            a, b = printed(left), printed(right)
    if sign in ("=", "==", "==="):
        return bool(a == b)
    if sign in ("!=", "<>"):
        return bool(a != b)
    if sign == "<":
        return bool(a < b)
    if sign == ">":
        return bool(a > b)
    return bool(a <= b) if sign == "<=" else bool(a >= b)


def _round(value: Any, digits: Any = 0) -> int | float:
    places = max(0, min(int(_number(digits)), 15))
    made = math.floor(abs(_number(value)) * 10**places + 0.5) / 10**places
    made = math.copysign(made, _number(value))
    return made if places else int(made)


def _grouped(value: Any, form: Any = "0.00", locale: Any = "en_US") -> str:
    """``FormatNumberLocale(1234.5, "0.00", "fr_FR")``: as many decimals as the form shows, in the locale's signs."""
    places = len(str(form).partition(".")[2])
    text = f"{_number(value):,.{min(places, 15)}f}"
    if not str(locale).lower().startswith("en"):
        french = str(locale).lower().startswith(("fr", "nb", "sv", "fi", "cs", "pl"))
        text = text.translate({ord(","): "\u202f" if french else ".", ord("."): ","})
    return text


_FUNCTIONS: dict[str, tuple[tuple[int, ...], Callable[..., Any]]] = {
    "upper": ((1,), lambda v: printed(v).upper()),
    "lower": ((1,), lambda v: printed(v).lower()),
    "capitalize": ((1,), lambda v: printed(v)[:1].upper() + printed(v)[1:]),
    "round": ((1, 2), _round),
    "int": ((1,), lambda v: int(_number(v))),
    "urlencode": ((1,), lambda v: quote(printed(v), safe="")),
    "escape": ((1,), lambda v: html.escape(printed(v))),
    "formatnumberlocale": ((1, 2, 3), _grouped),
}
