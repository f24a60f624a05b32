from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import address, browser, skip_without  # noqa: F401
from tests.loopback import Loopback


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without(items, Path(__file__).parent)


@pytest.fixture(scope="module")
def envol(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``envol up`` on this run's database: pages, worker, couriers and inbox, as an operator starts them.

    On every journey nothing of it calls another machine, but for name servers about a domain that somebody declares.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("up") / "log"
    world = Loopback(log.parent)
    with open(log, "wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "envol.run.cli", "up", "--http", f"127.0.0.1:{port}"],
            stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **world.env, "ENVOL_COURIERS": "1"},
        )  # fmt: skip
    base = f"http://localhost:{port}"
    end = time.monotonic() + 90
    while b"Envol is up" not in log.read_bytes():
        if up.poll() is not None or time.monotonic() > end:
            up.kill()
            raise RuntimeError(log.read_text()[-4000:])
        time.sleep(0.2)
    assert urllib.request.urlopen(f"{base}/ready").status == 200
    yield base
    up.terminate()
    up.wait(60)
    assert world.calls(but_names=True) == []
