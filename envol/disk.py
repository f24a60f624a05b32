"""Room on the disks we write to. Beside :mod:`envol.db`: anyone may import it, it imports nothing of ours.

A full disk must stop what comes in, never what goes out: what is under way ends, is written down and makes room.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from django.conf import settings

LEAST_SHARE = 0.05
MOST_ASKED = 20 * 1024**3
"""A twentieth of a large disk is more than anybody needs."""
_KNOWN_SECONDS = 2.0
_known: tuple[float, str | None] | None = None


class Full(Exception):
    """Nothing more is accepted for want of room; nothing was written. Try again later (SMTP 452 4.3.1, HTTP 503)."""


def refuse_when_full() -> None:
    """Raises :class:`Full`, with a sentence that says what to do. Asked often: looks at the disks every two seconds."""
    global _known
    if _known is None or time.monotonic() - _known[0] > _KNOWN_SECONDS:
        _known = (time.monotonic(), shortage())
    if _known[1] is not None:
        raise Full(_known[1])


def is_full(error: BaseException) -> bool:
    """Is it the database that says so (SQLSTATE 53100, disk_full)?"""
    return any(getattr(one, "sqlstate", None) == "53100" for one in (error, error.__cause__))


def shortage() -> str | None:
    """The sentence of the first disk that is too full; None when all have room.

    Of a database elsewhere (``DATABASE_URL``) we see no disk: it says so itself when it is full.
    """
    least = settings.ENVOL.least_free_mib * 1024**2
    if not least:
        return None
    for folder in _folders():
        try:
            disk = shutil.disk_usage(folder)
        except OSError:
            continue
        asked = max(least, min(disk.total * LEAST_SHARE, MOST_ASKED))
        if disk.free < asked:
            return (
                f"Only {disk.free // 1024**2:,} MiB are free on the disk of {folder}. Below {asked // 1024**2:,.0f} MiB"
                " nothing new is accepted; mail under way still leaves. Make room."
            )
    return None


def _folders() -> list[Path]:
    found = [settings.ENVOL.data]
    if os.environ.get("ENVOL_EMBEDDED_RUNS"):
        try:  # started as root, the cluster lies elsewhere: the data directory keeps a pointer
            found.append(Path(json.loads((settings.ENVOL.data / "database.json").read_text("utf-8"))["base"]))
        except (OSError, ValueError, KeyError, TypeError):
            pass
    return found
