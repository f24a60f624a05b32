"""Databases whose data directory is gone are told, and nothing else is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from envol.run import doctor, embedded_left
from envol.run.embedded_left import left_behind


def cluster(root: Path, name: str, data: Path, *, hours: int = 5, named: str | None = None) -> Path:
    """A database as it lies below the system's directory; named: what its data directory calls its own, if there."""
    place = root / name
    (place / "cluster").mkdir(parents=True)
    (place / "cluster" / "PG_VERSION").write_text("18\n" * 5000)
    (place / "data-directory").write_text(f"{data}\n")
    if named is not None:
        data.mkdir(exist_ok=True)
        (data / "database.json").write_text(json.dumps({"base": named}))
    then = place.stat().st_mtime - hours * 3600
    os.utime(place, (then, then))
    return place


def test_only_those_that_no_data_directory_names(tmp_path: Path) -> None:
    root = tmp_path / "system"
    cluster(root, "used", tmp_path / "a", named=str(root / "used"))
    gone = cluster(root, "gone", tmp_path / "nowhere")
    aside = cluster(root, "used.left-1", tmp_path / "a")  # of an earlier data directory at the same place
    cluster(root, "made-now", tmp_path / "b", hours=0)
    (root / "bin-18.1").mkdir()  # programs, and no database
    assert {one.path for one in left_behind(root)} == {gone, aside}
    assert all(one.octets >= 15_000 for one in left_behind(root))
    assert left_behind(tmp_path / "none") == []


def test_the_check_tells_them_and_does_not_stop(
    workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = cluster(tmp_path / "system", "gone", tmp_path / "nowhere")

    def told() -> list[dict[str, Any]]:
        return [item for item in doctor.check(settings.ENVOL, workspace) if item["code"] == "left_databases"]

    monkeypatch.setattr(embedded_left.left_behind, "__defaults__", (tmp_path / "system",))
    (item,) = told()
    assert item["ok"] and str(gone) in item["sentence"] and str(tmp_path / "nowhere") in item["sentence"]
    monkeypatch.setattr(embedded_left.left_behind, "__defaults__", (tmp_path / "none",))
    assert told() == []
