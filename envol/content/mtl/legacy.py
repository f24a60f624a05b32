"""``[[var:name]]`` and its kin, which work without the template language."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from envol.content.mtl.state import Values, printed

TAG = re.compile(
    r"\[\[\s*(?:(?P<space>var|data):(?P<name>[\w.-]+)(?::(?:\"(?P<quoted>[^\"\]\[]{0,500})\"|(?P<bare>[^\]\[]{0,500})))?"
    r"|(?P<word>EMAIL_TO|PERMALINK|UNSUB_LINK(?:_[A-Za-z]{2})?|SHARE_[A-Z]+|CONTACTS_LIST_NAME))\s*\]\]",
    re.IGNORECASE,
)


def personal(source: str) -> bool:
    """Does it show anything of one recipient?"""
    return any((found["space"] or "").lower() == "data" or found["word"] for found in TAG.finditer(source))


def replace(source: str, values: Values, words: Mapping[str, str], *, is_html: bool = False) -> str:
    """``words``: what stands for EMAIL_TO and the like, by their names in large letters; unknown ones leave nothing."""
    if "[[" not in source:
        return source
    return TAG.sub(_of(values, words, is_html), source)


def _of(values: Values, words: Mapping[str, str], is_html: bool) -> Callable[[re.Match[str]], str]:
    def put(found: re.Match[str]) -> str:
        if word := found["word"]:
            made = words.get(word.upper(), "")
            if not made and word.upper().startswith("UNSUB_LINK"):
                made = words.get("UNSUB_LINK", "")
            return html.escape(made) if is_html else made
        fallback = found["quoted"] if found["quoted"] is not None else (found["bare"] or "")
        name = found["name"]
        value: Any = values.own.get(name.lower()) if found["space"].lower() == "data" else _var(values.var, name)
        if value is None:
            return fallback
        text = printed(value)
        return html.escape(text) if is_html and found["space"].lower() == "data" else text

    return put


def _var(values: Mapping[str, Any], path: str) -> Any:
    found: Any = values
    for word in path.split("."):
        found = found.get(word) if isinstance(found, Mapping) else None
    return found
