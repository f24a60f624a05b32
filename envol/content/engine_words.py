"""What the engine says of a template, in the reader's language.

It speaks English, and mostly says what stands somewhere and what should. Those sentences are known here; of any other
its kind alone is told, because half a foreign sentence helps nobody.
"""

from __future__ import annotations

import re

from django.utils.translation import gettext, gettext_noop
from minijinja import TemplateError

_SIGNS = {
    "end of variable block": "}}",
    "end of block": "%}",
    "start of variable block": "{{",
    "start of block": "{%",
}
_KINDS = {
    "identifier": gettext_noop("a name"),
    "integer": gettext_noop("a whole number"),
    "float": gettext_noop("a number"),
    "number": gettext_noop("a number"),
    "string": gettext_noop("a text"),
    "bool": gettext_noop("a yes or no"),
    "sequence": gettext_noop("a list"),
    "iterable": gettext_noop("a list"),
    "map": gettext_noop("a value with several parts"),
    "plain object": gettext_noop("a value with several parts"),
    "none": gettext_noop("nothing"),
    "undefined": gettext_noop("nothing"),
    "end of input": gettext_noop("the end of the text"),
    "template-data": gettext_noop("a text"),
}
_PLACED = re.compile(r"unexpected (.+?), expected (.+)")
_ALONE = re.compile(r"unexpected (.+)")
_STATEMENT = re.compile(r"unknown statement (\w+)")
_OPERATOR = re.compile(r"tried to use (\S+) operator on unsupported types ([\w ]+) and ([\w ]+)")
_CALCULATED = re.compile(r"unable to calculate (.{1,60})")
_TYPED = re.compile(r"(?:.*(?:of type|got|value) \(?)?([\w ]+?)\)?(?: is not iterable)?")


def _word(token: str) -> str:
    token = token.strip()
    if token in _KINDS:
        return gettext(_KINDS[token])
    return gettext("“%(sign)s”") % {"sign": _SIGNS.get(token, token.strip("`"))}


def unread(error: TemplateError) -> str:
    """Why a template cannot be read."""
    why = (error.detail or "").strip()
    if found := _PLACED.fullmatch(why):
        wanted = gettext(" or ").join(_word(one) for one in found[2].split(" or "))
        return gettext("The template cannot be read: %(found)s stands where %(wanted)s is needed.") % {
            "found": _word(found[1]),
            "wanted": wanted,
        }
    if why == "unexpected character":
        return gettext("The template cannot be read: a character here means nothing in a tag.")
    if found := _ALONE.fullmatch(why):
        return gettext("The template cannot be read: something is missing before %(found)s.") % {
            "found": _word(found[1])
        }
    if found := _STATEMENT.fullmatch(why):
        return gettext("The template cannot be read: %(tag)s has no place here.") % {"tag": f"{{% {found[1]} %}}"}
    if why.startswith("invalid "):
        return gettext("The template cannot be read: a number in it is no number, or too large.")
    return gettext("The template cannot be read: check the tags and the quotation marks of this line.")


def failed(error: TemplateError) -> str:
    """Why a template that can be read cannot be shown."""
    why, line = (error.detail or "").strip(), {"line": error.line or 1}
    if found := _OPERATOR.fullmatch(why):
        return gettext(
            "The template fails on line %(line)s: “%(sign)s” cannot stand between %(left)s and %(right)s."
        ) % {
            **line,
            "sign": found[1],
            "left": _word(found[2]),
            "right": _word(found[3]),
        }
    if found := _CALCULATED.match(why):
        return gettext("The template fails on line %(line)s: %(sum)s cannot be calculated.") % {
            **line,
            "sum": found[1],
        }
    if error.kind == "TooManyArguments":
        return gettext("The template fails on line %(line)s: a filter has too many values between its brackets.") % line
    if error.kind == "MissingArgument":
        return gettext("The template fails on line %(line)s: a filter needs a value between its brackets.") % line
    if (found := _TYPED.fullmatch(why)) and found[1] in _KINDS:
        return gettext("The template fails on line %(line)s: %(kind)s cannot be used like this.") % {
            **line,
            "kind": _word(found[1]),
        }
    return gettext("The template fails on line %(line)s: a value cannot be used like this.") % line
