"""Values of the language: a part of the tree becomes a function that finds or reckons it in one rendering."""

from __future__ import annotations

import html
import math
import operator
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from envol.content.mtl.grammar import Call, Literal, MtlError, Operation, Ref
from envol.content.mtl.state import MAX_OUTPUT, MISSING, TOO_LARGE, Run, dig, printed

Look = Callable[[Run], Any]
_LEAVING = re.compile(r"unsub_link_[a-z]{2}")


def value_of(node: Any) -> Look:
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
    absent = absent_of(ref)
    first, second, short = words[0], words[-1], len(words) == 2

    def of_caller(run: Run) -> Any:
        found = run.var.get(path)
        return absent() if found is None else found

    def below_caller(run: Run) -> Any:
        found = run.var.get(first)
        if found.__class__ is dict and short and path not in run.var:
            found = found.get(second)
        else:
            found = dig(run.var, path, words)
        return absent() if found is None or found is MISSING else found

    def of_name(run: Run) -> Any:
        found = run.names.get(path)
        return absent() if found is None else found

    def below_name(run: Run) -> Any:
        found = run.names.get(first)
        if found.__class__ is dict:
            found = found.get(second)
        else:
            found = dig(run.names, path, words)
        return absent() if found is None or found is MISSING else found

    def deep_below_name(run: Run) -> Any:
        found = dig(run.names, path, words)
        return absent() if found is None or found is MISSING else found

    small = path.lower()
    if ref.space == "mj" and _LEAVING.fullmatch(small):
        small = "unsub_link"  # her own page speaks her language

    def of_recipient(run: Run) -> Any:
        found = run.own.get(small)
        return absent() if found is None else found

    def of_platform(run: Run) -> Any:
        found = run.mj.get(small)
        return absent() if found is None else found

    def of_segment(run: Run) -> Any:
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


def absent_of(ref: Ref) -> Callable[[], Any]:
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
    arguments = tuple(map(value_of, call.arguments))
    known = _FUNCTIONS.get(name)
    function = known[1] if known is not None and len(arguments) in known[0] else None
    reaction = name.removeprefix("has").removesuffix("since")
    asks = name in ("hasopenedsince", "hasclickedsince") and len(arguments) == 1

    if function is not None and len(arguments) == 1:
        only, work = arguments[0], function

        def act_on_one(run: Run) -> Any:
            given = only(run)
            if given.__class__ is str:
                run.steps += len(given) >> 6
            else:
                run.weigh(given)
            try:
                return work(given)
            except (ValueError, ArithmeticError):
                raise MtlError(f"expression parsing error ## {name} cannot use this value", line) from None

        return act_on_one

    def act(run: Run) -> Any:
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
    sign, left = node.sign, value_of(node.left)
    if sign == "not":
        return lambda run: not truth(left(run))
    if sign == "neg":
        return lambda run: _reckoned("-", 0, left(run))
    right = value_of(node.right)
    if sign == "and":
        return lambda run: truth(left(run)) and truth(right(run))
    if sign == "or":
        return lambda run: truth(left(run)) or truth(right(run))
    if (compare := _COMPARES.get(sign)) is not None:

        def comparing(run: Run) -> Any:
            a, b = left(run), right(run)
            if a.__class__ in _NUMBERS and b.__class__ in _NUMBERS:
                return compare(a, b)
            run.weigh(a, b)
            return _compared(compare, a, b)

        return comparing
    work = _REST.get(sign) or (lambda a, b: _reckoned(sign, a, b))

    def act(run: Run) -> Any:
        a, b = left(run), right(run)
        if a.__class__ not in _NUMBERS or b.__class__ not in _NUMBERS:
            run.weigh(a, b)
        return work(a, b)

    return act


_NUMBERS = frozenset({int, float})
_COMPARES: dict[str, Callable[[Any, Any], bool]] = {
    **dict.fromkeys(("=", "==", "==="), operator.eq),
    **dict.fromkeys(("!=", "<>"), operator.ne),
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_REST: dict[str, Callable[[Any, Any], Any]] = {"xor": lambda a, b: truth(a) != truth(b)}


def _reckoned(sign: str, left: Any, right: Any) -> Any:
    if sign == "+" and (isinstance(left, str) or isinstance(right, str)):
        try:
            return _number(left) + _number(right)
        except ValueError:
            text = printed(left) + printed(right)
            if len(text) > MAX_OUTPUT:
                raise MtlError(TOO_LARGE, 1) from None
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


def escaped(node: Any) -> bool:
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


def _compared(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    a: Any
    b: Any
    if left.__class__ is str is right.__class__ and left[:1] in _NO_NUMBER:
        a, b = left, right
    else:
        try:
            a, b = _number(left), _number(right)
        except ValueError:
            a, b = printed(left), printed(right)
    return compare(a, b)


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
    "upper": ((1,), lambda v: v.upper() if v.__class__ is str else printed(v).upper()),
    "lower": ((1,), lambda v: v.lower() if v.__class__ is str else printed(v).lower()),
    "capitalize": ((1,), lambda v: printed(v)[:1].upper() + printed(v)[1:]),
    "round": ((1, 2), _round),
    "int": ((1,), lambda v: int(_number(v))),
    "urlencode": ((1,), lambda v: quote(printed(v), safe="")),
    "escape": ((1,), lambda v: html.escape(printed(v))),
    "formatnumberlocale": ((1, 2, 3), _grouped),
}
