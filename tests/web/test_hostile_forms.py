"""Every form and every filter of the pages, filled in by somebody who means no good: an answer, never a failure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from envol.web.doors import routes
from tests.web.shop import Shop, open_shop
from tests.web.test_doors import POST_ONLY, address, ours

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("nothing_in_dns")]

HOSTILE = {
    "nul": "a\0b",
    "line ends": "a\r\nBcc: x@y.example\x0b\u2028\x85",
    "digits": "9" * 400,
    "negative": "-1",
    "long": "ab " * 60_000,
    "braces": "{{ contact.clear() }}{% for a in b %}",
    "letters that turn": "\u202e\u0000\ufeff\ud7ff",
    "empty": "",
    "not a number": "NaN",
    "formula": "=1+1|'cmd'!A0",
    "array": "[" * 2000,
}
ALONE = ("nul", "digits", "not a number")
"""Tried in each field by itself, where the others hold what they should; the rest in all fields at once."""
ENDS_THE_TEST = re.compile(r"/logout|/password|/revoke|/account|/2fa|/reauthenticate|/language|/delete")


class Forms(HTMLParser):
    """The forms of a page: (method, action, {field: value})."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("method", "get").lower(), given.get("action", ""), {}))
        elif tag in ("input", "select", "textarea", "button") and given.get("name") and self.forms:
            self.forms[-1][2].setdefault(given["name"], given.get("value", ""))


def page(client: Client, where: str) -> Forms:
    found = Forms()
    answer = client.get(where)
    if answer.status_code == 200 and not answer.streaming and "html" in answer["Content-Type"]:
        found.feed(answer.content.decode())
    return found


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return open_shop(title="Librairie assiégée", readers=30, folder=tmp_path_factory.mktemp("own"))


def signed_in(shop: Shop) -> Client:
    client = Client(HTTP_HOST="localhost")
    client.force_login(shop.members["owner"].user)
    return client


def complaints(client: Client, how: str, where: str, given: dict[str, str], kind: str, field: str) -> list[str]:
    client.raise_request_exception = False
    answer = getattr(client, how)(where, given)
    if answer.status_code < 500:
        return []
    error = getattr(answer, "exc_info", None)
    return [f"{how} {where} {field}={kind}: {error[1]!r}"[:300] if error else f"{how} {where} {field}={kind}"]


def test_an_address_with_a_number_nobody_has_is_not_found(own: Shop) -> None:
    client = signed_in(own)
    bad: list[str] = []
    for route, name, _ in ours():
        if "<int:" in route:
            where = "/" + re.sub(r"<int:\w+>", "9" * 30, route)
            bad += complaints(client, "post" if name in POST_ONLY else "get", where, {}, "digits", "path")
    assert not bad, "\n".join(bad)


@contextmanager
def names_read() -> Iterator[set[str]]:
    """Every name that a page asks its query for, whether a link or a form of ours would ever carry it or not."""
    names: set[str] = set()
    kept = {how: getattr(QueryDict, how) for how in ("get", "getlist", "__getitem__", "__contains__")}

    def listening(how: str) -> Any:
        def ask(self: QueryDict, name: Any, *rest: Any, **more: Any) -> Any:
            names.add(name)
            return kept[how](self, name, *rest, **more)

        return ask

    for how in kept:
        setattr(QueryDict, how, listening(how))
    try:
        yield names
    finally:
        for how in kept:
            delattr(QueryDict, how)  # they stand in its parent, where nobody touched them


def test_no_filter_breaks_a_page(own: Shop) -> None:
    client = signed_in(own)
    bad: list[str] = []
    tried = 0
    for route, name, _ in ours():
        if name in POST_ONLY:
            continue
        where = address(route, own)
        with names_read() as fields:
            client.get(where)
            # Some names are read only once another says something.
            client.get(where, dict.fromkeys(fields, "1"))
        for field in sorted(fields):
            for kind in ALONE:
                bad += complaints(client, "get", where, {field: HOSTILE[kind]}, kind, field)
                tried += 1
        if fields:
            for kind, value in HOSTILE.items():
                bad += complaints(client, "get", where, dict.fromkeys(fields, value[:4000]), kind, "all")
    assert not bad, "\n".join(bad)
    assert tried > 200


PARTS = 6


@pytest.fixture(scope="module")
def forms(own: Shop) -> list[tuple[str, dict[str, str]]]:
    """Every form that pages send by POST, once: (where, fields)."""
    client = signed_in(own)
    found: dict[tuple[str, tuple[str, ...]], tuple[str, dict[str, str]]] = {}
    opened = f"/contacts/{own.people[0].pk}?grant={own.workspace.purposes.get(key='offers').pk}"
    for where in [opened, *(address(route, own) for route, name, _ in ours() if name not in POST_ONLY)]:
        for method, action, fields in page(client, where).forms:
            target = (action or where).partition("?")[0]
            key = (re.sub(r"\d+", "0", target), tuple(sorted(fields)))
            if method == "post" and not ENDS_THE_TEST.search(target):
                fields.pop("csrfmiddlewaretoken", None)
                fields.pop("once", None)  # tried by itself below: with the others as they stand the form would be done
                found.setdefault(key, (target, fields))
    assert len(found) > 12, found
    return list(found.values())


@pytest.mark.parametrize("part", range(PARTS))  # minutes in one piece
def test_no_form_breaks_a_page(own: Shop, forms: list[tuple[str, dict[str, str]]], part: int) -> None:
    client = signed_in(own)
    bad: list[str] = []
    for target, fields in forms[part::PARTS]:
        for field in fields:
            for kind in ALONE:
                bad += complaints(client, "post", target, {**fields, field: HOSTILE[kind]}, kind, field)
        for kind, value in HOSTILE.items():
            bad += complaints(client, "post", target, dict.fromkeys(fields, value), kind, "all")
    assert not bad, "\n".join(bad)


def test_a_hostile_token_of_a_form_is_no_token(own: Shop) -> None:
    client = signed_in(own)
    bad: list[str] = []
    for kind, value in HOSTILE.items():
        bad += complaints(client, "post", "/contacts/density", {"density": "tight", "once": value}, kind, "once")
    assert not bad, "\n".join(bad)


TOKENS = [
    "%00",
    "a%00b",
    "%FF%FE",
    "%ED%A0%80",
    "..%2f..%2fetc",
    "%0d%0aX: y",
    "A" * 3000,
    "9" * 30,
    "-1",
    "null",
    "💥",
]


def test_no_open_door_breaks_on_a_token_nobody_made(own: Shop) -> None:
    client = Client(HTTP_HOST="localhost")
    bad: list[str] = []
    tried = 0
    for route, name, who in routes():
        if who.startswith("members") or not re.search(r"<\w*:?\w+>", route):
            continue
        for token in TOKENS:
            where = "/" + re.sub(r"<int:\w+>", "9" * 30, route)
            where = re.sub(r"<\w*:?\w+>", token, where)
            for how in ("get", "post"):
                bad += complaints(client, how, where, {}, token[:12], name)
                tried += 1
    assert not bad, "\n".join(bad)
    assert tried > 50
