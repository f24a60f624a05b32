"""A backup is a file that somebody may have made up: nothing of it is written but by our own names."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from envol.run import backup

PICTURE = f"media/{'A' * 22}/600.jpg"


@pytest.mark.parametrize(
    "name",
    [
        "media/../secret", f"media/{'A' * 22}/../../x", f"media/{'A' * 22}/x.sh", "/etc/x", "media", "other/x",
        f"media/{'A' * 22}/600.svg",
    ],
)  # fmt: skip
def test_only_pictures_leave_a_backup_as_files(name: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for one, kind in ((PICTURE, tarfile.REGTYPE), (name, tarfile.REGTYPE), (PICTURE + "x", tarfile.SYMTYPE)):
            entry = tarfile.TarInfo(one)
            entry.type, entry.size, entry.linkname, entry.mode = (
                kind,
                1 if kind == tarfile.REGTYPE else 0,
                "/etc",
                0o777,
            )
            tar.addfile(entry, io.BytesIO(b"x"))
    file.seek(0)
    data = tmp_path / "data"
    data.mkdir()
    with tarfile.open(fileobj=file) as tar:
        backup._pictures(tar, data)
    assert [str(p.relative_to(tmp_path)) for p in sorted(tmp_path.rglob("*")) if p.is_file()] == [f"data/{PICTURE}"]
    assert (data / PICTURE).stat().st_mode & 0o777 == 0o600
