"""A program that listens: a real HTTP server that takes what is posted to it, and its fixtures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.conf import settings


class Server:
    """A program that listens: what it was posted, and what it answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], int] = lambda said: 200
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.calls.append((self.path, {k.lower(): v for k, v in self.headers.items()}, said))
                status = server.answer(said)
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"OK")

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def said(self) -> list[Any]:
        found = [said for _, _, said in self.calls]
        self.calls.clear()
        return found


@pytest.fixture(scope="module")
def listening() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def server(listening: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(settings, "ENVOL", replace(settings.ENVOL, webhooks_inside=True))
    listening.calls.clear()
    listening.answer = lambda said: 200
    return listening
