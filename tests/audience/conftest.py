from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest


@pytest.fixture
def pg() -> Iterator[psycopg.Connection[Any]]:
    """A connection of its own, in autocommit, as the processes beside Django have one."""
    from envol.audience.columns import build

    with psycopg.connect(build.address(), autocommit=True) as opened:
        yield opened
