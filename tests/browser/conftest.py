"""A live server of the pages and the distribution's Chromium; without Chromium skipped, except in CI."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

# Playwright's loop runs in the thread of the test, which also writes fixtures by the ORM.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
AXE = Path(__file__).resolve().parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
BUILT = Path(__file__).resolve().parents[2] / "envol" / "web" / "static" / "dist" / "manifest.json"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without(items, Path(__file__).parent)


def skip_without(items: list[pytest.Item], folder: Path) -> None:
    """Mark what lies in ``folder`` as a browser test; skip it where there is no browser, never in CI."""
    missing = [
        name
        for name, there in (
            ("Chromium", shutil.which("chromium")),
            ("axe", AXE.exists()),
            ("the built pages", BUILT.exists()),
        )
        if not there
    ]
    for item in items:
        if Path(item.path).parent == folder:
            item.add_marker(pytest.mark.browser)
            if missing and os.environ.get("CI") != "true":
                item.add_marker(pytest.mark.skip(reason=f"{', '.join(missing)} not found"))


class _Server(ThreadingMixIn, WSGIServer):
    """Each thread gives its connection to the database back: settings keep them, and a thread here serves once."""

    daemon_threads = True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        from django.db import connections

        try:
            super().process_request_thread(request, client_address)
        finally:
            connections.close_all()


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """http://localhost:PORT of the pages, by Django's WSGI handler on this run's database."""
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.test import override_settings

    server = make_server("127.0.0.1", 0, get_wsgi_application(), _Server, _Quiet)
    port = server.server_port
    with override_settings(
        ENVOL=dataclasses.replace(settings.ENVOL, http=f"127.0.0.1:{port}"),
        CSRF_TRUSTED_ORIGINS=[f"http://localhost:{port}"],
    ):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://localhost:{port}"
        server.shutdown()
        thread.join(5)
        server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.web.shop import open_shop

    return open_shop(folder=tmp_path_factory.mktemp("files"))
