"""Templates of campaigns that were written in this language, in ours: what is known of a reader, conditions on it, and
the links that every letter has. What a single message is given from outside (``var:``) no campaign has.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from envol.content.mtl.grammar import Call, If, Literal, MtlError, Operation, Print, Ref, parse
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
_FILTERS = {"upper": "upper", "lower": "lower", "capitalize": "capitalize", "int": "int", "urlencode": "urlencode"}
_SIGNS = {"=": "==", "==": "==", "===": "==", "!=": "!=", "<>": "!=", "div": "//", "mod": "%"}

Key = Callable[[str], str]


def translate(source: str, key_of: Key) -> str:
    """``key_of``: the name of a property here. Raises MtlError."""
    if "{{" not in source and "{%" not in source:
        return _older_tags(source, key_of)
    return _body(parse(source).body, key_of)


def _older_tags(source: str, key_of: Key) -> str:
    return TAG.sub(lambda found: _older(found, key_of, source), source)


def _older(found: re.Match[str], key_of: Key, source: str) -> str:
    line = source.count("\n", 0, found.start()) + 1
    if word := found["word"]:
        word = "UNSUB_LINK" if word.upper().startswith("UNSUB_LINK") else word.upper()
        return _WORDS.get(word, "")
    if found["space"].lower() == "var":
        raise MtlError(f"a campaign has no variables: {found[0]}", line)
    fallback = found["quoted"] if found["quoted"] is not None else (found["bare"] or "")
    return f"{{{{ contact.{key_of(found['name'])} | default({_text(fallback)}) }}}}"


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _body(body: list[Any], key_of: Key) -> str:
    return "".join(_node(node, key_of) for node in body)


def _node(node: Any, key_of: Key) -> str:
    if isinstance(node, str):
        return _older_tags(node, key_of)
    if isinstance(node, Print):
        return f"{{{{ {_value(node.value, key_of, node.line)} }}}}"
    if isinstance(node, If):
        made = []
        for place, (condition, inner) in enumerate(node.branches):
            word = "else" if condition is None else ("if" if not place else "elif")
            test = f" {_value(condition, key_of, 1)}" if condition is not None else ""
            made.append(f"{{% {word}{test} %}}{_body(inner, key_of)}")
        return "".join([*made, "{% endif %}"])
    raise MtlError("a campaign knows no loops over variables and sets none", getattr(node, "line", 1))


def _value(node: Any, key_of: Key, line: int) -> str:
    if isinstance(node, Literal):
        if isinstance(node.value, bool):
            return str(node.value).lower()
        return str(node.value) if isinstance(node.value, int | float) else _text(node.value)
    if isinstance(node, Ref):
        return _reference(node, key_of)
    if isinstance(node, Call):
        if node.name == "escape" and len(node.arguments) == 1:  # our letters escape by themselves
            return _value(node.arguments[0], key_of, line)
        if node.name in _FILTERS and len(node.arguments) == 1:
            return f"({_value(node.arguments[0], key_of, line)}) | {_FILTERS[node.name]}"
        raise MtlError(f"a campaign has no function {node.name}", node.line)
    assert isinstance(node, Operation)
    left = _value(node.left, key_of, line)
    if node.sign in ("not", "neg"):
        return f"(not {left})" if node.sign == "not" else f"(-{left})"
    right = _value(node.right, key_of, line)
    if node.sign == "xor":
        return f"(({left} and not {right}) or (not {left} and {right}))"
    return f"({left} {_SIGNS.get(node.sign, node.sign)} {right})"


def _reference(ref: Ref, key_of: Key) -> str:
    if ref.space == "data":
        name = f"contact.{key_of(ref.path)}"
    elif ref.space == "mj" and ref.path.lower().startswith("unsub_link"):
        name = _PLATFORM["unsub_link"]
    elif ref.space == "mj" and ref.path.lower() in _PLATFORM:
        name = _PLATFORM[ref.path.lower()]
    else:
        raise MtlError(f"a campaign does not know {ref.name}", ref.line)
    return name if ref.default is None else f"({name} | default({_value(ref.default, key_of, ref.line)}))"
