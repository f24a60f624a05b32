"""A backup is a file that somebody may have made up: nothing of it is written but by our own names."""

from __future__ import annotations

import io
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from envol.accounts.models import Workspace
from envol.consent import anchor, erasures
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


def test_a_backup_carries_what_proves() -> None:
    assert (erasures.FILE, anchor.FILE) == backup.PROOFS


def test_a_restore_says_what_it_cannot_know(tmp_path: Path, workspace: Workspace) -> None:
    when = datetime(2026, 3, 1, 8, tzinfo=UTC)
    alone = backup._erase_again(b"", None, when)
    assert alone["erased_again"] == 0 and "after 2026-03-01 08:00 UTC are not known" in alone["erasures"]
    later = erasures.Entry(datetime(2026, 4, 2, tzinfo=UTC).isoformat(), workspace.pk, "00" * 32, 1)
    file = tmp_path / "erasures.jsonl"
    erasures.append([later], file)
    told = backup._erase_again(b"", file, when)
    assert "known until 2026-04-02 00:00" in told["erasures"] and told["erasures_named"] == 1
    assert later in erasures.read(erasures.journal().read_bytes()), "the next backup carries it on"
    with pytest.raises(backup.BackupError, match="not a journal"):
        backup._erase_again(b"", Path(__file__), when)
    with pytest.raises(backup.BackupError, match="does not exist"):
        backup.restore(file, tmp_path / "new", tmp_path / "no")
