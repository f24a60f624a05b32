"""A labelled simulation of readers: they get their mail from /inbox.json and act over HTTP alone.

Every reader is drawn from a seed and her address, writes what she did into a journal, and knows
nothing of the database. The check compares that journal with the report, people by people.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0"
_LINK = re.compile(r'href="([^"]*/c/[^"]+)"')
_PIXEL = re.compile(r'<img[^>]+src="([^"]*/o/[^"]+)"')
_UNSUBSCRIBE = re.compile(r"<(https?://[^>]+)>")


@dataclass(slots=True)
class Journal:
    """What the readers did. Addresses as they stood in To; links by their place in the message."""

    received: set[str] = field(default_factory=set)
    opened: set[str] = field(default_factory=set)
    clicked: set[tuple[str, str]] = field(default_factory=set)  # (address, address of the target)
    clicks: int = 0  # requests for a link by people, repeats included
    scanned: set[str] = field(default_factory=set)  # a machine followed all links of these
    unsubscribed: set[str] = field(default_factory=set)
    requests: int = 0


class Browser:
    """One kept-alive connection to Envol."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host, self._port = parts.hostname or "localhost", parts.port or 80
        self._connection: http.client.HTTPConnection | None = None

    def request(
        self, method: str, url: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        for attempt in (1, 2):
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
                self._connection.request(method, path, body, {"User-Agent": AGENT, **headers})
                answer = self._connection.getresponse()
                return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
            except (OSError, http.client.HTTPException):
                self._connection = None
                if attempt == 2 or method == "POST":
                    raise
        raise AssertionError


def mailbox(base: str, key: str, secret: str, until: str = "9") -> Iterator[dict[str, object]]:
    """Every captured message, oldest first; ``until`` (ISO time): those received before."""
    browser = Browser(base)
    token = base64.b64encode(f"{key}:{secret}".encode()).decode()
    path: str | None = f"{base}/inbox.json?after=0&limit=500"
    while path:
        status, headers, body = browser.request("GET", path, Authorization=f"Basic {token}")
        if status != 200:
            raise RuntimeError(f"/inbox.json answered {status}: {body[:200]!r}")
        yield from (m for m in json.loads(body) if m["received_at"] < until)
        following = re.match(r'<([^>]*)>; rel="next"', headers.get("link", ""))
        path = base + following[1] if following else None


def simulate(
    base: str,
    messages: Iterator[dict[str, object]],
    *,
    seed: int,
    threads: int = 6,
    progress: Callable[[int], None] = lambda done: None,
) -> Journal:
    """Let every recipient act on her message; returns what they did."""
    journal = Journal()
    lock = threading.Lock()
    work: queue.Queue[dict[str, object] | None] = queue.Queue(maxsize=200)
    failures: list[Exception] = []
    done = 0

    def reader() -> None:
        nonlocal done
        browser = Browser(base)
        while (message := work.get()) is not None:
            if failures:
                continue
            try:
                _act(browser, message, seed, journal, lock)
            except Exception as error:
                failures.append(error)
            with lock:
                done += 1
                if done % 50 == 0:
                    progress(done)

    crowd = [threading.Thread(target=reader) for _ in range(threads)]
    for thread in crowd:
        thread.start()
    try:
        for message in messages:
            work.put(message)
    finally:
        for _ in crowd:
            work.put(None)
        for thread in crowd:
            thread.join()
    progress(done)
    if failures:
        raise failures[0]
    return journal


def _act(browser: Browser, message: dict[str, object], seed: int, journal: Journal, lock: threading.Lock) -> None:
    address = str(message["envelope_to"][0])  # type: ignore[index]
    html = str(message["html"] or "")
    headers = {str(k).lower(): str(v) for k, v in message["headers"]}  # type: ignore[attr-defined]
    draw = random.Random(f"{seed} {address}")  # noqa: S311 - reproducible behaviour
    pixel = _PIXEL.search(html)
    links = list(dict.fromkeys(_LINK.findall(html)))
    mood = draw.random()
    with lock:
        journal.received.add(address)
    if mood < 0.02:  # a gateway that looks at every link before its person can
        for link in links:
            _get(browser, "HEAD", link)
        with lock:
            journal.scanned.add(address)
            journal.requests += len(links)
        return
    if mood > 0.55:
        return
    if pixel:
        _get(browser, "GET", pixel.group(1))
        with lock:
            journal.opened.add(address)
            journal.requests += 1
    if links and mood < 0.22:
        for link in draw.sample(links, min(len(links), 1 + (draw.random() < 0.25))):
            target = _get(browser, "GET", link)
            with lock:
                journal.clicked.add((address, target))
                journal.clicks += 1
                journal.requests += 1
    if mood > 0.54 and (found := _UNSUBSCRIBE.search(headers.get("list-unsubscribe", ""))):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, _, _ = browser.request("POST", found.group(1), b"List-Unsubscribe=One-Click", **form)
        if status != 200:
            raise RuntimeError(f"one-click unsubscribe answered {status}")
        with lock:
            journal.unsubscribed.add(address)
            journal.requests += 1


def _get(browser: Browser, method: str, url: str) -> str:
    status, headers, _ = browser.request(method, url)
    if status not in (200, 302, 303, 307):
        raise RuntimeError(f"{method} {urlsplit(url).path[:4]}… answered {status}")
    return headers.get("location", "")


def wait_for_people(seconds: float = 3.0) -> None:
    """Nobody reads within the two seconds after delivery: those would be taken for machines."""
    time.sleep(seconds)
