"""Every command of docs/compliance.md names a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_each_command_names_a_test_that_is_collected() -> None:
    text = (ROOT / "docs" / "compliance.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    found = re.findall(r"`pytest (tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(rows) == len(found) >= 30, "one command a row"
    missing = []
    for file, name in found:
        path = ROOT / file
        body = ast.parse(path.read_text("utf-8")).body if path.exists() else []
        if name not in {node.name for node in body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{name}")
    assert not missing
