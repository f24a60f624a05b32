"""One route after the other is described (`Route`); routing, reading, errors, paging and OpenAPI follow from it.

Errors are problem+json (RFC 9457). What a list answers is a `Page`; its ``next`` is given back as ``cursor``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from django.conf import settings
from django.db import transaction
from django.utils.functional import Promise
from django.utils.translation import override
from msgspec import Meta, Struct

from envol import disk
from envol.accounts import api_keys
from envol.accounts.models import ApiKey, Scope, Workspace
from envol.api.own import answers
from envol.db import TooSlow

BASE = "/api/v1"
MOST_ROWS, USUAL_ROWS = 1000, 100
JSON, PROBLEM = "application/json", "application/problem+json"
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")

T = TypeVar("T")
Id = Annotated[int, Meta(ge=1, lt=1 << 62)]
Email = Annotated[str, Meta(min_length=3, max_length=254, description="An address, as its owner writes it.")]


class Input(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What comes in: a name that is not known is a mistake somebody wants to hear of."""


class Paged(Input):
    """The query of a list. ``cursor``: the ``next`` of the page before."""

    cursor: Annotated[str, Meta(max_length=60)] = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_ROWS)] = USUAL_ROWS


class Page(Struct, Generic[T]):
    """``next`` is null on the last page."""

    items: list[T]
    next: str | None = None


class Fault(Struct):
    """One place of the request, and what to send there."""

    place: str
    detail: str


class ProblemDetails(Struct, omit_defaults=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] = []


# name → (status, title): what may go wrong, whatever the route.
PROBLEMS = {
    "unreadable": (400, "The request cannot be read"),
    "unauthorized": (401, "An API key is needed"),
    "forbidden": (403, "This key may not do this"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This address takes another method"),
    "conflict": (409, "This does not go with what is there"),
    "in-progress": (409, "The first call with this Idempotency-Key is still being done"),
    "too-large": (413, "The request is larger than what is read at once"),
    "invalid": (422, "Something in the request cannot be"),
    "other-body": (422, "This Idempotency-Key was used for another request"),
    "unavailable": (503, "Not now"),
}


class Wrong(Exception):
    """``kind``: one of `PROBLEMS`."""

    def __init__(self, kind: str, detail: str, errors: Sequence[Fault] = (), **headers: str) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.errors = kind, detail, list(errors)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self) -> Answer:
        status, title = PROBLEMS[self.kind]
        where = f"{settings.ENVOL.base_url}/settings/developers/api#problem-{self.kind}"
        told = ProblemDetails(where, title, status, self.detail, self.errors)
        return Answer(status, msgspec.json.encode(told), PROBLEM, self.headers)


def missing(what: str = "thing") -> Wrong:
    return Wrong("not-found", f"There is no such {what} in this workspace.")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    octets: bytes = b""
    kind: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """``at``: numbers of the path by name. ``query`` and ``body``: as the route declares them, None without."""

    key: ApiKey
    at: Mapping[str, int] = field(default_factory=dict)
    query: Any = None
    body: Any = None

    @property
    def workspace(self) -> Workspace:
        return self.key.workspace


@dataclass(frozen=True, slots=True)
class Made:
    """An answer whose status is not the route's usual one."""

    value: Any
    status: int = 201


@dataclass(frozen=True)
class Route:
    """``path`` behind `BASE`, its numbers in braces. ``act`` gives an instance of ``gives`` (None: an empty answer).

    ``also``: other statuses of success. ``says``: one sentence for whoever reads the list of routes. ``reads``: it
    changes nothing, though it is a POST.
    """

    method: str
    path: str
    scope: Scope
    act: Callable[[Call], Any]
    says: str | Promise
    gives: Any = None
    query: type[Struct] | None = None
    body: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    reads: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\\{(\w+)\\\}", rf"(?P<\1>{_NUMBER.pattern})", re.escape(self.path)))

    @property
    def tag(self) -> str:
        return self.path.split("/")[1]

    @property
    def name(self) -> str:
        """One word for each route: generated clients call their functions so."""
        return self.act.__name__.strip("_")

    @property
    def repeats(self) -> bool:
        """Does it take an Idempotency-Key?"""
        return self.method == "POST" and not self.reads


def serve(
    routes: Sequence[Route], method: str, path: str, query: str, body: bytes, key: ApiKey | None, once: str | None
) -> Answer:
    """``path``: what follows `BASE`. ``once``: the Idempotency-Key, as it came."""
    try:
        with override("en"):
            return _served(routes, method, path, query, body, key, once)
    except Wrong as wrong:
        return wrong.answer()
    except disk.Full as full:
        return Wrong("unavailable", str(full), Retry_After="60").answer()
    except TooSlow:
        return Wrong("unavailable", "This takes longer than 30 seconds: ask for less.").answer()


def _served(
    routes: Sequence[Route], method: str, path: str, query: str, body: bytes, key: ApiKey | None, once: str | None
) -> Answer:
    if key is None:
        challenge = 'Basic realm="Envol", charset="UTF-8"'
        said = "Give an API key and its secret by HTTP Basic: what came does not open anything."
        raise Wrong("unauthorized", said, WWW_Authenticate=challenge)
    if said := api_keys.closed(key):
        raise Wrong("forbidden", said)
    route, at = _route(routes, "GET" if method == "HEAD" else method, path)
    if said := api_keys.lacks(key, route.scope):
        raise Wrong("forbidden", said)
    call = Call(key, at, _query(route, query), _body(route, body))
    if method in ("GET", "HEAD") or route.reads:
        return _done(route, call)
    with transaction.atomic():
        if once is None or not route.repeats:
            return _done(route, call)
        known = answers.begin(key, once, f"{method} {path}?{query}".encode() + b"\n" + body)
        if isinstance(known, answers.Kept):
            return Answer(known.status, known.octets, headers={"Idempotency-Replayed": "true"})
        if isinstance(known, str):
            raise Wrong(known, answers.SENTENCES[known])
        made = _done(route, call)
        answers.keep(known, made.status, made.octets)
        return made


def _route(routes: Sequence[Route], method: str, path: str) -> tuple[Route, dict[str, int]]:
    found = [(one, match) for one in routes if (match := one.pattern.fullmatch(path))]
    for one, match in found:
        if one.method == method:
            return one, {name: int(number) for name, number in match.groupdict().items()}
    if found:
        allowed = ", ".join(sorted({one.method for one, _ in found}))
        raise Wrong("method-not-allowed", f"This address takes {allowed}.", Allow=allowed)
    raise Wrong("not-found", f"There is no {path[:200]!r} here: see {BASE.rpartition('/')[0]}/openapi.json.")


def _query(route: Route, raw: str) -> Any:
    given: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        if "\0" in value or given.setdefault(name, value) != value:
            raise Wrong("invalid", f"The parameter {name[:60]} is given twice, or holds what no text holds.")
    return _converted(given, route.query or Input, "the query", strict=False)


_ZERO = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")  # behind an even number of backslashes: those are text themselves


def _body(route: Route, raw: bytes) -> Any:
    if route.body is None:
        return None
    if b"\0" in raw or _ZERO.search(raw):
        raise Wrong("unreadable", "No text of a request can hold the character U+0000.")
    try:
        given = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Wrong("unreadable", f"Send one JSON value in UTF-8: {error}") from None
    return _converted(given, route.body, "the body")


_PLACE = re.compile(r"(?P<said>.*?)(?: - at `(?P<place>[^`]*)`)?", re.DOTALL)


def _converted(given: Any, kind: Any, where: str, *, strict: bool = True) -> Any:
    try:
        return msgspec.convert(given, kind, strict=strict)
    except (msgspec.ValidationError, RecursionError) as error:
        match = _PLACE.fullmatch(str(error))
        said, place = (match["said"], match["place"]) if match else (str(error), None)
        raise Wrong("invalid", f"In {where}: {error}.", [Fault(place or "$", f"{said}.")]) from None


def _done(route: Route, call: Call) -> Answer:
    made = route.act(call)
    status = route.status
    if isinstance(made, Made):
        made, status = made.value, made.status
    return Answer(status if made is not None else 204, b"" if made is None else msgspec.json.encode(made))


# ---- pages

STRANGE_CURSOR = "This cursor is none of ours: give the `next` of the page before, as it is."


def after(call: Call) -> int:
    """The number that the cursor stands behind."""
    given = call.query.cursor
    if not given:
        return 0
    try:
        found = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode("ascii")
    except ValueError:
        found = ""
    if not found.startswith("after ") or not _NUMBER.fullmatch(found[6:]):
        raise Wrong("invalid", STRANGE_CURSOR)
    return int(found[6:])


def cursor(number: int) -> str:
    return base64.urlsafe_b64encode(f"after {number}".encode()).decode().rstrip("=")


def page(call: Call, rows: Any, tell: Callable[[Any], T], by: str = "pk") -> Page[T]:
    """A page of a queryset, in order of ``by``."""
    limit = call.query.limit
    found = list(rows.filter(**{f"{by}__gt": after(call)}).order_by(by)[: limit + 1])
    more = cursor(getattr(found[limit - 1], by)) if len(found) > limit else None
    return Page([tell(one) for one in found[:limit]], more)
