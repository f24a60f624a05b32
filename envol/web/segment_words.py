"""What the builder of segments calls its fields, operators and units."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

GROUPS: dict[str, Any] = {
    "profile": _("Profile"),
    "lists": _("Lists and tags"),
    "consent": _("Permissions"),
    "orders": _("Orders"),
    "activity": _("Activity"),
    "interests": _("Interests"),
    "events": _("Your own events"),
    "computed": _("Other segments, chance"),
}

KINDS: dict[str, Any] = {
    "text": _("text"),
    "choice": _("choice"),
    "number": _("number"),
    "money": _("amount"),
    "boolean": _("yes or no"),
    "date": _("date"),
    "instant": _("date"),
    "list": _("several choices"),
    "place": _("place"),
    "tags": _("tags"),
    "on_list": _("list"),
    "order_count": _("number"),
    "order_sum": _("amount"),
    "order_average": _("amount"),
    "order_share": _("share"),
    "order_date": _("date"),
    "just_bought": _("purchases"),
    "score": _("score"),
    "expected": _("number"),
    "standing": _("choice"),
    "activity": _("messages"),
    "reason": _("reason"),
    "answered": _("answer"),
    "rhythm": _("pace"),
    "habit": _("habit"),
    "interest": _("interests"),
    "happening": _("events"),
    "permission": _("permission"),
    "measured": _("permission"),
    "permitted": _("date"),
    "proved": _("choice"),
    "segment": _("segment"),
    "stage": _("stage"),
    "random": _("chance"),
    "mark": _("complaint"),
    "reading": _("share"),
}

MATCHES: dict[str, Any] = {
    "all": pgettext_lazy("rules", "all of these hold"),
    "any": pgettext_lazy("rules", "at least one of these holds"),
    "none": pgettext_lazy("rules", "none of these holds"),
}

_KNOWN = {"known": _("is known"), "unknown": _("is not known")}
_NUMBER = {
    "is": _("equals"),
    "is_not": _("does not equal"),
    "gt": _("is more than"),
    "gte": _("is at least"),
    "lt": _("is less than"),
    "lte": _("is at most"),
    "between": _("is between"),
    **_KNOWN,
}
_DATE = {
    "is": _("is the day"),
    "before": _("is before"),
    "after": _("is after"),
    "between": _("is between"),
    "in_last": _("is in the last"),
    "in_next": _("is in the next"),
    "more_than_ago": _("is longer ago than"),
    "anniversary": _("has its anniversary within"),
    "anniversary_between": _("has its anniversary between"),
    **_KNOWN,
}
_CHOICE = {
    "is": _("is"),
    "is_not": _("is not"),
    "in": _("is one of"),
    "not_in": _("is none of"),
    **_KNOWN,
}
_TAGS = {
    "has_any": _("contain one of"),
    "has_all": _("contain all of"),
    "has_none": _("contain none of"),
    **_KNOWN,
}

OPERATORS: dict[str, dict[str, Any]] = {
    "text": {
        **_CHOICE,
        "contains": _("contains"),
        "not_contains": _("does not contain"),
        "begins": _("begins with"),
    },
    "choice": _CHOICE,
    "number": _NUMBER,
    "money": _NUMBER,
    "boolean": {"is": _("is"), **_KNOWN},
    "date": {**_DATE, "age_between": _("gives an age between")},
    "instant": _DATE,
    "list": _TAGS,
    "place": {
        "called": pgettext_lazy("place", "is"),
        "near": _("is near"),
        "near_shop": _("is near one of our shops"),
        "nearest_shop": _("has as its nearest shop"),
        "country_in": _("is in the country"),
        "region_in": _("is in the region"),
        "department_in": _("is in the department"),
        "postcode_begins": _("has a postcode that begins with"),
        **_KNOWN,
    },
    "tags": _TAGS,
    "on_list": {
        "on": _("is on"),
        "not_on": _("is not on"),
        "ever_on": _("is or was on"),
        "joined_in_last": _("joined lately"),
        "founder": _("has been on it since its beginnings"),
        "anniversary": _("has an anniversary on it"),
    },
    "order_count": _NUMBER,
    "order_sum": _NUMBER,
    "order_average": {**_NUMBER, "known": _("exists"), "unknown": _("does not exist")},
    "order_share": {
        "gte": _("is at least"),
        "lt": _("is less than"),
        "known": _("exists"),
        "unknown": _("does not exist"),
    },
    "just_bought": {
        "of_category": _("in the category"),
        "of_product": _("of the product"),
        "anything": _("anything"),
        "not_of_category": _("nothing in the category"),
        "not_of_product": _("not the product"),
        "nothing": _("nothing at all"),
    },
    "score": _NUMBER,
    "expected": _NUMBER,
    "standing": _CHOICE,
    "order_date": {**_DATE, "known": _("exists"), "unknown": _("does not exist")},
    "activity": {
        "at_least": _("at least"),
        "fewer_than": _("fewer than"),
        "never": pgettext_lazy("how often", "never"),
    },
    "reason": {"in": _("is one of"), "not_in": _("is none of"), **_KNOWN},
    "answered": {"in": _("is one of"), "not_in": _("is none of"), **_KNOWN},
    "habit": {"in": _("is one of"), "not_in": _("is none of")},
    "rhythm": {"within": _("did something within"), "beyond": _("did nothing within")},
    "interest": _TAGS,
    "happening": {
        "at_least": _("at least"),
        "fewer_than": _("fewer than"),
        "never": pgettext_lazy("how often", "never"),
        "sum": pgettext_lazy("of a number told with an event", "the sum of"),
        "average": pgettext_lazy("of a number told with an event", "the average of"),
        "smallest": pgettext_lazy("of a number told with an event", "the smallest"),
        "largest": pgettext_lazy("of a number told with an event", "the largest"),
    },
    "permission": {"may_write": _("we may write for"), "may_not_write": _("we may not write for")},
    "measured": {
        "is": _("agreed to the measuring of"),
        "is_not": _("did not agree to the measuring of"),
        "unasked": _("never said anything about the measuring of"),
    },
    "permitted": {
        **{op: said for op, said in _DATE.items() if not op.startswith("anniversary")},
        "known": _("exists"),
        "unknown": _("does not exist"),
    },
    "proved": {"in": _("is one of"), "not_in": _("is none of")},
    "segment": {"in": _("is in"), "not_in": _("is not in")},
    "stage": {"in": _("is one of"), "not_in": _("is none of")},
    "random": {"share": _("belongs to a share of")},
    "mark": {"open": _("is open"), "not_open": _("is not open")},
    "reading": {"gte": _("is at least"), "lt": _("is less than"), **_KNOWN},
}

# Text before or after an input, by the operator or, failing that, the shape of its value.
AFTER: dict[str, Any] = {
    "in_last": _("days"),
    "in_next": _("days"),
    "more_than_ago": _("days"),
    "anniversary": _("days of today"),
    "times": _("times"),
    "rhythms": _("times their own rhythm"),
    "age_between": _("years"),
    "share": "%",
    "percent": "%",
    "shop_km": "km",
}

NARROW: dict[str, Any] = {
    "within_days": _("in the last … days"),
    "after": _("after"),
    "before": _("before"),
    "category": _("in the category"),
    "product": _("of the product"),
    "currency": _("currency"),
    "sending": _("in the sending"),
    "property": _("told with it"),
    "origin": _("known from"),
    "strength": _("strength at least"),
}

ORIGINS: dict[str, Any] = {
    "declared": pgettext_lazy("interest", "what they said"),
    "inferred": pgettext_lazy("interest", "what they read and buy"),
}
FACT_TYPES: dict[str, Any] = {"text": _("text"), "number": _("number"), "boolean": _("yes or no")}
FACT_TYPE_OPS = {
    "text": ("is", "is_not", "contains"),
    "number": ("is", "is_not", "gt", "gte", "lt", "lte"),
    "boolean": ("is", "is_not"),
}
