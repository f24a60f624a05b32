"""One resource after the other is a table (`Resource`); paths, queries, envelopes and errors follow from it.

Names are read whatever their case, in paths, queries and bodies; what is read-only is ignored when a client sends a
whole object back. A number or key of another workspace is not found, like one that never was.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import override

from envol.accounts import api_keys
from envol.accounts.models import ApiKey, Scope, Workspace
from envol.api import send_v31
from envol.api.rest.values import Field, Invalid, boolean, folded, integer, read_fields
from envol.wire.message.headers import UNKEPT

MOST_ROWS, USUAL_ROWS = 1000, 10
NUL = "\x00"
JSON, JSON_UTF8 = "application/json", "application/json; charset=UTF-8"


class Wrong(Exception):
    """The answer to a call that cannot be done. ``info``: what is wrong, by property, where there is more to say.

    ``newer``: in the words of the newer services (``ErrorIdentifier``).
    """

    def __init__(self, status: int, message: Any, info: Any = "", *, newer: bool = False) -> None:
        super().__init__(str(message))
        self.status, self.message, self.info, self.newer = status, message, info, newer

    def answer(self) -> Answer:
        if self.newer:
            body = {"ErrorIdentifier": str(uuid.uuid4()), "StatusCode": self.status, "ErrorMessage": self.message}
            return Answer(self.status, body, JSON_UTF8)
        return Answer(self.status, {"ErrorInfo": self.info, "ErrorMessage": self.message, "StatusCode": self.status})


def missing() -> Wrong:
    return Wrong(404, "Object not found")


def unresolved(name: str, wanted: Any) -> Wrong:
    """What a property or a filter names is not here."""
    return Wrong(400, f'Property "{name}", alternate key value "{wanted}" could not be resolved to an ID')


def not_offered() -> Wrong:
    return Wrong(405, "This method is not offered here.")


@dataclass(frozen=True, slots=True)
class Answer:
    """``body``: None is an empty one, a text is told as it is."""

    status: int
    body: Any = None
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def octets(self) -> bytes:
        if isinstance(self.body, str):
            return self.body.encode()
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False).encode("utf-8", "replace")


@dataclass(slots=True)
class Call:
    """Names of ``query`` and of the outermost object of ``body`` are folded to small letters."""

    method: str
    key: ApiKey
    query: Mapping[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def workspace(self) -> Workspace:
        return self.key.workspace

    def number(self, *names: str) -> int | None:
        """A number of the query, under the first of these names that is there; a filter that is none finds nothing."""
        name = next((one for one in names if one in self.query), None)
        if name is None:
            return None
        try:
            return integer(self.query[name])
        except Invalid:
            return -1

    def switch(self, name: str) -> bool | None:
        if name not in self.query:
            return None
        try:
            return boolean(self.query[name])
        except Invalid as wrong:
            raise Wrong(400, f"Filter {name} is invalid: {wrong}") from None


Act = Callable[[Call, Any, str], "list[Any] | Answer"]
"""call, the object (None of a whole collection), what stands behind the act's name in the path."""


@dataclass(frozen=True, slots=True)
class Resource:
    """``rows``: all objects that the query's filters leave; ``one``: by a key of the path; ``show``: objects as they
    are told, a page at a time. ``sorts``: property → column, and whether falling order is offered. ``acts`` of one
    object and ``wide`` acts of the collection: name → method → act. ``change`` says whether anything changed."""

    name: str
    rows: Callable[[Call], Any]
    one: Callable[[Call, str], Any]
    show: Callable[[Call, Sequence[Any]], list[dict[str, Any]]]
    scope: Scope | None = None
    fields: Mapping[str, Field] = field(default_factory=dict)
    filters: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    sorts: Mapping[str, tuple[str, bool]] = field(default_factory=lambda: {"id": ("pk", False)})
    create: Callable[[Call, dict[str, Any]], Any] | None = None
    change: Callable[[Call, Any, dict[str, Any]], bool] | None = None
    remove: Callable[[Call, Any], None] | None = None
    acts: Mapping[str, Mapping[str, Act]] = field(default_factory=dict)
    wide: Mapping[str, Mapping[str, Act]] = field(default_factory=dict)


def serve(resources: Mapping[str, Resource], method: str, path: str, query: str, body: bytes, key: ApiKey) -> Answer:
    """``path``: what follows ``/REST/``, its escapes undone."""
    try:
        with override("en"):
            if said := api_keys.closed(key):
                raise Wrong(401 if key.paused_at else 403, send_v31.SUSPENDED if key.paused_at else said)
            call = Call(method, key, _query(query), _body(method, body))
            name, _, rest = path.strip("/").partition("/")
            resource = resources.get(name.lower())
            if NUL in path:
                raise missing()
            if resource is None:
                raise Wrong(404, f'There is no resource "{name[:60]}" here.')
            if resource.scope and (said := api_keys.lacks(key, resource.scope)):
                raise Wrong(403, said)
            with transaction.atomic():
                return _answer(resource, call, rest)
    except Wrong as wrong:
        return wrong.answer()
    except Invalid as wrong:
        return Wrong(400, str(wrong)).answer()


def _query(raw: str) -> dict[str, str]:
    """A parameter that stands twice counts once: the first."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(raw, True):
        if NUL in value:
            raise Wrong(400, f"Filter {name[:60]} is invalid: it holds a character that is never kept (NUL).")
        found.setdefault(name.lower(), value)
    return found


def _body(method: str, raw: bytes) -> dict[str, Any]:
    if method not in ("POST", "PUT", "PATCH") or not raw.strip():
        return {}
    try:
        words = raw.decode("utf-8-sig")  # RFC 8259 §8.1: nothing else; a mark at its beginning may be ignored
        found = json.loads(words, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Wrong(400, "Malformed JSON, please review the syntax and properties types.") from None
    if not isinstance(found, dict):
        raise Wrong(400, "Malformed JSON: an object is expected.")
    if "\\u" in words and (place := _unkept(found)):
        raise Invalid(f"MJ08 Property {place} is invalid: it holds a character that is never kept (NUL, half a pair)")
    return folded(found)


def _unkept(value: Any, place: str = "") -> str:
    """Where in ``value`` a text holds what no UTF-8 and no text of PostgreSQL can: half a surrogate pair, or NUL."""
    if isinstance(value, str):
        return (place or "?") if UNKEPT.search(value) else ""
    if isinstance(value, dict):
        # A name that cannot be kept is not told either: an answer is UTF-8.
        if any(UNKEPT.search(name) for name in value):
            return place or "?"
        parts = ((f"{place}.{name}".lstrip("."), one) for name, one in value.items())
    elif isinstance(value, list):
        parts = ((f"{place}[{no}]", one) for no, one in enumerate(value))
    else:
        return ""
    return next((found for name, one in parts if (found := _unkept(one, name))), "")


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _answer(resource: Resource, call: Call, rest: str) -> Answer:
    if not rest:
        return _collection(resource, call)
    words = rest.split("/")
    if wide := resource.wide.get(words[0].lower()):
        return _acted(wide, call, None, "/".join(words[1:]))
    # A key may hold a slash; an act stands behind it, with or without something of its own.
    for place in range(len(words) - 1, 0, -1):
        if act := resource.acts.get(words[place].lower()):
            found = resource.one(call, "/".join(words[:place]))
            return _acted(act, call, found, "/".join(words[place + 1 :]))
    return _object(resource, call, resource.one(call, rest))


def _acted(act: Mapping[str, Act], call: Call, found: Any, behind: str) -> Answer:
    if call.method not in act:
        raise not_offered()
    made = act[call.method](call, found, behind)
    return made if isinstance(made, Answer) else envelope(made, 201 if call.method == "POST" else 200)


def _collection(resource: Resource, call: Call) -> Answer:
    if call.method == "POST" and resource.create:
        made = resource.create(call, read_fields(resource.fields, call.body, new=True))
        return envelope(resource.show(call, [made]), 201)
    if call.method != "GET":
        raise not_offered()
    if unknown := sorted(resource.absent & call.query.keys()):
        raise Wrong(400, f'The filter "{unknown[0]}" is not available here.')
    rows = resource.rows(call)
    if call.switch("countonly") or call.switch("countrecords"):
        count = rows.count() if isinstance(rows, QuerySet) else len(rows)
        return Answer(200, {"Count": count, "Data": [], "Total": count})
    limit, offset = _page(call)
    if isinstance(rows, QuerySet):
        rows = rows.order_by(*_order(resource, call))
    elif "sort" in call.query and _order(resource, call)[0].startswith("-") and isinstance(rows, list):
        rows = rows[::-1]  # those that are read whole come by number
    return envelope(resource.show(call, list(rows[offset : offset + limit])), 200)


def _page(call: Call) -> tuple[int, int]:
    try:
        limit = integer(call.query.get("limit") or USUAL_ROWS)
        offset = integer(call.query.get("offset") or 0)
    except Invalid as wrong:
        raise Wrong(400, f"Limit and Offset: {wrong}") from None
    if offset < 0:
        raise Wrong(400, "Offset is 0 or more.")
    return (MOST_ROWS if limit <= 0 else min(limit, MOST_ROWS)), offset


def _order(resource: Resource, call: Call) -> list[str]:
    words = call.query.get("sort", "ID").replace("+", " ").split()
    name, way = (words or ["ID"])[0].lower(), (words[1].upper() if len(words) > 1 else "ASC")
    if name not in resource.sorts or way not in ("ASC", "DESC") or len(words) > 2:
        raise Wrong(400, f'Sort by "{" ".join(words)[:60]}" is not offered by this resource.')
    column, falling = resource.sorts[name]
    if way == "DESC" and not falling:
        raise Wrong(400, f'Sort by "{name}" is not offered in falling order.')
    sign = "-" if way == "DESC" else ""
    return [f"{sign}{column}"] if column == "pk" else [f"{sign}{column}", f"{sign}pk"]


def _object(resource: Resource, call: Call, found: Any) -> Answer:
    if call.method == "GET":
        return envelope(resource.show(call, [found]), 200)
    if call.method == "PUT" and resource.change:
        if not resource.change(call, found, read_fields(resource.fields, call.body, new=False)):
            return Answer(304)
        return envelope(resource.show(call, [found]), 200)
    if call.method == "DELETE" and resource.remove:
        resource.remove(call, found)
        return Answer(204)
    raise not_offered()


def envelope(rows: Sequence[Any], status: int = 200) -> Answer:
    return Answer(status, {"Count": len(rows), "Data": list(rows), "Total": len(rows)})


def number_of(word: str) -> int | None:
    """A key of the path that is a number."""
    return int(word) if word.isdecimal() and word.isascii() and len(word) < 19 else None
