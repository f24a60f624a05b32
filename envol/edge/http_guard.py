"""What a request must look like before anything reads it: one framing, and no more than fits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY = 10 << 20
MAX_HEAD = 64 << 10
# Where a body may be larger, streamed to disk and never held in memory: files of contacts, pictures.
UPLOADS = (
    (re.compile(r"/imports"), 4 << 30),
    (re.compile(r"/media\b|/campaigns/\d+/content"), 32 << 20),
    (re.compile(r"/+v3/data/", re.IGNORECASE), 256 << 20),  # files of contacts that programs hand in
    (re.compile(r"/+v3(\.1)?/send", re.IGNORECASE), 25 << 20),  # its own door says no in its own words before that
)

_HEAD_ENDS = re.compile(rb"\n\r?\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_FOLDED = re.compile(rb"\n[ \t]")
_LENGTH = re.compile(rb"\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)


def misframed(head: bytes) -> str:
    """Why two servers could disagree about where this request ends; empty when they cannot.

    RFC 9112 lets a server repair some of these; request smuggling lives on servers that repair differently (§11.2).
    """
    if _BARE_LF.search(head):
        return "A line of the request does not end in CR LF."  # RFC 9112 §2.2
    if _FOLDED.search(head):
        return "A header of the request is folded over two lines."  # RFC 9112 §5.2
    if len(_LENGTH.findall(head)) > 1:
        return "The request says more than once how long it is."  # RFC 9112 §6.1, §6.3
    return ""


class _Connection(h11.Connection):
    """Looks at the head of each request before h11 repairs it."""

    def next_event(self) -> Any:
        if self.their_state is h11.IDLE:
            waiting, _ = self.trailing_data
            end = _HEAD_ENDS.search(waiting)
            if end and (problem := misframed(waiting[: end.start() + 1])):
                raise h11.RemoteProtocolError(problem)
        return super().next_event()


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 over h11 (every byte of the head is checked) without its tolerance."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Connection(h11.SERVER, MAX_HEAD)


class BodyLimit:
    """At most 10 MiB reach a page (413), a body of unknown length is counted first; uploads stream through.

    Also drops header names with an underscore: WSGI cannot tell ``X_Name`` from ``X-Name``.
    """

    def __init__(self, app: App, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value for name, value in scope["headers"] if b"_" not in name}
        scope["headers"] = [pair for pair in scope["headers"] if b"_" not in pair[0]]
        limit = self._limit
        if scope["method"] == "POST":
            limit = next((size for where, size in UPLOADS if where.match(scope["path"])), limit)
        length = headers.get(b"content-length")
        if length is not None:
            if int(length) > limit:
                await too_large(send)
                return
            await self._app(scope, receive, send)
            return
        if b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        body = await whole_body(receive, self._limit)
        if body is None:
            await too_large(send)
            return
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"transfer-encoding"]
        scope["headers"].append((b"content-length", str(len(body)).encode()))
        first = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return first.pop() if first else await receive()

        await self._app(scope, again, send)


async def whole_body(receive: Receive, limit: int) -> bytes | None:
    """A body of at most so many octets; None when it is larger, or its sender went away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def too_large(send: Send) -> None:
    text = b"The request is larger than 10 MiB. Send less at once; files of contacts are imported by the import page."
    await send(
        {
            "type": "http.response.start",
            "status": 413,
            "headers": [
                (b"content-type", b"text/plain; charset=utf-8"),
                (b"content-length", str(len(text)).encode()),
                (b"connection", b"close"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": text})
