"""The send API's door: reads a call, lets a batch of them be committed, gives each its answer."""

from __future__ import annotations

import asyncio
import json

import structlog

from envol.api import send_v31
from envol.api.accepting import Answer, Request, serve
from envol.edge.gather import Busy, Gatherer
from envol.edge.http_guard import Receive, Scope, Send, whole_body
from envol.edge.http_hits import answer

log = structlog.get_logger()

_JSON = (b"content-type", b"application/json; charset=UTF-8")
_SECONDS = 60.0  # in which a body must have come


_OLDER = frozenset({"v3/send", "v3/send/message"})
_PATHS = _OLDER | {"v3.1/send"}


def is_send(path: str) -> bool:
    """Clients write it in any case, and some with a doubled slash."""
    return path.strip("/").lower() in _PATHS


class SendRoute:
    """Answers ``POST /v3.1/send``, and the older ``/v3/send``."""

    def __init__(self) -> None:
        # Few calls in a batch: one may hold fifty messages, and megabytes.
        self._gatherer: Gatherer[Request, Answer] = Gatherer(serve, max_batch=32, max_waiting=500, name="send")

    async def close(self) -> None:
        await self._gatherer.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await self._say(scope, send, 405, "This address takes POST.", [(b"allow", b"POST")])
            return
        headers = dict(scope["headers"])
        try:
            body = await asyncio.wait_for(whole_body(receive, send_v31.MOST_BODY), _SECONDS)
        except TimeoutError:
            await self._say(scope, send, 408, "The body did not come in time.")
            return
        if body is None:
            await self._say(scope, send, 413, f"A call is at most {send_v31.MOST_BODY >> 20} MB.", code="mj-0011")
            return
        try:
            authorization = headers.get(b"authorization", b"").decode("latin-1")
            older = scope["path"].strip("/").lower() in _OLDER
            found = await self._gatherer.put(Request(authorization, body, older))
        except Busy as busy:
            await self._say(scope, send, 429, str(busy), [(b"retry-after", b"2")])
        except Exception as error:  # whatever it is: not kept, so not promised
            log.warning("calls of the send API could not be kept", error=str(error).strip() or type(error).__name__)
            await self._say(scope, send, 500, "Something went wrong here and nothing was sent; try again later.")
        else:
            await answer(scope, send, found.status, [_JSON], found.body)

    async def _say(
        self,
        scope: Scope,
        send: Send,
        status: int,
        sentence: str,
        more: list[tuple[bytes, bytes]] | None = None,
        code: str = "",
    ) -> None:
        body = send_v31.refused(status, sentence, code).body
        await answer(scope, send, status, [_JSON, *(more or [])], json.dumps(body).encode())
