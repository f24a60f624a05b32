"""Values of an order as people and programs write them. Light: the process of the pages reads orders with it too."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from django.utils.translation import gettext

from envol.contacts import catalogue
from envol.wire.address import normalise

MOST_LINES = 1_000
"""Lines of one order."""
_SIGNS = {"€": "EUR", "$": "USD", "£": "GBP"}


class Listed(NamedTuple):
    product: str
    category: str
    quantity: int
    amount: int | None


def number(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise ValueError(gettext("the number of an order has 1 to 100 visible characters."))
    return text


def address(text: str) -> str:
    return normalise(text).key


def currency(text: str) -> str:
    code = _SIGNS.get(text, text.upper())
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise ValueError(gettext("write the currency as three letters, such as EUR."))
    return code


def name(text: str, most: int) -> str:
    text = " ".join(text.split())
    if len(text) > most or not text.isprintable():
        raise ValueError(gettext("at most %(n)s visible characters are kept.") % {"n": most})
    return text


def quantity(text: str) -> int:
    pieces = catalogue.whole(text)
    if abs(pieces) >= 10**9:
        raise ValueError(gettext("this number is too large."))
    return pieces


def cents(text: str) -> int:
    return catalogue.cents(text)


def lines_of(text: str) -> list[Listed]:
    """Lines of an order in one cell, as JSON."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(_written()) from None
    return listed(found)


def _written() -> str:
    return gettext('lines are written as [{"product": "…", "category": "…", "quantity": 1, "amount": "12.50"}].')


def listed(found: Any) -> list[Listed]:
    """``[{"product", "category", "quantity", "amount"}, …]``; ``amount`` is that of the line, ``price`` that of one."""
    said = _written()
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found) or len(found) > MOST_LINES:
        raise ValueError(said)
    made = []
    for one in found:
        product = name(str(one.get("product") or one.get("name") or ""), 200)
        if not product:
            raise ValueError(said)
        pieces = quantity(str(one.get("quantity", 1)))
        amount = cents(str(one["amount"])) if one.get("amount") is not None else None
        if amount is None and one.get("price") is not None:
            amount = cents(str(one["price"])) * pieces
        made.append(Listed(product, name(str(one.get("category") or ""), 100), pieces, amount))
    return made
