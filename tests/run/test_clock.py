"""What the worker does by the clock: jumps are told, faults of the disk are seen."""

from __future__ import annotations

import dataclasses
import shutil
import time
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.test import override_settings
from structlog.testing import capture_logs

from envol import disk
from envol.contacts import imports
from envol.outbound import accept
from envol.run import clock


def test_a_clock_that_jumps_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_offset", [])
    with capture_logs() as logs:
        clock.watch()
        clock.watch()
    assert logs == []
    real = time.monotonic()
    monkeypatch.setattr(clock.time, "monotonic", lambda: real + 3600)  # as if the other clock had gone back an hour
    with capture_logs() as logs:
        assert clock.watch() == pytest.approx(-3600, abs=30)
        clock.watch()
    assert [entry["event"] for entry in logs] == ["the database's clock jumped"]


GIB = 1024**3


@pytest.mark.parametrize(
    ("free", "total", "refused"),
    [
        (1 * GIB, 10 * GIB, True),
        (3 * GIB, 100 * GIB, True),
        (6 * GIB, 100 * GIB, False),
        (30 * GIB, 2000 * GIB, False),
        (15 * GIB, 2000 * GIB, True),
    ],
)
def test_less_than_two_gib_or_a_twentieth_is_too_little(
    free: int, total: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free, total=total, used=total - free))
    with override_settings(ENVOL=dataclasses.replace(settings.ENVOL, least_free_mib=2048)):
        assert (disk.shortage() is not None) is refused
    with override_settings(ENVOL=dataclasses.replace(settings.ENVOL, least_free_mib=0)):
        assert disk.shortage() is None


def test_a_full_disk_refuses_what_comes_in_and_not_a_password(
    workspace, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_known", (time.monotonic() + 60, "Only 3 MiB are free. Make room."))
    file = tmp_path / "people.csv"
    file.write_text("email\nzoe@lecteurs.example\n")
    with pytest.raises(imports.ImportProblem, match="Make room"):
        imports.receive(workspace, file, file.name)
    letter = accept.Outgoing(
        workspace.id, ("", "noreply@localhost.localdomain"), [("", "z@lecteurs.example")], text="x"
    )
    with pytest.raises(disk.Full, match="Make room"):
        accept.accept_messages([letter])
    assert accept.accept_messages([dataclasses.replace(letter, kind="system")])
