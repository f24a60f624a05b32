"""A template taken apart: what it says to everybody, and the gaps that a person fills.

A tag that only prints one value needs no engine: the value is looked up, and escaped in HTML. All other tags
(conditions, loops, filters) go to the engine as they stand, together, in one template of their own, so that the long
constant stretches between them are never rendered. The text is what the engine makes of the whole template; what
cannot be cut without changing it (white space control) stays whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from secrets import token_hex
from typing import Any

from django.utils.translation import gettext

from envol.content.language import MAX_OUTPUT, Templates, blank_strings, scan
from envol.content.problems import MissingValue, RenderProblem
from envol.wire.message.layout import Stretches

Values = Sequence[str | bytes]

_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*\Z")
_OPENS = re.compile(r"\s*(?:if|for)\b")
_CLOSES = re.compile(r"\s*end(?:if|for)\b")
_SET = re.compile(r"\s*set\b([^=]*)")
_TRIMS = frozenset("-+")
_SPECIAL = re.compile("[&<>\"'/]")
# As the engine escapes: all that could end an attribute or a script, the slash too.
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "/": "&#x2f;"})

_TOKEN, _VALUE, _ENGINE = range(3)


class Pieces:
    """One part of a message, compiled. ``name`` ends in .html where values are escaped.

    ``source`` is flattened. ``known``: names a context may hold. ``tokens``: names whose values come apart, as bytes
    of ASCII letters, digits, "-" and "_". Raises RenderProblem when the source cannot be read.
    """

    def __init__(
        self, templates: Templates, name: str, source: str, known: frozenset[str], tokens: frozenset[str]
    ) -> None:
        templates.add(name, source)
        self._templates, self._name, self._escaped = templates, name, name.endswith(".html")
        constants, sources = _cut(source)
        taken = _set_names(sources)
        self._gaps: list[tuple[int, str]] = []
        engine: list[str] = []
        for tag in sources:
            word = _NAME.match(tag[2:-2]) if tag.startswith("{{") else None
            if word and word[1] not in taken and word[1] in tokens:
                self._gaps.append((_TOKEN, word[1]))
            elif word and word[1] not in taken and word[1] in known:
                self._gaps.append((_VALUE, word[1]))
            else:
                self._gaps.append((_ENGINE, ""))
                engine.append(tag)
        self.stretches = Stretches(constants, [kind == _TOKEN for kind, _ in self._gaps])
        self._size = sum(map(len, constants))
        # No value can hold the mark: NUL is refused by the database, and the rest nobody knows.
        self._mark = f"\0{token_hex(8)}"
        self._engine, self._asked = f"tags.{name}" if engine else "", len(engine)
        if engine:
            templates.add(self._engine, self._mark.join(engine))
        self._printer = "value.html" if self._escaped else "value.txt"
        templates.add(self._printer, "{{ value }}")

    @property
    def needs_engine(self) -> bool:
        """May a render ask the context for any name there is?"""
        return bool(self._engine)

    def values(self, context: Mapping[str, Any], tokens: Mapping[str, bytes]) -> list[str | bytes]:
        """What fills the gaps, in order.

        Raises MissingValue when a value without fallback is printed, RenderProblem for anything else.
        """
        try:
            out = self._values(context, tokens)
        except (KeyError, MissingValue, RenderProblem):
            self._templates.render(self._name, _all(context, tokens))  # the whole knows the line of what is wrong
            raise
        long = self._size + sum(map(len, out)) > MAX_OUTPUT // 4
        if long and len(self.text(out).encode("utf-8", "replace")) > MAX_OUTPUT:
            raise RenderProblem(gettext("The message would be larger than 2 MiB: shorten it."))
        return out

    def _values(self, context: Mapping[str, Any], tokens: Mapping[str, bytes]) -> list[str | bytes]:
        escaped = self._escaped
        rendered = self._by_engine(context, tokens) if self._engine else iter(())
        out: list[str | bytes] = []
        for kind, name in self._gaps:
            if kind == _TOKEN:
                out.append(tokens[name])
            elif kind == _ENGINE:
                out.append(next(rendered))
            else:
                value = context[name]
                if value.__class__ is str:
                    out.append(value.translate(_ESCAPES) if escaped and _SPECIAL.search(value) else value)
                elif value.__class__ is int:
                    out.append(str(value))
                else:  # numbers with a point, lists, places: printed as the engine prints them
                    out.append(self._templates.render(self._printer, {"value": value}))
        return out

    def _by_engine(self, context: Mapping[str, Any], tokens: Mapping[str, bytes]) -> Iterator[str]:
        made = self._templates.render(self._engine, _all(context, tokens)).split(self._mark)
        if len(made) != self._asked:
            raise RenderProblem(gettext("The template fails: a value holds what no text can hold."))
        return iter(made)

    def text(self, values: Values) -> str:
        """The part as people read it."""
        pieces = [""] * (2 * len(values) + 1)
        pieces[::2] = self.stretches.constants
        pieces[1::2] = [value if isinstance(value, str) else value.decode("ascii") for value in values]
        return "".join(pieces)


def _all(context: Mapping[str, Any], tokens: Mapping[str, bytes]) -> dict[str, Any]:
    return {**context, **{name: token.decode("ascii") for name, token in tokens.items()}}


def _cut(source: str) -> tuple[list[str], list[str]]:
    """Constant stretches, one more than tags; tags that stand in no block, and whole blocks, as written."""
    tags = scan(source)[0]
    if any(tag.body[:1] in _TRIMS or tag.body[-1:] in _TRIMS for tag in tags):
        return ["", ""], [source]
    constants: list[str] = []
    sources: list[str] = []
    done, opened, start = 0, 0, 0
    for tag in tags:
        code = blank_strings(tag.body) if tag.kind == "{%" else ""
        if not opened:
            start = tag.start
        if _OPENS.match(code):
            opened += 1
        elif _CLOSES.match(code):
            opened -= 1
        if not opened:
            constants.append(source[done:start])
            sources.append(source[start : tag.end])
            done = tag.end
    return [*constants, source[done:]], sources


def _set_names(sources: Sequence[str]) -> set[str]:
    """Names a template gives itself: they are the engine's, whatever they are called."""
    return {
        name
        for source in sources
        for tag in scan(source)[0]
        if tag.kind == "{%" and (found := _SET.match(blank_strings(tag.body)))
        for name in re.findall(r"\w+", found[1])
    }
