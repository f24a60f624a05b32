"""Where the slabs of a workspace lie, and which version is read. Small: every process may import it.

::

    DATA/columns/<workspace>/current               the name of the version to read
    DATA/columns/<workspace>/<version>/*.parquet   immutable
    DATA/columns/<workspace>/<version>/manifest.json
    DATA/columns/<workspace>/clickhouse            there is a copy in ClickHouse, which is asked instead
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from envol.contacts.gone import OLDEST_COPY

FORMAT = 4
READ = 600
"""Seconds for which the version before is left to those who still read it: no question takes that long."""
DISTRIBUTED = "clickhouse"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one version of the slabs holds; ``watermark``: rows written by that transaction or a later one may lack."""

    version: str
    watermark: int
    people: int
    columns: dict[str, dict[str, str]]  # table → column → how it is told
    rows: dict[str, int]
    files: dict[str, list[str]]
    months: list[str]  # partitions of events there were: when one of them is dropped, these slabs count too much
    scored: str = ""  # when the scores were computed that these slabs hold
    finished: list[int] = field(default_factory=list)  # sendings whose messages these slabs hold, all of them
    seconds: float = 0.0
    made_at: float = field(default_factory=time.time)
    format: int = FORMAT


def folder(data: Path, workspace_id: int) -> Path:
    return data / "columns" / str(workspace_id)


def current(home: Path) -> Manifest | None:
    """The version to read, None when there is none that this code can read, or it is too old to know who is gone."""
    try:
        version = (home / "current").read_text().strip()
        raw = json.loads((home / version / "manifest.json").read_text())
        found = Manifest(**raw) if raw.get("format") == FORMAT else None
        return found if found and time.time() - found.made_at < OLDEST_COPY.total_seconds() else None
    except (OSError, ValueError, TypeError):
        return None


def point(home: Path, version: str) -> None:
    """``current`` names ``version``; the one before stays for those who still read it, older ones go."""
    before = current(home)
    pointer = home / f"current.{version}"
    pointer.write_text(version)
    os.replace(pointer, home / "current")
    keep = {version, before.version if before else ""}
    for other in home.iterdir():
        if other.is_dir() and other.name not in keep and not _is_being_made(other):
            shutil.rmtree(other, ignore_errors=True)


def sweep(home: Path) -> None:
    """The version before the current one goes soon after: it may hold people who were erased (`upkeep.ERASED`)."""
    now = current(home)
    if now is None or time.time() - now.made_at < READ:
        return
    for other in home.iterdir():
        if other.is_dir() and other.name != now.version and not _is_being_made(other):
            shutil.rmtree(other, ignore_errors=True)


def watermarks(home: Path) -> list[int | None]:
    """Of every version that lies there, read or not; None for one that does not say, such as one being made."""
    found: list[int | None] = []
    for place in home.iterdir() if home.exists() else ():
        if not place.is_dir():
            continue
        try:
            found.append(int(json.loads((place / "manifest.json").read_text())["watermark"]))
        except (OSError, ValueError, TypeError, KeyError):
            found.append(None)
    return found


def _is_being_made(place: Path) -> bool:
    return place.suffix == ".new" and time.time() - place.stat().st_mtime < 3600
