"""The language of templates: minijinja, with everything taken out that a mail does not need.

A template may print and choose (``{{ }}``, if, for, set) over views of the person and the campaign. It cannot
import, define macros, switch escaping off, call methods, change anything, or work without end: every render has
fuel, sources are at most 1 MiB and results 2 MiB. Values are data and are never evaluated again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, NoReturn

from django.utils.translation import gettext
from minijinja import Environment, TemplateError

from envol.content import engine_words
from envol.content.filters import LONGEST, OURS, Misused
from envol.content.problems import MissingValue, Problem, RenderProblem, nearest, place

MAX_SOURCE = 1 << 20  # octets
MAX_OUTPUT = 2 << 20  # octets
# Instructions of one render, more for long strings. The slowest we know, comparing two strings as long as a source
# may be, takes a third of a second with it; a newsletter needs a few hundred.
FUEL = 100_000

# The engine's parser recurses: beyond some ten thousand parts it would end the whole process, not raise.
MAX_TAGS, MAX_DEPTH, MAX_PARTS = 10_000, 100, 1000

STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor", "set"})
FILTERS = frozenset(
    [
        "abs",
        "capitalize",
        "count",
        "d",
        "default",
        "first",
        "float",
        "int",
        "join",
        "last",
        "length",
        "lower",
        "replace",
        "reverse",
        "round",
        "sort",
        "sum",
        "title",
        "trim",
        "unique",
        "upper",
        "urlencode",
    ]
) | frozenset(OURS)
# What the engine brings and we take away. `safe`, `escape` and `tojson` mark text as needing no escaping.
_REMOVED_FILTERS = [
    "safe",
    "escape",
    "e",
    "tojson",
    "attr",
    "batch",
    "bool",
    "chain",
    "dictsort",
    "format",
    "groupby",
    "indent",
    "items",
    "lines",
    "list",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "select",
    "selectattr",
    "slice",
    "split",
    "string",
    "zip",
    "filesizeformat",
    "pluralize",
    "random",
    "striptags",
    "truncate",
    "wordcount",
    "wordwrap",
    "center",
]
ROOTS = frozenset(
    "contact campaign sender workspace tier language today"  # noqa: SIM905
    " unsubscribe_url preferences_url web_version_url survey_url".split()
)
_FACTS = {
    "campaign": frozenset({"name"}),
    "sender": frozenset({"name", "address"}),
    "workspace": frozenset({"title", "postal_address"}),
    # Of a customer, and what it gives her; whoever is in none is in "standard".
    "tier": frozenset({"key", "name", "text", "code", "early_days"}),
}


class View:
    """Values for reading: ``contact.name`` and nothing else. No methods, no way to the dictionary behind it.

    A dictionary would not do: ``{{ contact.clear() }}`` would empty it for the next person. Every attribute of
    a view begins with ``_``, and such names the engine never gives out.
    """

    __slots__ = ("__values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        _set_values(self, values)

    def __getitem__(self, key: Any) -> Any:
        return _values_of(self)[key]

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("A view cannot be changed.")

    __delattr__ = None  # type: ignore[assignment]

    def __iter__(self) -> NoReturn:
        raise TypeError("A view is not a list: name the value, as in contact.city.")

    def __str__(self) -> str:
        return str(_values_of(self).get("label", ""))

    __repr__ = __str__


_values_of = View.__dict__["_View__values"].__get__
_set_values = View.__dict__["_View__values"].__set__


def plain(value: Any, depth: int = 3) -> Any:
    """A stored value as templates may see it: string, number, bool, tuple or view; None when there is nothing."""
    if isinstance(value, str):
        return value[:LONGEST] or None
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:LONGEST]
    if isinstance(value, list | tuple) and depth:
        return Several([plain(item, depth - 1) for item in value[:1000]]) if value else None
    if isinstance(value, dict) and depth:
        kept = {str(key): plain(item, depth - 1) for key, item in value.items()}
        return View({key: item for key, item in kept.items() if item is not None}) if kept else None
    return str(value)[:LONGEST] or None


def _environment(fuel: int = FUEL) -> Environment:
    environment = Environment(  # type: ignore[call-overload]  # the stub does not know semi_strict
        debug=False, fuel=fuel, undefined_behavior="semi_strict", keep_trailing_newline=True, pycompat=False
    )
    for name in list(environment.globals):  # debug() prints the context, range() loops from nothing
        environment.remove_global(name)
    for name in _REMOVED_FILTERS:
        environment.remove_filter(name)
    for name, act in OURS.items():
        environment.add_filter(name, act)
    return environment


class Several:
    """A list for reading, that prints as people write one: "jazz, rock"."""

    __slots__ = ("__items",)

    def __init__(self, items: Iterable[Any]) -> None:
        object.__setattr__(self, "_Several__items", tuple(items))

    def __getitem__(self, index: Any) -> Any:
        return _items_of(self)[index]

    def __len__(self) -> int:
        return len(_items_of(self))

    def __iter__(self) -> Iterator[Any]:
        return iter(_items_of(self))

    def __contains__(self, item: Any) -> bool:
        return item in _items_of(self)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("A list in a template cannot be changed.")

    def __str__(self) -> str:
        return ", ".join([str(item) for item in _items_of(self)])

    __repr__ = __str__


_items_of = Several.__dict__["_Several__items"].__get__
Sequence.register(Several)


class Templates:
    """A few sources compiled together, as ``subject.txt``, ``html.html``…; only names in ``.html`` are escaped."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._environment = _environment()
        for name, source in sources.items():
            self.add(name, source)

    def add(self, name: str, source: str) -> None:
        try:
            self._environment.add_template(name, source)
        except TemplateError as error:
            raise RenderProblem(engine_words.unread(error)) from error

    def render(self, name: str, context: Mapping[str, Any]) -> str:
        """The text for this context, which holds strings, numbers, tuples and views only.

        Raises MissingValue when a value without fallback is printed, RenderProblem for anything else.
        """
        try:
            made = self._environment.render_template(name, **context)
        except TemplateError as error:
            if "undefined" in error.message:
                raise MissingValue(
                    gettext("A value is missing (%(where)s), and it has no fallback.")
                    % {"where": place(name.partition(".")[0], error.line or 0)}
                ) from None
            if "fuel" in error.message:
                raise RenderProblem(gettext("The template works too long: shorten its loops.")) from None
            raise RenderProblem(engine_words.failed(error)) from None
        except Misused as error:
            raise RenderProblem(str(error)) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            if "undefined value" in str(error):
                raise MissingValue(
                    gettext("A value is missing (%(where)s), and it has no fallback.")
                    % {"where": place(name.partition(".")[0])}
                ) from None
            raise RenderProblem(gettext("The template fails: a filter is given what it cannot use.")) from None
        if len(made) > MAX_OUTPUT // 4 and len(made.encode("utf-8", "replace")) > MAX_OUTPUT:
            raise RenderProblem(gettext("The message would be larger than 2 MiB: shorten it."))
        return made


class Tag(NamedTuple):
    """One ``{{ }}``, ``{% %}`` or ``{# #}``: what stands between, and where (offsets; line from 1)."""

    kind: str
    body: str
    start: int
    end: int
    line: int


_OPENING = re.compile(r"\{[{%#]")
_CLOSING = {"{{": "}}", "{%": "%}", "{#": "#}"}
_QUOTE = re.compile(r"['\"]")
_STRING = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)


def scan(source: str, part: str = "html") -> tuple[list[Tag], list[Problem]]:
    """Every tag of a template. A quoted string inside a tag may hold anything, as the engine reads it."""
    tags: list[Tag] = []
    position, line, counted = 0, 1, 0
    while (opening := _OPENING.search(source, position)) is not None:
        start, kind = opening.start(), opening.group()
        line += source.count("\n", counted, start)
        counted = start
        end = _end_of_tag(source, start + 2, kind)
        if end < 0:
            said = gettext("%(opening)s has no %(closing)s: close the tag.")
            return tags, [Problem(line, said % {"opening": kind, "closing": _CLOSING[kind]}, part=part)]
        tags.append(Tag(kind, source[start + 2 : end - 2], start, end, line))
        position = end
    return tags, []


def _end_of_tag(source: str, position: int, kind: str) -> int:
    closing = _CLOSING[kind]
    if kind == "{#":
        close = source.find(closing, position)
        return close + 2 if close >= 0 else -1
    while True:
        close = source.find(closing, position)
        if close < 0:
            return -1
        quote = _QUOTE.search(source, position, close)
        if quote is None:
            return close + 2
        string = _STRING.match(source, quote.start())
        if string is None:
            return -1
        position = string.end()


def blank_strings(expression: str) -> str:
    """The expression with what stands in quotes blanked, so that names in it are names."""
    return _STRING.sub(lambda found: "'" + " " * (len(found.group()) - 2) + "'", expression)


_STATEMENT = re.compile(r"[-+]?\s*([A-Za-z_]\w*)")
_FILTER = re.compile(r"(?<!\|)\|(?!\|)\s*([A-Za-z_]\w*)")
_PARTS = re.compile(r"\w+|[^\w\s]")
_CALL = re.compile(r"(?:(?<!\w)([A-Za-z_]\w*)|[\])'])\s*\(")
_NEAR = 80  # characters before a name that are looked at: enough for "is not", and linear in any source
_WORDS = frozenset(["if", "elif", "else", "and", "or", "not", "in", "is", "set"])
_PRIVATE = re.compile(r"(?<!\w)(?:_\w*|(?:self|super)\b)")


def check(source: str, known: Mapping[str, Any] | None = None, part: str = "html") -> list[Problem]:
    """Everything wrong with a template's own language; ``known`` are the keys of contact properties.

    Our words first, because they know the line and what was meant; the engine has the last one.
    """
    if len(source.encode("utf-8", "replace")) > MAX_SOURCE:
        return [Problem(1, gettext("The template is larger than 1 MiB: shorten it."), part=part)]
    tags, problems = scan(source, part)
    if len(tags) > MAX_TAGS:
        said = gettext("The template has more than %(n)s tags: shorten it.") % {"n": MAX_TAGS}
        return [Problem(tags[MAX_TAGS].line, said, part=part)]
    deep = 0
    opened: list[tuple[str, int]] = []
    for tag in tags:
        if tag.kind == "{#":
            continue
        code = blank_strings(tag.body)
        if len(_PARTS.findall(code)) > MAX_PARTS:
            said = gettext("This tag has more than %(n)s parts: split it.") % {"n": MAX_PARTS}
            return [Problem(tag.line, said, part=part)]
        if tag.kind == "{%":
            problems += _check_statement(code, tag, opened, part)
            deep = deep + 1 if re.match(r"[-+]?\s*elif\b", code) and opened else deep if opened else 0
            if len(opened) + deep > MAX_DEPTH:
                said = gettext("More than %(n)s blocks are open here: simplify.") % {"n": MAX_DEPTH}
                return [Problem(tag.line, said, part=part)]
        for name in _FILTER.findall(code):
            if name not in FILTERS:
                said = gettext("There is no filter %(name)s.") % {"name": name}
                problems.append(Problem(tag.line, said, nearest(name, FILTERS), part))
        if call := _call(code):
            said = gettext("%(name)s( ) cannot be called: templates know values and filters.") % {"name": call}
            problems.append(Problem(tag.line, said, part=part))
        if private := _PRIVATE.search(code):
            said = gettext("%(name)s is closed to templates: write the name of a value.")
            problems.append(Problem(tag.line, said % {"name": private.group()}, part=part))
    never = gettext("%(tag)s is never closed: add %(end)s.")
    problems += [
        Problem(line, never % {"tag": _tag(word), "end": _tag(f"end{word}")}, part=part) for word, line in opened
    ]
    if problems:
        return problems
    try:
        _checker().add_template("check", source)
        names = variables(source)
    except TemplateError as error:
        return [Problem(error.line or 1, engine_words.unread(error), part=part)]
    return [problem for name in sorted(names) if (problem := _check_name(name, known, tags, part))]


def _call(code: str) -> str:
    """The first thing called as a function or method, or ""; filters and tests with arguments are no calls."""
    for found in _CALL.finditer(code):
        before, name = code[max(0, found.start() - _NEAR) : found.start()].rstrip(), found.group(1) or ""
        argument = before.endswith("|") or re.search(r"\bis(\s+not)?$", before)
        word = name in _WORDS and not before.endswith(".")
        if not (argument or word or (name == "cycle" and before.endswith("loop."))):
            return name or "…"
    return ""


@cache
def _checker() -> Environment:
    return _environment()


def _check_statement(code: str, tag: Tag, opened: list[tuple[str, int]], part: str) -> list[Problem]:
    found = _STATEMENT.match(code)
    word = found.group(1) if found else ""
    if word not in STATEMENTS:
        said = gettext("%(tag)s is not known here.") % {"tag": _tag(word)}
        return [Problem(tag.line, said, nearest(word, STATEMENTS), part)]
    if word in ("if", "for"):
        opened.append((word, tag.line))
    elif word in ("endif", "endfor"):
        if not opened or opened[-1][0] != word[3:]:
            said = gettext("%(tag)s closes nothing that is open here: check the order.") % {"tag": _tag(word)}
            return [Problem(tag.line, said, part=part)]
        opened.pop()
    elif word == "set" and "=" not in code:
        said = gettext("Write %(tag)s in one tag.") % {"tag": _tag(f"set {gettext('name = value')}")}
        return [Problem(tag.line, said, part=part)]
    if word in ("set", "for") and (taken := ROOTS & set(re.findall(r"\w+", re.split(r"=|\bin\b", code)[0]))):
        said = gettext("%(name)s has a meaning already: choose another name.") % {"name": min(taken)}
        return [Problem(tag.line, said, part=part)]
    if word in ("else", "elif") and not opened:
        said = gettext("%(tag)s stands outside %(if)s.") % {"tag": _tag(word), "if": _tag("if")}
        return [Problem(tag.line, said, part=part)]
    return []


def _tag(word: str) -> str:
    return f"{{% {word} %}}"


def _check_name(name: str, known: Mapping[str, Any] | None, tags: list[Tag], part: str) -> Problem | None:
    root, _dot, rest = name.partition(".")
    unknown = gettext("There is no value called %(name)s.")
    line = next((tag.line for tag in tags if tag.kind != "{#" and name.split(".")[-1] in tag.body), 1)
    if root not in ROOTS:
        return Problem(line, unknown % {"name": name}, nearest(root, ROOTS), part)
    key = rest.partition(".")[0]
    if root == "contact":
        if not key:
            said = gettext("contact alone shows nothing: write contact.name_of_the_property.")
            return Problem(line, said, part=part)
        choices = {*known, "email", "language"} if known is not None else {key}
    elif root in _FACTS:
        choices = set(_FACTS[root])
    else:
        return None
    if key in choices:
        return None
    meant = nearest(key, choices)
    return Problem(line, unknown % {"name": f"{root}.{key}"}, f"{root}.{meant}" if meant else "", part)


def variables(source: str) -> set[str]:
    """The values a template asks for, as dotted paths: ``contact.first_name``, ``unsubscribe_url``."""
    return {str(name) for name in _checker().undeclared_variables_in_str(source, nested=True)}


_DOTTED = re.compile(r"(?<![\w.])(contact|campaign|sender|workspace|tier)\.([A-Za-z]\w*)")


def flat_name(root: str, key: str) -> str:
    """The name under which :func:`flatten` asks for ``root.key``."""
    return f"envol_{root}_{key}"


def flatten(source: str) -> str:
    """The template with ``contact.name`` asked for by one flat name: a render then costs a tenth.

    Each look into a view calls Python back; a flat value is handed over once.
    """
    pieces, last = [], 0
    for tag in scan(source)[0]:
        if tag.kind == "{#":
            continue
        code = blank_strings(tag.body)
        for path in _DOTTED.finditer(code):
            start = tag.start + 2 + path.start()
            pieces += [source[last:start], flat_name(path.group(1), path.group(2))]
            last = tag.start + 2 + path.end()
    return "".join([*pieces, source[last:]])


_PATH = re.compile(r"(?<![\w.])contact\.[A-Za-z]\w*(?:\.\w+)*")
_HAS_DEFAULT = re.compile(r"\s*\|\s*(?:default|d)\s*\(")
_UNDEFINED = re.compile(r"\s*is\s+(?:not\s+defined|undefined|none)")
_TESTED = re.compile(r"\s*(?:is\s|\)|and\b|or\b|$|-?$)")


def needed(source: str) -> set[str]:
    """Contact values (``contact.key``, ``contact.place.country``) printed somewhere without a default or a test.

    Careful rather than clever: a value inside ``{% if contact.key %}`` counts as tested up to the next else.
    """
    tags, _ = scan(source)
    found: set[str] = set()
    tested: list[set[str]] = []
    for tag in tags:
        if tag.kind == "{#":
            continue
        code = blank_strings(tag.body)
        word = (_STATEMENT.match(code) or [""])[0].strip("-+ \n") if tag.kind == "{%" else ""
        either = " or " in code
        guards: set[str] = set().union(*tested)
        here: set[str] = set()
        for path in _PATH.finditer(code):
            name, known = path.group(), guards | here
            root = ".".join(name.split(".")[:2])
            if name != root and root not in known:
                found.add(root)  # looking into what is missing fails, whatever default follows
            if word in ("if", "elif") and _TESTED.match(code, path.end()):
                negated = re.search(r"\bnot\s*\(?\s*$", code[max(0, path.start() - _NEAR) : path.start()]) or either
                if not (negated or _UNDEFINED.match(code, path.end())):
                    here.add(name)
            elif name not in known and not _HAS_DEFAULT.match(code, path.end()):
                found.add(name)
        if word in ("if", "for"):
            tested.append(here)
        elif word in ("elif", "else") and tested:
            tested[-1] = here
        elif word in ("endif", "endfor") and tested:
            tested.pop()
    return found
