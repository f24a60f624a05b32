"""Telling: what is due goes out, endpoint by endpoint, each by one runner at a time.

Nothing of a request happens inside a transaction. Of one person an endpoint hears one thing after the other; different
people side by side. An endpoint that takes nothing rests longer each time, so a program that is down costs one request
a while, and the others do not wait for it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog
from django.utils import translation
from django.utils.translation import gettext as _

from envol.api.hooks import endpoints, parse, payloads
from envol.consent import transfers
from envol.events import outbox
from envol.events.models import Endpoint
from envol.events.outbox import Became, Row
from envol.net import NotFetched, Poster, Said
from envol.outbound import telling

log = structlog.get_logger()
AT_ONCE, GROUP, BESIDE = 48, 100, 8
BUDGET = 60.0
"""Seconds of one turn: well within the lease, whatever an endpoint does."""
GONE = 410


class _Item(NamedTuple):
    rows: tuple[Row, ...]
    body: bytes
    message_id: str


def run_due(stop: threading.Event | None = None, poster: Poster | None = None) -> int:
    """Tell everything that is due now; how many things were taken."""
    taken = 0
    while not (stop and stop.is_set()) and (endpoint := outbox.lease()) is not None:
        with translation.override("en"):
            taken += serve(endpoint, poster or endpoints.poster())
    return taken


def serve(endpoint: Endpoint, poster: Poster) -> int:
    """One turn for an endpoint that is leased; how many things it took."""
    verdict = transfers.may_lead_to(endpoint.workspace, "webhook", urlsplit(endpoint.url).hostname or "")
    if verdict.colour == transfers.RED:
        outbox.rest(endpoint, 3600, verdict.why)
        return 0
    rows = outbox.take(endpoint, GROUP if endpoint.grouped else AT_ONCE)
    said = parse.compose(rows) if endpoint.form == "parse" else payloads.compose(endpoint, rows)
    became = [Became(row.id, outbox.DROPPED, tried=False) for row, one in zip(rows, said, strict=True) if one is None]
    items = _items(endpoint, [(row, one) for row, one in zip(rows, said, strict=True) if one is not None])
    if not items:
        outbox.settle(became)
        outbox.rest(endpoint, 5 if not rows else 0)
        return 0
    (secrets, _), login = endpoints.signing(endpoint), endpoints.login(endpoint)
    end = time.monotonic() + BUDGET

    def tell(items: Sequence[_Item]) -> list[tuple[_Item, Said | None, str, int]]:
        answers = []
        for item in items:
            began = time.monotonic()
            if began > end:
                break
            said, why = None, ""
            try:
                head = payloads.headers(endpoint, secrets, login, item.message_id, item.body)
                said = poster.post(endpoint.url, item.body, head)
            except NotFetched as error:
                why = str(error)
            answers.append((item, said, why, int((time.monotonic() - began) * 1000)))
            if said is None or not 200 <= said.status < 300:
                break  # what comes after it, of the same person, waits for it
        return answers

    with ThreadPoolExecutor(min(BESIDE, len(items))) as threads:
        answers = [one for some in threads.map(tell, _by_person(items)) for one in some]
    for item, answer, why, ms in answers:
        became += [_became(row, answer, why, ms) for row in item.rows]
    outbox.settle(became)
    good = sum(one.state == outbox.TOLD for one in became)
    if good:
        outbox.succeeded(endpoint)
        return good
    last = next(((answer, why) for _item, answer, why, _ms in answers), None)
    if last is not None:
        answer, why = last
        gone = answer is not None and answer.status == GONE
        if outbox.failed(endpoint, why or (_words(answer) if answer else ""), gone=gone):
            _tell_owners(endpoint)
    return 0


def _items(endpoint: Endpoint, rows: Sequence[tuple[Row, dict[str, Any]]]) -> list[_Item]:
    if endpoint.grouped and rows:
        body = json.dumps([said for _, said in rows], ensure_ascii=False).encode()
        return [_Item(tuple(row for row, _ in rows), body, f"evt_{rows[0][0].id}")]
    return [_Item((row,), json.dumps(said, ensure_ascii=False).encode(), f"evt_{row.id}") for row, said in rows]


def _by_person(items: Iterable[_Item]) -> list[list[_Item]]:
    of: dict[int, list[_Item]] = {}
    for item in items:
        first = item.rows[0]
        of.setdefault(first.person or -first.id, []).append(item)
    return list(of.values())


def _became(row: Row, answer: Said | None, why: str, ms: int) -> Became:
    if answer is not None and 200 <= answer.status < 300:
        return Became(row.id, outbox.TOLD, answer.status, ms)
    status, said = (answer.status, answer.text) if answer else (None, why)
    delay = outbox.delay(row.attempts + 1)
    if outbox.too_old(row, delay):
        return Became(row.id, outbox.GIVEN_UP, status, ms, said)
    return Became(row.id, outbox.WAITING, status, ms, said, delay)


def _words(answer: Said) -> str:
    return f"HTTP {answer.status} {answer.text}".strip()


def test(endpoint: Endpoint, poster: Poster | None = None) -> tuple[Said | None, str, int]:
    """Post a sample now, without the outbox: the answer, or why there was none, and the milliseconds it took."""
    said = parse.sample(endpoint) if endpoint.form == "parse" else payloads.sample(endpoint)
    body = json.dumps([said] if endpoint.grouped else said, ensure_ascii=False).encode()
    head = payloads.headers(endpoint, endpoints.signing(endpoint)[0], endpoints.login(endpoint), "evt_test", body)
    began = time.monotonic()
    try:
        answer, why = (poster or endpoints.poster()).post(endpoint.url, body, head), ""
    except NotFetched as error:
        answer, why = None, str(error)
    return answer, why, int((time.monotonic() - began) * 1000)


def _tell_owners(endpoint: Endpoint) -> None:
    host = urlsplit(endpoint.url).hostname or ""

    def words() -> tuple[str, str]:
        subject = _("%(host)s is told nothing any more") % {"host": host}
        text = _(
            "The program at %(host)s has taken nothing for a day, or said that it is gone. What happened is kept for a"
            " week: mend the program, then wake its address in the settings, under Webhooks, and have it told again."
        ) % {"host": host}
        return subject, text

    telling.tell_owners(endpoint.workspace, "webhook_dead", words)
    log.warning("webhook is dead", endpoint=endpoint.pk, workspace=endpoint.workspace_id)
