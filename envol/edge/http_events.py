"""``/events``: what moves, told to open pages as it moves (WHATWG HTML §9.2, server-sent events).

A page opens one stream with the topics it shows (``?topic=campaign.12&topic=counts``). Each event is the full state
of one topic, so a lost connection costs nothing and ``Last-Event-ID`` has nothing to resume. A topic of a workspace is
asked of the database once, however many listen; a listener gets at most two events a second of each topic, and
only the last state if it reads slowly. Who may listen is looked at again every few seconds: a stream ends
when its member signs out, is removed, or changes the workspace.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import structlog
from django.conf import settings
from django.db import close_old_connections

from envol import db_role
from envol.accounts import jobs
from envol.accounts.sessions import members_behind
from envol.campaigns import progress
from envol.contacts import watching
from envol.edge.http_guard import Receive, Scope, Send

log = structlog.get_logger()

PACE = 0.5  # seconds between two events of a topic, at least
QUIET = 2.0  # seconds between two looks at what does not move
LOOK = 3.0  # seconds between two looks at who may still listen
HEARTBEAT = 15.0  # seconds; proxies close what is silent for 60
STUCK = 30.0  # seconds a peer may take to read what it was sent
MOST_TOPICS = 8
MOST_OF_MEMBER = 12
MOST = 1000

_TOPIC = re.compile(r"(?:counts|(?:campaign|import|job)\.[1-9][0-9]{0,17})\Z")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back until its buffer is full
    (b"x-content-type-options", b"nosniff"),
]
_TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]

State = dict[str, Any] | None
Ask = Callable[[int, str], State]


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who listens: a member, in her workspace."""

    member_id: int
    workspace_id: int


def who(keys: Collection[str]) -> dict[str, Watcher]:
    """Session key → who is behind it. Runs in a thread."""
    db_role.stay_owner()
    close_old_connections()
    return {key: Watcher(m.pk, m.workspace.pk) for key, m in members_behind(keys).items()}


def ask(workspace_id: int, topic: str) -> State:
    """The state of a topic; None when this workspace has no such thing. Runs in a thread."""
    db_role.stay_owner()
    close_old_connections()
    kind, _, number = topic.partition(".")
    match kind:
        case "campaign":
            return progress.figures(workspace_id, int(number))
        case "import":
            return watching.figures(workspace_id, int(number))
        case "job":
            return jobs.figures(workspace_id, int(number))
        case _:
            return progress.bustle(workspace_id)


@dataclass(eq=False, slots=True)
class _Listener:
    """One open stream: what it still has to be told, by topic."""

    key: str
    watcher: Watcher
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    pending: dict[str, bytes] = field(default_factory=dict)
    told_at: dict[str, float] = field(default_factory=dict)
    over: bool = False

    def tell(self, topic: str, event: bytes) -> None:
        self.pending[topic] = event
        self.wake.set()

    def end(self) -> None:
        self.over = True
        self.wake.set()

    def due(self, now: float) -> tuple[bytes, float]:
        """What may be sent now, and after how many seconds there is more."""
        ready, wait = [], HEARTBEAT
        for topic in list(self.pending):
            rest = self.told_at.get(topic, -1e9) + PACE - now
            if rest <= 0:
                ready.append(self.pending.pop(topic))
                self.told_at[topic] = now
            else:
                wait = min(wait, rest)
        return b"".join(ready), wait


class _Channel:
    """One topic of one workspace: looked at by one task as long as somebody listens."""

    def __init__(self, topic: str, state: State, look: Callable[[], Any]) -> None:
        self.topic = topic
        self.listeners: set[_Listener] = set()
        self.holders = 0  # requests that need it, those on their way in included
        self._event = _event(topic, state)
        self._look = look
        self._task = asyncio.create_task(self._run())

    def join(self, listener: _Listener) -> None:
        self.listeners.add(listener)
        listener.tell(self.topic, self._event)

    def close(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        wait = PACE
        while True:
            await asyncio.sleep(wait)
            began = time.monotonic()
            try:
                event = _event(self.topic, await self._look())
            except Exception as error:
                log.warning("a topic could not be looked at", topic=self.topic, error=type(error).__name__)
                wait = 5.0
                continue
            # What is dear to count is counted less often: a tenth of the time at most goes into it.
            dear = 9 * (time.monotonic() - began)
            wait = max(dear, PACE if event != self._event else min(wait * 1.5, QUIET))
            if event != self._event:
                self._event = event
                for listener in self.listeners:
                    listener.tell(self.topic, event)


def _event(topic: str, state: State) -> bytes:
    """The event as it is sent; what was deleted meanwhile is told as null."""
    data = json.dumps({"topic": topic, "state": state}, separators=(",", ":"))  # ASCII, without line ends
    return f"data: {data}\n\n".encode("ascii")


class EventRoutes:
    """Answers ``GET /events``; :meth:`close` ends all streams, whose pages come back a moment later."""

    def __init__(
        self,
        executor: Executor,
        *,
        who: Callable[[Collection[str]], Mapping[str, Watcher]] = who,
        ask: Ask = ask,
    ) -> None:
        self._executor = executor
        self._who = who
        self._ask = ask
        self._listeners: set[_Listener] = set()
        self._channels: dict[tuple[int, str], _Channel] = {}
        self._door: asyncio.Task[None] | None = None
        self._closing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "GET":
            await _say(send, 405, b"This address can only be listened to.", (b"allow", b"GET"))
            return
        if self._closing or len(self._listeners) >= MOST:
            await _say(send, 503, b"Too many pages listen; this one asks by itself now and then.")
            return
        key = _session_key(scope)
        channels: list[_Channel] = []
        try:
            refusal = await self._enter(key, _topics(scope), channels)
            if isinstance(refusal, _Listener):
                await self._listen(refusal, channels, receive, send)
            else:
                await _say(send, *refusal)
        finally:
            for channel in channels:
                channel.holders -= 1
            self._sweep()

    async def _enter(self, key: str, topics: list[str], channels: list[_Channel]) -> _Listener | tuple[int, bytes]:
        """The listener, and in ``channels`` what she listens to; or why she may not. Foreign things do not exist."""
        try:
            watcher = (await self._thread(self._who, [key])).get(key) if key else None
            if watcher is None:
                return 401, b"Sign in to listen."
            for topic in topics:
                channel = await self._channel(watcher.workspace_id, topic)
                if channel is None:
                    return 404, b"There is nothing like this to listen to."
                channels.append(channel)
        except Exception as error:
            log.warning("nobody can be let in to listen", error=type(error).__name__)
            return 503, b"The database does not answer; try again in a moment."
        if not channels:
            return 404, b"There is nothing like this to listen to."
        if Counter(one.watcher.member_id for one in self._listeners)[watcher.member_id] >= MOST_OF_MEMBER:
            return 429, b"Too many of your pages listen; this one asks by itself now and then."
        return _Listener(key, watcher)

    async def _listen(self, listener: _Listener, channels: list[_Channel], receive: Receive, send: Send) -> None:
        self._listeners.add(listener)
        try:
            for channel in channels:
                channel.join(listener)
            await self._stream(listener, receive, send)
        finally:
            self._listeners.discard(listener)
            for channel in channels:
                channel.listeners.discard(listener)

    async def close(self) -> None:
        """End every stream; returns when all are ended, or after a few seconds."""
        self._closing = True
        for listener in self._listeners:
            listener.end()
        until = time.monotonic() + 5
        while self._listeners and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        if self._door is not None:
            self._door.cancel()

    async def _thread(self, work: Callable[..., Any], *facts: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *facts)

    async def _channel(self, workspace_id: int, topic: str) -> _Channel | None:
        """The topic's channel; None when the workspace has no such thing, or it is another's."""
        known = self._channels.get((workspace_id, topic))
        if known is not None:
            known.holders += 1
            return known
        state = await self._thread(self._ask, workspace_id, topic)
        if state is None:
            return None
        known = self._channels.get((workspace_id, topic))  # another listener may have been faster
        if known is None:
            known = _Channel(topic, state, lambda: self._thread(self._ask, workspace_id, topic))
            self._channels[workspace_id, topic] = known
        known.holders += 1
        return known

    def _sweep(self) -> None:
        """Nobody listens: nobody asks."""
        for place, channel in list(self._channels.items()):
            if not channel.holders:
                channel.close()
                del self._channels[place]

    async def _stream(self, listener: _Listener, receive: Receive, send: Send) -> None:
        if self._door is None or self._door.done():
            self._door = asyncio.create_task(self._watch_the_door())
        gone = asyncio.create_task(_disconnected(receive))
        gone.add_done_callback(lambda _: listener.end())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            # After a lost connection come back, but not all pages in the same instant.
            await _give(send, b"retry: %d\n\n" % (1000 + hash(listener) % 2000))
            while True:
                listener.wake.clear()
                if listener.over:
                    break
                text, wait = listener.due(time.monotonic())
                if text:
                    await _give(send, text)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(listener.wake.wait(), wait)
                    continue
                if wait >= HEARTBEAT:
                    await _give(send, b":\n\n")
            if not gone.done():
                await _give(send, b"", more=False)
        except (TimeoutError, OSError):
            pass  # the peer is gone, or does not read
        finally:
            gone.cancel()

    async def _watch_the_door(self) -> None:
        """End the streams of those who may not listen any more."""
        while self._listeners:
            await asyncio.sleep(LOOK)
            keys = {listener.key for listener in self._listeners}
            try:
                allowed = await self._thread(self._who, keys)
            except Exception as error:
                log.warning("who listens could not be looked up", error=type(error).__name__)
                continue
            for listener in list(self._listeners):
                if listener.key in keys and allowed.get(listener.key) != listener.watcher:
                    listener.end()


def _session_key(scope: Scope) -> str:
    cookies: SimpleCookie = SimpleCookie()
    for name, value in scope["headers"]:
        if name == b"cookie":
            with contextlib.suppress(CookieError):
                cookies.load(value.decode("latin-1"))
    found = cookies.get(settings.SESSION_COOKIE_NAME)
    return found.value if found is not None and re.fullmatch(r"[a-z0-9]{8,40}", found.value) else ""


def _topics(scope: Scope) -> list[str]:
    """The topics asked for, each once; none when one of them cannot exist or they are too many."""
    query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=64)
    wanted = list(dict.fromkeys(query.get("topic", [])))
    good = len(wanted) <= MOST_TOPICS and all(_TOPIC.match(topic) for topic in wanted)
    return wanted if good else []


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _give(send: Send, text: bytes, *, more: bool = True) -> None:
    await asyncio.wait_for(send({"type": "http.response.body", "body": text, "more_body": more}), STUCK)


async def _say(send: Send, status: int, text: bytes, *more: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(text)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*_TEXT, length, *more]})
    await send({"type": "http.response.body", "body": text})
