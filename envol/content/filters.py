"""Filters for people: dates, numbers and money as the reader's language writes them.

A value that is not what the filter expects (a fallback such as "soon") passes through as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date as Date
from datetime import datetime
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError, dates, numbers
from django.utils.translation import gettext
from minijinja import pass_state

LONGEST = 20_000  # characters of a value that a filter looks at; nobody's first name is longer
_DATE_FORMATS = {"short", "medium", "long", "full"}


class Misused(ValueError):
    """A filter is asked for what it does not know; the sentence says what it knows."""


def _given(value: Any) -> Any:
    if value is None:
        raise ValueError("undefined value")
    return value


def _language(state: Any) -> str:
    return str(state.lookup("language") or "en")


@lru_cache(maxsize=64)
def locale_of(language: str) -> Locale:
    """The closest locale we know; English when the tag is unknown."""
    try:
        return Locale.parse(language.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        return Locale.parse("en")


@lru_cache(maxsize=4096)
def _date(text: str, form: str, language: str) -> str:
    try:
        day = datetime.fromisoformat(text).date() if len(text) > 10 else Date.fromisoformat(text)
    except ValueError:
        return text
    return str(dates.format_date(day, form, locale_of(language)))


@pass_state
def date(state: Any, value: Any, form: str = "long") -> str:
    """``{{ contact.birthday|date }}``: 24 November 2026; forms short, medium, long, full."""
    if form not in _DATE_FORMATS:
        said = gettext("The filter date knows the forms %(forms)s, not “%(form)s”.")
        raise Misused(said % {"forms": "short, medium, long, full", "form": str(form)[:40]})
    return _date(str(_given(value))[:40], form, _language(state))


@lru_cache(maxsize=4096)
def _number(value: float, digits: int | None, language: str) -> str:
    form = "#,##0.###" if digits is None else "#,##0" + ("." + "0" * digits if digits else "")
    return str(numbers.format_decimal(value, form, locale_of(language)))


@pass_state
def number(state: Any, value: Any, digits: int | None = None) -> str:
    """``{{ contact.points|number }}``: 12,345 or 12 345; ``digits`` after the decimal mark, at most 6."""
    if isinstance(_given(value), bool) or not isinstance(value, int | float) or abs(value) > 1e18:
        return str(value)[:LONGEST]
    return _number(value, None if digits is None else max(0, min(int(digits), 6)), _language(state))


@lru_cache(maxsize=4096)
def _money(cents: int, currency: str, language: str) -> str:
    try:
        return str(numbers.format_currency(cents / 100, currency, locale=locale_of(language)))
    except (ValueError, KeyError):
        return f"{cents / 100:.2f} {currency}"


@pass_state
def money(state: Any, value: Any, currency: str = "EUR") -> str:
    """``{{ contact.basket|money }}`` from whole cents: €12.34 or 12,34 €."""
    if isinstance(_given(value), bool) or not isinstance(value, int) or abs(value) > 10**15:
        return str(value)[:LONGEST]
    return _money(value, str(currency)[:3], _language(state))


def capitalise(value: Any) -> str:
    """First letter upper case, the rest as it is: "mcDonald" becomes "McDonald"."""
    text = str(_given(value))[:LONGEST]
    return text[:1].upper() + text[1:]


def truncate(value: Any, length: int = 80, end: str = "…") -> str:
    """At most ``length`` characters, cut at a word where one ends in the second half."""
    text, length = str(_given(value))[:LONGEST], max(1, min(int(length), LONGEST))
    if len(text) <= length:
        return text
    cut = text[:length]
    space = cut.rfind(" ")
    return (cut[:space] if space > length // 2 else cut).rstrip() + end[:10]


OURS: dict[str, Callable[..., str]] = {
    "date": date,
    "number": number,
    "money": money,
    "capitalise": capitalise,
    "truncate": truncate,
}
