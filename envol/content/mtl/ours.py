"""Templates of campaigns that were written in this language, in ours: what is known of a reader, conditions on it,
loops over what she has several of, names that are set, and the links that every letter has.

What a single message is given from outside (``var:``) no campaign has: there the default stands. Names that a loop sets
end with its turn in our language; where that would change what a template gives, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from envol.content.language import ROOTS
from envol.content.mtl.grammar import Call, For, If, Literal, MtlError, Operation, Print, Ref, Set, parse
from envol.content.mtl.legacy import TAG

_PLATFORM = {
    "contact.email": "contact.email",
    "sender.email": "sender.address",
    "sender.name": "sender.name",
    "unsub_link": "unsubscribe_url",
}
_WORDS = {
    "EMAIL_TO": "{{ contact.email }}",
    "PERMALINK": "{{ web_version_url }}",
    "UNSUB_LINK": "{{ unsubscribe_url }}",
}
_FILTERS = {"upper": "upper", "lower": "lower", "capitalize": "capitalise", "int": "int", "urlencode": "urlencode"}
_SIGNS = {"=": "==", "==": "==", "===": "==", "!=": "!=", "<>": "!=", "mod": "%"}
_TAKEN = ROOTS | frozenset("and else false if in is loop none not or self super true None True False".split())  # noqa: SIM905
_BRACE = re.compile(r"\{(?=#|\[\[)")
"""A brace that our language would read together with what follows it."""

Key = Callable[[str], str]


def translate(source: str, key_of: Key, kinds: Mapping[str, str] | None = None) -> str:
    """``key_of``: the name of a property here. ``kinds``: the type of each by that name, where it is known; a loop
    goes over those of type ``list``. Raises MtlError."""
    return _Translation(key_of, kinds).body(parse(source).body)


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _raw(text: str) -> str:
    """A text of the template itself, so that our language reads nothing in it."""
    return text if "{" not in text else f"{{{{ {_text(text)} }}}}"


class _Translation:
    """One template. ``_scopes``: what each name is called in ours, by the loops that are open; the first is the whole
    template's."""

    def __init__(self, key_of: Key, kinds: Mapping[str, str] | None) -> None:
        self._key_of, self._kinds = key_of, kinds
        self._scopes: list[dict[str, str]] = [{}]
        self._gone: set[str] = set()  # set by a loop that has ended
        self._defaulted: set[str] = set()  # read before anything was set

    def body(self, nodes: Iterable[Any]) -> str:
        return "".join(map(self._node, nodes))

    def _node(self, node: Any) -> str:
        if isinstance(node, str):
            return TAG.sub(lambda found: self._older(found, node), _BRACE.sub("{{ '{' }}", node))
        if isinstance(node, Print):
            if isinstance(node.value, Ref) and node.value.space == "var":
                value = self._variable(node.value).value
                return _raw(str(value).lower() if isinstance(value, bool) else str(value))
            return f"{{{{ {self._value(node.value)} }}}}"
        if isinstance(node, If):
            return self._if(node)
        if isinstance(node, Set):
            return self._set(node)
        return self._for(node)

    def _older(self, found: re.Match[str], source: str) -> str:
        if word := found["word"]:
            word = "UNSUB_LINK" if word.upper().startswith("UNSUB_LINK") else word.upper()
            return _WORDS.get(word, "")
        fallback = found["quoted"] if found["quoted"] is not None else found["bare"]
        if found["space"].lower() == "var":
            if fallback is None:
                line = source.count("\n", 0, found.start()) + 1
                raise MtlError(f"a campaign has no variables: give {found[0]} a default", line)
            return _raw(fallback)
        return f"{{{{ contact.{self._key_of(found['name'])} | default({_text(fallback or '')}) }}}}"

    # ---- statements

    def _if(self, node: If) -> str:
        tests = ["" if condition is None else f" {self._value(condition)}" for condition, _ in node.branches]
        made = [self._declared(node)]
        for place, (test, (condition, inner)) in enumerate(zip(tests, node.branches, strict=True)):
            word = "else" if condition is None else ("if" if not place else "elif")
            made.append(f"{{% {word}{test} %}}{self.body(inner)}")
        return "".join([*made, "{% endif %}"])

    def _declared(self, node: If) -> str:
        """Names that come into being in a condition exist before it in ours; each of its branches sets them."""
        made = ""
        for name in sorted(_set_in([node], every=False)):
            if any(name in scope for scope in self._scopes):
                continue
            if name not in _set_in([node], every=True):
                raise MtlError(f"a campaign sets {name} before this condition, or in each of its branches", node.line)
            made += f'{{% set {self._named(name)} = "" %}}'
        return made

    def _set(self, node: Set) -> str:
        value = self._value(node.value)
        inside = len(self._scopes) > 1
        if inside and (any(node.name in scope for scope in self._scopes[:-1]) or node.name in self._defaulted):
            raise self._ends_with_turn(node.name, node.line)
        return f"{{% set {self._scopes[-1].get(node.name) or self._named(node.name)} = {value} %}}"

    def _for(self, node: For) -> str:
        over = node.over
        kind = (self._kinds or {}).get(self._key_of(over.path)) if over.space == "data" else None
        item = over.space == "" and any(over.path.partition(".")[0] in scope for scope in self._scopes)
        default = over.default.value if over.default else ""
        if not (item or over.space == "data") or (kind is not None and kind != "list") or default != "":
            raise MtlError(f'"{over.name}" is not an array value', node.line)
        source = self._reference(over)
        self._scopes.append({})
        made = f"{{% for {self._named(node.name)} in {source} %}}{self.body(node.body)}{{% endfor %}}"
        self._gone |= self._scopes.pop().keys() - {node.name}
        return made

    def _named(self, name: str) -> str:
        """What a new name of this scope is called in ours."""
        own = name.replace("-", "_")
        own = f"v{own}" if own.startswith("_") else own
        taken = _TAKEN | {other for scope in self._scopes for other in scope.values()}
        while own in taken:
            own += "_"
        self._scopes[-1][name] = own
        return own

    def _ends_with_turn(self, name: str, line: int) -> MtlError:
        return MtlError(f"in a campaign what a loop sets ends with its turn: {name}", line)

    # ---- values

    def _value(self, node: Any) -> str:
        if isinstance(node, Literal):
            if isinstance(node.value, bool):
                return str(node.value).lower()
            return str(node.value) if isinstance(node.value, int | float) else _text(node.value)
        if isinstance(node, Ref):
            return self._reference(node)
        if isinstance(node, Call):
            return self._call(node)
        assert isinstance(node, Operation)
        left = self._value(node.left)
        if node.sign in ("not", "neg"):
            return f"(not {left})" if node.sign == "not" else f"(-{left})"
        right = self._value(node.right)
        if node.sign == "xor":
            return f"(({left} and not {right}) or (not {left} and {right}))"
        if node.sign == "div":
            return f"(({left} / {right}) | int)"
        texts = any(isinstance(one, Literal) and isinstance(one.value, str) for one in (node.left, node.right))
        sign = "~" if node.sign == "+" and texts else _SIGNS.get(node.sign, node.sign)
        return f"({left} {sign} {right})"

    def _call(self, node: Call) -> str:
        given = [self._value(one) for one in node.arguments]
        if node.name == "escape" and len(given) == 1:  # our letters escape by themselves
            return given[0]
        if node.name in _FILTERS and len(given) == 1:
            return f"(({given[0]}) | {_FILTERS[node.name]})"
        if node.name == "round" and len(given) in (1, 2):
            digits = node.arguments[1].value if len(given) == 2 and isinstance(node.arguments[1], Literal) else 0
            if isinstance(digits, int) and 0 <= digits <= 15 and (len(given) == 1 or digits):
                return _rounded(f"({given[0]}) | float", digits)
        if node.name == "formatnumberlocale" and 1 <= len(given) <= 3:  # in the signs of the reader's language
            form = node.arguments[1] if len(given) > 1 else Literal("0.00")
            if isinstance(form, Literal):
                return f"(({given[0]}) | number({len(str(form.value).partition('.')[2])}))"
        raise MtlError(f"a campaign has no function {node.name}", node.line)

    def _variable(self, ref: Ref) -> Literal:
        if ref.default is None:
            raise MtlError(f"a campaign does not know {ref.name}: give it a default", ref.line)
        return ref.default

    def _reference(self, ref: Ref) -> str:
        path = ref.path.lower()
        if ref.space == "var":
            return self._value(self._variable(ref))
        if ref.space == "data":
            name = f"contact.{self._key_of(ref.path)}"
        elif ref.space == "mj" and path.startswith("unsub_link"):
            name = _PLATFORM["unsub_link"]
        elif ref.space == "mj" and path in _PLATFORM:
            name = _PLATFORM[path]
        elif ref.space == "":
            first, *below = ref.path.split(".")
            own = next((scope[first] for scope in reversed(self._scopes) if first in scope), None)
            if first in self._gone and own is None:
                raise self._ends_with_turn(first, ref.line)
            if own is None:
                return self._unknown(ref)
            name = own + "".join(f"[{one}]" if one.isdecimal() else f"[{_text(one)}]" for one in below)
        else:
            raise MtlError(f"a campaign does not know {ref.name}", ref.line)
        return name if ref.default is None else f"({name} | default({self._value(ref.default)}))"

    def _unknown(self, ref: Ref) -> str:
        if ref.default is None:
            said = f"expression parsing error ## Unknown identifier: {ref.name} ## near ## {ref.near} ##"
            raise MtlError(said, ref.line)
        self._defaulted.add(ref.path.partition(".")[0])
        return self._value(ref.default)


def _rounded(value: str, digits: int) -> str:
    """Halves away from zero, as there; our own ``round`` takes them to the even side."""
    by = 10**digits
    made = f"((({value} | abs) * {by} + 0.5) // 1) * (1 if ({value}) >= 0 else -1)"
    return f"({made} / {by})" if digits else f"(({made}) | int)"


def _set_in(nodes: Iterable[Any], *, every: bool) -> set[str]:
    """Names that a body sets outside of loops: in whichever branch, or whatever is true."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, Set):
            found.add(node.name)
        elif isinstance(node, If):
            branches = [_set_in(inner, every=every) for _, inner in node.branches]
            if every and node.branches[-1][0] is not None:
                continue
            found |= set.intersection(*branches) if every else set.union(*branches)
    return found
