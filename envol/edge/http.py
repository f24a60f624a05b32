"""The http process: hot routes of mail readers here, everything else by Django in a few threads.

uvloop and uvicorn in front; ``/c/`` and ``/o/`` go to :mod:`envol.edge.http_hits`, ``/events`` to
:mod:`envol.edge.http_events`, ``/static/`` and ``/m/`` (pictures of messages) to files, the rest through a2wsgi to
Django's WSGI handler. No access log: paths hold tokens, and peers have addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import mimetypes
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hmac import compare_digest
from pathlib import Path
from typing import Protocol

import structlog
import uvicorn
from a2wsgi import WSGIMiddleware
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope as StarletteScope

from envol import db_role
from envol.api import calls
from envol.content import media
from envol.content.links import Target
from envol.content.models import Version
from envol.db import value
from envol.edge.gather import Gatherer
from envol.edge.http_events import EventRoutes
from envol.edge.http_guard import MAX_HEAD, App, BodyLimit, GuardedProtocol, Receive, Scope, Send
from envol.edge.http_hits import HitRoutes, Targets, answer
from envol.edge.http_send import SendRoute, is_send
from envol.events.hits import Hit, record_hits
from envol.outbound import metrics, own_policy, rolls, single
from envol.outbound.models import Sending
from envol.outbound.records import RETURN_LABEL

log = structlog.get_logger()
STATIC = Path(__file__).resolve().parent.parent / "web" / "static"
_HASHED = re.compile(r"[-.](?=[A-Za-z_-]*[0-9A-Z])[A-Za-z0-9_-]{8,}\.[a-z0-9]+$")
_TEXT = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]


def count(hits: list[Hit]) -> None:
    """One batch of the gatherer; its thread keeps one connection, and finds a new one after a failure."""
    db_role.stay_owner()
    close_old_connections()
    record_hits(hits)


def links_of(sending_id: int) -> Mapping[int, str]:
    """Link number → address of a sending's version; empty when there is none."""
    db_role.stay_owner()
    close_old_connections()
    version = Sending.objects.filter(id=sending_id).values_list("version_id", flat=True).first()
    found = Version.objects.filter(id=version).values_list("links", flat=True).first() if version else None
    return {int(link["no"]): str(link["url"]) for link in found or ()}


def link_of_single(target: Target) -> str | None:
    """Where a link of a single message leads."""
    db_role.stay_owner()
    close_old_connections()
    return single.leads_to(target)


class Settings(Protocol):
    """What this process reads of the installation's settings."""

    @property
    def http_host(self) -> str: ...
    @property
    def http_port(self) -> int: ...
    @property
    def pool_http(self) -> int: ...
    @property
    def tls_cert(self) -> str: ...
    @property
    def tls_key(self) -> str: ...


class Assets(StaticFiles):
    """The built pages' files. A name with a hash never changes what it means, so it may be kept for a year."""

    def file_response(self, full_path, stat_result, scope: StarletteScope, status_code: int = 200) -> Response:  # type: ignore[no-untyped-def]
        response = super().file_response(full_path, stat_result, scope, status_code)
        hashed = _HASHED.search(Path(full_path).name)
        response.headers["cache-control"] = (
            "public, max-age=31536000, immutable" if hashed else "public, max-age=600, must-revalidate"
        )
        response.headers["x-content-type-options"] = "nosniff"
        return response


class Application:
    """The ASGI application of the http process; `start` before, `stop` after serving."""

    def __init__(self, pages: App, *, static: Path = STATIC, batch: Callable[[list[Hit]], None] = count) -> None:
        for kind, ending in (
            ("text/javascript", ".js"),
            ("text/css", ".css"),
            ("image/svg+xml", ".svg"),
            ("font/woff2", ".woff2"),
            ("application/manifest+json", ".webmanifest"),
        ):
            mimetypes.add_type(kind, ending)  # what the machine's own table says of .js varies
        self._pages = pages
        self._assets = Assets(directory=static, check_dir=False)
        self._lookups = ThreadPoolExecutor(1, thread_name_prefix="lookup")
        self._gatherer: Gatherer[Hit, None] = Gatherer(batch, name="hits")
        self._hits = HitRoutes(
            self._gatherer, Targets(links_of, self._lookups, link_of_single), settings.ENVOL.base_url
        )
        # A thread of their own: what is dear to count must not keep a reader from her link.
        self._looks = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._events = EventRoutes(self._looks)
        self._send = SendRoute()
        self._seen_ready = -1e9
        self._writes: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        path: str = scope["path"]
        method: str = scope["method"]
        if path.startswith(("/c/", "/o/")):
            if method not in ("GET", "HEAD"):
                text = b"This address can only be opened."
                await answer(scope, send, 405, [*_TEXT, (b"allow", b"GET, HEAD")], text)
            elif path[1] == "c":
                await self._hits.click(scope, send, path[3:])
            else:
                await self._hits.open(scope, send, path[3:])
        elif path.startswith("/static/") and method in ("GET", "HEAD"):
            await self._static(scope, receive, send)
        elif path.startswith(media.PATH) and method in ("GET", "HEAD") and (found := media.file_of(path[3:])):
            await self._picture(*found, scope, receive, send)
        elif path == "/events":
            await self._events(scope, receive, send)
        elif is_send(path):
            await self._send(scope, receive, send)
        elif path == own_policy.PATH and (policy := own_policy.for_host(_host(scope), RETURN_LABEL)):
            await answer(scope, send, 200, _TEXT, policy.encode())
        elif path == "/health":
            await answer(scope, send, 200, _TEXT, b"ok\n")
        elif path == "/ready":
            await self._ready(scope, send)
        elif path == "/metrics":
            await self._metrics(scope, send)
        else:
            await self._pages(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._writes = asyncio.create_task(self._write_calls())
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.stop()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _write_calls(self) -> None:
        """The log of programs' calls, written as it gathers; what the database does not take now is dropped."""
        while True:
            await asyncio.sleep(calls.EVERY)
            try:
                await asyncio.get_running_loop().run_in_executor(self._looks, _write_calls)
            except Exception as error:
                log.warning("calls could not be logged", error=type(error).__name__)

    async def leave(self) -> None:
        """End what would never end by itself, so that the server can wait for the rest."""
        await self._events.close()

    async def stop(self) -> None:
        """Commit what waits, then let the threads go."""
        await self.leave()
        await self._gatherer.close()
        await self._send.close()
        if self._writes is not None:
            self._writes.cancel()
            with contextlib.suppress(Exception):
                await asyncio.get_running_loop().run_in_executor(self._looks, _write_calls)
        await self._hits.drain()
        self._lookups.shutdown(wait=False)
        self._looks.shutdown(wait=False)

    async def _static(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = dict(scope)
        inner["path"] = scope["path"].removeprefix("/static")
        try:
            await self._assets(inner, receive, send)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            await self._pages(scope, receive, send)  # files of other packages, and the page for "not found"

    async def _picture(self, file: Path, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A picture of a message, without asking the database: a hundred thousand readers open it at once."""
        if file.is_file():
            await FileResponse(file, media_type=kind, headers=media.HEADERS)(scope, receive, send)
        else:
            await answer(scope, send, 404, _TEXT, b"There is no such picture.")

    async def _metrics(self, scope: Scope, send: Send) -> None:
        """For Prometheus, behind a token of its own (RFC 6750): without the setting there is no such page."""
        wanted = settings.ENVOL.metrics_token
        if not wanted:
            await answer(scope, send, 404, _TEXT, b"Nobody may read metrics: set metrics_token.\n")
            return
        given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        if not compare_digest(given.encode(), f"Bearer {wanted}".encode()):
            challenge = [*_TEXT, (b"www-authenticate", b'Bearer realm="Envol"')]
            await answer(scope, send, 401, challenge, b"Give the metrics_token as bearer token.\n")
            return
        try:
            text = await asyncio.get_running_loop().run_in_executor(self._looks, _read_metrics)
        except Exception as error:
            log.warning("metrics could not be read", error=type(error).__name__)
            await answer(scope, send, 503, _TEXT, b"the database does not answer\n")
            return
        kind = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8"), (b"cache-control", b"no-store")]
        await answer(scope, send, 200, kind, text.encode())

    async def _ready(self, scope: Scope, send: Send) -> None:
        """Whether the database answers; asked at most once a second, whoever asks."""
        if time.monotonic() - self._seen_ready > 1:
            loop = asyncio.get_running_loop()
            try:
                await asyncio.wait_for(loop.run_in_executor(self._lookups, _ask_database), 5)
            except Exception as error:
                log.warning("not ready: the database does not answer", error=type(error).__name__)
                await answer(scope, send, 503, _TEXT, b"the database does not answer\n")
                return
            self._seen_ready = time.monotonic()
        await answer(scope, send, 200, _TEXT, b"ready\n")


def _host(scope: Scope) -> str:
    return next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")


def _read_metrics() -> str:
    db_role.stay_owner()
    close_old_connections()
    return metrics.text()


def _write_calls() -> None:
    db_role.stay_owner()
    close_old_connections()
    calls.flush()
    rolls.flush()


def _ask_database() -> None:
    close_old_connections()
    value("SELECT 1")


class _Discreet(logging.Filter):
    """Django names the path of a failed request; ours hold tokens, which open a person's page."""

    _TOKEN = re.compile(r"/[comupwsi]/[A-Za-z0-9_-]{20,}(?:/[A-Za-z0-9_-]+)?")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._TOKEN.sub("/…", record.getMessage())
        record.args = ()
        return True


class Front(BodyLimit):
    """The application behind its guard; the server tells it when to leave."""

    def __init__(self, app: Application) -> None:
        super().__init__(app)
        self.leave = app.leave


def make_app(threads: int) -> Front:
    """The application with Django behind it, in ``threads`` threads of one database connection each."""
    pages = WSGIMiddleware(get_wsgi_application(), workers=threads)  # type: ignore[arg-type]
    return Front(Application(pages))  # type: ignore[arg-type]


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError with a sentence that says what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1" if host == "localhost" else host, port))
    except OSError as error:
        sock.close()
        raise OSError(
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop the program that uses it, or choose "
            "another address with --http HOST:PORT."
        ) from None
    sock.listen(2048)
    sock.set_inheritable(True)
    return sock


def settle() -> None:
    """Take what is loaded out of the collector's sight: looking through all of it stops every page for a tenth of a
    second. Once now, and once more after the next full collection, when templates and addresses are loaded as well.
    """

    def once_more(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            gc.callbacks.remove(once_more)
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.callbacks.append(once_more)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            settle()
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if isinstance(self.config.app, Front):
            await self.config.app.leave()
        await super().shutdown(sockets)


def run(config: Settings, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM; then finish what was begun and commit what waits. ``ready`` is called once it listens."""
    for name in ("django.request", "django.security", "django.server"):
        logging.getLogger(name).addFilter(_Discreet())
    try:
        sock = listen(config.http_host, config.http_port)
    except OSError as error:
        sys.exit(str(error))
    server = _Server(
        uvicorn.Config(
            # One connection each counts hits, looks links up, tells what moves, accepts mail; the others serve pages.
            make_app(max(1, config.pool_http - 4)),
            loop="uvloop" if sys.platform != "win32" else "asyncio",
            http=GuardedProtocol,
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=25,
            h11_max_incomplete_event_size=MAX_HEAD,
            ssl_certfile=config.tls_cert or None,
            ssl_keyfile=config.tls_key or None,
        ),
        ready,
    )
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[sock])
