"""Databases whose data directory is gone: a trial that was removed, a restore that was made twice.

Started as root, the cluster lies beside the others and not in the data directory, so that it outlives it. Nothing here
removes anything: that is for whoever knows.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from envol.run.embedded_host import SYSTEM_ROOT

_YOUNG_SECONDS = 3600.0  # one that is being made has no file of passwords yet


@dataclass(frozen=True, slots=True)
class Left:
    """path: where the database lies. data: the data directory that it was made for. octets: what it takes."""

    path: Path
    data: Path
    octets: int


def left_behind(root: Path = SYSTEM_ROOT) -> list[Left]:
    """Those that no data directory names as its own, the largest first; none where we may not look."""
    found = []
    try:
        places = [place for place in root.iterdir() if (place / "data-directory").exists()]
    except OSError:
        return []
    for place in places:
        try:
            data = Path((place / "data-directory").read_text().strip())
            young = time.time() - place.stat().st_mtime < _YOUNG_SECONDS
        except OSError:
            continue
        if not young and (place / "cluster").exists() and not _is_named(place, data):
            found.append(Left(place, data, _octets(place)))
    return sorted(found, key=lambda one: (-one.octets, one.path))


def _is_named(place: Path, data: Path) -> bool:
    try:
        return bool(json.loads((data / "database.json").read_text())["base"] == str(place))
    except PermissionError:
        return True  # somebody else's, and surely there
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _octets(place: Path) -> int:
    """What the files take, by their blocks (512 octets each, POSIX sys/stat.h); those that we may read."""
    total = 0
    for folder, _, names in os.walk(place):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total
