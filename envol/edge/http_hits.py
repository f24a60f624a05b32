"""The two hottest routes: ``/c/TOKEN`` leads on, ``/o/TOKEN`` is one transparent pixel.

The answer never tells what is known about the person, and never waits long for the counting: whoever clicks
must arrive, also when the database is away. Nothing of the request is logged.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from urllib.parse import quote

import structlog

from envol.content import links
from envol.content.links import Kind as TokenKind
from envol.edge.gather import Gatherer
from envol.edge.http_guard import Scope, Send
from envol.events.hits import Hit
from envol.events.models import Kind

log = structlog.get_logger()

PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)  # GIF89a, 1 × 1, transparent: 43 bytes
WAIT_SECONDS = 1.0
_REMEMBERED = 1000

_MACHINES = re.compile(
    r"bot\b|bot/|crawl|spider|scan|preview|proofpoint|mimecast|barracuda|safelinks|zscaler|trendmicro|forcepoint|"
    r"fortiguard|symantec|sophos|headless|phantom|selenium|puppeteer|playwright|curl/|wget/|python|java/|go-http|"
    r"libwww|okhttp|axios|node-fetch|ruby|perl|php/|apache-http|facebookexternalhit|whatsapp|telegram|skypeuri",
    re.IGNORECASE,
)


def machine(method: str, agent: str, kind: Kind) -> str:
    """Why this request is no person's: "head", "agent", "prefetch", or "".

    Google and Yahoo fetch pictures when the mail is shown, so their proxies are readers; Apple's fetches
    beforehand, and is known by an agent without any name.
    """
    if method == "HEAD":
        return "head"
    if kind == Kind.OPENED and agent == "Mozilla/5.0":
        return "prefetch"
    if not agent.strip() or _MACHINES.search(agent):
        return "agent"
    return ""


class Targets:
    """Where the links of a sending lead: looked up once per sending, then remembered.

    ``load(sending_id)`` → {link number: address} runs in ``executor``. Versions never change, so what was found stays
    true; what was not found is asked again. ``single(target)`` → where a link of a single message leads.
    """

    def __init__(
        self,
        load: Callable[[int], Mapping[int, str]],
        executor: Executor,
        single: Callable[[links.Target], str | None] = lambda target: None,
    ) -> None:
        self._load = load
        self._single = single
        self._executor = executor
        self._known: OrderedDict[int, Mapping[int, str]] = OrderedDict()
        self._asked: dict[int, asyncio.Future[Mapping[int, str]]] = {}

    async def of(self, target: links.Target) -> str | None:
        """As :meth:`url`, of a campaign's link or a single message's."""
        if target.kind is TokenKind.CLICK:
            found = await self.url(target.sending_id, target.link)
            if found is not None or target.no is None:
                return found
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._single, target)

    async def url(self, sending_id: int, link: int) -> str | None:
        """The address, or None when there is no such link. Raises what ``load`` raises."""
        known = self._known.get(sending_id)
        if known is None:
            known = await self._ask(sending_id)
        else:
            self._known.move_to_end(sending_id)
        return known.get(link)

    async def _ask(self, sending_id: int) -> Mapping[int, str]:
        asked = self._asked.get(sending_id)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[sending_id] = loop.run_in_executor(self._executor, self._load, sending_id)
            asked.add_done_callback(lambda _: self._asked.pop(sending_id, None))
        known = await asyncio.shield(asked)
        if known:
            self._known[sending_id] = known
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known


class HitRoutes:
    """Answers ``/c/`` and ``/o/``; what happened goes to the gatherer."""

    def __init__(self, gatherer: Gatherer[Hit, None], targets: Targets, base_url: str) -> None:
        self._gatherer = gatherer
        self._targets = targets
        self._base_url = base_url
        self._pending: set[asyncio.Task[None]] = set()

    async def drain(self) -> None:
        """Wait for hits whose peers were answered before their commit."""
        if self._pending:
            await asyncio.wait(self._pending)

    async def click(self, scope: Scope, send: Send, token: str) -> None:
        target = links.read(token, TokenKind.CLICK, TokenKind.LETTER)
        if target is None:
            await unknown(scope, send)
            return
        try:
            url = await self._targets.of(target)
        except Exception as error:
            log.warning("a link could not be looked up", error=type(error).__name__)
            await unavailable(scope, send)
            return
        if url is None or not url.lower().startswith(("http://", "https://")):
            await unknown(scope, send)
            return
        no = None if target.kind is TokenKind.LETTER else target.no  # a message's number is nobody's
        await self._count(scope, Kind.CLICKED, target.sending_id, no, target.link)
        url = links.to_form(url, self._base_url, target.sending_id, no)
        await answer(
            scope,
            send,
            302,
            [(b"location", _ascii(url)), (b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer")],
        )

    async def open(self, scope: Scope, send: Send, token: str) -> None:
        target = links.read(token, TokenKind.OPEN)
        if target is not None:
            await self._count(scope, Kind.OPENED, target.sending_id, target.no, 0)
        await answer(
            scope, send, 200, [(b"content-type", b"image/gif"), (b"cache-control", b"no-store, private")], PIXEL
        )

    async def _count(self, scope: Scope, kind: Kind, sending: int, no: int | None, link: int) -> None:
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"").decode("latin-1")
        hit = Hit(kind, sending, no, link, datetime.now(UTC), machine(scope["method"], agent, kind))
        task = asyncio.create_task(self._put(hit))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        await asyncio.wait([task], timeout=WAIT_SECONDS)

    async def _put(self, hit: Hit) -> None:
        try:
            await self._gatherer.put(hit)
        except Exception as error:
            log.warning("a hit was not counted", kind=hit.kind.label, error=type(error).__name__)


def _ascii(url: str) -> bytes:
    """An address as RFC 3986 allows it in a header; authors write é and line ends never come through."""
    return quote(url, safe="!#$%&'()*+,/:;=?@[]~-._").encode("ascii")


async def answer(scope: Scope, send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<body style="font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:4rem auto;padding:0 1rem">
<h1 style="font-size:1.4rem">{title}</h1>
<p lang="fr">{fr}</p><p>{en}</p></body></html>"""
_PAGE_HEADERS = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
]
_UNKNOWN = _PAGE.format(
    title="404",
    fr="Ce lien n’est pas, ou plus, l’un des nôtres. Il a peut-être été coupé en deux : rouvrez le message et suivez "
    "le lien depuis celui-ci, ou copiez-le en entier.",
    en="This link is not, or no longer, one of ours. It may have been cut in two: open the message again and follow "
    "the link from there, or copy all of it.",
).encode()
_UNAVAILABLE = _PAGE.format(
    title="503",
    fr="Nous ne pouvons pas suivre ce lien pour l’instant. Réessayez dans une minute.",
    en="We cannot follow this link right now. Try again in a minute.",
).encode()


async def unknown(scope: Scope, send: Send) -> None:
    await answer(scope, send, 404, _PAGE_HEADERS, _UNKNOWN)


async def unavailable(scope: Scope, send: Send) -> None:
    await answer(scope, send, 503, [*_PAGE_HEADERS, (b"retry-after", b"60")], _UNAVAILABLE)
