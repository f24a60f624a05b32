"""Every command of docs/compliance.md names a test that there is and that the suite runs, so CI runs them all."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {f"pytest.mark.{name}" for name in ("skip", "skipif", "xfail", "looks")}
"""Marks under which the suite would not run a test, or not mind its answer."""


def test_each_command_names_a_test_that_is_collected() -> None:
    text = (ROOT / "docs" / "compliance.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    found = re.findall(r"`pytest (tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(rows) == len(found) >= 30, "one command a row"
    missing = []
    for file, name in found:
        path = ROOT / file
        body = ast.parse(path.read_text("utf-8")).body if path.exists() else []
        there = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
        if name not in there or {ast.unparse(mark).split("(")[0] for mark in there[name].decorator_list} & LEFT_OUT:
            missing.append(f"{file}::{name}")
    assert not missing
