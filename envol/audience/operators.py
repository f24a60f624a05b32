"""Which operators a kind of field has, and the canonical form of each operator's value.

Negative operators (``is_not``, ``not_in``, ``not_contains``, ``has_none``, ``not_on``, ``never``…)
are the exact opposite of the positive one: whoever has no value is inside. Combine with ``known``
to leave them out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from envol.contacts import places

MAX_TEXT = 500
MAX_VALUES = 1000
MAX_DAYS = 36_500
MAX_AGE = 150

_KNOWN = {"known": "none", "unknown": "none"}
_COMPARE = {"is": "number", "is_not": "number", "gt": "number", "gte": "number", "lt": "number", "lte": "number"}
_DATE = {
    "is": "date",
    "before": "date",
    "after": "date",
    "between": "dates",
    "in_last": "days",
    "in_next": "days",
    "more_than_ago": "days",
    "anniversary": "spread",
    "anniversary_between": "year_days",
    **_KNOWN,
}
_BIRTH = {"age_between": "ages"}

# kind → operator → shape of its value
OPERATORS: dict[str, dict[str, str]] = {
    "text": {
        "is": "text",
        "is_not": "text",
        "in": "texts",
        "not_in": "texts",
        "contains": "text",
        "not_contains": "text",
        "begins": "text",
        **_KNOWN,
    },
    "choice": {"is": "choice", "is_not": "choice", "in": "choices", "not_in": "choices", **_KNOWN},
    "number": {**_COMPARE, "between": "numbers", **_KNOWN},
    "money": {**dict.fromkeys(_COMPARE, "cents"), "between": "cents_pair", **_KNOWN},
    "boolean": {"is": "boolean", **_KNOWN},
    "date": _DATE | _BIRTH,
    "instant": _DATE,
    "list": {"has_any": "choices", "has_all": "choices", "has_none": "choices", **_KNOWN},
    "place": {
        "called": "texts",
        "near": "near",
        "near_shop": "shop_km",
        "nearest_shop": "shops",
        "country_in": "countries",
        "region_in": "regions",
        "department_in": "departments",
        "postcode_begins": "texts",
        **_KNOWN,
    },
    "tags": {"has_any": "texts", "has_all": "texts", "has_none": "texts"},
    "on_list": {
        "on": "id",
        "not_on": "id",
        "ever_on": "id",
        "joined_in_last": "id_days",
        "founder": "id",
        "anniversary": "id_years",
    },
    "order_count": {**dict.fromkeys(_COMPARE, "whole"), "between": "wholes"},
    "order_sum": {**dict.fromkeys(_COMPARE, "cents"), "between": "cents_pair"},
    "order_average": {**dict.fromkeys(_COMPARE, "cents"), "between": "cents_pair", **_KNOWN},
    "order_share": {"gte": "percent", "lt": "percent", **_KNOWN},
    "order_date": _DATE,
    "just_bought": {
        "of_category": "texts",
        "of_product": "texts",
        "anything": "none",
        "not_of_category": "texts",
        "not_of_product": "texts",
        "nothing": "none",
    },
    "score": {**_COMPARE, "between": "numbers", **_KNOWN},
    "expected": {"gte": "number", "lt": "number", "between": "numbers", **_KNOWN},
    "standing": {"is": "choice", "is_not": "choice", "in": "choices", "not_in": "choices", **_KNOWN},
    "mark": {"open": "none", "not_open": "none"},
    "reading": {"gte": "percent", "lt": "percent", **_KNOWN},
    "activity": {"at_least": "times", "fewer_than": "times", "never": "none"},
    "happening": {
        "at_least": "times",
        "fewer_than": "times",
        "never": "none",
        "sum": "measure",
        "average": "measure",
        "smallest": "measure",
        "largest": "measure",
    },
    "interest": {"has_any": "choices", "has_all": "choices", "has_none": "choices", **_KNOWN},
    "permission": {"may_write": "choice", "may_not_write": "choice"},
    "measured": {"is": "choice", "is_not": "choice", "unasked": "choice"},
    "permitted": {key: shape for key, shape in _DATE.items() if not key.startswith("anniversary")},
    "proved": {"in": "choices", "not_in": "choices"},
    "segment": {"in": "id", "not_in": "id"},
    "stage": {"in": "choices", "not_in": "choices"},
    "reason": {"in": "choices", "not_in": "choices", **_KNOWN},
    "answered": {"in": "choices", "not_in": "choices", **_KNOWN},
    "habit": {"in": "choices", "not_in": "choices"},
    "rhythm": {"within": "rhythms", "beyond": "rhythms"},
    "random": {"share": "share"},
}

# What may narrow a rule, by kind: key → shape
NARROWING: dict[str, dict[str, str]] = {
    **{
        kind: {
            "within_days": "days",
            "after": "date",
            "before": "date",
            "category": "texts",
            "product": "texts",
            "currency": "currency",
        }
        for kind in ("order_count", "order_sum", "order_average", "order_share", "order_date")
    },
    "activity": {"within_days": "days", "sending": "whole"},
    "reason": {"origin": "origin"},
    "interest": {"origin": "origin", "strength": "strength"},
    "happening": {"property": "fact", "within_days": "days", "after": "date", "before": "date"},
}


class Wrong(ValueError):
    """A value cannot be used; the sentence says what it must be."""


def _text(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.strip():
        raise Wrong(_("Write a text here."))
    if len(raw) > MAX_TEXT:
        raise Wrong(_("This text is longer than %(n)s characters; shorten it.") % {"n": MAX_TEXT})
    if "\x00" in raw or any(0xD800 <= ord(c) <= 0xDFFF for c in raw):
        raise Wrong(_("This text holds a character that cannot be stored; type it again."))
    return raw


def _several(one: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def shape(raw: Any) -> list[Any]:
        items = raw if isinstance(raw, list) else [raw]
        if not items:
            raise Wrong(_("Choose at least one value."))
        if len(items) > MAX_VALUES:
            raise Wrong(_("More than %(n)s values; use a list or a tag instead.") % {"n": MAX_VALUES})
        return sorted({one(item) for item in items})

    return shape


def _pair(one: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    def shape(raw: Any) -> list[Any]:
        if not isinstance(raw, list) or len(raw) != 2:
            raise Wrong(_("Give two values: the first and the last."))
        low, high = one(raw[0]), one(raw[1])
        if high < low:
            raise Wrong(_("The first value must not be above the second; exchange them."))
        return [low, high]

    return shape


def _number(raw: Any) -> int | float:
    if isinstance(raw, str):
        try:
            given = Decimal(raw.strip().replace(",", "."))
            whole = given.is_finite() and abs(given) < 10**18 and given == given.to_integral_value()
            raw = int(given) if whole else float(given)
        except (ArithmeticError, ValueError):
            raise Wrong(_("Write a number, for example 12 or 3.5.")) from None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or abs(raw) > 1e18 or not math.isfinite(raw):
        raise Wrong(_("Write a number, for example 12 or 3.5."))
    return raw


def _integer(low: int, high: int, sentence: str) -> Callable[[Any], int]:
    def shape(raw: Any) -> int:
        if isinstance(raw, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", raw):
            raw = int(raw)
        if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= high:
            raise Wrong(_(sentence) % {"low": low, "high": high})
        return raw

    return shape


def _boolean(raw: Any) -> bool:
    if not isinstance(raw, bool):
        raise Wrong(_("Choose yes or no."))
    return raw


def _date(raw: Any) -> str:
    try:
        if not isinstance(raw, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", raw):
            raise ValueError
        return date.fromisoformat(raw).isoformat()
    except ValueError:
        raise Wrong(_("Write a date as year-month-day, for example 2027-03-01.")) from None


def _year_day(raw: Any) -> str:
    try:
        if not isinstance(raw, str) or not re.fullmatch(r"[0-9]{2}-[0-9]{2}", raw):
            raise ValueError
        return date.fromisoformat(f"2000-{raw}").isoformat()[5:]
    except ValueError:
        raise Wrong(_("Write a day of the year as month-day, for example 03-01.")) from None


def _year_days(raw: Any) -> list[str]:
    if not isinstance(raw, list) or len(raw) != 2:
        raise Wrong(_("Give two days of the year: the first and the last."))
    return [_year_day(raw[0]), _year_day(raw[1])]  # the first may be later: the range passes New Year


def _near(raw: Any) -> dict[str, Any]:
    if not isinstance(raw, dict) or not {"lat", "lon", "km"} <= set(raw) <= {"lat", "lon", "km", "label"}:
        raise Wrong(_("Give a place (latitude, longitude) and a distance in km."))
    lat, lon, km = (_number(raw[key]) for key in ("lat", "lon", "km"))
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise Wrong(_("A latitude lies between -90 and 90, a longitude between -180 and 180."))
    if not 0 < km <= 20_040:
        raise Wrong(_("The distance must be more than 0 and at most 20 040 km."))
    return {"lat": lat, "lon": lon, "km": km, **({"label": _text(raw["label"])} if raw.get("label") else {})}


def _country(raw: Any) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z]{2}", raw.strip()):
        raise Wrong(_("Write a country as its two letters, for example FR."))
    return raw.strip().upper()


def _percent(raw: Any) -> int | float:
    number = _number(raw)
    if not 0 <= number <= 100:
        raise Wrong(_("A percentage lies between 0 and 100."))
    return number


def _zone(find: Callable[[str], str], sentence: str) -> Callable[[Any], str]:
    """A department or region, by its code or its name."""

    def shape(raw: Any) -> str:
        found = find(raw) if isinstance(raw, str) and len(raw) < 60 else ""
        if not found:
            raise Wrong(_(sentence) % {"what": str(raw)[:60]})
        return found

    return shape


def _shop_km(raw: Any) -> int | float:
    number = _number(raw)
    if not 0 < number <= 20_040:
        raise Wrong(_("The distance must be more than 0 and at most 20 040 km."))
    return number


def _currency(raw: Any) -> str:
    if not isinstance(raw, str) or not re.fullmatch(r"[A-Za-z]{3}", raw.strip()):
        raise Wrong(_("Write a currency as its three letters, for example EUR."))
    return raw.strip().upper()


def _share(raw: Any) -> dict[str, Any]:
    found = raw if isinstance(raw, dict) else {"percent": raw}
    if not {"percent"} <= set(found) <= {"percent", "seed"}:
        raise Wrong(_("Give a percentage, for example 10."))
    percent = _number(found["percent"])
    if not 0 < percent <= 100:
        raise Wrong(_("A share is more than 0 % and at most 100 %."))
    seed = found.get("seed") or ""
    return {"percent": percent, "seed": _text(seed) if seed else ""}


MOST_MEASURED = 10**15
MEASURES = ("sum", "average", "smallest", "largest")
FACT_OPS = {"is": "=", "is_not": "<>", "contains": "", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
"""How a property of an event is compared, and with which sign of SQL."""


def _fact(raw: Any) -> dict[str, Any]:
    """A property of an event compared with a value of its own type; numbers alone have an order."""
    if not isinstance(raw, dict) or set(raw) != {"name", "op", "value"} or not isinstance(raw["name"], str):
        raise Wrong(_("Give a property, how it is compared, and a value."))
    op, value = raw["op"], raw["value"]
    if not isinstance(op, str) or op not in FACT_OPS:
        raise Wrong(_("Compare a property with %(ops)s.") % {"ops": ", ".join(FACT_OPS)})
    value = value if isinstance(value, bool) else _text(value) if isinstance(value, str) else _number(value)
    return {"name": raw["name"][:60], "op": op, "value": value}


def _measure(raw: Any) -> dict[str, Any]:
    """A sum, or another figure of a number told with events, compared with a number; thousandths are the finest."""
    if isinstance(raw, dict) and isinstance(raw.get("value"), str):
        raw = {**raw, "value": _number(raw["value"])}
    made = _fact(raw)
    if isinstance(made["value"], str | bool) or made["op"] == "contains":
        raise Wrong(_("Compare a figure with a number."))
    if abs(made["value"]) > MOST_MEASURED:
        raise Wrong(_("Write a number up to %(n)s.") % {"n": MOST_MEASURED})
    return made


def _origin(raw: Any) -> str:
    if raw not in ("declared", "inferred"):
        raise Wrong(_("Say “declared” or “inferred”."))
    return str(raw)


def _none(raw: Any) -> None:
    if raw is not None:
        raise Wrong(_("This operator takes no value; remove it."))


_NO_DEPARTMENT = gettext_noop("“%(what)s” is no department of France; write its number or its name.")
_NO_REGION = gettext_noop("“%(what)s” is no region of France; write its name.")
_days = _integer(0, MAX_DAYS, gettext_noop("Write a number of days between %(low)s and %(high)s."))
_whole = _integer(0, 10**15, gettext_noop("Write a whole number between %(low)s and %(high)s."))
_cents = _integer(-(10**15), 10**15, gettext_noop("Write an amount in cents, as a whole number."))

SHAPES: dict[str, Callable[[Any], Any]] = {
    "none": _none,
    "text": _text,
    "texts": _several(_text),
    "number": _number,
    "numbers": _pair(_number),
    "whole": _whole,
    "wholes": _pair(_whole),
    "cents": _cents,
    "cents_pair": _pair(_cents),
    "boolean": _boolean,
    "date": _date,
    "dates": _pair(_date),
    "days": _days,
    "spread": _integer(0, 182, gettext_noop("Write a number of days between %(low)s and %(high)s.")),
    "times": _integer(1, 10**6, gettext_noop("Write how many times, between %(low)s and %(high)s.")),
    "rhythms": _integer(1, 10, gettext_noop("Write how many times, between %(low)s and %(high)s.")),
    "year_days": _year_days,
    "ages": _pair(_integer(0, MAX_AGE, gettext_noop("Write an age in years, between %(low)s and %(high)s."))),
    "near": _near,
    "shop_km": _shop_km,
    "shops": _several(_integer(1, 2**62, gettext_noop("Choose shops of the list."))),
    "countries": _several(_country),
    "departments": _several(_zone(places.find_department, _NO_DEPARTMENT)),
    "regions": _several(_zone(places.find_region, _NO_REGION)),
    "percent": _percent,
    "years": _several(_integer(1, 100, gettext_noop("Write a number of years between %(low)s and %(high)s."))),
    "currency": _currency,
    "share": _share,
    "fact": _fact,
    "measure": _measure,
    "origin": _origin,
    "strength": _integer(1, 100, gettext_noop("Write a strength in percent, between %(low)s and %(high)s.")),
    "choice": _text,
    "choices": _several(_text),
}


def number_holds(op: str, left: Any, value: Any) -> bool:
    """``left op value`` for numbers, as the compiled comparison has it."""
    tests: dict[str, Callable[[], bool]] = {
        "is": lambda: left == value,
        "gt": lambda: left > value,
        "gte": lambda: left >= value,
        "lt": lambda: left < value,
        "lte": lambda: left <= value,
        "between": lambda: value[0] <= left <= value[1],
    }
    return bool(tests[op]())
