"""The segment language as text, for people who would rather write: the same tree, there and back.

::

    prop.city = "Nantes" and orders.count >= 2 [within_days 90]
    and (list on "La lettre" or tag has_any ("vip", "presse"))
    and none(mail.clicked at_least 1, prop.born age_between 0 to 17)

Grammar (docs/segments.md has examples of each operator)::

    text   = "everybody" | any
    any    = all { "or" all }
    all    = one { "and" one }
    one    = "not" one | ( "all" | "any" | "none" ) "(" any { "," any } ")" | "(" any ")" | rule
    rule   = FIELD operator [ value ] [ "[" KEY value { "," KEY value } "]" ]
    value  = NUMBER | TEXT | DATE | "true" | "false" | value "to" value | "(" value { "," value } ")"

``=  !=  >  >=  <  <=`` stand for ``is  is_not  gt  gte  lt  lte``. A text stands in double quotes, with ``\\"`` and
``\\\\`` inside. ``#`` begins a remark. What a value may be depends on the operator and is checked by
:func:`envol.audience.language.parse`; here only the form is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from envol.audience.catalogue import Catalogue, Field
from envol.audience.language import VERSION, Group, Problem, Rule, SegmentProblem, parse
from envol.audience.operators import NARROWING, OPERATORS

SIGNS = {"=": "is", "!=": "is_not", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_SIGN_OF = {name: sign for sign, name in SIGNS.items()}
MAX_TEXT = 100_000
_DEEP = 60  # of parentheses; the language itself allows four levels of groups
_PAIRS = ("numbers", "wholes", "ages", "cents_pair", "dates", "year_days")
_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
      | (?P<text>"(?:[^"\\\n]|\\["\\])*")
      | (?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
      | (?P<sign>!=|>=|<=|[=<>(),\[\]])""",
    re.VERBOSE,
)


# ---- writing


def write(tree: dict[str, Any] | None, catalogue: Catalogue) -> str:
    """The tree as text. Raises :class:`SegmentProblem` when it cannot be read."""
    root = parse(tree, catalogue)
    if not root.rules and root.match == "all":
        return "everybody"
    return _group(root, top=True)


def _group(group: Group, *, top: bool = False) -> str:
    parts = [_rule(item) if isinstance(item, Rule) else _group(item) for item in group.rules]
    if top and group.match == "all" and len(parts) == 1 and isinstance(group.rules[0], Rule):
        return parts[0]
    if group.match == "none" or len(parts) < 2:
        return f"{group.match}({', '.join(parts)})"
    joined = (" and " if group.match == "all" else " or ").join(parts)
    return joined if top else f"({joined})"


def _rule(rule: Rule) -> str:
    shape = OPERATORS[rule.field.kind][rule.op]
    words = [rule.field.key, _SIGN_OF.get(rule.op, rule.op)]
    if shape != "none":
        words.append(_value(rule.value, shape, rule.field))
    if rule.where:
        shapes = NARROWING[rule.field.kind]
        narrowed = ", ".join(f"{key} {_value(value, shapes[key], rule.field)}" for key, value in rule.where.items())
        words.append(f"[{narrowed}]")
    return " ".join(words)


def _value(value: Any, shape: str, field: Field) -> str:
    if shape == "id":
        return _named(value, field)
    if shape == "id_days":
        return f"({_named(value['list'], field)}, {value['days']})"
    if shape == "id_years":
        years = ", ".join(map(str, value["years"]))
        return f"({_named(value['list'], field)}, {value['days']}, {years})"
    if shape == "near":
        label = f", {_quoted(value['label'])}" if value.get("label") else ""
        return f"({_number(value['lat'])}, {_number(value['lon'])}, {_number(value['km'])}{label})"
    if shape == "share":
        percent = _number(value["percent"])
        return f"({percent}, {_quoted(value['seed'])})" if value["seed"] else percent
    if shape in ("fact", "measure"):
        return f"({_quoted(value['name'])}, {_quoted(value['op'])}, {_single(value['value'], 'text')})"
    if shape in _PAIRS:
        return " to ".join(_single(one, shape) for one in value)
    if isinstance(value, list):
        return f"({', '.join(_single(one, shape) for one in value)})"
    return _single(value, shape)


def _single(value: Any, shape: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if shape in ("date", "dates") else _quoted(value)
    return _number(value)


def _number(value: float) -> str:
    return repr(value)


def _quoted(text: str) -> str:
    """In double quotes; a line break, which no quoted text may hold, becomes a space."""
    flat = " ".join(text.splitlines()) if "\n" in text or "\r" in text else text
    return '"' + flat.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _named(number: int, field: Field) -> str:
    """A list or segment by its name, or by its number where the name would not find it again."""
    names = [choice.label_en for choice in field.choices]
    for choice in field.choices:
        if choice.value == number and names.count(choice.label_en) == 1 and "\n" not in choice.label_en:
            return _quoted(choice.label_en)
    return str(number)


# ---- reading


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


class _Wrong(Exception):
    def __init__(self, at: int, sentence: str) -> None:
        self.at, self.sentence = at, sentence
        super().__init__(sentence)


def read(text: str, catalogue: Catalogue) -> dict[str, Any]:
    """The tree that a text means, not yet checked by the language.

    Raises :class:`SegmentProblem` with one problem that names line and column.
    """
    try:
        if len(text) > MAX_TEXT:
            raise _Wrong(MAX_TEXT, _("This text is longer than %(n)s characters; shorten it.") % {"n": MAX_TEXT})
        return _Reader(_tokens(text), catalogue, len(text)).everything()
    except _Wrong as error:
        before = text[: error.at]
        line, column = before.count("\n") + 1, error.at - (before.rfind("\n") + 1) + 1
        where = _("Line %(line)s, column %(column)s: ") % {"line": line, "column": column}
        raise SegmentProblem([Problem("", where + error.sentence)]) from None


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            what = _("A text ends with the double quote it began with, on its line.") if text[at] == '"' else (
                _("“%(sign)s” means nothing here.") % {"sign": text[at]}
            )  # fmt: skip
            raise _Wrong(at, what)
        if match.lastgroup != "space":
            found.append(_Token(str(match.lastgroup), match.group(), at))
        at = match.end()
    return found


class _Reader:
    def __init__(self, tokens: list[_Token], catalogue: Catalogue, end: int) -> None:
        self.tokens, self.catalogue, self.end = tokens, catalogue, end
        self.place = self.deep = 0

    # --- tokens

    def peek(self) -> _Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else _Token("end", "", self.end)

    def take(self) -> _Token:
        found = self.peek()
        self.place += 1
        return found

    def accept(self, text: str) -> bool:
        token = self.peek()
        if token.kind in ("word", "sign") and token.text.lower() == text:
            self.place += 1
            return True
        return False

    def expect(self, text: str) -> None:
        token = self.peek()
        if not self.accept(text):
            self.wrong(token, _("“%(sign)s” is expected here.") % {"sign": text})

    def wrong(self, token: _Token, sentence: str) -> None:
        if token.kind == "end":
            sentence = _("The text ends too early. ") + sentence
        raise _Wrong(token.at, sentence)

    # --- groups

    def everything(self) -> dict[str, Any]:
        if len(self.tokens) == 1 and self.accept("everybody"):
            return {"v": VERSION, "match": "all", "rules": []}
        made = self.any()
        if self.peek().kind != "end":
            self.wrong(self.peek(), _("Put “and” or “or” between two rules."))
        return {"v": VERSION, **(made if "rules" in made else {"match": "all", "rules": [made]})}

    def any(self) -> dict[str, Any]:
        return self.joined("or", "any", lambda: self.joined("and", "all", self.one))

    def joined(self, word: str, match: str, part: Any) -> dict[str, Any]:
        found = [part()]
        while self.accept(word):
            found.append(part())
        return found[0] if len(found) == 1 else {"match": match, "rules": found}

    def one(self) -> dict[str, Any]:
        self.deep += 1
        try:
            token = self.peek()
            if self.deep > _DEEP:
                self.wrong(token, _("There are too many parentheses inside one another."))
            if self.accept("not"):
                return {"match": "none", "rules": [self.one()]}
            if self.accept("("):
                made = self.any()
                self.expect(")")
                return made
            after = self.tokens[self.place + 1].text if self.place + 1 < len(self.tokens) else ""
            if token.kind == "word" and token.text.lower() in ("all", "any", "none") and after == "(":
                self.place += 2
                if self.accept(")"):
                    return {"match": token.text.lower(), "rules": []}
                rules = [self.any()]
                while self.accept(","):
                    rules.append(self.any())
                self.expect(")")
                return {"match": token.text.lower(), "rules": rules}
            return self.rule()
        finally:
            self.deep -= 1

    # --- rules

    def rule(self) -> dict[str, Any]:
        token = self.take()
        if token.kind != "word":
            self.wrong(token, _("A rule begins with the name of a field, for example orders.count."))
        field = self.catalogue.fields.get(token.text)
        if field is None:
            self.wrong(
                token, _("There is no field “%(field)s”; choose one of the catalogue.") % {"field": token.text[:80]}
            )
        assert field is not None
        operators = OPERATORS[field.kind]
        sign = self.take()
        op = SIGNS.get(sign.text, sign.text)
        if op not in operators:
            names = ", ".join(_SIGN_OF.get(name, name) for name in operators)
            self.wrong(
                sign,
                _("“%(field)s” cannot be compared with “%(op)s”; use %(ops)s.")
                % {"field": field.key, "op": sign.text[:40], "ops": names},
            )
        made: dict[str, Any] = {"field": field.key, "op": op}
        if operators[op] != "none":
            made["value"] = self.shaped(operators[op])
        if self.accept("["):
            made["where"] = self.where(field)
        return made

    def where(self, field: Field) -> dict[str, Any]:
        shapes = NARROWING.get(field.kind, {})
        found: dict[str, Any] = {}
        while True:
            key = self.take()
            if key.text not in shapes:
                self.wrong(
                    key,
                    _("“%(field)s” can be narrowed by %(keys)s.") % {"field": field.key, "keys": ", ".join(shapes)}
                    if shapes
                    else _("“%(field)s” cannot be narrowed; remove “where”.") % {"field": field.key},
                )
            found[key.text] = self.shaped(shapes[key.text])
            if not self.accept(","):
                self.expect("]")
                return found

    def shaped(self, shape: str) -> Any:
        """A value in the form the language wants for this shape."""
        value = self.value()
        parts = value if isinstance(value, list) else [value]
        if shape == "id_days":
            return dict(zip(("list", "days"), parts, strict=False))
        if shape == "id_years":
            return {**dict(zip(("list", "days"), parts, strict=False)), "years": parts[2:]}
        if shape == "near":
            return dict(zip(("lat", "lon", "km", "label"), parts, strict=False))
        if shape == "share":
            return dict(zip(("percent", "seed"), parts, strict=False))
        if shape in ("fact", "measure"):
            return dict(zip(("name", "op", "value"), parts, strict=False))
        return value

    def value(self) -> Any:
        first = self.single()
        return [first, self.single()] if self.accept("to") else first

    def single(self) -> Any:
        token = self.take()
        match token.kind:
            case "text":
                return token.text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
            case "date":
                return token.text
            case "number":
                return json.loads(token.text) if re.fullmatch(r"-?(0|[1-9][0-9]*)(\..*|[eE].*)?", token.text) else (
                    self.wrong(token, _("Write a number, for example 12 or 3.5."))
                )  # fmt: skip
            case "word" if token.text.lower() in ("true", "false"):
                return token.text.lower() == "true"
            case "sign" if token.text == "(":
                found = [self.single()]
                while self.accept(","):
                    found.append(self.single())
                self.expect(")")
                return found
        self.wrong(token, _("A value is expected here: a number, a date, or a text in double quotes."))
        return None
