"""The crash test in its shortest form, so that its own road is walked by every `make test`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_after_three_kills_nobody_is_missed() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.crash.run", "--kills", "3", "--messages", "1500", "--no-controls", "--json"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    facts = json.loads(said.stdout)
    assert len(facts["kills"]) == 3
    assert facts["promised"] == facts["chosen"] == 750
    assert facts["violations"] == []
